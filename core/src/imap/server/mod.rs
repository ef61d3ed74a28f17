//! The IMAP server machine.
//!
//! ```text
//!  (greeting)      ┌── rejected, unavailable ──┐
//!  Fresh ──► NotAuthenticated ──LOGIN──► asked ┘ ──accepted──► LoggedIn ──LOGOUT──► Over
//!              │  ▲  └──AUTHENTICATE──► Sasl ──────┘              │ ▲
//!     STARTTLS ▼  │                                       SELECT, ▼ │ CLOSE, UNSELECT,
//!            Upgrading (TLS)                              EXAMINE a view  a SELECT that fails
//! ```
//!
//! Every state ends in `Over` when the connection breaks, a time limit passes or the host shuts down. What the host holds
//! for the session, octets of an APPEND and the watch over a mailbox, it is told to drop first.
//!
//! One command runs at a time, as a value of its own (`task.rs`); the next ones wait in `rx`, so they run in order by
//! construction. At its end, before its tagged response, the view of the selected mailbox (`view.rs`)
//! is brought up to date (`sync.rs`).
//!
//! | while | what is taken from the peer | what it waits for | its time limit |
//! |---|---|---|---|
//! | no command runs | a command | | `login_timeout`, `login_total`; once logged in `idle_timeout`: BYE |
//! | AUTHENTICATE | a response, or `*` | a line | the same |
//! | credentials are checked | nothing | [`AuthenticateAnswer`] | `answer_timeout`: NO \[UNAVAILABLE\] |
//! | something is asked | nothing | [`Response`] | `answer_timeout`: NO \[UNAVAILABLE\], or over within a literal |
//! | something is changed | nothing | [`Response`] | `commit_timeout`: over, without a word |
//! | APPEND | octets of its messages | [`ChunkAnswer`], octets | `commit_timeout`: over; for octets `data_grace` and `data_rate`: BYE |
//! | IDLE | `DONE` | a change of the mailbox, a line | `idle_timeout`: BYE |
//! | `tx` is full | nothing | room | `idle_timeout`, `read_grace` and `read_rate`: over |
//!
//! What is announced is in [`CAPABILITIES`]. A session is one of IMAP4rev1 until it enables IMAP4rev2 (RFC 9051 §6.3.1).
//!
//! | command (RFC 9051 §6, RFC 3501 §6) | |
//! |---|---|
//! | CAPABILITY, NOOP, LOGOUT, ID | in any state |
//! | STARTTLS | while TLS is offered and not up; BAD with anything behind it |
//! | AUTHENTICATE | PLAIN, with an initial response or without; other mechanisms: NO |
//! | LOGIN | NO \[PRIVACYREQUIRED\] where no password may cross |
//! | ENABLE | CONDSTORE, QRESYNC, UTF8=ACCEPT, IMAP4rev2; other names are passed over. With a mailbox selected, too, which servers need not check |
//! | SELECT, EXAMINE | with CONDSTORE and QRESYNC |
//! | CREATE | with USE; DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, NAMESPACE |
//! | LIST | extended, with STATUS and SPECIAL-USE; LSUB of RFC 3501 |
//! | STATUS | RECENT of RFC 3501 included |
//! | APPEND | one message or some; a message is asked for only if there is a mailbox for it |
//! | IDLE | nothing but what concerns the selected mailbox is told |
//! | CLOSE, UNSELECT, EXPUNGE, UID EXPUNGE | CHECK of RFC 3501 is NOOP |
//! | SEARCH, FETCH, STORE, COPY, MOVE | and each behind UID |
//! | SORT, THREAD, COMPRESS, NOTIFY and others | not announced: BAD |
//!
//! | with IMAP4rev2 (RFC 9051 Appendix E) | |
//! |---|---|
//! | ESEARCH in the place of SEARCH (4) | `found.rs` |
//! | a LIST response in SELECT (10), no UNSEEN (11), no RECENT, no `\Recent` (12) | `select.rs`; STATUS (RECENT) and SEARCH NEW, OLD and RECENT are answered if asked |
//! | names and quoted strings in UTF-8 (16), responses in ASCII all the same (24) | `task.rs`, `view.rs` |
//! | UID in every FETCH that is not asked for (21) | `view.rs`; where a mod-sequence is told as well (RFC 7162 §3.2.4) |
//! | CLOSED (9) | always: RFC 7162 §3.2.11 wants it of everybody |
//! | CHECK, LSUB, RFC822, RFC822.HEADER, RFC822.TEXT (17 to 19) | dropped from it, and answered: a client that asks means it |
//! | sizes of 63 bits (1) | counted so; a message is smaller than 4 GB by `message_size` |
//!
//! What RFC 7162 leaves open: no mailbox is without mod-sequences (NOMODSEQ is never said). A message has one of them, and
//! what its last change was of is known: a conditional STORE of flags is not refused for another one that has changed,
//! unless several changes were made since (§3.1.12).
//!
//! | UTF-8 in headers (RFC 6855), while a client has enabled neither UTF8=ACCEPT nor IMAP4rev2 | |
//! |---|---|
//! | APPEND of a header with octets beyond ASCII, in whatever literal | NO \[CANNOT\] (§4). The headers of parts are not looked at, and nothing is where UTF8=ACCEPT is switched off |
//! | `UTF8 (~{…}` around anything else | as a plain literal |
//! | FETCH of a message that came by mail with such a header | as it is; where it stands in a string, as a literal (§7, §8) |
//! | names of mailboxes | in modified UTF-7; such as come in UTF-8 are understood (§3) |
//!
//! Such a message would be another one if it were downgraded (RFC 6857, RFC 6858): with other octets, signatures that
//! fail, and one UID for both. It comes by mail whatever a client wishes, and clients that read it as best they can are
//! better served than by a surrogate that nobody can answer, or by not seeing it at all. So nothing is hidden.
//!
//! Names of mailboxes are Net-Unicode (RFC 9051 §5.1): one that is not composed is taken for the composed one by all
//! commands, and IMAP4rev2 clients are told so by OLDNAME.

