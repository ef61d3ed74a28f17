//! The index of searches: which messages may hold a text, so that a search looks into few of them.
//!
//! It is a database of its own in the folder, `search.sqlite`, and holds nothing that cannot be made again: it is no part of
//! any commit, and a 250 never waits for it. A thread of low priority follows the main database (`follow`), and puts the
//! text of each new message into it, as [`TextReader`](pillarbox_core::message::TextReader) tells it (`text`). A search asks
//! it first (`query`).
//!
//! **It may name too many messages, never too few.** What it has not seen, or not whole, may hold anything; what it names is
//! looked into, and [`Matcher`](pillarbox_core::message::Matcher) decides. So it may be behind, or missing, or be thrown
//! away at any time: searches take longer then, and answer the same.

mod bell;
mod file;
mod follow;
mod query;
mod text;

use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::Connection;

pub(super) use self::bell::Bell;
pub(super) use self::follow::run;
pub(super) use self::query::IndexReader;

/// Where it is, beside the main database.
pub(super) fn path(database: &Path) -> PathBuf {
    database.with_file_name("search.sqlite")
}

/// Removes it, with its log.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn tune(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.busy_timeout(super::schema::BUSY_TIMEOUT)
}
