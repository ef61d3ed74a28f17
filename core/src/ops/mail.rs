//! Taking a message in: its body, the mailboxes it goes to, and the queue rows of everyone else, as one transaction.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{AccountId, Destination, EmailId, RowId, StageId};
use crate::smtp::Address;
use crate::time::Wall;

/// One message with all its recipients. All of it is on disk when the reply comes, or nothing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The message without its prefix.
    pub body: Body,
    /// The structure of the body, as [`crate::message`] encodes it, kept with the body; empty when none was made. A
    /// body that is shared ([`Body::Row`]) keeps the one that it has.
    pub structure: Bytes,
    /// When it was received: INTERNALDATE, and the beginning of its life in the queue.
    pub received: Wall,
    /// The reverse-path; `None` is the null one, `<>`.
    pub reverse_path: Option<Address>,
    /// It needs SMTPUTF8 on its way (RFC 6531).
    pub smtputf8: bool,
    /// It has octets above 127, and was declared BODY=8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// Recipients here. One whose account is gone by now becomes a queue row, due at once, in the same transaction
    /// (destination [`Destination::Local`]), and is bounced from there.
    pub deliveries: Vec<Delivery>,
    /// Recipients elsewhere.
    pub rows: Vec<NewRow>,
    /// When rows are given up that could not be delivered.
    pub expires: Wall,
}

/// Where the body's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Here: a small one travels in the op.
    Inline(Vec<Bytes>),
    /// In the store already: a large one was staged as it arrived. The op takes the stage over, on success.
    Staged(StageId),
    /// The body of this queue row, shared: a row that turned out to be for a mailbox here. The row must live until the
    /// op is done; inside a `Settle` that finishes it, it does.
    Row(RowId),
}

/// A recipient whose mailbox is in this store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose INBOX.
    pub account: AccountId,
    /// The forward-path it came by.
    pub recipient: Address,
    /// What stands before the body in this mailbox: Return-Path, Delivered-To, Received.
    pub prefix: Bytes,
}

/// A recipient that goes through the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The forward-path.
    pub recipient: Address,
    /// Where it goes next.
    pub destination: Destination,
    /// What stands before the body on its way: Received.
    pub prefix: Bytes,
    /// When it is tried first.
    pub due: Wall,
}

/// An [`Accept`] is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The emails filed, in the order of `deliveries`; `None` where the account was gone and a row was made.
    pub emails: Vec<Option<EmailId>>,
    /// The rows made: those of `rows` in order, then those of failed deliveries in order.
    pub rows: Vec<RowId>,
}

/// A large body on its way in: written and synced as it arrives, and named by an [`Accept`] at the end. A stage that is
/// never named is gone when the store opens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageOp {
    /// Begin a stage, with room for `expected` bytes if the sender declared a size.
    Open {
        /// Declared size in bytes, if any: a store that has no room refuses now.
        expected: Option<u64>,
    },
    /// Append to it. Appends are applied in the order of submission.
    Append {
        /// The stage.
        stage: StageId,
        /// Bytes of the body.
        bytes: Bytes,
    },
    /// Give it up.
    Drop {
        /// The stage.
        stage: StageId,
    },
}

/// Answers to [`StageOp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageReply {
    /// Begun.
    Opened(StageId),
    /// Taken.
    Appended,
    /// Gone.
    Dropped,
}
