//! An SMTP sink without any runtime: a thread for each connection, and blocking sockets.
//!
//! ```text
//! cargo run -p pillarbox-core --example sink_threads -- 127.0.0.1:2525
//! ```
//!
//! What the sink does with mail stands in `sink/mod.rs`. Here is only the loop.

mod sink;

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use pillarbox_core::channel::Channel;
use pillarbox_core::smtp::server::Server;
use pillarbox_core::{Close, End, Outbox, Step, WaitingOn};

use sink::{HIGH_WATER, Mail, PIECE, Sink};

fn main() -> io::Result<()> {
    let sink = Arc::new(Sink::begin(io::stdout())?);
    let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:2525"))?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept()?;
        let sink = Arc::clone(&sink);
        thread::spawn(move || eprintln!("{peer}: {:?}", serve(&stream, &sink)));
    }
}

/// One connection, from its greeting to its end.
fn serve(stream: &TcpStream, sink: &Arc<Sink>) -> io::Result<End> {
    stream.set_nodelay(true)?;
    let (answers, answered) = mpsc::channel();
    let mut channel = sink.channel(stream.peer_addr()?);
    let mut mail = Mail::new(sink, move |answer| drop(answers.send(answer)));
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(HIGH_WATER));
    let end = loop {
        let now = sink.now();
        match channel.poll(now, &mut rx, &mut tx) {
            Step::Act(action) => mail.act(&mut channel, action)?,
            Step::More => thread::yield_now(),
            Step::Done(end) => break end,
            // A thread waits for one thing at a time: that what was said goes out, then for whom the machine waits.
            Step::Wait(wait) => {
                let patience = wait.until.map(|until| until - now.mono);
                if !tx.is_empty() {
                    moved(&mut channel, write(stream, &mut tx, patience));
                } else if wait.read && wait.on != WaitingOn::Answer {
                    moved(&mut channel, read(stream, &mut rx, patience));
                } else if let Ok(answer) = answered.recv_timeout(patience.unwrap_or(Duration::MAX)) {
                    answer.reach(&mut channel)?;
                }
            }
        }
    };
    // Whoever is gone does not hear our last words.
    let _ = farewell(stream, tx, sink.farewell);
    Ok(end)
}

/// Tells the channel what it must know of a read or a write.
fn moved(channel: &mut Channel<Server>, moved: io::Result<usize>) {
    match moved {
        Ok(0) => channel.close(Close::Eof),
        Ok(_) => {}
        // Nothing moved, but time has passed.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => channel.close(Close::Error),
    }
}

fn read(mut stream: &TcpStream, rx: &mut BytesMut, patience: Option<Duration>) -> io::Result<usize> {
    stream.set_read_timeout(patience)?;
    let mut piece = [0; PIECE];
    let n = stream.read(&mut piece)?;
    rx.extend_from_slice(&piece[..n]);
    Ok(n)
}

fn write(mut stream: &TcpStream, tx: &mut Outbox, patience: Option<Duration>) -> io::Result<usize> {
    stream.set_write_timeout(patience)?;
    let slices: Vec<_> = tx.slices().take(16).map(IoSlice::new).collect();
    let n = stream.write_vectored(&slices)?;
    tx.advance(n);
    Ok(n)
}

/// Writes what is left, says that this was all, and hears the peer out: to close a socket with unread bytes resets the
/// connection, and takes our last words with it.
fn farewell(mut stream: &TcpStream, mut tx: Outbox, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    let left = || until.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut);
    while !tx.is_empty() {
        write(stream, &mut tx, Some(left()?))?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut dropped = [0; PIECE];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        if stream.read(&mut dropped)? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stream: std::net::TcpStream, sink: Arc<Sink>) -> io::Result<End> {
        serve(&stream, &sink)
    }

    sink::exam::sit!(one);
}
