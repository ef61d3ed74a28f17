//! What a client has been told of the mailbox that it has selected.
//!
//! Message sequence numbers mean what the client thinks they mean. So a message that is gone keeps its number until the
//! client has been told, and one that has come has none until then.

use alloc::boxed::Box;

use super::section::Bookmark;
use super::terms::FlagNames;
use crate::imap::types::{Enabled, MailboxName, Modseq, NumberSet, SequenceSet};
use crate::mailbox::{Change, ModSeq, Selected, UidSet};
use crate::mark;
use crate::ops::MailboxId;

/// The selected mailbox, as its client knows it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) mailbox: MailboxId,
    pub(super) name: MailboxName,
    pub(super) read_only: bool,
    /// All messages that have a number; also those in `gone`.
    pub(super) uids: UidSet,
    /// Messages that are gone, and of which the client is still to be told.
    pub(super) gone: UidSet,
    /// The result of the last search that was saved (RFC 5182).
    pub(super) saved: UidSet,
    pub(super) names: FlagNames,
    /// Of the part that was last taken in pieces.
    pub(super) bookmark: Option<Box<Bookmark>>,
    /// All changes up to here are in the view.
    pub(super) modseq: ModSeq,
    /// There may be changes up to here, somebody said.
    hint: ModSeq,
    /// What had been said when we asked last.
    asked: ModSeq,
    /// There may be changes.
    stale: bool,
    /// The last time we asked for changes there was no answer.
    missed: bool,
    /// The mailbox is gone.
    pub(super) lost: bool,
    recent_from: u32,
    /// All changes up to here were told when the last command was over.
    pub(super) told: ModSeq,
    /// And not all that are in the view.
    is_held_back: bool,
}

impl View {
    pub(super) fn new(name: MailboxName, read_only: bool, selected: Selected) -> Self {
        let Selected { mailbox, counters, uids, keywords, recent_from, .. } = selected;
        Self {
            mailbox,
            name,
            read_only,
            uids,
            gone: UidSet::default(),
            saved: UidSet::default(),
            names: FlagNames::new(keywords),
            bookmark: None,
            modseq: counters.highest_modseq,
            hint: counters.highest_modseq,
            asked: counters.highest_modseq,
            // Nobody has watched it while it was opened.
            stale: true,
            missed: false,
            lost: false,
            recent_from,
            told: counters.highest_modseq,
            is_held_back: false,
        }
    }

    /// Messages, as the client counts them.
    pub(super) fn exists(&self) -> u32 {
        self.uids.len()
    }

    pub(super) fn is_recent(&self, uid: u32) -> bool {
        uid >= self.recent_from
    }

    pub(super) fn recent(&self) -> u32 {
        self.uids.intersection(&self.recent_uids()).len()
    }

    /// UIDs of messages that are recent, if they are there.
    pub(super) fn recent_uids(&self) -> UidSet {
        UidSet::run(self.recent_from.max(1), u32::MAX)
    }

    /// Somebody says that the mailbox has changed.
    pub(super) fn hear(&mut self, modseq: ModSeq) {
        self.hint = self.hint.max(modseq);
    }

    /// There may be changes that the view does not show.
    pub(super) fn look_again(&mut self) {
        self.stale = true;
    }

    /// A command begins: what could not be heard before may be heard now.
    pub(super) fn retry(&mut self) {
        self.stale |= core::mem::take(&mut self.missed);
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.lost && (self.stale || self.hint > self.modseq)
    }

    /// The changes are being asked for.
    pub(super) fn asking(&mut self) {
        (self.asked, self.stale) = (self.hint, false);
    }

    /// The changes could not be learnt; without a new reason nobody asks before the next command.
    pub(super) fn miss(&mut self) {
        mark!(ImapMissedChanges);
        self.missed = true;
        self.followed();
    }

    /// All changes up to `modseq` are in the view.
    pub(super) fn in_sync(&mut self, modseq: ModSeq) {
        self.missed = false;
        self.modseq = self.modseq.max(modseq);
        self.followed();
    }

    /// It was a hint, and it has been followed, whatever came of it. One that came meanwhile is still to be.
    fn followed(&mut self) {
        if self.hint == self.asked {
            self.hint = self.modseq;
        }
    }

    /// This session has made the change of `modseq`, and knows all of it. If nobody has come between, it is known to the
    /// client as well, and is not told again.
    pub(super) fn own_change(&mut self, modseq: ModSeq) {
        if Some(modseq) == self.modseq.checked_add(1) {
            self.modseq = modseq;
        }
        self.hear(modseq);
    }