mod action;
mod append;
mod capability;
mod commands;
mod copy;
mod criteria;
mod expunge;
mod fetch;
mod found;
mod idle;
mod mailboxes;
mod message;
mod reply;
mod search;
mod section;
mod select;
mod source;
mod store;
mod sync;
mod task;
mod terms;
mod vanished;
mod view;

pub use action::{Action, AuthenticateAnswer, ChunkAnswer, Config, Limits};
pub use capability::{CAPABILITIES, When};

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BytesMut;

use self::reply::Completion;
use self::sync::Sync;
use self::task::{Cx, Progress, Task};
use self::view::View;
use crate::imap::encode::{self, Condition};
use crate::imap::framing::FrameFault;
use crate::imap::grammar::{Bad, SyntaxError};
use crate::imap::reader::{Input, Reader};
use crate::imap::types::{Code, Enabled, Names, Tag};
use crate::mailbox::{ModSeq, Response};
use crate::mark;
use crate::ops::MailboxId;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::session::{Answer, Close, Direction, End, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::ticket::{Misuse, SessionId, Ticket, Tickets};
use crate::time::{Mono, Now};

/// One IMAP connection, from the server's end.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    tickets: Tickets,
    reader: Reader,
    state: State,
    enabled: Enabled,
    /// The mailbox that is selected.
    view: Option<View>,
    /// The command under way.
    doing: Option<Doing>,
    /// The question that stops it until it is answered.
    question: Option<Question>,
    /// What the host is to be told, before anything else.
    actions: VecDeque<Action>,
    secrets: Vec<SecretSpan>,
    closing: Closing,
    /// TLS is up.
    tls: bool,
    /// In a row.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    NotAuthenticated,
    Upgrading,
    LoggedIn,
    Over(End),
}

/// A command under way.
#[derive(Debug)]
struct Doing {
    tag: Tag,
    name: &'static str,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Working(Task),
    /// The view is brought up to date, before this is said.
    Syncing(Sync, Completion),
}

#[derive(Debug)]
struct Question {
    serial: u64,
    asked: Mono,
    /// Whether it happens is not known before it is answered.
    change: bool,
    reply: Option<Reply>,
}

