//! The machine's state, its steps, its waits, and how answers and endings reach it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BytesMut;
use zeroize::Zeroize as _;

use super::action::{
    Action, AuthenticateAnswer, ChunkAnswer, ClientInfo, CommitAnswer, Config, Peer, RecipientAnswer, Service,
    Transaction, TransactionId,
};
use super::body::Body;
use super::replies;
use crate::line::{LineReader, Scan};
use crate::mark;
use crate::outbox::Outbox;
use crate::sasl::Exchange;
use crate::session::{Answer, Close, Direction, End, Layer, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::smtp::command::Command;
use crate::smtp::{Address, Reply};
use crate::ticket::{Misuse, SessionId, Ticket, Tickets};
use crate::time::{Mono, Now};

/// The server's end of one SMTP connection. The module's page has its states and tables.
#[derive(Debug)]
pub struct Server {
    pub(super) config: Arc<Config>,
    pub(super) peer: Peer,
    pub(super) tickets: Tickets,
    pub(super) lines: LineReader,
    pub(super) state: State,
    pub(super) client: ClientInfo,
    /// It said EHLO, not HELO.
    pub(super) extended: bool,
    pub(super) transaction: Option<Box<Transaction>>,
    pub(super) body: Body,
    /// Transactions begun.
    pub(super) transactions: u32,
    /// Replies in command order, from the first one that still waits for its answer.
    pub(super) slots: VecDeque<Slot>,
    /// Chunks that wait for their answers, in order.
    pub(super) chunks: VecDeque<Asked>,
    /// What the host is to be told next.
    pub(super) actions: VecDeque<Action>,
    /// Until when we wait for the peer to speak, or to listen; set when the wait begins.
    pub(super) patience: Option<(WaitingOn, Mono)>,
    /// When the greeting was sent, or the last message ended.
    pub(super) since: Mono,
    /// How it ends, once the last reply has left.
    pub(super) ending: Option<End>,
    pub(super) bad_commands: u32,
    pub(super) failed_logins: u32,
    /// A well-formed command was seen: the peer speaks SMTP.
    pub(super) speaks_smtp: bool,
    pub(super) eof: bool,
    pub(super) shutdown: bool,
    pub(super) secrets: Vec<SecretSpan>,
    /// The rest of the refused line that is being dropped is secret.
    secret_rest: bool,
}

/// Where a session is.
#[derive(Debug)]
pub(super) enum State {
    /// The greeting was not sent.
    Start,
    /// Between two commands.
    Command,
    /// The client's next line belongs to an AUTH exchange.
    Auth(Exchange),
    /// The host checks credentials.
    Authenticating { asked: Asked, name: String },
    /// The go-ahead to STARTTLS is said; whether the host was told.
    Upgrading { told: bool },
    /// Behind DATA's 354.
    Data,
    /// Inside the octets of a BDAT.
    Chunk(Chunk),
    /// The message is complete, but not all its chunks are answered.
    Finishing,
    /// The host commits.
    Committing { asked: Asked },
    /// Over.
    Done(End),
}

/// The octets of one BDAT.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) size: u64,
    pub(super) left: u64,
    pub(super) last: bool,
    /// It was refused before its first octet: what will be said when they are all read.
    pub(super) doomed: Option<Reply>,
}

/// A question that was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) serial: u64,
    pub(super) at: Mono,
}

/// The place of one reply in the order of replies.
#[derive(Debug)]
pub(super) enum Slot {
    /// The host was asked about this recipient.
    Asked(Asked, Address),
    /// The host takes it.
    Accepted(Address),
    /// Anything else.
    Said(Reply),
}

