//! Who has what: everything that is in the mailboxes on a disk, read past all protocols.

use pillarbox_core::mailbox::{Entry, FlagSet, Keywords, Request, Response, UidSet};
use pillarbox_core::ops::{AccountId, MailboxOp, StoreOp, StoreReply};
use pillarbox_store::MemoryStore;

use crate::copies::Has;
use crate::ledger::{Ledger, UserId};
use crate::told::{Flags, Folder};

/// The messages in all mailboxes of an account; each is shown to the ledger.
pub(crate) fn census(store: &MemoryStore, account: AccountId, user: UserId, ledger: &mut Ledger) -> Vec<Has> {
    let mut all = Vec::new();
    let ask = |request: Request| {
        let op = MailboxOp::Ask { account, request, bodies: Vec::new() };
        match store.apply(StoreOp::Mailbox(Box::new(op))) {
            StoreReply::Mailbox(response) => Some(*response),
            _ => None,
        }
    };
    let Some(Response::Mailboxes(mailboxes)) = ask(Request::List) else { return all };
    for mailbox in mailboxes.iter() {
        let Some((id, _)) = mailbox.there else { continue };
        let Some(folder) = Folder::ALL.into_iter().find(|folder| folder.name() == mailbox.name.as_str()) else {
            ledger.violated(format!(
                "{} has a mailbox that nobody made: {}",
                ledger.address(user),
                mailbox.name.as_str()
            ));
            continue;
        };
        let mut uids = UidSet::run(1, u32::MAX);
        loop {
            let request = Request::Entries { mailbox: id, uids: uids.clone(), changed_since: None, structures: false };
            let Some(Response::Entries { entries, keywords, next, .. }) = ask(request) else { break };
            for entry in &entries {
                let request = Request::Read { entry: entry.entry, offset: 0, len: usize::MAX };
                let Some(Response::Bytes(bytes)) = ask(request) else { continue };
                let stamp = ledger.read(user, &bytes).map(|(_, stamp)| stamp);
                all.push(Has { folder, uid: entry.uid, stamp, flags: flags(entry, &keywords) });
            }
            let Some(next) = next else { break };
            uids = UidSet::run(next, u32::MAX);
        }
    }
    all
}

/// As a server names them.
fn flags(entry: &Entry, keywords: &Keywords) -> Flags {
    let system = [
        (FlagSet::SEEN, "\\Seen"),
        (FlagSet::ANSWERED, "\\Answered"),
        (FlagSet::FLAGGED, "\\Flagged"),
        (FlagSet::DELETED, "\\Deleted"),
        (FlagSet::DRAFT, "\\Draft"),
    ];
    let system = system.into_iter().filter(|(flag, _)| entry.flags.contains(*flag)).map(|(_, name)| name.to_owned());
    system.chain(keywords.of(entry.flags).map(|keyword| keyword.as_str().to_owned())).collect()
}
