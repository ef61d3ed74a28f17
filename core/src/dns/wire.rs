//! Messages: our question written, and the one answer to it read.
//!
//! The codec is hickory-proto's; this file decides what is believed. A reply counts only when its id, its question, its kind
//! and its class are those that we sent (RFC 5452 §9.1). From its answer section only the chain asked for is read: the
//! name, its CNAMEs, and the records at the end. The additional section is not read at all, and a record of a kind that
//! we did not ask for is stepped over, whatever it contains.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::name::DomainName;
use crate::mark;

/// The largest datagram we ask for: it passes any path of the Internet in one piece (RFC 6891 §6.2.5, DNS flag day 2020).
pub(super) const EDNS_PAYLOAD: u16 = 1232;

/// The kinds of record that a mail server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Mx,
    A,
    Aaaa,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Mx, Self::A, Self::Aaaa];

    /// As people write it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Mx => "MX",
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }

    fn record_type(self) -> RecordType {
        match self {
            Self::Mx => RecordType::MX,
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
        }
    }
}

/// What an answer says of the name asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// CNAMEs passed.
    pub(super) aliases: u32,
    /// The name at their end.
    pub(super) name: DomainName,
    /// What was found there.
    pub(super) what: What,
}

/// What stands at the end of a chain of CNAMEs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Mail exchangers, with their preferences; `null` when one of them was the root (RFC 7505).
    Exchangers { hosts: Vec<(u16, DomainName)>, null: bool },
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// The chain goes on: the server did not say where it ends.
    Alias,
    /// The name exists, without records of this kind.
    NoData,
    /// The name does not exist.
    NoName,
    /// It could not be found out, in words.
    Failed(Arc<str>),
}

impl Finding {
    /// What it weighs, roughly, beside its own size.
    pub(super) fn bytes(&self) -> usize {
        self.name.as_str().len()
            + match &self.what {
                What::Exchangers { hosts, .. } => hosts.iter().map(|(_, host)| 48 + host.as_str().len()).sum(),
                What::Addresses(addresses) => addresses.len() * size_of::<IpAddr>(),
                What::Failed(words) => words.len(),
                What::Alias | What::NoData | What::NoName => 0,
            }
    }
}

/// What a message is to the question it came for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Not the answer to our question: a mistake, or a forgery.
    Wrong,
    /// The answer did not fit: ask over TCP.
    Truncated,
    /// The server will not or cannot say. `plain` when it may only dislike EDNS (RFC 6891 §6.2.2).
    Refused { words: &'static str, plain: bool },
    /// An answer, and for how many seconds it holds; `None` when it must not be kept.
    Found { finding: Finding, ttl: Option<u32> },
}

/// The query for `kind` records of `name`, recursion desired.
pub(super) fn query(id: u16, name: &DomainName, kind: Kind, edns: bool) -> Bytes {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.to_wire(), kind.record_type()));
    if edns {
        let mut opt = Edns::new();
        opt.set_max_payload(EDNS_PAYLOAD);
        message.set_edns(opt);
    }
    Bytes::from(message.to_vec().expect("one valid question and an OPT record always fit"))
}

