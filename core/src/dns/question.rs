//! One question on its way: which server is asked now, over what, and who is next.
//!
//! ```text
//!             a free socket                 truncated, or too many wrong answers
//!   Ready ------------------> Datagram ------------------------------------------> Stream
//!     ^                          |  timeout, refused                                  |  failed, timeout, refused
//!     +--------------------------+-------------------- the next server <--------------+
//!                                |                                                    |
//!                                +---> answered, or no server left: the question ends <---+
//! ```

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::limits::Limits;
use super::{LookupId, SocketId, StreamId};
use crate::time::Mono;

/// A question that at least one lookup waits for. The same question is never open twice (RFC 5452 §5).
#[derive(Debug)]
pub(super) struct Question {
    /// Who waits for it.
    pub(super) waiters: BTreeSet<LookupId>,
    /// Where it stands.
    pub(super) phase: Phase,
    /// Whether we offer EDNS: until a server dislikes it.
    pub(super) edns: bool,
    /// Wrong answers that came to the current try.
    pub(super) wrong: u32,
    servers: Vec<SocketAddr>,
    /// Those that answered, but would not say.
    refused: Vec<bool>,
    /// Tries so far.
    tries: u32,
    /// What the last server said that would not say.
    words: Option<String>,
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a free socket.
    Ready,
    /// A datagram is out.
    Datagram { socket: SocketId, server: SocketAddr, id: u16, deadline: Mono },
    /// An exchange over TCP is under way.
    Stream { stream: StreamId, server: SocketAddr, id: u16, deadline: Mono },
}

impl Phase {
    /// The server being asked, and until when.
    pub(super) fn asking(self) -> Option<(SocketAddr, Mono)> {
        match self {
            Self::Ready => None,
            Self::Datagram { server, deadline, .. } | Self::Stream { server, deadline, .. } => Some((server, deadline)),
        }
    }
}

impl Question {
    /// A question for these servers, to be asked in this order.
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        let refused = vec![false; servers.len()];
        Self {
            waiters: BTreeSet::new(),
            phase: Phase::Ready,
            edns: true,
            wrong: 0,
            servers,
            refused,
            tries: 0,
            words: None,
        }
    }

    /// The next server to try, and for how long: round by round, each twice as patient. `None` when all was tried.
    pub(super) fn next(&mut self, limits: &Limits) -> Option<(SocketAddr, Duration)> {
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        while self.tries < servers.saturating_mul(limits.rounds) {
            let (round, index) = (self.tries / servers, (self.tries % servers) as usize);
            self.tries += 1;
            self.wrong = 0;
            if !self.refused[index] {
                let patience = limits.first_timeout.saturating_mul(1u32.checked_shl(round).unwrap_or(u32::MAX));
                return Some((self.servers[index], patience));
            }
        }
        None
    }

    /// `server` said that it will not say: it is not asked again.
    pub(super) fn refuse(&mut self, server: SocketAddr, words: &str) {
        self.words = Some(format!("{server} answered {words}"));
        for (refused, address) in self.refused.iter_mut().zip(&self.servers) {
            *refused |= *address == server;
        }
    }

    /// The same server once more, without EDNS.
    pub(super) fn retry_plain(&mut self) {
        self.edns = false;
        self.tries = self.tries.saturating_sub(1);
    }

    /// Why there is no answer, in words.
    pub(super) fn failure(self) -> String {
        if let Some(words) = self.words {
            return words;
        }
        match self.servers.as_slice() {
            [] => String::from("no DNS server is configured"),
            [only] => format!("the DNS server {only} does not answer"),
            [first, others @ ..] => format!("neither the DNS server {first} nor {} more answer", others.len()),
        }
    }
}
