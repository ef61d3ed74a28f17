//! What a mailbox is, and what a mail reader asks of one: plain data, the same for every protocol that shows mailboxes
//! and every store that keeps them.
//!
//! * A mailbox has a [name](MailboxName), an id that outlives a renaming, and messages with ascending [UIDs](UidSet).
//! * A message in a mailbox is an [`Entry`]: its flags ([`FlagSet`]) and a modseq that rises with every change of them.
//!   A modseq is given to each change of a mailbox, once, in order: who has seen M has seen all up to M.
//! * A reader asks by [`Request`] and hears by [`Response`]. A request that may concern many messages is answered in
//!   pages; each page says the modseq as of which it was read.

mod entry;
mod flag;
mod name;
mod request;
mod uid;

pub use entry::{Change, Counters, Entry, Mailbox, Selected, SpecialUse};
pub use flag::{BadKeyword, FlagSet, Keyword, Keywords};
pub(crate) use name::canonical;
pub use name::{BadName, MailboxName};
pub use request::{
    Append, FlagChange, FlagMode, Gone, HEADS_OCTETS, PAGE, PAGE_OCTETS, Request, Response, SEARCH_OCTETS,
};
pub use uid::UidSet;

/// Names a change of a mailbox (RFC 7162 §3): 1 to 2^63 - 1, in the order in which changes happened.
pub type ModSeq = u64;
