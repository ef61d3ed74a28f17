//! A connection between two ends: two ways, each with octets in flight, a window, and whatever is wrong with it.
//!
//! It behaves as TCP does towards those who use it: octets arrive in their order or not at all, a peer that does not read
//! fills the window, and an end that is gone shows when somebody sends to it, or never.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pillarbox_core::Mono;
use pillarbox_core::node::ConnId;

/// Octets that may be on their way or unread at the other end.
pub(crate) const WINDOW: usize = 64 * 1024;

/// Which wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireId(pub(crate) u64);

/// Who holds an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plug {
    /// A node, by its place in the world.
    Node(usize, ConnId),
    /// A person.
    Person(u64),
    /// A name server, asked over TCP.
    Names,
    /// Nobody any more: what is sent there is answered by a reset, or by nothing when its machine has no power.
    Gone(usize),
    /// Nobody any more, and nobody ever answers.
    Nobody,
}

/// What travels.
#[derive(Debug)]
pub(crate) enum Freight {
    Bytes(Bytes),
    /// The sender says no more.
    Eof,
    /// The connection is broken.
    Reset,
}

/// A connection. Way `n` leads to end `n`.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) ends: [Plug; 2],
    pub(crate) ways: [Way; 2],
    /// The machines at both ends, where there are any: what is wrong between them is wrong with it.
    pub(crate) hosts: [Option<usize>; 2],
    pub(crate) quality: Quality,
}

/// How good a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    /// One way.
    pub(crate) latency: Duration,
    /// Nanoseconds an octet.
    pub(crate) per_octet: u64,
    /// What is sent comes in several pieces.
    pub(crate) splits: bool,
    /// It breaks when so many octets have gone one way.
    pub(crate) cut_at: [u64; 2],
    /// It breaks when so many segments have arrived.
    pub(crate) segments: u32,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Way {
    pub(crate) flight: VecDeque<Freight>,
    in_flight: usize,
    /// When the last of it arrives: nothing overtakes.
    last: Mono,
    /// Arrived, and not read.
    pub(crate) unread: BytesMut,
    /// Octets that went this way.
    pub(crate) passed: u64,
}

impl Way {
    /// Octets that may be sent now.
    pub(crate) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.in_flight + self.unread.len())
    }

    /// Sends it off; when it arrives, given that nothing leaves before `earliest`.
    pub(crate) fn send(&mut self, freight: Freight, earliest: Mono, quality: &Quality) -> Mono {
        let octets = match &freight {
            Freight::Bytes(bytes) => bytes.len(),
            Freight::Eof | Freight::Reset => 0,
        };
        self.in_flight += octets;
        self.passed += octets as u64;
        let travel = quality.latency + Duration::from_nanos(quality.per_octet * octets as u64);
        self.last = self.last.max(earliest + travel);
        self.flight.push_back(freight);
        self.last
    }

    /// The oldest that is under way has arrived.
    pub(crate) fn arrive(&mut self) -> Option<Freight> {
        let freight = self.flight.pop_front()?;
        if let Freight::Bytes(bytes) = &freight {
            self.in_flight -= bytes.len();
        }
        Some(freight)
    }
}
