//! The world: machines, wires, name servers and people, in one thread and in virtual time.
//!
//! Here are its parts, and the next step; what happens in it is told in files of their own:
//!
//! | where | what |
//! |---|---|
//! | `agenda` | what is going to happen, in its order |
//! | `machines` | nodes and their disks, and the contract that nodes are held to |
//! | `wires` | connections |
//! | `devices` | people |
//! | `watch` | what is seen of it all from outside |

mod agenda;
mod devices;
mod machines;
mod watch;
mod wires;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use pillarbox_core::node::{Config, NodeInput, Share};
use pillarbox_core::{Mono, Random, Seed};
use pillarbox_store::MemoryStore;

use self::agenda::{Agenda, Coming};
use self::devices::Device;
use crate::disk::Disk;
use crate::host::{Clock, Doors, Host, Power, Slot, Tap};
use crate::ledger::{Ledger, UserId};
use crate::names::Names;
use crate::plan::Item;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::wire::{Wire, WireId};

/// The ports that a machine listens on, in the order of its services.
pub(crate) const PORTS: [u16; 4] = [SMTP, SUBMISSION, POP3, IMAP];
pub(crate) const SMTP: u16 = 25;
pub(crate) const SUBMISSION: u16 = 587;
pub(crate) const POP3: u16 = 110;
pub(crate) const IMAP: u16 = 143;

/// Octets that a node is given at one time.
const READ: usize = 64 * 1024;

/// Octets that a node may hold for a connection each way: its limits, and what one read or one reply may add.
const BUFFERED: usize = 512 * 1024;

/// The world.
pub(crate) struct World {
    now: Mono,
    agenda: Agenda,
    /// Of the wire or the person that came last.
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
    /// Where a server is that is none of ours, and is odd; and its name in the ledger.
    pub(crate) odd: Option<(IpAddr, UserId)>,
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
            agenda: Agenda::default(),
            number: 0,
            random: Random::new(&Seed::number(seed)),
            hosts: Vec::new(),
            slots: Vec::new(),
            lives: Vec::new(),
            wires: BTreeMap::new(),
            devices: BTreeMap::new(),
            by_address: BTreeMap::new(),
            thieves: BTreeSet::new(),
            odd: None,
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
            guest: None,
            doors: None,
            stopping: false,
            deaf: false,
            stages: BTreeMap::new(),
            rows: BTreeMap::new(),
        });
        self.lives.push(0);
        self.start(host);
        host
    }

    /// The plan has something for this time.
    pub(crate) fn planned(&mut self, at: Mono, what: Item) {
        self.comes(at, Coming::Planned(what));
    }

    fn comes(&mut self, at: Mono, what: Coming) {
        self.agenda.add(at.max(self.now), what);
    }

    // Running it.

    /// The next thing happens, unless it comes after `end`. What the plan has for now is returned.
    pub(crate) fn step(&mut self, end: Mono) -> Step {
        self.settle();
        let Some((at, what)) = self.agenda.next(end) else {
            self.now = self.now.max(end);
            return Step::Over;
        };
        self.now = at;
        self.ledger.now = at;
        self.steps += 1;
        match what {
            Coming::Planned(what) => return Step::Planned(what),
            Coming::Wake(index) => self.wake(index, false),
            Coming::Nudge(index) => self.wake(index, true),
            Coming::Written(host, life) if self.lives[host] == life => self.written(host),
            Coming::Read(host, life) if self.lives[host] == life => self.read(host),
            Coming::Written(..) | Coming::Read(..) => {}
            Coming::Arrive(wire, end) => self.arrive(wire, end),
            Coming::Readable(index, conn) => self.readable(index, conn),
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
            Coming::Impatient(person, wait) => self.impatient(person, wait),
            Coming::Waited(person, wait) => self.waited(person, wait),
        }
        Step::Done
    }

    /// Every node that has heard something has its turn.
    fn settle(&mut self) {
        while let Some(index) = self.dirty.pop_first() {
            self.turn(index);
        }
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
