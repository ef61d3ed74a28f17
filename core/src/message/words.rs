//! The text of a header field's value: encoded words (RFC 2047) and plain octets (RFC 6532), undone while they pass.

use alloc::vec::Vec;

use super::charset::Charset;
use super::transfer::Decoder;

/// Is fed the value of one field, unfolded, and says its text.
///
/// Lenient, since mail is: an encoded word may stand anywhere, in a quoted string as well, may be longer than 75 octets
/// and hold blanks. Blanks between two of them are no text, and a character may begin in one and end in the next one of
/// the same charset. What is no encoded word stays as it is.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// What may be an encoded word, as far as it has come.
    held: Vec<u8>,
    at: At,
    /// Of what is no encoded word.
    plain: Charset,
    /// Of the word before, while nothing but blanks has come since.
    word: Option<Word>,
    /// There were blanks behind that word.
    blank: bool,
}

#[derive(Debug)]
struct Word {
    label: Vec<u8>,
    charset: Charset,
}

/// What comes next of an encoded word: `=?charset?encoding?text?=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Outside of one.
    #[default]
    Plain,
    /// The question mark behind the first sign.
    Mark,
    Label,
    Encoding,
    /// The question mark behind the encoding.
    Third,
    Text,
    /// A question mark stands in the text, or ends it.
    Last,
}

impl Words {
    /// Octets of an encoded word at most; RFC 2047 §2 allows 75.
    const MAX: usize = 2048;
    /// Octets of a charset's name at most.
    const MAX_LABEL: usize = 64;

    /// Reads the next octets.
    pub(super) fn feed(&mut self, mut octets: &[u8], say: &mut dyn FnMut(&str)) {
        while let [first, rest @ ..] = octets {
            if self.at != At::Plain {
                self.step(*first, say);
                octets = rest;
                continue;
            }
            let end = memchr::memchr(b'=', octets).unwrap_or(octets.len());
            self.plain(&octets[..end], say);
            octets = &octets[end..];
            if let [sign, rest @ ..] = octets {
                self.held.push(*sign);
                self.at = At::Mark;
                octets = rest;
            }
        }
    }

    /// The value has ended.
    pub(super) fn finish(mut self, say: &mut dyn FnMut(&str)) {
        self.give_up(say);
        self.end_word(say);
        self.plain.finish(say);
    }

    /// The next octet behind what may be the beginning of an encoded word.
    fn step(&mut self, octet: u8, say: &mut dyn FnMut(&str)) {
        let in_label = self.held.len() - 2.min(self.held.len());
        let next = match (self.at, octet) {
            (At::Mark, b'?') => At::Label,
            (At::Label, b'?') if in_label > 0 => At::Encoding,
            (At::Label, b'!'..=b'~') if octet != b'=' && in_label < Self::MAX_LABEL => At::Label,
            (At::Encoding, b'B' | b'b' | b'Q' | b'q') => At::Third,
            (At::Third, b'?') => At::Text,
            (At::Last, b'=') => {
                self.held.push(octet);
                return self.end_text(say);
            }
            // Another one begins, and so this is none: only at the very end may the signs stand like this.
            (At::Last, _) if self.held.ends_with(b"=?") && octet != b'?' => At::Plain,
            (At::Text | At::Last, b'?') if self.held.len() < Self::MAX => At::Last,
            (At::Text | At::Last, _) if self.held.len() < Self::MAX => At::Text,
            _ => At::Plain,
        };
        if next != At::Plain {
            self.held.push(octet);
            self.at = next;
            return;
        }
        let begins_another = self.at == At::Last && self.held.ends_with(b"=?");
        if begins_another {
            self.held.truncate(self.held.len() - 2);
        }
        self.give_up(say);
        if begins_another {
            self.held.extend_from_slice(b"=?");
            self.at = At::Label;
            return self.step(octet, say);
        }
        // The octet may be the sign that begins one.
        self.feed(&[octet], say);
    }

    /// It is no encoded word.
    fn give_up(&mut self, say: &mut dyn FnMut(&str)) {
        self.at = At::Plain;
        let mut held = core::mem::take(&mut self.held);
        self.plain(&held, say);
        held.clear();
        self.held = held;
    }

    /// Octets that are in no encoded word.
    fn plain(&mut self, octets: &[u8], say: &mut dyn FnMut(&str)) {
        if self.word.is_some() {
            let is_blank = |octet: &u8| octet.is_ascii_whitespace();
            self.blank |= octets.first().is_some_and(is_blank);
            if octets.iter().all(is_blank) {
                return;
            }
            self.end_word(say);
        }
        self.plain.feed(octets, say);
    }

    /// What comes next does not belong to the last encoded word.
    fn end_word(&mut self, say: &mut dyn FnMut(&str)) {
        if let Some(mut word) = self.word.take() {
            word.charset.finish(say);
        }
        if core::mem::take(&mut self.blank) {
            say(" ");
        }
    }

