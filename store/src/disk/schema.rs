//! The tables, and how older ones become today's.
//!
//! Ids are 16 bytes, big-endian, so that their order is the order of issue. Addresses are kept twice: `key` is how they
//! are compared, `address` how they were written (local part without quotes, `@`, domain).

use std::path::Path;
use std::time::Duration;

use pillarbox_core::mailbox::{MailboxName, UidSet};
use pillarbox_core::ops::Id;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params};

use super::mailbox::fill_view;

/// Each step takes a database from the version that is its index to the next one. A released step never changes.
const MIGRATIONS: &[Step] = &[
    Step { sql: FIRST, fill: None },
    Step { sql: SECOND, fill: Some(fill_views) },
    Step { sql: THIRD, fill: None },
    // Names of mailboxes are in normalization form C.
    Step { sql: "", fill: Some(compose_names) },
    Step { sql: FIFTH, fill: None },
];

/// A step from one version to the next.
struct Step {
    sql: &'static str,
    /// What SQL alone cannot say, afterwards.
    fill: Option<fn(&Connection) -> rusqlite::Result<()>>,
}

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

const SECOND: &str = "
-- Mailboxes that readers see: a tree of names, flags, and what changed when.
INSERT INTO counters VALUES ('mailbox', 0);

CREATE TABLE mailboxes_2 (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    name TEXT NOT NULL,                  -- levels separated by /
    number INTEGER NOT NULL UNIQUE,      -- under which its messages are kept: never used twice
    special_use TEXT,                    -- RFC 6154
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    highestmodseq INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    unseen INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    deleted_octets INTEGER NOT NULL,
    recent_from INTEGER NOT NULL,        -- messages from this UID on are recent
    run_from INTEGER NOT NULL,           -- the UIDs from here to the last are all there, and not in views
    forgotten INTEGER NOT NULL,          -- what was removed up to this modseq nobody remembers
    expunged_runs INTEGER NOT NULL,      -- runs in the table expunged
    keywords TEXT NOT NULL,              -- atoms separated by spaces; their places are bits of flags, from bit 8 on
    UNIQUE (account, name)
) STRICT, WITHOUT ROWID;
INSERT INTO mailboxes_2
    SELECT id, account, name, row_number() OVER (ORDER BY id), NULL, uidvalidity, uidnext, highestmodseq,
        messages, unseen, 0, octets, 0, 1, uidnext, highestmodseq, 0, ''
    FROM mailboxes;
UPDATE counters SET value = (SELECT count(*) FROM mailboxes) WHERE name = 'mailbox';

-- The prefix belongs to the email: it is the same wherever that is filed.
CREATE TABLE emails_2 (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    thread BLOB NOT NULL,
    received INTEGER NOT NULL,
    size INTEGER NOT NULL,               -- octets of prefix and body together
    blob BLOB NOT NULL,
    entries INTEGER NOT NULL,            -- places where it is filed
    prefix BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO emails_2
    SELECT m.id, m.account, m.thread, m.received, m.size, m.blob, m.entries, e.prefix
    FROM entries e JOIN emails m ON m.id = e.email;

-- Small rows in the order of UIDs: a page of a mailbox is a page of the database.
CREATE TABLE entries_2 (
    mailbox INTEGER NOT NULL,            -- its number
    uid INTEGER NOT NULL,
    id BLOB NOT NULL,
    email BLOB NOT NULL,
    size INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    flags INTEGER NOT NULL,              -- 1 Seen, 2 Answered, 4 Flagged, 8 Deleted, 16 Draft; keywords from bit 8 on
    saved INTEGER NOT NULL,
    PRIMARY KEY (mailbox, uid)
) STRICT, WITHOUT ROWID;
INSERT INTO entries_2
    SELECT b.number, e.uid, e.id, e.email, e.size, e.modseq, e.flags, e.saved
    FROM entries e JOIN mailboxes_2 b ON b.id = e.mailbox ORDER BY b.number, e.uid;

DROP TABLE entries;
DROP TABLE emails;
DROP TABLE mailboxes;
ALTER TABLE mailboxes_2 RENAME TO mailboxes;
ALTER TABLE emails_2 RENAME TO emails;
ALTER TABLE entries_2 RENAME TO entries;
CREATE UNIQUE INDEX entries_by_id ON entries (id);
CREATE INDEX entries_by_modseq ON entries (mailbox, modseq);
CREATE INDEX entries_unseen ON entries (mailbox, uid) WHERE flags & 1 = 0;
CREATE INDEX entries_deleted ON entries (mailbox, uid) WHERE flags & 8 != 0;

-- UIDs that are there, as runs: for each 4096 of them a row, if there are any.
CREATE TABLE views (
    mailbox INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    uids BLOB NOT NULL,
    PRIMARY KEY (mailbox, chunk)
) STRICT, WITHOUT ROWID;
-- UIDs that were removed, by the modseq of their removal.
CREATE TABLE expunged (
    mailbox INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    uids BLOB NOT NULL,
    PRIMARY KEY (mailbox, modseq)
) STRICT, WITHOUT ROWID;
-- Deleted mailboxes whose messages are still to be removed.
CREATE TABLE graves (mailbox INTEGER PRIMARY KEY) STRICT;

-- Names of deleted mailboxes with others below them.
CREATE TABLE noselect (account BLOB NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account, name)) STRICT, WITHOUT ROWID;
CREATE TABLE subscriptions (account BLOB NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account, name))
    STRICT, WITHOUT ROWID;

