//! Framing before grammar: lines, announcements of literals, and literals, out of a growing buffer (RFC 9051 §2.2.1, §4.3).
//!
//! A command is text in which literals stand: `a LOGIN {5}`, CRLF, `alice {3}`, CRLF, `pw`, … What ends a run of text is
//! a CRLF; when `{n}` stands before it, the text is interrupted by n octets of anything. That is all that is known here.
//!
//! ```text
//!                  CRLF: Line
//!                 +----------+
//!                 v          |   {n} CRLF: LiteralHeader
//!               Text --------+----------------------------> Literal
//!                | ^ ^                                        | | |
//!          Fault | | |  all octets out: LiteralBytes …        | | | refuse(), and n octets are announced all the same
//!                | | +----------------------------------------+ | |
//!                | | refuse(), and the client waits for us      | |
//!                | +--------------------------------------------+ |
//!                v                                                v
//!             Swallow <---------------------------------------- Skip
//!                |  ^                n octets are gone             ^
//!                |  +-- CRLF                                       |
//!                +------------------------------- {n+} CRLF -------+
//! ```
//!
//! From Swallow, a CRLF that no announcement stands before leads back to Text: the refused command is over.

use bytes::{Buf, Bytes, BytesMut};

use super::types::{Literal, LiteralMode};
use crate::line::Fault;

/// Bounds of framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one command's text, with its CRLFs and without its literals. 8 KiB: what clients are told to keep to
    /// (RFC 9051 §4), and more than enough.
    pub line: usize,
    /// Octets of all literals of one command, without the message of an APPEND: names, passwords, search strings.
    pub literals: usize,
    /// Octets of one non-synchronising literal: 4096 under LITERAL- (RFC 7888 §5), [`u64::MAX`] under LITERAL+.
    pub non_synchronizing: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 8 * 1024, literals: 4 * 1024, non_synchronizing: 4096 }
    }
}

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text, and the CRLF that ends it and the command. The CRLF is not in here.
    Line(Bytes),
    /// Text, and the announcement of a literal behind it, which is not in here either. Say now what shall become of the
    /// literal; when nothing is said, it leaves in pieces.
    LiteralHeader(Bytes, Literal),
    /// Octets of the literal: all of them after [`whole`](Framing::whole), else some, and never none.
    LiteralBytes(Bytes),
    /// The command is not one, for what stands behind this text. It is told once; the rest of the command is dropped.
    Fault(Bytes, FrameFault),
}

/// What is wrong with a run of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// It is longer than [`Limits::line`].
    TooLong,
    /// It holds an octet that may not be in it.
    Octet(Fault),
}

/// Cuts frames out of `rx`. It remembers how far it has looked, so that bytes that dribble in are looked at once.
#[derive(Clone, Debug)]
pub struct Framing {
    limits: Limits,
    state: State,
    /// Octets at the front of `rx` in which no CR, LF or NUL stands.
    scanned: usize,
    /// Octets of text that the command has had so far.
    text: usize,
    /// Octets taken out of `rx` so far.
    consumed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or inside a run of text.
    Text,
    /// Inside a literal: so many octets are left, and they leave as they come.
    Literal(u64),
    /// At a literal that leaves at once.
    Whole(usize),
    /// Inside a literal that is dropped; it is a part of a refused command.
    Skip(u64),
    /// Inside the text of a refused command.
    Swallow,
}

impl Framing {
    /// At the start of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Text, scanned: 0, text: 0, consumed: 0 }
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many octets were taken out of `rx`: the position of the next one in the stream.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether the rest of a refused command is still to come.
    #[must_use]
    pub fn is_swallowing(&self) -> bool {
        matches!(self.state, State::Skip(_) | State::Swallow)
    }

    /// Octets of the literal that are still to come; 0 outside of one.
    #[must_use]
    pub fn literal_left(&self) -> u64 {
        match self.state {
            State::Literal(left) => left,
            State::Whole(len) => len as u64,
            _ => 0,
        }
    }

    /// Drops what is there of a refused command; true when nothing of one is left. [`next`](Self::next) does it by
    /// itself; this is for a caller who must know which command an octet belonged to.
    pub fn pass_refused(&mut self, rx: &mut BytesMut) -> bool {
        while self.is_swallowing() {
            if self.pass_over(rx).is_none() {
                return false;
            }
        }
        true
    }

