//! Mailboxes: a reader's requests, on behalf of an account, and who wants to hear when a mailbox changes.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{AccountId, Body, MailboxId};
use crate::mailbox::Request;

/// What sessions with mail readers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxOp {
    /// A request; answered by its [`Response`](crate::mailbox::Response).
    Ask {
        /// Whose mailboxes. A request that names another account's mailbox finds none.
        account: AccountId,
        /// What is asked.
        request: Request,
        /// The octets of the messages of an `Append`, in their order; else empty.
        bodies: Vec<NewBody>,
    },
    /// From now on the sink that submits this is told of every change of the mailbox, by
    /// [`Notice::Mailbox`](super::Notice::Mailbox): of every one that the answer to an op which it submits behind this does
    /// not show. It is not counted: watching twice is watching once. It is never handed back for want of a place. Answered
    /// by `Done`.
    Watch {
        /// Which.
        mailbox: MailboxId,
    },
    /// No longer. Never handed back either. Answered by `Done`.
    Unwatch {
        /// Which.
        mailbox: MailboxId,
    },
}

/// The octets of a new message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBody {
    /// Where they are.
    pub body: Body,
    /// Its structure, as [`crate::message`] encodes it; empty when none was made. As in
    /// [`Accept::structure`](super::Accept::structure).
    pub structure: Bytes,
}
