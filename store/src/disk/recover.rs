//! Opening a folder: the lock, the database, and what a crash left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};

use super::body::parse_file_name;
use super::engine::Segment;
use super::io::Disk;
use super::mailbox::graves;
use super::schema::{self, SchemaError, blob};
use super::segment::{HEAD, Walk, Writer, path};
use crate::options::Options;

/// Octets of the database's log that are in memory at a time.
const LOG_PIECE: usize = 256 << 10;

/// What opening found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Octets cut off the last segment: written by a group that never committed.
    pub cut: u64,
    /// Files removed: stages that were never named, segments of a group that never committed.
    pub orphans: usize,
    /// Octets of acknowledged mail that are missing at the ends of segments. Not by a crash: something else cut the
    /// files.
    pub missing: u64,
    /// Records in the last segment that fail their checksum.
    pub damaged: usize,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cut, orphans, missing, damaged } = self;
        write!(f, "{cut} octets and {orphans} files of mail that was never acknowledged are removed; ")?;
        match (missing, damaged) {
            (0, 0) => f.write_str("nothing is missing"),
            _ => write!(f, "of acknowledged mail {missing} octets are missing, and {damaged} messages are damaged"),
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Locked(PathBuf),
    /// A newer version of this program made it; the version of its tables.
    TooNew(i64),
    /// The folder or a file in it.
    Io(io::Error),
    /// The database; in its own words.
    Database(String),
    /// There are bodies of mail, but the database that says whose they are is not there.
    NoDatabase(PathBuf),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(dir) => write!(f, "{} is in use by another process", dir.display()),
            Self::TooNew(version) => {
                write!(f, "the store was made by a newer version of this program (tables of version {version})")
            }
            Self::Io(error) => write!(f, "the data folder: {error}"),
            Self::Database(error) => write!(f, "the database: {error}"),
            Self::NoDatabase(path) => write!(
                f,
                "{} is missing or empty, but there is mail beside it: put it back, with the -wal file that belongs to it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<SchemaError> for OpenError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Sql(error) => error.into(),
            SchemaError::TooNew(version) => Self::TooNew(version),
            SchemaError::Empty => Self::Database("it has no tables".to_owned()),
            SchemaError::Setting(name, found) => {
                Self::Database(format!("{name} is {found}, so no mail would be safe in it"))
            }
        }
    }
}

/// An opened folder.
pub(super) struct Recovered {
    pub(super) lock: File,
    pub(super) database: PathBuf,
    pub(super) conn: Connection,
    pub(super) epoch: u64,
    pub(super) writer: Writer,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Deleted mailboxes whose messages are still to be removed.
    pub(super) graves: Vec<i64>,
    pub(super) report: Recovery,
}

/// Opens or makes the folder.
pub(super) fn open(dir: &Path, options: &Options, disk: &Arc<dyn Disk>) -> Result<Recovered, OpenError> {
    let (segments_dir, bodies_dir) = (dir.join("segments"), dir.join("bodies"));
    make_folder(dir, disk)?;
    let lock = lock(dir)?;
    for folder in [&segments_dir, &bodies_dir] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let database = dir.join("pillarbox.db");
    // A new database would name none of them, and what nothing names is removed below. It is not even made, so that its
    // log cannot be taken for that of the one that is missing.
    let mail = has_files(&segments_dir)? || has_files(&bodies_dir)?;
    if mail && fs::metadata(&database).map_or(0, |meta| meta.len()) == 0 {
        return Err(OpenError::NoDatabase(database));
    }
    // SQLite gives its log the mode of the database. Whoever made the folder, passwords are nobody else's.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&database)?;
    write_log_again(&database, disk)?;
    let (conn, epoch) = match schema::open(&database, !mail, (options.clock)().0) {
        Err(SchemaError::Empty) => return Err(OpenError::NoDatabase(database)),
        opened => opened?,
    };
    disk.sync_folder(dir)?;

    let mut report = Recovery::default();
    let mut segments = read_segments(&conn)?;
    let next = remove_strange_segments(&**disk, &segments_dir, &segments, &mut report)?;
    remove_orphans(&**disk, &conn, &bodies_dir, &mut report)?;
    let mut writer = Writer::new(segments_dir.clone(), Arc::clone(disk), options.segment_size, next);
    check_lengths(&segments_dir, &mut segments, &mut report);
    if let Some((id, last)) = segments.last_key_value()
        && !last.pinned
        && last.live > 0
        && whole(&segments_dir, *id, last, &mut report)
        && last.bytes < options.segment_size
    {
        writer.resume(*id, last.generation, last.bytes)?;
    }
    if report.missing > 0 || report.damaged > 0 {
        tracing::error!("the store's files were changed, or the disk lost some of them: {report}");
    } else if report != Recovery::default() {
        tracing::warn!("the store was not closed properly, and is whole: {report}");
    }
    let graves = graves(&conn)?;
    Ok(Recovered { lock, database, conn, epoch, writer, segments, graves, report })
}

