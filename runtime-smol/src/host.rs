//! The worker, and who watches its sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use async_io::Async;
use pillarbox_runtime::{Ready, Socket, Source, Turn, Wire, Worker};
use smol::LocalExecutor;

use crate::bell::Bell;
use crate::watch::watch;

/// A worker on this thread.
pub(crate) struct Host {
    worker: RefCell<Worker>,
    /// Tells a watcher that what is wanted of its socket has changed.
    watchers: RefCell<HashMap<Source, Rc<Bell>>>,
    /// Weak, because the executor holds the watchers, and they hold this.
    executor: Weak<LocalExecutor<'static>>,
    bell: Arc<Bell>,
}

impl Host {
    pub(crate) fn new(worker: Worker, executor: Weak<LocalExecutor<'static>>, bell: Arc<Bell>) -> Rc<Self> {
        Rc::new(Self { worker: RefCell::new(worker), watchers: RefCell::default(), executor, bell })
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
    pub(crate) fn ready(&self, source: Source, ready: Ready) {
        self.bell.ring();
        self.worker.borrow_mut().ready(source, ready);
    }
}

/// Carries out what a worker says during its turn, while it is borrowed.
struct Actor<'a>(&'a Rc<Host>);

impl Wire for Actor<'_> {
    fn open(&mut self, source: Source, socket: &Rc<Socket>) -> io::Result<()> {
        let executor = self.0.executor.upgrade().ok_or(io::ErrorKind::Other)?;
        let socket = Async::new_nonblocking(Rc::clone(socket))?;
        let changed = Rc::new(Bell::default());
        self.0.watchers.borrow_mut().insert(source, Rc::clone(&changed));
        executor.spawn(watch(Rc::clone(self.0), source, socket, changed)).detach();
        Ok(())
    }

    fn changed(&mut self, source: Source) {
        if let Some(changed) = self.0.watchers.borrow().get(&source) {
            changed.ring();
        }
    }
}
