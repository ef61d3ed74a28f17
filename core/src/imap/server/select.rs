//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3, RFC 7162 §3.2.5), and the ways out of a mailbox.
//!
//! ```text
//!  Begin ──► Asked ──► over
//!              │ the client was here before     ┌───── the next page ◄─────┐
//!              └──────────────────────► Resync ─┴► Vanish, of the first ───┴─► over
//!                                     a page of changes
//! ```

use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::reply::Completion;
use super::sync::{learn_keywords, permanent_flags};
use super::task::{Cx, Progress};
use super::terms::{object_id, uids};
use super::vanished::{Vanishing, matched};
use super::view::{Manner, View};
use super::{Action, capability};
use crate::imap::encode::{self, Condition, ListEntry};
use crate::imap::types::{self, Code, Qresync};
use crate::mailbox::{Change, MailboxName, ModSeq, Request, Response, Selected, UidSet};
use crate::mark;
use crate::outbox::Outbox;

/// SELECT or EXAMINE under way.
#[derive(Debug)]
pub(super) struct Selecting {
    name: types::MailboxName,
    /// As the client has written it, if that is different.
    said: Option<types::MailboxName>,
    stored: MailboxName,
    read_only: bool,
    qresync: Option<Qresync>,
    stage: Stage,
    /// What the client knows, of what it says that it knows.
    known: UidSet,
    /// Up to this UID it knows what is gone.
    matched: u32,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Asked,
    /// What has changed since the client was here is asked for behind this message.
    Resync {
        since: ModSeq,
        after: Option<(ModSeq, u32)>,
        asked: bool,
    },
    /// What is gone is told, before the first page of changes is; and behind which message the next page begins.
    Vanish {
        since: ModSeq,
        vanishing: Vanishing,
        changes: Vec<Change>,
        next: Option<(ModSeq, u32)>,
    },
}

impl Selecting {
    pub(super) fn new(
        name: types::MailboxName,
        stored: MailboxName,
        read_only: bool,
        qresync: Option<Qresync>,
    ) -> Self {
        let (stage, known) = (Stage::Begin, UidSet::default());
        let said = name.said();
        Self { name: name.detached(), said, stored, read_only, qresync, stage, known, matched: 0 }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        match &mut self.stage {
            Stage::Begin => {
                if cx.view.is_some() {
                    close(cx);
                    closed(cx.tx);
                }
                self.stage = Stage::Asked;
                Progress::Ask(Request::Select { name: self.stored.clone(), peek: self.read_only })
            }
            Stage::Asked => match answer {
                Some(Response::Selected(selected)) => self.selected(selected, cx),
                Some(Response::NoMailbox) => Progress::Done(Completion::nonexistent()),
                _ => Progress::Done(Completion::unavailable(false)),
            },
            Stage::Resync { .. } => self.resync(cx, answer),
            Stage::Vanish { .. } => self.vanish(cx),
        }
    }

    fn selected(&mut self, selected: Selected, cx: &mut Cx<'_>) -> Progress {
        let (counters, first_unseen, id) = (selected.counters, selected.first_unseen, selected.mailbox);
        let view = View::new(self.name.clone(), self.read_only, selected);
        let rev2 = cx.enabled.imap4rev2;
        let tx = &mut *cx.tx;
        encode::mailbox_flags(tx, &view.names.all());
        encode::exists(tx, view.exists());
        if !rev2 {
            encode::recent(tx, view.recent());
        }
        let unseen = first_unseen.and_then(|uid| view.uids.sequence(uid)).and_then(NonZeroU32::new);
        if let (Some(first), false) = (unseen, rev2) {
            encode::untagged(tx, Condition::Ok, Some(&Code::Unseen(first)), "First unseen");
        }
        if let Some(value) = NonZeroU32::new(counters.uid_validity) {
            encode::untagged(tx, Condition::Ok, Some(&Code::UidValidity(value)), "UIDs valid");
        }
        if let Some(next) = NonZeroU32::new(counters.uid_next) {
            encode::untagged(tx, Condition::Ok, Some(&Code::UidNext(next)), "Predicted next UID");
        }
        permanent_flags(&view, tx);
        if capability::offers(cx.config, "CONDSTORE") {
            super::reply::highest(counters.highest_modseq, tx);
        }
        if capability::offers(cx.config, "OBJECTID") {
            encode::untagged(tx, Condition::Ok, Some(&Code::MailboxId(object_id(b'F', id.0))), "Ok");
        }
        if rev2 {
            let delimiter = Some(MailboxName::DELIMITER);
            let old_name = self.said.as_ref();
            let entry = ListEntry { attributes: &[], delimiter, name: &self.name, child_info: &[], old_name };
            encode::list(tx, &entry, super::task::names(cx.enabled));
        }
        cx.actions.push_back(Action::Watch { mailbox: id });
        let is_this = |known: &Qresync| known.uid_validity.get() == counters.uid_validity;
        let mut resync = self.qresync.take();
        if resync.as_ref().is_some_and(|known| !is_this(known)) {
            mark!(ImapAnotherMailbox);
            resync = None;
        }
        if let Some(resync) = resync {
            self.matched = matched(&resync, &view.uids);
            let known = resync.known_uids.and_then(|set| set.resolve(u32::MAX));
            self.known = known.map_or_else(|| UidSet::run(1, counters.uid_next.saturating_sub(1)), |set| uids(&set));
            self.stage = Stage::Resync { since: resync.modseq.value(), after: None, asked: false };
        }
        *cx.view = Some(view);
        match self.stage {
            Stage::Resync { .. } => Progress::Again,
            _ => Progress::Done(self.over()),
        }
    }

