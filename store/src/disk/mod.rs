//! The store on disk.
//!
//! ```text
//!            submit
//!     +---------+---------+-----------+---------+
//!     v         v         v           v         v
//!  stages    hashes    changes      reads    searches    a queue each, bounded
//!  2 threads 2 threads 1 engine    2 threads 2 threads
//!     |         |         |           |         |
//!     +- sealed +- hashed +           |         |
//!            `---------> group commit |         |        segments synced, then the database
//!                         |           |         |
//!                         `-> Sink <--+---------'
//! ```
//!
//! A change that needs more than the database (a large body's last sync, a password's hash) keeps its place in line while
//! that is under way, and its node's later changes stay behind it: writes are applied in the order of submission.
//!
//! Beside these, a thread keeps the index of searches (`index`).
//!
//! The folder: `pillarbox.db` with its log, `search.sqlite` (which can be made again), `segments/`, `bodies/` (large ones, a file each), `lock`, and `reserve`, a few
//! megabytes that are given up when the disk is so full that nothing could be deleted any more.

mod accounts;
mod asker;
mod body;
mod checksum;
mod engine;
mod hash;
mod index;
mod io;
mod mail;
mod mailbox;
mod password;
mod queue;
mod read;
mod reclaim;
mod recover;
mod rows;
mod schema;
mod search;
mod segment;
mod stage;
mod threads;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pillarbox_core::mailbox::Response;
use pillarbox_core::ops::{
    Accept, AccountOp, Body, Busy, MailboxOp, MaildropOp, NewBody, QueueOp, Sink, Store, StoreError, StoreOp,
    StoreReply, Token,
};

use self::asker::Asker;
use self::body::Bodies;
use self::engine::{Engine, Job};
use self::hash::HashJob;
use self::index::Bell;
pub use self::io::{Disk, DiskFile, SystemDisk};
use self::mailbox::Claims;
use self::queue::Queue;
use self::read::ReadJob;
pub use self::recover::{OpenError, Recovery};
use self::search::SearchJob;
use self::stage::{StageJob, Stages};
use crate::locks::Locks;
use crate::options::Options;
use crate::watches::Watches;

/// Threads that write large bodies.
const STAGE_LANES: usize = 2;

/// A store in a folder.
pub struct DiskStore {
    shared: Arc<Shared>,
    recovery: Recovery,
    threads: Mutex<Threads>,
}

struct Threads {
    engine: Option<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    /// Held for as long as the store is open.
    lock: Option<File>,
}

/// What the threads of a store share.
struct Shared {
    options: Options,
    database: PathBuf,
    epoch: u64,
    disk: Arc<dyn Disk>,
    bodies: Bodies,
    stages: Stages,
    locks: Mutex<Locks>,
    watches: Mutex<Watches>,
    claims: Claims,
    changes: Queue<Job>,
    waiting_changes: AtomicUsize,
    waiting_bytes: AtomicUsize,
    reads: Queue<ReadJob>,
    searches: Queue<SearchJob>,
    index: Bell,
    looked_into: AtomicU64,
    hashes: Queue<HashJob>,
    stage_jobs: Vec<Queue<StageJob>>,
    stopped: AtomicBool,
}

impl DiskStore {
    /// Opens the store in `dir`, making it if there is none, and recovers it if it was not closed.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it open, and what else can be wrong with a folder.
    pub fn open(dir: &Path, options: Options) -> Result<Arc<Self>, OpenError> {
        Self::open_on(dir, options, Arc::new(SystemDisk))
    }

