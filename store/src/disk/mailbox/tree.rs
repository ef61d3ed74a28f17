//! Names: making, deleting, renaming, subscribing. Above each name there is one, be it only that of a mailbox that was
//! deleted (`noselect`).

use pillarbox_core::mailbox::{MailboxName, Response, SpecialUse};
use pillarbox_core::ops::{AccountId, MailboxId};
use rusqlite::{Connection, params};

use super::row::{self, Mailbox};
use super::{expunged, view};
use crate::disk::engine::{Fail, Tx};
use crate::disk::schema::blob;

/// Makes an empty mailbox; there is none with this name.
pub(in crate::disk) fn make(tx: &mut Tx<'_>, account: AccountId, name: &MailboxName) -> rusqlite::Result<MailboxId> {
    let number = new_number(tx.conn)?;
    insert(tx, account, name, number)
}

/// Removes all mailboxes and names of an account that is gone.
pub(in crate::disk) fn remove_all(tx: &mut Tx<'_>, account: AccountId) -> Result<(), Fail> {
    for mailbox in Mailbox::all(tx.conn, account)? {
        remove(tx, &mailbox)?;
    }
    tx.conn.execute("DELETE FROM noselect WHERE account = ?1", [blob(account.0)])?;
    tx.conn.execute("DELETE FROM subscriptions WHERE account = ?1", [blob(account.0)])?;
    Ok(())
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    account: AccountId,
    name: &MailboxName,
    special_use: Option<SpecialUse>,
) -> Result<Response, Fail> {
    if Mailbox::named(tx.conn, account, name)?.is_some() {
        return Ok(Response::Exists);
    }
    let special_use = special_use.map(row::use_text);
    let taken = "SELECT 1 FROM mailboxes WHERE account = ?1 AND special_use = ?2";
    if special_use.is_some() && tx.conn.prepare_cached(taken)?.exists(params![blob(account.0), special_use])? {
        return Ok(Response::Forbidden);
    }
    let missing = missing_above(tx.conn, account, name)?;
    let noselect = exists(tx.conn, account, name)?;
    if names(tx.conn, account)? + missing.len() + usize::from(!noselect) > tx.shared.options.mailboxes {
        return Ok(Response::TooMany);
    }
    forget_noselect(tx.conn, account, name)?;
    for above in missing {
        make(tx, account, &above)?;
    }
    let id = make(tx, account, name)?;
    tx.conn.execute("UPDATE mailboxes SET special_use = ?2 WHERE id = ?1", params![blob(id.0), special_use])?;
    Ok(Response::Made(id))
}

pub(super) fn delete(tx: &mut Tx<'_>, account: AccountId, name: &MailboxName) -> Result<Response, Fail> {
    if name.is_inbox() {
        return Ok(Response::Forbidden);
    }
    let Some(mailbox) = Mailbox::named(tx.conn, account, name)? else {
        let is_name = exists(tx.conn, account, name)?;
        return Ok(if is_name { Response::HasChildren } else { Response::NoMailbox });
    };
    remove(tx, &mailbox)?;
    // It goes at once if nothing is below it.
    tx.conn.execute("INSERT INTO noselect VALUES (?1, ?2)", params![blob(account.0), name.as_str()])?;
    prune(tx.conn, account, Some(name.clone()))?;
    Ok(Response::Done)
}

