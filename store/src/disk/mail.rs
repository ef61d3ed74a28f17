//! Messages going in and out: `Accept`, and deletion by a maildrop's `Commit`.

use pillarbox_core::Wall;
use pillarbox_core::ops::{
    Accept, Accepted, AccountId, Delivery, Destination, EmailId, EntryId, Id, LockId, MailboxId, MaildropReply,
    NewBody, NewRow, RowId, StageId, StoreError,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::engine::{Effects, Fail, Source, Tx};
use super::schema::blob;
use super::{mailbox, rows, threads};

/// The largest UID: RFC 3501 §2.3.1.1 gives it 32 bits.
const MAX_UID: u32 = u32::MAX;

/// Takes a message in.
pub(super) fn accept(tx: &mut Tx<'_>, accept: &Accept, source: &Source) -> Result<Accepted, Fail> {
    let nobody = accept.deliveries.is_empty() && accept.rows.is_empty();
    let Some(found) = locate(tx, source, nobody)? else { return Ok(Accepted::default()) };
    let keys = match accept.deliveries.is_empty() {
        true => Vec::new(),
        false => thread_keys(tx.conn, &found, source, &accept.structure)?,
    };
    let mut accepted = Accepted::default();
    let mut failed = Vec::new();
    for delivery in &accept.deliveries {
        let email = deliver(tx, accept, delivery, &found, &keys)?;
        if email.is_none() {
            failed.push(NewRow {
                recipient: delivery.recipient.clone(),
                destination: Destination::Local,
                prefix: delivery.prefix.clone(),
                due: accept.received,
            });
        }
        accepted.emails.push(email);
    }
    for row in accept.rows.iter().chain(&failed) {
        let id = RowId(tx.ids.next());
        rows::insert(tx, id, accept, row, found.blob, found.size)?;
        accepted.rows.push(id);
    }
    let refs = (accept.deliveries.len() + accept.rows.len()) as i64;
    keep(tx, &found, source, &accept.structure, refs)?;
    Ok(accepted)
}

/// Takes in a message that is filed by nobody yet, and by one thing soon: its id and its octets.
pub(super) fn new_email(
    tx: &mut Tx<'_>,
    account: AccountId,
    received: Wall,
    new: &NewBody,
    source: &Source,
) -> Result<([u8; 16], u64), Fail> {
    let found = locate(tx, source, false)?.ok_or(Fail::Op(StoreError::Unknown))?;
    let keys = thread_keys(tx.conn, &found, source, &new.structure)?;
    let email = insert_email(tx, account, received, &[], &found, &keys)?;
    keep(tx, &found, source, &new.structure, 1)?;
    Ok((blob(email), found.size))
}

/// An email is filed in one place less; in none, it is gone.
pub(super) fn release_email(conn: &Connection, effects: &mut Effects, email: [u8; 16]) -> rusqlite::Result<()> {
    let last = conn
        .prepare_cached("DELETE FROM emails WHERE id = ?1 AND entries = 1 RETURNING blob, account, thread_keys")?
        .query_row([email], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))
        .optional()?;
    match last {
        Some((body, account, keys)) => {
            effects.gone_emails += 1;
            threads::leave(conn, account, &keys)?;
            release_blob(conn, effects, body)
        }
        None => {
            conn.prepare_cached("UPDATE emails SET entries = entries - 1 WHERE id = ?1")?.execute([email]).map(|_| ())
        }
    }
}

/// Removes entries from an account's INBOX, and gives its lock back.
pub(super) fn commit_maildrop(tx: &mut Tx<'_>, lock: LockId, deleted: &[EntryId]) -> Result<MaildropReply, Fail> {
    let account = tx.shared.locks().account(lock).filter(|_| !tx.group.released.contains(&lock));
    let Some(account) = account else { return Err(Fail::Op(StoreError::Unknown)) };
    mailbox::remove_from_inbox(tx, account, deleted)?;
    tx.effects.released.insert(lock);
    Ok(MaildropReply::Done)
}

/// A body is named once less; at zero it is gone.
pub(super) fn release_blob(conn: &Connection, effects: &mut Effects, id: [u8; 16]) -> rusqlite::Result<()> {
    let gone = conn
        .prepare_cached("DELETE FROM blobs WHERE id = ?1 AND refs = 1 RETURNING size, file, segment")?
        .query_row([id], |row| {
            let size: i64 = row.get(0)?;
            let file: Option<[u8; 16]> = row.get(1)?;
            let segment: Option<i64> = row.get(2)?;
            Ok((size.unsigned_abs(), file, segment))
        })
        .optional()?;
    if gone.is_some() {
        conn.prepare_cached("DELETE FROM structures WHERE blob = ?1")?.execute([id])?;
    }
    match gone {
        None => _ = conn.prepare_cached("UPDATE blobs SET refs = refs - 1 WHERE id = ?1")?.execute([id])?,
        Some((_, Some(file), _)) => effects.unlink.push(StageId(Id::from_bytes(file))),
        Some((size, None, Some(segment))) => effects.count(segment.unsigned_abs(), size, -1),
        Some((_, None, None)) => {}
    }
    Ok(())
}

/// A body that this message is about to name.
struct Found {
    blob: Id,
    size: u64,
}

