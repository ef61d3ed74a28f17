//! Stages: large bodies, written to files of their own while they arrive, off the commit thread.
//!
//! ```text
//!          Open              Append*            seal (an Accept was submitted)        commit
//! (none) --------> arriving ---------> arriving ----------------------------> sealed ---------> a body
//!                      |                                                         |
//!                      +---- Drop ------> (none) <---------------- Drop ---------+  (the Accept failed)
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pillarbox_core::ops::{Id, StageId, StageOp, StageReply, StoreError, StoreReply};

use super::Shared;
use super::asker::{Asker, survive};
use super::checksum::Checksums;
use super::io::{DiskFile, is_full};

/// Octets after which a stage is synced on its way, so that the last sync before the commit is short.
const SYNC_EVERY: u64 = 4 << 20;

/// A stage's fate, once everything submitted before the `Accept` that names it was written and synced.
pub(super) type Seal = Arc<OnceLock<Result<Sealed, StoreError>>>;

/// A whole body in its file.
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) stage: StageId,
    pub(super) len: u64,
    pub(super) checksums: Vec<u8>,
}

/// What the stage threads are asked.
pub(super) enum StageJob {
    Op(Asker, StageOp),
    Seal(StageId, Seal),
}

impl StageJob {
    /// Jobs of one stage go to one thread, in order.
    pub(super) fn lane(&self, lanes: usize) -> usize {
        let stage = match self {
            Self::Op(_, StageOp::Append { stage, .. } | StageOp::Drop { stage }) | Self::Seal(stage, _) => *stage,
            Self::Op(_, StageOp::Open { .. }) => return 0,
        };
        (stage.0.counter % lanes.max(1) as u64) as usize
    }
}

/// The stages that are open.
#[derive(Default)]
pub(super) struct Stages {
    open: Mutex<BTreeMap<StageId, Arc<Mutex<Stage>>>>,
    issued: AtomicU64,
}

struct Stage {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    len: u64,
    synced: u64,
    checksums: Checksums,
    /// Why a piece of it is missing, so that it can be nobody's body any more.
    failed: Option<StoreError>,
    /// An `Accept` names it and is under way: it can neither grow nor be dropped.
    claimed: bool,
}

impl Stages {
    /// The `Accept` failed: the stage is its node's again.
    pub(super) fn unclaim(&self, stage: StageId) {
        if let Ok(found) = self.find(stage) {
            found.lock().unwrap_or_else(PoisonError::into_inner).claimed = false;
        }
    }

    /// The stage became a body: it is no stage any more.
    pub(super) fn taken(&self, stage: StageId) {
        self.lock().remove(&stage);
    }

    /// There is such a stage.
    pub(super) fn knows(&self, stage: StageId) -> bool {
        self.lock().contains_key(&stage)
    }

    fn find(&self, stage: StageId) -> Result<Arc<Mutex<Stage>>, StoreError> {
        self.lock().get(&stage).cloned().ok_or(StoreError::Unknown)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StageId, Arc<Mutex<Stage>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stage thread.
pub(super) fn run(shared: &Shared, lane: usize) {
    while let Some(job) = shared.stage_jobs[lane].pop() {
        match job {
            StageJob::Op(asker, op) => survive(|| {
                asker.answer(apply(shared, op).map_or_else(StoreReply::Failed, StoreReply::Stage));
            }),
            StageJob::Seal(stage, seal) => {
                survive(|| {
                    let found = shared.stages.find(stage);
                    _ = seal.set(found.and_then(|found| finish(shared, stage, &found)));
                });
                // If there is none by now.
                _ = seal.set(Err(StoreError::Stopped));
                shared.changes.wake();
            }
        }
    }
}

fn apply(shared: &Shared, op: StageOp) -> Result<StageReply, StoreError> {
    if shared.is_stopped() {
        return Err(StoreError::Stopped);
    }
    match op {
        StageOp::Open { expected } => {
            room(shared, expected.unwrap_or(0))?;
            let counter = shared.stages.issued.fetch_add(1, Ordering::Relaxed) + 1;
            let stage = StageId(Id { epoch: shared.epoch, counter });
            let path = shared.bodies.file(stage);
            let file = shared.disk.create(&path).map_err(|error| failed(shared, &error))?;
            let new =
                Stage { file, path, len: 0, synced: 0, checksums: Checksums::default(), failed: None, claimed: false };
            shared.stages.lock().insert(stage, Arc::new(Mutex::new(new)));
            Ok(StageReply::Opened(stage))
        }
        StageOp::Append { stage, bytes } => {
            let found = shared.stages.find(stage)?;
            let mut stage = found.lock().unwrap_or_else(PoisonError::into_inner);
            if stage.claimed {
                return Err(StoreError::Unknown);
            }
            let appended = append(shared, &mut stage, &bytes);
            // What comes behind a piece that is missing would close up to what stands before it.
            stage.failed = stage.failed.or(appended.err());
            appended.map(|()| StageReply::Appended)
        }
        StageOp::Drop { stage } => {
            let found = shared.stages.find(stage)?;
            let state = found.lock().unwrap_or_else(PoisonError::into_inner);
            if state.claimed {
                return Err(StoreError::Unknown);
            }
            shared.stages.taken(stage);
            _ = shared.disk.remove(&state.path);
            Ok(StageReply::Dropped)
        }
    }
}

fn append(shared: &Shared, stage: &mut Stage, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(error) = stage.failed {
        return Err(error);
    }
    room(shared, bytes.len() as u64)?;
    stage.file.write_at(bytes, stage.len).map_err(|error| failed(shared, &error))?;
    stage.checksums.update(bytes);
    stage.len += bytes.len() as u64;
    if stage.len - stage.synced >= SYNC_EVERY {
        stage.file.sync().map_err(|error| unsynced(shared, &error))?;
        stage.synced = stage.len;
    }
    Ok(())
}

/// Makes the body durable, with the entry of its file in the folder.
fn finish(shared: &Shared, id: StageId, found: &Mutex<Stage>) -> Result<Sealed, StoreError> {
    if shared.is_stopped() {
        return Err(StoreError::Stopped);
    }
    let mut stage = found.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = stage.failed {
        return Err(error);
    }
    stage.file.sync().map_err(|error| unsynced(shared, &error))?;
    shared.disk.sync_folder(shared.bodies.files()).map_err(|error| unsynced(shared, &error))?;
    stage.synced = stage.len;
    stage.claimed = true;
    Ok(Sealed { stage: id, len: stage.len, checksums: stage.checksums.clone().finish() })
}

fn room(shared: &Shared, bytes: u64) -> Result<(), StoreError> {
    let free = shared.disk.free(shared.bodies.files()).unwrap_or(u64::MAX);
    if free < shared.options.reserve.saturating_add(bytes) { Err(StoreError::Full) } else { Ok(()) }
}

fn failed(shared: &Shared, error: &io::Error) -> StoreError {
    if is_full(error) {
        return StoreError::Full;
    }
    shared.stop("a large body cannot be written", error);
    StoreError::Stopped
}

fn unsynced(shared: &Shared, error: &io::Error) -> StoreError {
    shared.stop("a large body cannot be synced", error);
    StoreError::Stopped
}
