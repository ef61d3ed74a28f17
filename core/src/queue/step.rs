//! What a queue asks of its host and tells it, and what it is told.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use crate::ops::{Accept, Destination, LeaseEpoch, QueueRow, RowId, StoreOp};
use crate::smtp::{Address, Reply};
use crate::time::{Mono, Wall};

/// A question of a queue's to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u64);

/// One try at one destination with a page of its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// What a queue says when polled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a step tells the host what to do next"]
pub enum QueueStep {
    /// Submit this op to the store; answer by [`Queue::stored`](super::Queue::stored), or hand the op back by
    /// [`Queue::busy`](super::Queue::busy).
    Ask {
        /// Its name.
        question: QuestionId,
        /// What to ask; always a [`StoreOp::Queue`].
        op: StoreOp,
    },
    /// Try these rows. Tell each row's outcome by [`Queue::settled`](super::Queue::settled) as soon as it is known, and
    /// then [`Queue::finished`](super::Queue::finished).
    Attempt {
        /// Its name.
        attempt: AttemptId,
        /// Where to. With [`Destination::Local`] each row is resolved again, and becomes a [`RowResult::Forward`] or is
        /// refused.
        destination: Destination,
        /// At least one row. Recipients of one message ([`QueueRow::same_message`]) stand together.
        rows: Arc<[QueueRow]>,
    },
    /// A fact; nothing to answer.
    Event(Event),
    /// Nothing to do until an input comes or this time is reached.
    Wait {
        /// When to poll at the latest.
        until: Option<Mono>,
    },
    /// Drained: no attempt is under way, and every outcome is on disk. Said only after [`Queue::drain`](super::Queue::drain).
    Idle,
}

/// What became of one row of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowResult {
    /// The next hop took responsibility (2yz).
    Delivered(Said),
    /// It never will (5yz): the sender gets a bounce.
    Refused(Said),
    /// Not this time (4yz, or no connection): tried again, until it expires.
    Deferred(Said),
    /// A local row that was resolved again: accept this in the same transaction that finishes the row. The body is
    /// [`Body::Row`](crate::ops::Body::Row).
    Forward(Box<Accept>),
}

/// How an attempt ended, and what rows without an outcome are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The destination was reached. Rows without an outcome (the connection broke before it was their turn) are deferred
    /// with these words.
    Reached(Said),
    /// No host of the destination could be reached or used: its rows are deferred with these words, and it is left alone
    /// for a while ([`Limits::suspension`](super::Limits::suspension)).
    Unreachable(Said),
    /// It was broken off before anything was tried: rows without an outcome stay as they are, due now.
    Abandoned,
}

/// A reply, and whose words they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The reply.
    pub reply: Reply,
    /// The host that said it, by name or address; `None` when the words are our own.
    pub by: Option<Arc<str>>,
}

impl Said {
    /// Our own words, for what no peer said: no connection, no mail exchanger.
    #[must_use]
    pub fn ours(reply: Reply) -> Self {
        Self { reply, by: None }
    }

    /// A peer's words.
    #[must_use]
    pub fn by(reply: Reply, peer: impl Into<Arc<str>>) -> Self {
        Self { reply, by: Some(peer.into()) }
    }
}

/// What happened in the queue. Everything about a row is told once it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The buckets are ours.
    Leased {
        /// The epoch under which outcomes are recorded.
        epoch: LeaseEpoch,
    },
    /// The buckets are another owner's. Attempts under way go on, deliveries will be recorded once the lease is back,
    /// and all other outcomes are void.
    LeaseLost,
    /// A row was delivered and left the queue.
    Delivered {
        /// Which.
        row: RowId,
        /// Its recipient.
        recipient: Address,
        /// What the next hop said.
        said: Said,
    },
    /// A local row was accepted again, for the mailboxes and rows that its recipient stands for now, and left the queue.
    Forwarded {
        /// Which.
        row: RowId,
        /// Its recipient.
        recipient: Address,
    },
    /// A row is tried again.
    Deferred {
        /// Which.
        row: RowId,
        /// Its recipient.
        recipient: Address,
        /// What was said.
        said: Said,
        /// When it is due again.
        due: Wall,
    },
    /// A row was given up and left the queue.
    Failed {
        /// Which.
        row: RowId,
        /// Its recipient.
        recipient: Address,
        /// What was said last.
        said: Said,
        /// It was refused for good, or tried in vain past its expiry.
        why: Failure,
        /// The bounce, as the row that it has become; `None` for a message with the null reverse-path, which nobody is
        /// told about.
        bounce: Option<RowId>,
    },
    /// The store failed at what the queue asked; it is asked again.
    Trouble {
        /// In words.
        what: String,
    },
}

/// Why a row was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A permanent reply.
    Refused,
    /// An attempt made past its expiry failed.
    Expired,
}
