//! What a device believes of the mailbox that it has selected, from nothing but what it was told.

use std::collections::{BTreeMap, BTreeSet};

use crate::told::{Flags, Folder, Known};

/// A mailbox that is selected.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) folder: Folder,
    pub(crate) validity: u32,
    /// By message number, from 1.
    pub(crate) slots: Vec<Slot>,
    /// The device has heard of all changes up to here (RFC 7162 §6).
    pub(crate) modseq: u64,
    /// What it knew when it came back, until it has heard what has changed.
    pub(crate) base: Option<BTreeMap<u32, Option<Flags>>>,
    /// What everybody knew when it was selected.
    pub(crate) known: Known,
    /// Messages that were asked for.
    pub(crate) asked: BTreeSet<u32>,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) uid: Option<u32>,
    pub(crate) flags: Option<Flags>,
    modseq: u64,
}

impl View {
    /// It is being selected.
    pub(crate) fn new(folder: Folder, known: Known) -> Self {
        Self { folder, validity: 0, slots: Vec::new(), modseq: 0, base: None, known, asked: BTreeSet::new() }
    }

    /// UIDs that it knows, in their order.
    pub(crate) fn uids(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|slot| slot.uid).collect()
    }

    /// The numbers of these messages.
    pub(crate) fn numbers(&self, uids: &[u32]) -> Vec<u32> {
        let slots = (1_u32..).zip(&self.slots);
        let these = slots.filter(|(_, slot)| slot.uid.is_some_and(|uid| uids.contains(&uid)));
        these.map(|(number, _)| number).collect()
    }

    /// The numbers of messages that it does not know yet.
    pub(crate) fn unknown(&self) -> Vec<u32> {
        let slots = (1_u32..).zip(&self.slots);
        slots.filter(|(_, slot)| slot.uid.is_none() || slot.flags.is_none()).map(|(number, _)| number).collect()
    }

    /// The messages that it knows.
    pub(crate) fn messages(&self) -> BTreeMap<u32, Option<Flags>> {
        self.slots.iter().filter_map(|slot| Some((slot.uid?, slot.flags.clone()))).collect()
    }

    /// `* n EXISTS`
    pub(crate) fn exists(&mut self, exists: usize) -> Result<(), String> {
        if exists < self.slots.len() {
            return Err(format!("an EXISTS that takes messages away: {exists} of {}", self.slots.len()));
        }
        self.slots.resize_with(exists, Slot::default);
        Ok(())
    }

    /// `* n FETCH`; the UID of the message, if it is known.
    pub(crate) fn fetched(
        &mut self,
        number: usize,
        uid: Option<u32>,
        modseq: Option<u64>,
        flags: Option<Flags>,
    ) -> Result<Option<u32>, String> {
        let exists = self.slots.len();
        let Some(slot) = number.checked_sub(1).and_then(|at| self.slots.get_mut(at)) else {
            return Err(format!("FETCH of a number that there is not: {number} of {exists}"));
        };
        if let Some(uid) = uid
            && *slot.uid.get_or_insert(uid) != uid
        {
            return Err(format!("another UID of the same message: {uid}, and {:?} before", slot.uid));
        }
        if let Some(modseq) = modseq {
            if modseq < slot.modseq {
                return Err(format!("a mod-sequence that fell: {modseq} behind {} of UID {:?}", slot.modseq, slot.uid));
            }
            slot.modseq = modseq;
        }
        slot.flags = flags.or(slot.flags.take());
        let told = slot.uid;
        if uid.is_some() {
            self.ascends()?;
        }
        Ok(told)
    }

    /// `* n EXPUNGE`; the UID of the message, if it is known.
    pub(crate) fn expunged(&mut self, number: usize) -> Result<Option<u32>, String> {
        if !(1..=self.slots.len()).contains(&number) {
            return Err(format!("EXPUNGE of a number that there is not: {number} of {}", self.slots.len()));
        }
        Ok(self.slots.remove(number - 1).uid)
    }

    /// `* VANISHED uid`
    pub(crate) fn vanished(&mut self, uid: u32) -> Result<(), String> {
        let known = self.slots.iter().position(|slot| slot.uid == Some(uid));
        // Else it is one of those whose UIDs were not told yet, where it would be.
        let at = known.or_else(|| {
            let behind = self.slots.iter().position(|slot| slot.uid.is_some_and(|it| it > uid));
            let at = behind.unwrap_or(self.slots.len()).checked_sub(1)?;
            self.slots[at].uid.is_none().then_some(at)
        });
        let at = at.ok_or_else(|| format!("VANISHED of what is not there: UID {uid}"))?;
        if known.is_none() {
            // Which of them it was cannot be said, nor whose flags were told by number.
            self.slots.iter_mut().filter(|slot| slot.uid.is_none()).for_each(|slot| *slot = Slot::default());
        }
        self.slots.remove(at);
        Ok(())
    }

    /// `* VANISHED (EARLIER) uid`
    pub(crate) fn vanished_earlier(&mut self, uid: u32) {
        if let Some(base) = &mut self.base {
            base.remove(&uid);
        }
    }

    /// The device is back, and was told what has changed: what it knew is still so.
    pub(crate) fn resume(&mut self) -> Result<(), String> {
        let Some(base) = self.base.take() else { return Ok(()) };
        if base.len() > self.slots.len() {
            return Err(format!("fewer messages than are left: {} of {:?}", self.slots.len(), base.keys()));
        }
        for (slot, (uid, flags)) in self.slots.iter_mut().zip(base) {
            if *slot.uid.get_or_insert(uid) != uid {
                return Err(format!("UIDs that are not where they were: {:?}, and {uid} has not vanished", slot.uid));
            }
            slot.flags = slot.flags.take().or(flags);
        }
        self.ascends()
    }

    /// UIDs ascend; those that are not known do, too.
    fn ascends(&self) -> Result<(), String> {
        let mut last = 0;
        for (number, slot) in (1_u32..).zip(&self.slots) {
            let least = last + 1;
            last = slot.uid.unwrap_or(least);
            if last < least {
                return Err(format!("UIDs that do not ascend: {last} of message {number} behind {}", least - 1));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(uids: &[u32]) -> View {
        let mut view = View::new(Folder::Inbox, Known::default());
        view.exists(uids.len()).expect("it grows");
        for (number, uid) in (1..).zip(uids) {
            assert_eq!(view.fetched(number, Some(*uid), None, Some(Flags::new())), Ok(Some(*uid)));
        }
        view
    }

    #[test]
    fn numbers_move_up_when_a_message_goes() {
        let mut view = view(&[2, 4, 7]);
        assert_eq!(view.expunged(2), Ok(Some(4)));
        assert_eq!(view.uids(), [2, 7]);
        assert!(view.expunged(3).is_err() && view.expunged(0).is_err());
        assert!(view.exists(1).is_err() && view.fetched(3, Some(9), None, None).is_err());
        assert!(view.fetched(2, Some(8), None, None).is_err(), "it has another UID");
    }

    #[test]
    fn uids_ascend_and_those_that_are_not_known_have_room() {
        let mut view = view(&[2, 4]);
        view.exists(4).expect("it grows");
        assert_eq!(view.unknown(), [3, 4]);
        assert!(view.fetched(4, Some(5), None, None).is_err(), "message 3 would have none");
    }

    #[test]
    fn what_vanishes_may_not_be_known_yet() {
        let mut view = view(&[2, 4]);
        view.exists(4).expect("it grows");
        assert_eq!((view.vanished(5), view.vanished(2)), (Ok(()), Ok(())));
        assert_eq!((view.slots.len(), view.unknown()), (2, vec![2]));
        assert!(view.vanished(3).is_err());
    }

    #[test]
    fn who_comes_back_knows_what_he_knew_but_for_what_has_changed() {
        let flags = |flag: &str| Some(Flags::from([flag.to_owned()]));
        let mut view = View::new(Folder::Inbox, Known::default());
        view.base = Some([(1, flags("a")), (3, flags("b")), (5, flags("c"))].into());
        view.exists(3).expect("there are so many");
        view.vanished_earlier(3);
        view.fetched(3, Some(8), Some(9), flags("new")).expect("it is new");
        view.fetched(2, Some(5), Some(8), flags("d")).expect("it has changed");
        view.resume().expect("all of it fits");
        assert_eq!(view.messages(), [(1, flags("a")), (5, flags("d")), (8, flags("new"))].into());

        let mut view = View::new(Folder::Inbox, Known::default());
        view.base = Some([(1, None), (3, None)].into());
        view.exists(1).expect("there is one");
        assert!(view.resume().is_err(), "of which it was not told that it is gone");
    }
}
