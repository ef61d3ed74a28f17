//! Full and failing disks, order, bounds, and what happens to sessions when their account goes.
#![allow(clippy::unwrap_used)]

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use common::*;
use pillarbox_core::mailbox::*;
use pillarbox_core::ops::*;
use pillarbox_core::{Secret, Wall};
use pillarbox_store::{Disk, DiskFile, DiskStore, Options, SystemDisk};

#[test]
fn a_full_disk_refuses_mail_and_takes_it_again() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let full = StoreReply::Failed(StoreError::Full);
    let large = stage(&node, &*store, [Bytes::from(vec![b'x'; 70_000])]);
    let staged = || StoreOp::Accept(Box::new(message(Body::Staged(large), vec![delivery(account)], vec![])));
    for round in 0..3 {
        accepted(node.ask(&*store, deliver(account, vec![b'x'; 40_000])));
        match round {
            0 => disk.full.store(true, Ordering::SeqCst),
            _ => disk.free.store(1000, Ordering::SeqCst),
        }
        assert_eq!(node.ask(&*store, deliver(account, vec![b'y'; 40_000])), full);
        if round > 0 {
            assert_eq!(node.ask(&*store, staged()), full);
            assert_eq!(node.ask(&*store, StoreOp::Stage(StageOp::Open { expected: None })), full);
        }
        // A group is refused only as far as it needs room.
        let lease = QueueOp::Lease { buckets: 0..1024, epoch: None, until: Wall(-1) };
        let tokens = [deliver(account, "z"), StoreOp::Queue(lease), StoreOp::Queue(QueueOp::Remove { rows: vec![] })]
            .map(|op| node.submit(&*store, op));
        let replies = tokens.map(|token| node.replies.wait(token));
        assert_eq!(replies[0], full);
        assert!(matches!(replies[1], StoreReply::Queue(QueueReply::Leased(_))));
        assert_eq!(replies[2], StoreReply::Queue(QueueReply::Changed(0)));
        empty(&node, &*store, account);
        disk.full.store(false, Ordering::SeqCst);
        disk.free.store(u64::MAX, Ordering::SeqCst);
        accepted(node.ask(&*store, deliver(account, "room again")));
        let (lock, entries) = open_maildrop(&node, &*store, account);
        assert_eq!(entries.len(), 1, "what was refused had no effect");
        release(&node, &*store, lock);
        empty(&node, &*store, account);
    }
    // A stage whose message was refused is its node's still.
    accepted(node.ask(&*store, staged()));
    assert_eq!(node.ask(&*store, staged()), StoreReply::Failed(StoreError::Unknown));
    assert!(!store.is_stopped());
}

#[test]
fn on_a_full_disk_a_mailbox_can_be_emptied() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let append = || appending(account, "INBOX", FlagSet::SEEN, vec![inline("a"), inline("b")]);
    respond(node.ask(&*store, append()));
    let before = select(&node, &*store, account, "INBOX", false);
    let (mailbox, uids) = (before.mailbox, UidSet::run(1, 2));
    disk.free.store(1000, Ordering::SeqCst);
    let copy = Request::Copy { mailbox, uids: uids.clone(), to: name("INBOX"), remove: true };
    let create = Request::Create { name: name("a"), special_use: None };
    for refused in [append(), asking(account, copy, vec![]), asking(account, create, vec![])] {
        assert_eq!(node.ask(&*store, refused), StoreReply::Failed(StoreError::Full));
    }
    let now = select(&node, &*store, account, "INBOX", false);
    assert_eq!((now.counters.highest_modseq, now.uids), (before.counters.highest_modseq, uids.clone()));
    let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: vec![] };
    let flag = Request::Flag { mailbox, uids: uids.clone(), change, unchanged_since: None };
    assert!(matches!(request(&node, &*store, account, flag), Response::Flagged { .. }));
    let Response::Expunged { uids: gone, .. } =
        request(&node, &*store, account, Request::Expunge { mailbox, uids: None })
    else {
        panic!("not expunged")
    };
    assert_eq!(gone, uids);
    disk.free.store(u64::MAX, Ordering::SeqCst);
    let Response::Appended { uids, .. } = respond(node.ask(&*store, append())) else { panic!("not filed") };
    assert_eq!(uids, UidSet::run(3, 4), "no UID is given twice");
}

