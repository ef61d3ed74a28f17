//! What the IMAP server machine asks of its host, and how it is configured.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;

use crate::imap::framing;
use crate::limits::SessionLimits;
use crate::mailbox::{Request, Response};
use crate::ops::MailboxId;
use crate::sasl::{Credentials, Mechanism};
pub use crate::smtp::server::AuthenticateAnswer;
use crate::ticket::Ticket;

/// How a server behaves; shared by all sessions of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our name, in the greeting.
    pub hostname: String,
    /// STARTTLS is offered while TLS is not up.
    pub starttls: bool,
    /// A password may cross a connection without TLS (`[auth] cleartext`, decided for this peer by the host).
    pub cleartext_auth: bool,
    /// Octets of the largest message that APPEND takes; announced by APPENDLIMIT (RFC 7889).
    pub message_size: u64,
    /// Names of capabilities that are not announced, for a client that one of them breaks.
    pub without: BTreeSet<String>,
    /// Bounds of this protocol.
    pub limits: Limits,
}

impl Config {
    /// A server named `hostname` with default bounds: messages up to 50 MB, no STARTTLS, no password without TLS.
    #[must_use]
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            starttls: false,
            cleartext_auth: false,
            message_size: 50_000_000,
            without: BTreeSet::new(),
            limits: Limits::default(),
        }
    }
}

/// The bounds of an IMAP server session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those of every session; bad commands count when they come in a row.
    pub session: SessionLimits,
    /// Those of a command's text and its literals.
    pub framing: framing::Limits,
    /// Autologout (RFC 9051 §5.4: at least 30 minutes), in IDLE too.
    pub idle_timeout: Duration,
    /// Idle time before login: nobody is kept waiting by somebody who never logs in.
    pub login_timeout: Duration,
    /// From the greeting to the login, whatever else is said: NOOP does not hold a connection for ever.
    pub login_total: Duration,
    /// Waiting for the messages of one APPEND, all in all, before their size is looked at: an octet every half an hour
    /// does not hold a message half stored for years.
    pub data_grace: Duration,
    /// Octets a second that they must come with beyond `data_grace`. Time in which the host holds them up does not count.
    /// At least 1.
    pub data_rate: u64,
    /// Waiting for the client to read, all in all until it has caught up, before its pace is looked at.
    pub read_grace: Duration,
    /// Octets a second that the client must read beyond `read_grace`. At least 1.
    pub read_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionLimits { bad_commands: 50, ..SessionLimits::default() },
            framing: framing::Limits::default(),
            idle_timeout: Duration::from_secs(30 * 60),
            login_timeout: Duration::from_secs(60),
            login_total: Duration::from_secs(300),
            data_grace: Duration::from_secs(600),
            data_rate: 1024,
            read_grace: Duration::from_secs(600),
            read_rate: 1024,
        }
    }
}

/// What the IMAP server machine asks or tells.
#[derive(Debug)]
pub enum Action {
    /// Are these credentials good? LOGIN counts as [`Mechanism::Login`].
    Authenticate {
        /// Answer here.
        ticket: Ticket<AuthenticateAnswer>,
        /// By which mechanism they came.
        mechanism: Mechanism,
        /// The credentials.
        credentials: Credentials,
    },
    /// A question about the mailboxes of the account that has logged in, or a change of them. At most one is open.
    Ask {
        /// Answer here.
        ticket: Ticket<Response>,
        /// The question. With [`Request::Append`], its messages are what came by [`Action::Chunk`] before, and are the
        /// host's from here on: no [`Action::Discard`] follows.
        request: Request,
    },
    /// Keep these octets of a message of an APPEND; they come in order. Unanswered chunks are the window.
    Chunk {
        /// Answer here.
        ticket: Ticket<ChunkAnswer>,
        /// Which message of the APPEND, from 0.
        message: usize,
        /// A piece of it; never empty.
        bytes: Bytes,
        /// It is the last piece of this message.
        last: bool,
    },
    /// The APPEND is given up: drop what came by [`Action::Chunk`]. Chunks that are still unanswered need no answer.
    Discard,
    /// From now on, tell of changes of this mailbox by [`Server::changed`](super::Server::changed).
    Watch {
        /// Which.
        mailbox: MailboxId,
    },
    /// No longer.
    Unwatch {
        /// Which.
        mailbox: MailboxId,
    },
}

/// To [`Action::Chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkAnswer {
    /// Taken; the next one may come.
    Taken,
    /// Not taken: there is no room for it.
    Full,
    /// Not taken: there are too many messages in this APPEND.
    TooMany,
    /// Not taken, and perhaps later.
    Unavailable,
}
