//! DNS for mail: where does a domain's mail go.
//!
//! The [`Resolver`] is a stub resolver as a machine. It asks recursive servers by datagram, over TCP when an answer does
//! not fit, and gives each lookup exactly one [`Answer`]. It opens no socket: a [`ResolverStep::Send`] with a [`SocketId`] not
//! seen before tells the host to bind a fresh random port, so that a forger must guess the port as well as the id.
//! The [`responder`] is the other side: a small authoritative server for tests, demonstrations and simulations.
//!
//! ```text
//!  lookup_mx ----> waiting -> MX of the domain -> A and AAAA of each host -> Answer
//!                                  |  none: the domain itself ^
//!  lookup_host --> waiting --------+--------------------------+
//! ```
//!
//! | a question ends with | a lookup of the domain | of an MX host's address |
//! |---|---|---|
//! | MX records | their hosts, by preference, equal ones shuffled | |
//! | one MX, the root | [`Answer::NullMx`] | |
//! | no such records | the implicit MX: the domain itself | the host has none |
//! | no such name | [`Answer::NoSuchDomain`] | the host has none |
//! | a CNAME | goes on there, 8 times at most | goes on there, 8 times at most |
//! | SERVFAIL, REFUSED, silence, a CNAME loop | [`Answer::Temporary`] | temporary, when no host has an address |
//!
//! What it learns is believed for as long as its TTL says, within [`Limits`]; nothing is learnt of names that were not asked for.
//! It is not validating (no DNSSEC): like every stub it believes the servers that it was told to ask, and keeps
//! others from speaking in their name.
//!
//! | RFC | what is here, what is not |
//! |---|---|
//! | 1034, 1035 | queries of class IN for MX, A, AAAA; retransmission with growing timeouts, all servers in turn; CNAMEs. No iteration from the root: servers must recurse, and a referral counts as a refusal. |
//! | 2181 | a TTL with the highest bit set is 0 (§8); an MX that points to a CNAME is tolerated (§10.3 forbids it to the domain's owner) |
//! | 2308 | negative answers kept for the lesser of the SOA's TTL and minimum (§5), not at all without an SOA; failures kept for seconds (§7) |
//! | 5321 §5.1 | preference order, shuffled among equals, implicit MX; no fallback to the implicit MX when MX records exist |
//! | 5452 | id, question, address, port and socket must match; fresh random port and id for each try; never the same question twice at once; over TCP after many wrong answers. No random case (0x20): servers that do not preserve it are served. |
//! | 5891 | internationalized names are looked up as A-labels |
//! | 6761 | `localhost` as a host is 127.0.0.1 and ::1 without a question (§6.3) |
//! | 6891 | EDNS(0) with 1232 bytes; without it when a server answers FORMERR or NOTIMP |
//! | 7505 | null MX; a root exchange beside others is ignored |
//! | 7766 | TCP after truncation, one query a connection ([`StreamSession`]); no pipelining: it is too rare to keep connections |
//!
//! The whole loop, with a responder in place of the network:
//!
//! ```
//! use pillarbox_core::dns::responder::{Responder, Zone};
//! use pillarbox_core::dns::{Answer, Config, LookupId, Resolver, ResolverStep};
//! use pillarbox_core::{Now, Seed};
//!
//! let zone = Zone::new("birch.example").mx("birch.example", 10, "mx.birch.example").a("mx.birch.example", [192, 0, 2, 25]);
//! let server = Responder::new([zone]);
//! let config = Config { servers: vec!["192.0.2.53:53".parse().unwrap()], ..Config::default() };
//! let (mut resolver, now) = (Resolver::new(config, &Seed::number(1)), Now::default());
//!
//! resolver.lookup_mx(now, LookupId(1), "birch.example");
//! let answer = loop {
//!     match resolver.poll(now) {
//!         ResolverStep::Send { socket, to, bytes } => {
//!             if let Some(reply) = server.answer(&bytes, false) {
//!                 resolver.datagram(now, socket, to, &reply);
//!             }
//!         }
//!         ResolverStep::Answer { answer, .. } => break answer,
//!         ResolverStep::CloseSocket(_) | ResolverStep::Stream { .. } => {}
//!         ResolverStep::Wait { until } => unreachable!("this server answers at once: {until:?}"),
//!     }
//! };
//! let Answer::Hosts(hosts) = answer else { panic!("{answer:?}") };
//! assert_eq!(hosts[0].name, "mx.birch.example");
//! ```

mod cache;
mod limits;
mod lookup;
mod name;
mod question;
pub mod resolv_conf;
mod resolver;
pub mod responder;
mod stream;
mod wire;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

pub use limits::Limits;
pub use resolver::Resolver;
pub use stream::{StreamAnswer, StreamSession};

use crate::time::Mono;

/// `name` with A-labels; `None` when it is no domain name.
pub(crate) fn a_labels(name: &str) -> Option<alloc::sync::Arc<str>> {
    name::DomainName::parse(name).ok().map(|name| name.as_str().into())
}

/// Whom to ask, and how hard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Recursive servers, the preferred one first. Without any, every lookup fails temporarily.
    pub servers: Vec<SocketAddr>,
    /// The bounds.
    pub limits: Limits,
}

/// The name of a lookup, chosen by the caller; unique while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

/// The name of a UDP socket: one for each try of each question, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// The name of one exchange over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What the resolver says when polled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a step tells the host what to do next"]
pub enum ResolverStep {
    /// Send this datagram from `socket`, and hand what arrives there to [`Resolver::datagram`]. A socket not seen before
    /// means: bind a fresh random port. A send that fails may be forgotten: the resolver's timeout covers it.
    Send {
        /// From where.
        socket: SocketId,
        /// The server.
        to: SocketAddr,
        /// The query.
        bytes: Bytes,
    },
    /// The socket is not needed any more.
    CloseSocket(SocketId),
    /// Ask this over TCP: connect, run a [`StreamSession`], and hand its outcome to [`Resolver::stream_answer`].
    Stream {
        /// The name of the exchange.
        stream: StreamId,
        /// The server.
        to: SocketAddr,
        /// The query, without the length that stands before it on the stream.
        query: Bytes,
    },
    /// The one answer to a lookup.
    Answer {
        /// The lookup.
        lookup: LookupId,
        /// Its answer.
        answer: Answer,
    },
    /// Nothing to do until something arrives, or this time comes.
    Wait {
        /// When to poll at the latest.
        until: Option<Mono>,
    },
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Where to deliver, in order of preference, equal ones shuffled; at most 16 by default. At least one has an
    /// address. A host without any is kept in, so that a relay still finds itself among them and its own preference;
    /// why it has none may be passing, so a relay that is left with only such hosts tries again later.
    Hosts(Vec<MxHost>),
    /// The domain takes no mail (RFC 7505). Permanent.
    NullMx,
    /// The domain does not exist. Permanent.
    NoSuchDomain,
    /// It exists, but there is no host with an address to deliver to. Permanent.
    NoAddress,
    /// It could not be found out now; why, in words. Safe to log and to show.
    Temporary(String),
    /// This is no domain name; why, in words that do not repeat it. Permanent.
    BadName(String),
}

/// A host that takes mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxHost {
    /// Lower is tried first.
    pub preference: u16,
    /// Its name, lower-case, as A-labels, without a final dot.
    pub name: String,
    /// Its addresses, IPv4 and IPv6 by turns; at most 4 by default.
    pub addresses: Vec<IpAddr>,
}
