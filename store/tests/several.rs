//! Several nodes over one store on disk: who hears of what, and what is left of one that is gone.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, io};

use bytes::Bytes;
use common::*;
use pillarbox_core::Wall;
use pillarbox_core::ops::*;
use pillarbox_store::{Disk, DiskFile, DiskStore, SystemDisk};

/// In the lower half of the buckets.
const LOW: &str = "example.org";
/// In the upper half.
const HIGH: &str = "elm.example";

fn lease(node: &Node, store: &dyn Store, buckets: std::ops::Range<u16>, until: i64) -> Option<LeaseEpoch> {
    let op = QueueOp::Lease { buckets, epoch: None, until: Wall(until) };
    match node.ask(store, StoreOp::Queue(op)) {
        StoreReply::Queue(QueueReply::Leased(epoch)) => Some(epoch),
        StoreReply::Queue(QueueReply::Lost) => None,
        other => panic!("{other:?}"),
    }
}

/// Two nodes, the first with the lower half of the buckets.
fn halves(store: &dyn Store) -> [(Node, LeaseEpoch); 2] {
    [0..512, 512..BUCKETS].map(|buckets| {
        let node = Node::new();
        let epoch = lease(&node, store, buckets, 1_000).unwrap();
        (node, epoch)
    })
}

fn queue(domains: &[(&str, i64)]) -> StoreOp {
    let rows = domains.iter().map(|(domain, due)| row(domain, *due)).collect();
    StoreOp::Accept(Box::new(message(inline("x"), vec![], rows)))
}

fn due(domain: &str, due: i64) -> Notice {
    Notice::Due { destination: Destination::Domain(domain.into()), due: Wall(due) }
}

#[test]
fn whoever_holds_a_bucket_hears_of_what_others_put_into_it() {
    assert!(Destination::Domain(LOW.into()).bucket() < 512 && Destination::Domain(HIGH.into()).bucket() >= 512);
    let dir = tempfile::tempdir().unwrap();
    let store = &*open(dir.path());
    let [(low, epoch), (high, _)] = halves(store);
    let both = [(LOW, 7), (HIGH, 9), (HIGH, 8), (LOW, 3)];

    let rows = accepted(low.ask(store, queue(&both))).rows;
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![due(HIGH, 8)]));
    accepted(high.ask(store, queue(&both)));
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![due(LOW, 3)], vec![]));
    // Somebody without a lease: the command line, say.
    let visitor = Node::new();
    accepted(visitor.ask(store, queue(&both)));
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![due(LOW, 3)], vec![due(HIGH, 8)]));
    // An operator, through the one node, about rows of both.
    let retry = QueueOp::Retry { rows: rows.clone(), now: Wall(1) };
    assert_eq!(low.ask(store, StoreOp::Queue(retry)), StoreReply::Queue(QueueReply::Changed(4)));
    let retried = Notice::Retry { destination: Destination::Domain(HIGH.into()) };
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![retried]));
    // An account that is gone by now, and a bounce: both are local.
    let gone = vec![delivery(AccountId::default())];
    accepted(low.ask(store, StoreOp::Accept(Box::new(message(inline("x"), gone, vec![])))));
    let local = |due| Notice::Due { destination: Destination::Local, due: Wall(due) };
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![local(5)]));
    let bounce = NewRow { destination: Destination::Local, ..row(LOW, 6) };
    let settle = |row, accepts| StoreOp::Queue(QueueOp::Settle(Settle { epoch, rows: vec![row], accepts }));
    let settled = settle((rows[0], Attempted::Finished), vec![message(inline("x"), vec![], vec![bounce])]);
    assert!(matches!(low.ask(store, settled), StoreReply::Queue(QueueReply::Settled(_))));
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![local(6)]));
    // What has no effect is no news, and neither is what is put off by the node whose it is.
    let unknown = message(Body::Staged(StageId::default()), vec![], vec![row(HIGH, 1)]);
    assert_eq!(low.ask(store, StoreOp::Accept(Box::new(unknown))), StoreReply::Failed(StoreError::Unknown));
    let retry = Attempted::Retry { due: Wall(9), reply: String::new() };
    assert!(matches!(low.ask(store, settle((rows[3], retry), vec![])), StoreReply::Queue(QueueReply::Settled(_))));
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![]));
}

#[test]
fn too_much_to_tell_becomes_one_notice() {
    let dir = tempfile::tempdir().unwrap();
    let store = &*open(dir.path());
    let [(low, _), (high, _)] = halves(store);
    let many: Vec<_> = (0..3 * Notices::MOST).map(|number| format!("d{number}.example")).collect();
    let many: Vec<_> = many.iter().map(|domain| (domain.as_str(), 0)).collect();
    accepted(low.ask(store, queue(&many)));
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![Notice::Missed]));
}

/// Looks at the database when it hears of something.
struct Witness {
    database: PathBuf,
    /// Rows and messages, each time.
    seen: Mutex<Vec<i64>>,
    answers: AtomicUsize,
}

impl Sink for Witness {
    fn complete(&self, _: Token, _: StoreReply) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    fn notice(&self, _: Notice) {
        let database = rusqlite::Connection::open(&self.database).unwrap();
        let rows = database
            .query_row("SELECT (SELECT count(*) FROM rows) + (SELECT count(*) FROM entries)", [], |row| row.get(0))
            .unwrap();
        self.seen.lock().unwrap().push(rows);
    }
}

