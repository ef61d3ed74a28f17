//! DNS: a resolver between lookups and whatever the wire brings, and the small server that answers queries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::dns::responder::{Behaviour, Responder, Zone};
use pillarbox_core::dns::{Answer, Config, Limits, LookupId, Resolver, ResolverStep, SocketId, StreamId};
use pillarbox_core::{Mono, Now, Seed};

use crate::choices::Choices;
use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::choice;

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "\u{7}example\u{3}org\0",
        "\u{2}mx",
        "\0\u{f}\0\u{1}",
        "\0\u{1}\0\u{1}",
        "\0\u{5}\0\u{1}",
        "\0\u{6}\0\u{1}",
        "\0)\u{4}",
    ]
}

/// What is looked up.
pub(crate) const NAMES: [&str; 8] = [
    "example.org",
    "alias.example.org",
    "loop.example.org",
    "quiet.example.org",
    "gone.example.org",
    "broken.example.org",
    "long.example.org",
    "no name",
];

/// What somebody honest says of the names.
pub(crate) fn honest() -> Responder {
    let zone = Zone::new("example.org")
        .ttl(4)
        .negative_ttl(3)
        .mx("example.org", 10, "mx.example.org")
        .mx("example.org", 20, "mx2.example.org")
        .a("mx.example.org", [192, 0, 2, 1])
        .cname("mx2.example.org", "mx.example.org")
        .cname("alias.example.org", "example.org")
        .cname("loop.example.org", "loop.example.org")
        .null_mx("quiet.example.org")
        .mx("long.example.org", 1, "mx.example.org")
        .behaviour("broken.example.org", Behaviour::ServFail)
        .behaviour("long.example.org", Behaviour::Truncate);
    Responder::new([zone])
}

/// How long a lookup may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Lookups, cancellations and time, and answers that are honest, of any records at all, or no answers. It is played twice:
/// the same inputs give the same trace.
pub(crate) fn resolver(input: &[u8]) {
    let allowed = Allowance { peak: (400, 1 << 20), total: (20_000, 1 << 23), count: (400, 20_000) };
    let first = linear(input.len(), allowed, || Net::new(input.len()).play(Choices::new(input)));
    assert_eq!(Net::new(input.len()).play(Choices::new(input)), first);
}

struct Net {
    resolver: Resolver,
    limits: Limits,
    now: Mono,
    steps: Steps,
    honest: Responder,
    queries: VecDeque<(SocketId, SocketAddr, Bytes)>,
    streams: VecDeque<(StreamId, Bytes)>,
    sockets: BTreeSet<SocketId>,
    open: BTreeMap<LookupId, Mono>,
    trace: Vec<String>,
}

