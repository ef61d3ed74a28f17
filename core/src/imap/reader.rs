//! From octets to commands: framing and grammar together, as a server's session uses them.
//!
//! ```
//! use bytes::BytesMut;
//! use pillarbox_core::imap::framing::Limits;
//! use pillarbox_core::imap::reader::{Input, Reader};
//! use pillarbox_core::imap::types::Command;
//!
//! let mut reader = Reader::new(Limits::default());
//! let mut rx = BytesMut::from("a1 NOOP\r\na2 SELECT {5}\r\n");
//! let Some(Input::Command(noop)) = reader.next(&mut rx, 4096) else { panic!() };
//! assert_eq!((noop.tag.as_bytes(), noop.command), (&b"a1"[..], Command::Noop));
//! // The client waits for us: write `+ go on`.
//! assert_eq!(reader.next(&mut rx, 4096), Some(Input::Continue));
//! rx.extend_from_slice(b"inbox\r\n");
//! let Some(Input::Command(select)) = reader.next(&mut rx, 4096) else { panic!() };
//! assert_eq!(select.command.name(), "SELECT");
//! ```
//!
//! # The message of an APPEND
//!
//! APPEND comes as a [`Command`] as soon as its message is announced. The session says [`accept`](Reader::accept) (and writes a
//! continuation request, if the client waits for one) or [`refuse`](Reader::refuse). Then come the message's octets as
//! [`Input::Octets`], further messages as [`Input::Message`], each to be accepted or refused, and at last [`Input::End`].
//! [`Input::Bad`] may come instead, and then the whole APPEND is void.
//!
//! # Lines of an exchange
//!
//! IDLE and AUTHENTICATE turn the stream to lines that are no commands: say [`exchange`](Reader::exchange), once for each line
//! to come.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::{Bytes, BytesMut};

use super::framing::{Frame, FrameFault, Framing, Limits};
use super::grammar::{self, Announced, Bad, Piece, SyntaxError};
use super::types::{AppendMessage, Command, Literal, LiteralMode, Names, Tag, Tagged};

/// What a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A command. After [`Command::Append`], say what shall become of its message.
    Command(Tagged),
    /// Something that is no command; answer BAD. It is over: whatever of it is still to come is dropped.
    Bad(Bad),
    /// The client waits with an argument: write a continuation request.
    Continue,
    /// Octets of an APPEND's message: never none, and at most as many as were asked for.
    Octets(Bytes),
    /// Another message of the same APPEND; say what shall become of it.
    Message(AppendMessage),
    /// The APPEND is complete.
    End,
    /// A line of an exchange, without its CRLF.
    Line(Bytes),
    /// A line of an exchange that is none, or is too long; the exchange is over. The rest of the line is dropped.
    BadLine(FrameFault),
}

/// An exchange of lines that a command begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// IDLE: the line that comes should be `DONE`.
    Idle,
    /// AUTHENTICATE: a response in base64, or `*`. It is secret.
    Authenticate,
}

/// Reads the commands of one connection.
#[derive(Debug)]
pub struct Reader {
    framing: Framing,
    names: Names,
    state: State,
    /// The command so far, when literals stand in it.
    pieces: Vec<Piece>,
    /// Octets of literals in `pieces`.
    gathered: u64,
    /// The rest of the command is secret.
    secret: bool,
    secrets: Vec<Range<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Command,
    Exchange(Exchange),
    Append(Append),
}

/// Where an APPEND is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Append {
    tag: Tag,
    /// Messages so far.
    messages: usize,
    /// The one that was announced last.
    literal: Literal,
    /// It stands in `UTF8 (…)`.
    utf8: bool,
    /// The session has not yet said what shall become of it.
    undecided: bool,
}

/// What a frame has led to.
enum Next {
    Input(Input),
    /// Nothing yet; look at the next frame.
    GoOn,
    /// More octets are needed.
    Starved,
}

impl Reader {
    /// Octets of a line in an exchange, CRLF included: what SASL mechanisms need, and Kerberos most of all (RFC 4422 has
    /// no limit; 12,288 is SMTP's, RFC 4954 §4).
    pub const MAX_RESPONSE: usize = 12 * 1024 + 2;

