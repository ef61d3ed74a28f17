//! A provider as these tests want it: real nodes on a real runtime, at an address of its own on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use pillarbox_core::dns::responder::Zone;
use pillarbox_core::node::{Cleartext, Config, Delivery, Event, Limits, Protocol, Service, TlsMode};
use pillarbox_core::ops::{
    AccountOp, AccountReply, Busy, QueueOp, QueueReply, QueueRow, Sink, Store, StoreOp, StoreReply, Token,
};
use pillarbox_core::router::Routes;
use pillarbox_core::tls::rustls::{RustlsClient, RustlsServer};
use pillarbox_core::{dns, queue};
use pillarbox_runtime::{Events, Gate, GateLimits, Listener, Plan, Run, Workers, listen, listen_unix};
use pillarbox_store::{DiskStore, MemoryStore, Options, PasswordCost};
use pillarbox_tests::theatre::PATIENCE;

use crate::talk::Talk;

/// A server with its store.
pub(crate) struct Provider {
    pub(crate) smtp: SocketAddr,
    pub(crate) submission: SocketAddr,
    pub(crate) pop3: SocketAddr,
    pub(crate) imap: SocketAddr,
    pub(crate) heard: Arc<Heard>,
    config: Arc<Config>,
    workers: Workers,
    store: Kept,
}

/// Where mail is kept.
#[derive(Clone)]
pub(crate) enum Kept {
    Memory(Arc<MemoryStore>),
    Disk(Arc<DiskStore>),
}

/// What a provider is opened with.
pub(crate) struct Opening {
    domain: &'static str,
    store: Kept,
    ip: Ipv4Addr,
    port: u16,
    workers: u16,
    gate: GateLimits,
    names: Vec<SocketAddr>,
    delivery_port: u16,
    control: Option<PathBuf>,
    slow: Option<Arc<Slow>>,
}

impl Opening {
    /// For this domain, at an address of its own, with an empty store in memory, one worker, and nobody to ask for names.
    pub(crate) fn new(domain: &'static str) -> Self {
        Self {
            domain,
            store: Kept::Memory(MemoryStore::new(options())),
            ip: address(),
            port: 0,
            workers: 1,
            gate: GateLimits::default(),
            names: Vec::new(),
            delivery_port: 25,
            control: None,
            slow: None,
        }
    }

    /// With accounts by these names, which are their passwords, too.
    pub(crate) fn accounts(self, names: &[&str]) -> Self {
        for name in names {
            let address = format!("{name}@{}", self.domain).parse().unwrap();
            let op = AccountOp::Add { address, password: (*name).into() };
            let reply = self.store.ask(StoreOp::Account(op));
            assert_eq!(reply, StoreReply::Account(AccountReply::Done));
        }
        self
    }

    /// With a store on disk.
    pub(crate) fn kept_in(self, folder: &Path) -> Self {
        Self { store: Kept::Disk(DiskStore::open(folder, options()).unwrap()), ..self }
    }

    /// At this address and port.
    pub(crate) fn at(self, ip: Ipv4Addr, port: u16) -> Self {
        Self { ip, port, ..self }
    }

    pub(crate) fn workers(self, workers: u16) -> Self {
        Self { workers, ..self }
    }

    pub(crate) fn gate(self, gate: GateLimits) -> Self {
        Self { gate, ..self }
    }

    /// It asks this name server, and delivers to this port.
    pub(crate) fn delivers(self, names: SocketAddr, port: u16) -> Self {
        Self { names: vec![names], delivery_port: port, ..self }
    }

    /// With a control socket in this folder.
    pub(crate) fn control(self, folder: &Path) -> Self {
        Self { control: Some(folder.to_owned()), ..self }
    }

    /// With a store that can be held up.
    pub(crate) fn slow(self) -> (Self, Arc<Slow>) {
        let slow = Arc::new(Slow { store: self.store.as_store(), held: Mutex::default() });
        (Self { slow: Some(Arc::clone(&slow)), ..self }, slow)
    }

