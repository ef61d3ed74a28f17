//! One connection: a session, and TLS under it where there is any. A host drives a [`Channel`] by the two verbs of a
//! session, and never sees a layer.
//!
//! The channel carries out [`Step::Upgrade`] itself, so no host can get the order wrong, and passes everything else
//! through. Without TLS the session works on the host's own buffers; nothing is copied.
//!
//! The whole of a host is a loop: poll; on `Wait`, let one thing happen (bytes written, bytes read, an answer, time), and
//! poll again. `core/examples` has it on plain threads and on three runtimes, and `docs/bring-your-own-runtime.md` says
//! how to write another.
//!
//! ```text
//!            Upgrade, rx empty        tx flushed             handshake over
//!  [Plain] ------------------> [Leaving] -------> [Handshake] -------------> [Up]
//!  [Implicit] --first poll------------------------^   |                       |
//!                     |  bytes, EOF, deadline         | bad record, EOF,      | bad record, EOF without close_notify
//!                     v                               v deadline              v
//!                  [Down]: the session is closed and polled apart from the wire until it is Done  --> [Over]
//! ```
//!
//! | state | bytes in `rx` are | on EOF | on its deadline |
//! |---|---|---|---|
//! | Plain | the session's | the session's | the session's |
//! | Leaving | injected: nobody may speak before the go-ahead is out; Down | Down | Down, `End::Timeout` |
//! | Handshake | TLS, at most [`HANDSHAKE_BYTES`] | Down, when `rx` is used up | Down, `End::Timeout` |
//! | Up | TLS | as a truncation, see below | the session's |
//! | Down | dropped | - | the session's |
//!
//! A connection that broke ([`Close::Error`]) is Down, too, whether plain or not.
//!
//! **Nothing said in plaintext survives a handshake** (RFC 3207 §4.2, the STARTTLS injection): what stands behind the
//! upgrade's command or its go-ahead ends the connection, and the session's buffers under TLS are new ones.
//!
//! **Truncation.** A close_notify is the peer's end: the session hears [`Close::Eof`]. A bare EOF may be an enemy's cut,
//! and many clients leave so after their QUIT. So everything that came in whole records is run first, until the session
//! waits for the peer and for nobody else; only then does it hear [`Close::Error`]. A QUIT has been answered by then and
//! nothing is lost; a half-sent body has not come to its end and never counts as one.
//!
//! **Backpressure.** A record is decrypted only when the session has used up what it can and wants to read, one at a
//! time, and its replies are encrypted before the next one: however the bytes are cut, the session sees and says the
//! same, in the same order.

mod tap;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::convert::Infallible;
use core::fmt;
use core::mem;
use core::time::Duration;

use bytes::BytesMut;

pub use tap::Tap;
use tap::Tapped;

use crate::mark;
use crate::outbox::Outbox;
use crate::session::{Answer, Close, End, Layer, LayerInfo, Session, Step, TlsInfo, Wait, WaitingOn};
use crate::ticket::{Misuse, Ticket};
use crate::time::{Mono, Now};
use crate::tls::{TlsEngine, TlsError, TlsErrorKind, TlsFactory, TlsState};

/// Bytes that a handshake may take from the peer: twice the longest message that TLS engines accept (64 KiB), and far
/// more than any certificate chain. Who sends more is not shaking hands.
pub const HANDSHAKE_BYTES: usize = 128 * 1024;

/// Plaintext that waits for the session at most, give or take a record. A session that wants to read uses up what it
/// has; only one that breaks its own bounds on lines comes here, and is then read no further.
pub const PLAIN_BYTES: usize = 64 * 1024;

/// Records decrypted in one `poll` before it says `More`: a flood of tiny ones never starves the others.
const RECORDS: usize = 32;

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We accepted it.
    Server,
    /// We opened it.
    Client,
}

