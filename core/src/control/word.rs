//! Words of the control protocol: anything, written in printable ASCII without spaces.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

/// Appends a space and `text` as one word.
pub(super) fn push(line: &mut String, text: &str) {
    push_bytes(line, text.as_bytes());
}

/// Appends a space and `bytes` as one word; nothing is written as `%`.
pub(super) fn push_bytes(line: &mut String, bytes: &[u8]) {
    line.push(' ');
    if bytes.is_empty() {
        line.push('%');
    }
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' {
            line.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(line, "%{byte:02X}");
        }
    }
}

/// The bytes of a word; `None` when a `%` stands before something else than two hexadecimal digits.
pub(super) fn bytes(word: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(word.len());
    if word == "%" {
        return Some(bytes);
    }
    let mut rest = word.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (pair, behind) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?);
        rest = behind;
    }
    Some(bytes)
}

/// The text of a word.
pub(super) fn text(word: &str) -> Option<String> {
    String::from_utf8(bytes(word)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_back_as_it_was() {
        for text in ["", "alice", "a b", "%", "100%", "\r\n\0", "zoë@exämple", "%41"] {
            let mut line = String::new();
            push(&mut line, text);
            let word = line.strip_prefix(' ').unwrap();
            assert!(word.bytes().all(|b| b.is_ascii_graphic()), "{word}");
            assert_eq!(self::text(word).as_deref(), Some(text));
        }
        for bad in ["%4", "%zz", "a%", "%+1"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
