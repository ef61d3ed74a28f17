//! The engine: one thread that takes the changes that wait together, makes them durable by one group commit, and answers
//! them together.
//!
//! ```text
//! take what waits -> bodies to the segment -> fdatasync -> BEGIN, each op in its own SAVEPOINT, COMMIT -> answer
//!                         |                      |                             |
//!                    no room: roll back,    failed: stop                  no room: roll back,
//!                    refuse what needs it                                 refuse what needs it
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pillarbox_core::mailbox::{ModSeq, Response};
use pillarbox_core::ops::{
    Body, Id, LeaseEpoch, LockId, MailboxId, MailboxOp, MaildropOp, MaildropReply, Notice, QueueOp, QueueReply, Sink,
    StageId, StoreError, StoreOp, StoreReply,
};
use rusqlite::{Connection, params};

use super::asker::Asker;
use super::hash::Hashed;
use super::io::is_full;
use super::reclaim::Reclaim;
use super::segment::{Placed, RECORD_HEAD, SyncError, Writer};
use super::stage::{Seal, Sealed};
use super::{Shared, accounts, bodies, mail, mailbox, rows};
use crate::holder::{Hints, Holder};
use crate::leases::Leases;

/// Changes in one group at most: the first of them waits for the last.
const GROUP: usize = 512;
/// Messages whose flags or places are changed in one group, from which on it takes no more changes: some tens of
/// milliseconds.
const GROUP_MESSAGES: usize = 4_000;
/// Octets of bodies in one group, from which on it takes no more changes.
const GROUP_BYTES: usize = 8 << 20;
/// Octets given up when the disk is so full that not even a deletion could be recorded.
const BALLAST: u64 = 4 << 20;
/// How long the engine is idle before it tidies the database up.
const IDLE: Duration = Duration::from_millis(300);

/// A change in line.
pub(super) struct Job {
    pub(super) asker: Asker,
    pub(super) op: StoreOp,
    /// Octets of bodies in it.
    pub(super) bytes: usize,
    /// The password in it, once it is hashed.
    pub(super) hashed: Option<Hashed>,
    /// The stages that it names, in order, once they are synced.
    pub(super) seals: Vec<Seal>,
}

impl Job {
    fn is_ready(&self) -> bool {
        self.hashed.as_ref().is_none_or(|hashed| hashed.get().is_some())
            && self.seals.iter().all(|seal| seal.get().is_some())
    }

    /// It brings octets in, so it is refused when there is no room.
    fn needs_room(&self) -> bool {
        bodies(&self.op).next().is_some() || matches!(&self.op, StoreOp::Mailbox(op) if mailbox::needs_room(op))
    }

    /// Messages that it may concern.
    fn weight(&self) -> usize {
        if let StoreOp::Mailbox(op) = &self.op { mailbox::weight(op) } else { 1 }
    }
}

/// A segment as the last commit left it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) generation: u64,
    /// Octets that count.
    pub(super) bytes: u64,
    /// Of them still needed.
    pub(super) live: i64,
    /// It cannot be rewritten, because it is damaged.
    pub(super) pinned: bool,
}

pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) conn: Connection,
    pub(super) writer: Writer,
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) reclaim: Reclaim,
    ids: Ids,
    leases: Leases,
    ballast: Ballast,
}

impl Engine {
    pub(super) fn new(
        shared: Arc<Shared>,
        conn: Connection,
        writer: Writer,
        segments: BTreeMap<u64, Segment>,
        graves: Vec<i64>,
        dir: &Path,
    ) -> Self {
        let ids = Ids { epoch: shared.epoch, issued: 0, blobs: 0, leases: 0 };
        let path = dir.join("reserve");
        let ballast = Ballast { there: path.exists(), path };
        let (reclaim, leases) = (Reclaim::new(graves), Leases::default());
        let mut engine = Self { shared, conn, writer, segments, reclaim, ids, leases, ballast };
        engine.refill_ballast();
        engine
    }

