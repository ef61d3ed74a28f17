//! A peer that talks faster than it is answered: it is not read from until it was run.

use std::sync::Arc;

use pillarbox_core::node::{Accepted, ListenerId, Node, NodeAction, NodeStep, Share};
use pillarbox_core::{Mono, Now, Seed, Wall};

use super::provider::config;

#[test]
fn a_flood_is_not_read_faster_than_it_is_run() {
    let config = Arc::new(config("amber.example"));
    let limit = config.limits.receive_buffer;
    let mut node = Node::new(Arc::clone(&config), Share::WHOLE, &Seed([7; 32]));
    let now = Now { mono: Mono(1), wall: Wall(1_700_000_000_000) };
    let peer = "192.0.2.1:1234".parse().unwrap();
    let conn = node.accept(Accepted { listener: ListenerId(0), peer, crowded: false });
    let piece = b"NOOP\r\n".repeat(10_000);
    let (mut reading, mut taken, mut most) = (false, 0, 0);
    for _ in 0..200 {
        loop {
            match node.poll(now) {
                NodeStep::Act(NodeAction::Interest { conn: of, read }) if of == conn => reading = read,
                NodeStep::Act(_) => {}
                NodeStep::More | NodeStep::Wait { .. } => break,
                NodeStep::Done => panic!("it is not drained"),
            }
        }
        let io = node.conn(conn).expect("it is open");
        // The peer reads all that it is told, and writes whenever we read.
        let told = io.tx.len();
        bytes::Buf::advance(io.tx, told);
        if reading {
            io.rx.extend_from_slice(&piece);
            taken += piece.len();
        }
        most = most.max(io.rx.len());
        node.touched(conn);
    }
    assert!(taken > 100_000, "it is read from again: {taken}");
    assert!(most < limit + 2 * piece.len(), "{most} octets wait, {taken} were taken");
}
