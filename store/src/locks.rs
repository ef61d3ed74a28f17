//! Maildrop locks: one session an account. They live in memory, and die with the process or with the node of the session.

use std::collections::BTreeMap;

use pillarbox_core::ops::{AccountId, Id, LockId};

use crate::holder::Holder;

/// The open maildrops.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// With whose session it is, if he has a sink.
    by_account: BTreeMap<AccountId, (LockId, Option<Holder>)>,
    by_lock: BTreeMap<LockId, AccountId>,
    issued: u64,
}

impl Locks {
    /// Locks the account's maildrop; `None` when another session has it. The lock's id is of this epoch.
    pub(crate) fn take(&mut self, account: AccountId, epoch: u64, holder: Option<Holder>) -> Option<LockId> {
        if let Some((lock, holder)) = self.by_account.get(&account) {
            let lock = *lock;
            if !holder.as_ref().is_some_and(Holder::is_gone) {
                return None;
            }
            self.release(lock);
        }
        self.issued += 1;
        let lock = LockId(Id { epoch, counter: self.issued });
        self.by_account.insert(account, (lock, holder));
        self.by_lock.insert(lock, account);
        Some(lock)
    }

    /// Whose maildrop the lock holds.
    pub(crate) fn account(&self, lock: LockId) -> Option<AccountId> {
        self.by_lock.get(&lock).copied()
    }

    /// Gives the lock back; `false` when there is no such lock.
    pub(crate) fn release(&mut self, lock: LockId) -> bool {
        let Some(account) = self.by_lock.remove(&lock) else { return false };
        self.by_account.remove(&account);
        true
    }
}
