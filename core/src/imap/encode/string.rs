//! Strings, numbers and the small words that every response is made of (RFC 9051 §9).
//!
//! What is written comes from messages and from people, and may hold anything. Nothing of it breaks out of its place: a
//! string with a CR or an LF in it goes out as a literal, and a NUL, which no string may hold, as a space.

use bytes::Bytes;

use crate::imap::types::chars::is_astring_char;
use crate::imap::types::{MailboxName, Names, utf7};
use crate::outbox::Outbox;

/// What may stand in a quoted string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// ASCII; anything else makes a literal.
    #[default]
    Ascii,
    /// UTF-8: the client has enabled UTF8=ACCEPT (RFC 6855 §3) or IMAP4rev2.
    Utf8,
}

/// A decimal number.
pub fn number(tx: &mut Outbox, mut number: u64) {
    // As many digits as 2^64 has.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    tx.put(&digits[at..]);
}

/// `string`: quoted where that is possible, else a literal.
pub fn string(tx: &mut Outbox, octets: &[u8], charset: Charset) {
    match Form::of(octets, charset) {
        Form::Plain => {
            tx.put(b"\"");
            tx.put(octets);
            tx.put(b"\"");
        }
        Form::Escaped => {
            tx.put(b"\"");
            let mut rest = octets;
            while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
                tx.put(&rest[..at]);
                tx.put(&[b'\\', rest[at]]);
                rest = &rest[at + 1..];
            }
            tx.put(rest);
            tx.put(b"\"");
        }
        Form::Literal => {
            literal_header(tx, octets.len() as u64, false);
            without_nul(tx, octets);
        }
    }
}

/// `nstring`
pub fn nstring(tx: &mut Outbox, octets: Option<&[u8]>, charset: Charset) {
    match octets {
        Some(octets) => string(tx, octets, charset),
        None => tx.put(b"NIL"),
    }
}

/// `astring`: an atom where that is possible.
pub fn astring(tx: &mut Outbox, octets: &[u8], charset: Charset) {
    let atom = !octets.is_empty() && octets.iter().all(|&octet| is_astring_char(octet));
    // Not every reader of responses tells the atom NIL from no string at all.
    if atom && !octets.eq_ignore_ascii_case(b"NIL") { tx.put(octets) } else { string(tx, octets, charset) }
}

/// `mailbox`, the way this client writes names.
pub fn mailbox(tx: &mut Outbox, name: &MailboxName, names: Names) {
    let plain = name.as_bytes().iter().all(|octet| (b' '..=b'~').contains(octet) && *octet != b'&');
    match names {
        Names::Utf8 => astring(tx, name.as_bytes(), Charset::Utf8),
        Names::Utf7 if plain => astring(tx, name.as_bytes(), Charset::Ascii),
        Names::Utf7 => {
            // Modified UTF-7 is printable ASCII; only a quote and a backslash want care.
            tx.put(b"\"");
            utf7::encode(name.as_str(), |piece| {
                for part in piece.split_inclusive(|octet| matches!(octet, b'"' | b'\\')) {
                    match part.split_last() {
                        Some((last @ (b'"' | b'\\'), before)) => {
                            tx.put(before);
                            tx.put(&[b'\\', *last]);
                        }
                        _ => tx.put(part),
                    }
                }
            });
            tx.put(b"\"");
        }
    }
}

/// A literal whose octets are at hand. They go out as they are: what is stored as a message holds no NUL.
pub fn literal(tx: &mut Outbox, octets: Bytes) {
    literal_header(tx, octets.len() as u64, false);
    tx.push(octets);
}

/// The announcement of a literal, behind which exactly `len` octets must follow. `binary`: any octets, NUL too.
pub fn literal_header(tx: &mut Outbox, len: u64, binary: bool) {
    tx.put(if binary { b"~{" } else { b"{" });
    number(tx, len);
    tx.put(b"}\r\n");
}

/// Text for people, at the end of a response: one line, and never empty.
pub(super) fn text(tx: &mut Outbox, text: &str, charset: Charset) {
    if text.is_empty() {
        // `text` has at least one character.
        return tx.put(b"-");
    }
    let plain = |octet: &u8| matches!(octet, b' '..=b'~') || (charset == Charset::Utf8 && !octet.is_ascii());
    if text.bytes().all(|octet| plain(&octet)) {
        return tx.put(text.as_bytes());
    }
    let mut buffer = [0; 4];
    for c in text.chars() {
        let shown = match c {
            ' '..='~' => c,
            _ if c.is_control() => ' ',
            _ if charset == Charset::Utf8 => c,
            _ => '?',
        };
        tx.put(shown.encode_utf8(&mut buffer).as_bytes());
    }
}

