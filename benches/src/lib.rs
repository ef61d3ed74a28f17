//! Benches of the machines: time a transaction, octets a nanosecond, allocations. And of the whole server, from outside.
//!
//! Each machine has a file in `benches/` that plays one transaction as a host without IO. Time is criterion's affair;
//! allocations are counted by [`Counting`] outside of it, and printed before.
//!
//! The programs in `src/bin/` start the release binary ([`host`]) and talk to it over sockets ([`talk`], [`load`]);
//! one of them kills it and cuts its power ([`crash`]).

pub mod crash;
pub mod figures;
pub mod flood;
pub mod host;
pub mod lines;
pub mod load;
pub mod readme;
pub mod talk;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is the one that `System` wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn note(size: usize) {
    COUNT.with(|count| count.set(count.get() + 1));
    OCTETS.with(|octets| octets.set(octets.get() + size as u64));
}

/// What one run of a transaction costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Allocations and reallocations.
    pub allocations: f64,
    /// Octets asked of the allocator.
    pub allocated: f64,
    /// Nanoseconds; criterion's figure is the better one.
    pub ns: f64,
}

/// Runs `transaction` some times to warm up, then `runs` times, and says what one costs on this thread.
pub fn cost(runs: u32, mut transaction: impl FnMut()) -> Cost {
    for _ in 0..runs.div_ceil(10) {
        transaction();
    }
    let (count, octets) = (COUNT.get(), OCTETS.get());
    let begin = Instant::now();
    for _ in 0..runs {
        transaction();
    }
    let ns = begin.elapsed().as_nanos() as f64;
    let each = |total: u64| total as f64 / f64::from(runs);
    Cost { allocations: each(COUNT.get() - count), allocated: each(OCTETS.get() - octets), ns: ns / f64::from(runs) }
}

/// Prints the cost of a transaction that moves `octets`.
pub fn report(name: &str, octets: usize, cost: Cost) {
    let Cost { allocations, allocated, ns } = cost;
    let rate = octets as f64 / ns;
    println!("{name}: {ns:.0} ns, {rate:.2} octets/ns, {allocations:.2} allocations of {allocated:.0} octets in all");
}
