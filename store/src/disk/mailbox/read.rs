//! What mail readers ask: each answer is one snapshot, and says of which modseq.

use std::collections::BTreeMap;

use bytes::Bytes;
use pillarbox_core::Wall;
use pillarbox_core::mailbox::{
    self, Change, Entry, MailboxName, ModSeq, PAGE, PAGE_OCTETS, Request, Response, Selected, UidSet,
};
use pillarbox_core::ops::{AccountId, EmailId, EntryId, Id, MailboxId, ThreadId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::claims::Claims;
use super::row::{Mailbox, flags, name, unsigned};
use super::{expunged, view};
use crate::disk::schema::blob;

/// Up to so many changed messages are looked for by their modseq; more by their UIDs, among the others.
const FEW: u32 = 20_000;

/// Answers what only asks, but for octets.
pub(in crate::disk) fn answer(
    conn: &Connection,
    claims: &Claims,
    account: AccountId,
    request: &Request,
) -> rusqlite::Result<Response> {
    match request {
        Request::List => list(conn, claims, account),
        Request::Usage => usage(conn, account),
        Request::Find { name } => find(conn, account, name),
        Request::Select { name, peek } => select(conn, claims, account, name, *peek),
        Request::Entries { mailbox, uids, changed_since, structures } => {
            let tx = conn.unchecked_transaction()?;
            let Some(mailbox) = Mailbox::own(&tx, account, *mailbox)? else { return Ok(Response::NoMailbox) };
            entries(&tx, mailbox, uids, *changed_since, *structures)
        }
        Request::Changes { mailbox, since, after, claim } => {
            changes(conn, claims, account, *mailbox, *since, *after, *claim)
        }
        // These never come here: see `Reader::mailbox` and `DiskStore::submit`.
        _ => Ok(Response::NoMessage),
    }
}

fn list(conn: &Connection, claims: &Claims, account: AccountId) -> rusqlite::Result<Response> {
    // Before the snapshot: what is written down by then need not be claimed any more.
    let claimed = claims.lock().clone();
    let tx = conn.unchecked_transaction()?;
    let mut names: BTreeMap<MailboxName, mailbox::Mailbox> = BTreeMap::new();
    let bare = |name: &MailboxName| mailbox::Mailbox {
        name: name.clone(),
        there: None,
        subscribed: false,
        noselect: false,
        special_use: None,
    };
    for row in Mailbox::all(&tx, account)? {
        let recent_from = claimed.get(&row.id).map_or(row.recent_from, |claimed| row.recent_from.max(*claimed));
        let there = Some((row.id, row.counters(view::count_from(&tx, &row, recent_from)?)));
        let listed = mailbox::Mailbox { there, special_use: row.special_use, ..bare(&row.name) };
        names.insert(row.name, listed);
    }
    let mut kept = tx.prepare_cached("SELECT name FROM noselect WHERE account = ?1")?;
    for kept in kept.query_map([blob(account.0)], |row| name(row, 0))? {
        let kept = kept?;
        names.entry(kept.clone()).or_insert_with(|| bare(&kept)).noselect = true;
    }
    let mut subscribed = tx.prepare_cached("SELECT name FROM subscriptions WHERE account = ?1")?;
    for subscribed in subscribed.query_map([blob(account.0)], |row| name(row, 0))? {
        let subscribed = subscribed?;
        names.entry(subscribed.clone()).or_insert_with(|| bare(&subscribed)).subscribed = true;
    }
    Ok(Response::Mailboxes(names.into_values().collect()))
}

fn usage(conn: &Connection, account: AccountId) -> rusqlite::Result<Response> {
    let usage = conn
        .prepare_cached("SELECT messages, octets FROM usage WHERE account = ?1")?
        .query_row([blob(account.0)], |row| {
            Ok(Response::Usage { messages: unsigned(row, 0)?, octets: unsigned(row, 1)? })
        })
        .optional()?;
    Ok(usage.unwrap_or(Response::NoMailbox))
}

fn find(conn: &Connection, account: AccountId, name: &MailboxName) -> rusqlite::Result<Response> {
    let there = conn
        .prepare_cached("SELECT 1 FROM mailboxes WHERE account = ?1 AND name = ?2")?
        .exists(params![blob(account.0), name.as_str()])?;
    Ok(if there { Response::Done } else { Response::NoMailbox })
}

fn select(
    conn: &Connection,
    claims: &Claims,
    account: AccountId,
    name: &MailboxName,
    peek: bool,
) -> rusqlite::Result<Response> {
    let mut claimed = claims.lock();
    let tx = conn.unchecked_transaction()?;
    let Some(mailbox) = Mailbox::named(&tx, account, name)? else { return Ok(Response::NoMailbox) };
    let recent_from = claimed.get(&mailbox.id).map_or(mailbox.recent_from, |claim| mailbox.recent_from.max(*claim));
    if !peek && recent_from < mailbox.uid_next {
        claimed.insert(mailbox.id, mailbox.uid_next);
    }
    drop(claimed);
    let uids = view::load(&tx, &mailbox)?;
    let mut recent = uids.clone();
    recent.remove(&UidSet::run(1, recent_from - 1));
    let first_unseen = tx
        .prepare_cached("SELECT uid FROM entries INDEXED BY entries_unseen WHERE mailbox = ?1 AND flags & 1 = 0 ORDER BY uid LIMIT 1")?
        .query_row([mailbox.number], |row| row.get(0))
        .optional()?;
    Ok(Response::Selected(Selected {
        mailbox: mailbox.id,
        counters: mailbox.counters(recent.len()),
        uids,
        keywords: mailbox.keywords,
        first_unseen,
        recent_from,
    }))
}

fn entries(
    conn: &Connection,
    mailbox: Mailbox,
    uids: &UidSet,
    changed_since: Option<ModSeq>,
    structures: bool,
) -> rusqlite::Result<Response> {
    // As many runs as messages, so that no question is long.
    let last = uids.runs().take(PAGE as usize).last().map_or(0, |(_, last)| last);
    let mut wanted = uids.intersection(&UidSet::run(1, last));
    if let Some(since) = changed_since
        && let Some(changed) = few_changed(conn, &mailbox, since)?
    {
        wanted = wanted.intersection(&changed);
    }
    let (with, joined) = match structures {
        true => ("coalesce(s.structure, x'')", "LEFT JOIN structures s ON s.blob = m.blob"),
        false => ("NULL", ""),
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT e.uid, e.id, e.email, e.flags, e.modseq, e.size, e.saved, m.thread, m.received, length(m.prefix), {with}
         FROM entries e JOIN emails m ON m.id = e.email {joined}
         WHERE e.mailbox = ?1 AND e.uid BETWEEN ?2 AND ?3 AND e.modseq > ?4 ORDER BY e.uid LIMIT ?5"
    ))?;
    let since = changed_since.map_or(0, signed);
    let (mut entries, mut octets, mut looked_at) = (Vec::new(), 0, last);
    'page: for (first, last) in wanted.runs() {
        let left = PAGE as usize - entries.len();
        let found = statement.query_map(params![mailbox.number, first, last, since, left as i64], entry)?;
        for entry in found {
            let entry = entry?;
            octets += entry.structure.as_ref().map_or(0, Bytes::len);
            let uid = entry.uid;
            entries.push(entry);
            if entries.len() == PAGE as usize || octets >= PAGE_OCTETS {
                looked_at = uid;
                break 'page;
            }
        }
    }
    let mut rest = uids.clone();
    rest.remove(&UidSet::run(1, looked_at));
    let (keywords, at) = (mailbox.keywords, mailbox.highest_modseq);
    Ok(Response::Entries { entries, keywords, next: rest.first(), at })
}

