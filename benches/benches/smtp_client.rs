//! The SMTP client machine: one message on a connection that stands, to a server with PIPELINING that is always ready.

use bytes::{Buf as _, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pillarbox_benches::{Counting, cost, report};
use pillarbox_core::smtp::client::{Action, BodyAnswer, Client, Config, Envelope, Limits, Next, Tls};
use pillarbox_core::{Answer as _, Now, Outbox, Session as _, SessionId, Step, Ticket};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A client that waits for its next message.
struct Line {
    client: Client,
    rx: BytesMut,
    tx: Outbox,
    next: Option<Ticket<Next>>,
}

impl Line {
    fn new() -> Self {
        let config = Config {
            hostname: "client.example".into(),
            tls: Tls::Opportunistic,
            credentials: None,
            cleartext_auth: false,
            limits: Limits::default(),
        };
        let mut line = Self {
            client: Client::new(SessionId(1), config),
            rx: BytesMut::with_capacity(4096),
            tx: Outbox::new(64 * 1024),
            next: None,
        };
        line.hear(b"220 mx\r\n", &Bytes::new());
        line.hear(b"250-mx\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n", &Bytes::new());
        line
    }

    /// One message.
    fn send(&mut self, envelope: &Envelope, body: &Bytes) {
        let ticket = self.next.take().expect("the client is ready");
        self.client.answer(ticket, Next::Message(envelope.clone())).expect("its own ticket");
        self.hear(b"", body);
        self.hear(b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n", body);
        self.hear(b"250 2.0.0 Queued as 12345\r\n", body);
    }

    fn hear(&mut self, said: &[u8], body: &Bytes) {
        self.rx.extend_from_slice(said);
        loop {
            match self.client.poll(Now::default(), &mut self.rx, &mut self.tx) {
                Step::Act(Action::Next { ticket }) => self.next = Some(ticket),
                Step::Act(Action::Body { ticket, offset, len }) => {
                    let bytes = body.slice(offset as usize..offset as usize + len);
                    self.client.answer(ticket, BodyAnswer::Bytes(bytes)).expect("its own ticket");
                }
                Step::Act(Action::Outcome(outcome)) => assert!(outcome.replies[0].is_positive()),
                Step::More => {}
                Step::Wait(_) if self.tx.is_empty() => return,
                Step::Wait(_) => self.tx.advance(self.tx.len()),
                step => panic!("{step:?}"),
            }
        }
    }
}

fn smtp_client(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("smtp client");
    for (name, lines) in [("4 KiB", 4096 / 64), ("1 MiB", 1024 * 1024 / 64)] {
        let mut text = b"The quick brown fox jumps over the lazy dog, and so on and so\r\n".repeat(lines);
        text.resize(lines * 64, b' ');
        text.truncate(lines * 64 - 2);
        text.extend_from_slice(b"\r\n");
        let body = Bytes::from(text);
        let envelope = Envelope {
            reverse_path: "alice@example.org".parse().ok(),
            recipients: vec!["bob@example.net".parse().expect("an address")],
            size: body.len() as u64,
            smtputf8: false,
            eight_bit: false,
        };
        let mut line = Line::new();
        report(&format!("smtp client, {name}"), body.len(), cost(1000, || line.send(&envelope, &body)));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| line.send(&envelope, &body)));
    }
}

criterion_group!(benches, smtp_client);
criterion_main!(benches);
