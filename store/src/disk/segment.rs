//! Segments: append-only files of bodies.
//!
//! ```text
//! segment = "PBXSEG1\n"  generation u64                                             16 octets
//! record  = "PBXR"  crc32 of the 40 octets behind it  generation u64  blob 16 octets
//!           length u64  crc32 of the body  0 u32                                    48 octets, then the body
//! ```
//!
//! Numbers are little-endian. A generation is random and never used again, so octets of an older file that show through
//! after a crash are no record of this one. How far a segment counts is said by the database: what stands behind that was
//! written by a group that never committed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use pillarbox_core::ops::Id;

use super::checksum::Checksums;
use super::io::{Disk, DiskFile};

const MAGIC: &[u8; 8] = b"PBXSEG1\n";
const RECORD: &[u8; 4] = b"PBXR";
/// Octets before the first record.
pub(super) const HEAD: u64 = 16;
/// Octets before each body.
pub(super) const RECORD_HEAD: u64 = 48;
/// Octets gathered before they are written.
const BUFFER: usize = 256 * 1024;

/// The file of a segment.
pub(super) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:08x}.seg"))
}

/// Where a body was put.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) segment: u64,
    /// Of the body's first octet.
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) checksums: Vec<u8>,
}

/// Appends records; the only writer of segments.
pub(super) struct Writer {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    size: u64,
    next: u64,
    current: Option<Current>,
    /// Octets not yet written; they belong at `current.written`.
    buffer: Vec<u8>,
    /// Full segments of this group, still to be synced.
    full: Vec<Arc<dyn DiskFile>>,
    /// What this group wrote: each segment's generation and length.
    grown: BTreeMap<u64, (u64, u64)>,
    /// Where the current segment began in this group.
    mark: Option<(u64, u64)>,
}

struct Current {
    id: u64,
    generation: u64,
    file: Arc<dyn DiskFile>,
    /// Octets handed to the file.
    written: u64,
}

impl Writer {
    /// A writer that numbers its next new segment `next`.
    pub(super) fn new(folder: PathBuf, disk: Arc<dyn Disk>, size: u64, next: u64) -> Self {
        let (buffer, full, grown) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { folder, disk, size, next, current: None, buffer, full, grown, mark: None }
    }

    /// Goes on with a segment that is there, behind its first `bytes`; the rest is cut off.
    pub(super) fn resume(&mut self, id: u64, generation: u64, bytes: u64) -> io::Result<()> {
        let file = self.disk.open(&path(&self.folder, id))?;
        file.set_len(bytes)?;
        self.current = Some(Current { id, generation, file, written: bytes });
        self.mark = Some((id, bytes));
        Ok(())
    }

