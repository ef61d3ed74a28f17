//! An SMTP server session's questions, turned into store operations and answered from the store's replies.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::Bytes;

use super::intake::{self, Intake};
use super::shared::Shared;
use super::{ConnId, Event, asked, replies, resolve};
use crate::channel::Channel;
use crate::mark;
use crate::ops::{
    Accept, Accepted, AccountId, AccountOp, AccountReply, Body, Delivery, Destination, NewBody, NewRow, Resolution,
    StageId, StageReply, StoreError, StoreOp, StoreReply,
};
use crate::planted::{self, Bug};
use crate::router::{Place, verdict};
use crate::session::Answer as _;
use crate::smtp::server::{
    Action, AuthenticateAnswer, ChunkAnswer, CommitAnswer, RecipientAnswer, Server, Service, Transaction, TransactionId,
};
use crate::smtp::{Address, Reply};
use crate::ticket::Ticket;
use crate::time::Wall;

/// A session with a client that brings mail.
pub(super) struct Reception {
    conn: ConnId,
    pub(super) channel: Channel<Server>,
    service: Service,
    transaction: Option<Receiving>,
}

/// What is known of the transaction under way.
struct Receiving {
    id: TransactionId,
    /// What each recipient stands for that we said yes to. Not all of them are the message's: a yes may come after the
    /// session gave up waiting for it.
    recipients: BTreeMap<Address, Target>,
    body: Intake<ChunkAnswer>,
}

/// What a recipient stands for.
#[derive(Debug)]
enum Target {
    /// Accounts here, and others that an alias names.
    Here { accounts: Vec<(AccountId, Address)>, others: Vec<Address> },
    /// Somebody else's.
    Elsewhere,
}

/// What a session wants to know of the store.
#[derive(Debug)]
pub(super) enum Question {
    /// Are these credentials good?
    Authenticate { ticket: Ticket<AuthenticateAnswer>, login: String },
    /// About the body of the transaction under way.
    Body(intake::Question<ChunkAnswer>),
    /// Is it on disk?
    Commit(Box<Committing>),
}

/// A recipient whose address is being resolved.
#[derive(Debug)]
pub(super) struct Recipient {
    ticket: Ticket<RecipientAnswer>,
    transaction: TransactionId,
    address: Address,
}

/// A commit under way.
#[derive(Debug)]
pub(super) struct Committing {
    ticket: Ticket<CommitAnswer>,
    id: TransactionId,
    reverse_path: Option<Address>,
    size: u64,
    /// Where the rows go, in their order.
    destinations: Vec<Destination>,
    /// Bytes to give back to the budget.
    charged: usize,
    /// The stage it takes over, given back if it is refused.
    stage: Option<StageId>,
    wall: Wall,
}

impl Reception {
    pub(super) fn new(conn: ConnId, channel: Channel<Server>, service: Service) -> Self {
        Self { conn, channel, service, transaction: None }
    }

    pub(super) fn act(&mut self, shared: &mut Shared, wall: Wall, action: Action) {
        match action {
            Action::Authenticate { ticket, mechanism: _, credentials } => {
                let Some(login) = shared.login(&credentials) else {
                    mark!(NodeActsForAnother);
                    return self.answer(ticket, AuthenticateAnswer::Rejected);
                };
                let op = AccountOp::Authenticate { login: login.clone(), password: credentials.password };
                self.ask(shared, Question::Authenticate { ticket, login }, StoreOp::Account(op));
            }
            Action::Recipient { ticket, transaction, recipient, reverse_path: _ } => {
                self.recipient(shared, ticket, transaction, recipient);
            }
            Action::Chunk { ticket, transaction, bytes } => {
                let receiving = self.receiving(shared, transaction);
                let mut body = core::mem::take(&mut receiving.body);
                let answer = body.chunk(shared, asker(self.conn), ticket, bytes);
                self.receiving(shared, transaction).body = body;
                if let Some((ticket, answer)) = answer {
                    self.answer(ticket, answer);
                }
            }
            Action::Commit { ticket, transaction } => self.commit(shared, wall, ticket, *transaction),
            Action::Abort(_) => self.discard(shared),
            Action::Refused { reply } => shared.event(Event::Refused { conn: self.conn, reply }),
        }
    }

    /// Gives back what the session holds.
    pub(super) fn discard(&mut self, shared: &mut Shared) {
        if let Some(receiving) = self.transaction.take() {
            receiving.body.discard(shared);
        }
    }

