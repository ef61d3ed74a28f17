//! The POP3 server machine.
//!
//! ```text
//!                       ┌────────── rejected, in use, unavailable ─────────┐
//!  (greeting)           ▼                                                  │
//!  Fresh ──► AUTHORIZATION ──USER, PASS──► Authenticating ──ok──► Opening ─┤
//!             │   ▲  │  ▲ │                  ▲                             │ opened
//!        STLS │   │  │  │ └──AUTH──► Sasl ───┘                             ▼
//!             ▼   │  │  └──── * ─────┘        ┌───────────────────► TRANSACTION
//!          Upgrading │                        │                     │   │   │
//!             (TLS)  │ QUIT                   ├── Listing ◄─ LIST, UIDL │   │
//!                    │                        └── Sending ◄─── RETR, TOP┘   │ QUIT
//!                    ▼                                                      ▼
//!                   Over ◄────────── committed, failed, unconfirmed ── Committing (UPDATE)
//! ```
//!
//! Every state ends in `Over` when the connection breaks, a time limit passes or the host shuts down; between an `Open`
//! and a `Commit` that way leads through [`Action::Release`].
//!
//! | state | what is taken from the peer | what it waits for | its time limit |
//! |---|---|---|---|
//! | AUTHORIZATION | CAPA, USER, PASS, AUTH, STLS, QUIT | a command | `login_timeout`, `login_total`: over |
//! | Sasl | a response, or `*` | a line | `login_timeout`, `login_total`: over |
//! | Upgrading | nothing: bytes here were sent in the clear behind STLS, and end the session | TLS | `login_timeout`: over |
//! | Authenticating | nothing | [`AuthenticateAnswer`] | `answer_timeout`: `[SYS/TEMP]`, AUTHORIZATION |
//! | Opening | nothing | [`OpenAnswer`] | `answer_timeout`: `[SYS/TEMP]`, over |
//! | TRANSACTION | CAPA, STAT, LIST, UIDL, RETR, TOP, DELE, NOOP, RSET, QUIT | a command | `idle_timeout`: over, nothing deleted |
//! | Listing | nothing | room in `tx` | `idle_timeout`, `read_grace` and `read_rate`: over |
//! | Sending | nothing | [`ReadAnswer`], room in `tx` | `answer_timeout`: `[SYS/TEMP]`, or over if a part is out; for room as Listing |
//! | Committing | nothing | [`CommitAnswer`] | `commit_timeout`: over, without a reply |
//!
//! Pipelined commands stay in `rx` until it is their turn, so they run in order by construction.
//!
//! | RFC | | |
//! |---|---|---|
//! | 1939 | all of it, with USER, PASS, TOP, UIDL | APOP is refused: it needs the password in the clear on our side, and MD5 |
//! | 2449 | CAPA; TOP, UIDL, USER, SASL, RESP-CODES, PIPELINING, EXPIRE, IMPLEMENTATION | LOGIN-DELAY: there is none |
//! | 2595 | STLS; USER, PASS and AUTH PLAIN wait for TLS, unless configured otherwise | |
//! | 3206 | `[SYS/TEMP]`, `[AUTH]`, AUTH-RESP-CODE | `[SYS/PERM]`: we never know |
//! | 5034 | AUTH PLAIN, with and without initial response | other mechanisms |
//! | 6856 | | UTF8, LANG: not announced; mail leaves as it came |

mod action;
mod commands;
mod maildrop;
mod reply;
mod top;
mod transfer;

pub use action::{Action, AuthenticateAnswer, CommitAnswer, Config, Limits, Message, OpenAnswer, ReadAnswer};

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use bytes::BytesMut;

use self::maildrop::Maildrop;
use self::reply::Column;
use self::transfer::{Progress, Transfer};
use crate::line::LineReader;
use crate::mark;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::planted::{self, Bug};
use crate::sasl::Exchange;
use crate::session::{Answer, Close, End, Layer, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::ticket::{Misuse, SessionId, Ticket, Tickets};
use crate::time::{Mono, Now};

/// Entries of a listing that are looked at in one step. Listing a maildrop in which all is deleted writes nothing, and
/// must not hold up the others either.
const PAGE: usize = 1024;

/// One POP3 connection, from the server's end.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    tickets: Tickets,
    lines: LineReader,
    state: State,
    maildrop: Maildrop,
    transfer: Transfer,
    secrets: Vec<SecretSpan>,
    closing: Closing,
    /// TLS is up.
    tls: bool,
    /// An `Open` was asked, and neither a `Commit` nor a `Release` since.
    holding: bool,
    bad_commands: u32,
    failed_logins: u32,
    /// When the greeting was sent.
    begun: Mono,
    /// When the peer last did something.
    active: Mono,
    /// Bytes that had left `tx` when we began to wait for room in it.
    stalled: Option<u64>,
    /// How fast the peer reads, since it last had read all that there was.
    pace: Pace,
}

