//! Maildrop locks: one session an account. They live in memory and die with the process.

use std::collections::BTreeMap;

use pillarbox_core::ops::{AccountId, Id, LockId};

/// The open maildrops.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    by_account: BTreeMap<AccountId, LockId>,
    by_lock: BTreeMap<LockId, AccountId>,
    issued: u64,
}

impl Locks {
    /// Locks the account's maildrop; `None` when another session has it. The lock's id is of this epoch.
    pub(crate) fn take(&mut self, account: AccountId, epoch: u64) -> Option<LockId> {
        if self.by_account.contains_key(&account) {
            return None;
        }
        self.issued += 1;
        let lock = LockId(Id { epoch, counter: self.issued });
        self.by_account.insert(account, lock);
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