    fn receiving(&mut self, shared: &mut Shared, id: TransactionId) -> &mut Receiving {
        if self.transaction.as_ref().is_none_or(|receiving| receiving.id != id) {
            self.discard(shared);
        }
        self.transaction.get_or_insert_with(|| Receiving { id, recipients: BTreeMap::new(), body: Intake::default() })
    }

    fn recipient(
        &mut self,
        shared: &mut Shared,
        ticket: Ticket<RecipientAnswer>,
        transaction: TransactionId,
        recipient: Address,
    ) {
        match shared.config.routes.place(&recipient) {
            Place::Ours => {
                let asking = Recipient { ticket, transaction, address: recipient.clone() };
                resolve::ask(shared, &recipient, resolve::Then::Recipient(self.conn, asking));
            }
            place @ Place::Elsewhere(_) => {
                let answer = match verdict(self.may_relay(), &place, None) {
                    Ok(()) => {
                        self.receiving(shared, transaction).recipients.insert(recipient, Target::Elsewhere);
                        RecipientAnswer::Accepted
                    }
                    Err(reply) => mark!(NodeNoRelay, RecipientAnswer::Refused(reply)),
                };
                self.answer(ticket, answer);
            }
        }
    }

    /// Only a user who logged in sends mail to other servers through us. Whether he did, the session alone knows: an
    /// answer of the store may come when it is over with the question.
    fn may_relay(&self) -> bool {
        self.service == Service::Submission && self.is_authenticated()
    }

    fn is_authenticated(&self) -> bool {
        self.channel.session().client().authenticated.is_some()
    }

    fn commit(&mut self, shared: &mut Shared, wall: Wall, ticket: Ticket<CommitAnswer>, transaction: Transaction) {
        let recipients = self.receiving(shared, transaction.id).targets(&transaction.recipients);
        let (Some(receiving), Some(recipients)) = (self.transaction.take(), recipients) else {
            // Nobody would get it, or not everybody: nothing of the kind is ever said yes to.
            mark!(NodeNobodysMessage);
            self.discard(shared);
            return self.answer(ticket, CommitAnswer::Refused(replies::STORE_TROUBLE.reply()));
        };
        let (deliveries, mut rows) = address(shared, wall, &transaction, recipients);
        if planted::is(Bug::ForgetARecipient) {
            rows.truncate(1);
        }
        let (NewBody { body, structure }, charged) = match receiving.body.finish(&transaction.trace) {
            Ok(body) => body,
            Err(why) => return mark!(NodeBodyUnstored, self.answer(ticket, CommitAnswer::Refused(refusal(why)))),
        };
        let stays = !deliveries.is_empty() || rows.iter().any(|row| row.destination == Destination::Local);
        let stage = match body {
            Body::Staged(stage) => Some(stage),
            _ => None,
        };
        let committing = Committing {
            ticket,
            id: transaction.id,
            reverse_path: transaction.reverse_path.clone(),
            size: transaction.size,
            destinations: rows.iter().map(|row| row.destination.clone()).collect(),
            charged,
            stage,
            wall,
        };
        let accept = Accept {
            body,
            // Whoever takes the message on looks into it himself.
            structure: if stays { structure } else { Bytes::new() },
            received: wall,
            reverse_path: transaction.reverse_path,
            smtputf8: transaction.smtputf8,
            eight_bit: transaction.eight_bit,
            deliveries,
            rows,
            expires: wall.after(shared.config.delivery.queue.expire_after),
        };
        if planted::is(Bug::AnswerBeforeCommit) {
            shared.discharge(committing.charged);
            shared.ask(asked::Question::Nobody, StoreOp::Accept(Box::new(accept)));
            return self.answer(committing.ticket, CommitAnswer::Committed { text: "Accepted".into() });
        }
        self.ask(shared, Question::Commit(Box::new(committing)), StoreOp::Accept(Box::new(accept)));
    }

    fn ask(&self, shared: &mut Shared, question: Question, op: StoreOp) {
        shared.ask(asked::Question::Reception(self.conn, question), op);
    }

    fn answer<A>(&mut self, ticket: Ticket<A>, answer: A)
    where
        Channel<Server>: crate::session::Answer<A>,
    {
        let answered = self.channel.answer(ticket, answer);
        debug_assert!(answered.is_ok(), "a ticket went to another session");
    }
}

