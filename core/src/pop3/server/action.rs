//! What the POP3 server machine asks of its host.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::limits::SessionLimits;
use crate::sasl::{Credentials, Mechanism};
use crate::ticket::Ticket;

/// How a server behaves; shared by all sessions of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our name, in the greeting.
    pub hostname: String,
    /// STLS is offered while TLS is not up (RFC 2595).
    pub stls: bool,
    /// A password may cross a connection without TLS (`[auth] cleartext`, decided for this peer by the host).
    pub cleartext_auth: bool,
    /// Bounds of this protocol.
    pub limits: Limits,
}

/// The bounds of a POP3 server session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those of every session.
    pub session: SessionLimits,
    /// Octets of a command line with its CRLF: 255 by RFC 2449 §4, and 12,288 for AUTH's initial response (RFC 5034 §4).
    pub line: usize,
    /// Autologout (RFC 1939 §3: at least 10 minutes).
    pub idle_timeout: Duration,
    /// Idle time before login: nobody is kept waiting by somebody who never logs in.
    pub login_timeout: Duration,
    /// From the greeting to the login, whatever else is said: CAPA does not hold a connection for ever.
    pub login_total: Duration,
    /// Waiting for the client to read, all in all until it has caught up, before its pace is looked at: an octet every
    /// nine minutes does not hold a maildrop for years.
    pub read_grace: Duration,
    /// Octets a second that the client must read beyond `read_grace`. At least 1.
    pub read_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionLimits::default(),
            line: 12_288,
            idle_timeout: Duration::from_secs(600),
            login_timeout: Duration::from_secs(60),
            login_total: Duration::from_secs(300),
            read_grace: Duration::from_secs(600),
            read_rate: 1024,
        }
    }
}

/// What the POP3 server machine asks or tells.
#[derive(Debug)]
pub enum Action {
    /// Are these credentials good?
    Authenticate {
        /// Answer here.
        ticket: Ticket<AuthenticateAnswer>,
        /// By which mechanism they came; USER and PASS count as [`Mechanism::Login`].
        mechanism: Mechanism,
        /// The credentials.
        credentials: Credentials,
    },
    /// Lock the maildrop of the account just authenticated, and list it.
    Open {
        /// Answer here.
        ticket: Ticket<OpenAnswer>,
    },
    /// The next range of a message's bytes, for RETR and TOP. Asked only while there is room in `tx`.
    Read {
        /// Answer here.
        ticket: Ticket<ReadAnswer>,
        /// Which message: its index in the listing.
        message: usize,
        /// Position of the first byte.
        offset: u64,
        /// How many bytes at most.
        len: usize,
    },
    /// QUIT: remove these for good and release the lock.
    Commit {
        /// Answer here.
        ticket: Ticket<CommitAnswer>,
        /// Indices in the listing, ascending.
        deleted: Vec<usize>,
    },
    /// The session ends without QUIT: release the lock, remove nothing. Comes before `Done`, once, whenever an `Open`
    /// was asked and no `Commit`; also when the answer to `Open` never came.
    Release,
}

/// To [`Action::Authenticate`].
pub use crate::smtp::server::AuthenticateAnswer;

/// To [`Action::Open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenAnswer {
    /// Locked; the messages in order, message 1 first.
    Opened(Arc<[Message]>),
    /// Another session has it: `-ERR [IN-USE]`.
    InUse,
    /// Not now: `-ERR [SYS/TEMP]`.
    Unavailable,
}

/// A message in the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Octets, as sent by RETR before dot-stuffing.
    pub size: u64,
    /// Its unique-id (UIDL), shown in hexadecimal: never used for another message of this maildrop.
    pub unique: u128,
}

/// To [`Action::Read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadAnswer {
    /// These bytes: at least one, at most what was asked.
    Bytes(Bytes),
    /// It cannot be read now. At the beginning: `-ERR [SYS/TEMP]`; in the middle the connection is broken off.
    Unreadable,
}

/// To [`Action::Commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// On disk.
    Committed,
    /// Nothing was removed, and never will be by this question: `-ERR [SYS/TEMP]`.
    Failed,
}
