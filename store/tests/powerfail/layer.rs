//! The recording layer: everything that a store writes passes it, the segments as a [`Disk`], SQLite's files as a VFS
//! ([`vfs`](super::vfs)).
//!
//! It writes down each step in order, together with what the store was asked and what it had answered by then. Nothing is
//! ever synced: what a disk would hold is worked out from the record ([`platter`](super::platter)). And it can let a step fail.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use pillarbox_store::{Disk, DiskFile, SystemDisk};

use crate::vfs;

/// A file, under whatever name.
pub(crate) type FileId = usize;

/// A step of a store, or of those who ask it.
#[derive(Clone)]
pub(crate) enum Event {
    /// From now on the name stands for this file, or for none.
    Name(PathBuf, Option<FileId>),
    Write(FileId, u64, Arc<[u8]>),
    Cut(FileId, u64),
    Sync(FileId),
    /// What was not synced yet may be on the disk or not, and no later sync changes that.
    SyncFailed(FileId),
    /// A folder, and the folders in it.
    SyncFolder(PathBuf, Vec<PathBuf>),
    /// So many changes are asked for.
    Asked(usize),
    /// So many are answered.
    Answered(usize),
    /// The store is open, and what it holds was looked at.
    Looked,
}

impl Event {
    /// What was written before it is on the disk behind it.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Self::Sync(_) | Self::SyncFolder(..))
    }
}

/// What a disk may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// EIO.
    Broken,
    /// ENOSPC.
    Full,
}

/// Which steps fail: from one on, a number of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) what: Fault,
    pub(crate) from: usize,
    pub(crate) count: usize,
}

/// The layer over one folder.
pub(crate) struct Layer {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    names: BTreeMap<PathBuf, FileId>,
    files: usize,
    /// Steps that could have failed so far.
    steps: usize,
    faults: Option<Faults>,
    /// A fault was met.
    failed: bool,
    /// One was met by a sync on which an answer may rest.
    sync_failed: bool,
}

impl Layer {
    /// Over a folder, SQLite's files included, and what is in it already: that is on the disk for certain.
    pub(crate) fn new(root: &Path) -> Arc<Self> {
        let root = root.canonicalize().unwrap();
        let mut state = State::default();
        for folder in [root.clone(), root.join("segments"), root.join("bodies")] {
            let Ok(found) = fs::read_dir(&folder) else { continue };
            for file in found.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
                let bytes: Arc<[u8]> = fs::read(&file).unwrap().into();
                let id = state.name(&file);
                state.events.extend([Event::Write(id, 0, bytes), Event::Sync(id)]);
            }
            state.events.push(Event::SyncFolder(folder.clone(), subfolders(&folder)));
        }
        let layer = Arc::new(Self { root, state: Mutex::new(state) });
        vfs::record(&layer);
        layer
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// From now on these fail.
    pub(crate) fn fail(&self, faults: Faults) {
        self.lock().faults = Some(faults);
    }

    /// The disk works again.
    pub(crate) fn mend(&self) {
        self.lock().faults = None;
    }

