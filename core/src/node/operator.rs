//! The control socket's requests, turned into store operations; the queue hears of what an operator does to it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::shared::Shared;
use super::{ConnId, asked};
use crate::channel::Channel;
use crate::control::{Action, Server};
use crate::ops::{Destination, QueueOp, QueueReply, StoreError, StoreOp, StoreReply};
use crate::session::Answer as _;
use crate::ticket::Ticket;

/// A session with the operator's command line.
pub(super) struct Operator {
    conn: ConnId,
    pub(super) channel: Channel<Server>,
}

/// What a session wants of the store.
#[derive(Debug)]
pub(super) enum Question {
    /// Pass the answer on.
    Pass { ticket: Ticket<StoreReply> },
    /// Where do these rows go? Then make them due.
    Whither { ticket: Ticket<StoreReply>, retry: Box<StoreOp> },
    /// They are due: these destinations are to be tried.
    Due { ticket: Ticket<StoreReply>, destinations: Vec<Destination> },
}

impl Operator {
    pub(super) fn new(conn: ConnId, channel: Channel<Server>) -> Self {
        Self { conn, channel }
    }

    pub(super) fn act(&self, shared: &mut Shared, action: Action) {
        let Action::Ask { ticket, op } = action;
        let (question, op) = match *op {
            StoreOp::Queue(QueueOp::Retry { rows, now }) => {
                let retry = Box::new(StoreOp::Queue(QueueOp::Retry { rows: rows.clone(), now }));
                (Question::Whither { ticket, retry }, StoreOp::Queue(QueueOp::Show { rows }))
            }
            op => (Question::Pass { ticket }, op),
        };
        shared.ask(asked::Question::Operator(self.conn, question), op);
    }

    fn answer(&mut self, ticket: Ticket<StoreReply>, reply: StoreReply) {
        let answered = self.channel.answer(ticket, reply);
        debug_assert!(answered.is_ok(), "a ticket went to another session");
    }
}

/// The store's reply to a question of session `conn`, which may be gone by now.
pub(super) fn stored(
    shared: &mut Shared,
    conn: ConnId,
    session: Option<&mut Operator>,
    question: Question,
    reply: StoreReply,
) {
    match (question, reply) {
        (Question::Whither { ticket, retry }, StoreReply::Queue(QueueReply::Rows(rows))) => {
            let destinations = rows.into_iter().map(|row| row.destination).collect();
            shared.ask(asked::Question::Operator(conn, Question::Due { ticket, destinations }), *retry);
        }
        (Question::Due { ticket, destinations }, reply) => {
            if matches!(reply, StoreReply::Queue(QueueReply::Changed(_))) {
                for destination in &destinations {
                    shared.queue.retry(destination);
                }
            }
            pass(session, ticket, reply);
        }
        (Question::Pass { ticket } | Question::Whither { ticket, .. }, reply) => pass(session, ticket, reply),
    }
}

/// The store had no place for it.
pub(super) fn busy(session: Option<&mut Operator>, question: Question) {
    let (Question::Pass { ticket } | Question::Whither { ticket, .. } | Question::Due { ticket, .. }) = question;
    pass(session, ticket, StoreReply::Failed(StoreError::Unreadable));
}

fn pass(session: Option<&mut Operator>, ticket: Ticket<StoreReply>, reply: StoreReply) {
    if let Some(session) = session {
        session.answer(ticket, reply);
    }
}
