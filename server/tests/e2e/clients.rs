//! Mail through the real server with clients that were written by others: lettre, async-pop, and, where there is a
//! Python, its smtplib and poplib.

use std::fs;
use std::path::Path;
use std::process::Command;

use async_pop::response::types::DataType as _;
use async_pop::response::uidl::UidlResponse;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};
use pillarbox_core::dns::responder::Zone;

use crate::common::{On, Server, message, names, on_every_runtime, until};

on_every_runtime! {
    one worker:
        lettre_submits_to_local_and_remote_domains,
        lettre_hears_of_wrong_passwords_and_unknown_users,
        async_pop_fetches_and_deletes,
        pythons_smtplib_and_poplib;
    two workers:
        lettre_submits_to_local_and_remote_domains,
        pythons_smtplib_and_poplib;
}

/// lettre's transport to a listener, with TLS as the listener has it, and the login of `account`.
fn lettre_to(server: &Server, listener: &str, account: &str, mechanism: Mechanism) -> SmtpTransport {
    let parameters = TlsParameters::builder("localhost".to_owned()).dangerous_accept_invalid_certs(true);
    let parameters = parameters.build_rustls().unwrap();
    let tls = match listener.ends_with('s') {
        true => Tls::Wrapper(parameters),
        false => Tls::Required(parameters),
    };
    SmtpTransport::builder_dangerous("127.0.0.1")
        .port(server.address(listener).port())
        .tls(tls)
        .credentials(Credentials::new(account.to_owned(), server.password(account).to_owned()))
        .authentication(vec![mechanism])
        .build()
}

/// A message as lettre wants it: it adds the last line's end itself.
fn open_ended(name: &str, size: usize) -> Vec<u8> {
    let text = message::message(name, size);
    text[..text.len() - 2].to_vec()
}

fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope::new(Some(from.parse().unwrap()), to.iter().map(|to| to.parse().unwrap()).collect()).unwrap()
}

fn names_in(server: &Server, account: &str, count: usize) -> Vec<String> {
    server.mailbox_of(account, count).iter().map(|stored| message::name_of(stored)).collect()
}

/// amber, which finds birch by the MX record that a name server on loopback has for it.
fn amber_and_birch(on: On) -> (Server, Server) {
    let birch = Server::start(on, "birch.example", &["carol"]);
    let dns = names::serve([Zone::new("birch.example")
        .mx("birch.example", 10, "mx.birch.example")
        .a("mx.birch.example", [127, 0, 0, 1])]);
    let mut amber = Server::make(on, "amber.example", &["alice", "bob"]);
    let port = birch.address("smtp").port();
    amber.ask(dns);
    amber.edit("\nport = 25\n", &format!("\nport = {port}\n"));
    amber.serve();
    (amber, birch)
}

fn lettre_submits_to_local_and_remote_domains(on: On) {
    let (amber, birch) = amber_and_birch(on);
    let alice = "alice@amber.example";
    let to = ["bob@amber.example", "carol@birch.example"];
    let starttls = lettre_to(&amber, "submission", alice, Mechanism::Plain);
    starttls.send_raw(&envelope(alice, &to), &open_ended("by STARTTLS", 5_000)).unwrap();
    let implicit = lettre_to(&amber, "submissions", alice, Mechanism::Login);
    implicit.send_raw(&envelope(alice, &to), &open_ended("by TLS", 600_000)).unwrap();
    assert_eq!(names_in(&amber, to[0], 2), ["by STARTTLS", "by TLS"]);
    let mut arrived = names_in(&birch, to[1], 2);
    arrived.sort();
    assert_eq!(arrived, ["by STARTTLS", "by TLS"]);
    until("amber's queue is empty", || amber.queue().is_empty());
}

fn lettre_hears_of_wrong_passwords_and_unknown_users(on: On) {
    let (amber, _birch) = amber_and_birch(on);
    let alice = "alice@amber.example";
    let text = open_ended("whoever", 200);
    let parameters = TlsParameters::builder("localhost".to_owned()).dangerous_accept_invalid_certs(true);
    let wrong = SmtpTransport::builder_dangerous("127.0.0.1")
        .port(amber.address("submission").port())
        .tls(Tls::Required(parameters.build_rustls().unwrap()))
        .credentials(Credentials::new(alice.to_owned(), "guess".to_owned()))
        .build();
    let error = wrong.send_raw(&envelope(alice, &["bob@amber.example"]), &text).unwrap_err();
    assert_eq!(error.status().map(|code| code.to_string()).as_deref(), Some("535"), "{error}");
    let right = lettre_to(&amber, "submission", alice, Mechanism::Plain);
    let error = right.send_raw(&envelope(alice, &["nobody@amber.example"]), &text).unwrap_err();
    assert_eq!(error.status().map(|code| code.to_string()).as_deref(), Some("550"), "{error}");
    // Who is unknown elsewhere is found out later, and alice is told.
    right.send_raw(&envelope(alice, &["nobody@birch.example"]), &text).unwrap();
    let bounce = amber.mailbox_of(alice, 1).remove(0);
    let bounce = String::from_utf8(bounce).unwrap();
    assert!(bounce.contains("Return-Path: <>"), "{bounce}");
    assert!(bounce.contains("Final-Recipient: rfc822; nobody@birch.example"), "{bounce}");
    assert!(bounce.contains("Action: failed"), "{bounce}");
}

fn async_pop_fetches_and_deletes(on: On) {
    let executor = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    executor.block_on(async_pop(&Server::start(on, "example.org", &["bob"])));
}

async fn async_pop(server: &Server) {
    let bob = "bob@example.org";
    let mut smtp = server.smtp();
    for (name, size) in [("first", 300), ("second", 100_000), ("third", 700_000)] {
        smtp.deliver("x@elsewhere.example", &[bob], &message::message(name, size));
    }
    let address = server.address("pop3");
    let mut pop = async_pop::connect_plain((address.ip().to_string(), address.port())).await.unwrap();
    pop.login(bob, server.password(bob)).await.unwrap();
    let counted = pop.stat().await.unwrap();
    assert_eq!(counted.counter().value().unwrap(), 3);
    let UidlResponse::Multiple(uidl) = pop.uidl(None).await.unwrap() else {
        panic!("UIDL gave one");
    };
    let before: Vec<String> = uidl.items().iter().map(|item| item.id().to_string()).collect();
    assert_eq!(before.len(), 3);
    // It gives the text of RETR with its dots still stuffed, and without the last line's end.
    let fetched = pop.retr(1).await.unwrap();
    assert!(String::from_utf8_lossy(&fetched).contains("X-Name: first\r\n"));
    let top = pop.top(2, 0).await.unwrap();
    assert!(String::from_utf8_lossy(&top).contains("X-Name: second\r\n"));
    pop.dele(2).await.unwrap();
    pop.quit().await.unwrap();
    assert_eq!(names_in(server, bob, 2), ["first", "third"]);
    let mut again = server.pop3(bob);
    let after = String::from_utf8(again.multiline("UIDL")).unwrap();
    assert_eq!(after, format!("1 {}\r\n2 {}\r\n", before[0], before[2]), "ids stay");
}

fn pythons_smtplib_and_poplib(on: On) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/clients.py");
    assert!(fs::exists(&script).unwrap());
    if Command::new("python3").arg("-c").arg("import smtplib, poplib, ssl").output().is_err() {
        println!("SKIPPED python: there is no python3 here");
        return;
    }
    let ran =
        Command::new("python3").arg(script).arg(env!("CARGO_BIN_EXE_pillarbox")).args(on.arguments()).output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}\n{error}");
}
