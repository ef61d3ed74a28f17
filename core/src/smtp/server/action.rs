//! What the SMTP server machine asks of its host.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use crate::limits::SessionLimits;
use crate::sasl::{Credentials, Mechanism};
use crate::session::TlsInfo;
use crate::smtp::{Address, Reply};
use crate::ticket::{SessionId, Ticket};

/// How a server behaves; shared by all sessions of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our name: in the greeting, in EHLO's reply, in Received.
    pub hostname: String,
    /// Transfer between servers, or submission by users.
    pub service: Service,
    /// STARTTLS is offered while TLS is not up.
    pub starttls: bool,
    /// AUTH may cross a connection without TLS (`[auth] cleartext`, decided for this peer by the host).
    pub cleartext_auth: bool,
    /// Largest message in bytes; announced by SIZE (RFC 1870).
    pub message_size: u64,
    /// Bounds of this protocol.
    pub limits: Limits,
}

impl Config {
    /// A server named `hostname` with default bounds: messages up to 50 MB, no STARTTLS, no AUTH without TLS.
    #[must_use]
    pub fn new(hostname: impl Into<String>, service: Service) -> Self {
        Self {
            hostname: hostname.into(),
            service,
            starttls: false,
            cleartext_auth: false,
            message_size: 50_000_000,
            limits: Limits::default(),
        }
    }
}

/// Whom a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Other servers (port 25): no AUTH, no relaying.
    Transfer,
    /// Users (RFC 6409): AUTH before MAIL; missing Date and Message-ID are added.
    Submission,
}

/// The bounds of an SMTP server session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those of every session.
    pub session: SessionLimits,
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 wants 512, and each extension adds; AUTH's initial
    /// response wants 12,288 (RFC 4954 §4).
    pub line: usize,
    /// Recipients of one transaction; §4.5.3.1.8 wants 100 at least. One more is told 452.
    pub recipients: usize,
    /// Recipients asked about at the same time. What a client pipelines beyond it waits in the socket.
    pub questions: usize,
    /// Received fields above which a message is in a loop (§6.3).
    pub received: usize,
    /// Octets of the header section at most.
    pub header: usize,
    /// Messages in one session; then 421. One that has ended leaves nothing behind, so this is far off: it only keeps a
    /// session from going on for ever.
    pub transactions: u32,
    /// Waiting for a command (§4.5.3.2.7: 5 minutes).
    pub command_timeout: Duration,
    /// Waiting for data (§4.5.3.2.5: 3 minutes, for a server 5).
    pub data_timeout: Duration,
    /// From the greeting to the login, on submission: whoever does not log in holds no connection by other commands.
    pub login_timeout: Duration,
    /// From the greeting or the end of a message to the beginning of the next message: NOOP does not hold a connection
    /// for ever.
    pub message_gap: Duration,
    /// Waiting for data within one message, all in all, before its size is looked at: an octet every four minutes does
    /// not hold a connection for years.
    pub data_grace: Duration,
    /// Octets a second that a message must come with beyond `data_grace`. Time in which the host holds it up does not
    /// count. At least 1.
    pub data_rate: u64,
    /// Octets beyond the largest message that a refused one is read on for, since its reply is due at its end; then it
    /// has none, and the refusal is said at once. As much again as most servers take at all.
    pub overrun: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionLimits::default(),
            line: 12_288,
            recipients: 1_000,
            questions: 32,
            received: 100,
            header: 1024 * 1024,
            transactions: 1_000_000,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(300),
            login_timeout: Duration::from_secs(300),
            message_gap: Duration::from_secs(1800),
            data_grace: Duration::from_secs(600),
            data_rate: 1024,
            overrun: 50_000_000,
        }
    }
}

/// The other end, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address and port.
    pub address: SocketAddr,
}

