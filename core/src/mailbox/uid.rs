//! Sets of UIDs, as runs: a mailbox of a million messages that was never expunged is one run.

use alloc::vec::Vec;
use core::fmt;

/// A set of UIDs in ascending order. UIDs are 1 to 2^32 - 1 (RFC 9051 §2.3.1.1).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct UidSet {
    /// First and last of each run; ascending, with at least one UID missing between two.
    runs: Vec<Run>,
}

/// A run of UIDs without a hole.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    first: u32,
    last: u32,
    /// UIDs in all runs before this one.
    before: u32,
}

impl Run {
    fn new(first: u32, last: u32) -> Self {
        Self { first, last, before: 0 }
    }

    fn count(self) -> u32 {
        self.last - self.first + 1
    }
}

impl UidSet {
    /// One run; empty when `first` is above `last` or 0.
    #[must_use]
    pub fn run(first: u32, last: u32) -> Self {
        let mut set = Self::default();
        set.insert(first, last);
        set
    }

    /// Adds the UIDs from `first` to `last`. Quick at the end, where new messages come.
    pub fn insert(&mut self, first: u32, last: u32) {
        if first == 0 || first > last {
            return;
        }
        // The runs that touch or overlap the new one become one with it.
        let start = self.runs.partition_point(|run| run.last < first - 1);
        let end = start + self.runs[start..].partition_point(|run| run.first <= last.saturating_add(1));
        let (mut first, mut last) = (first, last);
        if let (Some(low), true) = (self.runs.get(start), start < end) {
            (first, last) = (first.min(low.first), last.max(self.runs[end - 1].last));
        }
        self.runs.splice(start..end, [Run::new(first, last)]);
        self.count_from(start);
    }

    /// Adds the UIDs of `other`. Quick at the end, too.
    pub fn add(&mut self, other: &Self) {
        if self.last().is_none_or(|last| other.first().is_none_or(|first| first > last)) {
            return other.runs.iter().for_each(|run| self.insert(run.first, run.last));
        }
        let mut both = Vec::with_capacity(self.runs.len() + other.runs.len());
        both.extend(self.runs.iter().chain(&other.runs).copied());
        both.sort_unstable_by_key(|run| run.first);
        both.dedup_by(|next, run| {
            let joins = next.first <= run.last.saturating_add(1);
            if joins {
                run.last = run.last.max(next.last);
            }
            joins
        });
        self.runs = both;
        self.count_from(0);
    }

    /// Takes the UIDs of `other` out.
    pub fn remove(&mut self, other: &Self) {
        let mut left = Vec::with_capacity(self.runs.len());
        let mut holes = other.runs.as_slice();
        for run in &self.runs {
            // Where what is left of this run begins; nowhere, once a hole has reached its end.
            let mut rest = Some(run.first);
            while let Some(hole) = holes.first() {
                if hole.first > run.last {
                    break;
                }
                if hole.last >= run.first {
                    left.extend(rest.filter(|first| *first < hole.first).map(|first| Run::new(first, hole.first - 1)));
                    rest = hole.last.checked_add(1).filter(|next| *next <= run.last);
                }
                if hole.last > run.last {
                    // It may reach into the next run.
                    break;
                }
                holes = &holes[1..];
            }
            left.extend(rest.map(|first| Run::new(first, run.last)));
        }
        self.runs = left;
        self.count_from(0);
    }