/// How a string can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Between quotes, as it is.
    Plain,
    /// Between quotes, with backslashes.
    Escaped,
    Literal,
}

impl Form {
    /// A quoted string longer than this is a literal: some clients read lines into a buffer.
    const LONGEST: usize = 4096;

    fn of(octets: &[u8], charset: Charset) -> Self {
        let (mut special, mut high) = (false, false);
        for &octet in octets {
            match octet {
                b'\r' | b'\n' | 0 => return Self::Literal,
                b'"' | b'\\' => special = true,
                0x80.. => high = true,
                _ => {}
            }
        }
        if octets.len() > Self::LONGEST
            || (high && (charset == Charset::Ascii || core::str::from_utf8(octets).is_err()))
        {
            return Self::Literal;
        }
        if special { Self::Escaped } else { Self::Plain }
    }
}

/// `octets` with a space in the place of each NUL.
fn without_nul(tx: &mut Outbox, octets: &[u8]) {
    let mut pieces = octets.split(|&octet| octet == 0);
    tx.put(pieces.next().unwrap_or_default());
    for piece in pieces {
        tx.put(b" ");
        tx.put(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn strings_take_the_form_they_need() {
        let cases: [(&[u8], Charset, &[u8]); 9] = [
            (b"", Charset::Ascii, b"\"\""),
            (b"a b", Charset::Ascii, b"\"a b\""),
            (b"a\"b\\", Charset::Ascii, b"\"a\\\"b\\\\\""),
            (b"a\r\n* BYE", Charset::Utf8, b"{8}\r\na\r\n* BYE"),
            (b"a\nb", Charset::Ascii, b"{3}\r\na\nb"),
            (b"a\0b", Charset::Ascii, b"{3}\r\na b"),
            (b"\xc3\xbc", Charset::Ascii, b"{2}\r\n\xc3\xbc"),
            (b"\xc3\xbc", Charset::Utf8, b"\"\xc3\xbc\""),
            (b"\xfc", Charset::Utf8, b"{1}\r\n\xfc"),
        ];
        for (octets, charset, expected) in cases {
            assert_eq!(written(|tx| string(tx, octets, charset)), expected, "{}", octets.escape_ascii());
        }
        assert_eq!(written(|tx| nstring(tx, None, Charset::Ascii)), b"NIL");
        assert!(written(|tx| string(tx, &[b'x'; 5000], Charset::Ascii)).starts_with(b"{5000}\r\nx"));
    }

    #[test]
    fn atoms_need_no_quotes() {
        for (octets, expected) in
            [("INBOX", "INBOX"), ("a]b", "a]b"), ("NIL", "\"NIL\""), ("", "\"\""), ("a b", "\"a b\"")]
        {
            assert_eq!(written(|tx| astring(tx, octets.as_bytes(), Charset::Ascii)), expected.as_bytes());
        }
    }

    #[test]
    fn names_are_written_as_the_client_does() {
        let cases = [
            ("INBOX", "INBOX", "INBOX"),
            ("a b", "\"a b\"", "\"a b\""),
            ("R&D", "\"R&-D\"", "R&D"),
            ("gr\u{fc}n", "\"gr&APw-n\"", "\"gr\u{fc}n\""),
            ("\u{fc}\"\\", "\"&APw-\\\"\\\\\"", "\"\u{fc}\\\"\\\\\""),
        ];
        for (name, seven, eight) in cases {
            let name = MailboxName::new(name).unwrap();
            assert_eq!(written(|tx| mailbox(tx, &name, Names::Utf7)), seven.as_bytes());
            assert_eq!(written(|tx| mailbox(tx, &name, Names::Utf8)), eight.as_bytes());
        }
    }

    #[test]
    fn numbers() {
        for (n, expected) in [(0, "0"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            assert_eq!(written(|tx| number(tx, n)), expected.as_bytes());
        }
    }

    #[test]
    fn text_is_one_line() {
        assert_eq!(written(|tx| text(tx, "a\r\nb\0\u{85}\u{fc}", Charset::Ascii)), b"a  b  ?");
        assert_eq!(written(|tx| text(tx, "a\r\nb\u{fc}", Charset::Utf8)), "a  b\u{fc}".as_bytes());
        assert_eq!(written(|tx| text(tx, "", Charset::Ascii)), b"-");
    }
}