impl Net {
    fn new(octets: usize) -> Self {
        let limits = Limits {
            in_flight: 4,
            lookups: 6,
            waiting: 4,
            cache_entries: 8,
            lookup_timeout: TIMEOUT,
            ..Limits::default()
        };
        let servers = vec![SocketAddr::from(([192, 0, 2, 53], 1)), SocketAddr::from(([192, 0, 2, 53], 2))];
        Self {
            resolver: Resolver::new(Config { servers, limits: limits.clone() }, &Seed::number(7)),
            limits,
            now: Mono(0),
            steps: Steps::of(octets, 200, 2000),
            honest: honest(),
            queries: VecDeque::new(),
            streams: VecDeque::new(),
            sockets: BTreeSet::new(),
            open: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    fn time(&self) -> Now {
        Now { mono: self.now, ..Now::default() }
    }

    /// One lookup, as far as it comes without an answer.
    fn play_one(&mut self, how: u8, name: u8) {
        let (id, name) = (LookupId(0), NAMES[usize::from(name) % NAMES.len()]);
        self.open.insert(id, self.now.after(self.limits.lookup_timeout));
        if how == 0 {
            self.resolver.lookup_mx(self.time(), id, name);
        } else {
            self.resolver.lookup_host(self.time(), id, name);
        }
        self.drain();
    }

    fn play(mut self, mut choices: Choices<'_>) -> Vec<String> {
        for number in 0.. {
            if choices.is_empty() {
                break;
            }
            let (how, what) = (choices.below(8), choices.octet());
            let (id, name) = (LookupId(number), NAMES[usize::from(what) % NAMES.len()]);
            match how {
                0 => self.resolver.lookup_mx(self.time(), id, name),
                1 => self.resolver.lookup_host(self.time(), id, name),
                2 => {
                    let id = self.open.keys().nth(usize::from(what) % self.open.len().max(1)).copied();
                    if let Some(id) = id {
                        self.resolver.cancel(id);
                        self.open.remove(&id);
                    }
                }
                3 => self.pass(Duration::from_millis(u64::from(what) * 50)),
                4 | 5 => self.answer(how == 5, what, &mut choices),
                6 => self.stream(what, &mut choices),
                _ => self.honestly(),
            }
            if how < 2 {
                self.open.insert(id, self.now.after(self.limits.lookup_timeout));
            }
            self.drain();
        }
        self.pass(2 * TIMEOUT);
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        assert!(self.sockets.is_empty(), "a socket stays open");
        self.trace
    }

    /// A datagram comes: records behind the header and the question of the oldest query, or anything at all.
    fn answer(&mut self, noise: bool, what: u8, choices: &mut Choices<'_>) {
        let Some((socket, to, query)) = self.next_query(what & 1 == 0) else { return };
        let records = choices.short();
        let bytes =
            if noise { choices.take(usize::from(records) % 600).to_vec() } else { reply(&query, records, choices) };
        self.resolver.datagram(self.time(), socket, to, &bytes);
    }

    fn stream(&mut self, what: u8, choices: &mut Choices<'_>) {
        let Some((stream, query)) = self.streams.pop_front() else { return };
        let message = match what % 4 {
            0 => None,
            1 => self.honest.answer(&query, true),
            _ => {
                let records = choices.short();
                Some(Bytes::from(reply(&query, records, choices)))
            }
        };
        self.resolver.stream_answer(self.time(), stream, message);
    }

    fn honestly(&mut self) {
        let Some((socket, to, query)) = self.next_query(true) else { return };
        if let Some(answer) = self.honest.answer(&query, false) {
            self.resolver.datagram(self.time(), socket, to, &answer);
        }
    }

    fn next_query(&mut self, oldest: bool) -> Option<(SocketId, SocketAddr, Bytes)> {
        if oldest { self.queries.pop_front() } else { self.queries.pop_back() }
    }

    /// Time passes, from deadline to deadline; none of them is a lie.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            let until = self.drain();
            let Some(next) = until.filter(|until| *until <= end) else { break };
            if next.0 > self.now.0 + 1 {
                let early = Now { mono: Mono(next.0 - 1), ..Now::default() };
                assert_eq!(self.resolver.poll(early), ResolverStep::Wait { until });
            }
            self.now = next;
            let step = self.resolver.poll(self.time());
            assert_ne!(step, ResolverStep::Wait { until }, "polling at the deadline makes progress");
            self.take(step);
        }
        self.now = end;
    }

    fn drain(&mut self) -> Option<Mono> {
        loop {
            self.steps.step();
            let step = self.resolver.poll(self.time());
            if let ResolverStep::Wait { until } = step {
                assert_eq!(self.resolver.poll(self.time()), step, "waiting is stable");
                return until;
            }
            self.take(step);
        }
    }

    fn take(&mut self, step: ResolverStep) {
        self.trace.push(format!("{:?} {step:?}", self.now));
        match step {
            ResolverStep::Send { socket, to, bytes } => {
                assert!(self.sockets.insert(socket), "a fresh socket for each try");
                assert!(self.sockets.len() <= self.limits.in_flight);
                self.queries.push_back((socket, to, bytes));
            }
            ResolverStep::CloseSocket(socket) => assert!(self.sockets.remove(&socket)),
            ResolverStep::Stream { stream, query, .. } => self.streams.push_back((stream, query)),
            ResolverStep::Answer { lookup, answer } => {
                let deadline = self.open.remove(&lookup);
                assert!(
                    deadline.is_some_and(|deadline| self.now <= deadline),
                    "{lookup:?} is answered too late or twice"
                );
                self.check(&answer);
            }
            ResolverStep::Wait { .. } => {}
        }
    }

    fn check(&self, answer: &Answer) {
        match answer {
            Answer::Hosts(hosts) => {
                assert!(!hosts.is_empty() && hosts.len() <= self.limits.exchangers.max(1));
                assert!(hosts.is_sorted_by_key(|host| host.preference), "{hosts:?}");
                for host in hosts {
                    assert!(host.addresses.len() <= self.limits.addresses, "{host:?}");
                    assert!(!host.name.is_empty() && !host.name.ends_with('.') && host.name.len() < 255, "{host:?}");
                    assert!(
                        host.name.bytes().all(|octet| octet.is_ascii_graphic() && !octet.is_ascii_uppercase()),
                        "{host:?}"
                    );
                }
            }
            Answer::Temporary(why) | Answer::BadName(why) => {
                assert!(!why.contains(|c: char| c.is_control()) && why.len() < 300, "{why:?}");
            }
            Answer::NullMx | Answer::NoSuchDomain | Answer::NoAddress => {}
        }
    }
}

