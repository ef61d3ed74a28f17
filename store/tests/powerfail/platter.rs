//! A disk as a power failure may leave it: all that was synced, and of everything else any part.
//!
//! What was written and not synced is torn into sectors, pages or whole writes, and each piece is on the disk, or is not, or
//! is garbage, in no order. The same goes for lengths. A name that was given or taken away without a sync of its folder may
//! be what it was at any moment since.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_core::Random;

use super::layer::{Event, FileId};

/// A sync that is no sync: what a control run does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Nothing,
    Everything,
    /// SQLite's database and its log.
    Database,
    /// Segments and large bodies.
    Bodies,
    /// Names in folders.
    Folders,
}

/// The disk under one folder.
pub(crate) struct Platter {
    root: PathBuf,
    ignored: Ignored,
    files: BTreeMap<FileId, File>,
    names: BTreeMap<PathBuf, Name>,
    folders: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct File {
    /// What is on the disk for certain.
    certain: Vec<u8>,
    /// What happened since, in order.
    changes: Vec<(Fate, Change)>,
    of_database: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next sync makes it certain.
    Pending,
    Certain,
    /// A sync of it failed: nothing makes it certain any more.
    Doubtful,
}

enum Change {
    Write(u64, std::sync::Arc<[u8]>),
    Cut(u64),
}

/// What a name stood for when its folder was last synced, and what it has stood for since.
#[derive(Default)]
struct Name {
    certain: Option<FileId>,
    since: Vec<Option<FileId>>,
}

impl Name {
    fn now(&self) -> Option<FileId> {
        self.since.last().copied().unwrap_or(self.certain)
    }
}

impl Platter {
    pub(crate) fn new(root: &Path, ignored: Ignored) -> Self {
        Self {
            root: root.to_path_buf(),
            ignored,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            folders: BTreeSet::from([root.to_path_buf()]),
        }
    }

    /// Its syncs are syncs.
    pub(crate) fn is_honest(&self) -> bool {
        self.ignored == Ignored::Nothing
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Name(path, file) => {
                if let Some(id) = file {
                    self.files.entry(*id).or_default().of_database = path.parent() == Some(&self.root);
                }
                self.names.entry(path.clone()).or_default().since.push(*file);
            }
            Event::Write(file, at, bytes) => self.change(*file, Change::Write(*at, bytes.clone())),
            Event::Cut(file, len) => self.change(*file, Change::Cut(*len)),
            Event::Sync(file) => self.sync(*file),
            Event::SyncFailed(file) => {
                let Some(file) = self.files.get_mut(file) else { return };
                let pending = file.changes.iter_mut().filter(|(fate, _)| *fate == Fate::Pending);
                pending.for_each(|(fate, _)| *fate = Fate::Doubtful);
            }
            Event::SyncFolder(folder, inside) => self.sync_folder(folder, inside),
            Event::Asked(_) | Event::Answered(_) | Event::Looked => {}
        }
    }

    fn change(&mut self, file: FileId, change: Change) {
        self.files.entry(file).or_default().changes.push((Fate::Pending, change));
    }

    fn sync(&mut self, file: FileId) {
        let Some(file) = self.files.get_mut(&file) else { return };
        let ignored = match self.ignored {
            Ignored::Everything => true,
            Ignored::Database => file.of_database,
            Ignored::Bodies => !file.of_database,
            Ignored::Nothing | Ignored::Folders => false,
        };
        if ignored {
            return;
        }
        let pending = file.changes.iter_mut().filter(|(fate, _)| *fate == Fate::Pending);
        pending.for_each(|(fate, _)| *fate = Fate::Certain);
        // Behind a change in doubt the order still matters.
        let doubtful = file.changes.iter().position(|(fate, _)| *fate != Fate::Certain);
        let certain = doubtful.unwrap_or(file.changes.len());
        file.changes.drain(..certain).for_each(|(_, change)| make(&mut file.certain, &change));
    }

    fn sync_folder(&mut self, folder: &Path, inside: &[PathBuf]) {
        if matches!(self.ignored, Ignored::Everything | Ignored::Folders) {
            return;
        }
        self.folders.extend(inside.iter().cloned());
        for (_, name) in self.names.iter_mut().filter(|(path, _)| path.parent() == Some(folder)) {
            name.certain = name.now();
            name.since.clear();
        }
        // What no name can stand for any more is gone.
        let named: BTreeSet<_> =
            self.names.values().flat_map(|name| name.since.iter().chain([&name.certain])).collect();
        self.files.retain(|id, _| named.contains(&Some(*id)));
        self.names.retain(|_, name| name.certain.is_some() || !name.since.is_empty());
    }

