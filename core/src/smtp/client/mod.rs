//! The SMTP client machine: one connection to one server, any number of messages.
//!
//! ```text
//!            220           250            (STARTTLS offered)      220
//!  Greeting ─────▶ Ehlo ─────────┬──────────▶ StartTls ─────────────────▶ Handshake
//!                   │ 5yz        │               │ refused, opportunistic     │ upgraded
//!                   ▼     250    ▼               ▼                            ▼
//!                  Helo ──────▶ (what next?) ◀──────────────────────────── Hello: EHLO again
//!                                │      │ (credentials)       235
//!                                │      └──────▶ Auth ──────────────┐
//!                                ▼                                  │
//!      ┌──────────────────────▶ Ready ◀─────────────────────────────┘
//!      │                         │ Next
//!      │                         ▼            Quit                  221
//!      │                       Asked ─────────────────────▶ Quit ────────▶ Over
//!      │ Outcome                 │ Message
//!      │                         ▼           354, nobody accepted
//!      ├─────────────────────  Envelope ──────────────────▶ LoneDot ─┐
//!      │ nobody accepted         │ 354                               │
//!      │                         ▼        all sent                   │ any
//!      │                        Body ─────────────▶ Final            │
//!      │                                              │ 2yz 4yz 5yz  │
//!      └──────────────────────────────────────────────┴──────────────┘
//! ```
//!
//! From every state: 421, a reply that makes no sense, a lost connection or a time limit lead to Over. A message on its
//! way is settled first, and a session that never came to its first Next tells why by [`Action::Unusable`].
//!
//! | state | waits for | on 2yz | on 3yz | on 4yz | on 5yz | time limit |
//! |---|---|---|---|---|---|---|
//! | Greeting | 220 | EHLO | astray | unusable | unusable | `greeting_timeout` |
//! | Ehlo | 250 | what next? | astray | unusable | HELO | `command_timeout` |
//! | Helo | 250 | what next? | astray | unusable | unusable | `command_timeout` |
//! | StartTls | 220 | upgrade | astray | without, or unusable | without, or unusable | `command_timeout` |
//! | Handshake | `upgraded` | - | - | - | - | `command_timeout` |
//! | Auth | 235 | Ready | respond | unusable | unusable | `command_timeout` |
//! | Asked | the host | astray | astray | astray | astray | `answer_timeout`, then QUIT |
//! | Envelope | RSET: 250 | on | astray | astray | astray | `command_timeout` |
//! | | MAIL: 250 | on | astray | refused for all | refused for all | `command_timeout` |
//! | | RCPT: 250, 251 | accepted | astray | refused for one | refused for one | `command_timeout` |
//! | | DATA: 354 | astray | Body or LoneDot | refused for the rest | refused for the rest | `data_timeout` |
//! | Body | the host, room | astray | astray | breaks off | breaks off | `answer_timeout`, `block_timeout` |
//! | Final | 250 | accepted | astray | refused for the rest | refused for the rest | `final_timeout` |
//! | LoneDot | anything | settled | astray | settled | settled | `final_timeout` |
//! | Quit | 221 | Over | Over | Over | Over | `quit_timeout` |
//!
//! "Astray" means that the two ends no longer agree on what is being talked about: the session ends as
//! [`End::Refused`], and what is not settled is transient. Once the end of data is out, it says that the outcome is
//! unknown. The machine says all that it can say before it looks at what came, so that replies mean the same however
//! the network cuts them; what comes unasked is found while it waits for its host.
//!
//! | RFC | |
//! |---|---|
//! | 5321 | EHLO with HELO behind it; 421 at any time (§3.8); multi-line replies; 552 to RCPT for "too many" (§4.5.3.1.10); time limits (§4.5.3.2); dot-stuffing (§4.5.2). Domains are sent as written. VRFY, EXPN, HELP and source routes are never sent |
//! | 1870 SIZE | declared; a message that is too large is refused here, before MAIL |
//! | 2034 ENHANCEDSTATUSCODES | read wherever they stand, offered or not |
//! | 2920 PIPELINING | RSET, MAIL, all RCPT and DATA in one group; without it one command at a time |
//! | 3030 CHUNKING | not used: DATA goes everywhere, and a BDAT refused half-way cannot be taken back |
//! | 3207 STARTTLS | never, opportunistic, or required; all that was said before TLS is forgotten; plaintext behind the go-ahead ends the session |
//! | 4954 AUTH | PLAIN with initial response, else LOGIN; never in the clear unless configured |
//! | 6152 8BITMIME | declared where offered; without it the body goes as it is: nothing is converted |
//! | 6531 SMTPUTF8 | declared where needed and offered; else 5.6.7 |
//! | 3461 DSN | not used: this host sends its own |

