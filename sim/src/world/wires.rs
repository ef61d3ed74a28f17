//! Wires between machines, people and name servers: how they come about, what goes over them, and how they end.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Buf as _;
use pillarbox_core::node::{Accepted, Closed, ConnId, ListenerId, NodeInput};

use super::agenda::Coming;
use super::{BUFFERED, PORTS, READ, World};
use crate::host::{Line, Power};
use crate::people::News;
use crate::timeline::Side;
use crate::wire::{Freight, Plug, Way, Wire, WireId};

/// How an end of a wire goes.
#[derive(Clone, Copy)]
pub(super) enum Leaving {
    Politely,
    Broken,
    Silently,
}

impl World {
    /// A dial arrives.
    pub(super) fn dial(&mut self, index: usize, life: u64, conn: ConnId, to: SocketAddr, tries: u32) {
        if self.slots[index].life != life || !self.slots[index].dialing.contains(&conn) {
            return;
        }
        if self.thieves.contains(&to.ip()) {
            self.ledger.violated(format!("node {index} was led to a thief's address, {to}"));
        }
        let from = self.slots[index].host;
        let peer = SocketAddr::new(self.hosts[from].addresses[0], 40_000);
        let there = self.by_address.get(&to.ip()).copied();
        if let Some(there) = there
            && (self.weather.is_cut(from, there, self.now)
                || self.hosts[there].unplugged.contains(&to.ip())
                || self.hosts[there].power == Power::Off)
        {
            // Tried again, as TCP does, for as long as the node has patience.
            let again = self.now + Duration::from_secs(1 << tries.min(5));
            return self.comes(again, Coming::Dial { node: index, life, conn, to, tries: tries + 1 });
        }
        let other = match there {
            Some(there) => self.admit(there, to.port(), peer),
            None if to.port() == 53 => Some((Plug::Names, None)),
            None if Some(to.ip()) == self.odd.map(|(address, _)| address) => Some((self.odd_server(), None)),
            None => None,
        };
        self.slots[index].dialing.remove(&conn);
        let Some((other, there)) = other else {
            return self.input(index, NodeInput::Dialed { conn, result: Err("refused".into()) });
        };
        let wire = self.wire([Plug::Node(index, conn), other], [Some(from), there]);
        self.slots[index].lines.insert(conn, Line { wire, end: 0, reading: false, closing: false });
        self.input(index, NodeInput::Dialed { conn, result: Ok(()) });
        if let Plug::Person(person) = other {
            self.is_called(person, wire);
        }
    }

    /// A connection reaches a machine: the least loaded of its nodes that takes any.
    pub(super) fn admit(&mut self, host: usize, port: u16, peer: SocketAddr) -> Option<(Plug, Option<usize>)> {
        let listener = PORTS.iter().position(|listens| *listens == port)?;
        let index = self.hosts[host]
            .nodes
            .clone()
            .filter(|index| self.slots[*index].node.is_some() && !self.slots[*index].done)
            .min_by_key(|index| (!self.slots[*index].accepting, self.slots[*index].lines.len()))?;
        let node = self.slots[index].node.as_mut()?;
        let guests = &self.hosts[host].guests;
        let from_there = guests.values().filter(|guest| **guest == peer.ip()).count();
        let doors = self.hosts[host].doors.unwrap_or(self.doors);
        let crowded = guests.len() >= doors.most || from_there >= doors.most_from_one_address;
        let conn = node.accept(Accepted { listener: ListenerId(listener), peer, crowded });
        if !crowded {
            self.hosts[host].guests.insert((index, conn), peer.ip());
        }
        self.dirty.insert(index);
        self.trace.add(&[7, index as u64, conn.0]);
        Some((Plug::Node(index, conn), Some(host)))
    }

    pub(super) fn wire(&mut self, ends: [Plug; 2], hosts: [Option<usize>; 2]) -> WireId {
        self.number += 1;
        let id = WireId(self.number);
        let quality = self.weather.quality(&mut self.random);
        if let Plug::Node(index, conn) = ends[1] {
            let line = Line { wire: id, end: 1, reading: false, closing: false };
            self.slots[index].lines.insert(conn, line);
        }
        self.wires.insert(id, Wire { ends, ways: [Way::default(), Way::default()], hosts, quality });
        id
    }