/// What the host has answered.
#[derive(Debug)]
enum Reply {
    Mailbox(Response),
    Login(AuthenticateAnswer),
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
            reader: Reader::new(config.limits.framing.clone()),
            config,
            state: State::Fresh,
            enabled: Enabled::default(),
            view: None,
            doing: None,
            question: None,
            actions: VecDeque::new(),
            secrets: Vec::new(),
            closing: Closing::No,
            tls: false,
            bad_commands: 0,
            failed_logins: 0,
            begun: Mono::default(),
            active: Mono::default(),
            stalled: None,
            pace: Pace::default(),
        }
    }

    /// A mailbox that is watched is at `modseq` now: a hint, and the latest one counts. Poll behind it.
    pub fn changed(&mut self, mailbox: MailboxId, modseq: ModSeq) {
        if let Some(view) = self.view.as_mut().filter(|view| view.mailbox == mailbox) {
            view.hear(modseq);
        }
    }

    /// The mailbox that is watched may have changed, and nobody knows how far. Poll behind it.
    pub fn missed(&mut self) {
        if let Some(view) = &mut self.view {
            view.look_again();
        }
    }

    fn turn(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        if let Some(action) = self.actions.pop_front() {
            return Turn::Say(Step::Act(action));
        }
        match self.state {
            State::Fresh => self.greet(now, tx),
            State::Upgrading => self.still_upgrading(now, rx, tx),
            State::Over(end) => Turn::Say(Step::Done(end)),
            State::NotAuthenticated | State::LoggedIn => match self.doing.take() {
                Some(doing) => self.go_on(now, doing, rx, tx),
                None => self.next_command(now, rx, tx),
            },
        }
    }

    fn greet(&mut self, now: Now, tx: &mut Outbox) -> Turn {
        (self.begun, self.active) = (now.mono, now.mono);
        self.state = State::NotAuthenticated;
        if self.closing >= Closing::Shutdown {
            mark!(ImapTurnedAway);
            reply::bye(reply::TURNED_AWAY, tx);
            return self.end(End::Shutdown);
        }
        let code = Code::Capability(capability::announced(&self.config, self.standing()));
        let words = alloc::format!("{} IMAP server ready", self.config.hostname);
        encode::untagged(tx, Condition::Ok, Some(&code), &words);
        Turn::On
    }

    /// Between the go-ahead for TLS and TLS itself.
    fn still_upgrading(&mut self, now: Now, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        if !rx.is_empty() {
            mark!(ImapTlsInjected);
            return self.end(End::Refused);
        }
        match self.closing {
            Closing::No if now.mono < self.idle_until() => self.wait_for_peer(now, self.idle_until(), rx, tx),
            Closing::No => mark!(ImapTlsNeverCame, self.end(End::Timeout)),
            Closing::Eof => self.end(End::Eof),
            Closing::Shutdown | Closing::Broken => self.end(End::Shutdown),
        }
    }

    fn next_command(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        if self.closing == Closing::Shutdown {
            mark!(ImapShutdown);
            reply::bye(reply::SHUTDOWN, tx);
            return self.end(End::Shutdown);
        }
        if tx.is_full() {
            return self.wait_for_room(now, rx, tx);
        }
        let input = self.reader.next(rx, self.config.limits.session.chunk.max(1));
        match input {
            Some(Input::Command(tagged)) => self.begin(now, tagged, rx.len(), tx),
            Some(Input::Bad(bad)) => self.not_understood(now, bad, tx),
            Some(Input::Continue) => {
                encode::continuation(tx, "Go on");
                self.active = now.mono;
                Turn::On
            }
            // Lines and octets come only when they were asked for.
            Some(_) => Turn::On,
            None if self.closing == Closing::Eof => mark!(ImapEof, self.end(End::Eof)),
            None => self.wait_for_peer(now, self.idle_until(), rx, tx),
        }
    }

    fn not_understood(&mut self, now: Now, bad: Bad, tx: &mut Outbox) -> Turn {
        marked(&bad.what);
        let words = alloc::format!("{}", bad.what);
        match bad.tag {
            Some(tag) => encode::tagged(tx, &tag, Condition::Bad, None, &words),
            None => encode::untagged(tx, Condition::Bad, None, &words),
        }
        self.bad(now, tx)
    }

    /// Something was bad; too much of that ends the session.
    fn bad(&mut self, now: Now, tx: &mut Outbox) -> Turn {
        self.active = now.mono;
        self.bad_commands += 1;
        if self.bad_commands < self.config.limits.session.bad_commands {
            return Turn::On;
        }
        mark!(ImapTooManyBad);
        reply::bye(reply::TOO_MANY, tx);
        self.end(End::Refused)
    }

    /// The command under way goes on.
    fn go_on(&mut self, now: Now, mut doing: Doing, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        let answer = match self.question.take() {
            None => None,
            Some(Question { reply: Some(reply), .. }) => Some(reply),
            Some(question) => {
                let limits = &self.config.limits.session;
                let patience = if question.change { limits.commit_timeout } else { limits.answer_timeout };
                let until = question.asked.after(patience);
                if now.mono < until {
                    (self.doing, self.question) = (Some(doing), Some(question));
                    return self.wait(WaitingOn::Answer, until, rx);
                }
                if question.change {
                    mark!(ImapUnconfirmed);
                    // It may happen yet: neither OK nor NO would be true.
                    return self.end(End::Unconfirmed);
                }
                mark!(ImapUnanswered);
                Some(Reply::Mailbox(Response::Unavailable { full: false }))
            }
        };
        match doing.stage {
            Stage::Working(Task::Login) => return self.authenticated(now, doing, answer, tx),
            Stage::Working(Task::Sasl(exchange)) => return self.sasl(now, doing.tag, exchange, rx, tx),
            _ => {}
        }
        let answer = match answer {
            Some(Reply::Mailbox(response)) => Some(response),
            _ => None,
        };
        let mut cx = Cx {
            now,
            tag: doing.tag,
            config: &self.config,
            enabled: self.enabled,
            view: &mut self.view,
            reader: &mut self.reader,
            tickets: &mut self.tickets,
            actions: &mut self.actions,
            rx,
            tx,
        };
        let progress = match (&mut doing.stage, answer) {
            (Stage::Syncing(sync, _), answer) => sync.turn(&mut cx, answer),
            (Stage::Working(Task::Idle(idle)), answer) => idle.turn(&mut cx, answer),
            (Stage::Working(task), Some(Response::Unavailable { full })) => match task.fail(&mut cx, full) {
                Some(completion) => Progress::Done(completion),
                None => mark!(ImapBrokenOff, Progress::Broken),
            },
            (Stage::Working(task), answer) => task.turn(&mut cx, answer),
        };
        self.progressed(now, doing, progress, rx, tx)
    }

    /// Does what comes of a turn of the command under way.
    fn progressed(
        &mut self,
        now: Now,
        mut doing: Doing,
        progress: Progress,
        rx: &mut BytesMut,
        tx: &mut Outbox,
    ) -> Turn {
        match progress {
            Progress::Ask(request) => {
                let (ticket, serial) = self.tickets.issue();
                self.asked(now, serial, request.is_change());
                self.doing = Some(doing);
                Turn::Say(Step::Act(Action::Ask { ticket, request }))
            }
            Progress::Again => {
                self.doing = Some(doing);
                Turn::On
            }
            Progress::Later => {
                mark!(ImapTurnSpent);
                self.doing = Some(doing);
                Turn::Say(Step::More)
            }
            Progress::Full => {
                mark!(ImapFull);
                self.doing = Some(doing);
                self.wait_for_room(now, rx, tx)
            }
            Progress::Peer { until } => {
                self.doing = Some(doing);
                match self.closing {
                    Closing::Shutdown => {
                        mark!(ImapShutdownMidway);
                        reply::bye(reply::SHUTDOWN, tx);
                        self.end(End::Shutdown)
                    }
                    Closing::Eof => mark!(ImapEofMidway, self.end(End::Eof)),
                    Closing::No | Closing::Broken => {
                        self.wait_for_peer(now, until.unwrap_or_else(|| self.idle_until()), rx, tx)
                    }
                }
            }
            Progress::Chunks { until, read } => {
                self.doing = Some(doing);
                self.active = now.mono;
                Turn::Say(Step::Wait(Wait { read, until: Some(until), on: WaitingOn::Answer }))
            }
            Progress::Unconfirmed => {
                mark!(ImapChunkUnanswered);
                self.doing = Some(doing);
                self.end(End::Unconfirmed)
            }
            Progress::Broken => self.end(End::Broken),
            Progress::Synced => {
                let Stage::Syncing(_, completion) = doing.stage else { return self.end(End::Broken) };
                self.complete(now, doing.tag, doing.name, completion, tx)
            }
            Progress::Done(completion) => {
                // Numbers must not change under a client that speaks in them (RFC 9051 §7.5.1); those may stand in the keys of
                // a UID SEARCH as well (RFC 7162 §3.2.10.2).
                let expunges = !matches!(doing.name, "FETCH" | "STORE" | "SEARCH" | "UID SEARCH");
                let due = self.view.as_ref().is_some_and(|view| Sync::is_due(view, expunges));
                if !due || doing.name == "SELECT" || doing.name == "EXAMINE" {
                    return self.complete(now, doing.tag, doing.name, completion, tx);
                }
                doing.stage = Stage::Syncing(Sync::new(expunges, doing.name.starts_with("UID ")), completion);
                self.doing = Some(doing);
                Turn::On
            }
        }
    }

    /// A line of a SASL exchange.
    fn sasl(
        &mut self,
        now: Now,
        tag: Tag,
        mut exchange: crate::sasl::Exchange,
        rx: &mut BytesMut,
        tx: &mut Outbox,
    ) -> Turn {
        let name = "AUTHENTICATE";
        if tx.is_full() {
            self.doing = Some(Doing { tag, name, stage: Stage::Working(Task::Sasl(exchange)) });
            return self.wait_for_room(now, rx, tx);
        }
        match self.reader.next(rx, self.config.limits.session.chunk.max(1)) {
            Some(Input::Line(line)) => {
                let turn = exchange.respond(&line);
                self.exchange(now, tag, Some(exchange), turn, tx)
            }
            Some(_) => mark!(ImapBadExchange, self.over(now, tag, name, Completion::bad("Not a response"), tx)),
            None => {
                let doing = Doing { tag, name, stage: Stage::Working(Task::Sasl(exchange)) };
                self.progressed(now, doing, Progress::Peer { until: None }, rx, tx)
            }
        }
    }

    /// A question is under way.
    fn asked(&mut self, now: Now, serial: u64, change: bool) {
        self.question = Some(Question { serial, asked: now.mono, change, reply: None });
    }

    /// A command is over that has not begun.
    fn over(&mut self, now: Now, tag: Tag, name: &'static str, completion: Completion, tx: &mut Outbox) -> Turn {
        self.complete(now, tag, name, completion, tx)
    }

    /// Says how a command has ended: on to the next.
    fn complete(&mut self, now: Now, tag: Tag, name: &'static str, completion: Completion, tx: &mut Outbox) -> Turn {
        let told = match &mut self.view {
            Some(view) => end_with(view, completion, self.enabled, tx),
            None => completion,
        };
        told.say(&tag, name, tx);
        self.doing = None;
        self.active = now.mono;
        if told.is_bad() {
            return self.bad(now, tx);
        }
        self.bad_commands = 0;
        Turn::On
    }

    /// Over; but first what the host holds is given back.
    fn end(&mut self, end: End) -> Turn {
        if let Some(Doing { stage: Stage::Working(Task::Append(append)), .. }) = self.doing.take()
            && append.is_held()
        {
            // Chunks that it was not yet given need not be.
            mark!(ImapAppendGivenUp);
            self.actions.retain(|action| !matches!(action, Action::Chunk { .. }));
            self.actions.push_back(Action::Discard);
        }
        if let Some(view) = self.view.take() {
            self.actions.push_back(Action::Unwatch { mailbox: view.mailbox });
        }
        self.question = None;
        self.state = State::Over(end);
        Turn::On
    }

    fn wait_for_peer(&mut self, now: Now, until: Mono, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        self.pace = Pace::default();
        if now.mono < until {
            return self.wait(WaitingOn::Peer, until, rx);
        }
        if self.state != State::Upgrading {
            let why = match self.state {
                State::LoggedIn => mark!(ImapIdle, reply::TIMEOUT),
                _ => mark!(ImapSlowLogin, reply::LOGIN_TIMEOUT),
            };
            reply::bye(why, tx);
        }
        self.end(End::Timeout)
    }

    fn wait_for_room(&mut self, now: Now, rx: &BytesMut, tx: &Outbox) -> Turn {
        let limits = &self.config.limits;
        let (since, patience) = self.pace.wait(now.mono, limits.read_grace, limits.read_rate);
        let until = self.idle_until().min(since.after(patience));
        if now.mono >= until {
            mark!(ImapDeafClient);
            return self.end(End::Timeout);
        }
        self.stalled = Some(left(tx));
        self.wait(WaitingOn::Flush, until, rx)
    }

    fn idle_until(&self) -> Mono {
        let limits = &self.config.limits;
        if self.state == State::LoggedIn {
            return self.active.after(limits.idle_timeout);
        }
        self.active.after(limits.login_timeout).min(self.begun.after(limits.login_total))
    }

    /// Commands that a client sends ahead are read up to the length of one line: enough to hear its EOF, and no more
    /// than that to keep.
    fn wait(&self, on: WaitingOn, until: Mono, rx: &BytesMut) -> Turn {
        let read = on == WaitingOn::Peer || rx.len() < self.config.limits.framing.line;
        Turn::Say(Step::Wait(Wait { read, until: Some(until), on }))
    }

    /// Whether a password may cross.
    fn takes_login(&self) -> bool {
        self.tls || self.config.cleartext_auth
    }

    fn standing(&self) -> capability::Standing {
        capability::Standing {
            logged_in: self.state == State::LoggedIn,
            starttls: self.config.starttls && !self.tls,
            login: self.takes_login(),
        }
    }

    fn answered(&mut self, serial: u64, reply: Reply) {
        if let Some(question) = self.question.as_mut().filter(|question| question.serial == serial) {
            question.reply = Some(reply);
        }
    }
}

