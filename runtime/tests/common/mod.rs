//! A machine that follows a script, and a runtime that is nothing but `poll(2)`.

#![allow(clippy::unwrap_used, dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pillarbox_core::node::{Accepted, ConnId, ConnIo, Event, Machine, NodeAction, NodeInput, NodeStep};
use pillarbox_core::ops::{Busy, Sink, Store, StoreOp, Token};
use pillarbox_core::{Now, Outbox};
use pillarbox_runtime::{Events, Ready, Setup, Socket, Source, Turn, Wire, Worker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a script and its test share.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Page>>);

#[derive(Default)]
pub(crate) struct Page {
    /// To be said at the next polls.
    pub(crate) say: VecDeque<NodeAction>,
    /// What was heard.
    pub(crate) heard: Vec<NodeInput>,
    pub(crate) touched: Vec<ConnId>,
    pub(crate) done: bool,
    /// There is always more to do.
    pub(crate) more: bool,
    /// How often a connection's buffers were asked for.
    pub(crate) lent: usize,
}

impl Script {
    pub(crate) fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock().unwrap()
    }

    pub(crate) fn say(&self, action: NodeAction) {
        self.page().say.push_back(action);
    }

    /// What was heard since this was last asked.
    pub(crate) fn heard(&self) -> Vec<NodeInput> {
        std::mem::take(&mut self.page().heard)
    }

    /// A machine that follows it.
    pub(crate) fn machine(&self) -> Box<dyn Machine> {
        Box::new(Follower { script: self.clone(), conns: BTreeMap::new(), next: 0 })
    }
}

struct Follower {
    script: Script,
    conns: BTreeMap<ConnId, (BytesMut, Outbox)>,
    next: u64,
}

impl Machine for Follower {
    fn accept(&mut self, _: Accepted) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        self.conns.insert(conn, (BytesMut::new(), Outbox::new(usize::MAX)));
        conn
    }

    fn input(&mut self, _: Now, input: NodeInput) {
        self.script.page().heard.push(input);
    }

    fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>> {
        self.script.page().lent += 1;
        let (rx, tx) = self.conns.get_mut(&id)?;
        Some(ConnIo { rx, tx })
    }

    fn touched(&mut self, id: ConnId) {
        self.script.page().touched.push(id);
    }

    fn poll(&mut self, _: Now) -> NodeStep {
        let mut page = self.script.page();
        match page.say.pop_front() {
            Some(action) => {
                if let NodeAction::Dial { conn, .. } = &action {
                    let mut tx = Outbox::new(usize::MAX);
                    // Its last words, whenever that is.
                    tx.put(&[b'w'; 1000]);
                    self.conns.insert(*conn, (BytesMut::new(), tx));
                }
                NodeStep::Act(action)
            }
            None if page.done => NodeStep::Done,
            None if page.more => NodeStep::More,
            None => NodeStep::Wait { until: None },
        }
    }
}

/// Answers each connection's bytes with the same bytes, and a name before them; breaks at `boom`.
pub(crate) struct Echo {
    name: String,
    conns: BTreeMap<ConnId, (BytesMut, Outbox)>,
    out: VecDeque<NodeAction>,
    touched: Vec<ConnId>,
    next: u64,
    draining: bool,
}

impl Echo {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        let (conns, out, touched) = Default::default();
        Self { name: name.into(), conns, out, touched, next: 0, draining: false }
    }

    fn answer(&mut self, conn: ConnId) {
        let Some((rx, tx)) = self.conns.get_mut(&conn) else { return };
        if rx.is_empty() {
            return;
        }
        assert_ne!(&rx[..], b"boom", "as it was told");
        tx.put(self.name.as_bytes());
        tx.put(&rx.split());
        self.out.push_back(NodeAction::Flush(conn));
    }
}