/// Makes the folder and those above it that are missing, and their entries durable.
fn make_folder(dir: &Path, disk: &Arc<dyn Disk>) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    // Mail is its owner's alone.
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // A process that made them may have gone before it synced the last one.
    for dir in missing.into_iter().chain([dir]) {
        if let Some(parent) = dir.canonicalize()?.parent() {
            disk.sync_folder(parent)?;
        }
    }
    Ok(())
}

fn has_files(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().transpose()?.is_some())
}

/// Takes the folder for this process. The lock goes with the process, however it ends.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Err(OpenError::Locked(dir.to_path_buf())),
        locked => locked.map_err(io::Error::from)?,
    }
    // For whoever looks; nothing reads it.
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Writes the database's log again as it is, if there is one, and syncs it.
///
/// If it could not be synced the last time, part of it may be in memory alone, and no later sync would write that: the
/// system takes it for written. What is read from it would be built upon, and gone with the power, and all behind it.
fn write_log_again(database: &Path, disk: &Arc<dyn Disk>) -> io::Result<()> {
    let path = database.with_extension("db-wal");
    let log = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let (mut piece, mut at) = (vec![0; LOG_PIECE], 0);
    let again = disk.open(&path)?;
    loop {
        match log.read_at(&mut piece, at)? {
            0 if at == 0 => return Ok(()),
            0 => return again.sync(),
            read => {
                again.write_at(&piece[..read], at)?;
                at += read as u64;
            }
        }
    }
}

fn read_segments(conn: &Connection) -> rusqlite::Result<BTreeMap<u64, Segment>> {
    let mut statement = conn.prepare("SELECT id, generation, bytes, live FROM segments")?;
    let rows = statement.query_map([], |row| {
        let id: i64 = row.get(0)?;
        let (generation, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
        let segment = Segment {
            generation: generation.unsigned_abs(),
            bytes: bytes.unsigned_abs(),
            live: row.get(3)?,
            pinned: false,
        };
        Ok((id.unsigned_abs(), segment))
    })?;
    rows.collect()
}

/// Removes segments that no commit names; returns the next free number.
fn remove_strange_segments(
    disk: &dyn Disk,
    folder: &Path,
    known: &BTreeMap<u64, Segment>,
    report: &mut Recovery,
) -> Result<u64, OpenError> {
    let mut last = known.last_key_value().map_or(0, |(id, _)| *id);
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let id = name.to_str().and_then(|name| u64::from_str_radix(name.strip_suffix(".seg")?, 16).ok());
        let Some(id) = id.filter(|id| !known.contains_key(id)) else { continue };
        disk.remove(&file.path())?;
        report.orphans += 1;
        last = last.max(id);
    }
    Ok(last + 1)
}

/// Removes large bodies that no commit names: stages of a process that is gone.
fn remove_orphans(disk: &dyn Disk, conn: &Connection, folder: &Path, report: &mut Recovery) -> Result<(), OpenError> {
    let mut statement = conn.prepare("SELECT 1 FROM blobs WHERE file = ?1")?;
    let mut dead = BTreeSet::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let Some(stage) = file.file_name().to_str().and_then(parse_file_name) else { continue };
        if !statement.exists([blob(stage.0)])? {
            dead.insert(file.path());
        }
    }
    report.orphans += dead.len();
    for path in dead {
        disk.remove(&path)?;
    }
    Ok(())
}

/// A segment may be longer than what commits name, never shorter.
fn check_lengths(folder: &Path, segments: &mut BTreeMap<u64, Segment>, report: &mut Recovery) {
    for (id, segment) in segments {
        let len = fs::metadata(path(folder, *id)).map_or(0, |meta| meta.len());
        // A dead one may be unlinked already.
        if len < segment.bytes && segment.live > 0 {
            tracing::error!(segment = id, missing = segment.bytes - len, "a segment is shorter than it was written");
            report.missing += segment.bytes - len;
            segment.pinned = true;
        }
    }
}

/// Verifies the last segment, where a crash would show. Returns whether it can be written on.
fn whole(folder: &Path, id: u64, segment: &Segment, report: &mut Recovery) -> bool {
    let len = fs::metadata(path(folder, id)).map_or(0, |meta| meta.len());
    report.cut = len.saturating_sub(segment.bytes);
    let before = report.damaged;
    let walked = Walk::open(folder, id, segment.generation, HEAD, segment.bytes).and_then(|mut walk| {
        let mut body = Vec::new();
        while let Some(record) = walk.next()? {
            if !walk.body(&record, &mut body)? {
                report.damaged += 1;
            }
        }
        Ok(())
    });
    if let Err(error) = &walked {
        report.damaged += 1;
        tracing::error!(segment = id, %error, "the last segment is damaged");
    }
    walked.is_ok() && report.damaged == before
}
