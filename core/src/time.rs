//! Time as data: the machines never read a clock, they are told what time it is.
//!
//! There are two clocks, because they answer two questions. [`Mono`] never jumps and orders deadlines; [`Wall`] is what
//! people and certificates mean by a date, and an administrator may move it. [`Now`] carries both, read together.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Monotonic time: nanoseconds since an origin the host picks. Deadlines are `Mono`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The time `after` from here; saturates at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long from here until `later`; zero when `later` has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        self.after(after)
    }
}

impl Sub for Mono {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        earlier.until(self)
    }
}

/// Wall-clock time: milliseconds since 1970-01-01 00:00 UTC. `Date`, `Received`, retry times and certificates use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl Wall {
    /// The time `after` from here; saturates.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from here until `later`; zero when `later` has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The date and time as RFC 5322 §3.3 writes it, always in UTC: `Sun, 22 Nov 2026 20:25:26 +0000`.
    #[must_use]
    pub fn rfc5322(self) -> Rfc5322 {
        Rfc5322(self)
    }

    /// The time as RFC 3339 §5.6 writes it, in UTC, to the second: `2026-11-22T20:25:26Z`. For people and scripts.
    #[must_use]
    pub fn rfc3339(self) -> Rfc3339 {
        Rfc3339(self)
    }
}

/// Shows a [`Wall`] as an RFC 3339 `date-time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(Wall);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.seconds();
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Shows a [`Wall`] as an RFC 5322 `date-time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc5322(Wall);

impl fmt::Display for Rfc5322 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.0.seconds();
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (name, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[month as usize - 1]);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{name}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
    }
}

/// Year, month (1-12) and day (1-31) of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is its last day and every month's start is a linear
/// function of the month; 400 years are one exact cycle of 146,097 days.
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468; // days since 0000-03-01
    let (cycle, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let day = day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year + cycle * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// Both clocks, read by the host at one moment and lent to a machine for one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For dates.
    pub wall: Wall,
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn dates_are_written_as_rfc_5322_does() {
        let cases = [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_827_696_000, "Tue, 29 Feb 2000 12:34:56 +0000"),
            (1_795_379_126_999, "Sun, 22 Nov 2026 20:25:26 +0000"),
            (-1, "Wed, 31 Dec 1969 23:59:59 +0000"),
        ];
        for (ms, text) in cases {
            assert_eq!(Wall(ms).rfc5322().to_string(), text);
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339_does() {
        assert_eq!(Wall(951_827_696_000).rfc3339().to_string(), "2000-02-29T12:34:56Z");
        assert_eq!(Wall(-1).rfc3339().to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn deadlines_saturate() {
        assert_eq!(Mono(u64::MAX).after(Duration::from_secs(1)), Mono(u64::MAX));
        assert_eq!(Mono(5) - Mono(7), Duration::ZERO);
    }
}
