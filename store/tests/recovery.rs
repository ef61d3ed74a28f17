//! Crashes and damage: what was acknowledged is there, what was not is whole or absent, and damage is found.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::*;
use pillarbox_core::ops::*;
use pillarbox_store::{Disk, DiskFile, DiskStore, OpenError, SystemDisk};

#[test]
fn a_folder_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = DiskStore::open(dir.path(), options(&TestClock::default()));
    assert!(matches!(second, Err(OpenError::Locked(_))));
    store.close();
    open(dir.path());
}

#[test]
fn power_fails_at_any_sync() {
    let (dir, crashes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = Tearing { dir: dir.path().to_path_buf(), crashes: crashes.path().to_path_buf(), state: Arc::default() };
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let (mut submitted, mut tokens) = (Vec::new(), BTreeMap::new());
    for round in 0..24_usize {
        let group: Vec<Token> = (0..4)
            .map(|i| {
                let body = body(submitted.len(), (round * 4 + i) * 700 % 30_000);
                submitted.push(body.clone());
                let token = node.submit(&*store, deliver(account, body));
                tokens.insert(token, submitted.len() - 1);
                token
            })
            .collect();
        for token in group {
            accepted(node.replies.wait(token));
            disk.state.lock().unwrap().acknowledged.insert(tokens[&token]);
        }
    }
    store.close();

    let images = std::mem::take(&mut disk.state.lock().unwrap().images);
    assert!(images.len() > 40, "{} crashes", images.len());
    for (image, acknowledged) in images {
        let store = open(&image);
        assert_eq!((store.recovery().missing, store.recovery().damaged), (0, 0));
        let account = account_or_none(&node, &*store);
        let found: Vec<Bytes> = account.map_or(Vec::new(), |account| {
            let (_, entries) = open_maildrop(&node, &*store, account);
            entries.iter().map(|entry| read_all(&node, &*store, entry)).collect()
        });
        let prefix = delivery(AccountId::default()).prefix;
        let bodies: BTreeSet<Bytes> = found.iter().map(|bytes| bytes.slice(prefix.len()..)).collect();
        for i in acknowledged {
            assert!(bodies.contains(&submitted[i]), "an acknowledged message is lost");
        }
        assert!(bodies.iter().all(|body| submitted.contains(body)), "a message that nobody sent");
        // And it goes on from here.
        if let Some(account) = account {
            accepted(node.ask(&*store, deliver(account, "after the crash")));
        }
    }
}

#[test]
fn kill_dash_nine() {
    const CHILD: &str = "PILLARBOX_STORE_TEST_CHILD";
    if let Ok(dir) = std::env::var(CHILD) {
        let store = open(Path::new(&dir));
        let node = Node::new();
        let account = account(&node, &*store, "alice@example.org");
        for i in 0.. {
            accepted(node.ask(&*store, deliver(account, body(i, 5_000))));
            println!("acknowledged {i}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let node = Node::new();
    {
        let store = open(dir.path());
        add(&node, &*store, "alice@example.org");
    }
    let mut acknowledged = 0;
    for round in 1..4 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill_dash_nine", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        let mut heard = lines.map_while(Result::ok).filter(|line| line.starts_with("acknowledged"));
        for _ in 0..round * 7 {
            heard.next().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged += round * 7 + heard.count();
    }
    let store = open(dir.path());
    let account = account(&node, &*store, "alice@example.org");
    let (_, entries) = open_maildrop(&node, &*store, account);
    assert!(entries.len() >= acknowledged, "{} of {acknowledged}", entries.len());
    assert!(entries.iter().all(|entry| read_all(&node, &*store, entry).len() > 5_000));
    let unique: BTreeSet<u64> = entries.iter().map(|entry| entry.unique).collect();
    assert_eq!(unique.len(), entries.len());
}

#[test]
fn a_flipped_octet_is_found_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::new();
    let (small, large) = (body(1, 10_000), body(2, 300_000));
    let account = {
        let store = open(dir.path());
        let account = add(&node, &*store, "alice@example.org");
        accepted(node.ask(&*store, deliver(account, small)));
        let stage = stage(&node, &*store, [large.slice(..100_000), large.slice(100_000..)]);
        let staged = message(Body::Staged(stage), vec![delivery(account)], vec![]);
        accepted(node.ask(&*store, StoreOp::Accept(Box::new(staged))));
        accepted(node.ask(&*store, deliver(account, body(3, 10_000))));
        account
    };
    flip(&only_file(&dir.path().join("segments")), 2_000);
    flip(&only_file(&dir.path().join("bodies")), 200_000);

    let store = open(dir.path());
    assert_eq!(store.recovery().damaged, 1, "in the last segment");
    let (_, entries) = open_maildrop(&node, &*store, account);
    let unreadable = StoreReply::Failed(StoreError::Unreadable);
    assert_eq!(read(&node, &*store, entries[0].entry, 0, 100), unreadable);
    assert_eq!(read(&node, &*store, entries[1].entry, 150_000, 100_000), unreadable);
    // What is not damaged is served still, from the same message even.
    let StoreReply::Maildrop(MaildropReply::Bytes(bytes)) =
        read(&node, &*store, entries[1].entry, PREFIX as u64, 100_000)
    else {
        panic!("the front of it is whole")
    };
    assert_eq!(bytes, large.slice(..100_000));
    assert_eq!(read_all(&node, &*store, &entries[2]).len(), 10_000 + PREFIX);
    accepted(node.ask(&*store, deliver(account, "new mail is taken")));
    // Damaged mail can be deleted.
    release(&node, &*store, LockId(Id { epoch: 2, counter: 1 }));
    empty(&node, &*store, account);
}

#[test]
fn a_torn_tail_is_cut_and_a_missing_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::new();
    let account = {
        let store = open(dir.path());
        let account = add(&node, &*store, "alice@example.org");
        (0..3).for_each(|i| _ = accepted(node.ask(&*store, deliver(account, body(i, 5_000)))));
        account
    };
    let segment = only_file(&dir.path().join("segments"));
    let whole = fs::read(&segment).unwrap();

    fs::write(&segment, [whole.as_slice(), &whole[16..5_000]].concat()).unwrap();
    fs::write(dir.path().join("segments/000000ff.seg"), "a group that never committed").unwrap();
    fs::write(dir.path().join("bodies/1-7"), "a stage that was never named").unwrap();
    {
        let store = open(dir.path());
        assert_eq!((store.recovery().cut, store.recovery().orphans, store.recovery().missing), (4_984, 2, 0));
        accepted(node.ask(&*store, deliver(account, body(3, 5_000))));
    }

    fs::write(&segment, &whole[..whole.len() - 3]).unwrap();
    let store = open(dir.path());
    assert_eq!(store.recovery().missing, 5_048 + 3);
    let (_, entries) = open_maildrop(&node, &*store, account);
    let replies: Vec<_> = entries.iter().map(|entry| read(&node, &*store, entry.entry, 0, 9_999)).collect();
    for (i, reply) in replies.iter().enumerate() {
        let served =
            matches!(reply, StoreReply::Maildrop(MaildropReply::Bytes(bytes)) if bytes.len() == 5_000 + PREFIX);
        assert_eq!(served, i < 2, "{i}");
    }
    accepted(node.ask(&*store, deliver(account, body(4, 5_000))));
}

#[test]
fn a_recycled_file_yields_no_old_record() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::new();
    let account = {
        let store = open(dir.path());
        let account = add(&node, &*store, "alice@example.org");
        (0..3).for_each(|i| _ = accepted(node.ask(&*store, deliver(account, body(i, 5_000)))));
        account
    };
    // Octets of another store's segment, valid records with another generation, stand where this one's should be.
    let other = tempfile::tempdir().unwrap();
    {
        let store = open(other.path());
        let account = add(&node, &*store, "alice@example.org");
        (0..3).for_each(|i| _ = accepted(node.ask(&*store, deliver(account, body(i + 9, 5_000)))));
    }
    fs::copy(only_file(&other.path().join("segments")), only_file(&dir.path().join("segments"))).unwrap();
    let store = open(dir.path());
    assert!(store.recovery().damaged > 0);
    let (_, entries) = open_maildrop(&node, &*store, account);
    for entry in entries.iter() {
        assert_eq!(
            read(&node, &*store, entry.entry, 0, 9),
            StoreReply::Maildrop(MaildropReply::Bytes("Return-Pa".into()))
        );
        assert_eq!(read(&node, &*store, entry.entry, 0, 99), StoreReply::Failed(StoreError::Unreadable));
    }
}

fn body(seed: usize, len: usize) -> Bytes {
    let mut body = format!("message {seed}\r\n").into_bytes();
    body.resize(len.max(body.len()), (seed % 251) as u8);
    body.into()
}

fn account_or_none(node: &Node, store: &dyn Store) -> Option<AccountId> {
    let op = StoreOp::Account(AccountOp::Resolve { address: address("alice@example.org") });
    match node.ask(store, op) {
        StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => Some(accounts[0].0),
        _ => None,
    }
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

/// A disk that, before and after each sync, keeps a picture of the folder as a power failure would leave it just then: of
/// what was not synced, a part is there.
#[derive(Clone)]
struct Tearing {
    dir: PathBuf,
    crashes: PathBuf,
    state: Arc<Mutex<Crashes>>,
}

#[derive(Default)]
struct Crashes {
    acknowledged: BTreeSet<usize>,
    /// The synced and the written length of each file.
    lengths: BTreeMap<PathBuf, (u64, u64)>,
    images: Vec<(PathBuf, BTreeSet<usize>)>,
}

struct TearingFile {
    disk: Tearing,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl Tearing {
    fn image(&self) {
        let mut state = self.state.lock().unwrap();
        let image = self.crashes.join(state.images.len().to_string());
        for folder in ["", "segments", "bodies"] {
            fs::create_dir_all(image.join(folder)).unwrap();
            for file in fs::read_dir(self.dir.join(folder)).unwrap() {
                let from = file.unwrap().path();
                if !from.is_file() || from.ends_with("reserve") || from.ends_with("lock") {
                    continue;
                }
                let to = image.join(folder).join(from.file_name().unwrap());
                fs::copy(&from, &to).unwrap();
                if let Some((synced, written)) = state.lengths.get(&from) {
                    let torn = synced + (written - synced) * (state.images.len() as u64 % 4) / 3;
                    fs::OpenOptions::new().write(true).open(to).unwrap().set_len(torn.max(*synced)).unwrap();
                }
            }
        }
        let acknowledged = state.acknowledged.clone();
        state.images.push((image, acknowledged));
    }
}

impl Disk for Tearing {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.state.lock().unwrap().lengths.insert(path.to_path_buf(), (0, 0));
        let file = SystemDisk.create(path)?;
        Ok(Arc::new(TearingFile { disk: self.clone(), path: path.to_path_buf(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.open(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        SystemDisk.free(folder)
    }
}

impl DiskFile for TearingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        let mut state = self.disk.state.lock().unwrap();
        let lengths = state.lengths.get_mut(&self.path).unwrap();
        lengths.1 = lengths.1.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.image();
        self.file.sync()?;
        {
            let mut state = self.disk.state.lock().unwrap();
            let lengths = state.lengths.get_mut(&self.path).unwrap();
            lengths.0 = lengths.1;
        }
        self.disk.image();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}
