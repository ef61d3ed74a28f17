//! Who has what: everything that is in the mailboxes on a disk, read past all protocols.

use std::collections::BTreeMap;

use pillarbox_core::mailbox::{Request, Response, UidSet};
use pillarbox_core::ops::{AccountId, MailboxOp, StoreOp, StoreReply};
use pillarbox_store::MemoryStore;

use crate::ledger::{Ledger, UserId};
use crate::letter::Letter;

/// Counts the letters in all mailboxes of an account; each message is shown to the ledger.
pub(crate) fn census(
    store: &MemoryStore,
    account: AccountId,
    user: UserId,
    ledger: &mut Ledger,
) -> BTreeMap<Letter, u32> {
    let mut has = BTreeMap::new();
    let ask = |request: Request| {
        let op = MailboxOp::Ask { account, request, bodies: Vec::new() };
        match store.apply(StoreOp::Mailbox(Box::new(op))) {
            StoreReply::Mailbox(response) => Some(*response),
            _ => None,
        }
    };
    let Some(Response::Mailboxes(mailboxes)) = ask(Request::List) else { return has };
    for mailbox in mailboxes.iter() {
        let Some((id, _)) = mailbox.there else { continue };
        let mut uids = UidSet::run(1, u32::MAX);
        loop {
            let request = Request::Entries { mailbox: id, uids: uids.clone(), changed_since: None, structures: false };
            let Some(Response::Entries { entries, next, .. }) = ask(request) else { break };
            for entry in &entries {
                let request = Request::Read { entry: entry.entry, offset: 0, len: usize::MAX };
                let Some(Response::Bytes(bytes)) = ask(request) else { continue };
                if let Some(letter) = ledger.read(user, &bytes) {
                    *has.entry(letter).or_default() += 1;
                }
            }
            let Some(next) = next else { break };
            uids = UidSet::run(next, u32::MAX);
        }
    }
    has
}
