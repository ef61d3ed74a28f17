//! What a node asks of its host, and what the host tells it.

use alloc::string::String;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::{Config, Event};
use crate::dns::SocketId;
use crate::ops::{Notice, StoreOp, StoreReply, Token};
use crate::outbox::Outbox;
use crate::time::Mono;

/// A connection of a node; never used again, and by no other node of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A listener: its index in [`Config::services`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub usize);

/// What a node says when polled.
#[derive(Debug)]
#[must_use = "a step tells the host what to do next"]
pub enum NodeStep {
    /// Do this, then poll again.
    Act(NodeAction),
    /// The budget of this turn is spent: do IO, then poll again.
    More,
    /// Nothing to do until an input comes, a connection is touched, or this time is reached.
    Wait {
        /// When to poll at the latest.
        until: Option<Mono>,
    },
    /// Drained: nothing is open and nothing is owed.
    Done,
}

/// What a node cannot do itself.
#[derive(Debug)]
pub enum NodeAction {
    /// Connect; tell the outcome by [`NodeInput::Dialed`]. The node keeps the time limit and may `Close` it meanwhile.
    Dial {
        /// The connection it becomes.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// Write what is in this connection's `tx`, as much as the wire takes, now and whenever it can take more.
    Flush(ConnId),
    /// Whether to read from this connection. A new connection is not read before it is asked for.
    Interest {
        /// Which.
        conn: ConnId,
        /// Read, or let TCP push back.
        read: bool,
    },
    /// Write what is left in `tx` (nothing when `abort`), close the connection, and say [`NodeInput::Closed`] with
    /// [`Closed::Done`]. With `abort` the node has forgotten it already, and nothing is to be said.
    Close {
        /// Which.
        conn: ConnId,
        /// At once, unwritten bytes or not.
        abort: bool,
    },
    /// Send a datagram. A socket id not seen before means: bind a fresh socket on a random port.
    Datagram {
        /// From which socket.
        socket: SocketId,
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Bytes,
    },
    /// Close a datagram socket.
    CloseSocket(SocketId),
    /// Whether to accept connections.
    Accepting(bool),
    /// Submit this op to the store; its reply comes by [`NodeInput::Stored`], or the op comes back at once by
    /// [`NodeInput::Busy`].
    Store {
        /// Its name.
        token: Token,
        /// The op.
        op: StoreOp,
    },
    /// A fact, for logs, metrics and whoever watches.
    Event(Event),
}

/// What the host tells a node.
#[derive(Debug)]
pub enum NodeInput {
    /// A dial came through, or failed (in words).
    Dialed {
        /// The connection.
        conn: ConnId,
        /// Its outcome.
        result: Result<(), String>,
    },
    /// A connection's end was seen.
    Closed {
        /// Which.
        conn: ConnId,
        /// How.
        how: Closed,
    },
    /// A datagram came.
    Datagram {
        /// On which socket.
        socket: SocketId,
        /// From where.
        from: SocketAddr,
        /// What.
        bytes: Bytes,
    },
    /// The store answered.
    Stored {
        /// Which op.
        token: Token,
        /// What.
        reply: StoreReply,
    },
    /// The store had no place for this op.
    Busy {
        /// Which op.
        token: Token,
        /// The op, unharmed.
        op: StoreOp,
    },
    /// The store hints at what another node did. It may be left out or said twice: what is missed is found later.
    Notice(Notice),
    /// A new configuration, of the whole server. Sessions keep the one that they began with; listeners keep their ids.
    Reload(Arc<Config>),
    /// Stop: idle sessions are told so now, the others have until the deadline. Then `Done`.
    Drain {
        /// When the rest is cut off.
        deadline: Mono,
    },
}

/// A connection that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// On which listener.
    pub listener: ListenerId,
    /// From where. A Unix socket's peer is shown as `[::1]:0`.
    pub peer: SocketAddr,
    /// One connection more than the limits allow: it is told so and closed.
    pub crowded: bool,
}

/// How a connection ended, as the host saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed its sending side; ours may still be written to.
    Eof,
    /// It broke: neither side works.
    Error,
    /// The `Close` asked for is carried out.
    Done,
}

/// A connection's buffers, lent to the host for reading and writing.
#[derive(Debug)]
pub struct ConnIo<'a> {
    /// Append what was read. Take the buffer back (for another connection) only when it is empty.
    pub rx: &'a mut BytesMut,
    /// Write from here.
    pub tx: &'a mut Outbox,
}