/// What changed after a modseq, unless that is much.
fn few_changed(conn: &Connection, mailbox: &Mailbox, since: ModSeq) -> rusqlite::Result<Option<UidSet>> {
    let mut statement = conn.prepare_cached(
        "SELECT uid FROM entries INDEXED BY entries_by_modseq WHERE mailbox = ?1 AND modseq > ?2 LIMIT ?3",
    )?;
    let found = statement.query_map(params![mailbox.number, signed(since), FEW + 1], |row| row.get::<_, u32>(0))?;
    let mut uids = found.collect::<rusqlite::Result<Vec<_>>>()?;
    uids.sort_unstable();
    Ok((uids.len() <= FEW as usize).then(|| uids.into_iter().collect()))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        uid: row.get(0)?,
        entry: EntryId(Id::from_bytes(row.get(1)?)),
        email: EmailId(Id::from_bytes(row.get(2)?)),
        flags: flags(row, 3)?,
        modseq: unsigned(row, 4)?,
        size: unsigned(row, 5)?,
        saved: Wall(row.get(6)?),
        thread: ThreadId(Id::from_bytes(row.get(7)?)),
        received: Wall(row.get(8)?),
        prefix: row.get(9)?,
        structure: row.get::<_, Option<Vec<u8>>>(10)?.map(Bytes::from),
    })
}

fn changes(
    conn: &Connection,
    claims: &Claims,
    account: AccountId,
    id: MailboxId,
    since: ModSeq,
    after: Option<(ModSeq, u32)>,
    claim: bool,
) -> rusqlite::Result<Response> {
    let tx = conn.unchecked_transaction()?;
    let Some(mailbox) = Mailbox::own(&tx, account, id)? else { return Ok(Response::NoMailbox) };
    let (modseq, uid) = after.into_iter().fold((since, u32::MAX), std::cmp::max);
    let mut statement = tx.prepare_cached(
        "SELECT uid, flags, modseq FROM entries INDEXED BY entries_by_modseq
         WHERE mailbox = ?1 AND (modseq, uid) > (?2, ?3) ORDER BY modseq, uid LIMIT ?4",
    )?;
    let found = statement.query_map(params![mailbox.number, signed(modseq), uid, PAGE + 1], |row| {
        Ok(Change { uid: row.get(0)?, flags: flags(row, 1)?, modseq: unsigned(row, 2)? })
    })?;
    let mut changes = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = changes.len() > PAGE as usize;
    changes.truncate(PAGE as usize);
    if claim && !more {
        claims.claim(id, mailbox.recent_from, mailbox.uid_next);
    }
    Ok(Response::Changes {
        changes,
        more,
        gone: expunged::since(&tx, &mailbox, since)?,
        keywords: mailbox.keywords,
        at: mailbox.highest_modseq,
        uid_next: mailbox.uid_next,
    })
}

fn signed(modseq: ModSeq) -> i64 {
    i64::try_from(modseq).unwrap_or(i64::MAX)
}
