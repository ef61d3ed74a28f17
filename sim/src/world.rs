//! The world: machines, wires, name servers and people, in one thread and in virtual time.
//!
//! Whatever is going to happen stands in the agenda, by its time and then by its number, so that the same seed gives the
//! same history. Nodes are held to their contract all the time: a `Wait` is stable, nobody is woken before the deadline
//! that he announced, and the deadline ends it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use pillarbox_core::dns::SocketId;
use pillarbox_core::node::{
    Accepted, Closed, Config, ConnId, Event, Holdings, ListenerId, Node, NodeAction, NodeInput, NodeStep, Share,
};
use pillarbox_core::ops::{Sink, StoreOp, StoreReply, Token};
use pillarbox_core::{Direction, Mono, Random, Seed};
use pillarbox_store::MemoryStore;

use crate::disk::{Disk, Ear, Taken, Waiting};
use crate::host::{Clock, Doors, Host, Line, Power, Slot, Tap};
use crate::ledger::{Ledger, UserId};
use crate::names::Names;
use crate::overheard::{Learnt, Overheard};
use crate::people::{Deed, News, Person};
use crate::plan::Item;
use crate::story;
use crate::timeline::{Side, Talk};
use crate::trace::Trace;
use crate::weather::Weather;
use crate::wire::{Freight, Plug, Way, Wire, WireId};

/// The ports that a machine listens on, in the order of its services.
pub(crate) const PORTS: [u16; 4] = [25, SUBMISSION, POP3, IMAP];
pub(crate) const SUBMISSION: u16 = 587;
pub(crate) const POP3: u16 = 110;
pub(crate) const IMAP: u16 = 143;

/// How long a person waits for a reply.
const PATIENCE: Duration = Duration::from_secs(600);

/// Octets that a node may hold for a connection each way: its limits, and what one read or one reply may add.
const BUFFERED: usize = 512 * 1024;

/// What is going to happen.
enum Coming {
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
    /// What the plan has for this moment.
    Planned(Item),
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
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Somebody at a device, with at most one connection.
struct Device {
    /// Who he is.
    user: UserId,
    person: Box<dyn Person>,
    wire: Option<(WireId, usize)>,
    /// Where he has knocked last.
    port: u16,
    /// What he waits for; an older one wakes nobody.
    waits: u64,
}

/// The world.
pub(crate) struct World {
    now: Mono,
    agenda: BinaryHeap<Reverse<Entry>>,
    number: u64,
    random: Random,
    pub(crate) hosts: Vec<Host>,
    slots: Vec<Slot>,
    lives: Vec<u64>,
    wires: BTreeMap<WireId, Wire>,
    devices: BTreeMap<u64, Device>,
    by_address: BTreeMap<IpAddr, usize>,
    /// Whether somebody is at this address who must not be reached.
    pub(crate) thieves: BTreeSet<IpAddr>,
    pub(crate) names: Names,
    pub(crate) weather: Weather,
    /// How many a machine lets in.
    pub(crate) doors: Doors,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    /// Hosts of the same domain that are to be tried before this address.
    pub(crate) preferred: BTreeMap<IpAddr, Vec<IpAddr>>,
    dialed: BTreeSet<(usize, IpAddr)>,
    /// No name is ever hidden: who passes over an exchanger has no excuse.
    pub(crate) names_are_good: bool,
    dirty: BTreeSet<usize>,
    names_asked: BTreeMap<WireId, Vec<u8>>,
    /// Steps that were taken.
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64, names: Names, trace: Trace) -> Self {
        Self {
            now: Mono(1),
            agenda: BinaryHeap::new(),
            number: 0,
            random: Random::new(&Seed::number(seed)),
            hosts: Vec::new(),
            slots: Vec::new(),
            lives: Vec::new(),
            wires: BTreeMap::new(),
            devices: BTreeMap::new(),
            by_address: BTreeMap::new(),
            thieves: BTreeSet::new(),
            names,
            weather: Weather::default(),
            doors: Doors::OPEN,
            ledger: Ledger::default(),
            trace,
            preferred: BTreeMap::new(),
            dialed: BTreeSet::new(),
            names_are_good: true,
            dirty: BTreeSet::new(),
            names_asked: BTreeMap::new(),
            steps: 0,
        }
    }

