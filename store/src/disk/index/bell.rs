//! What the engine, the searches and the thread that keeps the index say to each other. None of them waits for another.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(in crate::disk) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Commits that brought messages or took some away, and the opening of the store.
    commits: u64,
    /// All that those before this one brought is in the index.
    seen: u64,
    /// Messages that are gone since it was last asked.
    gone: u64,
    /// Which file searches may use: they are counted. 0 is none.
    file: u64,
    /// Somebody waits until all is in the index.
    hurry: usize,
    /// The file with this number is damaged.
    broken: u64,
    /// Nobody keeps the index any more.
    over: bool,
    closed: bool,
}

/// Messages that are gone, from which on somebody should look.
const MANY: u64 = 1_000;

impl Bell {
    pub(in crate::disk) fn new() -> Self {
        Self { state: Mutex::new(State { commits: 1, ..State::default() }), changed: Condvar::new() }
    }

    /// The engine has committed: so many messages are new, so many gone.
    pub(in crate::disk) fn committed(&self, new: u64, gone: u64) {
        if new == 0 && gone == 0 {
            return;
        }
        let mut state = self.lock();
        state.gone += gone;
        if new > 0 || state.gone >= MANY {
            state.commits += 1;
            self.changed.notify_all();
        }
    }

    /// The index is to be kept no longer.
    pub(in crate::disk) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until all that was committed before is in the index, and says so; `false` when that will not be.
    pub(in crate::disk) fn wait_until_seen(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        let (wanted, begun) = (state.commits, Instant::now());
        state.hurry += 1;
        self.changed.notify_all();
        while (state.seen < wanted || state.file == 0) && !state.over {
            let Some(left) = patience.checked_sub(begun.elapsed()) else { break };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.hurry -= 1;
        state.seen >= wanted && state.file > 0
    }

    /// The file that searches may use.
    pub(super) fn file(&self) -> u64 {
        self.lock().file
    }

    /// A search found the file damaged. Whether it is the first one.
    pub(super) fn report(&self, file: u64) -> bool {
        let mut state = self.lock();
        let first = state.broken < file;
        state.broken = state.broken.max(file);
        self.changed.notify_all();
        first
    }

    /// There is a file; what is in it remains to be seen.
    pub(super) fn opened(&self, file: u64) {
        let mut state = self.lock();
        (state.file, state.seen) = (file, 0);
        self.changed.notify_all();
    }

    /// There is none, for now.
    pub(super) fn shut(&self) {
        self.lock().file = 0;
    }

    /// Nobody keeps it any more.
    pub(super) fn over(&self) {
        let mut state = self.lock();
        state.over = true;
        self.changed.notify_all();
    }

    pub(super) fn is_broken(&self) -> bool {
        let state = self.lock();
        state.file > 0 && state.broken >= state.file
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many commits there were.
    pub(super) fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// How many commits there were, and how many messages they took away since this was last asked.
    pub(super) fn hear(&self) -> (u64, u64) {
        let mut state = self.lock();
        (state.commits, std::mem::take(&mut state.gone))
    }

    /// All that these commits brought is in the index.
    pub(super) fn seen(&self, commits: u64) {
        self.lock().seen = commits;
        self.changed.notify_all();
    }

    /// Waits for `pause`, or until the store closes; with `or_hurry`, or until somebody waits for the index.
    pub(super) fn rest(&self, pause: Duration, or_hurry: bool) {
        let (mut state, begun) = (self.lock(), Instant::now());
        loop {
            let called = or_hurry && state.hurry > 0;
            let Some(left) = pause.checked_sub(begun.elapsed()).filter(|_| !called && !state.closed) else { return };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there is something to do.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        while !state.closed && state.seen == state.commits && (state.file == 0 || state.broken < state.file) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
