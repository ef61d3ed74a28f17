//! The worker and the tasks around it: what the node says reaches the task that can do it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use pillarbox_core::Mono;
use pillarbox_core::dns::SocketId;
use pillarbox_core::node::{Accepted, ConnId, NodeInput};
use pillarbox_runtime::{Turn, Wire, Worker};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};

use crate::{Shared, Signal, conn, datagram, spawn};

/// A node on this thread.
pub(crate) struct Host {
    pub(crate) worker: RefCell<Worker>,
    tasks: RefCell<Tasks>,
    signal: Arc<Signal>,
    accepting: watch::Sender<bool>,
}

/// What the node's actions are carried out on.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) links: HashMap<ConnId, Rc<Link>>,
    pub(crate) sockets: HashMap<SocketId, Rc<UdpSocket>>,
}

/// What the node last said about a connection, for the task that moves its bytes.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) changed: Notify,
    pub(crate) reading: Cell<bool>,
    pub(crate) close: Cell<Option<CloseHow>>,
}

/// How a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseHow {
    Flushed,
    AtOnce,
}

impl Host {
    pub(crate) fn new(worker: Worker, signal: Arc<Signal>) -> Shared {
        let accepting = watch::Sender::new(true);
        Rc::new(Self { worker: RefCell::new(worker), tasks: RefCell::default(), signal, accepting })
    }

    /// One turn of the node.
    pub(crate) fn turn(self: &Rc<Self>) -> Turn {
        self.worker.borrow_mut().turn(&mut Actor(self))
    }

    pub(crate) fn instant(&self, until: Mono) -> tokio::time::Instant {
        self.worker.borrow().clock().instant(until).into()
    }

    /// Tells the node something, and has it polled.
    pub(crate) fn input(&self, input: NodeInput) {
        self.worker.borrow_mut().input(input);
        self.signal.0.notify_one();
    }

    /// A connection's buffers changed: its session is to be run.
    pub(crate) fn touched(&self, conn: ConnId) {
        self.worker.borrow_mut().node.touched(conn);
        self.signal.0.notify_one();
    }

    /// A connection came in.
    pub(crate) fn accepted(&self, accepted: Accepted) -> (ConnId, Rc<Link>) {
        let conn = self.worker.borrow_mut().node.accept(accepted);
        self.signal.0.notify_one();
        (conn, self.link(conn))
    }

    /// Whether connections are accepted, and every change of it.
    pub(crate) fn accepting(&self) -> watch::Receiver<bool> {
        self.accepting.subscribe()
    }

    pub(crate) fn unlink(&self, conn: ConnId) {
        self.tasks.borrow_mut().links.remove(&conn);
    }

    fn link(&self, conn: ConnId) -> Rc<Link> {
        Rc::clone(self.tasks.borrow_mut().links.entry(conn).or_default())
    }

    fn tell(&self, conn: ConnId, change: impl FnOnce(&Link)) {
        if let Some(link) = self.tasks.borrow().links.get(&conn) {
            change(link);
            link.changed.notify_one();
        }
    }
}

/// Carries out what a node says during its turn, while the worker is borrowed.
struct Actor<'a>(&'a Shared);

impl Wire for Actor<'_> {
    fn dial(&mut self, conn: ConnId, to: SocketAddr) {
        let link = self.0.link(conn);
        spawn(conn::dial(Rc::clone(self.0), conn, link, to));
    }

    fn flush(&mut self, conn: ConnId) {
        self.0.tell(conn, |_| {});
    }

    fn interest(&mut self, conn: ConnId, read: bool) {
        self.0.tell(conn, |link| link.reading.set(read));
    }

    fn close(&mut self, conn: ConnId, abort: bool) {
        let how = if abort { CloseHow::AtOnce } else { CloseHow::Flushed };
        self.0.tell(conn, |link| link.close.set(Some(how)));
    }

    fn datagram(&mut self, socket: SocketId, to: SocketAddr, bytes: Bytes) {
        let known = self.0.tasks.borrow().sockets.get(&socket).cloned();
        let bound = known.or_else(|| {
            // A name server that cannot be reached is the resolver's to get over: it hears nothing, and asks another.
            let bound = Rc::new(datagram::bind(to).ok()?);
            self.0.tasks.borrow_mut().sockets.insert(socket, Rc::clone(&bound));
            spawn(datagram::receive(Rc::clone(self.0), socket, Rc::downgrade(&bound)));
            Some(bound)
        });
        if let Some(bound) = bound {
            datagram::send(&bound, to, bytes);
        }
    }

    fn close_socket(&mut self, socket: SocketId) {
        self.0.tasks.borrow_mut().sockets.remove(&socket);
    }

    fn accepting(&mut self, accept: bool) {
        self.0.accepting.send_replace(accept);
    }
}