/// What the SMTP server machine asks or tells.
#[derive(Debug)]
pub enum Action {
    /// Are these credentials good?
    Authenticate {
        /// Answer here.
        ticket: Ticket<AuthenticateAnswer>,
        /// By which mechanism they came.
        mechanism: Mechanism,
        /// The credentials.
        credentials: Credentials,
    },
    /// Do we take mail for this recipient? Asked in order, once for each RCPT that is well-formed. The machine has no
    /// opinion about whose recipient it is: relaying is refused by the answer.
    Recipient {
        /// Answer here.
        ticket: Ticket<RecipientAnswer>,
        /// The transaction it belongs to.
        transaction: TransactionId,
        /// The forward-path. A source route is stripped already (RFC 5321 §3.6.1); bare `Postmaster` has become
        /// `postmaster@hostname`.
        recipient: Address,
        /// The reverse-path.
        reverse_path: Option<Address>,
    },
    /// Store these bytes of the body; they come in order. Unanswered chunks are the window.
    Chunk {
        /// Answer here.
        ticket: Ticket<ChunkAnswer>,
        /// The transaction it belongs to.
        transaction: TransactionId,
        /// A piece of the message as it is stored: dot-unstuffed, lines ended by CRLF.
        bytes: Bytes,
    },
    /// The message is complete: is it on disk? A yes lets the machine say 250. Asked once all its chunks are answered.
    /// From here on what was staged is the host's: no [`Abort`](Action::Abort) follows, whatever the answer is.
    Commit {
        /// Answer here.
        ticket: Ticket<CommitAnswer>,
        /// What is to be committed.
        transaction: Box<Transaction>,
    },
    /// The transaction is over without a commit, and chunks were staged for it: give them back. Chunks of it that are
    /// still unanswered need no answer any more.
    Abort(TransactionId),
    /// A fact worth telling, nothing to answer: each reply of 4yz and 5yz that was said.
    Refused {
        /// What the peer was told.
        reply: Reply,
    },
}

/// The name of a transaction: its session, and a number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    /// The session.
    pub session: SessionId,
    /// Which MAIL of the session.
    pub serial: u32,
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An atom, so that it can stand as the id of a Received field.
        write!(f, "{:x}-{:x}", self.session.0, self.serial)
    }
}

/// Everything known of a message at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its name.
    pub id: TransactionId,
    /// The reverse-path; `None` is the null one.
    pub reverse_path: Option<Address>,
    /// The recipients accepted, in order; at least one.
    pub recipients: Vec<Address>,
    /// SMTPUTF8 was given with MAIL.
    pub smtputf8: bool,
    /// BODY=8BITMIME was given with MAIL.
    pub eight_bit: bool,
    /// Octets of all chunks together.
    pub size: u64,
    /// What this hop puts in front of the body: the Received field, and for a submission the Date and Message-ID that
    /// were missing. Ends with CRLF.
    pub trace: Bytes,
    /// Who sent it.
    pub client: ClientInfo,
}

/// The client of a session as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The argument of EHLO or HELO.
    pub helo: String,
    /// The account it authenticated as.
    pub authenticated: Option<String>,
    /// TLS, if it is up.
    pub tls: Option<TlsInfo>,
}

/// To [`Action::Authenticate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthenticateAnswer {
    /// They are good (235).
    Accepted,
    /// They are wrong (535); which of name or password, nobody learns.
    Rejected,
    /// It cannot be said now (454).
    Unavailable,
}

/// To [`Action::Recipient`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientAnswer {
    /// Yes (250).
    Accepted,
    /// No: this reply, 4yz or 5yz.
    Refused(Reply),
}

/// To [`Action::Chunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkAnswer {
    /// Taken; the next one may come.
    Taken,
    /// Not taken: the rest of the message is read and dropped, and at its end the peer is told this.
    Refused(Reply),
}

/// To [`Action::Commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// On disk. `text` is shown behind `250 2.0.0`.
    Committed {
        /// What to say, such as `queued as 3-1f`.
        text: String,
    },
    /// Not stored, and never will be by this question: this reply, 4yz or 5yz.
    Refused(Reply),
}