#[test]
fn a_sync_that_fails_stops_the_store_until_a_restart() {
    for large in [false, true] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Faulty::default());
        let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
        let node = Node::new();
        let account = add(&node, &*store, "alice@example.org");
        accepted(node.ask(&*store, deliver(account, "before")));
        let (lock, entries) = open_maildrop(&node, &*store, account);
        let op = match large {
            false => deliver(account, "lost"),
            true => {
                let stage = stage(&node, &*store, [Bytes::from_static(b"lost")]);
                StoreOp::Accept(Box::new(message(Body::Staged(stage), vec![delivery(account)], vec![])))
            }
        };
        disk.broken.store(true, Ordering::SeqCst);
        let stopped = StoreReply::Failed(StoreError::Stopped);
        assert_eq!(node.ask(&*store, op), stopped);
        disk.broken.store(false, Ordering::SeqCst);
        assert!(store.is_stopped());
        assert_eq!(node.ask(&*store, deliver(account, "never tried again")), stopped);
        let commit = MaildropOp::Commit { lock, deleted: vec![entries[0].entry] };
        assert_eq!(node.ask(&*store, StoreOp::Maildrop(commit)), stopped);
        assert_eq!(node.ask(&*store, StoreOp::Stage(StageOp::Open { expected: None })), stopped);
        // Reading goes on, and locks are given back.
        assert!(read_all(&node, &*store, &entries[0]).ends_with(b"before"));
        release(&node, &*store, lock);
        store.close();

        let store = open(dir.path());
        let (_, entries) = open_maildrop(&node, &*store, account);
        assert_eq!(entries.len(), 1);
        accepted(node.ask(&*store, deliver(account, "after")));
    }
}

#[test]
fn writes_are_applied_in_the_order_of_submission() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    for round in 0..20 {
        let large = stage(&node, &*store, [Bytes::from(vec![b'x'; 70_000])]);
        let staged = StoreOp::Accept(Box::new(message(Body::Staged(large), vec![delivery(account)], vec![])));
        let name = format!("user{round}@example.org");
        let password = Secret::from("pencil");
        // Those that wait for a hash or a sync, and those that do not, mixed.
        let ops = [
            deliver(account, "1"),
            StoreOp::Account(AccountOp::Add { address: address(&name), password: password.clone() }),
            StoreOp::Account(AccountOp::SetPassword { address: address(&name), password }),
            StoreOp::Account(AccountOp::Remove { address: address(&name) }),
            StoreOp::Account(AccountOp::SetAlias { alias: address(&name), targets: vec![address("a@b.example")] }),
            staged,
            deliver(account, "2"),
            StoreOp::Account(AccountOp::RemoveAlias { alias: address(&name) }),
        ];
        let before = node.replies.order().len();
        let tokens: Vec<_> = ops.into_iter().map(|op| node.submit(&*store, op)).collect();
        for token in &tokens {
            let reply = node.replies.wait(*token);
            assert!(matches!(reply, StoreReply::Accepted(_) | StoreReply::Account(AccountReply::Done)), "{reply:?}");
        }
        assert_eq!(node.replies.order()[before..], tokens);
    }
    let (_, entries) = open_maildrop(&node, &*store, account);
    let sizes: Vec<u64> = entries.iter().map(|entry| entry.size - PREFIX as u64).collect();
    assert_eq!(sizes, [1, 70_000, 1].repeat(20));
}

