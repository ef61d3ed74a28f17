//! The resolver against simulated servers: what it answers, what it asks, and what it must never do.
//!
//! `net` is a small internet; `stories` are single situations with their exact outcome; `properties` hold for every
//! network, however it loses, delays, repeats, cuts and lies.

mod net;
mod properties;
mod stories;
