//! Runs a node on tokio: a current-thread executor, one small task per connection that only moves bytes, and one driver
//! that polls the node.
//!
//! ```text
//!  connection tasks ──read──▶ rx ─┐                 ┌─▶ Flush, Interest, Close ──▶ connection tasks
//!  datagram tasks ────────────────┼──▶ node ──▶ turn┼─▶ Dial, Datagram
//!  acceptor tasks ────────────────┘   (driver)      └─▶ Store ──▶ the store's threads ──▶ completions ──▶ driver
//! ```

mod conn;
mod datagram;
mod listen;
mod wire;

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

use pillarbox_runtime::{Setup, Turn, Worker};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use wire::Host;

/// Runs a node on this thread until it is drained.
///
/// # Errors
/// When the executor cannot be made, or a listener cannot be handed to it.
pub fn run(setup: Setup) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, drive(setup))
}

async fn drive(setup: Setup) -> io::Result<()> {
    let signal = Arc::new(Signal(Notify::new()));
    let waker = Waker::from(Arc::clone(&signal));
    let worker = Worker::new(setup.config, &setup.seed, setup.surroundings, &waker);
    let host = Host::new(worker, Arc::clone(&signal));
    listen::begin(&host, setup.listeners, &setup.gate)?;

    let mut timer = pin!(sleep_until(Instant::now()));
    loop {
        match host.turn() {
            Turn::Done => return Ok(()),
            Turn::More => tokio::task::yield_now().await,
            Turn::Wait(None) => signal.0.notified().await,
            Turn::Wait(Some(until)) => {
                timer.as_mut().reset(host.instant(until));
                tokio::select! {
                    () = signal.0.notified() => {}
                    () = &mut timer => {}
                }
            }
        }
    }
}

/// Wakes the driver, from any thread.
struct Signal(Notify);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Spawns a task on this thread.
fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(tokio::task::spawn_local(task));
}

type Shared = Rc<Host>;
