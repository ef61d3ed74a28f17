//! Peers that hold a connection and do next to nothing with it: each is dropped in the end, and costs no more meanwhile
//! than its limits say. Each story has the limit that ends it by its name; RFC 5321 §4.5.3.2 is the floor.

use std::time::Duration;

use pillarbox_core::node::{Limits, Protocol, Service, TlsMode};
use pillarbox_core::{SessionLimits, imap, pop3, smtp};
use pillarbox_tests::world::{ClientId, World};

use super::provider::{AMBER, config, names, store, submission, submit};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Longer than any of these stories.
const FOR_EVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Octets on their way to a slow reader at most: the high-water mark, and the chunk or reply that passed it.
const UNREAD: usize = 2 * 64 * 1024;

/// One provider whose port 465 begins with TLS.
fn provider() -> World {
    let mut world = World::new(60, names());
    let mut config = config("amber.example");
    config.services.push(Service::new(Protocol::Submission, TlsMode::Implicit));
    world.machine(AMBER, &[25, 587, 110, 143, 465], config, store("amber.example", &["alice", "bob"]));
    world.run();
    world
}

fn smtp_limits() -> smtp::server::Limits {
    smtp::server::Limits::default()
}

fn imap_limits() -> imap::server::Limits {
    imap::server::Limits::default()
}

fn pop3_limits() -> pop3::server::Limits {
    pop3::server::Limits::default()
}

/// How long the client is borne with when it does `what` again and again, with pauses of this length.
fn borne(world: &mut World, client: ClientId, pause: Duration, mut what: impl FnMut(&mut World)) -> Duration {
    let mut time = Duration::ZERO;
    while !world.is_closed(client) {
        assert!(time < FOR_EVER, "it is borne with for ever");
        what(world);
        let (unrun, unread) = world.held_for(client);
        assert!(unrun < Limits::default().receive_buffer && unread < UNREAD, "{unrun} and {unread} octets are held");
        world.pass(pause);
        time += pause;
    }
    time
}

/// The same for a client that says an octet a second.
fn dribbled(world: &mut World, client: ClientId, octet: &[u8]) -> Duration {
    borne(world, client, SECOND, |world| world.send(client, octet))
}

/// A client behind EHLO.
fn greeted(world: &mut World) -> ClientId {
    let client = world.connect(0, 25);
    world.heard(client);
    world.say(client, "EHLO client.example", "250-");
    client
}

/// A client that may send its message now.
fn in_transaction(world: &mut World) -> ClientId {
    let client = greeted(world);
    world.say(client, "MAIL FROM:<x@cold.example>", "250");
    world.say(client, "RCPT TO:<bob@amber.example>", "250");
    client
}

/// A client of POP3 who is logged in; his maildrop holds a message of so many octets, if it is that large.
fn in_maildrop(world: &mut World, size: usize) -> ClientId {
    let alice = submission(world, "alice");
    let body = "a line of a message that is as long as it is\r\n".repeat(size / 46);
    assert!(submit(world, alice, "alice@amber.example", &["bob@amber.example"], &body).starts_with("250"));
    world.say(alice, "QUIT", "221");
    let bob = world.connect(0, 110);
    world.heard(bob);
    world.say(bob, "USER bob", "+OK");
    world.say(bob, "PASS bob", "+OK");
    bob
}

#[test]
fn who_says_nothing() {
    let mut world = provider();
    let (limits, pop3) = (smtp_limits(), pop3_limits());
    for (port, limit) in [
        (25, limits.command_timeout),
        (587, limits.login_timeout),
        (110, pop3.login_timeout),
        (143, imap_limits().login_timeout),
        (465, Limits::default().handshake_timeout),
    ] {
        let client = world.connect(0, port);
        assert_eq!(borne(&mut world, client, SECOND, |_| {}), limit, "port {port}");
    }
}

#[test]
fn who_says_a_command_an_octet_a_second() {
    let mut world = provider();
    let imap = imap_limits().login_timeout;
    for (port, limit) in [(25, smtp_limits().command_timeout), (110, pop3_limits().login_timeout), (143, imap)] {
        let client = world.connect(0, port);
        assert_eq!(dribbled(&mut world, client, b"N"), limit, "port {port}");
    }
    let bob = in_maildrop(&mut world, 46);
    assert_eq!(dribbled(&mut world, bob, b"N"), pop3_limits().idle_timeout);
}

