//! One connection between a puppet and a blocking socket: what a dialogue is played over.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::Close;
use pillarbox_core::node::ConnId;
use socket2::SockRef;

use super::PATIENCE;
use super::strings::{Order, Strings};
use crate::dialogue::Wire;

/// How the peer cuts what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Not at all: the machine runs when all of it has come.
    Whole,
    /// Into pieces, the first ones of a byte each; the machine runs after each of them.
    Pieces,
}

/// Pieces of one byte at the beginning of what is said at once; then they grow, so that a large body takes no ages.
const SINGLE: usize = 64;

/// A peer's seat: its socket, and the strings to the machine at the other end.
#[derive(Debug)]
pub struct Seat {
    strings: Arc<Strings>,
    conn: ConnId,
    /// `None` once it is gone.
    peer: Option<TcpStream>,
    cut: Cut,
    /// Said, and not yet put on the wire.
    unsaid: VecDeque<Vec<u8>>,
    /// Bytes that are on the wire, and that the machine has not taken.
    travelling: usize,
    reading: bool,
    eof: bool,
    error: bool,
}

impl Seat {
    pub(super) fn take(strings: Arc<Strings>, conn: ConnId, peer: TcpStream, cut: Cut) -> Result<Self, String> {
        let set = || {
            peer.set_nodelay(true)?;
            peer.set_read_timeout(Some(PATIENCE))?;
            peer.set_write_timeout(Some(PATIENCE))
        };
        set().map_err(|e: std::io::Error| e.to_string())?;
        let unsaid = VecDeque::new();
        let peer = Some(peer);
        Ok(Self { strings, conn, peer, cut, unsaid, travelling: 0, reading: false, eof: false, error: false })
    }

    /// The peer's socket.
    ///
    /// # Errors
    /// It is gone.
    pub fn peer(&self) -> Result<&TcpStream, String> {
        self.peer.as_ref().ok_or_else(|| "the peer is gone".to_owned())
    }

    /// The machine says this.
    pub fn writes(&self, bytes: impl Into<Vec<u8>>) {
        self.strings.order(Order::Write { conn: self.conn, bytes: bytes.into() });
    }

    /// From now on the machine reads, or does not.
    pub fn reads(&mut self, read: bool) {
        if read != self.reading {
            self.reading = read;
            self.strings.order(Order::Read { conn: self.conn, read });
        }
    }

    /// The machine closes behind its last words.
    pub fn closes(&self, last: impl Into<Vec<u8>>) {
        self.strings.order(Order::Close { conn: self.conn, last: last.into(), abort: false });
    }

    /// The machine closes at once, and forgets the connection; waits until it has.
    ///
    /// # Errors
    /// It does not.
    pub fn aborts(&self) -> Result<(), String> {
        self.strings.order(Order::Close { conn: self.conn, last: Vec::new(), abort: true });
        self.strings.saw(self.conn, "its order to close", |saw| saw.forgotten.then_some(()))
    }

    /// Waits until this many bytes have come to the machine since it was last asked, or more; all of them.
    ///
    /// # Errors
    /// They do not come.
    pub fn receives(&self, count: usize) -> Result<Vec<u8>, String> {
        self.strings.saw(self.conn, &format!("{count} bytes"), |saw| {
            (saw.arrived.len() >= count || saw.error).then(|| std::mem::take(&mut saw.arrived))
        })
    }

    /// Waits until the machine has seen the end of what the peer says.
    ///
    /// # Errors
    /// It does not.
    pub fn sees_eof(&self) -> Result<(), String> {
        self.strings.saw(self.conn, "the end of the stream", |saw| saw.eof.then_some(()))
    }

    /// Waits until the machine has seen that the connection broke.
    ///
    /// # Errors
    /// It does not.
    pub fn sees_error(&self) -> Result<(), String> {
        self.strings.saw(self.conn, "that the connection broke", |saw| saw.error.then_some(()))
    }