/// Reads `bytes` as the reply to the query `id` for `kind` records of `name`, with at most `aliases` CNAMEs.
pub(super) fn read(bytes: &[u8], id: u16, name: &DomainName, kind: Kind, aliases: u32) -> Reply {
    let mut decoder = BinDecoder::new(bytes);
    let Ok(header) = Header::read(&mut decoder) else { return Reply::Wrong };
    let (meta, counts) = (header.metadata, header.counts);
    if meta.id != id || meta.message_type != MessageType::Response || meta.op_code != OpCode::Query {
        return Reply::Wrong;
    }
    // Servers older than EDNS may send their complaint about it without the question.
    let plain = matches!(meta.response_code, ResponseCode::FormErr | ResponseCode::NotImp);
    if counts.queries == 0 && plain {
        return Reply::Refused { words: words(meta.response_code), plain };
    }
    if counts.queries != 1 {
        return Reply::Wrong;
    }
    let Ok(question) = Query::read(&mut decoder) else { return Reply::Wrong };
    // Compared without regard to case: a server may echo the question as it likes.
    if DomainName::from_wire(&question.name).as_ref() != Some(name)
        || question.query_type != kind.record_type()
        || question.query_class != DNSClass::IN
    {
        return Reply::Wrong;
    }
    if meta.truncation {
        return Reply::Truncated;
    }
    if !matches!(meta.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Reply::Refused { words: words(meta.response_code), plain };
    }
    let (Some(answers), Some(authorities)) =
        (records(&mut decoder, counts.answers), records(&mut decoder, counts.authorities))
    else {
        mark!(DnsMalformed);
        return Reply::Refused { words: "a malformed answer", plain: false };
    };
    let section = Section { answers: &answers, authorities: &authorities };
    section.follow(name, kind, aliases, meta.response_code == ResponseCode::NXDomain, meta.authoritative)
}

struct Record {
    owner: Name,
    /// Seconds.
    ttl: u32,
    data: Data,
}

enum Data {
    Mx(u16, Name),
    Address(IpAddr),
    Cname(Name),
    Soa { minimum: u32 },
    Ns,
}

struct Section<'a> {
    answers: &'a [Record],
    authorities: &'a [Record],
}

impl Section<'_> {
    /// Walks from `asked` along its CNAMEs; each step is a scan, and the steps are bounded.
    fn follow(&self, asked: &DomainName, kind: Kind, most: u32, no_name: bool, authoritative: bool) -> Reply {
        let mut chain = vec![asked.clone()];
        let (mut name, mut at) = (asked.clone(), asked.to_wire());
        let (mut aliases, mut ttl) = (0, u32::MAX);
        loop {
            let own = || self.answers.iter().filter(|record| record.owner == at);
            let lifetime = own().filter(|record| record.data.is(kind)).map(|record| record.ttl).min();
            if let Some(lifetime) = lifetime {
                let what = collect(own().map(|record| &record.data), kind);
                return Reply::Found { finding: Finding { aliases, name, what }, ttl: Some(ttl.min(lifetime)) };
            }
            let alias = own().find_map(|record| match &record.data {
                Data::Cname(target) => Some((target, record.ttl)),
                _ => None,
            });
            let Some((target, lifetime)) = alias else { break };
            let failed = |words: &str, name| Reply::Found {
                finding: Finding { aliases, name, what: What::Failed(Arc::from(words)) },
                ttl: None,
            };
            let Some(next) = DomainName::from_wire(target) else {
                return mark!(DnsAliasToNowhere, failed("a CNAME leads to what is no host name", name));
            };
            if chain.contains(&next) {
                return mark!(DnsAliasLoop, failed("its CNAMEs form a loop", name));
            }
            if aliases == most {
                return mark!(DnsTooManyAliases, failed("too many CNAMEs in a row", name));
            }
            chain.push(next.clone());
            (aliases, ttl, name, at) = (aliases + 1, ttl.min(lifetime), next, target.clone());
        }
        self.nothing(name, &at, aliases, ttl, no_name, authoritative)
    }

    /// What it means that the chain ends at `at` without a record (RFC 2308 §2).
    fn nothing(
        &self,
        name: DomainName,
        at: &Name,
        aliases: u32,
        ttl: u32,
        no_name: bool,
        authoritative: bool,
    ) -> Reply {
        let soa = self.authorities.iter().find_map(|record| match record.data {
            Data::Soa { minimum } if record.owner.zone_of(at) => Some(minimum.min(record.ttl)),
            _ => None,
        });
        let negative = soa.map(|lifetime| lifetime.min(ttl));
        if no_name {
            return Reply::Found { finding: Finding { aliases, name, what: What::NoName }, ttl: negative };
        }
        if soa.is_none() && aliases > 0 {
            return Reply::Found { finding: Finding { aliases, name, what: What::Alias }, ttl: Some(ttl) };
        }
        let referral = self.authorities.iter().any(|record| matches!(record.data, Data::Ns));
        if soa.is_none() && referral && !authoritative {
            mark!(DnsReferral);
            return Reply::Refused { words: "a referral, so it does not resolve for us", plain: false };
        }
        Reply::Found { finding: Finding { aliases, name, what: What::NoData }, ttl: negative }
    }
}

