//! Copies of messages in one user's mailboxes: how many came, how many went, and how many there must be at rest.
//!
//! A message comes into the INBOX once, with its own [`Stamp`]. From there it may be removed by POP3 or by IMAP, moved to
//! the archive, or copied there any number of times. Where a person was never told what became of a command there is a
//! range; everywhere else there is a number.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::letter::{Letter, Stamp};
use crate::told::{Fate, Flags, Folder, Told};

/// What is known of a message besides its UIDs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    /// It is a report about the letter, and not the letter.
    pub(crate) is_report: bool,
    /// Put into his INBOX.
    pub(crate) delivered: u32,
    /// Put there by a device that was not told whether.
    pub(crate) perhaps_delivered: u32,
    /// Removed from there by POP3, by him, who was told so.
    pub(crate) removed: u32,
    /// Removed by him, who was not told whether.
    pub(crate) perhaps_removed: u32,
    /// Copied or moved to the archive.
    pub(crate) archived: u32,
    /// Copied there by a device that was not told whether.
    pub(crate) perhaps_archived: u32,
}

impl Copies {
    /// A letter that has arrived.
    pub(crate) fn is_letter(&self) -> bool {
        !self.is_report && self.delivered > 0
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, removed, perhaps_removed, .. } = self;
        write!(f, "{delivered} delivered, {removed} removed, {perhaps_removed} perhaps removed")
    }
}

/// A message that stands in a mailbox at rest.
#[derive(Clone, Debug)]
pub(crate) struct Has {
    pub(crate) folder: Folder,
    pub(crate) uid: u32,
    /// What it is; nothing, if that cannot be said.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) flags: Flags,
}

/// What became of one message in the INBOX by IMAP.
#[derive(Clone, Copy, Default)]
struct ByImap {
    gone: u32,
    perhaps_gone: u32,
    /// It was moved, or somebody tried and was not told.
    perhaps_moved: bool,
    /// And nobody tried to remove it in any other way.
    only_moved: bool,
}

/// At rest he has this: what contradicts that which he was told, in words.
pub(crate) fn settle<'a>(
    copies: impl Iterator<Item = (Letter, Stamp, &'a Copies)>,
    told: &[Told; 2],
    has: &[Has],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = |folder: Folder| {
        let mut count = BTreeMap::<Stamp, u32>::new();
        let stamps = has.iter().filter(|has| has.folder == folder).filter_map(|has| has.stamp);
        stamps.for_each(|stamp| *count.entry(stamp).or_default() += 1);
        count
    };
    let (mut inbox, mut archive) = (count(Folder::Inbox), archived(&told[1], has));
    let mut removed_by_pop3 = BTreeSet::new();
    let by_imap = by_imap(&told[0]);
    for (letter, stamp, copies) in copies {
        let is = if copies.is_report { format!("a report about {letter:?}") } else { format!("{letter:?}") };
        let (has, archived) = (inbox.remove(&stamp).unwrap_or(0), archive.remove(&stamp).unwrap_or(0));
        let by_imap = by_imap.get(&stamp).copied().unwrap_or_default();
        let perhaps = copies.perhaps_removed + by_imap.perhaps_gone;
        let least = copies.delivered.saturating_sub(copies.removed + by_imap.gone + perhaps);
        // Who is told that it is gone is not told who has removed it.
        let gone = copies.removed.max(by_imap.gone);
        let most = (copies.delivered + copies.perhaps_delivered).saturating_sub(gone);
        if has < least || has > most {
            let by_imap = match (by_imap.gone, by_imap.perhaps_gone) {
                (0, 0) => String::new(),
                (gone, perhaps) => format!(", {gone} by IMAP, {perhaps} perhaps by IMAP"),
            };
            wrong.push(format!("has {is} {has} times: {copies:?}{by_imap}"));
        }
        if copies.removed + copies.perhaps_removed > 0 {
            removed_by_pop3.insert(stamp);
        }
        // A move takes it from one mailbox and puts it into the other, or it does neither.
        let has_moved = u32::from(by_imap.perhaps_moved && has == 0);
        if archived > copies.archived + copies.perhaps_archived + has_moved {
            let (by, perhaps) = (copies.archived, copies.perhaps_archived + has_moved);
            wrong.push(format!("has {is} {archived} times in his archive: {by} put there, {perhaps} perhaps"));
        }
        let by_pop3 = copies.removed + copies.perhaps_removed > 0;
        if by_imap.perhaps_moved && by_imap.only_moved && !by_pop3 && has == 0 && archived == copies.archived {
            wrong.push(format!("has {is} no more, and it is not where it was moved to"));
        }
    }
    let strange = inbox.len() + archive.len();
    if strange > 0 {
        wrong.push(format!("has {strange} messages that nobody delivered"));
    }
    for (folder, told) in Folder::ALL.into_iter().zip(told) {
        let there: BTreeMap<u32, &Has> =
            has.iter().filter(|has| has.folder == folder).map(|has| (has.uid, has)).collect();
        for (uid, message) in told.messages() {
            let is_gone = told.is_gone(*uid) || told.removed(message) == Fate::Yes || message.moved == Fate::Yes;
            let may_be_gone = told.removed(message) == Fate::Perhaps
                || message.moved == Fate::Perhaps
                || folder == Folder::Inbox && removed_by_pop3.contains(&message.what.1);
            match there.get(uid) {
                Some(_) if is_gone => wrong.push(format!("was told that UID {uid} is gone, and has it in {folder:?}")),
                Some(has) if has.stamp != Some(message.what.1) => {
                    wrong.push(format!("has another message with UID {uid} in {folder:?} than he was told of"));
                }
                None if !is_gone && !may_be_gone => {
                    wrong.push(format!("has lost UID {uid} in {folder:?}"));
                }
                _ => {}
            }
        }
    }
    wrong
}

