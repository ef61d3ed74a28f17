//! An IMAP session's questions, turned into store operations and answered from the store's replies.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::intake::{self, Intake};
use super::shared::Shared;
use super::{ConnId, Event, asked};
use crate::channel::Channel;
use crate::imap::server::{Action, AuthenticateAnswer, ChunkAnswer, Server};
use crate::mailbox::{ModSeq, Request, Response};
use crate::mark;
use crate::ops::{
    AccountId, AccountOp, AccountReply, Body, MailboxId, MailboxOp, NewBody, StageId, StageReply, StoreError, StoreOp,
    StoreReply,
};
use crate::session::Answer as _;
use crate::ticket::Ticket;

/// A session with a client that reads mail where it is kept.
pub(super) struct Reader {
    conn: ConnId,
    pub(super) channel: Channel<Server>,
    account: Option<AccountId>,
    /// Logins asked about. Only the answer about the last one counts: the session may have given up an earlier one.
    logins: u64,
    /// The messages of the APPEND under way, in their order.
    bodies: Vec<Intake<ChunkAnswer>>,
    /// Messages that came before them: each has a number of its own.
    over: u64,
    /// The mailbox whose changes the session is told.
    watched: Option<MailboxId>,
}

/// What a session wants to know of the store.
#[derive(Debug)]
pub(super) enum Question {
    /// Are these credentials good?
    Authenticate { ticket: Ticket<AuthenticateAnswer>, login: String, number: u64 },
    /// Something about its mailboxes, or a change of them.
    Ask { ticket: Ticket<Response>, given: Option<Box<Given>> },
    /// About the message with this number.
    Body { number: u64, question: intake::Question<ChunkAnswer> },
}

/// What an APPEND has handed to the store, taken back unless the messages are filed.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Bytes to give back to the budget in any case.
    charged: usize,
    stages: Vec<StageId>,
}

impl Reader {
    pub(super) fn new(conn: ConnId, channel: Channel<Server>) -> Self {
        Self { conn, channel, account: None, logins: 0, bodies: Vec::new(), over: 0, watched: None }
    }

    pub(super) fn act(&mut self, shared: &mut Shared, action: Action) {
        match action {
            Action::Authenticate { ticket, mechanism: _, credentials } => {
                self.account = None;
                let Some(login) = shared.login(&credentials) else {
                    return self.answer(ticket, AuthenticateAnswer::Rejected);
                };
                let op = AccountOp::Authenticate { login: login.clone(), password: credentials.password };
                self.logins += 1;
                let number = self.logins;
                self.ask(shared, Question::Authenticate { ticket, login, number }, StoreOp::Account(op));
            }
            Action::Ask { ticket, request } => self.mailbox(shared, ticket, request),
            Action::Chunk { ticket, message, bytes, last: _ } => self.chunk(shared, ticket, message, bytes),
            Action::Discard => self.discard_bodies(shared),
            Action::Watch { mailbox } => {
                self.unwatch(shared);
                self.watched = Some(mailbox);
                shared.watch(mailbox, self.conn);
            }
            Action::Unwatch { mailbox: _ } => self.unwatch(shared),
        }
    }

    /// The mailbox that the session watches has changed; `None`: it may have, nobody knows how far.
    pub(super) fn changed(&mut self, mailbox: MailboxId, modseq: Option<ModSeq>) {
        match modseq {
            Some(modseq) => self.channel.session_mut().changed(mailbox, modseq),
            None => self.channel.session_mut().missed(),
        }
    }

    /// Gives back what the session holds.
    pub(super) fn discard(&mut self, shared: &mut Shared) {
        self.discard_bodies(shared);
        self.unwatch(shared);
    }

    fn mailbox(&mut self, shared: &mut Shared, ticket: Ticket<Response>, request: Request) {
        let Some(account) = self.account else {
            return self.answer(ticket, Response::Unavailable { full: false });
        };
        let (bodies, given) = match request {
            Request::Append { .. } => match self.finish(shared) {
                Ok((bodies, given)) => (bodies, Some(Box::new(given))),
                Err(why) => return self.answer(ticket, refusal(why)),
            },
            _ => (Vec::new(), None),
        };
        let op = MailboxOp::Ask { account, request, bodies };
        self.ask(shared, Question::Ask { ticket, given }, StoreOp::Mailbox(Box::new(op)));
    }

    /// A piece of a message of an APPEND.
    fn chunk(&mut self, shared: &mut Shared, ticket: Ticket<ChunkAnswer>, message: usize, bytes: Bytes) {
        if self.bodies.len() <= message {
            let staged = self.bodies.iter().filter(|body| body.is_staged()).count();
            let crowded = staged >= shared.config.limits.staged_bodies;
            let body = || {
                if crowded {
                    mark!(NodeTooManyStages, Intake::refused(ChunkAnswer::TooMany))
                } else {
                    Intake::default()
                }
            };
            self.bodies.resize_with(message + 1, body);
        }
        let asker = asker(self.conn, self.over + message as u64);
        if let Some((ticket, verdict)) = self.bodies[message].chunk(shared, asker, ticket, bytes) {
            self.answer(ticket, verdict);
        }
    }

    /// The messages that have come, for the store; nothing of them is held here any more.
    fn finish(&mut self, shared: &mut Shared) -> Result<(Vec<NewBody>, Given), ChunkAnswer> {
        let (mut bodies, mut given, mut failed) = (Vec::new(), Given::default(), None);
        for body in self.take_bodies() {
            match body.finish(&[]) {
                Ok((new, charged)) => {
                    given.charged += charged;
                    if let Body::Staged(stage) = &new.body {
                        given.stages.push(*stage);
                    }
                    bodies.push(new);
                }
                Err(why) => failed = Some(why.unwrap_or(ChunkAnswer::Unavailable)),
            }
        }
        let Some(why) = failed else { return Ok((bodies, given)) };
        mark!(NodeAppendUnstored);
        given.take_back(shared, false);
        Err(why)
    }