impl Data {
    fn is(&self, kind: Kind) -> bool {
        match self {
            Self::Mx(..) => kind == Kind::Mx,
            Self::Address(IpAddr::V4(_)) => kind == Kind::A,
            Self::Address(IpAddr::V6(_)) => kind == Kind::Aaaa,
            Self::Cname(_) | Self::Soa { .. } | Self::Ns => false,
        }
    }
}

fn collect<'a>(data: impl Iterator<Item = &'a Data>, kind: Kind) -> What {
    let (mut hosts, mut addresses, mut null) = (Vec::new(), Vec::new(), false);
    for data in data.filter(|data| data.is(kind)) {
        match data {
            Data::Mx(_, exchange) if exchange.is_root() => null = true,
            Data::Mx(preference, exchange) => {
                hosts.extend(DomainName::from_wire(exchange).map(|host| (*preference, host)));
            }
            Data::Address(address) => addresses.extend(Some(*address).filter(|address| deliverable(*address))),
            Data::Cname(_) | Data::Soa { .. } | Data::Ns => {}
        }
    }
    match kind {
        Kind::Mx => What::Exchangers { hosts, null },
        Kind::A | Kind::Aaaa if addresses.is_empty() => What::NoData,
        Kind::A | Kind::Aaaa => What::Addresses(addresses),
    }
}

/// Nobody's address, or everybody's, is no host's.
fn deliverable(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// The next `count` records, without those that no lookup wants; `None` when malformed. Each takes at least 11 bytes of the
/// message, so a lying count ends with it.
fn records(decoder: &mut BinDecoder<'_>, count: u16) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    for _ in 0..count {
        let owner = Name::read(decoder).ok()?;
        let kind = RecordType::read(decoder).ok()?;
        let class = decoder.read_u16().ok()?.unverified();
        let ttl = decoder.read_u32().ok()?.unverified();
        let length = usize::from(decoder.read_u16().ok()?.unverified());
        let end = decoder.index().checked_add(length)?;
        if class != u16::from(DNSClass::IN) {
            decoder.read_slice(length).ok()?;
            continue;
        }
        let data = match kind {
            RecordType::MX => Data::Mx(decoder.read_u16().ok()?.unverified(), Name::read(decoder).ok()?),
            RecordType::CNAME => Data::Cname(Name::read(decoder).ok()?),
            RecordType::NS => {
                Name::read(decoder).ok()?;
                Data::Ns
            }
            RecordType::SOA => {
                Name::read(decoder).ok()?;
                Name::read(decoder).ok()?;
                decoder.read_slice(16).ok()?;
                Data::Soa { minimum: decoder.read_u32().ok()?.unverified() }
            }
            RecordType::A => {
                let octets = <[u8; 4]>::try_from(decoder.read_slice(length).ok()?.unverified()).ok()?;
                Data::Address(Ipv4Addr::from(octets).into())
            }
            RecordType::AAAA => {
                let octets = <[u8; 16]>::try_from(decoder.read_slice(length).ok()?.unverified()).ok()?;
                Data::Address(Ipv6Addr::from(octets).into())
            }
            _ => {
                decoder.read_slice(length).ok()?;
                continue;
            }
        };
        if decoder.index() != end {
            return None;
        }
        // A lifetime with its highest bit set is none (RFC 2181 §8).
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        records.push(Record { owner, ttl, data });
    }
    Some(records)
}

fn words(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        _ => "an error",
    }
}
