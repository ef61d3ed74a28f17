//! Too many at the door.

use crate::common::{On, Server, Wire, on_every_runtime};

on_every_runtime! {
    one worker: a_crowd_is_told_so_and_the_operator_gets_in;
    two workers: a_crowd_is_told_so_and_the_operator_gets_in;
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
