//! A runtime with a machine on strings: what a runtime does is tested by telling the machine what to say, from a test's
//! thread, while a plain blocking socket is the peer.
//!
//! ```text
//!  test ──orders──▶ Strings ──ring──▶ store's completion ──▶ runtime ──▶ Puppet ──▶ actions ──▶ runtime
//!   │ ▲                ▲                                                    │                      │
//!   │ └────what came───┴────────────────────────────────────────────────────┘                      │
//!   └──────────── blocking socket ◀───────────────── loopback ─────────────────────────────────────┘
//! ```
//!
//! The test and the machine take turns, so nothing depends on time. Whatever a runtime does against the contract of
//! [`Machine`](pillarbox_core::node::Machine) is noted by the puppet, and fails the test.

mod puppet;
mod seat;
mod strings;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::node::{ConnId, Event};
use pillarbox_runtime::{Events, Gate, GateLimits, House, Listener, Run, Workers, listen};

use puppet::Puppet;
use strings::{Order, Strings};

pub use seat::{Cut, Seat};

/// How long anything may take before a test gives it up. Nothing waits that long on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A runtime that runs a puppet.
#[derive(Debug)]
pub struct Theatre {
    strings: Arc<Strings>,
    workers: Workers,
    address: SocketAddr,
}

impl Theatre {
    /// Opens one on this runtime.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn open(run: Run) -> Self {
        let strings = Arc::new(Strings::default());
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a listener on loopback");
        let address = listener.local_addr().expect("its address");
        let puppet = Arc::clone(&strings);
        let house = House {
            store: Arc::clone(&strings) as _,
            events: Arc::new(Deaf),
            listeners: vec![Listener::Tcp(listener)],
            gate: Gate::new(GateLimits { per_address: usize::MAX, ..GateLimits::default() }),
        };
        let workers = Workers::of(run, vec![Box::new(move || Box::new(Puppet::new(puppet)))], house);
        Self { strings, workers: workers.expect("threads"), address }
    }

    /// A peer connects.
    ///
    /// # Errors
    /// The connection does not reach the machine.
    pub fn connected(&self, cut: Cut) -> Result<Seat, String> {
        let peer = TcpStream::connect(self.address).map_err(|e| format!("cannot connect: {e}"))?;
        let here = peer.local_addr().map_err(|e| e.to_string())?;
        let conn = self.strings.accepted(here)?;
        Seat::take(Arc::clone(&self.strings), conn, peer, cut)
    }

    /// The machine connects to a peer.
    ///
    /// # Errors
    /// The connection does not come up.
    pub fn dialed(&self, cut: Cut) -> Result<Seat, String> {
        let words = |e: io::Error| e.to_string();
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).map_err(words)?;
        let conn = self.strings.dial(listener.local_addr().map_err(words)?);
        self.strings.dialed(conn)??;
        // It is up, so it stands in the row here.
        let (peer, _) = listener.accept().map_err(words)?;
        Seat::take(Arc::clone(&self.strings), conn, peer, cut)
    }

    /// The machine begins to connect to `to`.
    #[must_use]
    pub fn dials(&self, to: SocketAddr) -> Dialing {
        Dialing { strings: Arc::clone(&self.strings), conn: self.strings.dial(to) }
    }

    /// Drains the runtime, and waits for its end.
    ///
    /// # Errors
    /// It does not end well, or broke the contract before.
    pub fn close(self) -> Result<(), String> {
        self.workers.handle().drain(Duration::ZERO);
        self.workers.join().map_err(|e| e.to_string())?;
        self.strings.breach()
    }
}

/// A connection that the machine wants.
#[derive(Debug)]
pub struct Dialing {
    strings: Arc<Strings>,
    conn: ConnId,
}

impl Dialing {
    /// What the machine hears of it.
    ///
    /// # Errors
    /// It hears nothing.
    pub fn outcome(&self) -> Result<Result<(), String>, String> {
        self.strings.dialed(self.conn)
    }

    /// The machine does not want it any more.
    pub fn close(&self, abort: bool) {
        self.strings.order(Order::Close { conn: self.conn, last: Vec::new(), abort });
    }

    /// Waits until the machine was told that it is closed as it wanted.
    ///
    /// # Errors
    /// It was not.
    pub fn sees_done(&self) -> Result<(), String> {
        self.strings.saw(self.conn, "that it is closed", |saw| saw.done.then_some(()))
    }
}

/// A puppet has no events.
struct Deaf;

impl Events for Deaf {
    fn event(&self, _: &Event) {}
}
