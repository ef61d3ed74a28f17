//! Arguments that several commands take: mailboxes, sets, flags, dates, mod-sequences (RFC 9051 §9).

use alloc::vec::Vec;

use bytes::Bytes;

use super::SyntaxError;
use super::cursor::Cursor;
use crate::imap::types::chars::is_atom_char;
use crate::imap::types::{
    Bound, Date, DateTime, Flag, ListPattern, MailboxName, Modseq, Names, SequenceRange, SequenceSet, SpecialUse,
};

type Result<T> = core::result::Result<T, SyntaxError>;

impl Cursor<'_> {
    /// `mailbox`
    pub(super) fn mailbox(&mut self, names: Names) -> Result<MailboxName> {
        MailboxName::read(self.astring()?, names).map_err(SyntaxError::Mailbox)
    }

    /// `list-mailbox`
    pub(super) fn pattern(&mut self, names: Names) -> Result<ListPattern> {
        ListPattern::read(self.list_mailbox()?, names).map_err(SyntaxError::Mailbox)
    }

    /// `sequence-set`, and `$`.
    pub(super) fn set(&mut self) -> Result<SequenceSet> {
        if self.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            if ranges.len() == SequenceSet::MAX_RANGES {
                return Err(SyntaxError::TooMany("ranges in a set"));
            }
            let first = self.bound()?;
            let last = if self.eat(b':') { self.bound()? } else { first };
            ranges.push(SequenceRange { first, last });
            if !self.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// `sequence-set` in which only numbers may stand: neither `*` nor `$`.
    pub(super) fn known_set(&mut self) -> Result<SequenceSet> {
        let set = self.set()?;
        if set == SequenceSet::Saved || set.has_last() {
            return Err(SyntaxError::Expected("a set without \"*\" and \"$\""));
        }
        Ok(set)
    }

    fn bound(&mut self) -> Result<Bound> {
        if self.eat(b'*') { Ok(Bound::Last) } else { self.nz_number().map(Bound::Number) }
    }

    /// `flag`: one that a client may set.
    pub(super) fn flag(&mut self) -> Result<Flag> {
        let name = self.flag_name()?;
        match Flag::new(name) {
            Some(Flag::Recent) => Err(SyntaxError::Combination("\\Recent is set by nobody")),
            Some(flag) => Ok(flag),
            None => Err(SyntaxError::TooLong("a keyword")),
        }
    }

    /// `flag-list`
    pub(super) fn flag_list(&mut self) -> Result<Vec<Flag>> {
        self.open()?;
        if self.eat(b')') {
            return Ok(Vec::new());
        }
        let flags = self.flags()?;
        self.close()?;
        Ok(flags)
    }

    /// `flag *(SP flag)`
    pub(super) fn flags(&mut self) -> Result<Vec<Flag>> {
        let mut flags = Vec::new();
        loop {
            if flags.len() == Flag::MAX_LIST {
                return Err(SyntaxError::TooMany("flags"));
            }
            flags.push(self.flag()?);
            if !self.eat(b' ') {
                return Ok(flags);
            }
        }
    }

    /// `use-attr`: a backslash and an atom; `None` when it is not one of ours.
    pub(super) fn special_use(&mut self) -> Result<Option<SpecialUse>> {
        if self.peek() != Some(b'\\') {
            return Err(SyntaxError::Expected("a special use"));
        }
        Ok(SpecialUse::of(&self.flag_name()?))
    }

    /// `date`: with or without quotes.
    pub(super) fn date(&mut self) -> Result<Date> {
        let quoted = self.eat(b'"');
        let date = self.date_text(2)?;
        if quoted {
            self.expect(b'"', "the end of a quoted date")?;
        }
        Ok(date)
    }

    /// `date-time`
    pub(super) fn date_time(&mut self) -> Result<DateTime> {
        self.expect(b'"', "a quoted date")?;
        // A day of one digit should have a space before it; without, it says the same.
        let widest = if self.eat(b' ') { 1 } else { 2 };
        let date = self.date_text(widest)?;
        self.space()?;
        let hour = self.digits(2)?;
        self.expect(b':', "a time")?;
        let minute = self.digits(2)?;
        self.expect(b':', "a time")?;
        let second = self.digits(2)?;
        self.space()?;
        let west = self.eat(b'-');
        if !west {
            self.expect(b'+', "a zone")?;
        }
        let (hours, minutes) = (self.digits(2)?, self.digits(2)?);
        self.expect(b'"', "the end of a quoted date")?;
        let zone = (hours < 24 && minutes < 60).then(|| i16::from(hours) * 60 + i16::from(minutes));
        let zone = zone.map(|zone| if west { -zone } else { zone });
        let time = zone.and_then(|zone| DateTime::new(date, hour, minute, second, zone));
        time.ok_or(SyntaxError::Expected("a time that exists"))
    }

    /// `mod-sequence-valzer`
    pub(super) fn modseq(&mut self) -> Result<Modseq> {
        Modseq::new(self.number64()?).ok_or(SyntaxError::Number)
    }

    /// `mod-sequence-value`
    pub(super) fn nz_modseq(&mut self) -> Result<Modseq> {
        let modseq = self.modseq()?;
        if modseq == Modseq::default() { Err(SyntaxError::Number) } else { Ok(modseq) }
    }

    /// `date-text`, with a day of at most `widest` digits.
    fn date_text(&mut self, widest: usize) -> Result<Date> {
        const WHAT: SyntaxError = SyntaxError::Expected("a date such as 1-Feb-2026");
        let day = self.run(|octet| octet.is_ascii_digit());
        if !(1..=widest).contains(&day.len()) {
            return Err(WHAT);
        }
        let day = day.iter().fold(0, |number, digit| number * 10 + (digit - b'0'));
        self.expect(b'-', "a date such as 1-Feb-2026")?;
        let name = self.run(|octet| octet.is_ascii_alphabetic());
        let month = Date::MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name)).ok_or(WHAT)?;
        self.expect(b'-', "a date such as 1-Feb-2026")?;
        let (century, year) = (self.digits(2)?, self.digits(2)?);
        let year = u16::from(century) * 100 + u16::from(year);
        Date::new(year, month as u8 + 1, day).ok_or(SyntaxError::Expected("a day that exists"))
    }

    /// Exactly `n` digits, 1 or 2.
    fn digits(&mut self, n: usize) -> Result<u8> {
        let mut number = 0;
        for _ in 0..n {
            let digit = self.peek().filter(u8::is_ascii_digit).ok_or(SyntaxError::Number)?;
            self.eat(digit);
            number = number * 10 + (digit - b'0');
        }
        Ok(number)
    }

    /// An atom, or a backslash and an atom.
    fn flag_name(&mut self) -> Result<Bytes> {
        self.slice_of(|cursor| {
            cursor.eat(b'\\');
            if cursor.run(is_atom_char).is_empty() { Err(SyntaxError::Expected("a flag")) } else { Ok(()) }
        })
    }
}
