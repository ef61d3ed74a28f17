//! Reclaim: giving back what deletion freed, a small step at a time between the groups.
//!
//! * A large body that nobody names is unlinked.
//! * Messages of a deleted mailbox are removed.
//! * A segment without live records is unlinked; if it is the one being written, a new one begins first.
//! * A segment that is mostly dead is rewritten: its live records move to the current segment, through the same group
//!   commit as new mail, and then it has none.
//! * When the engine is idle, free pages of the database go back to the file system, and its log is written back.
//!
//! A read under way keeps its open file; the room comes back when it ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pillarbox_core::ops::{Id, StageId};
use rusqlite::{OptionalExtension as _, params};

use super::engine::{Effects, Engine, Trouble};
use super::mailbox::bury;
use super::schema::{self, blob};
use super::segment::{HEAD, Placed, SyncError, Walk};

/// Octets of live records moved in one step.
const STEP: u64 = 1 << 20;
/// Records looked at in one step.
const STEP_RECORDS: usize = 2_000;
/// Files unlinked in one step: a few milliseconds on a slow disk.
const STEP_FILES: usize = 8;
/// Dead octets in the current segment, from which on it is sealed so that it can be reclaimed.
const DEAD_HEAD: u64 = 1 << 20;
/// Free pages that the database may keep: they will be needed again.
const SPARE_PAGES: i64 = 64;
/// Pages given back in one step.
const STEP_PAGES: i64 = 512;
/// Free pages that the database may keep while it is busy.
const MANY_PAGES: i64 = 2048;
/// How often the database is tidied up while it is busy.
const BUSY_TIDY: Duration = Duration::from_millis(250);
/// How long to wait after a step that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Where reclaim stands.
#[derive(Default)]
pub(super) struct Reclaim {
    /// Large bodies to be unlinked. Whoever deleted them has his answer already: a crash leaves them to the next start.
    pub(super) unlink: VecDeque<StageId>,
    /// Deleted mailboxes whose messages are still to be removed.
    pub(super) graves: VecDeque<i64>,
    /// The segment being rewritten, and where in it.
    rewriting: Option<(u64, u64)>,
    /// Something was committed since the database was tidied up.
    pub(super) untidy: bool,
    /// When it was last looked after.
    tidied: Option<Instant>,
    /// No step before this.
    pub(super) pause: Option<Instant>,
}

impl Reclaim {
    pub(super) fn new(graves: Vec<i64>) -> Self {
        Self { graves: graves.into(), ..Self::default() }
    }
}

impl Engine {
    /// There is a step to be made right away.
    pub(super) fn has_work(&self) -> bool {
        let dead = || self.dead().is_some() || !self.reclaim.unlink.is_empty() || !self.reclaim.graves.is_empty();
        !self.is_pausing() && (dead() || self.rewritable().is_some())
    }

    /// Makes one step.
    pub(super) fn maintain(&mut self, idle: bool) {
        if self.shared.is_stopped() {
            let pause = Some(Instant::now() + Duration::from_secs(3600));
            self.reclaim = Reclaim { pause, ..Reclaim::default() };
            return;
        }
        if self.is_pausing() {
            return;
        }
        self.reclaim.pause = None;
        self.seal_wasteful();
        self.unlink_some(STEP_FILES);
        let buried = self.write_back().and_then(|()| self.bury_some());
        let step = buried.and_then(|()| match (self.dead(), self.rewritable()) {
            (Some(_), _) => self.drop_dead(),
            (None, Some(segment)) => self.rewrite(segment),
            (None, None) if self.reclaim.untidy => self.tidy(idle),
            (None, None) => Ok(()),
        });
        if let Err(trouble) = step {
            self.roll_back(&trouble);
            self.reclaim.pause = Some(Instant::now() + PAUSE);
        }
    }

    /// Unlinks large bodies that are dead, so many of them at most.
    pub(super) fn unlink_some(&mut self, most: usize) {
        for _ in 0..most {
            let Some(stage) = self.reclaim.unlink.pop_front() else { return };
            self.shared.bodies.unlink_file(stage);
        }
    }

