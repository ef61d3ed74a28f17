//! What a worker is given to run.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use pillarbox_core::node::Machine;
use pillarbox_core::ops::Store;

use crate::{Events, Inbox};

/// Makes a machine, on the thread that is to run it.
pub type MakeMachine = Box<dyn FnOnce() -> Box<dyn Machine> + Send>;

/// A machine and everything around it.
pub struct Setup {
    /// Makes the machine, on the worker's own thread: it need not be able to leave it.
    pub machine: MakeMachine,
    /// Where connections and orders come from.
    pub inbox: Arc<Inbox>,
    /// Where mail is kept.
    pub store: Arc<dyn Store>,
    /// Who hears its events.
    pub events: Arc<dyn Events>,
}

/// A listener that is bound already, and does not block.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").finish_non_exhaustive()
    }
}
