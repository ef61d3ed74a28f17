//! UIDs that were removed, remembered for readers that come back (RFC 7162 §3.2.5): as many as a limit allows, the oldest
//! forgotten first.

use pillarbox_core::mailbox::{Gone, ModSeq, UidSet};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{Mailbox, unsigned};
use super::view::{self, decode, encode, extend};

/// Remembers these as removed by the latest change.
pub(super) fn remember(conn: &Connection, mailbox: &mut Mailbox, gone: &UidSet, most: usize) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO expunged VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        mailbox.number,
        mailbox.highest_modseq.cast_signed(),
        gone.runs().len() as i64,
        encode(gone),
    ])?;
    mailbox.expunged_runs += gone.runs().len();
    let mut oldest =
        conn.prepare_cached("SELECT modseq, runs FROM expunged WHERE mailbox = ?1 ORDER BY modseq LIMIT 1")?;
    let mut forget = conn.prepare_cached("DELETE FROM expunged WHERE mailbox = ?1 AND modseq = ?2")?;
    while mailbox.expunged_runs > most {
        let found = oldest.query_row([mailbox.number], |row| Ok((unsigned(row, 0)?, row.get::<_, u32>(1)?)));
        let Some((modseq, runs)) = found.optional()? else { break };
        forget.execute(params![mailbox.number, modseq.cast_signed()])?;
        mailbox.expunged_runs = mailbox.expunged_runs.saturating_sub(runs as usize);
        mailbox.forgotten = modseq;
    }
    Ok(())
}

/// What was removed after this modseq.
pub(super) fn since(conn: &Connection, mailbox: &Mailbox, since: ModSeq) -> rusqlite::Result<Gone> {
    if since < mailbox.forgotten {
        return Ok(Gone::AllBut(view::load(conn, mailbox)?));
    }
    let mut statement = conn.prepare_cached("SELECT uids FROM expunged WHERE mailbox = ?1 AND modseq > ?2")?;
    let mut rows = statement.query(params![mailbox.number, i64::try_from(since).unwrap_or(i64::MAX)])?;
    let mut gone = UidSet::default();
    while let Some(row) = rows.next()? {
        extend(&mut gone, &decode(row.get_ref(0)?.as_blob()?)?);
    }
    Ok(Gone::These(gone))
}
