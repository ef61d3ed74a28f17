//! Facts: what happened in a node, typed, with ids and without anything secret.
//!
//! Logs, metrics and the simulator's timeline all read this one stream.

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;

use super::ConnId;
use crate::ops::RowId;
use crate::session::End;
use crate::smtp::server::TransactionId;
use crate::smtp::{Address, Reply};

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session began.
    Opened {
        /// Its connection.
        conn: ConnId,
        /// What it speaks.
        kind: SessionKind,
        /// With whom.
        peer: SocketAddr,
    },
    /// A session ended.
    Ended {
        /// Its connection.
        conn: ConnId,
        /// How.
        end: End,
    },
    /// Somebody logged in.
    Authenticated {
        /// In which session.
        conn: ConnId,
        /// As whom.
        login: String,
    },
    /// Somebody failed to.
    NotAuthenticated {
        /// In which session.
        conn: ConnId,
        /// As whom they tried.
        login: String,
    },
    /// A peer was refused something.
    Refused {
        /// In which session.
        conn: ConnId,
        /// What it was told.
        reply: Reply,
    },
    /// A message is on disk and ours to care for.
    Accepted {
        /// In which session.
        conn: ConnId,
        /// Its transaction.
        transaction: TransactionId,
        /// From whom; `None` is the null reverse-path.
        reverse_path: Option<Address>,
        /// Mailboxes here that have it.
        delivered: usize,
        /// Recipients that it waits in the queue for.
        queued: usize,
        /// Octets.
        size: u64,
    },
    /// A recipient's mail was tried at a next hop.
    Attempted {
        /// The row.
        row: RowId,
        /// The recipient.
        recipient: Address,
        /// The host tried; empty if it did not come that far.
        host: String,
        /// The peer's words, or ours.
        reply: Reply,
    },
    /// A recipient's mail was given up.
    Bounced {
        /// The row.
        row: RowId,
        /// The recipient.
        recipient: Address,
        /// Why.
        reply: Reply,
        /// Its sender is told by a DSN; there is none for the null reverse-path.
        reported: bool,
    },
    /// A connection out could not be made or used.
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// Messages were put into a mailbox by its owner.
    Filed {
        /// In which session.
        conn: ConnId,
        /// How many.
        messages: usize,
    },
    /// Messages were removed from a mailbox by its owner.
    Removed {
        /// In which session.
        conn: ConnId,
        /// How many.
        messages: usize,
    },
    /// The store refused or failed; in words.
    StoreTrouble {
        /// What.
        what: String,
    },
}

/// What a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionKind {
    /// SMTP, as server.
    Transfer,
    /// Message submission, as server.
    Submission,
    /// POP3, as server.
    Pop3,
    /// IMAP, as server.
    Imap,
    /// The control socket.
    Control,
    /// SMTP, as client.
    Delivery,
    /// DNS over TCP.
    Lookup,
}

impl fmt::Display for SessionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transfer => "smtp",
            Self::Submission => "submission",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
            Self::Control => "control",
            Self::Delivery => "delivery",
            Self::Lookup => "lookup",
        })
    }
}