    /// Whether the machine has seen that the connection broke.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.strings.glance(self.conn, |saw| saw.error)
    }

    /// Waits until the machine was told that it is closed as it wanted.
    ///
    /// # Errors
    /// It was not.
    pub fn sees_done(&self) -> Result<(), String> {
        self.strings.saw(self.conn, "that it is closed", |saw| saw.done.then_some(()))
    }

    /// The peer goes without a goodbye: the other side is to see a reset.
    ///
    /// # Errors
    /// It is gone already.
    pub fn vanishes(&mut self) -> Result<(), String> {
        let peer = self.peer.take().ok_or("the peer is gone")?;
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).map_err(|e| e.to_string())
    }

    /// The peer closes its socket.
    pub fn hangs_up(&mut self) {
        self.peer = None;
    }

    /// The peer hears these bytes next.
    ///
    /// # Errors
    /// It hears others, or none.
    pub fn hears(&self, bytes: &[u8]) -> Result<(), String> {
        let mut heard = vec![0; bytes.len()];
        let mut socket = self.peer()?;
        let silence = |e| format!("the peer does not hear {}: {e}; {}", shown(bytes), self.strings.describe(self.conn));
        socket.read_exact(&mut heard).map_err(silence)?;
        if heard == bytes { Ok(()) } else { Err(format!("the peer hears {}, not {}", shown(&heard), shown(bytes))) }
    }

    /// Puts a piece on the wire.
    fn put(&mut self) -> Result<(), String> {
        let Some(piece) = self.unsaid.pop_front() else { return Ok(()) };
        let mut socket = self.peer()?;
        socket.write_all(&piece).map_err(|e| format!("the peer cannot say {}: {e}", shown(&piece)))?;
        self.travelling += piece.len();
        Ok(())
    }

    /// Waits for what is on the wire.
    fn collect(&mut self) -> Result<Vec<u8>, String> {
        let expected = self.travelling;
        let bytes = self.receives(expected)?;
        if bytes.len() != expected {
            return Err(format!("{expected} bytes were said, and these came: {}", shown(&bytes)));
        }
        self.travelling = 0;
        Ok(bytes)
    }
}

impl Wire for Seat {
    fn say(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.cut {
            Cut::Whole => self.unsaid.push_back(bytes.to_vec()),
            Cut::Pieces => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let most = (self.unsaid.len() + 1).saturating_sub(SINGLE).max(1);
                    let (piece, behind) = rest.split_at(most.min(rest.len()));
                    self.unsaid.push_back(piece.to_vec());
                    rest = behind;
                }
            }
        }
        Ok(())
    }

    fn is_pending(&self) -> bool {
        !self.unsaid.is_empty() || self.travelling > 0
    }

    fn arrive(&mut self) -> Result<Vec<u8>, String> {
        match self.cut {
            Cut::Whole => {
                while !self.unsaid.is_empty() {
                    self.put()?
                }
            }
            // The next one waits until this one is run.
            Cut::Pieces if self.travelling == 0 => self.put()?,
            Cut::Pieces => {}
        }
        if self.reading && self.travelling > 0 { self.collect() } else { Ok(Vec::new()) }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.error {
            return Ok(());
        }
        self.writes(bytes);
        self.hears(bytes)
    }

    fn wait(&mut self, read: bool) -> Result<(), String> {
        // Behind the peer's end there is nothing to be read, and a broken connection is left alone.
        self.reads(read && !self.eof && !self.error);
        self.strings.breach()
    }

    fn end(&mut self, why: Close) -> Result<Vec<u8>, String> {
        let read = self.reading;
        while !self.unsaid.is_empty() {
            self.put()?;
        }
        // Whoever does not read does not see an end, either.
        self.reads(true);
        let unread = if self.travelling > 0 { self.collect()? } else { Vec::new() };
        match why {
            Close::Eof => {
                self.peer()?.shutdown(Shutdown::Write).map_err(|e| e.to_string())?;
                self.sees_eof()?;
                self.eof = true;
            }
            Close::Error => {
                self.vanishes()?;
                self.sees_error()?;
                self.error = true;
            }
            // The host's own doing: the wire has no part in it.
            Close::Layer | Close::Shutdown => self.reads(read),
        }
        Ok(unread)
    }

    fn over(&mut self, last: &[u8]) -> Result<(), String> {
        if self.error {
            self.aborts()?;
        } else {
            self.closes(last);
        }
        let Some(mut peer) = self.peer.take() else { return self.strings.breach() };
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).map_err(|e| format!("the peer hears {}, and then {e}", shown(&heard)))?;
        if heard != last {
            return Err(format!("the peer hears {} at the end, not {}", shown(&heard), shown(last)));
        }
        drop(peer);
        self.sees_done()
    }

    fn leave(&mut self) -> Result<(), String> {
        self.aborts()?;
        let Some(mut peer) = self.peer.take() else { return self.strings.breach() };
        let mut heard = Vec::new();
        match peer.read_to_end(&mut heard) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                return Err(format!("the peer does not hear the end: {error}"));
            }
            _ if !heard.is_empty() => return Err(format!("the peer hears {} at the end", shown(&heard))),
            _ => {}
        }
        self.strings.breach()
    }
}

fn shown(bytes: &[u8]) -> String {
    let most = bytes.len().min(200);
    format!("{} bytes \"{}\"", bytes.len(), bytes[..most].escape_ascii())
}