    /// Runs until the line is closed and empty.
    pub(super) fn run(mut self) {
        let mut line = VecDeque::new();
        let _last_words = LastWords(Arc::clone(&self.shared));
        let mut more = false;
        let mut busy = Instant::now();
        loop {
            let patience = match () {
                () if more || self.has_work() => Some(Duration::ZERO),
                () if self.reclaim.untidy => Some(IDLE.saturating_sub(busy.elapsed()).max(Duration::from_millis(10))),
                () if self.reclaim.pause.is_some() => Some(IDLE),
                () => None,
            };
            let shared = Arc::clone(&self.shared);
            let open = shared.changes.take(&mut line, patience);
            let group;
            (group, more) = pick(&mut line);
            if !group.is_empty() {
                self.commit(group);
                busy = Instant::now();
            } else if !open && line.is_empty() {
                break;
            } else if !open {
                // What is left waits for another thread, and a closed line no longer makes us wait.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            self.maintain(busy.elapsed() >= IDLE);
        }
        self.finish();
    }

    /// Free octets, and whether that is enough for `bytes` more.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let free = self.shared.disk.free(self.shared.bodies.segments()).unwrap_or(u64::MAX);
        free >= self.shared.options.reserve.saturating_add(bytes)
    }

    /// Makes a group durable and answers it.
    fn commit(&mut self, jobs: Vec<Job>) {
        let mut slots: Vec<Slot> = jobs.into_iter().map(|job| Slot { job, reply: None, tentative: None }).collect();
        let _last_words = LastWords(Arc::clone(&self.shared));
        let bytes: usize = slots.iter().map(|slot| slot.job.bytes).sum();
        let needed = slots.iter().any(|slot| slot.job.needs_room());
        let mut full = needed && !self.has_room(bytes as u64);
        let refused = loop {
            if self.shared.is_stopped() {
                break Some(StoreError::Stopped);
            }
            let issued = self.ids.issued;
            match self.attempt(&mut slots, full) {
                Ok(()) => break None,
                Err(trouble) => self.roll_back(&trouble),
            }
            // Nobody was told of these.
            self.ids.issued = issued;
            match full {
                false => full = true,
                // Deletions alone, and still no room: that is what the ballast is for.
                true if self.ballast.give_up() => {}
                true => break Some(StoreError::Full),
            }
        };
        if needed && !full {
            self.refill_ballast();
        }
        for slot in slots {
            self.answer(slot, refused);
        }
    }

    fn answer(&mut self, slot: Slot, refused: Option<StoreError>) {
        let reply = slot.reply.unwrap_or_else(|| match (refused, &slot.job.op) {
            // The lock is no change on disk, and a session must get rid of it whatever happened.
            (Some(_), StoreOp::Maildrop(MaildropOp::Release { lock })) => release(&self.shared, *lock),
            (refused, _) => StoreReply::Failed(refused.unwrap_or(StoreError::Stopped)),
        });
        let took = match &reply {
            StoreReply::Failed(_) | StoreReply::Queue(QueueReply::Lost) => false,
            StoreReply::Mailbox(response) => matches!(**response, Response::Appended { .. }),
            _ => true,
        };
        if !took {
            for (body, _) in bodies(&slot.job.op) {
                if let Body::Staged(stage) = *body {
                    self.shared.stages.unclaim(stage);
                }
            }
        }
        self.shared.forget(slot.job.bytes);
        slot.job.asker.answer(reply);
    }

