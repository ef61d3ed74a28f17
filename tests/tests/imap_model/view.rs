//! What a client believes of the mailbox that it has selected, from nothing but what it was told.

use std::collections::BTreeMap;

use pillarbox_core::mailbox::UidSet;
use pillarbox_core::ops::MailboxId;

use crate::command::{Flags, Mode, Set};
use crate::model::{Mailbox, Model};

#[derive(Debug, Default)]
pub struct View {
    pub name: String,
    pub read_only: bool,
    /// Which mailbox it is, as the host of the server knows.
    pub id: Option<MailboxId>,
    pub uid_validity: u32,
    /// By message number, from 1.
    pub slots: Vec<Slot>,
    pub keywords: Flags,
    /// Up to here the client has heard everything (RFC 7162 §6).
    pub modseq: u64,
    /// What the client knew before, on its way back.
    pub base: Option<BTreeMap<u32, Option<Flags>>>,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    pub uid: Option<u32>,
    pub flags: Option<Flags>,
    pub modseq: u64,
    /// A silent STORE is under way: what its flags will be, unless something else is told.
    pending: Option<Option<Flags>>,
}

/// What a client remembers of a mailbox.
#[derive(Clone, Debug)]
pub struct Memory {
    pub uid_validity: u32,
    pub modseq: u64,
    pub messages: BTreeMap<u32, Option<Flags>>,
}

/// The messages that a command is about, as far as its client can know.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    uid: bool,
    /// Messages that are meant, by number: their UIDs, if they are known.
    slots: Vec<Option<u32>>,
    /// UIDs that are known, and not meant.
    others: Vec<u32>,
    /// Messages whose UIDs are not known.
    unknown: usize,
    /// It names a message that there is not.
    pub bad: bool,
}

impl View {
    pub fn resolve(&self, set: &Set, uid: bool) -> Meant {
        let exists = self.slots.len() as u32;
        let known = self.slots.iter().filter_map(|slot| slot.uid);
        let unknown = self.slots.iter().filter(|slot| slot.uid.is_none()).count();
        if uid {
            let last = self.slots.last().map_or(0, |slot| slot.uid.unwrap_or(u32::MAX));
            let (meant, others): (Vec<_>, Vec<_>) = known.partition(|uid| set.holds(*uid, last));
            return Meant { uid, slots: meant.into_iter().map(Some).collect(), others, unknown, bad: false };
        }
        let nothing = exists == 0 && set.has_last();
        let bad = !nothing && set.largest() > exists;
        let meant = (1..).zip(&self.slots).filter(|(number, _)| !bad && set.holds(*number, exists));
        Meant { uid, slots: meant.map(|(_, slot)| slot.uid).collect(), bad, ..Meant::default() }
    }

    /// The numbers of what is meant.
    pub fn numbers(&self, set: &Set, uid: bool) -> Vec<usize> {
        let exists = self.slots.len() as u32;
        let last = self.slots.last().map_or(0, |slot| slot.uid.unwrap_or(u32::MAX));
        let meant = |(number, slot): (u32, &Slot)| match uid {
            true => slot.uid.is_none() || slot.uid.is_some_and(|uid| set.holds(uid, last)),
            false => set.holds(number, exists),
        };
        (0..self.slots.len()).filter(|at| meant((*at as u32 + 1, &self.slots[*at]))).collect()
    }

    /// A silent STORE begins.
    pub fn expect(&mut self, set: &Set, uid: bool, mode: Mode, flags: &Flags) {
        for at in self.numbers(set, uid) {
            let slot = &mut self.slots[at];
            // Whether a message whose UID is not known is meant by a set of UIDs is not known either.
            let sure = slot.uid.is_some() || !uid;
            slot.pending = Some(slot.flags.as_ref().map(|old| mode.change(old, flags)).filter(|_| sure));
        }
    }

    /// It is over: what has come of it. `left_alone` of a number and a UID.
    pub fn stored(&mut self, ok: bool, left_alone: impl Fn(u32, Option<u32>) -> bool) {
        for (number, slot) in (1..).zip(&mut self.slots) {
            let Some(pending) = slot.pending.take() else { continue };
            if ok && !left_alone(number, slot.uid) {
                slot.flags = pending;
            } else if !ok {
                slot.flags = None;
            }
        }
    }

    pub fn exists(&mut self, exists: usize) {
        assert!(exists >= self.slots.len(), "EXISTS {exists} where there are {}", self.slots.len());
        self.slots.resize_with(exists, Slot::default);
    }

    /// `* n FETCH`, as far as it is about the view.
    pub fn told(&mut self, number: usize, uid: Option<u32>, modseq: Option<u64>, flags: Option<Flags>) -> Option<u32> {
        assert!((1..=self.slots.len()).contains(&number), "FETCH {number} of {}", self.slots.len());
        let slot = &mut self.slots[number - 1];
        if let Some(uid) = uid {
            assert_eq!(*slot.uid.get_or_insert(uid), uid, "message {number} has another UID");
        }
        if let Some(modseq) = modseq {
            assert!(modseq >= slot.modseq, "the modseq of {number} went back from {} to {modseq}", slot.modseq);
            slot.modseq = modseq;
        }
        if let Some(flags) = flags {
            let unknown: Vec<_> = flags.iter().filter(|flag| !self.keywords.contains(*flag)).collect();
            assert!(unknown.is_empty(), "{unknown:?} not in FLAGS");
            (slot.flags, slot.pending) = (Some(flags), None);
        }
        let told = slot.uid;
        if uid.is_some() {
            self.ascends();
        }
        told
    }

