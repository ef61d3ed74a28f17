//! What the SMTP client machine asks of its host.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::limits::SessionLimits;
use crate::sasl::Credentials;
use crate::smtp::{Address, Reply};
use crate::ticket::Ticket;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our name, said in EHLO.
    pub hostname: String,
    /// Whether STARTTLS is used.
    pub tls: Tls,
    /// With these the client authenticates before the first message (PLAIN, else LOGIN). Never without TLS unless
    /// `cleartext_auth`.
    pub credentials: Option<Credentials>,
    /// The credentials may cross a connection without TLS.
    pub cleartext_auth: bool,
    /// Bounds of this protocol.
    pub limits: Limits,
}

/// Whether STARTTLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Never,
    /// When offered (RFC 7435). A handshake that fails ends the session with [`crate::End::Broken`]; whether to come
    /// back without TLS is the host's decision.
    Opportunistic,
    /// Always: a server that does not offer it gets no mail.
    Required,
}

/// The bounds of an SMTP client session. The time limits are those of RFC 5321 §4.5.3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those of every session.
    pub session: SessionLimits,
    /// Octets of a reply line with its CRLF. §4.5.3.1.5 says 512; longer ones exist.
    pub line: usize,
    /// Octets of a whole reply.
    pub reply: usize,
    /// Octets of a reply's text that are kept: it goes into queue rows and bounces, once for each recipient.
    pub text: usize,
    /// Waiting for the greeting (5 minutes).
    pub greeting_timeout: Duration,
    /// Waiting for the reply to EHLO, MAIL, RCPT (5 minutes).
    pub command_timeout: Duration,
    /// Waiting for 354 (2 minutes).
    pub data_timeout: Duration,
    /// Waiting for room while the body goes out (3 minutes).
    pub block_timeout: Duration,
    /// Waiting for the reply to the end of data (10 minutes).
    pub final_timeout: Duration,
    /// Waiting for the reply to QUIT (10 seconds): nothing depends on it any more.
    pub quit_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionLimits::default(),
            line: 4 * 1024,
            reply: 64 * 1024,
            text: 1024,
            greeting_timeout: Duration::from_secs(300),
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(120),
            block_timeout: Duration::from_secs(180),
            final_timeout: Duration::from_secs(600),
            quit_timeout: Duration::from_secs(10),
        }
    }
}

/// What the SMTP client machine asks or tells.
#[derive(Debug)]
pub enum Action {
    /// Ready for a message: which one, or is it over? Asked after greeting, EHLO, TLS and AUTH, and after each outcome.
    /// Unanswered for `limits.session.answer_timeout`, it counts as [`Next::Quit`]. A message given in answer gets its
    /// [`Action::Outcome`], whatever happens, unless the session had gone on without the answer: then the message is
    /// dropped unsent, and `Done` comes without an outcome for it.
    Next {
        /// Answer here.
        ticket: Ticket<Next>,
    },
    /// The next range of the message's bytes. Asked only while there is room in `tx`.
    Body {
        /// Answer here.
        ticket: Ticket<BodyAnswer>,
        /// Position of the first byte.
        offset: u64,
        /// How many bytes at most.
        len: usize,
    },
    /// The message is settled: one reply for each recipient, in their order. A 2yz reply means that the server took
    /// responsibility for it. A reply that never came is a 4yz in our words.
    Outcome(Outcome),
    /// The server cannot be used at all (its greeting or EHLO, STARTTLS or AUTH was refused, or never came); `Done`
    /// follows. It is told once, and only before the first [`Action::Next`]. A TLS handshake that failed and a host
    /// that shuts down are no matter of the server's: they are told by `Done` alone.
    Unusable {
        /// What it said, or what we say of it.
        reply: Reply,
    },
}

/// To [`Action::Next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this one.
    Message(Envelope),
    /// Say QUIT.
    Quit,
}

/// A message to be sent; its bytes are asked for in ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path; `None` is the null one.
    pub reverse_path: Option<Address>,
    /// The recipients; at least one.
    pub recipients: Vec<Address>,
    /// Octets of the message.
    pub size: u64,
    /// It needs SMTPUTF8: a server without it refuses it for good.
    pub smtputf8: bool,
    /// It was declared 8BITMIME: said again where the server offers it, sent as it is where it does not.
    pub eight_bit: bool,
}

/// To [`Action::Body`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyAnswer {
    /// These bytes: at least one, at most what was asked. Lines end with CRLF; a bare CR or LF is not sent, since
    /// others might take it for the end of a line and so of the message: its message is refused with 5.6.0.
    Bytes(Bytes),
    /// The message cannot be read. The client breaks the connection off: a half message must not look whole.
    Unreadable,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A reply for each recipient, in the envelope's order.
    pub replies: Vec<Reply>,
}
