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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pillarbox_core::ops::{Sink, StoreReply, Token};

    use super::*;

    struct Deaf;

    impl Sink for Deaf {
        fn complete(&self, _: Token, _: StoreReply) {}
    }

    #[test]
    fn the_lock_of_whoever_is_gone_is_free_and_never_his_again() {
        let (mut locks, account) = (Locks::default(), AccountId(Id { epoch: 1, counter: 1 }));
        let [one, other]: [Arc<dyn Sink>; 2] = [Arc::new(Deaf), Arc::new(Deaf)];
        let first = locks.take(account, 1, Some(Holder::new(&one))).expect("it is free");
        assert_eq!(locks.take(account, 1, Some(Holder::new(&other))), None);
        drop(one);
        let second = locks.take(account, 1, Some(Holder::new(&other))).expect("nobody holds it");
        assert!(locks.account(first).is_none() && !locks.release(first));
        assert_eq!(locks.account(second), Some(account));
        assert!(locks.release(second));
        // Without a sink it is held until it is released.
        assert!(locks.take(account, 1, None).is_some() && locks.take(account, 1, None).is_none());
    }
}
