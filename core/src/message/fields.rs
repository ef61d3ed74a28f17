//! A selection of a header's fields, made while its octets pass (RFC 9051 §6.4.5.1, HEADER.FIELDS and .NOT).

use alloc::vec::Vec;

use bytes::Bytes;

/// Which fields are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Only those of these names, in any case.
    Only(Vec<Bytes>),
    /// All but those.
    Not(Vec<Bytes>),
}

/// Is fed the octets of a header, and gives those of the fields wanted, exactly as they stand there, and the empty line
/// if there is one. Keeps no more of a field than its name.
#[derive(Clone, Debug)]
pub struct FieldFilter {
    pick: Pick,
    /// The line so far, until it is known what becomes of it.
    held: Vec<u8>,
    at: At,
    /// Lines of the present field are wanted.
    wanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Name,
    Rest,
}

impl FieldFilter {
    /// Octets of a field's name at most; a longer one is compared by its beginning (RFC 5322 §2.1.1 bounds a line).
    pub const MAX_NAME: usize = 1000;

    /// For one header.
    #[must_use]
    pub fn new(pick: Pick) -> Self {
        Self { pick, held: Vec::new(), at: At::LineStart, wanted: false }
    }

    /// Appends to `out` what is wanted of the next octets.
    pub fn feed(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while let Some(&octet) = piece.first() {
            if self.at == At::Rest {
                let lf = memchr::memchr(b'\n', piece);
                let (line, rest) = piece.split_at(lf.map_or(piece.len(), |lf| lf + 1));
                if self.wanted {
                    out.extend_from_slice(line);
                }
                piece = rest;
                if lf.is_some() {
                    self.at = At::LineStart;
                }
                continue;
            }
            if self.at == At::LineStart && (octet == b' ' || octet == b'\t') {
                self.at = At::Rest;
                continue;
            }
            self.at = At::Name;
            if octet == b':' || octet == b'\n' || self.held.len() == Self::MAX_NAME {
                self.decide(octet, out);
                continue;
            }
            self.held.push(octet);
            piece = &piece[1..];
        }
    }

    /// The header has ended: a line without an end is given, too, if it is wanted.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.decide(0, out);
        }
    }

    /// A name, or a line without one, is whole: `next` stands behind it.
    fn decide(&mut self, next: u8, out: &mut Vec<u8>) {
        let is_empty_line = next == b'\n' && matches!(self.held[..], [] | [b'\r']);
        let name = self.held.trim_ascii_end();
        let is_among = |names: &[Bytes]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.wanted = is_empty_line
            || match &self.pick {
                Pick::Only(names) => next == b':' && is_among(names),
                Pick::Not(names) => next != b':' || !is_among(names),
            };
        if self.wanted {
            out.extend_from_slice(&self.held);
        }
        self.held.clear();
        self.at = At::Rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_picks_fields_however_the_header_is_cut() {
        let header = b"From: a\r\nTO : b\r\n\tc\r\nX: d\r\nto: e\r\n\r\n";
        let names = || [Bytes::from_static(b"To")].into();
        let cases: [(Pick, &[u8]); 3] = [
            (Pick::Only(names()), b"TO : b\r\n\tc\r\nto: e\r\n\r\n"),
            (Pick::Not(names()), b"From: a\r\nX: d\r\n\r\n"),
            (Pick::Only(Vec::new()), b"\r\n"),
        ];
        for (pick, expected) in cases {
            for step in 1..=header.len() {
                let (mut filter, mut out) = (FieldFilter::new(pick.clone()), Vec::new());
                header.chunks(step).for_each(|piece| filter.feed(piece, &mut out));
                filter.finish(&mut out);
                assert_eq!(out, expected, "{pick:?} by {step}");
            }
        }
    }
}