-- What was found in a body when it came.
CREATE TABLE structures (blob BLOB PRIMARY KEY, structure BLOB NOT NULL) STRICT, WITHOUT ROWID;
";

const THIRD: &str = "
-- Conversations: by what messages are known that belong to one. Messages that came before are each one of their own.
CREATE TABLE threads (
    account BLOB NOT NULL,
    key INTEGER NOT NULL,                -- of a message's id and a subject
    thread BLOB NOT NULL,
    emails INTEGER NOT NULL,             -- that have this key; at none it is gone
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
ALTER TABLE emails ADD COLUMN thread_keys BLOB NOT NULL DEFAULT x'';  -- 8 octets each, little-endian

-- What all mailboxes of an account hold together.
CREATE TABLE usage (account BLOB PRIMARY KEY, messages INTEGER NOT NULL, octets INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
INSERT INTO usage
    SELECT a.id, coalesce(sum(b.messages), 0), coalesce(sum(b.octets), 0)
    FROM accounts a LEFT JOIN mailboxes b ON b.account = a.id GROUP BY a.id;
-- Whoever counts in a mailbox counts here.
CREATE TRIGGER usage_changed AFTER UPDATE OF messages, octets ON mailboxes
    WHEN new.messages != old.messages OR new.octets != old.octets
    BEGIN
        UPDATE usage SET messages = messages + new.messages - old.messages, octets = octets + new.octets - old.octets
            WHERE account = new.account;
    END;
CREATE TRIGGER usage_gone AFTER DELETE ON mailboxes WHEN old.messages != 0
    BEGIN
        UPDATE usage SET messages = messages - old.messages, octets = octets - old.octets WHERE account = old.account;
    END;
";

const FIFTH: &str = "
-- What the latest change of flags was of, so that who asks for another one is not told that he is too late. Of messages
-- that are there already it is not known: it may have been of all.
ALTER TABLE entries ADD COLUMN before INTEGER;                      -- the modseq in front of it; NULL if it was of all
ALTER TABLE entries ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;  -- flags that it has set or taken away
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
    // By a commit of its own: the one that ends a statement which returns rows cannot say that it failed.
    let tx = conn.transaction()?;
    tx.execute("UPDATE counters SET value = value + 1 WHERE name = 'epoch'", [])?;
    let epoch: i64 = tx.query_row("SELECT value FROM counters WHERE name = 'epoch'", [], |row| row.get(0))?;
    tx.commit()?;
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
    conn.set_prepared_statement_cache_capacity(128);
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
        tx.execute_batch(step.sql)?;
        step.fill.map_or(Ok(()), |fill| fill(&tx))?;
        tx.execute("INSERT INTO migrations VALUES (?1, ?2)", params![version, now])?;
        tx.commit()?;
    }
    Ok(())
}