    /// The next frame; `None` when it needs more octets. A piece of a literal has at most `chunk` octets (at least 1).
    pub fn next(&mut self, rx: &mut BytesMut, chunk: usize) -> Option<Frame> {
        loop {
            match self.state {
                State::Text => return self.text(rx),
                State::Literal(0) => self.state = State::Text,
                State::Literal(left) => {
                    let n = fit(left, rx.len()).min(chunk.max(1));
                    if n == 0 {
                        return None;
                    }
                    self.state = State::Literal(left - n as u64);
                    return Some(Frame::LiteralBytes(self.take(rx, n)));
                }
                State::Whole(len) if rx.len() < len => return None,
                State::Whole(len) => {
                    self.state = State::Text;
                    return Some(Frame::LiteralBytes(self.take(rx, len)));
                }
                State::Skip(_) | State::Swallow => self.pass_over(rx)?,
            }
        }
    }

    /// A line that is not a command's: an answer in an exchange that some command began. No literal stands in it, and
    /// it has a maximum of its own, CRLF included.
    pub fn line(&mut self, rx: &mut BytesMut, max: usize) -> Option<Frame> {
        if !self.pass_refused(rx) {
            return None;
        }
        debug_assert_eq!(self.state, State::Text, "inside a literal there are no lines");
        match self.scan(rx, max) {
            Ok(len) => Some(Frame::Line(self.cut(rx, len?))),
            Err(fault) => Some(fault),
        }
    }

    /// The literal just announced leaves in pieces, as it comes. It is no argument but the matter itself, and for the
    /// text behind it the limit of a line begins anew: many messages may come in one command.
    pub fn stream(&mut self) {
        self.text = 0;
        if let State::Whole(len) = self.state {
            self.state = State::Literal(len as u64);
        }
    }

    /// The literal just announced leaves at once, also when it is empty. Only for one that is small: until it is there,
    /// it stays in `rx`.
    pub fn whole(&mut self) {
        if let State::Literal(len) = self.state
            && let Ok(len) = usize::try_from(len)
        {
            self.state = State::Whole(len);
        }
    }

    /// The command is refused, and the rest of it will be dropped, whatever it is: octets of a literal that were
    /// announced are never taken for commands. `waits`: the client will not send the literal just announced, since it
    /// waits for us to say so; then the command is over.
    pub fn refuse(&mut self, waits: bool) {
        self.text = 0;
        self.state = match self.state {
            State::Literal(_) | State::Whole(_) if waits => State::Text,
            State::Literal(left) => State::Skip(left),
            State::Whole(len) => State::Skip(len as u64),
            State::Text => State::Swallow,
            state => state,
        };
    }

    fn text(&mut self, rx: &mut BytesMut) -> Option<Frame> {
        let max = self.limits.line.saturating_sub(self.text);
        let len = match self.scan(rx, max) {
            Ok(len) => len?,
            Err(fault) => return Some(fault),
        };
        let Some(header) = Header::behind(&rx[..len], Sight::Whole) else {
            self.text = 0;
            return Some(Frame::Line(self.cut(rx, len)));
        };
        self.text += len + 2;
        let text = self.cut(rx, len).slice(..len - header.octets);
        self.state = State::Literal(header.literal.len);
        Some(Frame::LiteralHeader(text, header.literal))
    }

    /// Looks for the CRLF: so many octets stand before it. Or the fault that comes first.
    fn scan(&mut self, rx: &mut BytesMut, max: usize) -> Result<Option<usize>, Frame> {
        // The CR of a text that fits stands at index `max - 2` at the latest.
        let bound = max.max(2) - 1;
        let end = rx.len().min(bound);
        let Some(at) = memchr::memchr3(b'\r', b'\n', 0, &rx[self.scanned.min(end)..end]) else {
            self.scanned = end;
            return if end == bound { Err(self.fault(rx, end, FrameFault::TooLong)) } else { Ok(None) };
        };
        let at = self.scanned + at;
        self.scanned = at;
        let fault = match rx[at] {
            b'\r' if rx.len() == at + 1 => return Ok(None),
            b'\r' if rx[at + 1] == b'\n' => return Ok(Some(at)),
            b'\r' => Fault::BareCr,
            b'\n' => Fault::BareLf,
            _ => Fault::Nul,
        };
        Err(self.fault(rx, at, FrameFault::Octet(fault)))
    }

    fn fault(&mut self, rx: &BytesMut, at: usize, fault: FrameFault) -> Frame {
        self.state = State::Swallow;
        self.scanned = at;
        self.text = 0;
        Frame::Fault(Bytes::copy_from_slice(&rx[..at.min(HEAD)]), fault)
    }