#[derive(Debug)]
enum State {
    Fresh,
    /// `user` is the name that USER gave with the last command.
    Authorization {
        user: Option<String>,
    },
    Sasl(Exchange),
    Upgrading,
    Authenticating(Question<AuthenticateAnswer>),
    Opening(Question<OpenAnswer>),
    Transaction,
    Listing {
        column: Column,
        next: usize,
    },
    Sending,
    Committing(Question<CommitAnswer>),
    Over(End),
}

/// A question that stops the session until it is answered.
#[derive(Debug)]
struct Question<A> {
    serial: u64,
    asked: Mono,
    answer: Option<A>,
}

/// How the session is to end. Later ones outweigh earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closing {
    No,
    /// When all that has arrived is done.
    Eof,
    /// When the current command is done.
    Shutdown,
    /// At once.
    Broken,
}

/// What a part of the machine leaves to the loop in `poll`.
enum Turn {
    /// Go on.
    On,
    /// Tell the host.
    Say(Step<Action>),
}

impl Server {
    /// A session on a fresh connection. Under implicit TLS, [`upgraded`](Session::upgraded) comes before the first
    /// `poll`.
    #[must_use]
    pub fn new(id: SessionId, config: Arc<Config>) -> Self {
        Self {
            tickets: Tickets::new(id),
            lines: LineReader::new(config.limits.line),
            config,
            state: State::Fresh,
            maildrop: Maildrop::default(),
            transfer: Transfer::default(),
            secrets: Vec::new(),
            closing: Closing::No,
            tls: false,
            holding: false,
            bad_commands: 0,
            failed_logins: 0,
            begun: Mono::default(),
            active: Mono::default(),
            stalled: None,
            pace: Pace::default(),
        }
    }

    fn turn(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        match &mut self.state {
            State::Fresh => self.greet(now, tx),
            State::Authorization { .. } | State::Sasl(_) | State::Transaction => self.command(now, rx, tx),
            State::Upgrading => self.still_upgrading(now, rx),
            State::Authenticating(question) => match question.answer.take() {
                Some(answer) => self.authenticated(now, &answer, tx),
                None => self.still_logging_in(now, rx, tx),
            },
            State::Opening(question) => match question.answer.take() {
                Some(answer) => self.opened(now, answer, tx),
                None => self.still_logging_in(now, rx, tx),
            },
            State::Listing { .. } => self.list(now, rx, tx),
            State::Sending => self.send(now, rx, tx),
            State::Committing(question) => match question.answer.take() {
                Some(answer) => self.committed(&answer, tx),
                None => self.still_committing(now, rx),
            },
            State::Over(end) => {
                let end = *end;
                self.end(end)
            }
        }
    }

    fn greet(&mut self, now: Now, tx: &mut Outbox) -> Turn {
        (self.begun, self.active) = (now.mono, now.mono);
        self.state = State::Authorization { user: None };
        if self.closing >= Closing::Shutdown {
            mark!(Pop3TurnedAway);
            tx.put(reply::TURNED_AWAY);
            return self.end(End::Shutdown);
        }
        reply::greeting(&self.config, tx);
        Turn::On
    }

    /// Between the go-ahead for TLS and TLS itself.
    fn still_upgrading(&mut self, now: Now, rx: &BytesMut) -> Turn {
        if !rx.is_empty() {
            mark!(Pop3TlsInjected);
            return self.end(End::Refused);
        }
        match self.closing {
            Closing::No => self.wait_for_peer(now, rx),
            Closing::Eof => self.end(End::Eof),
            Closing::Shutdown | Closing::Broken => self.end(End::Shutdown),
        }
    }

    fn authenticated(&mut self, now: Now, answer: &AuthenticateAnswer, tx: &mut Outbox) -> Turn {
        match answer {
            AuthenticateAnswer::Accepted => {
                let (ticket, question) = self.ask(now);
                self.state = State::Opening(question);
                self.holding = true;
                return Turn::Say(Step::Act(Action::Open { ticket }));
            }
            AuthenticateAnswer::Rejected => {
                self.failed_logins += 1;
                if self.failed_logins >= self.config.limits.session.failed_logins {
                    mark!(Pop3TooManyLogins);
                    tx.put(reply::REJECTED_TOO_OFTEN);
                    return self.end(End::Refused);
                }
                mark!(Pop3Rejected);
                tx.put(reply::REJECTED);
            }
            AuthenticateAnswer::Unavailable => mark!(Pop3LoginUnavailable, tx.put(reply::UNAVAILABLE)),
        }
        self.ready(now, State::Authorization { user: None })
    }