mod action;
mod body;
mod command;
mod extensions;
mod message;
mod words;

use alloc::vec::Vec;

use bytes::BytesMut;

pub use action::{Action, BodyAnswer, Config, Envelope, Limits, Next, Outcome, Tls};

use self::body::Body;
use self::extensions::Extensions;
use self::message::{Command, Lead, Message};
use crate::mark;
use crate::outbox::Outbox;
use crate::planted::{self, Bug};
use crate::sasl::{self, login, plain};
use crate::session::{Answer, Close, Direction, End, Layer, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::smtp::{Reply, ReplyBounds, ReplyError, ReplyParser};
use crate::ticket::{Misuse, SessionId, Ticket, Tickets};
use crate::time::{Mono, Now};

/// An SMTP client session. See the [module](self) for its states.
#[derive(Debug)]
pub struct Client {
    config: Config,
    tickets: Tickets,
    parser: ReplyParser,
    state: State,
    /// When the peer, or the host, has been waited for long enough.
    deadline: Option<Mono>,
    offered: Extensions,
    /// TLS is up.
    tls: bool,
    /// The first Next was asked: from here on there is nothing to be said of the server as a whole.
    usable: bool,
    /// An earlier message left a transaction open: RSET goes before the next one.
    dirty: bool,
    /// What the host answered to Next, until it is acted on.
    next: Option<Next>,
    message: Option<Message>,
    /// To be told before anything else happens.
    unusable: Option<Reply>,
    /// What the message's open recipients are told when the session is over.
    closing: Option<Reply>,
    /// The peer sends no more.
    eof: bool,
    /// The host broke in, and that is not acted on yet.
    closed: Option<Close>,
    /// The host wants to stop; the reply to a whole message is still waited for.
    stopping: bool,
    secrets: Vec<SecretSpan>,
}

/// Where in the dialogue we are.
#[derive(Debug)]
enum State {
    Greeting,
    /// EHLO is to be written.
    Hello,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    /// AUTH PLAIN; the server may once ask for the response that it has been given already.
    Plain {
        asked: bool,
    },
    /// AUTH LOGIN; so many challenges were answered.
    Login {
        step: u8,
    },
    /// Next is to be asked.
    Ready,
    Asked,
    Envelope,
    Body(Body),
    /// The whole message was written, up to this position of the stream.
    Final {
        end: u64,
    },
    LoneDot,
    Quit(End),
    Over(End),
}

/// What a turn came to.
enum Turn {
    /// Something moved; another turn.
    Again,
    Step(Step<Action>),
}

impl Client {
    /// A client at the beginning of a connection. If TLS is up already, call [`upgraded`](Session::upgraded) before the
    /// first poll: STARTTLS is then not asked for.
    #[must_use]
    pub fn new(session: SessionId, config: Config) -> Self {
        let limits = &config.limits;
        let bounds = ReplyBounds { line: limits.line, reply: limits.reply, text: limits.text };
        Self {
            config,
            tickets: Tickets::new(session),
            parser: ReplyParser::new(bounds),
            state: State::Greeting,
            deadline: None,
            offered: Extensions::default(),
            tls: false,
            usable: false,
            dirty: false,
            next: None,
            message: None,
            unusable: None,
            closing: None,
            eof: false,
            closed: None,
            stopping: false,
            secrets: Vec::new(),
        }
    }
}

impl Session for Client {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.secrets.clear();
        if self.deadline.is_none() {
            self.wait_for(now, self.config.limits.greeting_timeout);
        }
        for _ in 0..self.config.limits.session.steps.max(1) {
            match self.turn(now, rx, tx) {
                Turn::Again => {}
                Turn::Step(step) => return step,
            }
        }
        Step::More
    }

    fn close(&mut self, why: Close) {
        match why {
            Close::Eof => self.eof = true,
            // A broken connection outweighs a polite wish.
            Close::Shutdown if self.closed.is_some() => {}
            _ => self.closed = Some(why),
        }
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        let LayerInfo::Tls(_) = layer;
        match self.state {
            State::Greeting => self.tls = true,
            State::Handshake => (self.tls, self.state) = (true, State::Hello),
            _ => {}
        }
    }

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<Next> for Client {
    fn answer(&mut self, ticket: Ticket<Next>, answer: Next) -> Result<(), Misuse> {
        self.tickets.redeem(ticket)?;
        // Later, it is too late: nobody would act on it.
        if matches!(self.state, State::Asked) {
            self.next = Some(answer);
        }
        Ok(())
    }
}

impl Answer<BodyAnswer> for Client {
    fn answer(&mut self, ticket: Ticket<BodyAnswer>, answer: BodyAnswer) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if let State::Body(body) = &mut self.state {
            body.answer(serial, answer);
        }
        Ok(())
    }
}