#[test]
fn a_notice_comes_after_the_commit_and_before_the_reply() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Breaking::default());
    let store = DiskStore::open_on(dir.path(), options(&TestClock::default()), Arc::new(disk.clone())).unwrap();
    let witness = Arc::new(Witness {
        database: dir.path().join("pillarbox.db"),
        seen: Mutex::default(),
        answers: AtomicUsize::new(0),
    });
    let sink = Arc::clone(&witness) as Arc<dyn Sink>;
    let all = QueueOp::Lease { buckets: 0..BUCKETS, epoch: None, until: Wall(1_000) };
    store.submit(&sink, Token(0), StoreOp::Queue(all)).unwrap();
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let mailbox = select(&node, &*store, account, "INBOX", false).mailbox;
    store.submit(&sink, Token(1), StoreOp::Mailbox(Box::new(MailboxOp::Watch { mailbox }))).unwrap();
    while witness.answers.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    accepted(node.ask(&*store, queue(&[(LOW, 0)])));
    accepted(node.ask(&*store, queue(&[(LOW, 0), (LOW, 1)])));
    assert_eq!(*witness.seen.lock().unwrap(), [1, 3]);
    accepted(node.ask(&*store, deliver(account, "mail")));
    assert_eq!(*witness.seen.lock().unwrap(), [1, 3, 4]);
    disk.0.store(true, Ordering::SeqCst);
    assert_eq!(node.ask(&*store, queue(&[(LOW, 0)])), StoreReply::Failed(StoreError::Stopped));
    assert_eq!(node.ask(&*store, deliver(account, "mail")), StoreReply::Failed(StoreError::Stopped));
    assert_eq!(*witness.seen.lock().unwrap(), [1, 3, 4], "what is not on disk is no news");
}

#[test]
fn a_node_that_is_gone_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = &*open(dir.path());
    let (one, other) = (Node::new(), Node::new());
    let account = add(&one, store, "alice@example.org");
    let epoch = lease(&one, store, 0..BUCKETS, 1_000).unwrap();
    let (lock, _) = open_maildrop(&one, store, account);
    let stages = [stage(&one, store, [Bytes::from_static(b"one")]), stage(&other, store, [Bytes::from_static(b"two")])];
    assert_ne!(stages[0], stages[1]);
    let open = || StoreOp::Maildrop(MaildropOp::Open { account });
    assert_eq!(other.ask(store, open()), StoreReply::Maildrop(MaildropReply::InUse));
    assert_eq!(lease(&other, store, 0..512, 1_000), None);
    let rows = accepted(other.ask(store, queue(&[(LOW, 0)]))).rows;
    assert_eq!(one.replies.notices(), [due(LOW, 0)]);
    one.die();

    let (own, _) = open_maildrop(&other, store, account);
    let dead = StoreOp::Maildrop(MaildropOp::Release { lock });
    assert_eq!(other.ask(store, dead), StoreReply::Failed(StoreError::Unknown), "a new lock is another one");
    assert_eq!(Node::new().ask(store, open()), StoreReply::Maildrop(MaildropReply::InUse));
    release(&other, store, own);
    let taken = lease(&other, store, 0..512, 1_000).unwrap();
    let settle = |epoch| Settle { epoch, rows: vec![(rows[0], Attempted::Finished)], accepts: vec![] };
    let settle = |epoch| other.ask(store, StoreOp::Queue(QueueOp::Settle(settle(epoch))));
    assert_eq!(settle(epoch), StoreReply::Queue(QueueReply::Lost), "as if it were still on its way");
    assert_eq!(settle(taken), StoreReply::Queue(QueueReply::Settled(vec![])));
    let body = message(Body::Staged(stages[1]), vec![delivery(account)], vec![]);
    accepted(other.ask(store, StoreOp::Accept(Box::new(body))));
    let (_, entries) = open_maildrop(&other, store, account);
    assert!(read_all(&other, store, &entries[0]).ends_with(b"two"));
}

#[test]
fn a_lease_that_has_run_out_is_its_holders_until_somebody_takes_it() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let store = DiskStore::open(dir.path(), options(&clock)).unwrap();
    let [(low, epoch), (high, _)] = halves(&*store);
    let row = accepted(low.ask(&*store, queue(&[(LOW, 0)]))).rows[0];
    clock.set(2_000);
    accepted(high.ask(&*store, queue(&[(LOW, 1)])));
    assert_eq!(low.replies.notices(), [due(LOW, 1)], "it may be prolonged yet");
    let heir = lease(&high, &*store, 0..512, 3_000).unwrap();
    accepted(low.ask(&*store, queue(&[(LOW, 2)])));
    assert_eq!((low.replies.notices(), high.replies.notices()), (vec![], vec![due(LOW, 2)]));
    // Both tried the row; the outcome of the one that holds the bucket counts.
    let settle = |node: &Node, epoch| {
        let settle = Settle { epoch, rows: vec![(row, Attempted::Finished)], accepts: vec![] };
        node.ask(&*store, StoreOp::Queue(QueueOp::Settle(settle)))
    };
    assert_eq!(settle(&low, epoch), StoreReply::Queue(QueueReply::Lost));
    assert_eq!(settle(&high, heir), StoreReply::Queue(QueueReply::Settled(vec![])));
}

/// A disk whose syncs fail once it is told to.
#[derive(Clone, Default)]
struct Breaking(Arc<AtomicBool>);

struct BreakingFile(fs::File, Breaking);

impl Disk for Breaking {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(BreakingFile(file, self.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(BreakingFile(fs::OpenOptions::new().write(true).open(path)?, self.clone())))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl DiskFile for BreakingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        DiskFile::write_at(&self.0, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        match self.1.0.load(Ordering::SeqCst) {
            true => Err(io::Error::other("broken on purpose")),
            false => DiskFile::sync(&self.0),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        DiskFile::set_len(&self.0, len)
    }
}
