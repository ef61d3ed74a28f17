//! A machine with a mail server on it: nodes, their disk, a clock that may be wrong, and a switch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pillarbox_core::node::{Config, ConnId, Node, Share, TapSink};
use pillarbox_core::ops::{
    Accept, Accepted, Attempted, Body, QueueOp, QueueReply, RowId, StageId, StageOp, StoreOp, StoreReply, Token,
};
use pillarbox_core::{Direction, Mono, Now, Wall};

use crate::disk::{Disk, Ear};
use crate::ledger::{Ledger, UserId};
use crate::letter::{Found, recognize};
use crate::overheard::Overheard;
use crate::wire::WireId;

/// When every world begins.
pub const BEGINNING: Wall = Wall(1_795_379_126_000);

/// Octets of a body that are kept in mind.
const HEAD: usize = 4096;

/// A machine's clock, for all on it. It is what it was set to when the world began, and time that has passed.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Milliseconds that it is ahead.
    ahead: AtomicI64,
    /// What it shows, for the store.
    shows: AtomicI64,
}

impl Clock {
    /// It jumps: so far ahead of the right time, or behind it. However often it jumps, it is wrong by this jump alone.
    pub(crate) fn jump(&self, milliseconds: i64) {
        self.ahead.store(milliseconds, Ordering::Relaxed);
    }

    pub(crate) fn right(&self) {
        self.ahead.store(0, Ordering::Relaxed);
    }

    pub(crate) fn at(&self, mono: Mono) -> Now {
        let passed = i64::try_from(mono.0 / 1_000_000).unwrap_or(i64::MAX);
        let wall = BEGINNING.0 + passed + self.ahead.load(Ordering::Relaxed);
        self.shows.store(wall, Ordering::Relaxed);
        Now { mono, wall: Wall(wall) }
    }

    pub(crate) fn shown(&self) -> Wall {
        Wall(self.shows.load(Ordering::Relaxed))
    }
}

/// How many connections a machine takes at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    /// In all.
    pub(crate) most: usize,
    /// From one address.
    pub(crate) most_from_one_address: usize,
}

impl Doors {
    /// Everybody may come in.
    pub(crate) const OPEN: Self = Self { most: usize::MAX, most_from_one_address: usize::MAX };
}

/// Whether a machine is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// It runs.
    On,
    /// The machine runs, and the server on it does not: who connects is refused.
    NoServer,
    /// Nobody answers.
    Off,
}

/// A machine.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// Its nodes' places in the world.
    pub(crate) nodes: std::ops::Range<usize>,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<Clock>,
    pub(crate) power: Power,
    /// Addresses that are unplugged.
    pub(crate) unplugged: BTreeSet<IpAddr>,
    /// Where those who came to it come from, by node and connection.
    pub(crate) guests: BTreeMap<(usize, ConnId), IpAddr>,
    /// An account in whose mailboxes nobody looks: strangers log in with it.
    pub(crate) guest: Option<UserId>,
    /// How many it takes, where that is not what others take.
    pub(crate) doors: Option<Doors>,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// No node hears what the store hints at.
    pub(crate) deaf: bool,
    /// What large bodies begin with, by stage.
    pub(crate) stages: BTreeMap<StageId, Vec<u8>>,
    /// What the bodies of queue rows begin with, and whom they are for.
    pub(crate) rows: BTreeMap<RowId, (Bytes, String)>,
}

/// A node in its place.
pub(crate) struct Slot {
    pub(crate) host: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) share: Share,
    pub(crate) node: Option<Node>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) answers: VecDeque<(Token, StoreReply)>,
    pub(crate) lines: BTreeMap<ConnId, Line>,
    /// Connections that are being made.
    pub(crate) dialing: BTreeSet<ConnId>,
    pub(crate) until: Option<Mono>,
    pub(crate) accepting: bool,
    pub(crate) done: bool,
    /// How often it was started.
    pub(crate) life: u64,
    /// Conversations with next hops, and where those are.
    pub(crate) overheard: BTreeMap<ConnId, (IpAddr, Overheard)>,
}

