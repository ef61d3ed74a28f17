//! Too many at the door.

use crate::run::{Folder, Talk};

#[test]
fn a_crowd_is_told_so_and_the_operator_gets_in() {
    let folder = Folder::quickstart("example.org");
    folder.edit("[limits]", "[limits]\nconnections = 3\nconnections_per_address = 2");
    let server = folder.serve();
    let inside: Vec<Talk> = (0..2)
        .map(|_| {
            let mut talk = server.connect("smtp");
            assert!(talk.reply().starts_with("220 "));
            talk
        })
        .collect();
    assert!(server.connect("smtp").reply().starts_with("421 "));
    assert!(server.connect("pop3").line().unwrap().starts_with("-ERR"));
    assert_eq!(folder.ok(&["account", "list"]), "alice@example.org\nbob@example.org\n");
    for mut talk in inside {
        talk.smtp("QUIT", "221 ");
        assert!(talk.rest().is_empty());
    }
    // The server has seen those leave when it has closed; it may take a moment to count.
    while !server.connect("smtp").reply().starts_with("220 ") {}
    server.stop();
}
