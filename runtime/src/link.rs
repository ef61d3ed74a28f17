//! One connection between its socket and its session: how far it is, and what it waits for.
//!
//! ```text
//!             up              Close               all written           read, or time over
//! Connecting ────▶ Open ────────────────▶ Closing ──────────▶ Farewell ───────────────────▶ gone
//!      │            │ broken                 │ broken                                          ▲
//!      │ failed     ▼        Close           ▼                                                 │
//!      │          Broken ──────────────────────────────────────────────────────────────────────┤
//!      └────────────────────────────── Close at once, from anywhere ──────────────────────────▶┘
//! ```

use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Buf as _;
use pillarbox_core::{Mono, Outbox};

use crate::Socket;
use crate::inbox::Place;

/// Segments of one `writev`.
const SLICES: usize = 16;

/// After our last word, how many bytes are still read: a socket closed over unread bytes is reset, and the peer may lose
/// that word.
const FAREWELL: usize = 1024 * 1024;

pub(crate) struct Link {
    pub(crate) socket: Rc<Socket>,
    pub(crate) stage: Stage,
    /// The session wants to read.
    pub(crate) reading: bool,
    /// The peer's end was seen.
    pub(crate) eof: bool,
    /// The last write found no room.
    pub(crate) blocked: bool,
    _place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Dialed, and not up yet.
    Connecting,
    /// Up.
    Open,
    /// The session is over: what is left is written, then it closes.
    Closing,
    /// Our side is closed. The peer's is read for a moment, and so many bytes.
    Farewell { left: usize, until: Mono },
    /// It failed, and the session was told. Nothing is moved any more.
    Broken,
}

/// Which way bytes can or should go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// In.
    pub read: bool,
    /// Out.
    pub write: bool,
}

impl Link {
    pub(crate) fn new(socket: Socket, stage: Stage, place: Option<Place>) -> Self {
        Self { socket: Rc::new(socket), stage, reading: false, eof: false, blocked: false, _place: place }
    }

    /// What it waits for.
    pub(crate) fn want(&self) -> Ready {
        match self.stage {
            Stage::Connecting => Ready { read: false, write: true },
            Stage::Open => Ready { read: self.reading && !self.eof, write: self.blocked },
            Stage::Closing => Ready { read: false, write: self.blocked },
            Stage::Farewell { .. } => Ready { read: true, write: false },
            Stage::Broken => Ready::default(),
        }
    }

    /// Writes what is in `tx`, as much as the socket takes. Whether anything was written.
    pub(crate) fn write(&mut self, tx: &mut Outbox) -> io::Result<bool> {
        let mut wrote = false;
        self.blocked = false;
        while !tx.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slot, slice) in slices.iter_mut().zip(tx.slices()) {
                *slot = IoSlice::new(slice);
                used += 1;
            }
            match self.socket.write(&slices[..used]) {
                Ok(written) => tx.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
            wrote = true;
        }
        Ok(wrote)
    }

    /// Closes our side. `true` when the peer's may still have something for us to read before it is all over.
    pub(crate) fn shutdown(&mut self, until: Mono) -> bool {
        if self.socket.shutdown().is_err() || self.eof {
            return false;
        }
        self.stage = Stage::Farewell { left: FAREWELL, until };
        true
    }
}
