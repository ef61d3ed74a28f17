//! The SMTP sink on tokio: a task for each connection.
//!
//! ```text
//! cargo run -p pillarbox-core --example sink_tokio -- 127.0.0.1:2525
//! ```
//!
//! What the sink does with mail stands in `sink/mod.rs`. Here is only the loop.

mod sink;

use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use pillarbox_core::channel::Channel;
use pillarbox_core::smtp::server::Server;
use pillarbox_core::{Close, End, Outbox, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use sink::{HIGH_WATER, Mail, PIECE, Sink};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let sink = Arc::new(Sink::begin(io::stdout())?);
    let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:2525")).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let sink = Arc::clone(&sink);
        tokio::spawn(async move { eprintln!("{peer}: {:?}", serve(stream, &sink).await) });
    }
}

/// One connection, from its greeting to its end.
async fn serve(mut stream: TcpStream, sink: &Arc<Sink>) -> io::Result<End> {
    stream.set_nodelay(true)?;
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut channel = sink.channel(stream.peer_addr()?);
    let mut mail = Mail::new(sink, move |answer| drop(answers.send(answer)));
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(HIGH_WATER));
    let (mut reader, mut writer) = stream.split();
    let end = loop {
        match channel.poll(sink.now(), &mut rx, &mut tx) {
            Step::Act(action) => mail.act(&mut channel, action)?,
            Step::More => tokio::task::yield_now().await,
            Step::Done(end) => break end,
            // Whatever comes first; then the machine is asked again.
            Step::Wait(wait) => {
                rx.reserve(if wait.read { PIECE } else { 0 });
                tokio::select! {
                    Some(answer) = answered.recv() => answer.reach(&mut channel)?,
                    n = writer.write_buf(&mut tx), if !tx.is_empty() => moved(&mut channel, n),
                    n = reader.read_buf(&mut rx), if wait.read => moved(&mut channel, n),
                    () = async {
                        match wait.until {
                            Some(until) => sleep_until(sink.instant(until).into()).await,
                            None => pending().await,
                        }
                    } => {}
                }
            }
        }
    };
    // Whoever is gone does not hear our last words.
    let _ = timeout(sink.farewell, farewell(stream, tx)).await;
    Ok(end)
}

/// Tells the channel what it must know of a read or a write.
fn moved(channel: &mut Channel<Server>, moved: io::Result<usize>) {
    match moved {
        Ok(0) => channel.close(Close::Eof),
        Ok(_) => {}
        Err(_) => channel.close(Close::Error),
    }
}

/// Writes what is left, says that this was all, and hears the peer out: to close a socket with unread bytes resets the
/// connection, and takes our last words with it.
async fn farewell(mut stream: TcpStream, mut tx: Outbox) -> io::Result<()> {
    stream.write_all_buf(&mut tx).await?;
    stream.shutdown().await?;
    let mut dropped = [0; PIECE];
    while stream.read(&mut dropped).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stream: std::net::TcpStream, sink: Arc<Sink>) -> io::Result<End> {
        stream.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { serve(TcpStream::from_std(stream)?, &sink).await })
    }

    sink::exam::sit!(one);
}
