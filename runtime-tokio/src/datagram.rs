//! Datagrams: each socket is bound to a fresh random port, asks, hears, and is closed.

use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::dns::SocketId;
use pillarbox_core::node::NodeInput;
use tokio::net::UdpSocket;

use crate::{Shared, spawn};

/// The largest datagram that is asked for is 1,232 bytes; a liar may send more.
const LARGEST: usize = 4096;

/// How often a socket that nobody holds any more looks up from its wait.
const GLANCE: Duration = Duration::from_secs(1);

/// A socket on a fresh random port, from which `to` can be asked.
pub(crate) fn bind(to: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::from_std(pillarbox_runtime::datagram(to).map_err(io::Error::other)?)
}

/// Sends; what cannot be sent at once is sent by a task. A datagram may always be lost.
pub(crate) fn send(socket: &Rc<UdpSocket>, to: SocketAddr, bytes: Bytes) {
    match socket.try_send_to(&bytes, to) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let socket = Rc::clone(socket);
            spawn(async move {
                let _lost = socket.send_to(&bytes, to).await;
            });
        }
        _ => {}
    }
}

/// Hands what comes to the node, until the socket is closed.
pub(crate) async fn receive(host: Shared, id: SocketId, socket: Weak<UdpSocket>) {
    let mut buffer = [0; LARGEST];
    while let Some(socket) = socket.upgrade() {
        let received = tokio::time::timeout(GLANCE, socket.recv_from(&mut buffer)).await;
        if Rc::strong_count(&socket) == 1 {
            // Only this task holds it: the node closed it.
            return;
        }
        if let Ok(Ok((n, from))) = received {
            let bytes = Bytes::copy_from_slice(&buffer[..n]);
            host.input(NodeInput::Datagram { socket: id, from, bytes });
        }
    }
}