/// What stands under a session.
#[derive(Clone)]
pub struct ChannelConfig {
    /// Makes the TLS engine. Without one an upgrade, and `implicit`, end the connection: do not offer it.
    pub tls: Option<Arc<dyn TlsFactory>>,
    /// The name a client asks for (SNI).
    pub server_name: Option<String>,
    /// TLS from the first byte: the session is first polled when it is up.
    pub implicit: bool,
    /// Which end we are.
    pub side: Side,
    /// Bytes of plaintext waiting to be encrypted at which the session stops producing.
    pub high_water: usize,
    /// How long a handshake may take, the go-ahead's way out included.
    pub handshake_timeout: Duration,
}

impl ChannelConfig {
    /// No TLS, 64 KiB, and 30 s for a handshake, if there is to be one.
    #[must_use]
    pub fn plain(side: Side) -> Self {
        Self {
            tls: None,
            server_name: None,
            implicit: false,
            side,
            high_water: 64 * 1024,
            handshake_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelConfig")
            .field("tls", &self.tls.is_some())
            .field("server_name", &self.server_name)
            .field("implicit", &self.implicit)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

/// A session and what stands under it.
pub struct Channel<S> {
    session: S,
    config: ChannelConfig,
    state: State,
    /// The peer has closed its sending side.
    eof: bool,
    /// The connection broke: nothing can be said any more.
    broken: bool,
    /// What the session says when the wire is of no use any more: it goes nowhere.
    lost: Option<Outbox>,
    info: Option<TlsInfo>,
    fault: Option<TlsError>,
    /// Bytes the session consumed, through all layers: positions of secrets count them.
    consumed: u64,
    tap: Option<Box<Tapped>>,
}

/// What a channel says: it never asks for a layer.
type ChannelStep<S> = Step<<S as Session>::Action, Infallible>;

enum State {
    /// TLS from the first byte, which has not been polled for yet.
    Implicit,
    Plain,
    /// The go-ahead is in `tx`, or on its way.
    Leaving {
        until: Mono,
    },
    Handshake {
        tls: Box<Tls>,
        until: Mono,
        taken: usize,
    },
    Up(Box<Tls>),
    /// The wire is of no use any more; the session gives back what it holds.
    Down,
    Over(End),
}

struct Tls {
    engine: Box<dyn TlsEngine>,
    plain_in: BytesMut,
    /// Something was decrypted into it since the session last waited.
    fresh: bool,
    plain_out: Outbox,
    /// The peer said close_notify, and the session knows.
    closed: bool,
}

impl<S: Session> Channel<S> {
    /// A channel in which nothing has happened yet.
    #[must_use]
    pub fn new(session: S, config: ChannelConfig) -> Self {
        let state = if config.implicit { State::Implicit } else { State::Plain };
        Self {
            session,
            config,
            state,
            eof: false,
            broken: false,
            lost: None,
            info: None,
            fault: None,
            consumed: 0,
            tap: None,
        }
    }

    /// Consumes from `rx`, appends to `tx`, and returns the next thing for the host. Call it until `Wait` or `Done`.
    ///
    /// It never asks for a layer: the compiler knows that [`Step::Upgrade`] cannot come from here, and wants no arm for
    /// it. Once the peer's end was told by [`close`](Self::close), no `Wait` asks to read; once the connection's
    /// failure was, what is left in `tx` is dropped, too.
    pub fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<S::Action, Infallible> {
        // Each turn goes to a later state, or ends.
        loop {
            let step = match &self.state {
                State::Plain => self.poll_plain(now, rx, tx),
                State::Implicit => {
                    self.begin(now.mono.after(self.config.handshake_timeout));
                    None
                }
                State::Leaving { until } => self.poll_leaving(*until, now, rx, tx),
                State::Handshake { .. } => self.poll_handshake(now, rx, tx),
                State::Up(_) => self.poll_up(now, rx, tx),
                State::Down => Some(self.poll_down(now, rx, tx)),
                State::Over(end) => Some(Step::Done(*end)),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// The connection ends, as [`Session::close`] tells: after [`Close::Eof`] what is in `rx` is still run, after any
    /// other it is dropped. Poll on until `Done`.
    pub fn close(&mut self, why: Close) {
        self.eof |= why == Close::Eof;
        self.broken |= why == Close::Error;
        match (&self.state, why) {
            (State::Down | State::Over(_), _) => {}
            (State::Plain, Close::Eof) | (State::Plain | State::Up(_), Close::Shutdown) => self.session.close(why),
            // What came before it is still to be run: `poll` tells the session.
            (_, Close::Eof) => {}
            _ => self.down(why),
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &S {
        &self.session
    }

    /// The session, to answer it or to give it work. Only the channel polls it.
    pub fn session_mut(&mut self) -> &mut S {
        &mut self.session
    }

    /// The session alone.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.session
    }

    /// What TLS says of itself, once it is up.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.info.as_ref()
    }

    /// Why the layer failed, if it did. A client's next attempt may want to know.
    #[must_use]
    pub fn fault(&self) -> Option<&TlsError> {
        self.fault.as_ref()
    }

    /// Shows the plaintext to `tap` from here on; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Box<dyn Tap + Send>>) {
        self.tap = tap.map(|tap| Box::new(Tapped::new(tap)));
    }

    /// The session's turn, on these buffers.
    fn run(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<S::Action> {
        let (held, written) = (rx.len(), tx.appended());
        let Some(tap) = &mut self.tap else {
            let step = self.session.poll(now, rx, tx);
            self.consumed += held.saturating_sub(rx.len()) as u64;
            return step;
        };
        tap.arrived(rx);
        let step = self.session.poll(now, rx, tx);
        tap.consumed(held.saturating_sub(rx.len()), self.consumed, self.session.secrets());
        tap.wrote(tx, written, self.session.secrets());
        self.consumed += held.saturating_sub(rx.len()) as u64;
        step
    }

    /// Plain: the session's own wire; only the upgrade is ours. `None`: look at the state again.
    fn poll_plain(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<ChannelStep<S>> {
        Some(match self.run(now, rx, tx) {
            Step::Act(action) => Step::Act(action),
            Step::More => Step::More,
            Step::Wait(wait) => Step::Wait(Wait { read: wait.read && !self.eof, ..wait }),
            Step::Done(end) => Step::Done(end),
            Step::Upgrade(Layer::Tls) if rx.is_empty() => {
                self.state = State::Leaving { until: now.mono.after(self.config.handshake_timeout) };
                return None;
            }
            Step::Upgrade(Layer::Tls) => {
                mark!(TlsPlaintextBehind);
                self.fail(Close::Layer, TlsErrorKind::Protocol, "plaintext stands behind the upgrade");
                return None;
            }
        })
    }

    /// The go-ahead must be out before the layer is put under the session, and nobody may speak before.
    fn poll_leaving(&mut self, until: Mono, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<ChannelStep<S>> {
        if tx.is_empty() {
            self.begin(until);
        } else if !rx.is_empty() {
            mark!(TlsPlaintextBefore);
            self.fail(Close::Layer, TlsErrorKind::Protocol, "plaintext came before the go-ahead was out");
        } else if self.eof {
            mark!(TlsGoneBefore);
            self.fail(Close::Layer, TlsErrorKind::Truncated, "the peer closed before the handshake");
        } else if now.mono >= until {
            mark!(TlsGoAheadStuck);
            self.fail(Close::Layer, TlsErrorKind::Timeout, "the go-ahead could not be sent in time");
        } else {
            return Some(Step::Wait(Wait { read: true, until: Some(until), on: WaitingOn::Flush }));
        }
        None
    }

    /// Puts a fresh engine under the session.
    fn begin(&mut self, until: Mono) {
        let name = self.config.server_name.as_deref().filter(|_| self.config.side == Side::Client);
        let engine = match &self.config.tls {
            Some(factory) => factory.engine(name),
            None => Err(TlsError::new(TlsErrorKind::Configuration, "no TLS engine is configured")),
        };
        match engine {
            Ok(engine) => {
                let plain_out = Outbox::new(self.config.high_water);
                let tls = Box::new(Tls { engine, plain_in: BytesMut::new(), fresh: true, plain_out, closed: false });
                self.state = State::Handshake { tls, until, taken: 0 };
            }
            Err(error) => mark!(TlsNoEngine, self.fail_by(Close::Layer, error)),
        }
    }

    fn poll_handshake(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<ChannelStep<S>> {
        let State::Handshake { tls, until, taken } = &mut self.state else {
            return None;
        };
        let (until, held) = (*until, rx.len());
        let state = tls.engine.decrypt(now.wall, rx, &mut tls.plain_in, PLAIN_BYTES, tx);
        *taken += held - rx.len();
        let flooded = *taken > HANDSHAKE_BYTES;
        match state {
            Err(error) => mark!(TlsHandshakeFailed, self.fail_by(Close::Layer, error)),
            Ok(TlsState::Up(info)) => self.up(info),
            Ok(TlsState::Closed) => {
                mark!(TlsGoneWithin);
                self.fail(Close::Layer, TlsErrorKind::Truncated, "the peer closed during the handshake");
            }
            Ok(TlsState::Handshaking) if flooded => {
                mark!(TlsEndlessHandshake);
                self.fail(Close::Layer, TlsErrorKind::Protocol, "the handshake has no end");
            }
            Ok(TlsState::Handshaking) if self.eof => {
                mark!(TlsGoneWithin);
                self.fail(Close::Layer, TlsErrorKind::Truncated, "the peer closed during the handshake");
            }
            Ok(TlsState::Handshaking) if now.mono >= until => {
                mark!(TlsSlowHandshake);
                self.fail(Close::Layer, TlsErrorKind::Timeout, "the handshake took too long");
            }
            Ok(TlsState::Handshaking) => {
                return Some(Step::Wait(Wait { read: true, until: Some(until), on: WaitingOn::Peer }));
            }
        }
        None
    }

    fn up(&mut self, info: TlsInfo) {
        if let State::Handshake { tls, .. } = mem::replace(&mut self.state, State::Down) {
            self.state = State::Up(tls);
        }
        self.info = Some(info.clone());
        let info = LayerInfo::Tls(info);
        if let Some(tap) = &mut self.tap {
            tap.layer(&info);
        }
        self.session.upgraded(info);
    }

    fn poll_up(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<ChannelStep<S>> {
        // Out of `self` while the session is polled; put back unless the connection ends here.
        let State::Up(mut tls) = mem::replace(&mut self.state, State::Down) else {
            return None;
        };
        match self.records(&mut tls, now, rx, tx) {
            Ok(Step::Done(end)) => {
                self.state = State::Over(end);
                Some(Step::Done(end))
            }
            Ok(step) => {
                self.state = State::Up(tls);
                Some(step)
            }
            Err((why, error)) => {
                self.lost = Some(tls.plain_out.sequel());
                self.fail_by(why, error);
                None
            }
        }
    }

    /// Record by record: the session's turn, what it said encrypted, then the next record.
    fn records(
        &mut self,
        tls: &mut Tls,
        now: Now,
        rx: &mut BytesMut,
        tx: &mut Outbox,
    ) -> Result<ChannelStep<S>, (Close, TlsError)> {
        let broken = |error| mark!(TlsBroken, (Close::Layer, error));
        for _ in 0..RECORDS {
            let wait = match self.run(now, &mut tls.plain_in, &mut tls.plain_out) {
                Step::Act(action) => {
                    // The host may take its time over this before it polls again; what was said goes out meanwhile. A
                    // failed engine fails again at the next turn, and the action is not lost.
                    let _ = tls.engine.encrypt(&mut tls.plain_out, tx);
                    return Ok(Step::Act(action));
                }
                Step::More => {
                    tls.engine.encrypt(&mut tls.plain_out, tx).map_err(broken)?;
                    return Ok(Step::More);
                }
                Step::Upgrade(Layer::Tls) => {
                    return Err(broken(TlsError::new(TlsErrorKind::Protocol, "TLS is up already")));
                }
                Step::Done(end) => {
                    tls.finish(tx);
                    return Ok(Step::Done(end));
                }
                Step::Wait(wait) => wait,
            };
            let (said, full) = (tls.plain_out.len(), tls.plain_out.is_full());
            tls.engine.encrypt(&mut tls.plain_out, tx).map_err(broken)?;
            if tls.plain_out.len() < said && (full || wait.on == WaitingOn::Flush) {
                continue; // There is room again, which the session has not seen.
            }
            if mem::take(&mut tls.fresh) {
                // What is left waits for its other half in no more memory than it fills; an idle connection holds none.
                tls.plain_in = BytesMut::from(&tls.plain_in[..]);
            }
            if tls.closed {
                rx.clear();
            }
            if tls.plain_in.len() >= PLAIN_BYTES {
                mark!(TlsSessionFull);
            }
            if !wait.read || tls.plain_in.len() >= PLAIN_BYTES {
                return Ok(Step::Wait(Wait { read: false, ..wait }));
            }
            if rx.is_empty() {
                if self.eof && !tls.closed && wait.on == WaitingOn::Peer {
                    mark!(TlsTruncated);
                    let reason = "the connection ended without a close_notify";
                    return Err((Close::Error, TlsError::new(TlsErrorKind::Truncated, reason)));
                }
                return Ok(Step::Wait(Wait { read: !self.eof && !tls.closed, ..wait }));
            }
            tls.fresh = true;
            let state = tls.engine.decrypt(now.wall, rx, &mut tls.plain_in, PLAIN_BYTES, tx).map_err(broken)?;
            if state == TlsState::Closed {
                tls.closed = true;
                self.session.close(Close::Eof);
            }
        }
        mark!(TlsTurnSpent);
        Ok(Step::More)
    }

    /// The session, apart from the wire: it hears nothing more, and what it says goes nowhere.
    fn poll_down(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> ChannelStep<S> {
        rx.clear();
        if self.broken {
            tx.clear();
        }
        // To the session it is still the same stream.
        let lost = self.lost.get_or_insert_with(|| tx.sequel());
        lost.clear();
        let end = match self.session.poll(now, rx, lost) {
            Step::Act(action) => return Step::Act(action),
            Step::More => return Step::More,
            Step::Wait(wait) => return Step::Wait(Wait { read: false, ..wait }),
            Step::Done(_) if self.fault.as_ref().is_some_and(|f| f.kind == TlsErrorKind::Timeout) => End::Timeout,
            Step::Done(end) => end,
            Step::Upgrade(Layer::Tls) => End::Broken,
        };
        self.state = State::Over(end);
        Step::Done(end)
    }

    fn fail(&mut self, why: Close, kind: TlsErrorKind, reason: &str) {
        self.fail_by(why, TlsError::new(kind, reason));
    }

    fn fail_by(&mut self, why: Close, error: TlsError) {
        self.fault = Some(error);
        self.down(why);
    }

    fn down(&mut self, why: Close) {
        if let State::Up(tls) = mem::replace(&mut self.state, State::Down) {
            self.lost = Some(tls.plain_out.sequel());
        }
        self.session.close(why);
    }
}

impl<A, S: Answer<A>> Answer<A> for Channel<S> {
    fn answer(&mut self, ticket: Ticket<A>, answer: A) -> Result<(), Misuse> {
        self.session.answer(ticket, answer)
    }
}

impl<S: fmt::Debug> fmt::Debug for Channel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Implicit => "implicit",
            State::Plain => "plain",
            State::Leaving { .. } => "leaving",
            State::Handshake { .. } => "handshake",
            State::Up(_) => "up",
            State::Down => "down",
            State::Over(_) => "over",
        };
        f.debug_struct("Channel").field("session", &self.session).field("state", &state).finish_non_exhaustive()
    }
}

impl Tls {
    /// The session is done: everything it said goes out, high water or not, and then our close_notify. It is bounded by
    /// the session's own high water, and the host closes when it is flushed.
    fn finish(&mut self, tx: &mut Outbox) {
        let mut last = Outbox::new(usize::MAX);
        // When it cannot be encrypted any more the connection has failed already, and there is nobody to tell.
        if self.engine.encrypt(&mut self.plain_out, &mut last).is_ok() {
            self.engine.close(&mut last);
        }
        last.append_to(tx);
    }
}
