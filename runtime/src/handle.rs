//! Orders to a running worker, from any thread: drain, or take a new configuration.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pillarbox_core::node::Config;

/// An order.
#[derive(Clone, Debug)]
pub enum Order {
    /// Stop: who is idle now, the rest after this long at the latest.
    Drain(Duration),
    /// Use this configuration from now on.
    Reload(Arc<Config>),
}

/// Gives orders to a worker; clones give orders to the same one.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    orders: Vec<Order>,
    waker: Option<Waker>,
}

impl Handle {
    /// Stops the worker: idle sessions are told so at once, the others have `grace`.
    pub fn drain(&self, grace: Duration) {
        self.order(Order::Drain(grace));
    }

    /// Gives the worker a new configuration.
    pub fn reload(&self, config: Arc<Config>) {
        self.order(Order::Reload(config));
    }

    fn order(&self, order: Order) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.orders.push(order);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }

    /// From now on orders wake this.
    pub(crate) fn attach(&self, waker: Waker) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        waker.wake_by_ref();
        state.waker = Some(waker);
    }

    pub(crate) fn take(&self) -> Vec<Order> {
        mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).orders)
    }
}
