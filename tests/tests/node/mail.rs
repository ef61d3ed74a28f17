//! Mail on its way: to a neighbour, to another provider, to a server that is down, to nobody.

use std::time::Duration;

use pillarbox_core::node::Event;
use pillarbox_core::ops::{QueueOp, QueueReply, StoreOp, StoreReply};

use super::provider::{fetch, submission, submit, two_providers};

const MESSAGE: &str = "From: alice@amber.example\r\nSubject: Hi\r\n\r\n..dotted\r\nbye\r\n";

#[test]
fn to_a_neighbour_straight_into_the_mailbox() {
    let mut world = two_providers(1);
    let alice = submission(&mut world, "alice");
    let reply = submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
    assert!(reply.starts_with("250 2."), "{reply}");
    let mail = fetch(&mut world, 0, "bob");
    assert_eq!(mail.len(), 1);
    assert!(mail[0].starts_with("Return-Path: <alice@amber.example>\r\nDelivered-To: bob@amber.example\r\nReceived: "));
    assert!(mail[0].contains("\r\nDate: "), "a submission without a date is given one: {}", mail[0]);
    assert!(mail[0].ends_with("\r\n\r\n.dotted\r\nbye"), "{}", mail[0]);
    assert!(fetch(&mut world, 0, "bob").is_empty(), "POP3 empties the mailbox");
}

#[test]
fn to_another_provider_by_its_mx() {
    let mut world = two_providers(2);
    let alice = submission(&mut world, "alice");
    let to = ["carol@birch.example", "bob@amber.example"];
    submit(&mut world, alice, "alice@amber.example", &to, MESSAGE);
    world.pass(Duration::from_secs(1));
    let mail = fetch(&mut world, 1, "carol");
    assert_eq!(mail.len(), 1, "{:#?}", world.machines[0].events);
    assert_eq!(mail[0].matches("\r\nReceived: ").count(), 2);
    assert!(mail[0].contains("with ESMTPS id"), "opportunistic TLS was used: {}", mail[0]);
    assert_eq!(fetch(&mut world, 0, "bob").len(), 1);
}

#[test]
fn a_server_that_is_down_gets_its_mail_when_it_is_back() {
    let mut world = two_providers(3);
    world.kill(1);
    let alice = submission(&mut world, "alice");
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(Duration::from_secs(30));
    world.kill(0);
    world.revive(1);
    world.revive(0);
    world.pass(Duration::from_secs(200));
    assert_eq!(fetch(&mut world, 1, "carol").len(), 1, "{:#?}", world.machines[0].events);
}

#[test]
fn nobody_there_is_told_to_the_sender() {
    let mut world = two_providers(4);
    let alice = submission(&mut world, "alice");
    let to = ["nobody@birch.example", "x@null.example", "x@gone.cold.example"];
    submit(&mut world, alice, "alice@amber.example", &to, MESSAGE);
    world.pass(Duration::from_secs(60));
    let mut mail = fetch(&mut world, 0, "alice");
    assert_eq!(mail.len(), 3, "{:#?}", world.machines[0].events);
    mail.sort();
    let all = mail.concat();
    for said in ["nobody@birch.example", "x@null.example", "x@gone.cold.example", "5.1.1", "5.1.10", "5.1.2"] {
        assert!(all.contains(said), "{said} is missing in {all}");
    }
    assert!(all.contains("Return-Path: <>") && all.contains("multipart/report"));
}

#[test]
fn mail_that_cannot_go_out_comes_back_when_it_expires() {
    let mut world = two_providers(5);
    let alice = submission(&mut world, "alice");
    submit(&mut world, alice, "alice@amber.example", &["x@cold.example"], MESSAGE);
    world.pass(Duration::from_secs(3000));
    assert!(fetch(&mut world, 0, "alice").is_empty());
    world.pass(Duration::from_secs(3000));
    assert_eq!(fetch(&mut world, 0, "alice").len(), 1);
}

