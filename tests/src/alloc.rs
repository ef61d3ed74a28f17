//! Counts allocations.