    /// The segment that is being written.
    pub(super) fn current(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.id)
    }

    /// The next record begins a new segment.
    pub(super) fn seal(&mut self) {
        debug_assert!(self.buffer.is_empty() && self.grown.is_empty(), "sealed within a group");
        self.current = None;
        self.mark = None;
    }

    /// Appends a record. It is durable after [`sync`](Self::sync).
    pub(super) fn append(&mut self, blob: Id, pieces: &[Bytes]) -> io::Result<Placed> {
        let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.roll(len)?;
        let Some(current) = &self.current else { return Err(io::Error::other("no segment")) };
        let (segment, generation) = (current.id, current.generation);
        let offset = current.written + self.buffer.len() as u64 + RECORD_HEAD;
        let (mut checksums, mut whole) = (Checksums::default(), crc32fast::Hasher::new());
        for piece in pieces {
            checksums.update(piece);
            whole.update(piece);
        }
        self.buffer.extend_from_slice(&record_head(generation, blob, len, whole.finalize()));
        for piece in pieces {
            self.buffer.extend_from_slice(piece);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        self.grown.insert(segment, (generation, offset + len));
        Ok(Placed { segment, offset, len, checksums: checksums.finish() })
    }

    /// Makes this group's records durable.
    pub(super) fn sync(&mut self) -> Result<(), SyncError> {
        self.flush().map_err(SyncError::Write)?;
        for file in self.full.drain(..) {
            file.sync().map_err(SyncError::Sync)?;
        }
        if let Some(current) = &self.current
            && self.grown.contains_key(&current.id)
        {
            current.file.sync().map_err(SyncError::Sync)?;
        }
        Ok(())
    }

    /// What this group wrote: each segment's generation and length, for the commit that names it.
    pub(super) fn grown(&self) -> &BTreeMap<u64, (u64, u64)> {
        &self.grown
    }

    /// The group is committed: what it wrote stays.
    pub(super) fn commit(&mut self) {
        self.grown.clear();
        self.mark = self.current.as_ref().map(|current| (current.id, current.written));
    }

    /// The group is not committed: what it wrote is overwritten, or is no record because nothing names it.
    pub(super) fn rollback(&mut self) {
        self.buffer.clear();
        self.full.clear();
        let begun: Vec<u64> = self.grown.keys().copied().chain(self.current()).collect();
        self.grown.clear();
        let Some((id, bytes)) = self.mark else {
            self.remove_new(&begun, None);
            self.current = None;
            return;
        };
        self.remove_new(&begun, Some(id));
        match &mut self.current {
            Some(current) if current.id == id => {
                current.written = bytes;
                // On a full disk the room comes back at once; if not, the next record overwrites it.
                _ = current.file.set_len(bytes);
            }
            // It was full, and the group went on in another one. It is simply shorter than it could be.
            _ => self.current = None,
        }
        if self.current.is_none() {
            self.mark = None;
        }
    }

    /// Removes the segments that this group began.
    fn remove_new(&self, begun: &[u64], keep: Option<u64>) {
        for id in begun {
            if Some(*id) != keep {
                _ = self.disk.remove(&path(&self.folder, *id));
            }
        }
    }

    /// Makes sure of a segment that has room.
    fn roll(&mut self, len: u64) -> io::Result<()> {
        let needed = self.buffer.len() as u64 + RECORD_HEAD + len;
        match &self.current {
            Some(current) if current.written <= HEAD || current.written + needed <= self.size => return Ok(()),
            Some(_) => self.flush()?,
            None => {}
        }
        if let Some(full) = self.current.take()
            && self.grown.contains_key(&full.id)
        {
            self.full.push(full.file);
        }
        let id = self.next;
        let generation = random()?;
        let file = self.disk.create(&path(&self.folder, id))?;
        self.current = Some(Current { id, generation, file: Arc::clone(&file), written: HEAD });
        self.next += 1;
        let mut head = [0; HEAD as usize];
        head[..8].copy_from_slice(MAGIC);
        head[8..].copy_from_slice(&generation.to_le_bytes());
        file.write_at(&head, 0)?;
        // Not even for want of room is a sync tried again.
        let unsynced = |error| io::Error::other(format!("the folder of the segments cannot be synced: {error}"));
        self.disk.sync_folder(&self.folder).map_err(unsynced)
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if !self.buffer.is_empty() {
            current.file.write_at(&self.buffer, current.written)?;
            current.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Why a group's records are not durable.
#[derive(Debug)]
pub(super) enum SyncError {
    /// They could not be written: perhaps there is no room. The group can be rolled back.
    Write(io::Error),
    /// They could not be synced: what is on disk is unknown, and trying again would not tell.
    Sync(io::Error),
}

/// A record as it is found when a segment is walked.
pub(super) struct Record {
    pub(super) blob: Id,
    /// Of the body's first octet.
    pub(super) offset: u64,
    pub(super) len: u64,
    crc: u32,
}

/// Walks the records of a segment.
pub(super) struct Walk {
    file: File,
    generation: u64,
    at: u64,
    end: u64,
}

impl Walk {
    /// Opens a segment whose first `end` octets count, to walk its records from `at` (the first one: [`HEAD`]).
    pub(super) fn open(folder: &Path, id: u64, generation: u64, at: u64, end: u64) -> io::Result<Self> {
        let file = File::open(path(folder, id))?;
        let mut head = [0; HEAD as usize];
        file.read_exact_at(&mut head, 0)?;
        if head[..8] != *MAGIC || head[8..] != generation.to_le_bytes() {
            return Err(damaged("its head is not the one that was written"));
        }
        Ok(Self { file, generation, at, end })
    }

    /// Where the next record begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next record; `None` at the end. After an error the rest cannot be walked.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let mut head = [0; RECORD_HEAD as usize];
        self.file.read_exact_at(&mut head, self.at)?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let small = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        if head[..4] != *RECORD || small(4) != crc32fast::hash(&head[8..]) || number(8) != self.generation {
            return Err(damaged("a record's head is damaged"));
        }
        let blob = Id::from_bytes(std::array::from_fn(|i| head[16 + i]));
        let record = Record { blob, offset: self.at + RECORD_HEAD, len: number(32), crc: small(40) };
        self.at = record.offset.checked_add(record.len).ok_or_else(|| damaged("a record's length is damaged"))?;
        Ok(Some(record))
    }

    /// Reads a record's body; `None` when it is damaged.
    pub(super) fn body(&self, record: &Record, into: &mut Vec<u8>) -> io::Result<bool> {
        if record.offset.saturating_add(record.len) > self.end {
            return Ok(false);
        }
        into.resize(usize::try_from(record.len).map_err(io::Error::other)?, 0);
        match self.file.read_exact_at(into, record.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| crc32fast::hash(into) == record.crc),
        }
    }
}

/// A number nobody can foresee, as generations are.
fn random() -> io::Result<u64> {
    // SQLite's integers are signed.
    Ok(getrandom::u64().map_err(io::Error::other)? >> 1)
}

fn record_head(generation: u64, blob: Id, len: u64, crc: u32) -> [u8; RECORD_HEAD as usize] {
    let mut head = [0; RECORD_HEAD as usize];
    head[..4].copy_from_slice(RECORD);
    head[8..16].copy_from_slice(&generation.to_le_bytes());
    head[16..32].copy_from_slice(&blob.to_bytes());
    head[32..40].copy_from_slice(&len.to_le_bytes());
    head[40..44].copy_from_slice(&crc.to_le_bytes());
    let sum = crc32fast::hash(&head[8..]);
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    head
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
