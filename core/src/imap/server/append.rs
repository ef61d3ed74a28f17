//! APPEND (RFC 9051 §6.3.12, RFC 3502): messages are passed on as they come, and filed at the end, all of them or none.
//!
//! Whether there is a mailbox to file them in is known at the end, too. A client that waits for a word before it sends a
//! message is asked for it only if there is one by then.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use bytes::Bytes;

use super::capability::offers;
use super::mailboxes::Renamed;
use super::reply::Completion;
use super::task::{Cx, Progress};
use super::terms::{flags, numbers};
use super::{Action, ChunkAnswer};
use crate::imap::encode;
use crate::imap::reader::Input;
use crate::imap::types::{AppendMessage, Code, LiteralMode};
use crate::mailbox::{self, MailboxName, Request, Response};
use crate::mark;
use crate::message::HeaderEnd;
use crate::pace::Pace;
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
    /// There was such a mailbox when it was looked for.
    found: bool,
    /// Where the header of the last message ends, while that must be known.
    header: Option<HeaderEnd>,
    /// Octets of the last message that are still to come.
    left: u64,
    /// How fast they come.
    pace: Pace,
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
    /// The mailbox is looked for, before a message is asked for.
    Finding,
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
            found: false,
            header: None,
            left: 0,
            pace: Pace::default(),
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
            ChunkAnswer::TooMany => {
                mark!(ImapTooManyStages, Completion::too_many("Too many large messages at once"))
            }
            ChunkAnswer::Full | ChunkAnswer::Unavailable => Completion::unavailable(answer == ChunkAnswer::Full),
        };
        self.refused.get_or_insert(refused);
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        match self.stage {
            Stage::Asked => return Progress::Done(self.filed(cx, answer)),
            Stage::Finding => {
                (self.stage, self.found) = (Stage::Octets, true);
                self.refused = match answer {
                    Some(Response::Done) => None,
                    Some(Response::NoMailbox) => Some(Completion::try_create()),
                    _ => Some(Completion::unavailable(false)),
                };
            }
            Stage::Octets | Stage::Ended => {}
        }
        let until = self.chunks.front().map(|(_, at)| at.after(cx.config.limits.session.commit_timeout));
        if until.is_some_and(|until| cx.now.mono >= until) {
            return Progress::Unconfirmed;
        }
        if let (Some(message), None) = (&self.announced, &self.refused) {
            self.refused = refusal(message, cx);
        }
        let must_find = self.announced.as_ref().is_some_and(|message| !self.found && waits(message));
        // What is asked or said next is asked or said when the host has answered about all that it was given.
        if let Some(until) = until.filter(|_| self.refused.is_some() || must_find || self.stage == Stage::Ended) {
            return Progress::Chunks { until, read: false };
        }
        if let Some(refused) = self.refused.take() {
            cx.reader.refuse();
            return Progress::Done(self.give_up(refused, cx));
        }
        if must_find {
            self.stage = Stage::Finding;
            return Progress::Ask(Request::Find { name: self.to.clone() });
        }
        if let Some(message) = self.announced.take() {
            self.accept(message, cx);
        }
        if self.stage == Stage::Ended {
            (self.stage, self.held) = (Stage::Asked, false);
            let messages = core::mem::take(&mut self.messages);
            return Progress::Ask(Request::Append { to: self.to.clone(), messages });
        }
        if let Some(until) = until.filter(|_| self.chunks.len() >= cx.config.limits.session.window.max(1)) {
            mark!(ImapWindowFull);
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
                self.refused = Some(mark!(ImapAppendSyntax, Completion::bad("Expected a message or the end")));
            }
            Some(_) => {}
            None => {
                let limits = &cx.config.limits;
                let (since, patience) = self.pace.wait(cx.now.mono, limits.data_grace, limits.data_rate);
                return match until {
                    Some(until) => Progress::Chunks { until, read: true },
                    None => Progress::Peer { until: Some(since.after(patience)) },
                };
            }
        }
        Progress::Again
    }

    /// The host could not say whether there is such a mailbox, or could not file the messages.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, full: bool) -> Completion {
        cx.reader.refuse();
        self.give_up(Completion::unavailable(full), cx)
    }

    /// A message that is not refused may come.
    fn accept(&mut self, message: AppendMessage, cx: &mut Cx<'_>) {
        let Some((flags, keywords)) = flags(&message.flags) else { return };
        let received = message.date.map(crate::imap::types::DateTime::wall);
        self.messages.push(mailbox::Append { flags, keywords, received });
        self.left = message.literal.len;
        let enabled = cx.enabled.utf8_accept || cx.enabled.imap4rev2;
        self.header = (!enabled && offers(cx.config, "UTF8=ACCEPT")).then(HeaderEnd::default);
        if cx.reader.accept() {
            encode::continuation(cx.tx, "Go on");
        }
    }

    fn octets(&mut self, mut bytes: Bytes, cx: &mut Cx<'_>) {
        self.pace.moved(bytes.len() as u64, cx.now.mono);
        let in_header = self.header_octets(&bytes);
        if let Some(at) = memchr::memchr(0, &bytes) {
            bytes.truncate(at);
            mark!(ImapNul);
            self.refused = Some(Completion::no(Code::UnknownCte, "There is a NUL in the message"));
        }
        if let Some(at) = bytes.iter().take(in_header).position(|octet| !octet.is_ascii()) {
            bytes.truncate(at);
            let words = "The header has octets beyond ASCII: ENABLE UTF8=ACCEPT first";
            mark!(ImapHeaderNotAscii);
            self.refused = Some(Completion::no(Code::Cannot, words));
        }
        if bytes.is_empty() {
            return;
        }
        self.left = self.left.saturating_sub(bytes.len() as u64);
        let (ticket, serial) = cx.tickets.issue();
        self.chunks.push_back((serial, cx.now.mono));
        self.held = true;
        let message = self.messages.len().saturating_sub(1);
        cx.actions.push_back(Action::Chunk { ticket, message, bytes, last: self.left == 0 });
    }

    /// How many of these octets are of a header in which only ASCII may stand.
    fn header_octets(&mut self, bytes: &Bytes) -> usize {
        let Some(header) = &mut self.header else { return 0 };
        let before = header.seen();
        header.feed(bytes);
        let Some(end) = header.end() else { return bytes.len() };
        self.header = None;
        usize::try_from(end.saturating_sub(before)).unwrap_or(usize::MAX)
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
            Some(Response::TooMany) => mark!(ImapAppendTooMany, Completion::too_many("Too many messages or keywords")),
            Some(Response::Unavailable { full }) => Completion::unavailable(full),
            _ => Completion::unavailable(false),
        }
    }
}

/// The client waits to hear that the message may come.
fn waits(message: &AppendMessage) -> bool {
    message.literal.mode == LiteralMode::Synchronizing
}

/// Why a message may not come.
fn refusal(message: &AppendMessage, cx: &Cx<'_>) -> Option<Completion> {
    match message.literal.len {
        len if len > cx.config.message_size => {
            Some(mark!(ImapMessageTooBig, Completion::no(Code::TooBig, "The message is larger than APPENDLIMIT")))
        }
        0 => Some(mark!(ImapMessageEmpty, Completion::no(Code::Cannot, "There is nothing in the message"))),
        _ if flags(&message.flags).is_none() => {
            Some(mark!(ImapKeywordTooLong, Completion::too_many("A keyword is too long")))
        }
        _ => None,
    }
}
