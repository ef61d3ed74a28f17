//! A name server on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use pillarbox_core::dns::responder::{Responder, Zone};

/// Serves these zones until the test ends, and says where.
pub(crate) fn serve(zones: impl IntoIterator<Item = Zone>) -> SocketAddr {
    let responder = Responder::new(zones);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if let Some(answer) = responder.answer(&query[..length], false) {
                _ = socket.send_to(&answer, from);
            }
        }
    });
    address
}