    /// One step through a refused command; `None` when that needs more octets.
    fn pass_over(&mut self, rx: &mut BytesMut) -> Option<()> {
        match self.state {
            State::Skip(0) => self.state = State::Swallow,
            State::Skip(_) if rx.is_empty() => return None,
            State::Skip(left) => {
                let n = fit(left, rx.len());
                self.drop(rx, n);
                self.state = State::Skip(left - n as u64);
            }
            State::Swallow => self.swallow(rx)?,
            State::Text | State::Literal(_) | State::Whole(_) => {}
        }
        Some(())
    }

    /// Drops text up to a CRLF, and then goes on where that leads; `None` when it is not there yet.
    fn swallow(&mut self, rx: &mut BytesMut) -> Option<()> {
        let Some(at) = memchr::memmem::find(&rx[self.scanned..], b"\r\n") else {
            // What may be the start of an announcement stays, and so does a CR.
            let n = rx.len().saturating_sub(Header::MAX + 1);
            self.drop(rx, n);
            self.scanned = rx.len().saturating_sub(1);
            return None;
        };
        let at = self.scanned + at;
        let header = Header::behind(&rx[..at], Sight::Tail);
        self.drop(rx, at + 2);
        self.state = match header {
            // The client waits for us, and was told already.
            Some(Header { literal: Literal { mode: LiteralMode::Synchronizing, .. }, .. }) | None => State::Text,
            Some(header) => State::Skip(header.literal.len),
        };
        Some(())
    }

    /// Takes text of `len` octets and its CRLF.
    fn cut(&mut self, rx: &mut BytesMut, len: usize) -> Bytes {
        let text = self.take(rx, len);
        self.drop(rx, 2);
        text
    }

    fn take(&mut self, rx: &mut BytesMut, n: usize) -> Bytes {
        self.consumed += n as u64;
        self.scanned = 0;
        rx.split_to(n).freeze()
    }

    fn drop(&mut self, rx: &mut BytesMut, n: usize) {
        self.consumed += n as u64;
        self.scanned = 0;
        rx.advance(n);
    }
}

/// Octets of a faulty text that are told: enough for its tag and its command's name.
const HEAD: usize = 128;

/// An announcement: `{n}`, `{n+}`, `~{n}`, `~{n+}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    literal: Literal,
    /// Octets of the announcement.
    octets: usize,
}

/// How much of a text is looked at for an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// All of it.
    Whole,
    /// The last [`Header::MAX`] octets; what stood before them may be gone.
    Tail,
}

impl Header {
    /// Octets of an announcement that is looked at: the tilde, the braces, the plus, and as many digits as 2^64 has.
    const MAX: usize = 4 + Self::DIGITS;
    const DIGITS: usize = 20;

    /// The announcement at the end of `text`. One that has more digits than any number is taken for the largest number:
    /// whoever sends it will not be understood from there on, but nothing that he sends is taken for a command.
    fn behind(text: &[u8], sight: Sight) -> Option<Self> {
        let inner = text.strip_suffix(b"}")?;
        let (inner, mode) = match inner.strip_suffix(b"+") {
            Some(inner) => (inner, LiteralMode::NonSynchronizing),
            None => (inner, LiteralMode::Synchronizing),
        };
        let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
        let (before, number) = inner.split_at(inner.len() - digits);
        let overlong = digits > Self::DIGITS;
        let before = match before.strip_suffix(b"{") {
            _ if overlong && sight == Sight::Tail => before,
            Some(before) if digits > 0 => before,
            _ => return None,
        };
        let value = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        let len = if overlong { None } else { number.iter().try_fold(0, value) };
        let binary = before.ends_with(b"~");
        let octets = text.len() - before.len() + usize::from(binary);
        Some(Self { literal: Literal { len: len.unwrap_or(u64::MAX), mode, binary }, octets })
    }
}

