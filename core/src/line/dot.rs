//! Dot-stuffed bodies (RFC 5321 §4.5.2, RFC 1939 §3): in, until the one true `CRLF . CRLF`; and out.

use bytes::{Buf, Bytes, BytesMut};

use super::{BLOCK, Fault, is_clean};
use crate::outbox::Outbox;

/// Takes a dot-stuffed body out of `rx`, and finds its end.
///
/// Only CR LF `.` CR LF is the end, where the first CRLF may be that of the line before the body. A bare CR, a bare LF
/// or a NUL is reported once, when it is met; from then on the body is swallowed, up to the same true end.
#[derive(Clone, Debug)]
pub struct Unstuff {
    at: At,
    faulty: bool,
}

/// What came out of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next octets of the body, never none. After a fault there are no more of these.
    Body(Bytes),
    /// The body holds an octet that no message may hold. Told once; go on to its end.
    Fault(Fault),
    /// The end. `rx` begins with what stands behind it.
    End,
}

/// Where in the stream we are: what stood before the next octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A CRLF, or nothing at all.
    LineStart,
    /// CRLF and a dot, which was not passed on.
    Dot,
    /// CRLF, a dot and a CR; neither of the two was passed on.
    DotCr,
    /// Something within a line.
    Inside,
    /// A CR within a line; it was passed on.
    Cr,
}

impl Default for Unstuff {
    fn default() -> Self {
        Self::new()
    }
}

impl Unstuff {
    /// At the start of a body.
    #[must_use]
    pub fn new() -> Self {
        Self { at: At::LineStart, faulty: false }
    }

    /// Whether a forbidden octet was met.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.faulty
    }

    /// The next piece of the body, of at most `max` octets (at least 1); `None` when all of `rx` is consumed and the
    /// end has not come. Whatever is returned, what was looked at is gone from `rx`.
    ///
    /// A piece is cut out of `rx` without a copy. Where a stuffing dot is dropped, the octets behind it move up inside
    /// the buffer, so that many dots make no small pieces.
    pub fn next(&mut self, rx: &mut BytesMut, max: usize) -> Option<Piece> {
        while !rx.is_empty() {
            let run = if self.faulty { self.skip(rx) } else { self.run(rx, max.max(1)) };
            let body = (run.body > 0).then(|| Piece::Body(take(rx, run.body, run.read)));
            if body.is_none() {
                rx.advance(run.read);
            }
            if body.is_some() || run.stop.is_some() {
                return body.or(run.stop);
            }
        }
        None
    }

    /// Walks over good octets, moving them up over dropped dots, until `max` of them are there, or `rx` is used up, or
    /// something stands next that is not body. That is only consumed, and reported, when it stands first.
    fn run(&mut self, rx: &mut BytesMut, max: usize) -> Run {
        let (mut read, mut body) = (0, 0);
        while read < rx.len() && body < max {
            // Most of a body is this: octets up to a dot that begins a line, or up to a CR that may not be one's last.
            let end = rx.len().min(read + (max - body)).min(read + BLOCK);
            let n = self.at.plain(&rx[read..end]);
            if n > 0 {
                self.at = if rx[read..read + n].ends_with(b"\r\n") { At::LineStart } else { At::Inside };
                if read != body {
                    rx.copy_within(read..read + n, body);
                }
                (read, body) = (read + n, body + n);
                continue;
            }
            let octet = rx[read];
            let (next, pass) = match self.at.after(octet) {
                Next::Body(next) => (next, true),
                Next::Drop(next) => (next, false),
                // What stands before it leaves first; then it is met again, at the front.
                _ if body > 0 => break,
                Next::End => {
                    self.at = At::LineStart;
                    return Run { read: read + 1, body, stop: Some(Piece::End) };
                }
                Next::Fault(next, fault) => {
                    (self.at, self.faulty) = (next, true);
                    return Run { read: read + 1, body, stop: Some(Piece::Fault(fault)) };
                }
            };
            if pass {
                rx[body] = octet;
                body += 1;
            }
            (read, self.at) = (read + 1, next);
        }
        Run { read, body, stop: None }
    }

    /// Walks on to the end of a faulty body.
    fn skip(&mut self, rx: &BytesMut) -> Run {
        let mut read = 0;
        while read < rx.len() {
            if self.at == At::Inside {
                let Some(cr) = memchr::memchr(b'\r', &rx[read..]) else {
                    break;
                };
                (read, self.at) = (read + cr + 1, At::Cr);
                continue;
            }
            let next = self.at.after(rx[read]);
            read += 1;
            self.at = match next {
                Next::Body(next) | Next::Drop(next) | Next::Fault(next, _) => next,
                Next::End => {
                    self.at = At::LineStart;
                    return Run { read, body: 0, stop: Some(Piece::End) };
                }
            };
        }
        Run { read: rx.len(), body: 0, stop: None }
    }
}