impl Session for Server {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.secrets.clear();
        self.reader.forget_secrets();
        // A connection that breaks takes `tx` with it: behind a new one nothing has left.
        if let Some(moved) = self.stalled.take().and_then(|before| left(tx).checked_sub(before))
            && moved > 0
        {
            self.active = now.mono;
            self.pace.moved(moved, now.mono);
        }
        if self.closing == Closing::Broken && !matches!(self.state, State::Over(_)) {
            mark!(ImapBroken);
            self.end(End::Broken);
        }
        let mut step = Step::More;
        for _ in 0..self.config.limits.session.steps.max(1) {
            if let Turn::Say(said) = self.turn(now, rx, tx) {
                step = said;
                break;
            }
        }
        let secret =
            |range: &core::ops::Range<u64>| SecretSpan { direction: Direction::In, start: range.start, end: range.end };
        self.secrets.extend(self.reader.secrets().iter().map(secret));
        step
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
        if self.state == State::Upgrading {
            // What was said before TLS counts for nothing (RFC 9051 §6.2.1).
            self.state = State::NotAuthenticated;
            self.enabled = Enabled::default();
            self.reader.set_names(Names::Utf7);
        }
    }

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<AuthenticateAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<AuthenticateAnswer>, answer: AuthenticateAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        self.answered(serial, Reply::Login(answer));
        Ok(())
    }
}

