//! The queue machine over a model of a store: what is tried, when, and what becomes of every row.
//!
//! `desk` is the model store, `world` carries out attempts in virtual time and watches the rules; `stories` are single
//! situations, `properties` hold whatever happens, and `bounces` are read by a parser that we did not write.

#![allow(clippy::unwrap_used)]

mod bounces;
mod desk;
mod properties;
mod stories;
mod world;
