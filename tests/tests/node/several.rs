//! Servers of several nodes over one store: each works on its own buckets of the queue, all serve whoever comes in.

use std::collections::BTreeSet;
use std::time::Duration;

use pillarbox_core::node::{Config, Event, Protocol, Service, Share, TlsMode};
use pillarbox_core::ops::{AccountOp, AccountReply, Destination, QueueOp, QueueReply, QueueRow, StoreOp, StoreReply};
use pillarbox_tests::world::{ClientId, Machine, World};
use proptest::prelude::*;

use super::provider::{AMBER, BIRCH, config, encoded, fetch, names, providers, store, submission_at, submit};

const MESSAGE: &str = "Subject: Hi\r\n\r\nHi\r\n";

const MOMENT: Duration = Duration::from_secs(2);

/// Which of so many nodes works on this destination.
fn owner(destination: &Destination, nodes: u16) -> usize {
    Share::each(nodes).position(|share| share.buckets().contains(&destination.bucket())).unwrap()
}

fn birch() -> Destination {
    Destination::Domain("birch.example".into())
}

/// A domain whose destination is that of this node's, and not known to any name server.
fn domain_of(node: usize, nodes: u16) -> String {
    let mut domains = (0..).map(|number| format!("d{number}.cold.example"));
    domains.find(|domain| owner(&Destination::Domain(domain.clone()), nodes) == node).unwrap()
}

