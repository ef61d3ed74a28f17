//! What the sink does, whatever turns its crank: it takes every message for everybody, and writes it out.
//!
//! This is all that knows of mail. Most questions are answered at once; a message is committed by a thread of its own,
//! which stands for a disk, so that its answer comes later, from elsewhere, by a callback.

use std::io::{self, Write};
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::session::Answer as _;
use pillarbox_core::smtp::server::{
    Action, ChunkAnswer, CommitAnswer, Config, Peer, RecipientAnswer, Server, Service, Transaction,
};
use pillarbox_core::smtp::{EnhancedStatus, Reply};
use pillarbox_core::tls::TlsFactory;
use pillarbox_core::tls::rustls::RustlsServer;
use pillarbox_core::{Mono, Now, SessionId, Ticket, Wall};

#[cfg(test)]
pub(crate) mod exam;

/// Bytes waiting to be written at which a session stops saying more.
pub(crate) const HIGH_WATER: usize = 64 * 1024;

/// The largest message: while it comes it is kept in memory.
const MESSAGE: u64 = 10_000_000;

/// What is said when a message could not be written.
const NOT_WRITTEN: Reply = Reply::fixed(451, EnhancedStatus(4, 3, 0), "It could not be written");

/// Bytes that one read takes at most.
pub(crate) const PIECE: usize = 16 * 1024;

/// A sink, shared by its connections.
pub(crate) struct Sink {
    pub(crate) config: Arc<Config>,
    tls: Arc<dyn TlsFactory>,
    sessions: AtomicU64,
    clock: Instant,
    /// To the thread that writes messages out.
    disk: Mutex<Sender<Job>>,
    /// How long a peer may take to hear our last words.
    pub(crate) farewell: Duration,
}

type Job = Box<dyn FnOnce(&mut dyn Write) + Send>;

/// A commit's answer, on its way back to the session that asked.
pub(crate) struct Answered(Ticket<CommitAnswer>, CommitAnswer);

impl Sink {
    /// A sink that writes messages to `out`, with a certificate made for the occasion.
    pub(crate) fn begin(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["sink.example".into()]).map_err(io::Error::other)?;
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = RustlsServer::from_pem(cert.as_bytes(), key.as_bytes()).map_err(io::Error::other)?;
        let (disk, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || jobs.into_iter().for_each(|job| job(&mut out)));
        Ok(Self {
            config: Arc::new(Config {
                starttls: true,
                message_size: MESSAGE,
                ..Config::new("sink.example", Service::Transfer)
            }),
            tls: Arc::new(tls),
            sessions: AtomicU64::new(1),
            clock: Instant::now(),
            disk: Mutex::new(disk),
            farewell: Duration::from_secs(10),
        })
    }

    /// A channel for a connection that just came in.
    pub(crate) fn channel(&self, address: SocketAddr) -> Channel<Server> {
        let id = SessionId(self.sessions.fetch_add(1, Ordering::Relaxed));
        let server = Server::new(id, Arc::clone(&self.config), Peer { address });
        Channel::new(server, ChannelConfig { tls: Some(Arc::clone(&self.tls)), ..ChannelConfig::plain(Side::Server) })
    }

    /// Both clocks, read together.
    pub(crate) fn now(&self) -> Now {
        let mono = u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(mono), wall: Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// When `deadline` comes, by the system's clock.
    #[allow(dead_code)] // Blocking sockets want to know how long, not until when.
    pub(crate) fn instant(&self, deadline: Mono) -> Instant {
        self.clock + Duration::from_nanos(deadline.0)
    }
}

/// The message that one connection is bringing.
pub(crate) struct Mail {
    sink: Arc<Sink>,
    body: Vec<u8>,
    later: Arc<dyn Fn(Answered) + Send + Sync>,
}

impl Mail {
    /// No message yet. What is answered later is given to `later`, on another thread.
    pub(crate) fn new(sink: &Arc<Sink>, later: impl Fn(Answered) + Send + Sync + 'static) -> Self {
        Self { sink: Arc::clone(sink), body: Vec::new(), later: Arc::new(later) }
    }

    /// Does what the machine asks.
    pub(crate) fn act(&mut self, channel: &mut Channel<Server>, action: Action) -> io::Result<()> {
        let answered = match action {
            Action::Recipient { ticket, .. } => channel.answer(ticket, RecipientAnswer::Accepted),
            Action::Chunk { ticket, bytes, .. } => {
                self.body.extend_from_slice(&bytes);
                channel.answer(ticket, ChunkAnswer::Taken)
            }
            Action::Commit { ticket, transaction } => {
                self.commit(ticket, transaction);
                Ok(())
            }
            Action::Abort(_) => {
                self.body.clear();
                Ok(())
            }
            // AUTH is not offered, and refusals interest nobody here.
            Action::Authenticate { .. } | Action::Refused { .. } => Ok(()),
        };
        answered.map_err(io::Error::other)
    }

    /// Has the message written by the thread that does this for all.
    fn commit(&mut self, ticket: Ticket<CommitAnswer>, transaction: Box<Transaction>) {
        let (body, later) = (mem::take(&mut self.body), Arc::clone(&self.later));
        let job = move |out: &mut dyn Write| {
            let written = out.write_all(&transaction.trace).and_then(|()| out.write_all(&body));
            later(Answered(
                ticket,
                match written.and_then(|()| out.flush()) {
                    Ok(()) => CommitAnswer::Committed { text: format!("taken as {}", transaction.id) },
                    Err(_) => CommitAnswer::Refused(NOT_WRITTEN),
                },
            ));
        };
        // If that thread is gone nothing is committed, and the session ends by its own time limit, without a word.
        let _ = self.sink.disk.lock().unwrap_or_else(PoisonError::into_inner).send(Box::new(job));
    }
}

impl Answered {
    /// Hands the answer to the session that asked.
    pub(crate) fn reach(self, channel: &mut Channel<Server>) -> io::Result<()> {
        channel.answer(self.0, self.1).map_err(io::Error::other)
    }
}