    /// Tries to make the group durable. After an error nothing of it is.
    fn attempt(&mut self, slots: &mut [Slot], full: bool) -> Result<(), Trouble> {
        let mut sources = Vec::with_capacity(slots.len());
        for slot in slots.iter_mut() {
            slot.tentative = None;
            if full && slot.reply.is_none() && slot.job.needs_room() {
                slot.reply = Some(StoreReply::Failed(StoreError::Full));
            }
            sources.push(if slot.reply.is_none() { self.place(&slot.job)? } else { Vec::new() });
        }
        self.writer.sync().map_err(|error| match error {
            SyncError::Write(error) => Trouble::from(error),
            SyncError::Sync(error) => Trouble::Broken(format!("a segment cannot be synced: {error}")),
        })?;

        let mut group = Effects::default();
        let mut begun = false;
        for (slot, sources) in slots.iter_mut().zip(&sources) {
            if slot.reply.is_some() {
                continue;
            }
            if let Some(reply) = self.at_once(&slot.job, &group) {
                slot.reply = Some(reply);
                continue;
            }
            if !begun {
                self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                begun = true;
            }
            slot.tentative = Some(self.apply(&slot.job, sources, &mut group)?);
        }
        if begun {
            self.record_segments(&group)?;
            let claims = self.shared.claims.write(&self.conn)?;
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            self.shared.claims.written(&claims);
        }
        self.committed(group);
        for slot in slots {
            if slot.reply.is_none() {
                slot.reply = slot.tentative.take();
            }
        }
        Ok(())
    }

    /// Puts the inline bodies of a job into the segment, and says where the bodies of its messages are.
    fn place(&mut self, job: &Job) -> Result<Vec<Source>, Trouble> {
        let mut seals = job.seals.iter();
        let mut sources = Vec::new();
        for (body, wanted) in bodies(&job.op) {
            sources.push(match body {
                Body::Inline(_) if !wanted => Source::Nowhere,
                Body::Inline(pieces) => {
                    let blob = self.ids.blob();
                    Source::Placed(blob, self.writer.append(blob, pieces)?)
                }
                Body::Staged(_) => match seals.next().and_then(|seal| seal.get()) {
                    Some(Ok(sealed)) => Source::Sealed(sealed.clone()),
                    Some(Err(error)) => Source::Failed(*error),
                    None => Source::Failed(StoreError::Unknown),
                },
                Body::Row(row) => Source::Row(*row),
            });
        }
        Ok(sources)
    }

    /// Ops that touch nothing on disk. They are done once, even if the group is tried again.
    fn at_once(&mut self, job: &Job, group: &Effects) -> Option<StoreReply> {
        match &job.op {
            StoreOp::Queue(QueueOp::Lease { buckets, epoch, until }) => {
                let now = (self.shared.options.clock)();
                let ids = &mut self.ids;
                let holder = Some(Holder::new(job.asker.sink()));
                let leased = self.leases.lease(buckets.clone(), *epoch, *until, holder, now, || ids.lease());
                Some(StoreReply::Queue(leased.map_or(QueueReply::Lost, QueueReply::Leased)))
            }
            StoreOp::Maildrop(MaildropOp::Release { lock }) => Some(match group.released.contains(lock) {
                true => StoreReply::Failed(StoreError::Unknown),
                false => release(&self.shared, *lock),
            }),
            _ => None,
        }
    }

