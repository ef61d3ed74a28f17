//! The tap: what a connection says in plaintext, for transcripts and recordings, without what is secret.
//!
//! It sits between the layers and the session, so it shows what was said under TLS, too. What the session marks as
//! secret ([`Session::secrets`](crate::session::Session::secrets)) is replaced by `****` before anybody sees it.

use alloc::boxed::Box;

use bytes::BytesMut;

use crate::outbox::Outbox;
use crate::session::{Direction, LayerInfo, SecretSpan};

/// Sees a session's plaintext as the session takes and says it.
pub trait Tap {
    /// These bytes went this way. They are whole lines or not, as the session took them.
    fn bytes(&mut self, direction: Direction, bytes: &[u8]);

    /// A layer came up; what follows is inside it.
    fn layer(&mut self, layer: &LayerInfo) {
        let _ = layer;
    }
}

/// What stands in a secret's place, however long it is: its length is secret, too.
const MASK: &[u8] = b"****";

/// A tap in use.
pub(super) struct Tapped {
    tap: Box<dyn Tap + Send>,
    /// A copy of what stands in the session's `rx`: what it consumed is known only when it is gone.
    held: BytesMut,
}

impl Tapped {
    pub(super) fn new(tap: Box<dyn Tap + Send>) -> Self {
        Self { tap, held: BytesMut::new() }
    }

    /// Notes what stands in `rx` before the session's turn. Each byte is copied once.
    pub(super) fn arrived(&mut self, rx: &[u8]) {
        // Shorter than before: the host dropped it, or a layer came between.
        if rx.len() < self.held.len() {
            self.held.clear();
        }
        self.held.extend_from_slice(&rx[self.held.len()..]);
    }

    /// The session took `n` bytes, the first of which is at `position`.
    pub(super) fn consumed(&mut self, n: usize, position: u64, secrets: &[SecretSpan]) {
        let taken = self.held.split_to(n.min(self.held.len()));
        self.show(Direction::In, &taken, position, secrets);
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// The session appended to `tx` what lies behind `position`.
    pub(super) fn wrote(&mut self, tx: &Outbox, position: u64, secrets: &[SecretSpan]) {
        let new = usize::try_from(tx.appended() - position).map_or(tx.len(), |new| new.min(tx.len()));
        if new == 0 {
            return;
        }
        let mut skip = tx.len() - new;
        let mut said = BytesMut::with_capacity(new);
        for piece in tx.slices() {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            said.extend_from_slice(&piece[skipped..]);
        }
        self.show(Direction::Out, &said, position, secrets);
    }

    pub(super) fn layer(&mut self, layer: &LayerInfo) {
        self.held.clear();
        self.tap.layer(layer);
    }

    /// Shows `bytes`, whose first is at `position`, without the secrets in them.
    fn show(&mut self, direction: Direction, bytes: &[u8], position: u64, secrets: &[SecretSpan]) {
        let place =
            |at: u64| usize::try_from(at.saturating_sub(position)).map_or(bytes.len(), |at| at.min(bytes.len()));
        let mut at = 0;
        while at < bytes.len() {
            let next = secrets.iter().filter(|span| span.direction == direction && span.start < span.end);
            let next = next.map(|span| (place(span.start), place(span.end))).filter(|&(_, end)| end > at).min();
            let (start, end) = next.unwrap_or((bytes.len(), bytes.len()));
            if start > at {
                self.tap.bytes(direction, &bytes[at..start]);
            }
            if end > start.max(at) {
                self.tap.bytes(direction, MASK);
            }
            at = end.max(start);
        }
    }
}
