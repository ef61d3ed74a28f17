//! Writing responses (RFC 9051 §7), straight into an [`Outbox`](crate::Outbox): functions, and no tree in between.
//!
//! Whatever is stored or received, nothing of it breaks out of its place in a response: see [`string`](mod@string).

mod body;
mod command;
mod condition;
mod count;
mod envelope;
mod fetch;
mod flag;
mod mailbox;
mod search;
mod server;
pub mod string;

pub use command::command;
pub use condition::{Condition, continuation, tagged, untagged};
pub use count::{exists, expunge, recent};
pub use fetch::FetchResponse;
pub use flag::{flag_list, mailbox_flags};
pub use mailbox::{ListAttribute, ListEntry, StatusValue, list, list_root, lsub, namespace, status};
pub use search::{Esearch, EsearchResponse, number_set, search_begin, search_end, search_numbers, vanished};
pub use server::{capability, enabled, id};
pub use string::{Charset, astring, literal, literal_header, nstring, number};

/// What `write` writes.
#[cfg(test)]
fn written(write: impl FnOnce(&mut crate::Outbox)) -> alloc::vec::Vec<u8> {
    let mut tx = crate::Outbox::new(usize::MAX);
    write(&mut tx);
    tx.slices().flatten().copied().collect()
}