    /// At the start of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            framing: Framing::new(limits),
            names: Names::Utf7,
            state: State::Command,
            pieces: Vec::new(),
            gathered: 0,
            secret: false,
            secrets: Vec::new(),
        }
    }

    /// From the next command on, mailbox names are written so.
    pub fn set_names(&mut self, names: Names) {
        self.names = names;
    }

    /// How many octets were taken out of `rx`: the position of the next one in the stream.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.framing.consumed()
    }

    /// Whether a command has begun, and its end has not come. An APPEND is one.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.pieces.is_empty() || matches!(self.state, State::Append(_)) || self.framing.is_swallowing()
    }

    /// Positions in the stream of what was secret since [`forget_secrets`](Self::forget_secrets), for the session's
    /// [`secrets`](crate::session::Session::secrets).
    #[must_use]
    pub fn secrets(&self) -> &[Range<u64>] {
        &self.secrets
    }

    /// To be called when a poll begins.
    pub fn forget_secrets(&mut self) {
        self.secrets.clear();
    }

    /// The next line is one of an exchange.
    pub fn exchange(&mut self, exchange: Exchange) {
        self.state = State::Exchange(exchange);
    }

    /// The message just announced shall come. `true`: the client waits to hear so, write a continuation request.
    #[must_use]
    pub fn accept(&mut self) -> bool {
        let State::Append(append) = &mut self.state else {
            return false;
        };
        let waits = append.undecided && append.literal.mode == LiteralMode::Synchronizing;
        append.undecided = false;
        self.framing.stream();
        waits
    }

    /// The APPEND is refused, wherever it is; what is still to come of it is dropped. Answer it now.
    pub fn refuse(&mut self) {
        let State::Append(append) = self.state else {
            return;
        };
        self.drop_rest(append.undecided && append.literal.mode == LiteralMode::Synchronizing);
    }

    /// The next input; `None` when it needs more octets, or a decision. A piece of a message has at most `chunk` octets.
    pub fn next(&mut self, rx: &mut BytesMut, chunk: usize) -> Option<Input> {
        loop {
            let from = self.framing.consumed();
            let done = self.framing.pass_refused(rx);
            // It was no command, so it may have been a password.
            self.hide(from..self.framing.consumed());
            if !done {
                return None;
            }
            let input = match self.state {
                State::Command => self.command(rx, chunk),
                State::Exchange(exchange) => self.line(exchange, rx),
                State::Append(append) if append.undecided => return None,
                State::Append(append) => self.append(append, rx, chunk),
            };
            match input {
                Next::Input(input) => return Some(input),
                Next::GoOn => {}
                Next::Starved => return None,
            }
        }
    }

    /// One frame of a command.
    fn command(&mut self, rx: &mut BytesMut, chunk: usize) -> Next {
        let from = self.framing.consumed();
        let Some(frame) = self.framing.next(rx, chunk) else {
            return Next::Starved;
        };
        self.hide_frame(&frame, from);
        match frame {
            Frame::Line(text) => {
                let command = if self.pieces.is_empty() {
                    grammar::parse(&[Piece::Text(text)], self.names)
                } else {
                    self.pieces.push(Piece::Text(text));
                    grammar::parse(&self.pieces, self.names)
                };
                self.forget_command();
                Next::Input(command.map_or_else(Input::Bad, Input::Command))
            }
            Frame::LiteralHeader(text, literal) => {
                self.pieces.push(Piece::Text(text));
                self.announced(literal)
            }
            Frame::LiteralBytes(octets) => {
                // Its place was made when it was announced.
                if let Some(Piece::Literal { octets: place, .. }) = self.pieces.last_mut() {
                    *place = octets;
                }
                Next::GoOn
            }
            Frame::Fault(text, fault) => {
                let tag = match self.pieces.first() {
                    Some(Piece::Text(first)) => grammar::tag_of(first),
                    _ => grammar::tag_of(&text),
                };
                self.forget_command();
                Next::Input(Input::Bad(Bad { tag, what: SyntaxError::Frame(fault) }))
            }
        }
    }

    /// A literal was announced.
    fn announced(&mut self, literal: Literal) -> Next {
        let waits = literal.mode == LiteralMode::Synchronizing;
        let tag = match self.pieces.first() {
            Some(Piece::Text(first)) => grammar::tag_of(first),
            _ => None,
        };
        let read = self.check(literal, tag).and_then(|()| grammar::announced(&self.pieces, literal, self.names));
        let bad = match read {
            Ok(Announced::Message(Tagged { tag, command: Command::Append { mailbox, message } })) => {
                let append = Append { tag, messages: 1, literal, utf8: message.utf8, undecided: true };
                self.forget_command();
                self.state = State::Append(append);
                return Next::Input(Input::Command(Tagged { tag, command: Command::Append { mailbox, message } }));
            }
            Ok(_) if self.gathered + literal.len <= self.framing.limits().literals as u64 => {
                self.gathered += literal.len;
                self.pieces.push(Piece::Literal { octets: Bytes::new(), binary: literal.binary });
                self.framing.whole();
                return if waits { Next::Input(Input::Continue) } else { Next::GoOn };
            }
            Ok(_) => Bad { tag, what: SyntaxError::Literal },
            Err(bad) => bad,
        };
        self.drop_rest(waits);
        Next::Input(Input::Bad(bad))
    }

    /// Holds an announcement against the bounds that all literals have.
    fn check(&self, literal: Literal, tag: Option<Tag>) -> Result<(), Bad> {
        let Literal { len, mode, .. } = literal;
        let what = match mode {
            _ if len > i64::MAX as u64 => SyntaxError::Number,
            LiteralMode::NonSynchronizing if len > self.framing.limits().non_synchronizing => SyntaxError::Literal,
            _ => return Ok(()),
        };
        Err(Bad { tag, what })
    }

    /// One frame of an APPEND whose first message was accepted.
    fn append(&mut self, append: Append, rx: &mut BytesMut, chunk: usize) -> Next {
        let buffer = rx.capacity();
        let Some(frame) = self.framing.next(rx, chunk) else {
            return Next::Starved;
        };
        let read = match frame {
            Frame::LiteralBytes(octets) => return Next::Input(Input::Octets(own(octets, buffer))),
            Frame::LiteralHeader(text, literal) => return Next::Input(self.next_message(append, text, literal)),
            Frame::Line(text) => grammar::append_end(&[Piece::Text(text)], append.utf8),
            Frame::Fault(_, fault) => Err(SyntaxError::Frame(fault)),
        };
        // In either case the framing is at the end of the command already, or on its way there.
        self.state = State::Command;
        Next::Input(read.map_or_else(|what| Input::Bad(Bad { tag: Some(append.tag), what }), |()| Input::End))
    }

    fn next_message(&mut self, append: Append, text: Bytes, literal: Literal) -> Input {
        let tag = Some(append.tag);
        let read = self.check(literal, tag).and_then(|()| {
            let what = if append.messages == AppendMessage::MAX_MESSAGES {
                Err(SyntaxError::TooMany("messages"))
            } else {
                grammar::next_message(&[Piece::Text(text)], literal, append.utf8)
            };
            what.map_err(|what| Bad { tag, what })
        });
        match read {
            Ok(message) => {
                let messages = append.messages + 1;
                self.state = State::Append(Append { messages, literal, utf8: message.utf8, undecided: true, ..append });
                Input::Message(message)
            }
            Err(bad) => {
                self.drop_rest(literal.mode == LiteralMode::Synchronizing);
                Input::Bad(bad)
            }
        }
    }

    fn line(&mut self, exchange: Exchange, rx: &mut BytesMut) -> Next {
        let from = self.framing.consumed();
        let Some(frame) = self.framing.line(rx, Self::MAX_RESPONSE) else {
            return Next::Starved;
        };
        if exchange == Exchange::Authenticate {
            self.hide(from..self.framing.consumed());
        }
        self.state = State::Command;
        match frame {
            Frame::Line(line) => Next::Input(Input::Line(line)),
            Frame::Fault(_, fault) => Next::Input(Input::BadLine(fault)),
            // Lines are all that is asked for.
            Frame::LiteralHeader(..) | Frame::LiteralBytes(_) => Next::GoOn,
        }
    }

    fn drop_rest(&mut self, waits: bool) {
        self.framing.refuse(waits);
        self.forget_command();
        self.state = State::Command;
    }

    fn forget_command(&mut self) {
        // What one command needed, an idle connection does not keep.
        self.pieces = Vec::new();
        (self.gathered, self.secret) = (0, false);
    }

    /// Marks what is secret of a frame that began at `from`.
    fn hide_frame(&mut self, frame: &Frame, from: u64) {
        let to = self.framing.consumed();
        let secret = match frame {
            _ if self.secret => Some(from),
            Frame::Line(text) | Frame::LiteralHeader(text, _) if self.pieces.is_empty() => {
                let secret = grammar::secret(text);
                self.secret = secret.is_some();
                secret.map(|range| from + range.start as u64)
            }
            _ => None,
        };
        if let Some(from) = secret {
            self.hide(from..to);
        }
    }

    fn hide(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.secrets.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.secrets.push(range),
        }
    }
}