/// How far a walk went: `read` octets of `rx`, of which `body` stand at its front.
struct Run {
    read: usize,
    body: usize,
    stop: Option<Piece>,
}

/// What an octet means.
enum Next {
    Body(At),
    Drop(At),
    Fault(At, Fault),
    End,
}

impl At {
    /// How many octets of `block` are body for sure. None of them is the CR of a CRLF that ends behind them, so that
    /// the state behind them is known.
    fn plain(self, block: &[u8]) -> usize {
        match (self, block.first()) {
            (Self::LineStart, Some(b'.')) | (Self::Dot | Self::DotCr | Self::Cr, _) => return 0,
            _ => {}
        }
        // Up to the line that a dot begins, or else all, but not a CR whose LF is not here yet.
        let n = memchr::memmem::find(block, b"\r\n.").map_or(block.len(), |crlf| crlf + 2);
        let n = if block[..n].last() == Some(&b'\r') { n - 1 } else { n };
        if is_clean(&block[..n]) {
            return n;
        }
        memchr::memchr3(b'\r', b'\n', 0, block).unwrap_or(n)
    }

    /// The transition table.
    fn after(self, octet: u8) -> Next {
        match (self, octet) {
            (Self::DotCr, b'\n') => Next::End,
            (Self::Cr, b'\n') => Next::Body(Self::LineStart),
            (Self::Cr | Self::DotCr, b'\r') => Next::Fault(Self::Cr, Fault::BareCr),
            (Self::Cr | Self::DotCr, _) => Next::Fault(Self::Inside, Fault::BareCr),
            (_, b'\n') => Next::Fault(Self::Inside, Fault::BareLf),
            (_, 0) => Next::Fault(Self::Inside, Fault::Nul),
            (Self::Dot, b'\r') => Next::Drop(Self::DotCr),
            (Self::LineStart, b'.') => Next::Drop(Self::Dot),
            (_, b'\r') => Next::Body(Self::Cr),
            (_, _) => Next::Body(Self::Inside),
        }
    }
}

/// The first `body` octets; `read` of them leave `rx`.
fn take(rx: &mut BytesMut, body: usize, read: usize) -> Bytes {
    let mut piece = rx.split_to(read);
    piece.truncate(body);
    piece.freeze()
}

/// Puts a body into an [`Outbox`], with a dot before each line that begins with one, and the end behind it.
///
/// The body's lines must end with CRLF, as those of every stored message do.
#[derive(Clone, Debug)]
pub struct Stuff {
    at: At,
}

impl Default for Stuff {
    fn default() -> Self {
        Self::new()
    }
}

impl Stuff {
    /// At the start of a body.
    #[must_use]
    pub fn new() -> Self {
        Self { at: At::LineStart }
    }

    /// Appends the next octets of the body. Long stretches without a dot to stuff are passed on uncopied.
    pub fn push(&mut self, mut bytes: Bytes, tx: &mut Outbox) {
        while !bytes.is_empty() {
            if self.at == At::LineStart && bytes[0] == b'.' {
                tx.put(b".");
                self.at = At::Inside;
            }
            let n = self.stretch(&bytes);
            tx.push(bytes.split_to(n));
        }
    }

    /// Appends the end: CRLF if the body did not end with one, then `.` CRLF. Ready for another body afterwards.
    pub fn finish(&mut self, tx: &mut Outbox) {
        if self.at != At::LineStart {
            tx.put(b"\r\n");
        }
        tx.put(b".\r\n");
        self.at = At::LineStart;
    }

