//! What the runtime adapters share: one turn of a node, the store's answers, buffers, clocks, limits on connections.
//!
//! A runtime moves bytes, deadlines, datagrams and store operations, and that is all it knows. What is the same on all of
//! them is here; an adapter implements [`Wire`] and calls [`Worker::turn`].

mod clock;
mod completions;
mod entropy;
mod files;
mod gate;
mod handle;
mod pool;
mod setup;
mod sockets;
mod unix;
mod worker;

pub use clock::{Clock, wall};
pub use completions::Completions;
pub use entropy::seed;
pub use files::raise_open_files;
pub use gate::{Gate, GateLimits, Permit};
pub use handle::{Handle, Order};
pub use pool::BufferPool;
pub use setup::{Listener, Setup};
pub use sockets::{SocketError, datagram, is_out_of_files, listen};
pub use unix::{connect_unix, listen_unix};
pub use worker::{Events, Surroundings, Turn, Wire, Worker};