impl Server {
    /// A session with `peer`, which has just connected. `id` must be unique while the session lives.
    #[must_use]
    pub fn new(id: SessionId, config: Arc<Config>, peer: Peer) -> Self {
        Self {
            tickets: Tickets::new(id),
            lines: LineReader::new(config.limits.line),
            body: Body::new(&config.limits),
            config,
            peer,
            state: State::Start,
            client: ClientInfo::default(),
            extended: false,
            transaction: None,
            transactions: 0,
            slots: VecDeque::new(),
            chunks: VecDeque::new(),
            actions: VecDeque::new(),
            patience: None,
            since: Mono::default(),
            ending: None,
            bad_commands: 0,
            failed_logins: 0,
            speaks_smtp: false,
            eof: false,
            shutdown: false,
            secrets: Vec::new(),
            secret_rest: false,
        }
    }

    /// What is known of the client so far.
    #[must_use]
    pub fn client(&self) -> &ClientInfo {
        &self.client
    }

    /// One step in the present state; `None` when it is done and there may be another.
    fn advance(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        match &mut self.state {
            State::Start => self.greet(now, tx),
            State::Command => self.command(now, rx, tx),
            State::Auth(_) => self.auth_line(now, rx, tx),
            State::Authenticating { asked, .. } => {
                let until = asked.at + self.config.limits.session.answer_timeout;
                Some(wait_for_answer(until, false))
            }
            State::Upgrading { told: told @ false } => {
                *told = true;
                Some(Step::Upgrade(Layer::Tls))
            }
            State::Upgrading { .. } => self.await_upgrade(now, rx),
            State::Data => self.data(now, rx, tx),
            State::Chunk(_) => self.chunk(now, rx, tx),
            State::Finishing => self.finish(now),
            State::Committing { asked } => {
                let until = asked.at + self.config.limits.session.commit_timeout;
                Some(wait_for_answer(until, false))
            }
            State::Done(end) => Some(Step::Done(*end)),
        }
    }

    fn greet(&mut self, now: Now, tx: &mut Outbox) -> Option<Step<Action>> {
        self.since = now.mono;
        self.state = State::Command;
        if self.shutdown {
            return self.hang_up(mark!(SmtpTurnedAway, replies::TURNED_AWAY), End::Shutdown, tx);
        }
        for part in ["220 ", &self.config.hostname, " ESMTP Pillarbox\r\n"] {
            tx.put(part.as_bytes());
        }
        None
    }

    /// Between commands: says what can be said, and runs the next line.
    fn command(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        self.say_slots(tx);
        if !self.actions.is_empty() {
            return None;
        }
        let Some(asked) = self.first_asked() else {
            return self.next_line(now, rx, tx);
        };
        // The recipients before it are still being asked about: only another RCPT may overtake the answers.
        let until = asked.at + self.config.limits.session.answer_timeout;
        let full = self.slots.len() >= self.config.limits.questions.max(1);
        if full {
            mark!(SmtpQuestionsFull);
        }
        if full || tx.is_full() || self.ending.is_some() || self.shutdown {
            return Some(wait_for_answer(until, false));
        }
        match self.scan(rx) {
            None => Some(wait_for_answer(until, !self.eof)),
            Some(Scan::Whole(len)) if !is_rcpt(&rx[..len]) => Some(wait_for_answer(until, false)),
            Some(scan) => self.run_line(scan, now, rx, tx),
        }
    }

    fn next_line(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        if let Some(end) = self.ending {
            return self.end(end);
        }
        if self.shutdown {
            return self.hang_up(mark!(SmtpShutdown, replies::SHUTDOWN), End::Shutdown, tx);
        }
        if self.productive_until() <= now.mono {
            return self.hang_up(mark!(SmtpUnproductive, replies::IDLE), End::Timeout, tx);
        }
        if tx.is_full() {
            return self.wait_for_room(now, tx);
        }
        match self.scan(rx) {
            None if self.eof => self.end(End::Eof),
            None => self.wait_for_peer(now, self.config.limits.command_timeout, tx),
            Some(scan) => self.run_line(scan, now, rx, tx),
        }
    }