    /// Sends something to the other end.
    pub(super) fn send(&mut self, id: WireId, from: usize, freight: Freight) {
        let now = self.now;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let to = 1 - from;
        let clear = match wire.hosts {
            [Some(a), Some(b)] => self.weather.clear_at(a, b, now),
            _ => now,
        };
        let octets = match &freight {
            Freight::Bytes(bytes) => bytes.len() as u64,
            Freight::Eof | Freight::Reset => 0,
        };
        if wire.ways[to].passed + octets > wire.quality.cut_at[to] {
            return self.break_wire(id);
        }
        let mut pieces = vec![freight];
        if wire.quality.splits
            && let [Freight::Bytes(bytes)] = &mut pieces[..]
            && bytes.len() > 1
        {
            let first = bytes.split_to(1 + self.random.below(bytes.len() - 1));
            pieces.insert(0, Freight::Bytes(first));
        }
        for piece in pieces {
            let Some(wire) = self.wires.get_mut(&id) else { return };
            let quality = wire.quality;
            let at = wire.ways[to].send(piece, clear, &quality);
            self.comes(at, Coming::Arrive(id, to));
        }
    }

    /// The oldest thing on its way to this end has arrived.
    pub(super) fn arrive(&mut self, id: WireId, end: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let plug = wire.ends[end];
        let Some(freight) = wire.ways[end].arrive() else { return };
        let breaks = wire.quality.segments.checked_sub(1).is_none_or(|left| {
            wire.quality.segments = left;
            left == 0
        });
        self.arrived(id, end, plug, freight);
        if breaks {
            self.break_wire(id);
        }
    }

