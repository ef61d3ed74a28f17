//! The worker, and who watches its sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use pillarbox_runtime::{Ready, Socket, Source, Turn, Wire, Worker};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::Signal;
use crate::watch::watch;

/// A worker on this thread.
pub(crate) struct Host {
    worker: RefCell<Worker>,
    /// Tells a watcher that what is wanted of its socket has changed.
    watchers: RefCell<HashMap<Source, Rc<Notify>>>,
    signal: Arc<Signal>,
}

impl Host {
    pub(crate) fn new(worker: Worker, signal: Arc<Signal>) -> Rc<Self> {
        Rc::new(Self { worker: RefCell::new(worker), watchers: RefCell::default(), signal })
    }

    /// One turn of the machine.
    pub(crate) fn turn(self: &Rc<Self>) -> Turn {
        self.worker.borrow_mut().turn(&mut Actor(self))
    }

    /// What a socket is to be watched for; `None` when it is gone.
    pub(crate) fn want(&self, source: Source) -> Option<Ready> {
        let want = self.worker.borrow().want(source);
        if want.is_none() {
            self.watchers.borrow_mut().remove(&source);
        }
        want
    }

    /// A socket is ready: its bytes are moved, and the machine is to run.
    pub(crate) fn ready(&self, source: Source, ready: Ready) -> Ready {
        self.signal.0.notify_one();
        self.worker.borrow_mut().ready(source, ready)
    }
}

/// Carries out what a worker says during its turn, while it is borrowed.
struct Actor<'a>(&'a Rc<Host>);

impl Wire for Actor<'_> {
    fn open(&mut self, source: Source, socket: &Rc<Socket>) -> io::Result<()> {
        // SAFETY: a socket owns its descriptor, and keeps it until it is dropped.
        let socket = unsafe { AsyncFd::register(Rc::clone(socket)) }?;
        let changed = Rc::new(Notify::new());
        self.0.watchers.borrow_mut().insert(source, Rc::clone(&changed));
        drop(tokio::task::spawn_local(watch(Rc::clone(self.0), source, socket, changed)));
        Ok(())
    }

    fn changed(&mut self, source: Source) {
        if let Some(changed) = self.0.watchers.borrow().get(&source) {
            changed.notify_one();
        }
    }
}
