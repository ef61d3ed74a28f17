//! Bounces: whatever the peer has said, and whatever the message was, what we write about it is a report that can be read.

use std::sync::Arc;

use bytes::Bytes;
use pillarbox_core::imap::types::BodyKind;
use pillarbox_core::line::Strict;
use pillarbox_core::message::{FieldName, HeaderScanner, Structure, StructureParser};
use pillarbox_core::ops::{
    Accepted, BUCKETS, BlobId, Body, Destination, Id, LeaseEpoch, QueueOp, QueueReply, QueueRow, RowId, RowState,
    Settle, StoreOp, StoreReply,
};
use pillarbox_core::queue::{AttemptEnd, AttemptId, Config, QuestionId, Queue, QueueStep, RowResult, Said};
use pillarbox_core::router::Routes;
use pillarbox_core::smtp::{Address, EnhancedStatus, Reply};
use pillarbox_core::{Mono, Now, Seed, Wall};
use pillarbox_tests::oracle::mail::is_report;

use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::{hash, ways};

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "\n",
        "alice@amber.example",
        "\u{e4}da@elm.example",
        "\"b c\"@birch.example",
        "b\u{fc}b@birch.example",
        "No such user",
        "Message-ID: <1@amber.example>\r\n",
        "Subject: ",
        "\r\n ",
        "\r\n\r\n",
        "=_0",
        "--",
        "\u{2028}",
        "\u{202e}",
        "=?utf-8?q?x?=",
    ]
}

/// Octets of a line at most, with its CRLF (RFC 5321 §4.5.3.1.6).
const LINE: usize = 1000;

/// The first lines are the sender, the recipient, what the peer said, and who said it; the rest is the message.
pub(crate) fn report(input: &[u8]) {
    let mut lines = input.splitn(5, |octet| *octet == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let address = |octets: &[u8], otherwise| {
        text(octets).parse().unwrap_or_else(|_| Address::new("x", otherwise).expect("it is one"))
    };
    let (from, to) = (address(line(), "amber.example"), address(line(), "birch.example"));
    let (reply, host) = (text(line()), text(line()));
    let status = reply.len().is_multiple_of(2).then_some(EnhancedStatus(5, 1, 1));
    let reply = Reply::new(550, status, reply);
    let said = if host.is_empty() { Said::ours(reply) } else { Said::by(reply, host) };
    let message = lines.next().unwrap_or_default();
    let allowed = Allowance::of(64, 128 * 1024).allocations(16);
    let written = linear(input.len(), allowed, || bounce(&from, &to, &said, message, hash(input)));
    sound(&written, from.is_ascii());
}

/// The bounce about a message that was refused with these words. Its boundary is nothing that a peer could know.
fn bounce(from: &Address, to: &Address, said: &Said, message: &[u8], seed: u64) -> Vec<u8> {
    let id = Id { epoch: 1, counter: 1 };
    let destination = Destination::Domain("birch.example".into());
    let row = QueueRow {
        id: RowId(id),
        blob: BlobId(id),
        reverse_path: Some(from.clone()),
        recipient: to.clone(),
        destination: destination.clone(),
        prefix: Bytes::new(),
        size: message.len() as u64,
        smtputf8: false,
        eight_bit: false,
        received: Wall(0),
        state: RowState { due: Wall(0), expires: Wall(1), attempts: 0, reply: String::new() },
    };
    let mut desk = Desk { queue: queue(seed), row, message, bounce: None };
    desk.queue.hint(&destination, Wall(0));
    let now = Now { mono: Mono(1), wall: Wall(60_000) };
    let mut steps = Steps::of(0, 0, 100);
    loop {
        steps.step();
        match desk.queue.poll(now) {
            QueueStep::Ask { question, op } => desk.answer(now, question, op),
            QueueStep::Attempt { attempt, .. } => desk.refuse(now, attempt, said),
            QueueStep::Event(_) => {}
            QueueStep::Wait { .. } | QueueStep::Idle => break,
        }
    }
    desk.bounce.expect("what is refused bounces")
}

fn queue(seed: u64) -> Queue {
    let routes = Routes { hostname: "mx.amber.example".into(), domains: vec!["amber.example".into()], routes: vec![] };
    Queue::new(Arc::new(Config::default()), routes, 0..BUCKETS, &Seed::number(seed))
}

/// A store that holds one row.
struct Desk<'a> {
    queue: Queue,
    row: QueueRow,
    message: &'a [u8],
    bounce: Option<Vec<u8>>,
}