#[test]
fn who_says_things_that_lead_to_nothing() {
    let mut world = provider();
    let limits = smtp_limits();
    for (port, said, limit) in [
        (25, "NOOP\r\n", limits.message_gap),
        (25, "RSET\r\n", limits.message_gap),
        (587, "NOOP\r\n", limits.login_timeout),
        (110, "CAPA\r\n", pop3_limits().login_total),
        (143, "x NOOP\r\n", imap_limits().login_total),
    ] {
        let client = world.connect(0, port);
        let time = borne(&mut world, client, 10 * SECOND, |world| world.send(client, said.as_bytes()));
        assert_eq!(time, limit, "{said:?} on port {port}");
    }
}

#[test]
fn who_logs_in_an_octet_a_second() {
    let mut world = provider();
    let client = world.connect(0, 587);
    world.heard(client);
    world.say(client, "EHLO client.example", "250-");
    world.say(client, "AUTH PLAIN", "334");
    assert_eq!(dribbled(&mut world, client, b"Q"), smtp_limits().login_timeout);

    // Exchanges without an end, one after the other.
    let client = world.connect(0, 587);
    world.send(client, b"EHLO client.example\r\n");
    let time = borne(&mut world, client, SECOND, |world| world.send(client, b"AUTH LOGIN\r\n*\r\n"));
    assert!(time <= smtp_limits().login_timeout, "{time:?}");

    let client = world.connect(0, 110);
    world.heard(client);
    world.say(client, "AUTH PLAIN", "+");
    assert_eq!(dribbled(&mut world, client, b"Q"), pop3_limits().login_timeout);
}

#[test]
fn who_shakes_hands_an_octet_a_second() {
    let mut world = provider();
    // The head of a record, and then what may be in it.
    let hello = |n: usize| if n < 3 { [1, 0, 250][n] } else { b'x' };
    for (port, command) in [(465, None), (25, Some("STARTTLS")), (110, Some("STLS"))] {
        let client = world.connect(0, port);
        if let Some(command) = command {
            world.heard(client);
            if port == 25 {
                world.say(client, "EHLO client.example", "250-");
            }
            world.say(client, command, "");
        }
        let mut n = 0;
        let time = borne(&mut world, client, SECOND, |world| {
            world.send(client, &[hello(n)]);
            n += 1;
        });
        assert_eq!(time, Limits::default().handshake_timeout, "port {port}");
    }
}

#[test]
fn who_sends_a_message_an_octet_a_second() {
    let mut world = provider();
    let limits = smtp_limits();
    // Six hundred octets earn nothing: the first second would be earned by 1,024.
    let client = in_transaction(&mut world);
    world.say(client, "DATA", "354");
    assert_eq!(dribbled(&mut world, client, b"x"), limits.data_grace);

    let client = in_transaction(&mut world);
    world.send(client, b"BDAT 1000000\r\n");
    assert_eq!(dribbled(&mut world, client, b"x"), limits.data_grace);

    // In chunks of one octet, with the longest pauses: each is a command of its own.
    let client = in_transaction(&mut world);
    let time = borne(&mut world, client, 290 * SECOND, |world| world.send(client, b"BDAT 1\r\nx"));
    assert!(time <= limits.message_gap + 290 * SECOND, "{time:?}");
    assert_eq!(world.holdings(0).inline_bytes, 0, "nothing is left of any of them");
}

#[test]
fn who_sends_a_refused_message_that_has_no_end() {
    let mut world = provider();
    let client = in_transaction(&mut world);
    world.say(client, "DATA", "354");
    world.send(client, b"a bare LF\nspoils it\r\n");
    let (line, size) = (b"as much as the rate wants, and no more of it\r\n".repeat(1400), config("x").message_size);
    let time = borne(&mut world, client, MINUTE, |world| world.send(client, &line));
    let most = smtp_limits().data_grace + Duration::from_secs((size + smtp_limits().overrun) / smtp_limits().data_rate);
    assert!(time <= most && world.heard(client).starts_with("554"), "{time:?}, at most {most:?}");
}

