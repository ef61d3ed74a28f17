//! A maildrop: an INBOX held by one POP3 session (RFC 1939 §3-6).

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{AccountId, EntryId, LockId};

/// What a POP3 session needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaildropOp {
    /// Lock the account's INBOX for one session and list it. The lock lives in memory: it dies with the process.
    Open {
        /// Whose.
        account: AccountId,
    },
    /// Bytes of a message (prefix and body as one), from `offset`, at most `len`; fewer only at the end.
    Read {
        /// Which message.
        entry: EntryId,
        /// Position of the first byte.
        offset: u64,
        /// How many bytes at most.
        len: usize,
    },
    /// Remove these entries and release the lock, as one transaction. Entries that are gone already are no error. When it
    /// fails, nothing is removed and the lock is still held.
    Commit {
        /// The lock.
        lock: LockId,
        /// Entries marked by DELE.
        deleted: Vec<EntryId>,
    },
    /// Release the lock; nothing is removed. It changes nothing on disk, so it does not fail.
    Release {
        /// The lock.
        lock: LockId,
    },
}

/// Answers to [`MaildropOp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaildropReply {
    /// Locked; the messages in the order of their UIDs.
    Opened {
        /// The lock.
        lock: LockId,
        /// The messages.
        entries: Arc<[MaildropEntry]>,
    },
    /// Another session holds the lock.
    InUse,
    /// The account is gone.
    NoAccount,
    /// To `Read`; empty at or behind the end.
    Bytes(Bytes),
    /// To `Read`: the message is gone.
    Gone,
    /// To `Commit` and `Release`.
    Done,
}

/// A message in a maildrop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaildropEntry {
    /// Its place in the mailbox.
    pub entry: EntryId,
    /// Octets, prefix and body together.
    pub size: u64,
    /// UIDVALIDITY in the upper half, UID in the lower: never used again in this account.
    pub unique: u64,
}
