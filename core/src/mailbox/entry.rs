//! Mailboxes and the messages in them, as a reader sees them.

use super::{FlagSet, Keywords, MailboxName, ModSeq, UidSet};
use crate::ops::{EmailId, EntryId, MailboxId, ThreadId};
use crate::time::Wall;
use bytes::Bytes;

/// A mailbox in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its name.
    pub name: MailboxName,
    /// Its id, and what is in it; `None` when there is only the name: a subscription to a mailbox that is gone, or a
    /// mailbox that was deleted while others were below it (`\Noselect`).
    pub there: Option<(MailboxId, Counters)>,
    /// The name is subscribed.
    pub subscribed: bool,
    /// The name is that of a deleted mailbox with others below it, and not just a subscription.
    pub noselect: bool,
    /// What it is for (RFC 6154).
    pub special_use: Option<SpecialUse>,
}

/// What is in a mailbox, kept up with every change: nothing is counted when they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages.
    pub messages: u32,
    /// Of them without `\Seen`.
    pub unseen: u32,
    /// Of them with `\Deleted`.
    pub deleted: u32,
    /// Of them that no session has been told of yet (RFC 3501 §2.3.2).
    pub recent: u32,
    /// Octets of all.
    pub octets: u64,
    /// Octets of those with `\Deleted`.
    pub deleted_octets: u64,
    /// The UID that the next message will get at least.
    pub uid_next: u32,
    /// Changes only when UIDs do not mean what they meant.
    pub uid_validity: u32,
    /// The modseq of the latest change.
    pub highest_modseq: ModSeq,
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// `\All`.
    All,
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Flagged`.
    Flagged,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

/// A mailbox as it was when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Its id.
    pub mailbox: MailboxId,
    /// What is in it.
    pub counters: Counters,
    /// Its messages, as of `counters.highest_modseq`.
    pub uids: UidSet,
    /// Its keywords.
    pub keywords: Keywords,
    /// The first message without `\Seen`.
    pub first_unseen: Option<u32>,
    /// Messages from this UID on are recent to this session.
    pub recent_from: u32,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: u32,
    /// Its place: what its octets are read by.
    pub entry: EntryId,
    /// The message, wherever it is filed.
    pub email: EmailId,
    /// Its conversation.
    pub thread: ThreadId,
    /// Its flags.
    pub flags: FlagSet,
    /// The modseq of the latest change of its flags, or of its coming.
    pub modseq: ModSeq,
    /// Octets.
    pub size: u64,
    /// INTERNALDATE.
    pub received: Wall,
    /// When it came into this mailbox (RFC 8514).
    pub saved: Wall,
    /// Octets of the trace header that was put before the body when it was delivered.
    pub prefix: u32,
    /// The structure of the body, as [`crate::message`] encodes it, if it was asked for; empty when it was never made.
    pub structure: Option<Bytes>,
}

/// A message whose flags have changed, or that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its UID.
    pub uid: u32,
    /// Its flags now.
    pub flags: FlagSet,
    /// Since when it has them.
    pub modseq: ModSeq,
}
