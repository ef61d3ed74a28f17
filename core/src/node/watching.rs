//! Which sessions of a node watch which mailbox. The store counts nobody: it is told by the first, and again when the last
//! one is gone.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::ConnId;
use crate::ops::MailboxId;

/// The sessions that watch a mailbox.
#[derive(Debug, Default)]
pub(super) struct Watching {
    pairs: BTreeSet<(MailboxId, ConnId)>,
}

impl Watching {
    /// The session watches from now on. `true` when nobody watched this mailbox before.
    pub(super) fn add(&mut self, mailbox: MailboxId, conn: ConnId) -> bool {
        let first = !self.is_watched(mailbox);
        self.pairs.insert((mailbox, conn));
        first
    }

    /// It does so no longer. `true` when nobody is left who watches it.
    pub(super) fn remove(&mut self, mailbox: MailboxId, conn: ConnId) -> bool {
        self.pairs.remove(&(mailbox, conn)) && !self.is_watched(mailbox)
    }

    /// The sessions that watch this mailbox.
    pub(super) fn of(&self, mailbox: MailboxId) -> Vec<ConnId> {
        self.range(mailbox).map(|(_, conn)| *conn).collect()
    }

    /// Every session that watches one, and which.
    pub(super) fn all(&self) -> Vec<(MailboxId, ConnId)> {
        self.pairs.iter().copied().collect()
    }

    /// How many sessions watch a mailbox.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    fn is_watched(&self, mailbox: MailboxId) -> bool {
        self.range(mailbox).next().is_some()
    }

    fn range(&self, mailbox: MailboxId) -> impl Iterator<Item = &(MailboxId, ConnId)> {
        self.pairs.range((mailbox, ConnId(0))..=(mailbox, ConnId(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Id;

    #[test]
    fn the_first_and_the_last_of_a_mailbox_are_told_apart() {
        let mut watching = Watching::default();
        let [a, b] = [1, 2].map(|counter| MailboxId(Id { epoch: 1, counter }));
        let [x, y] = [ConnId(0), ConnId(u64::MAX)];
        assert_eq!([watching.add(a, x), watching.add(a, y), watching.add(b, y)], [true, false, true]);
        assert!(!watching.add(a, x), "watching twice is watching once");
        assert_eq!((watching.of(a), watching.of(b), watching.len()), (alloc::vec![x, y], alloc::vec![y], 3));
        assert_eq!(watching.all(), [(a, x), (a, y), (b, y)]);
        assert_eq!([watching.remove(a, x), watching.remove(a, x), watching.remove(a, y)], [false, false, true]);
        assert!(!watching.remove(b, x) && watching.remove(b, y));
        assert_eq!(watching.len(), 0);
    }
}