pub(super) fn rename(
    tx: &mut Tx<'_>,
    account: AccountId,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<Response, Fail> {
    if !exists(tx.conn, account, from)? {
        return Ok(Response::NoMailbox);
    }
    if exists(tx.conn, account, to)? {
        return Ok(Response::Exists);
    }
    let inbox = from.is_inbox();
    if to.is_below(from) && !inbox {
        return Ok(Response::Forbidden);
    }
    let mut moves = Vec::new();
    if !inbox {
        for old in subtree(tx.conn, account, from)? {
            let Some(new) = old.renamed(from, to) else { return Ok(Response::Forbidden) };
            moves.push((old, new));
        }
    }
    let missing = missing_above(tx.conn, account, to)?;
    if names(tx.conn, account)? + missing.len() + usize::from(inbox) > tx.shared.options.mailboxes {
        return Ok(Response::TooMany);
    }
    for above in missing {
        make(tx, account, &above)?;
    }
    if inbox {
        empty_inbox(tx, account, to)?;
        return Ok(Response::Done);
    }
    for (old, new) in moves {
        for table in ["mailboxes", "noselect"] {
            tx.conn
                .prepare_cached(&format!("UPDATE {table} SET name = ?3 WHERE account = ?1 AND name = ?2"))?
                .execute(params![blob(account.0), old.as_str(), new.as_str()])?;
        }
    }
    prune(tx.conn, account, from.parent())?;
    Ok(Response::Done)
}

pub(super) fn subscribe(
    tx: &mut Tx<'_>,
    account: AccountId,
    name: &MailboxName,
    subscribed: bool,
) -> Result<Response, Fail> {
    let key = params![blob(account.0), name.as_str()];
    if !subscribed {
        tx.conn.execute("DELETE FROM subscriptions WHERE account = ?1 AND name = ?2", key)?;
        return Ok(Response::Done);
    }
    let known = "SELECT 1 FROM subscriptions WHERE account = ?1 AND name = ?2";
    if tx.conn.prepare_cached(known)?.exists(key)? {
        return Ok(Response::Done);
    }
    let mine = "SELECT count(*) FROM subscriptions WHERE account = ?1";
    let mine: u32 = tx.conn.prepare_cached(mine)?.query_row([blob(account.0)], |row| row.get(0))?;
    if mine as usize >= tx.shared.options.subscriptions {
        return Ok(Response::TooMany);
    }
    tx.conn.execute("INSERT INTO subscriptions VALUES (?1, ?2)", key)?;
    Ok(Response::Done)
}

/// All that is in INBOX becomes a new mailbox, UIDs and all, without being touched: it is kept under a number, and the
/// number changes hands.
fn empty_inbox(tx: &mut Tx<'_>, account: AccountId, to: &MailboxName) -> Result<(), Fail> {
    let Some(mut inbox) = Mailbox::named(tx.conn, account, &MailboxName::inbox())? else { return Ok(()) };
    let (old, new) = (inbox.number, new_number(tx.conn)?);
    tx.conn.execute("UPDATE mailboxes SET number = ?2 WHERE id = ?1", params![blob(inbox.id.0), new])?;
    // What INBOX has lost, INBOX has lost.
    tx.conn.execute("UPDATE expunged SET mailbox = ?2 WHERE mailbox = ?1", params![old, new])?;
    let id = insert(tx, account, to, old)?;
    Mailbox { id, forgotten: 0, expunged_runs: 0, ..inbox.clone() }.save(tx.conn)?;
    let recent_from = tx.shared.claims.recent_from(inbox.id, inbox.recent_from);
    tx.conn.execute("UPDATE mailboxes SET recent_from = ?2 WHERE id = ?1", params![blob(id.0), recent_from])?;

    let uids = view::load(tx.conn, &inbox)?;
    inbox.number = new;
    inbox.run_from = inbox.uid_next;
    (inbox.messages, inbox.unseen, inbox.deleted, inbox.octets, inbox.deleted_octets) = (0, 0, 0, 0, 0);
    if !uids.is_empty() {
        inbox.highest_modseq += 1;
        expunged::remember(tx.conn, &mut inbox, &uids, tx.shared.options.expunged_runs)?;
        tx.changed(inbox.id, inbox.highest_modseq);
    }
    inbox.save(tx.conn)?;
    Ok(())
}

/// Removes a mailbox. Its messages are removed in the background: nobody can find them any more.
fn remove(tx: &mut Tx<'_>, mailbox: &Mailbox) -> Result<(), Fail> {
    tx.conn.prepare_cached("DELETE FROM mailboxes WHERE id = ?1")?.execute([blob(mailbox.id.0)])?;
    tx.conn.prepare_cached("INSERT INTO graves VALUES (?1)")?.execute([mailbox.number])?;
    tx.effects.graves.push(mailbox.number);
    tx.changed(mailbox.id, mailbox.highest_modseq + 1);
    Ok(())
}

fn insert(tx: &mut Tx<'_>, account: AccountId, name: &MailboxName, number: i64) -> rusqlite::Result<MailboxId> {
    // A UIDVALIDITY is never given twice, so a new mailbox with an old name is a new one to its readers.
    let now = u32::try_from((tx.shared.options.clock)().seconds()).unwrap_or(0);
    let uidvalidity: i64 = tx
        .conn
        .prepare_cached("UPDATE counters SET value = max(value + 1, ?1) WHERE name = 'uidvalidity' RETURNING value")?
        .query_row([now], |row| row.get(0))?;
    let id = tx.ids.next();
    tx.conn
        .prepare_cached("INSERT INTO mailboxes VALUES (?1, ?2, ?3, ?4, NULL, ?5, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, '')")?
        .execute(params![blob(id), blob(account.0), name.as_str(), number, uidvalidity])?;
    Ok(MailboxId(id))
}

/// A number under which nothing was ever kept.
fn new_number(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("UPDATE counters SET value = value + 1 WHERE name = 'mailbox' RETURNING value")?
        .query_row([], |row| row.get(0))
}

/// There is a mailbox with this name, or others are below it.
fn exists(conn: &Connection, account: AccountId, name: &MailboxName) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM mailboxes WHERE account = ?1 AND name = ?2
         UNION ALL SELECT 1 FROM noselect WHERE account = ?1 AND name = ?2",
    )?
    .exists(params![blob(account.0), name.as_str()])
}

