//! Letters: messages whose every octet follows from their number, so that whoever reads one knows what it must be.

use std::fmt;

use bytes::Bytes;
use pillarbox_core::{Random, Seed};

/// What a letter's first line begins with; its number and a dot follow.
const MARK: &str = "Message-ID: <";

/// The number of a letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Letter(pub u32);

/// As people speak of it.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "letter {}", self.0)
    }
}

impl Letter {
    /// Its octets: about so many, lines ended by CRLF.
    #[must_use]
    pub fn text(self, octets: usize) -> Bytes {
        let Self(number) = self;
        let mut random = Random::new(&Seed::number(u64::from(number)));
        let mut text = format!(
            "{MARK}{number}.sim@example>\r\nDate: Mon, 23 Nov 2026 00:00:00 +0000\r\nFrom: <sim@example>\r\n\
             Subject: letter {number}\r\n\r\n"
        )
        .into_bytes();
        while text.len() < octets {
            // Lines that a careless machine would trip over, among others.
            match random.below(8) {
                0 => text.extend_from_slice(b".\r\n"),
                1 => text.extend_from_slice(b"..two dots\r\n"),
                2 => text.extend_from_slice(b"\r\n"),
                3 => text.extend_from_slice(b"From the beginning of a line\r\n"),
                _ => {
                    let word = random.u64();
                    text.extend_from_slice(format!("{word:016x} ").repeat(1 + random.below(7)).trim_end().as_bytes());
                    text.extend_from_slice(b"\r\n");
                }
            }
        }
        text.into()
    }
}

/// Which message it is, of all that were ever in mailboxes: of two copies of a letter that came by two ways each has its
/// own, since servers put different lines before it. It is a number made of what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) const FIRST: Self = Self(u64::MIN);
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// Of a message that begins like this, up to its Message-ID at least.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for line in message.split_inclusive(|octet| *octet == b'\n') {
            for octet in line {
                hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
            }
            if line.starts_with(MARK.as_bytes()) || line == b"\r\n" {
                break;
            }
        }
        Self(hash)
    }
}

/// What stands in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A letter, and where it begins behind what servers put before it.
    Letter(Letter, usize),
    /// A report that this letter could not be delivered.
    Report(Letter),
    /// Neither.
    Something,
}

/// What this message is.
pub(crate) fn recognize(message: &[u8]) -> Found {
    let mut at = 0;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if let Some(letter) = number_behind(line, MARK) {
            return Found::Letter(letter, at);
        }
        if let Some(letter) = number_behind(line, "In-Reply-To: <") {
            return Found::Report(letter);
        }
        if line == b"\r\n" {
            break;
        }
        at += line.len();
    }
    Found::Something
}

fn number_behind(line: &[u8], mark: &str) -> Option<Letter> {
    let rest = line.strip_prefix(mark.as_bytes())?;
    let end = rest.iter().position(|octet| *octet == b'.')?;
    rest[end..].starts_with(b".sim@").then_some(())?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok().map(Letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_known_by_its_octets() {
        let text = Letter(17).text(3000);
        assert!(text.len() >= 3000 && text.ends_with(b"\r\n"));
        let stored = [b"Received: from x\r\n", &text[..]].concat();
        assert_eq!(recognize(&stored), Found::Letter(Letter(17), 18));
        assert_eq!(stored[18..], text);
        assert_eq!(recognize(b"In-Reply-To: <17.sim@example>\r\n\r\n"), Found::Report(Letter(17)));
        assert_eq!(recognize(b"Message-ID: <17@example>\r\n\r\nMessage-ID: <17.sim@example>\r\n"), Found::Something);
        assert!(text.windows(2).filter(|pair| pair[1] == b'\n').all(|pair| pair[0] == b'\r'), "no bare LF");
    }
}
