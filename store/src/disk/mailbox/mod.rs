//! Mailboxes: what mail readers ask of them, on disk.
//!
//! * A mailbox is a row with its name and its counters (`row`); its messages are kept under a number, so that INBOX can be
//!   renamed, and a mailbox deleted, without touching them (`tree`, `graves`).
//! * Which UIDs it has is kept as runs (`view`); which it had, too, for a while (`expunged`).
//! * What changes goes through the engine (`change`); what asks only is answered by the threads that read (`read`), each
//!   answer from one snapshot. What is recent is claimed in memory (`claims`).

mod change;
mod claims;
mod expunged;
mod graves;
mod read;
mod row;
mod tree;
mod view;

use pillarbox_core::mailbox::{Request, Response};
use pillarbox_core::ops::{AccountId, MailboxOp, NewBody, StoreError};

pub(super) use self::change::remove_from_inbox;
pub(super) use self::claims::Claims;
pub(super) use self::graves::{all as graves, bury};
pub(super) use self::read::answer;
pub(super) use self::row::{Mailbox, unsigned};
pub(super) use self::tree::{make, remove_all};
pub(super) use self::view::fill as fill_view;
use super::engine::{Fail, Source, Tx};
use super::schema::blob;

/// Applies a change of mailboxes. `sources` are where the bodies of an `Append` are.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    account: AccountId,
    request: &Request,
    bodies: &[NewBody],
    sources: &[Source],
) -> Result<Response, Fail> {
    let appended = if let Request::Append { messages, .. } = request { messages.len() } else { 0 };
    if bodies.len() != appended {
        return Err(Fail::Op(StoreError::Unknown));
    }
    if !tx.conn.prepare_cached("SELECT 1 FROM accounts WHERE id = ?1")?.exists([blob(account.0)])? {
        return Ok(Response::NoMailbox);
    }
    match request {
        Request::Create { name, special_use } => tree::create(tx, account, name, *special_use),
        Request::Delete { name } => tree::delete(tx, account, name),
        Request::Rename { from, to } => tree::rename(tx, account, from, to),
        Request::Subscribe { name, subscribed } => tree::subscribe(tx, account, name, *subscribed),
        Request::Flag { mailbox, uids, change, unchanged_since } => {
            change::flag(tx, account, *mailbox, uids, change, *unchanged_since)
        }
        Request::Expunge { mailbox, uids } => change::expunge(tx, account, *mailbox, uids.as_ref()),
        Request::Copy { mailbox, uids, to, remove } => change::copy(tx, account, *mailbox, uids, to, *remove),
        Request::Append { to, messages } => change::append(tx, account, to, messages, bodies, sources),
        // These never come here: see `Shared::submit`.
        Request::List
        | Request::Usage
        | Request::Find { .. }
        | Request::Select { .. }
        | Request::Entries { .. }
        | Request::Read { .. }
        | Request::Heads { .. }
        | Request::Search { .. }
        | Request::Changes { .. } => Err(Fail::Op(StoreError::Unknown)),
    }
}

/// It is answered by the threads that read.
pub(super) fn is_read(op: &MailboxOp) -> bool {
    matches!(op, MailboxOp::Ask { request, .. } if !request.is_change())
}

/// It is answered by the threads that search.
pub(super) fn is_search(op: &MailboxOp) -> bool {
    matches!(op, MailboxOp::Ask { request: Request::Search { .. }, .. })
}

/// Messages that a change may concern: what it may take as long as.
pub(super) fn weight(op: &MailboxOp) -> usize {
    let MailboxOp::Ask { request, .. } = op else { return 1 };
    match request {
        Request::Flag { uids, .. } | Request::Copy { uids, .. } => uids.len() as usize,
        Request::Expunge { .. } => pillarbox_core::mailbox::PAGE as usize,
        Request::Append { messages, .. } => messages.len(),
        _ => 1,
    }
}

/// It brings in what was not there, so it is refused when there is no room. Flags are changed even then: without
/// `\Deleted` nothing could be removed.
pub(super) fn needs_room(op: &MailboxOp) -> bool {
    let MailboxOp::Ask { request, .. } = op else { return false };
    matches!(request, Request::Create { .. } | Request::Copy { .. } | Request::Append { .. })
}
