//! An SMTP client session of a delivery attempt: fed with the attempt's messages, its outcomes given to the queue.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::shared::Shared;
use super::transfer::{self, Candidate, Ended};
use super::{ConnId, asked, replies};
use crate::channel::Channel;
use crate::mark;
use crate::ops::{QueueOp, QueueReply, QueueRow, StoreOp, StoreReply};
use crate::planted::{self, Bug};
use crate::queue::AttemptId;
use crate::session::{Answer as _, End};
use crate::smtp::Reply;
use crate::smtp::client::{Action, BodyAnswer, Client, Envelope, Next};
use crate::ticket::Ticket;
use crate::time::Now;

/// A session with a server that we bring mail to.
pub(super) struct Outgoing {
    conn: ConnId,
    pub(super) channel: Channel<Client>,
    attempt: AttemptId,
    candidate: Candidate,
    /// The rows of the message under way.
    rows: Vec<QueueRow>,
    /// Why the server is of no use, until it is of some.
    unusable: Option<Reply>,
    ready: bool,
    progress: bool,
    over: bool,
}

/// What a session wants of the store: a range of the message.
#[derive(Debug)]
pub(super) struct Question {
    ticket: Ticket<BodyAnswer>,
}

impl Outgoing {
    pub(super) fn new(conn: ConnId, channel: Channel<Client>, attempt: AttemptId, candidate: Candidate) -> Self {
        Self {
            conn,
            channel,
            attempt,
            candidate,
            rows: Vec::new(),
            unusable: None,
            ready: false,
            progress: false,
            over: false,
        }
    }

    pub(super) fn act(&mut self, shared: &mut Shared, action: Action) {
        match action {
            Action::Next { ticket } => {
                self.ready = true;
                let next = match shared.transfers.message(self.attempt) {
                    Some(rows) => {
                        if planted::is(Bug::DoubleADeliveryAfterAReset) {
                            self.record(shared, true);
                        }
                        self.rows = rows;
                        self.envelope().map_or(Next::Quit, Next::Message)
                    }
                    None => Next::Quit,
                };
                self.answer(ticket, next);
            }
            Action::Body { ticket, offset, len } => {
                let Some(row) = self.rows.first() else { return self.answer(ticket, BodyAnswer::Unreadable) };
                let op = QueueOp::Read { row: row.id, offset, len };
                shared.ask(asked::Question::Delivery(self.conn, Question { ticket }), StoreOp::Queue(op));
            }
            Action::Outcome(outcome) => {
                let rows = core::mem::take(&mut self.rows);
                // A server that is overloaded says so to each message; it need not hear of them all.
                match outcome.replies.iter().find(|reply| reply.code() != 421) {
                    Some(_) => self.progress = true,
                    None => self.unusable = mark!(NodeOverloadedServer, outcome.replies.first().cloned()),
                }
                if planted::is(Bug::DoubleADeliveryAfterAReset) && outcome.replies.iter().all(Reply::is_positive) {
                    return self.rows = rows;
                }
                for (row, reply) in rows.iter().zip(outcome.replies) {
                    transfer::outcome(shared, self.attempt, row, &self.host(), reply);
                }
            }
            Action::Unusable { reply } => self.unusable = Some(reply),
        }
    }

    /// The dial did not come through.
    pub(super) fn unreachable(&mut self, shared: &mut Shared, now: Now, why: &str) {
        let status = Some(crate::smtp::EnhancedStatus(4, 4, 1));
        let words = alloc::format!("No connection to {}: {why}", self.host());
        self.unusable = Some(Reply::new(451, status, words));
        self.finish(shared, now, false);
    }

    /// What a mistake has kept back is recorded.
    fn record(&mut self, shared: &mut Shared, arrived: bool) {
        for row in core::mem::take(&mut self.rows) {
            let reply = if arrived { Reply::new(250, None, "Ok") } else { replies::NO_CONNECTION.reply() };
            transfer::outcome(shared, self.attempt, &row, &self.host(), reply);
        }
    }

    /// The session is over.
    pub(super) fn done(&mut self, shared: &mut Shared, now: Now, end: End) {
        let silent = !self.ready && self.unusable.is_none();
        if silent {
            mark!(NodeSilentEnd);
            let status = Some(crate::smtp::EnhancedStatus(4, 4, 2));
            let words = alloc::format!("{} ended the session before mail: {end}", self.host());
            self.unusable = Some(Reply::new(451, status, words));
        }
        if planted::is(Bug::DoubleADeliveryAfterAReset) && self.progress {
            self.record(shared, end == End::Quit);
        }
        // A handshake that fails, in whatever way, is told by nothing but the end.
        self.finish(shared, now, end == End::Broken || silent && end == End::Timeout);
    }

    fn finish(&mut self, shared: &mut Shared, now: Now, broken: bool) {
        if core::mem::replace(&mut self.over, true) {
            return;
        }
        for row in core::mem::take(&mut self.rows) {
            mark!(NodeRowUnanswered);
            transfer::outcome(shared, self.attempt, &row, &self.host(), replies::NO_CONNECTION.reply());
        }
        let unusable = self.unusable.take().filter(|_| !self.progress);
        let ended = Ended {
            candidate: self.candidate.clone(),
            unusable,
            progress: self.progress,
            broken: broken && !self.ready,
        };
        transfer::ended(shared, now, self.attempt, ended);
    }

    fn host(&self) -> alloc::string::String {
        self.candidate.to_string()
    }

    fn envelope(&self) -> Option<Envelope> {
        let first = self.rows.first()?;
        Some(Envelope {
            reverse_path: first.reverse_path.clone(),
            recipients: self.rows.iter().map(|row| row.recipient.clone()).collect(),
            size: first.size,
            smtputf8: first.smtputf8,
            eight_bit: first.eight_bit,
        })
    }

    fn answer<A>(&mut self, ticket: Ticket<A>, answer: A)
    where
        Channel<Client>: crate::session::Answer<A>,
    {
        let answered = self.channel.answer(ticket, answer);
        debug_assert!(answered.is_ok(), "a ticket went to another session");
    }
}

/// The store's reply to a question of a session, which may be gone by now.
pub(super) fn stored(session: Option<&mut Outgoing>, question: Question, reply: StoreReply) {
    let Some(session) = session else { return };
    let answer = match reply {
        StoreReply::Queue(QueueReply::Bytes(bytes)) if !bytes.is_empty() => BodyAnswer::Bytes(bytes),
        _ => mark!(NodeBodyUnreadable, BodyAnswer::Unreadable),
    };
    session.answer(question.ticket, answer);
}

/// The store was too busy to say.
pub(super) fn busy(session: Option<&mut Outgoing>, question: Question) {
    if let Some(session) = session {
        session.answer(question.ticket, BodyAnswer::Unreadable);
    }
}
