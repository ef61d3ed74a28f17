//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8, RFC 6851): one change, all of it or nothing.

use core::num::NonZeroU32;

use super::reply::Completion;
use super::task::{Cx, Progress};
use super::view::modseq;
use crate::imap::encode::{self, Condition};
use crate::imap::types::Code;
use crate::mailbox::{MailboxName, Request, Response, UidSet};
use crate::mark;

/// Messages are being filed elsewhere.
#[derive(Debug)]
pub(super) struct Copying {
    uids: UidSet,
    to: MailboxName,
    remove: bool,
    asked: bool,
}

impl Copying {
    pub(super) fn new(uids: UidSet, to: MailboxName, remove: bool) -> Self {
        Self { uids, to, remove, asked: false }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let Some(view) = cx.view else { return Progress::Done(Completion::OK) };
        if !self.asked {
            self.asked = true;
            if self.uids.is_empty() {
                return Progress::Ask(Request::Find { name: self.to.clone() });
            }
            let uids = core::mem::take(&mut self.uids);
            let to = self.to.clone();
            return Progress::Ask(Request::Copy { mailbox: view.mailbox, uids, to, remove: self.remove });
        }
        Progress::Done(match answer {
            // Nothing was to be copied, and there is somewhere to copy it.
            Some(Response::Done) => Completion::OK,
            Some(Response::Copied { uid_validity, uids, at }) => {
                let from: UidSet = uids.iter().map(|(from, _)| *from).collect();
                match self.remove && !from.is_empty() {
                    true => {
                        view.expunged(&from);
                        view.own_change(at);
                    }
                    false => view.hear(at),
                }
                if view.name.as_str() == self.to.as_str() {
                    view.look_again();
                }
                let to = uids.iter().map(|(_, to)| *to).collect();
                let Some(uid_validity) = NonZeroU32::new(uid_validity).filter(|_| !uids.is_empty()) else {
                    return Progress::Done(Completion::OK);
                };
                let code = Code::CopyUid { uid_validity, from: super::terms::numbers(&from), to };
                if !self.remove {
                    return Progress::Done(Completion::ok(code));
                }
                // Before the EXPUNGEs: behind them the numbers would mean nothing (RFC 6851 §4.3).
                encode::untagged(cx.tx, Condition::Ok, Some(&code), "Moved");
                match cx.enabled.condstore {
                    true => Completion::ok(Code::HighestModseq(modseq(view.modseq))),
                    false => Completion::OK,
                }
            }
            Some(Response::NoMailbox) => {
                view.look_again();
                Completion::try_create()
            }
            Some(Response::TooMany) => mark!(ImapCopyTooMany, Completion::too_many("Too many messages")),
            Some(Response::Unavailable { full }) => Completion::unavailable(full),
            _ => Completion::unavailable(false),
        })
    }
}