    /// The encoded word is whole.
    fn end_text(&mut self, say: &mut dyn FnMut(&str)) {
        self.at = At::Plain;
        let held = core::mem::take(&mut self.held);
        // Each part is there, since `step` went through all of them: the sign, charset, encoding, text, sign.
        let mut parts = held[2..held.len() - 2].splitn(3, |octet| *octet == b'?');
        let (label, encoding) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let text = parts.next().unwrap_or_default();
        // A language may stand behind the charset (RFC 2231 §5).
        let label = label.split(|octet| *octet == b'*').next().unwrap_or_default();
        self.blank = false;
        let is_same = |word: &Word| word.label.eq_ignore_ascii_case(label) && !word.charset.has_modes();
        let goes_on = self.word.as_ref().is_some_and(is_same);
        if !goes_on {
            self.end_word(say);
            self.plain.finish(say);
            self.word = Some(Word { label: label.to_vec(), charset: Charset::of(label) });
        }
        let Some(word) = &mut self.word else { return };
        let mut octets = Vec::with_capacity(text.len());
        if encoding.eq_ignore_ascii_case(b"B") {
            if let Ok(mut decoder) = Decoder::new(b"base64") {
                decoder.feed(text, &mut octets);
            }
        } else {
            // The encoding Q (RFC 2047 §4.2): an underscore is a space, and never stands for itself.
            for (n, text) in text.split(|octet| *octet == b'_').enumerate() {
                octets.extend((n > 0).then_some(b' '));
                unescape(text, b'=', &mut octets);
            }
        }
        word.charset.feed(&octets, say);
        self.held = held;
        self.held.clear();
    }
}

/// Undoes escapes of a sign and two hexadecimal digits; what is none stays as it is.
pub(super) fn unescape(text: &[u8], sign: u8, out: &mut Vec<u8>) {
    let nibble = |octet: &u8| char::from(*octet).to_digit(16);
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let escaped = match behind {
            [high, low, ..] if *first == sign => nibble(high).zip(nibble(low)),
            _ => None,
        };
        let Some((high, low)) = escaped else {
            out.push(*first);
            continue;
        };
        out.push((high << 4 | low) as u8);
        rest = &behind[2..];
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn read(value: &[u8], step: usize) -> String {
        let (mut words, mut text) = (Words::default(), String::new());
        value.chunks(step).for_each(|octets| words.feed(octets, &mut |more| text.push_str(more)));
        words.finish(&mut |more| text.push_str(more));
        text
    }

    fn is(value: &[u8], expected: &str) {
        for step in 1..=value.len() {
            // Runs of blanks are one to whoever compares.
            let text = read(value, step);
            assert_eq!(super::super::fold(&text), super::super::fold(expected), "{} by {step}", value.escape_ascii());
        }
    }

    #[test]
    fn examples_of_the_rfcs() {
        // RFC 2047 §8.
        for (value, expected) in [
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=       =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>", "Keld Jørn Simonsen <keld@dkuug.dk>"),
            ("=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>", "André Pirard <PIRARD@vm1.ulg.ac.be>"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= \
                 =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            (
                "Nathaniel Borenstein <nsb@thumper.bellcore.com> (=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=)",
                "Nathaniel Borenstein <nsb@thumper.bellcore.com> (םולש ןב ילטפנ)",
            ),
            // RFC 2231 §5.
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        ] {
            is(value.as_bytes(), expected);
        }
    }

    #[test]
    fn odd_ones() {
        for (value, expected) in [
            ("plain", "plain"),
            ("a = b =? c ?= d =?x", "a = b =? c ?= d =?x"),
            ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
            ("=?utf-8?qq?abc?=", "=?utf-8?qq?abc?="),
            ("=??q?abc?=", "=??q?abc?="),
            ("=?utf 8?q?abc?=", "=?utf 8?q?abc?="),
            ("=?utf-8?q?open", "=?utf-8?q?open"),
            ("=?utf-8?q?open =?utf-8?q?=C3=A9?= x", "=?utf-8?q?open é x"),
            ("=?utf-8?=?utf-8?q?=C3=A9?=", "=?utf-8?é"),
            ("==?utf-8?q?=C3=A9?==", "=é="),
            ("\"=?utf-8?q?=C3=A9?=\" <a@b>", "\"é\" <a@b>"),
            ("x=?utf-8?q?=C3=A9?=y", "xéy"),
            ("=?utf-8?q??=", ""),
            ("=?utf-8?q?a b?c?=", "a b?c"),
            ("=?utf-8?q?a=ZZ=4?=", "a=ZZ=4"),
            ("=?utf-8?b?w6k=?= =?utf-8?Q?=C3?= =?UTF-8?b?qQ==?=.", "éé."),
            ("=?utf-8?b?w?= x", " x"),
            ("=?x-martian?q?a=E9b?=", "a\u{fffd}b"),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本日本"),
            ("J\u{f6}rg =?utf-8?q?=C3=B6?= \u{f6}", "Jörg ö ö"),
        ] {
            is(value.as_bytes(), expected);
        }
        is(b"caf\xe9 =?utf-8?q?=C3=A9?=\xe9", "café éé");
        let long = alloc::format!("=?utf-8?q?{}?=", "x".repeat(Words::MAX));
        assert_eq!(read(long.as_bytes(), 7), long);
        let many = "=?a?q?x ".repeat(10_000);
        assert_eq!(read(many.as_bytes(), 1), many);
    }
}
