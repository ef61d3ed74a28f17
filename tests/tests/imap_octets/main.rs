//! The octets that FETCH tells and APPEND takes: that they are the right ones, and how few of them are in hand.

#![allow(clippy::unwrap_used)] // a test's unwrap is an assertion

mod host;
mod sections;
mod weight;

#[global_allocator]
static COUNTING: pillarbox_tests::alloc::Counting = pillarbox_tests::alloc::Counting;