/// Header and question of `query`, as an answer; the flags and counts and all that follows are what the input says.
fn reply(query: &[u8], records: u16, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut end = 12;
    while query.get(end).is_some_and(|length| *length != 0) {
        end += 1 + usize::from(query[end]);
    }
    let mut reply = query[..(end + 5).min(query.len())].to_vec();
    (reply[2], reply[3]) = (0x80 | choices.octet(), choices.octet());
    for count in [7, 9, 11] {
        reply[count] = choices.octet();
    }
    reply.extend_from_slice(choices.take(usize::from(records) % 600));
    reply
}

/// Any text as the name of a domain: what is asked for is a name that a host can have, and asks for itself.
pub(crate) fn name(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // The tables of IDNA are larger than a name; text that is longer than any name never comes to them.
    let allowed = Allowance::of(100, 64 * 1024).allocations(8);
    let Some(asked) = linear(text.len(), allowed, || asked(text)) else { return };
    assert!(asked.len() <= 253 && asked.split('.').all(|label| (1..64).contains(&label.len())), "{asked}");
    assert!(
        asked.bytes().all(|octet| octet.is_ascii_digit() || octet.is_ascii_lowercase() || b"-_.".contains(&octet)),
        "{asked:?}"
    );
    assert_eq!(self::asked(&asked).as_ref(), Some(&asked));
    assert_eq!(self::asked(&asked.to_ascii_uppercase()).as_ref(), Some(&asked));
}

/// The name that a query for the mail exchangers of `text` asks for; none where no server is asked.
fn asked(text: &str) -> Option<String> {
    let mut resolver = Resolver::new(
        Config { servers: vec![SocketAddr::from(([192, 0, 2, 53], 1))], ..Config::default() },
        &Seed::number(7),
    );
    resolver.lookup_mx(Now::default(), LookupId(0), text);
    let ResolverStep::Send { bytes, .. } = resolver.poll(Now::default()) else { return None };
    let mut labels = Vec::new();
    let mut rest = &bytes[12..];
    while let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, behind) = behind.split_at(usize::from(*length));
        labels.push(std::str::from_utf8(label).expect("ASCII"));
        rest = behind;
    }
    Some(labels.join("."))
}

/// A query of any kind, over TCP or not.
pub(crate) fn responder(input: &[u8]) {
    let (tcp, query) = choice(input);
    let answer =
        linear(query.len(), Allowance::of(400, 1 << 16).allocations(16), || honest().answer(query, tcp & 1 == 1));
    let Some(answer) = answer else { return };
    assert!(tcp & 1 == 1 || answer.len() <= 1232, "{} octets in a datagram", answer.len());
    assert_eq!(answer[..2], query[..2], "it has the id of the query");
    assert!(answer[2] & 0x80 != 0);
    assert_eq!(honest().answer(&answer, false), None, "an answer is not answered");
}

/// What the honest server says to our queries, as inputs of both targets.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (number, _) in (0..).zip(NAMES) {
        for how in [0, 1] {
            seeds.push(("dns-resolver", vec![how, number, 7, 0, 7, 0, 7, 0, 6, 1, 7, 0, 3, 200, how, number]));
            let mut net = Net::new(100);
            net.play_one(how, number);
            while let Some((_, _, query)) = net.queries.pop_front() {
                seeds.push(("dns-responder", [&[how][..], &query].concat()));
                let Some(answer) = net.honest.answer(&query, false) else { continue };
                seeds.push(("dns-responder", [&[how][..], &answer].concat()));
                seeds.push(("dns-resolver", [&[how, number][..], &said_by(&query, &answer)].concat()));
            }
        }
    }
    seeds
}

/// The instruction that gives this answer.
fn said_by(query: &[u8], answer: &[u8]) -> Vec<u8> {
    let mut choices = Choices::new(&[]);
    let records = &answer[reply(query, 0, &mut choices).len().min(answer.len())..];
    let length = u16::try_from(records.len()).unwrap_or(0);
    let counts = [answer[2], answer[3], answer[7], answer[9], answer[11]];
    [&[4, 0][..], &length.to_be_bytes(), &counts, records].concat()
}
