//! The embedded mail store: what a node asks for through [`pillarbox_core::ops`], kept in one folder.
//!
//! Two engines serve the same ops:
//!
//! * [`DiskStore`], for mail that matters: SQLite for what must be looked up, append-only segment files for bodies.
//! * [`MemoryStore`], the reference model: plain maps, answers at once, obviously right. Tests and the simulator use it.
//!
//! A property test runs random ops on both and compares every answer.

mod aliases;
mod disk;
mod flags;
mod holder;
mod key;
mod leases;
mod locks;
mod memory;
mod options;
mod watches;

pub use disk::{Disk, DiskFile, DiskStore, OpenError, Recovery, SystemDisk};
pub use memory::{Image, MemoryStore};
pub use options::{Clock, Options, PasswordCost};
