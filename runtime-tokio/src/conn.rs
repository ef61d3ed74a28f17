//! A connection's task: moves bytes between a socket and the node's buffers, and tells when it is over.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Buf as _;
use pillarbox_core::node::{Closed, ConnId, NodeInput};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::Shared;
use crate::wire::{CloseHow, Link};

/// Segments of one `writev`.
const SLICES: usize = 16;

/// After our last word, how long and how many bytes are still read: a socket closed over unread bytes is reset, and the
/// peer may lose that word.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 1024 * 1024);

/// A connected socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects, and serves the connection if it comes up.
pub(crate) async fn dial(host: Shared, conn: ConnId, link: Rc<Link>, to: SocketAddr) {
    let dialed = tokio::select! {
        dialed = TcpStream::connect(to) => dialed,
        () = closed(&link) => {
            host.unlink(conn);
            return;
        }
    };
    match dialed.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
        Ok(stream) => {
            host.input(NodeInput::Dialed { conn, result: Ok(()) });
            serve(&host, conn, &link, &Stream::Tcp(stream)).await;
        }
        Err(error) => host.input(NodeInput::Dialed { conn, result: Err(error.to_string()) }),
    }
    host.unlink(conn);
}

async fn closed(link: &Link) {
    while link.close.get().is_none() {
        link.changed.notified().await;
    }
}

/// Moves bytes until the node closes the connection.
pub(crate) async fn serve(host: &Shared, conn: ConnId, link: &Link, stream: &Stream) {
    let how = match exchange(host, conn, link, stream).await {
        Ok(()) => Closed::Done,
        Err(_) if link.close.get().is_some() => Closed::Done,
        Err(_) => {
            host.input(NodeInput::Closed { conn, how: Closed::Error });
            // The session winds up; what it would still say, nobody hears.
            closed(link).await;
            Closed::Done
        }
    };
    if link.close.get() != Some(CloseHow::AtOnce) {
        host.input(NodeInput::Closed { conn, how });
    }
}

async fn exchange(host: &Shared, conn: ConnId, link: &Link, stream: &Stream) -> io::Result<()> {
    let mut eof = false;
    loop {
        let blocked = match write(host, conn, stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            written => {
                written?;
                false
            }
        };
        match link.close.get() {
            Some(CloseHow::AtOnce) => return Ok(()),
            Some(CloseHow::Flushed) if !blocked => return farewell(stream).await,
            _ => {}
        }
        host.worker.borrow_mut().reclaim(conn);
        let reading = link.reading.get() && !eof && link.close.get().is_none();
        let interest = match (reading, blocked) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        let ready = tokio::select! {
            () = link.changed.notified() => continue,
            ready = stream.ready(interest) => ready?,
        };
        if ready.is_readable() && reading {
            match read(host, conn, stream) {
                Ok(0) => {
                    eof = true;
                    host.input(NodeInput::Closed { conn, how: Closed::Eof });
                }
                Ok(_) => {
                    host.touched(conn);
                    // The node's turn comes before the next read: what it has not seen does not pile up.
                    tokio::task::yield_now().await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// One read into the session's buffer; 0 is the peer's end, or a connection that the node has forgotten.
fn read(host: &Shared, conn: ConnId, stream: &Stream) -> io::Result<usize> {
    let mut worker = host.worker.borrow_mut();
    let Some(rx) = worker.read(conn) else { return Ok(0) };
    match stream {
        Stream::Tcp(stream) => stream.try_read_buf(rx),
        Stream::Unix(stream) => stream.try_read_buf(rx),
    }
}

/// Writes all that is in `tx`, or as much as the socket takes (`WouldBlock`).
fn write(host: &Shared, conn: ConnId, stream: &Stream) -> io::Result<()> {
    let mut wrote = false;
    let result = loop {
        let mut worker = host.worker.borrow_mut();
        let Some(io) = worker.node.conn(conn) else { break Ok(()) };
        if io.tx.is_empty() {
            break Ok(());
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (slot, slice) in slices.iter_mut().zip(io.tx.slices()) {
            *slot = IoSlice::new(slice);
            used += 1;
        }
        let written = match stream {
            Stream::Tcp(stream) => stream.try_write_vectored(&slices[..used]),
            Stream::Unix(stream) => stream.try_write_vectored(&slices[..used]),
        };
        match written {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => io.tx.advance(n),
            Err(error) => break Err(error),
        }
        wrote = true;
    };
    if wrote {
        host.touched(conn);
    }
    result
}

/// Closes our side, and reads on for a moment.
async fn farewell(stream: &Stream) -> io::Result<()> {
    let (time, mut bytes) = LINGER;
    stream.shutdown()?;
    let drain = async {
        let mut scratch = [0; 4096];
        while bytes > 0 && stream.ready(Some(Interest::READABLE)).await.is_ok() {
            match stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(n) => bytes = bytes.saturating_sub(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _elapsed = tokio::time::timeout(time, drain).await;
    Ok(())
}

impl Stream {
    /// Waits for readiness; for ever without an interest.
    async fn ready(&self, interest: Option<Interest>) -> io::Result<tokio::io::Ready> {
        match (self, interest) {
            (_, None) => std::future::pending().await,
            (Self::Tcp(stream), Some(interest)) => stream.ready(interest).await,
            (Self::Unix(stream), Some(interest)) => stream.ready(interest).await,
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    fn shutdown(&self) -> io::Result<()> {
        let socket = match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream),
            Self::Unix(stream) => socket2::SockRef::from(stream),
        };
        socket.shutdown(std::net::Shutdown::Write)
    }
}
