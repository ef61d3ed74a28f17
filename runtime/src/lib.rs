//! What the runtime adapters share: a worker with its sockets, the acceptor before the workers, buffers, clocks, limits
//! on connections.
//!
//! A runtime moves bytes, deadlines, datagrams and store operations, and that is all it knows. What is the same on all of
//! them is here; an adapter implements [`Wire`], calls [`Worker::ready`] when a socket is ready, and [`Worker::turn`].
//!
//! ```text
//!               ┌──────────┐  Inbox   ┌────────────────────────────────┐
//!  listeners ──▶│ acceptor │─────────▶│ Worker: Machine, sockets       │──── Store
//!               └────┬─────┘─────────▶│  ▲ ready, turn    │ open,      │◀─── Completions
//!                   Gate         ▲    │  │                ▼ changed    │
//!                             Handle  │ adapter (tokio, smol, mio): Wire│
//!                                     └────────────────────────────────┘
//! ```

mod acceptor;
mod clock;
mod completions;
mod entropy;
mod files;
mod gate;
mod handle;
mod inbox;
mod link;
mod pool;
mod setup;
mod socket;
mod sockets;
mod unix;
mod worker;
mod workers;

pub use clock::{Clock, wall};
pub use completions::Completions;
pub use entropy::seed;
pub use files::raise_open_files;
pub use gate::{Gate, GateLimits, Permit};
pub use handle::Handle;
pub use inbox::Inbox;
pub use link::Ready;
pub use pool::BufferPool;
pub use setup::{Listener, MakeMachine, Setup};
pub use socket::Socket;
pub use sockets::{SocketError, datagram, is_out_of_files, listen};
pub use unix::{connect_unix, listen_unix};
pub use worker::{Events, Source, Turn, Wire, Worker};
pub use workers::{House, Plan, Run, Workers};
