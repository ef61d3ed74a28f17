//! The queue's rows: making, settling, and what an operator does to them.

use pillarbox_core::Wall;
use pillarbox_core::ops::{
    Accept, Attempted, BlobId, Destination, Id, NewRow, Notice, QueueOp, QueueReply, QueueRow, RowId, RowState, Settle,
    StoreError, bucket,
};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row, params};

use super::engine::{Fail, Source, Tx};
use super::mail::{accept, release_blob};
use super::schema::blob;
use crate::key::{from_text, text};

/// The columns that [`read`] takes, in its order.
pub(super) const COLUMNS: &str = "id, blob, destination, due, expires, attempts, reply, reverse_path, recipient, prefix, \
                                  size, smtputf8, eight_bit, received";

/// Applies a change of the queue.
pub(super) fn apply(tx: &mut Tx<'_>, op: &QueueOp, sources: &[Source]) -> Result<QueueReply, Fail> {
    match op {
        QueueOp::Settle(settle) => settle_attempt(tx, settle, sources),
        QueueOp::Retry { rows, now } => {
            let mut changed = 0;
            for row in rows {
                let key = tx
                    .conn
                    .prepare_cached("UPDATE rows SET due = ?2 WHERE id = ?1 RETURNING destination")?
                    .query_row(params![blob(row.0), now.0], |row| row.get::<_, String>(0))
                    .optional()?;
                let Some(key) = key else { continue };
                changed += 1;
                tx.hint(bucket(&key), || Notice::Retry { destination: Destination::from_key(&key) });
            }
            Ok(QueueReply::Changed(changed))
        }
        QueueOp::Remove { rows } => {
            let mut changed = 0;
            for row in rows {
                changed += usize::from(finish(tx, *row)?);
            }
            Ok(QueueReply::Changed(changed))
        }
        // Reads and leases never come here: see `Shared::submit` and `Engine::at_once`.
        _ => Err(Fail::Op(StoreError::Unknown)),
    }
}

/// Makes a row for a body of `size` octets.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: RowId,
    accept: &Accept,
    row: &NewRow,
    body: Id,
    size: u64,
) -> rusqlite::Result<()> {
    let mut insert = tx
        .conn
        .prepare_cached("INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, '', ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?;
    let key = row.destination.key();
    let bucket = bucket(&key);
    insert.execute(params![
        blob(id.0),
        blob(body),
        key,
        bucket,
        row.due.0,
        accept.expires.0,
        accept.reverse_path.as_ref().map(text),
        text(&row.recipient),
        row.prefix.as_ref(),
        (size + row.prefix.len() as u64).cast_signed(),
        accept.smtputf8,
        accept.eight_bit,
        accept.received.0,
    ])?;
    tx.hint(bucket, || Notice::Due { destination: row.destination.clone(), due: row.due });
    Ok(())
}

/// Reads a row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<QueueRow> {
    let address = |column: usize, text: &str| {
        from_text(text)
            .ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "not an address".into()))
    };
    let number = |column: usize| row.get::<_, i64>(column);
    let reverse_path = row.get_ref(7)?.as_str_or_null()?;
    Ok(QueueRow {
        id: RowId(Id::from_bytes(row.get(0)?)),
        blob: BlobId(Id::from_bytes(row.get(1)?)),
        destination: Destination::from_key(row.get_ref(2)?.as_str()?),
        state: RowState { due: Wall(number(3)?), expires: Wall(number(4)?), attempts: row.get(5)?, reply: row.get(6)? },
        reverse_path: reverse_path.map(|text| address(7, text)).transpose()?,
        recipient: address(8, row.get_ref(8)?.as_str()?)?,
        prefix: row.get::<_, Vec<u8>>(9)?.into(),
        size: number(10)?.unsigned_abs(),
        smtputf8: row.get(11)?,
        eight_bit: row.get(12)?,
        received: Wall(number(13)?),
    })
}

fn settle_attempt(tx: &mut Tx<'_>, settle: &Settle, sources: &[Source]) -> Result<QueueReply, Fail> {
    if !tx.leases.knows(settle.epoch) {
        return Ok(QueueReply::Lost);
    }
    for (row, _) in &settle.rows {
        let bucket = tx
            .conn
            .prepare_cached("SELECT bucket FROM rows WHERE id = ?1")?
            .query_row([blob(row.0)], |row| row.get(0))
            .optional()?;
        // A row that an operator removed meanwhile is no error.
        if bucket.is_some_and(|bucket| !tx.leases.holds(settle.epoch, bucket)) {
            return Ok(QueueReply::Lost);
        }
    }
    let mut accepted = Vec::with_capacity(settle.accepts.len());
    for (message, source) in settle.accepts.iter().zip(sources) {
        accepted.push(accept(tx, message, source)?);
    }
    for (row, attempted) in &settle.rows {
        match attempted {
            Attempted::Finished => _ = finish(tx, *row)?,
            Attempted::Retry { due, reply } => {
                tx.conn
                    .prepare_cached("UPDATE rows SET due = ?2, attempts = attempts + 1, reply = ?3 WHERE id = ?1")?
                    .execute(params![blob(row.0), due.0, reply])?;
            }
        }
    }
    Ok(QueueReply::Settled(accepted))
}

/// Removes a row, and its body if nobody else names it; `false` when there is no such row.
fn finish(tx: &mut Tx<'_>, row: RowId) -> rusqlite::Result<bool> {
    let body = tx
        .conn
        .prepare_cached("DELETE FROM rows WHERE id = ?1 RETURNING blob")?
        .query_row([blob(row.0)], |row| row.get::<_, [u8; 16]>(0))
        .optional()?;
    let Some(body) = body else { return Ok(false) };
    release_blob(tx.conn, &mut tx.effects, body)?;
    Ok(true)
}