/// The turn: say what can be said, then hear what was said, then look at the clock.
impl Client {
    fn turn(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        if let Some(reply) = self.unusable.take() {
            return Turn::Step(Step::Act(Action::Unusable { reply }));
        }
        // A message that was given is settled by its outcome, even if nothing of it is said any more.
        if let Some(Next::Message(envelope)) = self.next.take_if(|next| matches!(next, Next::Message(_))) {
            return self.begin(envelope, now);
        }
        if let Some(why) = self.closed.take() {
            self.break_off(why, now, tx);
            return Turn::Again;
        }
        if let Some(turn) = self.speak(now, rx, tx) {
            return turn;
        }
        if !matches!(self.state, State::Handshake) {
            let (offered, hello) = (&mut self.offered, matches!(self.state, State::Ehlo));
            match self.parser.next(rx, |text| {
                if hello {
                    offered.line(text);
                }
            }) {
                Ok(Some(code)) => return self.hear(code, now, rx, tx),
                Ok(None) => {}
                Err(error) => {
                    self.hear_nonsense(error, tx);
                    return Turn::Again;
                }
            }
        }
        if self.eof {
            self.lose_peer(End::Eof, tx);
            return Turn::Again;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now.mono) {
            self.run_out_of_time(now, tx);
            return Turn::Again;
        }
        Turn::Step(Step::Wait(Wait { read: true, until: self.deadline, on: self.waiting_on(tx) }))
    }