    /// Applies one op in a savepoint of its own; its effects count only if it succeeds.
    fn apply(&mut self, job: &Job, sources: &[Source], group: &mut Effects) -> Result<StoreReply, Trouble> {
        self.conn.prepare_cached("SAVEPOINT op")?.execute([])?;
        let ids = self.ids;
        let mut tx = Tx {
            conn: &self.conn,
            shared: &self.shared,
            leases: &self.leases,
            asker: job.asker.sink(),
            ids: &mut self.ids,
            group,
            effects: Effects::default(),
        };
        let applied = match &job.op {
            StoreOp::Accept(accept) => {
                let source = sources.first().unwrap_or(&Source::Nowhere);
                mail::accept(&mut tx, accept, source).map(StoreReply::Accepted)
            }
            StoreOp::Account(op) => accounts::apply(&mut tx, op, job.hashed.as_ref()).map(StoreReply::Account),
            StoreOp::Maildrop(MaildropOp::Commit { lock, deleted }) => {
                mail::commit_maildrop(&mut tx, *lock, deleted).map(StoreReply::Maildrop)
            }
            StoreOp::Mailbox(op) => match &**op {
                MailboxOp::Ask { account, request, bodies } => {
                    let applied = mailbox::apply(&mut tx, *account, request, bodies, sources);
                    applied.map(|response| StoreReply::Mailbox(Box::new(response)))
                }
                MailboxOp::Watch { .. } | MailboxOp::Unwatch { .. } => Err(Fail::Op(StoreError::Unknown)),
            },
            StoreOp::Queue(op) => rows::apply(&mut tx, op, sources).map(StoreReply::Queue),
            // These never come here: see `Shared::submit`.
            StoreOp::Stage(_) | StoreOp::Maildrop(_) => Err(Fail::Op(StoreError::Unknown)),
        };
        let effects = tx.effects;
        let error = match applied {
            Ok(reply) => {
                self.conn.prepare_cached("RELEASE op")?.execute([])?;
                group.absorb(effects);
                return Ok(reply);
            }
            Err(Fail::Op(error)) => error,
            Err(Fail::Sql(error)) => match Trouble::from(error) {
                Trouble::Odd(error) => {
                    tracing::error!(%error, "an op failed");
                    StoreError::Unreadable
                }
                trouble => return Err(trouble),
            },
        };
        self.ids = ids;
        self.conn.prepare_cached("ROLLBACK TO op")?.execute([])?;
        self.conn.prepare_cached("RELEASE op")?.execute([])?;
        Ok(StoreReply::Failed(error))
    }

    /// Records what the group did to segments, within its transaction.
    pub(super) fn record_segments(&self, group: &Effects) -> rusqlite::Result<()> {
        let mut upsert = self.conn.prepare_cached(
            "INSERT INTO segments VALUES (?1, ?2, ?3, 0) ON CONFLICT DO UPDATE SET bytes = excluded.bytes",
        )?;
        for (id, (generation, bytes)) in self.writer.grown() {
            upsert.execute(params![id.cast_signed(), generation.cast_signed(), bytes.cast_signed()])?;
        }
        let mut update = self.conn.prepare_cached("UPDATE segments SET live = live + ?2 WHERE id = ?1")?;
        for (id, live) in &group.live {
            update.execute(params![id.cast_signed(), live])?;
        }
        Ok(())
    }

    /// The transaction is on disk: what follows from it.
    pub(super) fn committed(&mut self, group: Effects) {
        for (id, (generation, bytes)) in self.writer.grown() {
            let new = || Segment { generation: *generation, bytes: 0, live: 0, pinned: false };
            self.segments.entry(*id).or_insert_with(new).bytes = *bytes;
        }
        self.writer.commit();
        for (id, live) in group.live {
            if let Some(segment) = self.segments.get_mut(&id) {
                segment.live += live;
            }
        }
        for stage in group.taken {
            self.shared.stages.taken(stage);
        }
        self.reclaim.unlink.extend(group.unlink);
        self.reclaim.graves.extend(group.graves);
        if !group.released.is_empty() {
            let mut locks = self.shared.locks();
            group.released.iter().for_each(|lock| _ = locks.release(*lock));
        }
        self.reclaim.untidy = true;
        self.shared.index.committed(group.new_emails, group.gone_emails);
        let mut hints = group.hints;
        self.shared.watches().hint(&group.changed, &mut hints);
        hints.tell();
    }

    /// Undoes what an attempt left behind, and stops the store if that is all that can be done.
    pub(super) fn roll_back(&mut self, trouble: &Trouble) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            self.shared.stop("a transaction cannot be rolled back", &error);
        }
        match trouble {
            Trouble::Full(error) => tracing::warn!(%error, "no room: changes are refused"),
            Trouble::Odd(error) => self.shared.stop("the database failed", error),
            Trouble::Broken(error) => self.shared.stop("the disk failed", error),
        }
        if !self.shared.is_stopped() {
            self.writer.rollback();
        }
    }

    fn refill_ballast(&mut self) {
        if !self.ballast.there && self.has_room(2 * BALLAST) {
            self.ballast.refill();
        }
    }

    fn finish(&mut self) {
        if self.shared.is_stopped() {
            return;
        }
        self.unlink_some(usize::MAX);
        match self.shared.claims.write(&self.conn) {
            Ok(claims) => self.shared.claims.written(&claims),
            // Some messages are recent once more.
            Err(error) => tracing::warn!(%error, "it cannot be written down which messages were seen"),
        }
        if let Err(error) = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            // Nothing is lost: the log is read at the next start.
            tracing::error!(%error, "the database's log cannot be written back");
        }
    }
}

