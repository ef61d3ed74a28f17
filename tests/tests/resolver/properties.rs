//! What holds on every network: drain, honest deadlines, one answer, bounds, purity, totality, and the truth.
//!
//! A run is a list of lookups and cancellations at some times, and a list of fates that the datagrams and exchanges meet
//! in turn. Forgers who do not see our queries are among the fates; what they send must never become an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::dns::responder::{Behaviour, Responder, Zone};
use pillarbox_core::dns::{Answer, Config, Limits, LookupId, Resolver, ResolverStep, SocketId, StreamId};
use pillarbox_core::{Mono, Now, Seed};
use proptest::prelude::*;

use super::net::{a, mx, reply, server};

const NAMES: [&str; 10] = [
    "example.org",
    "implicit.example.org",
    "alias.example.org",
    "loop.example.org",
    "quiet.example.org",
    "gone.example.org",
    "broken.example.org",
    "long.example.org",
    "no name",
    "many.example.org",
];

/// What a blind forger would have us believe.
const FORGED: [u8; 4] = [203, 0, 113, 66];

fn responder() -> Responder {
    let zone = Zone::new("example.org")
        .ttl(4)
        .negative_ttl(3)
        .mx("example.org", 10, "mx.example.org")
        .mx("example.org", 10, "mx2.example.org")
        .a("mx.example.org", [192, 0, 2, 1])
        .cname("mx2.example.org", "mx.example.org")
        .a("implicit.example.org", [192, 0, 2, 1])
        .cname("alias.example.org", "example.org")
        .cname("loop.example.org", "loop.example.org")
        .null_mx("quiet.example.org")
        .mx("long.example.org", 1, "mx.example.org")
        .behaviour("broken.example.org", Behaviour::ServFail)
        .behaviour("long.example.org", Behaviour::Truncate);
    Responder::new([(0..40).fold(zone, |zone, n| {
        let host = format!("a-rather-long-name-so-that-it-truncates-{n}.example.org");
        zone.mx("many.example.org", n, &host).a(&host, [192, 0, 2, 1])
    })])
}

/// What becomes of one query.
#[derive(Clone, Debug)]
enum Fate {
    /// It is answered after so many milliseconds.
    Answered(u16),
    /// It or its answer is lost.
    Lost,
    /// The answer comes twice.
    Twice(u16, u16),
    /// Somebody who sees neither id nor port guesses the id, or sends from elsewhere; the true answer follows.
    Forged(u16),
    /// The answer is changed on its way: one byte, or cut off. Whoever can do that can lie, so truth is not asked for.
    Broken { at: u16, xor: u8, cut: bool },
    /// Anything arrives, from the right address.
    Noise(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Event {
    Mx(usize),
    Host(usize),
    Cancel(usize),
    Reload(u16),
}

#[derive(Clone, Debug)]
struct Plan {
    events: Vec<(u16, Event)>,
    fates: Vec<Fate>,
    limits: (usize, usize, usize, usize),
}

fn honest() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => (0u16..3000).prop_map(Fate::Answered),
        1 => Just(Fate::Lost),
        1 => (0u16..3000, 0u16..3000).prop_map(|(first, second)| Fate::Twice(first, second)),
        1 => (0u16..900).prop_map(Fate::Forged),
    ]
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => honest(),
        2 => (any::<u16>(), 1u8.., any::<bool>()).prop_map(|(at, xor, cut)| Fate::Broken { at, xor, cut }),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Fate::Noise),
    ]
}

