//! Runs a Pillarbox machine on a plain loop: no executor and no tasks, one mio poll a thread.
//!
//! ```text
//!        ┌─────────────────────────────────────────────────────────────────┐
//!        ▼                                                                 │
//!   wait for readiness ──▶ note it ──▶ each ready socket: once ──▶ turn ───┘
//!   (or time, or waker)    (Watched)      (Worker::ready)      (Worker::turn)
//! ```

mod watched;

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use pillarbox_runtime::{Clock, Setup, Turn, Worker};

use watched::Watched;

/// The token of the loop's own waker; no socket has it.
const WAKER: Token = Token(usize::MAX);

/// Events taken in one round; more wait for the next one.
const EVENTS: usize = 1024;

/// Runs a worker on this thread until it is drained.
///
/// # Errors
/// When the loop cannot be made, or the operating system does not let it wait.
pub fn run(setup: Setup) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let bell = Arc::new(Bell(mio::Waker::new(poll.registry(), WAKER)?));
    let mut worker = Worker::new(setup, &Waker::from(bell));
    let mut watched = Watched::new(poll.registry().try_clone()?);
    let mut events = Events::with_capacity(EVENTS);
    let clock = worker.clock();
    loop {
        let turn = worker.turn(&mut watched);
        if turn == Turn::Done {
            return Ok(());
        }
        watched.look_again(&worker);
        let patience = if watched.has_ready() { Some(Duration::ZERO) } else { patience(turn, clock) };
        wait(&mut poll, &mut events, patience)?;
        events.iter().for_each(|event| watched.note(event));
        watched.serve(&mut worker);
    }
}

/// How long the loop may sleep.
fn patience(turn: Turn, clock: Clock) -> Option<Duration> {
    match turn {
        Turn::Wait(None) => None,
        Turn::Wait(Some(until)) => Some(clock.instant(until).saturating_duration_since(Instant::now())),
        Turn::More | Turn::Done => Some(Duration::ZERO),
    }
}

fn wait(poll: &mut Poll, events: &mut Events, patience: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, patience) {
        // A signal came: the time is looked at again.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        polled => polled,
    }
}

/// Ends the loop's wait, from any thread.
struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails when the loop is gone, and then there is nobody to wake.
        let _ = self.0.wake();
    }
}
