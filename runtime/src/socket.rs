//! A socket that never blocks, of whatever kind: what a runtime watches and the worker reads and writes.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use bytes::{BufMut as _, Bytes, BytesMut};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Type};

/// Bytes of the largest datagram that is heard: 1,232 are asked for, and a liar may send more.
const LARGEST_DATAGRAM: usize = 4096;

/// A non-blocking socket: TCP, UDP, or one in the file system.
#[derive(Debug)]
pub struct Socket(socket2::Socket);

impl Socket {
    /// A connected or bound socket that somebody else opened; it stops blocking.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        let socket = socket2::Socket::from(socket.into());
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Begins to connect; [`connected`](Self::connected) tells how it went, once it can be written to.
    pub(crate) fn connect(to: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&to.into()) {
            Err(error) if !is_under_way(&error) => Err(error),
            _ => Ok(Self(socket)),
        }
    }

    /// Whether the connection came up; `None` while it is under way.
    pub(crate) fn connected(&self) -> Option<io::Result<()>> {
        match (self.0.take_error(), self.0.peer_addr()) {
            (Err(error) | Ok(Some(error)), _) => Some(Err(error)),
            (Ok(None), Ok(_)) => Some(Ok(())),
            // Readiness may be reported before its time.
            (Ok(None), Err(_)) => None,
        }
    }

    /// A socket for asking `server`, on a fresh random port.
    pub(crate) fn datagrams(server: SocketAddr) -> io::Result<Self> {
        Self::new(crate::datagram(server).map_err(io::Error::other)?)
    }

    /// One read, behind what is in `buffer`, which must have room; 0 is the peer's end.
    pub(crate) fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let read = again(|| self.0.recv(buffer.spare_capacity_mut()))?;
        // SAFETY: the operating system has filled this many bytes of the spare capacity.
        unsafe { buffer.advance_mut(read) };
        Ok(read)
    }

    /// Reads and forgets; how much there was.
    pub(crate) fn skip(&self) -> io::Result<usize> {
        let mut scratch = [std::mem::MaybeUninit::uninit(); 4096];
        again(|| self.0.recv(&mut scratch))
    }

    /// One `writev`.
    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match again(|| self.0.send_vectored(slices))? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    /// Nothing more will be written.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Sends a datagram.
    pub(crate) fn send_to(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
        again(|| self.0.send_to(bytes, &to.into()))
    }

    /// Takes a datagram.
    pub(crate) fn receive_from(&self) -> io::Result<(SocketAddr, Bytes)> {
        let mut buffer = BytesMut::with_capacity(LARGEST_DATAGRAM);
        let (read, from) = again(|| self.0.recv_from(buffer.spare_capacity_mut()))?;
        // SAFETY: the operating system has filled this many bytes of the spare capacity.
        unsafe { buffer.advance_mut(read) };
        let from = from.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        // The answer is small, and may be kept for a while: not in a buffer for the largest.
        Ok((from, Bytes::copy_from_slice(&buffer)))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Calls again when a signal came between.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
}