impl Desk<'_> {
    fn answer(&mut self, now: Now, question: QuestionId, op: StoreOp) {
        let waits = self.bounce.is_none();
        let StoreOp::Queue(op) = op else { panic!("a queue asks about the queue") };
        let reply = match op {
            QueueOp::Lease { .. } => QueueReply::Leased(LeaseEpoch(Id { epoch: 1, counter: 2 })),
            QueueOp::Active { .. } => QueueReply::Active { destinations: Vec::new(), next: None },
            QueueOp::Due { .. } => QueueReply::Rows(waits.then(|| self.row.clone()).into_iter().collect()),
            QueueOp::Read { offset, len, .. } => {
                let rest = &self.message[(offset as usize).min(self.message.len())..];
                QueueReply::Bytes(Bytes::copy_from_slice(&rest[..len.min(rest.len())]))
            }
            QueueOp::Settle(Settle { accepts, .. }) => {
                let [accept] = &accepts[..] else { panic!("{} bounces", accepts.len()) };
                let Body::Inline(body) = &accept.body else { panic!("a bounce is small") };
                assert!(accept.reverse_path.is_none(), "nobody is told of a bounce that bounces");
                assert_eq!(accept.rows.len(), 1);
                self.bounce = Some(body.concat());
                QueueReply::Settled(vec![Accepted {
                    emails: Vec::new(),
                    rows: vec![RowId(Id { epoch: 1, counter: 3 })],
                }])
            }
            other => panic!("{other:?} is an operator's"),
        };
        self.queue.stored(now, question, StoreReply::Queue(reply));
    }

    fn refuse(&mut self, now: Now, attempt: AttemptId, said: &Said) {
        self.queue.settled(attempt, self.row.id, RowResult::Refused(said.clone()));
        self.queue.finished(now, attempt, &AttemptEnd::Reached(said.clone()));
    }
}

/// It can travel, it has three parts, and its header is one; `mail-parser` says the same.
fn sound(written: &[u8], ascii: bool) {
    let shown = || String::from_utf8_lossy(written).into_owned();
    let mut strict = Strict::new();
    assert!(strict.check(written).is_ok() && strict.finish() == Ok(false), "{}", shown());
    assert!(written.split_inclusive(|octet| *octet == b'\n').all(|line| line.len() <= LINE), "{}", shown());
    assert!(written.is_ascii() || !ascii, "{}", shown());
    let mut header = HeaderScanner::new(64 * 1024, 1);
    header.feed(written).expect("a header");
    assert!(header.is_complete() && header.has_date() && header.has_from() && header.has_message_id(), "{}", shown());

    let structure = structure(&[written]);
    for pieces in ways(written) {
        assert_eq!(self::structure(&pieces), structure);
    }
    assert_eq!(structure.field(FieldName::Subject), Some(&b"Your message could not be delivered"[..]), "{}", shown());
    let BodyKind::Multipart(parts) = structure.body().kind else { panic!("no multipart: {}", shown()) };
    assert_eq!(parts.len(), 3, "{}", shown());
    is_report(written).unwrap_or_else(|how| panic!("{how:?}\n{}", shown()));
}

fn structure(pieces: &[&[u8]]) -> Structure {
    let mut parser = StructureParser::new();
    pieces.iter().for_each(|piece| parser.feed(piece));
    parser.finish()
}
