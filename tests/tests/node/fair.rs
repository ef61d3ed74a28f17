//! Who floods a node does not keep others waiting: what one session may do before the others have their turn is bounded,
//! and so is what all of them do between a command and its answer. Time has no part in it: what is counted is how often
//! the host has to poll.

use std::sync::Arc;

use bytes::Buf as _;
use pillarbox_core::node::{Accepted, ConnId, Limits, ListenerId, Node, NodeAction, NodeStep, Share};
use pillarbox_core::{Mono, Now, Seed, SessionLimits, Wall};

use super::provider::config;

/// Sessions that flood.
const FLOODERS: usize = 100;

#[test]
fn the_queue_has_its_turn_while_a_session_always_wants_one() {
    let mut config = config("amber.example");
    config.limits = Limits { sessions_per_turn: 1, ..config.limits };
    let mut node = Node::new(config.into(), Share::WHOLE, &Seed::number(1));
    let conn = accept(&mut node, 0);
    let asked = (0..1000).any(|_| {
        node.touched(conn);
        matches!(node.poll(now()), NodeStep::Act(NodeAction::Store { .. }))
    });
    assert!(asked, "the queue never asked for its lease");
}

/// Commands that are answered at once; commands that are refused, each of which is told to the host; lines that are none;
/// and one line without an end.
#[test]
fn a_command_is_answered_within_so_many_polls_whatever_the_others_send() {
    let floods: [&[u8]; 4] = [b"NOOP\r\n", b"MAIL FROM:<a@b.example> SIZE=99999999999\r\n", b"\xff\r\n", b"x"];
    for flood in floods {
        let config = Arc::new(config("amber.example"));
        let mut node = Node::new(Arc::clone(&config), Share::WHOLE, &Seed::number(2));
        let greeted = |node: &mut Node| {
            let conn = accept(node, 0);
            poll(node);
            say(node, conn, b"EHLO client.example\r\n");
            poll(node);
            node.conn(conn).unwrap().tx.clear();
            conn
        };
        let good = greeted(&mut node);
        let flooders: Vec<_> = (0..FLOODERS).map(|_| greeted(&mut node)).collect();
        for &flooder in &flooders {
            say(&mut node, flooder, &flood.repeat(64 * 1024 / flood.len()));
        }
        say(&mut node, good, b"NOOP\r\n");

        let (mut polls, mut answered) = (0, false);
        while !answered {
            if let NodeStep::Act(NodeAction::Flush(conn)) = node.poll(now()) {
                answered |= conn == good;
            }
            polls += 1;
        }
        // A flooder may act up to its bound, and then be flushed, paused, or closed with a word about it.
        let most = FLOODERS * (config.limits.actions_per_session + SessionLimits::default().steps + 4);
        assert!(polls <= most, "{}: {polls} polls, {most} at most", flood.escape_ascii());
    }
}

/// The same for one who comes while they flood, and goes on flooding after each poll.
#[test]
fn each_of_many_floods_has_its_turn() {
    let config = Arc::new(config("amber.example"));
    let mut node = Node::new(Arc::clone(&config), Share::WHOLE, &Seed::number(3));
    let conns: Vec<_> = (0..FLOODERS).map(|_| accept(&mut node, 0)).collect();
    poll(&mut node);
    let mut answered = vec![0_usize; conns.len()];
    for turn in 1..=50 {
        for (index, &conn) in conns.iter().enumerate() {
            let io = node.conn(conn).unwrap();
            answered[index] += io.tx.len();
            io.tx.advance(io.tx.len());
            if io.rx.len() < config.limits.receive_buffer {
                io.rx.extend_from_slice(&b"NOOP\r\n".repeat(1000));
            }
            node.touched(conn);
        }
        poll(&mut node);
        let (least, most) = (answered.iter().min().unwrap(), answered.iter().max().unwrap());
        // A turn of the node ends after so many sessions, so one may be a few of its own turns ahead of another.
        let ahead = (SessionLimits::default().steps * 3) * "250 2.0.0 Ok\r\n".len();
        assert!(most - least <= ahead, "turn {turn}: {least} to {most} octets of answers");
    }
    assert!(answered[0] > 0);
}

fn now() -> Now {
    Now { mono: Mono(1), wall: Wall(1_700_000_000_000) }
}

fn accept(node: &mut Node, listener: usize) -> ConnId {
    let peer = ([192, 0, 2, 200], 4000).into();
    node.accept(Accepted { listener: ListenerId(listener), peer, crowded: false })
}

fn say(node: &mut Node, conn: ConnId, bytes: &[u8]) {
    node.conn(conn).unwrap().rx.extend_from_slice(bytes);
    node.touched(conn);
}

/// One turn of the host: until the node says that it waits, or that others should have theirs.
fn poll(node: &mut Node) {
    while let NodeStep::Act(_) = node.poll(now()) {}
}
