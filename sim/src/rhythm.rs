//! When people write and read: more by day than by night, and less at the end of the week.

use std::time::Duration;

/// How much of a day falls into each hour of it, as shares of no particular whole.
const HOURS: [u64; 24] = [4, 3, 2, 2, 3, 6, 14, 28, 48, 60, 62, 56, 44, 52, 60, 58, 52, 44, 34, 28, 24, 20, 14, 8];

/// How much of a week falls on each day of it, from Monday on; so the world begins on a Monday, at midnight.
const DAYS: [u64; 7] = [10, 11, 11, 11, 9, 4, 3];

const HOUR: u64 = 3600 * 1000;

/// The rhythm of so many hours.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    /// How much there is before the end of each hour.
    sums: Vec<u64>,
    span: Duration,
}

impl Rhythm {
    pub(crate) fn new(span: Duration) -> Self {
        let hours = (span.as_millis() as u64).div_ceil(HOUR).max(1);
        let shares = (0..hours).map(|hour| HOURS[(hour % 24) as usize] * DAYS[(hour / 24 % 7) as usize]);
        let sums = shares.scan(0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        Self { sums: sums.collect(), span }
    }

    /// When so many of `all` are over, and `part` of the next one, in parts of 2^16.
    pub(crate) fn moment(&self, number: u64, part: u16, all: u64) -> Duration {
        let whole = u128::from(self.sums[self.sums.len() - 1]);
        let parts = (u128::from(number) << 16 | u128::from(part)) * whole * u128::from(HOUR);
        let place = parts / (u128::from(all.max(1)) << 16);
        // In shares of an hour's milliseconds.
        let hour = self.sums.partition_point(|sum| u128::from(*sum) * u128::from(HOUR) <= place);
        let hour = hour.min(self.sums.len() - 1);
        let before = if hour == 0 { 0 } else { self.sums[hour - 1] };
        let share = self.sums[hour] - before;
        let within = (place - u128::from(before) * u128::from(HOUR)) / u128::from(share);
        Duration::from_millis(hour as u64 * HOUR + within.min(u128::from(HOUR - 1)) as u64).min(self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_busier_than_nights_and_mondays_than_sundays() {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let rhythm = Rhythm::new(days(7));
        let times: Vec<_> = (0..10_000).map(|number| rhythm.moment(number, 99, 10_000)).collect();
        assert!(times.is_sorted() && times[9_999] < days(7));
        let between = |from: Duration, to: Duration| times.iter().filter(|at| (from..to).contains(at)).count();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert!(between(hours(0), hours(6)) * 10 < between(hours(9), hours(15)));
        assert!(between(days(6), days(7)) * 2 < between(days(0), days(1)));
        assert!((1600..1800).contains(&between(days(0), days(1))), "10 of 59: {}", between(days(0), days(1)));
    }

    #[test]
    fn a_span_that_is_no_day_is_kept() {
        let span = Duration::from_secs(90 * 60);
        let rhythm = Rhythm::new(span);
        assert_eq!(rhythm.moment(0, 0, 5), Duration::ZERO);
        assert!((0..5).all(|number| rhythm.moment(number, u16::MAX, 5) <= span));
        assert!(rhythm.moment(4, u16::MAX, 5) > Duration::from_secs(80 * 60));
    }
}
