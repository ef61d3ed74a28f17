//! The store as a node sees it: ops in, replies out, in between nobody waits.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use super::{
    Accept, Accepted, AccountOp, AccountReply, MailboxOp, MaildropOp, MaildropReply, Notice, QueueOp, QueueReply,
    StageOp, StageReply,
};
use crate::mailbox::Response;

/// Everything a node asks of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Take a message in.
    Accept(Box<Accept>),
    /// A large body on its way in.
    Stage(StageOp),
    /// Accounts, passwords, aliases.
    Account(AccountOp),
    /// A POP3 session's maildrop.
    Maildrop(MaildropOp),
    /// A mail reader's mailboxes.
    Mailbox(Box<MailboxOp>),
    /// The queue.
    Queue(QueueOp),
}

/// What a store answers; the variant matches the op's, or it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// The message is on disk.
    Accepted(Accepted),
    /// To `Stage`.
    Stage(StageReply),
    /// To `Account`.
    Account(AccountReply),
    /// To `Maildrop`.
    Maildrop(MaildropReply),
    /// To `Mailbox`.
    Mailbox(Box<Response>),
    /// To `Queue`.
    Queue(QueueReply),
    /// The op had no effect at all.
    Failed(StoreError),
}

/// Why an op had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No room: the disk is full, or the reserve begins. SMTP says 452. Mail is taken again as soon as there is room.
    Full,
    /// The store stopped, because a sync failed or its data is damaged: it takes no more changes until a restart.
    Stopped,
    /// What the op names does not exist (a stage, a lock): it was dropped, or a bug.
    Unknown,
    /// It could not be read just now, or a checksum is wrong.
    Unreadable,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room in the store",
            Self::Stopped => "the store has stopped",
            Self::Unknown => "no such stage or lock",
            Self::Unreadable => "the store cannot read this",
        })
    }
}

impl core::error::Error for StoreError {}

/// The name of an op under way, chosen by its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A store has no place for another op: here it is back, unharmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy(pub StoreOp);

/// A store: shared by all nodes of a process.
pub trait Store: Send + Sync {
    /// Takes an op; its reply goes to `sink` under `token`, from a thread of the store's or before this returns. Never
    /// blocks.
    ///
    /// # Errors
    /// [`Busy`] when too many ops wait.
    fn submit(&self, sink: &Arc<dyn Sink>, token: Token, op: StoreOp) -> Result<(), Busy>;
}

/// Where replies go: a node's completion queue. It is also the node's name to the store: what is submitted with the same
/// sink is of one node, and what a node holds is free once its sink is dropped.
pub trait Sink: Send + Sync {
    /// The reply to the op that was submitted under `token`. Called once for each op that was taken.
    fn complete(&self, token: Token, reply: StoreReply);

    /// A hint at what another node did, or at a change of a mailbox that is watched, whoever made it. It comes after the
    /// change is on disk, and before the reply to it. Whoever leases no buckets and watches no mailbox hears of nothing.
    fn notice(&self, notice: Notice) {
        let _ = notice;
    }
}
