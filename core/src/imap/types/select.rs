//! How a mailbox is opened (RFC 9051 §6.3.2, RFC 7162).

use core::num::NonZeroU32;

use super::{MailboxName, Modseq, SequenceSet};

/// `SELECT` and `EXAMINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// `EXAMINE`: nothing in it changes by our looking at it.
    pub read_only: bool,
    /// Which mailbox.
    pub mailbox: MailboxName,
    /// `(CONDSTORE)`: the client wants mod-sequences (RFC 7162 §3.1.8).
    pub condstore: bool,
    /// `(QRESYNC (…))`: what the client remembers (RFC 7162 §3.2.5).
    pub qresync: Option<Qresync>,
}

/// What a client remembers of a mailbox that it had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync {
    /// The UIDVALIDITY of then. When it is another one now, all the rest says nothing.
    pub uid_validity: NonZeroU32,
    /// The mod-sequence up to which it knows everything; 1 or more.
    pub modseq: Modseq,
    /// The UIDs that it knows; all of them, when nothing is said. No `*` and no `$`.
    pub known_uids: Option<SequenceSet>,
    /// Message numbers and the UIDs that they had, so that a server can skip what has not changed. Neither holds `*` or
    /// `$`. To be held against each other ascending: it is only a hint, and may be passed over.
    pub match_data: Option<(SequenceSet, SequenceSet)>,
}
