//! What a node asks of a store, as plain data.
//!
//! A [`StoreOp`] goes out, a [`StoreReply`] comes back; so it can be recorded, replayed and simulated, and one contract
//! serves every engine. The rules:
//!
//! * **One op is one transaction**: all its effects or none.
//! * **A reply to an op that changes something means: on disk.**
//! * A node's writes are applied in the order in which it submitted them. A read submitted after an answer sees what
//!   that answer confirmed.
//! * **Nodes share a store.** What one node confirmed all see. A node learns of its own changes by their replies; of what
//!   others did that it must act on it hears by a [`Notice`], after the change is on disk and never before. Whoever
//!   leases buckets of the queue hears of rows that others make due in them; what was on disk before the lease was given
//!   is found by looking.
//! * **What a node holds it holds for as long as it lives.** Leases and maildrop locks are in the store's memory, under the
//!   node's [`Sink`]; when that is dropped, the next who wants them gets them at once. A stage that was not named is
//!   removed when the store opens next.
//! * [`Store::submit`] never blocks. A store that has no place hands the op back ([`Busy`]); nothing is dropped.

mod account;
mod id;
mod mail;
mod mailbox;
mod maildrop;
mod notice;
mod queue;
mod store;

pub use account::{AccountOp, AccountReply, Resolution};
pub use id::{AccountId, BlobId, EmailId, EntryId, Id, LeaseEpoch, LockId, MailboxId, RowId, StageId, ThreadId};
pub use mail::{Accept, Accepted, Body, Delivery, NewRow, StageOp, StageReply};
pub use mailbox::{MailboxOp, NewBody};
pub use maildrop::{MaildropEntry, MaildropOp, MaildropReply};
pub use notice::{Notice, Notices};
pub use queue::{Attempted, BUCKETS, Destination, QueueOp, QueueReply, QueueRow, RowState, Settle, bucket};
pub use store::{Busy, Sink, Store, StoreError, StoreOp, StoreReply, Token};
