//! The SMTP server machine: one pipelined transaction of 4 KiB and of 1 MiB, with a host that takes everything at once. And
//! what a node does besides: it makes the structure of the message.

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pillarbox_benches::{Counting, cost, report};
use pillarbox_core::message::StructureParser;
use pillarbox_core::session::{Answer as _, Session as _, Step};
use pillarbox_core::smtp::server::{
    Action, ChunkAnswer, CommitAnswer, Config, Limits, Peer, RecipientAnswer, Server, Service,
};
use pillarbox_core::{Now, Outbox, SessionId};

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a host reads at once.
const READ: usize = 64 * 1024;

fn smtp_server(c: &mut Criterion) {
    for (name, size) in [("4 KiB", 4 * 1024), ("1 MiB", 1024 * 1024)] {
        for (how, wire) in [("DATA", data(size)), ("BDAT", bdat(size))] {
            let mut host = Host::new();
            let name = format!("smtp-server/{how} {name}");
            report(&name, wire.len(), cost(2_000_000 / wire.len() as u32 + 100, || host.transaction(&wire)));
            let mut group = c.benchmark_group("smtp-server");
            group.throughput(Throughput::Bytes(wire.len() as u64));
            group.bench_function(name, |b| b.iter(|| host.transaction(black_box(&wire))));
            group.finish();
        }
    }
}

fn structure(c: &mut Criterion) {
    for (name, size) in [("4 KiB", 4 * 1024), ("1 MiB", 1024 * 1024)] {
        for (how, message) in [("plain", message(size)), ("multipart", multipart(size))] {
            let name = format!("structure/{how} {name}");
            let pieces: Vec<_> = message.chunks(READ).collect();
            report(&name, message.len(), cost(2_000_000 / message.len() as u32 + 100, || make(&pieces)));
            let mut group = c.benchmark_group("structure");
            group.throughput(Throughput::Bytes(message.len() as u64));
            group.bench_function(name, |b| b.iter(|| make(black_box(&pieces))));
            group.finish();
        }
    }
}

/// Makes the structure of a message that comes in pieces, as it is kept.
fn make(pieces: &[&[u8]]) {
    let mut parser = StructureParser::new();
    pieces.iter().for_each(|piece| parser.feed(piece));
    black_box(parser.finish().encode());
}

criterion_group!(benches, smtp_server, structure);
criterion_main!(benches);

/// A session behind its EHLO, with what a host has around it.
struct Host {
    server: Server,
    rx: BytesMut,
    tx: Outbox,
    committed: u64,
}

impl Host {
    fn new() -> Self {
        let mut config = Config::new("mx.example.org", Service::Transfer);
        config.limits = Limits { transactions: u32::MAX, ..Limits::default() };
        let peer = Peer { address: ([192, 0, 2, 7], 4242).into() };
        let mut host = Self {
            server: Server::new(SessionId(1), Arc::new(config), peer),
            rx: BytesMut::with_capacity(READ),
            tx: Outbox::new(READ),
            committed: 0,
        };
        host.run(b"EHLO client.example\r\n");
        host
    }

    /// One transaction, read by pieces.
    fn transaction(&mut self, wire: &[u8]) {
        let before = self.committed;
        for piece in wire.chunks(READ) {
            self.run(piece);
        }
        assert_eq!(self.committed, before + 1, "the transaction is not committed");
    }

    fn run(&mut self, piece: &[u8]) {
        self.rx.extend_from_slice(piece);
        loop {
            match self.server.poll(Now::default(), &mut self.rx, &mut self.tx) {
                Step::Act(Action::Recipient { ticket, .. }) => {
                    let _ = self.server.answer(ticket, RecipientAnswer::Accepted);
                }
                Step::Act(Action::Chunk { ticket, bytes, .. }) => {
                    black_box(&bytes);
                    let _ = self.server.answer(ticket, ChunkAnswer::Taken);
                }
                Step::Act(Action::Commit { ticket, transaction }) => {
                    black_box(&transaction);
                    self.committed += 1;
                    let _ = self.server.answer(ticket, CommitAnswer::Committed { text: String::new() });
                }
                Step::Act(Action::Abort(_) | Action::Authenticate { .. }) | Step::Upgrade(_) | Step::More => {}
                Step::Act(Action::Refused { reply }) => panic!("{reply}"),
                Step::Wait(_) => break,
                Step::Done(end) => panic!("{end}"),
            }
        }
        self.tx.advance(self.tx.remaining());
    }
}

/// A message of `size` octets in lines of 76, as base64 has them.
fn message(size: usize) -> Vec<u8> {
    let mut message = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: A bench\r\n\r\n".to_vec();
    while message.len() < size {
        message.extend_from_slice(&[b'x'; 76]);
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// The same, with fields as mail has them, a text, and an attachment.
fn multipart(size: usize) -> Vec<u8> {
    let mut multipart = b"Received: from a.example\r\n\tby b.example; Sun, 22 Nov 2026 20:25:26 +0000\r\n\
        From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: A bench\r\n\
        Date: Sun, 22 Nov 2026 20:25:26 +0000\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"----=_Part_0815\"\r\n\r\n------=_Part_0815\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n------=_Part_0815\r\n\
        Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    multipart.extend(message(size.saturating_sub(multipart.len())));
    multipart.extend_from_slice(b"------=_Part_0815--\r\n");
    multipart
}

fn envelope() -> Vec<u8> {
    b"MAIL FROM:<alice@example.org> SIZE=4096\r\nRCPT TO:<bob@example.org>\r\n".to_vec()
}

fn data(size: usize) -> Vec<u8> {
    [envelope(), b"DATA\r\n".to_vec(), message(size), b".\r\n".to_vec()].concat()
}

fn bdat(size: usize) -> Vec<u8> {
    let message = message(size);
    [envelope(), format!("BDAT {} LAST\r\n", message.len()).into_bytes(), message].concat()
}
