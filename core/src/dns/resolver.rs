//! The resolver: lookups in, datagrams and answers out.
//!
//! It holds lookups, and the questions that they wait for; several lookups share one question. What it has to say stands
//! in a queue from which [`poll`](Resolver::poll) takes; every deadline stands in one ordered set.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

use super::cache::{Cache, Key};
use super::lookup::{Lookup, ranked};
use super::name::DomainName;
use super::question::{Phase, Question};
use super::wire::{self, Finding, Reply, What};
use super::{Answer, Config, Limits, LookupId, MxHost, ResolverStep, SocketId, StreamId};
use crate::mark;
use crate::seed::{Random, Seed};
use crate::time::{Mono, Now};

/// A stub resolver for mail: it asks recursive servers, and answers lookups.
///
/// After every other call, and when the time that [`ResolverStep::Wait`] named has come, [`poll`](Self::poll) it until it waits again.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<Server>,
    limits: Limits,
    random: Random,
    cache: Cache,
    lookups: BTreeMap<LookupId, Lookup>,
    /// Lookups that no work is done for yet, oldest first. They are in `lookups` too.
    waiting: VecDeque<LookupId>,
    questions: BTreeMap<Key, Question>,
    /// Questions that wait for a free socket, oldest first.
    ready: VecDeque<Key>,
    sockets: BTreeMap<SocketId, Key>,
    streams: BTreeMap<StreamId, Key>,
    timers: BTreeSet<(Mono, Timer)>,
    next_socket: u64,
    next_stream: u64,
    steps: VecDeque<ResolverStep>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Until then it is asked last, since it did not answer.
    slow_until: Mono,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Question(Key),
    Lookup(LookupId),
}

impl Resolver {
    /// A resolver with an empty cache. Its ids and its shuffling come from `seed`.
    #[must_use]
    pub fn new(config: Config, seed: &Seed) -> Self {
        Self {
            servers: servers(&config),
            limits: config.limits,
            random: Random::new(seed),
            cache: Cache::default(),
            lookups: BTreeMap::new(),
            waiting: VecDeque::new(),
            questions: BTreeMap::new(),
            ready: VecDeque::new(),
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_socket: 0,
            next_stream: 0,
            steps: VecDeque::new(),
        }
    }

    /// Takes a new configuration. Questions under way stay with the servers they began with; other servers may say
    /// other things, so a change of servers empties the cache.
    pub fn reload(&mut self, config: Config) {
        let fresh = servers(&config);
        if !fresh.iter().map(|server| server.address).eq(self.servers.iter().map(|server| server.address)) {
            self.servers = fresh;
            self.cache.clear();
        }
        self.limits = config.limits;
        self.cache.shrink(&self.limits);
    }

    /// Looks up where mail for `domain` goes. Exactly one [`ResolverStep::Answer`] follows, unless it is cancelled.
    ///
    /// `domain` may be internationalized. `lookup` must be unique while it is open: a second one of the same name is ignored.
    pub fn lookup_mx(&mut self, now: Now, lookup: LookupId, domain: &str) {
        self.begin(now, lookup, domain, Lookup::mx);
    }

    /// Looks up the addresses of one host. What follows is as with [`lookup_mx`](Self::lookup_mx); the answer has one
    /// [`MxHost`] with preference 0. An address instead of a name, also in brackets, is answered at once, and so is
    /// `localhost`, which is never asked for (RFC 6761 §6.3).
    pub fn lookup_host(&mut self, now: Now, lookup: LookupId, host: &str) {
        if let Some(addresses) = known(host).filter(|_| !self.lookups.contains_key(&lookup)) {
            let host = MxHost { preference: 0, name: String::from(host), addresses };
            return self.answer(lookup, Answer::Hosts(vec![host]));
        }
        self.begin(now, lookup, host, Lookup::host);
    }

    /// Forgets `lookup`: no answer follows, not even one that stood ready. What nobody else waits for is asked no further.
    pub fn cancel(&mut self, lookup: LookupId) {
        self.steps.retain(|step| !matches!(step, ResolverStep::Answer { lookup: answered, .. } if *answered == lookup));
        self.drop_lookup(lookup);
    }

    /// A datagram arrived at `socket`. What does not belong to an open question, sent by the server asked, is dropped.
    pub fn datagram(&mut self, now: Now, socket: SocketId, from: SocketAddr, bytes: &[u8]) {
        let Some(key) = self.sockets.get(&socket).cloned() else { return };
        let Some(question) = self.questions.get_mut(&key) else { return };
        let Phase::Datagram { server, id, .. } = question.phase else { return };
        if !same(from, server) {
            mark!(DnsStranger);
            return;
        }
        match wire::read(bytes, id, &key.0, key.1, self.limits.aliases) {
            Reply::Wrong => {
                mark!(DnsWrongAnswer);
                question.wrong += 1;
                if question.wrong < self.limits.wrong_answers {
                    return;
                }
                mark!(DnsGuessed);
                self.ask_stream(now, &key, server);
            }
            Reply::Truncated => mark!(DnsTruncated, self.ask_stream(now, &key, server)),
            reply => self.reply(now, key, server, reply),
        }
        self.pump(now.mono);
    }

