//! The file of the index, as the one thread sees it that writes it.
//!
//! The text of a message is kept as its trigrams, all its runs of three characters, and only those (FTS5, `detail=none`,
//! contentless): a third of the size of the text or so. A message has a number there. Numbers are given in blocks of
//! [`BLOCK`], and a block is one account's, so that a search meets messages of its own account alone.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::text::Text;
use super::{remove, tune};
use crate::disk::schema::PAGE;

/// What the tables are, and how [`TextReader`](pillarbox_core::message::TextReader) reads and folds texts: another number
/// when either changes. A file with another one is made anew.
pub(super) const LAYOUT: i64 = 1;
/// Messages of one block.
pub(super) const BLOCK: i64 = 1 << 16;

const TABLES: &str = "
-- How far it has come: the last email that it has seen, in which epoch of the store, how many it has, and how many of them
-- are gone.
CREATE TABLE state (seen BLOB NOT NULL, epoch INTEGER NOT NULL, emails INTEGER NOT NULL, gone INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES (zeroblob(16), 0, 0, 0);
CREATE TABLE blocks (number INTEGER PRIMARY KEY, account BLOB NOT NULL, used INTEGER NOT NULL) STRICT;
CREATE INDEX blocks_by_account ON blocks (account, number);
-- Each email, and its number; without one, any text may be in it.
CREATE TABLE emails (id BLOB PRIMARY KEY, number INTEGER) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE headers USING fts5(text, content='', contentless_delete=1, detail=none,
    tokenize='trigram case_sensitive 1');
CREATE VIRTUAL TABLE bodies USING fts5(text, content='', contentless_delete=1, detail=none,
    tokenize='trigram case_sensitive 1');
";

/// Page cache, in KiB.
const CACHE_KIB: i64 = 2 * 1024;
/// Pages of the log at which it is written back.
const LOG_PAGES: i64 = 1_024;

pub(super) struct File {
    conn: Connection,
    state: State,
}

#[derive(Clone)]
struct State {
    seen: [u8; 16],
    emails: u64,
    gone: u64,
}

/// An email for the index.
pub(super) struct Email {
    pub(super) id: [u8; 16],
    pub(super) account: [u8; 16],
    /// Its text; `None` when it is too large, or cannot be read.
    pub(super) text: Option<Text>,
}

impl File {
    /// Opens the file, or makes it anew if it is not as it should be. `epoch` is that of the main database just now.
    pub(super) fn open(path: &Path, epoch: u64) -> rusqlite::Result<Self> {
        let opened = Self::open_as_it_is(path, epoch);
        if let Ok(Some(file)) = opened {
            return Ok(file);
        }
        if let Err(error) = opened {
            tracing::warn!(%error, "the search index cannot be opened, and is made anew");
        }
        remove(path).map_err(cannot_be_removed)?;
        let conn = connect(path)?;
        let made = (|| {
            let tx = conn.unchecked_transaction()?;
            tx.execute_batch(TABLES)?;
            tx.execute("UPDATE state SET epoch = ?1", [epoch.cast_signed()])?;
            tx.pragma_update(None, "user_version", LAYOUT)?;
            tx.commit()
        })();
        made.inspect_err(|_| _ = remove(path))?;
        Ok(Self { conn, state: State { seen: [0; 16], emails: 0, gone: 0 } })
    }

    /// `None` when it is another layout's, or knows emails that another history of the main database had: an older copy of
    /// that was put back, and gives the same ids to other emails.
    fn open_as_it_is(path: &Path, epoch: u64) -> rusqlite::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let conn = connect(path)?;
        let layout: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if layout != LAYOUT {
            return Ok(None);
        }
        let (seen, known, emails, gone) = conn.query_row("SELECT seen, epoch, emails, gone FROM state", [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        })?;
        if known.unsigned_abs() >= epoch {
            tracing::info!("the mail was put back from a copy: the search index is made anew");
            return Ok(None);
        }
        conn.execute("UPDATE state SET epoch = ?1", [epoch.cast_signed()])?;
        let state = State { seen, emails: emails.unsigned_abs(), gone: gone.unsigned_abs() };
        Ok(Some(Self { conn, state }))
    }

    /// The last email that it has seen.
    pub(super) fn seen(&self) -> [u8; 16] {
        self.state.seen
    }

    /// How many emails it has.
    pub(super) fn emails(&self) -> u64 {
        self.state.emails
    }

    /// How many of them are gone.
    pub(super) fn gone(&self) -> u64 {
        self.state.gone
    }

    /// So many more are gone. It is written down with what comes next.
    pub(super) fn count_gone(&mut self, gone: u64) {
        self.state.gone += gone;
    }

    /// Takes in emails. All up to `seen` have been seen then.
    pub(super) fn add(&mut self, emails: Vec<Email>, seen: [u8; 16]) -> rusqlite::Result<()> {
        let tx = self.conn.unchecked_transaction()?;
        let state = State { seen, emails: self.state.emails + emails.len() as u64, ..self.state };
        let mut numbered = Vec::new();
        let mut insert = tx.prepare_cached("INSERT INTO emails VALUES (?1, ?2)")?;
        for email in emails {
            let number = email.text.is_some().then(|| next_number(&tx, email.account)).transpose()?;
            insert.execute(params![email.id, number])?;
            numbered.extend(number.zip(email.text));
        }
        // FTS5 gathers what comes in the order of numbers, and writes when there is a step back.
        numbered.sort_unstable_by_key(|(number, _)| *number);
        let mut header = tx.prepare_cached("INSERT INTO headers (rowid, text) VALUES (?1, ?2)")?;
        let mut body = tx.prepare_cached("INSERT INTO bodies (rowid, text) VALUES (?1, ?2)")?;
        for (number, text) in numbered {
            header.execute(params![number, text.header])?;
            body.execute(params![number, text.body])?;
        }
        save(&tx, &state)?;
        drop((insert, header, body));
        tx.commit()?;
        self.state = state;
        Ok(())
    }

    /// The next emails behind this one that it has.
    pub(super) fn page(&self, after: [u8; 16], most: usize) -> rusqlite::Result<Vec<[u8; 16]>> {
        self.conn
            .prepare_cached("SELECT id FROM emails WHERE id > ?1 ORDER BY id LIMIT ?2")?
            .query_map(params![after, most as i64], |row| row.get(0))?
            .collect()
    }

    /// Forgets emails.
    pub(super) fn remove(&mut self, emails: &[[u8; 16]]) -> rusqlite::Result<()> {
        let tx = self.conn.unchecked_transaction()?;
        let mut numbers = Vec::new();
        let mut delete = tx.prepare_cached("DELETE FROM emails WHERE id = ?1 RETURNING number")?;
        for id in emails {
            numbers.extend(delete.query_row([id], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten());
        }
        numbers.sort_unstable();
        let mut header = tx.prepare_cached("DELETE FROM headers WHERE rowid = ?1")?;
        let mut body = tx.prepare_cached("DELETE FROM bodies WHERE rowid = ?1")?;
        for number in numbers {
            header.execute([number])?;
            body.execute([number])?;
        }
        let removed = emails.len() as u64;
        let state = State {
            emails: self.state.emails.saturating_sub(removed),
            gone: self.state.gone.saturating_sub(removed),
            ..self.state
        };
        save(&tx, &state)?;
        drop((delete, header, body));
        tx.commit()?;
        self.state = state;
        Ok(())
    }

    /// None of those that it has is gone: all were looked at. Gives back room that is not needed.
    pub(super) fn swept(&mut self) -> rusqlite::Result<()> {
        self.state.gone = 0;
        save(&self.conn, &self.state)?;
        self.conn.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Mail is its owner's alone, and SQLite gives the log the mode of the database.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let conn = Connection::open(path)?;
    tune(&conn, CACHE_KIB)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // What a crash takes is read again; the rest is whole.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", LOG_PAGES * PAGE)?;
    Ok(conn)
}

fn save(conn: &Connection, state: &State) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE state SET seen = ?1, emails = ?2, gone = ?3")?.execute(params![
        state.seen,
        state.emails.cast_signed(),
        state.gone.cast_signed()
    ])?;
    Ok(())
}

/// The next number of an account's; it is never given again.
fn next_number(conn: &Connection, account: [u8; 16]) -> rusqlite::Result<i64> {
    let used = conn
        .prepare_cached(
            "UPDATE blocks SET used = used + 1
             WHERE number = (SELECT max(number) FROM blocks WHERE account = ?1) AND used < ?2
             RETURNING number, used - 1",
        )?
        .query_row(params![account, BLOCK], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    if let Some((block, used)) = used {
        return Ok(block * BLOCK + used);
    }
    conn.prepare_cached("INSERT INTO blocks (account, used) VALUES (?1, 1)")?.execute([account])?;
    Ok(conn.last_insert_rowid() * BLOCK)
}

fn cannot_be_removed(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}