/// Names that are taken.
fn names(conn: &Connection, account: AccountId) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "SELECT (SELECT count(*) FROM mailboxes WHERE account = ?1) + (SELECT count(*) FROM noselect WHERE account = ?1)",
    )?
    .query_row([blob(account.0)], |row| row.get::<_, u32>(0))
    .map(|names| names as usize)
}

/// This name and those below it.
fn subtree(conn: &Connection, account: AccountId, name: &MailboxName) -> rusqlite::Result<Vec<MailboxName>> {
    // `0` follows the delimiter.
    conn.prepare_cached(
        "SELECT name FROM mailboxes WHERE account = ?1 AND (name = ?2 OR (name > ?2 || '/' AND name < ?2 || '0'))
         UNION SELECT name FROM noselect WHERE account = ?1 AND (name = ?2 OR (name > ?2 || '/' AND name < ?2 || '0'))",
    )?
    .query_map(params![blob(account.0), name.as_str()], |row| row::name(row, 0))?
    .collect()
}

/// Names above this one that are not there, the topmost first.
fn missing_above(conn: &Connection, account: AccountId, name: &MailboxName) -> rusqlite::Result<Vec<MailboxName>> {
    let mut missing = Vec::new();
    for above in std::iter::successors(name.parent(), MailboxName::parent) {
        if exists(conn, account, &above)? {
            break;
        }
        missing.push(above);
    }
    missing.reverse();
    Ok(missing)
}

/// Removes this name, if nothing but others below it kept it, and then those above it.
fn prune(conn: &Connection, account: AccountId, mut name: Option<MailboxName>) -> rusqlite::Result<()> {
    while let Some(top) = name {
        let below = subtree(conn, account, &top)?.iter().any(|name| name.is_below(&top));
        if below || !forget_noselect(conn, account, &top)? {
            return Ok(());
        }
        name = top.parent();
    }
    Ok(())
}

fn forget_noselect(conn: &Connection, account: AccountId, name: &MailboxName) -> rusqlite::Result<bool> {
    let met =
        conn.execute("DELETE FROM noselect WHERE account = ?1 AND name = ?2", params![blob(account.0), name.as_str()])?;
    Ok(met > 0)
}
