//! The day in a Date field (RFC 5322 §3.3), as it was written there.

use crate::imap::types::Date;

/// The day that the value of a Date field names, whatever the time and the zone; `None` when it names none. Comments and
/// years of two or three digits are read as RFC 5322 §4.3 says.
pub(crate) fn day(value: &[u8]) -> Option<Date> {
    let mut words = Words(value);
    let mut first = words.next()?;
    if first.iter().all(u8::is_ascii_alphabetic) {
        // The day of the week.
        first = words.next()?;
    }
    let (day, month, year) = (number(first)?, words.next()?, words.next()?);
    let month = Date::MONTHS.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(month))?;
    let year = match (year.len(), number(year)?) {
        (4, year) => year,
        (2, year) if year < 50 => 2000 + year,
        (2 | 3, year) => 1900 + year,
        _ => return None,
    };
    Date::new(year, u8::try_from(month + 1).ok()?, u8::try_from(day).ok()?)
}

/// What stands between spaces, commas, hyphens and comments.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut depth = 0_usize;
        while let [octet, rest @ ..] = self.0 {
            match octet {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                // The character behind it means nothing.
                b'\\' => self.0 = rest,
                octet if depth == 0 && !is_between(*octet) => break,
                _ => {}
            }
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        let end = self.0.iter().position(|octet| is_between(*octet) || *octet == b'(').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

fn is_between(octet: u8) -> bool {
    octet.is_ascii_whitespace() || matches!(octet, b',' | b'-')
}

fn number(word: &[u8]) -> Option<u16> {
    // A sign would be taken, too.
    let digits = core::str::from_utf8(word).ok().filter(|word| word.bytes().all(|octet| octet.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_as_they_are_written() {
        let day = |text: &str| day(text.as_bytes()).map(|date| (date.year(), date.month(), date.day()));
        for good in [
            "Sun, 22 Nov 2026 23:59:59 -1200",
            "22 nov 2026",
            " Sun (a (nested) \\) comment) , 22(x)Nov(,)2026 20:25 GMT",
            "Sun, 22-Nov-26 20:25:26 +0000",
            "22 NOV 126 00:00 Z",
        ] {
            assert_eq!(day(good), Some((2026, 11, 22)), "{good}");
        }
        assert_eq!(day("Fri, 21 Nov 97 09:55:06 -0600"), Some((1997, 11, 21)));
        let bad = [
            "",
            "Sun,",
            "22",
            "Nov 22 2026",
            "31 Feb 2026",
            "+1 Nov 2026",
            "1 Nov 20260",
            "1 Nov 2",
            "(",
            "\\",
            "0 Nov 2026",
        ];
        for bad in bad.into_iter().chain(["99999999999 Nov 2026", "1 November 2026"]) {
            assert_eq!(day(bad), None, "{bad}");
        }
    }
}
