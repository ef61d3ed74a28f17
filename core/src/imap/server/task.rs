//! A command under way, as a value: what it needs of the session, and what it says after each turn.

use alloc::collections::VecDeque;

use bytes::BytesMut;

use super::append::Append;
use super::copy::Copying;
use super::expunge::Expunging;
use super::fetch::Fetching;
use super::idle::Idle;
use super::mailboxes::{Changing, Listing};
use super::reply::Completion;
use super::search::Searching;
use super::select::Selecting;
use super::store::Storing;
use super::view::View;
use super::{Action, Config};
use crate::imap::reader::Reader;
use crate::imap::types::{Enabled, Names, Tag};
use crate::mailbox::{Request, Response};
use crate::mark;
use crate::outbox::Outbox;
use crate::sasl;
use crate::ticket::Tickets;
use crate::time::{Mono, Now};

/// The session, as far as a command under way sees it.
pub(super) struct Cx<'a> {
    pub(super) now: Now,
    /// The tag of the command.
    pub(super) tag: Tag,
    pub(super) config: &'a Config,
    pub(super) enabled: Enabled,
    pub(super) view: &'a mut Option<View>,
    pub(super) reader: &'a mut Reader,
    pub(super) tickets: &'a mut Tickets,
    pub(super) actions: &'a mut VecDeque<Action>,
    pub(super) rx: &'a mut BytesMut,
    pub(super) tx: &'a mut Outbox,
}

impl Cx<'_> {
    /// How this client writes names.
    pub(super) fn names(&self) -> Names {
        names(self.enabled)
    }
}

pub(super) fn names(enabled: Enabled) -> Names {
    if enabled.utf8_accept || enabled.imap4rev2 { Names::Utf8 } else { Names::Utf7 }
}

/// What comes of a turn.
#[derive(Debug)]
pub(super) enum Progress {
    /// This is to be asked; the next turn has the answer.
    Ask(Request),
    /// Go on.
    Again,
    /// Go on when others have had their turn.
    Later,
    /// Nothing goes on until there is room in `tx`.
    Full,
    /// Nothing goes on until the peer has said more, for which it has until then, or for as long as it may be idle.
    Peer { until: Option<Mono> },
    /// Nothing goes on until the host has answered about a chunk, for which it has until then; while it may still take
    /// another one, we read.
    Chunks { until: Mono, read: bool },
    /// A change was not confirmed.
    Unconfirmed,
    /// What is half written cannot be ended.
    Broken,
    /// The view is up to date.
    Synced,
    /// The command is over.
    Done(Completion),
}

/// A command under way.
#[derive(Debug)]
pub(super) enum Task {
    /// The host is asked about credentials.
    Login,
    /// AUTHENTICATE: the client's next line is due.
    Sasl(sasl::Exchange),
    Listing(Listing),
    Changing(Changing),
    Selecting(Selecting),
    Fetching(alloc::boxed::Box<Fetching>),
    Storing(Storing),
    Searching(alloc::boxed::Box<Searching>),
    Copying(Copying),
    Expunging(Expunging),
    Append(Append),
    Idle(Idle),
    /// Nothing but what ends every command.
    Over(Completion),
}

impl Task {
    /// Goes one step further. `answer` is there when the turn before has asked.
    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        match self {
            Self::Listing(task) => task.turn(cx, answer),
            Self::Changing(task) => task.turn(cx, answer),
            Self::Selecting(task) => task.turn(cx, answer),
            Self::Fetching(task) => task.turn(cx, answer),
            Self::Storing(task) => task.turn(cx, answer),
            Self::Searching(task) => task.turn(cx, answer),
            Self::Copying(task) => task.turn(cx, answer),
            Self::Expunging(task) => task.turn(cx, answer),
            Self::Append(task) => task.turn(cx, answer),
            Self::Idle(task) => task.turn(cx, answer),
            Self::Over(completion) => Progress::Done(completion.clone()),
            // Those are the session's own.
            Self::Login | Self::Sasl(_) => Progress::Done(Completion::unavailable(false)),
        }
    }

    /// The host could not answer the question that was asked. `None`: what is half written cannot be ended.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, full: bool) -> Option<Completion> {
        match self {
            Self::Fetching(task) => task.fail(cx).then(|| Completion::unavailable(full)),
            // A SELECT that fails leaves nothing selected (RFC 9051 §6.3.2).
            Self::Selecting(_) => {
                mark!(ImapSelectUnavailable);
                super::select::close(cx);
                Some(Completion::unavailable(full))
            }
            Self::Append(task) => Some(task.fail(cx, full)),
            Self::Searching(task) => {
                cx.view.as_mut().into_iter().for_each(|view| task.fail(view));
                Some(Completion::unavailable(full))
            }
            _ => Some(Completion::unavailable(full)),
        }
    }
}
