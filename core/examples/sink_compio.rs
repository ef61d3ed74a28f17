//! The SMTP sink on compio, which completes reads and writes (io_uring) instead of telling who is ready: a task for each
//! connection.
//!
//! ```text
//! cargo run -p pillarbox-core --example sink_compio -- 127.0.0.1:2525
//! ```
//!
//! What the sink does with mail stands in `sink/mod.rs`. Here is only the loop, written by following
//! `docs/bring-your-own-runtime.md`.

mod sink;

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use compio::BufResult;
use compio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::Runtime;
use compio::time::{sleep_until, timeout};
use futures::channel::mpsc;
use futures::future::{Fuse, FusedFuture as _, FutureExt as _};
use futures::{StreamExt as _, select};
use pillarbox_core::{Close, End, Mono, Outbox, Step};

use sink::{HIGH_WATER, Mail, PIECE, Sink};

fn main() -> io::Result<()> {
    let sink = Arc::new(Sink::begin(io::stdout())?);
    Runtime::new()?.block_on(async {
        let bind = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2525".into());
        let listener = TcpListener::bind(bind).await?;
        eprintln!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            let sink = Arc::clone(&sink);
            compio::runtime::spawn(async move { eprintln!("{peer}: {:?}", serve(stream, &sink).await) }).detach();
        }
    })
}

/// One connection, from its greeting to its end.
async fn serve(stream: TcpStream, sink: &Arc<Sink>) -> io::Result<End> {
    stream.set_nodelay(true)?;
    let (answers, mut answered) = mpsc::unbounded();
    let mut channel = sink.channel(stream.peer_addr()?);
    let mut mail = Mail::new(sink, move |answer| drop(answers.unbounded_send(answer)));
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(HIGH_WATER));
    // What is under way belongs to the kernel until it is complete, however often the machine is polled meanwhile.
    let (mut reading, mut writing) = (pin!(Fuse::terminated()), pin!(Fuse::terminated()));
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
        if wait.read && reading.is_terminated() {
            reading.set(read(&stream).fuse());
        }
        if writing.is_terminated()
            && let Some(piece) = tx.pop()
        {
            writing.set(write(&stream, piece).fuse());
        }
        // Whatever comes first; then the machine is asked again.
        select! {
            answer = answered.select_next_some() => answer.reach(&mut channel)?,
            wrote = writing => if wrote.is_err() { channel.close(Close::Error) },
            read = reading => match read {
                Ok(piece) if piece.is_empty() => channel.close(Close::Eof),
                Ok(piece) => rx.extend_from_slice(&piece),
                Err(_) => channel.close(Close::Error),
            },
            () = pin!(deadline(sink, wait.until).fuse()) => {}
        }
    };
    let farewell = async {
        if !writing.is_terminated() {
            writing.await?;
        }
        while let Some(piece) = tx.pop() {
            write(&stream, piece).await?;
        }
        (&stream).shutdown().await?;
        let mut ended = !reading.is_terminated() && reading.await?.is_empty();
        while !ended {
            ended = read(&stream).await?.is_empty();
        }
        io::Result::Ok(())
    };
    // Whoever is gone does not hear our last words.
    let _ = timeout(sink.farewell, farewell).await;
    Ok(end)
}

async fn read(mut stream: &TcpStream) -> io::Result<BytesMut> {
    let BufResult(read, piece) = stream.read(BytesMut::with_capacity(PIECE)).await;
    read.map(|_| piece)
}

async fn write(mut stream: &TcpStream, piece: Bytes) -> io::Result<()> {
    stream.write_all(piece).await.0
}

async fn deadline(sink: &Sink, until: Option<Mono>) {
    match until {
        Some(until) => sleep_until(sink.instant(until)).await,
        None => pending().await,
    }
}

/// Lets other tasks run once.
async fn yield_now() {
    let mut others = true;
    poll_fn(|context| {
        if !std::mem::take(&mut others) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stream: std::net::TcpStream, sink: Arc<Sink>) -> io::Result<End> {
        Runtime::new()?.block_on(async { serve(TcpStream::from_std(stream)?, &sink).await })
    }

    sink::exam::sit!(one);
}
