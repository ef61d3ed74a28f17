//! Sets of message numbers and UIDs: as a client writes them, and as sorted ranges (RFC 9051 §9, `sequence-set`).

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::RangeInclusive;

/// A set as a client wrote it, of message sequence numbers or of UIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceSet {
    /// `$`: the result of the last search that was saved (RFC 5182).
    Saved,
    /// Numbers and ranges, in the order and with the overlaps that the client chose; never none.
    Ranges(Vec<SequenceRange>),
}

/// `first:last`, in whichever order, or one number, which is then both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceRange {
    /// What stands before the colon.
    pub first: Bound,
    /// What stands behind it.
    pub last: Bound,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A number, from 1 on.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Last,
}

impl SequenceSet {
    /// Ranges in one set at most. A line that keeps its own limit cannot hold more, so nobody honest meets this one.
    pub const MAX_RANGES: usize = 4096;

    /// The set of one number.
    #[must_use]
    pub fn one(number: NonZeroU32) -> Self {
        let bound = Bound::Number(number);
        Self::Ranges([SequenceRange { first: bound, last: bound }].into())
    }

    /// The numbers of the set, where `*` is `last`: sorted, and without overlaps. `None` for `$`, which only the session
    /// knows.
    ///
    /// `last` is the number of messages, or the last UID. At 0 (nothing is there) `*` stands for no number, and `*:5`
    /// for 1 to 5.
    #[must_use]
    pub fn resolve(&self, last: u32) -> Option<NumberSet> {
        let Self::Ranges(ranges) = self else {
            return None;
        };
        Some(ranges.iter().map(|range| range.resolve(last)).collect())
    }

    /// The largest number that stands in the set; `None` when only `*` or `$` does. A set of message sequence numbers
    /// that holds one larger than the number of messages is refused (RFC 9051 §9, `seq-number`).
    #[must_use]
    pub fn largest(&self) -> Option<u32> {
        let Self::Ranges(ranges) = self else {
            return None;
        };
        let bounds = ranges.iter().flat_map(|range| [range.first, range.last]);
        let numbers = bounds.filter_map(|bound| match bound {
            Bound::Number(number) => Some(number.get()),
            Bound::Last => None,
        });
        numbers.max()
    }

    /// Whether `*` stands in the set.
    #[must_use]
    pub fn has_last(&self) -> bool {
        let Self::Ranges(ranges) = self else {
            return false;
        };
        ranges.iter().any(|range| range.first == Bound::Last || range.last == Bound::Last)
    }
}

impl SequenceRange {
    /// From the smaller to the larger end, where `*` is `last`. The start may be 0 when `last` is.
    fn resolve(self, last: u32) -> RangeInclusive<u32> {
        let number = |bound| match bound {
            Bound::Number(number) => number.get(),
            Bound::Last => last,
        };
        let (a, b) = (number(self.first), number(self.last));
        a.min(b)..=a.max(b)
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Ranges(ranges) = self else {
            return f.write_str("$");
        };
        for (n, range) in ranges.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SequenceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return fmt::Display::fmt(&self.first, f);
        }
        write!(f, "{}:{}", self.first, self.last)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Last => f.write_str("*"),
        }
    }
}

/// A set of numbers from 1 on, as ranges that are sorted, apart from each other, and never touch. It is never expanded:
/// its cost is its ranges, however many numbers they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberSet(Vec<(u32, u32)>);

impl NumberSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }

    /// The ranges, ascending; between one and the next at least one number is missing.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<u32>> + ExactSizeIterator + '_ {
        self.0.iter().map(|&(first, last)| first..=last)
    }

    /// The numbers, ascending. Lazily, but as many as there are: hold it against what exists first.
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.ranges().flatten()
    }

    /// The smallest number.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|&(first, _)| first)
    }

    /// The largest number.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.0.last().map(|&(_, last)| last)
    }

    /// Whether `number` is in it; by halving.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < number);
        self.0.get(at).is_some_and(|&(first, _)| first <= number)
    }

    /// Adds one number. Cheap when it is larger than all the others.
    pub fn insert(&mut self, number: u32) {
        self.insert_range(number..=number);
    }

    /// Adds a range. Cheap when it begins behind all the others; 0 is no number and is left out.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        let (first, last) = ((*range.start()).max(1), *range.end());
        if first > last {
            return;
        }
        // The ranges that overlap the new one or touch it become one with it.
        let begin = self.0.partition_point(|&(_, end)| end < first - 1);
        let end = begin + self.0[begin..].partition_point(|&(start, _)| start <= last.saturating_add(1));
        let first = self.0[begin..end].first().map_or(first, |&(start, _)| start.min(first));
        let last = self.0[begin..end].last().map_or(last, |&(_, end)| end.max(last));
        self.0.splice(begin..end, [(first, last)]);
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b, mut both) = (0, 0, Vec::new());
        while let (Some(&(from_a, to_a)), Some(&(from_b, to_b))) = (self.0.get(a), other.0.get(b)) {
            let (first, last) = (from_a.max(from_b), to_a.min(to_b));
            if first <= last {
                both.push((first, last));
            }
            (a, b) = if to_a <= to_b { (a + 1, b) } else { (a, b + 1) };
        }
        Self(both)
    }
}

