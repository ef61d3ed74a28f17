//! Conversations: which one a new message belongs to.
//!
//! A message is known by a few keys ([`Structure::thread_keys`]), and so is the conversation of each: the one that the
//! first message with this key belonged to. A key is kept for as long as there is a message that has it.

use pillarbox_core::message::Structure;
use pillarbox_core::ops::{AccountId, Id};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::schema::blob;

/// The keys of a message with this structure. A message of which nothing is known has none.
pub(super) fn keys(structure: &[u8]) -> Vec<u64> {
    Structure::decode(structure).map(|structure| structure.thread_keys()).unwrap_or_default()
}

/// The conversation of a new message, which may be this `new` one; its keys are kept from now on.
pub(super) fn join(conn: &Connection, account: AccountId, keys: &[u64], new: Id) -> rusqlite::Result<Id> {
    let mut find = conn.prepare_cached("SELECT thread FROM threads WHERE account = ?1 AND key = ?2")?;
    let mut thread = None;
    for key in keys {
        let known = find.query_row(params![blob(account.0), key.cast_signed()], |row| Ok(Id::from_bytes(row.get(0)?)));
        thread = known.optional()?;
        if thread.is_some() {
            break;
        }
    }
    let thread = thread.unwrap_or(new);
    let mut keep = conn
        .prepare_cached("INSERT INTO threads VALUES (?1, ?2, ?3, 1) ON CONFLICT DO UPDATE SET emails = emails + 1")?;
    for key in keys {
        keep.execute(params![blob(account.0), key.cast_signed(), blob(thread)])?;
    }
    Ok(thread)
}

/// A message of this account is gone, whose keys were written so.
pub(super) fn leave(conn: &Connection, account: [u8; 16], keys: &[u8]) -> rusqlite::Result<()> {
    let mut last = conn.prepare_cached("DELETE FROM threads WHERE account = ?1 AND key = ?2 AND emails = 1")?;
    let mut other = conn.prepare_cached("UPDATE threads SET emails = emails - 1 WHERE account = ?1 AND key = ?2")?;
    for key in keys.as_chunks().0 {
        let key = params![account, i64::from_le_bytes(*key)];
        if last.execute(key)? == 0 {
            other.execute(key)?;
        }
    }
    Ok(())
}

/// Keys as they are written.
pub(super) fn written(keys: &[u64]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_le_bytes()).collect()
}
