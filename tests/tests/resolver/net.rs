//! A small internet in virtual time: servers that answer, stay silent, or do what a test makes them do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::dns::responder::Responder;
use pillarbox_core::dns::{Answer, Config, Limits, LookupId, Resolver, ResolverStep, SocketId, StreamId};
use pillarbox_core::{Mono, Now, Seed};

/// What a server makes of a query: any number of datagrams, each from any address.
pub(crate) type Custom = Box<dyn FnMut(&[u8]) -> Vec<(SocketAddr, Bytes)>>;

pub(crate) enum Server {
    Up(Responder),
    Dead,
    Custom(Custom),
}

/// A query seen by a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) server: u16,
    pub(crate) socket: Option<SocketId>,
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) edns: bool,
    pub(crate) tcp: bool,
}

pub(crate) struct Net {
    pub(crate) resolver: Resolver,
    pub(crate) servers: BTreeMap<SocketAddr, Server>,
    pub(crate) now: Mono,
    pub(crate) seen: Vec<Seen>,
    pub(crate) open: BTreeSet<SocketId>,
    pub(crate) streams: Vec<StreamId>,
    pub(crate) closed: BTreeSet<SocketId>,
    next: u64,
}

/// The server number `n`.
pub(crate) fn server(n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 53], n))
}

impl Net {
    pub(crate) fn new(servers: Vec<Server>) -> Self {
        Self::with(servers, Limits::default(), 1)
    }

    pub(crate) fn with(servers: Vec<Server>, limits: Limits, seed: u64) -> Self {
        let servers: BTreeMap<_, _> = (1..).map(server).zip(servers).collect();
        let config = Config { servers: servers.keys().copied().collect(), limits };
        Self {
            resolver: Resolver::new(config, &Seed::number(seed)),
            servers,
            now: Mono(1_000_000_000),
            seen: Vec::new(),
            open: BTreeSet::new(),
            streams: Vec::new(),
            closed: BTreeSet::new(),
            next: 0,
        }
    }

    pub(crate) fn one(responder: Responder) -> Self {
        Self::new(vec![Server::Up(responder)])
    }

    pub(crate) fn time(&self) -> Now {
        Now { mono: self.now, ..Now::default() }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    /// The answer to an MX lookup, once all is quiet.
    pub(crate) fn mx(&mut self, domain: &str) -> Answer {
        self.next += 1;
        self.resolver.lookup_mx(self.time(), LookupId(self.next), domain);
        self.only_answer()
    }

    pub(crate) fn host(&mut self, host: &str) -> Answer {
        self.next += 1;
        self.resolver.lookup_host(self.time(), LookupId(self.next), host);
        self.only_answer()
    }

    fn only_answer(&mut self) -> Answer {
        let mut answers = self.run();
        assert_eq!(answers.len(), 1, "one question, one answer");
        assert!(self.open.is_empty(), "no socket stays open");
        answers.remove(0).1
    }

    /// Runs until nothing is open any more.
    pub(crate) fn run(&mut self) -> Vec<(LookupId, Answer)> {
        let mut answers = Vec::new();
        loop {
            match self.resolver.poll(self.time()) {
                ResolverStep::Send { socket, to, bytes } => self.send(socket, to, bytes),
                ResolverStep::CloseSocket(socket) => {
                    assert!(self.open.remove(&socket), "closed once");
                    self.closed.insert(socket);
                }
                ResolverStep::Stream { stream, to, query } => self.stream(stream, to, query),
                ResolverStep::Answer { lookup, answer } => answers.push((lookup, answer)),
                ResolverStep::Wait { until: None } => return answers,
                ResolverStep::Wait { until: Some(until) } => {
                    assert!(until > self.now, "polling at a deadline makes progress");
                    self.now = until;
                }
            }
        }
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, query: Bytes) {
        assert!(self.open.insert(socket) && !self.closed.contains(&socket), "each try has a socket of its own");
        self.note(Some(socket), to, &query);
        let replies = match self.servers.get_mut(&to) {
            Some(Server::Up(responder)) => {
                responder.answer(&query, false).map(|bytes| (to, bytes)).into_iter().collect()
            }
            Some(Server::Custom(custom)) => custom(&query),
            Some(Server::Dead) | None => Vec::new(),
        };
        for (from, bytes) in replies {
            self.resolver.datagram(self.time(), socket, from, &bytes);
        }
    }

    fn stream(&mut self, stream: StreamId, to: SocketAddr, query: Bytes) {
        self.streams.push(stream);
        self.note(None, to, &query);
        let message = match self.servers.get_mut(&to) {
            Some(Server::Up(responder)) => responder.answer(&query, true),
            Some(Server::Custom(custom)) => custom(&query).pop().map(|(_, bytes)| bytes),
            Some(Server::Dead) | None => None,
        };
        self.resolver.stream_answer(self.time(), stream, message);
    }

    fn note(&mut self, socket: Option<SocketId>, to: SocketAddr, query: &[u8]) {
        let (name, kind, end) = question(query);
        self.seen.push(Seen {
            at: self.now - Mono(1_000_000_000),
            server: to.port(),
            socket,
            id: u16::from_be_bytes([query[0], query[1]]),
            name,
            kind,
            edns: query.len() > end,
            tcp: socket.is_none(),
        });
    }

    /// The queries seen so far, as `name kind`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen.iter().map(|seen| format!("{} {}", seen.name, seen.kind)).collect()
    }
}

/// Name and kind of a query's one question, and where it ends.
pub(crate) fn question(query: &[u8]) -> (String, &'static str, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    let kind = match query[at + 2] {
        1 => "A",
        15 => "MX",
        28 => "AAAA",
        _ => "?",
    };
    (labels.join("."), kind, at + 5)
}

/// A name in wire form.
pub(crate) fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A record in wire form: class IN.
pub(crate) fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = wire(owner);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&1u16.to_be_bytes());
    bytes.extend_from_slice(&ttl.to_be_bytes());
    bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

pub(crate) fn a(owner: &str, ttl: u32, address: [u8; 4]) -> Vec<u8> {
    record(owner, 1, ttl, &address)
}

pub(crate) fn cname(owner: &str, target: &str) -> Vec<u8> {
    record(owner, 5, 300, &wire(target))
}

pub(crate) fn mx(owner: &str, ttl: u32, preference: u16, exchange: &str) -> Vec<u8> {
    record(owner, 15, ttl, &[&preference.to_be_bytes()[..], &wire(exchange)].concat())
}

pub(crate) fn soa(owner: &str, ttl: u32, minimum: u32) -> Vec<u8> {
    let numbers = [1u32, 2, 3, 4, minimum].map(u32::to_be_bytes).concat();
    record(owner, 6, ttl, &[vec![0, 0], numbers].concat())
}

/// A reply to `query` with these sections.
pub(crate) fn reply(query: &[u8], rcode: u8, sections: [&[Vec<u8>]; 3]) -> Bytes {
    let (_, _, end) = question(query);
    let mut bytes = query[..end].to_vec();
    bytes[2] = 0x81;
    bytes[3] = 0x80 | rcode;
    for (n, section) in sections.iter().enumerate() {
        bytes[6 + 2 * n..8 + 2 * n].copy_from_slice(&(section.len() as u16).to_be_bytes());
        bytes.extend(section.iter().flatten());
    }
    Bytes::from(bytes)
}
