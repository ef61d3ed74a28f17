//! APPEND (RFC 9051 §6.3.12, RFC 3502): messages are passed on as they come, and filed at the end, all of them or none.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use bytes::Bytes;

use super::mailboxes::Renamed;
use super::reply::Completion;
use super::task::{Cx, Progress};
use super::terms::{flags, numbers};
use super::{Action, ChunkAnswer};
use crate::imap::encode;
use crate::imap::reader::Input;
use crate::imap::types::{AppendMessage, Code};
use crate::mailbox::{self, MailboxName, Request, Response};
use crate::time::Mono;

/// An APPEND under way.
#[derive(Debug)]
pub(super) struct Append {
    to: MailboxName,
    /// What is told of its name.
    renamed: Option<Box<Renamed>>,
    messages: Vec<mailbox::Append>,
    /// A message whose announcement is still to be answered.
    announced: Option<AppendMessage>,
    /// Octets of the last message that are still to come.
    left: u64,
    /// Chunks that wait for their answers.
    chunks: VecDeque<(u64, Mono)>,
    /// The host holds something of it.
    held: bool,
    /// How it was refused.
    refused: Option<Completion>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Octets,
    Ended,
    Asked,
}

impl Append {
    pub(super) fn new(renamed: Option<Box<Renamed>>, to: MailboxName, message: AppendMessage) -> Self {
        Self {
            to,
            renamed,
            messages: Vec::new(),
            announced: Some(message),
            left: 0,
            chunks: VecDeque::new(),
            held: false,
            refused: None,
            stage: Stage::Octets,
        }
    }

    /// The host is to be told that it is given up.
    pub(super) fn is_held(&self) -> bool {
        self.held && self.stage != Stage::Asked
    }

    pub(super) fn answer(&mut self, serial: u64, answer: ChunkAnswer) {
        let Some(at) = self.chunks.iter().position(|(asked, _)| *asked == serial) else { return };
        self.chunks.remove(at);
        let refused = match answer {
            ChunkAnswer::Taken => return,
            ChunkAnswer::TooMany => Completion::too_many("Too many large messages at once"),
            ChunkAnswer::Full | ChunkAnswer::Unavailable => Completion::unavailable(answer == ChunkAnswer::Full),
        };
        self.refused.get_or_insert(refused);
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if self.stage == Stage::Asked {
            return Progress::Done(self.filed(cx, answer));
        }
        if let Some(message) = self.announced.take() {
            self.decide(message, cx);
        }
        if let Some(refused) = self.refused.take() {
            cx.reader.refuse();
            return Progress::Done(self.give_up(refused, cx));
        }
        let until = self.chunks.front().map(|(_, at)| at.after(cx.config.limits.session.commit_timeout));
        if until.is_some_and(|until| cx.now.mono >= until) {
            return Progress::Unconfirmed;
        }
        if self.stage == Stage::Ended {
            if let Some(until) = until {
                return Progress::Chunks { until, read: false };
            }
            (self.stage, self.held) = (Stage::Asked, false);
            let messages = core::mem::take(&mut self.messages);
            return Progress::Ask(Request::Append { to: self.to.clone(), messages });
        }
        if let Some(until) = until.filter(|_| self.chunks.len() >= cx.config.limits.session.window.max(1)) {
            return Progress::Chunks { until, read: false };
        }
        if cx.tx.is_full() {
            return Progress::Full;
        }
        match cx.reader.next(cx.rx, cx.config.limits.session.chunk.max(1)) {
            Some(Input::Octets(octets)) => self.octets(octets, cx),
            Some(Input::Message(message)) => self.announced = Some(message),
            Some(Input::End) => self.stage = Stage::Ended,
            Some(Input::Bad(_)) => {
                return Progress::Done(self.give_up(Completion::bad("Expected a message or the end"), cx));
            }
            Some(_) => {}
            None => {
                return match until {
                    Some(until) => Progress::Chunks { until, read: true },
                    None => Progress::Peer,
                };
            }
        }
        Progress::Again
    }

    /// Whether a message may come.
    fn decide(&mut self, message: AppendMessage, cx: &mut Cx<'_>) {
        self.refused = match flags(&message.flags) {
            _ if message.literal.len > cx.config.message_size => {
                Some(Completion::no(Code::TooBig, "The message is larger than APPENDLIMIT"))
            }
            _ if message.literal.len == 0 => Some(Completion::no(Code::Cannot, "There is nothing in the message")),
            None => Some(Completion::too_many("A keyword is too long")),
            Some((flags, keywords)) => {
                let received = message.date.map(crate::imap::types::DateTime::wall);
                self.messages.push(mailbox::Append { flags, keywords, received });
                None
            }
        };
        if self.refused.is_none() {
            self.left = message.literal.len;
            if cx.reader.accept() {
                encode::continuation(cx.tx, "Go on");
            }
        }
    }

    fn octets(&mut self, bytes: Bytes, cx: &mut Cx<'_>) {
        if memchr::memchr(0, &bytes).is_some() {
            self.refused = Some(Completion::no(Code::UnknownCte, "There is a NUL in the message"));
            return;
        }
        self.left = self.left.saturating_sub(bytes.len() as u64);
        let (ticket, serial) = cx.tickets.issue();
        self.chunks.push_back((serial, cx.now.mono));
        self.held = true;
        let message = self.messages.len().saturating_sub(1);
        cx.actions.push_back(Action::Chunk { ticket, message, bytes, last: self.left == 0 });
    }

    fn give_up(&mut self, completion: Completion, cx: &mut Cx<'_>) -> Completion {
        if core::mem::take(&mut self.held) {
            cx.actions.push_back(Action::Discard);
        }
        completion
    }

    fn filed(&self, cx: &mut Cx<'_>, answer: Option<Response>) -> Completion {
        match answer {
            Some(Response::Appended { uid_validity, uids }) => {
                if let Some(view) = cx.view.as_mut().filter(|view| view.name.as_str() == self.to.as_str()) {
                    view.look_again();
                }
                if let Some(renamed) = &self.renamed {
                    renamed.tell(cx);
                }
                match NonZeroU32::new(uid_validity).filter(|_| !uids.is_empty()) {
                    Some(uid_validity) => Completion::ok(Code::AppendUid { uid_validity, uids: numbers(&uids) }),
                    None => Completion::OK,
                }
            }
            Some(Response::NoMailbox) => Completion::try_create(),
            Some(Response::TooMany) => Completion::too_many("Too many messages or keywords"),
            Some(Response::Unavailable { full }) => Completion::unavailable(full),
            _ => Completion::unavailable(false),
        }
    }
}