    fn run_line(&mut self, scan: Scan, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        self.patience = None;
        let Scan::Whole(len) = scan else {
            self.bad_line(scan);
            return None;
        };
        let secret = Command::secret(&rx[..len]);
        if let Some(secret) = &secret {
            let start = self.lines.consumed();
            self.secret(start + secret.start as u64, start + secret.end as u64);
        }
        let alone = rx.len() == len + 2;
        let command = Command::parse(&rx[..len]);
        let step = self.run(command, alone, now, tx);
        if let Some(secret) = secret {
            // The buffer goes on to other connections.
            rx[secret].zeroize();
        }
        self.lines.pass(rx, len);
        step
    }

    /// The next line of `rx`. What is dropped of a refused line that belongs to AUTH is marked as secret.
    pub(super) fn scan(&mut self, rx: &mut BytesMut) -> Option<Scan> {
        let start = self.lines.consumed();
        let done = self.lines.swallow(rx);
        if self.secret_rest {
            self.secret(start, self.lines.consumed());
        }
        if !done {
            return None;
        }
        self.secret_rest = matches!(self.state, State::Auth(_)) || Command::is_auth(rx);
        let start = self.lines.consumed();
        let scan = self.lines.scan(rx)?;
        if self.secret_rest && !matches!(scan, Scan::Whole(_)) {
            self.secret(start, self.lines.consumed());
        }
        Some(scan)
    }

    pub(super) fn secret(&mut self, start: u64, end: u64) {
        if start < end {
            self.secrets.push(SecretSpan { direction: Direction::In, start, end });
        }
    }

    /// Puts `reply` in its place behind those that are still to come.
    pub(super) fn slot(&mut self, reply: Reply) {
        self.slots.push_back(Slot::Said(reply));
    }

    /// Says all replies up to the first one that is not known yet.
    fn say_slots(&mut self, tx: &mut Outbox) {
        while !matches!(self.slots.front(), None | Some(Slot::Asked(..))) {
            match self.slots.pop_front() {
                Some(Slot::Said(reply)) => self.say(reply, tx),
                Some(Slot::Accepted(recipient)) => {
                    if let Some(transaction) = &mut self.transaction {
                        transaction.recipients.push(recipient);
                    }
                    self.say(replies::RECIPIENT_OK, tx);
                }
                Some(Slot::Asked(..)) | None => {}
            }
            self.patience = None;
        }
    }

    fn first_asked(&self) -> Option<Asked> {
        self.slots.iter().find_map(|slot| if let Slot::Asked(asked, _) = slot { Some(*asked) } else { None })
    }

    /// Says `reply` now, and tells the host of it when it refuses.
    pub(super) fn say(&mut self, reply: Reply, tx: &mut Outbox) {
        replies::say(&reply, tx);
        if reply.is_transient() || reply.is_permanent() {
            self.actions.push_back(Action::Refused { reply });
        }
    }

    /// Says `reply`, and that was it.
    pub(super) fn hang_up(&mut self, reply: Reply, end: End, tx: &mut Outbox) -> Option<Step<Action>> {
        self.say(reply, tx);
        self.end(end)
    }

    pub(super) fn end(&mut self, end: End) -> Option<Step<Action>> {
        self.abort();
        self.slots.clear();
        self.patience = None;
        self.state = State::Done(end);
        None
    }

