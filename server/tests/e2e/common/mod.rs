//! The real server as a process of its own in a temporary folder, and clients that are no more than a socket.

mod cramped;
pub(crate) mod message;
pub(crate) mod names;
mod on;
mod server;
pub(crate) mod sink;
mod wire;

pub(crate) use self::cramped::{Glutton, cramped};
pub(crate) use self::on::{On, on_every_runtime};
pub(crate) use self::server::{Said, Server, binary, pillarbox};
pub(crate) use self::wire::Wire;

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should happen may take, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until it is so.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
