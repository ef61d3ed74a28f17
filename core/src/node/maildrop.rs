//! A POP3 session's questions, turned into store operations and answered from the store's replies.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::shared::Shared;
use super::{ConnId, Event, asked};
use crate::channel::Channel;
use crate::mark;
use crate::ops::{
    AccountId, AccountOp, AccountReply, LockId, MaildropEntry, MaildropOp, MaildropReply, StoreOp, StoreReply,
};
use crate::pop3::server::{Action, AuthenticateAnswer, CommitAnswer, Message, OpenAnswer, ReadAnswer, Server};
use crate::session::Answer as _;
use crate::ticket::Ticket;

/// A session with a client that fetches mail.
pub(super) struct Maildrop {
    conn: ConnId,
    pub(super) channel: Channel<Server>,
    account: Option<AccountId>,
    /// Logins asked about. Only the answer about the last one counts: the session may have given up an earlier one.
    logins: u64,
    /// Held from the answer to `Open` until `Commit` or `Release`.
    lock: Option<LockId>,
    entries: Arc<[MaildropEntry]>,
    /// The session released a lock that has not come yet.
    released: bool,
}

/// What a session wants to know of the store.
#[derive(Debug)]
pub(super) enum Question {
    /// Are these credentials good?
    Authenticate { ticket: Ticket<AuthenticateAnswer>, login: String, number: u64 },
    /// Lock and list.
    Open { ticket: Ticket<OpenAnswer> },
    /// A range of a message.
    Read { ticket: Ticket<ReadAnswer> },
    /// Are they gone for good?
    Commit { ticket: Ticket<CommitAnswer>, lock: LockId, messages: usize },
}

impl Maildrop {
    pub(super) fn new(conn: ConnId, channel: Channel<Server>) -> Self {
        Self { conn, channel, account: None, logins: 0, lock: None, entries: Arc::new([]), released: false }
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
            Action::Open { ticket } => {
                let Some(account) = self.account else { return self.answer(ticket, OpenAnswer::Unavailable) };
                self.released = false;
                self.ask(shared, Question::Open { ticket }, StoreOp::Maildrop(MaildropOp::Open { account }));
            }
            Action::Read { ticket, message, offset, len } => {
                let Some(entry) = self.entries.get(message) else {
                    return self.answer(ticket, ReadAnswer::Unreadable);
                };
                let op = MaildropOp::Read { entry: entry.entry, offset, len };
                self.ask(shared, Question::Read { ticket }, StoreOp::Maildrop(op));
            }
            Action::Commit { ticket, deleted } => {
                let Some(lock) = self.lock.take() else { return self.answer(ticket, CommitAnswer::Failed) };
                let deleted: Vec<_> =
                    deleted.iter().filter_map(|&index| self.entries.get(index)).map(|entry| entry.entry).collect();
                let question = Question::Commit { ticket, lock, messages: deleted.len() };
                self.ask(shared, question, StoreOp::Maildrop(MaildropOp::Commit { lock, deleted }));
            }
            Action::Release => self.discard(shared),
        }
    }

    /// Gives the lock back, now or when it comes.
    pub(super) fn discard(&mut self, shared: &mut Shared) {
        self.released = true;
        self.entries = Arc::new([]);
        if let Some(lock) = self.lock.take() {
            release(shared, lock);
        }
    }

    fn ask(&self, shared: &mut Shared, question: Question, op: StoreOp) {
        shared.ask(asked::Question::Maildrop(self.conn, question), op);
    }

    fn answer<A>(&mut self, ticket: Ticket<A>, answer: A)
    where
        Channel<Server>: crate::session::Answer<A>,
    {
        let answered = self.channel.answer(ticket, answer);
        debug_assert!(answered.is_ok(), "a ticket went to another session");
    }
}

/// The store's reply to a question of a session, which may be gone by now.
pub(super) fn stored(shared: &mut Shared, session: Option<&mut Maildrop>, question: Question, reply: StoreReply) {
    if let StoreReply::Failed(error) = reply {
        mark!(NodeMaildropStoreFailed);
        shared.store_trouble(error);
        return refuse(shared, session, question);
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
        (Question::Open { ticket }, StoreReply::Maildrop(MaildropReply::Opened { lock, entries })) => {
            let Some(session) = session.filter(|session| !session.released) else {
                return mark!(NodeLockTooLate, release(shared, lock));
            };
            let messages =
                entries.iter().map(|entry| Message { size: entry.size, unique: u128::from(entry.unique) }).collect();
            session.lock = Some(lock);
            session.entries = entries;
            session.answer(ticket, OpenAnswer::Opened(messages));
        }
        (Question::Open { ticket }, StoreReply::Maildrop(MaildropReply::InUse)) => {
            if let Some(session) = session {
                session.answer(ticket, OpenAnswer::InUse);
            }
        }
        (Question::Read { ticket }, StoreReply::Maildrop(MaildropReply::Bytes(bytes))) if !bytes.is_empty() => {
            if let Some(session) = session {
                session.answer(ticket, ReadAnswer::Bytes(bytes));
            }
        }
        (Question::Commit { ticket, lock: _, messages }, StoreReply::Maildrop(MaildropReply::Done)) => {
            let Some(session) = session else { return };
            if messages > 0 {
                shared.event(Event::Removed { conn: session.conn, messages });
            }
            session.answer(ticket, CommitAnswer::Committed);
        }
        (question, _) => refuse(shared, session, question),
    }
}

/// The op had no effect, and the session is told so.
pub(super) fn refuse(shared: &mut Shared, session: Option<&mut Maildrop>, question: Question) {
    if let Question::Commit { lock, .. } = &question {
        // What had no effect did not release the lock either.
        mark!(NodeDeletionFailed);
        release(shared, *lock);
    }
    let Some(session) = session else { return };
    match question {
        Question::Authenticate { ticket, .. } => session.answer(ticket, AuthenticateAnswer::Unavailable),
        Question::Open { ticket } => session.answer(ticket, OpenAnswer::Unavailable),
        Question::Read { ticket } => session.answer(ticket, ReadAnswer::Unreadable),
        Question::Commit { ticket, .. } => session.answer(ticket, CommitAnswer::Failed),
    }
}

fn release(shared: &mut Shared, lock: LockId) {
    shared.ask(asked::Question::Nobody, StoreOp::Maildrop(MaildropOp::Release { lock }));
}