    /// As [`open`](Self::open), with bodies written through `disk`: how tests let a disk fail.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_on(dir: &Path, options: Options, disk: Arc<dyn Disk>) -> Result<Arc<Self>, OpenError> {
        let recovered = recover::open(dir, &options, &disk)?;
        let shared = Arc::new(Shared {
            database: recovered.database,
            epoch: recovered.epoch,
            bodies: Bodies::new(dir, Arc::clone(&disk)),
            disk,
            stages: Stages::default(),
            locks: Mutex::default(),
            watches: Mutex::default(),
            claims: Claims::default(),
            // Bounded by the counts beside it, which go on counting what the engine has taken out.
            changes: Queue::new(usize::MAX),
            waiting_changes: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            reads: Queue::new(options.waiting_reads),
            searches: Queue::new(options.waiting_reads),
            index: Bell::new(),
            looked_into: AtomicU64::new(0),
            hashes: Queue::new(options.waiting_hashes),
            stage_jobs: (0..STAGE_LANES).map(|_| Queue::new(options.waiting_stages)).collect(),
            stopped: AtomicBool::new(false),
            options,
        });
        // From here on dropping the store ends what was started.
        let store = Arc::new(Self {
            shared: Arc::clone(&shared),
            recovery: recovered.report,
            threads: Mutex::new(Threads { engine: None, others: Vec::new(), lock: Some(recovered.lock) }),
        });
        let mut threads = store.lock();
        for lane in 0..STAGE_LANES {
            threads.others.push(spawn("stage", &shared, move |shared| stage::run(shared, lane))?);
        }
        for _ in 0..shared.options.hash_workers.max(1) {
            let conn = schema::open_reader(&shared.database)?;
            threads.others.push(spawn("hash", &shared, move |shared| hash::run(shared, &conn))?);
        }
        for _ in 0..shared.options.read_workers.max(1) {
            let conn = schema::open_reader(&shared.database)?;
            threads.others.push(spawn("read", &shared, move |shared| read::run(shared, &conn))?);
        }
        for _ in 0..shared.options.search_workers.max(1) {
            let conn = schema::open_reader(&shared.database)?;
            threads.others.push(spawn("search", &shared, move |shared| search::run(shared, &conn))?);
        }
        if shared.options.search_index {
            let conn = schema::open_reader(&shared.database)?;
            threads.others.push(spawn("index", &shared, move |shared| index::run(shared, &conn))?);
        } else if let Err(error) = index::remove(&index::path(&shared.database)) {
            tracing::warn!(%error, "the search index cannot be removed");
        }
        let engine = Engine::new(
            Arc::clone(&shared),
            recovered.conn,
            recovered.writer,
            recovered.segments,
            recovered.graves,
            dir,
        );
        threads.engine = Some(spawn("engine", &shared, move |_| engine.run())?);
        drop(threads);
        Ok(store)
    }

    /// What opening found and mended.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The store takes no more changes because a sync failed or its data is damaged. Only a restart helps.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Waits until all messages that are there now are in the search index; `false` when they are not by then, or there is
    /// no index. Nobody needs to: it is for those who measure.
    #[must_use]
    pub fn wait_for_search_index(&self, patience: Duration) -> bool {
        self.shared.options.search_index && self.shared.index.wait_until_seen(patience)
    }

    /// Messages that searches have looked into since the store was opened.
    #[must_use]
    pub fn looked_into(&self) -> u64 {
        self.shared.looked_into.load(Ordering::Relaxed)
    }

    /// Takes no more ops, answers those that it has taken, and gives the folder back. Waits for that.
    pub fn close(&self) {
        let mut threads = self.lock();
        let shared = &self.shared;
        // The engine first: what waits in its line may need the others still.
        shared.changes.close();
        if let Some(engine) = threads.engine.take() {
            join(engine);
        }
        shared.reads.close();
        shared.searches.close();
        shared.index.close();
        shared.hashes.close();
        for lane in &shared.stage_jobs {
            lane.close();
        }
        for other in threads.others.drain(..) {
            join(other);
        }
        threads.lock = None;
    }

    fn lock(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for DiskStore {
    fn submit(&self, sink: &Arc<dyn Sink>, token: Token, op: StoreOp) -> Result<(), Busy> {
        let shared = &*self.shared;
        // A change that was not answered may be on disk; a read was not made.
        let stopped = || Asker::new(sink, token, StoreError::Stopped);
        let unreadable = || Asker::new(sink, token, StoreError::Unreadable);
        if let StoreOp::Mailbox(op) = &op
            && shared.watch(op, sink)
        {
            sink.complete(token, StoreReply::Mailbox(Box::new(Response::Done)));
            return Ok(());
        }
        match op {
            StoreOp::Stage(op) => {
                let job = StageJob::Op(stopped(), op);
                let lane = job.lane(STAGE_LANES);
                shared.stage_jobs[lane].push(job).map_err(|job| match job {
                    StageJob::Op(asker, op) => busy(asker, StoreOp::Stage(op)),
                    StageJob::Seal(..) => unreachable!("it was an op a line ago"),
                })
            }
            StoreOp::Account(AccountOp::Authenticate { login, password }) => {
                let job = HashJob::Authenticate { asker: unreadable(), login, password };
                shared.hashes.push(job).map_err(|job| match job {
                    HashJob::Authenticate { asker, login, password } => {
                        busy(asker, StoreOp::Account(AccountOp::Authenticate { login, password }))
                    }
                    HashJob::Hash(..) => unreachable!("it was a login a line ago"),
                })
            }
            StoreOp::Mailbox(op) if mailbox::is_search(&op) => {
                let job = SearchJob { asker: unreadable(), op };
                shared.searches.push(job).map_err(|job| busy(job.asker, StoreOp::Mailbox(job.op)))
            }
            op if is_read(&op) => {
                shared.reads.push(ReadJob { asker: unreadable(), op }).map_err(|job| busy(job.asker, job.op))
            }
            op => shared.submit_change(stopped(), op),
        }
    }
}

impl Shared {
    /// Puts a change in the engine's line, and starts what it has to wait for.
    fn submit_change(&self, asker: Asker, op: StoreOp) -> Result<(), Busy> {
        let bytes = inline_bytes(&op);
        let crowded = self.waiting_changes.load(Ordering::Relaxed) >= self.options.waiting_changes
            || self.waiting_bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.options.waiting_bytes.max(bytes);
        if crowded || self.changes.is_closed() {
            return Err(busy(asker, op));
        }
        let hashed = match &op {
            StoreOp::Account(AccountOp::Add { password, .. } | AccountOp::SetPassword { password, .. }) => {
                let hashed = Arc::new(OnceLock::new());
                if self.hashes.push(HashJob::Hash(password.clone(), Arc::clone(&hashed))).is_err() {
                    return Err(busy(asker, op));
                }
                Some(hashed)
            }
            _ => None,
        };
        let mut seals = Vec::new();
        for (body, _) in bodies(&op) {
            let Body::Staged(stage) = *body else { continue };
            let seal = Arc::new(OnceLock::new());
            let job = StageJob::Seal(stage, Arc::clone(&seal));
            self.stage_jobs[job.lane(STAGE_LANES)].push_anyway(job);
            seals.push(seal);
        }
        self.waiting_changes.fetch_add(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.changes.push(Job { asker, op, bytes, hashed, seals }).map_err(|job| {
            self.forget(bytes);
            busy(job.asker, job.op)
        })
    }

    /// A change is answered: another one may wait.
    fn forget(&self, bytes: usize) {
        self.waiting_changes.fetch_sub(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Takes no more changes until a restart.
    fn stop(&self, why: &str, error: &dyn fmt::Display) {
        if !self.stopped.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the store stops and takes no more changes until a restart: {why}");
        }
    }

    /// Does what `op` says of who watches a mailbox: at once, so that whatever is submitted behind it comes behind it.
    /// `false` when it says nothing of the kind.
    fn watch(&self, op: &MailboxOp, sink: &Arc<dyn Sink>) -> bool {
        match op {
            MailboxOp::Watch { mailbox } => self.watches().add(*mailbox, sink),
            MailboxOp::Unwatch { mailbox } => self.watches().remove(*mailbox, sink),
            MailboxOp::Ask { .. } => return false,
        }
        true
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands an op back.
fn busy(asker: Asker, op: StoreOp) -> Busy {
    asker.withdraw();
    Busy(op)
}

/// The bodies inside an op, in order, and whether anybody wants them.
fn bodies(op: &StoreOp) -> impl Iterator<Item = (&Body, bool)> {
    let (accepts, new): (&[Accept], &[NewBody]) = match op {
        StoreOp::Accept(accept) => (std::slice::from_ref(accept), &[]),
        StoreOp::Queue(QueueOp::Settle(settle)) => (&settle.accepts, &[]),
        StoreOp::Mailbox(op) => match &**op {
            MailboxOp::Ask { bodies, .. } => (&[], bodies),
            MailboxOp::Watch { .. } | MailboxOp::Unwatch { .. } => (&[], &[]),
        },
        _ => (&[], &[]),
    };
    let wanted = |accept: &Accept| !accept.deliveries.is_empty() || !accept.rows.is_empty();
    let accepts = accepts.iter().map(move |accept| (&accept.body, wanted(accept)));
    accepts.chain(new.iter().map(|new| (&new.body, true)))
}

fn inline_bytes(op: &StoreOp) -> usize {
    let size = |(body, _): (&Body, bool)| match body {
        Body::Inline(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
        Body::Staged(_) | Body::Row(_) => 0,
    };
    bodies(op).map(size).sum()
}

fn is_read(op: &StoreOp) -> bool {
    match op {
        StoreOp::Accept(_) | StoreOp::Stage(_) => false,
        StoreOp::Mailbox(op) => mailbox::is_read(op),
        StoreOp::Account(op) => {
            matches!(op, AccountOp::Resolve { .. } | AccountOp::List { .. } | AccountOp::ListAliases { .. })
        }
        StoreOp::Maildrop(op) => matches!(op, MaildropOp::Open { .. } | MaildropOp::Read { .. }),
        StoreOp::Queue(op) => matches!(
            op,
            QueueOp::Active { .. }
                | QueueOp::Due { .. }
                | QueueOp::Read { .. }
                | QueueOp::List { .. }
                | QueueOp::Show { .. }
        ),
    }
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let shared = Arc::clone(shared);
    Ok(thread::Builder::new().name(format!("store-{name}")).spawn(move || run(&shared))?)
}

fn join(thread: JoinHandle<()>) {
    // A sink that holds the last reference may drop the store on one of its own threads.
    if thread.thread().id() != thread::current().id() && thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

/// The reply to an op that a damaged or unreadable database failed.
fn unreadable(error: &rusqlite::Error) -> StoreReply {
    tracing::error!(%error, "the database cannot be read");
    StoreReply::Failed(StoreError::Unreadable)
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("database", &self.shared.database)
            .field("stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}