    pub(crate) fn on(self, run: Run) -> Provider {
        let sockets: Vec<_> =
            [self.port, 0, 0, 0].map(|port| listen(SocketAddr::from((self.ip, port))).unwrap()).into_iter().collect();
        let addresses: Vec<_> = sockets.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let (heard, config) = (Arc::new(Heard::default()), Arc::new(self.config()));
        let mut listeners: Vec<_> = sockets.into_iter().map(Listener::Tcp).collect();
        let folder = self.control.as_ref();
        listeners.extend(folder.map(|folder| Listener::Unix(listen_unix(folder, "control").unwrap())));
        let plan = Plan {
            config: Arc::clone(&config),
            workers: self.workers,
            store: self.slow.clone().map_or_else(|| self.store.as_store(), |slow| slow as _),
            events: Arc::clone(&heard) as _,
            listeners,
            gate: Gate::new(self.gate),
        };
        let workers = Workers::start(run, plan).unwrap();
        let [smtp, submission, pop3, imap] = addresses[..] else { panic!("four services") };
        Provider { smtp, submission, pop3, imap, heard, config, workers, store: self.store }
    }

    fn config(&self) -> Config {
        let hostname = format!("mx.{}", self.domain);
        let protocols = [Protocol::Transfer, Protocol::Submission, Protocol::Pop3, Protocol::Imap, Protocol::Control];
        let retry = Duration::from_millis(200);
        let limits = queue::Limits {
            shortest_retry: Duration::from_millis(100),
            suspension: Duration::from_millis(100),
            scan_pause: Duration::from_millis(20),
            failed_pause: Duration::from_millis(50),
            // Nobody finds by chance what he should have been told.
            recheck: Duration::from_secs(3600),
            ..queue::Limits::default()
        };
        Config {
            hostname: hostname.clone(),
            routes: Routes { hostname, domains: vec![self.domain.to_owned()], routes: Vec::new() },
            services: protocols.map(|protocol| Service::new(protocol, TlsMode::StartTls)).into(),
            tls: Some(Arc::new(certified().1.clone())),
            cleartext: Cleartext::Always,
            message_size: 50 * 1024 * 1024,
            delivery: Delivery {
                port: self.delivery_port,
                tls: Some(Arc::new(RustlsClient::opportunistic())),
                queue: Arc::new(queue::Config { retry: vec![retry], limits, ..queue::Config::default() }),
            },
            dns: dns::Config { servers: self.names.clone(), limits: dns::Limits::default() },
            limits: Limits::default(),
            tap: None,
        }
    }
}

impl Provider {
    /// Tells it to stop: idle sessions at once, the others within `grace`.
    pub(crate) fn drain(&self, grace: Duration) {
        self.workers.handle().drain(grace);
    }

    /// Gives it another name.
    pub(crate) fn rename(&self, hostname: &str) {
        let config = Config { hostname: hostname.to_owned(), ..Config::clone(&self.config) };
        self.workers.handle().reload(&Arc::new(config));
    }

    /// Waits until it has stopped, and closes its store.
    pub(crate) fn join(self) {
        self.workers.join().unwrap();
        if let Kept::Disk(store) = self.store {
            store.close();
        }
    }

    /// Stops it.
    pub(crate) fn stop(self) {
        self.drain(Duration::from_secs(5));
        self.join();
    }

    /// Its address.
    pub(crate) fn ip(&self) -> [u8; 4] {
        let SocketAddr::V4(address) = self.smtp else { panic!("it is at an IPv4 address") };
        address.ip().octets()
    }

    /// The zone of a domain whose mail it takes.
    pub(crate) fn zone(&self, domain: &str) -> Zone {
        let host = format!("mx.{domain}");
        Zone::new(domain).mx(domain, 10, &host).a(&host, self.ip())
    }

