//! The log: one line an event, on standard error, at the level that `RUST_LOG` asks for.
//!
//! Lines are written by a thread of their own. When nobody reads them they are dropped, and counted, instead of stopping
//! the mail: a full pipe must not be able to do that.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use pillarbox_core::node::{ConnId, Event};
use pillarbox_core::smtp::Address;
use pillarbox_runtime::{Events, wall};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::failure::Failure;
use crate::print::clean;

/// Lines that may wait to be written.
const WAITING: usize = 4096;
/// Characters of a line at most; a stranger's words are not worth more.
const LONGEST: usize = 2000;
/// How long the last lines may take.
const FLUSH: Duration = Duration::from_secs(1);

/// Begins to log.
///
/// # Errors
/// When `RUST_LOG` is not a filter, or there is no thread.
pub(crate) fn start() -> Result<Log, Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) => EnvFilter::try_new(&text)
            .map_err(|error| Failure::usage(format!("RUST_LOG={text:?} is not a filter: {error}")))?,
        Err(_) => EnvFilter::new("info"),
    };
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lost);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write(&receiver, &counter))
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    let log = Log { sender: sender.clone() };
    // Under systemd the journal knows the time.
    let time = Time { shown: std::env::var_os("JOURNAL_STREAM").is_none() };
    let writer = move || Line { sender: sender.clone(), lost: Arc::clone(&lost) };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .with_timer(time)
        .with_writer(writer)
        .finish();
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| Failure::new(format!("cannot log: {error}")))?;
    Ok(log)
}

/// The running log.
pub(crate) struct Log {
    sender: SyncSender<Message>,
}

impl Log {
    /// Waits until everything is written, or nobody reads it.
    pub(crate) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// The log's thread.
fn write(receiver: &Receiver<Message>, lost: &AtomicU64) {
    let mut out = io::stderr();
    for message in receiver {
        // Where standard error is closed there is nobody to tell.
        match message {
            Message::Line(line) => drop(out.write_all(line.as_bytes())),
            Message::Flush(done) => drop(done.try_send(())),
        }
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let _ = writeln!(out, "{lines} lines of the log were lost here: nobody read them in time");
        }
    }
}

/// Takes one event's line.
struct Line {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut line: String = clean(text.strip_suffix('\n').unwrap_or(&text)).chars().take(LONGEST).collect();
        line.push('\n');
        if self.sender.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Time {
    shown: bool,
}

impl FormatTime for Time {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        if self.shown { write!(w, "{}", wall().rfc3339()) } else { Ok(()) }
    }
}

/// Logs a node's events.
#[derive(Debug)]
pub(crate) struct EventLog;

impl Events for EventLog {
    fn event(&self, event: &Event) {
        match event {
            Event::Opened { conn, kind, peer } => tracing::debug!("{}: {kind} with {peer}", name(*conn)),
            Event::Ended { conn, end } => tracing::debug!("{}: ended: {end}", name(*conn)),
            Event::Authenticated { conn, login } => tracing::info!("{}: logged in as {login}", name(*conn)),
            Event::NotAuthenticated { conn, login } => {
                tracing::warn!("{}: wrong name or password for {login:?}", name(*conn));
            }
            Event::Refused { conn, reply } => tracing::info!("{}: refused: {reply}", name(*conn)),
            Event::Accepted { conn, transaction: _, reverse_path, delivered, queued, size } => tracing::info!(
                "{}: accepted {size} octets from {}: delivered to {delivered}, queued for {queued}",
                name(*conn),
                path(reverse_path.as_ref()),
            ),
            Event::Attempted { row, recipient, host, reply } => {
                let at = if host.is_empty() { String::new() } else { format!(" at {host}") };
                tracing::info!("queue {row}: tried <{recipient}>{at}: {reply}");
            }
            Event::Bounced { row, recipient, reply, reported } => {
                let told = if *reported { "its sender is told" } else { "there is nobody to tell" };
                tracing::warn!("queue {row}: gave <{recipient}> up, {told}: {reply}");
            }
            Event::Unreachable { host, why } => tracing::info!("cannot reach {host}: {why}"),
            Event::Filed { conn, messages } => tracing::info!("{}: messages filed: {messages}", name(*conn)),
            Event::Removed { conn, messages } => tracing::info!("{}: messages removed: {messages}", name(*conn)),
            Event::StoreTrouble { what } => tracing::error!("the store: {what}"),
        }
    }
}

fn name(conn: ConnId) -> String {
    format!("session {}", conn.0)
}

fn path(reverse_path: Option<&Address>) -> String {
    reverse_path.map_or_else(|| "<>".to_owned(), |address| format!("<{address}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_a_stranger_put_into_it() {
        let (sender, receiver) = mpsc::sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let mut line = Line { sender, lost: Arc::clone(&lost) };
        line.write_all("told: \x1b[2J\r\nforged\u{85}\u{0}\n".as_bytes()).unwrap();
        let Ok(Message::Line(text)) = receiver.try_recv() else { panic!() };
        assert_eq!(text, "told: ?[2J??forged??\n");
        line.write_all("x".repeat(5000).as_bytes()).unwrap();
        line.write_all(b"one too many\n").unwrap();
        let Ok(Message::Line(text)) = receiver.try_recv() else { panic!() };
        assert_eq!((text.len(), lost.load(Ordering::Relaxed)), (LONGEST + 1, 1));
    }
}
