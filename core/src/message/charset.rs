//! Octets to text: the charsets of MIME (RFC 2045 §5.1, RFC 2047 §2), undone while the octets pass.

use core::fmt;

use encoding_rs::{CoderResult, Decoder, Encoding, ISO_2022_JP, UTF_8, WINDOWS_1252};

/// Is fed octets of one charset, and says the text.
pub(super) struct Charset {
    decode: Decode,
}

enum Decode {
    /// UTF-8. What mail says to be ASCII, or says nothing of, is that as well, or else it is Western European.
    Utf8 {
        /// The beginning of a character, and its length.
        held: [u8; 4],
        length: usize,
    },
    /// A charset of the Encoding Standard, where names are taken as mail means them: ISO-8859-1 is windows-1252.
    Other(Decoder),
    /// Nobody knows. Nearly every charset has ASCII in it, so that is what is read.
    Unknown,
}

/// Octets that are decoded at a time, and those of the text they become.
const STEP: usize = 1024;

impl Charset {
    /// The charset of that name, in any case.
    pub(super) fn of(label: &[u8]) -> Self {
        let is_ascii = label.is_empty() || label.eq_ignore_ascii_case(b"us-ascii");
        let decode = match Encoding::for_label_no_replacement(label) {
            _ if is_ascii => Decode::Utf8 { held: [0; 4], length: 0 },
            Some(encoding) if encoding == UTF_8 => Decode::Utf8 { held: [0; 4], length: 0 },
            Some(encoding) => Decode::Other(encoding.new_decoder()),
            None => Decode::Unknown,
        };
        Self { decode }
    }

    /// What an octet means depends on octets far before it: each text begins, and ends, in the mode of ASCII.
    pub(super) fn has_modes(&self) -> bool {
        matches!(&self.decode, Decode::Other(decoder) if decoder.encoding() == ISO_2022_JP)
    }

    /// Reads the next octets.
    pub(super) fn feed(&mut self, octets: &[u8], say: &mut dyn FnMut(&str)) {
        match &mut self.decode {
            Decode::Utf8 { held, length } => utf8(held, length, octets, say),
            Decode::Other(decoder) => octets.chunks(STEP).for_each(|octets| other(decoder, octets, false, say)),
            Decode::Unknown => ascii(octets, say),
        }
    }

    /// The text has ended; another one of the same charset may follow.
    pub(super) fn finish(&mut self, say: &mut dyn FnMut(&str)) {
        match &mut self.decode {
            Decode::Utf8 { held, length } => {
                held[..core::mem::take(length)].iter().for_each(|octet| western(*octet, say));
            }
            Decode::Other(decoder) => {
                other(decoder, &[], true, say);
                *decoder = decoder.encoding().new_decoder();
            }
            Decode::Unknown => {}
        }
    }
}

impl Default for Charset {
    fn default() -> Self {
        Self::of(b"")
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.decode {
            Decode::Utf8 { .. } => UTF_8.name(),
            Decode::Other(decoder) => decoder.encoding().name(),
            Decode::Unknown => "unknown",
        })
    }
}

/// Octets of UTF-8, in which those that are not stand for themselves.
fn utf8(held: &mut [u8; 4], length: &mut usize, mut octets: &[u8], say: &mut dyn FnMut(&str)) {
    // A character that was cut goes on here.
    while *length > 0 {
        let Some((first, rest)) = octets.split_first() else { return };
        held[*length] = *first;
        match core::str::from_utf8(&held[..=*length]) {
            Ok(letter) => {
                say(letter);
                (*length, octets) = (0, rest);
            }
            Err(error) if error.error_len().is_none() => {
                *length += 1;
                octets = rest;
            }
            // What was held is no character, and the octet may begin one.
            Err(_) => held[..core::mem::take(length)].iter().for_each(|octet| western(*octet, say)),
        }
    }
    while !octets.is_empty() {
        let error = match core::str::from_utf8(octets) {
            Ok(text) => return say(text),
            Err(error) => error,
        };
        let (text, rest) = octets.split_at(error.valid_up_to());
        say(core::str::from_utf8(text).unwrap_or_default());
        let Some(broken) = error.error_len() else {
            // A character is four octets at most, and this one has not ended.
            held[..rest.len()].copy_from_slice(rest);
            *length = rest.len();
            return;
        };
        rest[..broken].iter().for_each(|octet| western(*octet, say));
        octets = &rest[broken..];
    }
}

fn western(octet: u8, say: &mut dyn FnMut(&str)) {
    say(&WINDOWS_1252.decode_without_bom_handling(&[octet]).0);
}

fn other(decoder: &mut Decoder, mut octets: &[u8], is_last: bool, say: &mut dyn FnMut(&str)) {
    let mut text = [0; STEP];
    loop {
        let (result, read, written, _) = decoder.decode_to_utf8(octets, &mut text, is_last);
        say(core::str::from_utf8(&text[..written]).unwrap_or_default());
        octets = &octets[read..];
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

fn ascii(octets: &[u8], say: &mut dyn FnMut(&str)) {
    let split = |octet: &u8| !octet.is_ascii();
    for (n, text) in octets.split(split).enumerate() {
        if n > 0 {
            say("\u{fffd}");
        }
        say(core::str::from_utf8(text).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn it_decodes_however_the_octets_are_cut() {
        let cases: [(&str, &[u8], &str); 14] = [
            ("", "J\u{f6}rg \u{20ac} \u{1f4ee}".as_bytes(), "J\u{f6}rg \u{20ac} \u{1f4ee}"),
            ("us-ascii", b"caf\xe9 \x80", "caf\u{e9} \u{20ac}"),
            ("UTF-8", b"\xc3\xa9\xc3x\xe2\x82", "\u{e9}\u{c3}x\u{e2}\u{201a}"),
            ("utf8", b"\xf0\x9f\x93\xc3\xa9", "\u{f0}\u{178}\u{201c}\u{e9}"),
            ("ISO-8859-1", b"J\xf6rg \x93quoted\x94", "J\u{f6}rg \u{201c}quoted\u{201d}"),
            ("iso-8859-15", b"\xa4", "\u{20ac}"),
            ("koi8-r", b"\xcf\xd4\xd0\xd5\xd3\xcb", "отпуск"),
            ("windows-1251", b"\xee\xf2\xef\xf3\xf1\xea", "отпуск"),
            ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B.", "日本."),
            ("Shift_JIS", b"\x93\xfa\x96\x7b", "日本"),
            ("gb2312", b"\xc4\xe3\xba\xc3", "你好"),
            ("big5", b"\xa7A\xa6n", "你好"),
            ("euc-kr", b"\xc7\xd1", "한"),
            ("x-martian", b"abc\xe9\xe9d", "abc\u{fffd}\u{fffd}d"),
        ];
        for (label, octets, expected) in cases {
            for step in 1..=octets.len() {
                let (mut charset, mut text) = (Charset::of(label.as_bytes()), String::new());
                // Twice: nothing is left of the first.
                for _ in 0..2 {
                    text.clear();
                    octets.chunks(step).for_each(|octets| charset.feed(octets, &mut |more| text.push_str(more)));
                    charset.finish(&mut |more| text.push_str(more));
                    assert_eq!(text, expected, "{charset:?} by {step}");
                }
            }
        }
    }
}
