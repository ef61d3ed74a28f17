//! What a session weighs that says nothing: its own state and no buffer, so that ten thousand of them cost little.

#![allow(clippy::unwrap_used)] // a test's unwrap is an assertion

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::dns;
use pillarbox_core::node::{
    Accepted, Cleartext, Config, Delivery, Limits, ListenerId, Node, NodeStep, Protocol, Service, Share, TlsMode,
};
use pillarbox_core::queue;
use pillarbox_core::router::Routes;
use pillarbox_core::smtp::server::{self, Server};
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_core::tls::{TlsEngine, TlsFactory as _};
use pillarbox_core::{Mono, Now, Outbox, Seed, SessionId, Step, Wall};
use pillarbox_tests::alloc;

#[global_allocator]
static COUNTING: alloc::Counting = alloc::Counting;

/// Sessions of one sort.
const SESSIONS: u64 = 1000;

/// Octets that one may weigh on the heap, its places in the node's lists included.
const SESSION: i64 = 2560;

const NOW: Now = Now { mono: Mono(1), wall: Wall(1_700_000_000_000) };

#[test]
fn an_idle_session_weighs_little() {
    let service = |protocol| Service::new(protocol, TlsMode::None);
    let config = Config {
        hostname: "mx.amber.example".into(),
        routes: Routes {
            hostname: "mx.amber.example".into(),
            domains: vec!["amber.example".into()],
            routes: Vec::new(),
        },
        services: vec![service(Protocol::Transfer), service(Protocol::Submission), service(Protocol::Pop3)],
        tls: None,
        cleartext: Cleartext::Always,
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
        dns: dns::Config { servers: vec!["198.51.100.53:53".parse().unwrap()], limits: dns::Limits::default() },
        limits: Limits::default(),
        tap: None,
    };
    let mut node = Node::new(config.into(), Share::WHOLE, &Seed::number(1));
    for (listener, said) in [
        (0, "EHLO client.example\r\n"),
        (0, "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nNOOP\r\nnonsense\r\nRSET\r\n"),
        (1, "EHLO client.example\r\n"),
        (2, "CAPA\r\nUSER alice\r\nnonsense\r\n"),
    ] {
        let before = alloc::live();
        for _ in 0..SESSIONS {
            let peer = ([192, 0, 2, 200], 4000).into();
            let conn = node.accept(Accepted { listener: ListenerId(listener), peer, crowded: false });
            let mut said = Some(said);
            loop {
                while !matches!(node.poll(NOW), NodeStep::Wait { .. }) {}
                let io = node.conn(conn).unwrap();
                io.tx.advance(io.tx.len());
                assert!(io.rx.is_empty(), "all was run");
                *io.rx = BytesMut::from(said.unwrap_or_default());
                node.touched(conn);
                if said.take().is_none() {
                    break;
                }
            }
        }
        let each = (alloc::live() - before) / i64::try_from(SESSIONS).unwrap();
        println!("listener {listener}, {said:?}: {each} octets");
        assert!((200..SESSION).contains(&each), "{each} octets");
    }
}

#[test]
fn half_a_line_under_tls_holds_no_record() {
    let config = Arc::new(server::Config::new("mx.amber.example", server::Service::Transfer));
    let peer = server::Peer { address: ([192, 0, 2, 200], 4000).into() };
    let tls = ChannelConfig { tls: Some(Arc::new(FakeServer)), implicit: true, ..ChannelConfig::plain(Side::Server) };
    let mut channel = Channel::new(Server::new(SessionId(1), config, peer), tls);
    let mut client = FakeClient.engine(None).unwrap();
    // A whole record of lines, and the beginning of one more.
    let mut lines = b"NOOP\r\n".repeat(2700);
    lines.extend_from_slice(b"NO");
    let idle = exchange(&mut channel, &mut *client, b"EHLO client.example\r\n");
    for said in [&lines[..], b"OP\r\n"] {
        let held = exchange(&mut channel, &mut *client, said) - idle;
        assert!(held < 1024, "{held} octets are held");
    }
}

/// The client says this, and both go on until neither has anything to say; what is allocated then.
fn exchange(channel: &mut Channel<Server>, client: &mut dyn TlsEngine, said: &[u8]) -> i64 {
    let (mut plain, mut up, mut down) = (Outbox::new(usize::MAX), Outbox::new(usize::MAX), Outbox::new(usize::MAX));
    plain.put(said);
    loop {
        let mut records = joined(&mut down);
        loop {
            client.decrypt(NOW.wall, &mut records, &mut BytesMut::new(), usize::MAX, &mut up).unwrap();
            if records.is_empty() {
                break;
            }
        }
        client.encrypt(&mut plain, &mut up).unwrap();
        let mut rx = joined(&mut up);
        if rx.is_empty() {
            break;
        }
        while !matches!(channel.poll(NOW, &mut rx, &mut down), Step::Wait(_)) {}
        assert!(rx.is_empty(), "all was read");
    }
    drop((plain, up, down));
    alloc::live()
}

fn joined(outbox: &mut Outbox) -> BytesMut {
    let mut joined = BytesMut::new();
    outbox.slices().for_each(|slice| joined.extend_from_slice(slice));
    outbox.clear();
    joined
}
