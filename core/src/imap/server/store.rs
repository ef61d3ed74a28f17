//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3): page by page; what is told comes from the answers.

use super::reply::Completion;
use super::sync::learn_keywords;
use super::task::{Cx, Progress};
use super::terms::numbers;
use super::view::Manner;
use crate::imap::types::Code;
use crate::mailbox::{FlagChange, ModSeq, PAGE, Request, Response, UidSet};
use crate::mark;

/// A STORE under way.
#[derive(Debug)]
pub(super) struct Storing {
    uid: bool,
    left: UidSet,
    change: FlagChange,
    unchanged_since: Option<ModSeq>,
    silent: bool,
    asked: bool,
    /// Messages that were left alone because of `unchanged_since`.
    modified: UidSet,
}

impl Storing {
    pub(super) fn new(
        uid: bool,
        left: UidSet,
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
        silent: bool,
    ) -> Self {
        Self { uid, left, change, unchanged_since, silent, asked: false, modified: UidSet::default() }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let Some(view) = cx.view else { return Progress::Done(Completion::OK) };
        if !self.asked {
            if self.left.is_empty() {
                return Progress::Done(self.over(cx));
            }
            if cx.tx.is_full() {
                return Progress::Full;
            }
            self.asked = true;
            return Progress::Ask(Request::Flag {
                mailbox: view.mailbox,
                uids: self.left.page(PAGE),
                change: self.change.clone(),
                unchanged_since: self.unchanged_since,
            });
        }
        self.asked = false;
        match answer {
            Some(Response::Flagged { changed, modified, keywords, at, new }) => {
                learn_keywords(view, &keywords, cx.tx);
                let manner = Manner { flags: !self.silent, ..Manner::of(cx.enabled, self.uid) };
                for change in changed.iter().filter(|_| manner.flags || manner.modseq) {
                    view.tell(change, manner, cx.tx);
                }
                match new {
                    true => view.own_change(at),
                    false => view.hear(at),
                }
                for (first, last) in modified.runs() {
                    self.modified.insert(first, last);
                }
                Progress::Again
            }
            Some(Response::NoMailbox) => {
                view.lose();
                Progress::Done(Completion::nonexistent())
            }
            Some(Response::TooMany) => {
                mark!(ImapTooManyKeywords, Progress::Done(Completion::too_many("Too many keywords in this mailbox")))
            }
            Some(Response::Unavailable { full }) => Progress::Done(Completion::unavailable(full)),
            _ => Progress::Done(Completion::unavailable(false)),
        }
    }

    fn over(&self, cx: &Cx<'_>) -> Completion {
        let Some(view) = cx.view.as_ref().filter(|_| !self.modified.is_empty()) else { return Completion::OK };
        let modified = if self.uid { numbers(&self.modified) } else { view.sequences(&self.modified) };
        mark!(ImapModified, Completion::ok(Code::Modified(modified)))
    }
}
