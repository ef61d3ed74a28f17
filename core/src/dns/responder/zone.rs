//! A zone as code writes it: records, and names that misbehave on purpose.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::super::name::DomainName;
use super::record;

/// How long records hold unless told otherwise, in seconds.
const TTL: u32 = 300;

/// How long "there is none" holds unless told otherwise, in seconds.
const NEGATIVE_TTL: u32 = 60;

/// How a name answers, whatever is asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// By its records.
    #[default]
    Normal,
    /// Always SERVFAIL.
    ServFail,
    /// Always REFUSED.
    Refuse,
    /// Never at all.
    Silent,
    /// Truncated in a datagram, whole over TCP.
    Truncate,
    /// Truncated in a datagram, and not at all over TCP.
    SilentOverTcp,
}

/// One zone. Records are added in code, each name absolute; a final dot is allowed.
///
/// A name that is none is a bug in that code, and so these methods panic on it; none of them sees input.
#[derive(Clone, Debug)]
pub struct Zone {
    apex: DomainName,
    ttl: u32,
    negative_ttl: u32,
    records: BTreeMap<DomainName, Vec<(u32, RData)>>,
    behaviours: BTreeMap<DomainName, Behaviour>,
}

impl Zone {
    /// An empty zone; `.` is the root, which holds every name.
    ///
    /// # Panics
    /// When `apex` is no domain name.
    #[must_use]
    pub fn new(apex: &str) -> Self {
        let apex = if apex == "." { DomainName::root() } else { name(apex) };
        Self { apex, ttl: TTL, negative_ttl: NEGATIVE_TTL, records: BTreeMap::new(), behaviours: BTreeMap::new() }
    }

    /// The TTL of records added from here on, in seconds; 300 until then.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// How long "there is none" holds, in seconds: the minimum of the SOA; 60 by default.
    #[must_use]
    pub fn negative_ttl(mut self, seconds: u32) -> Self {
        self.negative_ttl = seconds;
        self
    }

    /// Mail for `owner` goes to `exchange`.
    ///
    /// # Panics
    /// When a name is none.
    #[must_use]
    pub fn mx(self, owner: &str, preference: u16, exchange: &str) -> Self {
        let exchange = name(exchange).to_wire();
        self.add(owner, RData::MX(MX::new(preference, exchange)))
    }

    /// `owner` takes no mail (RFC 7505).
    ///
    /// # Panics
    /// When `owner` is no domain name.
    #[must_use]
    pub fn null_mx(self, owner: &str) -> Self {
        self.add(owner, RData::MX(MX::new(0, Name::root())))
    }

    /// An IPv4 address of `owner`.
    ///
    /// # Panics
    /// When `owner` is no domain name.
    #[must_use]
    pub fn a(self, owner: &str, address: impl Into<Ipv4Addr>) -> Self {
        self.add(owner, RData::A(A(address.into())))
    }

    /// An IPv6 address of `owner`.
    ///
    /// # Panics
    /// When `owner` is no domain name.
    #[must_use]
    pub fn aaaa(self, owner: &str, address: impl Into<Ipv6Addr>) -> Self {
        self.add(owner, RData::AAAA(AAAA(address.into())))
    }

    /// `owner` is another name for `target`.
    ///
    /// # Panics
    /// When a name is none.
    #[must_use]
    pub fn cname(self, owner: &str, target: &str) -> Self {
        let target = name(target).to_wire();
        self.add(owner, RData::CNAME(CNAME(target)))
    }

    /// A text of `owner`, cut into strings of 255 bytes where it is longer.
    ///
    /// # Panics
    /// When `owner` is no domain name.
    #[must_use]
    pub fn txt(self, owner: &str, text: &str) -> Self {
        let strings = match text.as_bytes() {
            [] => vec![&[][..]],
            bytes => bytes.chunks(255).collect(),
        };
        self.add(owner, RData::TXT(TXT::from_bytes(strings)))
    }

    /// `owner` answers like this from now on.
    ///
    /// # Panics
    /// When `owner` is no domain name.
    #[must_use]
    pub fn behaviour(mut self, owner: &str, behaviour: Behaviour) -> Self {
        self.behaviours.insert(name(owner), behaviour);
        self
    }

    pub(super) fn apex(&self) -> &DomainName {
        &self.apex
    }

    pub(super) fn behaviour_of(&self, name: &DomainName) -> Behaviour {
        self.behaviours.get(name).copied().unwrap_or_default()
    }

    /// The records of one kind at `name`.
    pub(super) fn records(&self, name: &DomainName, kind: RecordType) -> Vec<Record> {
        if kind == RecordType::SOA && *name == self.apex {
            return vec![self.soa()];
        }
        let at = self.records.get(name).into_iter().flatten();
        let of_kind = at.filter(|(_, data)| data.record_type() == kind);
        of_kind.map(|(ttl, data)| record(name.to_wire(), *ttl, data.clone())).collect()
    }

    /// The CNAME at `name`, and where it leads.
    pub(super) fn alias(&self, name: &DomainName) -> Option<(Record, DomainName)> {
        self.records.get(name)?.iter().find_map(|(ttl, data)| {
            let RData::CNAME(CNAME(target)) = data else { return None };
            Some((record(name.to_wire(), *ttl, data.clone()), DomainName::from_wire(target)?))
        })
    }

    /// Something is at `name` or below it (RFC 8020).
    pub(super) fn exists(&self, name: &DomainName) -> bool {
        *name == self.apex || self.records.keys().any(|owner| owner.is_within(name))
    }

    pub(super) fn soa(&self) -> Record {
        let apex = self.apex.to_wire();
        let soa = SOA::new(apex.clone(), apex.clone(), 1, 3600, 600, 86_400, self.negative_ttl);
        record(apex, self.negative_ttl, RData::SOA(soa))
    }

    fn add(mut self, owner: &str, data: RData) -> Self {
        let owner = name(owner);
        assert!(owner.is_within(&self.apex), "{owner} is not in the zone {}", self.apex);
        self.records.entry(owner).or_default().push((self.ttl, data));
        self
    }
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}
