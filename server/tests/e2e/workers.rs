//! Several workers are one server: what one of them does, the others know.
//!
//! A connection goes to the worker that has the fewest, so two that are open at the same time are on two workers.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::common::sink::Sink;
use crate::common::{On, Server, message, names, on_every_runtime, until};
use pillarbox_core::dns::responder::Zone;

on_every_runtime! {
    two workers:
        there_are_as_many_as_were_asked_for,
        mail_comes_in_by_one_and_goes_out_by_the_other,
        a_maildrop_that_one_has_locked_is_locked_for_the_other,
        both_see_what_the_command_line_changes,
        both_read_the_configuration_again,
        mail_for_many_places_goes_out_whoever_took_it,
        mail_that_waits_goes_out_with_another_number_of_workers;
}

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";

fn server(on: On) -> Server {
    Server::start(on, "example.org", &["alice", "bob"])
}

fn there_are_as_many_as_were_asked_for(on: On) {
    let server = server(on);
    let [_, runtime, _, workers] = on.arguments().try_into().unwrap();
    server.logged(&format!("runtime {runtime}, workers {workers}"));
    // Each names itself, once it runs.
    until("there are two", || {
        let threads = server.threads();
        let workers: BTreeSet<_> = threads.iter().filter(|name| name.starts_with("worker-")).collect();
        workers.len() == 2
    });
}

fn mail_comes_in_by_one_and_goes_out_by_the_other(on: On) {
    let server = server(on);
    let mut sessions = [server.smtp(), server.smtp()];
    for round in 1..=3 {
        for (n, smtp) in sessions.iter_mut().enumerate() {
            smtp.deliver("x@client.example", &[BOB], &message::message(&format!("m{round}-{n}"), 2_000));
        }
        // Both at once, so on two workers: alice's is there only to have one of them busy.
        let _alice = server.pop3(ALICE);
        assert_eq!(server.count(BOB), 2 * round);
        assert_eq!(server.count(BOB), 2 * round);
    }
    let names: Vec<_> = server.mailbox(BOB).iter().map(|stored| message::name_of(stored)).collect();
    assert_eq!(names, ["m1-0", "m1-1", "m2-0", "m2-1", "m3-0", "m3-1"]);
}

fn a_maildrop_that_one_has_locked_is_locked_for_the_other(on: On) {
    let server = server(on);
    server.smtp().deliver("x@client.example", &[BOB], b"Subject: x\r\n\r\ny\r\n");
    for _ in 0..3 {
        let mut first = server.pop3(BOB);
        for _ in 0..2 {
            let refusal = server.try_pop3(BOB).err().unwrap();
            assert!(refusal.starts_with("-ERR [IN-USE]"), "{refusal}");
            // A try more or less, so that each of them comes to each worker.
            drop(server.connect("pop3"));
        }
        assert_eq!(first.count(), 1);
        drop(first);
        until("the lock goes with its holder", || server.try_pop3(BOB).is_ok());
        until("and with that one", || server.try_pop3(BOB).is_ok());
    }
}

fn both_see_what_the_command_line_changes(on: On) {
    let mut server = server(on);
    let carol = "carol@example.org";
    let mut sessions = [server.smtp(), server.smtp()];
    let mut asked = |code| {
        for smtp in &mut sessions {
            smtp.smtp("MAIL FROM:<x@client.example>", 250);
            smtp.smtp(&format!("RCPT TO:<{carol}>"), code);
            smtp.smtp("RSET", 250);
        }
    };
    asked(550);
    server.add_account(carol);
    asked(250);
    let both = || [server.try_pop3(BOB), server.try_pop3(carol)].into_iter().all(|login| login.is_ok());
    assert!(both());
    server.ok(&["account", "remove", carol]);
    asked(550);
    server.ok(&["account", "passwd", "bob"]);
    let refused: Vec<_> = (0..3).map(|_| server.try_pop3(BOB).err().unwrap()).collect();
    assert!(refused.iter().all(|said| said.starts_with("-ERR [AUTH]")), "{refused:?}");
    server.ok(&["alias", "add", "carol", "alice"]);
    asked(250);
}

fn both_read_the_configuration_again(on: On) {
    let server = server(on);
    server.edit("\"50MB\"", "\"1MB\"");
    server.signal(Signal::HUP);
    server.logged("pillarbox.toml again");
    // Open at the same time, so on two workers.
    let mut sessions = [server.connect("smtp"), server.connect("smtp")];
    for smtp in &mut sessions {
        let hello = smtp.smtp("EHLO client.example", 250);
        assert!(hello.iter().any(|line| line.ends_with("SIZE 1048576")), "{hello:?}");
    }
}

/// Domains enough that each worker has some.
const DOMAINS: usize = 24;

fn domain(n: usize) -> String {
    format!("d{n}.example")
}

/// A server for example.org that finds all the domains at the sink.
fn relay(on: On, sink: &Sink) -> Server {
    let zones = (0..DOMAINS).map(|n| {
        let name = domain(n);
        Zone::new(&name).mx(&name, 10, &format!("mx.{name}")).a(&format!("mx.{name}"), [127, 0, 0, 1])
    });
    let server = Server::make(on, "example.org", &["alice", "bob"]);
    server.ask(names::serve(zones));
    server.edit("\nport = 25\n", &format!("\nport = {}\n", sink.address.port()));
    server
}

fn mail_for_many_places_goes_out_whoever_took_it(on: On) {
    let sink = Sink::start();
    let mut server = relay(on, &sink);
    server.serve();
    let mut sessions = [server.submission(ALICE), server.submission(BOB)];
    for n in 0..DOMAINS {
        let message = message::message(&format!("m{n}"), 500);
        sessions[n % 2].deliver(ALICE, &[&format!("x@{}", domain(n)), BOB], &message);
    }
    until("the queue is empty", || server.queue().is_empty());
    assert_arrived(&sink);
    assert_eq!(server.count(BOB), DOMAINS);
}

/// Each message arrived, once.
fn assert_arrived(sink: &Sink) {
    let mut arrived: Vec<_> = sink.taken().into_iter().map(|(to, message)| (to, message::name_of(&message))).collect();
    arrived.sort();
    let mut expected: Vec<_> = (0..DOMAINS).map(|n| (format!("x@{}", domain(n)), format!("m{n}"))).collect();
    expected.sort();
    assert_eq!(arrived, expected);
}

fn mail_that_waits_goes_out_with_another_number_of_workers(on: On) {
    let sink = Sink::start();
    let mut server = relay(on, &sink);
    // For now nobody knows where these domains are.
    let configuration = std::fs::read_to_string(server.file()).unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    server.configure(|text| {
        let lines = text.lines().map(|line| match line.starts_with("servers = ") {
            true => format!("servers = [\"{}\"]", silent.local_addr().unwrap()),
            false => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    server.serve();
    let mut smtp = server.submission(ALICE);
    for n in 0..DOMAINS {
        smtp.deliver(ALICE, &[&format!("x@{}", domain(n))], &message::message(&format!("m{n}"), 500));
    }
    assert_eq!(server.queue().len(), DOMAINS);
    server.kill();
    server.configure(|_| configuration);
    server.move_to(on.with_workers("3"));
    server.serve();
    until("the queue is empty", || {
        // What was tried before is not due for a while.
        let rows = server.queue();
        let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        if !ids.is_empty() {
            server.run(&[&["queue", "retry"], ids.as_slice()].concat());
        }
        ids.is_empty()
    });
    assert_arrived(&sink);
}
