//! A provider as the stories want it: a node that serves a domain, with accounts whose password is their name.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a story that cannot go on may panic")]

use std::sync::Arc;
use std::time::Duration;

use crate::world::{ClientId, World};
use pillarbox_core::dns::responder::{Responder, Zone};
use pillarbox_core::node::{Cleartext, Config, Delivery, Limits, Protocol, Service, TlsMode};
use pillarbox_core::ops::{AccountOp, AccountReply, StoreOp, StoreReply};
use pillarbox_core::router::Routes;
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_core::{dns, queue};
use pillarbox_store::{Clock, MemoryStore, Options, PasswordCost};

/// The address of the provider amber.example.
pub const AMBER: &str = "192.0.2.1";

/// The address of the provider birch.example.
pub const BIRCH: &str = "192.0.2.2";

/// The zones of both providers; `cold.example` has no mail exchanger that answers.
#[must_use]
pub fn names() -> Responder {
    Responder::new([
        Zone::new("amber.example").mx("amber.example", 10, "mx.amber.example").a("mx.amber.example", [192, 0, 2, 1]),
        Zone::new("birch.example").mx("birch.example", 10, "mx.birch.example").a("mx.birch.example", [192, 0, 2, 2]),
        Zone::new("cold.example").mx("cold.example", 10, "mx.cold.example").a("mx.cold.example", [192, 0, 2, 99]),
        Zone::new("null.example").null_mx("null.example"),
    ])
}

/// A provider of this domain: every service, with a TLS that costs nothing.
#[must_use]
pub fn config(domain: &str) -> Config {
    let hostname = format!("mx.{domain}");
    let service = |protocol| Service::new(protocol, TlsMode::StartTls);
    Config {
        hostname: hostname.clone(),
        routes: Routes { hostname, domains: vec![domain.into()], routes: Vec::new() },
        services: vec![
            service(Protocol::Transfer),
            service(Protocol::Submission),
            service(Protocol::Pop3),
            service(Protocol::Imap),
        ],
        tls: Some(Arc::new(FakeServer)),
        cleartext: Cleartext::Always,
        message_size: 50 * 1024 * 1024,
        delivery: Delivery {
            port: 25,
            tls: Some(Arc::new(FakeClient)),
            queue: Arc::new(queue::Config {
                retry: vec![Duration::from_secs(60), Duration::from_secs(600)],
                expire_after: Duration::from_secs(3600),
                ..queue::Config::default()
            }),
        },
        dns: dns::Config { servers: vec!["198.51.100.53:53".parse().unwrap()], limits: dns::Limits::default() },
        // Small, so that bodies are staged now and then.
        limits: Limits { inline_body: 16 * 1024, inline_bodies: 40 * 1024, ..Limits::default() },
        tap: None,
    }
}

/// A store with these accounts.
#[must_use]
pub fn store(domain: &str, accounts: &[&str]) -> Arc<MemoryStore> {
    // The real time would show in UIDVALIDITY, and no two runs would be the same.
    let clock: Clock = Arc::new(|| World::BEGINNING);
    let store = MemoryStore::new(Options { clock, password_cost: PasswordCost::CHEAP, ..Options::default() });
    for account in accounts {
        let address = format!("{account}@{domain}").parse().unwrap();
        let op = AccountOp::Add { address, password: (*account).into() };
        assert_eq!(store.apply(StoreOp::Account(op)), StoreReply::Account(AccountReply::Done));
    }
    store
}

/// Two providers; amber is machine 0, birch machine 1.
#[must_use]
pub fn two_providers(seed: u64) -> World {
    providers(seed, 1)
}

/// Two providers of so many nodes each: amber's come first.
#[must_use]
pub fn providers(seed: u64, nodes: u16) -> World {
    let mut world = World::new(seed, names());
    let ports = [25, 587, 110, 143];
    world.server(AMBER, &ports, config("amber.example"), store("amber.example", &["alice", "bob"]), nodes);
    world.server(BIRCH, &ports, config("birch.example"), store("birch.example", &["carol"]), nodes);
    world.run();
    world
}

/// A client on amber's submission port, logged in as `name`.
pub fn submission(world: &mut World, name: &str) -> ClientId {
    submission_at(world, 0, name)
}

/// A client on the submission port of this node of amber's, logged in as `name`.
pub fn submission_at(world: &mut World, machine: usize, name: &str) -> ClientId {
    let client = world.connect(machine, 587);
    assert!(world.heard(client).starts_with("220 mx.amber.example"));
    world.say(client, "EHLO client.example", "250-");
    let response = encoded(&format!("\0{name}@amber.example\0{name}"));
    world.say(client, &format!("AUTH PLAIN {response}"), "235");
    client
}

/// Submits a message; the reply to its end.
pub fn submit(world: &mut World, client: ClientId, from: &str, to: &[&str], body: &str) -> String {
    world.say(client, &format!("MAIL FROM:<{from}>"), "250");
    for to in to {
        world.say(client, &format!("RCPT TO:<{to}>"), "250");
    }
    world.say(client, "DATA", "354");
    world.send(client, body.as_bytes());
    world.say(client, ".", "")
}

/// The messages in a maildrop, fetched by POP3; they are deleted.
pub fn fetch(world: &mut World, machine: usize, name: &str) -> Vec<String> {
    let client = world.connect(machine, 110);
    assert!(world.heard(client).starts_with("+OK"));
    world.say(client, &format!("USER {name}"), "+OK");
    world.say(client, &format!("PASS {name}"), "+OK");
    let stat = world.say(client, "STAT", "+OK");
    let count: usize = stat.split(' ').nth(1).unwrap().parse().unwrap();
    let mut messages = Vec::new();
    for number in 1..=count {
        let heard = world.say(client, &format!("RETR {number}"), "+OK");
        let message = heard.split_once("\r\n").unwrap().1.strip_suffix("\r\n.\r\n").unwrap();
        messages.push(message.replace("\r\n..", "\r\n."));
        world.say(client, &format!("DELE {number}"), "+OK");
    }
    world.say(client, "QUIT", "+OK");
    assert!(world.is_closed(client));
    messages
}

/// In base64.
#[must_use]
pub fn encoded(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            out.push(if digit <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}
