//! The POP3 server machine: RETR of 4 KiB and of 1 MiB, and LIST of 10,000 messages, with a host that answers at once
//! and a peer that reads at once.

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pillarbox_benches::{Counting, cost, report};
use pillarbox_core::pop3::server::{
    Action, AuthenticateAnswer, Config, Limits, Message, OpenAnswer, ReadAnswer, Server,
};
use pillarbox_core::session::{Answer as _, Session as _, Step};
use pillarbox_core::{Now, Outbox, SessionId};

#[global_allocator]
static COUNTING: Counting = Counting;

fn pop3_server(c: &mut Criterion) {
    let cases: [(&str, &[u8], usize, usize); 3] = [
        ("RETR 4 KiB", b"RETR 1\r\n", 4 * 1024, 1),
        ("RETR 1 MiB", b"RETR 1\r\n", 1024 * 1024, 1),
        ("LIST 10,000", b"LIST\r\n", 4 * 1024, 10_000),
    ];
    for (name, command, size, count) in cases {
        let mut host = Host::new(size, count);
        let sent = host.run(command);
        let name = format!("pop3-server/{name}");
        report(
            &name,
            sent,
            cost(2_000_000 / sent as u32 + 100, || {
                host.run(command);
            }),
        );
        let mut group = c.benchmark_group("pop3-server");
        group.throughput(Throughput::Bytes(sent as u64));
        group.bench_function(name, |b| b.iter(|| host.run(black_box(command))));
        group.finish();
    }
}

criterion_group!(benches, pop3_server);
criterion_main!(benches);

/// A session in TRANSACTION, with what a host has around it.
struct Host {
    server: Server,
    rx: BytesMut,
    tx: Outbox,
    body: Bytes,
    messages: Arc<[Message]>,
}

impl Host {
    /// A maildrop of `count` messages, all of them with the same `size` octets in lines of 76.
    fn new(size: usize, count: usize) -> Self {
        let mut text = [&[b'x'; 76][..], b"\r\n"].concat().repeat(size / 78 + 1);
        text.truncate(size - 2);
        text.extend_from_slice(b"\r\n");
        let config =
            Config { hostname: "mx.example.org".into(), stls: false, cleartext_auth: true, limits: Limits::default() };
        let mut host = Self {
            server: Server::new(SessionId(1), Arc::new(config)),
            rx: BytesMut::with_capacity(4096),
            tx: Outbox::new(64 * 1024),
            body: text.into(),
            messages: (0..count as u128).map(|unique| Message { size: size as u64, unique }).collect(),
        };
        host.run(b"USER alice\r\nPASS wonderland\r\n");
        host
    }

    /// Runs one command; returns how many octets it sent.
    fn run(&mut self, command: &[u8]) -> usize {
        let before = self.tx.appended();
        self.rx.extend_from_slice(command);
        loop {
            match self.server.poll(Now::default(), &mut self.rx, &mut self.tx) {
                Step::Act(Action::Authenticate { ticket, .. }) => {
                    let _ = self.server.answer(ticket, AuthenticateAnswer::Accepted);
                }
                Step::Act(Action::Open { ticket }) => {
                    let _ = self.server.answer(ticket, OpenAnswer::Opened(self.messages.clone()));
                }
                Step::Act(Action::Read { ticket, offset, len, .. }) => {
                    let bytes = self.body.slice(offset as usize..offset as usize + len);
                    let _ = self.server.answer(ticket, ReadAnswer::Bytes(bytes));
                }
                Step::More => {}
                Step::Wait(_) if self.tx.is_empty() => return (self.tx.appended() - before) as usize,
                Step::Wait(_) => self.tx.advance(self.tx.remaining()),
                step => panic!("{step:?}"),
            }
        }
    }
}