#[test]
fn who_does_not_read_what_he_is_told() {
    let mut world = provider();
    let (limits, linger) = (smtp_limits(), Limits::default().linger);
    let client = greeted(&mut world);
    world.reads_only(client, 0);
    // More answers than there is room for.
    let noops = b"NOOP\r\n".repeat(10_000);
    world.send(client, &noops);
    assert!(world.held_for(client).1 >= SessionLimits::default().high_water);
    let mut time = Duration::ZERO;
    while !world.is_closed(client) {
        world.pass(SECOND);
        time += SECOND;
        assert!(world.held_for(client).1 < UNREAD);
    }
    assert_eq!(time, limits.data_timeout + linger);

    // An octet now and then is no more than nothing.
    let client = greeted(&mut world);
    world.reads_only(client, 0);
    world.send(client, &noops);
    let mut time = Duration::ZERO;
    while !world.is_closed(client) {
        world.reads_only(client, 1);
        world.pass(MINUTE);
        time += MINUTE;
        assert!(world.held_for(client).1 < UNREAD && time < FOR_EVER);
    }
    assert!(time <= limits.message_gap + linger + MINUTE, "{time:?}");
}

#[test]
fn who_does_not_read_his_mail() {
    let mut world = provider();
    let (limits, linger) = (pop3_limits(), Limits::default().linger);
    let bob = in_maildrop(&mut world, 1_000_000);
    world.reads_only(bob, 0);
    world.send(bob, b"RETR 1\r\n");
    assert!(world.held_for(bob).1 >= SessionLimits::default().high_water);
    let time = borne(&mut world, bob, SECOND, |_| {});
    assert_eq!(time, limits.idle_timeout + linger);

    // An octet every nine minutes: the megabyte would take fifteen years, and the maildrop would be his all the while.
    let bob = in_maildrop(&mut world, 46);
    world.reads_only(bob, 0);
    world.send(bob, b"RETR 1\r\n");
    let time = borne(&mut world, bob, 9 * MINUTE, |world| world.reads_only(bob, 1));
    assert!(time <= limits.read_grace + linger + 9 * MINUTE, "{time:?}");

    // Who reads slowly, but as fast as is asked of him, reads it to its end.
    let bob = in_maildrop(&mut world, 46);
    world.reads_only(bob, 0);
    world.send(bob, b"RETR 1\r\n");
    let mut heard = 0;
    while !world.is_closed(bob) && !world.heard(bob).ends_with("\r\n.\r\n") {
        world.reads_only(bob, 60 * usize::try_from(limits.read_rate).unwrap());
        world.pass(MINUTE);
        heard += 1;
    }
    assert!((15..=18).contains(&heard) && !world.is_closed(bob), "{heard} minutes");
}

#[test]
fn who_does_not_read_and_goes_away() {
    let mut world = provider();
    let bob = in_maildrop(&mut world, 1_000_000);
    world.reads_only(bob, 0);
    world.send(bob, b"RETR 1\r\n");
    // Some of it has left, and more waits in vain.
    world.reads_only(bob, 100_000);
    world.break_off(bob);
    world.run();
    assert_eq!(world.connections(0), 0);
    assert_eq!(world.holdings(0).ops, 0);
}

#[test]
fn what_they_held_is_given_back() {
    let mut world = provider();
    let clients: Vec<_> = (0..20).map(|_| in_transaction(&mut world)).collect();
    for &client in &clients {
        world.say(client, "DATA", "354");
        world.send(client, &b"half a message\r\n".repeat(2000));
    }
    let bob = in_maildrop(&mut world, 200_000);
    world.reads_only(bob, 0);
    world.send(bob, b"RETR 1\r\n");
    world.pass(smtp_limits().data_timeout.max(pop3_limits().idle_timeout) + Limits::default().linger);
    assert!(clients.iter().all(|&client| world.is_closed(client)) && world.is_closed(bob));
    let holdings = world.holdings(0);
    assert_eq!((world.connections(0), holdings.inline_bytes, holdings.ops), (0, 0, 0));
    // The maildrop can be opened again.
    let bob = world.connect(0, 110);
    world.send(bob, b"USER bob\r\nPASS bob\r\n");
    assert_eq!(world.heard(bob).matches("+OK").count(), 3);
}