/// If the engine panics nobody is left to make changes: the store says so instead of taking more of them. Those that it
/// has taken are answered as they are dropped, which must come behind this.
struct LastWords(Arc<Shared>);

impl Drop for LastWords {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop("its engine panicked", &"a bug");
            self.0.changes.close();
            self.0.changes.take(&mut VecDeque::new(), Some(Duration::ZERO));
        }
    }
}

/// One job of a group.
struct Slot {
    job: Job,
    /// What it is answered, for certain.
    reply: Option<StoreReply>,
    /// What it is answered if the group commits.
    tentative: Option<StoreReply>,
}

/// Where the body of a message is when its transaction begins.
pub(super) enum Source {
    /// In a segment, under this blob's id.
    Placed(Id, Placed),
    /// In a file of its own.
    Sealed(Sealed),
    /// With a row of the queue.
    Row(pillarbox_core::ops::RowId),
    /// Nobody wants it.
    Nowhere,
    /// Its stage failed.
    Failed(StoreError),
}

/// What an op has at hand while it is applied.
pub(super) struct Tx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) shared: &'a Shared,
    pub(super) leases: &'a Leases,
    /// Whose op it is.
    asker: &'a Arc<dyn Sink>,
    pub(super) ids: &'a mut Ids,
    /// What the ops before it in the group did.
    pub(super) group: &'a Effects,
    /// What it does itself.
    pub(super) effects: Effects,
}

impl Tx<'_> {
    /// A mailbox is changed: whoever watches it is to hear of that.
    pub(super) fn changed(&mut self, mailbox: MailboxId, modseq: ModSeq) {
        self.effects.changed.insert(mailbox, modseq);
    }

    /// Rows of this bucket are made due: whoever else holds it is to hear of that.
    pub(super) fn hint(&mut self, bucket: u16, notice: impl FnOnce() -> Notice) {
        if let Some(holder) = self.leases.other(bucket, Some(self.asker)) {
            self.effects.hints.add(holder, notice());
        }
    }
}

/// What happens outside the database once it has committed.
#[derive(Default)]
pub(super) struct Effects {
    /// Changes of the octets needed in each segment.
    pub(super) live: BTreeMap<u64, i64>,
    /// Large bodies that are dead.
    pub(super) unlink: Vec<StageId>,
    /// Stages that became bodies.
    pub(super) taken: BTreeSet<StageId>,
    /// Locks given back.
    pub(super) released: BTreeSet<LockId>,
    /// What other nodes are to hear.
    pub(super) hints: Hints,
    /// Mailboxes that were changed, and up to which modseq.
    pub(super) changed: BTreeMap<MailboxId, ModSeq>,
    /// Numbers of mailboxes that were deleted, and whose messages are still to be removed.
    pub(super) graves: Vec<i64>,
    /// How many emails came, and how many went: the index of searches follows.
    pub(super) new_emails: u64,
    pub(super) gone_emails: u64,
}

impl Effects {
    /// A record of this length in the segment is needed (`+1`) or not any more (`-1`).
    pub(super) fn count(&mut self, segment: u64, len: u64, sign: i64) {
        *self.live.entry(segment).or_default() += sign * (len + RECORD_HEAD).cast_signed();
    }

    fn absorb(&mut self, op: Self) {
        for (segment, live) in op.live {
            *self.live.entry(segment).or_default() += live;
        }
        self.unlink.extend(op.unlink);
        self.taken.extend(op.taken);
        self.released.extend(op.released);
        self.hints.absorb(op.hints);
        self.changed.extend(op.changed);
        self.graves.extend(op.graves);
        self.new_emails += op.new_emails;
        self.gone_emails += op.gone_emails;
    }
}