    /// The TCP exchange `stream` ended: with a whole answer, or with `None` when it failed.
    pub fn stream_answer(&mut self, now: Now, stream: StreamId, message: Option<Bytes>) {
        let Some(key) = self.streams.get(&stream).cloned() else { return };
        let Some(question) = self.questions.get_mut(&key) else { return };
        let Phase::Stream { server, id, .. } = question.phase else { return };
        let reply = message.map(|bytes| wire::read(&bytes, id, &key.0, key.1, self.limits.aliases));
        match reply {
            None => {
                mark!(DnsStreamFailed);
                self.settle(&key);
                self.ready.push_back(key);
            }
            Some(Reply::Wrong) => {
                mark!(DnsWrongStream);
                self.reply(now, key, server, Reply::Refused { words: "another question over TCP", plain: false });
            }
            Some(Reply::Truncated) => {
                mark!(DnsTruncatedStream);
                self.reply(now, key, server, Reply::Refused { words: "a truncated answer over TCP", plain: false });
            }
            Some(reply) => self.reply(now, key, server, reply),
        }
        self.pump(now.mono);
    }

    /// The next thing for the host. Call until it says [`ResolverStep::Wait`].
    pub fn poll(&mut self, now: Now) -> ResolverStep {
        loop {
            self.pump(now.mono);
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            match self.timers.first() {
                Some((due, _)) if *due <= now.mono => self.fire(now.mono),
                first => return ResolverStep::Wait { until: first.map(|(due, _)| *due) },
            }
        }
    }

    fn begin(&mut self, now: Now, id: LookupId, name: &str, lookup: fn(DomainName, Mono) -> Lookup) {
        if self.lookups.contains_key(&id) {
            return;
        }
        let name = match DomainName::parse(name) {
            Ok(name) => name,
            Err(why) => return mark!(DnsBadName, self.answer(id, Answer::BadName(why.into()))),
        };
        if self.servers.is_empty() {
            mark!(DnsNoServer);
            return self.answer(id, Answer::Temporary("no DNS server is configured".into()));
        }
        if self.waiting.len() >= self.limits.waiting {
            mark!(DnsWaitingFull);
            return self.answer(id, Answer::Temporary("too many DNS lookups are waiting".into()));
        }
        let deadline = now.mono.after(self.limits.lookup_timeout);
        self.lookups.insert(id, lookup(name, deadline));
        self.timers.insert((deadline, Timer::Lookup(id)));
        self.waiting.push_back(id);
        self.pump(now.mono);
    }

