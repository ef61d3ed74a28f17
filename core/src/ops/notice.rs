//! What a store tells a node unasked: hints at what others did that concern it.
//!
//! A notice is a hint, not a fact to rely on: it may come late or twice, and one for a node that has just lost its lease
//! is nobody's. It is sent once what it tells of is on disk, so whoever hears it and asks the store sees it. What waits to
//! be heard is a bounded set ([`Notices`]): of each subject it keeps one hint, and when there are too many subjects it keeps
//! but one thing, that something was missed.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Destination, MailboxId};
use crate::mailbox::ModSeq;
use crate::time::Wall;

/// A hint at what another node, or an operator through it, did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is a row for this destination, in a bucket leased by the node that hears it.
    Due {
        /// Where it goes.
        destination: Destination,
        /// When it is due.
        due: Wall,
    },
    /// An operator made rows of this destination due, and wants them tried now.
    Retry {
        /// Where they go.
        destination: Destination,
    },
    /// A mailbox that the node that hears it watches has changed, by whomever: by one of its own sessions, perhaps.
    Mailbox {
        /// Which. It may be gone by now.
        mailbox: MailboxId,
        /// Up to which modseq.
        modseq: ModSeq,
    },
    /// There was more to tell than there is room for: any of the above may have been said.
    Missed,
}

/// The notices that wait for one node.
#[derive(Debug, Default)]
pub struct Notices {
    due: BTreeMap<Destination, Wall>,
    retries: BTreeSet<Destination>,
    mailboxes: BTreeMap<MailboxId, ModSeq>,
    missed: bool,
}

impl Notices {
    /// Destinations and mailboxes in the set at most: as many as a queue works on at once by default. One more, and looking
    /// at the whole queue, and at each mailbox that is watched, is no dearer than looking at each.
    pub const MOST: usize = 1_000;

    /// Adds a notice; false when it says nothing that is not waiting already.
    pub fn add(&mut self, notice: Notice) -> bool {
        if self.missed {
            return false;
        }
        let new = match notice {
            Notice::Due { destination, due } => match self.due.get_mut(&destination) {
                Some(earlier) if *earlier <= due => false,
                Some(later) => {
                    *later = due;
                    true
                }
                None => self.due.insert(destination, due).is_none(),
            },
            Notice::Retry { destination } => self.retries.insert(destination),
            Notice::Mailbox { mailbox, modseq } => {
                let known = self.mailboxes.entry(mailbox).or_default();
                let new = *known < modseq;
                *known = modseq.max(*known);
                new
            }
            Notice::Missed => {
                self.missed = true;
                true
            }
        };
        if self.missed || self.subjects() > Self::MOST {
            *self = Self { missed: true, ..Self::default() };
        }
        new
    }

    /// Takes one notice out.
    pub fn pop(&mut self) -> Option<Notice> {
        if core::mem::take(&mut self.missed) {
            return Some(Notice::Missed);
        }
        if let Some(destination) = self.retries.pop_first() {
            return Some(Notice::Retry { destination });
        }
        if let Some((destination, due)) = self.due.pop_first() {
            return Some(Notice::Due { destination, due });
        }
        let (mailbox, modseq) = self.mailboxes.pop_first()?;
        Some(Notice::Mailbox { mailbox, modseq })
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.missed && self.subjects() == 0
    }

    fn subjects(&self) -> usize {
        self.due.len() + self.retries.len() + self.mailboxes.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;
    use crate::ops::Id;

    fn due(number: usize, due: i64) -> Notice {
        Notice::Due { destination: Destination::Domain(format!("{number}.example")), due: Wall(due) }
    }

    fn all(mut notices: Notices) -> Vec<Notice> {
        core::iter::from_fn(|| notices.pop()).collect()
    }

    #[test]
    fn each_destination_is_told_once_with_its_earliest_row() {
        let mut notices = Notices::default();
        assert!(notices.is_empty());
        let retry = || Notice::Retry { destination: Destination::Domain("1.example".into()) };
        let new = [due(1, 5), due(1, 5), due(1, 9), due(1, 3), due(2, 7), retry(), retry()].map(|it| notices.add(it));
        assert_eq!(new, [true, false, false, true, true, true, false]);
        assert_eq!(all(notices), [retry(), due(1, 3), due(2, 7)]);
    }

    #[test]
    fn of_a_mailbox_the_latest_change_counts() {
        let [a, b] = [1, 2].map(|counter| MailboxId(Id { epoch: 1, counter }));
        let mut notices = Notices::default();
        let new = [(b, 5), (a, 2), (b, 7), (b, 7), (b, 6)]
            .map(|(mailbox, modseq)| notices.add(Notice::Mailbox { mailbox, modseq }));
        assert_eq!(new, [true, true, true, false, false]);
        assert_eq!(all(notices), [(a, 2), (b, 7)].map(|(mailbox, modseq)| Notice::Mailbox { mailbox, modseq }));
    }

    #[test]
    fn too_many_become_one() {
        let mut notices = Notices::default();
        assert!((0..=Notices::MOST).all(|number| notices.add(due(number, 0))));
        assert!(!notices.add(due(1, -1)) && !notices.add(Notice::Missed), "that is said already");
        assert_eq!(notices.pop(), Some(Notice::Missed));
        assert!(notices.is_empty() && notices.add(due(1, -1)));
        assert!(notices.add(Notice::Missed), "it covers what waits");
        assert_eq!(all(notices), [Notice::Missed]);
    }
}