impl Receiving {
    /// What these recipients of the message stand for, each once; `None` when there is none, or one that is not known.
    fn targets(&mut self, recipients: &[Address]) -> Option<Vec<(Address, Target)>> {
        let mut seen = BTreeSet::new();
        let once = recipients.iter().filter(|recipient| seen.insert(*recipient));
        let targets = once.map(|recipient| self.recipients.remove_entry(recipient)).collect::<Option<Vec<_>>>()?;
        Some(targets).filter(|targets| !targets.is_empty())
    }
}

/// The store's reply to a question of a session, which may be gone by now.
pub(super) fn stored(shared: &mut Shared, session: Option<&mut Reception>, question: Question, reply: StoreReply) {
    if let StoreReply::Failed(error) = reply {
        mark!(NodeReceptionStoreFailed);
        shared.store_trouble(error);
        if planted::is(Bug::ALeakedTicket) {
            return;
        }
        return refuse(shared, session, question, replies::of_store(error));
    }
    match (question, reply) {
        (Question::Authenticate { ticket, login }, StoreReply::Account(AccountReply::Authenticated(account))) => {
            let Some(session) = session else { return };
            let conn = session.conn;
            let already = session.is_authenticated();
            if account.is_none() {
                session.answer(ticket, AuthenticateAnswer::Rejected);
                return shared.event(Event::NotAuthenticated { conn, login });
            }
            session.answer(ticket, AuthenticateAnswer::Accepted);
            // Else the answer came too late, and the client was told to try again.
            if !session.is_authenticated() {
                mark!(NodeLoginTooLate);
            }
            if !already && session.is_authenticated() {
                shared.event(Event::Authenticated { conn, login });
            }
        }
        (Question::Body(question), StoreReply::Stage(reply)) => of_body(shared, session, question, Ok(reply)),
        (Question::Commit(committing), StoreReply::Accepted(accepted)) => {
            committed(shared, session, *committing, &accepted);
        }
        (question, _) => refuse(shared, session, question, replies::of_store(StoreError::Unknown)),
    }
}

/// A recipient is resolved.
pub(super) fn resolved(
    shared: &mut Shared,
    session: Option<&mut Reception>,
    recipient: Recipient,
    resolution: Result<Resolution, Reply>,
) {
    let Some(session) = session else { return };
    let Recipient { ticket, transaction, address } = recipient;
    let place = shared.config.routes.place(&address);
    let answer = match resolution.and_then(|found| verdict(session.may_relay(), &place, Some(&found)).map(|()| found)) {
        Ok(Resolution::Targets { accounts, others }) if accounts.is_empty() && others.is_empty() => {
            mark!(NodeEmptyAlias);
            RecipientAnswer::Refused(replies::UNKNOWN_USER.reply())
        }
        Ok(Resolution::Targets { accounts, others }) => {
            // The answer may belong to a transaction that is over, and must leave the next one alone.
            if session.transaction.as_ref().is_some_and(|receiving| receiving.id > transaction) {
                mark!(NodeRecipientTooLate);
            } else {
                let receiving = session.receiving(shared, transaction);
                receiving.recipients.insert(address, Target::Here { accounts, others });
            }
            RecipientAnswer::Accepted
        }
        Ok(Resolution::Unknown | Resolution::TooMany) => RecipientAnswer::Refused(replies::UNKNOWN_USER.reply()),
        Err(reply) => mark!(NodeRecipientRefused, RecipientAnswer::Refused(reply)),
    };
    session.answer(ticket, answer);
}

/// The op had no effect, and the session is told so.
pub(super) fn refuse(shared: &mut Shared, session: Option<&mut Reception>, question: Question, reply: Reply) {
    if let Question::Commit(committing) = &question {
        shared.discharge(committing.charged);
        if let Some(stage) = committing.stage {
            mark!(NodeCommitUnstaged);
            shared.drop_stage(stage);
        }
    }
    if let Question::Body(question) = question {
        return of_body(shared, session, question, Err(ChunkAnswer::Refused(reply)));
    }
    let Some(session) = session else { return };
    match question {
        Question::Authenticate { ticket, .. } => session.answer(ticket, AuthenticateAnswer::Unavailable),
        Question::Commit(committing) => session.answer(committing.ticket, CommitAnswer::Refused(reply)),
        Question::Body(_) => {}
    }
}