    /// Writes down in a folder what may be left.
    pub(crate) fn image(&self, to: &Path, mut chance: Chance) {
        fs::create_dir_all(to).unwrap();
        for (path, name) in &self.names {
            let folder = path.parent().unwrap_or(&self.root);
            let there = match chance.any(name.since.len() + 1, name.since.len()) {
                0 => name.certain,
                since => name.since[since - 1],
            };
            let (Some(file), Ok(relative)) = (there, path.strip_prefix(&self.root)) else { continue };
            // A folder in which anything was synced is there itself; of others nobody knows.
            if !self.folders.contains(folder) && !chance.keeps() {
                continue;
            }
            fs::create_dir_all(to.join(relative).parent().unwrap_or(to)).unwrap();
            fs::write(to.join(relative), self.files[&file].left(&mut chance)).unwrap();
        }
    }
}

impl File {
    fn left(&self, chance: &mut Chance) -> Vec<u8> {
        let mut left = self.certain.clone();
        let tip = chance.any(self.changes.len() + 1, self.changes.len());
        for (at, (fate, change)) in self.changes.iter().enumerate() {
            let keeps = |chance: &mut Chance| match fate {
                Fate::Certain => true,
                _ if chance.in_order => at < tip || at == tip && chance.random.below(2) == 0,
                _ => chance.keeps(),
            };
            match change {
                Change::Cut(_) if keeps(chance) => make(&mut left, change),
                Change::Cut(_) => {}
                Change::Write(at, bytes) => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let whole = chance.unit.map_or(usize::MAX, |unit| unit - (*at as usize + done) % unit);
                        let piece = &bytes[done..done + whole.min(bytes.len() - done)];
                        let at = *at as usize + done;
                        // What is written over itself cannot tear.
                        let same = left.get(at..at + piece.len()) == Some(piece);
                        if keeps(chance) {
                            write(&mut left, at, piece);
                        } else if !same && chance.is_garbage() {
                            let octets = std::iter::repeat_with(|| chance.random.u64().to_le_bytes()).flatten();
                            let garbage: Vec<u8> = octets.take(piece.len()).collect();
                            write(&mut left, at, &garbage);
                        }
                        done += piece.len();
                    }
                }
            }
        }
        left
    }
}

/// How much of what was not synced is left.
pub(crate) struct Chance {
    random: Random,
    /// Pieces of 1,000 that are kept.
    kept: usize,
    /// Octets of a piece; writes are never torn without.
    unit: Option<usize>,
    /// Pieces of 1,000 that are garbage, of those not kept.
    garbage: usize,
    /// What was done first is kept, up to some moment.
    in_order: bool,
}

impl Chance {
    /// Nothing is left, or everything.
    pub(crate) fn all(kept: bool, random: Random) -> Self {
        Self { random, kept: if kept { 1_000 } else { 0 }, unit: None, garbage: 0, in_order: false }
    }

    /// Whatever may be.
    pub(crate) fn drawn(mut random: Random) -> Self {
        let kept = [0, 30, 500, 500, 970, 1_000][random.below(6)];
        let unit = [Some(512), Some(512), Some(4096), None][random.below(4)];
        let garbage = [0, 0, 200, 1_000][random.below(4)];
        let in_order = random.below(4) == 0;
        Self { random, kept, unit, garbage, in_order }
    }

    fn keeps(&mut self) -> bool {
        self.random.below(1_000) < self.kept
    }

    fn is_garbage(&mut self) -> bool {
        self.random.below(1_000) < self.garbage
    }

    /// One of so many moments.
    fn any(&mut self, count: usize, last: usize) -> usize {
        match self.kept {
            0 => 0,
            1_000 => last,
            _ => self.random.below(count),
        }
    }
}

fn make(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut(len) => content.resize(*len as usize, 0),
        Change::Write(at, bytes) => write(content, *at as usize, bytes),
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    content.resize(content.len().max(at + bytes.len()), 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}
