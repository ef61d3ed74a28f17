//! Changes of the messages in a mailbox: coming, going, flags. Each change of a mailbox gets the next modseq, counts, and
//! is told to whoever watches.

use pillarbox_core::Wall;
use pillarbox_core::mailbox::{
    Append, Change, FlagChange, FlagMode, FlagSet, MailboxName, ModSeq, PAGE, Response, UidSet,
};
use pillarbox_core::ops::{AccountId, EntryId, Id, MailboxId, NewBody};
use rusqlite::{Connection, params};

use super::row::{Mailbox, flags, unsigned};
use super::{expunged, view};
use crate::disk::engine::{Fail, Source, Tx};
use crate::disk::mail;
use crate::disk::schema::blob;
use crate::flags::{self, Latest, Translation};

/// Removes messages from an account's INBOX by their places.
pub(in crate::disk) fn remove_from_inbox(tx: &mut Tx<'_>, account: AccountId, entries: &[EntryId]) -> Result<(), Fail> {
    let Some(mut inbox) = Mailbox::named(tx.conn, account, &MailboxName::inbox())? else { return Ok(()) };
    let mut uids = Vec::new();
    let mut find = tx.conn.prepare_cached("SELECT uid FROM entries WHERE id = ?1 AND mailbox = ?2")?;
    for entry in entries {
        let found = find.query_map(params![blob(entry.0), inbox.number], |row| row.get::<_, u32>(0))?;
        for uid in found {
            uids.push(uid?);
        }
    }
    uids.sort_unstable();
    take_out(tx, &mut inbox, &uids.into_iter().collect())
}

/// Removes messages that are there; nothing happens when there are none.
fn take_out(tx: &mut Tx<'_>, mailbox: &mut Mailbox, uids: &UidSet) -> Result<(), Fail> {
    if uids.is_empty() {
        return Ok(());
    }
    for (first, last) in uids.runs() {
        for (email, flags, size) in delete(tx.conn, mailbox.number, first, last)? {
            mailbox.subtract(flags, size);
            mail::release_email(tx.conn, &mut tx.effects, email)?;
        }
    }
    view::remove(tx.conn, mailbox, uids)?;
    mailbox.highest_modseq += 1;
    expunged::remember(tx.conn, mailbox, uids, tx.shared.options.expunged_runs)?;
    mailbox.save(tx.conn)?;
    tx.changed(mailbox.id, mailbox.highest_modseq);
    Ok(())
}

pub(super) fn flag(
    tx: &mut Tx<'_>,
    account: AccountId,
    id: MailboxId,
    uids: &UidSet,
    change: &FlagChange,
    unchanged_since: Option<ModSeq>,
) -> Result<Response, Fail> {
    let Some(mut mailbox) = Mailbox::own(tx.conn, account, id)? else { return Ok(Response::NoMailbox) };
    let resolved = flags::resolve(change, &mailbox.keywords).filter(|_| uids.len() <= PAGE);
    let Some((named, keywords)) = resolved else { return Ok(Response::TooMany) };
    let (mut changed, mut modified, mut new) = (Vec::new(), UidSet::default(), false);
    let next = mailbox.highest_modseq + 1;
    let mut read = tx.conn.prepare_cached(
        "SELECT uid, flags, size, modseq, before, touched FROM entries
         WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    let mut write = tx.conn.prepare_cached(
        "UPDATE entries SET flags = ?3, modseq = ?4, before = ?5, touched = ?6 WHERE mailbox = ?1 AND uid = ?2",
    )?;
    for (first, last) in uids.runs() {
        let rows = read.query_map(params![mailbox.number, first, last], |row| {
            let (modseq, before) = (unsigned(row, 3)?, row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned));
            let latest = Latest { modseq, before: before.unwrap_or(modseq), touched: flags(row, 5)? };
            Ok((row.get::<_, u32>(0)?, flags(row, 1)?, unsigned(row, 2)?, latest))
        })?;
        // Not while they are being changed.
        for (uid, old, size, latest) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            if unchanged_since.is_some_and(|since| !latest.allows(change.mode, old, named, since)) {
                modified.insert(uid, uid);
                continue;
            }
            let flags = flags::change(change.mode, old, named);
            if flags == old {
                changed.push(Change { uid, flags, modseq: latest.modseq });
                continue;
            }
            let Latest { modseq, before, touched } = latest.change(next, old, flags);
            write.execute(params![
                mailbox.number,
                uid,
                flags.0.cast_signed(),
                modseq.cast_signed(),
                before.cast_signed(),
                touched.0.cast_signed(),
            ])?;
            mailbox.reflag(old, flags, size);
            changed.push(Change { uid, flags, modseq: next });
            new = true;
        }
    }
    if new {
        mailbox.highest_modseq = next;
        mailbox.keywords = keywords;
        mailbox.save(tx.conn)?;
        tx.changed(id, next);
    }
    Ok(Response::Flagged { changed, modified, keywords: mailbox.keywords, at: mailbox.highest_modseq, new })
}

pub(super) fn expunge(
    tx: &mut Tx<'_>,
    account: AccountId,
    id: MailboxId,
    wanted: Option<&UidSet>,
) -> Result<Response, Fail> {
    let Some(mut mailbox) = Mailbox::own(tx.conn, account, id)? else { return Ok(Response::NoMailbox) };
    let mut statement = tx.conn.prepare_cached(
        "SELECT uid FROM entries INDEXED BY entries_deleted WHERE mailbox = ?1 AND flags & 8 != 0 ORDER BY uid",
    )?;
    let mut rows = statement.query([mailbox.number])?;
    let (mut uids, mut more) = (UidSet::default(), false);
    while let Some(row) = rows.next()? {
        let uid = row.get(0)?;
        if !wanted.is_none_or(|wanted| wanted.contains(uid)) {
            continue;
        }
        if uids.len() == PAGE {
            more = true;
            break;
        }
        uids.insert(uid, uid);
    }
    take_out(tx, &mut mailbox, &uids)?;
    Ok(Response::Expunged { uids, more, at: mailbox.highest_modseq })
}

