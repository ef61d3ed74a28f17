//! People at their devices: what they do, what they are told, and how long they wait for it.

use std::net::SocketAddr;
use std::time::Duration;

use super::agenda::Coming;
use super::wires::Leaving;
use super::{SMTP, World};
use crate::host::Power;
use crate::ledger::UserId;
use crate::people::{Deed, News, Odd, Person, WAYS};
use crate::timeline::{Side, Talk};
use crate::wire::{Freight, Plug, WireId};

/// How long a person waits for a reply.
const PATIENCE: Duration = Duration::from_secs(600);

/// Somebody at a device, with at most one connection.
pub(super) struct Device {
    /// Who he is.
    pub(super) user: UserId,
    person: Box<dyn Person>,
    pub(super) wire: Option<(WireId, usize)>,
    /// Where he has knocked last.
    port: u16,
    /// What he waits for; an older one wakes nobody.
    pub(super) waits: u64,
    /// He reads nothing.
    pub(super) deaf: bool,
}

impl World {
    /// Somebody appears.
    pub(crate) fn person(&mut self, user: UserId, person: Box<dyn Person>) {
        self.number += 1;
        let id = self.number;
        self.devices.insert(id, Device { user, person, wire: None, port: 0, waits: 0, deaf: false });
        self.news(id, News::Begin);
    }

    pub(super) fn call(&mut self, person: u64, host: usize, port: u16) {
        // A machine's own people sit at it.
        let is_guest = self.devices.get(&person).is_some_and(|device| self.hosts[host].guest == Some(device.user));
        let last = 1 + (person % 250) as u8;
        let peer = SocketAddr::from((if is_guest { [192, 0, 2, last] } else { [127, 0, 0, last] }, 50_000));
        let admitted = if self.hosts[host].power == Power::Off { None } else { self.admit(host, port, peer) };
        let Some((other, there)) = admitted else { return self.news(person, News::Over) };
        let wire = self.wire([Plug::Person(person), other], [None, there]);
        if let Some(device) = self.devices.get_mut(&person) {
            (device.wire, device.port) = (Some((wire, 0)), port);
        }
    }

    /// An odd server at the end of a connection that is being made.
    pub(super) fn odd_server(&mut self) -> Plug {
        self.number += 1;
        let (id, way) = (self.number, self.random.below(WAYS));
        let user = self.odd.map(|(_, user)| user).unwrap_or(UserId(0));
        let device = Device { user, person: Box::new(Odd::new(way)), wire: None, port: SMTP, waits: 0, deaf: false };
        self.devices.insert(id, device);
        Plug::Person(id)
    }

    /// The connection is made.
    pub(super) fn is_called(&mut self, person: u64, wire: WireId) {
        if let Some(device) = self.devices.get_mut(&person) {
            device.wire = Some((wire, 1));
        }
        self.news(person, News::Begin);
    }

    pub(super) fn news(&mut self, person: u64, news: News<'_>) {
        let Some(device) = self.devices.get_mut(&person) else { return };
        device.waits += 1;
        let mut deeds = Vec::new();
        device.person.hear(self.now, news, &mut self.ledger, &mut deeds);
        if deeds.is_empty() && device.wire.is_some() {
            // He has heard a part of what he waits for.
            self.patience(person);
        }
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

    pub(super) fn deed(&mut self, person: u64, deed: Deed) {
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
            Deed::Wait(time) => {
                device.waits += 1;
                let wait = device.waits;
                self.comes(self.now + time, Coming::Waited(person, wait));
            }
            Deed::Deaf => device.deaf = true,
            Deed::BreakOff | Deed::Vanish => {
                if let Some((wire, end)) = device.wire.take() {
                    let (ledger, user) = (&self.ledger, device.user);
                    let (how, words) = match deed {
                        Deed::Vanish => (Leaving::Silently, ", and nobody is told"),
                        _ => (Leaving::Broken, ""),
                    };
                    self.trace.tell(self.now, || format!("{} is gone{words}", ledger.address(user)));
                    self.leave(wire, end, how);
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

    /// What a person and a server say to each other, for whoever reads it.
    pub(super) fn tell_person(&mut self, person: u64, side: Side, wire: WireId, bytes: &[u8]) {
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

    /// His patience is at its end, unless something has come since.
    pub(super) fn impatient(&mut self, person: u64, wait: u64) {
        if self.devices.get(&person).is_some_and(|device| device.waits == wait) {
            self.deed(person, Deed::BreakOff);
            self.news(person, News::Over);
        }
    }

    /// He has waited for so long, unless something has come since.
    pub(super) fn waited(&mut self, person: u64, wait: u64) {
        if self.devices.get(&person).is_some_and(|device| device.waits == wait) {
            self.news(person, News::Time);
        }
    }

    /// His connection is broken, which he finds out in a moment.
    pub(super) fn cut_off(&mut self, person: u64) {
        let Some(device) = self.devices.get_mut(&person) else { return };
        device.wire = None;
        device.waits += 1;
        let wait = device.waits;
        self.comes(self.now, Coming::Impatient(person, wait));
    }

    /// People who are not done.
    pub(crate) fn busy_people(&self) -> usize {
        self.devices.len()
    }
}
