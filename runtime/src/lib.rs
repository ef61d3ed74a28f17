//! What the runtime adapters share: one turn of a node, the store's answers, buffers, clocks, limits on connections.
//!
//! A runtime moves bytes, deadlines, datagrams and store operations, and that is all it knows. What is the same on all of
//! them is here; an adapter implements [`Wire`] and calls [`Worker::turn`].

mod clock;
mod completions;
mod gate;
mod handle;
mod pool;
mod setup;
mod worker;

pub use clock::{Clock, wall};
pub use completions::Completions;
pub use gate::{Gate, GateLimits, Permit};
pub use handle::{Handle, Order};
pub use pool::BufferPool;
pub use setup::{Listener, Setup};
pub use worker::{Events, Surroundings, Turn, Wire, Worker};