    /// Says what can be said without hearing anything first.
    fn speak(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Turn> {
        match &mut self.state {
            State::Hello => {
                self.offered = Extensions::default();
                command::hello(tx, "EHLO", &self.config.hostname);
                self.go(State::Ehlo, now);
                None
            }
            State::Ready if self.stopping => Some(self.quit(End::Shutdown, now, tx)),
            State::Ready => Some(self.ask_next(now)),
            State::Asked if self.next.take() == Some(Next::Quit) => Some(self.quit(End::Quit, now, tx)),
            State::Envelope => self.speak_envelope(now, tx),
            State::Body(_) => self.speak_body(now, tx),
            // No layer is up yet, so what came did not come through it.
            State::Handshake if !rx.is_empty() => {
                mark!(ClientInjected);
                self.fail(words::injected(), End::Refused);
                Some(Turn::Again)
            }
            State::Over(_) => self.speak_last(rx),
            _ => None,
        }
    }

    fn ask_next(&mut self, now: Now) -> Turn {
        if self.eof {
            self.state = State::Over(End::Eof);
            return Turn::Again;
        }
        self.usable = true;
        self.state = State::Asked;
        self.wait_for(now, self.config.limits.session.answer_timeout);
        let (ticket, _) = self.tickets.issue();
        Turn::Step(Step::Act(Action::Next { ticket }))
    }

    fn begin(&mut self, envelope: Envelope, now: Now) -> Turn {
        let message = Message::new(envelope, &self.offered, self.dirty);
        if !message.has_recipient() {
            self.state = State::Ready;
            return Turn::Step(Step::Act(Action::Outcome(message.outcome(None))));
        }
        self.message = Some(message);
        self.go(State::Envelope, now);
        Turn::Again
    }

    fn speak_envelope(&mut self, now: Now, tx: &mut Outbox) -> Option<Turn> {
        let message = self.message.as_mut()?;
        let (was_waiting, mut wrote) = (message.is_waiting(), false);
        while !tx.is_full() {
            let Some(command) = message.write(self.offered.pipelining) else { break };
            wrote = true;
            match command {
                Command::Rset => tx.put(b"RSET\r\n"),
                Command::Mail => command::mail(tx, &message.envelope, &self.offered),
                Command::Rcpt(i) => command::rcpt(tx, &message.envelope.recipients[i]),
                Command::Data => tx.put(b"DATA\r\n"),
                Command::End => {}
            }
        }
        if wrote && !was_waiting {
            self.wait_for_awaited(now);
        }
        None
    }

    fn speak_body(&mut self, now: Now, tx: &mut Outbox) -> Option<Turn> {
        let State::Body(body) = &mut self.state else { return None };
        let limits = &self.config.limits;
        if let Some(answer) = body.take() {
            let sent = match answer {
                Ok(bytes) => body.send(bytes, tx).map_err(|fault| mark!(ClientBadMessage, words::bad_message(fault))),
                Err(_) => Err(mark!(ClientUnreadable, words::unreadable_message())),
            };
            self.wait_for(now, self.config.limits.block_timeout);
            if let Err(reply) = sent {
                self.fail(reply, End::Broken);
            }
            return Some(Turn::Again);
        }
        if body.is_asked() || self.eof {
            return None;
        }
        let Some((offset, len)) = body.range(limits.session.chunk) else {
            if let Err(fault) = body.finish(tx) {
                self.fail(mark!(ClientBadMessage, words::bad_message(fault)), End::Broken);
                return Some(Turn::Again);
            }
            self.go(State::Final { end: tx.appended() }, now);
            return Some(Turn::Again);
        };
        if tx.is_full() {
            return None;
        }
        let (ticket, serial) = self.tickets.issue();
        body.ask(serial, len);
        self.wait_for(now, self.config.limits.session.answer_timeout);
        Some(Turn::Step(Step::Act(Action::Body { ticket, offset, len })))
    }

    /// The last words to the host.
    fn speak_last(&mut self, rx: &mut BytesMut) -> Option<Turn> {
        let State::Over(end) = self.state else { return None };
        if let Some(message) = self.message.take() {
            return Some(Turn::Step(Step::Act(Action::Outcome(message.outcome(self.closing.take())))));
        }
        rx.clear();
        Some(Turn::Step(Step::Done(end)))
    }

    fn waiting_on(&self, tx: &Outbox) -> WaitingOn {
        match &self.state {
            State::Asked => WaitingOn::Answer,
            State::Body(body) if body.is_asked() => WaitingOn::Answer,
            State::Body(_) => WaitingOn::Flush,
            State::Envelope if tx.is_full() && !self.message.as_ref().is_some_and(Message::is_waiting) => {
                WaitingOn::Flush
            }
            _ => WaitingOn::Peer,
        }
    }
}

/// What a reply does.
impl Client {
    fn hear(&mut self, code: u16, now: Now, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        match &mut self.state {
            State::Quit(end) => {
                self.state = State::Over(*end);
                return Turn::Again;
            }
            // The server goes away: nothing that we say will be answered any more (RFC 5321 §3.8).
            _ if code == 421 => mark!(ClientSentAway, self.fail(self.parser.reply(), End::Quit)),
            State::Greeting => match code / 100 {
                2 => self.state = State::Hello,
                4 | 5 => mark!(ClientGreetedBadly, self.refuse(self.parser.reply(), now, tx)),
                _ => self.go_astray(tx),
            },
            State::Ehlo => match code / 100 {
                2 => self.after_hello(now, tx),
                5 => {
                    mark!(ClientHelo);
                    self.offered = Extensions::default();
                    command::hello(tx, "HELO", &self.config.hostname);
                    self.go(State::Helo, now);
                }
                4 => mark!(ClientHelloRefused, self.refuse(self.parser.reply(), now, tx)),
                _ => self.go_astray(tx),
            },
            State::Helo => match code / 100 {
                2 => self.after_hello(now, tx),
                4 | 5 => mark!(ClientHelloRefused, self.refuse(self.parser.reply(), now, tx)),
                _ => self.go_astray(tx),
            },
            State::StartTls => return self.hear_starttls(code, now, rx, tx),
            State::Plain { .. } | State::Login { .. } => self.hear_auth(code, now, tx),
            State::Envelope => return self.hear_envelope(code, now, tx),
            // It is refused before it is complete. What is left unsaid of the message can be said no more.
            State::Body(_) if matches!(code / 100, 4 | 5) => {
                mark!(ClientBodyRefused, self.fail(self.parser.reply(), End::Refused));
            }
            State::Final { .. } if code / 100 != 3 => {
                if code / 100 != 2 {
                    mark!(ClientMessageRefused);
                }
                self.dirty = false;
                return self.settle(Some(self.parser.reply()));
            }
            State::LoneDot if code / 100 != 3 => {
                self.dirty = false;
                return self.settle(None);
            }
            _ => self.go_astray(tx),
        }
        Turn::Again
    }