    pub(crate) fn now(&self) -> Mono {
        self.now
    }

    // Building it.

    /// Puts up a machine with a server of so many nodes.
    pub(crate) fn machine(
        &mut self,
        name: &str,
        addresses: Vec<IpAddr>,
        config: &Config,
        store: Arc<MemoryStore>,
        clock: Arc<Clock>,
        nodes: u16,
    ) -> usize {
        let host = self.hosts.len();
        let first = self.slots.len();
        for share in Share::each(nodes) {
            let tap = Arc::new(Tap::default());
            let config = Arc::new(Config { tap: Some(Arc::clone(&tap) as _), ..config.clone() });
            self.slots.push(Slot {
                host,
                config,
                share,
                node: None,
                ear: Arc::default(),
                tap,
                answers: VecDeque::new(),
                lines: BTreeMap::new(),
                dialing: BTreeSet::new(),
                until: None,
                accepting: true,
                done: false,
                life: 0,
                overheard: BTreeMap::new(),
            });
        }
        self.by_address.extend(addresses.iter().map(|address| (*address, host)));
        let disk = Disk::new(store, Random::new(&self.random.seed()));
        self.hosts.push(Host {
            name: name.to_owned(),
            addresses,
            nodes: first..self.slots.len(),
            disk,
            clock,
            power: Power::Off,
            unplugged: BTreeSet::new(),
            guests: BTreeMap::new(),
            deaf: false,
            stages: BTreeMap::new(),
            rows: BTreeMap::new(),
        });
        self.lives.push(0);
        self.start(host);
        host
    }

    /// Somebody appears.
    pub(crate) fn person(&mut self, user: UserId, person: Box<dyn Person>) {
        self.number += 1;
        let id = self.number;
        self.devices.insert(id, Device { user, person, wire: None, port: 0, waits: 0 });
        self.news(id, News::Begin);
    }

    /// The plan has something for this time.
    pub(crate) fn planned(&mut self, at: Mono, what: Item) {
        self.comes(at, Coming::Planned(what));
    }

    fn comes(&mut self, at: Mono, what: Coming) {
        self.number += 1;
        self.agenda.push(Reverse(Entry { at: at.max(self.now), number: self.number, what: Box::new(what) }));
    }

    // What happens to machines.

    /// The server on a machine dies; with `power` the machine, too, so that its peers are not told.
    pub(crate) fn crash(&mut self, host: usize, power: bool) {
        if self.hosts[host].power == Power::Off {
            return;
        }
        let name = self.hosts[host].name.clone();
        self.trace.tell(self.now, || format!("{name}: {}", if power { "power fails" } else { "the server is killed" }));
        self.trace.add(&[1, host as u64, u64::from(power)]);
        self.hosts[host].power = if power { Power::Off } else { Power::NoServer };
        self.lives[host] += 1;
        let nobody: Arc<Ear> = Arc::default();
        for waiting in self.hosts[host].disk.crash(power) {
            _ = self.apply(host, Waiting { ear: Arc::clone(&nobody), ..waiting });
        }
        for index in self.hosts[host].nodes.clone() {
            self.hear_taps(index);
            let slot = &mut self.slots[index];
            slot.node = None;
            slot.ear = Arc::default();
            slot.answers.clear();
            slot.dialing.clear();
            slot.until = None;
            slot.overheard.clear();
            _ = slot.tap.take();
            for (_, line) in std::mem::take(&mut slot.lines) {
                self.leave(line.wire, line.end, if power { Leaving::Silently } else { Leaving::Broken });
            }
            self.dirty.remove(&index);
        }
        self.ledger.forgot(host);
        self.hosts[host].stages.clear();
        self.hosts[host].guests.clear();
    }

