//! The ops under way: which question each token stands for, and the ops that a busy store handed back.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};

use super::resolve::Resolving;
use super::{ConnId, delivery, maildrop, operator, reader, reception};
use crate::ops::{StoreOp, Token};
use crate::queue::QuestionId;
use crate::time::Mono;

/// Who wants to know.
#[derive(Debug)]
pub(super) enum Question {
    /// Whose is an address of ours?
    Resolve(Box<Resolving>),
    /// An SMTP server session.
    Reception(ConnId, reception::Question),
    /// A POP3 server session.
    Maildrop(ConnId, maildrop::Question),
    /// An IMAP server session.
    Reader(ConnId, reader::Question),
    /// The control socket.
    Operator(ConnId, operator::Question),
    /// The queue machine.
    Queue(QuestionId),
    /// An SMTP client session.
    Delivery(ConnId, delivery::Question),
    /// Nobody: a lock or a stage is given back, a mailbox is watched or is not.
    Nobody,
}

/// The ops under way.
#[derive(Debug, Default)]
pub(super) struct Asked {
    next: u64,
    waiting: BTreeMap<Token, Question>,
    /// Ops that must not be lost, by the time when they are submitted again.
    again: BTreeMap<(Mono, Token), StoreOp>,
    /// Tokens of `again`, so that an op counts as under way once.
    paused: BTreeSet<Token>,
}

impl Asked {
    /// A token for an op about to be submitted.
    pub(super) fn ask(&mut self, question: Question) -> Token {
        let token = Token(self.next);
        self.next += 1;
        self.waiting.insert(token, question);
        token
    }

    /// The question that a reply answers; `None` for a token that is not under way.
    pub(super) fn answered(&mut self, token: Token) -> Option<Question> {
        self.waiting.remove(&token)
    }

    /// What a token stands for.
    pub(super) fn question(&self, token: Token) -> Option<&Question> {
        self.waiting.get(&token)
    }

    /// Keeps an op for a later try.
    pub(super) fn pause(&mut self, token: Token, op: StoreOp, until: Mono) {
        if self.waiting.contains_key(&token) && self.paused.insert(token) {
            self.again.insert((until, token), op);
        }
    }

    /// An op whose pause is over.
    pub(super) fn resume(&mut self, now: Mono) -> Option<(Token, StoreOp)> {
        let entry = self.again.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, token), op) = entry.remove_entry();
        self.paused.remove(&token);
        Some((token, op))
    }

    /// When the next pause is over.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.again.first_key_value().map(|((until, _), _)| *until)
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