    /// What waits to go out.
    pub(crate) fn queue(&self) -> Vec<QueueRow> {
        match self.store.ask(StoreOp::Queue(QueueOp::List { after: None, limit: 100 })) {
            StoreReply::Queue(QueueReply::Rows(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many messages were accepted in all.
    pub(crate) fn accepted(&self, count: usize) {
        self.heard.until(&format!("{count} messages accepted"), |events| {
            let accepted = events.iter().filter(|(_, event)| matches!(event, Event::Accepted { .. }));
            (accepted.count() >= count).then_some(())
        });
    }

    /// The messages in a maildrop, fetched by POP3; they are deleted.
    pub(crate) fn fetch(&self, name: &str) -> Vec<Vec<u8>> {
        let (mut talk, count) = Talk::maildrop(self.pop3, name);
        let mut messages = Vec::new();
        for number in 1..=count {
            messages.push(talk.multiline(&format!("RETR {number}")));
            talk.say(&format!("DELE {number}"), "+OK");
        }
        talk.say("QUIT", "+OK");
        talk.ends();
        messages
    }
}

impl Kept {
    fn as_store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Disk(store) => Arc::clone(store) as _,
        }
    }

    fn ask(&self, op: StoreOp) -> StoreReply {
        let (sender, receiver) = channel();
        let sink: Arc<dyn Sink> = Arc::new(Reply(Mutex::new(sender)));
        self.as_store().submit(&sink, Token(0), op).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap()
    }
}

/// A store that keeps pieces of bodies back until it is told to go on.
pub(crate) struct Slow {
    store: Arc<dyn Store>,
    held: Mutex<Held>,
}

#[derive(Default)]
enum Held {
    Back(Vec<(Arc<dyn Sink>, Token, StoreOp)>),
    #[default]
    Not,
}

impl Slow {
    /// From now on.
    pub(crate) fn hold(&self) {
        *self.held.lock().unwrap() = Held::Back(Vec::new());
    }

    /// No more; how many it kept back.
    pub(crate) fn release(&self) -> usize {
        let Held::Back(ops) = std::mem::take(&mut *self.held.lock().unwrap()) else { return 0 };
        let count = ops.len();
        for (sink, token, op) in ops {
            self.store.submit(&sink, token, op).unwrap();
        }
        count
    }
}

impl Store for Slow {
    fn submit(&self, sink: &Arc<dyn Sink>, token: Token, op: StoreOp) -> Result<(), Busy> {
        match (&mut *self.held.lock().unwrap(), op) {
            (Held::Back(ops), op @ StoreOp::Stage(_)) => {
                ops.push((Arc::clone(sink), token, op));
                Ok(())
            }
            (_, op) => self.store.submit(sink, token, op),
        }
    }
}

/// Takes one reply.
struct Reply(Mutex<Sender<StoreReply>>);

impl Sink for Reply {
    fn complete(&self, _: Token, reply: StoreReply) {
        self.0.lock().unwrap().send(reply).unwrap();
    }
}

/// What happened, and on which worker.
#[derive(Default)]
pub(crate) struct Heard {
    events: Mutex<Vec<(String, Event)>>,
    more: Condvar,
}

impl Events for Heard {
    fn event(&self, event: &Event) {
        let worker = std::thread::current().name().unwrap_or_default().to_owned();
        self.events.lock().unwrap().push((worker, event.clone()));
        self.more.notify_all();
    }
}

impl Heard {
    /// Waits until `look` finds what it wants in all that happened.
    pub(crate) fn until<T>(&self, what: &str, look: impl Fn(&[(String, Event)]) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut events = self.events.lock().unwrap();
        loop {
            if let Some(found) = look(&events) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} in {events:#?}");
            events = self.more.wait_timeout(events, left).unwrap().0;
        }
    }

    /// Waits until such a thing has happened.
    pub(crate) fn hears(&self, what: &str, is: impl Fn(&Event) -> bool) {
        self.until(what, |events| events.iter().any(|(_, event)| is(event)).then_some(()));
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An address on loopback that no other test has, so that a port on it is nobody else's, either.
pub(crate) fn address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let ([high, low], own) = (NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes(), std::process::id() % 200);
    Ipv4Addr::new(127, 32 + u8::try_from(own).unwrap(), high, low)
}

/// One certificate for all, as PEM, and the server that has it.
pub(crate) fn certified() -> &'static (String, RustlsServer) {
    static MADE: OnceLock<(String, RustlsServer)> = OnceLock::new();
    MADE.get_or_init(|| {
        let names = vec!["mx.amber.example".to_owned(), "mx.birch.example".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let server = RustlsServer::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        (certificate, server)
    })
}

fn options() -> Options {
    Options { password_cost: PasswordCost::CHEAP, ..Options::default() }
}
