//! One turn of a node, the same on every runtime: take the store's answers, poll until it waits, carry out what it says.
//!
//! What differs between runtimes stands behind [`Wire`]: how bytes, datagrams and connections are moved. Everything else
//! is here once: the clock, the store, the events, the buffers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use pillarbox_core::dns::SocketId;
use pillarbox_core::node::{Config, ConnId, ConnIo, Event, Node, NodeAction, NodeInput, NodeStep};
use pillarbox_core::ops::{Busy, Sink, Store, StoreReply, Token};
use pillarbox_core::{Mono, Now, Seed};

use crate::{BufferPool, Clock, Completions, Handle, Order};

/// What a runtime does for a node. None of it blocks; a failure comes back as a [`NodeInput`].
pub trait Wire {
    /// Connect.
    fn dial(&mut self, conn: ConnId, to: std::net::SocketAddr);
    /// There is something in this connection's `tx`.
    fn flush(&mut self, conn: ConnId);
    /// Read from this connection, or do not.
    fn interest(&mut self, conn: ConnId, read: bool);
    /// Write what is left and close, or close at once.
    fn close(&mut self, conn: ConnId, abort: bool);
    /// Send a datagram, from a fresh random port if the socket is new.
    fn datagram(&mut self, socket: SocketId, to: SocketAddr, bytes: Bytes);
    /// Close a datagram socket.
    fn close_socket(&mut self, socket: SocketId);
    /// Accept connections, or do not.
    fn accepting(&mut self, accept: bool);
}

/// Who hears a node's events.
pub trait Events: Send + Sync {
    /// This happened.
    fn event(&self, event: &Event);
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is more to do: let IO happen, then take another turn at once.
    More,
    /// Take the next turn when something happens, or at this time.
    Wait(Option<Mono>),
    /// The node is drained.
    Done,
}

/// What stands around a worker.
#[derive(Clone)]
pub struct Surroundings {
    /// Where mail is kept.
    pub store: Arc<dyn Store>,
    /// Who hears its events.
    pub events: Arc<dyn Events>,
    /// How it is told to stop.
    pub handle: Handle,
}

/// A node with its store, its clock and its buffers.
pub struct Worker {
    /// The machine. Feed it; [`turn`](Self::turn) polls it.
    pub node: Node,
    clock: Clock,
    store: Arc<dyn Store>,
    completions: Arc<Completions>,
    sink: Arc<dyn Sink>,
    events: Arc<dyn Events>,
    handle: Handle,
    pool: BufferPool,
    answers: Vec<(Token, StoreReply)>,
}

impl Worker {
    /// A worker whose turn is due whenever `waker` is woken.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: &Seed, surroundings: Surroundings, waker: &Waker) -> Self {
        let Surroundings { store, events, handle } = surroundings;
        let completions = Arc::new(Completions::new(waker.clone()));
        handle.attach(waker.clone());
        Self {
            node: Node::new(config, seed),
            clock: Clock::start(),
            store,
            sink: Arc::clone(&completions) as Arc<dyn Sink>,
            completions,
            events,
            handle,
            pool: BufferPool::default(),
            answers: Vec::new(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Tells the node something.
    pub fn input(&mut self, input: NodeInput) {
        let now = self.now();
        self.node.input(now, input);
    }

    /// One turn: answers in, actions out.
    pub fn turn(&mut self, wire: &mut impl Wire) -> Turn {
        let now = self.now();
        for order in self.handle.take() {
            let input = match order {
                Order::Drain(grace) => NodeInput::Drain { deadline: now.mono + grace },
                Order::Reload(config) => NodeInput::Reload(config),
            };
            self.node.input(now, input);
        }
        self.completions.take(&mut self.answers);
        for (token, reply) in self.answers.drain(..) {
            self.node.input(now, NodeInput::Stored { token, reply });
        }
        loop {
            match self.node.poll(now) {
                NodeStep::Act(action) => self.act(now, wire, action),
                NodeStep::More => return Turn::More,
                NodeStep::Wait { until } => return Turn::Wait(until),
                NodeStep::Done => return Turn::Done,
            }
        }
    }

    /// Lends a connection's buffers for reading: `rx` has room for at least one read. `None` when the connection is gone.
    pub fn read(&mut self, conn: ConnId) -> Option<&mut BytesMut> {
        let ConnIo { rx, .. } = self.node.conn(conn)?;
        self.pool.make_room(rx);
        Some(rx)
    }

    /// Takes a connection's receive buffer back if it is empty, so that an idle connection holds none.
    pub fn reclaim(&mut self, conn: ConnId) {
        if let Some(ConnIo { rx, .. }) = self.node.conn(conn) {
            self.pool.reclaim(rx);
        }
    }

    fn act(&mut self, now: Now, wire: &mut impl Wire, action: NodeAction) {
        match action {
            NodeAction::Dial { conn, to } => wire.dial(conn, to),
            NodeAction::Flush(conn) => wire.flush(conn),
            NodeAction::Interest { conn, read } => wire.interest(conn, read),
            NodeAction::Close { conn, abort } => wire.close(conn, abort),
            NodeAction::Datagram { socket, to, bytes } => wire.datagram(socket, to, bytes),
            NodeAction::CloseSocket(socket) => wire.close_socket(socket),
            NodeAction::Accepting(accept) => wire.accepting(accept),
            NodeAction::Store { token, op } => {
                if let Err(Busy(op)) = self.store.submit(&self.sink, token, op) {
                    self.node.input(now, NodeInput::Busy { token, op });
                }
            }
            NodeAction::Event(event) => self.events.event(&event),
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("node", &self.node).finish_non_exhaustive()
    }
}
