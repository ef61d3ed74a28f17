//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3, RFC 7162 §3.2.5), and the ways out of a mailbox.

use core::num::NonZeroU32;

use super::reply::Completion;
use super::sync::{learn_keywords, permanent_flags};
use super::task::{Cx, Progress};
use super::terms::{numbers, object_id, uids};
use super::view::{Manner, View, modseq};
use super::{Action, capability};
use crate::imap::encode::{self, Condition, ListEntry};
use crate::imap::types::{self, Code, Qresync};
use crate::mailbox::{Gone, MailboxName, ModSeq, Request, Response, Selected, UidSet};

/// SELECT or EXAMINE under way.
#[derive(Debug)]
pub(super) struct Selecting {
    name: types::MailboxName,
    stored: MailboxName,
    read_only: bool,
    qresync: Option<Qresync>,
    stage: Stage,
    /// What the client knows, of what it says that it knows.
    known: UidSet,
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
}

impl Selecting {
    pub(super) fn new(
        name: types::MailboxName,
        stored: MailboxName,
        read_only: bool,
        qresync: Option<Qresync>,
    ) -> Self {
        Self { name: name.detached(), stored, read_only, qresync, stage: Stage::Begin, known: UidSet::default() }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        match &mut self.stage {
            Stage::Begin => {
                if cx.view.is_some() {
                    close(cx);
                    if cx.enabled.qresync || cx.enabled.imap4rev2 {
                        encode::untagged(cx.tx, Condition::Ok, Some(&Code::Closed), "Previous mailbox closed");
                    }
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
            let highest = Code::HighestModseq(modseq(counters.highest_modseq));
            encode::untagged(tx, Condition::Ok, Some(&highest), "Highest");
        }
        if capability::offers(cx.config, "OBJECTID") {
            encode::untagged(tx, Condition::Ok, Some(&Code::MailboxId(object_id(b'F', id.0))), "Ok");
        }
        if rev2 {
            let delimiter = Some(MailboxName::DELIMITER);
            let entry =
                ListEntry { attributes: &[], delimiter, name: &self.name, subscribed_child: false, old_name: None };
            encode::list(tx, &entry, super::task::names(cx.enabled));
        }
        cx.actions.push_back(Action::Watch { mailbox: id });
        let resync = self.qresync.take().filter(|known| known.uid_validity.get() == counters.uid_validity);
        if let Some(resync) = resync {
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

    /// Tells what has happened since the client was here last: what is gone first, then flags, page by page.
    fn resync(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let (Stage::Resync { since, after, asked }, Some(view)) = (&mut self.stage, &mut *cx.view) else {
            return Progress::Done(self.over());
        };
        if !*asked {
            if cx.tx.is_full() {
                return Progress::Full;
            }
            *asked = true;
            return Progress::Ask(Request::Changes { mailbox: view.mailbox, since: *since, after: *after });
        }
        let Some(Response::Changes { changes, more, gone, keywords, .. }) = answer else {
            // The mailbox is open; what is told later is told as it would be to anybody.
            return Progress::Done(Completion::unavailable(false));
        };
        learn_keywords(view, &keywords, cx.tx);
        if after.is_none() {
            let mut vanished = match gone {
                Gone::These(gone) => gone,
                Gone::AllBut(there) => {
                    let mut gone = self.known.clone();
                    gone.remove(&there);
                    gone
                }
            }
            .intersection(&self.known);
            // What is gone since it was opened is told as any other that is.
            vanished.remove(&view.uids);
            encode::vanished(cx.tx, true, &numbers(&vanished));
        }
        for change in changes.iter().filter(|change| self.known.contains(change.uid)) {
            view.tell(change, Manner { uid: true, modseq: true, ..Manner::of(cx.enabled, true) }, cx.tx);
        }
        match changes.last().filter(|_| more) {
            Some(last) => {
                (*after, *asked) = (Some((last.modseq, last.uid)), false);
                Progress::Again
            }
            None => Progress::Done(self.over()),
        }
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
