//! Messages of mailboxes that were deleted: nobody can find them any more, and they are removed in the background, a few at
//! a time, so that deleting a large mailbox keeps nobody waiting.

use rusqlite::{Connection, params};

use super::change::delete;
use crate::disk::engine::Effects;
use crate::disk::mail::release_email;

/// Messages removed in one step.
const STEP: u32 = 500;

/// The numbers of mailboxes whose messages are still to be removed.
pub(in crate::disk) fn all(conn: &Connection) -> rusqlite::Result<Vec<i64>> {
    conn.prepare("SELECT mailbox FROM graves")?.query_map([], |row| row.get(0))?.collect()
}

/// Makes one step; says whether it was the last.
pub(in crate::disk) fn bury(conn: &Connection, effects: &mut Effects, number: i64) -> rusqlite::Result<bool> {
    let last = "SELECT max(uid) FROM (SELECT uid FROM entries WHERE mailbox = ?1 ORDER BY uid LIMIT ?2)";
    let last: Option<u32> = conn.prepare_cached(last)?.query_row(params![number, STEP], |row| row.get(0))?;
    if let Some(last) = last {
        for (email, _, _) in delete(conn, number, 0, last)? {
            release_email(conn, effects, email)?;
        }
        return Ok(false);
    }
    for table in ["views", "expunged", "graves"] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE mailbox = ?1"))?.execute([number])?;
    }
    Ok(true)
}