    /// EHLO or HELO is done: what comes before the first message?
    fn after_hello(&mut self, now: Now, tx: &mut Outbox) {
        if !self.tls && self.config.tls != Tls::Never {
            if self.offered.starttls {
                tx.put(b"STARTTLS\r\n");
                return self.go(State::StartTls, now);
            }
            if self.config.tls == Tls::Required {
                return mark!(ClientNoTls, self.refuse(words::no_tls(), now, tx));
            }
        }
        let Some(credentials) = &self.config.credentials else {
            self.state = State::Ready;
            return;
        };
        if !self.tls && !self.config.cleartext_auth {
            return mark!(ClientPasswordInTheClear, self.refuse(words::cleartext_password(), now, tx));
        }
        if self.offered.plain {
            let Ok(response) = plain::response(credentials) else {
                return mark!(ClientBadCredentials, self.refuse(words::bad_credentials(), now, tx));
            };
            tx.put(b"AUTH PLAIN ");
            self.say_secret(response.expose(), tx);
            return self.go(State::Plain { asked: false }, now);
        }
        if self.offered.login {
            tx.put(b"AUTH LOGIN\r\n");
            return self.go(State::Login { step: 0 }, now);
        }
        mark!(ClientNoMechanism, self.refuse(words::no_mechanism(), now, tx));
    }

    fn hear_starttls(&mut self, code: u16, now: Now, rx: &BytesMut, tx: &mut Outbox) -> Turn {
        match code / 100 {
            // Whoever put it there, it would be taken for something said under TLS (RFC 3207 §6).
            2 if !rx.is_empty() => mark!(ClientInjected, self.fail(words::injected(), End::Refused)),
            2 => {
                self.go(State::Handshake, now);
                return Turn::Step(Step::Upgrade(Layer::Tls));
            }
            4 | 5 if self.config.tls == Tls::Required => {
                mark!(ClientNoTls, self.refuse(self.parser.reply(), now, tx));
            }
            4 | 5 => {
                mark!(ClientTlsRefused);
                self.offered.starttls = false;
                self.after_hello(now, tx);
            }
            _ => self.go_astray(tx),
        }
        Turn::Again
    }

    fn hear_auth(&mut self, code: u16, now: Now, tx: &mut Outbox) {
        match code / 100 {
            2 => {
                self.state = State::Ready;
                return;
            }
            4 | 5 => return mark!(ClientLoginRefused, self.refuse(self.parser.reply(), now, tx)),
            _ => {}
        }
        let Some(credentials) = &self.config.credentials else { return self.go_astray(tx) };
        match self.state {
            // It overlooked the initial response.
            State::Plain { asked: false } => {
                let Ok(response) = plain::response(credentials) else { return self.go_astray(tx) };
                self.say_secret(response.expose(), tx);
                self.go(State::Plain { asked: true }, now);
            }
            State::Login { step } => {
                let Some(response) = login::response(credentials, step) else { return self.go_astray(tx) };
                let text = sasl::encode(response);
                self.say_encoded(text.expose(), tx);
                self.go(State::Login { step: step + 1 }, now);
            }
            _ => self.go_astray(tx),
        }
    }