/// Finds the body; `None` when nobody wants it.
fn locate(tx: &mut Tx<'_>, source: &Source, nobody: bool) -> Result<Option<Found>, Fail> {
    let found = match source {
        Source::Nowhere => return Ok(None),
        Source::Failed(error) => return Err(Fail::Op(*error)),
        Source::Placed(blob, placed) => Found { blob: *blob, size: placed.len },
        Source::Row(row) => {
            let (blob, size) = tx
                .conn
                .prepare_cached("SELECT b.id, b.size FROM rows r JOIN blobs b ON b.id = r.blob WHERE r.id = ?1")?
                .query_row([blob(row.0)], |row| Ok((Id::from_bytes(row.get(0)?), row.get::<_, i64>(1)?)))
                .optional()?
                .ok_or(Fail::Op(StoreError::Unknown))?;
            Found { blob, size: size.unsigned_abs() }
        }
        Source::Sealed(sealed) => {
            let stage = sealed.stage;
            let taken = tx.group.taken.contains(&stage) || !tx.effects.taken.insert(stage);
            if taken || !tx.shared.stages.knows(stage) {
                return Err(Fail::Op(StoreError::Unknown));
            }
            if nobody {
                tx.effects.unlink.push(stage);
                return Ok(None);
            }
            Found { blob: tx.ids.blob(), size: sealed.len }
        }
    };
    Ok((!nobody).then_some(found))
}

/// Files the message in one INBOX; `None` when the account is gone.
fn deliver(
    tx: &mut Tx<'_>,
    accept: &Accept,
    delivery: &Delivery,
    found: &Found,
    keys: &[u64],
) -> Result<Option<EmailId>, Fail> {
    let AccountId(account) = delivery.account;
    let size = (found.size + delivery.prefix.len() as u64).cast_signed();
    let place = tx
        .conn
        .prepare_cached(
            "UPDATE mailboxes SET uidnext = uidnext + 1, highestmodseq = highestmodseq + 1, messages = messages + 1,
                unseen = unseen + 1, octets = octets + ?2
             WHERE account = ?1 AND name = 'INBOX' AND uidnext < ?3
             RETURNING id, number, uidnext - 1, highestmodseq",
        )?
        .query_row(params![blob(account), size, MAX_UID], |row| {
            let mailbox = MailboxId(Id::from_bytes(row.get(0)?));
            Ok((mailbox, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        })
        .optional()?;
    let Some((mailbox, number, uid, modseq)) = place else { return Ok(None) };
    let email = insert_email(tx, delivery.account, accept.received, &delivery.prefix, found, keys)?;
    let entry = tx.ids.next();
    tx.conn.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, NULL, 0)")?.execute(params![
        number,
        uid,
        blob(entry),
        blob(email),
        size,
        modseq,
        (tx.shared.options.clock)().0,
    ])?;
    tx.changed(mailbox, modseq.unsigned_abs());
    Ok(Some(EmailId(email)))
}

fn insert_email(
    tx: &mut Tx<'_>,
    account: AccountId,
    received: Wall,
    prefix: &[u8],
    found: &Found,
    keys: &[u64],
) -> rusqlite::Result<Id> {
    let (email, new) = (tx.ids.next(), tx.ids.next());
    tx.effects.new_emails += 1;
    let thread = threads::join(tx.conn, account, keys, new)?;
    tx.conn.prepare_cached("INSERT INTO emails VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8)")?.execute(params![
        blob(email),
        blob(account.0),
        blob(thread),
        received.0,
        (found.size + prefix.len() as u64).cast_signed(),
        blob(found.blob),
        prefix,
        threads::written(keys),
    ])?;
    Ok(email)
}

/// By which keys the message is known; a body that is shared keeps the structure that it has.
fn thread_keys(conn: &Connection, found: &Found, source: &Source, structure: &[u8]) -> rusqlite::Result<Vec<u64>> {
    if !matches!(source, Source::Row(_)) {
        return Ok(threads::keys(structure));
    }
    let mut kept = conn.prepare_cached("SELECT structure FROM structures WHERE blob = ?1")?;
    let kept = kept.query_row([blob(found.blob)], |row| Ok(threads::keys(row.get_ref(0)?.as_blob()?))).optional()?;
    Ok(kept.unwrap_or_default())
}

/// Records the body, with those who name it and what was found in it.
fn keep(tx: &mut Tx<'_>, found: &Found, source: &Source, structure: &[u8], refs: i64) -> Result<(), Fail> {
    if !structure.is_empty() && !matches!(source, Source::Row(_)) {
        let mut insert = tx.conn.prepare_cached("INSERT INTO structures VALUES (?1, ?2)")?;
        insert.execute(params![blob(found.blob), structure])?;
    }
    let size = found.size.cast_signed();
    let mut insert = tx.conn.prepare_cached("INSERT INTO blobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let id = blob(found.blob);
    match source {
        Source::Placed(_, at) => {
            let (segment, offset) = (at.segment.cast_signed(), at.offset.cast_signed());
            insert.execute(params![id, refs, size, None::<[u8; 16]>, segment, offset, at.checksums])?;
            tx.effects.count(at.segment, at.len, 1);
        }
        Source::Sealed(at) => {
            let file = blob(at.stage.0);
            insert.execute(params![id, refs, size, file, None::<i64>, None::<i64>, at.checksums])?;
        }
        Source::Row(_) => {
            tx.conn.prepare_cached("UPDATE blobs SET refs = refs + ?2 WHERE id = ?1")?.execute(params![id, refs])?;
        }
        Source::Nowhere | Source::Failed(_) => {}
    }
    Ok(())
}