/// How many copies of each message were ever in the archive, as far as anybody knows.
fn archived(told: &Told, has: &[Has]) -> BTreeMap<Stamp, u32> {
    let there = has.iter().filter(|has| has.folder == Folder::Archive).filter_map(|has| Some((has.uid, has.stamp?)));
    let known = told.messages().map(|(uid, message)| (*uid, message.what.1));
    let all: BTreeMap<u32, Stamp> = known.chain(there).collect();
    let mut count = BTreeMap::new();
    all.into_values().for_each(|stamp| *count.entry(stamp).or_default() += 1);
    count
}

fn by_imap(inbox: &Told) -> BTreeMap<Stamp, ByImap> {
    let mut all = BTreeMap::<Stamp, ByImap>::new();
    for (_, message) in inbox.messages() {
        let by_imap = all.entry(message.what.1).or_insert(ByImap { only_moved: true, ..ByImap::default() });
        match inbox.removed(message).max(message.moved) {
            Fate::No => {}
            Fate::Perhaps => by_imap.perhaps_gone += 1,
            Fate::Yes => by_imap.gone += 1,
        }
        by_imap.perhaps_moved |= message.moved == Fate::Perhaps;
        by_imap.only_moved &= message.removed == Fate::No && message.marked == Fate::No;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: Letter = Letter(1);

    fn stamp() -> Stamp {
        Stamp::of(&LETTER.text(200))
    }

    /// What is wrong when a message has come once, this was told of it in the two mailboxes, and it stands there with these
    /// UIDs.
    fn wrong(copies: Copies, told: impl FnOnce(&mut [Told; 2]), inbox: &[u32], archive: &[u32]) -> Vec<String> {
        let mut all = [Told::default(), Told::default()];
        told(&mut all);
        let has = |folder: Folder, uids: &[u32]| {
            let has = |uid: &u32| Has { folder, uid: *uid, stamp: Some(stamp()), flags: Flags::new() };
            uids.iter().map(has).collect::<Vec<_>>()
        };
        let has = [has(Folder::Inbox, inbox), has(Folder::Archive, archive)].concat();
        settle([(LETTER, stamp(), &Copies { delivered: 1, ..copies })].into_iter(), &all, &has)
    }

    /// It was read in the INBOX, with UID 5, and then this was done with it.
    fn read(told: &mut [Told; 2], then: impl FnOnce(&mut crate::told::Message)) {
        told[0].is(5, (LETTER, stamp())).expect("nothing was told before");
        then(told[0].message(5).expect("it was read"));
    }

    #[test]
    fn what_was_removed_is_gone_and_else_it_is_there() {
        let none = Copies::default();
        assert!(wrong(none, |_| (), &[5], &[]).is_empty());
        assert!(!wrong(none, |_| (), &[], &[]).is_empty(), "it is lost");
        assert!(!wrong(none, |_| (), &[5, 6], &[]).is_empty(), "it is there twice");
        let expunged = |told: bool| move |all: &mut [Told; 2]| read(all, |message| message.removed.tried(told));
        assert!(wrong(none, expunged(true), &[], &[]).is_empty());
        assert!(!wrong(none, expunged(true), &[5], &[]).is_empty(), "it is there again");
        assert!(wrong(none, expunged(false), &[], &[]).is_empty());
        assert!(wrong(none, expunged(false), &[5], &[]).is_empty());
        assert!(!wrong(none, |all| read(all, |_| ()), &[6], &[]).is_empty(), "it has another UID");
        let by_pop3 = Copies { removed: 1, ..none };
        assert!(wrong(by_pop3, expunged(true), &[], &[]).is_empty(), "both were told so, and it was there once");
        assert!(!wrong(by_pop3, |_| (), &[5], &[]).is_empty());
    }

    #[test]
    fn a_move_does_all_of_it_or_nothing() {
        let none = Copies::default();
        let moved = |told: bool| move |all: &mut [Told; 2]| read(all, |message| message.moved.tried(told));
        let archived = Copies { archived: 1, ..none };
        assert!(wrong(archived, moved(true), &[], &[1]).is_empty());
        assert!(!wrong(archived, moved(true), &[5], &[1]).is_empty(), "it was not taken away");
        assert!(wrong(none, moved(false), &[5], &[]).is_empty());
        assert!(wrong(none, moved(false), &[], &[1]).is_empty());
        assert!(!wrong(none, moved(false), &[], &[]).is_empty(), "it is nowhere");
        assert!(!wrong(none, moved(false), &[5], &[1]).is_empty(), "it is in both");
    }

    #[test]
    fn a_copy_is_there_when_somebody_was_told_so() {
        let perhaps = Copies { perhaps_archived: 1, ..Copies::default() };
        assert!(wrong(perhaps, |_| (), &[5], &[1]).is_empty());
        assert!(wrong(perhaps, |_| (), &[5], &[]).is_empty());
        assert!(!wrong(perhaps, |_| (), &[5], &[1, 2]).is_empty());
        let copied = |all: &mut [Told; 2]| all[1].is(1, (LETTER, stamp())).expect("nothing was told before");
        let told = Copies { archived: 1, ..Copies::default() };
        assert!(wrong(told, copied, &[5], &[1]).is_empty());
        assert!(!wrong(told, copied, &[5], &[]).is_empty(), "it is lost");
    }
}