    /// Starts what waits, as far as the limits allow.
    fn pump(&mut self, now: Mono) {
        loop {
            if self.in_flight() < self.limits.in_flight.max(1)
                && let Some(key) = self.ready.pop_front()
            {
                self.ask_datagram(now, key);
            } else if self.lookups.len() - self.waiting.len() < self.limits.lookups.max(1)
                && let Some(id) = self.waiting.pop_front()
            {
                self.work(now, id);
            } else {
                if !self.ready.is_empty() {
                    mark!(DnsSocketsFull);
                }
                if !self.waiting.is_empty() {
                    mark!(DnsLookupsFull);
                }
                return;
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.sockets.len() + self.streams.len()
    }

    /// Brings a lookup as far as what is known allows: to its answer, or to open questions for all the rest.
    fn work(&mut self, now: Mono, id: LookupId) {
        let Some(mut lookup) = self.lookups.remove(&id) else { return };
        loop {
            let mut open = false;
            for slot in lookup.open() {
                if slot.asked {
                    open = true;
                    continue;
                }
                // Each step that leaves it open adds a CNAME, and those are bounded.
                while slot.is_open()
                    && let Some(finding) = self.cache.find(&slot.key, now)
                {
                    slot.take(finding, &self.limits);
                }
                if slot.is_open() {
                    slot.asked = true;
                    open = true;
                    let servers = &self.servers;
                    let question = self.questions.entry(slot.key.clone()).or_insert_with(|| {
                        self.ready.push_back(slot.key.clone());
                        Question::new(order(servers, now))
                    });
                    question.waiters.insert(id);
                }
            }
            if open {
                self.lookups.insert(id, lookup);
                return;
            }
            if let Some(answer) = lookup.conclude(&mut self.random, &self.limits) {
                self.timers.remove(&(lookup.deadline, Timer::Lookup(id)));
                return self.answer(id, answer);
            }
        }
    }

    fn answer(&mut self, lookup: LookupId, answer: Answer) {
        self.steps.push_back(ResolverStep::Answer { lookup, answer });
    }

    /// Sends the question to the next server, from a fresh socket and with a fresh id.
    fn ask_datagram(&mut self, now: Mono, key: Key) {
        let Some(question) = self.questions.get_mut(&key) else { return };
        let Some((server, patience)) = question.next(&self.limits) else {
            mark!(DnsNobodyAnswers);
            return self.fail(now, key);
        };
        let (socket, id, deadline) = (SocketId(self.next_socket), self.random.u16(), now.after(patience));
        self.next_socket += 1;
        question.phase = Phase::Datagram { socket, server, id, deadline };
        let bytes = wire::query(id, &key.0, key.1, question.edns);
        self.steps.push_back(ResolverStep::Send { socket, to: server, bytes });
        self.sockets.insert(socket, key.clone());
        self.timers.insert((deadline, Timer::Question(key)));
    }

    /// Puts the question to the same server over TCP.
    fn ask_stream(&mut self, now: Now, key: &Key, server: SocketAddr) {
        self.settle(key);
        let Some(question) = self.questions.get_mut(key) else { return };
        let (stream, id) = (StreamId(self.next_stream), self.random.u16());
        let deadline = now.mono.after(self.limits.stream_timeout);
        self.next_stream += 1;
        question.phase = Phase::Stream { stream, server, id, deadline };
        let query = wire::query(id, &key.0, key.1, question.edns);
        self.steps.push_back(ResolverStep::Stream { stream, to: server, query });
        self.streams.insert(stream, key.clone());
        self.timers.insert((deadline, Timer::Question(key.clone())));
    }

    /// Takes the question off the wire: its socket is closed, its stream forgotten, its timer gone.
    fn settle(&mut self, key: &Key) {
        let Some(question) = self.questions.get_mut(key) else { return };
        match mem::replace(&mut question.phase, Phase::Ready) {
            Phase::Ready => {}
            Phase::Datagram { socket, deadline, .. } => {
                self.sockets.remove(&socket);
                self.timers.remove(&(deadline, Timer::Question(key.clone())));
                self.steps.push_back(ResolverStep::CloseSocket(socket));
            }
            Phase::Stream { stream, deadline, .. } => {
                self.streams.remove(&stream);
                self.timers.remove(&(deadline, Timer::Question(key.clone())));
            }
        }
    }

    /// The server asked has replied.
    fn reply(&mut self, now: Now, key: Key, server: SocketAddr, reply: Reply) {
        self.settle(&key);
        if let Some(known) = self.servers.iter_mut().find(|known| known.address == server) {
            known.slow_until = Mono::default();
        }
        match reply {
            Reply::Found { finding, ttl } => {
                let lifetime = self.lifetime(&finding, ttl);
                self.found(now.mono, key, finding, lifetime);
            }
            Reply::Refused { words, plain } => {
                let Some(question) = self.questions.get_mut(&key) else { return };
                if plain && question.edns {
                    mark!(DnsPlainRetry);
                    question.retry_plain();
                } else {
                    mark!(DnsRefused);
                    question.refuse(server, words);
                }
                self.ready.push_back(key);
            }
            Reply::Wrong | Reply::Truncated => {}
        }
    }

    /// How long a finding may be believed.
    fn lifetime(&self, finding: &Finding, ttl: Option<u32>) -> Duration {
        let ttl = ttl.map(|seconds| Duration::from_secs(u64::from(seconds)));
        match finding.what {
            What::Failed(_) => self.limits.failure_ttl,
            // Without an SOA nobody says how long there will be nothing (RFC 2308 §5).
            What::NoData | What::NoName => ttl.unwrap_or_default().min(self.limits.max_negative_ttl),
            What::Exchangers { .. } | What::Addresses(_) | What::Alias => {
                ttl.unwrap_or_default().min(self.limits.max_ttl)
            }
        }
    }

    fn fail(&mut self, now: Mono, key: Key) {
        let Some(question) = self.questions.get_mut(&key) else { return };
        let waiters = mem::take(&mut question.waiters);
        let Some(question) = self.questions.remove(&key) else { return };
        let what = What::Failed(Arc::from(question.failure()));
        let finding = Finding { aliases: 0, name: key.0.clone(), what };
        self.deliver(now, key, finding, self.limits.failure_ttl, waiters);
    }

    fn found(&mut self, now: Mono, key: Key, mut finding: Finding, lifetime: Duration) {
        let Some(question) = self.questions.remove(&key) else { return };
        match &mut finding.what {
            What::Exchangers { hosts, .. } => *hosts = ranked(mem::take(hosts), &mut self.random, &self.limits),
            What::Addresses(addresses) => {
                if addresses.len() > self.limits.addresses {
                    mark!(DnsTooManyAddresses);
                }
                addresses.truncate(self.limits.addresses);
            }
            _ => {}
        }
        self.deliver(now, key, finding, lifetime, question.waiters);
    }

    /// Remembers a finding and hands it to those who wait for it, also when it may not be remembered.
    fn deliver(&mut self, now: Mono, key: Key, finding: Finding, ttl: Duration, waiters: BTreeSet<LookupId>) {
        self.cache.insert(key.clone(), finding.clone(), ttl, now, &self.limits);
        for id in waiters {
            let Some(lookup) = self.lookups.get_mut(&id) else { continue };
            for slot in lookup.open().filter(|slot| slot.asked && slot.key == key) {
                slot.take(&finding, &self.limits);
            }
            self.work(now, id);
        }
    }

    /// The earliest deadline has passed.
    fn fire(&mut self, now: Mono) {
        match self.timers.pop_first() {
            Some((_, Timer::Question(key))) => {
                let asking = self.questions.get(&key).and_then(|question| question.phase.asking());
                mark!(DnsTimeout);
                self.settle(&key);
                if let Some((server, _)) = asking
                    && let Some(known) = self.servers.iter_mut().find(|known| known.address == server)
                {
                    known.slow_until = now.after(self.limits.slow_server);
                }
                self.ready.push_back(key);
            }
            Some((_, Timer::Lookup(id))) => self.expire(now, id),
            None => {}
        }
    }

    /// A lookup's time is up: it answers with what it has.
    fn expire(&mut self, now: Mono, id: LookupId) {
        self.waiting.retain(|waiting| *waiting != id);
        let Some(mut lookup) = self.lookups.remove(&id) else { return };
        mark!(DnsExpired);
        self.leave(id, &mut lookup);
        lookup.open().for_each(|slot| slot.fail("the lookup took too long"));
        let answer = lookup.conclude(&mut self.random, &self.limits);
        let answer = answer.unwrap_or_else(|| Answer::Temporary("the lookup took too long".into()));
        self.answer(id, answer);
        self.pump(now);
    }

    fn drop_lookup(&mut self, id: LookupId) {
        let Some(mut lookup) = self.lookups.remove(&id) else { return };
        self.timers.remove(&(lookup.deadline, Timer::Lookup(id)));
        self.waiting.retain(|waiting| *waiting != id);
        self.leave(id, &mut lookup);
    }

    /// Takes `id` off the questions it waits for; those that nobody waits for any more are dropped.
    fn leave(&mut self, id: LookupId, lookup: &mut Lookup) {
        for slot in lookup.open().filter(|slot| slot.asked) {
            let Some(question) = self.questions.get_mut(&slot.key) else { continue };
            question.waiters.remove(&id);
            if question.waiters.is_empty() {
                self.settle(&slot.key);
                self.questions.remove(&slot.key);
                self.ready.retain(|key| *key != slot.key);
            }
        }
    }
}

fn servers(config: &Config) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for address in config.servers.iter().copied() {
        if servers.len() < config.limits.servers && !servers.iter().any(|server| server.address == address) {
            servers.push(Server { address, slow_until: Mono::default() });
        }
    }
    servers
}

/// The servers as configured, those that did not answer lately behind the others.
fn order(servers: &[Server], now: Mono) -> Vec<SocketAddr> {
    let slow = |server: &&Server| server.slow_until > now;
    let (slow, quick): (Vec<&Server>, Vec<&Server>) = servers.iter().partition(slow);
    quick.into_iter().chain(slow).map(|server| server.address).collect()
}

/// The same address and port; a host may see an IPv4 peer through an IPv6 socket.
fn same(from: SocketAddr, server: SocketAddr) -> bool {
    from.ip().to_canonical() == server.ip().to_canonical() && from.port() == server.port()
}

/// What needs no server: an address, and the name of this very machine.
fn known(host: &str) -> Option<Vec<IpAddr>> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    literal(host).map(|address| vec![address])
}

/// An address in place of a name: `192.0.2.1`, `2001:db8::1`, `[192.0.2.1]`, `[2001:db8::1]`, `[IPv6:2001:db8::1]`.
fn literal(host: &str) -> Option<IpAddr> {
    let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) else {
        return host.parse().ok();
    };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse().ok().map(IpAddr::V6),
        _ => inner.parse().ok(),
    }
}
