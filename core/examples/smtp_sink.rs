//! An SMTP server without a runtime: the machine on plain threads and blocking sockets. It takes every message for
//! everybody, and writes it to standard output.
//!
//! ```text
//! cargo run -p pillarbox-core --example smtp_sink -- 127.0.0.1:2525
//! ```

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, BytesMut};
use pillarbox_core::session::{Answer as _, Close, Session as _, Step};
use pillarbox_core::smtp::server::{Action, ChunkAnswer, CommitAnswer, Config, Peer, RecipientAnswer, Server, Service};
use pillarbox_core::{Mono, Now, Outbox, SessionId, Wall};

static SESSIONS: AtomicU64 = AtomicU64::new(1);

fn main() -> io::Result<()> {
    let bind = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2525".into());
    let listener = TcpListener::bind(bind)?;
    let config = Arc::new(Config::new("sink.example", Service::Transfer));
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, address) = listener.accept()?;
        let id = SessionId(SESSIONS.fetch_add(1, Ordering::Relaxed));
        let server = Server::new(id, Arc::clone(&config), Peer { address });
        thread::spawn(move || match serve(&stream, server) {
            Ok(()) => eprintln!("{address}: bye"),
            Err(e) => eprintln!("{address}: {e}"),
        });
    }
}

/// One connection, from its greeting to its end.
fn serve(mut stream: &TcpStream, mut server: Server) -> io::Result<()> {
    let begin = Instant::now();
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(64 * 1024));
    let mut message = Vec::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        let now = now(begin);
        match server.poll(now, &mut rx, &mut tx) {
            Step::Act(action) => act(&mut server, &mut message, action)?,
            Step::More => {}
            // The configuration offers no STARTTLS.
            Step::Upgrade(_) => server.close(Close::Layer),
            Step::Wait(wait) => {
                flush(stream, &mut tx)?;
                if !wait.read {
                    continue;
                }
                let left = wait.until.map(|until| now.mono.until(until).max(Duration::from_millis(1)));
                stream.set_read_timeout(left)?;
                match stream.read(&mut buffer) {
                    Ok(0) => server.close(Close::Eof),
                    Ok(n) => rx.extend_from_slice(&buffer[..n]),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(_) => server.close(Close::Error),
                }
            }
            Step::Done(_) => return flush(stream, &mut tx),
        }
    }
}

/// Does what the machine asks. Everything is answered at once, so it never waits for us.
fn act(server: &mut Server, message: &mut Vec<u8>, action: Action) -> io::Result<()> {
    let answered = match action {
        Action::Recipient { ticket, .. } => server.answer(ticket, RecipientAnswer::Accepted),
        Action::Chunk { ticket, bytes, .. } => {
            message.extend_from_slice(&bytes);
            server.answer(ticket, ChunkAnswer::Taken)
        }
        Action::Commit { ticket, transaction } => {
            let mut out = io::stdout().lock();
            out.write_all(&transaction.trace)?;
            out.write_all(message)?;
            out.write_all(b"\r\n")?;
            out.flush()?;
            message.clear();
            server.answer(ticket, CommitAnswer::Committed { text: format!("taken as {}", transaction.id) })
        }
        Action::Abort(_) => {
            message.clear();
            Ok(())
        }
        // AUTH is not offered, and refusals interest nobody here.
        Action::Authenticate { .. } | Action::Refused { .. } => Ok(()),
    };
    answered.map_err(io::Error::other)
}

fn flush(mut stream: &TcpStream, tx: &mut Outbox) -> io::Result<()> {
    while tx.has_remaining() {
        let n = stream.write(tx.chunk())?;
        tx.advance(n);
    }
    Ok(())
}

fn now(begin: Instant) -> Now {
    let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { mono: Mono(nanos), wall: Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)) }
}