    fn opened(&mut self, now: Now, answer: OpenAnswer, tx: &mut Outbox) -> Turn {
        match answer {
            OpenAnswer::Opened(messages) => {
                self.maildrop = Maildrop::new(messages);
                reply::holds(&self.maildrop, tx);
                return self.ready(now, State::Transaction);
            }
            OpenAnswer::InUse => mark!(Pop3InUse, tx.put(reply::IN_USE)),
            OpenAnswer::Unavailable => mark!(Pop3OpenUnavailable, tx.put(reply::UNAVAILABLE)),
        }
        self.ready(now, State::Authorization { user: None })
    }

    /// While the host checks credentials or opens the maildrop.
    fn still_logging_in(&mut self, now: Now, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        let (asked, opening) = match &self.state {
            State::Authenticating(question) => (question.asked, false),
            State::Opening(question) => (question.asked, true),
            _ => return Turn::On,
        };
        if self.closing == Closing::Shutdown {
            mark!(Pop3ShutdownAtLogin);
            tx.put(reply::SHUTDOWN);
            return self.end(End::Shutdown);
        }
        let until = asked.after(self.config.limits.session.answer_timeout);
        if now.mono < until {
            return self.wait(WaitingOn::Answer, until, rx);
        }
        mark!(Pop3LoginUnanswered);
        tx.put(reply::UNAVAILABLE);
        // A lock that comes late would be nobody's: the session ends, and gives back what it may get.
        if opening { self.end(End::Unconfirmed) } else { self.ready(now, State::Authorization { user: None }) }
    }

    fn list(&mut self, now: Now, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        let State::Listing { column, next } = &mut self.state else { return Turn::On };
        if tx.is_full() {
            mark!(Pop3ListingFull);
            return self.wait_for_room(now, rx, tx);
        }
        let end = self.maildrop.len().min(*next + PAGE);
        while *next < end && !tx.is_full() {
            if let Some(message) = self.maildrop.live(*next) {
                reply::row(b"", *next as u64 + 1, message, *column, tx);
            }
            *next += 1;
        }
        if *next < self.maildrop.len() {
            return Turn::On;
        }
        tx.put(reply::END);
        self.ready(now, State::Transaction)
    }

    fn send(&mut self, now: Now, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        match self.transfer.turn(now, &self.config.limits.session, &mut self.tickets, tx) {
            Progress::Ask(action) => Turn::Say(Step::Act(action)),
            Progress::Wrote => Turn::On,
            Progress::Finished => self.ready(now, State::Transaction),
            Progress::Failed { begun: false } => {
                mark!(Pop3Unreadable);
                tx.put(reply::UNREADABLE);
                self.ready(now, State::Transaction)
            }
            // A message that breaks off must not look whole.
            Progress::Failed { begun: true } => mark!(Pop3BrokenOff, self.end(End::Broken)),
            Progress::Full => mark!(Pop3MessageFull, self.wait_for_room(now, rx, tx)),
            Progress::Unanswered(until) => self.wait(WaitingOn::Answer, until, rx),
        }
    }

    fn committed(&mut self, answer: &CommitAnswer, tx: &mut Outbox) -> Turn {
        match answer {
            CommitAnswer::Committed => reply::goodbye(&self.config, tx),
            CommitAnswer::Failed => mark!(Pop3NotRemoved, tx.put(reply::NOT_REMOVED)),
        }
        self.end(End::Quit)
    }

    fn still_committing(&mut self, now: Now, rx: &BytesMut) -> Turn {
        let State::Committing(question) = &self.state else { return Turn::On };
        let until = question.asked.after(self.config.limits.session.commit_timeout);
        if now.mono < until {
            return self.wait(WaitingOn::Answer, until, rx);
        }
        // It may happen yet: neither +OK nor -ERR would be true.
        mark!(Pop3Unconfirmed);
        self.end(End::Unconfirmed)
    }

    /// A question, remembered.
    fn ask<A>(&mut self, now: Now) -> (Ticket<A>, Question<A>) {
        let (ticket, serial) = self.tickets.issue();
        (ticket, Question { serial, asked: now.mono, answer: None })
    }

    /// The command is done: on to the next.
    fn ready(&mut self, now: Now, state: State) -> Turn {
        self.state = state;
        self.active = now.mono;
        Turn::On
    }

