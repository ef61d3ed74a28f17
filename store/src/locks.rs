//! Maildrop locks: one session an account. They live in memory and die with the process.

use std::collections::BTreeMap;

use pillarbox_core::ops::{AccountId, LockId};

/// The open maildrops.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    by_account: BTreeMap<AccountId, LockId>,
    by_lock: BTreeMap<LockId, AccountId>,
}

impl Locks {
    /// Locks the account's maildrop; `false` when another session has it.
    pub(crate) fn take(&mut self, account: AccountId, lock: LockId) -> bool {
        if self.by_account.contains_key(&account) {
            return false;
        }
        self.by_account.insert(account, lock);
        self.by_lock.insert(lock, account);
        true
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
