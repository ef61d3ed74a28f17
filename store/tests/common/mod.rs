//! What the store's tests share: a sink that waits, and short names for ops.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pillarbox_core::mailbox::{Append, Entry, FlagSet, MailboxName, Request, Response, Selected, UidSet};
use pillarbox_core::ops::*;
use pillarbox_core::smtp::Address;
use pillarbox_core::{Secret, Wall};
use pillarbox_store::{DiskStore, Options, PasswordCost};

/// Collects replies.
#[derive(Default)]
pub struct Replies {
    got: Mutex<BTreeMap<Token, StoreReply>>,
    order: Mutex<Vec<Token>>,
    notices: Mutex<Notices>,
    came: Condvar,
}

impl Sink for Replies {
    fn complete(&self, token: Token, reply: StoreReply) {
        self.order.lock().unwrap().push(token);
        assert!(self.got.lock().unwrap().insert(token, reply).is_none(), "answered twice");
        self.came.notify_all();
    }

    fn notice(&self, notice: Notice) {
        self.notices.lock().unwrap().add(notice);
    }
}

impl Replies {
    pub fn wait(&self, token: Token) -> StoreReply {
        let mut got = self.got.lock().unwrap();
        loop {
            if let Some(reply) = got.remove(&token) {
                return reply;
            }
            let (next, timeout) = self.came.wait_timeout(got, Duration::from_secs(60)).unwrap();
            assert!(!timeout.timed_out(), "no answer to {token:?}");
            got = next;
        }
    }

    /// What was hinted at since this was last asked.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = self.notices.lock().unwrap();
        std::iter::from_fn(|| notices.pop()).collect()
    }

    pub fn order(&self) -> Vec<Token> {
        self.order.lock().unwrap().clone()
    }
}

/// A node that asks one thing after the other.
pub struct Node {
    pub replies: Arc<Replies>,
    sink: Arc<dyn Sink>,
    next: Mutex<u64>,
}

impl Node {
    pub fn new() -> Self {
        let replies = Arc::new(Replies::default());
        Self { sink: Arc::clone(&replies) as Arc<dyn Sink>, replies, next: Mutex::new(0) }
    }

    /// Its name to a store.
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// It is gone, and no store has anything left to tell it.
    pub fn die(self) {
        let sink = Arc::downgrade(&self.sink);
        drop(self);
        let begun = Instant::now();
        while sink.strong_count() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "somebody keeps a dead node");
            std::thread::yield_now();
        }
    }

    /// Submits without waiting.
    pub fn submit(&self, store: &dyn Store, op: StoreOp) -> Token {
        let mut next = self.next.lock().unwrap();
        *next += 1;
        let token = Token(*next);
        store.submit(&self.sink, token, op).expect("not busy");
        token
    }

    pub fn ask(&self, store: &dyn Store, op: StoreOp) -> StoreReply {
        self.replies.wait(self.submit(store, op))
    }
}

/// A clock that tests move.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn set(&self, now: i64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

pub fn options(clock: &TestClock) -> Options {
    let clock = clock.clone();
    Options {
        password_cost: PasswordCost::CHEAP,
        segment_size: 64 << 10,
        reserve: 1 << 20,
        alias_targets: 3,
        clock: Arc::new(move || Wall(clock.0.load(Ordering::SeqCst))),
        ..Options::default()
    }
}

pub fn open(dir: &Path) -> Arc<DiskStore> {
    DiskStore::open(dir, options(&TestClock::default())).unwrap()
}

pub fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub fn add(node: &Node, store: &dyn Store, name: &str) -> AccountId {
    let op = AccountOp::Add { address: address(name), password: Secret::from("pencil") };
    assert_eq!(node.ask(store, StoreOp::Account(op)), StoreReply::Account(AccountReply::Done));
    account(node, store, name)
}

pub fn account(node: &Node, store: &dyn Store, name: &str) -> AccountId {
    let op = StoreOp::Account(AccountOp::Resolve { address: address(name) });
    match node.ask(store, op) {
        StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => accounts[0].0,
        other => panic!("{other:?}"),
    }
}

/// Octets of the prefix of a [`delivery`].
pub const PREFIX: usize = 17;

pub fn delivery(account: AccountId) -> Delivery {
    Delivery { account, recipient: address("someone@example.org"), prefix: Bytes::from_static(b"Return-Path: <>\r\n") }
}

pub fn row(domain: &str, due: i64) -> NewRow {
    NewRow {
        recipient: address(&format!("someone@{domain}")),
        destination: Destination::Domain(domain.into()),
        prefix: Bytes::from_static(b"Received: x\r\n"),
        due: Wall(due),
    }
}

pub fn message(body: Body, deliveries: Vec<Delivery>, rows: Vec<NewRow>) -> Accept {
    Accept {
        body,
        structure: Bytes::new(),
        received: Wall(5),
        reverse_path: None,
        smtputf8: false,
        eight_bit: true,
        deliveries,
        rows,
        expires: Wall(1_000_000),
    }
}