    /// Learns what has happened since the client was here last, page by page.
    fn resync(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let (Stage::Resync { since, after, asked }, Some(view)) = (&mut self.stage, &mut *cx.view) else {
            return Progress::Done(self.over());
        };
        if !*asked {
            if cx.tx.is_full() {
                return Progress::Full;
            }
            *asked = true;
            return Progress::Ask(Request::Changes {
                mailbox: view.mailbox,
                since: *since,
                after: *after,
                claim: false,
            });
        }
        let Some(Response::Changes { changes, more, gone, keywords, .. }) = answer else {
            // The mailbox is open; but what the client has missed it would never learn if it took this for an OK.
            mark!(ImapResyncUnavailable);
            close(cx);
            return Progress::Done(Completion::unavailable(false));
        };
        learn_keywords(view, &keywords, cx.tx);
        let next = changes.last().filter(|_| more).map(|last| (last.modseq, last.uid));
        let since = *since;
        if after.is_some() {
            return self.changed(&changes, since, next, cx);
        }
        let mut knows = self.known.clone();
        knows.remove(&UidSet::run(1, self.matched));
        let vanishing = Vanishing::earlier(gone, knows, &view.uids);
        self.stage = Stage::Vanish { since, vanishing, changes, next };
        Progress::Again
    }

    /// Tells what is gone, then what has changed: numbers are those of what is left (RFC 7162 §3.2.6).
    fn vanish(&mut self, cx: &mut Cx<'_>) -> Progress {
        let Stage::Vanish { since, vanishing, changes, next } = &mut self.stage else {
            return Progress::Done(self.over());
        };
        if cx.tx.is_full() {
            return Progress::Full;
        }
        if !vanishing.turn(cx.tx) {
            return Progress::Again;
        }
        let (since, changes, next) = (*since, core::mem::take(changes), *next);
        self.changed(&changes, since, next, cx)
    }

    /// Tells a page of changes.
    fn changed(&mut self, changes: &[Change], since: ModSeq, next: Option<(ModSeq, u32)>, cx: &mut Cx<'_>) -> Progress {
        let manner = Manner::of(cx.enabled, true);
        for change in changes.iter().filter(|change| self.known.contains(change.uid)) {
            if let Some(view) = cx.view {
                view.tell(change, manner, cx.tx);
            }
        }
        if next.is_none() {
            return Progress::Done(self.over());
        }
        self.stage = Stage::Resync { since, after: next, asked: false };
        Progress::Again
    }

    fn over(&self) -> Completion {
        Completion::ok(if self.read_only { Code::ReadOnly } else { Code::ReadWrite })
    }
}

/// The mailbox is selected no more.
pub(super) fn close(cx: &mut Cx<'_>) {
    if let Some(view) = cx.view.take() {
        cx.actions.push_back(Action::Unwatch { mailbox: view.mailbox });
    }
}

/// What follows is of the mailbox that is opened now. It is said whether a client knows of it or not (RFC 7162 §3.2.11).
pub(super) fn closed(tx: &mut Outbox) {
    encode::untagged(tx, Condition::Ok, Some(&Code::Closed), "Previous mailbox closed");
}
