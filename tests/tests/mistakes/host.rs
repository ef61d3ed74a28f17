//! A host with one connection, in virtual time: right as it stands, or with one mistake in it.
//!
//! The network is two buffers: what the peer said and the host has not read, and what the peer has heard.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::{Close, End, Mono, Now, Outbox, Session, Step, Wait, Wall};

/// What a host can do wrong. Who polls once, or until `More`, does so after a read, then writes, then waits for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    ReadsAlways,
    NoPollAfterWriting,
    NoTimer,
    EndIsAnError,
    ErrorIsTheEnd,
    NoLastFlush,
    ClearsTheBuffer,
    WallClockOnly,
    PollsOnce,
    StopsAtMore,
}

/// Answers what a machine asks.
pub(crate) trait Desk<S: Session> {
    fn act(&mut self, channel: &mut Channel<S>, action: S::Action);
}

pub(crate) struct Host<S: Session, D> {
    pub(crate) channel: Channel<S>,
    pub(crate) desk: D,
    pub(crate) rx: BytesMut,
    tx: Outbox,
    mistake: Option<Mistake>,
    wait: Option<Wait>,
    pub(crate) end: Option<End>,
    /// Time since the beginning.
    uptime: Duration,
    /// What the wall clock said at the beginning, as the administrator has it now.
    pub(crate) birth: Duration,
    pub(crate) peer: Peer,
    told: bool,
}

/// The other end.
#[derive(Default)]
pub(crate) struct Peer {
    /// What it said, and the host has not read.
    said: BytesMut,
    /// It says no more.
    pub(crate) closed: bool,
    /// It has crashed.
    pub(crate) gone: bool,
    heard: Vec<u8>,
    /// How much one read brings; 0: all there is.
    pub(crate) piece: usize,
}

impl Peer {
    pub(crate) fn says(&mut self, bytes: impl AsRef<[u8]>) {
        self.said.extend_from_slice(bytes.as_ref());
    }

    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

impl<S: Session, D: Desk<S>> Host<S, D> {
    pub(crate) fn new(session: S, desk: D, mistake: Option<Mistake>) -> Self {
        let mut host = Self {
            channel: Channel::new(session, ChannelConfig::plain(Side::Server)),
            desk,
            rx: BytesMut::new(),
            tx: Outbox::new(64 * 1024),
            mistake,
            wait: None,
            end: None,
            uptime: Duration::ZERO,
            birth: Duration::from_secs(1_795_379_126),
            peer: Peer::default(),
            told: false,
        };
        host.run();
        host
    }

    /// Lets everything happen that can happen now.
    pub(crate) fn run(&mut self) {
        self.poll();
        while self.end.is_none() && (self.write() || self.read()) {}
        if !self.makes(Mistake::NoLastFlush) {
            while self.write() {}
        }
    }

    /// Lets time pass, with all that happens in it.
    pub(crate) fn sleep(&mut self, time: Duration) {
        let mut left = time;
        while self.end.is_none()
            && !self.makes(Mistake::NoTimer)
            && let Some(until) = self.wait.and_then(|wait| wait.until)
            && let Some(rest) = left.checked_sub(until - self.now().mono)
        {
            self.uptime += left - rest;
            left = rest;
            self.run();
        }
        self.uptime += left;
    }

    fn poll(&mut self) {
        loop {
            match self.channel.poll(self.now(), &mut self.rx, &mut self.tx) {
                Step::Act(action) => self.desk.act(&mut self.channel, action),
                Step::More if self.makes(Mistake::StopsAtMore) => return,
                Step::More => {}
                Step::Wait(wait) => {
                    self.wait = Some(wait);
                    return;
                }
                Step::Done(end) => {
                    self.end = Some(end);
                    return;
                }
            }
            if self.makes(Mistake::PollsOnce) {
                return;
            }
        }
    }

    /// `true` when bytes were written.
    fn write(&mut self) -> bool {
        if self.tx.is_empty() || self.told && self.peer.gone {
            return false;
        }
        if self.peer.gone {
            self.tell(if self.makes(Mistake::ErrorIsTheEnd) { Close::Eof } else { Close::Error });
            return true;
        }
        let bytes = self.tx.copy_to_bytes(self.tx.len());
        self.peer.heard.extend_from_slice(&bytes);
        let reads_then_writes = [Mistake::NoPollAfterWriting, Mistake::PollsOnce, Mistake::StopsAtMore];
        if !reads_then_writes.into_iter().any(|mistake| self.makes(mistake)) {
            self.poll();
        }
        true
    }

    /// `true` when bytes were read, or their end.
    fn read(&mut self) -> bool {
        let wanted = self.wait.is_some_and(|wait| wait.read) || self.makes(Mistake::ReadsAlways);
        if !wanted || self.told {
            return false;
        }
        if self.peer.said.is_empty() {
            if self.peer.closed {
                self.tell(if self.makes(Mistake::EndIsAnError) { Close::Error } else { Close::Eof });
            }
            return self.peer.closed;
        }
        if self.makes(Mistake::ClearsTheBuffer) {
            self.rx.clear();
        }
        let piece = if self.peer.piece == 0 { usize::MAX } else { self.peer.piece };
        let bytes = self.peer.said.split_to(piece.min(self.peer.said.len()));
        self.rx.extend_from_slice(&bytes);
        self.poll();
        true
    }

    fn tell(&mut self, why: Close) {
        self.told = true;
        self.channel.close(why);
        self.poll();
    }

    fn now(&self) -> Now {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        let wall = self.birth + self.uptime;
        let mono = if self.makes(Mistake::WallClockOnly) { wall } else { self.uptime };
        Now { mono: Mono(nanos(mono)), wall: Wall(i64::try_from(wall.as_millis()).unwrap()) }
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}
