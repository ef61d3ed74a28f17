//! Listeners: accept, count at the gate, and give the connection to the node.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::node::{Accepted, ListenerId};
use pillarbox_runtime::{Gate, Listener, Permit};
use tokio::net::{TcpListener, UnixListener};

use crate::conn::{self, Stream};
use crate::{Shared, spawn};

/// Pause after an accept that failed for want of something (files, memory): trying at once would only burn time.
const PAUSE: Duration = Duration::from_millis(100);

/// Begins to accept on all listeners.
pub(crate) fn begin(host: &Shared, listeners: Vec<Listener>, gate: &Arc<Gate>) -> io::Result<()> {
    for (index, listener) in listeners.into_iter().enumerate() {
        let acceptor = match listener {
            Listener::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener)?),
            Listener::Unix(listener) => Acceptor::Unix(UnixListener::from_std(listener)?),
        };
        spawn(accept(Rc::clone(host), ListenerId(index), acceptor, Arc::clone(gate)));
    }
    Ok(())
}

enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // What a turn says leaves in one write; waiting for more would only delay it. It fails where the peer is
                // gone, which the first read tells as well.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)))
            }
        }
    }
}

async fn accept(host: Shared, id: ListenerId, acceptor: Acceptor, gate: Arc<Gate>) {
    let mut accepting = host.accepting();
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            // Once told to stop, a node does not begin again: the port is free for the next one.
            _ = accepting.wait_for(|accepting| !accepting) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // That peer is gone again; the next one may be waiting.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Whoever owns the machine gets in, however many others there are.
        let permit = match &acceptor {
            Acceptor::Tcp(_) => gate.enter(peer.ip()).map(Some),
            Acceptor::Unix(_) => Some(None),
        };
        let Some(permit) = permit else { continue };
        let crowded = permit.as_ref().is_some_and(Permit::crowded);
        let (conn, link) = host.accepted(Accepted { listener: id, peer, crowded });
        let host = Rc::clone(&host);
        spawn(async move {
            conn::serve(&host, conn, &link, &stream).await;
            host.unlink(conn);
            drop(permit);
        });
    }
}
