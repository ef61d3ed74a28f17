//! One connection of a mail program: a client machine on a blocking socket, and no runtime at all.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use pillarbox_core::Outbox;
use pillarbox_core::channel::{Channel, ChannelConfig, Side, Tap};
use pillarbox_core::session::{Close, Direction, LayerInfo, Session, Step};
use pillarbox_core::tls::rustls::RustlsClient;
use pillarbox_runtime::Clock;

use super::dialogue::{Dialogue, Who};

/// Room for what is to be written.
const HIGH_WATER: usize = 64 * 1024;

/// A connection, and what was said over it.
pub(super) struct Connection<S: Session> {
    channel: Channel<S>,
    stream: TcpStream,
    clock: Clock,
    rx: BytesMut,
    tx: Outbox,
    piece: Vec<u8>,
    shown: Arc<Mutex<Dialogue>>,
}

impl<S: Session> Connection<S> {
    /// Connects; `implicit`: with TLS from the first octet on. What is said goes into the dialogue.
    ///
    /// # Errors
    /// When nobody is there.
    pub(super) fn open(
        session: S,
        to: SocketAddr,
        host: &str,
        implicit: bool,
        dialogue: Dialogue,
        until: Instant,
    ) -> io::Result<Self> {
        // Self-signed certificates are all that there is here; a real mail program would ask its user.
        let config = ChannelConfig {
            tls: Some(Arc::new(RustlsClient::opportunistic())),
            server_name: Some(host.to_owned()),
            implicit,
            ..ChannelConfig::plain(Side::Client)
        };
        let shown = Arc::new(Mutex::new(dialogue));
        let mut channel = Channel::new(session, config);
        channel.set_tap(Some(Box::new(Shown(Arc::clone(&shown)))));
        let stream = TcpStream::connect_timeout(&to, left(until)?)?;
        stream.set_nodelay(true)?;
        let (clock, piece) = (Clock::start(), vec![0; HIGH_WATER]);
        Ok(Self { channel, stream, clock, rx: BytesMut::new(), tx: Outbox::new(HIGH_WATER), piece, shown })
    }

    /// The session and its layers.
    pub(super) fn channel(&mut self) -> &mut Channel<S> {
        &mut self.channel
    }

    /// What has been said since the last time, and `next` in its place.
    pub(super) fn take(&mut self, next: Dialogue) -> Dialogue {
        std::mem::replace(&mut *lock(&self.shown), next)
    }

    /// Goes on until the session wants something of its host; `None` when it is over.
    ///
    /// # Errors
    /// When the connection breaks, or it takes longer than `until`.
    pub(super) fn next(&mut self, until: Instant) -> io::Result<Option<S::Action>> {
        loop {
            let now = self.clock.now();
            let step = self.channel.poll(now, &mut self.rx, &mut self.tx);
            let wrote = self.tx.has_remaining();
            while self.tx.has_remaining() {
                self.stream.set_write_timeout(Some(left(until)?))?;
                let written = self.stream.write(self.tx.chunk())?;
                self.tx.advance(written);
            }
            match step {
                Step::Act(action) => return Ok(Some(action)),
                Step::More => {}
                Step::Done(_) => return Ok(None),
                // There is room again, which the session and its layers have not seen.
                Step::Wait(_) if wrote => {}
                Step::Wait(wait) => {
                    let due = wait.until.map_or(Duration::MAX, |due| now.mono.until(due).max(Duration::from_millis(1)));
                    self.stream.set_read_timeout(Some(left(until)?.min(due)))?;
                    self.read()?;
                }
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        match self.stream.read(&mut self.piece) {
            Ok(0) => self.channel.close(Close::Eof),
            Ok(read) => self.rx.extend_from_slice(&self.piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.channel.close(Close::Error),
        }
        Ok(())
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(ErrorKind::TimedOut, "it took too long")) } else { Ok(left) }
}

/// Shows what a channel says and hears.
struct Shown(Arc<Mutex<Dialogue>>);

impl Tap for Shown {
    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        let who = if direction == Direction::Out { Who::Client } else { Who::Server };
        lock(&self.0).bytes(who, bytes);
    }

    fn layer(&mut self, layer: &LayerInfo) {
        lock(&self.0).layer(layer);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