    fn arrived(&mut self, id: WireId, end: usize, plug: Plug, freight: Freight) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        match (plug, freight) {
            (Plug::Gone(host), _) => {
                // Its machine has forgotten the connection, and says so if it says anything.
                if self.hosts[host].power != Power::Off {
                    self.break_wire(id);
                }
            }
            (Plug::Nobody, _) => {}
            (Plug::Node(index, conn), Freight::Bytes(bytes)) => {
                wire.ways[end].unread.extend_from_slice(&bytes);
                self.readable(index, conn);
            }
            (Plug::Node(index, conn), Freight::Eof) => {
                self.trace.add(&[8, index as u64, conn.0]);
                self.input(index, NodeInput::Closed { conn, how: Closed::Eof });
            }
            (Plug::Node(index, conn), Freight::Reset) => {
                self.wires.remove(&id);
                self.forget(index, conn);
                self.trace.add(&[9, index as u64, conn.0]);
                self.input(index, NodeInput::Closed { conn, how: Closed::Error });
            }
            (Plug::Person(person), Freight::Bytes(bytes))
                if self.devices.get(&person).is_some_and(|device| device.deaf) =>
            {
                wire.ways[end].unread.extend_from_slice(&bytes);
            }
            (Plug::Person(person), Freight::Bytes(bytes)) => {
                self.trace.add_bytes(&bytes);
                self.tell_person(person, Side::Server, id, &bytes);
                self.refill(id, end);
                self.news(person, News::Heard(&bytes));
            }
            (Plug::Person(person), Freight::Eof | Freight::Reset) => {
                self.leave(id, end, Leaving::Politely);
                if let Some(device) = self.devices.get_mut(&person) {
                    device.wire = None;
                }
                self.news(person, News::Over);
            }
            (Plug::Names, Freight::Bytes(bytes)) => {
                let asked = self.names_asked.entry(id).or_default();
                asked.extend_from_slice(&bytes);
                if let Some(answer) = self.names.ask_stream(asked, &mut self.random) {
                    self.names_asked.remove(&id);
                    if !answer.bytes.is_empty() {
                        self.send(id, end, Freight::Bytes(answer.bytes));
                    }
                    if answer.closes {
                        self.leave(id, end, Leaving::Politely);
                    }
                }
            }
            (Plug::Names, Freight::Eof | Freight::Reset) => {
                self.names_asked.remove(&id);
                self.leave(id, end, Leaving::Politely);
            }
        }
    }

    /// There was more than it could be given.
    pub(super) fn readable(&mut self, index: usize, conn: ConnId) {
        if let Some(line) = self.slots[index].lines.get(&conn).copied().filter(|line| line.reading) {
            self.take_unread(index, conn, line);
        }
    }

    /// A node reads what has come.
    pub(super) fn take_unread(&mut self, index: usize, conn: ConnId, line: Line) {
        let Some(wire) = self.wires.get_mut(&line.wire) else { return };
        let unread = &mut wire.ways[line.end].unread;
        if unread.is_empty() {
            return;
        }
        let left = unread.len().saturating_sub(READ);
        let unread = unread.split_to(unread.len() - left);
        if left > 0 {
            self.comes(self.now, Coming::Readable(index, conn));
        }
        self.trace.add(&[10, index as u64, conn.0]);
        self.trace.add_bytes(&unread);
        let Some(node) = self.slots[index].node.as_mut() else { return };
        if let Some(io) = node.conn(conn) {
            io.rx.extend_from_slice(&unread);
            if io.rx.len() > BUFFERED {
                self.ledger.violated(format!("node {index} holds {} octets unread", io.rx.len()));
            }
            node.touched(conn);
            self.dirty.insert(index);
        }
        self.refill(line.wire, line.end);
    }

    /// There is room again on the way to this end: whoever has something to say goes on.
    fn refill(&mut self, id: WireId, end: usize) {
        let Some(wire) = self.wires.get(&id) else { return };
        if let Plug::Node(index, conn) = wire.ends[1 - end] {
            self.flush(index, conn);
        }
    }

    /// Writes what a node has to say, as far as there is room.
    pub(super) fn flush(&mut self, index: usize, conn: ConnId) {
        let Some(line) = self.slots[index].lines.get(&conn).copied() else { return };
        loop {
            let Some(wire) = self.wires.get(&line.wire) else { return };
            let room = wire.ways[1 - line.end].room();
            let Some(node) = self.slots[index].node.as_mut() else { return };
            let Some(io) = node.conn(conn) else { break };
            if io.tx.len() > BUFFERED {
                self.ledger.violated(format!("node {index} holds {} octets to be written", io.tx.len()));
            }
            let taken = io.tx.remaining().min(room).min(16 * 1024);
            if taken == 0 {
                if !io.tx.is_empty() {
                    return;
                }
                break;
            }
            let bytes = io.tx.copy_to_bytes(taken);
            node.touched(conn);
            self.dirty.insert(index);
            self.send(line.wire, line.end, Freight::Bytes(bytes));
        }
        if line.closing && self.slots[index].lines.contains_key(&conn) {
            self.forget(index, conn);
            self.leave(line.wire, line.end, Leaving::Politely);
            self.input(index, NodeInput::Closed { conn, how: Closed::Done });
        }
    }

    /// An end lets go of its wire.
    pub(super) fn leave(&mut self, id: WireId, end: usize, how: Leaving) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let was = wire.ends[end];
        wire.ends[end] = match wire.hosts[end] {
            Some(host) => Plug::Gone(host),
            None => Plug::Nobody,
        };
        wire.ways[end].unread.clear();
        if matches!(wire.ends[1 - end], Plug::Gone(_) | Plug::Nobody) {
            self.wires.remove(&id);
            return;
        }
        debug_assert!(!matches!(was, Plug::Gone(_)), "it leaves once");
        match how {
            Leaving::Politely => self.send(id, end, Freight::Eof),
            Leaving::Broken => self.send(id, end, Freight::Reset),
            Leaving::Silently => {}
        }
    }

    /// A wire breaks: both ends see it.
    fn break_wire(&mut self, id: WireId) {
        let Some(wire) = self.wires.remove(&id) else { return };
        self.trace.add(&[11, id.0]);
        let (hosts, devices, ledger) = (&self.hosts, &self.devices, &self.ledger);
        self.trace.tell(self.now, || {
            let name = |end: usize| match (wire.hosts[end], wire.ends[end]) {
                (Some(host), _) => hosts[host].name.clone(),
                (None, Plug::Person(person)) => {
                    devices.get(&person).map_or("somebody", |device| ledger.address(device.user)).to_owned()
                }
                (None, _) => "somebody".to_owned(),
            };
            format!("the connection of {} and {} breaks", name(0), name(1))
        });
        self.names_asked.remove(&id);
        for plug in wire.ends {
            match plug {
                Plug::Node(index, conn) => {
                    self.forget(index, conn);
                    self.input(index, NodeInput::Closed { conn, how: Closed::Error });
                }
                Plug::Person(person) => self.cut_off(person),
                Plug::Names | Plug::Gone(_) | Plug::Nobody => {}
            }
        }
    }

    pub(super) fn forget(&mut self, index: usize, conn: ConnId) {
        self.slots[index].lines.remove(&conn);
        self.hosts[self.slots[index].host].guests.remove(&(index, conn));
    }

    /// All connections between two machines break; or all of the first, when there is no other.
    pub(crate) fn reset(&mut self, host: usize, other: Option<usize>) {
        let broken: Vec<WireId> = (self.wires.iter())
            .filter(|(_, wire)| wire.hosts.contains(&Some(host)) && (other.is_none() || wire.hosts.contains(&other)))
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            self.break_wire(id);
        }
    }
}
