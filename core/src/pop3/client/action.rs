//! What the POP3 client machine asks of its host.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::limits::SessionLimits;
use crate::line::Fault;
use crate::sasl::Credentials;
pub use crate::smtp::client::Tls;
use crate::ticket::Ticket;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether STLS is used.
    pub tls: Tls,
    /// Who logs in: AUTH PLAIN where offered, else USER and PASS.
    pub credentials: Credentials,
    /// The password may cross a connection without TLS.
    pub cleartext_auth: bool,
    /// Bounds of this protocol.
    pub limits: Limits,
}

/// The bounds of a POP3 client session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those of every session.
    pub session: SessionLimits,
    /// Octets of a response line with its CRLF: 512 by RFC 2449 §4; longer ones exist.
    pub line: usize,
    /// Messages in one listing at most, and capabilities in another.
    pub messages: usize,
    /// Octets of one message at most. A server that never ends a message is not listened to for ever.
    pub message: u64,
    /// Waiting for a response.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionLimits::default(),
            line: 4 * 1024,
            messages: 1_000_000,
            message: 1024 * 1024 * 1024,
            timeout: Duration::from_secs(120),
        }
    }
}

/// What the POP3 client machine asks or tells.
#[derive(Debug)]
pub enum Action {
    /// Logged in, or the last command is done: what next?
    Next {
        /// Answer here.
        ticket: Ticket<Command>,
    },
    /// A piece of the message that RETR fetches: dot-unstuffed. Unanswered chunks are the window.
    Chunk {
        /// Answer here.
        ticket: Ticket<Taken>,
        /// The bytes.
        bytes: Bytes,
    },
    /// What came of the last command.
    Outcome(Outcome),
    /// Greeting, STLS or login failed, or the server broke the protocol later on; `Done` follows. What the last command
    /// did is then unknown.
    Failed(Failure),
}

/// To [`Action::Next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// How many messages, how many octets?
    Stat,
    /// The unique-ids.
    Uidl,
    /// Fetch message `n` (from 1).
    Retr(u32),
    /// Mark message `n` as deleted.
    Dele(u32),
    /// Unmark all.
    Rset,
    /// Commit the deletions and end.
    Quit,
}

/// To [`Action::Chunk`]: the host has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To `Stat`.
    Stat {
        /// Messages.
        messages: u32,
        /// Octets.
        octets: u64,
    },
    /// To `Uidl`: message number and unique-id.
    Uidl(Vec<(u32, String)>),
    /// To `Retr`: the message is complete.
    Retrieved,
    /// To `Retr`: the message holds an octet that no message may hold, and its chunks are not all of it. The server is
    /// in order otherwise, and the session goes on.
    Malformed(Fault),
    /// To `Dele`, `Rset` and `Quit`.
    Done,
    /// The server said -ERR: its words.
    Refused(String),
}

/// Why a session could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server said -ERR to this step.
    Refused {
        /// Its words.
        text: String,
    },
    /// What it said is not POP3.
    Protocol,
    /// What it said is larger than one of our [`Limits`].
    TooLarge,
    /// The credentials cannot be said: a part is empty, or holds an octet that the command cannot carry.
    Credentials,
    /// TLS is required and not offered, or the handshake failed, or the password would cross in the clear.
    Tls,
}
