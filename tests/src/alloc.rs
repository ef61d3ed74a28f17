//! Counts what the machines allocate, thread by thread, so that a law can say "this allocates nothing" and "this holds
//! at most so much". [`laws!`](crate::laws!) installs it in the test programs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    static TOTAL: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a count.
#[derive(Debug, Default)]
pub struct Counting;

/// How often this thread has allocated; 0 for ever where [`Counting`] is not installed.
#[must_use]
pub fn count() -> u64 {
    COUNT.try_with(Cell::get).unwrap_or(0)
}

/// Bytes this thread has allocated and not freed; 0 for ever where [`Counting`] is not installed. Memory that travels
/// between threads makes it wrong: machines on a bench do not travel.
#[must_use]
pub fn live() -> i64 {
    LIVE.try_with(Cell::get).unwrap_or(0)
}

/// Bytes this thread has allocated in all its life; 0 for ever where [`Counting`] is not installed. What copies the same
/// again and again shows here, though it holds no more than one copy.
#[must_use]
pub fn total() -> u64 {
    TOTAL.try_with(Cell::get).unwrap_or(0)
}

/// The most that [`live`] has been on this thread since [`forget_peak`].
#[must_use]
pub fn peak() -> i64 {
    PEAK.try_with(Cell::get).unwrap_or(0)
}

/// From here on [`peak`] counts anew.
pub fn forget_peak() {
    let _ = PEAK.try_with(|peak| peak.set(live()));
}

fn add(bytes: i64) {
    // While a thread ends its counters are gone; nobody asks any more.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
    if bytes > 0 {
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live())));
    }
    if bytes > 0 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = TOTAL.try_with(|total| total.set(total.get() + bytes.unsigned_abs()));
    }
}

// SAFETY: every call goes to the system's allocator as it is; the counters are plain cells, which never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        add(-(layout.size() as i64));
        // SAFETY: as above; `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(-(layout.size() as i64));
        add(size as i64);
        // SAFETY: as above; `at` came from `System`.
        unsafe { System.realloc(at, layout, size) }
    }
}
