//! What stands around the messages of an APPEND (RFC 9051 §6.3.12, RFC 3502, RFC 3516, RFC 6855).

use alloc::vec::Vec;

use super::{DateTime, Flag};

/// What is said of one message before its octets come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// Its flags; no `\Recent`.
    pub flags: Vec<Flag>,
    /// Its internal date; now, when not said.
    pub date: Option<DateTime>,
    /// How it comes.
    pub literal: Literal,
    /// `UTF8 (~{…}`: its header may hold UTF-8 (RFC 6855 §4). A `)` stands behind its octets.
    pub utf8: bool,
}

/// An announced run of octets (RFC 9051 §4.3, RFC 7888, RFC 3516 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// How many octets; at most 2^63 - 1.
    pub len: u64,
    /// Whether the client waits for us.
    pub mode: LiteralMode,
    /// `~{…}`: any octets, NUL too.
    pub binary: bool,
}

/// Whether the client waits before it sends the octets of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralMode {
    /// `{n}`: it waits for `+`, and sends nothing when it gets NO or BAD.
    Synchronizing,
    /// `{n+}`: the octets come whatever we say.
    NonSynchronizing,
}

impl AppendMessage {
    /// Messages in one APPEND at most (RFC 3502): all of them are committed at once.
    pub const MAX_MESSAGES: usize = 1000;
}
