//! How a node behaves: what an operator configures, in the shape that the machines want.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::ConnId;
use crate::dns;
use crate::queue;
use crate::router::Routes;
use crate::session::{Direction, LayerInfo};
use crate::tls::TlsFactory;

/// Everything a node is told at its start, and again at a reload. It is the whole server's: where several nodes serve one
/// store, each keeps its [`Share`](super::Share) of the bounds that are marked as the server's.
#[derive(Clone)]
pub struct Config {
    /// Our name.
    pub hostname: String,
    /// Domains that are ours, and fixed routes for those that are not.
    pub routes: Routes,
    /// The listeners, by [`ListenerId`](super::ListenerId).
    pub services: Vec<Service>,
    /// Makes the server side of TLS; without it no listener offers TLS.
    pub tls: Option<Arc<dyn TlsFactory>>,
    /// When a password may cross a connection without TLS.
    pub cleartext: Cleartext,
    /// Largest message in bytes.
    pub message_size: u64,
    /// How mail goes out.
    pub delivery: Delivery,
    /// The name servers.
    pub dns: dns::Config,
    /// Bounds of the node itself.
    pub limits: Limits,
    /// Sees the plaintext of every connection, without what is secret.
    pub tap: Option<Arc<dyn TapSink>>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hostname", &self.hostname)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

/// What a listener offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether TLS is there.
    pub tls: TlsMode,
    /// Names of IMAP's [capabilities](crate::imap::server::CAPABILITIES) that are not announced there, for a client that
    /// one of them breaks.
    pub without: BTreeSet<String>,
}

impl Service {
    /// All that is spoken by this protocol.
    #[must_use]
    pub fn new(protocol: Protocol, tls: TlsMode) -> Self {
        Self { protocol, tls, without: BTreeSet::new() }
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP between servers.
    Transfer,
    /// SMTP from users.
    Submission,
    /// POP3.
    Pop3,
    /// IMAP.
    Imap,
    /// The control protocol, on a socket that only the owner can reach: no authentication.
    Control,
}

/// Whether TLS is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    None,
    /// By STARTTLS or STLS.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// When a password may cross a connection without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleartext {
    /// Never.
    Never,
    /// From this machine only.
    Loopback,
    /// Always. Think again.
    Always,
}

/// How mail goes out.
#[derive(Clone)]
pub struct Delivery {
    /// The port that other servers are reached on (25).
    pub port: u16,
    /// Makes the client side of opportunistic TLS; without it STARTTLS is not used.
    pub tls: Option<Arc<dyn TlsFactory>>,
    /// Retries, expiry, and the queue's bounds.
    pub queue: Arc<queue::Config>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Bounds of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions polled in one turn before `More`: bytes must be moved, too.
    pub sessions_per_turn: usize,
    /// Actions of one session in a row, before others have their turn; at least 1. Its own budget of steps begins anew
    /// with each action, so that alone would let it run through all that it has read.
    pub actions_per_session: usize,
    /// A body up to this many bytes stays in memory and travels inside the op; a larger one is staged.
    pub inline_body: usize,
    /// Bytes of such bodies in the whole server; when a node's part of them is used up, further bodies are staged from their first chunk.
    pub inline_bodies: usize,
    /// Messages of one APPEND that are staged when it may begin another one: each is a file that is open.
    pub staged_bodies: usize,
    /// Recipients of one SMTP transaction; RFC 5321 §4.5.3.1.8 wants 100 at least.
    pub recipients: usize,
    /// Bytes of plaintext and of ciphertext that a connection may hold unread.
    pub receive_buffer: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection out may take to come up.
    pub dial_timeout: Duration,
    /// How long a closed connection may take to write what is left, and how long a node that stops waits for the store
    /// when its last connection is closed.
    pub linger: Duration,
    /// Pause before an op that must not be lost is submitted again to a busy store.
    pub busy_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_per_turn: 64,
            actions_per_session: 32,
            inline_body: 256 * 1024,
            inline_bodies: 64 * 1024 * 1024,
            staged_bodies: 100,
            recipients: 1_000,
            receive_buffer: 64 * 1024,
            handshake_timeout: Duration::from_secs(30),
            dial_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(30),
            busy_pause: Duration::from_millis(50),
        }
    }
}

/// Where a tap's bytes go.
pub trait TapSink: Send + Sync {
    /// These plaintext bytes went `direction` on `conn`; what was secret is masked.
    fn bytes(&self, conn: ConnId, direction: Direction, bytes: &[u8]);

    /// A layer came up on `conn`; what follows is inside it.
    fn layer(&self, conn: ConnId, layer: &LayerInfo) {
        let _ = (conn, layer);
    }
}
