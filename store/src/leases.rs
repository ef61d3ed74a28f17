//! Who holds which buckets of the queue, and until when; and so, who must hear of a row that comes into one.
//!
//! Leases live in memory: an open store is the only one on its folder, so opening it voids every lease given before. One
//! ends before its time when its holder is gone.

use std::ops::Range;
use std::sync::Arc;

use pillarbox_core::Wall;
use pillarbox_core::ops::{LeaseEpoch, Sink};

use crate::holder::Holder;

/// The leases given since the store opened.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Vec<Lease>,
}

#[derive(Debug)]
struct Lease {
    buckets: Range<u16>,
    epoch: LeaseEpoch,
    until: Wall,
    /// `None` for an asker that has no sink.
    holder: Option<Holder>,
}

impl Leases {
    /// Gives or prolongs a lease; `None` when another owner holds one of the buckets, or took them after `epoch`'s
    /// lease had expired.
    pub(crate) fn lease(
        &mut self,
        buckets: Range<u16>,
        epoch: Option<LeaseEpoch>,
        until: Wall,
        holder: Option<Holder>,
        now: Wall,
        issue: impl FnOnce() -> LeaseEpoch,
    ) -> Option<LeaseEpoch> {
        if epoch.is_some_and(|epoch| !self.knows(epoch)) {
            return None;
        }
        let others = |lease: &Lease| Some(lease.epoch) != epoch && overlap(&lease.buckets, &buckets);
        if self.held.iter().any(|lease| others(lease) && lease.until > now && !lease.is_forsaken()) {
            return None;
        }
        // Whoever let his lease expire loses it as a whole: he will ask for a new one.
        self.held.retain(|lease| !others(lease));
        let epoch = epoch.unwrap_or_else(issue);
        self.held.retain(|lease| lease.epoch != epoch);
        self.held.push(Lease { buckets, epoch, until, holder });
        Some(epoch)
    }

    /// The epoch was given here and nobody took its buckets since. An expired lease that nobody took still counts.
    pub(crate) fn knows(&self, epoch: LeaseEpoch) -> bool {
        self.held.iter().any(|lease| lease.epoch == epoch)
    }

    /// The epoch holds this bucket.
    pub(crate) fn holds(&self, epoch: LeaseEpoch, bucket: u16) -> bool {
        self.held.iter().any(|lease| lease.epoch == epoch && lease.buckets.contains(&bucket))
    }

    /// Who must hear of a row in this bucket that `asker` makes due; nobody when it is his own. One whose lease has run
    /// out hears of it, too: it may be prolonged late.
    pub(crate) fn other(&self, bucket: u16, asker: Option<&Arc<dyn Sink>>) -> Option<&Holder> {
        let lease = self.held.iter().find(|lease| lease.buckets.contains(&bucket))?;
        lease.holder.as_ref().filter(|holder| !asker.is_some_and(|asker| holder.is(asker)))
    }
}

impl Lease {
    fn is_forsaken(&self) -> bool {
        self.holder.as_ref().is_some_and(Holder::is_gone)
    }
}

fn overlap(a: &Range<u16>, b: &Range<u16>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

#[cfg(test)]
mod tests {
    use pillarbox_core::ops::{Id, StoreReply, Token};

    use super::*;

    #[test]
    fn an_expired_lease_is_lost_only_when_it_is_taken() {
        let mut leases = Leases::default();
        let [a, b] = [1, 2].map(|counter| LeaseEpoch(Id { epoch: 1, counter }));
        assert_eq!(leases.lease(0..512, None, Wall(10), None, Wall(0), || a), Some(a));
        assert_eq!(leases.lease(500..600, None, Wall(10), None, Wall(0), || b), None, "held");
        assert_eq!(leases.lease(512..600, None, Wall(10), None, Wall(0), || b), Some(b), "the neighbour is free");
        assert_eq!(
            leases.lease(0..512, Some(a), Wall(20), None, Wall(15), || unreachable!()),
            Some(a),
            "late, but not taken"
        );
        assert_eq!(leases.lease(0..512, Some(b), Wall(40), None, Wall(30), || unreachable!()), Some(b));
        assert!(!leases.knows(a) && leases.holds(b, 0) && !leases.holds(b, 512));
        assert_eq!(leases.lease(600..700, Some(a), Wall(50), None, Wall(30), || unreachable!()), None, "start again");
    }
    #[test]
    fn whoever_is_gone_holds_nothing_and_hears_nothing() {
        struct Deaf;
        impl Sink for Deaf {
            fn complete(&self, _: Token, _: StoreReply) {}
        }
        let mut leases = Leases::default();
        let [a, b] = [1, 2].map(|counter| LeaseEpoch(Id { epoch: 1, counter }));
        let [first, second]: [Arc<dyn Sink>; 2] = [Arc::new(Deaf), Arc::new(Deaf)];
        let mut ask = |holder: &Arc<dyn Sink>, epoch| {
            leases.lease(0..9, None, Wall(10), Some(Holder::new(holder)), Wall(0), || epoch)
        };
        assert_eq!(ask(&first, a), Some(a));
        assert_eq!(ask(&second, b), None);
        drop(first);
        assert_eq!(ask(&second, b), Some(b));
        assert!(!leases.knows(a));
        assert!(leases.other(0, None).is_some_and(|holder| holder.is(&second)));
        assert!(leases.other(0, Some(&second)).is_none() && leases.other(9, None).is_none());
    }
}
