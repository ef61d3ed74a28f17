//! What must hold when everything around the store goes wrong at once: settings, folders, panics, holes.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::*;
use pillarbox_core::Wall;
use pillarbox_core::ops::*;
use pillarbox_store::{Disk, DiskFile, DiskStore, OpenError, Options, SystemDisk};

#[test]
fn mail_without_its_database_is_not_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::new();
    let (database, log) = (dir.path().join("pillarbox.db"), dir.path().join("pillarbox.db-wal"));
    let account = {
        let store = open(dir.path());
        let account = add(&node, &*store, "alice@example.org");
        accepted(node.ask(&*store, deliver(account, "precious")));
        account
    };
    let kept = fs::read(&database).unwrap();
    let refused = || DiskStore::open(dir.path(), options(&TestClock::default()));
    fs::remove_file(&database).unwrap();
    _ = fs::remove_file(&log);
    assert!(matches!(refused(), Err(OpenError::NoDatabase(_))));
    assert!(!database.exists() && !log.exists(), "nothing stands in the way of the one that is put back");
    fs::write(&database, "").unwrap();
    assert!(matches!(refused(), Err(OpenError::NoDatabase(_))));
    // As when it is copied without the log that its tables are still in.
    {
        let empty = rusqlite::Connection::open(&database).unwrap();
        empty.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    }
    assert!(fs::metadata(&database).unwrap().len() > 0);
    assert!(matches!(refused(), Err(OpenError::NoDatabase(_))));
    _ = fs::remove_file(&log);
    fs::write(&database, kept).unwrap();
    let store = open(dir.path());
    let (_, entries) = open_maildrop(&node, &*store, account);
    assert!(read_all(&node, &*store, &entries[0]).ends_with(b"precious"));
}

#[test]
fn every_folder_that_is_made_is_synced() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b/c");
    let disk = Listening::default();
    let store = DiskStore::open_on(&dir, options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    store.close();
    let synced = disk.folders.lock().unwrap().clone();
    for folder in ["", "a", "a/b", "a/b/c"] {
        let folder = root.path().join(folder).canonicalize().unwrap();
        assert!(synced.iter().any(|path| path.canonicalize().unwrap() == folder), "{}", folder.display());
    }
}

#[test]
fn a_folder_that_cannot_be_synced_stops_the_store_whatever_the_reason() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Listening::default());
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    disk.full.store(true, Ordering::SeqCst);
    assert_eq!(node.ask(&*store, deliver(account, "x")), StoreReply::Failed(StoreError::Stopped));
    assert!(store.is_stopped());
}

#[test]
fn a_stopped_store_writes_no_log_back() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Listening::default());
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    disk.full.store(true, Ordering::SeqCst);
    assert_eq!(node.ask(&*store, deliver(account, "x")), StoreReply::Failed(StoreError::Stopped));
    let log = dir.path().join("pillarbox.db-wal");
    let before = fs::metadata(&log).unwrap().len();
    assert!(before > 0);
    store.close();
    drop(store);
    assert_eq!(fs::metadata(&log).unwrap().len(), before, "what was not synced is not built upon");
    account_is_there(dir.path(), account);
}

#[test]
fn a_stage_with_a_hole_is_nobodys_body() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Listening::default());
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let stage = stage(&node, &*store, [Bytes::from_static(b"first ")]);
    let append = |bytes| StoreOp::Stage(StageOp::Append { stage, bytes: Bytes::from_static(bytes) });
    disk.no_room.store(true, Ordering::SeqCst);
    assert_eq!(node.ask(&*store, append(b"second ")), StoreReply::Failed(StoreError::Full));
    disk.no_room.store(false, Ordering::SeqCst);
    assert_eq!(node.ask(&*store, append(b"third")), StoreReply::Failed(StoreError::Full));
    let staged = message(Body::Staged(stage), vec![delivery(account)], vec![]);
    assert_eq!(node.ask(&*store, StoreOp::Accept(Box::new(staged))), StoreReply::Failed(StoreError::Full));
    assert_eq!(open_maildrop(&node, &*store, account).1.len(), 0);
    let drop = StoreOp::Stage(StageOp::Drop { stage });
    assert_eq!(node.ask(&*store, drop), StoreReply::Stage(StageReply::Dropped));
}

