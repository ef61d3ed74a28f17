//! All workers of a server: one machine a thread, one acceptor before them.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pillarbox_core::node::{Config, Node, Share};
use pillarbox_core::ops::Store;

use crate::{Events, Gate, Handle, Inbox, Listener, MakeMachine, Setup, acceptor, seed};

/// How long the others may go on when a worker or the acceptor has failed: without it, the server is not whole.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Runs one worker on this thread until it is drained: what each runtime's crate offers.
pub type Run = fn(Setup) -> io::Result<()>;

/// What a server is made of.
pub struct Plan {
    /// How its nodes behave.
    pub config: Arc<Config>,
    /// How many workers: at least one, at most [`Share::MOST`].
    pub workers: u16,
    /// Where mail is kept.
    pub store: Arc<dyn Store>,
    /// Who hears what happens.
    pub events: Arc<dyn Events>,
    /// The listeners, in the order of the configuration's services.
    pub listeners: Vec<Listener>,
    /// Who may come in.
    pub gate: Arc<Gate>,
}

/// What stands around the machines of a server.
pub struct House {
    /// Where mail is kept.
    pub store: Arc<dyn Store>,
    /// Who hears what happens.
    pub events: Arc<dyn Events>,
    /// The listeners, in the order that the machines know them by.
    pub listeners: Vec<Listener>,
    /// Who may come in.
    pub gate: Arc<Gate>,
}

/// Running workers.
#[derive(Debug)]
pub struct Workers {
    handle: Handle,
    threads: Vec<JoinHandle<io::Result<()>>>,
    acceptor: JoinHandle<()>,
}

impl Workers {
    /// Starts a node on each worker's thread, and the acceptor.
    ///
    /// # Errors
    /// When a thread cannot be started, or there is no randomness.
    pub fn start(run: Run, plan: Plan) -> io::Result<Self> {
        let Plan { config, workers, store, events, listeners, gate } = plan;
        let mut machines: Vec<MakeMachine> = Vec::new();
        for share in Share::each(workers) {
            let (config, seed) = (Arc::clone(&config), seed()?);
            machines.push(Box::new(move || Box::new(Node::new(config, share, &seed))));
        }
        Self::of(run, machines, House { store, events, listeners, gate })
    }

    /// Starts these machines, whatever they are, one on each worker's thread, and the acceptor.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn of(run: Run, machines: Vec<MakeMachine>, house: House) -> io::Result<Self> {
        let House { store, events, listeners, gate } = house;
        let inboxes: Vec<_> = machines.iter().map(|_| Arc::new(Inbox::default())).collect();
        let handle = Handle::new(&inboxes);
        let mut threads = Vec::new();
        for (index, (machine, inbox)) in machines.into_iter().zip(&inboxes).enumerate() {
            let setup =
                Setup { machine, inbox: Arc::clone(inbox), store: Arc::clone(&store), events: Arc::clone(&events) };
            let seat = Seat { inbox: Arc::clone(inbox), all: handle.clone(), served: false };
            let thread =
                thread::Builder::new().name(format!("worker-{}", index + 1)).spawn(move || seat.serve(run, setup));
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    handle.drain(Duration::ZERO);
                    return Err(error);
                }
            }
        }
        let acceptor = acceptor::begin(listeners, gate, inboxes).inspect_err(|_| handle.drain(Duration::ZERO))?;
        Ok(Self { handle, threads, acceptor })
    }

    /// Gives them orders.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until all have stopped.
    ///
    /// # Errors
    /// When one stopped because it failed.
    pub fn join(self) -> io::Result<()> {
        let panicked = |_| Err(io::Error::other("a worker panicked; please report this"));
        let ended: Vec<_> = self.threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect();
        let accepted = self.acceptor.join().map_err(|_| io::Error::other("the acceptor panicked; please report this"));
        ended.into_iter().chain([accepted]).collect()
    }
}

/// A worker's place. It is given up also where the runtime fails before there is a worker; and where one fails or panics,
/// all are stopped.
struct Seat {
    inbox: Arc<Inbox>,
    all: Handle,
    /// It served until it was drained.
    served: bool,
}

impl Seat {
    fn serve(mut self, run: Run, setup: Setup) -> io::Result<()> {
        let ended = run(setup);
        self.served = ended.is_ok();
        ended
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inbox.leave();
        if !self.served {
            self.all.drain(GRACE);
        }
    }
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("config", &self.config).field("workers", &self.workers).finish_non_exhaustive()
    }
}