    /// A command is over. The client holds on to the mod-sequence that it returns as the one up to which it knows
    /// everything: when something is still to be told to it, that is less than the largest that it was told (RFC 7162
    /// §6). `None` when it is the largest.
    pub(super) fn settle(&mut self) -> Option<ModSeq> {
        let is_held_back = self.missed || !self.gone.is_empty();
        if !is_held_back {
            self.told = self.modseq;
        }
        let was_held_back = core::mem::replace(&mut self.is_held_back, is_held_back);
        (is_held_back || was_held_back).then_some(self.told)
    }

    /// There is no such mailbox any more: none of its messages is left.
    pub(super) fn lose(&mut self) {
        mark!(ImapMailboxLost);
        self.lost = true;
        self.gone = self.uids.clone();
    }

    /// These messages are gone; the client is told when it may be.
    pub(super) fn expunged(&mut self, uids: &UidSet) {
        for (first, last) in uids.intersection(&self.uids).runs() {
            self.gone.insert(first, last);
        }
        self.saved.remove(uids);
    }

    /// The messages that a set names; those that are not there are passed over when it is one of UIDs. `None`: it names a
    /// message number that there is not, and is no set (RFC 9051 §9, `seq-number`).
    pub(super) fn resolve(&self, set: &SequenceSet, uid: bool) -> Option<UidSet> {
        if *set == SequenceSet::Saved {
            return Some(self.saved.clone());
        }
        self.span(set, uid).map(|span| span.intersection(&self.uids))
    }

    /// UIDs of the messages that a set names, and of others that are not there: as many runs as the set has at most.
    pub(super) fn span(&self, set: &SequenceSet, uid: bool) -> Option<UidSet> {
        if uid {
            let numbers = set.resolve(self.uids.last().unwrap_or(0))?;
            return Some(super::terms::uids(&numbers));
        }
        let exists = self.exists();
        if exists == 0 && set.has_last() {
            // `1:*` of nothing is nothing, and clients say it.
            return Some(UidSet::default());
        }
        if set.largest().is_some_and(|largest| largest > exists) {
            return None;
        }
        let mut named = UidSet::default();
        for range in set.resolve(exists)?.ranges() {
            if let (Some(first), Some(last)) = (self.uids.uid(*range.start()), self.uids.uid(*range.end())) {
                named.insert(first, last);
            }
        }
        Some(named)
    }

    /// The message numbers of `uids`.
    pub(super) fn sequences(&self, uids: &UidSet) -> NumberSet {
        let mut numbers = NumberSet::new();
        for (first, last) in uids.intersection(&self.uids).runs() {
            // Within a run of UIDs that are all in the view, numbers have no holes either.
            if let (Some(first), Some(last)) = (self.uids.sequence(first), self.uids.sequence(last)) {
                numbers.insert_range(first..=last);
            }
        }
        numbers
    }

    /// `* n FETCH (FLAGS (…))` about a message whose flags have changed.
    pub(super) fn tell(&self, change: &Change, manner: Manner, tx: &mut crate::outbox::Outbox) {
        let Some(number) = self.uids.sequence(change.uid) else { return };
        let mut fetch = crate::imap::encode::FetchResponse::begin(tx, number, manner.charset);
        if manner.uid {
            fetch.uid(tx, change.uid);
        }
        if manner.modseq {
            fetch.modseq(tx, modseq(change.modseq));
        }
        if manner.flags {
            let recent = manner.recent && self.is_recent(change.uid);
            fetch.flags(tx, self.names.of(change.flags, recent));
        }
        fetch.end(tx);
    }
}

/// What is said of a message whose flags have changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) charset: crate::imap::encode::Charset,
    /// Its UID.
    pub(super) uid: bool,
    /// Its mod-sequence.
    pub(super) modseq: bool,
    /// Its flags.
    pub(super) flags: bool,
    /// `\Recent`, which IMAP4rev2 does not know.
    pub(super) recent: bool,
}

impl Manner {
    /// As this client wants it; `uid`: it speaks of UIDs.
    pub(super) fn of(enabled: Enabled, uid: bool) -> Self {
        Self {
            charset: charset(enabled),
            // RFC 7162 §3.2.4, RFC 9051 §7.5.2
            uid: uid || enabled.condstore || enabled.imap4rev2,
            modseq: enabled.condstore,
            flags: true,
            recent: !enabled.imap4rev2,
        }
    }
}

pub(super) fn charset(enabled: Enabled) -> crate::imap::encode::Charset {
    use crate::imap::encode::Charset;
    if enabled.utf8_accept || enabled.imap4rev2 { Charset::Utf8 } else { Charset::Ascii }
}

/// The mod-sequence as it is written.
pub(super) fn modseq(modseq: ModSeq) -> Modseq {
    Modseq::new(modseq).unwrap_or(Modseq::MAX)
}