/// Says of each mailbox which UIDs it has.
fn fill_views(conn: &Connection) -> rusqlite::Result<()> {
    let mut mailboxes = conn.prepare("SELECT number, uidnext FROM mailboxes")?;
    let mut uids = conn.prepare("SELECT uid FROM entries WHERE mailbox = ?1 ORDER BY uid")?;
    let mut update = conn.prepare("UPDATE mailboxes SET run_from = ?2 WHERE number = ?1")?;
    let all = mailboxes.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)))?;
    for (number, uid_next) in all.collect::<rusqlite::Result<Vec<_>>>()? {
        let uids = uids.query_map([number], |row| row.get::<_, u32>(0))?.collect::<rusqlite::Result<UidSet>>()?;
        update.execute(params![number, fill_view(conn, number, uid_next, &uids)?])?;
    }
    Ok(())
}

/// Writes each name as it is written today. Two that have become one keep their messages apart: the second gets a number.
fn compose_names(conn: &Connection) -> rusqlite::Result<()> {
    for table in ["mailboxes", "noselect", "subscriptions"] {
        let mut all = conn.prepare(&format!("SELECT account, name FROM {table} WHERE name GLOB '*[^ -~]*'"))?;
        let all = all.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, String>(1)?)))?;
        let mut update = conn.prepare(&format!("UPDATE {table} SET name = ?3 WHERE account = ?1 AND name = ?2"))?;
        for (account, old) in all.collect::<rusqlite::Result<Vec<_>>>()? {
            let new = composed(&old, "");
            if new == old {
                continue;
            }
            if table == "subscriptions" {
                conn.execute("INSERT OR IGNORE INTO subscriptions VALUES (?1, ?2)", params![account, new])?;
                conn.execute("DELETE FROM subscriptions WHERE account = ?1 AND name = ?2", params![account, old])?;
                continue;
            }
            let mut names = std::iter::once(new).chain((2..).map(|number| composed(&old, &format!(" {number}"))));
            let mut taken = conn.prepare(
                "SELECT 1 FROM mailboxes WHERE account = ?1 AND name = ?2
                 UNION ALL SELECT 1 FROM noselect WHERE account = ?1 AND name = ?2",
            )?;
            let free = names.try_fold((), |(), name| match taken.exists(params![account, name]) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Ok(name)),
                Err(error) => Err(Err(error)),
            });
            if let Err(name) = free {
                update.execute(params![account, old, name?])?;
            }
        }
    }
    Ok(())
}

/// The name as it is written today, with `end` behind it, and without its last characters if it becomes too long.
fn composed(name: &str, end: &str) -> String {
    let mut beginnings = name.char_indices().map(|(at, c)| &name[..at + c.len_utf8()]).rev();
    let composed = beginnings.find_map(|beginning| MailboxName::new(&format!("{beginning}{end}")).ok());
    composed.map_or_else(|| name.to_owned(), |composed| composed.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_mailbox_are_composed() -> rusqlite::Result<()> {
        let conn = Connection::open_in_memory()?;
        conn.execute_batch(FIRST)?;
        conn.execute_batch(SECOND)?;
        let account = [1_u8; 16];
        for (table, name) in [
            ("noselect", "u\u{308}"),
            ("noselect", "\u{fc}"),
            ("subscriptions", "caf\u{e9}"),
            ("subscriptions", "cafe\u{301}"),
            ("subscriptions", "e\u{301}"),
        ] {
            conn.execute(&format!("INSERT INTO {table} VALUES (?1, ?2)"), params![account, name])?;
        }
        compose_names(&conn)?;
        for (table, expected) in [("noselect", ["\u{fc}", "\u{fc} 2"]), ("subscriptions", ["caf\u{e9}", "\u{e9}"])] {
            let mut names = conn.prepare(&format!("SELECT name FROM {table} ORDER BY name"))?;
            let names = names.query_map([], |row| row.get::<_, String>(0))?;
            assert_eq!(names.collect::<rusqlite::Result<Vec<_>>>()?, expected);
        }
        Ok(())
    }

    #[test]
    fn a_database_that_cannot_keep_the_promise_is_not_opened() {
        // SQLite says no error: a database in memory has no log.
        let opened = open(Path::new(":memory:"), true, 0);
        assert!(matches!(opened, Err(SchemaError::Setting("journal_mode", found)) if found == "memory"));
    }
}
