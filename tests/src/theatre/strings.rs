//! What a test and its puppet share: orders one way, what came the other. The puppet is woken through the store, as a
//! node is by its own: it has always one op under way, and an order answers it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pillarbox_core::node::ConnId;
use pillarbox_core::ops::{Busy, Sink, Store, StoreError, StoreOp, StoreReply, Token};

use super::PATIENCE;

/// What a test tells its puppet to do.
#[derive(Debug)]
pub(super) enum Order {
    Dial { conn: ConnId, to: SocketAddr },
    Write { conn: ConnId, bytes: Vec<u8> },
    Read { conn: ConnId, read: bool },
    Close { conn: ConnId, last: Vec<u8>, abort: bool },
}

/// What a puppet saw of a connection.
#[derive(Debug, Default)]
pub(super) struct Saw {
    pub(super) arrived: Vec<u8>,
    pub(super) dialed: Option<Result<(), String>>,
    pub(super) eof: bool,
    pub(super) error: bool,
    /// It is closed as the puppet wanted.
    pub(super) done: bool,
    /// The puppet closed it at once, and has forgotten it.
    pub(super) forgotten: bool,
}

#[derive(Debug, Default)]
pub(super) struct Strings {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    orders: Vec<Order>,
    conns: BTreeMap<ConnId, Saw>,
    callers: BTreeMap<SocketAddr, ConnId>,
    next: u64,
    /// The op under way.
    op: Option<(Arc<dyn Sink>, Token)>,
    /// The first thing that a runtime did against the contract.
    breach: Option<String>,
}

impl Strings {
    /// Tells the puppet.
    pub(super) fn order(&self, order: Order) {
        let op = {
            let mut state = self.lock();
            state.orders.push(order);
            state.op.take()
        };
        ring(op);
    }

    /// Has the puppet dial.
    pub(super) fn dial(&self, to: SocketAddr) -> ConnId {
        let conn = self.conn();
        self.order(Order::Dial { conn, to });
        conn
    }

    /// Waits for a connection from here.
    pub(super) fn accepted(&self, from: SocketAddr) -> Result<ConnId, String> {
        // The port may be another connection's later on.
        self.wait(&format!("the connection from {from}"), |state| state.callers.remove(&from))
    }

    /// Waits for the outcome of a dial.
    pub(super) fn dialed(&self, conn: ConnId) -> Result<Result<(), String>, String> {
        self.saw(conn, "the outcome of a dial", |saw| saw.dialed.clone())
    }

    /// Waits until the puppet has seen this of a connection.
    pub(super) fn saw<T>(
        &self,
        conn: ConnId,
        what: &str,
        mut look: impl FnMut(&mut Saw) -> Option<T>,
    ) -> Result<T, String> {
        self.wait(what, |state| look(state.conns.entry(conn).or_default()))
    }

    /// What there is to know of a connection, for whoever looks for a fault.
    pub(super) fn describe(&self, conn: ConnId) -> String {
        let state = self.lock();
        let (saw, orders, op) = (state.conns.get(&conn), &state.orders, state.op.is_some());
        format!("{conn:?}: {saw:?}; orders not taken: {orders:?}; rung for: {}", !op)
    }

    /// What the puppet has seen so far.
    pub(super) fn glance<T>(&self, conn: ConnId, look: impl FnOnce(&Saw) -> T) -> T {
        look(self.lock().conns.entry(conn).or_default())
    }

    /// What the runtime did against the contract, if it did.
    pub(super) fn breach(&self) -> Result<(), String> {
        self.lock().breach.clone().map_or(Ok(()), Err)
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut State) -> Option<T>) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        let mut state = self.lock();
        loop {
            if let Some(breach) = &state.breach {
                return Err(format!("the runtime broke the contract: {breach}"));
            }
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("the machine does not see {what}: {:?}", state.conns));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The puppet's side: a new name.
    pub(super) fn conn(&self) -> ConnId {
        let mut state = self.lock();
        state.next += 1;
        ConnId(state.next)
    }

    /// The puppet's side: somebody came in.
    pub(super) fn caller(&self, from: SocketAddr, conn: ConnId) {
        self.lock().callers.insert(from, conn);
        self.changed.notify_all();
    }

    /// The puppet's side: this was seen; an error is against the contract.
    pub(super) fn note(&self, conn: ConnId, see: impl FnOnce(&mut Saw) -> Result<(), String>) {
        let mut state = self.lock();
        let seen = see(state.conns.entry(conn).or_default());
        if let Err(breach) = seen {
            state.breach.get_or_insert(format!("{conn:?}: {breach}"));
        }
        self.changed.notify_all();
    }

    /// The puppet's side: what to do.
    pub(super) fn orders(&self) -> Vec<Order> {
        std::mem::take(&mut self.lock().orders)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Strings {
    fn submit(&self, sink: &Arc<dyn Sink>, token: Token, _: StoreOp) -> Result<(), Busy> {
        let op = {
            let mut state = self.lock();
            state.op = Some((Arc::clone(sink), token));
            if state.orders.is_empty() { None } else { state.op.take() }
        };
        ring(op);
        Ok(())
    }
}

fn ring(op: Option<(Arc<dyn Sink>, Token)>) {
    if let Some((sink, token)) = op {
        sink.complete(token, StoreReply::Failed(StoreError::Unknown));
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("orders", &self.orders).field("conns", &self.conns).finish_non_exhaustive()
    }
}