impl Machine for Echo {
    fn accept(&mut self, _: Accepted) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        self.conns.insert(conn, (BytesMut::new(), Outbox::new(usize::MAX)));
        self.out.push_back(NodeAction::Interest { conn, read: true });
        conn
    }

    fn input(&mut self, _: Now, input: NodeInput) {
        match input {
            NodeInput::Closed { conn, .. } if self.conns.remove(&conn).is_some() => {
                self.out.push_back(NodeAction::Close { conn, abort: true });
            }
            NodeInput::Drain { .. } => {
                self.draining = true;
                self.out.push_back(NodeAction::Accepting(false));
                for conn in std::mem::take(&mut self.conns).into_keys() {
                    self.out.push_back(NodeAction::Close { conn, abort: true });
                }
            }
            _ => {}
        }
    }

    fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>> {
        let (rx, tx) = self.conns.get_mut(&id)?;
        Some(ConnIo { rx, tx })
    }

    fn touched(&mut self, id: ConnId) {
        self.touched.push(id);
    }

    fn poll(&mut self, _: Now) -> NodeStep {
        while let Some(conn) = self.touched.pop() {
            self.answer(conn);
        }
        match self.out.pop_front() {
            Some(action) => NodeStep::Act(action),
            None if self.draining => NodeStep::Done,
            None => NodeStep::Wait { until: None },
        }
    }
}

/// A store that has no place.
pub(crate) struct Full;

impl Store for Full {
    fn submit(&self, _: &Arc<dyn Sink>, _: Token, op: StoreOp) -> Result<(), Busy> {
        Err(Busy(op))
    }
}

/// Hears no events.
pub(crate) struct Deaf;

impl Events for Deaf {
    fn event(&self, _: &Event) {}
}

/// Which sockets are to be watched, and whatever was said of them.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) sockets: BTreeMap<Source, Rc<Socket>>,
    pub(crate) changed: Vec<Source>,
    /// No more sockets can be watched.
    pub(crate) full: bool,
}

impl Wire for Watch {
    fn open(&mut self, source: Source, socket: &Rc<Socket>) -> io::Result<()> {
        if self.full {
            return Err(io::Error::other("no place for another one"));
        }
        self.sockets.insert(source, Rc::clone(socket));
        Ok(())
    }

    fn changed(&mut self, source: Source) {
        self.changed.push(source);
    }
}

impl Watch {
    /// Waits until one of the sockets is ready for what is wanted, or the bell rings; what is ready.
    pub(crate) fn wait(
        &mut self,
        worker: &Worker,
        bell: Option<&UnixStream>,
        patience: Option<Duration>,
    ) -> Vec<(Source, Ready)> {
        self.sockets.retain(|source, _| worker.want(*source).is_some());
        let flags = |ready: Ready| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, ready.read);
            flags.set(PollFlags::OUT, ready.write);
            flags
        };
        let wanted: Vec<_> = self
            .sockets
            .iter()
            .filter_map(|(source, socket)| Some((*source, socket, worker.want(*source)?)))
            // Nobody hears of a socket of which nothing is wanted.
            .filter(|(_, _, want)| *want != Ready::default())
            .collect();
        let mut fds: Vec<_> =
            wanted.iter().map(|(_, socket, want)| PollFd::from_borrowed_fd(socket.as_fd(), flags(*want))).collect();
        fds.extend(bell.map(|bell| PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)));
        let patience = patience.map(|patience| Timespec::try_from(patience).unwrap());
        poll(&mut fds, patience.as_ref()).unwrap();
        let broken = PollFlags::ERR | PollFlags::HUP;
        let ready = fds.iter().zip(&wanted).map(|(fd, (source, _, _))| {
            let is = |flag: PollFlags| fd.revents().intersects(flag | broken);
            (*source, Ready { read: is(PollFlags::IN), write: is(PollFlags::OUT) })
        });
        ready.filter(|(_, ready)| *ready != Ready::default()).collect()
    }
}

/// The runtime that is nothing but `poll(2)`.
pub(crate) fn run(setup: Setup) -> io::Result<()> {
    let (bell, rope) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    rope.set_nonblocking(true)?;
    let mut worker = Worker::new(setup, &Waker::from(Arc::new(Rope(rope))));
    let mut watch = Watch::default();
    let clock = worker.clock();
    loop {
        let patience = match worker.turn(&mut watch) {
            Turn::Done => return Ok(()),
            Turn::More => Some(Duration::ZERO),
            Turn::Wait(until) => until.map(|until| clock.instant(until).saturating_duration_since(Instant::now())),
        };
        for (source, ready) in watch.wait(&worker, Some(&bell), patience) {
            worker.ready(source, ready);
        }
        while matches!((&bell).read(&mut [0; 64]), Ok(1..)) {}
    }
}

struct Rope(UnixStream);

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        let _full = (&self.0).write(&[0]);
    }
}
