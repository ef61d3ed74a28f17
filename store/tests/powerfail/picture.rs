//! All that a store promises to keep, as lines of text: two stores hold the same if their pictures are equal.

use std::collections::BTreeMap;

use bytes::Bytes;
use pillarbox_core::Secret;
use pillarbox_core::mailbox::*;
use pillarbox_core::message::TextKey;
use pillarbox_core::ops::*;

use crate::common::*;
use crate::schedule::ACCOUNTS;

/// What a store holds.
pub(crate) type Picture = Vec<String>;

/// Looks at a store; of messages that never change it remembers the octets' checksums in `seen`.
pub(crate) fn picture(node: &Node, store: &dyn Store, seen: &mut BTreeMap<Id, String>) -> Picture {
    let mut lines = Vec::new();
    for op in [
        AccountOp::List { after: None, limit: usize::MAX },
        AccountOp::ListAliases { after: None, limit: usize::MAX },
        AccountOp::Authenticate { login: ACCOUNTS[0].to_owned(), password: Secret::from("pencil") },
    ] {
        lines.push(format!("{:?}", node.ask(store, StoreOp::Account(op))));
    }
    for name in ACCOUNTS {
        let resolve = AccountOp::Resolve { address: address(name) };
        match node.ask(store, StoreOp::Account(resolve)) {
            StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => {
                lines.push(format!("{name} is {}", accounts[0].0));
                account_lines(node, store, accounts[0].0, seen, &mut lines);
            }
            other => lines.push(format!("{name} is {other:?}")),
        }
    }
    let list = QueueOp::List { after: None, limit: usize::MAX };
    match node.ask(store, StoreOp::Queue(list)) {
        StoreReply::Queue(QueueReply::Rows(rows)) => {
            let read = |row| StoreOp::Queue(QueueOp::Read { row: RowId(row), offset: 0, len: usize::MAX });
            read_all_new(node, store, seen, rows.iter().map(|row| row.id.0), read);
            for row in rows {
                // A body may be called something else in another store.
                let row = QueueRow { blob: BlobId::default(), ..row };
                lines.push(format!("{row:?}: {}", seen[&row.id.0]));
            }
        }
        other => lines.push(format!("the queue: {other:?}")),
    }
    lines
}

fn account_lines(
    node: &Node,
    store: &dyn Store,
    account: AccountId,
    seen: &mut BTreeMap<Id, String>,
    lines: &mut Picture,
) {
    let ask = |request| node.submit(store, asking(account, request, vec![]));
    let listed = match mailbox_reply(node.replies.wait(ask(Request::List))) {
        Ok(Response::Mailboxes(listed)) => listed,
        other => return lines.push(format!("the mailboxes of {account}: {other:?}")),
    };
    for mailbox in listed.iter() {
        let mut mailbox = mailbox.clone();
        // What nobody was told of yet is written down now and then, and no part of any promise.
        let there = mailbox.there.take().map(|(id, counters)| (id, Counters { recent: 0, ..counters }));
        lines.push(format!("{mailbox:?}: {there:?}"));
        let Some((id, counters)) = there else { continue };
        let all = UidSet::run(1, u32::MAX);
        let since = |since| Request::Changes { mailbox: id, since, after: None, claim: false };
        let keys = [TextKey::Text("message 1".to_owned())].into();
        let asked = [
            Request::Entries { mailbox: id, uids: all.clone(), changed_since: None, structures: true },
            since(1),
            since(counters.highest_modseq / 2),
            Request::Search { mailbox: id, uids: all, keys },
            Request::Usage,
        ]
        .map(ask);
        let [messages, rest @ ..] = asked.map(|token| mailbox_reply(node.replies.wait(token)));
        lines.extend(rest.map(|response| format!("  {response:?}")));
        let entries = match messages {
            Ok(Response::Entries { entries, .. }) => entries,
            other => return lines.push(format!("  the messages: {other:?}")),
        };
        let read = |entry| asking(account, Request::Read { entry: EntryId(entry), offset: 0, len: usize::MAX }, vec![]);
        read_all_new(node, store, seen, entries.iter().map(|entry| entry.entry.0), read);
        for entry in entries {
            lines.push(format!("  {entry:?}: {}", seen[&entry.entry.0]));
        }
    }
}

/// Reads those messages that were not seen yet.
fn read_all_new(
    node: &Node,
    store: &dyn Store,
    seen: &mut BTreeMap<Id, String>,
    ids: impl Iterator<Item = Id>,
    read: impl Fn(Id) -> StoreOp,
) {
    let new = ids.filter(|id| !seen.contains_key(id));
    let asked: Vec<_> = new.map(|id| (id, node.submit(store, read(id)))).collect();
    for (id, token) in asked {
        let octets = match node.replies.wait(token) {
            StoreReply::Queue(QueueReply::Bytes(bytes)) => checksum(&bytes),
            StoreReply::Mailbox(response) => match *response {
                Response::Bytes(bytes) => checksum(&bytes),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        seen.insert(id, octets);
    }
}

fn mailbox_reply(reply: StoreReply) -> Result<Response, StoreReply> {
    match reply {
        StoreReply::Mailbox(response) => Ok(*response),
        other => Err(other),
    }
}

fn checksum(bytes: &Bytes) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

/// What is in one of them alone.
pub(crate) fn difference(one: &Picture, other: &Picture) -> String {
    let only = |these: &Picture, those: &Picture| {
        let lines = these.iter().filter(|line| !those.contains(line)).take(6);
        lines.map(|line| format!("\n  {}", line.chars().take(400).collect::<String>())).collect::<String>()
    };
    format!("only after the failure:{}\nonly in the reference:{}", only(one, other), only(other, one))
}
