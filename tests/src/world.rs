//! A small internet in virtual time: nodes with their stores, name servers, and clients that say what a test has them say.
//!
//! Everything happens in one thread and in a fixed order, so the same seed gives the same trace. The world holds the nodes
//! to their contract all the time: a `Wait` is stable, nothing but an input or its deadline ends it, the deadline ends it
//! with progress, and a node's buffers stay within their bounds.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use pillarbox_core::dns::responder::Responder;
use pillarbox_core::node::{
    Accepted, Closed, Config, ConnId, Event, Holdings, ListenerId, Node, NodeAction, NodeInput, NodeStep, Share,
};
use pillarbox_core::ops::{
    MailboxOp, MaildropOp, Notice, Notices, Sink, StageOp, StoreError, StoreOp, StoreReply, Token,
};
use pillarbox_core::{Mono, Now, Random, Seed, Wall};
use pillarbox_store::MemoryStore;

/// Bytes that a connection may hold each way: its limits, and what one read or one reply may add.
const BUFFERED: usize = 512 * 1024;

/// Steps without a pause, after which a world is going round in circles.
const STEPS: usize = 1_000_000;

/// The world.
pub struct World {
    now: Now,
    random: Random,
    /// The machines, by index.
    pub machines: Vec<Machine>,
    clients: Vec<Client>,
    wires: BTreeMap<Plug, Plug>,
    /// The name server, at every address that nobody else has.
    pub dns: Responder,
    /// It answers no datagram.
    pub dns_is_silent: bool,
    dns_streams: BTreeMap<Plug, Vec<u8>>,
    scripts: BTreeMap<SocketAddr, Vec<&'static str>>,
    /// What the servers that follow a script have left to say, by connection.
    performances: Vec<VecDeque<&'static str>>,
    /// Connections that come in are one too many.
    pub crowded: bool,
    /// No node hears what a store hints at.
    pub deaf: bool,
    /// What happens to a store's op, in per cent: some are handed back, some fail.
    pub trouble: Trouble,
    trace: Vec<String>,
}

/// How often a store makes trouble, in per cent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Ops handed back.
    pub busy: usize,
    /// Ops that fail without an effect.
    pub failed: usize,
}

/// A machine on which a node runs. The nodes of one server have a machine each, with the same address and store.
pub struct Machine {
    /// What it said, newest last.
    pub events: Vec<Event>,
    /// Its store: what is on disk.
    pub store: Arc<MemoryStore>,
    /// Its address.
    pub ip: IpAddr,
    config: Arc<Config>,
    share: Share,
    ports: Vec<u16>,
    node: Option<Node>,
    ear: Arc<Ear>,
    accepting: bool,
    reading: BTreeMap<ConnId, bool>,
    until: Option<Mono>,
    waits: bool,
    done: bool,
    answers: VecDeque<(Token, StoreReply)>,
    /// Which ops are answered only when the story says so, and their answers.
    slow: Option<fn(&StoreOp) -> bool>,
    held: VecDeque<(Token, StoreReply)>,
}

/// Where a store's notices wait for their node. Its answers are given at once, and wait in the machine.
#[derive(Default)]
struct Ear(Mutex<Notices>);