    /// The UIDs that are in both. What costs is what they have between the first and the last UID of either.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.near(other).iter().peekable(), other.near(self).iter().peekable());
        let mut runs = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.first.max(y.first), x.last.min(y.last));
            if first <= last {
                runs.push(Run::new(first, last));
            }
            if x.last < y.last {
                a.next();
            } else {
                b.next();
            }
        }
        let mut set = Self { runs };
        set.count_from(0);
        set
    }

    /// Whether a UID is in it.
    #[must_use]
    pub fn contains(&self, uid: u32) -> bool {
        self.run_of(uid).is_some()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.before + run.count())
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The smallest.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.runs.first().map(|run| run.first)
    }

    /// The largest.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.runs.last().map(|run| run.last)
    }

    /// The UID of the message with this sequence number, which counts from 1.
    #[must_use]
    pub fn uid(&self, sequence: u32) -> Option<u32> {
        let index = sequence.checked_sub(1)?;
        let run = self.runs[..self.runs.partition_point(|run| run.before <= index)].last()?;
        let uid = run.first.checked_add(index - run.before)?;
        (uid <= run.last).then_some(uid)
    }

    /// The sequence number of a UID that is in it.
    #[must_use]
    pub fn sequence(&self, uid: u32) -> Option<u32> {
        let run = self.run_of(uid)?;
        Some(run.before + (uid - run.first) + 1)
    }

    /// The runs, as first and last, ascending.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.runs.iter().map(|run| (run.first, run.last))
    }

    /// Every UID, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|run| run.first..=run.last)
    }

    /// Splits off the smallest UIDs, `most` of them at most: a page.
    #[must_use]
    pub fn page(&mut self, most: u32) -> Self {
        let Some(boundary) = self.uid(most.saturating_add(1)) else { return core::mem::take(self) };
        let whole = self.runs.partition_point(|run| run.last < boundary);
        let mut page = Self { runs: self.runs.drain(..whole).collect() };
        if let Some(cut) = self.runs.first_mut().filter(|run| run.first < boundary) {
            page.runs.push(Run { last: boundary - 1, ..*cut });
            cut.first = boundary;
        }
        self.count_from(0);
        page
    }

    /// Runs that are not wholly before or behind `other`.
    fn near(&self, other: &Self) -> &[Run] {
        let (Some(first), Some(last)) = (other.first(), other.last()) else { return &[] };
        let from = self.runs.partition_point(|run| run.last < first);
        let len = self.runs[from..].partition_point(|run| run.first <= last);
        &self.runs[from..from + len]
    }

    fn run_of(&self, uid: u32) -> Option<Run> {
        let run = self.runs.get(self.runs.partition_point(|run| run.last < uid))?;
        (run.first <= uid).then_some(*run)
    }

    /// Counts again what stands before each run from `start` on.
    fn count_from(&mut self, start: usize) {
        let mut before = match start.checked_sub(1).and_then(|last| self.runs.get(last)) {
            Some(run) => run.before + run.count(),
            None => 0,
        };
        for run in self.runs.iter_mut().skip(start) {
            run.before = before;
            before += run.count();
        }
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        let mut set = Self::default();
        uids.into_iter().for_each(|uid| set.insert(uid, uid));
        set
    }
}

impl fmt::Debug for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UidSet(")?;
        for (index, run) in self.runs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run.first == run.last {
                true => write!(f, "{comma}{}", run.first)?,
                false => write!(f, "{comma}{}:{}", run.first, run.last)?,
            }
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::seed::{Random, Seed};

    fn check(set: &UidSet, model: &BTreeSet<u32>) {
        assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
        assert_eq!(set.len() as usize, model.len());
        for (index, uid) in model.iter().enumerate() {
            let sequence = u32::try_from(index).unwrap() + 1;
            assert_eq!((set.uid(sequence), set.sequence(*uid)), (Some(*uid), Some(sequence)));
        }
        assert_eq!((set.uid(0), set.uid(set.len() + 1)), (None, None));
        let runs: Vec<_> = set.runs().collect();
        assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{set:?}");
    }

    #[test]
    fn it_is_a_set() {
        let mut random = Random::new(&Seed([7; 32]));
        for _ in 0..200 {
            let (mut set, mut model) = (UidSet::default(), BTreeSet::new());
            for _ in 0..30 {
                let first = random.below(60) as u32 + 1;
                let last = first + random.below(8) as u32;
                let other = UidSet::run(first, last);
                match random.below(5) {
                    4 => {
                        let more: UidSet = (0..3).map(|_| random.below(60) as u32 + 1).collect();
                        set.add(&more);
                        model.extend(more.iter());
                    }
                    0 => {
                        set.remove(&other);
                        (first..=last).for_each(|uid| _ = model.remove(&uid));
                    }
                    1 => {
                        let both = set.intersection(&other);
                        let model = model.iter().copied().filter(|uid| (first..=last).contains(uid)).collect();
                        check(&both, &model);
                    }
                    _ => {
                        set.insert(first, last);
                        model.extend(first..=last);
                    }
                }
                check(&set, &model);
                assert!((0..70).all(|uid| set.contains(uid) == model.contains(&uid)));
            }
            let mut rest = set.clone();
            let mut pages = Vec::new();
            while !rest.is_empty() {
                let page = rest.page(7);
                assert!(page.len() == 7 || rest.is_empty());
                pages.extend(page.iter());
            }
            assert_eq!(pages, set.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let mut set = UidSet::run(1, u32::MAX);
        assert_eq!((set.len(), set.uid(u32::MAX)), (u32::MAX, Some(u32::MAX)));
        set.remove(&UidSet::run(u32::MAX, u32::MAX));
        assert_eq!(set.last(), Some(u32::MAX - 1));
        set.remove(&UidSet::run(1, 1));
        set.insert(0, 5);
        set.insert(9, 3);
        assert_eq!(set, UidSet::run(2, u32::MAX - 1));
        set.insert(u32::MAX, u32::MAX);
        assert_eq!(set, UidSet::run(2, u32::MAX));
    }
}
