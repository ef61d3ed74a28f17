//! What a runtime runs: anything that has a node's face.

use super::{Accepted, ConnId, ConnIo, Node, NodeInput, NodeStep};
use crate::time::Now;

/// The face of a node. A runtime knows no more of what it runs, so that a test can have it run something else.
///
/// The laws of a session hold here, too: polled until it waits, it says the same until something new comes, and it waits
/// for nobody beyond the time it announces.
pub trait Machine {
    /// A connection came in: what becomes of it is told by name. See [`Node::accept`].
    fn accept(&mut self, accepted: Accepted) -> ConnId;
    /// Something happened. See [`Node::input`].
    fn input(&mut self, now: Now, input: NodeInput);
    /// A connection's buffers; `None` when it is gone. See [`Node::conn`].
    fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>>;
    /// A connection's buffers were read into or written from. See [`Node::touched`].
    fn touched(&mut self, id: ConnId);
    /// The next thing for the host. See [`Node::poll`].
    fn poll(&mut self, now: Now) -> NodeStep;
}

impl Machine for Node {
    fn accept(&mut self, accepted: Accepted) -> ConnId {
        self.accept(accepted)
    }

    fn input(&mut self, now: Now, input: NodeInput) {
        self.input(now, input);
    }

    fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>> {
        self.conn(id)
    }

    fn touched(&mut self, id: ConnId) {
        self.touched(id);
    }

    fn poll(&mut self, now: Now) -> NodeStep {
        self.poll(now)
    }
}
