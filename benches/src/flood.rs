//! Clients that do harm: some send garbage as fast as the server reads it, some an octet a second. Whoever is cut off comes
//! back at once.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Pause before somebody who could not even connect tries again.
const PAUSE: Duration = Duration::from_millis(10);

/// Octets of one write.
const WRITE: usize = 16 * 1024;

/// What the crowd has done so far.
#[derive(Debug, Default)]
pub struct Done {
    /// Connections that came up.
    pub connections: AtomicU64,
    /// Octets of garbage that the server's side took.
    pub octets: AtomicU64,
}

/// Lets `flooders` and `dribblers` loose on these servers, on threads that never end.
pub fn begin(servers: &[SocketAddr], flooders: usize, dribblers: usize) -> Arc<Done> {
    let done = Arc::new(Done::default());
    for (n, &server) in (0..flooders).zip(servers.iter().cycle()) {
        let done = Arc::clone(&done);
        thread::spawn(move || flood(server, &garbage(n), &done));
    }
    let targets: Vec<_> = servers.iter().copied().cycle().take(dribblers).collect();
    let dribbling = Arc::clone(&done);
    thread::spawn(move || dribble(&targets, &dribbling));
    done
}

fn flood(server: SocketAddr, garbage: &[u8], done: &Done) {
    loop {
        let Ok(mut stream) = connect(server, done) else {
            thread::sleep(PAUSE);
            continue;
        };
        while let Ok(n) = stream.write(garbage) {
            done.octets.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}

/// One thread for all of them: each has its octet once a second.
fn dribble(targets: &[SocketAddr], done: &Done) {
    let mut streams: Vec<Option<TcpStream>> = targets.iter().map(|_| None).collect();
    loop {
        for (stream, &server) in streams.iter_mut().zip(targets) {
            if stream.as_mut().is_none_or(|stream| stream.write_all(b"x").is_err()) {
                *stream = connect(server, done).ok();
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn connect(server: SocketAddr, done: &Done) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    done.connections.fetch_add(1, Ordering::Relaxed);
    Ok(stream)
}

/// One of three sorts: lines that are no commands, one line without an end, and octets of any value.
fn garbage(n: usize) -> Vec<u8> {
    let mut state = n as u32 + 1;
    let mut octet = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    match n / 2 % 3 {
        0 => {
            let mut lines = Vec::with_capacity(WRITE);
            while lines.len() < WRITE {
                lines.extend((0..30).map(|_| b'a' + octet() % 26));
                lines.extend_from_slice(b"\r\n");
            }
            lines
        }
        1 => (0..WRITE).map(|_| b'a' + octet() % 26).collect(),
        _ => (0..WRITE).map(|_| octet()).collect(),
    }
}
