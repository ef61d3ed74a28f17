//! EXPUNGE, UID EXPUNGE and CLOSE (RFC 9051 §6.4.2, §6.4.3, RFC 4315): page by page.

use super::reply::Completion;
use super::task::{Cx, Progress};
use crate::imap::types::Code;
use crate::mailbox::{Request, Response, UidSet};

/// Messages that have `\Deleted` are being removed.
#[derive(Debug)]
pub(super) struct Expunging {
    /// Only of these.
    uids: Option<UidSet>,
    /// CLOSE: nothing is told, and the mailbox is selected no more.
    close: bool,
    asked: bool,
    /// The latest change of ours.
    modseq: Option<u64>,
}

impl Expunging {
    pub(super) fn new(uids: Option<UidSet>, close: bool) -> Self {
        Self { uids, close, asked: false, modseq: None }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let Some(view) = cx.view else { return Progress::Done(Completion::OK) };
        if !self.asked {
            self.asked = true;
            return Progress::Ask(Request::Expunge { mailbox: view.mailbox, uids: self.uids.clone() });
        }
        match answer {
            Some(Response::Expunged { uids, more, at }) => {
                if !uids.is_empty() {
                    view.expunged(&uids);
                    view.own_change(at);
                    self.modseq = Some(view.modseq);
                }
                view.hear(at);
                self.asked = !more;
                if more { Progress::Again } else { Progress::Done(self.over(cx)) }
            }
            Some(Response::NoMailbox) => {
                view.lose();
                Progress::Done(if self.close { self.over(cx) } else { Completion::nonexistent() })
            }
            _ => Progress::Done(Completion::unavailable(false)),
        }
    }

    fn over(&self, cx: &mut Cx<'_>) -> Completion {
        if self.close {
            super::select::close(cx);
            return Completion::OK;
        }
        match self.modseq.filter(|_| cx.enabled.qresync) {
            Some(modseq) => Completion::ok(Code::HighestModseq(super::view::modseq(modseq))),
            None => Completion::OK,
        }
    }
}
