//! Opens what a power failure left, and holds it to the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pillarbox_core::mailbox::*;
use pillarbox_core::ops::*;
use pillarbox_store::{Disk, DiskStore, SystemDisk};

use crate::common::*;
use crate::layer::{Event, Layer, LayeredDisk};
use crate::picture::{Picture, difference, picture};
use crate::schedule::ACCOUNTS;

/// What is wrong with what is left.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// Something acknowledged is not there, or something undone is.
    Lost(String),
    /// The store cannot be opened, or what is there is not whole.
    Torn(String),
}

/// Opens the store in the folder, under the layer if there is one, which must hold one of these pictures, be whole, and go on from there. Returns which of
/// them, and how long it took until the store served.
pub(crate) fn verify(
    dir: &Path,
    layer: Option<&Arc<Layer>>,
    allowed: &[Rc<Picture>],
    old_lease: Option<LeaseEpoch>,
) -> Result<(Rc<Picture>, Duration), Wrong> {
    let node = Node::new();
    let disk: Arc<dyn Disk> = match layer {
        Some(layer) => Arc::new(LayeredDisk(Arc::clone(layer))),
        None => Arc::new(SystemDisk),
    };
    let begun = Instant::now();
    let store = DiskStore::open_on(dir, options(&TestClock::default()), disk)
        .map_err(|error| Wrong::Torn(error.to_string()))?;
    // A read, and a change that has to be on the disk.
    node.ask(&*store, StoreOp::Account(AccountOp::Resolve { address: address(ACCOUNTS[0]) }));
    node.ask(&*store, StoreOp::Queue(QueueOp::Retry { rows: vec![], now: pillarbox_core::Wall(0) }));
    let took = begun.elapsed();
    let recovery = store.recovery();
    if (recovery.missing, recovery.damaged) != (0, 0) {
        return Err(Wrong::Torn(recovery.to_string()));
    }
    let now = picture(&node, &*store, &mut BTreeMap::new());
    let which = allowed.iter().find(|allowed| ***allowed == now);
    let which = Rc::clone(which.ok_or_else(|| Wrong::Lost(difference(&now, &allowed[0])))?);
    if let Some(layer) = layer {
        layer.note(Event::Looked);
    }
    goes_on(&node, &store, old_lease).map_err(Wrong::Lost)?;
    store.close();
    balance(dir).and_then(|()| strays(dir)).map_err(Wrong::Torn)?;
    Ok((which, took))
}

/// New messages get numbers that nothing had before, and nobody holds what was held before the failure.
fn goes_on(node: &Node, store: &DiskStore, old_lease: Option<LeaseEpoch>) -> Result<(), String> {
    if let Some(epoch) = old_lease {
        let settle = Settle { epoch, rows: vec![], accepts: vec![] };
        let settled = node.ask(store, StoreOp::Queue(QueueOp::Settle(settle)));
        if settled != StoreReply::Queue(QueueReply::Lost) {
            return Err(format!("a lease outlived the failure: {settled:?}"));
        }
    }
    for name in ACCOUNTS {
        let resolve = StoreOp::Account(AccountOp::Resolve { address: address(name) });
        let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) =
            node.ask(store, resolve)
        else {
            continue;
        };
        let account = accounts[0].0;
        let before = select(node, store, account, "INBOX", true);
        let known = entries(node, store, account, before.mailbox);
        for op in
            [appending(account, "INBOX", FlagSet::SEEN, vec![inline("and on it goes")]), deliver(account, "and on")]
        {
            let reply = node.ask(store, op);
            if matches!(reply, StoreReply::Failed(_)) {
                return Err(format!("nothing can be filed: {reply:?}"));
            }
        }
        let after = select(node, store, account, "INBOX", true);
        let new = entries(node, store, account, after.mailbox).split_off(known.len());
        let highest = before.counters.highest_modseq;
        let next = before.counters.uid_next;
        let right = new.iter().map(|entry| entry.uid).eq([next, next + 1])
            && new.iter().all(|new| new.modseq > highest && known.iter().all(|known| known.entry != new.entry))
            && after.counters.uid_validity == before.counters.uid_validity;
        if !right {
            return Err(format!("new messages of {name} are {new:?}, behind {before:?}"));
        }
    }
    Ok(())
}

/// There are no files but those that the database names.
fn strays(dir: &Path) -> Result<(), String> {
    let conn = rusqlite::Connection::open(dir.join("pillarbox.db")).map_err(|error| error.to_string())?;
    let named =
        |sql| -> rusqlite::Result<BTreeSet<String>> { conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect() };
    for (folder, sql) in [
        ("segments", "SELECT format('%08x.seg', id) FROM segments"),
        ("bodies", "SELECT lower(hex(file)) FROM blobs WHERE file IS NOT NULL"),
    ] {
        let named = named(sql).map_err(|error| error.to_string())?.len();
        let there = fs::read_dir(dir.join(folder)).map_err(|error| error.to_string())?.count();
        if there != named {
            return Err(format!("{there} files in {folder}, and {named} are named"));
        }
    }
    Ok(())
}

/// Counters are what they count, in the database of a store that is closed; or which one is not.
pub(crate) fn balance(dir: &Path) -> Result<(), String> {
    let conn = rusqlite::Connection::open(dir.join("pillarbox.db")).map_err(|error| error.to_string())?;
    for (what, wrong) in [
        (
            "names of a body",
            "SELECT count(*) FROM blobs b WHERE refs <>
             (SELECT count(*) FROM emails WHERE blob = b.id) + (SELECT count(*) FROM rows WHERE blob = b.id)",
        ),
        (
            "bodies in a segment",
            "SELECT count(*) FROM segments s WHERE live <>
             (SELECT coalesce(sum(size + 48), 0) FROM blobs WHERE segment = s.id)",
        ),
        (
            "bodies without a segment",
            "SELECT count(*) FROM blobs WHERE file IS NULL AND segment NOT IN (SELECT id FROM segments)",
        ),
        (
            "messages in a mailbox",
            "SELECT count(*) FROM mailboxes m WHERE (messages, octets, unseen, deleted, deleted_octets) <>
             (SELECT count(*), coalesce(sum(size), 0), count(*) FILTER (WHERE flags & 1 = 0),
                count(*) FILTER (WHERE flags & 8 != 0), coalesce(sum(size) FILTER (WHERE flags & 8 != 0), 0)
              FROM entries WHERE mailbox = m.number)",
        ),
        ("UIDs", "SELECT count(*) FROM entries e JOIN mailboxes m ON m.number = e.mailbox WHERE e.uid >= m.uidnext"),
        (
            "places of a message",
            "SELECT count(*) FROM emails m WHERE entries <> (SELECT count(*) FROM entries WHERE email = m.id)",
        ),
        (
            "entries of no mailbox",
            "SELECT count(*) FROM entries WHERE mailbox NOT IN
             (SELECT number FROM mailboxes UNION SELECT mailbox FROM graves)",
        ),
        (
            "what is remembered of what is gone",
            "SELECT count(*) FROM mailboxes m WHERE expunged_runs <>
             (SELECT coalesce(sum(runs), 0) FROM expunged WHERE mailbox = m.number)",
        ),
        ("structures", "SELECT count(*) FROM structures WHERE blob NOT IN (SELECT id FROM blobs)"),
    ] {
        let wrong = conn.query_row(wrong, [], |row| row.get::<_, i64>(0));
        if wrong != Ok(0) {
            return Err(format!("{what}: {wrong:?}"));
        }
    }
    let sound = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    if sound.as_deref() == Ok("ok") { Ok(()) } else { Err(format!("{sound:?}")) }
}
