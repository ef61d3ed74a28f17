//! Reading ranges of bodies, verified against their checksums.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_core::ops::{Id, StageId};

use super::checksum::{BLOCK, verify};
use super::io::Disk;
use super::segment;

/// Files kept open for reading. Enough for what is being read just now; a large store has thousands of segments.
const OPEN_FILES: usize = 64;

/// Where a body is, as the database says.
#[derive(Debug)]
pub(super) struct Location {
    pub(super) place: Place,
    /// Octets of the body.
    pub(super) size: u64,
    pub(super) checksums: Vec<u8>,
}

/// In which file a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a segment, from this offset on.
    Segment(u64, u64),
    /// In a file of its own.
    File(StageId),
}

/// Why a range could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The file is not there any more: the body moved, or is gone. Ask the database again.
    Moved,
    /// The octets are not those that were written.
    Damaged,
    Io(io::Error),
}

/// The folders with bodies, and the files in them that are open.
///
/// Opening and unlinking exclude each other, so a file that was unlinked is never kept open: its room comes back as soon
/// as the last read under way ends.
pub(super) struct Bodies {
    segments: PathBuf,
    files: PathBuf,
    disk: Arc<dyn Disk>,
    open: Mutex<VecDeque<(Key, Arc<File>)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Segment(u64),
    File(StageId),
}

impl Bodies {
    pub(super) fn new(dir: &Path, disk: Arc<dyn Disk>) -> Self {
        Self { segments: dir.join("segments"), files: dir.join("bodies"), disk, open: Mutex::default() }
    }

    /// The folder of the segments.
    pub(super) fn segments(&self) -> &Path {
        &self.segments
    }

    /// The folder of the large bodies.
    pub(super) fn files(&self) -> &Path {
        &self.files
    }

    /// The file of a large body.
    pub(super) fn file(&self, stage: StageId) -> PathBuf {
        self.files.join(file_name(stage))
    }

    /// Removes a large body.
    pub(super) fn unlink_file(&self, stage: StageId) {
        self.unlink(Key::File(stage), &self.file(stage));
    }

    /// Removes a segment.
    pub(super) fn unlink_segment(&self, id: u64) {
        self.unlink(Key::Segment(id), &segment::path(&self.segments, id));
    }

    /// Appends the octets `start..start + len` of a body to `out`; the caller has made sure that the body has them.
    pub(super) fn read(
        &self,
        location: &Location,
        start: u64,
        len: usize,
        out: &mut Vec<u8>,
        block: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        if len == 0 {
            return Ok(());
        }
        let (key, base) = match location.place {
            Place::Segment(id, offset) => (Key::Segment(id), offset),
            Place::File(stage) => (Key::File(stage), 0),
        };
        let file = self.file_of(key)?;
        let end = start + len as u64;
        let mut number = start / BLOCK as u64;
        loop {
            let begins = number * BLOCK as u64;
            if begins >= end {
                return Ok(());
            }
            let size = (location.size - begins).min(BLOCK as u64);
            block.resize(size as usize, 0);
            match file.read_exact_at(block, base + begins) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ReadError::Damaged),
                read => read.map_err(ReadError::Io)?,
            }
            if !verify(&location.checksums, usize::try_from(number).unwrap_or(usize::MAX), block) {
                return Err(ReadError::Damaged);
            }
            let (from, to) = (start.max(begins) - begins, end.min(begins + size) - begins);
            out.extend_from_slice(&block[from as usize..to as usize]);
            number += 1;
        }
    }

    fn file_of(&self, key: Key) -> Result<Arc<File>, ReadError> {
        let mut open = self.lock();
        if let Some(at) = open.iter().position(|(known, _)| *known == key) {
            let (_, file) = &open[at];
            let file = Arc::clone(file);
            // Most recently used first.
            if at > 0
                && let Some(hit) = open.remove(at)
            {
                open.push_front(hit);
            }
            return Ok(file);
        }
        let path = match key {
            Key::Segment(id) => segment::path(&self.segments, id),
            Key::File(stage) => self.file(stage),
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Moved),
            opened => Arc::new(opened.map_err(ReadError::Io)?),
        };
        open.truncate(OPEN_FILES - 1);
        open.push_front((key, Arc::clone(&file)));
        Ok(file)
    }

    fn unlink(&self, key: Key, path: &Path) {
        let mut open = self.lock();
        open.retain(|(known, _)| *known != key);
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It is found and removed at the next start.
                tracing::warn!(path = %path.display(), %error, "a dead file cannot be removed");
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Key, Arc<File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a large body's file.
pub(super) fn file_name(stage: StageId) -> String {
    stage.to_string()
}

/// The reverse of [`file_name`].
pub(super) fn parse_file_name(name: &str) -> Option<StageId> {
    name.parse::<Id>().ok().map(StageId)
}
