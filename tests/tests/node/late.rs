//! Answers that come when nobody waits for them any more.

use std::time::Duration;

use pillarbox_core::ops::{AccountOp, StoreOp};

use super::provider::{encoded, fetch, submission, submit, two_providers};

fn bob(op: &StoreOp) -> bool {
    matches!(op, StoreOp::Account(AccountOp::Resolve { address }) if address.local() == "bob")
}

fn logins(op: &StoreOp) -> bool {
    matches!(op, StoreOp::Account(AccountOp::Authenticate { .. }))
}

#[test]
fn a_recipient_of_an_earlier_transaction_spoils_no_later_one() {
    let mut world = two_providers(20);
    let alice = submission(&mut world, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.hold(0, Some(bob));
    world.say(alice, "RCPT TO:<bob@amber.example>", "");
    world.pass(Duration::from_secs(61));
    assert!(world.heard(alice).starts_with("451 4.3.0"));
    world.hold(0, None);
    world.say(alice, "RSET", "250");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.say(alice, "RCPT TO:<carol@birch.example>", "250");
    world.say(alice, "RCPT TO:<alice@amber.example>", "250");
    world.say(alice, "DATA", "354");
    world.send(alice, b"Subject: first half\r\n\r\n");
    world.release(0, 1);
    world.send(alice, b"second half\r\n");
    world.say(alice, ".", "250 2.");
    let mail = fetch(&mut world, 0, "alice");
    assert!(mail.len() == 1 && mail[0].contains("Subject: first half\r\n\r\nsecond half"), "{mail:?}");
    world.pass(Duration::from_secs(1));
    assert_eq!(fetch(&mut world, 1, "carol").len(), 1);
    assert_eq!(fetch(&mut world, 0, "bob").len(), 0);
}

#[test]
fn a_recipient_that_was_refused_for_want_of_an_answer_gets_nothing() {
    let mut world = two_providers(21);
    let alice = submission(&mut world, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.hold(0, Some(bob));
    world.say(alice, "RCPT TO:<bob@amber.example>", "");
    world.pass(Duration::from_secs(61));
    assert!(world.heard(alice).starts_with("451 4.3.0"));
    world.release(0, 1);
    world.say(alice, "RCPT TO:<carol@birch.example>", "250");
    world.say(alice, "DATA", "354");
    world.say(alice, "Subject: not for bob\r\n\r\n.", "250 2.");
    assert_eq!(fetch(&mut world, 0, "bob").len(), 0, "the client was told to come again for him");
    world.pass(Duration::from_secs(1));
    assert_eq!(fetch(&mut world, 1, "carol").len(), 1);
}

#[test]
fn a_login_that_failed_late_takes_nothing_from_one_that_succeeded() {
    let mut world = two_providers(22);
    let client = world.connect(0, 587);
    world.heard(client);
    world.say(client, "EHLO client.example", "250-");
    world.hold(0, Some(logins));
    world.say(client, &format!("AUTH PLAIN {}", encoded("\0alice\0wrong")), "");
    world.pass(Duration::from_secs(61));
    assert!(world.heard(client).starts_with("454 4.7.0"));
    world.hold(0, None);
    world.say(client, &format!("AUTH PLAIN {}", encoded("\0alice\0alice")), "235");
    world.release(0, 1);
    let reply = submit(&mut world, client, "alice@amber.example", &["carol@birch.example"], "Subject: x\r\n\r\n");
    assert!(reply.starts_with("250 2."));
}

#[test]
fn a_login_that_succeeded_late_opens_nobodys_maildrop() {
    let mut world = two_providers(23);
    let alice = submission(&mut world, "alice");
    submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], "Subject: for bob\r\n\r\n");
    let client = world.connect(0, 110);
    world.heard(client);
    world.hold(0, Some(logins));
    world.say(client, "USER bob", "+OK");
    world.say(client, "PASS bob", "");
    world.pass(Duration::from_secs(61));
    assert!(world.heard(client).starts_with("-ERR [SYS/TEMP]"));
    world.say(client, "USER alice", "+OK");
    world.say(client, "PASS alice", "");
    world.release_reversed(0);
    assert!(world.heard(client).starts_with("+OK 0 messages"), "alice has no mail, whatever bob has");
}
