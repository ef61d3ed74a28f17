//! Too many at the door.

use std::process::Command;

use crate::common::{On, Server, Wire, binary, on_every_runtime, until};

on_every_runtime! {
    one worker:
        a_crowd_is_told_so_and_the_operator_gets_in,
        at_the_hard_limit_of_open_files_a_crowd_is_told_so,
        without_any_file_left_nobody_is_kept_waiting;
    two workers:
        a_crowd_is_told_so_and_the_operator_gets_in,
        at_the_hard_limit_of_open_files_a_crowd_is_told_so;
}

fn a_crowd_is_told_so_and_the_operator_gets_in(on: On) {
    let mut server = Server::make(on, "example.org", &["alice", "bob"]);
    server.edit("[limits]", "[limits]\nconnections = 3\nconnections_per_address = 2");
    server.serve();
    let greeting = |name| Wire::connect(server.address(name)).line();
    let inside = [server.smtp(), server.smtp()];
    assert!(greeting("smtp").starts_with("421 "));
    assert!(greeting("pop3").starts_with("-ERR"));
    assert_eq!(server.ok(&["account", "list"]), "alice@example.org\nbob@example.org\n");
    for mut wire in inside {
        wire.smtp("QUIT", 221);
        assert!(wire.rest().is_empty());
    }
    // The server has seen those leave when it has closed; it may take a moment to count.
    while !greeting("smtp").starts_with("220 ") {}
    server.stop();
}

/// Files that a server may have open.
const FILES: usize = 256;

/// Of these: half for its own affairs, an eighth to say "too many" with.
const ROOM: usize = FILES - FILES / 2 - FILES / 8;

fn at_the_hard_limit_of_open_files_a_crowd_is_told_so(on: On) {
    let mut server = Server::make(on, "example.org", &["alice"]);
    server.edit("[limits]", "[limits]\nconnections_per_address = 1000");
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {FILES} && exec \"$0\" \"$@\"")]).arg(binary().get_program());
    server.serve_by(limited);
    server.logged(&format!("the limit on open files ({FILES}) leaves room for {ROOM} connections"));

    let mut wires: Vec<_> = (0..2 * ROOM).map(|_| Wire::connect(server.address("smtp"))).collect();
    // A greeting, a refusal, or for want of a place even for that the end: nobody waits for a word that does not come.
    let words: Vec<_> = wires.iter_mut().map(|wire| wire.try_line().unwrap_or_default()).collect();
    let said = |word: &str| words.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(said("220 "), ROOM, "{words:?}");
    assert!(
        said("421 4.3.2 ") > 0 && said("220 ") + said("421 4.3.2 ") + said_nothing(&words) == 2 * ROOM,
        "{words:?}"
    );
    assert!(server.open_files() < FILES);

    // Who is in is served, mail is stored, and the operator gets in.
    let inside = words.iter().position(|line| line.starts_with("220 ")).unwrap();
    wires[inside].smtp("EHLO client.example", 250);
    wires[inside].deliver("one@client.example", &["alice@example.org"], b"Subject: inside\r\n\r\nyes\r\n");
    assert_eq!(server.ok(&["account", "list"]), "alice@example.org\n");

    drop(wires);
    until("they have left", || {
        Wire::connect(server.address("smtp")).try_line().is_ok_and(|line| line.starts_with("220 "))
    });
    server.assert_alive("alice@example.org");
    server.stop();
}

fn said_nothing(words: &[String]) -> usize {
    words.iter().filter(|line| line.is_empty()).count()
}

fn without_any_file_left_nobody_is_kept_waiting(on: On) {
    let mut server = Server::start(on, "example.org", &["alice"]);
    let before = server.allow_files(server.open_files() as u64 + 8);
    // Whoever comes while there are files is served; then whoever comes is sent away without a word, and none is left to wait.
    let (mut inside, mut sent_away) = (Vec::new(), 0);
    while sent_away < 5 {
        let mut wire = Wire::connect(server.address("smtp"));
        match wire.try_line().unwrap_or_default().as_str() {
            "" => sent_away += 1,
            line => assert!(line.starts_with("220 "), "{line}"),
        }
        inside.push(wire);
        assert!(inside.len() < 100, "there is no end of files");
    }
    server.logged("cannot accept connections for the moment");
    drop(inside);
    server.allow_files(before);
    until("it recovers", || {
        Wire::connect(server.address("smtp")).try_line().is_ok_and(|line| line.starts_with("220 "))
    });
    server.assert_alive("alice@example.org");
    server.stop();
}
