//! What one peer can make a node do: bounded, and in proportion to what he sends.

use std::sync::atomic::{AtomicUsize, Ordering};

use pillarbox_core::ops::{Body, StoreOp};

use super::provider::{fetch, submission, submit, two_providers};

#[test]
fn a_body_that_comes_octet_by_octet_is_kept_in_one_piece() {
    static PIECES: AtomicUsize = AtomicUsize::new(0);
    fn count(op: &StoreOp) -> bool {
        if let StoreOp::Accept(accept) = op
            && let Body::Inline(pieces) = &accept.body
        {
            PIECES.fetch_max(pieces.len(), Ordering::Relaxed);
        }
        false
    }
    let mut world = two_providers(50);
    world.hold(0, Some(count));
    let alice = submission(&mut world, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.say(alice, "RCPT TO:<bob@amber.example>", "250");
    world.say(alice, "DATA", "354");
    let body = "Subject: slow\r\n\r\n".to_owned() + &"one octet after the other\r\n".repeat(100);
    for octet in body.as_bytes().chunks(1) {
        world.send(alice, octet);
    }
    world.say(alice, ".", "250");
    assert_eq!(PIECES.load(Ordering::Relaxed), 1);
    assert!(fetch(&mut world, 0, "bob")[0].ends_with(body.trim_end()));
}

#[test]
fn ten_thousand_commands_at_once_are_answered_in_order() {
    let mut world = two_providers(51);
    let client = world.connect(0, 25);
    world.heard(client);
    world.say(client, "EHLO x", "250-");
    let mut flood = b"NOOP\r\n".repeat(10_000);
    flood.extend_from_slice(b"VRFY x\r\n");
    for piece in flood.chunks(16 * 1024) {
        world.send(client, piece);
    }
    let heard = world.heard(client);
    assert_eq!(heard.matches("250 2.0.0").count(), 10_000);
    assert!(heard.ends_with("252 2.5.0 Cannot verify, but send some mail and it will be tried\r\n"));
}

#[test]
fn a_thousand_recipients_are_one_message() {
    let mut world = two_providers(52);
    let alice = submission(&mut world, "alice");
    let to: Vec<String> = (0..1000).map(|n| format!("x{n}@cold.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let reply = submit(&mut world, alice, "alice@amber.example", &to, "Subject: x\r\n\r\n");
    assert!(reply.starts_with("250 2."), "{reply}");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let mut world = two_providers(53);
    world.crowded = true;
    for (port, said) in [
        (25, "421 4.3.2 Too many"),
        (587, "421 4.3.2 Too many"),
        (110, "-ERR [SYS/TEMP] too many"),
        (143, "* BYE Too many connections"),
    ] {
        let client = world.connect(0, port);
        assert!(world.heard(client).starts_with(said) && world.is_closed(client));
    }
    assert_eq!(world.connections(0), 0);
}
