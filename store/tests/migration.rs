//! Data of older versions is taken along: a store as each version left it, opened today.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use pillarbox_core::mailbox::*;
use pillarbox_core::ops::*;

/// Makes a store's folder out of a dump of its database and its segments.
fn thaw(version: &str, dir: &Path) {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
    fs::create_dir(dir.join("segments")).unwrap();
    let database = rusqlite::Connection::open(dir.join("pillarbox.db")).unwrap();
    database.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;").unwrap();
    database.execute_batch(&fs::read_to_string(fixture.join("store.sql")).unwrap()).unwrap();
    fs::copy(fixture.join("00000001.seg"), dir.join("segments/00000001.seg")).unwrap();
}

/// Six messages came to alice, the third to bob, too; she fetched and deleted the second and the fourth, which is still in
/// the queue for somebody else. A third account has no mail.
#[test]
fn a_store_of_the_first_version() {
    let dir = tempfile::tempdir().unwrap();
    thaw("version-1", dir.path());
    let store = open(dir.path());
    assert_eq!(store.recovery(), &pillarbox_store::Recovery::default());
    let node = Node::new();
    let [alice, bob, empty] =
        ["alice", "bob", "empty"].map(|name| account(&node, &*store, &format!("{name}@example.org")));

    let inbox = select(&node, &*store, alice, "INBOX", false);
    let uids = [1, 3, 5, 6].into_iter().collect();
    assert_eq!((&inbox.uids, inbox.first_unseen, inbox.recent_from), (&uids, Some(1), 1));
    let size = 25 + PREFIX as u64;
    let counters = Counters {
        messages: 4,
        unseen: 4,
        recent: 4,
        octets: 4 * size,
        uid_next: 7,
        uid_validity: 1_000,
        highest_modseq: 8,
        ..Counters::default()
    };
    assert_eq!(inbox.counters, counters);
    for entry in entries(&node, &*store, alice, inbox.mailbox) {
        let read = Request::Read { entry: entry.entry, offset: PREFIX as u64, len: usize::MAX };
        let body = format!("Subject: {0}\r\n\r\nmessage {0}\r\n", entry.uid);
        assert_eq!(request(&node, &*store, alice, read), Response::Bytes(body.into()));
        assert_eq!((entry.size, entry.prefix, entry.modseq), (size, PREFIX as u32, u64::from(entry.uid) + 1));
        assert_eq!(entry.structure.as_deref(), Some(&b""[..]), "none was made then");
    }
    // Nobody remembers what was removed before.
    let changes = Request::Changes { mailbox: inbox.mailbox, since: 6, after: None, claim: false };
    let Response::Changes { changes, gone, .. } = request(&node, &*store, alice, changes) else { panic!("no changes") };
    assert_eq!((changes.len(), gone), (1, Gone::AllBut(uids)));

    let theirs = select(&node, &*store, bob, "INBOX", true);
    assert_eq!((theirs.uids, theirs.counters.uid_validity), (UidSet::run(1, 1), 1_001));
    let none = select(&node, &*store, empty, "INBOX", true).counters;
    assert_eq!((none.messages, none.uid_next, none.highest_modseq, none.recent), (0, 1, 1, 0));
    let list = QueueOp::List { after: None, limit: usize::MAX };
    let StoreReply::Queue(QueueReply::Rows(rows)) = node.ask(&*store, StoreOp::Queue(list)) else { panic!("no rows") };
    assert_eq!(rows.len(), 1);

    let usage = |account| request(&node, &*store, account, Request::Usage);
    assert_eq!(usage(alice), Response::Usage { messages: 4, octets: 4 * size });
    assert_eq!(usage(empty), Response::Usage { messages: 0, octets: 0 });

    // Which flags have changed is not known: all of them, perhaps.
    let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::SEEN, keywords: Vec::new() };
    let (uids, unchanged_since) = ([1, 3].into_iter().collect(), Some(3));
    let flag = Request::Flag { mailbox: inbox.mailbox, uids, change, unchanged_since };
    let Response::Flagged { changed, modified, .. } = request(&node, &*store, alice, flag) else { panic!("no flags") };
    assert_eq!((changed.iter().map(|it| it.uid).collect(), modified), (vec![1], UidSet::run(3, 3)));

    // And on it goes.
    accepted(node.ask(&*store, deliver(alice, "new")));
    let created = request(&node, &*store, alice, Request::Create { name: name("a"), special_use: None });
    assert!(matches!(created, Response::Made(_)));
    let uids = UidSet::run(5, 7);
    let moved = Request::Copy { mailbox: inbox.mailbox, uids, to: name("a"), remove: true };
    let Response::Copied { uids, .. } = request(&node, &*store, alice, moved) else { panic!("not moved") };
    assert_eq!(uids, [(5, 1), (6, 2), (7, 3)]);
    let a = select(&node, &*store, alice, "a", true).counters;
    assert!(a.uid_validity > 1_002, "that was given before");
    let (lock, maildrop) = open_maildrop(&node, &*store, alice);
    assert_eq!(maildrop.iter().map(|entry| entry.unique & 0xff).collect::<Vec<_>>(), [1, 3]);
    release(&node, &*store, lock);
    empty_all(&node, &*store, [alice, bob]);
}

/// Names were kept as they were written; where two have become one, both mailboxes are there.
#[test]
fn names_that_were_written_in_two_ways() {
    let dir = tempfile::tempdir().unwrap();
    thaw("version-1", dir.path());
    let long = "\u{958}".repeat(330);
    let database = rusqlite::Connection::open(dir.path().join("pillarbox.db")).unwrap();
    for (number, name) in (1_i64..).zip(["caf\u{e9}", "cafe\u{301}", "cafe\u{301}/x", "caf\u{e9}/x", &long]) {
        let insert = "INSERT INTO mailboxes
            SELECT ?1, id, ?2, ?3, 1, 1, 0, 0, 0 FROM accounts WHERE address = 'alice@example.org'";
        let row = rusqlite::params![[number as u8; 16], name, 2_000 + number];
        assert_eq!(database.execute(insert, row).unwrap(), 1);
    }
    drop(database);
    let store = open(dir.path());
    let node = Node::new();
    let alice = account(&node, &*store, "alice@example.org");
    let Response::Mailboxes(all) = request(&node, &*store, alice, Request::List) else { panic!("no list") };
    let names: Vec<_> = all.iter().map(|mailbox| mailbox.name.as_str()).collect();
    let short = "\u{915}\u{93c}".repeat(166);
    assert_eq!(names, ["INBOX", "caf\u{e9}", "caf\u{e9} 2", "caf\u{e9}/x", "caf\u{e9}/x 2", &short]);
    for (name, expected) in [("cafe\u{301}", 2_001), ("cafe\u{301} 2", 2_002), ("caf\u{e9}/x", 2_004)] {
        assert_eq!(select(&node, &*store, alice, name, true).counters.uid_validity, expected);
    }
}

fn empty_all(node: &Node, store: &dyn Store, accounts: [AccountId; 2]) {
    let mut moved = true;
    for account in accounts {
        empty(node, store, account);
        assert_eq!(select(node, store, account, "INBOX", true).counters.octets, 0);
        let Response::Usage { messages, octets } = request(node, store, account, Request::Usage) else { panic!() };
        assert_eq!((messages > 0, octets > 0), (moved, moved), "what was moved elsewhere counts");
        moved = false;
    }
}
