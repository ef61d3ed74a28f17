//! What a runtime is given to run.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use pillarbox_core::Seed;
use pillarbox_core::node::Config;

use crate::{Gate, Surroundings};

/// A node and everything around it.
pub struct Setup {
    /// How the node behaves.
    pub config: Arc<Config>,
    /// Its randomness.
    pub seed: Seed,
    /// What stands around it.
    pub surroundings: Surroundings,
    /// The listeners, bound and non-blocking, in the order of the configuration's services.
    pub listeners: Vec<Listener>,
    /// Who may come in.
    pub gate: Arc<Gate>,
}

/// A listener that is bound already.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("config", &self.config)
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}
