//! Lines that end with CRLF, out of a growing buffer, with a maximum.

use bytes::{Buf, Bytes, BytesMut};

use super::Fault;

/// Cuts lines out of `rx`. It remembers how far it has looked, so that bytes that dribble in are looked at once.
///
/// A line that is too long or holds a forbidden octet is reported as soon as that is known; the rest of it, up to its
/// CRLF, is then swallowed without being kept. So nobody waits for an answer who will never send a CRLF.
#[derive(Clone, Debug)]
pub struct LineReader {
    /// Octets of a line with its CRLF.
    max: usize,
    /// Octets at the front of `rx` in which no CR, LF or NUL stands.
    scanned: usize,
    /// Octets taken out of `rx` so far.
    consumed: u64,
    swallow: Swallow,
}

/// A line, or why it is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A good line, without its CRLF.
    Whole(Bytes),
    /// A line with an octet that may not be in it; its rest will be swallowed.
    Bad(Fault),
    /// A line longer than the maximum; its rest will be swallowed.
    TooLong,
}

/// What [`LineReader::scan`] found at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// A good line: so many octets, and then a CRLF. It is still in the buffer; take it out with [`LineReader::pass`].
    Whole(usize),
    /// As [`Line::Bad`]; nothing to take out.
    Bad(Fault),
    /// As [`Line::TooLong`]; nothing to take out.
    TooLong,
}

/// Whether the rest of a refused line is being dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swallow {
    No,
    /// Up to the next CRLF.
    Rest,
    /// The last octet dropped was a CR.
    Cr,
}

