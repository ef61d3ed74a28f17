//! The embedded mail store: what a node asks for through [`pillarbox_core::ops`], kept in one folder.
//!
//! [`MemoryStore`] is the reference model: plain maps, answers at once, obviously right. Tests and the simulator use it.

mod aliases;
mod key;
mod leases;
mod locks;
mod memory;
mod options;

pub use memory::MemoryStore;
pub use options::{Clock, Options, PasswordCost};
