//! A connection: its buffers, its session of whatever protocol, and what the host was last told about it.

use alloc::boxed::Box;
use core::convert::Infallible;
use core::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::SessionKind;
use super::delivery::Outgoing;
use super::maildrop::Maildrop;
use super::operator::Operator;
use super::reader::Reader;
use super::reception::Reception;
use super::shared::Shared;
use super::transfer::Candidate;
use crate::channel::Channel;
use crate::dns::{StreamAnswer, StreamId, StreamSession};
use crate::outbox::Outbox;
use crate::queue::AttemptId;
use crate::session::{Close, End, Step, Wait};
use crate::time::{Mono, Now};

/// A connection that is wanted.
pub(super) enum Dial {
    /// To a mail server.
    Delivery { attempt: AttemptId, candidate: Candidate },
    /// To a name server, for an answer that is too large for a datagram.
    Lookup { stream: StreamId, to: SocketAddr, query: Bytes },
}

/// A connection.
pub(super) struct Conn {
    pub(super) speaker: Speaker,
    pub(super) kind: SessionKind,
    /// Where it was dialed to, until it is up.
    pub(super) dialed: Option<SocketAddr>,
    pub(super) rx: BytesMut,
    pub(super) tx: Outbox,
    pub(super) phase: Phase,
    /// In the list of connections to be run.
    pub(super) queued: bool,
    /// What the host was told last.
    pub(super) reading: bool,
    /// How much of `tx` the host was told to write.
    pub(super) flushed: u64,
    pub(super) deadline: Option<Mono>,
    /// Nothing can be written any more.
    pub(super) broken: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Being dialed.
    Dialing,
    /// Up.
    Open,
    /// The session is over; what is in `tx` is being written.
    Closing,
}

/// A session, of whatever protocol.
pub(super) enum Speaker {
    Reception(Box<Reception>),
    Maildrop(Box<Maildrop>),
    Reader(Box<Reader>),
    Outgoing(Box<Outgoing>),
    Operator(Box<Operator>),
    Lookup(Box<Lookup>),
}

/// An exchange with a name server.
pub(super) struct Lookup {
    pub(super) stream: StreamId,
    pub(super) channel: Channel<StreamSession>,
    /// The resolver has its answer.
    answered: bool,
}

impl Lookup {
    pub(super) fn new(stream: StreamId, channel: Channel<StreamSession>) -> Self {
        Self { stream, channel, answered: false }
    }

    fn answer(&mut self, shared: &mut Shared, now: Now, message: Option<Bytes>) {
        if !core::mem::replace(&mut self.answered, true) {
            shared.resolver.stream_answer(now, self.stream, message);
        }
    }
}

/// Why a session stopped for now.
pub(super) enum Pause {
    More,
    Wait(Wait),
    Done(End),
}

impl Conn {
    pub(super) fn new(speaker: Speaker, kind: SessionKind, phase: Phase, high_water: usize) -> Self {
        Self {
            speaker,
            kind,
            dialed: None,
            rx: BytesMut::new(),
            tx: Outbox::new(high_water),
            phase,
            queued: false,
            reading: false,
            flushed: 0,
            deadline: None,
            broken: false,
        }
    }

    /// Runs the session until it waits, or has acted enough for now.
    pub(super) fn run(&mut self, shared: &mut Shared, now: Now) -> Pause {
        for _ in 0..shared.config.limits.actions_per_session.max(1) {
            if let Err(pause) = self.step(shared, now) {
                return pause;
            }
        }
        Pause::More
    }

    /// One action of the session, carried out; or why there is none.
    fn step(&mut self, shared: &mut Shared, now: Now) -> Result<(), Pause> {
        let (rx, tx) = (&mut self.rx, &mut self.tx);
        match &mut self.speaker {
            Speaker::Reception(session) => {
                let action = action(session.channel.poll(now, rx, tx))?;
                session.act(shared, now.wall, action);
            }
            Speaker::Maildrop(session) => {
                let action = action(session.channel.poll(now, rx, tx))?;
                session.act(shared, action);
            }
            Speaker::Reader(session) => {
                let action = action(session.channel.poll(now, rx, tx))?;
                session.act(shared, action);
            }
            Speaker::Outgoing(session) => {
                let action = action(session.channel.poll(now, rx, tx))?;
                session.act(shared, action);
            }
            Speaker::Operator(session) => {
                let action = action(session.channel.poll(now, rx, tx))?;
                session.act(shared, action);
            }
            Speaker::Lookup(lookup) => {
                let StreamAnswer(message) = action(lookup.channel.poll(now, rx, tx))?;
                lookup.answer(shared, now, Some(message));
            }
        }
        Ok(())
    }

    /// Tells the session that its connection ends.
    pub(super) fn close(&mut self, why: Close) {
        match &mut self.speaker {
            Speaker::Reception(session) => session.channel.close(why),
            Speaker::Maildrop(session) => session.channel.close(why),
            Speaker::Reader(session) => session.channel.close(why),
            Speaker::Outgoing(session) => session.channel.close(why),
            Speaker::Operator(session) => session.channel.close(why),
            Speaker::Lookup(lookup) => lookup.channel.close(why),
        }
    }

    /// The session is over: what it held is given back, and who waits for it is told.
    pub(super) fn done(&mut self, shared: &mut Shared, now: Now, end: End) {
        match &mut self.speaker {
            Speaker::Reception(session) => session.discard(shared),
            Speaker::Maildrop(session) => session.discard(shared),
            Speaker::Reader(session) => session.discard(shared),
            Speaker::Outgoing(session) => session.done(shared, now, end),
            Speaker::Operator(_) => {}
            Speaker::Lookup(lookup) => lookup.answer(shared, now, None),
        }
    }

    /// The dial did not come through.
    pub(super) fn unreachable(&mut self, shared: &mut Shared, now: Now, why: &str) {
        match &mut self.speaker {
            Speaker::Outgoing(session) => session.unreachable(shared, now, why),
            Speaker::Lookup(lookup) => lookup.answer(shared, now, None),
            Speaker::Reception(_) | Speaker::Maildrop(_) | Speaker::Reader(_) | Speaker::Operator(_) => {}
        }
    }
}

/// An action, or why there is none.
fn action<A>(step: Step<A, Infallible>) -> Result<A, Pause> {
    match step {
        Step::Act(action) => Ok(action),
        Step::More => Err(Pause::More),
        Step::Wait(wait) => Err(Pause::Wait(wait)),
        Step::Done(end) => Err(Pause::Done(end)),
    }
}
