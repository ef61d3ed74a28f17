//! What is going to happen, by its time and then by its number: the same seed gives the same history.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use bytes::Bytes;
use pillarbox_core::Mono;
use pillarbox_core::dns::SocketId;
use pillarbox_core::node::ConnId;

use crate::plan::Item;
use crate::wire::WireId;

/// What is going to happen.
pub(super) enum Coming {
    /// A node's deadline.
    Wake(usize),
    /// Somebody looks whether a node that waits has been honest about it.
    Nudge(usize),
    /// A group is on a machine's disk; of this life of the machine.
    Written(usize, u64),
    /// A read is done.
    Read(usize, u64),
    /// Something arrives at an end of a wire.
    Arrive(WireId, usize),
    /// A node may read on.
    Readable(usize, ConnId),
    /// A connection is to be made.
    Dial { node: usize, life: u64, conn: ConnId, to: SocketAddr, tries: u32 },
    /// A question reaches a name server.
    Query { node: usize, life: u64, socket: SocketId, to: SocketAddr, bytes: Bytes },
    /// Its answer comes back.
    Answer { node: usize, life: u64, socket: SocketId, from: SocketAddr, bytes: Bytes },
    /// A person connects.
    Call { person: u64, host: usize, port: u16 },
    /// A person has lost his patience.
    Impatient(u64, u64),
    /// A person has waited for as long as he wanted to.
    Waited(u64, u64),
    /// What the plan has for this moment.
    Planned(Item),
}

/// All of it, in its order.
#[derive(Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    /// Of the entry that came last.
    number: u64,
}

impl Agenda {
    /// This will happen.
    pub(super) fn add(&mut self, at: Mono, what: Coming) {
        self.number += 1;
        self.entries.push(Reverse(Entry { at, number: self.number, what: Box::new(what) }));
    }

    /// What happens next, unless it comes after `end`, and when.
    pub(super) fn next(&mut self, end: Mono) -> Option<(Mono, Coming)> {
        if self.entries.peek().is_none_or(|Reverse(next)| next.at > end) {
            return None;
        }
        self.entries.pop().map(|Reverse(entry)| (entry.at, *entry.what))
    }
}

struct Entry {
    at: Mono,
    number: u64,
    /// Boxed, because entries move a lot while they wait.
    what: Box<Coming>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