    /// Drops the transaction, and has the host give back what it staged.
    pub(super) fn abort(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.give_back(transaction.id);
        }
        self.chunks.clear();
    }

    /// Has the host give back what it staged for transaction `id`, if anything.
    pub(super) fn give_back(&mut self, id: TransactionId) {
        if core::mem::take(&mut self.body.staged) {
            self.actions.push_back(Action::Abort(id));
        }
        self.chunks.clear();
    }

    /// Waits for the peer to speak, for `timeout` from when the wait began; then says so and ends.
    pub(super) fn wait_for_peer(&mut self, now: Now, timeout: Duration, tx: &mut Outbox) -> Option<Step<Action>> {
        match self.wait(WaitingOn::Peer, now, timeout) {
            Some(wait) => Some(Step::Wait(wait)),
            None if matches!(self.state, State::Data | State::Chunk(_)) => {
                self.hang_up(mark!(SmtpDataTooSlow, replies::IDLE), End::Timeout, tx)
            }
            None => self.hang_up(mark!(SmtpIdle, replies::IDLE), End::Timeout, tx),
        }
    }

    /// Waits for the peer to listen: there is enough to be said already.
    fn wait_for_room(&mut self, now: Now, tx: &mut Outbox) -> Option<Step<Action>> {
        match self.wait(WaitingOn::Flush, now, self.config.limits.data_timeout) {
            Some(wait) => Some(Step::Wait(wait)),
            None => self.hang_up(mark!(SmtpDeafClient, replies::IDLE), End::Timeout, tx),
        }
    }

    /// The go-ahead to TLS is given: nothing can be said in between.
    fn await_upgrade(&mut self, now: Now, rx: &BytesMut) -> Option<Step<Action>> {
        if !rx.is_empty() {
            mark!(SmtpTlsInjected);
            // It came in the clear, behind the go-ahead, and cannot be answered any more.
            return self.end(End::Refused);
        }
        if self.eof {
            return self.end(End::Eof);
        }
        if self.shutdown {
            return self.end(End::Shutdown);
        }
        match self.wait(WaitingOn::Peer, now, self.config.limits.command_timeout) {
            Some(wait) => Some(Step::Wait(wait)),
            None => self.end(End::Timeout),
        }
    }

    /// Until when a message must have begun, whatever else is said.
    fn productive_until(&self) -> Mono {
        let limits = &self.config.limits;
        let stranger = self.config.service == Service::Submission && self.client.authenticated.is_none();
        self.since.after(if stranger { limits.login_timeout } else { limits.message_gap })
    }

    /// A wait for the peer; `None` when its time is up.
    fn wait(&mut self, on: WaitingOn, now: Now, timeout: Duration) -> Option<Wait> {
        let begun = self.patience.filter(|(since, _)| *since == on);
        let (_, patience) = *self.patience.insert(begun.unwrap_or((on, now.mono.after(timeout))));
        let in_message = matches!(self.state, State::Data | State::Chunk(_));
        let patience = if in_message { patience } else { patience.min(self.productive_until()) };
        if patience <= now.mono {
            return None;
        }
        let until = self.chunk_deadline().map_or(patience, |chunk| chunk.min(patience));
        Some(Wait { read: on == WaitingOn::Peer, until: Some(until), on })
    }

    /// When the oldest unanswered chunk must be answered.
    pub(super) fn chunk_deadline(&self) -> Option<Mono> {
        self.chunks.front().map(|asked| asked.at + self.config.limits.session.commit_timeout)
    }

    /// Questions whose time is up. A read is answered in the host's stead; a change that nobody confirms ends the
    /// session without a word, for whatever we said might be wrong.
    fn expire(&mut self, now: Mono) {
        let limits = &self.config.limits.session;
        for slot in &mut self.slots {
            if let Slot::Asked(asked, _) = slot
                && asked.at + limits.answer_timeout <= now
            {
                *slot = Slot::Said(mark!(SmtpRecipientUnanswered, replies::HOST_SILENT));
            }
        }
        match &self.state {
            State::Authenticating { asked, .. } if asked.at + limits.answer_timeout <= now => {
                self.state = State::Command;
                self.slot(mark!(SmtpAuthUnanswered, replies::AUTH_UNAVAILABLE));
            }
            State::Committing { asked } if asked.at + limits.commit_timeout <= now => {
                mark!(SmtpUnconfirmed);
                self.end(End::Unconfirmed);
            }
            _ if self.chunk_deadline().is_some_and(|deadline| deadline <= now) => {
                mark!(SmtpUnconfirmed);
                self.end(End::Unconfirmed);
            }
            _ => {}
        }
    }
}