impl FromIterator<u32> for NumberSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        numbers.into_iter().map(|number| number..=number).collect()
    }
}

impl FromIterator<RangeInclusive<u32>> for NumberSet {
    /// In any order, with any overlaps: sorted once, then joined.
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u32>>>(ranges: I) -> Self {
        let pairs = ranges.into_iter().map(|range| ((*range.start()).max(1), *range.end()));
        let mut pairs: Vec<(u32, u32)> = pairs.filter(|&(first, last)| first <= last).collect();
        pairs.sort_unstable();
        pairs.dedup_by(|next, joined| {
            let joins = next.0 <= joined.1.saturating_add(1);
            if joins {
                joined.1 = joined.1.max(next.1);
            }
            joins
        });
        Self(pairs)
    }
}

impl fmt::Display for NumberSet {
    /// In the compact form of the wire: `1:3,5`. The empty set has no such form, and shows as nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, &(first, last)) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            fmt::Display::fmt(&first, f)?;
            if first != last {
                write!(f, ":{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;

    fn number(number: u32) -> Bound {
        NonZeroU32::new(number).map_or(Bound::Last, Bound::Number)
    }

    /// 0 is `*`.
    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let range = |&(first, last): &(u32, u32)| SequenceRange { first: number(first), last: number(last) };
        SequenceSet::Ranges(ranges.iter().map(range).collect())
    }

    #[test]
    fn the_examples_of_the_grammar() {
        let example = set(&[(2, 2), (4, 7), (9, 9), (12, 0)]);
        assert_eq!(example.to_string(), "2,4:7,9,12:*");
        assert_eq!(example.resolve(15).unwrap().numbers().collect::<Vec<_>>(), [2, 4, 5, 6, 7, 9, 12, 13, 14, 15]);
        assert_eq!(set(&[(0, 4), (5, 7)]).resolve(10).unwrap().to_string(), "4:10");
        assert_eq!(set(&[(3291, 0)]).resolve(7).unwrap().to_string(), "7:3291");
        assert_eq!((example.largest(), example.has_last()), (Some(12), true));
        assert_eq!((SequenceSet::Saved.resolve(3), SequenceSet::Saved.largest()), (None, None));
    }

    #[test]
    fn nothing_is_there() {
        assert!(set(&[(0, 0)]).resolve(0).unwrap().is_empty());
        assert_eq!(set(&[(0, 5)]).resolve(0).unwrap().to_string(), "1:5");
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        let all = set(&[(1, 0), (u32::MAX, u32::MAX)]).resolve(u32::MAX).unwrap();
        assert_eq!((all.to_string(), all.count()), ("1:4294967295".into(), u64::from(u32::MAX)));
        let mut joined: NumberSet = [u32::MAX - 1, 1].into_iter().collect();
        joined.insert(u32::MAX);
        assert_eq!(joined.to_string(), "1,4294967294:4294967295");
    }

    #[test]
    fn insertion_joins_what_touches() {
        let mut all = NumberSet::new();
        for number in [5, 1, 3, 4, 0, 9, 2, 2] {
            all.insert(number);
        }
        assert_eq!(all.to_string(), "1:5,9");
        all.insert_range(4..=20);
        assert_eq!((all.to_string(), all.count()), ("1:20".into(), 20));
    }

    #[test]
    fn sets_are_what_a_set_of_single_numbers_is() {
        // A small generator stands in for randomness: every run takes the same numbers.
        let mut state = 1_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state / 65_536 % below
        };
        for _ in 0..500 {
            let (mut slow, mut slow_other) = (vec![false; 64], vec![false; 64]);
            let (mut inserted, mut ranges, mut other) = (NumberSet::new(), Vec::new(), NumberSet::new());
            for _ in 0..next(8) {
                let first = 1 + next(50);
                let last = first + next(8);
                slow[first as usize..=last as usize].fill(true);
                inserted.insert_range(first..=last);
                ranges.push(first..=last);
                let lone = 1 + next(60);
                slow_other[lone as usize] = true;
                other.insert(lone);
            }
            let all: NumberSet = ranges.into_iter().collect();
            assert_eq!(all, inserted);
            assert_eq!(all.count(), slow.iter().filter(|set| **set).count() as u64);
            let both = all.intersection(&other);
            for number in 0..64 {
                let at = number as usize;
                assert_eq!(all.contains(number), slow[at]);
                assert_eq!(both.contains(number), slow[at] && slow_other[at]);
            }
        }
    }
}
