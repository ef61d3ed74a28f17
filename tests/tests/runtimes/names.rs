//! A name server on loopback: datagrams and TCP on the same port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pillarbox_core::dns::responder::{Responder, Zone};

use crate::provider::address;

/// It serves until the tests end.
pub(crate) struct Names {
    pub(crate) address: SocketAddr,
    /// Questions that came over TCP.
    streams: Arc<AtomicUsize>,
}

impl Names {
    pub(crate) fn serve(zones: impl IntoIterator<Item = Zone>) -> Self {
        let responder = Arc::new(Responder::new(zones));
        let datagrams = UdpSocket::bind((address(), 0)).unwrap();
        let address = datagrams.local_addr().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let streams = Arc::new(AtomicUsize::new(0));
        let (other, count) = (Arc::clone(&responder), Arc::clone(&streams));
        thread::spawn(move || hear(&datagrams, &responder));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let _gone = answer(&stream, &other);
            }
        });
        Self { address, streams }
    }

    /// Questions that came over TCP.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

fn hear(socket: &UdpSocket, responder: &Responder) {
    let mut query = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut query) {
        if let Some(answer) = responder.answer(&query[..length], false) {
            let _lost = socket.send_to(&answer, from);
        }
    }
}

fn answer(mut stream: &TcpStream, responder: &Responder) -> std::io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query)?;
    let answer = responder.answer(&query, true).unwrap_or_default();
    let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &answer[..]].concat())
}