#[test]
fn a_crowd_is_told_to_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tight = Options { waiting_changes: 4, waiting_bytes: 100_000, ..options(&TestClock::default()) };
    let store = DiskStore::open(dir.path(), tight).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let sink: Arc<dyn Sink> = Arc::clone(&node.replies) as Arc<dyn Sink>;
    let (mut taken, mut busy) = (Vec::new(), 0);
    for i in 0..300 {
        let token = Token(10_000 + i);
        let mut op = deliver(account, vec![b'x'; 30_000]);
        while let Err(Busy(back)) = store.submit(&sink, token, op) {
            assert_eq!(back, deliver(account, vec![b'x'; 30_000]), "handed back unharmed");
            (op, busy) = (back, busy + 1);
            std::thread::yield_now();
        }
        taken.push(token);
    }
    assert!(busy > 0);
    taken.into_iter().for_each(|token| _ = accepted(node.replies.wait(token)));
    assert_eq!(open_maildrop(&node, &*store, account).1.len(), 300);
    store.close();
    assert!(store.submit(&sink, Token(1), deliver(account, "too late")).is_err());
}

#[test]
fn closing_answers_what_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let large = stage(&node, &*store, [Bytes::from(vec![b'x'; 70_000])]);
    let staged = StoreOp::Accept(Box::new(message(Body::Staged(large), vec![delivery(account)], vec![])));
    let mut tokens = vec![node.submit(&*store, staged)];
    for i in 0..50 {
        tokens.push(node.submit(&*store, deliver(account, "x")));
        let op = AccountOp::Add { address: address(&format!("u{i}@example.org")), password: Secret::from("p") };
        tokens.push(node.submit(&*store, StoreOp::Account(op)));
    }
    store.close();
    for token in tokens {
        assert!(!matches!(node.replies.wait(token), StoreReply::Failed(_)));
    }
}

#[test]
fn an_account_goes_while_its_maildrop_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    accepted(node.ask(&*store, deliver(account, "x")));
    let (lock, entries) = open_maildrop(&node, &*store, account);
    let remove = StoreOp::Account(AccountOp::Remove { address: address("alice@example.org") });
    assert_eq!(node.ask(&*store, remove), StoreReply::Account(AccountReply::Done));
    assert_eq!(read(&node, &*store, entries[0].entry, 0, 9), StoreReply::Maildrop(MaildropReply::Gone));
    // Mail for it becomes a row that is routed again.
    let late = accepted(node.ask(&*store, deliver(account, "late")));
    assert_eq!((late.emails, late.rows.len()), (vec![None], 1));
    let commit = MaildropOp::Commit { lock, deleted: vec![entries[0].entry] };
    assert_eq!(node.ask(&*store, StoreOp::Maildrop(commit)), StoreReply::Maildrop(MaildropReply::Done));
    let reopen = MaildropOp::Open { account };
    assert_eq!(node.ask(&*store, StoreOp::Maildrop(reopen)), StoreReply::Maildrop(MaildropReply::NoAccount));
    // Somebody new at the old address is another mailbox to a client that remembers.
    let new = add(&node, &*store, "alice@example.org");
    accepted(node.ask(&*store, deliver(new, "x")));
    assert_ne!(open_maildrop(&node, &*store, new).1[0].unique, entries[0].unique);
}

/// A disk that fails on demand.
#[derive(Clone)]
struct Faulty {
    full: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    free: Arc<AtomicU64>,
}

impl Default for Faulty {
    fn default() -> Self {
        Self { full: Arc::default(), broken: Arc::default(), free: Arc::new(u64::MAX.into()) }
    }
}

struct FaultyFile(Faulty, Arc<dyn DiskFile>);

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile(self.clone(), SystemDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile(self.clone(), SystemDisk.open(path)?)))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.0.full.load(Ordering::SeqCst) {
            // As a full disk does: some of it is written.
            self.1.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.1.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.set_len(len)
    }
}
