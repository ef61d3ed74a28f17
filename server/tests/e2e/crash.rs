//! The promise, against the real server: whatever was acknowledged is there after a crash, whole, and once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::common::sink::Sink;
use crate::common::{On, PATIENCE, Server, Wire, message, on_every_runtime, until};

on_every_runtime! {
    one worker:
        a_kill_loses_nothing_acknowledged,
        a_kill_takes_no_deletion_back,
        a_kill_while_the_queue_delivers_repeats_only_what_was_in_flight,
        sigterm_under_load_ends_cleanly_and_loses_nothing;
    two workers:
        a_kill_loses_nothing_acknowledged,
        a_kill_takes_no_deletion_back,
        a_kill_while_the_queue_delivers_repeats_only_what_was_in_flight,
        sigterm_under_load_ends_cleanly_and_loses_nothing;
}

/// Connections that submit at the same time.
const CLIENTS: usize = 6;
const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";

/// What the clients know: names of messages that they sent whole, and of those that were acknowledged.
#[derive(Default)]
struct Known {
    sent: Mutex<BTreeSet<String>>,
    acknowledged: Mutex<BTreeSet<String>>,
    count: AtomicUsize,
}

/// Clients that submit, each message to bob and to somebody of its own elsewhere, until the server is gone; with what they
/// heard last, if it was a reply.
fn load(server: &Server, round: usize, known: &Arc<Known>) -> Vec<JoinHandle<Option<String>>> {
    let client = |client: usize| {
        let mut wire = server.submission(ALICE);
        let known = Arc::clone(known);
        thread::spawn(move || {
            for n in 0.. {
                let name = format!("m{round}-{client}-{n}");
                // Small ones, ones of several chunks, and ones that get a file of their own.
                let size = [300, 3_000, 90_000, 400, 5_000, 400_000][n % 6];
                let far = format!("{name}@remote.example");
                known.sent.lock().unwrap().insert(name.clone());
                match wire.try_deliver(ALICE, &[BOB, &far], &message::message(&name, size)) {
                    Some(reply) if reply.starts_with("250") => {
                        known.acknowledged.lock().unwrap().insert(name);
                        known.count.fetch_add(1, Ordering::SeqCst);
                    }
                    last => return last,
                }
            }
            unreachable!("a server goes sometime")
        })
    };
    (0..CLIENTS).map(client).collect()
}

/// How often each message is there, all of them whole.
fn counted<'a>(stored: impl IntoIterator<Item = &'a [u8]>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in stored {
        *counts.entry(message::name_of(message)).or_default() += 1;
    }
    counts
}

fn names(counts: &BTreeMap<String, usize>) -> BTreeSet<String> {
    counts.keys().cloned().collect()
}

