//! What somebody does at a device when he has read what is new: a list of chores, each of them a command or two.

use bytes::Bytes;

use super::Deed;
use super::device::{Device, Doing};
use super::response::set;
use crate::ledger::Ledger;
use crate::told::{Fate, Folder, Mark};

/// Messages that one chore is about, at most.
const SOME: usize = 2;

/// Octets of a letter that it files itself.
const DRAFT: usize = 300;

/// What somebody does with what he finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Sets a keyword of some messages that only this device sets.
    Marks,
    /// Takes it away.
    Unmarks,
    /// Marks some as deleted, and removes just these.
    Deletes,
    /// The same in one breath: he does not wait for the first answer.
    Hurries,
    /// Marks some as deleted, and removes all that anybody has marked.
    Expunges,
    /// The same with CLOSE, which tells nothing; and opens the INBOX again.
    Closes,
    /// Copies some to the archive.
    Copies,
    /// Moves some there.
    Moves,
    /// Files a letter of his own.
    Appends,
    /// Opens the archive; or the INBOX, when he is in the archive.
    Switches,
    /// Waits until something happens, or not for ever.
    Idles,
    /// Looks whether something has happened.
    Looks,
    /// Asks which messages there are.
    Searches,
}

impl Chore {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Marks,
        Self::Unmarks,
        Self::Deletes,
        Self::Hurries,
        Self::Expunges,
        Self::Closes,
        Self::Copies,
        Self::Moves,
        Self::Appends,
        Self::Switches,
        Self::Idles,
        Self::Looks,
        Self::Searches,
    ];
}

/// A visit to a mailbox by IMAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which of his devices he uses.
    pub device: usize,
    /// It speaks QRESYNC, and remembers the mailbox from one visit to the next.
    pub resyncs: bool,
    /// What he does, in this order, when he has read what is new.
    pub chores: Vec<Chore>,
    /// When he is gone in the middle, nobody tells the server.
    pub vanishes: bool,
}

/// How messages are removed that are marked as deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    UidExpunge,
    Expunge,
    Close,
}

impl Device {
    /// Begins a chore, unless there is nothing to do.
    pub(super) fn begin(&mut self, chore: Chore, ledger: &mut Ledger, deeds: &mut Vec<Deed>) -> bool {
        let Some(folder) = self.view.as_ref().map(|view| view.folder) else { return false };
        let uids = self.some(ledger);
        let these = set(&uids);
        let is_known = self.has_archive || self.memories.contains_key(&Folder::Archive);
        match chore {
            Chore::Copies | Chore::Moves | Chore::Switches if !is_known => {
                self.chores.push_front(chore);
                self.say("CREATE Archive", Doing::Create, deeds);
            }
            Chore::Switches => {
                let other = if folder == Folder::Inbox { Folder::Archive } else { Folder::Inbox };
                self.select(other, ledger, deeds);
            }
            Chore::Appends => {
                let letter = ledger.drafts(self.user, DRAFT);
                let text = letter.text(DRAFT);
                let known = ledger.told(self.user, Folder::Inbox).known();
                self.say(&format!("APPEND INBOX {{{}+}}", text.len()), Doing::Append { letter, known }, deeds);
                deeds.push(Deed::Say(text));
                deeds.push(Deed::Say(Bytes::from_static(b"\r\n")));
            }
            Chore::Idles => self.say("IDLE", Doing::Idle, deeds),
            Chore::Looks => self.say("NOOP", Doing::Noop, deeds),
            Chore::Searches => self.say("UID SEARCH ALL", Doing::Noop, deeds),
            _ if uids.is_empty() => return false,
            Chore::Copies | Chore::Moves if folder == Folder::Archive => return false,
            Chore::Marks | Chore::Unmarks => {
                let (sign, mark) = if chore == Chore::Marks { ('+', Mark::Set) } else { ('-', Mark::Unset) };
                let numbers = self.view.as_ref().map(|view| view.numbers(&uids)).unwrap_or_default();
                let by_number = self.begun.is_multiple_of(2);
                let which = if by_number { format!("STORE {}", set(&numbers)) } else { format!("UID STORE {these}") };
                let store = format!("{which} {sign}FLAGS ({})", self.keyword());
                self.say(&store, Doing::Store { uids, mark, by_number }, deeds);
            }
            Chore::Deletes | Chore::Hurries | Chore::Expunges | Chore::Closes => {
                let how = match chore {
                    Chore::Expunges => Removal::Expunge,
                    Chore::Closes => Removal::Close,
                    _ => Removal::UidExpunge,
                };
                self.marked(&uids, false, ledger);
                let store = format!("UID STORE {these} +FLAGS (\\Deleted)");
                self.say(&store, Doing::Delete(uids.clone(), how), deeds);
                if chore == Chore::Hurries {
                    self.say_behind(&format!("UID EXPUNGE {these}"), Doing::Expunge(uids, how), deeds);
                }
            }
            Chore::Copies | Chore::Moves => {
                let moves = chore == Chore::Moves;
                let command = if moves { "MOVE" } else { "COPY" };
                let known = ledger.told(self.user, Folder::Archive).known();
                self.say(&format!("UID {command} {these} Archive"), Doing::Copy { uids, moves, known }, deeds);
            }
        }
        true
    }

    /// Some messages that were read.
    fn some(&self, ledger: &mut Ledger) -> Vec<u32> {
        let Some(view) = &self.view else { return Vec::new() };
        let told = ledger.told(self.user, view.folder);
        let mut uids: Vec<u32> = view.uids().into_iter().filter(|uid| told.what(*uid).is_some()).collect();
        let begin = self.begun as usize % uids.len().max(1);
        uids.rotate_left(begin);
        uids.truncate(SOME);
        uids.sort_unstable();
        uids
    }

    /// These are marked as deleted, or somebody tries to.
    pub(super) fn marked(&self, uids: &[u32], told: bool, ledger: &mut Ledger) {
        let Some(view) = &self.view else { return };
        for uid in uids {
            if let Some(message) = ledger.told(self.user, view.folder).message(*uid) {
                message.marked.tried(told);
            }
        }
    }

    /// Removes these; or all that are marked, and these are among them.
    pub(super) fn remove(&mut self, uids: Vec<u32>, how: Removal, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let Some(view) = &self.view else { return };
        let marked = ledger.told(self.user, view.folder).marked().into_iter();
        let marked = marked.filter(|(_, marked)| *marked == Fate::Yes).map(|(uid, _)| uid);
        let (command, uids) = match how {
            Removal::UidExpunge => (format!("UID EXPUNGE {}", set(&uids)), uids),
            Removal::Expunge => ("EXPUNGE".to_owned(), marked.collect()),
            Removal::Close => ("CLOSE".to_owned(), marked.collect()),
        };
        self.say(&command, Doing::Expunge(uids, how), deeds);
    }
}
