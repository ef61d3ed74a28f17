//! A worker: a machine with its sockets, its store and its clock. An adapter turns its crank.
//!
//! All that is the same on every runtime is here once: reading, writing, connecting, closing, datagrams, the store's
//! answers, the clock, the buffers. What differs stands behind [`Wire`]: how one learns that a socket is ready. An
//! adapter's loop is
//!
//! ```text
//! loop {
//!     for each socket that is ready      worker.ready(source, …)     bytes move
//!     match worker.turn(&mut wire)                                   the machine runs
//!         More        => let others run, then again
//!         Wait(until) => sleep until then, a ready socket, or the waker
//!         Done        => leave
//! }
//! ```
//!
//! A read is followed by a turn before the next read of the same socket, so that what the machine has not seen does not
//! pile up; what a turn says to a peer is written within the turn.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use pillarbox_core::dns::SocketId;
use pillarbox_core::node::{Closed, ConnId, Event, Machine, NodeAction, NodeInput, NodeStep};
use pillarbox_core::ops::{Busy, Sink, Store, StoreReply, Token};
use pillarbox_core::{Mono, Now};

use crate::inbox::{Order, Place};
use crate::link::{Link, Ready, Stage};
use crate::{BufferPool, Clock, Completions, Inbox, Setup, Socket};

/// After our last word, how long the peer is still listened to.
const FAREWELL: Duration = Duration::from_secs(2);

/// Orders taken in one turn: connections that come in a crowd do not hold up those that are there.
const ORDERS: usize = 64;

/// Datagrams taken from one socket before others have their turn.
const DATAGRAMS: usize = 16;

/// What a runtime does for a worker.
pub trait Wire {
    /// Watch this socket: whenever it is ready for what [`Worker::want`] says, call [`Worker::ready`].
    ///
    /// # Errors
    /// When it cannot be watched; the connection is given up.
    fn open(&mut self, source: Source, socket: &Rc<Socket>) -> io::Result<()>;

    /// What is wanted of this socket has changed, or it is gone: ask [`Worker::want`].
    fn changed(&mut self, source: Source);
}

/// What a socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A connection.
    Conn(ConnId),
    /// Questions to name servers.
    Datagrams(SocketId),
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
    /// The machine is drained.
    Done,
}

/// A machine with its sockets, its store and its clock.
pub struct Worker {
    machine: Box<dyn Machine>,
    clock: Clock,
    inbox: Arc<Inbox>,
    store: Arc<dyn Store>,
    completions: Arc<Completions>,
    sink: Arc<dyn Sink>,
    events: Arc<dyn Events>,
    pool: BufferPool,
    answers: Vec<(Token, StoreReply)>,
    links: HashMap<ConnId, Link>,
    sockets: HashMap<SocketId, Rc<Socket>>,
    /// Connections read since all had their turn.
    read: HashSet<ConnId>,
    /// Connections in their farewell, the oldest first.
    leaving: VecDeque<(Mono, ConnId)>,
    /// A socket is being served. If it still is when the next turn begins, the machine broke meanwhile.
    serving: bool,
}