/// A small piece would pin the large buffer that it was cut from: it gets a copy of its own.
fn own(octets: Bytes, buffer: usize) -> Bytes {
    if octets.len() < buffer / 4 { Bytes::copy_from_slice(&octets) } else { octets }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString as _};
    use alloc::vec;
    use alloc::{format, vec::Vec};

    use super::*;

    /// What a session would see of `sent`, fed in pieces of `step` octets: messages are accepted when `accept` says so.
    fn read(sent: &[u8], step: usize, accept: bool) -> Vec<String> {
        let (mut reader, mut rx) = (Reader::new(Limits { line: 60, ..Limits::default() }), BytesMut::new());
        let (mut seen, mut octets) = (Vec::new(), String::new());
        for piece in sent.chunks(step) {
            rx.extend_from_slice(piece);
            while let Some(input) = reader.next(&mut rx, 5) {
                if let Input::Octets(more) = &input {
                    octets.push_str(core::str::from_utf8(more).unwrap());
                    continue;
                }
                if !octets.is_empty() {
                    seen.push(format!("octets {octets}"));
                    octets.clear();
                }
                let announced = matches!(
                    &input,
                    Input::Command(Tagged { command: Command::Append { .. }, .. }) | Input::Message(_)
                );
                seen.push(match input {
                    Input::Command(Tagged { tag, command }) => format!("{tag} {}", command.name()),
                    Input::Bad(Bad { tag: Some(tag), what }) => format!("{tag} BAD {what}"),
                    Input::Bad(Bad { tag: None, what }) => format!("* BAD {what}"),
                    Input::Message(_) => "message".into(),
                    input => format!("{input:?}"),
                });
                if announced && accept {
                    let waits = reader.accept();
                    seen.push(if waits { "+".into() } else { "accepted".into() });
                } else if announced {
                    reader.refuse();
                }
            }
        }
        seen
    }

    fn check(sent: &[u8], accept: bool, expected: &[&str]) {
        for step in 1..=sent.len() {
            assert_eq!(read(sent, step, accept), expected, "{} by {step}", sent.escape_ascii());
        }
    }

    #[test]
    fn commands_come_with_their_literals() {
        check(
            b"a NOOP\r\nb LOGIN {5}\r\nalice {2+}\r\npw\r\nc CREATE {3}\r\nx y\r\nd LOGOUT\r\n",
            true,
            &["a NOOP", "Continue", "b LOGIN", "Continue", "c CREATE", "d LOGOUT"],
        );
    }

    #[test]
    fn a_message_is_announced_streamed_and_ended() {
        check(
            b"a APPEND {5}\r\ninbox (\\Seen) {11}\r\nHello\r\nyou \r\nb NOOP\r\n",
            true,
            &["Continue", "a APPEND", "+", "octets Hello\r\nyou ", "End", "b NOOP"],
        );
        check(
            b"a APPEND x {3+}\r\none (\\Seen) \" 1-Feb-2026 00:00:00 +0000\" {0}\r\n {3+}\r\ntwo\r\nb NOOP\r\n",
            true,
            &[
                "a APPEND",
                "accepted",
                "octets one",
                "message",
                "+",
                "message",
                "accepted",
                "octets two",
                "End",
                "b NOOP",
            ],
        );
        check(
            b"a APPEND x UTF8 (~{3+}\r\none) UTF8 (~{1}\r\nx)\r\nb NOOP\r\n",
            true,
            &["a APPEND", "accepted", "octets one", "message", "+", "octets x", "End", "b NOOP"],
        );
    }

    #[test]
    fn a_message_is_refused() {
        check(b"a APPEND x {11}\r\nb NOOP\r\n", false, &["a APPEND", "b NOOP"]);
        check(b"a APPEND x {6+}\r\nLOGOUT {1+}\r\nx\r\nb NOOP\r\n", false, &["a APPEND", "b NOOP"]);
    }

    #[test]
    fn what_stands_around_a_message_may_be_wrong() {
        check(b"a APPEND x {5000+}\r\n", true, &["a BAD Literal too large"]);
        check(b"a APPEND x (\\Seen {5}\r\nb NOOP\r\n", true, &["a BAD Expected a flag", "b NOOP"]);
        check(b"a APPEND x\r\nb NOOP\r\n", true, &["a BAD Expected the literal of a message", "b NOOP"]);
        check(
            b"a APPEND x {1+}\r\nxx\r\nb NOOP\r\n",
            true,
            &["a APPEND", "accepted", "octets x", "a BAD There is more than the command takes", "b NOOP"],
        );
        check(
            b"a APPEND x {1+}\r\nx {9+}\r\nx LOGOUT\r\n\r\nb NOOP\r\n",
            true,
            &[
                "a APPEND",
                "accepted",
                "octets x",
                "message",
                "accepted",
                "octets x LOGOUT\r",
                "a BAD bare LF in a command",
                "b NOOP",
            ],
        );
    }

    #[test]
    fn every_refusal_has_the_tag_it_can_have() {
        check(b"\r\n", true, &["* BAD No tag"]);
        check(b"a\r\n", true, &["a BAD Expected a space"]);
        check(b"a b\nc\r\nb NOOP\r\n", true, &["a BAD bare LF in a command", "b NOOP"]);
        check(b"\nc\r\nb NOOP\r\n", true, &["* BAD bare LF in a command", "b NOOP"]);
        check(b"a LOGIN {1+}\r\nx \0{3+}\r\nyyy\r\nb NOOP\r\n", true, &["a BAD NUL in a command", "b NOOP"]);
        check(b"a LOGIN {4097}\r\nb NOOP\r\n", true, &["a BAD Literal too large", "b NOOP"]);
        check(
            b"a LOGIN {99999999999999999999}\r\nb NOOP\r\n",
            true,
            &["a BAD Not a number, or out of range", "b NOOP"],
        );
        check(
            b"a LOGIN ~{1}\r\nx y\r\nb NOOP\r\n",
            true,
            &["Continue", "a BAD No binary literal may stand here", "b NOOP"],
        );
        let mut long = vec![b'x'; 100];
        long[1] = b' ';
        long.extend_from_slice(b"{3+}\r\nb x\r\nc NOOP\r\n");
        check(&long, true, &["x BAD Command line too long", "c NOOP"]);
    }

    #[test]
    fn exchanges_are_lines() {
        let (mut reader, mut rx) =
            (Reader::new(Limits::default()), BytesMut::from(&b"a IDLE\r\nDONE {3}\r\nb NOOP\r\n"[..]));
        assert!(matches!(reader.next(&mut rx, 1), Some(Input::Command(_))));
        reader.exchange(Exchange::Idle);
        assert_eq!(reader.next(&mut rx, 1), Some(Input::Line(Bytes::from_static(b"DONE {3}"))));
        assert!(matches!(reader.next(&mut rx, 1), Some(Input::Command(_))));
        assert!(reader.secrets().is_empty());
    }

    #[test]
    fn passwords_are_secret() {
        let secret = |sent: &str, exchange: Option<Exchange>| {
            let mut found = Vec::new();
            for step in 1..=sent.len() {
                let (mut reader, mut rx) = (Reader::new(Limits::default()), BytesMut::new());
                if let Some(exchange) = exchange {
                    reader.exchange(exchange);
                }
                for piece in sent.as_bytes().chunks(step) {
                    rx.extend_from_slice(piece);
                    while reader.next(&mut rx, 1).is_some() {}
                }
                let shown =
                    reader.secrets().iter().map(|range| sent[range.start as usize..range.end as usize].to_string());
                found.push(shown.collect::<Vec<_>>().join("|"));
            }
            found.dedup();
            assert_eq!(found.len(), 1, "{found:?}");
            found.remove(0)
        };
        assert_eq!(secret("a LOGIN u p\r\nb NOOP\r\n", None), "u p\r\n");
        assert_eq!(secret("a LOGIN u {2}\r\nxy\r\nb NOOP\r\n", None), "u {2}\r\nxy\r\n");
        assert_eq!(secret("a AUTHENTICATE PLAIN x=\r\n", None), "x=\r\n");
        assert_eq!(secret("a AUTHENTICATE PLAIN\r\n", None), "");
        assert_eq!(secret("AHgAeA==\r\nb NOOP\r\n", Some(Exchange::Authenticate)), "AHgAeA==\r\n");
        assert_eq!(secret("AHgAeA==\r\nb NOOP\r\n", None), "AHgAeA==\r\n");
        assert_eq!(secret("a LOGIN u p\nx\r\nb NOOP\r\n", None), "a LOGIN u p\nx\r\n");
        assert_eq!(secret("a LOGIN u {9999+}\r\nxy\r\n", None), "u {9999+}\r\nxy\r\n");
    }
}
