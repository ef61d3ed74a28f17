//! The resolver against simulated servers: what it answers, what it asks, and what it must never do.
//!
//! `net` is the small internet; `stories` are single situations with their exact outcome.

mod net;
mod stories;
