//! What a store tells a node unasked: hints at what others did that concern it.
//!
//! A notice is a hint, not a fact to rely on: it may come late or twice, and one for a node that has just lost its lease
//! is nobody's. It is sent once what it tells of is on disk, so whoever hears it and asks the store sees it. What waits to
//! be heard is a bounded set ([`Notices`]): of each subject it keeps one hint, and when there are too many subjects it keeps
//! but one thing, that something was missed.

use alloc::collections::{BTreeMap, BTreeSet};

use super::Destination;
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
    /// There was more to tell than there is room for: any of the above may have been said.
    Missed,
}

/// The notices that wait for one node.
#[derive(Debug, Default)]
pub struct Notices {
    due: BTreeMap<Destination, Wall>,
    retries: BTreeSet<Destination>,
    missed: bool,
}

impl Notices {
    /// Destinations in the set at most: as many as a queue works on at once by default. One more, and looking at the whole
    /// queue is no dearer than looking at each.
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
            Notice::Missed => {
                self.missed = true;
                true
            }
        };
        if self.missed || self.due.len() + self.retries.len() > Self::MOST {
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
        let (destination, due) = self.due.pop_first()?;
        Some(Notice::Due { destination, due })
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.missed && self.due.is_empty() && self.retries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

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
