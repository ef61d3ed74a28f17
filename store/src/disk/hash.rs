//! The threads that hash passwords: bounded in number, each with one block of memory that it reuses.

use std::sync::{Arc, OnceLock};

use pillarbox_core::Secret;
use pillarbox_core::ops::{AccountId, AccountReply, Id, StoreError, StoreReply};
use rusqlite::{Connection, OptionalExtension as _};

use super::asker::{Asker, survive};
use super::password::{HashError, Hasher, Verifier};
use super::{Shared, unreadable};
use crate::key::login_key;

/// Where a change finds its hashed password.
pub(super) type Hashed = Arc<OnceLock<Result<Verifier, HashError>>>;

/// What the hashing threads are asked.
pub(super) enum HashJob {
    Authenticate { asker: Asker, login: String, password: Secret },
    Hash(Secret, Hashed),
}

/// One hashing thread.
pub(super) fn run(shared: &Shared, conn: &Connection) {
    let mut hasher = Hasher::new(shared.options.password_cost);
    while let Some(job) = shared.hashes.pop() {
        match job {
            HashJob::Authenticate { asker, login, password } => survive(|| {
                let reply = authenticate(conn, &mut hasher, &login, &password);
                drop(password);
                asker.answer(reply);
            }),
            HashJob::Hash(password, hashed) => {
                survive(|| _ = hashed.set(hasher.verifier(&password)));
                // If there is none by now.
                _ = hashed.set(Err(HashError));
                shared.changes.wake();
            }
        }
    }
}

fn authenticate(conn: &Connection, hasher: &mut Hasher, login: &str, password: &Secret) -> StoreReply {
    let account = match find(conn, login) {
        Ok(account) => account,
        Err(error) => return unreadable(&error),
    };
    match hasher.verify(password, account.as_ref().map(|(_, phc)| phc.as_str())) {
        Ok(right) => {
            let account = account.filter(|_| right).map(|(id, _)| id);
            StoreReply::Account(AccountReply::Authenticated(account))
        }
        Err(HashError) => {
            tracing::error!("a stored password hash cannot be used");
            StoreReply::Failed(StoreError::Unreadable)
        }
    }
}

fn find(conn: &Connection, login: &str) -> rusqlite::Result<Option<(AccountId, String)>> {
    let Some(key) = login_key(login) else { return Ok(None) };
    let mut statement = conn.prepare_cached("SELECT id, password FROM accounts WHERE key = ?1")?;
    let found = statement.query_row([key], |row| Ok((AccountId(Id::from_bytes(row.get(0)?)), row.get(1)?)));
    found.optional()
}