    /// The server on a machine is started.
    pub(crate) fn start(&mut self, host: usize) {
        if self.hosts[host].power == Power::On {
            return;
        }
        let name = &self.hosts[host].name;
        // When a world begins, each starts, and need not be told.
        if self.slots[self.hosts[host].nodes.start].life > 0 {
            self.trace.tell(self.now, || format!("{name}: the server starts"));
        }
        self.trace.add(&[2, host as u64]);
        self.hosts[host].power = Power::On;
        self.hosts[host].disk.restart();
        for index in self.hosts[host].nodes.clone() {
            let seed = self.random.seed();
            let slot = &mut self.slots[index];
            slot.node = Some(Node::new(Arc::clone(&slot.config), slot.share, &seed));
            (slot.accepting, slot.done, slot.life) = (true, false, slot.life + 1);
            self.dirty.insert(index);
        }
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

    /// Something changed that the nodes of a machine were not told: they look at it now, as they would by and by.
    pub(crate) fn touch(&mut self, host: usize) {
        self.dirty.extend(self.hosts[host].nodes.clone());
    }

    // Running it.

    /// The next thing happens, unless it comes after `end`. What the plan has for now is returned.
    pub(crate) fn step(&mut self, end: Mono) -> Step {
        self.settle();
        if self.agenda.peek().is_none_or(|Reverse(next)| next.at > end) {
            self.now = self.now.max(end);
            return Step::Over;
        }
        let Some(Reverse(entry)) = self.agenda.pop() else { return Step::Over };
        self.now = entry.at;
        self.ledger.now = entry.at;
        self.steps += 1;
        match *entry.what {
            Coming::Planned(what) => return Step::Planned(what),
            Coming::Wake(index) => self.wake(index, false),
            Coming::Nudge(index) => self.wake(index, true),
            Coming::Written(host, life) if self.lives[host] == life => self.written(host),
            Coming::Read(host, life) if self.lives[host] == life => self.read(host),
            Coming::Written(..) | Coming::Read(..) => {}
            Coming::Arrive(wire, end) => self.arrive(wire, end),
            Coming::Dial { node, life, conn, to, tries } => self.dial(node, life, conn, to, tries),
            Coming::Query { node, life, socket, to, bytes } => {
                for answer in self.names.ask(to, &bytes, &mut self.random) {
                    let (at, from, bytes) = (self.now + answer.after, answer.from, answer.bytes);
                    self.comes(at, Coming::Answer { node, life, socket, from, bytes });
                }
            }
            Coming::Answer { node, life, socket, from, bytes } => {
                if self.slots[node].life == life {
                    self.trace.add_bytes(&bytes);
                    self.input(node, NodeInput::Datagram { socket, from, bytes });
                }
            }
            Coming::Call { person, host, port } => self.call(person, host, port),
            Coming::Impatient(person, wait) => {
                if self.devices.get(&person).is_some_and(|device| device.waits == wait) {
                    self.deed(person, Deed::BreakOff);
                    self.news(person, News::Over);
                }
            }
        }
        Step::Done
    }

    /// Every node that has heard something has its turn.
    fn settle(&mut self) {
        while let Some(index) = self.dirty.pop_first() {
            self.turn(index);
        }
    }

    fn wake(&mut self, index: usize, early: bool) {
        let (slot, now) = (&mut self.slots[index], self.now);
        let clock = self.hosts[slot.host].clock.at(now);
        let Some(node) = slot.node.as_mut() else { return };
        if early {
            let step = node.poll(clock);
            let as_it_was = match &step {
                NodeStep::Wait { until } => *until == slot.until,
                NodeStep::Done => slot.done,
                _ => false,
            };
            // A clock that jumped is news.
            if !as_it_was && slot.until.is_none_or(|until| until > now) {
                let was = slot.until;
                self.ledger.violated(format!("node {index} had something to do before its deadline {was:?}: {step:?}"));
            }
            return;
        }
        if slot.until.is_none_or(|until| until > now) {
            return;
        }
        let before = slot.until;
        let progressed = self.turn(index);
        if !progressed && self.slots[index].until == before {
            self.ledger.violated(format!("node {index} has a dishonest deadline: {before:?}"));
            self.slots[index].until = None;
        }
    }

    /// One turn of a node: its store's answers and hints, then polls until it waits. Whether it did something.
    fn turn(&mut self, index: usize) -> bool {
        let host = self.slots[index].host;
        let mut busy = false;
        while let Some((token, reply)) = self.slots[index].answers.pop_front() {
            self.input(index, NodeInput::Stored { token, reply });
            busy = true;
        }
        let mut notices = self.slots[index].ear.take();
        while let Some(notice) = notices.pop() {
            if !self.hosts[host].deaf {
                self.input(index, NodeInput::Notice(notice));
                busy = true;
            }
        }
        loop {
            let now = self.hosts[host].clock.at(self.now);
            let Some(node) = self.slots[index].node.as_mut() else { return false };
            match node.poll(now) {
                NodeStep::Act(action) => {
                    busy = true;
                    self.act(index, action);
                }
                NodeStep::More => busy = true,
                NodeStep::Wait { until } => {
                    let again = node.poll(now);
                    if !matches!(again, NodeStep::Wait { until: same } if same == until) {
                        self.ledger.violated(format!("node {index}: a wait is stable, not {again:?}"));
                    }
                    let slot = &mut self.slots[index];
                    if until.is_some_and(|until| until <= self.now) {
                        self.ledger.violated(format!("node {index} waits for the past: {until:?}"));
                        slot.until = None;
                    } else if slot.until != until {
                        slot.until = until;
                        if let Some(until) = until {
                            self.comes(until, Coming::Wake(index));
                        }
                    }
                    if let Some(until) = until
                        && self.random.below(32) == 0
                    {
                        // Soon or late, as it may be.
                        let most = until.0.saturating_sub(self.now.0).min(1 << (20 + self.random.below(24)));
                        let early = Mono(self.now.0 + self.random.below(most.max(1) as usize) as u64);
                        self.comes(early, Coming::Nudge(index));
                    }
                    self.hear_taps(index);
                    return busy;
                }
                NodeStep::Done => {
                    let slot = &mut self.slots[index];
                    (slot.until, slot.done) = (None, true);
                    self.hear_taps(index);
                    return busy;
                }
            }
        }
    }

    fn input(&mut self, index: usize, input: NodeInput) {
        let host = self.slots[index].host;
        let now = self.hosts[host].clock.at(self.now);
        if let Some(node) = self.slots[index].node.as_mut() {
            node.input(now, input);
            self.dirty.insert(index);
        }
    }

    fn act(&mut self, index: usize, action: NodeAction) {
        let host = self.slots[index].host;
        match action {
            NodeAction::Dial { conn, to } => {
                self.trace.add(&[3, index as u64, conn.0]);
                self.check_order(index, to);
                self.slots[index].dialing.insert(conn);
                if to.port() != 53 {
                    self.slots[index].overheard.insert(conn, (to.ip(), Overheard::new()));
                }
                let (life, at) = (self.slots[index].life, self.now + self.weather.latency(&mut self.random));
                self.comes(at, Coming::Dial { node: index, life, conn, to, tries: 0 });
            }
            NodeAction::Flush(conn) => self.flush(index, conn),
            NodeAction::Interest { conn, read } => {
                let Some(line) = self.slots[index].lines.get_mut(&conn) else { return };
                line.reading = read;
                let line = *line;
                if read {
                    self.take_unread(index, conn, line);
                }
            }
            NodeAction::Close { conn, abort } => {
                self.slots[index].dialing.remove(&conn);
                let Some(line) = self.slots[index].lines.get_mut(&conn) else {
                    if !abort {
                        self.input(index, NodeInput::Closed { conn, how: Closed::Done });
                    }
                    return;
                };
                if abort {
                    let line = *line;
                    self.forget(index, conn);
                    return self.leave(line.wire, line.end, Leaving::Broken);
                }
                line.closing = true;
                self.flush(index, conn);
            }
            NodeAction::Datagram { socket, to, bytes } => {
                self.trace.add(&[4, index as u64]);
                self.trace.add_bytes(&bytes);
                let life = self.slots[index].life;
                let at = self.now + self.weather.latency(&mut self.random);
                if !self.weather.is_lost(&mut self.random) {
                    self.comes(at, Coming::Query { node: index, life, socket, to, bytes });
                }
            }
            NodeAction::CloseSocket(_) => {}
            NodeAction::Accepting(accepting) => self.slots[index].accepting = accepting,
            NodeAction::Store { token, op } => self.store(index, token, op),
            NodeAction::Event(event) => self.event(host, index, event),
        }
    }

    fn event(&mut self, host: usize, index: usize, event: Event) {
        if let Event::Ended { conn, .. } = &event {
            self.hear_taps(index);
            self.slots[index].overheard.remove(conn);
        }
        if let Some(meter) = &mut self.ledger.meter {
            meter.event(&event);
        }
        let hosts = &self.hosts;
        if let Some(words) = story::event(&event) {
            self.trace.tell(self.now, || format!("{}: {words}", hosts[host].name));
        }
    }

    // The disk.

    fn store(&mut self, index: usize, token: Token, op: StoreOp) {
        let host = self.slots[index].host;
        self.trace.add(&[5, index as u64, token.0]);
        let ear = Arc::clone(&self.slots[index].ear);
        let life = self.lives[host];
        match self.hosts[host].disk.submit(self.now, Waiting { node: index, ear, token, op }) {
            Taken::Busy(op) => self.input(index, NodeInput::Busy { token, op }),
            Taken::Answered(reply) => {
                self.slots[index].answers.push_back((token, reply));
                self.dirty.insert(index);
            }
            Taken::Begun(at) => self.comes(at, Coming::Written(host, life)),
            Taken::Reads(at) => self.comes(at, Coming::Read(host, life)),
            Taken::Waits => {}
        }
    }

    fn written(&mut self, host: usize) {
        let (done, next) = self.hosts[host].disk.written(self.now);
        for waiting in done {
            let (index, token) = (waiting.node, waiting.token);
            let reply = match self.hosts[host].disk.failure(&waiting.op) {
                Some(error) => StoreReply::Failed(error),
                None => self.apply(host, waiting),
            };
            self.slots[index].answers.push_back((token, reply));
            self.dirty.insert(index);
        }
        if let Some(next) = next {
            self.comes(next, Coming::Written(host, self.lives[host]));
        }
        self.dirty.extend(self.hosts[host].nodes.clone());
    }

    fn read(&mut self, host: usize) {
        if let Some(waiting) = self.hosts[host].disk.read() {
            let (index, token) = (waiting.node, waiting.token);
            let reply = self.apply(host, waiting);
            self.slots[index].answers.push_back((token, reply));
            self.dirty.insert(index);
        }
    }

    /// An op takes effect, and the ledger hears of what it files.
    fn apply(&mut self, host: usize, waiting: Waiting) -> StoreReply {
        let op = waiting.op.clone();
        let ear = waiting.ear as Arc<dyn Sink>;
        let reply = self.hosts[host].disk.store.apply_for(&ear, waiting.op);
        self.trace.add(&[6, host as u64, waiting.token.0]);
        self.hosts[host].note(host, &op, &reply, &mut self.ledger);
        reply
    }

    // Wires.

    /// A dial arrives.
    fn dial(&mut self, index: usize, life: u64, conn: ConnId, to: SocketAddr, tries: u32) {
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
            None => None,
        };
        self.slots[index].dialing.remove(&conn);
        let Some((other, there)) = other else {
            return self.input(index, NodeInput::Dialed { conn, result: Err("refused".into()) });
        };
        let wire = self.wire([Plug::Node(index, conn), other], [Some(from), there]);
        self.slots[index].lines.insert(conn, Line { wire, end: 0, reading: false, closing: false });
        self.input(index, NodeInput::Dialed { conn, result: Ok(()) });
    }