    fn take_bodies(&mut self) -> Vec<Intake<ChunkAnswer>> {
        let bodies = core::mem::take(&mut self.bodies);
        self.over += bodies.len() as u64;
        bodies
    }

    fn discard_bodies(&mut self, shared: &mut Shared) {
        for body in self.take_bodies() {
            body.discard(shared);
        }
    }

    /// The message with this number, if it is still on its way.
    fn body(&mut self, number: u64) -> Option<&mut Intake<ChunkAnswer>> {
        let index = usize::try_from(number.checked_sub(self.over)?).ok()?;
        self.bodies.get_mut(index)
    }

    fn unwatch(&mut self, shared: &mut Shared) {
        if let Some(mailbox) = self.watched.take() {
            shared.unwatch(mailbox, self.conn);
        }
    }

    fn ask(&self, shared: &mut Shared, question: Question, op: StoreOp) {
        shared.ask(asked::Question::Reader(self.conn, question), op);
    }

    fn answer<A>(&mut self, ticket: Ticket<A>, answer: A)
    where
        Channel<Server>: crate::session::Answer<A>,
    {
        let answered = self.channel.answer(ticket, answer);
        debug_assert!(answered.is_ok(), "a ticket went to another session");
    }
}

impl Given {
    /// The store has answered: what it did not take is given up.
    fn take_back(self, shared: &mut Shared, filed: bool) {
        shared.discharge(self.charged);
        if !filed {
            mark!(NodeAppendTakenBack);
            self.stages.into_iter().for_each(|stage| shared.drop_stage(stage));
        }
    }
}

impl intake::Verdict for ChunkAnswer {
    const TAKEN: Self = Self::Taken;
}

/// The store's reply to a question of a session, which may be gone by now.
pub(super) fn stored(shared: &mut Shared, session: Option<&mut Reader>, question: Question, reply: StoreReply) {
    if let StoreReply::Failed(error) = reply {
        mark!(NodeReaderStoreFailed);
        shared.store_trouble(error);
        return refuse(shared, session, question, error == StoreError::Full);
    }
    match (question, reply) {
        (
            Question::Authenticate { ticket, login, number },
            StoreReply::Account(AccountReply::Authenticated(account)),
        ) => {
            let Some(session) = session.filter(|session| session.logins == number) else { return };
            session.account = account;
            let conn = session.conn;
            let (event, answer) = match account {
                Some(_) => (Event::Authenticated { conn, login }, AuthenticateAnswer::Accepted),
                None => (Event::NotAuthenticated { conn, login }, AuthenticateAnswer::Rejected),
            };
            shared.event(event);
            session.answer(ticket, answer);
        }
        (Question::Ask { ticket, given }, StoreReply::Mailbox(response)) => {
            let filed = matches!(*response, Response::Appended { .. });
            if let Some(given) = given {
                given.take_back(shared, filed);
            }
            let Some(session) = session else { return };
            if let Some(event) = fact(session.conn, &response) {
                shared.event(event);
            }
            session.answer(ticket, *response);
        }
        (Question::Body { number, question }, StoreReply::Stage(reply)) => {
            of_body(shared, session, number, question, Ok(reply));
        }
        (question, _) => refuse(shared, session, question, false),
    }
}

/// The op had no effect, and the session is told so.
pub(super) fn refuse(shared: &mut Shared, session: Option<&mut Reader>, question: Question, full: bool) {
    match question {
        Question::Authenticate { ticket, .. } => {
            if let Some(session) = session {
                session.answer(ticket, AuthenticateAnswer::Unavailable);
            }
        }
        Question::Ask { ticket, given } => {
            if let Some(given) = given {
                given.take_back(shared, false);
            }
            if let Some(session) = session {
                session.answer(ticket, Response::Unavailable { full });
            }
        }
        Question::Body { number, question } => {
            let refusal = if full { ChunkAnswer::Full } else { ChunkAnswer::Unavailable };
            of_body(shared, session, number, question, Err(refusal));
        }
    }
}

/// The store's reply to a question of a body, or its refusal.
fn of_body(
    shared: &mut Shared,
    session: Option<&mut Reader>,
    number: u64,
    question: intake::Question<ChunkAnswer>,
    reply: Result<StageReply, ChunkAnswer>,
) {
    let Some(session) = session else {
        _ = intake::stored(shared, None, |_| asked::Question::Nobody, question, reply);
        return;
    };
    let asker = asker(session.conn, number);
    for (ticket, verdict) in intake::stored(shared, session.body(number), asker, question, reply) {
        session.answer(ticket, verdict);
    }
}

/// Who hears the store's replies about a message on its way in.
fn asker(conn: ConnId, number: u64) -> impl Fn(intake::Question<ChunkAnswer>) -> asked::Question {
    move |question| asked::Question::Reader(conn, Question::Body { number, question })
}

/// What a session is told of messages that cannot be stored.
fn refusal(why: ChunkAnswer) -> Response {
    match why {
        ChunkAnswer::TooMany => Response::TooMany,
        why => Response::Unavailable { full: why == ChunkAnswer::Full },
    }
}

/// What is worth to be told of an answer.
fn fact(conn: ConnId, response: &Response) -> Option<Event> {
    match response {
        Response::Appended { uids, .. } => Some(Event::Filed { conn, messages: uids.len() as usize }),
        Response::Expunged { uids, .. } if !uids.is_empty() => {
            Some(Event::Removed { conn, messages: uids.len() as usize })
        }
        _ => None,
    }
}
