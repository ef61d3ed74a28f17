//! Where the header of a message ends, found while its octets pass.

use super::Structure;

/// Is fed a message from its beginning, until it knows where the header ends: behind the first empty line, or at the
/// very beginning when the first line is no field, for then there is no header. A [`Structure`] says the same; this is
/// for who wants nothing else of the message, and has only its beginning.
#[derive(Clone, Debug)]
pub struct HeaderEnd {
    /// Octets seen.
    seen: u64,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In what may be the name of the first field, behind so many octets of it.
    FirstName(usize),
    /// At the beginning of a line; of the first one, or another.
    Line { first: bool },
    /// Behind a CR at the beginning of a line.
    Cr { first: bool },
    /// Within a line.
    Within,
    /// The header ends there.
    End(u64),
}

impl Default for HeaderEnd {
    fn default() -> Self {
        Self { seen: 0, at: At::Line { first: true } }
    }
}

impl HeaderEnd {
    /// Octets that were looked at: the next piece begins there.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Octets of the header, with the empty line, once they are known.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        if let At::End(end) = self.at { Some(end) } else { None }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let (Some((&octet, behind)), None) = (rest.split_first(), self.end()) {
            if self.at == At::Within {
                let line = memchr::memchr(b'\n', rest).map(|lf| lf + 1);
                let read = line.unwrap_or(rest.len());
                self.seen += read as u64;
                rest = &rest[read..];
                if line.is_some() {
                    self.at = At::Line { first: false };
                }
                continue;
            }
            self.seen += 1;
            rest = behind;
            self.at = self.behind(octet);
        }
    }

    /// The message has ended; octets of its header.
    #[must_use]
    pub fn finish(self) -> u64 {
        match self.at {
            At::End(end) => end,
            At::FirstName(_) | At::Cr { first: true } => 0,
            At::Line { .. } | At::Cr { first: false } | At::Within => self.seen,
        }
    }

    fn behind(&self, octet: u8) -> At {
        match (self.at, octet) {
            (At::Line { .. } | At::Cr { .. }, b'\n') => At::End(self.seen),
            (At::Line { first }, b'\r') => At::Cr { first },
            (At::Line { first: true }, b'!'..=b'9' | b';'..=b'~') => At::FirstName(1),
            (At::FirstName(_), b':') => At::Within,
            (At::FirstName(octets), b'!'..=b'~') if octets < Structure::MAX_FIELD => At::FirstName(octets + 1),
            (At::Line { first: true } | At::Cr { first: true } | At::FirstName(_), _) => At::End(0),
            _ => At::Within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::StructureParser;

    #[test]
    fn it_says_the_same_as_the_structure_however_the_message_is_cut() {
        let cases: [(&[u8], u64); 14] = [
            (b"A: b\r\n\r\nC: d\r\n\r\n", 8),
            (b"A: b\r\n c\r\nno field\r\n\rx\r\n\nD", 25),
            (b"A: b\n\nx", 6),
            (b"A: b\r\n\r", 7),
            (b"A: b\r\n", 6),
            (b"A", 0),
            (b"", 0),
            (b"\r\nA: b\r\n\r\n", 2),
            (b"\nA: b\r\n\r\n", 1),
            (b"\r", 0),
            (b"\rA: b\r\n\r\n", 0),
            (b"no header\r\nA: b\r\n\r\n", 0),
            (b" A: b\r\n\r\n", 0),
            (b": b\r\n\r\n", 0),
        ];
        for (message, expected) in cases {
            let mut parser = StructureParser::new();
            parser.feed(message);
            let structure = parser.finish();
            assert_eq!(structure.parts().next().map(|part| part.body), Some(expected), "{}", message.escape_ascii());
            for step in 1..=message.len().max(1) {
                let mut header = HeaderEnd::default();
                message.chunks(step).for_each(|piece| header.feed(piece));
                assert_eq!(header.finish(), expected, "{} by {step}", message.escape_ascii());
            }
        }
    }
}
