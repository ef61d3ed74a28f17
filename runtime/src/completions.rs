//! Where a store's answers and notices wait for their worker: filled from the store's threads, emptied in the worker's turn.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use pillarbox_core::ops::{Notice, Notices, Sink, StoreReply, Token};

/// A queue of answers and a set of notices. It holds at most one answer for each op under way, which the store bounds;
/// the notices bound themselves.
#[derive(Debug)]
pub struct Completions {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    answers: Vec<(Token, StoreReply)>,
    notices: Notices,
    waker: Waker,
}

impl Completions {
    /// An empty queue that wakes `waker` when something comes into it.
    #[must_use]
    pub fn new(waker: Waker) -> Self {
        Self { state: Mutex::new(State { answers: Vec::new(), notices: Notices::default(), waker }) }
    }

    /// Replaces the waker; what waits already wakes it.
    pub fn set_waker(&self, waker: &Waker) {
        let mut state = self.lock();
        state.waker.clone_from(waker);
        if !state.is_empty() {
            state.waker.wake_by_ref();
        }
    }

    /// Moves all answers behind what is in `answers`, and returns the notices.
    #[must_use = "the store says it once"]
    pub fn take(&self, answers: &mut Vec<(Token, StoreReply)>) -> Notices {
        let mut state = self.lock();
        if answers.is_empty() {
            mem::swap(&mut state.answers, answers);
        } else {
            answers.append(&mut state.answers);
        }
        mem::take(&mut state.notices)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock, and a queue of answers has no half-made state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Completions {
    fn complete(&self, token: Token, reply: StoreReply) {
        self.lock().add(|state| state.answers.push((token, reply)));
    }

    fn notice(&self, notice: Notice) {
        self.lock().add(|state| _ = state.notices.add(notice));
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.notices.is_empty()
    }

    /// Adds something. The worker takes all at once, so only what comes first need wake it.
    fn add(&mut self, add: impl FnOnce(&mut Self)) {
        let first = self.is_empty();
        add(self);
        if first {
            self.waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use pillarbox_core::Wall;
    use pillarbox_core::ops::{Destination, StoreError};

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
        assert!(completions.take(&mut taken).is_empty());
        completions.complete(Token(3), FULL);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert!(completions.take(&mut taken).is_empty());
        assert_eq!(taken.iter().map(|(token, _)| token.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn notices_wake_once_and_are_taken_with_the_answers() {
        let count = Arc::new(Count::default());
        let completions = Completions::new(Waker::from(Arc::clone(&count)));
        let due = |due| Notice::Due { destination: Destination::Local, due: Wall(due) };
        [7, 3, 5].into_iter().for_each(|time| completions.notice(due(time)));
        completions.complete(Token(0), FULL);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        let mut taken = Vec::new();
        let mut notices = completions.take(&mut taken);
        assert_eq!((taken.len(), notices.pop(), notices.pop()), (1, Some(due(3)), None));
        completions.notice(due(9));
        assert_eq!(count.0.load(Ordering::SeqCst), 2, "what was taken is over");
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
            assert!(completions.take(&mut taken).is_empty());
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
