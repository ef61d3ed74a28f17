//! Changes of accounts and aliases.

use pillarbox_core::mailbox::MailboxName;
use pillarbox_core::ops::{AccountId, AccountOp, AccountReply, Id, StoreError};
use pillarbox_core::smtp::Address;
use rusqlite::{OptionalExtension as _, params};

use super::engine::{Fail, Tx};
use super::hash::Hashed;
use super::mailbox;
use super::password::Verifier;
use super::schema::blob;
use crate::key::{key, text};

/// The tenant of every domain, until there are more.
const TENANT: [u8; 16] = [0; 16];

/// Applies a change of accounts or aliases.
pub(super) fn apply(tx: &mut Tx<'_>, op: &AccountOp, hashed: Option<&Hashed>) -> Result<AccountReply, Fail> {
    match op {
        AccountOp::Add { address, .. } => add(tx, address, verifier(hashed)?),
        AccountOp::SetPassword { address, .. } => set_password(tx, address, verifier(hashed)?),
        AccountOp::Remove { address } => remove(tx, address),
        AccountOp::SetAlias { alias, targets } => set_alias(tx, alias, targets),
        AccountOp::RemoveAlias { alias } => {
            let key = key(alias);
            tx.conn.execute("DELETE FROM alias_targets WHERE alias = ?1", [&key])?;
            let met = tx.conn.execute("DELETE FROM aliases WHERE key = ?1", [&key])?;
            Ok(if met > 0 { AccountReply::Done } else { AccountReply::NotFound })
        }
        // Reads and logins never come here: see `Shared::submit`.
        _ => Err(Fail::Op(StoreError::Unknown)),
    }
}

fn verifier(hashed: Option<&Hashed>) -> Result<&Verifier, Fail> {
    match hashed.and_then(|hashed| hashed.get()) {
        Some(Ok(verifier)) => Ok(verifier),
        // The system has no random numbers just now.
        _ => Err(Fail::Op(StoreError::Unreadable)),
    }
}

fn add(tx: &mut Tx<'_>, address: &Address, verifier: &Verifier) -> Result<AccountReply, Fail> {
    let key = key(address);
    let taken = "SELECT 1 FROM accounts WHERE key = ?1 UNION ALL SELECT 1 FROM aliases WHERE key = ?1";
    if tx.conn.prepare_cached(taken)?.exists([&key])? {
        return Ok(AccountReply::Exists);
    }
    know_domain(tx, address)?;
    let now = (tx.shared.options.clock)();
    let id = tx.ids.next();
    let scram = &verifier.scram;
    tx.conn.execute(
        "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            blob(id),
            TENANT,
            key,
            text(address),
            verifier.phc,
            scram.salt,
            scram.iterations,
            scram.stored_key,
            scram.server_key,
            now.0
        ],
    )?;
    tx.conn.execute("INSERT INTO usage VALUES (?1, 0, 0)", [blob(id)])?;
    mailbox::make(tx, AccountId(id), &MailboxName::inbox())?;
    Ok(AccountReply::Done)
}

fn set_password(tx: &mut Tx<'_>, address: &Address, verifier: &Verifier) -> Result<AccountReply, Fail> {
    let scram = &verifier.scram;
    let met = tx.conn.execute(
        "UPDATE accounts SET password = ?2, scram_salt = ?3, scram_iterations = ?4, scram_stored_key = ?5,
            scram_server_key = ?6
         WHERE key = ?1",
        params![key(address), verifier.phc, scram.salt, scram.iterations, scram.stored_key, scram.server_key],
    )?;
    Ok(if met > 0 { AccountReply::Done } else { AccountReply::NotFound })
}

fn remove(tx: &mut Tx<'_>, address: &Address) -> Result<AccountReply, Fail> {
    let account = tx
        .conn
        .query_row("DELETE FROM accounts WHERE key = ?1 RETURNING id", [key(address)], |row| row.get::<_, [u8; 16]>(0))
        .optional()?;
    let Some(account) = account else { return Ok(AccountReply::NotFound) };
    mailbox::remove_all(tx, AccountId(Id::from_bytes(account)))?;
    tx.conn.execute("DELETE FROM usage WHERE account = ?1", [account])?;
    Ok(AccountReply::Done)
}

fn set_alias(tx: &mut Tx<'_>, alias: &Address, targets: &[Address]) -> Result<AccountReply, Fail> {
    let key = key(alias);
    if tx.conn.prepare_cached("SELECT 1 FROM accounts WHERE key = ?1")?.exists([&key])? {
        return Ok(AccountReply::Exists);
    }
    know_domain(tx, alias)?;
    tx.conn.execute("INSERT OR REPLACE INTO aliases VALUES (?1, ?2, ?3)", params![key, TENANT, text(alias)])?;
    tx.conn.execute("DELETE FROM alias_targets WHERE alias = ?1", [&key])?;
    let mut insert = tx.conn.prepare_cached("INSERT INTO alias_targets VALUES (?1, ?2, ?3)")?;
    for (position, target) in targets.iter().enumerate() {
        insert.execute(params![key, position as i64, text(target)])?;
    }
    Ok(AccountReply::Done)
}

fn know_domain(tx: &Tx<'_>, address: &Address) -> rusqlite::Result<()> {
    let domain = address.domain().to_string();
    tx.conn.execute("INSERT OR IGNORE INTO domains VALUES (?1, ?2)", params![domain, TENANT])?;
    Ok(())
}
