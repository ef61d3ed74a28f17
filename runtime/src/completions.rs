//! Where a store's answers wait for their worker: filled from the store's threads, emptied in the worker's turn.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use pillarbox_core::ops::{Sink, StoreReply, Token};

/// A queue of answers. It holds at most one for each op under way, which the store bounds.
#[derive(Debug)]
pub struct Completions {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answers: Vec<(Token, StoreReply)>,
    waker: Waker,
}

impl Completions {
    /// An empty queue that wakes `waker` when its first answer comes.
    #[must_use]
    pub fn new(waker: Waker) -> Self {
        Self { state: Mutex::new(State { answers: Vec::new(), waker }) }
    }

    /// Replaces the waker; answers that wait already wake it.
    pub fn set_waker(&self, waker: &Waker) {
        let mut state = self.lock();
        state.waker.clone_from(waker);
        if !state.answers.is_empty() {
            state.waker.wake_by_ref();
        }
    }

    /// Moves all answers behind what is in `answers`.
    pub fn take(&self, answers: &mut Vec<(Token, StoreReply)>) {
        if answers.is_empty() {
            mem::swap(&mut self.lock().answers, answers);
        } else {
            answers.append(&mut self.lock().answers);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock, and a queue of answers has no half-made state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Completions {
    fn complete(&self, token: Token, reply: StoreReply) {
        let mut state = self.lock();
        state.answers.push((token, reply));
        // The worker takes all at once, so only the first answer need wake it.
        if state.answers.len() == 1 {
            state.waker.wake_by_ref();
        }
    }
}
