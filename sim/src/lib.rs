//! A mail internet in one thread.
pub mod host;
pub mod ledger;
pub mod letter;
mod disk;
mod names;
mod overheard;
mod people;
pub mod trace;
mod weather;
mod wire;
mod world;
