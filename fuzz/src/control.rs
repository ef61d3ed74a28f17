//! The control protocol: what one end reads, the other end writes so that it is read the same.

use bytes::BytesMut;
use pillarbox_core::control::{Action, Answered, Client, Server};
use pillarbox_core::ops::{AccountOp, StoreOp, StoreReply};
use pillarbox_core::session::Answer as _;
use pillarbox_core::{Close, Now, Outbox, Session, SessionId, Step};

use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::ways;

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "account-add ",
        "account-passwd ",
        "account-remove ",
        "account-list",
        "alias-set ",
        "alias-remove ",
        "alias-list",
        "queue-list",
        "queue-show ",
        "queue-retry ",
        "queue-remove ",
        " alice@example.org",
        " \"b%20c%25\"@example.org",
        " 2-7",
        " %",
        "%0D%0A",
        "%C3%A9",
        "\r\n",
        "done\r\n",
        "exists\r\n",
        "not-found\r\n",
        "account ",
        "accounts\r\n",
        "alias ",
        "aliases\r\n",
        "row 2-7 1-3 % c@b.example mx:b.example 2048 u8 0 1 2 3 451%20no\r\n",
        "rows\r\n",
        "changed 5\r\n",
        "failed full\r\n",
        "bad\r\n",
    ]
}

/// What may be held for each octet, and what a line of the longest sort costs.
const COST: Allowance = Allowance::of(200, 64 * 1024).allocations(8);

/// One line as a request.
pub(crate) fn request(line: &[u8]) {
    let Some(op) = linear(line.len(), COST, || asked(&[line, b"\r\n"])) else { return };
    let mut client = Client::new(&op).expect("what can be asked can be written");
    let mut tx = Outbox::new(usize::MAX);
    let Step::Wait(_) = client.poll(Now::default(), &mut BytesMut::new(), &mut tx) else { panic!("it has an answer") };
    let written: Vec<u8> = tx.slices().flatten().copied().collect();
    assert!(!client.secrets().is_empty() || !is_secret(&op), "a password is shown: {}", written.escape_ascii());
    assert_eq!(asked(&[&written]), Some(op), "{}", written.escape_ascii());
}

fn is_secret(op: &StoreOp) -> bool {
    matches!(op, StoreOp::Account(AccountOp::Add { .. } | AccountOp::SetPassword { .. }))
}

/// What the server is asked for by these octets.
fn asked(said: &[&[u8]]) -> Option<StoreOp> {
    let mut server = Server::new(SessionId(1));
    let mut tx = Outbox::new(usize::MAX);
    match server.poll(Now::default(), &mut BytesMut::from(&said.concat()[..]), &mut tx) {
        Step::Act(Action::Ask { op, .. }) => Some(*op),
        _ => None,
    }
}

/// A stream of lines as an answer.
pub(crate) fn reply(stream: &[u8]) {
    let whole = linear(stream.len(), COST, || answered(&[stream]));
    for pieces in ways(stream) {
        assert_eq!(answered(&pieces), whole);
    }
    let Some(Answered::Reply(reply)) = whole else { return };
    let written = written(reply.clone());
    assert_eq!(answered(&[&written]), Some(Answered::Reply(reply)), "{}", written.escape_ascii());
}

/// What a client is told by these octets, if it is told anything.
fn answered(pieces: &[&[u8]]) -> Option<Answered> {
    let list = StoreOp::Account(AccountOp::List { after: None, limit: 1 });
    let mut client = Client::new(&list).expect("it can be asked");
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(usize::MAX));
    let mut steps = Steps::of(pieces.len(), 1, 4);
    let mut pieces = pieces.iter();
    loop {
        steps.step();
        match client.poll(Now::default(), &mut rx, &mut tx) {
            Step::Act(answered) => return Some(answered),
            Step::Done(_) => return None,
            Step::Wait(_) | Step::More | Step::Upgrade(_) => match pieces.next() {
                Some(piece) => rx.extend_from_slice(piece),
                None => client.close(Close::Eof),
            },
        }
    }
}

/// What a server says when this is the store's reply.
fn written(reply: StoreReply) -> Vec<u8> {
    let mut server = Server::new(SessionId(1));
    let (mut rx, mut tx) = (BytesMut::from(&b"account-list\r\n"[..]), Outbox::new(usize::MAX));
    let Step::Act(Action::Ask { ticket, .. }) = server.poll(Now::default(), &mut rx, &mut tx) else {
        panic!("it does not ask")
    };
    server.answer(ticket, reply).expect("it is its own ticket");
    let Step::Wait(_) = server.poll(Now::default(), &mut rx, &mut tx) else { panic!("it does not answer") };
    tx.slices().flatten().copied().collect()
}
