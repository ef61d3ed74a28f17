//! What is recent, and to whom: a session that selects a mailbox, or is told of its changes, claims the messages that no
//! session was told of before (RFC 3501 §2.3.2).
//!
//! A claim counts at once, and is written down with the next change of anything, so that SELECT waits for no disk. One that
//! is lost in a crash leaves messages recent that somebody saw already, which the RFC prefers to the opposite.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pillarbox_core::ops::MailboxId;
use rusqlite::{Connection, params};

use crate::disk::schema::blob;

/// Claims that are not written down yet: messages from this UID on are recent.
#[derive(Debug, Default)]
pub(in crate::disk) struct Claims(Mutex<BTreeMap<MailboxId, u32>>);

impl Claims {
    /// Held from before the mailbox's row is read until its messages are claimed, so that nobody else claims them.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<MailboxId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From which UID on messages are recent, if the mailbox's row says `written`.
    pub(super) fn recent_from(&self, mailbox: MailboxId, written: u32) -> u32 {
        self.lock().get(&mailbox).map_or(written, |claimed| written.max(*claimed))
    }

    /// Claims the messages in front of this UID, if there are any; the mailbox's row says `written`.
    pub(super) fn claim(&self, mailbox: MailboxId, written: u32, from: u32) {
        let mut claims = self.lock();
        if claims.get(&mailbox).map_or(written, |claimed| written.max(*claimed)) < from {
            claims.insert(mailbox, from);
        }
    }

    /// Writes them down; returns which.
    pub(in crate::disk) fn write(&self, conn: &Connection) -> rusqlite::Result<Vec<(MailboxId, u32)>> {
        let claims: Vec<_> = self.lock().iter().map(|(mailbox, from)| (*mailbox, *from)).collect();
        let mut update =
            conn.prepare_cached("UPDATE mailboxes SET recent_from = max(recent_from, ?2) WHERE id = ?1")?;
        for (mailbox, from) in &claims {
            update.execute(params![blob(mailbox.0), from])?;
        }
        Ok(claims)
    }

    /// These are on disk.
    pub(in crate::disk) fn written(&self, claims: &[(MailboxId, u32)]) {
        let mut left = self.lock();
        for (mailbox, from) in claims {
            if left.get(mailbox) == Some(from) {
                left.remove(mailbox);
            }
        }
    }
}
