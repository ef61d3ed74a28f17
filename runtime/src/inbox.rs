//! What reaches a worker from other threads: connections, and orders to drain or to take a new configuration.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pillarbox_core::node::{Accepted, Config};

use crate::{Permit, Socket};

/// An order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Serve this connection.
    Accept(Accepted, Socket, Place),
    /// Stop: who is idle now, the rest after this long at the latest.
    Drain(Duration),
    /// Use this configuration from now on.
    Reload(Arc<Config>),
}

/// A worker's inbox. It is bounded by the [`Gate`](crate::Gate), through which every connection came.
#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<State>,
    /// Connections handed to the worker that are still there.
    load: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    orders: VecDeque<Order>,
    /// Wakes the worker, once there is one.
    worker: Option<Waker>,
    /// Wakes whoever accepts.
    acceptor: Option<Waker>,
    /// The worker takes no more connections.
    closed: bool,
}

impl Inbox {
    /// Hands over a connection; gone, if the worker takes no more.
    pub(crate) fn accept(self: &Arc<Self>, accepted: Accepted, socket: Socket, permit: Option<Permit>) {
        self.load.fetch_add(1, Ordering::Relaxed);
        let place = Place { inbox: Arc::clone(self), _permit: permit };
        self.order(Order::Accept(accepted, socket, place));
    }

    pub(crate) fn order(&self, order: Order) {
        let mut state = self.lock();
        if state.closed && matches!(order, Order::Accept(..)) {
            // A place is given back when the order is dropped, and that is not to happen in here.
            drop(state);
            return;
        }
        state.orders.push_back(order);
        if let Some(worker) = &state.worker {
            worker.wake_by_ref();
        }
    }

    /// Connections that are there; `None` when it takes no more.
    pub(crate) fn load(&self) -> Option<usize> {
        (!self.lock().closed).then(|| self.load.load(Ordering::Relaxed))
    }

    /// From now on orders wake this.
    pub(crate) fn attach_worker(&self, waker: Waker) {
        let mut state = self.lock();
        waker.wake_by_ref();
        state.worker = Some(waker);
    }

    /// From now on the close wakes this.
    pub(crate) fn attach_acceptor(&self, waker: Waker) {
        self.lock().acceptor = Some(waker);
    }

    /// The next order.
    pub(crate) fn take(&self) -> Option<Order> {
        self.lock().orders.pop_front()
    }

    /// The worker takes no more connections.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(acceptor) = &state.acceptor {
            acceptor.wake_by_ref();
        }
    }

    /// The worker is gone: nobody takes what is left, and whoever was handed over is let go.
    pub(crate) fn leave(&self) {
        self.close();
        // Places are given back when orders are dropped, and that is not to happen under the lock.
        let left = std::mem::take(&mut self.lock().orders);
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among its worker's, and in the house; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    inbox: Arc<Inbox>,
    _permit: Option<Permit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inbox.load.fetch_sub(1, Ordering::Relaxed);
    }
}