/// The store's reply to a question of a body, or its refusal.
fn of_body(
    shared: &mut Shared,
    session: Option<&mut Reception>,
    question: intake::Question<ChunkAnswer>,
    reply: Result<StageReply, ChunkAnswer>,
) {
    let Some(session) = session else {
        _ = intake::stored(shared, None, |_| asked::Question::Nobody, question, reply);
        return;
    };
    let body = session.transaction.as_mut().map(|receiving| &mut receiving.body);
    for (ticket, verdict) in intake::stored(shared, body, asker(session.conn), question, reply) {
        session.answer(ticket, verdict);
    }
}

/// Who hears the store's replies about a body.
fn asker(conn: ConnId) -> impl Fn(intake::Question<ChunkAnswer>) -> asked::Question {
    move |question| asked::Question::Reception(conn, Question::Body(question))
}

/// What a client is told of a body that cannot be stored.
fn refusal(why: Option<ChunkAnswer>) -> Reply {
    match why {
        Some(ChunkAnswer::Refused(reply)) => reply,
        Some(ChunkAnswer::Taken) | None => replies::STORE_TROUBLE.reply(),
    }
}

impl intake::Verdict for ChunkAnswer {
    const TAKEN: Self = Self::Taken;
}

/// The message is on disk: the queue hears of its rows, and the session says 250. The queue hears of them also when the
/// session is gone: they are ours now.
fn committed(shared: &mut Shared, session: Option<&mut Reception>, committing: Committing, accepted: &Accepted) {
    shared.discharge(committing.charged);
    for destination in &committing.destinations {
        shared.queue.hint(destination, committing.wall);
    }
    let delivered = accepted.emails.iter().flatten().count();
    if delivered < accepted.emails.len() {
        shared.queue.hint(&Destination::Local, committing.wall);
    }
    let Some(session) = session else { return mark!(NodeCommittedForNobody) };
    shared.event(Event::Accepted {
        conn: session.conn,
        transaction: committing.id,
        reverse_path: committing.reverse_path,
        delivered,
        queued: accepted.rows.len(),
        size: committing.size,
    });
    let text = format!("Accepted as {}", committing.id);
    session.answer(committing.ticket, CommitAnswer::Committed { text });
}

/// Who gets what: one delivery for each account, however many of its names were used, and one row for each other address,
/// however many aliases name it.
fn address(
    shared: &Shared,
    wall: Wall,
    transaction: &Transaction,
    recipients: Vec<(Address, Target)>,
) -> (Vec<Delivery>, Vec<NewRow>) {
    // What was resolved too late was told 451 meanwhile, and comes again.
    let accepted: BTreeSet<&Address> = transaction.recipients.iter().collect();
    let mut taken = BTreeSet::new();
    let mut queued = BTreeSet::new();
    let mut deliveries = Vec::new();
    let mut rows = Vec::new();
    for (recipient, target) in recipients.into_iter().filter(|(recipient, _)| accepted.contains(recipient)) {
        let others = match target {
            Target::Elsewhere => [recipient].into(),
            Target::Here { accounts, others } => {
                for (account, _) in accounts.into_iter().filter(|(account, _)| taken.insert(*account)) {
                    let prefix = delivery_prefix(transaction.reverse_path.as_ref(), &recipient, &transaction.trace);
                    deliveries.push(Delivery { account, recipient: recipient.clone(), prefix });
                }
                others
            }
        };
        for recipient in others.into_iter().filter(|other| queued.insert(other.clone())) {
            let destination = shared.config.routes.destination(&recipient);
            rows.push(NewRow { recipient, destination, prefix: transaction.trace.clone(), due: wall });
        }
    }
    (deliveries, rows)
}

/// What stands before a message in a mailbox: where it came from (RFC 5321 §4.4), for whom (RFC 9228), and its trace.
pub(super) fn delivery_prefix(reverse_path: Option<&Address>, recipient: &Address, trace: &Bytes) -> Bytes {
    let mut prefix = String::new();
    // Writing to a String cannot fail.
    let _ = match reverse_path {
        Some(address) => write!(prefix, "Return-Path: <{address}>\r\n"),
        None => write!(prefix, "Return-Path: <>\r\n"),
    };
    let _ = write!(prefix, "Delivered-To: {recipient}\r\n");
    let mut bytes = prefix.into_bytes();
    bytes.extend_from_slice(trace);
    bytes.into()
}
