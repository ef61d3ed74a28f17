//! The POP3 client machine.
//!
//! ```text
//! Greeting ─+OK─► Hello ─CAPA─► Capabilities ──► login: AUTH PLAIN, or USER and PASS ─+OK─► Asking ◄────────┐
//!                   ▲                │                        │                               │ command     │ outcome
//!                   │ upgraded       │ STLS offered           │ -ERR                          ▼             │
//!               Upgrading ◄─+OK─── Stls ──────── -ERR ────────┼──► Failed               Responding ─────────┤
//!                                                             └──► Failed                │ UIDL  │ RETR     │
//!                                                                                        ▼       ▼          │
//!                                                                                    Listing  Retrieving ───┘
//! ```
//!
//! | state | what it waits for | when that does not come |
//! |---|---|---|
//! | Greeting, Capabilities, Stls, Upgrading, login, Responding, Listing, Retrieving | the server | `timeout`: over |
//! | Retrieving, with `window` chunks unanswered | the host takes a chunk | `answer_timeout`: over, unconfirmed |
//! | Asking | the host's next command | it may take its time: the server's autologout is the limit |
//!
//! One command is on its way at a time. A response that is none, a number that does not fit, a list without end are
//! [`Failure`]s: the connection is not used any further. Only QUIT lets a server delete anything, so a session that ends
//! in any other way has deleted nothing.
//!
//! | RFC | | |
//! |---|---|---|
//! | 1939 | USER, PASS, STAT, UIDL, RETR, DELE, RSET, QUIT | APOP (MD5); LIST, TOP, NOOP: not needed |
//! | 2449 | CAPA, response codes (left in the words of `-ERR`) | PIPELINING: not used |
//! | 2595 | STLS, and CAPA again behind it; plaintext behind the go-ahead ends the session | |
//! | 5034 | AUTH PLAIN, with the initial response where it fits into 255 octets | other mechanisms |

mod action;
mod response;

pub use action::{Action, Command, Config, Failure, Limits, Outcome, Taken, Tls};

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::BytesMut;

