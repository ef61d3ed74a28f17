//! Peers that send as fast as they can, for as long as the test takes: the others are served all the while, and what the
//! flood brings does not pile up.

use std::io::{self, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{On, Server, on_every_runtime};

on_every_runtime! {
    one worker: a_flood_without_an_end_starves_nobody;
    two workers: a_flood_without_an_end_starves_nobody;
}

/// Connections that flood.
const FLOODERS: usize = 12;

/// What the most memory may rise by meanwhile, in KiB: a few reads and answers for each of them, a second worker's first
/// buffers, and whatever the allocator keeps for each thread. Of a flood that piles up it is hundreds of MiB.
const RISE: u64 = 24 * 1024;

fn a_flood_without_an_end_starves_nobody(on: On) {
    let server = Server::start(on, "example.org", &["alice"]);
    // What is made once, is there.
    server.assert_alive("alice@example.org");
    let before = server.peak_kib();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..FLOODERS {
            let (address, over) = (server.address(if n % 2 == 0 { "smtp" } else { "pop3" }), &over);
            scope.spawn(move || flood(address, FLOODS[n / 2 % FLOODS.len()], over));
        }
        // Also when this fails the flood ends, and with it the test.
        let _end = End(&over);
        (0..3).for_each(|_| server.assert_alive("alice@example.org"));
    });
    assert_eq!(server.count("alice@example.org"), 4);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

/// Ends the flood when dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lines that are no commands, a line without an end, and commands whose answers nobody reads.
const FLOODS: [&[u8]; 3] = [b"garbage\r\n", b"x", b"NOOP\r\n"];

/// Sends until it is over; who is cut off comes back.
fn flood(server: SocketAddr, what: &[u8], over: &AtomicBool) {
    let bytes = what.repeat(16 * 1024 / what.len());
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(server) else { continue };
        // A server that does not read any more is waited for so long, and then it may be over.
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        while !over.load(Ordering::Relaxed) && stands(stream.write(&bytes)) {}
    }
}

/// Whether a connection that was written to still stands.
fn stands(written: io::Result<usize>) -> bool {
    match written {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
