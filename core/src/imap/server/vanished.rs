//! VANISHED (RFC 7162 §3.2.10): what is gone is told as UIDs, some runs of them in each response, so that however much it
//! is, little of it waits to be sent.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::terms::uids;
use crate::imap::encode;
use crate::imap::types::{Qresync, SequenceSet};
use crate::mailbox::{Gone, PAGE, UidSet};
use crate::outbox::Outbox;

/// UIDs that are being told.
#[derive(Debug)]
pub(super) struct Vanishing {
    /// They were gone before the mailbox was opened.
    earlier: bool,
    uids: UidSet,
    /// So many runs of them are told.
    told: usize,
}

impl Vanishing {
    /// What is gone and not known to be, of what the client `knows`. What still stands in its view it is told elsewhere.
    pub(super) fn earlier(gone: Gone, mut knows: UidSet, view: &UidSet) -> Self {
        let mut uids = match gone {
            Gone::These(gone) => gone.intersection(&knows),
            Gone::AllBut(there) => {
                knows.remove(&there);
                knows
            }
        };
        uids.remove(view);
        Self { earlier: true, uids, told: 0 }
    }

    /// What is gone of the client's view.
    pub(super) fn now(uids: UidSet) -> Self {
        Self { earlier: false, uids, told: 0 }
    }

    /// Tells a page; true when there is no more.
    pub(super) fn turn(&mut self, tx: &mut Outbox) -> bool {
        let page = self.uids.runs().skip(self.told).take(PAGE as usize);
        encode::vanished(tx, self.earlier, &page.map(|(first, last)| first..=last).collect());
        self.told = self.told.saturating_add(PAGE as usize);
        self.told >= self.uids.runs().len()
    }
}

/// UIDs that a client names, where `*` stands for the last one that is there or for any that was. `None` for `$`.
pub(super) fn asked(set: &SequenceSet, last: u32) -> Option<UidSet> {
    let mut asked = uids(&set.resolve(last)?);
    asked.add(&uids(&set.resolve(u32::MAX)?));
    Some(asked)
}

/// The last UID up to which a client knows of everything that is gone: one that still has the number it had
/// (RFC 7162 §3.2.5.2). 0 when there is none.
pub(super) fn matched(known: &Qresync, view: &UidSet) -> u32 {
    let Some((numbers, those)) = &known.match_data else { return 0 };
    let (Some(numbers), Some(those)) = (numbers.resolve(u32::MAX), those.resolve(u32::MAX)) else { return 0 };
    let mut pairs = Vec::new();
    let (mut numbers, mut those) = (numbers.ranges(), those.ranges());
    let (mut number, mut uid) = (numbers.next(), those.next());
    // Runs of pairs: (first number, first UID, how many more).
    while let (Some(left), Some(right)) = (&number, &uid) {
        let more = (left.end() - left.start()).min(right.end() - right.start());
        pairs.push((*left.start(), *right.start(), more));
        (number, uid) = (behind(left, more), behind(right, more));
        number = number.or_else(|| numbers.next());
        uid = uid.or_else(|| those.next());
    }
    pairs.into_iter().rev().find_map(|run| last_match(run, view)).unwrap_or(0)
}

/// What is left of a range behind its first number and `more`.
fn behind(range: &RangeInclusive<u32>, more: u32) -> Option<RangeInclusive<u32>> {
    let first = range.start().checked_add(more)?.checked_add(1)?;
    (first <= *range.end()).then(|| first..=*range.end())
}

/// The last UID of a run of pairs that still has its number.
fn last_match((number, uid, more): (u32, u32, u32), view: &UidSet) -> Option<u32> {
    // What is gone can only bring a later UID to a number, so pairs match, if any does, up to some one of them: behind it
    // all numbers have too large UIDs.
    let is_at_most = |step: u32| view.uid(number + step).is_some_and(|there| there <= uid + step);
    if !is_at_most(0) {
        return None;
    }
    let (mut low, mut high) = (0, more);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if is_at_most(middle) { low = middle } else { high = middle - 1 }
    }
    (view.uid(number + low) == Some(uid + low)).then_some(uid + low)
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroU32;

    use super::*;
    use crate::imap::types::{Bound, Modseq, SequenceRange};

    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let bound = |number| Bound::Number(NonZeroU32::new(number).expect("it is not 0"));
        let range = |&(first, last): &(u32, u32)| SequenceRange { first: bound(first), last: bound(last) };
        SequenceSet::Ranges(ranges.iter().map(range).collect())
    }

    fn matched_by(numbers: &[(u32, u32)], uids: &[(u32, u32)], view: &UidSet) -> u32 {
        let known = Qresync {
            uid_validity: NonZeroU32::MIN,
            modseq: Modseq::MAX,
            known_uids: None,
            match_data: Some((set(numbers), set(uids))),
        };
        matched(&known, view)
    }

    #[test]
    fn numbers_match_as_in_the_rfc() {
        // §3.2.5.2: the fourth message has UID 8, and the twelfth has 25.
        let view: UidSet = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 25].into_iter().collect();
        assert_eq!(matched_by(&[(4, 4), (12, 12)], &[(8, 8), (24, 24)], &view), 8);
        // Its second example: of 10,003 messages each has a UID divisible by three.
        let view: UidSet = (1..=10_003).map(|number| number * 3).collect();
        let uids: Vec<_> = [15_000, 22_500, 27_000].into_iter().chain((29_970..=29_997).step_by(3)).collect();
        let uids: Vec<_> = uids.into_iter().map(|uid| (uid, uid)).collect();
        assert_eq!(matched_by(&[(5_000, 5_000), (7_500, 7_500), (9_000, 9_000), (9_990, 9_999)], &uids, &view), 29_997);
    }

    #[test]
    fn ranges_match_up_to_the_first_hole() {
        let mut view = UidSet::run(1, 9);
        view.remove(&UidSet::run(6, 6));
        assert_eq!(matched_by(&[(1, 9)], &[(1, 9)], &view), 5);
        assert_eq!(matched_by(&[(1, u32::MAX)], &[(1, u32::MAX)], &view), 5);
        assert_eq!(matched_by(&[(6, 8)], &[(7, 9)], &view), 9);
        assert_eq!(matched_by(&[(6, 9)], &[(7, 10)], &view), 9);
        assert_eq!(matched_by(&[(9, 9)], &[(9, 9)], &view), 0);
        assert_eq!(matched_by(&[(u32::MAX, u32::MAX)], &[(u32::MAX, u32::MAX)], &view), 0);
        assert_eq!(matched_by(&[(1, 2)], &[(1, 1)], &view), 1);
        assert_eq!(matched_by(&[(1, 1)], &[(1, 1)], &UidSet::default()), 0);
    }
}
