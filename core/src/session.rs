//! The contract every protocol machine keeps: two verbs, and a step that says what happens next.
//!
//! The host appends what it read to `rx`, writes out what is in `tx`, and calls [`Session::poll`] until it says
//! [`Step::Wait`], [`Step::More`] or [`Step::Done`]. Questions that the machine asks come as actions with a
//! [`Ticket`]; the host answers them by [`Answer::answer`] whenever it can, and polls again.

use core::fmt;

use bytes::BytesMut;

use crate::outbox::Outbox;
use crate::ticket::{Misuse, Ticket};
use crate::time::{Mono, Now};

/// A protocol machine: one end of one connection.
pub trait Session {
    /// What this machine asks of its host, or tells it.
    type Action;

    /// Consumes from `rx`, appends to `tx`, and returns the next thing for the host.
    ///
    /// Call it again until it returns `Wait`, `More` or `Done`. The buffers are those of the last poll: what stood in `rx`
    /// stands there still, and `tx` counts on from where it was.
    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Self::Action>;

    /// The connection ends. After [`Close::Eof`] what is in `rx` is still run; after any other it is dropped. Keep
    /// polling until `Done`: a machine gives back what it holds outside.
    fn close(&mut self, why: Close);

    /// The layer asked for by [`Step::Upgrade`] is up: from here on `rx` and `tx` are inside it.
    fn upgraded(&mut self, layer: LayerInfo);

    /// Which parts of what the last `poll` consumed or wrote are secret, so that a tap never sees them.
    fn secrets(&self) -> &[SecretSpan] {
        &[]
    }
}

/// How a question comes back: implemented by each session once for every type of answer that it takes.
pub trait Answer<A> {
    /// Answers the question that `ticket` stands for. An answer that comes too late (the question met its timeout, or
    /// the session is over) is dropped without harm.
    ///
    /// # Errors
    /// [`Misuse`] when the ticket is another session's.
    fn answer(&mut self, ticket: Ticket<A>, answer: A) -> Result<(), Misuse>;
}

/// What a machine says when polled. `L` is what layers it can ask for: a [`Channel`](crate::channel::Channel) asks for
/// none, and says so by a type that has no values.
#[derive(Debug)]
#[must_use = "a step tells the host what to do next"]
pub enum Step<A, L = Layer> {
    /// Do this, then poll again.
    Act(A),
    /// Flush `tx`, put this layer under the session, call `upgraded`, then poll again.
    Upgrade(L),
    /// The step budget is spent: let others run, then poll again.
    More,
    /// Nothing to do until one of these happens.
    Wait(Wait),
    /// Over. Flush `tx` and close the connection. Polled again, it says the same.
    Done(End),
}

/// What a machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whether it wants to read. `false` stops the host from reading: TCP pushes back.
    pub read: bool,
    /// When to poll at the latest. Polling then makes progress; before, without input, none. It is always later than the
    /// `now` of the poll that said it.
    pub until: Option<Mono>,
    /// Whom it waits for. A host that hears of everything at once needs it for nothing; one that can wait only for one
    /// thing at a time (a thread on a blocking socket) learns which.
    pub on: WaitingOn,
}

/// Whom a machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingOn {
    /// The peer: more bytes.
    Peer,
    /// The host: the answer to a question.
    Answer,
    /// The wire: room in `tx`.
    Flush,
}

/// A layer a session can ask to be put under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// TLS, after STARTTLS or STLS. Whether as server or client is known to whoever built the channel.
    Tls,
}

/// What a layer says of itself once it is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerInfo {
    /// TLS is up.
    Tls(TlsInfo),
}

/// What a finished TLS handshake tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The protocol version as the Received header names it: `TLS1.3`, `TLS1.2`.
    pub version: &'static str,
    /// The cipher suite by its IANA name, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The peer's certificate was checked against a name that we wanted. Opportunistic TLS does not check.
    pub verified: bool,
}

/// Why the host ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The peer closed its sending side. What it sent before is still run.
    Eof,
    /// The connection broke.
    Error,
    /// A layer failed: no handshake, or a broken record. Nothing more can be said to the peer.
    Layer,
    /// The host wants to stop: say goodbye (421, BYE, -ERR) and end.
    Shutdown,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By the protocol's own goodbye.
    Quit,
    /// The peer closed without a goodbye.
    Eof,
    /// The connection or its layer broke.
    Broken,
    /// The peer let a time limit pass.
    Timeout,
    /// The peer broke the protocol, or a bound, so often that we hung up.
    Refused,
    /// The host shut down.
    Shutdown,
    /// A change asked of the host was never confirmed; ending without a reply is the one honest answer.
    Unconfirmed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quit => "quit",
            Self::Eof => "closed by peer",
            Self::Broken => "connection broken",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
            Self::Unconfirmed => "unconfirmed",
        })
    }
}

/// A secret part of the plaintext stream, by its positions since the session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretSpan {
    /// Which way the bytes travel.
    pub direction: Direction,
    /// Position of the first secret byte.
    pub start: u64,
    /// Position after the last one.
    pub end: u64,
}

/// Which way bytes travel, seen from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer, through `rx`. Positions count the bytes that the session consumed.
    In,
    /// To the peer, through `tx`. Positions are those of [`Outbox::appended`].
    Out,
}
