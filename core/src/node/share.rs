//! What part of a server a node is, when several nodes serve one store.
//!
//! The nodes of a server are alike, but for what must be divided or told apart: the queue's buckets, the bounds that hold
//! for the server as a whole, and the names of connections.

use alloc::sync::Arc;
use core::ops::Range;

use super::{Config, ConnId};
use crate::ops::BUCKETS;

/// One of the equal parts of a server.
///
/// ```
/// use pillarbox_core::node::Share;
///
/// let halves: Vec<_> = Share::each(2).map(Share::buckets).collect();
/// assert_eq!(halves, [0..512, 512..1024]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: u16,
    of: u16,
}

impl Share {
    /// All of it: the server has one node.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The most nodes that one store serves: more threads than one commit line keeps busy. Each still has 16 buckets.
    pub const MOST: u16 = 64;

    /// Part `index` (from 0) of `of`; `None` when there is no such part, or more than [`MOST`](Self::MOST).
    #[must_use]
    pub fn new(index: u16, of: u16) -> Option<Self> {
        (index < of && of <= Self::MOST).then_some(Self { index, of })
    }

    /// The parts of a server of `of` nodes; at least one, at most [`MOST`](Self::MOST).
    pub fn each(of: u16) -> impl ExactSizeIterator<Item = Self> {
        let of = of.clamp(1, Self::MOST);
        (0..of).map(move |index| Self { index, of })
    }

    /// The queue's buckets that it works on. The parts' buckets together are all of them, and none is in two.
    #[must_use]
    pub fn buckets(self) -> Range<u16> {
        self.bucket(self.index)..self.bucket(self.index + 1)
    }

    /// Its part of a bound of the whole server: the parts together keep the bound, unless it is less than one each.
    #[must_use]
    pub fn part(self, bound: usize) -> usize {
        let of = usize::from(self.of);
        let rest = usize::from(usize::from(self.index) < bound % of);
        (bound / of + rest).max(1)
    }

    /// The whole server's configuration as this node is to keep it: the bounds of the server are divided.
    pub(super) fn configure(self, config: Arc<Config>) -> Arc<Config> {
        if self == Self::WHOLE {
            return config;
        }
        let mut config = Arc::unwrap_or_clone(config);
        config.limits.inline_bodies = self.part(config.limits.inline_bodies);
        let queue = &mut Arc::make_mut(&mut config.delivery.queue).limits;
        queue.attempts = self.part(queue.attempts);
        queue.destinations = self.part(queue.destinations);
        let dns = &mut config.dns.limits;
        for bound in
            [&mut dns.in_flight, &mut dns.lookups, &mut dns.waiting, &mut dns.cache_entries, &mut dns.cache_bytes]
        {
            *bound = self.part(*bound);
        }
        config.into()
    }

    /// The names of its connections, smallest first. No other part of the server gives the same.
    pub(super) fn conn(self, number: u64) -> ConnId {
        ConnId(u64::from(self.index) + 1 + number * u64::from(self.of))
    }

    fn bucket(self, index: u16) -> u16 {
        (u32::from(BUCKETS) * u32::from(index) / u32::from(self.of)) as u16
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_bucket_is_in_one_part() {
        for of in 1..=Share::MOST {
            let mut next = 0;
            for share in Share::each(of) {
                let buckets = share.buckets();
                assert_eq!(buckets.start, next, "{share:?}");
                assert!(buckets.len() >= usize::from(BUCKETS / of), "{share:?}");
                next = buckets.end;
            }
            assert_eq!(next, BUCKETS, "of {of}");
        }
        assert_eq!(Share::WHOLE.buckets(), 0..BUCKETS);
    }

    #[test]
    fn there_is_no_part_beyond_the_last() {
        assert_eq!(Share::new(0, 1), Some(Share::WHOLE));
        assert!(Share::new(63, 64).is_some());
        for (index, of) in [(0, 0), (1, 1), (3, 2), (0, 65), (u16::MAX, u16::MAX)] {
            assert_eq!(Share::new(index, of), None);
        }
        assert_eq!(Share::each(0).collect::<Vec<_>>(), [Share::WHOLE]);
        assert_eq!(Share::each(u16::MAX).len(), 64);
    }

    #[test]
    fn a_bound_is_kept_by_the_parts_together() {
        for of in 1..=Share::MOST {
            for bound in [64, 100, 1_000, 1_001, 64 << 20] {
                assert_eq!(Share::each(of).map(|share| share.part(bound)).sum::<usize>(), bound, "{bound} of {of}");
            }
            assert!(Share::each(of).all(|share| share.part(0) == 1 && share.part(1) == 1));
        }
        assert_eq!(Share::WHOLE.part(usize::MAX), usize::MAX);
    }

    #[test]
    fn names_are_small_and_never_the_same() {
        let mut names = BTreeSet::new();
        for share in Share::each(3) {
            for number in 0..100 {
                assert!(names.insert(share.conn(number)), "{share:?}");
            }
        }
        assert_eq!(names.last(), Some(&ConnId(300)));
        assert_eq!((Share::WHOLE.conn(0), Share::WHOLE.conn(1)), (ConnId(1), ConnId(2)));
    }
}