/// How much of `left` there is in `there` octets.
fn fit(left: u64, there: usize) -> usize {
    usize::try_from(left).map_or(there, |left| left.min(there))
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn line(text: &'static [u8]) -> Frame {
        Frame::Line(Bytes::from_static(text))
    }

    fn header(text: &'static [u8], len: u64, mode: LiteralMode, binary: bool) -> Frame {
        Frame::LiteralHeader(Bytes::from_static(text), Literal { len, mode, binary })
    }

    fn bytes(octets: &'static [u8]) -> Frame {
        Frame::LiteralBytes(Bytes::from_static(octets))
    }

    fn fault(text: &'static [u8], fault: FrameFault) -> Frame {
        Frame::Fault(Bytes::from_static(text), fault)
    }

    /// All frames of `input`, fed in pieces of `step` octets. `decide` is asked at each announcement. Pieces of a literal
    /// are joined.
    fn frames(limits: &Limits, input: &[u8], step: usize, decide: fn(&mut Framing, Literal)) -> Vec<Frame> {
        let (mut framing, mut rx, mut out) = (Framing::new(limits.clone()), BytesMut::new(), Vec::new());
        for piece in input.chunks(step) {
            rx.extend_from_slice(piece);
            while let Some(frame) = framing.next(&mut rx, 3) {
                if let Frame::LiteralHeader(_, literal) = frame {
                    decide(&mut framing, literal);
                }
                match (out.last_mut(), frame) {
                    (Some(Frame::LiteralBytes(before)), Frame::LiteralBytes(more)) => {
                        *before = [&before[..], &more[..]].concat().into();
                    }
                    (_, frame) => out.push(frame),
                }
            }
            assert!(rx.len() <= limits.line.max(64), "a refused command is not kept");
        }
        assert_eq!(framing.consumed(), (input.len() - rx.len()) as u64);
        out
    }

    fn check(input: &[u8], decide: fn(&mut Framing, Literal), expected: &[Frame]) {
        let limits = Limits { line: 40, ..Limits::default() };
        for step in 1..=input.len() {
            assert_eq!(frames(&limits, input, step, decide), expected, "{} by {step}", input.escape_ascii());
        }
    }

    fn whole(framing: &mut Framing, _: Literal) {
        framing.whole();
    }

    fn stream(framing: &mut Framing, _: Literal) {
        framing.stream();
    }

    fn refuse(framing: &mut Framing, literal: Literal) {
        framing.refuse(literal.mode == LiteralMode::Synchronizing);
    }

    use LiteralMode::{NonSynchronizing, Synchronizing};

    #[test]
    fn text_is_interrupted_by_literals() {
        let input = b"a LOGIN {5}\r\nal\r\ni {0+}\r\n\r\nb NOOP\r\nc x {2}";
        let header = |text, len, mode| header(text, len, mode, false);
        let (first, second) = (header(b"a LOGIN ", 5, Synchronizing), header(b" ", 0, NonSynchronizing));
        let (begin, end) = (bytes(b"al\r\ni"), line(b"b NOOP"));
        check(input, stream, &[first.clone(), begin.clone(), second.clone(), line(b""), end.clone()]);
        check(input, whole, &[first, begin, second, bytes(b""), line(b""), end]);
    }

    #[test]
    fn announcements() {
        type Found = Option<(u64, LiteralMode, bool, usize)>;
        let cases: [(&[u8], Found); 16] = [
            (b"x {0}", Some((0, Synchronizing, false, 3))),
            (b"{12+}", Some((12, NonSynchronizing, false, 5))),
            (b"x ~{12}", Some((12, Synchronizing, true, 5))),
            (b"~{12+}", Some((12, NonSynchronizing, true, 6))),
            (b"{007}", Some((7, Synchronizing, false, 5))),
            (b"{18446744073709551615}", Some((u64::MAX, Synchronizing, false, 22))),
            (b"{18446744073709551616}", Some((u64::MAX, Synchronizing, false, 22))),
            (b"{000000000000000000005}", Some((u64::MAX, Synchronizing, false, 23))),
            (b"{}", None),
            (b"{+}", None),
            (b"{-1}", None),
            (b"{1-}", None),
            (b"{1 }", None),
            (b"12}", None),
            (b"{1} ", None),
            (b"", None),
        ];
        for (text, expected) in cases {
            let found = Header::behind(text, Sight::Whole);
            let found =
                found.map(|Header { literal: Literal { len, mode, binary }, octets }| (len, mode, binary, octets));
            assert_eq!(found, expected, "{}", text.escape_ascii());
        }
        let digits = b"123456789012345678901+}";
        assert_eq!(Header::behind(digits, Sight::Whole), None);
        assert_eq!(Header::behind(digits, Sight::Tail).map(|header| header.literal.len), Some(u64::MAX));
    }

    #[test]
    fn what_is_refused_is_never_taken_for_a_command() {
        let header = |text, len, mode| header(text, len, mode, false);
        check(
            b"a x {8+}\r\nb LOGOUT {3+}\r\n\r\nc y\r\nd NOOP\r\n",
            refuse,
            &[header(b"a x ", 8, NonSynchronizing), line(b"d NOOP")],
        );
        // The client waits, and is told NO instead.
        check(b"a x {8}\r\nb NOOP\r\n", refuse, &[header(b"a x ", 8, Synchronizing), line(b"b NOOP")]);
        check(b"a x {2+}\r\nxx {99}\r\nb NOOP\r\n", refuse, &[header(b"a x ", 2, NonSynchronizing), line(b"b NOOP")]);
        // It would come to an end one day.
        check(b"a x {99999999999999999999+}\r\nb NOOP\r\n", refuse, &[header(b"a x ", u64::MAX, NonSynchronizing)]);
    }

    #[test]
    fn a_faulty_command_is_told_once() {
        use FrameFault::{Octet, TooLong};
        check(b"a b\nc\nd {2}\r\nb NOOP\r\n", whole, &[fault(b"a b", Octet(Fault::BareLf)), line(b"b NOOP")]);
        check(b"a b\0\0\r\nb NOOP\r\n", whole, &[fault(b"a b", Octet(Fault::Nul)), line(b"b NOOP")]);
        check(b"a b\r\r\nb NOOP\r\n", whole, &[fault(b"a b", Octet(Fault::BareCr)), line(b"b NOOP")]);
        check(
            b"a b\nc {10+}\r\nx LOGOUT\r\n {1+}\r\n\r\n\r\nb NOOP\r\n",
            whole,
            &[fault(b"a b", Octet(Fault::BareLf)), line(b"b NOOP")],
        );
        // 40 octets with CRLF are good, 41 are not; wherever the limit falls, the announcement behind it is seen.
        check(b"a 3456789012345678901234567890123456 8\r\n", whole, &[line(b"a 3456789012345678901234567890123456 8")]);
        for long in 25..50 {
            let mut input = vec![b'a'; long];
            input.extend_from_slice(b" ~{6+}\r\nb x\r\n\0 {0+}\r\nx\r\nb NOOP\r\n");
            let limits = Limits { line: 30, ..Limits::default() };
            for step in 1..input.len() {
                let expected = [fault(&[b'a'; 29], TooLong), line(b"b NOOP")];
                let mut found = frames(&limits, &input, step, whole);
                if let Some(Frame::Fault(text, _)) = found.first_mut() {
                    // For the shorter ones the announcement itself is what is too much.
                    *text = Bytes::from_static(&[b'a'; 29]);
                }
                assert_eq!(found, expected, "{long} by {step}");
            }
        }
    }

    #[test]
    fn the_limit_is_for_all_text_of_a_command() {
        let header = |text| header(text, 1, NonSynchronizing, false);
        check(
            b"a 34567890 {1+}\r\nx 34567890 {1+}\r\nx 34567\r\nb NOOP\r\n",
            whole,
            &[
                header(b"a 34567890 "),
                bytes(b"x"),
                header(b" 34567890 "),
                bytes(b"x"),
                fault(b" 34567", FrameFault::TooLong),
                line(b"b NOOP"),
            ],
        );
    }

    #[test]
    fn a_line_of_an_exchange_holds_no_literal() {
        let (mut framing, mut rx) = (Framing::new(Limits::default()), BytesMut::from(&b"a b\0\r\nDONE {5}\r\nx"[..]));
        assert_eq!(framing.next(&mut rx, 1), Some(fault(b"a b", FrameFault::Octet(Fault::Nul))));
        assert_eq!(framing.line(&mut rx, 100), Some(line(b"DONE {5}")));
        assert_eq!(framing.line(&mut rx, 100), None);
        rx.extend_from_slice(&[b'x'; 100]);
        assert!(matches!(framing.line(&mut rx, 100), Some(Frame::Fault(_, FrameFault::TooLong))));
    }

    #[test]
    fn nothing_is_copied() {
        let mut rx = BytesMut::from(&b"a LOGIN {5}\r\nalice pw\r\n"[..]);
        let (mut framing, start) = (Framing::new(Limits::default()), rx.as_ptr() as usize);
        let Some(Frame::LiteralHeader(text, _)) = framing.next(&mut rx, 1) else { panic!("no announcement") };
        framing.whole();
        let Some(Frame::LiteralBytes(user)) = framing.next(&mut rx, 1) else { panic!("no literal") };
        assert_eq!((text.as_ptr() as usize, user.as_ptr() as usize), (start, start + 13));
    }
}
