//! The acceptor: one thread for all workers. It takes connections from the listeners, counts them at the gate, and hands
//! each to the worker that has the fewest.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pillarbox_core::node::{Accepted, ListenerId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::inbox::Order;
use crate::workers::GRACE;
use crate::{Gate, Inbox, Listener, Permit, Socket, is_out_of_files};

/// Connections taken from one listener before the next one has its turn.
const TURN: usize = 64;

/// Pause after an accept that failed for want of something (files, memory): trying at once would only burn time.
const PAUSE: Duration = Duration::from_millis(100);

/// Begins to accept. The listeners are closed, and the thread ends, when no worker takes any more.
///
/// # Errors
/// The operating system's.
pub(crate) fn begin(listeners: Vec<Listener>, gate: Arc<Gate>, inboxes: Vec<Arc<Inbox>>) -> io::Result<JoinHandle<()>> {
    let (bell, rope) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    rope.set_nonblocking(true)?;
    let waker = Waker::from(Arc::new(Rope(rope)));
    inboxes.iter().for_each(|inbox| inbox.attach_acceptor(waker.clone()));
    let acceptor = Acceptor { listeners, gate, inboxes, bell, spare: spare(), troubled: false };
    thread::Builder::new().name("acceptor".to_owned()).spawn(move || acceptor.run())
}

struct Acceptor {
    listeners: Vec<Listener>,
    gate: Arc<Gate>,
    inboxes: Vec<Arc<Inbox>>,
    /// Rings when a worker takes no more.
    bell: UnixStream,
    /// A file that is given up for a moment when there is no other, so that whoever comes is closed instead of waiting.
    spare: Option<File>,
    /// Accepting failed in the last turn, and that was told.
    troubled: bool,
}

impl Acceptor {
    fn run(mut self) {
        while self.inboxes.iter().any(|inbox| inbox.load().is_some()) {
            if self.turn() == Pause::Needed {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Waits until somebody comes, and lets in who is there.
    fn turn(&mut self) -> Pause {
        let ready = {
            let bell = std::iter::once(self.bell.as_fd());
            let all = self.listeners.iter().map(Listener::as_fd).chain(bell);
            let mut waits: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            if poll(&mut waits, None::<&Timespec>).is_err() {
                // A signal came between, or the kernel lacks memory.
                return Pause::Needed;
            }
            let ready = waits.iter().enumerate().filter(|(_, wait)| !wait.revents().is_empty());
            ready.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let mut pause = Pause::Needless;
        for index in ready {
            if index == self.listeners.len() {
                // What the bell says is seen by looking at the inboxes.
                while matches!(self.bell.read(&mut [0; 64]), Ok(1..)) {}
            } else if self.welcome(index) == Pause::Needed {
                pause = Pause::Needed;
            }
        }
        self.troubled &= pause == Pause::Needed;
        pause
    }

    /// Lets in who waits at one listener, but not so many that the others wait long.
    fn welcome(&mut self, index: usize) -> Pause {
        for _ in 0..TURN {
            match self.accept(index) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // That peer is gone again; the next one may be waiting.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.out_of(&error, index);
                    return Pause::Needed;
                }
            }
        }
        Pause::Needless
    }

    /// Lets one in.
    fn accept(&self, index: usize) -> io::Result<()> {
        let (socket, peer) = self.listeners[index].accept()?;
        // Whoever owns the machine gets in, however many others there are.
        let permit = match &self.listeners[index] {
            Listener::Tcp(_) => match self.gate.enter(peer.ip()) {
                Some(permit) => Some(permit),
                None => return Ok(()),
            },
            Listener::Unix(_) => None,
        };
        let loads = self.inboxes.iter().filter_map(|inbox| Some((inbox.load()?, inbox)));
        if let Some((_, inbox)) = loads.min_by_key(|(load, _)| *load) {
            let crowded = permit.as_ref().is_some_and(Permit::crowded);
            inbox.accept(Accepted { listener: ListenerId(index), peer, crowded }, socket, permit);
        }
        Ok(())
    }

    /// An accept failed. When no file is left, the spare one is used to close the connection that waits: its peer tries
    /// again later, instead of waiting for a word that does not come.
    fn out_of(&mut self, error: &io::Error, index: usize) {
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::warn!("cannot accept connections for the moment: {error}");
        }
        if is_out_of_files(error) && self.spare.take().is_some() {
            let _closed = self.listeners[index].accept();
        }
        if self.spare.is_none() {
            self.spare = spare();
        }
    }
}

/// Nobody is let in any more by an acceptor that broke: a server that is deaf is stopped rather than left to look well.
impl Drop for Acceptor {
    fn drop(&mut self) {
        if thread::panicking() {
            self.inboxes.iter().for_each(|inbox| inbox.order(Order::Drain(GRACE)));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    Needed,
    Needless,
}

/// Rings the bell, from any thread.
struct Rope(UnixStream);

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A pipe that is full has rung already.
        let _ = (&self.0).write(&[0]);
    }
}

impl Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }

    fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // What a turn says leaves in one write; waiting for more would only delay it. It fails where the peer is
                // gone, which the first read tells as well.
                let _ = stream.set_nodelay(true);
                Ok((Socket::new(stream)?, peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::new(OwnedFd::from(stream))?, SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)))
            }
        }
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
