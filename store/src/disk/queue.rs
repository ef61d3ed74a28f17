//! The queue in front of every thread of the store: bounded at the door, emptied before it closes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    bound: usize,
}

struct State<T> {
    items: VecDeque<T>,
    /// Somebody called `wake`: something that an item waits for has happened.
    woken: bool,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(bound: usize) -> Self {
        let state = State { items: VecDeque::new(), woken: false, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), bound }
    }

    /// Adds an item, or hands it back when the queue is full or closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed || state.items.len() >= self.bound {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Adds an item that follows from one already taken: the bound was kept then.
    pub(super) fn push_anyway(&self, item: T) {
        self.lock().items.push_back(item);
        self.changed.notify_one();
    }

    /// The next item; waits for it. `None` when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Moves everything that waits into `into`. Waits for an item, a wake or the close, at most `patience` if given.
    /// Returns whether the queue is still open.
    pub(super) fn take(&self, into: &mut VecDeque<T>, patience: Option<Duration>) -> bool {
        let mut state = self.lock();
        if state.items.is_empty() && !state.woken && !state.closed {
            state = match patience {
                Some(patience) if patience.is_zero() => state,
                Some(patience) => {
                    let waited = self.changed.wait_timeout(state, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.woken = false;
        into.append(&mut state.items);
        !state.closed
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends a wait in [`take`](Self::take).
    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_all();
    }

    /// Takes no more; what is in here is still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
