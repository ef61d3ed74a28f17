//! TLS as bytes in, bytes out.
//!
//! An engine is three calls with all buffers outside: [`decrypt`](TlsEngine::decrypt), [`encrypt`](TlsEngine::encrypt),
//! [`close`](TlsEngine::close). The [`fake`] engine serves bit-exact simulations; `rustls` (feature `tls`) the world.

use alloc::boxed::Box;
use core::fmt;

use bytes::BytesMut;

use crate::outbox::Outbox;
use crate::session::TlsInfo;
use crate::time::Wall;

/// One end of one TLS connection.
pub trait TlsEngine: Send {
    /// Takes records from `rx`; appends plaintext to `plain`, and what the handshake has to say to `tx`.
    ///
    /// Stops taking records while `plain` holds `plain_limit` bytes or more, so that a flood meets backpressure. A client calls
    /// it with an empty `rx` to begin.
    ///
    /// # Errors
    /// [`TlsError`]: the connection is over; an alert may stand in `tx`.
    fn decrypt(
        &mut self,
        now: Wall,
        rx: &mut BytesMut,
        plain: &mut BytesMut,
        plain_limit: usize,
        tx: &mut Outbox,
    ) -> Result<TlsState, TlsError>;

    /// Encrypts what is in `plain` into `tx`, as far as `tx` has room.
    ///
    /// # Errors
    /// [`TlsError`]: the connection is over.
    fn encrypt(&mut self, plain: &mut Outbox, tx: &mut Outbox) -> Result<(), TlsError>;

    /// Says close_notify.
    fn close(&mut self, tx: &mut Outbox);
}

/// How far an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// The handshake goes on.
    Handshaking,
    /// It is up.
    Up(TlsInfo),
    /// The peer said close_notify; everything before it is in `plain`.
    Closed,
}

/// A TLS connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// In words, without anything secret.
    pub reason: alloc::string::String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for TlsError {}

/// Makes engines: one a listener or a client configuration, shared by its connections.
pub trait TlsFactory: Send + Sync {
    /// An engine for a new connection. `server_name` is the name a client wants (SNI); a server has none.
    ///
    /// # Errors
    /// [`TlsError`] when no engine can be made, as for a name that is none.
    fn engine(&self, server_name: Option<&str>) -> Result<Box<dyn TlsEngine>, TlsError>;
}