impl Ear {
    fn take(&self) -> Notices {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Ear {
    fn complete(&self, token: Token, _: StoreReply) {
        unreachable!("{token:?} was answered at once");
    }

    fn notice(&self, notice: Notice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(notice);
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plug {
    Node(usize, ConnId),
    Client(usize),
    Dns(u64),
    /// A server that follows a script.
    Script(usize),
}

#[derive(Default)]
struct Client {
    inbox: Vec<u8>,
    closed: bool,
    /// Octets that it still takes; without, all that come.
    appetite: Option<usize>,
}

/// A client of the world's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(usize);

impl World {
    /// When every world begins.
    pub const BEGINNING: Wall = Wall(1_795_379_126_000);

    /// A world without machines.
    #[must_use]
    pub fn new(seed: u64, dns: Responder) -> Self {
        Self {
            now: Now { mono: Mono(1), wall: Self::BEGINNING },
            random: Random::new(&Seed::number(seed)),
            machines: Vec::new(),
            clients: Vec::new(),
            wires: BTreeMap::new(),
            dns,
            dns_is_silent: false,
            dns_streams: BTreeMap::new(),
            scripts: BTreeMap::new(),
            performances: Vec::new(),
            crowded: false,
            deaf: false,
            trouble: Trouble::default(),
            trace: Vec::new(),
        }
    }

    /// Puts a machine at `ip`, whose node listens on `ports`, in the order of its services.
    pub fn machine(&mut self, ip: &str, ports: &[u16], config: Config, store: Arc<MemoryStore>) -> usize {
        self.server(ip, ports, config, store, 1).start
    }

    /// Puts a server of so many nodes at `ip`, all with the same store. Each counts as a machine.
    pub fn server(
        &mut self,
        ip: &str,
        ports: &[u16],
        config: Config,
        store: Arc<MemoryStore>,
        nodes: u16,
    ) -> Range<usize> {
        let (ip, config) = (ip.parse().expect("an address"), Arc::new(config));
        let first = self.machines.len();
        for share in Share::each(nodes) {
            self.node(ip, ports, Arc::clone(&config), Arc::clone(&store), share);
        }
        first..self.machines.len()
    }

    fn node(&mut self, ip: IpAddr, ports: &[u16], config: Arc<Config>, store: Arc<MemoryStore>, share: Share) {
        let node = Node::new(Arc::clone(&config), share, &self.random.seed());
        self.machines.push(Machine {
            events: Vec::new(),
            store,
            ip,
            config,
            share,
            ports: ports.to_vec(),
            node: Some(node),
            ear: Arc::default(),
            accepting: true,
            reading: BTreeMap::new(),
            until: None,
            waits: false,
            done: false,
            answers: VecDeque::new(),
            slow: None,
            held: VecDeque::new(),
        });
    }

    /// Whoever connects to `address` hears the first of `lines`, and another one each time when he said something; at an
    /// empty one the connection breaks. Lines are given as they travel.
    pub fn script(&mut self, address: &str, lines: &[&'static str]) {
        self.scripts.insert(address.parse().expect("an address and port"), lines.to_vec());
    }

    /// Connections that were made to servers that follow a script.
    #[must_use]
    pub fn performances(&self) -> usize {
        self.performances.len()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// Everything that happened, a line each.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// The machine's server dies: its connections break, and what its nodes knew is gone. What its store confirmed is
    /// not.
    pub fn kill(&mut self, machine: usize) {
        for node in self.server_of(machine) {
            self.end(node);
        }
        self.machines[machine].store.reopen();
        self.run();
    }

    /// The machine's node dies alone: the store goes on, and so do the others that share it.
    pub fn lose(&mut self, machine: usize) {
        self.end(machine);
        self.run();
    }

    fn end(&mut self, machine: usize) {
        let dead = &mut self.machines[machine];
        dead.node = None;
        dead.ear = Arc::default();
        dead.answers.clear();
        dead.held.clear();
        let plugs: Vec<_> =
            self.wires.keys().copied().filter(|plug| matches!(plug, Plug::Node(m, _) if *m == machine)).collect();
        for plug in plugs {
            if let Some(other) = self.unplug(plug) {
                self.tell_closed(other, Closed::Error);
            }
        }
    }

    /// The machine's server comes back: whichever of its nodes were dead.
    pub fn revive(&mut self, machine: usize) {
        for node in self.server_of(machine) {
            if self.machines[node].node.is_none() {
                let seed = self.random.seed();
                let machine = &mut self.machines[node];
                machine.reading.clear();
                machine.waits = false;
                machine.done = false;
                machine.accepting = true;
                machine.node = Some(Node::new(Arc::clone(&machine.config), machine.share, &seed));
            }
        }
        self.run();
    }

    /// The machines of the server to which this one belongs.
    #[must_use]
    pub fn server_of(&self, machine: usize) -> Vec<usize> {
        let ip = self.machines[machine].ip;
        (0..self.machines.len()).filter(|other| self.machines[*other].ip == ip).collect()
    }

    /// Tells a node to stop within `grace`.
    pub fn drain(&mut self, machine: usize, grace: Duration) {
        let deadline = self.now.mono + grace;
        self.input(machine, NodeInput::Drain { deadline });
        self.run();
    }

    /// Gives all nodes of a machine's server another configuration.
    pub fn reload(&mut self, machine: usize, config: Config) {
        let config = Arc::new(config);
        for node in self.server_of(machine) {
            self.machines[node].config = Arc::clone(&config);
            self.input(node, NodeInput::Reload(Arc::clone(&config)));
        }
        self.run();
    }

    /// A node hears this, true or not.
    pub fn notice(&mut self, machine: usize, notice: Notice) {
        self.input(machine, NodeInput::Notice(notice));
        self.run();
    }

    /// From now on the store of `machine` keeps its answers to the ops that `slow` names to itself, until it is told to
    /// [`release`](Self::release) them.
    pub fn hold(&mut self, machine: usize, slow: Option<fn(&StoreOp) -> bool>) {
        self.machines[machine].slow = slow;
    }

    /// The oldest `count` answers that were held back come.
    pub fn release(&mut self, machine: usize, count: usize) {
        let machine = &mut self.machines[machine];
        let released = machine.held.drain(..count.min(machine.held.len()));
        machine.answers.extend(released);
        self.run();
    }

    /// All answers that were held back come, the latest first.
    pub fn release_reversed(&mut self, machine: usize) {
        let machine = &mut self.machines[machine];
        let released = machine.held.drain(..).rev();
        machine.answers.extend(released);
        self.run();
    }

    /// Whether a node is drained.
    #[must_use]
    pub fn is_done(&self, machine: usize) -> bool {
        self.machines[machine].done
    }

    /// Connections of a node.
    #[must_use]
    pub fn connections(&self, machine: usize) -> usize {
        self.machines[machine].node.as_ref().map_or(0, Node::connections)
    }

    /// What a node holds besides its connections.
    #[must_use]
    pub fn holdings(&self, machine: usize) -> Holdings {
        self.machines[machine].node.as_ref().map_or_else(Holdings::default, Node::holdings)
    }

    /// A client connects to a machine's port.
    pub fn connect(&mut self, machine: usize, port: u16) -> ClientId {
        let id = self.clients.len();
        self.clients.push(Client::default());
        let peer = SocketAddr::from(([192, 0, 2, 200], 4000));
        assert!(self.admit(Plug::Client(id), machine, port, peer), "nobody listens");
        self.run();
        ClientId(id)
    }

    /// The client says this.
    pub fn send(&mut self, client: ClientId, bytes: &[u8]) {
        self.deliver(Plug::Client(client.0), bytes);
        self.run();
    }

    /// The client closes its sending side.
    pub fn hang_up(&mut self, client: ClientId) {
        if let Some(&other) = self.wires.get(&Plug::Client(client.0)) {
            self.tell_closed(other, Closed::Eof);
        }
        self.run();
    }

    /// The client's connection breaks.
    pub fn break_off(&mut self, client: ClientId) {
        if let Some(other) = self.unplug(Plug::Client(client.0)) {
            self.tell_closed(other, Closed::Error);
        }
        self.run();
    }

    /// What the client has been told since this was last asked.
    pub fn heard(&mut self, client: ClientId) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.clients[client.0].inbox)).into_owned()
    }

    /// From now on the client reads no more than so many octets.
    pub fn reads_only(&mut self, client: ClientId, octets: usize) {
        self.clients[client.0].appetite = Some(octets);
        if let Some(&Plug::Node(machine, conn)) = self.wires.get(&Plug::Client(client.0)) {
            self.flush(machine, conn);
        }
        self.run();
    }

    /// Octets that a node holds for a client: those that it has not run, and those that he has not read.
    pub fn held_for(&mut self, client: ClientId) -> (usize, usize) {
        let Some(&Plug::Node(machine, conn)) = self.wires.get(&Plug::Client(client.0)) else { return (0, 0) };
        let io = self.machines[machine].node.as_mut().and_then(|node| node.conn(conn));
        io.map_or((0, 0), |io| (io.rx.len(), io.tx.len()))
    }

    /// The server has closed the client's connection.
    #[must_use]
    pub fn is_closed(&self, client: ClientId) -> bool {
        self.clients[client.0].closed
    }

    /// The client says `line` and hears a reply that begins with `expected`; returns it.
    pub fn say(&mut self, client: ClientId, line: &str, expected: &str) -> String {
        self.send(client, format!("{line}\r\n").as_bytes());
        let heard = self.heard(client);
        assert!(heard.starts_with(expected), "said {line:?}, expected {expected:?}, heard {heard:?}");
        heard
    }

    /// Lets time pass, deadline by deadline.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(next) = self.next_deadline().filter(|next| *next <= end) {
            self.advance(next);
            for index in 0..self.machines.len() {
                let due = self.machines[index].until.is_some_and(|until| until <= next);
                if due && self.machines[index].node.is_some() {
                    let before = self.machines[index].until;
                    let progressed = self.turn(index);
                    let machine = &self.machines[index];
                    assert!(
                        progressed || machine.until != before,
                        "machine {index} has a dishonest deadline: {before:?}"
                    );
                }
            }
            self.run();
        }
        self.advance(end);
    }

    /// Runs until nobody has anything to do before some time has passed.
    pub fn run(&mut self) {
        for _ in 0..STEPS {
            let mut busy = false;
            for index in 0..self.machines.len() {
                busy |= self.turn(index);
            }
            if !busy {
                return;
            }
        }
        panic!("the world does not come to rest; the last lines: {:#?}", &self.trace[self.trace.len() - 40..]);
    }

    fn advance(&mut self, to: Mono) {
        let passed = to - self.now.mono;
        self.now = Now { mono: self.now.mono + passed, wall: self.now.wall.after(passed) };
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.machines.iter().filter(|machine| machine.node.is_some()).filter_map(|machine| machine.until).min()
    }

    /// One turn of a node: its store's answers, then polls until it waits. `true` if it did something.
    fn turn(&mut self, index: usize) -> bool {
        let mut busy = false;
        while let Some((token, reply)) = self.machines[index].answers.pop_front() {
            self.input(index, NodeInput::Stored { token, reply });
            busy = true;
        }
        let mut notices = self.machines[index].ear.take();
        while let Some(notice) = notices.pop().filter(|_| !self.deaf) {
            self.input(index, NodeInput::Notice(notice));
            busy = true;
        }
        loop {
            let now = self.now;
            let Some(node) = self.machines[index].node.as_mut() else { return false };
            match node.poll(now) {
                NodeStep::Act(action) => {
                    busy = true;
                    self.act(index, action);
                }
                NodeStep::More => busy = true,
                NodeStep::Wait { until } => {
                    let again = node.poll(now);
                    assert!(
                        matches!(again, NodeStep::Wait { until: same } if same == until),
                        "machine {index}: a wait is stable, not {again:?}"
                    );
                    assert!(until.is_none_or(|until| until > now.mono), "machine {index} waits for the past");
                    self.machines[index].until = until;
                    return busy;
                }
                NodeStep::Done => {
                    assert!(matches!(node.poll(now), NodeStep::Done), "after Done, always Done");
                    self.machines[index].until = None;
                    self.machines[index].done = true;
                    return busy;
                }
            }
        }
    }

    fn input(&mut self, machine: usize, input: NodeInput) {
        self.trace.push(format!("{} {machine} <- {input:?}", self.now.mono.0));
        let now = self.now;
        if let Some(node) = self.machines[machine].node.as_mut() {
            node.input(now, input);
        }
    }

    fn act(&mut self, index: usize, action: NodeAction) {
        self.trace.push(format!("{} {index} -> {action:?}", self.now.mono.0));
        match action {
            NodeAction::Dial { conn, to } => {
                let peer = SocketAddr::new(self.machines[index].ip, 40_000);
                let plug = Plug::Node(index, conn);
                let result = if self.plug(plug, to, peer) { Ok(()) } else { Err("refused".into()) };
                self.input(index, NodeInput::Dialed { conn, result });
                if let Some(&Plug::Script(number)) = self.wires.get(&plug) {
                    self.perform(number, plug);
                }
            }
            NodeAction::Flush(conn) => self.flush(index, conn),
            NodeAction::Interest { conn, read } => {
                self.machines[index].reading.insert(conn, read);
            }
            NodeAction::Close { conn, abort } => {
                if !abort {
                    self.flush(index, conn);
                    if self.machines[index]
                        .node
                        .as_mut()
                        .and_then(|node| node.conn(conn))
                        .is_some_and(|io| !io.tx.is_empty())
                    {
                        // It is written when the client reads, or cut off when the node has lost patience.
                        return;
                    }
                    self.input(index, NodeInput::Closed { conn, how: Closed::Done });
                }
                self.machines[index].reading.remove(&conn);
                if let Some(other) = self.unplug(Plug::Node(index, conn)) {
                    self.tell_closed(other, if abort { Closed::Error } else { Closed::Eof });
                }
            }
            NodeAction::Datagram { socket, to, bytes } => {
                if !self.dns_is_silent
                    && let Some(answer) = self.dns.answer(&bytes, false)
                {
                    self.input(index, NodeInput::Datagram { socket, from: to, bytes: answer });
                }
            }
            NodeAction::CloseSocket(_) => {}
            NodeAction::Accepting(accepting) => self.machines[index].accepting = accepting,
            NodeAction::Store { token, op } => self.store(index, token, op),
            NodeAction::Event(event) => self.machines[index].events.push(event),
        }
    }

    fn store(&mut self, index: usize, token: Token, op: StoreOp) {
        // What changes nothing on disk does not fail for want of room.
        let safe = matches!(op, StoreOp::Maildrop(MaildropOp::Release { .. }) | StoreOp::Stage(StageOp::Drop { .. }));
        let watch = matches!(&op, StoreOp::Mailbox(op) if !matches!(**op, MailboxOp::Ask { .. }));
        let drawn = if watch { 100 } else { self.random.below(100) };
        if drawn < self.trouble.busy {
            return self.input(index, NodeInput::Busy { token, op });
        }
        let slow = self.machines[index].slow.is_some_and(|slow| slow(&op));
        let reply = if !safe && drawn < self.trouble.busy + self.trouble.failed {
            StoreReply::Failed(StoreError::Full)
        } else {
            let sink = Arc::clone(&self.machines[index].ear) as Arc<dyn Sink>;
            self.machines[index].store.apply_for(&sink, op)
        };
        let machine = &mut self.machines[index];
        if slow { &mut machine.held } else { &mut machine.answers }.push_back((token, reply));
    }

    /// Moves what a node has to say to the other end.
    fn flush(&mut self, index: usize, conn: ConnId) {
        let Some(node) = self.machines[index].node.as_mut() else { return };
        let Some(io) = node.conn(conn) else { return };
        assert!(io.tx.len() <= BUFFERED, "{} bytes wait to be written", io.tx.len());
        let mut taken = io.tx.remaining();
        if let Some(&Plug::Client(client)) = self.wires.get(&Plug::Node(index, conn))
            && let Some(appetite) = &mut self.clients[client].appetite
        {
            taken = taken.min(*appetite);
            *appetite -= taken;
        }
        let bytes = io.tx.copy_to_bytes(taken);
        node.touched(conn);
        self.deliver(Plug::Node(index, conn), &bytes);
    }

    fn deliver(&mut self, from: Plug, bytes: &[u8]) {
        let Some(&to) = self.wires.get(&from) else { return };
        match to {
            Plug::Client(client) => self.clients[client].inbox.extend_from_slice(bytes),
            Plug::Dns(_) => self.ask_dns(from, to, bytes),
            Plug::Script(number) => self.perform(number, from),
            Plug::Node(machine, conn) => {
                let Some(node) = self.machines[machine].node.as_mut() else { return };
                let Some(io) = node.conn(conn) else { return };
                io.rx.extend_from_slice(bytes);
                node.touched(conn);
            }
        }
    }

    /// A server that follows a script says its next line to `to`.
    fn perform(&mut self, number: usize, to: Plug) {
        match self.performances[number].pop_front() {
            None => {}
            Some("") => {
                self.unplug(to);
                self.tell_closed(to, Closed::Error);
            }
            Some(line) => self.deliver(Plug::Script(number), line.as_bytes()),
        }
    }

    fn ask_dns(&mut self, from: Plug, to: Plug, bytes: &[u8]) {
        let query = self.dns_streams.entry(to).or_default();
        query.extend_from_slice(bytes);
        let Some((length, query)) = query.split_first_chunk() else { return };
        if query.len() < usize::from(u16::from_be_bytes(*length)) {
            return;
        }
        let answer = self.dns.answer(query, true).unwrap_or_default();
        let mut framed = u16::try_from(answer.len()).expect("an answer fits").to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        self.wires.insert(to, from);
        self.deliver(to, &Bytes::from(framed));
    }

    /// Connects `plug` to whoever is at `to`. `false` when nobody is.
    fn plug(&mut self, plug: Plug, to: SocketAddr, peer: SocketAddr) -> bool {
        let there = (0..self.machines.len()).filter(|index| self.machines[*index].ip == to.ip());
        // The least loaded of those who take any.
        let node = there.min_by_key(|index| {
            let machine = &self.machines[*index];
            (machine.node.is_none() || machine.done, !machine.accepting, self.connections(*index))
        });
        let other = match node {
            Some(node) => return self.admit(plug, node, to.port(), peer),
            None if to.port() == 53 => Plug::Dns(self.random.u64()),
            None if self.scripts.contains_key(&to) => {
                self.performances.push(self.scripts[&to].iter().copied().collect());
                Plug::Script(self.performances.len() - 1)
            }
            None => return false,
        };
        self.wire(plug, other);
        true
    }

    /// Connects `plug` to a port of this machine. `false` when nobody listens there.
    fn admit(&mut self, plug: Plug, index: usize, port: u16, peer: SocketAddr) -> bool {
        let machine = &mut self.machines[index];
        let listener = machine.ports.iter().position(|listens| *listens == port);
        let (Some(listener), Some(node)) = (listener, machine.node.as_mut()) else { return false };
        let accepted = Accepted { listener: ListenerId(listener), peer, crowded: self.crowded };
        let other = Plug::Node(index, node.accept(accepted));
        self.wire(plug, other);
        true
    }

    fn wire(&mut self, a: Plug, b: Plug) {
        self.wires.insert(a, b);
        self.wires.insert(b, a);
    }

    fn unplug(&mut self, plug: Plug) -> Option<Plug> {
        let other = self.wires.remove(&plug)?;
        self.wires.remove(&other);
        Some(other)
    }

    fn tell_closed(&mut self, plug: Plug, how: Closed) {
        match plug {
            Plug::Client(client) => self.clients[client].closed = true,
            Plug::Node(machine, conn) => self.input(machine, NodeInput::Closed { conn, how }),
            Plug::Dns(_) | Plug::Script(_) => {}
        }
    }
}
