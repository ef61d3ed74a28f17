//! A place in a command, and the small words of the grammar that are read from there (RFC 9051 §9).

use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::ops::Deref;

use bytes::Bytes;

use super::SyntaxError;
use crate::imap::types::chars::{is_astring_char, is_atom_char, is_list_char};

/// A piece of a command, as framing found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text without CRLF.
    Text(Bytes),
    /// The octets of a literal.
    Literal {
        /// They.
        octets: Bytes,
        /// It was announced as `~{n}`.
        binary: bool,
    },
}

/// Where the parser is. Nothing goes back: every octet is looked at a fixed number of times.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    /// The text that is being read.
    text: &'a Bytes,
    /// How far.
    at: usize,
    /// What follows the text: a literal, text, a literal, …
    rest: &'a [Piece],
}

type Result<T> = core::result::Result<T, SyntaxError>;

impl<'a> Cursor<'a> {
    pub(super) fn new(pieces: &'a [Piece]) -> Self {
        static EMPTY: Bytes = Bytes::new();
        match pieces {
            [Piece::Text(text), rest @ ..] => Self { text, at: 0, rest },
            rest => Self { text: &EMPTY, at: 0, rest },
        }
    }

    /// The next octet of the text.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Whether the command ends here.
    pub(super) fn is_end(&self) -> bool {
        self.at == self.text.len() && self.rest.is_empty()
    }

    /// The command must end here.
    pub(super) fn end(&self) -> Result<()> {
        if self.is_end() { Ok(()) } else { Err(SyntaxError::Trailing) }
    }

    /// Takes `octet` if it is the next one.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        self.at += usize::from(there);
        there
    }

    /// `octet`, which `what` names.
    pub(super) fn expect(&mut self, octet: u8, what: &'static str) -> Result<()> {
        if self.eat(octet) { Ok(()) } else { Err(SyntaxError::Expected(what)) }
    }

    /// `SP`: exactly one. Returns itself, so that what must follow can follow.
    pub(super) fn space(&mut self) -> Result<&mut Self> {
        self.expect(b' ', "a space").map(|()| self)
    }

    /// `(`
    pub(super) fn open(&mut self) -> Result<()> {
        self.expect(b'(', "\"(\"")
    }

    /// `)`
    pub(super) fn close(&mut self) -> Result<()> {
        self.expect(b')', "\")\"")
    }

    /// In a list of at least one: a space, and there is another one; or the `)` that ends it.
    pub(super) fn another(&mut self) -> Result<bool> {
        if self.eat(b' ') {
            return Ok(true);
        }
        self.expect(b')', "a space or \")\"").map(|()| false)
    }

    /// As many octets as are `good`; may be none.
    pub(super) fn run(&mut self, good: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let len = rest.iter().position(|&octet| !good(octet)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// As [`run`](Self::run), but at least one, and to keep.
    fn keep(&mut self, good: impl Fn(u8) -> bool, what: &'static str) -> Result<Bytes> {
        let from = self.at;
        if self.run(good).is_empty() {
            return Err(SyntaxError::Expected(what));
        }
        Ok(self.text.slice(from..self.at))
    }

    /// What `read` passes over, to keep.
    pub(super) fn slice_of(&mut self, read: impl FnOnce(&mut Self) -> Result<()>) -> Result<Bytes> {
        let from = self.at;
        read(self)?;
        Ok(self.text.slice(from..self.at))
    }

    /// A name out of a fixed list, in upper case; empty when none stands here.
    pub(super) fn word(&mut self) -> Word {
        Word::new(self.run(|octet| is_atom_char(octet) && octet != b'['))
    }

    /// `atom`
    pub(super) fn atom(&mut self) -> Result<Bytes> {
        self.keep(is_atom_char, "an atom")
    }

    /// `astring`
    pub(super) fn astring(&mut self) -> Result<Bytes> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            None => self.literal(),
            Some(_) => self.keep(is_astring_char, "a string"),
        }
    }

    /// `list-mailbox`: as an astring, but wildcards need no quotes.
    pub(super) fn list_mailbox(&mut self) -> Result<Bytes> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            None => self.literal(),
            Some(_) => self.keep(is_list_char, "a mailbox name"),
        }
    }

    /// `string`
    pub(super) fn string(&mut self) -> Result<Bytes> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            None => self.literal(),
            Some(_) => Err(SyntaxError::Expected("a quoted string or a literal")),
        }
    }

    /// `quoted`. Only a string with `\` in it is copied.
    pub(super) fn quoted(&mut self) -> Result<Bytes> {
        self.expect(b'"', "a quoted string")?;
        let from = self.at;
        let mut copy: Option<Vec<u8>> = None;
        loop {
            let rest = &self.text[self.at..];
            let Some(len) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(SyntaxError::Expected("the end of a quoted string"));
            };
            self.at += len;
            if let Some(copy) = &mut copy {
                copy.extend_from_slice(&rest[..len]);
            }
            if rest[len] == b'"' {
                break;
            }
            let (Some(&escaped @ (b'"' | b'\\')), before) = (rest.get(len + 1), from..self.at) else {
                return Err(SyntaxError::Expected("a quote or a backslash behind a backslash"));
            };
            copy.get_or_insert_with(|| self.text[before].to_vec()).push(escaped);
            self.at += 2;
        }
        let quoted = copy.map_or_else(|| self.text.slice(from..self.at), Bytes::from);
        self.at += 1;
        if quoted.is_ascii() || core::str::from_utf8(&quoted).is_ok() { Ok(quoted) } else { Err(SyntaxError::Utf8) }
    }

    /// `literal`: the text is interrupted here.
    fn literal(&mut self) -> Result<Bytes> {
        let [Piece::Literal { octets, binary }, Piece::Text(text), rest @ ..] = self.rest else {
            return Err(SyntaxError::Expected("a string"));
        };
        if *binary {
            return Err(SyntaxError::Binary);
        }
        if memchr::memchr(0, octets).is_some() {
            return Err(SyntaxError::Nul);
        }
        (self.text, self.at, self.rest) = (text, 0, rest);
        Ok(octets.clone())
    }

    /// `number64`: at most 2^63 - 1.
    pub(super) fn number64(&mut self) -> Result<u64> {
        let digits = self.run(|octet| octet.is_ascii_digit());
        if digits.is_empty() {
            return Err(SyntaxError::Number);
        }
        let mut number = 0_u64;
        for digit in digits {
            let next = number.checked_mul(10).and_then(|number| number.checked_add(u64::from(digit - b'0')));
            number = next.filter(|&number| number <= i64::MAX as u64).ok_or(SyntaxError::Number)?;
        }
        Ok(number)
    }

    /// `number`: at most 2^32 - 1.
    pub(super) fn number(&mut self) -> Result<u32> {
        u32::try_from(self.number64()?).map_err(|_| SyntaxError::Number)
    }

    /// `nz-number`
    pub(super) fn nz_number(&mut self) -> Result<NonZeroU32> {
        // Its grammar has no leading zeros; they are taken all the same, as in `number`.
        NonZeroU32::new(self.number()?).ok_or(SyntaxError::Number)
    }
}

