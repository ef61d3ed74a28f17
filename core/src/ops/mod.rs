//! What a node asks of a store, as plain data.
//!
//! A [`StoreOp`] goes out, a [`StoreReply`] comes back; so it can be recorded, replayed and simulated, and one contract
//! serves every engine. The rules:
//!
//! * **One op is one transaction**: all its effects or none.
//! * **A reply to an op that changes something means: on disk.**
//! * A node's writes are applied in the order in which it submitted them. A read submitted after an answer sees what
//!   that answer confirmed.
//! * [`Store::submit`] never blocks. A store that has no place hands the op back ([`Busy`]); nothing is dropped.

mod account;
mod id;
mod mail;
mod maildrop;
mod queue;
mod store;

pub use account::{AccountOp, AccountReply, Resolution};
pub use id::{AccountId, BlobId, EmailId, EntryId, Id, LeaseEpoch, LockId, MailboxId, RowId, StageId, ThreadId};
pub use mail::{Accept, Accepted, Body, Delivery, NewRow, StageOp, StageReply};
pub use maildrop::{MaildropEntry, MaildropOp, MaildropReply};
pub use queue::{Attempted, BUCKETS, Destination, QueueOp, QueueReply, QueueRow, RowState, Settle, bucket};
pub use store::{Busy, Sink, Store, StoreError, StoreOp, StoreReply, Token};
