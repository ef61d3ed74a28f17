//! The sockets of a loop: what they are ready for, and whose turn it is.
//!
//! The operating system tells a change of readiness once, so what was told and not used up is remembered here.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd as _;
use std::rc::Rc;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use pillarbox_runtime::{Ready, Socket, Source, Wire, Worker};
use slab::Slab;

pub(crate) struct Watched {
    registry: Registry,
    /// By token.
    slots: Slab<Slot>,
    by_source: HashMap<Source, usize>,
    /// To be looked at, because what is wanted of them has changed.
    changed: Vec<usize>,
    /// Ready for what is wanted of them, each once.
    ready: VecDeque<usize>,
}

struct Slot {
    source: Source,
    socket: Rc<Socket>,
    ready: Ready,
    /// The peer's end is there to be read, behind what it sent: no event will tell of it again.
    closed: bool,
    /// It stands in the row of those that are ready.
    queued: bool,
}

impl Watched {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, slots: Slab::new(), by_source: HashMap::new(), changed: Vec::new(), ready: VecDeque::new() }
    }

    /// The operating system tells that a socket is ready.
    pub(crate) fn note(&mut self, event: &Event) {
        let Some(slot) = self.slots.get_mut(event.token().0) else { return };
        slot.closed |= event.is_read_closed();
        slot.ready.read |= event.is_readable() || event.is_error() || slot.closed;
        slot.ready.write |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.queue(event.token().0);
    }

    /// Looks at all of which something else is wanted now, and forgets those that are gone.
    pub(crate) fn look_again(&mut self, worker: &Worker) {
        while let Some(token) = self.changed.pop() {
            let Some(slot) = self.slots.get(token) else { continue };
            match worker.want(slot.source) {
                None => self.forget(token),
                Some(want) if is_any(both(want, slot.ready)) => self.queue(token),
                Some(_) => {}
            }
        }
    }

    /// Somebody is ready without waiting.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Serves all that are ready, each once: the machine's turn comes before the next read.
    pub(crate) fn serve(&mut self, worker: &mut Worker) {
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else { return };
            let Some(slot) = self.slots.get_mut(token) else { continue };
            slot.queued = false;
            let Some(want) = worker.want(slot.source) else {
                self.forget(token);
                continue;
            };
            let ready = both(want, slot.ready);
            let still = worker.ready(slot.source, ready);
            slot.ready.read &= !ready.read || still.read || slot.closed;
            slot.ready.write &= !ready.write || still.write;
            // What is wanted now may be another thing than before.
            self.changed.push(token);
        }
        self.look_again(worker);
    }

    fn queue(&mut self, token: usize) {
        if let Some(slot) = self.slots.get_mut(token)
            && !slot.queued
        {
            slot.queued = true;
            self.ready.push_back(token);
        }
    }

    fn forget(&mut self, token: usize) {
        if let Some(slot) = self.slots.try_remove(token) {
            self.by_source.remove(&slot.source);
            // It closes with the last who holds it, and then it is forgotten in any case.
            let _ = self.registry.deregister(&mut SourceFd(&slot.socket.as_raw_fd()));
        }
    }
}

impl Wire for Watched {
    fn open(&mut self, source: Source, socket: &Rc<Socket>) -> io::Result<()> {
        let entry = self.slots.vacant_entry();
        let token = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&socket.as_raw_fd()), Token(token), interest)?;
        let socket = Rc::clone(socket);
        entry.insert(Slot { source, socket, ready: Ready::default(), closed: false, queued: false });
        self.by_source.insert(source, token);
        Ok(())
    }

    fn changed(&mut self, source: Source) {
        self.changed.extend(self.by_source.get(&source));
    }
}

fn both(want: Ready, ready: Ready) -> Ready {
    Ready { read: want.read && ready.read, write: want.write && ready.write }
}

fn is_any(ready: Ready) -> bool {
    ready.read || ready.write
}
