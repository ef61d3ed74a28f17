//! Runs a Pillarbox machine on tokio: a current-thread executor, one small task per socket that only waits until it is
//! ready, and one driver that turns the crank.
//!
//! ```text
//!  watchers (a task per socket) ──ready──▶ Worker ──open, changed──▶ watchers
//!                                            ▲
//!  driver ───────────turn────────────────────┘◀──waker── store, acceptor, handle
//! ```

mod host;
mod watch;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Wake, Waker};

use pillarbox_runtime::{Setup, Turn, Worker};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use host::Host;

/// Runs a worker on this thread until it is drained.
///
/// # Errors
/// When the executor cannot be made.
pub fn run(setup: Setup) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, drive(setup));
    Ok(())
}

async fn drive(setup: Setup) {
    let signal = Arc::new(Signal(Notify::new()));
    let worker = Worker::new(setup, &Waker::from(Arc::clone(&signal)));
    let clock = worker.clock();
    let host = Host::new(worker, Arc::clone(&signal));
    let mut timer = pin!(sleep_until(Instant::now()));
    loop {
        match host.turn() {
            Turn::Done => return,
            Turn::More => tokio::task::yield_now().await,
            Turn::Wait(None) => signal.0.notified().await,
            Turn::Wait(Some(until)) => {
                timer.as_mut().reset(clock.instant(until).into());
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
