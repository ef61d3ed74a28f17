//! TLS as bytes in, bytes out.
//!
//! An engine is three calls with all buffers outside: [`decrypt`](TlsEngine::decrypt), [`encrypt`](TlsEngine::encrypt),
//! [`close`](TlsEngine::close). The [`fake`] engine serves bit-exact simulations; `rustls` (feature `tls`) the world.
//! [`Channel`](crate::channel::Channel) drives an engine under a session; a host names one only to configure it.
//!
//! An engine holds a partial record and nothing else: plaintext leaves it in the call that decrypted it, so a flood
//! meets the caller's bounds and an idle connection costs little.

pub mod fake;
#[cfg(feature = "tls")]
pub mod rustls;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use bytes::BytesMut;

use crate::outbox::Outbox;
use crate::session::TlsInfo;
use crate::show::is_plain;
use crate::time::Wall;

/// One end of one TLS connection.
pub trait TlsEngine: Send {
    /// Takes records from `rx`; appends plaintext to `plain`, and what the handshake has to say to `tx`.
    ///
    /// Returns after the first record that gave plaintext or changed the state, so that what it says can be run before
    /// a later record fails; call again while `rx` holds bytes. Takes nothing while `plain` holds `plain_limit` bytes
    /// or more, so that a flood meets backpressure; it passes the limit by one record (16 KiB) at most. A client calls
    /// it with an empty `rx` to begin. What stands behind a close_notify is dropped (RFC 8446 §6.1).
    ///
    /// # Errors
    /// [`TlsError`]: the connection is over. Our alert, if there is one to send, stands in `tx`. From then on every
    /// call fails.
    fn decrypt(
        &mut self,
        now: Wall,
        rx: &mut BytesMut,
        plain: &mut BytesMut,
        plain_limit: usize,
        tx: &mut Outbox,
    ) -> Result<TlsState, TlsError>;

    /// Encrypts what is in `plain` into `tx`, as far as `tx` has room; it passes `tx`'s high water by one record
    /// (16 KiB) at most. Takes nothing before the handshake is over.
    ///
    /// # Errors
    /// [`TlsError`]: the connection is over.
    fn encrypt(&mut self, plain: &mut Outbox, tx: &mut Outbox) -> Result<(), TlsError>;

    /// Says close_notify, once; nothing can be encrypted behind it. Without a handshake there is nothing to close, and
    /// after an error nothing to say.
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

/// A TLS connection failed, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What sort of failure it is.
    pub kind: TlsErrorKind,
    /// In words, without anything secret and without control characters.
    pub reason: String,
}

/// What sort of failure ended a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsErrorKind {
    /// Ours to mend: a certificate, a key, a name that is none. No byte was exchanged.
    Configuration,
    /// The peer sent a fatal alert: it does not want what we offer.
    Alert,
    /// What came is no TLS, or a record was forged or broken, or the peer broke the protocol.
    Protocol,
    /// The connection ended without a close_notify: what came before it is true, but may not be all.
    Truncated,
    /// The handshake took too long.
    Timeout,
}

impl TlsError {
    /// An error of this kind. What a peer put into `reason` is made harmless: control characters become `?`, and what
    /// is longer than 200 characters is cut.
    #[must_use]
    pub fn new(kind: TlsErrorKind, reason: &str) -> Self {
        let reason = reason.chars().take(200).map(|c| if is_plain(c) { c } else { '?' }).collect();
        Self { kind, reason }
    }
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