pub fn inline(bytes: impl Into<Bytes>) -> Body {
    Body::Inline(vec![bytes.into()])
}

pub fn deliver(account: AccountId, bytes: impl Into<Bytes>) -> StoreOp {
    StoreOp::Accept(Box::new(message(inline(bytes), vec![delivery(account)], vec![])))
}

pub fn accepted(reply: StoreReply) -> Accepted {
    match reply {
        StoreReply::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

pub fn open_maildrop(node: &Node, store: &dyn Store, account: AccountId) -> (LockId, Arc<[MaildropEntry]>) {
    match node.ask(store, StoreOp::Maildrop(MaildropOp::Open { account })) {
        StoreReply::Maildrop(MaildropReply::Opened { lock, entries }) => (lock, entries),
        other => panic!("{other:?}"),
    }
}

pub fn release(node: &Node, store: &dyn Store, lock: LockId) {
    let done = node.ask(store, StoreOp::Maildrop(MaildropOp::Release { lock }));
    assert_eq!(done, StoreReply::Maildrop(MaildropReply::Done));
}

pub fn read(node: &Node, store: &dyn Store, entry: EntryId, offset: u64, len: usize) -> StoreReply {
    node.ask(store, StoreOp::Maildrop(MaildropOp::Read { entry, offset, len }))
}

pub fn read_all(node: &Node, store: &dyn Store, entry: &MaildropEntry) -> Bytes {
    match read(node, store, entry.entry, 0, usize::MAX) {
        StoreReply::Maildrop(MaildropReply::Bytes(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

/// Deletes everything in an account's INBOX.
pub fn empty(node: &Node, store: &dyn Store, account: AccountId) {
    let (lock, entries) = open_maildrop(node, store, account);
    let deleted = entries.iter().map(|entry| entry.entry).collect();
    let done = node.ask(store, StoreOp::Maildrop(MaildropOp::Commit { lock, deleted }));
    assert_eq!(done, StoreReply::Maildrop(MaildropReply::Done));
}

pub fn stage(node: &Node, store: &dyn Store, pieces: impl IntoIterator<Item = Bytes>) -> StageId {
    let StoreReply::Stage(StageReply::Opened(stage)) =
        node.ask(store, StoreOp::Stage(StageOp::Open { expected: None }))
    else {
        panic!("no stage")
    };
    for bytes in pieces {
        let done = node.ask(store, StoreOp::Stage(StageOp::Append { stage, bytes }));
        assert_eq!(done, StoreReply::Stage(StageReply::Appended));
    }
    stage
}

/// Octets that all files of a folder take up.
pub fn folder_size(dir: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(dir) else { return 0 };
    let size = |path: &Path| match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => folder_size(path),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    files.filter_map(|file| Some(size(&file.ok()?.path()))).sum()
}

/// Waits until a folder is smaller than that.
pub fn wait_until_smaller(dir: &Path, bytes: u64) {
    let begun = Instant::now();
    while folder_size(dir) >= bytes {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} octets left in {}", folder_size(dir), dir.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A request of a mail reader.
pub fn request(node: &Node, store: &dyn Store, account: AccountId, request: Request) -> Response {
    respond(node.ask(store, asking(account, request, vec![])))
}

pub fn asking(account: AccountId, request: Request, bodies: Vec<NewBody>) -> StoreOp {
    StoreOp::Mailbox(Box::new(MailboxOp::Ask { account, request, bodies }))
}

pub fn respond(reply: StoreReply) -> Response {
    match reply {
        StoreReply::Mailbox(response) => *response,
        other => panic!("{other:?}"),
    }
}

/// Files new messages in a mailbox, all with these flags.
pub fn appending(account: AccountId, to: &str, flags: FlagSet, bodies: Vec<Body>) -> StoreOp {
    let messages = vec![Append { flags, ..Append::default() }; bodies.len()];
    let new = |body| NewBody { body, structure: Bytes::from_static(b"structure") };
    let append = Request::Append { to: name(to), messages };
    asking(account, append, bodies.into_iter().map(new).collect())
}

pub fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub fn select(node: &Node, store: &dyn Store, account: AccountId, name: &str, peek: bool) -> Selected {
    match request(node, store, account, Request::Select { name: self::name(name), peek }) {
        Response::Selected(selected) => selected,
        other => panic!("{other:?}"),
    }
}

/// Every message of a mailbox, page by page.
pub fn entries(node: &Node, store: &dyn Store, account: AccountId, mailbox: MailboxId) -> Vec<Entry> {
    let (mut all, mut from) = (Vec::new(), Some(1));
    while let Some(first) = from {
        let uids = UidSet::run(first, u32::MAX);
        let page = Request::Entries { mailbox, uids, changed_since: None, structures: true };
        let Response::Entries { entries, next, .. } = request(node, store, account, page) else { panic!("no page") };
        all.extend(entries);
        from = next;
    }
    all
}