    /// Over; but first what is held is given back.
    fn end(&mut self, end: End) -> Turn {
        self.state = State::Over(end);
        if planted::is(Bug::APop3DeleteWithoutQuit) && self.holding && !self.maildrop.marked().is_empty() {
            self.holding = false;
            let ((ticket, _), deleted) = (self.tickets.issue(), self.maildrop.marked());
            return Turn::Say(Step::Act(Action::Commit { ticket, deleted }));
        }
        if mem::take(&mut self.holding) {
            mark!(Pop3Released);
            return Turn::Say(Step::Act(Action::Release));
        }
        Turn::Say(Step::Done(end))
    }

    fn wait_for_peer(&mut self, now: Now, rx: &BytesMut) -> Turn {
        self.pace = Pace::default();
        let until = self.idle_until();
        if now.mono < until { self.wait(WaitingOn::Peer, until, rx) } else { mark!(Pop3Idle, self.end(End::Timeout)) }
    }

    fn wait_for_room(&mut self, now: Now, rx: &BytesMut, tx: &Outbox) -> Turn {
        let limits = &self.config.limits;
        let (since, patience) = self.pace.wait(now.mono, limits.read_grace, limits.read_rate);
        let until = self.idle_until().min(since.after(patience));
        if now.mono >= until {
            mark!(Pop3DeafClient);
            return self.end(End::Timeout);
        }
        self.stalled = Some(left(tx));
        self.wait(WaitingOn::Flush, until, rx)
    }

    fn idle_until(&self) -> Mono {
        let limits = &self.config.limits;
        let transaction = matches!(self.state, State::Transaction | State::Listing { .. } | State::Sending);
        if transaction {
            return self.active.after(limits.idle_timeout);
        }
        self.active.after(limits.login_timeout).min(self.login_until())
    }

    /// When the peer must have logged in.
    fn login_until(&self) -> Mono {
        self.begun.after(self.config.limits.login_total)
    }

    /// Commands that a client sends ahead are read up to the length of one line: enough to hear its EOF, and no more
    /// than that to keep.
    fn wait(&self, on: WaitingOn, until: Mono, rx: &BytesMut) -> Turn {
        let read = on == WaitingOn::Peer || rx.len() < self.config.limits.line;
        Turn::Say(Step::Wait(Wait { read, until: Some(until), on }))
    }
}

impl Session for Server {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.secrets.clear();
        // A connection that breaks takes `tx` with it: behind a new one nothing has left.
        if let Some(moved) = self.stalled.take().and_then(|before| left(tx).checked_sub(before))
            && moved > 0
        {
            self.active = now.mono;
            self.pace.moved(moved, now.mono);
        }
        if self.closing == Closing::Broken && !matches!(self.state, State::Over(_)) {
            mark!(Pop3Broken);
            self.state = State::Over(End::Broken);
        }
        for _ in 0..self.config.limits.session.steps.max(1) {
            if let Turn::Say(step) = self.turn(now, rx, tx) {
                return step;
            }
        }
        Step::More
    }

    fn close(&mut self, why: Close) {
        let closing = match why {
            Close::Eof => Closing::Eof,
            Close::Shutdown => Closing::Shutdown,
            Close::Error | Close::Layer => Closing::Broken,
        };
        self.closing = self.closing.max(closing);
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        let LayerInfo::Tls(_) = layer;
        self.tls = true;
        if matches!(self.state, State::Upgrading) {
            // What the client said before TLS counts for nothing (RFC 2595 §4).
            self.state = State::Authorization { user: None };
        }
    }

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<AuthenticateAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<AuthenticateAnswer>, answer: AuthenticateAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if let State::Authenticating(question) = &mut self.state {
            question.take(serial, answer);
        }
        Ok(())
    }
}

impl Answer<OpenAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<OpenAnswer>, answer: OpenAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if let State::Opening(question) = &mut self.state {
            question.take(serial, answer);
        }
        Ok(())
    }
}

impl Answer<ReadAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<ReadAnswer>, answer: ReadAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if matches!(self.state, State::Sending) {
            self.transfer.answer(serial, answer);
        }
        Ok(())
    }
}

impl Answer<CommitAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<CommitAnswer>, answer: CommitAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if let State::Committing(question) = &mut self.state {
            question.take(serial, answer);
        }
        Ok(())
    }
}

impl<A> Question<A> {
    /// Takes the answer, unless it is to another question.
    fn take(&mut self, serial: u64, answer: A) {
        if self.serial == serial {
            self.answer = Some(answer);
        }
    }
}

/// Bytes that have left `tx`.
fn left(tx: &Outbox) -> u64 {
    tx.appended() - tx.len() as u64
}