impl Answer<Response> for Server {
    fn answer(&mut self, ticket: Ticket<Response>, answer: Response) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        self.answered(serial, Reply::Mailbox(answer));
        Ok(())
    }
}

impl Answer<ChunkAnswer> for Server {
    fn answer(&mut self, ticket: Ticket<ChunkAnswer>, answer: ChunkAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if let Some(Doing { stage: Stage::Working(Task::Append(append)), .. }) = &mut self.doing {
            append.answer(serial, answer);
        }
        Ok(())
    }
}

/// What a client whose mailbox is open must hear at the end of a command.
fn end_with(view: &mut View, completion: Completion, enabled: Enabled, tx: &mut Outbox) -> Completion {
    let settled = view.settle().filter(|_| enabled.qresync);
    let told = completion.at(view.told);
    match settled {
        _ if told.says_highest() => told,
        Some(modseq) if told.has_code() || !told.is_ok() => {
            reply::highest(modseq, tx);
            told
        }
        Some(modseq) => told.or_code(Code::HighestModseq(view::modseq(modseq))),
        // Somebody else has removed messages, of which nothing can be said here (RFC 5530).
        None if told.is_ok() && !view.gone.is_empty() => mark!(ImapExpungeIssued, told.or_code(Code::ExpungeIssued)),
        None => told,
    }
}

/// The mark of what is no command.
fn marked(what: &SyntaxError) {
    match what {
        SyntaxError::Frame(FrameFault::TooLong) => mark!(ImapLineTooLong),
        SyntaxError::Frame(FrameFault::Octet(_)) => mark!(ImapBadLine),
        SyntaxError::Literal => mark!(ImapLiteralTooBig),
        SyntaxError::TooMany(_) | SyntaxError::TooLong(_) => mark!(ImapTooMuch),
        SyntaxError::Nesting => mark!(ImapNesting),
        SyntaxError::Command => mark!(ImapUnknownCommand),
        _ => mark!(ImapSyntax),
    }
}

/// Bytes that have left `tx`.
fn left(tx: &Outbox) -> u64 {
    tx.appended() - tx.len() as u64
}