    fn call(&mut self, person: u64, host: usize, port: u16) {
        let peer = SocketAddr::from(([192, 0, 2, 1 + (person % 250) as u8], 50_000));
        let admitted = if self.hosts[host].power == Power::Off { None } else { self.admit(host, port, peer) };
        let Some((other, there)) = admitted else { return self.news(person, News::Over) };
        let wire = self.wire([Plug::Person(person), other], [None, there]);
        if let Some(device) = self.devices.get_mut(&person) {
            (device.wire, device.port) = (Some((wire, 0)), port);
        }
    }

    /// A connection reaches a machine: the least loaded of its nodes that takes any.
    fn admit(&mut self, host: usize, port: u16, peer: SocketAddr) -> Option<(Plug, Option<usize>)> {
        let listener = PORTS.iter().position(|listens| *listens == port)?;
        let index = self.hosts[host]
            .nodes
            .clone()
            .filter(|index| self.slots[*index].node.is_some() && !self.slots[*index].done)
            .min_by_key(|index| (!self.slots[*index].accepting, self.slots[*index].lines.len()))?;
        let node = self.slots[index].node.as_mut()?;
        let guests = &mut self.hosts[host].guests;
        let from_there = guests.values().filter(|guest| **guest == peer.ip()).count();
        let crowded = guests.len() >= self.doors.most || from_there >= self.doors.most_from_one_address;
        let conn = node.accept(Accepted { listener: ListenerId(listener), peer, crowded });
        if !crowded {
            self.hosts[host].guests.insert((index, conn), peer.ip());
        }
        self.dirty.insert(index);
        self.trace.add(&[7, index as u64, conn.0]);
        Some((Plug::Node(index, conn), Some(host)))
    }