#[test]
fn a_panic_in_the_engine_answers_everyone_and_stops_the_store() {
    let (dir, armed) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
    let clock = Arc::clone(&armed);
    let options = Options {
        clock: Arc::new(move || {
            assert!(!clock.load(Ordering::SeqCst), "a panic on purpose");
            Wall(0)
        }),
        ..options(&TestClock::default())
    };
    let store = DiskStore::open(dir.path(), options).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    accepted(node.ask(&*store, deliver(account, "before")));
    let large = stage(&node, &*store, [Bytes::from(vec![b'x'; 70_000])]);
    armed.store(true, Ordering::SeqCst);
    let sink: Arc<dyn Sink> = Arc::clone(&node.replies) as Arc<dyn Sink>;
    let staged = StoreOp::Accept(Box::new(message(Body::Staged(large), vec![delivery(account)], vec![])));
    let mut taken = Vec::new();
    for i in 0..50 {
        let op = if i == 20 { staged.clone() } else { deliver(account, "x") };
        if store.submit(&sink, Token(1_000 + i), op).is_ok() {
            taken.push(Token(1_000 + i));
        }
    }
    assert!(!taken.is_empty());
    for token in taken {
        assert_eq!(node.replies.wait(token), StoreReply::Failed(StoreError::Stopped));
    }
    assert!(store.is_stopped());
    // Reading goes on.
    let (_, entries) = open_maildrop(&node, &*store, account);
    assert!(read_all(&node, &*store, &entries[0]).ends_with(b"before"));
    store.close();
    account_is_there(dir.path(), account);
}

#[test]
fn a_sink_that_panics_takes_no_thread_with_it() {
    struct Bad;
    impl Sink for Bad {
        fn complete(&self, _: Token, _: StoreReply) {
            panic!("a panic on purpose");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let few = Options { read_workers: 1, hash_workers: 1, ..options(&TestClock::default()) };
    let store = DiskStore::open(dir.path(), few).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let bad: Arc<dyn Sink> = Arc::new(Bad);
    let login = || AccountOp::Authenticate { login: "alice@example.org".to_owned(), password: "pencil".into() };
    store.submit(&bad, Token(0), StoreOp::Maildrop(MaildropOp::Open { account })).unwrap();
    store.submit(&bad, Token(1), StoreOp::Account(login())).unwrap();
    store.submit(&bad, Token(2), StoreOp::Stage(StageOp::Open { expected: None })).unwrap();
    let reply = node.ask(&*store, StoreOp::Account(login()));
    assert_eq!(reply, StoreReply::Account(AccountReply::Authenticated(Some(account))));
    let list = node.ask(&*store, StoreOp::Account(AccountOp::List { after: None, limit: 9 }));
    assert_eq!(list, StoreReply::Account(AccountReply::Accounts(vec![address("alice@example.org")])));
    stage(&node, &*store, [Bytes::from_static(b"x")]);
    assert!(!store.is_stopped());
}

fn account_is_there(dir: &Path, known: AccountId) {
    let node = Node::new();
    assert_eq!(account(&node, &*open(dir), "alice@example.org"), known);
}

/// A disk that remembers which folders were synced, and has no room when told so.
#[derive(Clone, Default)]
struct Listening {
    folders: Arc<Mutex<Vec<PathBuf>>>,
    /// Syncs of folders fail for want of room.
    full: Arc<AtomicBool>,
    /// There is no room.
    no_room: Arc<AtomicBool>,
}

impl Disk for Listening {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.open(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.folders.lock().unwrap().push(folder.to_path_buf());
        SystemDisk.sync_folder(folder)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(if self.no_room.load(Ordering::SeqCst) { 0 } else { u64::MAX })
    }
}
