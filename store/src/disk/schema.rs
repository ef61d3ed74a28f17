//! The tables, and how older ones become today's.
//!
//! Ids are 16 bytes, big-endian, so that their order is the order of issue. Addresses are kept twice: `key` is how they
//! are compared, `address` how they were written (local part without quotes, `@`, domain).

use std::path::Path;
use std::time::Duration;

use pillarbox_core::ops::Id;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params};

/// Each step takes a database from the version that is its index to the next one. A released step never changes.
const MIGRATIONS: &[&str] = &[FIRST];

const FIRST: &str = "
-- Numbers that only grow: how often the store was opened, and the last UIDVALIDITY given.
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('epoch', 0), ('uidvalidity', 0);

CREATE TABLE tenants (id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT, WITHOUT ROWID;
INSERT INTO tenants VALUES (zeroblob(16), 'default');
CREATE TABLE domains (name TEXT PRIMARY KEY, tenant BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id BLOB PRIMARY KEY,
    tenant BLOB NOT NULL,
    key TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    password TEXT NOT NULL,              -- argon2id as a PHC string
    scram_salt BLOB NOT NULL,            -- SCRAM-SHA-256 (RFC 5802, RFC 7677)
    scram_iterations INTEGER NOT NULL,
    scram_stored_key BLOB NOT NULL,
    scram_server_key BLOB NOT NULL,
    created INTEGER NOT NULL             -- ms since 1970, as all times
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    key TEXT PRIMARY KEY,
    tenant BLOB NOT NULL,
    address TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alias_targets (
    alias TEXT NOT NULL,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (alias, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE mailboxes (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    name TEXT NOT NULL,
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    highestmodseq INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    unseen INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT, WITHOUT ROWID;

-- A message as its account knows it, however often it is filed.
CREATE TABLE emails (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    thread BLOB NOT NULL,
    received INTEGER NOT NULL,
    size INTEGER NOT NULL,               -- octets of prefix and body together
    blob BLOB NOT NULL,
    entries INTEGER NOT NULL             -- places where it is filed
) STRICT, WITHOUT ROWID;

-- A place of an email in a mailbox.
CREATE TABLE entries (
    id BLOB PRIMARY KEY,
    mailbox BLOB NOT NULL,
    uid INTEGER NOT NULL,
    email BLOB NOT NULL,
    size INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    flags INTEGER NOT NULL,              -- bit 0: Seen
    saved INTEGER NOT NULL,
    prefix BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- The size is in the index so that a maildrop is listed from the index alone.
CREATE INDEX entries_by_uid ON entries (mailbox, uid, size);

-- Bodies. Either in a segment, or (large ones) in a file of their own, named after the stage it was.
CREATE TABLE blobs (
    id BLOB PRIMARY KEY,
    refs INTEGER NOT NULL,               -- emails and rows that name it; at none it is gone
    size INTEGER NOT NULL,
    file BLOB,
    segment INTEGER,
    offset INTEGER,                      -- of the first octet of the body
    checksums BLOB NOT NULL              -- CRC-32 of each 32 KiB, little-endian
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_file ON blobs (file) WHERE file IS NOT NULL;

CREATE TABLE segments (
    id INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    bytes INTEGER NOT NULL,              -- written and named by a commit
    live INTEGER NOT NULL                -- of them still needed
) STRICT;

-- The queue: one recipient of one message a row.
CREATE TABLE rows (
    id BLOB PRIMARY KEY,
    blob BLOB NOT NULL,
    destination TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    due INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reply TEXT NOT NULL,
    reverse_path TEXT,
    recipient TEXT NOT NULL,
    prefix BLOB NOT NULL,
    size INTEGER NOT NULL,
    smtputf8 INTEGER NOT NULL,
    eight_bit INTEGER NOT NULL,
    received INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Serves Due, and Active: from one destination to the next by one seek each.
CREATE INDEX rows_by_destination ON rows (destination, due, id, bucket);
-- Serves the time of the next due row.
CREATE INDEX rows_by_bucket ON rows (bucket, due);
";

/// Page cache of the writing connection, in KiB.
const WRITE_CACHE_KIB: i64 = 6 * 1024;
/// Page cache of a reading connection, in KiB.
const READ_CACHE_KIB: i64 = 2 * 1024;
/// Size of the write-ahead log, in octets, at which it is written back, and to which it is cut when it starts over.
pub(super) const LOG_BYTES: i64 = 8 << 20;
/// Octets of a page.
pub(super) const PAGE: i64 = 4096;

/// How long to wait for another process that looks at the database.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the database for writing, makes or migrates its tables, and begins a new epoch. Tables are made only if it
/// `may_be_new`.
pub(super) fn open(path: &Path, may_be_new: bool, now: i64) -> Result<(Connection, u64), SchemaError> {
    let mut conn = Connection::open(path)?;
    // It must stand before the first table.
    conn.execute_batch(&format!("PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = INCREMENTAL;"))?;
    tune(&conn, WRITE_CACHE_KIB)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // Where a plain fsync stops at the drive's cache, as on macOS.
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    // The engine writes the log back itself, and never after a sync that failed: not when it closes either.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // What a savepoint needs to be undone stays in memory: a deletion must not depend on room in another folder.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    insist(&conn)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 && !may_be_new {
        return Err(SchemaError::Empty);
    }
    migrate(&mut conn, now)?;
    let epoch: i64 =
        conn.query_row("UPDATE counters SET value = value + 1 WHERE name = 'epoch' RETURNING value", [], |row| {
            row.get(0)
        })?;
    Ok((conn, epoch.unsigned_abs()))
}

/// Opens the database for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    tune(&conn, READ_CACHE_KIB)?;
    Ok(conn)
}

/// Why the tables could not be opened.
#[derive(Debug)]
pub(super) enum SchemaError {
    Sql(rusqlite::Error),
    /// A setting on which durability rests is not in force: its name, and what it is instead.
    Setting(&'static str, String),
    /// It has no tables, and should have.
    Empty,
    /// A newer program made it; its version.
    TooNew(i64),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

pub(super) fn blob(id: Id) -> [u8; 16] {
    id.to_bytes()
}

fn tune(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// What durability rests on is in force. SQLite passes over a setting that it does not know, or cannot make.
fn insist(conn: &Connection) -> Result<(), SchemaError> {
    let wanted = [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("fullfsync", "1"),
        ("checkpoint_fullfsync", "1"),
        ("wal_autocheckpoint", "0"),
        ("auto_vacuum", "2"),
        ("temp_store", "2"),
    ];
    for (name, wanted) in wanted {
        let found = conn.pragma_query_value(None, name, |row| row.get::<_, Value>(0))?;
        let found = match found {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        if found != wanted {
            return Err(SchemaError::Setting(name, found));
        }
    }
    Ok(())
}

fn migrate(conn: &mut Connection, now: i64) -> Result<(), SchemaError> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT;",
    )?;
    let version: i64 = conn.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?;
    let Some(ahead) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..)) else {
        return Err(SchemaError::TooNew(version));
    };
    for (step, version) in ahead.iter().zip(version + 1..) {
        let tx = conn.transaction()?;
        tx.execute_batch(step)?;
        tx.execute("INSERT INTO migrations VALUES (?1, ?2)", params![version, now])?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_keep_the_promise_is_not_opened() {
        // SQLite says no error: a database in memory has no log.
        let opened = open(Path::new(":memory:"), true, 0);
        assert!(matches!(opened, Err(SchemaError::Setting("journal_mode", found)) if found == "memory"));
    }
}
