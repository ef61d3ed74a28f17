//! Runs a Pillarbox machine on smol: a local executor, one small task per socket that only waits until it is ready, and
//! one driver that turns the crank.
//!
//! ```text
//!  watchers (a task per socket) ──ready──▶ Worker ──open, changed──▶ watchers
//!                                            ▲
//!  driver ───────────turn────────────────────┘◀──waker── store, acceptor, handle
//! ```

mod bell;
mod host;
mod watch;

use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use async_io::Timer;
use pillarbox_runtime::{Setup, Turn, Worker};
use smol::LocalExecutor;
use smol::future::{or, yield_now};

use bell::Bell;
use host::Host;

/// Runs a worker on this thread until it is drained.
///
/// # Errors
/// None today; the other runtimes have some.
pub fn run(setup: Setup) -> io::Result<()> {
    let executor = Rc::new(LocalExecutor::new());
    // A task among the others, so that it has its turn between two reads of a socket: the executor looks at the future
    // that it runs only once for two hundred tasks, and meanwhile a flood would pile up.
    let driver = executor.spawn(drive(setup, Rc::downgrade(&executor)));
    async_io::block_on(executor.run(driver));
    Ok(())
}

async fn drive(setup: Setup, executor: Weak<LocalExecutor<'static>>) {
    let bell = Arc::new(Bell::default());
    let worker = Worker::new(setup, &Waker::from(Arc::clone(&bell)));
    let clock = worker.clock();
    let host = Host::new(worker, executor, Arc::clone(&bell));
    let mut timer = Timer::at(Instant::now());
    loop {
        match host.turn() {
            Turn::Done => return,
            Turn::More => yield_now().await,
            Turn::Wait(None) => bell.rung().await,
            Turn::Wait(Some(until)) => {
                timer.set_at(clock.instant(until));
                let due = async {
                    (&mut timer).await;
                };
                or(bell.rung(), due).await;
            }
        }
    }
}