    fn hear_envelope(&mut self, code: u16, now: Now, tx: &mut Outbox) -> Turn {
        let Some(message) = self.message.as_mut() else { return Turn::Again };
        let parser = &self.parser;
        let awaited = message.awaited();
        match message.answer(code, || parser.reply()) {
            Lead::On => self.wait_for_awaited(now),
            Lead::Settled => {
                self.dirty = message.leaves_transaction();
                return self.settle(None);
            }
            Lead::Body => {
                let size = message.envelope.size;
                self.go(State::Body(Body::new(size)), now);
            }
            Lead::LoneDot => {
                mark!(ClientLoneDot);
                tx.put(b".\r\n");
                self.go(State::LoneDot, now);
            }
            Lead::Astray => {
                mark!(ClientAstray);
                self.fail(words::unexpected(reply_to(awaited), &self.parser.reply()), End::Refused);
            }
        }
        Turn::Again
    }

    /// The message is over; the session is not.
    fn settle(&mut self, closing: Option<Reply>) -> Turn {
        self.state = State::Ready;
        match self.message.take() {
            Some(message) => Turn::Step(Step::Act(Action::Outcome(message.outcome(closing)))),
            None => Turn::Again,
        }
    }

    fn say_secret(&mut self, message: &[u8], tx: &mut Outbox) {
        self.say_encoded(sasl::encode(message).expose(), tx);
    }

    fn say_encoded(&mut self, text: &[u8], tx: &mut Outbox) {
        let start = tx.appended();
        tx.put(text);
        self.secrets.push(SecretSpan { direction: Direction::Out, start, end: tx.appended() });
        tx.put(b"\r\n");
    }
}

/// How it ends.
impl Client {
    /// Says QUIT.
    fn quit(&mut self, end: End, now: Now, tx: &mut Outbox) -> Turn {
        tx.put(b"QUIT\r\n");
        self.go(State::Quit(end), now);
        Turn::Again
    }

    /// The server cannot be used, and is told goodbye.
    fn refuse(&mut self, reply: Reply, now: Now, tx: &mut Outbox) {
        self.unusable = Some(reply);
        self.quit(End::Quit, now, tx);
    }

    /// Nothing more is said to the server; what is open is settled with `reply`.
    fn fail(&mut self, reply: Reply, end: End) {
        if !self.usable {
            self.unusable = Some(reply);
        } else if self.message.is_some() {
            self.closing = Some(reply);
        }
        self.state = State::Over(end);
    }

    fn go_astray(&mut self, tx: &Outbox) {
        mark!(ClientAstray);
        let reply = self.in_doubt(tx).unwrap_or_else(|| words::unexpected(self.awaited(), &self.parser.reply()));
        self.fail(reply, End::Refused);
    }

    fn hear_nonsense(&mut self, error: ReplyError, tx: &Outbox) {
        if let State::Quit(end) = self.state {
            self.state = State::Over(end);
            return;
        }
        mark!(ClientNonsense);
        let reply = self.in_doubt(tx).unwrap_or_else(|| words::unreadable_reply(self.awaited(), error));
        self.fail(reply, End::Refused);
    }

    /// The connection is gone.
    fn lose_peer(&mut self, end: End, tx: &Outbox) {
        match self.state {
            State::Over(_) => {}
            State::Quit(_) if planted::is(Bug::DoubleADeliveryAfterAReset) => self.state = State::Over(end),
            State::Quit(end) => self.state = State::Over(end),
            State::Handshake => self.state = State::Over(End::Broken),
            _ => {
                mark!(ClientLostPeer);
                let reply = self.in_doubt(tx).unwrap_or_else(|| words::lost(self.awaited()));
                self.fail(reply, end);
            }
        }
    }