fn plan(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = Plan> {
    let event = prop_oneof![
        4 => (0..NAMES.len()).prop_map(Event::Mx),
        2 => (0..NAMES.len()).prop_map(Event::Host),
        1 => (0usize..30).prop_map(Event::Cancel),
        1 => (1u16..4).prop_map(Event::Reload),
    ];
    let events = prop::collection::vec((0u16..2000, event), 1..30);
    let limits = (1usize..6, 1usize..5, 0usize..6, 0usize..12);
    (events, prop::collection::vec(fate, 1..20), limits).prop_map(|(events, fates, limits)| Plan {
        events,
        fates,
        limits,
    })
}

/// One thing on its way to the resolver.
enum Arrival {
    Datagram(SocketId, SocketAddr, Bytes),
    Stream(StreamId, Option<Bytes>),
}

struct Run {
    resolver: Resolver,
    responder: Responder,
    limits: Limits,
    fates: Vec<Fate>,
    met: usize,
    now: Mono,
    arrivals: BTreeMap<(Mono, u64), Arrival>,
    serial: u64,
    sockets: BTreeSet<SocketId>,
    used: u64,
    answers: BTreeMap<LookupId, Answer>,
    trace: Vec<String>,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let (in_flight, lookups, waiting, cache_entries) = plan.limits;
        let timeout = Duration::from_secs(20);
        let limits =
            Limits { in_flight, lookups, waiting, cache_entries, lookup_timeout: timeout, ..Limits::default() };
        let config = Config { servers: vec![server(1), server(2)], limits: limits.clone() };
        Self {
            resolver: Resolver::new(config, &Seed::number(7)),
            responder: responder(),
            limits,
            fates: plan.fates.clone(),
            met: 0,
            now: Mono(0),
            arrivals: BTreeMap::new(),
            serial: 0,
            sockets: BTreeSet::new(),
            used: 0,
            answers: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    fn time(&self) -> Now {
        Now { mono: self.now, ..Now::default() }
    }

    /// Plays the whole plan; what it returns is every step with its time.
    fn play(mut self, plan: &Plan) -> (Vec<String>, BTreeMap<LookupId, Answer>, BTreeMap<LookupId, Mono>) {
        let (mut asked, mut deadlines) = (BTreeMap::new(), BTreeMap::new());
        for (n, (after, event)) in plan.events.iter().enumerate() {
            self.until(Some(self.now.after(Duration::from_millis(u64::from(*after)))));
            let id = LookupId(n as u64);
            match event {
                Event::Mx(name) | Event::Host(name) => {
                    match event {
                        Event::Mx(_) => self.resolver.lookup_mx(self.time(), id, NAMES[*name]),
                        _ => self.resolver.lookup_host(self.time(), id, NAMES[*name]),
                    }
                    asked.insert(id, self.now);
                    deadlines.insert(id, self.now.after(self.limits.lookup_timeout));
                }
                Event::Cancel(lookup) => {
                    let lookup = LookupId(*lookup as u64);
                    self.resolver.cancel(lookup);
                    if !self.answers.contains_key(&lookup) {
                        asked.remove(&lookup);
                    }
                }
                Event::Reload(servers) => {
                    let servers = (1..=*servers).map(server).collect();
                    self.resolver.reload(Config { servers, limits: self.limits.clone() });
                }
            }
        }
        self.until(None);
        assert!(self.sockets.is_empty(), "every socket was closed");
        assert!(asked.keys().eq(self.answers.keys()), "one answer for each: {asked:?} {:?}", self.answers);
        (self.trace, self.answers, deadlines)
    }

    /// Runs to a time, or until nothing is left to do.
    fn until(&mut self, end: Option<Mono>) {
        loop {
            let until = self.drain();
            let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
            let Some(next) =
                [until, arrival].into_iter().flatten().min().filter(|next| end.is_none_or(|end| *next <= end))
            else {
                self.now = end.unwrap_or(self.now);
                return;
            };
            // Before the deadline and without input there is nothing to do.
            if next > self.now {
                let early = Now { mono: Mono(next.0 - 1), ..Now::default() };
                assert_eq!(self.resolver.poll(early), ResolverStep::Wait { until });
            }
            self.now = next;
            if arrival == Some(next) {
                match self.arrivals.pop_first() {
                    Some((_, Arrival::Datagram(socket, from, bytes))) => {
                        self.resolver.datagram(self.time(), socket, from, &bytes);
                    }
                    Some((_, Arrival::Stream(stream, message))) => {
                        self.resolver.stream_answer(self.time(), stream, message);
                    }
                    None => {}
                }
            } else {
                let step = self.resolver.poll(self.time());
                assert_ne!(step, ResolverStep::Wait { until }, "polling at the deadline makes progress");
                self.take(step);
            }
        }
    }

    fn drain(&mut self) -> Option<Mono> {
        loop {
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
                assert!(self.sockets.insert(socket) && socket.0 >= self.used, "a fresh socket for each try");
                self.used = socket.0 + 1;
                assert!(self.sockets.len() <= self.limits.in_flight);
                self.send(socket, to, &bytes);
            }
            ResolverStep::CloseSocket(socket) => assert!(self.sockets.remove(&socket)),
            ResolverStep::Stream { stream, to: _, query } => {
                let fate = self.fate();
                let answer = self.responder.answer(&query, true);
                let (after, message) = match fate {
                    Fate::Answered(after) | Fate::Twice(after, _) | Fate::Forged(after) => (after, answer),
                    Fate::Lost => return,
                    Fate::Broken { at, xor, cut } => (10, answer.map(|bytes| broken(&bytes, at, xor, cut))),
                    Fate::Noise(bytes) if bytes.len() < 100 => (10, None),
                    Fate::Noise(bytes) => (10, Some(Bytes::from(bytes))),
                };
                self.arrive(after, Arrival::Stream(stream, message));
            }
            ResolverStep::Answer { lookup, answer } => assert!(self.answers.insert(lookup, answer).is_none()),
            ResolverStep::Wait { .. } => {}
        }
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, query: &Bytes) {
        let answer = self.responder.answer(query, false).expect("no name here is silent");
        match self.fate() {
            Fate::Answered(after) => self.arrive(after, Arrival::Datagram(socket, to, answer)),
            Fate::Lost => {}
            Fate::Twice(first, second) => {
                self.arrive(first, Arrival::Datagram(socket, to, answer.clone()));
                self.arrive(second, Arrival::Datagram(socket, to, answer));
            }
            Fate::Forged(after) => {
                let name = super::net::question(query).0;
                let forged = reply(query, 0, [&[a(&name, 99, FORGED), mx(&name, 99, 0, "evil.test")], &[], &[]]);
                let mut guessed = forged.to_vec();
                guessed[1] ^= 1;
                self.arrive(0, Arrival::Datagram(socket, to, Bytes::from(guessed)));
                self.arrive(0, Arrival::Datagram(socket, server(99), forged.clone()));
                self.arrive(0, Arrival::Datagram(SocketId(socket.0 + 1), to, forged));
                self.arrive(after, Arrival::Datagram(socket, to, answer));
            }
            Fate::Broken { at, xor, cut } => {
                self.arrive(10, Arrival::Datagram(socket, to, broken(&answer, at, xor, cut)));
            }
            Fate::Noise(bytes) => {
                // Behind the true header and question, so that it reaches the records.
                let (_, _, end) = super::net::question(query);
                let mut noise = query[..end].to_vec();
                noise[2] |= 0x80;
                noise[7] = bytes.len() as u8;
                noise[9] = 3;
                noise.extend_from_slice(&bytes);
                self.arrive(5, Arrival::Datagram(socket, to, Bytes::from(noise)));
                self.arrive(5, Arrival::Datagram(socket, to, Bytes::from(bytes)));
            }
        }
    }

    fn fate(&mut self) -> Fate {
        self.met += 1;
        self.fates[(self.met - 1) % self.fates.len()].clone()
    }

    fn arrive(&mut self, after: u16, arrival: Arrival) {
        self.serial += 1;
        let at = self.now.after(Duration::from_millis(u64::from(after)));
        self.arrivals.insert((at, self.serial), arrival);
    }
}

fn broken(bytes: &[u8], at: u16, xor: u8, cut: bool) -> Bytes {
    let at = usize::from(at) % bytes.len();
    let mut bytes = bytes.to_vec();
    bytes[at] ^= xor;
    if cut {
        bytes.truncate(at);
    }
    Bytes::from(bytes)
}

/// What an honest world says of a name.
fn is_true(event: &Event, answer: &Answer) -> bool {
    let (mx, name) = match event {
        Event::Mx(name) => (true, NAMES[*name]),
        Event::Host(name) => (false, NAMES[*name]),
        _ => return false,
    };
    match answer {
        Answer::Temporary(_) => true,
        Answer::BadName(_) => name == "no name",
        Answer::NullMx => mx && name == "quiet.example.org",
        Answer::NoSuchDomain => name == "gone.example.org",
        Answer::NoAddress => !mx,
        Answer::Hosts(hosts) => {
            let good = hosts.iter().all(|host| {
                host.name.ends_with("example.org")
                    && host.addresses.iter().all(|address| address.to_string() == "192.0.2.1")
            });
            let ordered = hosts.is_sorted_by_key(|host| host.preference);
            good && ordered && hosts.len() <= 16 && hosts.iter().any(|host| !host.addresses.is_empty())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_lookup_is_answered_once_in_time_and_truly(plan in plan(honest())) {
        let (trace, answers, deadlines) = Run::new(&plan).play(&plan);
        for (id, answer) in &answers {
            let (_, event) = &plan.events[id.0 as usize];
            prop_assert!(is_true(event, answer), "{event:?} {answer:?}");
            let step = format!("Answer {{ lookup: {id:?},");
            let line = trace.iter().find(|line| line.contains(&step)).expect("it is in the trace");
            let at: u64 = line["Mono(".len()..].split(')').next().unwrap().parse().unwrap();
            prop_assert!(Mono(at) <= deadlines[id]);
        }
    }

    #[test]
    fn nothing_on_the_wire_breaks_it(plan in plan(any_fate())) {
        let first = Run::new(&plan).play(&plan);
        let second = Run::new(&plan).play(&plan);
        prop_assert_eq!(first, second, "the same inputs give the same trace");
    }

    #[test]
    fn no_query_breaks_the_responder(at in any::<u16>(), xor in any::<u8>(), cut in any::<bool>(), noise in prop::collection::vec(any::<u8>(), 0..100), tcp in any::<bool>()) {
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        query.extend(super::net::wire("many.example.org"));
        query.extend([0, 15, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, noise.len() as u8]);
        query.extend(&noise);
        for bytes in [broken(&query, at, xor, cut), Bytes::from(noise)] {
            let answer = responder().answer(&bytes, tcp);
            prop_assert!(answer.is_none_or(|answer| tcp || answer.len() <= 1232));
        }
    }
}