impl LineReader {
    /// A reader of lines of at most `max` octets, CRLF included; at least 2.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max: max.max(2), scanned: 0, consumed: 0, swallow: Swallow::No }
    }

    /// From the next line on, `max` octets with CRLF.
    pub fn set_max(&mut self, max: usize) {
        self.max = max.max(2);
    }

    /// How many octets were taken out of `rx`: the position of the next one in the stream.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Counts `n` octets that somebody else took out of `rx`, such as a body.
    pub fn count(&mut self, n: usize) {
        self.consumed += n as u64;
    }

    /// Whether the rest of a refused line is still to come.
    #[must_use]
    pub fn is_swallowing(&self) -> bool {
        self.swallow != Swallow::No
    }

    /// Takes the next line out of `rx`; `None` when it has not ended yet.
    pub fn next(&mut self, rx: &mut BytesMut) -> Option<Line> {
        match self.scan(rx)? {
            Scan::Whole(len) => {
                let line = rx.split_to(len).freeze();
                self.consumed += len as u64;
                self.pass(rx, 0);
                Some(Line::Whole(line))
            }
            Scan::Bad(fault) => Some(Line::Bad(fault)),
            Scan::TooLong => Some(Line::TooLong),
        }
    }

    /// Looks for the next line and leaves it in `rx`, for a caller that parses it in place. `None` when it has not
    /// ended yet.
    pub fn scan(&mut self, rx: &mut BytesMut) -> Option<Scan> {
        if !self.swallow(rx) {
            return None;
        }
        // The CR of a line that fits stands at index `max - 2` at the latest.
        let end = rx.len().min(self.max - 1);
        // A host that took bytes away has lost them; that is its loss, and no reason to lose the others as well.
        let start = self.scanned.min(end);
        let Some(at) = memchr::memchr3(b'\r', b'\n', 0, &rx[start..end]) else {
            self.scanned = end;
            return if end == self.max - 1 { self.refuse(rx, Scan::TooLong) } else { None };
        };
        let at = start + at;
        self.scanned = at;
        match rx[at] {
            b'\n' => self.refuse(rx, Scan::Bad(Fault::BareLf)),
            b'\r' if rx.len() == at + 1 => None,
            b'\r' if rx[at + 1] == b'\n' => Some(Scan::Whole(at)),
            b'\r' => self.refuse(rx, Scan::Bad(Fault::BareCr)),
            _ => self.refuse(rx, Scan::Bad(Fault::Nul)),
        }
    }

    /// Takes a line of `len` octets, which [`scan`](Self::scan) found, out of `rx` with its CRLF.
    pub fn pass(&mut self, rx: &mut BytesMut, len: usize) {
        rx.advance(len + 2);
        self.consumed += len as u64 + 2;
        self.scanned = 0;
    }

    fn refuse(&mut self, rx: &mut BytesMut, why: Scan) -> Option<Scan> {
        self.swallow = Swallow::Rest;
        self.swallow(rx);
        Some(why)
    }

    /// Drops what belongs to a refused line; true when that is done, or there is none. [`scan`](Self::scan) does it by
    /// itself; this is for a caller who must know which line an octet belonged to.
    pub fn swallow(&mut self, rx: &mut BytesMut) -> bool {
        while self.is_swallowing() && !rx.is_empty() {
            let n = if self.swallow == Swallow::Cr {
                self.swallow = if rx[0] == b'\n' { Swallow::No } else { Swallow::Rest };
                // A CR behind a CR is looked at again: it may be the one that counts.
                usize::from(rx[0] != b'\r')
            } else {
                let cr = memchr::memchr(b'\r', rx);
                self.swallow = if cr.is_some() { Swallow::Cr } else { Swallow::Rest };
                cr.map_or(rx.len(), |at| at + 1)
            };
            rx.advance(n);
            self.consumed += n as u64;
            self.scanned = 0;
        }
        !self.is_swallowing()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    /// All lines of `input`, fed in pieces of `step` octets.
    fn lines(max: usize, input: &[u8], step: usize) -> Vec<Line> {
        let (mut reader, mut rx, mut out) = (LineReader::new(max), BytesMut::new(), Vec::new());
        for piece in input.chunks(step) {
            rx.extend_from_slice(piece);
            while let Some(line) = reader.next(&mut rx) {
                out.push(line);
            }
        }
        assert_eq!(reader.consumed(), (input.len() - rx.len()) as u64);
        out
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let cases: [(&[u8], Vec<Line>); 9] = [
            (b"NOOP\r\n\r\nQUIT\r\nhalf", vec![whole("NOOP"), whole(""), whole("QUIT")]),
            (b"12345678\r\n123456789\r\nQUIT\r\n", vec![whole("12345678"), Line::TooLong, whole("QUIT")]),
            (b"a\nb\nc\r\nQUIT\r\n", vec![Line::Bad(Fault::BareLf), whole("QUIT")]),
            (b"a\rb\r\nQUIT\r\n", vec![Line::Bad(Fault::BareCr), whole("QUIT")]),
            (b"a\0b\r\nQUIT\r\n", vec![Line::Bad(Fault::Nul), whole("QUIT")]),
            (b"a\r\r\nQUIT\r\n", vec![Line::Bad(Fault::BareCr), whole("QUIT")]),
            (b"\n\r\nQUIT\r\n", vec![Line::Bad(Fault::BareLf), whole("QUIT")]),
            (b"never ending, no CRLF", vec![Line::TooLong]),
            (b"", vec![]),
        ];
        for (input, expected) in cases {
            for step in 1..=input.len().max(1) {
                assert_eq!(lines(10, input, step), expected, "{:?} by {step}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn a_refused_line_is_not_kept() {
        let (mut reader, mut rx) = (LineReader::new(10), BytesMut::new());
        rx.extend_from_slice(&[b'x'; 100_000]);
        assert_eq!(reader.next(&mut rx), Some(Line::TooLong));
        assert!(rx.is_empty() && reader.is_swallowing());
        rx.extend_from_slice(b"\rx\r\nok\r\n");
        assert_eq!(reader.next(&mut rx), Some(whole("ok")));
    }

    #[test]
    fn a_line_can_be_read_in_place() {
        let (mut reader, mut rx) = (LineReader::new(10), BytesMut::from(&b"ab\r\nc"[..]));
        assert_eq!(reader.scan(&mut rx), Some(Scan::Whole(2)));
        assert_eq!(reader.scan(&mut rx), Some(Scan::Whole(2)));
        reader.pass(&mut rx, 2);
        assert_eq!((reader.scan(&mut rx), &rx[..], reader.consumed()), (None, &b"c"[..], 4));
    }
}