/// A short word in upper case, to be looked up. What is too long for any list is the empty word.
pub(super) struct Word {
    octets: [u8; Word::MAX],
    len: usize,
}

impl Word {
    const MAX: usize = 24;

    pub(super) fn new(word: &[u8]) -> Self {
        let (mut octets, len) = ([0; Self::MAX], if word.len() > Self::MAX { 0 } else { word.len() });
        octets[..len].copy_from_slice(&word[..len]);
        octets[..len].make_ascii_uppercase();
        Self { octets, len }
    }
}

impl Deref for Word {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &'static str) -> [Piece; 1] {
        [Piece::Text(Bytes::from_static(text.as_bytes()))]
    }

    #[test]
    fn quoted_strings() {
        let read = |text| Cursor::new(&pieces(text)).quoted();
        assert_eq!(read("\"\"").as_deref(), Ok(&b""[..]));
        assert_eq!(read("\"a b\" c").as_deref(), Ok(&b"a b"[..]));
        assert_eq!(read(r#""a\"b\\""#).as_deref(), Ok(&br#"a"b\"#[..]));
        assert_eq!(read("\"gr\u{fc}n\"").as_deref(), Ok("gr\u{fc}n".as_bytes()));
        assert!(read("\"a").is_err());
        assert!(read("\"a\\\"").is_err());
        assert!(read("\"a\\n\"").is_err());
        assert!(read("\"a\\").is_err());
        let latin = [Piece::Text(Bytes::from_static(b"\"\xfc\""))];
        assert_eq!(Cursor::new(&latin).quoted(), Err(SyntaxError::Utf8));
    }

    #[test]
    fn numbers_do_not_wrap() {
        let number = |text| Cursor::new(&pieces(text)).number();
        assert_eq!(number("4294967295"), Ok(u32::MAX));
        assert_eq!(number("4294967296"), Err(SyntaxError::Number));
        assert_eq!(number("18446744073709551617"), Err(SyntaxError::Number));
        assert_eq!(number("007"), Ok(7));
        assert_eq!(number("-1"), Err(SyntaxError::Number));
        assert_eq!(number(""), Err(SyntaxError::Number));
        let number64 = |text| Cursor::new(&pieces(text)).number64();
        assert_eq!(number64("9223372036854775807"), Ok(i64::MAX as u64));
        assert_eq!(number64("9223372036854775808"), Err(SyntaxError::Number));
        assert_eq!(Cursor::new(&pieces("0")).nz_number(), Err(SyntaxError::Number));
    }

    #[test]
    fn a_literal_interrupts_text() {
        let literal = |octets, binary| Piece::Literal { octets: Bytes::from_static(octets), binary };
        let text = |text: &'static str| Piece::Text(Bytes::from_static(text.as_bytes()));
        let pieces = [text("a "), literal(b"x\r\ny", false), text(" b")];
        let mut cursor = Cursor::new(&pieces);
        assert_eq!(cursor.astring().as_deref(), Ok(&b"a"[..]));
        assert!(cursor.space().is_ok());
        assert!(!cursor.is_end());
        assert_eq!(cursor.astring().as_deref(), Ok(&b"x\r\ny"[..]));
        assert_eq!(cursor.space().and_then(Cursor::atom).as_deref(), Ok(&b"b"[..]));
        assert!(cursor.is_end());
        for (octets, binary, why) in [(&b"a\0"[..], false, SyntaxError::Nul), (b"a", true, SyntaxError::Binary)] {
            assert_eq!(Cursor::new(&[text(""), literal(octets, binary), text("")]).string(), Err(why));
        }
    }
}