    fn run_out_of_time(&mut self, now: Now, tx: &mut Outbox) {
        match &self.state {
            State::Over(_) => {}
            State::Quit(end) => self.state = mark!(ClientQuitUnanswered, State::Over(*end)),
            State::Handshake => self.state = mark!(ClientHandshakeTimeout, State::Over(End::Broken)),
            State::Asked => {
                mark!(ClientNothingToDo);
                self.quit(End::Quit, now, tx);
            }
            State::Body(body) if body.is_asked() => {
                mark!(ClientUnreadable, self.fail(words::unreadable_message(), End::Broken));
            }
            _ => {
                mark!(ClientTimeout);
                let reply = self.in_doubt(tx).unwrap_or_else(|| words::timeout(self.awaited()));
                self.fail(reply, End::Timeout);
            }
        }
    }

    /// The host says that it is over.
    fn break_off(&mut self, why: Close, now: Now, tx: &mut Outbox) {
        match (why, &self.state) {
            (_, State::Over(_)) | (Close::Shutdown, State::Quit(_)) => {}
            (Close::Shutdown, State::Ready | State::Asked) => {
                self.quit(End::Shutdown, now, tx);
            }
            // The reply to a whole message is worth its wait: without it, it would be sent again.
            (Close::Shutdown, State::Final { .. } | State::LoneDot) => self.stopping = mark!(ClientStopping, true),
            (Close::Shutdown, _) if self.usable => mark!(ClientShutdown, self.fail(words::shutdown(), End::Shutdown)),
            (Close::Shutdown, _) => self.state = State::Over(End::Shutdown),
            (Close::Layer, _) if !self.usable => self.state = mark!(ClientTlsFailed, State::Over(End::Broken)),
            _ => self.lose_peer(End::Broken, tx),
        }
    }

    /// What there is to say when the session breaks after the whole message has left us. It has not when its end is
    /// still in `tx`; another `tx` than the one it was written to tells nothing.
    fn in_doubt(&self, tx: &Outbox) -> Option<Reply> {
        let State::Final { end } = self.state else { return None };
        let held = tx.appended().checked_sub(end).is_some_and(|behind| tx.len() as u64 > behind);
        (!held).then(|| mark!(ClientInDoubt, words::unknown()))
    }

    /// What we wait for, as it is told to people.
    fn awaited(&self) -> &'static str {
        match &self.state {
            State::Greeting => "the greeting",
            State::Hello | State::Ehlo => "the reply to EHLO",
            State::Helo => "the reply to HELO",
            State::StartTls => "the reply to STARTTLS",
            State::Handshake => "TLS",
            State::Plain { .. } | State::Login { .. } => "the reply to AUTH",
            State::Ready | State::Asked => "nothing",
            State::Envelope => self.message.as_ref().map_or("nothing", |message| reply_to(message.awaited())),
            State::Body(_) => "the message to leave",
            State::Final { .. } | State::LoneDot => "the reply to the message",
            State::Quit(_) | State::Over(_) => "the reply to QUIT",
        }
    }
}

/// Time limits.
impl Client {
    /// Enters a state in which the peer is waited for.
    fn go(&mut self, state: State, now: Now) {
        let limits = &self.config.limits;
        let limit = match &state {
            State::Body(_) => limits.block_timeout,
            State::Final { .. } | State::LoneDot => limits.final_timeout,
            State::Quit(_) => limits.quit_timeout,
            _ => limits.command_timeout,
        };
        self.state = state;
        self.wait_for(now, limit);
    }

    /// From now on the reply to the next command of the envelope is waited for.
    fn wait_for_awaited(&mut self, now: Now) {
        let limits = &self.config.limits;
        let data = self.message.as_ref().is_some_and(|message| message.awaited() == Command::Data);
        self.wait_for(now, if data { limits.data_timeout } else { limits.command_timeout });
    }

    fn wait_for(&mut self, now: Now, limit: core::time::Duration) {
        self.deadline = Some(now.mono.after(limit));
    }
}

fn reply_to(command: Command) -> &'static str {
    match command {
        Command::Rset => "the reply to RSET",
        Command::Mail => "the reply to MAIL",
        Command::Rcpt(_) => "the reply to RCPT",
        Command::Data | Command::End => "the reply to DATA",
    }
}
