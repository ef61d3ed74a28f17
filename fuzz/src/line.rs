//! The framing that all text protocols share: lines, dot-stuffed bodies, octets that are counted.

use bytes::{Bytes, BytesMut};
use pillarbox_core::Outbox;
use pillarbox_core::line::dot::{Piece, Stuff, Unstuff};
use pillarbox_core::line::{Fault, Line, LineReader, Strict};

use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::{choice, ways};

pub(crate) fn words() -> &'static [&'static str] {
    &["\r\n", "\r\n.\r\n", ".\r\n", "\n.\n", "\r\n.", "..", "\0", "\r", "\n", "\r\r\n"]
}

/// Lines of at most so many octets as the first octet of the input says, and the same octets as a counted message.
pub(crate) fn lines(input: &[u8]) {
    let (max, stream) = choice(input);
    let max = 2 + usize::from(max);
    let whole = linear(stream.len(), Allowance::of(200, 4096), || read_lines(&[stream], max));
    let (lines, left, consumed) = &whole;
    assert!(*left < max && *consumed == (stream.len() - left) as u64);
    for line in lines {
        if let Line::Whole(line) = line {
            assert!(line.len() + 2 <= max && !line.iter().any(|octet| b"\r\n\0".contains(octet)));
        }
    }
    let judged = judge(&[stream]);
    assert_eq!(judged.is_ok(), is_strict(stream));
    for pieces in ways(stream) {
        assert_eq!(read_lines(&pieces, max), whole);
        assert_eq!(judge(&pieces), judged);
    }
}

fn read_lines(pieces: &[&[u8]], max: usize) -> (Vec<Line>, usize, u64) {
    let octets = pieces.iter().map(|piece| piece.len()).sum();
    let mut steps = Steps::of(octets, 1, 1);
    let (mut reader, mut rx, mut lines) = (LineReader::new(max), BytesMut::new(), Vec::new());
    for piece in pieces {
        rx.extend_from_slice(piece);
        while let Some(line) = reader.next(&mut rx) {
            steps.step();
            lines.push(line);
        }
    }
    (lines, rx.len(), reader.consumed())
}

/// Whether its last line has no CRLF; or where the first fault is.
fn judge(pieces: &[&[u8]]) -> Result<bool, (usize, Fault)> {
    let (mut strict, mut good) = (Strict::new(), 0);
    for piece in pieces {
        strict.check(piece).map_err(|(at, fault)| (good + at, fault))?;
        good += piece.len();
    }
    strict.finish().map_err(|fault| (good, fault))
}

/// The definition: without its CRLFs there is no CR, LF or NUL in it.
fn is_strict(stream: &[u8]) -> bool {
    let mut rest = stream.iter().peekable();
    while let Some(octet) = rest.next() {
        match octet {
            b'\r' if rest.next_if_eq(&&b'\n').is_some() => {}
            b'\r' | b'\n' | 0 => return false,
            _ => {}
        }
    }
    true
}

/// Octets of the body, the fault, and how many octets stand behind the end.
type Outcome = (Vec<u8>, Option<Fault>, Option<usize>);

/// A dot-stuffed body, in pieces of at most so many octets as the first octet of the input says; what comes out is stuffed
/// again.
pub(crate) fn dot(input: &[u8]) {
    let (max, stream) = choice(input);
    let max = 1 + usize::from(max);
    let whole = linear(stream.len(), Allowance::of(200, 4096), || unstuff(&[stream], max));
    assert_eq!(whole, unstuffed(stream));
    for pieces in ways(stream) {
        assert_eq!(unstuff(&pieces, max), whole);
    }
    let body = whole.0;
    if !is_strict(&body) {
        return;
    }
    let stuffed = stuff(&[&body]);
    for pieces in ways(&body) {
        assert_eq!(stuff(&pieces), stuffed);
    }
    let mut again = body;
    if !again.is_empty() && !again.ends_with(b"\r\n") {
        again.extend_from_slice(b"\r\n");
    }
    assert_eq!(unstuffed(&stuffed), (again, None, Some(0)));
}

fn unstuff(pieces: &[&[u8]], max: usize) -> Outcome {
    let octets: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut steps = Steps::of(octets, 3, 4);
    let (mut unstuff, mut rx) = (Unstuff::new(), BytesMut::new());
    let mut outcome: Outcome = (Vec::new(), None, None);
    let mut fed = 0;
    for piece in pieces {
        rx.extend_from_slice(piece);
        fed += piece.len();
        while outcome.2.is_none() {
            steps.step();
            match unstuff.next(&mut rx, max) {
                Some(Piece::Body(bytes)) => {
                    assert!(!bytes.is_empty() && bytes.len() <= max);
                    outcome.0.extend_from_slice(&bytes);
                }
                Some(Piece::Fault(fault)) => assert_eq!(outcome.1.replace(fault), None),
                Some(Piece::End) => outcome.2 = Some(octets - (fed - rx.len())),
                None => {
                    assert!(rx.is_empty());
                    break;
                }
            }
        }
    }
    outcome
}

/// The definition: the first CRLF `.` CRLF ends it, and the first forbidden octet before that end spoils it.
fn unstuffed(stream: &[u8]) -> Outcome {
    let framed = [b"\r\n", stream].concat();
    let end = framed.windows(5).position(|five| five == b"\r\n.\r\n");
    let inside = &stream[..end.map_or(stream.len(), |at| at + 3)];
    let before = |at: usize| at.checked_sub(1).map(|at| inside[at]);
    let fault = (0..inside.len()).find_map(|at| match inside[at] {
        0 => Some((at, Fault::Nul)),
        b'\n' if before(at) != Some(b'\r') => Some((at, Fault::BareLf)),
        b'\r' if inside.get(at + 1).is_some_and(|next| *next != b'\n') => Some((at + 1, Fault::BareCr)),
        _ => None,
    });
    let good = fault.map_or(inside, |(at, _)| &inside[..at]);
    let mut body = Vec::new();
    for line in good.split_inclusive(|octet| *octet == b'\n') {
        let line =
            line.strip_prefix(b".").map_or(line, |rest| if rest == b"\r\n" || rest == b"\r" { b"" } else { rest });
        body.extend_from_slice(line);
    }
    (body, fault.map(|(_, fault)| fault), end.map(|at| stream.len() - (at + 3)))
}

fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
    let (mut stuff, mut tx) = (Stuff::new(), Outbox::new(1));
    for piece in pieces {
        stuff.push(Bytes::copy_from_slice(piece), &mut tx);
    }
    stuff.finish(&mut tx);
    tx.slices().flatten().copied().collect()
}