/// Why one op has no effect, while its neighbours go on.
pub(super) enum Fail {
    Op(StoreError),
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Why a whole group is not on disk.
pub(super) enum Trouble {
    /// No room.
    Full(String),
    /// A statement failed that should not have; within an op it fails just that op.
    Odd(rusqlite::Error),
    /// The disk failed, or what is on it is damaged.
    Broken(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error.to_string()) } else { Self::Broken(error.to_string()) }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let extended = error.sqlite_error().map(|error| error.extended_code);
        match error.sqlite_error_code() {
            // Another process holds the database for long: not now, but perhaps later, as with a full disk.
            Some(Code::DiskFull | Code::DatabaseBusy | Code::DatabaseLocked) => Self::Full(error.to_string()),
            // The log's index could not grow.
            _ if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => Self::Full(error.to_string()),
            Some(
                Code::SystemIoFailure
                | Code::DatabaseCorrupt
                | Code::NotADatabase
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::OutOfMemory,
            ) => Self::Broken(error.to_string()),
            _ => Self::Odd(error),
        }
    }
}

/// Issues ids: this opening's epoch, and counters.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    epoch: u64,
    issued: u64,
    /// Apart from the others, because a body is written before its op is applied.
    blobs: u64,
    leases: u64,
}

impl Ids {
    pub(super) fn next(&mut self) -> Id {
        self.issued += 1;
        Id { epoch: self.epoch, counter: self.issued }
    }

    pub(super) fn blob(&mut self) -> Id {
        self.blobs += 1;
        Id { epoch: self.epoch, counter: self.blobs }
    }

    fn lease(&mut self) -> LeaseEpoch {
        self.leases += 1;
        LeaseEpoch(Id { epoch: self.epoch, counter: self.leases })
    }
}

/// A file that takes up room until deletion needs it.
struct Ballast {
    path: PathBuf,
    there: bool,
}

impl Ballast {
    /// Frees the room; `false` when it was free already.
    fn give_up(&mut self) -> bool {
        let gone = std::mem::take(&mut self.there) && std::fs::remove_file(&self.path).is_ok();
        if gone {
            tracing::warn!("the disk is full: the store gives up its reserve so that mail can be deleted");
        }
        gone
    }

    fn refill(&mut self) {
        let filled = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path).and_then(|file| {
            use rustix::fs::{FallocateFlags, fallocate};
            Ok(fallocate(&file, FallocateFlags::empty(), 0, BALLAST)?)
        });
        match filled {
            Ok(()) => self.there = true,
            // Not every file system can; the statvfs reserve is still there.
            Err(_) => _ = std::fs::remove_file(&self.path),
        }
    }
}

/// Takes the next group out of the line: what is ready, and stands behind nothing of the same node that is not. Says
/// whether more is ready than fits.
fn pick(line: &mut VecDeque<Job>) -> (Vec<Job>, bool) {
    let (mut group, mut bytes, mut messages) = (Vec::new(), 0, 0);
    let mut blocked: Vec<Arc<dyn Sink>> = Vec::new();
    let mut left = VecDeque::new();
    while let Some(job) = line.pop_front() {
        if group.len() >= GROUP || bytes >= GROUP_BYTES || messages >= GROUP_MESSAGES {
            left.push_back(job);
            left.append(line);
            *line = left;
            return (group, true);
        }
        let behind = blocked.iter().any(|sink| job.asker.is_of(sink));
        if behind || !job.is_ready() {
            if !behind {
                blocked.push(Arc::clone(job.asker.sink()));
            }
            left.push_back(job);
            continue;
        }
        bytes += job.bytes;
        messages += job.weight();
        group.push(job);
    }
    *line = left;
    (group, false)
}

fn release(shared: &Shared, lock: LockId) -> StoreReply {
    match shared.locks().release(lock) {
        true => StoreReply::Maildrop(MaildropReply::Done),
        false => StoreReply::Failed(StoreError::Unknown),
    }
}