/// A node's end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) wire: WireId,
    /// Which of the wire's ends it is.
    pub(crate) end: usize,
    pub(crate) reading: bool,
    /// It is to be closed when all is written.
    pub(crate) closing: bool,
}

/// What a node reads and says, under TLS as well.
#[derive(Default)]
pub(crate) struct Tap(Mutex<Vec<(ConnId, Direction, Bytes)>>);

impl Tap {
    pub(crate) fn take(&self) -> Vec<(ConnId, Direction, Bytes)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TapSink for Tap {
    fn bytes(&self, conn: ConnId, direction: Direction, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((conn, direction, Bytes::copy_from_slice(bytes)));
    }
}

impl Host {
    /// Tells the ledger what an op has filed, and keeps in mind what bodies begin with that later ops name.
    pub(crate) fn note(&mut self, number: usize, op: &StoreOp, reply: &StoreReply, ledger: &mut Ledger) {
        match (op, reply) {
            (StoreOp::Accept(accept), StoreReply::Accepted(accepted)) => self.filed(number, accept, accepted, ledger),
            (StoreOp::Queue(QueueOp::Settle(settle)), StoreReply::Queue(QueueReply::Settled(accepted))) => {
                for (accept, accepted) in settle.accepts.iter().zip(accepted) {
                    self.filed(number, accept, accepted, ledger);
                }
                for (row, attempted) in &settle.rows {
                    ledger.attempted(number, *row, attempted);
                    if *attempted == Attempted::Finished {
                        self.finished(number, *row, ledger);
                    }
                }
            }
            (StoreOp::Queue(QueueOp::Remove { rows }), _) => {
                for (head, recipient) in rows.iter().filter_map(|row| self.rows.remove(row)) {
                    ledger.taken_out(&head, &recipient);
                }
            }
            (StoreOp::Stage(StageOp::Append { stage, bytes }), StoreReply::Stage(_)) => {
                let head = self.stages.entry(*stage).or_default();
                let more = bytes.len().min(HEAD.saturating_sub(head.len()));
                head.extend_from_slice(&bytes[..more]);
            }
            (StoreOp::Stage(StageOp::Drop { stage }), _) => _ = self.stages.remove(stage),
            _ => {}
        }
    }

    fn filed(&mut self, number: usize, accept: &Accept, accepted: &Accepted, ledger: &mut Ledger) {
        let head: Bytes = match &accept.body {
            Body::Inline(pieces) => pieces.concat().into(),
            Body::Staged(stage) => self.stages.remove(stage).unwrap_or_default().into(),
            Body::Row(row) => self.rows.get(row).map(|(head, _)| head.clone()).unwrap_or_default(),
        };
        for (delivery, email) in accept.deliveries.iter().zip(&accepted.emails) {
            if email.is_some() {
                ledger.filed(number, delivery.account, &[&delivery.prefix[..], &head[..]].concat());
            }
        }
        let head = head.slice(..head.len().min(HEAD));
        // Those of recipients whose account was gone come last.
        let gone = accept.deliveries.iter().zip(&accepted.emails).filter(|(_, email)| email.is_none());
        let recipients =
            accept.rows.iter().map(|row| &row.recipient).chain(gone.map(|(delivery, _)| &delivery.recipient));
        for (row, recipient) in accepted.rows.iter().zip(recipients) {
            self.rows.insert(*row, (head.clone(), recipient.to_string()));
        }
    }

    fn finished(&mut self, number: usize, row: RowId, ledger: &mut Ledger) {
        if let Some((head, recipient)) = self.rows.remove(&row)
            && let Found::Letter(letter, _) = recognize(&head)
        {
            ledger.finished(number, letter, &recipient);
        }
    }

    /// Rows in its queue.
    pub(crate) fn queued(&self) -> usize {
        self.rows.len()
    }
}