#[test]
fn nobody_relays_without_logging_in() {
    let mut world = two_providers(6);
    let stranger = world.connect(0, 25);
    world.heard(stranger);
    world.say(stranger, "EHLO stranger.example", "250");
    world.say(stranger, "MAIL FROM:<x@stranger.example>", "250");
    for path in ["carol@birch.example", "@amber.example:carol@birch.example", "carol@[192.0.2.2]"] {
        world.say(stranger, &format!("RCPT TO:<{path}>"), "550 5.7.1");
    }
    for path in [
        "carol%birch.example@amber.example",
        "\"carol@birch.example\"@amber.example",
        "birch.example!carol@amber.example",
    ] {
        world.say(stranger, &format!("RCPT TO:<{path}>"), "550 5.1.1");
    }
    world.say(stranger, "RCPT TO:<Postmaster>", "250");
    world.say(stranger, "RCPT TO:<ALICE@Amber.Example>", "250");
    let submitter = world.connect(0, 587);
    world.heard(submitter);
    world.say(submitter, "EHLO x", "250");
    world.say(submitter, "MAIL FROM:<alice@amber.example>", "530");
}

#[test]
fn a_large_message_is_staged_and_arrives_whole() {
    let mut world = two_providers(7);
    let body = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcdef0123456789abcdef0123456789abcdef01234567\r\n".repeat(20_000)
    );
    let alice = submission(&mut world, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.say(alice, "RCPT TO:<carol@birch.example>", "250");
    world.say(alice, "DATA", "354");
    for piece in body.as_bytes().chunks(30_000) {
        world.send(alice, piece);
    }
    world.say(alice, ".", "250");
    world.pass(Duration::from_secs(1));
    let mail = fetch(&mut world, 1, "carol");
    assert!(mail[0].ends_with(body.trim_end()), "{} bytes", mail[0].len());
}

#[test]
fn a_drained_node_says_goodbye_and_ends() {
    let mut world = two_providers(8);
    let idle = world.connect(0, 25);
    let alice = submission(&mut world, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.drain(0, Duration::from_secs(10));
    assert!(world.heard(idle).contains("421"));
    world.pass(Duration::from_secs(60));
    assert!(world.is_done(0), "{} connections left", world.connections(0));
}

#[test]
fn a_drained_node_does_not_wait_for_a_name_server() {
    let mut world = two_providers(9);
    world.dns_is_silent = true;
    let alice = submission(&mut world, "alice");
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(Duration::from_secs(2));
    world.drain(0, Duration::from_secs(10));
    world.pass(Duration::from_millis(1));
    assert!(world.is_done(0));
    let StoreReply::Queue(QueueReply::Rows(rows)) =
        world.machines[0].store.apply(StoreOp::Queue(QueueOp::List { after: None, limit: 9 }))
    else {
        panic!()
    };
    assert_eq!((rows.len(), rows[0].state.attempts), (1, 0), "nothing was tried");
    assert!(rows[0].state.due <= world.now().wall, "it is tried as soon as there is a node again");
}

#[test]
fn each_recipient_that_waits_has_its_reason() {
    let mut world = two_providers(10);
    let alice = submission(&mut world, "alice");
    let to = ["a@cold.example", "b@cold.example"];
    submit(&mut world, alice, "alice@amber.example", &to, MESSAGE);
    world.pass(Duration::from_secs(40));
    let tried = |event: &&Event| matches!(event, Event::Attempted { reply, host, .. } if reply.code() == 451 && host.is_empty());
    assert_eq!(world.machines[0].events.iter().filter(tried).count(), 2, "{:#?}", world.machines[0].events);
}

#[test]
fn a_drained_node_does_not_wait_forever_for_a_store_that_has_stopped() {
    let mut world = two_providers(11);
    let alice = submission(&mut world, "alice");
    // The outcome of the delivery is never recorded.
    world.hold(0, Some(|op| matches!(op, StoreOp::Queue(QueueOp::Settle(_)))));
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(Duration::from_secs(5));
    world.drain(0, Duration::from_secs(10));
    world.pass(Duration::from_secs(15));
    assert!(!world.is_done(0), "it may still be recorded");
    world.pass(Duration::from_secs(60));
    assert!(world.is_done(0), "{} connections left", world.connections(0));
}

#[test]
fn each_message_to_a_domain_that_does_not_exist_bounces_at_once() {
    let mut world = two_providers(12);
    let alice = submission(&mut world, "alice");
    for _ in 0..2 {
        submit(&mut world, alice, "alice@amber.example", &["x@gone.cold.example"], MESSAGE);
        world.pass(Duration::from_secs(1));
        assert_eq!(fetch(&mut world, 0, "alice").len(), 1);
    }
}