pub(super) fn copy(
    tx: &mut Tx<'_>,
    account: AccountId,
    from: MailboxId,
    uids: &UidSet,
    to: &MailboxName,
    remove: bool,
) -> Result<Response, Fail> {
    let found = (Mailbox::own(tx.conn, account, from)?, Mailbox::named(tx.conn, account, to)?);
    let (Some(source), Some(mut target)) = found else { return Ok(Response::NoMailbox) };
    let uids = uids.intersection(&view::load(tx.conn, &source)?);
    if uids.len() > tx.shared.options.copied || !target.has_room(uids.len() as usize) {
        return Ok(Response::TooMany);
    }
    let mut messages = Vec::new();
    let mut read = tx.conn.prepare_cached(
        "SELECT uid, email, flags, size FROM entries WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    for (first, last) in uids.runs() {
        let rows = read.query_map(params![source.number, first, last], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, [u8; 16]>(1)?, flags(row, 2)?, unsigned(row, 3)?))
        })?;
        for row in rows {
            messages.push(row?);
        }
    }
    let all = messages.iter().fold(FlagSet::default(), |all, (_, _, flags, _)| all | *flags);
    let Some(translation) = Translation::new(all, &source.keywords, &target.keywords) else {
        return Ok(Response::TooMany);
    };
    let (mut pairs, now) = (Vec::new(), (tx.shared.options.clock)());
    if !messages.is_empty() {
        target.highest_modseq += 1;
        let mut again = tx.conn.prepare_cached("UPDATE emails SET entries = entries + 1 WHERE id = ?1")?;
        for (uid, email, flags, size) in messages {
            again.execute([email])?;
            let entry = tx.ids.next();
            pairs.push((uid, put(tx, &mut target, entry, email, translation.translate(flags), size, now)?));
        }
        target.keywords = translation.keywords;
        target.save(tx.conn)?;
        tx.changed(target.id, target.highest_modseq);
    }
    // Anew: it may be the same mailbox.
    let Some(mut source) = Mailbox::own(tx.conn, account, from)? else { return Ok(Response::NoMailbox) };
    if remove {
        take_out(tx, &mut source, &uids)?;
    }
    Ok(Response::Copied { uid_validity: target.uid_validity, uids: pairs, at: source.highest_modseq })
}

pub(super) fn append(
    tx: &mut Tx<'_>,
    account: AccountId,
    to: &MailboxName,
    messages: &[Append],
    bodies: &[NewBody],
    sources: &[Source],
) -> Result<Response, Fail> {
    let Some(mut mailbox) = Mailbox::named(tx.conn, account, to)? else { return Ok(Response::NoMailbox) };
    if !mailbox.has_room(messages.len()) {
        return Ok(Response::TooMany);
    }
    let mut all = Vec::new();
    for message in messages {
        let change = FlagChange { mode: FlagMode::Add, flags: message.flags, keywords: message.keywords.clone() };
        let Some((flags, keywords)) = flags::resolve(&change, &mailbox.keywords) else { return Ok(Response::TooMany) };
        all.push(flags);
        mailbox.keywords = keywords;
    }
    let (mut uids, now) = (UidSet::default(), (tx.shared.options.clock)());
    mailbox.highest_modseq += u64::from(!messages.is_empty());
    for (((message, flags), new), source) in messages.iter().zip(all).zip(bodies).zip(sources) {
        let received = message.received.unwrap_or(now);
        let (email, size) = mail::new_email(tx, account, received, new, source)?;
        let entry = tx.ids.next();
        let uid = put(tx, &mut mailbox, entry, email, flags, size, now)?;
        uids.insert(uid, uid);
    }
    if !messages.is_empty() {
        mailbox.save(tx.conn)?;
        tx.changed(mailbox.id, mailbox.highest_modseq);
    }
    Ok(Response::Appended { uid_validity: mailbox.uid_validity, uids })
}

/// Files an email in a mailbox, by the change that it is of.
fn put(
    tx: &Tx<'_>,
    mailbox: &mut Mailbox,
    entry: Id,
    email: [u8; 16],
    flags: FlagSet,
    size: u64,
    now: Wall,
) -> rusqlite::Result<u32> {
    let uid = mailbox.uid_next;
    tx.conn.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, 0)")?.execute(
        params![
            mailbox.number,
            uid,
            blob(entry),
            email,
            size.cast_signed(),
            mailbox.highest_modseq.cast_signed(),
            flags.0.cast_signed(),
            now.0,
        ],
    )?;
    mailbox.uid_next += 1;
    mailbox.add(flags, size);
    Ok(uid)
}

/// Deletes the rows of these UIDs; what each one named and counted for.
pub(super) fn delete(
    conn: &Connection,
    number: i64,
    first: u32,
    last: u32,
) -> rusqlite::Result<Vec<([u8; 16], FlagSet, u64)>> {
    conn.prepare_cached(
        "DELETE FROM entries WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 RETURNING email, flags, size",
    )?
    .query_map(params![number, first, last], |row| Ok((row.get(0)?, flags(row, 1)?, unsigned(row, 2)?)))?
    .collect()
}