fn rows(world: &World, machine: usize) -> Vec<QueueRow> {
    let list = StoreOp::Queue(QueueOp::List { after: None, limit: 100 });
    match world.machines[machine].store.apply(list) {
        StoreReply::Queue(QueueReply::Rows(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

/// The attempts that each node of amber's made.
fn attempts(world: &World, nodes: u16) -> Vec<usize> {
    let made = |events: &[Event]| events.iter().filter(|event| matches!(event, Event::Attempted { .. })).count();
    (0..usize::from(nodes)).map(|node| made(&world.machines[node].events)).collect()
}

fn pop3(world: &mut World, machine: usize, name: &str, password: &str, expected: &str) -> ClientId {
    let client = world.connect(machine, 110);
    world.heard(client);
    world.say(client, &format!("USER {name}"), "+OK");
    world.say(client, &format!("PASS {password}"), expected);
    client
}

#[test]
fn mail_for_another_nodes_bucket_goes_out_at_once() {
    for nodes in [2, 3] {
        let owner = owner(&birch(), nodes);
        for taker in 0..usize::from(nodes) {
            let mut world = providers(100, nodes);
            let alice = submission_at(&mut world, taker, "alice");
            submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
            world.pass(MOMENT);
            let mut expected = vec![0; usize::from(nodes)];
            expected[owner] = 1;
            assert_eq!(attempts(&world, nodes), expected, "taken by {taker} of {nodes}");
            assert_eq!(fetch(&mut world, usize::from(nodes), "carol").len(), 1);
        }
    }
}

#[test]
fn without_hints_it_is_found_at_the_next_look() {
    let mut world = providers(101, 2);
    world.pass(Duration::from_secs(5));
    world.deaf = true;
    let alice = submission_at(&mut world, 1 - owner(&birch(), 2), "alice");
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(Duration::from_secs(30));
    assert_eq!(fetch(&mut world, 2, "carol").len(), 0, "who would have told?");
    world.pass(Duration::from_secs(60));
    assert_eq!(fetch(&mut world, 2, "carol").len(), 1);
}

#[test]
fn a_bounce_is_delivered_by_the_node_of_what_is_local() {
    for nodes in [2, 3] {
        let local = owner(&Destination::Local, nodes);
        // Whoever finds out that there is nobody of that name is another node.
        let finder = (local + 1) % usize::from(nodes);
        let mut world = World::new(102, names());
        let domain = (0..).map(|number| format!("n{number}.null.example"));
        let domain = { domain }.find(|domain| owner(&Destination::Domain(domain.clone()), nodes) == finder).unwrap();
        world.server(AMBER, &[25, 587, 110, 143], config("amber.example"), store("amber.example", &["alice"]), nodes);
        world.run();
        let alice = submission_at(&mut world, local, "alice");
        submit(&mut world, alice, "alice@amber.example", &[&format!("x@{domain}")], MESSAGE);
        world.pass(MOMENT);
        let bounced = |machine: &Machine| {
            machine.events.iter().any(|event| matches!(event, Event::Bounced { reported: true, .. }))
        };
        assert!(bounced(&world.machines[finder]), "{:#?}", world.machines[finder].events);
        let bounces = fetch(&mut world, finder, "alice");
        assert!(bounces.len() == 1 && bounces[0].contains("multipart/report"), "{bounces:?}");
        assert!(rows(&world, 0).is_empty());
    }
}

/// Amber as a server of two nodes with a control socket; birch is down.
fn operated() -> World {
    let mut world = World::new(103, names());
    let mut config = config("amber.example");
    config.services.push(Service::new(Protocol::Control, TlsMode::None));
    world.server(AMBER, &[25, 587, 110, 143, 9], config, store("amber.example", &["alice", "bob"]), 2);
    world.run();
    world
}

#[test]
fn a_retry_reaches_the_node_that_has_the_row_and_ends_its_suspension() {
    let mut world = operated();
    let owner = owner(&birch(), 2);
    let alice = submission_at(&mut world, owner, "alice");
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(MOMENT);
    let waiting = rows(&world, 0);
    assert_eq!((waiting.len(), waiting[0].state.attempts), (1, 1), "birch is down");
    world.server(BIRCH, &[25, 587, 110, 143], config("birch.example"), store("birch.example", &["carol"]), 1);
    let operator = world.connect(1 - owner, 9);
    world.say(operator, &format!("queue-retry {}", waiting[0].id), "changed 1");
    world.pass(MOMENT);
    assert!(rows(&world, 0).is_empty(), "{:#?}", rows(&world, 0));
    assert_eq!(fetch(&mut world, 2, "carol").len(), 1);
}

#[test]
fn what_an_operator_changes_through_one_node_holds_on_all() {
    let mut world = operated();
    let operator = world.connect(0, 9);
    let early = pop3(&mut world, 1, "bob", "bob", "+OK");
    world.say(early, "QUIT", "+OK");
    world.say(operator, "account-passwd bob@amber.example changed", "done");
    pop3(&mut world, 1, "bob", "bob", "-ERR");
    let late = pop3(&mut world, 1, "bob", "changed", "+OK");
    world.say(late, "QUIT", "+OK");
    world.say(operator, "alias-set sales@amber.example bob@amber.example", "done");
    let alice = submission_at(&mut world, 1, "alice");
    submit(&mut world, alice, "alice@amber.example", &["sales@amber.example"], MESSAGE);
    let mail = pop3(&mut world, 0, "bob", "changed", "+OK 1 ");
    world.say(mail, "QUIT", "+OK");
    world.say(operator, "alias-set sales@amber.example alice@amber.example", "done");
    submit(&mut world, alice, "alice@amber.example", &["sales@amber.example"], MESSAGE);
    assert_eq!(fetch(&mut world, 1, "alice").len(), 1);
    world.say(operator, "account-remove bob@amber.example", "done");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.say(alice, "RCPT TO:<bob@amber.example>", "550");
    pop3(&mut world, 1, "bob", "changed", "-ERR");
}

#[test]
fn an_account_that_another_node_removes_under_a_transaction_bounces() {
    let mut world = operated();
    let alice = submission_at(&mut world, 1, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.say(alice, "RCPT TO:<bob@amber.example>", "250");
    let operator = world.connect(0, 9);
    world.say(operator, "account-remove bob@amber.example", "done");
    world.say(alice, "DATA", "354");
    world.say(alice, &format!("{MESSAGE}."), "250");
    world.pass(MOMENT);
    let bounces = fetch(&mut world, 0, "alice");
    assert!(bounces.len() == 1 && bounces[0].contains("5.1.1"), "{bounces:?}");
}

#[test]
fn a_maildrop_is_open_once_in_a_server() {
    let mut world = providers(104, 3);
    let alice = submission_at(&mut world, 2, "alice");
    submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
    let first = pop3(&mut world, 0, "bob", "bob", "+OK 1 ");
    for other in [0, 1, 2] {
        pop3(&mut world, other, "bob", "bob", "-ERR [IN-USE]");
    }
    world.say(first, "DELE 1", "+OK");
    world.say(first, "QUIT", "+OK");
    let second = pop3(&mut world, 1, "bob", "bob", "+OK 0 ");
    world.break_off(second);
    pop3(&mut world, 2, "bob", "bob", "+OK 0 ");
}

#[test]
fn what_a_dead_node_held_is_free_at_once() {
    let mut world = providers(105, 2);
    let owner = owner(&birch(), 2);
    pop3(&mut world, owner, "bob", "bob", "+OK");
    let alice = submission_at(&mut world, owner, "alice");
    world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
    world.say(alice, "RCPT TO:<bob@amber.example>", "250");
    world.say(alice, "DATA", "354");
    world.send(alice, &b"x: a stage that nobody will name\r\n".repeat(2_000));
    world.lose(owner);
    let other = pop3(&mut world, 1 - owner, "bob", "bob", "+OK");
    world.say(other, "QUIT", "+OK");
    // Mail in its buckets waits for another node in its place, which has the lease at once.
    let alice = submission_at(&mut world, 1 - owner, "alice");
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(MOMENT);
    assert_eq!(rows(&world, 0).len(), 1);
    world.revive(owner);
    world.pass(MOMENT);
    assert!(rows(&world, 0).is_empty());
    assert_eq!(fetch(&mut world, 2, "carol").len(), 1);
    // And it hears of new mail, as the one before it did.
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    world.pass(MOMENT);
    assert_eq!(fetch(&mut world, 2, "carol").len(), 1);
}

#[test]
fn one_node_is_drained_while_the_other_goes_on() {
    let mut world = providers(106, 2);
    let idle = world.connect(0, 25);
    let alice = submission_at(&mut world, 1, "alice");
    world.drain(0, Duration::from_secs(5));
    world.pass(Duration::from_secs(10));
    assert!(world.is_done(0) && world.heard(idle).contains("421"));
    // Its part of the queue waits, the other's does not.
    let (here, there) = (domain_of(0, 2), domain_of(1, 2));
    let to = [format!("x@{here}"), format!("x@{there}"), "bob@amber.example".into()];
    submit(&mut world, alice, "alice@amber.example", &to.each_ref().map(String::as_str), MESSAGE);
    world.pass(MOMENT);
    assert_eq!(fetch(&mut world, 1, "bob").len(), 1);
    let tried: Vec<_> = rows(&world, 0).iter().map(|row| row.state.attempts).collect();
    assert_eq!(tried, [0], "what could be tried had no such domain, and bounced; the rest waits");
    assert_eq!(fetch(&mut world, 1, "alice").len(), 1);
    world.drain(1, Duration::from_secs(5));
    world.pass(Duration::from_secs(10));
    assert!(world.is_done(1));
    world.kill(0);
    world.revive(0);
    world.pass(MOMENT);
    assert!(rows(&world, 0).is_empty());
    assert_eq!(fetch(&mut world, 1, "alice").len(), 1);
}

#[test]
fn connections_of_a_server_have_names_of_their_own() {
    let mut world = providers(107, 3);
    for machine in [0, 1, 2, 0, 1, 2] {
        let alice = submission_at(&mut world, machine, "alice");
        submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], MESSAGE);
    }
    world.pass(MOMENT);
    let events = world.machines[..3].iter().flat_map(|machine| &machine.events);
    let opened: Vec<_> = events
        .filter_map(|event| match event {
            Event::Opened { conn, .. } => Some(*conn),
            _ => None,
        })
        .collect();
    assert!(opened.len() >= 7, "{opened:?}");
    assert_eq!(opened.iter().collect::<BTreeSet<_>>().len(), opened.len(), "{opened:?}");
    assert!(opened.iter().all(|conn| conn.0 < 40), "they stay small: {opened:?}");
}

#[test]
fn bounds_of_the_server_are_shared_out_and_again_after_a_reload() {
    let mut world = providers(108, 2);
    // 40 KiB of bodies in memory for the server: 20 for each node, so a second body of 15 is staged.
    let reload = |world: &mut World, config: Config| world.reload(0, config);
    for round in 0..2 {
        let clients = [submission_at(&mut world, 0, "alice"), submission_at(&mut world, 0, "alice")];
        for client in clients {
            world.say(client, "MAIL FROM:<alice@amber.example>", "250");
            world.say(client, "RCPT TO:<bob@amber.example>", "250");
            world.say(client, "DATA", "354");
            world.send(client, &b"0123456789abc\r\n".repeat(1_000));
        }
        let held = world.holdings(0).inline_bytes;
        assert!((10_000..=20 * 1024).contains(&held), "{held} in round {round}");
        for client in clients {
            world.say(client, ".", "250");
        }
        reload(&mut world, config("amber.example"));
    }
    assert_eq!(fetch(&mut world, 1, "bob").len(), 4);
}

#[test]
fn a_login_through_one_node_is_checked_like_through_any_other() {
    let mut world = providers(109, 2);
    let set = AccountOp::SetPassword { address: "alice@amber.example".parse().unwrap(), password: "new".into() };
    let client = submission_at(&mut world, 1, "alice");
    let done = world.machines[0].store.apply(StoreOp::Account(set));
    assert_eq!(done, StoreReply::Account(AccountReply::Done));
    world.say(client, "NOOP", "250");
    for machine in [0, 1] {
        let client = world.connect(machine, 587);
        world.heard(client);
        world.say(client, "EHLO client.example", "250-");
        world.say(client, &format!("AUTH PLAIN {}", encoded("\0alice@amber.example\0alice")), "535");
        world.say(client, &format!("AUTH PLAIN {}", encoded("\0alice@amber.example\0new")), "235");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever takes a message for whoever, and however many nodes there are: in a calm world nothing waits. Each message
    /// is for nobody, so it crosses the queue twice: out in its own bucket, and back to its sender as what is local.
    #[test]
    fn nothing_waits_for_a_look_at_the_queue(
        seed in any::<u64>(),
        nodes in 1_u16..9,
        messages in proptest::collection::vec((any::<usize>(), proptest::collection::vec(0_u32..1_000, 1..6)), 1..12),
    ) {
        let mut world = World::new(seed, names());
        world.server(AMBER, &[25, 587, 110, 143], config("amber.example"), store("amber.example", &["alice"]), nodes);
        world.run();
        let mut expected = BTreeSet::new();
        for (number, (node, domains)) in messages.iter().enumerate() {
            let alice = submission_at(&mut world, node % usize::from(nodes), "alice");
            let to: Vec<_> = domains.iter().map(|domain| format!("x@d{domain}.m{number}.null.example")).collect();
            submit(&mut world, alice, "alice@amber.example", &to.iter().map(String::as_str).collect::<Vec<_>>(), MESSAGE);
            expected.extend(to);
        }
        world.pass(Duration::from_secs(5));
        prop_assert_eq!(rows(&world, 0), []);
        let bounces = fetch(&mut world, 0, "alice").concat();
        for recipient in expected {
            let report = format!("Final-Recipient: rfc822; {recipient}\r\n");
            prop_assert_eq!(bounces.matches(&report).count(), 1, "{}", recipient);
        }
    }
}