    /// Writes a long log back into the database. Not left to SQLite, which would try again after a sync that failed; this
    /// stops the store.
    fn write_back(&mut self) -> Result<(), Trouble> {
        if !self.reclaim.untidy {
            return Ok(());
        }
        let mut noop = self.conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
        let waiting = noop.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))?;
        if waiting >= schema::LOG_BYTES / schema::PAGE {
            self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// Removes some messages of a deleted mailbox.
    fn bury_some(&mut self) -> Result<(), Trouble> {
        let Some(number) = self.reclaim.graves.front().copied() else { return Ok(()) };
        let mut effects = Effects::default();
        let tx = self.conn.unchecked_transaction()?;
        let done = bury(&tx, &mut effects, number)?;
        self.record_segments(&effects)?;
        tx.commit()?;
        self.committed(effects);
        if done {
            self.reclaim.graves.pop_front();
        }
        Ok(())
    }

    fn is_pausing(&self) -> bool {
        self.reclaim.pause.is_some_and(|until| Instant::now() < until)
    }

    /// Seals the current segment if it is mostly dead.
    fn seal_wasteful(&mut self) {
        let Some(segment) = self.writer.current().and_then(|id| self.segments.get(&id)) else { return };
        let live = segment.live.max(0).unsigned_abs();
        let dead = segment.bytes.saturating_sub(live + HEAD);
        if dead >= DEAD_HEAD && dead > live {
            self.writer.seal();
        }
    }

    fn dead(&self) -> Option<u64> {
        let current = self.writer.current();
        self.segments.iter().find(|(id, segment)| segment.live <= 0 && Some(**id) != current).map(|(id, _)| *id)
    }

    fn rewritable(&self) -> Option<u64> {
        let current = self.writer.current();
        let wasteful = |id: u64| {
            self.segments.get(&id).is_some_and(|segment| {
                let live = segment.live.max(0).unsigned_abs();
                !segment.pinned && Some(id) != current && live > 0 && live * 2 < segment.bytes
            })
        };
        let begun = self.reclaim.rewriting.map(|(id, _)| id).filter(|id| wasteful(*id));
        begun.or_else(|| self.segments.keys().copied().find(|id| wasteful(*id)))
    }

    /// Unlinks the segments that nobody needs. The files go first: that works on a full disk too, and is right because
    /// the commit that left them dead is on disk.
    fn drop_dead(&mut self) -> Result<(), Trouble> {
        let current = self.writer.current();
        let dead = self.segments.iter().filter(|(id, segment)| segment.live <= 0 && Some(**id) != current);
        let dead: Vec<u64> = dead.map(|(id, _)| *id).collect();
        for id in &dead {
            self.shared.bodies.unlink_segment(*id);
        }
        let tx = self.conn.unchecked_transaction()?;
        for id in &dead {
            tx.prepare_cached("DELETE FROM segments WHERE id = ?1")?.execute([id.cast_signed()])?;
        }
        tx.commit()?;
        for id in dead {
            self.segments.remove(&id);
        }
        self.reclaim.untidy = true;
        Ok(())
    }

    /// Moves some live records of a segment to the current one.
    fn rewrite(&mut self, id: u64) -> Result<(), Trouble> {
        let Some(segment) = self.segments.get(&id).cloned() else { return Ok(()) };
        let at = self.reclaim.rewriting.filter(|(begun, _)| *begun == id).map_or(HEAD, |(_, at)| at);
        let folder = self.shared.bodies.segments().to_path_buf();
        let mut walk = match Walk::open(&folder, id, segment.generation, at, segment.bytes) {
            Ok(walk) => walk,
            Err(error) => {
                self.pin(id, &error);
                return Ok(());
            }
        };
        let (mut moved, mut octets, mut body) = (Vec::new(), 0, Vec::new());
        for _ in 0..STEP_RECORDS {
            let record = match walk.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) => {
                    self.writer.rollback();
                    self.pin(id, &error);
                    return Ok(());
                }
            };
            let live = self
                .conn
                .prepare_cached("SELECT 1 FROM blobs WHERE id = ?1 AND segment = ?2 AND offset = ?3")?
                .query_row(params![blob(record.blob), id.cast_signed(), record.offset.cast_signed()], |_| Ok(()))
                .optional()?;
            if live.is_none() {
                continue;
            }
            if !matches!(walk.body(&record, &mut body), Ok(true)) {
                self.writer.rollback();
                self.pin(id, &"a live record is damaged");
                return Ok(());
            }
            let piece = bytes::Bytes::copy_from_slice(&body);
            moved.push((record.blob, self.writer.append(record.blob, &[piece])?));
            octets += record.len;
            if octets >= STEP {
                break;
            }
        }
        let ended = walk.at() >= segment.bytes;
        if !moved.is_empty() {
            self.move_records(id, &moved)?;
        }
        self.reclaim.rewriting = (!ended).then_some((id, walk.at()));
        if ended && self.segments.get(&id).is_some_and(|segment| segment.live > 0) {
            self.pin(id, &"it has live records that it does not contain");
        }
        Ok(())
    }

    fn move_records(&mut self, from: u64, moved: &[(Id, Placed)]) -> Result<(), Trouble> {
        self.writer.sync().map_err(|error| match error {
            SyncError::Write(error) => Trouble::from(error),
            SyncError::Sync(error) => Trouble::Broken(format!("a segment cannot be synced: {error}")),
        })?;
        let mut effects = Effects::default();
        let tx = self.conn.unchecked_transaction()?;
        for (id, placed) in moved {
            let (segment, offset) = (placed.segment.cast_signed(), placed.offset.cast_signed());
            tx.prepare_cached("UPDATE blobs SET segment = ?2, offset = ?3, checksums = ?4 WHERE id = ?1")?
                .execute(params![blob(*id), segment, offset, placed.checksums])?;
            effects.count(from, placed.len, -1);
            effects.count(placed.segment, placed.len, 1);
        }
        self.record_segments(&effects)?;
        tx.commit()?;
        self.committed(effects);
        Ok(())
    }

    /// The segment cannot be rewritten; it stays as long as something in it is needed.
    fn pin(&mut self, id: u64, why: &dyn std::fmt::Display) {
        tracing::error!(segment = id, %why, "a segment cannot be rewritten");
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.pinned = true;
        }
        self.reclaim.rewriting = None;
    }

    /// Gives free pages of the database back, and then cuts its log. While there is other work, only a few pages, now and
    /// then, and only if there are many.
    fn tidy(&mut self, idle: bool) -> Result<(), Trouble> {
        let now = Instant::now();
        if !idle && self.reclaim.tidied.is_some_and(|at| now - at < BUSY_TIDY) {
            return Ok(());
        }
        self.reclaim.tidied = Some(now);
        let free: i64 = self.conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        let wanted = if idle { (free - SPARE_PAGES).min(STEP_PAGES) } else { (free - MANY_PAGES).min(SPARE_PAGES) };
        if wanted > 0 {
            let mut statement = self.conn.prepare(&format!("PRAGMA incremental_vacuum({wanted})"))?;
            // Each step frees one page.
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            return Ok(());
        }
        if idle {
            // A log of a moderate size stays: overwriting its blocks syncs faster than growing it anew.
            let large = self.log_bytes() > schema::LOG_BYTES.unsigned_abs();
            let how = if large { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
            // A read under way is no reason to keep anybody waiting.
            self.conn.busy_timeout(Duration::from_millis(20))?;
            let done = self.conn.query_row(how, [], |row| row.get::<_, i64>(0));
            self.conn.busy_timeout(schema::BUSY_TIMEOUT)?;
            self.reclaim.untidy = done? != 0;
        }
        Ok(())
    }

    fn log_bytes(&self) -> u64 {
        let mut path = self.shared.database.clone().into_os_string();
        path.push("-wal");
        std::fs::metadata(path).map_or(0, |meta| meta.len())
    }
}
