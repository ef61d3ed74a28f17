//! Dates as IMAP writes them (RFC 9051 §9, `date` and `date-time`).

use core::fmt;

use crate::time::Wall;

/// A day of the calendar, without a time or a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A point in time, and the zone that it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    date: Date,
    /// Seconds since the day began.
    second: u32,
    /// Minutes east of Greenwich.
    zone: i16,
}

impl Date {
    /// The names of the months, as they are written.
    pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

    /// A day of the Gregorian calendar; `None` when there is no such day. Years are 0 to 9999, months and days count
    /// from 1.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=days).contains(&day) && year <= 9999).then_some(Self { year, month, day })
    }

    /// The day on which `wall` falls in UTC; the nearest one that can be written, when it is before year 0 or after 9999.
    #[must_use]
    pub fn of(wall: Wall) -> Self {
        Self::of_day(wall.seconds().div_euclid(DAY))
    }

    /// The year, 0 to 9999.
    #[must_use]
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, from 1.
    #[must_use]
    pub fn day(self) -> u8 {
        self.day
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn days(self) -> i64 {
        // The year is taken to begin in March, so that its leap day comes last.
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let day = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
        cycle * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
    }

    /// When the day begins, in UTC.
    #[must_use]
    pub fn begin(self) -> Wall {
        Wall(self.days() * DAY * 1000)
    }

    fn of_day(days: i64) -> Self {
        let first = Self { year: 0, month: 1, day: 1 };
        let last = Self { year: 9999, month: 12, day: 31 };
        let days = days.clamp(first.days(), last.days());
        let shifted = days + 719_468;
        let (cycle, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let march = (5 * day + 2) / 153;
        let month = if march < 10 { march + 3 } else { march - 9 };
        let year = cycle * 400 + year + i64::from(month <= 2);
        Self { year: year as u16, month: month as u8, day: (day - (153 * march + 2) / 5 + 1) as u8 }
    }
}

impl DateTime {
    /// A time of `date`; `None` when there is no such time, or no such zone. `zone` is in minutes east of Greenwich.
    #[must_use]
    pub fn new(date: Date, hour: u8, minute: u8, second: u8, zone: i16) -> Option<Self> {
        // A leap second is taken for the second before it: no clock of ours can show it.
        let good = hour < 24 && minute < 60 && second <= 60 && zone.unsigned_abs() < 24 * 60;
        let second = u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second.min(59));
        good.then_some(Self { date, second, zone })
    }

    /// `wall` in UTC, to the second.
    #[must_use]
    pub fn of(wall: Wall) -> Self {
        Self { date: Date::of(wall), second: wall.seconds().rem_euclid(DAY) as u32, zone: 0 }
    }

    /// When it is.
    #[must_use]
    pub fn wall(self) -> Wall {
        Wall((self.date.days() * DAY + i64::from(self.second) - i64::from(self.zone) * 60) * 1000)
    }

    /// The day, as it was written, whatever the zone.
    #[must_use]
    pub fn date(self) -> Date {
        self.date
    }

    /// Minutes east of Greenwich.
    #[must_use]
    pub fn zone(self) -> i16 {
        self.zone
    }
}

/// Seconds of a day.
const DAY: i64 = 86_400;

impl fmt::Display for Date {
    /// As a client writes it: `1-Feb-1994`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let month = Self::MONTHS[usize::from(self.month) - 1];
        write!(f, "{}-{month}-{:04}", self.day, self.year)
    }
}

impl fmt::Display for DateTime {
    /// As both sides write it, without the quotes: ` 1-Feb-1994 21:52:25 -0800`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, second, zone } = *self;
        let month = Date::MONTHS[usize::from(date.month) - 1];
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let (sign, east) = (if zone < 0 { '-' } else { '+' }, zone.unsigned_abs());
        write!(f, "{:>2}-{month}-{:04} {hour:02}:{minute:02}:{second:02} ", date.day, date.year)?;
        write!(f, "{sign}{:02}{:02}", east / 60, east % 60)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn every_day_is_counted_once() {
        let first = Date::new(0, 1, 1).unwrap().days();
        let mut days = first;
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let Some(date) = Date::new(year, month, day) else { continue };
                    assert_eq!((date.days(), Date::of_day(days)), (days, date));
                    days += 1;
                }
            }
        }
        assert_eq!(days - first, 25 * 146_097);
        assert_eq!(Date::new(1970, 1, 1).unwrap().days(), 0);
        assert_eq!(Date::of(Wall(i64::MAX)).year(), 9999);
        assert_eq!(Date::of(Wall(i64::MIN)).year(), 0);
    }

    #[test]
    fn days_that_are_none() {
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 4, 31), (2024, 13, 1), (2024, 0, 1), (2024, 1, 0)]
        {
            assert_eq!(Date::new(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(Date::new(2000, 2, 29).is_some());
    }

    #[test]
    fn a_time_has_a_zone() {
        let date = Date::new(1994, 2, 7).unwrap();
        let time = DateTime::new(date, 21, 52, 25, -480).unwrap();
        assert_eq!(time.to_string(), " 7-Feb-1994 21:52:25 -0800");
        assert_eq!(time.wall(), Wall(760_686_745_000));
        assert_eq!(DateTime::of(time.wall()).to_string(), " 8-Feb-1994 05:52:25 +0000");
        assert_eq!(date.to_string(), "7-Feb-1994");
        assert_eq!(DateTime::new(date, 24, 0, 0, 0), None);
        assert_eq!(DateTime::new(date, 0, 0, 0, 1440), None);
        assert_eq!(DateTime::new(date, 23, 59, 60, 0), DateTime::new(date, 23, 59, 59, 0));
    }
}
