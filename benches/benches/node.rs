//! A node's turn while thousands of sessions wait: one command of one of them, from its octets to its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use criterion::{Criterion, criterion_group, criterion_main};
use pillarbox_benches::{Counting, cost, report};
use pillarbox_core::node::{
    Accepted, Cleartext, Config, ConnId, Delivery, Limits, ListenerId, Node, NodeStep, Protocol, Service, Share,
    TlsMode,
};
use pillarbox_core::router::Routes;
use pillarbox_core::{Mono, Now, Seed, Wall, dns, queue};

#[global_allocator]
static COUNTING: Counting = Counting;

fn node(c: &mut Criterion) {
    for (name, waiting, speaking) in [
        ("NOOP, alone", 0, 1),
        ("NOOP, 100 wait", 100, 1),
        ("NOOP, 10,000 wait", 10_000, 1),
        ("NOOP, each of 10,000 in turn", 0, 10_000),
    ] {
        let mut host = Host::new(waiting, speaking);
        let name = format!("node/{name}");
        report(&name, b"NOOP\r\n".len(), cost(200_000, || host.noop()));
        c.bench_function(&name, |b| b.iter(|| host.noop()));
    }
}

criterion_group!(benches, node);
criterion_main!(benches);

/// A node and its connections.
struct Host {
    node: Node,
    now: Now,
    speaking: Vec<ConnId>,
    next: usize,
}

impl Host {
    fn new(waiting: usize, speaking: usize) -> Self {
        let node = Node::new(Arc::new(config()), Share::WHOLE, &Seed::number(1));
        let now = Now { mono: Mono(1), wall: Wall(1_700_000_000_000) };
        let mut host = Self { node, now, speaking: Vec::new(), next: 0 };
        // Who speaks is among those who wait.
        for _ in 0..waiting / 2 {
            host.accept();
        }
        host.speaking = (0..speaking).map(|_| host.accept()).collect();
        for _ in 0..waiting / 2 {
            host.accept();
        }
        host
    }

    /// Another session, behind its greeting.
    fn accept(&mut self) -> ConnId {
        let peer = ([192, 0, 2, 7], 4242).into();
        let conn = self.node.accept(Accepted { listener: ListenerId(0), peer, crowded: false });
        self.turn(conn);
        conn
    }

    fn noop(&mut self) {
        let conn = self.speaking[self.next];
        self.next = (self.next + 1) % self.speaking.len();
        // Each command moves its session's deadline; time passes so slowly that none is met.
        self.now.mono = self.now.mono + Duration::from_nanos(100);
        if let Some(io) = self.node.conn(conn) {
            io.rx.extend_from_slice(b"NOOP\r\n");
        }
        self.node.touched(conn);
        assert_eq!(self.turn(conn), b"250 2.0.0 Ok\r\n".len());
    }

    /// Runs the node until it waits, and takes what it says to `conn`; how many octets that was.
    fn turn(&mut self, conn: ConnId) -> usize {
        while !matches!(self.node.poll(self.now), NodeStep::Wait { .. }) {}
        let Some(io) = self.node.conn(conn) else { return 0 };
        let said = io.tx.len();
        io.tx.advance(said);
        said
    }
}

fn config() -> Config {
    Config {
        hostname: "mx.example.org".into(),
        routes: Routes { hostname: "mx.example.org".into(), domains: vec!["example.org".into()], routes: Vec::new() },
        services: vec![Service::new(Protocol::Transfer, TlsMode::None)],
        tls: None,
        cleartext: Cleartext::Never,
        message_size: 1_000_000,
        delivery: Delivery {
            port: 25,
            tls: None,
            queue: Arc::new(queue::Config {
                retry: vec![Duration::from_secs(60)],
                expire_after: Duration::from_secs(3600),
                ..queue::Config::default()
            }),
        },
        dns: dns::Config { servers: vec![([127, 0, 0, 1], 53).into()], limits: dns::Limits::default() },
        limits: Limits::default(),
        tap: None,
    }
}