/// Nothing that was acknowledged is missing, nothing is there that nobody sent, and nothing is there twice: no client
/// sent anything again.
fn assert_kept(known: &Known, mailbox: &BTreeMap<String, usize>) {
    let there = names(mailbox);
    let acknowledged = known.acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let sent = known.sent.lock().unwrap();
    assert!(there.is_subset(&sent));
    let twice: Vec<_> = mailbox.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// A server that sends mail for remote.example to this address, and is at the same ports whenever it starts.
fn server(on: On, remote: SocketAddr) -> Server {
    let mut server = Server::make(on, "example.org", &["alice", "bob"]);
    server.settle();
    server.route("remote.example", remote);
    server.serve();
    server
}

fn mailbox(server: &Server) -> BTreeMap<String, usize> {
    counted(server.mailbox(BOB).iter().map(Vec::as_slice))
}

/// The names of the messages whose far recipients wait in the queue.
fn queued(server: &Server) -> BTreeSet<String> {
    let name = |row: &serde_json::Value| {
        let to = row["to"].as_str().unwrap();
        to.strip_suffix("@remote.example").unwrap_or_else(|| panic!("{row}")).to_owned()
    };
    let rows = server.queue();
    let names: BTreeSet<String> = rows.iter().map(name).collect();
    assert_eq!(names.len(), rows.len(), "a row is there twice");
    names
}

fn a_kill_loses_nothing_acknowledged(on: On) {
    // Nobody listens there any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = server(on, closed);
    let known = Arc::new(Known::default());
    for round in 0..4 {
        let before = known.count.load(Ordering::SeqCst);
        let clients = load(&server, round, &known);
        until("enough is acknowledged", || known.count.load(Ordering::SeqCst) >= before + 40 + 17 * round);
        server.kill();
        clients.into_iter().for_each(|client| _ = client.join().unwrap());
        server.serve();
        let mailbox = mailbox(&server);
        assert_kept(&known, &mailbox);
        // All recipients of a message or none: mailbox and queue tell the same.
        assert_eq!(queued(&server), names(&mailbox));
    }
    server.assert_alive(BOB);
}

/// Deletes bob's messages from the first on, two at a time, until the server is gone; `gone` counts those whose deletion was
/// acknowledged.
fn delete(at: SocketAddr, password: &str, gone: &AtomicUsize) -> Option<()> {
    loop {
        let mut pop = Wire::connect(at);
        pop.try_line().ok()?;
        pop.try_pop3(&format!("USER {BOB}"))?;
        if !pop.try_pop3(&format!("PASS {password}"))?.starts_with("+OK") {
            // The session before has not given the maildrop back yet.
            continue;
        }
        for n in 1..=2 {
            assert!(pop.try_pop3(&format!("DELE {n}"))?.starts_with("+OK"));
        }
        assert!(pop.try_pop3("QUIT")?.starts_with("+OK"));
        gone.fetch_add(2, Ordering::SeqCst);
    }
}

fn a_kill_takes_no_deletion_back(on: On) {
    const MESSAGES: usize = 100;
    let mut server = Server::make(on, "example.org", &["alice", "bob"]);
    server.settle();
    server.serve();
    let mut smtp = server.smtp();
    for n in 0..MESSAGES {
        smtp.deliver("x@client.example", &[BOB], &message::message(&format!("m{n}"), 300));
    }
    let gone = Arc::new(AtomicUsize::new(0));
    for round in 1..=3 {
        let (at, password, counter) = (server.address("pop3"), server.password(BOB).to_owned(), Arc::clone(&gone));
        let client = thread::spawn(move || delete(at, &password, &counter));
        until("some are deleted", || gone.load(Ordering::SeqCst) >= 10 * round);
        server.kill();
        client.join().unwrap();
        let before = gone.load(Ordering::SeqCst);
        server.serve();
        let there: Vec<_> = server.mailbox(BOB).iter().map(|stored| message::name_of(stored)).collect();
        // One QUIT at most was obeyed and not answered.
        let after = MESSAGES - there.len();
        assert!(after == before || after == before + 2, "{before} deletions acknowledged, {after} made");
        assert_eq!(there, (after..MESSAGES).map(|n| format!("m{n}")).collect::<Vec<_>>());
        gone.store(after, Ordering::SeqCst);
    }
}

fn a_kill_while_the_queue_delivers_repeats_only_what_was_in_flight(on: On) {
    let sink = Sink::start();
    let mut server = server(on, sink.address);
    let known = Arc::new(Known::default());
    let kills = 3;
    for round in 0..kills {
        let before = sink.taken().len();
        let clients = load(&server, round, &known);
        until("some are on their way", || sink.taken().len() >= before + 30);
        server.kill();
        clients.into_iter().for_each(|client| _ = client.join().unwrap());
        server.serve();
    }
    let mailbox = mailbox(&server);
    assert_kept(&known, &mailbox);
    until("the queue is empty", || {
        let waiting = server.queue();
        // What was on its way when the server was killed is not due for a while.
        let ids: Vec<_> = waiting.iter().map(|row| row["id"].as_str().unwrap()).collect();
        if !ids.is_empty() {
            server.run(&[&["queue", "retry"], ids.as_slice()].concat());
        }
        ids.is_empty()
    });
    let taken = sink.taken();
    let arrived = counted(taken.iter().map(|(recipient, message)| {
        assert_eq!(*recipient, format!("{}@remote.example", message::name_of(message)));
        message.as_slice()
    }));
    assert_eq!(names(&arrived), names(&mailbox), "what is in the mailbox went out, too");
    // Between the next hop's 250 and our record of it a message may go out again.
    let repeated: usize = arrived.values().map(|count| count - 1).sum();
    println!("{} messages, {repeated} of them sent again after {kills} kills", arrived.len());
    let window = 64;
    assert!(repeated <= kills * window, "{repeated} were sent again");
    assert!(arrived.values().all(|count| *count <= 1 + kills));
}

fn sigterm_under_load_ends_cleanly_and_loses_nothing(on: On) {
    let sink = Sink::start();
    let mut server = server(on, sink.address);
    let known = Arc::new(Known::default());
    for round in 0..2 {
        let before = known.count.load(Ordering::SeqCst);
        let clients = load(&server, round, &known);
        until("enough is acknowledged", || known.count.load(Ordering::SeqCst) >= before + 40);
        let began = std::time::Instant::now();
        server.stop();
        assert!(began.elapsed() < PATIENCE);
        for client in clients {
            let last = client.join().unwrap();
            assert!(last.as_ref().is_some_and(|last| last.starts_with("421 ")), "told that it stops: {last:?}");
        }
        server.serve();
        let mailbox = mailbox(&server);
        assert_kept(&known, &mailbox);
        // A clean end is no crash: what was not acknowledged is not there.
        assert_eq!(names(&mailbox), *known.acknowledged.lock().unwrap());
    }
    until("the queue is empty", || server.queue().is_empty());
    let taken = sink.taken();
    let arrived = counted(taken.iter().map(|(_, message)| message.as_slice()));
    assert_eq!(names(&arrived), *known.acknowledged.lock().unwrap());
    let twice: Vec<_> = arrived.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "a clean end repeats nothing: {twice:?}");
}
