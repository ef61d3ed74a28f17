//! How a command reads and changes state: by asking the running server, or, where none runs, the store itself.
//!
//! Both take the same ops. Which of the two it is is found out anew for each op, since a server may begin or stop in
//! between; while one does, neither socket nor lock can be had for a moment, and we wait.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use pillarbox_core::control::{Answered, Client};
use pillarbox_core::ops::{AccountOp, Busy, QueueOp, Sink, Store as _, StoreOp, StoreReply, Token};
use pillarbox_core::smtp::{Address, Domain};
use pillarbox_core::{Close, Outbox, Session as _, Step};
use pillarbox_runtime::{Clock, connect_unix};
use pillarbox_store::{DiskStore, OpenError};

use crate::config::Config;
use crate::failure::Failure;
use crate::instance::{CONTROL, PATIENCE, PAUSE, not_opened};

/// How long the server may be silent. The machine's own patience ends before.
const SILENCE: Duration = Duration::from_secs(75);

/// Room for a request; one that is longer is written as it comes.
const HIGH_WATER: usize = 64 * 1024;

/// Where questions are asked.
pub(crate) struct Desk {
    config: Config,
    /// The store, once we had to open it ourselves.
    own: RefCell<Option<Arc<DiskStore>>>,
}

impl Desk {
    /// For the folder of this configuration file.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        Ok(Self::with(Config::read(dir)?))
    }

    /// For this configuration.
    pub(crate) fn with(config: Config) -> Self {
        Self { config, own: RefCell::default() }
    }

    /// Asks.
    ///
    /// # Errors
    /// When neither the server nor the store answers, or the store could not do it.
    pub(crate) fn ask(&self, op: &StoreOp) -> Result<StoreReply, Failure> {
        match self.answer(op)? {
            StoreReply::Failed(error) => Err(Failure::new(format!("{error}; nothing was changed"))),
            reply => Ok(reply),
        }
    }

    /// An address as people write it: without a domain where there is one only.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn address(&self, text: &str) -> Result<Address, Failure> {
        let full = match (text.contains('@'), self.config.domains.as_slice()) {
            (false, [domain]) => format!("{text}@{domain}"),
            (false, domains) => {
                let domains = domains.join(", ");
                return Err(Failure::usage(format!("{text:?} has no domain, and there are several: {domains}")));
            }
            (true, _) => text.to_owned(),
        };
        Address::parse(&full).map_err(|error| Failure::usage(format!("{text:?} is not an address: {error}")))
    }

    /// An address in a domain of ours.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn our_address(&self, text: &str) -> Result<Address, Failure> {
        let address = self.address(text)?;
        match address.domain() {
            Domain::Name(name) if self.config.domains.contains(name) => Ok(address),
            other => Err(Failure::new(format!(
                "{other} is not a domain of this server: domains in {} has {}",
                self.config.file.display(),
                self.config.domains.join(", ")
            ))),
        }
    }

    fn answer(&self, op: &StoreOp) -> Result<StoreReply, Failure> {
        if let Some(store) = &*self.own.borrow() {
            return ask_store(store, op);
        }
        let begun = Instant::now();
        loop {
            match connect_unix(&self.config.data, CONTROL) {
                Ok(stream) => match ask_server(stream, op) {
                    // A server that stops may hang up on us. A question is asked again; a change may have been made.
                    Err(_) if is_question(op) && begun.elapsed() < PATIENCE => {
                        thread::sleep(PAUSE);
                        continue;
                    }
                    answered => return answered,
                },
                Err(error) if nobody_listens(&error) => {}
                Err(error) => return Err(Failure::new(error.to_string())),
            }
            match DiskStore::open(&self.config.data, options(&self.config)) {
                Ok(store) => {
                    let reply = ask_store(&store, op);
                    self.own.replace(Some(store));
                    return reply;
                }
                Err(OpenError::Locked(_)) if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Err(error) => return Err(not_opened(&self.config.data, &error)),
            }
        }
    }
}

/// Those of a store that answers one question at a time.
fn options(config: &Config) -> pillarbox_store::Options {
    pillarbox_store::Options {
        hash_workers: 1,
        read_workers: 1,
        search_workers: 1,
        search_index: config.search_index,
        ..pillarbox_store::Options::default()
    }
}

/// It changes nothing.
fn is_question(op: &StoreOp) -> bool {
    matches!(
        op,
        StoreOp::Account(AccountOp::List { .. } | AccountOp::ListAliases { .. })
            | StoreOp::Queue(QueueOp::List { .. } | QueueOp::Show { .. })
    )
}

/// No server runs. What cannot be connected to for another reason is a server that we may not talk to.
fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Drives the protocol's machine over the socket.
fn ask_server(mut stream: UnixStream, op: &StoreOp) -> Result<StoreReply, Failure> {
    let lost = |error: io::Error| Failure::new(format!("the server did not answer: {error}; look whether it was done"));
    let Some(mut client) = Client::new(op) else { return Err(Failure::new("the server has no such command")) };
    stream.set_read_timeout(Some(SILENCE)).map_err(lost)?;
    stream.set_write_timeout(Some(SILENCE)).map_err(lost)?;
    let clock = Clock::start();
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(HIGH_WATER));
    let mut piece = vec![0; 16 * 1024];
    loop {
        let step = client.poll(clock.now(), &mut rx, &mut tx);
        while tx.has_remaining() {
            let written = stream.write(tx.chunk()).map_err(lost)?;
            tx.advance(written);
        }
        match step {
            Step::Act(Answered::Reply(reply)) => return Ok(reply),
            Step::Act(Answered::NotUnderstood) => {
                return Err(Failure::new("the server does not understand this: it is of another version, restart it"));
            }
            Step::Done(end) => return Err(lost(io::Error::other(end.to_string()))),
            Step::More | Step::Upgrade(_) => {}
            Step::Wait(_) => match stream.read(&mut piece) {
                Ok(0) => client.close(Close::Eof),
                Ok(read) => rx.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error)),
            },
        }
    }
}

/// Puts the op to the store of this process, and waits.
fn ask_store(store: &DiskStore, op: &StoreOp) -> Result<StoreReply, Failure> {
    let (sender, receiver) = sync_channel(1);
    let sink: Arc<dyn Sink> = Arc::new(Reply(Mutex::new(sender)));
    match store.submit(&sink, Token(1), op.clone()) {
        Ok(()) => {}
        Err(Busy(_)) => return Err(Failure::new("the store has stopped; nothing was changed")),
    }
    drop(sink);
    receiver.recv().map_err(|_| Failure::new("the store did not answer"))
}

struct Reply(Mutex<SyncSender<StoreReply>>);

impl Sink for Reply {
    fn complete(&self, _: Token, reply: StoreReply) {
        // Who asked may have given up.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(reply);
    }
}