use self::response::{Capabilities, Status, words};
use crate::line::dot::{Piece, Unstuff};
use crate::line::{Fault, LineReader, Scan};
use crate::outbox::Outbox;
use crate::sasl;
use crate::secret::Secret;
use crate::session::{Answer, Close, Direction, End, Layer, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::ticket::{Misuse, SessionId, Ticket, Tickets};
use crate::time::{Mono, Now};

/// Octets of a command with its CRLF (RFC 2449 §4).
const COMMAND: usize = 255;

/// One POP3 connection, from the client's end.
#[derive(Debug)]
pub struct Client {
    config: Config,
    tickets: Tickets,
    lines: LineReader,
    state: State,
    secrets: Vec<SecretSpan>,
    /// Chunks that the host has not taken yet.
    outstanding: usize,
    /// The host took a chunk since the last poll.
    taken: bool,
    tls: bool,
    eof: bool,
    /// When something last went on.
    active: Mono,
}

#[derive(Debug)]
enum State {
    Fresh,
    Greeting,
    /// CAPA is to be said.
    Hello,
    Capabilities,
    /// The lines of the list, and how many they were.
    CapabilityList(Capabilities, usize),
    Stls(Capabilities),
    Upgrading,
    /// AUTH is said. The response, if it is not said yet.
    Auth(Option<Secret>),
    User,
    Pass,
    /// The host is to be asked.
    Idle,
    Asking {
        serial: u64,
        command: Option<Command>,
    },
    Responding(Command),
    Listing(Vec<(u32, String)>),
    Retrieving(Retrieval),
    Over(End),
}

/// A message on its way in.
#[derive(Debug)]
struct Retrieval {
    body: Unstuff,
    /// Octets that were passed on; of a faulty body, those that were dropped too.
    size: u64,
    fault: Option<Fault>,
    ended: bool,
}

enum Turn {
    On,
    Say(Step<Action>),
}

impl Client {
    /// A session on a fresh connection. Under implicit TLS, [`upgraded`](Session::upgraded) comes before the first
    /// `poll`.
    #[must_use]
    pub fn new(id: SessionId, config: Config) -> Self {
        Self {
            tickets: Tickets::new(id),
            lines: LineReader::new(config.limits.line),
            config,
            state: State::Fresh,
            secrets: Vec::new(),
            outstanding: 0,
            taken: false,
            tls: false,
            eof: false,
            active: Mono::default(),
        }
    }

    fn turn(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        match &mut self.state {
            State::Fresh => self.on(now, State::Greeting),
            State::Hello => {
                tx.put(b"CAPA\r\n");
                self.on(now, State::Capabilities)
            }
            State::Idle => {
                let (ticket, serial) = self.tickets.issue();
                self.state = State::Asking { serial, command: None };
                Turn::Say(Step::Act(Action::Next { ticket }))
            }
            State::Asking { .. } if self.eof => self.over(End::Eof),
            State::Asking { command: Some(command), .. } => {
                let command = *command;
                say(command, tx);
                self.on(now, State::Responding(command))
            }
            // Whatever a server says unasked will be the response to the next command, whenever it comes.
            State::Asking { .. } => Turn::Say(Step::Wait(Wait {
                read: rx.len() < self.config.limits.line,
                until: None,
                on: WaitingOn::Answer,
            })),
            State::Upgrading if !rx.is_empty() => self.fail(Failure::Protocol),
            State::Upgrading => self.wait_for_server(now),
            State::Listing(_) | State::CapabilityList(..) => self.list(now, rx, tx),
            State::Retrieving(_) => self.retrieve(now, rx),
            State::Over(end) => Turn::Say(Step::Done(*end)),
            _ => match self.lines.scan(rx) {
                None => self.wait_for_server(now),
                Some(Scan::TooLong) => self.fail(Failure::TooLarge),
                Some(Scan::Bad(_)) => self.fail(Failure::Protocol),
                Some(Scan::Whole(len)) => {
                    let behind = rx.len() - len - 2;
                    let turn = match Status::parse(&rx[..len]) {
                        Some(status) => self.status(now, status, behind, tx),
                        None => self.fail(Failure::Protocol),
                    };
                    self.lines.pass(rx, len);
                    turn
                }
            },
        }
    }

    /// The first line of a response is here.
    fn status(&mut self, now: Now, status: Status<'_>, behind: usize, tx: &mut Outbox) -> Turn {
        match (&mut self.state, status) {
            (State::Greeting, Status::Ok(_)) => self.on(now, State::Hello),
            (State::Capabilities, Status::Ok(_)) => self.on(now, State::CapabilityList(Capabilities::default(), 0)),
            // An older server: it has neither STLS nor SASL.
            (State::Capabilities, Status::Err(_)) => self.secure(now, Capabilities::default(), tx),
            (State::Stls(_), Status::Ok(_)) if behind > 0 => self.fail(Failure::Protocol),
            (State::Stls(_), Status::Ok(_)) => {
                self.active = now.mono;
                self.state = State::Upgrading;
                Turn::Say(Step::Upgrade(Layer::Tls))
            }
            (State::Stls(_), Status::Err(_)) if self.config.tls == Tls::Required => self.fail(Failure::Tls),
            // Offered, and then refused: opportunistic means to go on without.
            (State::Stls(capabilities), Status::Err(_)) => {
                let capabilities = *capabilities;
                self.log_in(now, capabilities, tx)
            }
            (State::Auth(response), Status::Challenge) => {
                let Some(response) = response.take() else { return self.fail(Failure::Protocol) };
                self.say_secret(b"", response.expose(), tx);
                self.on(now, State::Auth(None))
            }
            (State::User, Status::Ok(_)) => {
                let password = self.config.credentials.password.clone();
                self.say_secret(b"PASS ", password.expose(), tx);
                self.on(now, State::Pass)
            }
            (State::Auth(_) | State::Pass, Status::Ok(_)) => self.on(now, State::Idle),
            (State::Responding(command), Status::Ok(text)) => {
                let command = *command;
                self.done(now, command, text)
            }
            (State::Responding(command), Status::Err(text)) => {
                let (quit, outcome) = (*command == Command::Quit, Outcome::Refused(words(text)));
                self.outcome(now, outcome, quit)
            }
            (_, Status::Err(text)) => self.fail(Failure::Refused { text: words(text) }),
            _ => self.fail(Failure::Protocol),
        }
    }

    /// `+OK` to a command of the host.
    fn done(&mut self, now: Now, command: Command, text: &[u8]) -> Turn {
        match command {
            Command::Stat => match response::drop_listing(text) {
                Some((messages, octets)) => self.outcome(now, Outcome::Stat { messages, octets }, false),
                None => self.fail(Failure::Protocol),
            },
            Command::Uidl => self.on(now, State::Listing(Vec::new())),
            Command::Retr(_) => {
                let retrieval = Retrieval { body: Unstuff::new(), size: 0, fault: None, ended: false };
                self.on(now, State::Retrieving(retrieval))
            }
            Command::Dele(_) | Command::Rset => self.outcome(now, Outcome::Done, false),
            Command::Quit => self.outcome(now, Outcome::Done, true),
        }
    }

    fn outcome(&mut self, now: Now, outcome: Outcome, last: bool) -> Turn {
        self.active = now.mono;
        self.state = if last { State::Over(End::Quit) } else { State::Idle };
        Turn::Say(Step::Act(Action::Outcome(outcome)))
    }

    /// The capabilities are known: TLS first, if it is wanted.
    fn secure(&mut self, now: Now, capabilities: Capabilities, tx: &mut Outbox) -> Turn {
        if self.tls || self.config.tls == Tls::Never {
            return self.log_in(now, capabilities, tx);
        }
        if capabilities.stls {
            tx.put(b"STLS\r\n");
            return self.on(now, State::Stls(capabilities));
        }
        if self.config.tls == Tls::Required { self.fail(Failure::Tls) } else { self.log_in(now, capabilities, tx) }
    }

    fn log_in(&mut self, now: Now, capabilities: Capabilities, tx: &mut Outbox) -> Turn {
        if !self.tls && !self.config.cleartext_auth {
            return self.fail(Failure::Tls);
        }
        let credentials = &self.config.credentials;
        if capabilities.plain {
            let Ok(response) = sasl::plain::response(credentials) else { return self.fail(Failure::Credentials) };
            let response = sasl::encode(response.expose());
            if b"AUTH PLAIN ".len() + response.expose().len() + 2 > COMMAND {
                tx.put(b"AUTH PLAIN\r\n");
            } else {
                self.say_secret(b"AUTH PLAIN ", response.expose(), tx);
            }
            // A server of before RFC 5034 does not know initial responses, and asks for it.
            return self.on(now, State::Auth(Some(response)));
        }
        let (name, password) = (credentials.authcid.as_bytes(), credentials.password.expose());
        let other = !credentials.authzid.is_empty() && credentials.authzid != credentials.authcid;
        if other || !sayable(name) || !sayable(password) {
            return self.fail(Failure::Credentials);
        }
        tx.put(b"USER ");
        tx.put(name);
        tx.put(b"\r\n");
        self.on(now, State::User)
    }

    /// The next line of a listing, or its end.
    fn list(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        let len = match self.lines.scan(rx) {
            None => return self.wait_for_server(now),
            Some(Scan::Whole(len)) => len,
            Some(Scan::TooLong) => return self.fail(Failure::TooLarge),
            Some(Scan::Bad(_)) => return self.fail(Failure::Protocol),
        };
        self.active = now.mono;
        let end = &rx[..len] == b".";
        let taken = if end { Ok(()) } else { self.entry(&rx[..len]) };
        self.lines.pass(rx, len);
        if let Err(failure) = taken {
            return self.fail(failure);
        }
        if !end {
            return Turn::On;
        }
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Listing(entries) if names_twice(&entries) => self.fail(Failure::Protocol),
            State::Listing(entries) => self.outcome(now, Outcome::Uidl(entries), false),
            State::CapabilityList(capabilities, _) => self.secure(now, capabilities, tx),
            _ => Turn::On,
        }
    }

    fn entry(&mut self, line: &[u8]) -> Result<(), Failure> {
        // A line that begins with a dot was given another one.
        let line = line.strip_prefix(b".").unwrap_or(line);
        let most = self.config.limits.messages;
        match &mut self.state {
            State::Listing(entries) if entries.len() >= most => return Err(Failure::TooLarge),
            State::Listing(entries) => entries.push(response::unique_id(line).ok_or(Failure::Protocol)?),
            State::CapabilityList(_, count) if *count >= most => return Err(Failure::TooLarge),
            State::CapabilityList(capabilities, count) => {
                capabilities.take(line);
                *count += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn retrieve(&mut self, now: Now, rx: &mut BytesMut) -> Turn {
        let State::Retrieving(retrieval) = &mut self.state else { return Turn::On };
        let limits = &self.config.limits;
        if core::mem::take(&mut self.taken) {
            self.active = now.mono;
        }
        if self.outstanding >= limits.session.window.max(1) || retrieval.ended && self.outstanding > 0 {
            return self.wait_for_host(now);
        }
        if retrieval.ended {
            let outcome = retrieval.fault.map_or(Outcome::Retrieved, Outcome::Malformed);
            return self.outcome(now, outcome, false);
        }
        let (before, room) = (rx.len(), limits.message - retrieval.size);
        let most = limits.session.chunk.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1);
        let piece = retrieval.body.next(rx, most);
        let consumed = before - rx.len();
        if consumed > 0 {
            self.active = now.mono;
        }
        retrieval.size += match &piece {
            Some(Piece::Body(bytes)) => bytes.len() as u64,
            _ if retrieval.fault.is_some() => consumed as u64,
            _ => 0,
        };
        if retrieval.size > limits.message {
            return self.fail(Failure::TooLarge);
        }
        match piece {
            None => self.wait_for_server(now),
            Some(Piece::Body(bytes)) => {
                let (ticket, _) = self.tickets.issue();
                self.outstanding += 1;
                Turn::Say(Step::Act(Action::Chunk { ticket, bytes }))
            }
            Some(Piece::Fault(fault)) => {
                retrieval.fault = Some(fault);
                Turn::On
            }
            Some(Piece::End) => {
                retrieval.ended = true;
                Turn::On
            }
        }
    }

    fn on(&mut self, now: Now, state: State) -> Turn {
        self.state = state;
        self.active = now.mono;
        Turn::On
    }

    fn over(&mut self, end: End) -> Turn {
        self.state = State::Over(end);
        Turn::Say(Step::Done(end))
    }

    fn fail(&mut self, failure: Failure) -> Turn {
        self.state = State::Over(End::Refused);
        Turn::Say(Step::Act(Action::Failed(failure)))
    }

    fn wait_for_server(&mut self, now: Now) -> Turn {
        if self.eof {
            return self.over(End::Eof);
        }
        let until = self.active.after(self.config.limits.timeout);
        if now.mono >= until {
            return self.over(End::Timeout);
        }
        Turn::Say(Step::Wait(Wait { read: true, until: Some(until), on: WaitingOn::Peer }))
    }

    fn wait_for_host(&mut self, now: Now) -> Turn {
        let until = self.active.after(self.config.limits.session.answer_timeout);
        if now.mono >= until {
            return self.over(End::Unconfirmed);
        }
        Turn::Say(Step::Wait(Wait { read: false, until: Some(until), on: WaitingOn::Answer }))
    }

    fn say_secret(&mut self, before: &[u8], secret: &[u8], tx: &mut Outbox) {
        tx.put(before);
        let start = tx.appended();
        tx.put(secret);
        self.secrets.push(SecretSpan { direction: Direction::Out, start, end: tx.appended() });
        tx.put(b"\r\n");
    }
}

impl Session for Client {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.secrets.clear();
        for _ in 0..self.config.limits.session.steps.max(1) {
            if let Turn::Say(step) = self.turn(now, rx, tx) {
                return step;
            }
        }
        Step::More
    }

    fn close(&mut self, why: Close) {
        let end = match why {
            Close::Eof => return self.eof = true,
            // Not with QUIT: that would delete what the host has not said is safe.
            Close::Shutdown => End::Shutdown,
            Close::Error | Close::Layer => End::Broken,
        };
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(end);
        }
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        let LayerInfo::Tls(_) = layer;
        self.tls = true;
        if matches!(self.state, State::Upgrading) {
            // What the server said before TLS counts for nothing (RFC 2595 §4).
            self.state = State::Hello;
        }
    }

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<Command> for Client {
    fn answer(&mut self, ticket: Ticket<Command>, answer: Command) -> Result<(), Misuse> {
        let answered = self.tickets.redeem(ticket)?;
        if let State::Asking { serial, command } = &mut self.state
            && *serial == answered
        {
            *command = Some(answer);
        }
        Ok(())
    }
}

impl Answer<Taken> for Client {
    fn answer(&mut self, ticket: Ticket<Taken>, _: Taken) -> Result<(), Misuse> {
        self.tickets.redeem(ticket)?;
        // A message is over when its last chunk is taken: this one is of the message that is on its way.
        self.outstanding = self.outstanding.saturating_sub(1);
        self.taken = true;
        Ok(())
    }
}

/// Says a command of the host.
fn say(command: Command, tx: &mut Outbox) {
    // Writing to an outbox does not fail.
    let _ = match command {
        Command::Stat => tx.write_str("STAT\r\n"),
        Command::Uidl => tx.write_str("UIDL\r\n"),
        Command::Retr(message) => write!(tx, "RETR {message}\r\n"),
        Command::Dele(message) => write!(tx, "DELE {message}\r\n"),
        Command::Rset => tx.write_str("RSET\r\n"),
        Command::Quit => tx.write_str("QUIT\r\n"),
    };
}

/// Whether a listing has a message twice. Servers list in order, and then nothing needs sorting.
fn names_twice(entries: &[(u32, String)]) -> bool {
    if entries.is_sorted_by(|(one, _), (next, _)| one < next) {
        return false;
    }
    let mut numbers: Vec<u32> = entries.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    !numbers.is_sorted_by(|one, next| one < next)
}

/// Whether `argument` stands on a line, and is all of it that a server reads.
fn sayable(argument: &[u8]) -> bool {
    !argument.is_empty() && !argument.iter().any(u8::is_ascii_control)
}
