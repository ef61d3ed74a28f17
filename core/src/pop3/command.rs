//! The grammar of POP3 commands (RFC 1939 §3 and §9, RFC 2449 §3, RFC 2595 §4, RFC 5034 §4).
//!
//! Keywords are taken in any case, and blanks between and behind arguments by the dozen: that harms nobody. Numbers are
//! checked: what does not fit names no message, and never wraps around to one.

use core::fmt;
use core::ops::Range;

use crate::show::is_plain;

/// A command as it was sent. Arguments point into the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `USER name`. All that stands behind the keyword is the name.
    User(&'a str),
    /// `PASS string`. All that stands behind the first space is the password, spaces included (RFC 1939 §7).
    Pass(&'a [u8]),
    /// `AUTH mechanism [initial-response]`.
    Auth {
        /// The mechanism's name.
        mechanism: &'a str,
        /// The initial response, in base64, or `=`.
        initial: Option<&'a [u8]>,
    },
    /// `CAPA`.
    Capa,
    /// `STLS`.
    Stls,
    /// `QUIT`.
    Quit,
    /// `STAT`.
    Stat,
    /// `LIST [msg]`.
    List(Option<Number>),
    /// `UIDL [msg]`.
    Uidl(Option<Number>),
    /// `RETR msg`.
    Retr(Number),
    /// `DELE msg`.
    Dele(Number),
    /// `TOP msg n`.
    Top {
        /// Which message.
        message: Number,
        /// How many lines of its body.
        lines: u64,
    },
    /// `NOOP`.
    Noop,
    /// `RSET`.
    Rset,
}

/// A message-number as a peer wrote it: counted from 1, and not yet held against a maildrop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u32);

impl Number {
    /// The place in a listing: message 1 is at index 0. `None` for 0, which is no message.
    #[must_use]
    pub fn index(self) -> Option<usize> {
        usize::try_from(self.0.checked_sub(1)?).ok()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// No such keyword.
    Unknown,
    /// The keyword wants other arguments than it got.
    Arguments,
    /// A number that is none, or is larger than any message-number.
    Number,
}

impl<'a> Command<'a> {
    /// Reads a line, given without its CRLF.
    ///
    /// # Errors
    /// [`SyntaxError`] when it is no command of ours.
    pub fn parse(line: &'a [u8]) -> Result<Self, SyntaxError> {
        let (keyword, rest) = split(line);
        let Some(verb) = Verb::of(keyword) else {
            return Err(SyntaxError::Unknown);
        };
        match verb {
            Verb::User => text(trim(rest)).map(Self::User),
            Verb::Pass if rest.is_empty() => Err(SyntaxError::Arguments),
            Verb::Pass => Ok(Self::Pass(rest)),
            Verb::Auth => auth(rest),
            Verb::List => optional(rest).map(Self::List),
            Verb::Uidl => optional(rest).map(Self::Uidl),
            Verb::Retr => one(rest).map(Self::Retr),
            Verb::Dele => one(rest).map(Self::Dele),
            Verb::Top => top(rest),
            Verb::Capa => none(rest, Self::Capa),
            Verb::Stls => none(rest, Self::Stls),
            Verb::Quit => none(rest, Self::Quit),
            Verb::Stat => none(rest, Self::Stat),
            Verb::Noop => none(rest, Self::Noop),
            Verb::Rset => none(rest, Self::Rset),
        }
    }
}

/// Which part of a line a log must not show: the password of PASS, the response of AUTH, the
/// digest of APOP, and the whole of a line that is no command at all, for that may be a password gone astray.
#[must_use]
pub fn secret(line: &[u8]) -> Option<Range<usize>> {
    let (keyword, rest) = split(line);
    let rest = line.len() - rest.len()..line.len();
    let range = match Verb::of(keyword) {
        Some(Verb::Pass) => rest,
        Some(Verb::Auth) => {
            let (_, behind) = split(trim_start(&line[rest]));
            line.len() - behind.len()..line.len()
        }
        Some(_) => return None,
        None if keyword.is_empty() => 0..line.len(),
        None if keyword.eq_ignore_ascii_case(b"APOP") => rest,
        None => 0..line.len(),
    };
    (!range.is_empty()).then_some(range)
}

/// A decimal number, as it stands in commands and responses: digits only, checked.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The keywords.
#[derive(Clone, Copy)]
enum Verb {
    User,
    Pass,
    Auth,
    Capa,
    Stls,
    Quit,
    Stat,
    List,
    Uidl,
    Retr,
    Dele,
    Top,
    Noop,
    Rset,
}

impl Verb {
    fn of(keyword: &[u8]) -> Option<Self> {
        let mut upper = [0; 4];
        let upper = upper.get_mut(..keyword.len())?;
        upper.copy_from_slice(keyword);
        upper.make_ascii_uppercase();
        Some(match &*upper {
            b"USER" => Self::User,
            b"PASS" => Self::Pass,
            b"AUTH" => Self::Auth,
            b"CAPA" => Self::Capa,
            b"STLS" => Self::Stls,
            b"QUIT" => Self::Quit,
            b"STAT" => Self::Stat,
            b"LIST" => Self::List,
            b"UIDL" => Self::Uidl,
            b"RETR" => Self::Retr,
            b"DELE" => Self::Dele,
            b"TOP" => Self::Top,
            b"NOOP" => Self::Noop,
            b"RSET" => Self::Rset,
            _ => return None,
        })
    }
}

fn is_blank(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

/// The first word, and what stands behind the one blank that ends it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&octet| is_blank(octet)) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

fn trim_start(mut rest: &[u8]) -> &[u8] {
    while let [first, behind @ ..] = rest
        && is_blank(*first)
    {
        rest = behind;
    }
    rest
}

fn trim(rest: &[u8]) -> &[u8] {
    let mut rest = trim_start(rest);
    while let [before @ .., last] = rest
        && is_blank(*last)
    {
        rest = before;
    }
    rest
}

/// UTF-8 without control characters, so that it can stand in a log line.
fn text(argument: &[u8]) -> Result<&str, SyntaxError> {
    match core::str::from_utf8(argument) {
        Ok(text) if !text.is_empty() && text.chars().all(is_plain) => Ok(text),
        _ => Err(SyntaxError::Arguments),
    }
}

fn none<'a>(rest: &[u8], command: Command<'a>) -> Result<Command<'a>, SyntaxError> {
    if trim(rest).is_empty() { Ok(command) } else { Err(SyntaxError::Arguments) }
}

fn optional(rest: &[u8]) -> Result<Option<Number>, SyntaxError> {
    if trim(rest).is_empty() { Ok(None) } else { one(rest).map(Some) }
}

fn one(rest: &[u8]) -> Result<Number, SyntaxError> {
    let argument = trim(rest);
    if argument.is_empty() || argument.iter().any(|&octet| is_blank(octet)) {
        return Err(SyntaxError::Arguments);
    }
    number(argument)
}

fn number(digits: &[u8]) -> Result<Number, SyntaxError> {
    let number = decimal(digits).and_then(|number| u32::try_from(number).ok());
    number.map(Number).ok_or(SyntaxError::Number)
}

fn top<'a>(rest: &[u8]) -> Result<Command<'a>, SyntaxError> {
    let (message, lines) = split(trim(rest));
    let lines = trim(lines);
    if lines.is_empty() || lines.iter().any(|&octet| is_blank(octet)) {
        return Err(SyntaxError::Arguments);
    }
    let lines = decimal(lines).ok_or(SyntaxError::Number)?;
    Ok(Command::Top { message: number(message)?, lines })
}

fn auth(rest: &[u8]) -> Result<Command<'_>, SyntaxError> {
    let (mechanism, behind) = split(trim(rest));
    let (mechanism, initial) = (text(mechanism)?, trim(behind));
    if initial.iter().any(|&octet| is_blank(octet)) {
        return Err(SyntaxError::Arguments);
    }
    Ok(Command::Auth { mechanism, initial: (!initial.is_empty()).then_some(initial) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let cases: [(&[u8], Result<Command<'_>, SyntaxError>); 32] = [
            (b"STAT", Ok(Command::Stat)),
            (b"stat  \t", Ok(Command::Stat)),
            (b"STAT 1", Err(SyntaxError::Arguments)),
            (b" STAT", Err(SyntaxError::Unknown)),
            (b"", Err(SyntaxError::Unknown)),
            (b"STATS", Err(SyntaxError::Unknown)),
            (b"GET / HTTP/1.1", Err(SyntaxError::Unknown)),
            (b"USER alice", Ok(Command::User("alice"))),
            (b"USER  alice ", Ok(Command::User("alice"))),
            (b"USER", Err(SyntaxError::Arguments)),
            (b"USER al\x1bice", Err(SyntaxError::Arguments)),
            (b"USER al\xe2\x80\xaeice", Err(SyntaxError::Arguments)),
            (b"USER \xff", Err(SyntaxError::Arguments)),
            (b"PASS two  words ", Ok(Command::Pass(b"two  words "))),
            (b"PASS  x", Ok(Command::Pass(b" x"))),
            (b"PASS ", Err(SyntaxError::Arguments)),
            (b"PASS", Err(SyntaxError::Arguments)),
            (b"AUTH PLAIN", Ok(Command::Auth { mechanism: "PLAIN", initial: None })),
            (b"AUTH plain  =", Ok(Command::Auth { mechanism: "plain", initial: Some(b"=") })),
            (b"AUTH PLAIN a b", Err(SyntaxError::Arguments)),
            (b"AUTH", Err(SyntaxError::Arguments)),
            (b"LIST", Ok(Command::List(None))),
            (b"LIST 007", Ok(Command::List(Some(Number(7))))),
            (b"UIDL 4294967295", Ok(Command::Uidl(Some(Number(u32::MAX))))),
            (b"RETR 4294967297", Err(SyntaxError::Number)),
            (b"RETR 18446744073709551617", Err(SyntaxError::Number)),
            (b"RETR +1", Err(SyntaxError::Number)),
            (b"RETR 1 2", Err(SyntaxError::Arguments)),
            (b"DELE -1", Err(SyntaxError::Number)),
            (b"TOP 1  0", Ok(Command::Top { message: Number(1), lines: 0 })),
            (b"TOP 1", Err(SyntaxError::Arguments)),
            (b"TOP 1 18446744073709551616", Err(SyntaxError::Number)),
        ];
        for (line, expected) in cases {
            assert_eq!(Command::parse(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn message_zero_is_none() {
        assert_eq!((Number(0).index(), Number(1).index()), (None, Some(0)));
    }

    #[test]
    fn what_may_be_a_password_is_secret() {
        let cases: [(&[u8], &[u8]); 11] = [
            (b"PASS hunter2", b"hunter2"),
            (b"pass two words", b"two words"),
            (b"PASS", b""),
            (b"AUTH PLAIN dGVzdA==", b"dGVzdA=="),
            (b"AUTH  PLAIN  dGVzdA==", b" dGVzdA=="),
            (b"AUTH PLAIN", b""),
            (b"APOP alice c4c9", b"alice c4c9"),
            (b"USER alice", b""),
            (b"PSAS hunter2", b"PSAS hunter2"),
            (b" PASS hunter2", b" PASS hunter2"),
            (b"dGVzdA==", b"dGVzdA=="),
        ];
        for (line, expected) in cases {
            let range = secret(line).unwrap_or_default();
            assert_eq!(&line[range], expected, "{}", line.escape_ascii());
        }
    }
}
