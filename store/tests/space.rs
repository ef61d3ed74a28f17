//! What deletion frees comes back while the store is open.
#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::*;
use pillarbox_core::ops::*;
use pillarbox_store::{DiskStore, Options};

/// The folder of an empty store at most: database, log (8 MiB), and the reserve (4 MiB).
const EMPTY: u64 = 14 << 20;

fn store(dir: &std::path::Path) -> std::sync::Arc<DiskStore> {
    DiskStore::open(dir, Options { segment_size: 2 << 20, ..options(&TestClock::default()) }).unwrap()
}

#[test]
fn deleting_small_messages_frees_segments_and_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let tokens: Vec<_> = (0..3_000)
        .map(|i| {
            let token = node.submit(&*store, deliver(account, vec![b'x'; 7_000]));
            // A queue row that shares the body, or not.
            let rows = vec![row("x.example", i)];
            [token, node.submit(&*store, StoreOp::Accept(Box::new(message(inline("y"), vec![], rows))))]
        })
        .collect();
    let rows: Vec<RowId> =
        tokens.into_iter().flatten().flat_map(|token| accepted(node.replies.wait(token)).rows).collect();
    assert!(folder_size(dir.path()) > 20 << 20);
    empty(&node, &*store, account);
    assert_eq!(
        node.ask(&*store, StoreOp::Queue(QueueOp::Remove { rows })),
        StoreReply::Queue(QueueReply::Changed(3_000))
    );
    wait_until_smaller(dir.path(), EMPTY);
    accepted(node.ask(&*store, deliver(account, "and on it goes")));
}

#[test]
fn mostly_dead_segments_are_rewritten_and_readers_do_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let tokens: Vec<_> =
        (0..2_000_u32).map(|i| node.submit(&*store, deliver(account, i.to_be_bytes().repeat(2_000)))).collect();
    tokens.into_iter().for_each(|token| _ = accepted(node.replies.wait(token)));
    let (lock, entries) = open_maildrop(&node, &*store, account);
    let (kept, deleted): (Vec<_>, Vec<_>) = entries.iter().enumerate().partition(|(i, _)| i % 10 == 3);
    let deleted = deleted.into_iter().map(|(_, entry)| entry.entry).collect();
    node.ask(&*store, StoreOp::Maildrop(MaildropOp::Commit { lock, deleted }));
    // While it shrinks, every message that was kept can be read.
    let begun = std::time::Instant::now();
    loop {
        for (i, entry) in &kept {
            let bytes = read_all(&node, &*store, entry);
            assert!(bytes[PREFIX..] == (*i as u32).to_be_bytes().repeat(2_000));
        }
        if folder_size(dir.path()) < EMPTY + 4 * 200 * 8_000 {
            break;
        }
        assert!(begun.elapsed().as_secs() < 60, "{} octets left", folder_size(dir.path()));
    }
    store.close();
    let store = open(dir.path());
    let (_, entries) = open_maildrop(&node, &*store, account);
    assert_eq!(entries.len(), 200);
    entries.iter().for_each(|entry| assert_eq!(read_all(&node, &*store, entry).len(), 8_000 + PREFIX));
}

#[test]
fn large_bodies_go_with_their_last_recipient() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let node = Node::new();
    let [alice, bob] = ["alice@example.org", "bob@example.org"].map(|name| add(&node, &*store, name));
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    let stage = stage(&node, &*store, std::iter::repeat_n(piece, 200));
    let both = message(Body::Staged(stage), vec![delivery(alice), delivery(bob)], vec![]);
    accepted(node.ask(&*store, StoreOp::Accept(Box::new(both))));
    empty(&node, &*store, alice);
    assert!(folder_size(dir.path()) > 12 << 20);
    let (_, entries) = open_maildrop(&node, &*store, bob);
    assert_eq!(read_all(&node, &*store, &entries[0]).len(), 200 * (64 << 10) + PREFIX);
    let remove = StoreOp::Account(AccountOp::Remove { address: address("bob@example.org") });
    assert_eq!(node.ask(&*store, remove), StoreReply::Account(AccountReply::Done));
    wait_until_smaller(dir.path(), EMPTY);
}
