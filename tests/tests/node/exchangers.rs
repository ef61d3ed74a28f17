//! Several mail exchangers, and routes: who is asked next, and when mail comes back instead.

use std::time::Duration;

use pillarbox_core::dns::responder::{Responder, Zone};
use pillarbox_core::ops::{AccountOp, StoreOp};
use pillarbox_core::router::{Pattern, Route};
use pillarbox_tests::world::World;

use super::provider::{AMBER, BIRCH, config, fetch, store, submission, submit};

const FIRST: &str = "192.0.2.31:25";
const SECOND: &str = "192.0.2.32:25";
const NO: &str = "554 5.7.1 Not you\r\n";
const NOT_NOW: &str = "421 4.3.2 Not now\r\n";
const MESSAGE: &str = "Subject: Hi\r\n\r\nHi\r\n";

/// Amber is machine 0, birch machine 1. `twice.example` has two exchangers; there is nobody at either.
fn world(seed: u64, routes: &[(&str, &str)]) -> World {
    let twice = Zone::new("twice.example")
        .mx("twice.example", 10, "one.twice.example")
        .a("one.twice.example", [192, 0, 2, 31])
        .mx("twice.example", 20, "two.twice.example")
        .a("two.twice.example", [192, 0, 2, 32]);
    let dns = Responder::new([
        twice,
        Zone::new("amber.example").a("mx.amber.example", [192, 0, 2, 1]),
        Zone::new("birch.example").mx("birch.example", 10, "mx.birch.example").a("mx.birch.example", [192, 0, 2, 2]),
        Zone::new("relay.example"),
    ]);
    let mut world = World::new(seed, dns);
    let mut amber = config("amber.example");
    amber.routes.routes =
        routes.iter().map(|(domain, to)| Route { domain: Pattern::from(*domain), to: to.parse().unwrap() }).collect();
    world.machine(AMBER, &[25, 587, 110, 143], amber, store("amber.example", &["alice"]));
    world.machine(BIRCH, &[25, 587, 110, 143], config("birch.example"), store("birch.example", &["carol"]));
    world.run();
    world
}

/// Alice writes to `to`, some time passes; what came back to her.
fn bounces(world: &mut World, to: &str) -> Vec<String> {
    let alice = submission(world, "alice");
    assert!(submit(world, alice, "alice@amber.example", &[to], MESSAGE).starts_with("250"));
    world.pass(Duration::from_secs(40));
    fetch(world, 0, "alice")
}

#[test]
fn nothing_is_given_up_while_one_exchanger_may_yet_take_it() {
    for (seed, first, second) in [(30, NOT_NOW, NO), (31, NO, NOT_NOW)] {
        let mut world = world(seed, &[]);
        world.script(FIRST, &[first, ""]);
        world.script(SECOND, &[second, ""]);
        assert_eq!(bounces(&mut world, "x@twice.example"), [""; 0]);
        assert_eq!(world.performances(), 2);
    }
    // Nobody answers at the first one.
    let mut world = world(32, &[]);
    world.script(SECOND, &[NO, ""]);
    assert_eq!(bounces(&mut world, "x@twice.example"), [""; 0]);
}

#[test]
fn what_no_exchanger_ever_takes_comes_back() {
    let mut world = world(33, &[]);
    world.script(FIRST, &[NO, ""]);
    world.script(SECOND, &[NO, ""]);
    let mail = bounces(&mut world, "x@twice.example");
    assert!(mail.len() == 1 && mail[0].contains("5.7.1 Not you"), "{mail:?}");
}

#[test]
fn a_route_that_is_wrong_keeps_its_mail() {
    for (seed, route) in [(34, "smtp://nowhere.relay.example:25"), (35, "smtp://relay.example:25")] {
        let mut world = world(seed, &[("birch.example", route)]);
        assert_eq!(bounces(&mut world, "carol@birch.example"), [""; 0], "{route}");
    }
}

#[test]
fn a_route_may_lead_to_this_host() {
    let mut world = world(36, &[("birch.example", "smtp://mx.amber.example:10025")]);
    assert_eq!(bounces(&mut world, "carol@birch.example"), [""; 0]);
    assert!(world.trace().iter().any(|line| line.contains("192.0.2.1:10025")), "it was tried");
}

#[test]
fn what_tls_breaks_is_tried_without_it_once() {
    let mut world = world(37, &[]);
    world.script(FIRST, &["220 one\r\n", "250-one\r\n250 STARTTLS\r\n", "220 go\r\n", ""]);
    assert_eq!(bounces(&mut world, "x@twice.example"), [""; 0]);
    assert_eq!(world.performances(), 2, "with TLS and without");
    // A handshake to which nobody answers is no better than one that breaks.
    let mut world = self::world(38, &[]);
    world.script(FIRST, &["220 one\r\n", "250-one\r\n250 STARTTLS\r\n", "220 go\r\n"]);
    assert_eq!(bounces(&mut world, "x@twice.example"), [""; 0]);
    assert_eq!(world.performances(), 2, "with TLS and without");
}

#[test]
fn a_server_that_says_421_to_each_message_is_not_asked_for_each() {
    let mut world = world(39, &[]);
    world.script(FIRST, &["220 one\r\n", "250 one\r\n", NOT_NOW, ""]);
    let alice = submission(&mut world, "alice");
    for _ in 0..20 {
        submit(&mut world, alice, "alice@amber.example", &["x@twice.example"], MESSAGE);
    }
    world.pass(Duration::from_secs(30));
    assert!(world.performances() < 15, "{}", world.performances());
    assert_eq!(fetch(&mut world, 0, "alice"), [""; 0]);
}

#[test]
fn an_alias_that_names_itself_by_another_name_ends() {
    let mut world = world(40, &[]);
    let set = |alias: &str, target: &str| {
        let op = AccountOp::SetAlias { alias: alias.parse().unwrap(), targets: vec![target.parse().unwrap()] };
        StoreOp::Account(op)
    };
    world.machines[0].store.apply(set("postmaster@amber.example", "postmaster@mx.amber.example"));
    let mail = bounces(&mut world, "postmaster@amber.example");
    assert!(mail.len() == 1 && mail[0].contains("without end"), "{mail:?}");
}
