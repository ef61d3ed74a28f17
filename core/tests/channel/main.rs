//! A channel over both engines: two ends on a wire that cuts the bytes anywhere, and everything a peer may do to it.

#![allow(clippy::unwrap_used)] // These are tests.

mod attack;
mod flow;
mod toy;
mod wire;
