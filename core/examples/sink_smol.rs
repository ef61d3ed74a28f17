//! The SMTP sink on smol: a task for each connection.
//!
//! ```text
//! cargo run -p pillarbox-core --example sink_smol -- 127.0.0.1:2525
//! ```
//!
//! What the sink does with mail stands in `sink/mod.rs`. Here is only the loop.

mod sink;

use std::future::pending;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::{Close, End, Outbox, Step};
use smol::Timer;
use smol::future::{FutureExt as _, yield_now};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

use sink::{Answered, HIGH_WATER, Mail, PIECE, Sink};

fn main() -> io::Result<()> {
    let sink = Arc::new(Sink::begin(io::stdout())?);
    smol::block_on(async {
        let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:2525")).await?;
        eprintln!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            let sink = Arc::clone(&sink);
            smol::spawn(async move { eprintln!("{peer}: {:?}", serve(stream, &sink).await) }).detach();
        }
    })
}

/// What came first.
enum Event {
    Answer(Answered),
    Wrote(io::Result<usize>),
    Read(io::Result<usize>),
    Time,
}

/// One connection, from its greeting to its end.
async fn serve(stream: TcpStream, sink: &Arc<Sink>) -> io::Result<End> {
    stream.set_nodelay(true)?;
    let (answers, answered) = smol::channel::unbounded();
    let mut channel = sink.channel(stream.peer_addr()?);
    let mut mail = Mail::new(sink, move |answer| drop(answers.try_send(answer)));
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(HIGH_WATER));
    let (mut reader, mut writer) = (stream.clone(), stream);
    let mut piece = [0; PIECE];
    let end = loop {
        let wait = match channel.poll(sink.now(), &mut rx, &mut tx) {
            Step::Act(action) => {
                mail.act(&mut channel, action)?;
                continue;
            }
            Step::More => {
                yield_now().await;
                continue;
            }
            Step::Done(end) => break end,
            Step::Wait(wait) => wait,
        };
        // Whatever comes first; then the machine is asked again.
        let answer = async { answered.recv().await.map_or(Event::Time, Event::Answer) };
        let write = async {
            let slices: Vec<_> = tx.slices().take(16).map(IoSlice::new).collect();
            if slices.is_empty() { pending().await } else { Event::Wrote(writer.write_vectored(&slices).await) }
        };
        let read = async { if wait.read { Event::Read(reader.read(&mut piece).await) } else { pending().await } };
        let time = async {
            match wait.until {
                Some(until) => drop(Timer::at(sink.instant(until)).await),
                None => pending().await,
            }
            Event::Time
        };
        match answer.or(write).or(read).or(time).await {
            Event::Answer(answer) => answer.reach(&mut channel)?,
            Event::Wrote(Ok(n)) => tx.advance(n),
            Event::Read(Ok(0)) => channel.close(Close::Eof),
            Event::Read(Ok(n)) => {
                rx.extend_from_slice(&piece[..n]);
                // A socket that always has bytes would never let others run.
                yield_now().await;
            }
            Event::Wrote(Err(_)) | Event::Read(Err(_)) => channel.close(Close::Error),
            Event::Time => {}
        }
    };
    // Whoever is gone does not hear our last words.
    let too_long = async {
        Timer::after(sink.farewell).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let _ = farewell(writer, tx).or(too_long).await;
    Ok(end)
}

/// Writes what is left, says that this was all, and hears the peer out: to close a socket with unread bytes resets the
/// connection, and takes our last words with it.
async fn farewell(mut stream: TcpStream, mut tx: Outbox) -> io::Result<()> {
    while !tx.is_empty() {
        let n = stream.write(tx.chunk()).await?;
        tx.advance(n);
    }
    stream.shutdown(Shutdown::Write)?;
    let mut dropped = [0; PIECE];
    while stream.read(&mut dropped).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stream: std::net::TcpStream, sink: Arc<Sink>) -> io::Result<End> {
        smol::block_on(async { serve(smol::Async::new(stream)?.into(), &sink).await })
    }

    sink::exam::sit!(one);
}
