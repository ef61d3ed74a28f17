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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use pillarbox_core::ops::StoreError;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    const FULL: StoreReply = StoreReply::Failed(StoreError::Full);

    #[test]
    fn one_wake_for_what_comes_together() {
        let count = Arc::new(Count::default());
        let completions = Completions::new(Waker::from(Arc::clone(&count)));
        (0..3).for_each(|n| completions.complete(Token(n), FULL));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        let mut taken = Vec::new();
        completions.take(&mut taken);
        completions.complete(Token(3), FULL);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        completions.take(&mut taken);
        assert_eq!(taken.iter().map(|(token, _)| token.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_new_waker_hears_of_what_waits_already() {
        let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let completions = Completions::new(Waker::from(Arc::clone(&old)));
        completions.set_waker(&Waker::from(Arc::clone(&new)));
        assert_eq!(new.0.load(Ordering::SeqCst), 0);
        completions.complete(Token(0), FULL);
        completions.set_waker(&Waker::from(Arc::clone(&old)));
        assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (1, 1));
    }

    #[test]
    fn no_answer_is_missed_between_threads() {
        let completions = Arc::new(Completions::new(Waker::from(Arc::new(Unpark(thread::current())))));
        let stores: Vec<_> = (0..4)
            .map(|store| {
                let sink: Arc<dyn Sink> = Arc::clone(&completions) as Arc<dyn Sink>;
                thread::spawn(move || (0..1000).for_each(|n| sink.complete(Token(store * 1000 + n), FULL)))
            })
            .collect();
        let (mut all, mut taken) = (Vec::new(), Vec::new());
        while all.len() < 4000 {
            completions.take(&mut taken);
            if taken.is_empty() {
                thread::park();
            }
            all.append(&mut taken);
        }
        stores.into_iter().for_each(|store| store.join().unwrap());
        all.sort_by_key(|(token, _)| *token);
        all.dedup_by_key(|(token, _)| *token);
        assert_eq!(all.len(), 4000);
    }
}
