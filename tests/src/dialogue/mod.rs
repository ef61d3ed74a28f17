//! Dialogues: stories between a machine, its peer and its host, as text files that people can read.
//!
//! [`Dialogue`] is the file, [`run`] plays it against a machine and compares line by line. What it saw on the way is a
//! [`Story`], which the laws tell again in other ways. [`run_over`] plays it with a [`Wire`] between machine and peer.

mod parse;
mod play;
mod story;
pub mod text;
mod wire;

use std::path::{Path, PathBuf};

pub use parse::{Dialogue, Line, Malformed, Upgrade, What};
pub use play::{run, run_over};
pub use story::{Asked, Key, Story, Turn};
pub use wire::{Direct, Wire};

/// The dialogues of `machine`, in the order of their names: the `.txt` files of `tests/dialogues/<machine>/`.
///
/// # Panics
/// When there is none, or one is malformed, or is for another machine: that is a failed test.
#[must_use]
pub fn all(machine: &str) -> Vec<Dialogue> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dialogues").join(machine);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "no dialogues in {}", folder.display());
    paths.iter().map(|path| one(machine, path)).collect()
}

fn one(machine: &str, path: &Path) -> Dialogue {
    let mut dialogue = Dialogue::read(path).unwrap_or_else(|malformed| panic!("{malformed}"));
    assert_eq!(dialogue.machine, machine, "{}: wrong folder", path.display());
    if let Ok(short) = path.strip_prefix(env!("CARGO_MANIFEST_DIR")) {
        dialogue.path = Path::new("tests").join(short);
    }
    dialogue
}