    /// The message with this number is gone.
    pub fn expunge(&mut self, number: usize, mailbox: &Mailbox) {
        assert!((1..=self.slots.len()).contains(&number), "EXPUNGE {number} of {}", self.slots.len());
        let slot = self.slots.remove(number - 1);
        assert!(slot.uid.is_none_or(|uid| !mailbox.is_there(uid)), "{slot:?} is there, and was EXPUNGEd as {number}");
    }

    /// The message with this UID is gone.
    pub fn vanish(&mut self, uid: u32, mailbox: &Mailbox) {
        assert!(!mailbox.is_there(uid), "UID {uid} is there, and VANISHED");
        let known = self.slots.iter().position(|slot| slot.uid == Some(uid));
        // Else it is one of those whose UIDs were not told yet, where it would be.
        let at = known.or_else(|| {
            let behind = self.slots.iter().position(|slot| slot.uid.is_some_and(|it| it > uid));
            let at = behind.unwrap_or(self.slots.len()).checked_sub(1)?;
            self.slots[at].uid.is_none().then_some(at)
        });
        let at = at.unwrap_or_else(|| panic!("VANISHED {uid}, of which nobody was told"));
        if self.slots[at].uid.is_none() {
            // Which one it was cannot be said, nor whose flags were told by number.
            self.slots.iter_mut().filter(|slot| slot.uid.is_none()).for_each(|slot| slot.flags = None);
        }
        self.slots.remove(at);
    }

    fn ascends(&self) {
        let mut last = 0;
        for (number, slot) in (1_u32..).zip(&self.slots) {
            // Those that are not known have UIDs, too.
            let least = last + 1;
            last = slot.uid.unwrap_or(least);
            assert!(last >= least, "message {number} has UID {last}, after {}", least - 1);
        }
    }

    /// The client is back, and was told what has changed.
    pub fn resume(&mut self) {
        let Some(base) = self.base.take() else { return };
        assert!(base.len() <= self.slots.len(), "more messages are left of what was known than there are: {base:?}");
        for (slot, (uid, flags)) in self.slots.iter_mut().zip(base) {
            assert_eq!(*slot.uid.get_or_insert(uid), uid, "what was known is not where it should be");
            slot.flags = slot.flags.take().or(flags);
        }
        self.ascends();
    }

    /// What to remember; nothing, if it cannot be said which message is which.
    pub fn memory(&self) -> Option<Memory> {
        let known = self.slots.iter().take_while(|slot| slot.uid.is_some()).count();
        let placed = self.slots[known..].iter().all(|slot| slot.uid.is_none());
        let messages = self.slots.iter().filter_map(|slot| Some((slot.uid?, slot.flags.clone()))).collect();
        let whole = placed && self.modseq > 0 && self.uid_validity > 0;
        whole.then_some(Memory { uid_validity: self.uid_validity, modseq: self.modseq, messages })
    }

    /// Nothing in it is wrong.
    pub fn agree(&self, model: &Model) {
        let mailbox = model.mailbox(self.id.expect("the mailbox is selected"));
        let there: Vec<u32> = mailbox.messages.iter().map(|it| it.uid).collect();
        let told: Vec<_> = self.slots.iter().map(|slot| slot.uid).collect();
        assert_eq!(told.len(), there.len(), "messages in {}: {told:?}, there are {there:?}", self.name);
        for (slot, message) in self.slots.iter().zip(&mailbox.messages) {
            assert!(slot.uid.is_none_or(|uid| uid == message.uid), "{told:?}, there are {there:?}");
            let flags = slot.flags.as_ref().unwrap_or(&message.flags);
            assert_eq!(flags, &message.flags, "flags of UID {} in {}", message.uid, self.name);
        }
    }
}

impl Meant {
    /// UIDs that are known.
    pub fn known(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().filter_map(|uid| *uid)
    }

    /// The command was about `asked`; no more than that, if it was not done to its end.
    pub fn check(&self, asked: &UidSet, whole: bool) {
        let said: Vec<u32> = asked.iter().collect();
        if !self.uid {
            assert!(said.len() <= self.slots.len(), "{said:?} for {self:?}");
            if whole {
                let same = said.iter().zip(&self.slots).all(|(said, slot)| slot.is_none_or(|slot| slot == *said));
                assert!(same && said.len() == self.slots.len(), "{said:?} for {self:?}");
            }
            return;
        }
        let missing = self.known().filter(|uid| !asked.contains(*uid)).count();
        assert!(missing == 0 || !whole, "{said:?} for {self:?}");
        assert!(!self.others.iter().any(|uid| asked.contains(*uid)), "{said:?} for {self:?}");
        let more = said.iter().filter(|uid| !self.slots.contains(&Some(**uid))).count();
        assert!(more <= self.unknown, "{said:?} for {self:?}");
    }
}