impl Worker {
    /// A worker whose turn is due whenever `waker` is woken.
    #[must_use]
    pub fn new(setup: Setup, waker: &Waker) -> Self {
        let Setup { machine, inbox, store, events } = setup;
        let completions = Arc::new(Completions::new(waker.clone()));
        inbox.attach_worker(waker.clone());
        Self {
            machine: machine(),
            clock: Clock::start(),
            inbox,
            store,
            sink: Arc::clone(&completions) as Arc<dyn Sink>,
            completions,
            events,
            pool: BufferPool::default(),
            answers: Vec::new(),
            links: HashMap::new(),
            sockets: HashMap::new(),
            read: HashSet::new(),
            leaving: VecDeque::new(),
            serving: false,
        }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What a socket is to be watched for; `None` when it is gone and to be forgotten.
    #[must_use]
    pub fn want(&self, source: Source) -> Option<Ready> {
        match source {
            Source::Conn(conn) => Some(self.links.get(&conn)?.want()),
            Source::Datagrams(socket) => self.sockets.get(&socket).map(|_| Ready { read: true, write: false }),
        }
    }

    /// Moves bytes of a socket that is ready, at most one read's worth. Returns what it may still be ready for: what was
    /// asked, but where the socket said that it would block. Take a turn before the next call.
    pub fn ready(&mut self, source: Source, ready: Ready) -> Ready {
        self.serving = true;
        let still = match source {
            Source::Conn(conn) => self.exchange(conn, ready),
            Source::Datagrams(socket) => Ready { read: self.hear(socket), write: ready.write },
        };
        self.serving = false;
        still
    }

    /// One turn of the machine: orders and answers in, actions out.
    ///
    /// # Panics
    /// When the machine panicked in [`ready`](Self::ready): executors keep a task's panic to themselves, and a machine in
    /// nobody knows what state must not go on.
    pub fn turn(&mut self, wire: &mut impl Wire) -> Turn {
        assert!(!self.serving, "the machine broke while a socket was served");
        let now = self.clock.now();
        let more_orders = self.orders(now, wire);
        self.answers(now);
        while let Some((until, conn)) = self.leaving.front().copied()
            && until <= now.mono
        {
            self.leaving.pop_front();
            if matches!(self.links.get(&conn), Some(Link { stage: Stage::Farewell { .. }, .. })) {
                self.gone(now, conn);
                wire.changed(Source::Conn(conn));
            }
        }
        let turn = loop {
            match self.machine.poll(now) {
                NodeStep::Act(action) => self.act(now, wire, action),
                NodeStep::More => break Turn::More,
                NodeStep::Wait { .. } if more_orders => break Turn::More,
                NodeStep::Wait { until } => {
                    let farewell = self.leaving.front().map(|(until, _)| *until);
                    break Turn::Wait([until, farewell].into_iter().flatten().min());
                }
                NodeStep::Done => break Turn::Done,
            }
        };
        self.reclaim(turn);
        turn
    }

    /// Takes back the buffers that the turn has used up: an idle connection holds none.
    fn reclaim(&mut self, turn: Turn) {
        self.read.retain(|conn| {
            let Some(io) = self.machine.conn(*conn) else { return false };
            if turn == Turn::More {
                self.pool.reclaim(io.rx);
                return !io.rx.is_empty();
            }
            // What is left when all have run waits for its other half, which comes by a read.
            self.pool.settle(io.rx);
            false
        });
    }

    /// Carries out what came from other threads; `true` when there may be more of it.
    fn orders(&mut self, now: Now, wire: &mut impl Wire) -> bool {
        for _ in 0..ORDERS {
            let Some(order) = self.inbox.take() else { return false };
            match order {
                Order::Accept(accepted, socket, place) => {
                    let conn = self.machine.accept(accepted);
                    self.open(now, wire, conn, socket, Stage::Open, Some(place));
                }
                Order::Drain(grace) => self.machine.input(now, NodeInput::Drain { deadline: now.mono + grace }),
                Order::Reload(config) => self.machine.input(now, NodeInput::Reload(config)),
            }
        }
        true
    }

    fn answers(&mut self, now: Now) {
        let mut notices = self.completions.take(&mut self.answers);
        for (token, reply) in self.answers.drain(..) {
            self.machine.input(now, NodeInput::Stored { token, reply });
        }
        while let Some(notice) = notices.pop() {
            self.machine.input(now, NodeInput::Notice(notice));
        }
    }

    fn act(&mut self, now: Now, wire: &mut impl Wire, action: NodeAction) {
        match action {
            NodeAction::Dial { conn, to } => self.dial(now, wire, conn, to),
            NodeAction::Flush(conn) => {
                self.write(now, conn);
                // An answer of the store may have let the session go on with what was read long ago.
                if let Some(io) = self.machine.conn(conn) {
                    self.pool.reclaim(io.rx);
                }
                if self.links.get(&conn).is_some_and(|link| link.blocked) {
                    wire.changed(Source::Conn(conn));
                }
            }
            NodeAction::Interest { conn, read } => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.reading = read;
                    wire.changed(Source::Conn(conn));
                }
            }
            NodeAction::Close { conn, abort } => {
                self.close(now, conn, abort);
                wire.changed(Source::Conn(conn));
            }
            NodeAction::Datagram { socket, to, bytes } => self.send(wire, socket, to, &bytes),
            NodeAction::CloseSocket(socket) => {
                self.sockets.remove(&socket);
                wire.changed(Source::Datagrams(socket));
            }
            // Once told to stop, a machine does not begin again: the port is free for the next one.
            NodeAction::Accepting(true) => {}
            NodeAction::Accepting(false) => self.inbox.close(),
            NodeAction::Store { token, op } => {
                if let Err(Busy(op)) = self.store.submit(&self.sink, token, op) {
                    self.machine.input(now, NodeInput::Busy { token, op });
                }
            }
            NodeAction::Event(event) => self.events.event(&event),
        }
    }

    fn dial(&mut self, now: Now, wire: &mut impl Wire, conn: ConnId, to: SocketAddr) {
        match Socket::connect(to) {
            Ok(socket) => self.open(now, wire, conn, socket, Stage::Connecting, None),
            Err(error) => self.machine.input(now, NodeInput::Dialed { conn, result: Err(error.to_string()) }),
        }
    }

    fn open(
        &mut self,
        now: Now,
        wire: &mut impl Wire,
        conn: ConnId,
        socket: Socket,
        stage: Stage,
        place: Option<Place>,
    ) {
        let link = Link::new(socket, stage, place);
        let watched = wire.open(Source::Conn(conn), &link.socket);
        self.links.insert(conn, link);
        if let Err(error) = watched {
            self.broken(now, conn, &error);
        }
    }

    fn exchange(&mut self, conn: ConnId, mut ready: Ready) -> Ready {
        let now = self.clock.now();
        let Some(link) = self.links.get_mut(&conn) else { return ready };
        match link.stage {
            Stage::Connecting if ready.write => match link.socket.connected() {
                None => ready.write = false,
                Some(Ok(())) => {
                    link.stage = Stage::Open;
                    self.machine.input(now, NodeInput::Dialed { conn, result: Ok(()) });
                }
                Some(Err(error)) => self.broken(now, conn, &error),
            },
            Stage::Open | Stage::Closing => {
                if ready.write && link.blocked {
                    ready.write = self.write(now, conn);
                }
                if ready.read && self.want(Source::Conn(conn)).is_some_and(|want| want.read) {
                    ready.read = self.read(now, conn);
                }
            }
            Stage::Farewell { left, until } if ready.read => match link.socket.skip() {
                Ok(read @ 1..) if read < left => link.stage = Stage::Farewell { left: left - read, until },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.read = false,
                _ => self.gone(now, conn),
            },
            Stage::Connecting | Stage::Farewell { .. } | Stage::Broken => {}
        }
        ready
    }

    /// One read into the session's buffer; `false` when there is nothing more for now.
    fn read(&mut self, now: Now, conn: ConnId) -> bool {
        let (Some(link), Some(io)) = (self.links.get_mut(&conn), self.machine.conn(conn)) else { return false };
        self.pool.make_room(io.rx);
        let room = io.rx.capacity() - io.rx.len();
        self.read.insert(conn);
        match link.socket.read(io.rx) {
            Ok(0) => {
                link.eof = true;
                self.machine.input(now, NodeInput::Closed { conn, how: Closed::Eof });
                false
            }
            Ok(read) => {
                self.machine.touched(conn);
                // Less than there was room for is all there is, and asking once more would cost a call for each command.
                // A read also stops where TCP's urgent data stands, which no mail client sends: who does, waits for
                // what he says next.
                read == room
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.broken(now, conn, &error);
                false
            }
        }
    }

    /// Writes what is in the session's outbox; `false` when the socket takes no more for now.
    fn write(&mut self, now: Now, conn: ConnId) -> bool {
        let (Some(link), Some(io)) = (self.links.get_mut(&conn), self.machine.conn(conn)) else { return true };
        if matches!(link.stage, Stage::Connecting | Stage::Farewell { .. } | Stage::Broken) {
            return true;
        }
        match link.write(io.tx) {
            Ok(wrote) => {
                let (blocked, over) = (link.blocked, link.stage == Stage::Closing && io.tx.is_empty());
                if wrote {
                    // There is room in its outbox, which is news to the session.
                    self.machine.touched(conn);
                }
                if over {
                    self.farewell(now, conn);
                }
                !blocked
            }
            Err(error) => {
                self.broken(now, conn, &error);
                true
            }
        }
    }

    /// The session is over.
    fn close(&mut self, now: Now, conn: ConnId, abort: bool) {
        if abort {
            // The machine has forgotten it, and wants to hear nothing.
            self.links.remove(&conn);
            return;
        }
        let Some(link) = self.links.get_mut(&conn) else { return };
        match link.stage {
            Stage::Broken | Stage::Connecting => return self.gone(now, conn),
            _ => link.stage = Stage::Closing,
        }
        let empty = self.machine.conn(conn).is_none_or(|io| io.tx.is_empty());
        if empty {
            self.farewell(now, conn);
        } else {
            self.write(now, conn);
        }
    }

    /// All is written: our side is closed, and the peer's is read for a moment.
    fn farewell(&mut self, now: Now, conn: ConnId) {
        let until = now.mono + FAREWELL;
        if self.links.get_mut(&conn).is_some_and(|link| link.shutdown(until)) {
            self.leaving.push_back((until, conn));
        } else {
            self.gone(now, conn);
        }
    }

    /// It is closed as the machine wanted.
    fn gone(&mut self, now: Now, conn: ConnId) {
        self.links.remove(&conn);
        self.machine.input(now, NodeInput::Closed { conn, how: Closed::Done });
    }

    /// It does not work any more.
    fn broken(&mut self, now: Now, conn: ConnId, error: &io::Error) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        match link.stage {
            Stage::Connecting => {
                self.links.remove(&conn);
                self.machine.input(now, NodeInput::Dialed { conn, result: Err(error.to_string()) });
            }
            Stage::Open => {
                // The session winds up; what it would still say, nobody hears.
                link.stage = Stage::Broken;
                self.machine.input(now, NodeInput::Closed { conn, how: Closed::Error });
            }
            Stage::Closing | Stage::Farewell { .. } => self.gone(now, conn),
            Stage::Broken => {}
        }
    }

    /// Sends a datagram; one may always be lost. A name server that cannot be reached is the resolver's to get over: it
    /// hears nothing, and asks another.
    fn send(&mut self, wire: &mut impl Wire, id: SocketId, to: SocketAddr, bytes: &[u8]) {
        let socket = match self.sockets.get(&id) {
            Some(socket) => Rc::clone(socket),
            None => {
                let Ok(socket) = Socket::datagrams(to).map(Rc::new) else { return };
                if wire.open(Source::Datagrams(id), &socket).is_err() {
                    return;
                }
                self.sockets.insert(id, Rc::clone(&socket));
                socket
            }
        };
        let _lost = socket.send_to(to, bytes);
    }

    /// Takes what came on a datagram socket; `false` when there is nothing more for now.
    fn hear(&mut self, id: SocketId) -> bool {
        let now = self.clock.now();
        let Some(socket) = self.sockets.get(&id).cloned() else { return false };
        for _ in 0..DATAGRAMS {
            match socket.receive_from() {
                Ok((from, bytes)) => self.machine.input(now, NodeInput::Datagram { socket: id, from, bytes }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Somebody refuses our questions (ICMP): the resolver hears nothing, and asks another.
                Err(_) => {}
            }
        }
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.leave();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("connections", &self.links.len()).finish_non_exhaustive()
    }
}