    fn wire(&mut self, ends: [Plug; 2], hosts: [Option<usize>; 2]) -> WireId {
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
    fn send(&mut self, id: WireId, from: usize, freight: Freight) {
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
    fn arrive(&mut self, id: WireId, end: usize) {
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
                if let Some(line) = self.slots[index].lines.get(&conn).copied().filter(|line| line.reading) {
                    self.take_unread(index, conn, line);
                }
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
                let answer = self.names.ask_stream(asked);
                if !answer.is_empty() {
                    self.names_asked.remove(&id);
                    self.send(id, end, Freight::Bytes(answer.into()));
                }
            }
            (Plug::Names, Freight::Eof | Freight::Reset) => {
                self.names_asked.remove(&id);
                self.leave(id, end, Leaving::Politely);
            }
        }
    }

    /// A node reads what has come.
    fn take_unread(&mut self, index: usize, conn: ConnId, line: Line) {
        let Some(wire) = self.wires.get_mut(&line.wire) else { return };
        let unread = wire.ways[line.end].unread.split();
        if unread.is_empty() {
            return;
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
    fn flush(&mut self, index: usize, conn: ConnId) {
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
    fn leave(&mut self, id: WireId, end: usize, how: Leaving) {
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
                Plug::Person(person) => {
                    if let Some(device) = self.devices.get_mut(&person) {
                        device.wire = None;
                        device.waits += 1;
                        let wait = device.waits;
                        self.comes(self.now, Coming::Impatient(person, wait));
                    }
                }
                Plug::Names | Plug::Gone(_) | Plug::Nobody => {}
            }
        }
    }

    fn forget(&mut self, index: usize, conn: ConnId) {
        self.slots[index].lines.remove(&conn);
        self.hosts[self.slots[index].host].guests.remove(&(index, conn));
    }

    // People.

    fn news(&mut self, person: u64, news: News<'_>) {
        let Some(device) = self.devices.get_mut(&person) else { return };
        device.waits += 1;
        let mut deeds = Vec::new();
        device.person.hear(self.now, news, &mut self.ledger, &mut deeds);
        for deed in deeds {
            self.deed(person, deed);
        }
    }

    /// He waits for a reply, for so long.
    fn patience(&mut self, person: u64) {
        let Some(device) = self.devices.get_mut(&person) else { return };
        device.waits += 1;
        let wait = device.waits;
        self.comes(self.now + PATIENCE, Coming::Impatient(person, wait));
    }

    fn deed(&mut self, person: u64, deed: Deed) {
        let Some(device) = self.devices.get_mut(&person) else { return };
        match deed {
            Deed::Connect { host, port } => {
                self.patience(person);
                let at = self.now + self.weather.latency(&mut self.random);
                self.comes(at, Coming::Call { person, host, port });
            }
            Deed::Say(bytes) => {
                if let Some((wire, end)) = device.wire {
                    self.trace.add_bytes(&bytes);
                    self.tell_person(person, Side::Client, wire, &bytes);
                    self.send(wire, end, Freight::Bytes(bytes));
                    self.patience(person);
                }
            }
            Deed::BreakOff => {
                if let Some((wire, end)) = device.wire.take() {
                    let (ledger, user) = (&self.ledger, device.user);
                    self.trace.tell(self.now, || format!("{} is gone", ledger.address(user)));
                    self.leave(wire, end, Leaving::Broken);
                }
            }
            Deed::Leave => {
                if let Some((wire, end)) = device.wire.take() {
                    self.leave(wire, end, Leaving::Politely);
                }
                self.devices.remove(&person);
            }
        }
    }

    // Watching it.

    /// What the nodes read and said to next hops.
    fn hear_taps(&mut self, index: usize) {
        let host = self.slots[index].host;
        let mut learnt = Vec::new();
        for (conn, direction, bytes) in self.slots[index].tap.take() {
            let slot = &mut self.slots[index];
            let key = [1 + index as u64, slot.life, conn.0];
            let Some((peer, overheard)) = slot.overheard.get_mut(&conn) else { continue };
            let (hosts, by_address) = (&self.hosts, &self.by_address);
            let talk = || {
                let server = by_address.get(peer).map_or("nobody", |there| &hosts[*there].name).to_owned();
                Talk { client: hosts[host].name.clone(), server, port: 25 }
            };
            match direction {
                Direction::In => {
                    self.trace.says(self.now, key, talk, Side::Server, &bytes);
                    overheard.server(&bytes, &mut learnt);
                }
                Direction::Out => {
                    self.trace.says(self.now, key, talk, Side::Client, &bytes);
                    overheard.client(&bytes, &mut learnt);
                }
            }
        }
        for fact in learnt {
            match fact {
                Learnt::Offered(letter, recipients) => self.ledger.offered(host, letter, &recipients),
                Learnt::Taken(letter, recipients) => self.ledger.taken(host, letter, &recipients),
            }
        }
    }

    /// What a person and a server say to each other, for whoever reads it.
    fn tell_person(&mut self, person: u64, side: Side, wire: WireId, bytes: &[u8]) {
        let (hosts, devices, ledger) = (&self.hosts, &self.devices, &self.ledger);
        let talk = || {
            let device = devices.get(&person);
            let client = device.map_or("somebody", |device| ledger.address(device.user)).to_owned();
            let host = self.wires.get(&wire).and_then(|wire| wire.hosts[1]);
            let server = host.map_or("nobody", |host| &hosts[host].name).to_owned();
            Talk { client, server, port: device.map_or(0, |device| device.port) }
        };
        self.trace.says(self.now, [0, 0, wire.0], talk, side, bytes);
    }

    /// An exchanger is tried after those that are preferred to it.
    fn check_order(&mut self, index: usize, to: SocketAddr) {
        if to.port() == 53 {
            return;
        }
        let host = self.slots[index].host;
        if !self.names_are_good {
            return;
        }
        self.dialed.insert((host, to.ip()));
        for better in self.preferred.get(&to.ip()).into_iter().flatten() {
            if !self.dialed.contains(&(host, *better)) {
                self.ledger.violated(format!(
                    "node {index} goes to {} and has not tried {better}, which is preferred",
                    to.ip()
                ));
            }
        }
    }

    /// Letters in queues, and letters that wait for nobody.
    pub(crate) fn queued(&self) -> usize {
        self.hosts.iter().map(|host| host.queued()).sum()
    }

    /// People who are not done.
    pub(crate) fn busy_people(&self) -> usize {
        self.devices.len()
    }

    /// What nodes hold besides their connections, and how many of those there are, by node.
    pub(crate) fn holdings(&self) -> impl Iterator<Item = (usize, usize, Holdings)> + '_ {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let node = slot.node.as_ref()?;
            Some((index, node.connections(), node.holdings()))
        })
    }
}

/// What a step of the world came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something happened.
    Done,
    /// The plan has this for now.
    Planned(Item),
    /// Nothing happens before the end.
    Over,
}

/// How an end of a wire goes.
#[derive(Clone, Copy)]
enum Leaving {
    Politely,
    Broken,
    Silently,
}