impl Session for Server {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.secrets.clear();
        self.expire(now.mono);
        for _ in 0..self.config.limits.session.steps.max(1) {
            if let Some(action) = self.actions.pop_front() {
                return Step::Act(action);
            }
            if let Some(step) = self.advance(now, rx, tx) {
                return step;
            }
        }
        Step::More
    }

    fn close(&mut self, why: Close) {
        match why {
            Close::Eof => self.eof = true,
            Close::Shutdown => self.shutdown = true,
            Close::Error | Close::Layer if matches!(self.state, State::Done(_)) => {}
            // A commit that is under way goes on without us.
            Close::Error | Close::Layer => {
                mark!(SmtpBroken);
                self.end(End::Broken);
            }
        }
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        let LayerInfo::Tls(tls) = layer;
        self.client = ClientInfo { tls: Some(tls), ..ClientInfo::default() };
        self.extended = false;
        self.patience = None;
        if matches!(self.state, State::Upgrading { .. }) {
            self.abort();
            self.state = State::Command;
        }
    }

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<RecipientAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<RecipientAnswer>, answer: RecipientAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        let is_it = |slot: &&mut Slot| matches!(slot, Slot::Asked(asked, _) if asked.serial == serial);
        let Some(slot) = self.slots.iter_mut().find(is_it) else { return Ok(()) };
        let Slot::Asked(_, recipient) = core::mem::replace(slot, Slot::Said(replies::HOST_SILENT)) else {
            return Ok(());
        };
        *slot = match answer {
            RecipientAnswer::Accepted => Slot::Accepted(recipient),
            RecipientAnswer::Refused(reply) => Slot::Said(mark!(SmtpRecipientRefused, replies::refusal(reply))),
        };
        Ok(())
    }
}

impl Answer<AuthenticateAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<AuthenticateAnswer>, answer: AuthenticateAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        let State::Authenticating { asked, name } = &mut self.state else { return Ok(()) };
        if asked.serial != serial {
            return Ok(());
        }
        let name = core::mem::take(name);
        self.state = State::Command;
        match answer {
            AuthenticateAnswer::Accepted => {
                self.client.authenticated = Some(name);
                self.slot(replies::AUTHENTICATED);
            }
            AuthenticateAnswer::Rejected => {
                self.failed_logins += 1;
                let over = self.failed_logins >= self.config.limits.session.failed_logins;
                self.ending = over.then_some(End::Refused);
                self.slot(match over {
                    true => mark!(SmtpTooManyLogins, replies::TOO_MANY_LOGINS),
                    false => mark!(SmtpBadCredentials, replies::BAD_CREDENTIALS),
                });
            }
            AuthenticateAnswer::Unavailable => self.slot(mark!(SmtpAuthUnavailable, replies::AUTH_UNAVAILABLE)),
        }
        Ok(())
    }
}

impl Answer<ChunkAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<ChunkAnswer>, answer: ChunkAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        let Some(at) = self.chunks.iter().position(|asked| asked.serial == serial) else { return Ok(()) };
        self.chunks.remove(at);
        if let ChunkAnswer::Refused(reply) = answer {
            self.spoil(mark!(SmtpChunkRefused, replies::refusal(reply)));
        }
        Ok(())
    }
}

impl Answer<CommitAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<CommitAnswer>, answer: CommitAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if !matches!(&self.state, State::Committing { asked } if asked.serial == serial) {
            return Ok(());
        }
        self.state = State::Command;
        self.slot(match answer {
            CommitAnswer::Committed { text } => replies::committed(text),
            CommitAnswer::Refused(reply) => mark!(SmtpCommitRefused, replies::refusal(reply)),
        });
        Ok(())
    }
}

fn wait_for_answer(until: Mono, read: bool) -> Step<Action> {
    Step::Wait(Wait { read, until: Some(until), on: WaitingOn::Answer })
}

fn is_rcpt(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"RCPT"))
}
