//! Who floods a node does not keep its mail from going out.

use pillarbox_core::node::{Accepted, Limits, ListenerId, Node, NodeAction, NodeStep, Share};
use pillarbox_core::{Now, Seed};

use super::provider::config;

#[test]
fn the_queue_has_its_turn_while_a_session_always_wants_one() {
    let mut config = config("amber.example");
    config.limits = Limits { sessions_per_turn: 1, ..config.limits };
    let mut node = Node::new(config.into(), Share::WHOLE, &Seed::number(1));
    let peer = ([192, 0, 2, 200], 4000).into();
    let conn = node.accept(Accepted { listener: ListenerId(0), peer, crowded: false });
    let asked = (0..1000).any(|_| {
        node.touched(conn);
        matches!(node.poll(Now::default()), NodeStep::Act(NodeAction::Store { .. }))
    });
    assert!(asked, "the queue never asked for its lease");
}