    /// How many octets stand before the next dot that begins a line; the state behind them.
    fn stretch(&mut self, bytes: &[u8]) -> usize {
        if self.at == At::Cr && bytes[0] == b'\n' && bytes.get(1) == Some(&b'.') {
            self.at = At::LineStart;
            return 1;
        }
        if let Some(crlf) = memchr::memmem::find(bytes, b"\r\n.") {
            self.at = At::LineStart;
            return crlf + 2;
        }
        self.at = match bytes {
            [.., b'\r', b'\n'] => At::LineStart,
            [b'\n'] if self.at == At::Cr => At::LineStart,
            [.., b'\r'] => At::Cr,
            _ => At::Inside,
        };
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Outcome {
        body: Vec<u8>,
        fault: Option<Fault>,
        /// What stands behind the end, if it came.
        rest: Option<Vec<u8>>,
    }

    fn unstuff(input: &[u8], step: usize, max: usize) -> Outcome {
        let (mut unstuff, mut rx) = (Unstuff::new(), BytesMut::new());
        let mut out = Outcome { body: vec![], fault: None, rest: None };
        for piece in input.chunks(step) {
            rx.extend_from_slice(piece);
            while out.rest.is_none() {
                match unstuff.next(&mut rx, max) {
                    Some(Piece::Body(bytes)) => {
                        assert!(!bytes.is_empty() && bytes.len() <= max && out.fault.is_none());
                        out.body.extend_from_slice(&bytes);
                    }
                    Some(Piece::Fault(fault)) => assert_eq!(out.fault.replace(fault), None),
                    Some(Piece::End) => out.rest = Some(vec![]),
                    None => {
                        assert!(rx.is_empty());
                        break;
                    }
                }
            }
            if let Some(rest) = &mut out.rest {
                rest.extend_from_slice(&rx.split());
            }
        }
        out
    }

    fn check(input: &[u8], body: &[u8], fault: Option<Fault>, rest: Option<&[u8]>) {
        let expected = Outcome { body: body.to_vec(), fault, rest: rest.map(<[u8]>::to_vec) };
        for step in 1..=input.len().max(1) {
            for max in [1, 2, 3, 7, 1000] {
                assert_eq!(unstuff(input, step, max), expected, "{} by {step}, {max}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn a_body_ends_where_it_ends() {
        check(b"Hi\r\n.\r\nQUIT\r\n", b"Hi\r\n", None, Some(b"QUIT\r\n"));
        check(b".\r\nQUIT\r\n", b"", None, Some(b"QUIT\r\n"));
        check(b"\r\n.\r\n", b"\r\n", None, Some(b""));
        check(b"..\r\n...\r\n.a\r\n.\r\n.", b".\r\n..\r\na\r\n", None, Some(b"."));
        check(b"a.\r\nb\r\n", b"a.\r\nb\r\n", None, None);
        check(b"a\r\n.", b"a\r\n", None, None);
    }

    #[test]
    fn nothing_else_ends_it() {
        use Fault::{BareCr, BareLf, Nul};
        check(b"a\n.\nX\r\n.\r\nQ", b"a", Some(BareLf), Some(b"Q"));
        check(b"a\n.\r\nX\r\n.\r\nQ", b"a", Some(BareLf), Some(b"Q"));
        check(b"a\r\n.\nX\r\n.\r\nQ", b"a\r\n", Some(BareLf), Some(b"Q"));
        check(b"a\r.\rX\r\n.\r\nQ", b"a\r", Some(BareCr), Some(b"Q"));
        check(b"a\r.\r\nX\r\n.\r\nQ", b"a\r", Some(BareCr), Some(b"Q"));
        check(b"a\r\n.\rX\r\n.\r\nQ", b"a\r\n", Some(BareCr), Some(b"Q"));
        check(b"a\r\n.\r\r\nX\r\n.\r\nQ", b"a\r\n", Some(BareCr), Some(b"Q"));
        check(b"a\r\n\0.\r\nX\r\n.\r\nQ", b"a\r\n", Some(Nul), Some(b"Q"));
        check(b"a\r\n.\0\r\nX\r\n.\r\nQ", b"a\r\n", Some(Nul), Some(b"Q"));
        check(b"\n.\r\n", b"", Some(BareLf), None);
    }

    #[test]
    fn stuffing_and_unstuffing_are_each_others_inverse() {
        let bodies: [&[u8]; 8] =
            [b"", b".", b".\r\n", b"a\r\n.b\r\n..\r\n", b"\r\n.\r\n.\r\n", b"no end", b"\r\n\r\n", b"a\r\n."];
        for body in bodies {
            for step in 1..=body.len().max(1) {
                let (mut stuff, mut tx) = (Stuff::new(), Outbox::new(1));
                for piece in body.chunks(step) {
                    stuff.push(Bytes::copy_from_slice(piece), &mut tx);
                }
                stuff.finish(&mut tx);
                let wire: Vec<u8> = tx.slices().flatten().copied().collect();
                let mut whole = body.to_vec();
                if !body.is_empty() && !body.ends_with(b"\r\n") {
                    whole.extend_from_slice(b"\r\n");
                }
                let expected = Outcome { body: whole, fault: None, rest: Some(vec![]) };
                assert_eq!(unstuff(&wire, wire.len(), 1000), expected, "{} by {step}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn a_body_without_dots_is_not_copied() {
        let mut rx = BytesMut::from(&b"Subject: x\r\n\r\nHi\r\n.\r\n"[..]);
        let start = rx.as_ptr();
        let Some(Piece::Body(bytes)) = Unstuff::new().next(&mut rx, 100) else { panic!("no body") };
        assert_eq!((bytes.as_ptr(), bytes.len()), (start, 18));
    }
}
