//! One lookup: which names it still asks for, and what its findings add up to (RFC 5321 §5.1).
//!
//! An MX lookup has two stages: the domain's exchangers, then two addresses (A and AAAA) for each of them. Without any MX
//! the domain itself is the exchanger. A host lookup begins with the second stage.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::cache::Key;
use super::limits::Limits;
use super::name::DomainName;
use super::wire::{Finding, Kind, What};
use super::{Answer, MxHost};
use crate::mark;
use crate::seed::Random;
use crate::time::Mono;

/// A lookup that has not been answered.
#[derive(Debug)]
pub(super) struct Lookup {
    /// When it is answered at the latest.
    pub(super) deadline: Mono,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Exchangers(Slot),
    /// `whole`: the hosts are the name looked up itself, not exchangers of it.
    Addresses {
        hosts: Vec<Host>,
        whole: bool,
    },
}

#[derive(Debug)]
struct Host {
    preference: u16,
    name: DomainName,
    slots: [Slot; 2],
}

/// One thing asked for, followed along its CNAMEs.
#[derive(Debug)]
pub(super) struct Slot {
    /// What is asked now: the end of the CNAMEs so far.
    pub(super) key: Key,
    /// A question for `key` is open and knows of this lookup.
    pub(super) asked: bool,
    aliases: u32,
    found: Option<What>,
}

impl Lookup {
    /// Looks for `domain`'s exchangers.
    pub(super) fn mx(domain: DomainName, deadline: Mono) -> Self {
        Self { deadline, stage: Stage::Exchangers(Slot::new(domain, Kind::Mx, 0)) }
    }

    /// Looks for `host`'s addresses.
    pub(super) fn host(host: DomainName, deadline: Mono) -> Self {
        Self { deadline, stage: Stage::Addresses { hosts: vec![Host::new(0, host, 0)], whole: true } }
    }

    /// The slots that are not settled yet.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut Slot> {
        let (one, many) = match &mut self.stage {
            Stage::Exchangers(slot) => (Some(slot), [].iter_mut()),
            Stage::Addresses { hosts, .. } => (None, hosts.iter_mut()),
        };
        one.into_iter().chain(many.flat_map(|host| &mut host.slots)).filter(|slot| slot.is_open())
    }

    /// Once no slot is open: the answer, or `None` when the next stage has opened new ones.
    pub(super) fn conclude(&mut self, random: &mut Random, limits: &Limits) -> Option<Answer> {
        let slot = match &mut self.stage {
            Stage::Exchangers(slot) => slot,
            Stage::Addresses { hosts, whole } => return Some(deliverable(hosts, *whole, limits)),
        };
        let hosts = match slot.found.take()? {
            What::Exchangers { hosts, null } if hosts.is_empty() => {
                return Some(if null {
                    mark!(DnsNullMx, Answer::NullMx)
                } else {
                    mark!(DnsNoHosts, Answer::NoAddress)
                });
            }
            What::Exchangers { hosts, .. } => ranked(hosts, random, limits),
            What::NoName => return mark!(DnsNoDomain, Some(Answer::NoSuchDomain)),
            What::Failed(words) => return mark!(DnsMxFailed, Some(Answer::Temporary(slot.words(&words)))),
            // The implicit MX; after a CNAME it is the name at its end (RFC 5321 §5.1).
            What::NoData | What::Addresses(_) | What::Alias => {
                mark!(DnsImplicitMx);
                let hosts = vec![Host::new(0, slot.key.0.clone(), slot.aliases)];
                self.stage = Stage::Addresses { hosts, whole: true };
                return None;
            }
        };
        let hosts = hosts.into_iter().map(|(preference, name)| Host::new(preference, name, 0)).collect();
        self.stage = Stage::Addresses { hosts, whole: false };
        None
    }
}

impl Slot {
    fn new(name: DomainName, kind: Kind, aliases: u32) -> Self {
        Self { key: (name, kind), asked: false, aliases, found: None }
    }

    /// Takes over what was found for `key`. It stays open when that was a CNAME whose end is not known yet.
    pub(super) fn take(&mut self, finding: &Finding, limits: &Limits) {
        self.asked = false;
        self.aliases = self.aliases.saturating_add(finding.aliases);
        self.key.0 = finding.name.clone();
        if self.aliases > limits.aliases {
            mark!(DnsTooManyAliases);
            self.fail("too many CNAMEs in a row");
        } else if finding.what != What::Alias {
            self.found = Some(finding.what.clone());
        }
    }

    /// Nothing final is known of it.
    pub(super) fn is_open(&self) -> bool {
        self.found.is_none()
    }

    /// Settles it without an answer.
    pub(super) fn fail(&mut self, words: &str) {
        self.found = Some(What::Failed(words.into()));
    }

    fn words(&self, why: &str) -> String {
        format!("{} of {}: {why}", self.key.1.as_str(), self.key.0)
    }

    fn addresses(&self) -> &[IpAddr] {
        match &self.found {
            Some(What::Addresses(addresses)) => addresses,
            _ => &[],
        }
    }
}

impl Host {
    fn new(preference: u16, name: DomainName, aliases: u32) -> Self {
        let slots = [Kind::A, Kind::Aaaa].map(|kind| Slot::new(name.clone(), kind, aliases));
        Self { preference, name, slots }
    }

    /// Its addresses, the two families by turns, so that neither is cut off by the other. IPv4 goes first: more
    /// receivers take mail over it from a host that is new to them.
    fn addresses(&self, most: usize) -> Vec<IpAddr> {
        let [v4, v6] = &self.slots;
        let (v4, v6) = (v4.addresses(), v6.addresses());
        let mut addresses = Vec::with_capacity(most.min(v4.len() + v6.len()));
        for turn in 0..v4.len().max(v6.len()) {
            for address in [v4.get(turn), v6.get(turn)].into_iter().flatten() {
                if addresses.len() < most && !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
        }
        addresses
    }
}

/// In order of preference, equal ones shuffled; each host once, with its best preference; the most preferred ones only.
pub(super) fn ranked(
    mut hosts: Vec<(u16, DomainName)>,
    random: &mut Random,
    limits: &Limits,
) -> Vec<(u16, DomainName)> {
    random.shuffle(&mut hosts);
    hosts.sort_by_key(|(preference, _)| *preference);
    let mut kept: Vec<(u16, DomainName)> = Vec::with_capacity(hosts.len().min(limits.exchangers));
    for host in hosts {
        if kept.len() == limits.exchangers {
            mark!(DnsTooManyHosts);
            break;
        }
        if !kept.iter().any(|(_, name)| *name == host.1) {
            kept.push(host);
        }
    }
    kept
}

fn deliverable(hosts: &[Host], whole: bool, limits: &Limits) -> Answer {
    let found: Vec<MxHost> = hosts
        .iter()
        .map(|host| MxHost {
            preference: host.preference,
            name: host.name.to_string(),
            addresses: host.addresses(limits.addresses),
        })
        .collect();
    if found.iter().any(|host| !host.addresses.is_empty()) {
        return Answer::Hosts(found);
    }
    let slots = || hosts.iter().flat_map(|host| &host.slots);
    let failed = slots().find_map(|slot| match &slot.found {
        Some(What::Failed(words)) => Some(slot.words(words)),
        _ => None,
    });
    if let Some(words) = failed {
        mark!(DnsAddressesFailed);
        return Answer::Temporary(words);
    }
    if whole && slots().any(|slot| slot.found == Some(What::NoName)) {
        return Answer::NoSuchDomain;
    }
    mark!(DnsNoAddress, Answer::NoAddress)
}
