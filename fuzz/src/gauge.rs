//! What a run may cost: memory at its peak, allocations, and bytes allocated in all, each at most linear in the input.
//!
//! A program that wants to know installs [`Counting`](pillarbox_tests::alloc::Counting); without it everything costs nothing.
//! Allocations are no full account of work, but they are an exact one: whoever copies a buffer for every octet that comes in
//! is found here, on any machine, at once.

use pillarbox_tests::alloc;

/// What is allowed for each octet of the input, and on top of it.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Bytes held at the peak.
    pub peak: (u64, u64),
    /// Bytes allocated in all.
    pub total: (u64, u64),
    /// Allocations.
    pub count: (u64, u64),
}

impl Allowance {
    /// For what reads its input and keeps of it what it reads: up to so many bytes an octet, and so many in any case. A
    /// structure of 50 bytes may come of every octet, in a vector that has grown by doubling.
    #[must_use]
    pub const fn of(peak: u64, base: u64) -> Self {
        Self { peak: (peak, base), total: (4 * peak, 4 * base), count: (4, 4 + base / 256) }
    }

    /// Allows so many allocations for each octet.
    #[must_use]
    pub const fn allocations(self, count: u64) -> Self {
        Self { count: (count, self.count.1), ..self }
    }
}

/// Runs it, and sees to it that it keeps to what is allowed for so many octets.
///
/// # Panics
/// It does not.
pub fn linear<T>(octets: usize, allowance: Allowance, run: impl FnOnce() -> T) -> T {
    alloc::forget_peak();
    let before = (alloc::live(), alloc::total(), alloc::count());
    let result = run();
    let peak = u64::try_from(alloc::peak() - before.0).unwrap_or(0);
    for (what, cost, (each, base)) in [
        ("bytes at its peak", peak, allowance.peak),
        ("bytes in all", alloc::total() - before.1, allowance.total),
        ("allocations", alloc::count() - before.2, allowance.count),
    ] {
        let most = each * octets as u64 + base;
        assert!(cost <= most, "{octets} octets cost {cost} {what}, more than {most}");
    }
    result
}

/// Counts steps, and ends what takes too many.
#[derive(Debug)]
pub struct Steps {
    left: u64,
    most: u64,
}

impl Steps {
    /// So many for each octet, and so many more.
    #[must_use]
    pub fn of(octets: usize, each: u64, base: u64) -> Self {
        let most = each * octets as u64 + base;
        Self { left: most, most }
    }

    /// One more step.
    ///
    /// # Panics
    /// It is one too many.
    pub fn step(&mut self) {
        assert!(self.left > 0, "more than {} steps", self.most);
        self.left -= 1;
    }
}