    /// A fault was met.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failed
    }

    /// By a sync on which an answer may rest.
    pub(crate) fn sync_has_failed(&self) -> bool {
        self.lock().sync_failed
    }

    /// Steps that could have failed.
    pub(crate) fn steps(&self) -> usize {
        self.lock().steps
    }

    /// How often the database itself was synced, and not only its log.
    pub(crate) fn syncs_of_database(&self) -> usize {
        let state = self.lock();
        let Some(database) = state.names.get(&self.root.join("pillarbox.db")) else { return 0 };
        state.events.iter().filter(|event| matches!(event, Event::Sync(file) if file == database)).count()
    }

    pub(crate) fn note(&self, event: Event) {
        self.lock().events.push(event);
    }

    /// All that happened.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// The file that the name stands for, which may be made by this.
    pub(crate) fn named(&self, path: &Path) -> io::Result<FileId> {
        let mut state = self.lock();
        if let Some(known) = state.names.get(path).copied() {
            if path.exists() {
                return Ok(known);
            }
            // Somebody removed it past the layer.
            state.unname(path);
        }
        state.step()?;
        Ok(state.name(path))
    }

    pub(crate) fn write(
        &self,
        file: FileId,
        bytes: &[u8],
        at: u64,
        real: impl FnOnce(&[u8]) -> bool,
    ) -> io::Result<()> {
        let mut state = self.lock();
        let failed = state.step().err();
        // A write that fails may have been made in part.
        let done = if failed.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
        let real = real(done);
        state.events.push(Event::Write(file, at, done.into()));
        match failed {
            Some(error) => Err(error),
            None if real => Ok(()),
            None => Err(io::Error::other("the real disk failed")),
        }
    }

    pub(crate) fn cut(&self, file: FileId, len: u64, real: impl FnOnce() -> bool) -> io::Result<()> {
        let mut state = self.lock();
        // There is always room to give some back.
        if state.faults.is_none_or(|faults| faults.what != Fault::Full) {
            state.step()?;
        }
        state.events.push(Event::Cut(file, len));
        if real() { Ok(()) } else { Err(io::Error::other("the real disk failed")) }
    }

    pub(crate) fn sync(&self, file: FileId) -> io::Result<()> {
        let mut state = self.lock();
        let step = state.step();
        // The index of searches is no part of any promise.
        let index = |path: &Path| path.to_string_lossy().contains("search.sqlite");
        let promised = !state.names.iter().any(|(path, id)| *id == file && index(path));
        state.sync_failed |= step.is_err() && promised;
        state.events.push(if step.is_ok() { Event::Sync(file) } else { Event::SyncFailed(file) });
        step
    }

    pub(crate) fn sync_of_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        state.events.push(Event::SyncFolder(folder.to_path_buf(), subfolders(folder)));
        Ok(())
    }

    pub(crate) fn removed(&self, path: &Path) {
        self.lock().unname(path);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// A step that may fail.
    fn step(&mut self) -> io::Result<()> {
        let at = self.steps;
        self.steps += 1;
        match self.faults {
            Some(faults) if at >= faults.from && at - faults.from < faults.count => {
                self.failed = true;
                Err(match faults.what {
                    Fault::Broken => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
                    Fault::Full => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
                })
            }
            _ => Ok(()),
        }
    }

    /// A new file gets this name.
    fn name(&mut self, path: &Path) -> FileId {
        let id = self.files;
        self.files += 1;
        self.names.insert(path.to_path_buf(), id);
        self.events.push(Event::Name(path.to_path_buf(), Some(id)));
        id
    }

    fn unname(&mut self, path: &Path) {
        if self.names.remove(path).is_some() {
            self.events.push(Event::Name(path.to_path_buf(), None));
        }
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    found.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// The segments' side of the layer.
pub(crate) struct LayeredDisk(pub(crate) Arc<Layer>);

struct LayeredFile {
    layer: Arc<Layer>,
    id: FileId,
    real: Arc<dyn DiskFile>,
}

impl Disk for LayeredDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.0.named(path)?;
        let real = SystemDisk.create(path)?;
        self.0.note(Event::Cut(id, 0));
        Ok(Arc::new(LayeredFile { layer: Arc::clone(&self.0), id, real }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let real = SystemDisk.open(path)?;
        Ok(Arc::new(LayeredFile { layer: Arc::clone(&self.0), id: self.0.named(path)?, real }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)?;
        self.0.removed(path);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let synced = self.0.sync_of_folder(folder);
        self.0.lock().sync_failed |= synced.is_err();
        synced
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        SystemDisk.free(folder)
    }
}

impl DiskFile for LayeredFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.layer.write(self.id, bytes, offset, |bytes| self.real.write_at(bytes, offset).is_ok())
    }

    fn sync(&self) -> io::Result<()> {
        self.layer.sync(self.id)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.layer.cut(self.id, len, || self.real.set_len(len).is_ok())
    }
}
