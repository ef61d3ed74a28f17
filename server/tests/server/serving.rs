//! How a server begins and ends, and what it survives.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;

use rustix::fs::{FlockOperation, flock};

use crate::run::{Folder, PATIENCE, Talk};

#[test]
fn the_ready_line_shows_what_can_be_connected_to() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    let names: Vec<_> = server.ready().split_whitespace().skip(1).map(|word| word.split('=').next().unwrap()).collect();
    assert_eq!(names, ["smtp", "submission", "submissions", "pop3", "pop3s"]);
    for name in names {
        assert_ne!(server.address(name).port(), 0);
        drop(server.connect(name));
    }
    let socket = std::fs::metadata(folder.path().join("data/control")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    server.stop();
    assert!(!folder.path().join("data/control").exists());
}

#[test]
fn several_of_a_kind_are_numbered() {
    let folder = Folder::quickstart("example.org");
    folder.edit("[auth]", "[[listener]]\nprotocol = \"smtp\"\nbind = \"127.0.0.1:0\"\n[auth]");
    let server = folder.serve();
    assert!(server.ready().contains(" smtp=127.0.0.1:"));
    assert!(server.ready().contains(" smtp2=127.0.0.1:"));
    assert!(server.connect("smtp2").reply().starts_with("220 mx.example.org"));
    server.stop();
}

#[test]
fn one_folder_has_one_server() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    let second = folder.run(&["serve"]);
    assert_eq!((second.code, second.out.as_str()), (Some(1), ""), "{second:?}");
    assert!(second.err.contains("is in use by another pillarbox"), "{second:?}");
    assert!(server.connect("smtp").reply().starts_with("220 "), "the first goes on");
    server.stop();
}

#[test]
fn a_command_that_has_the_folder_for_a_moment_is_waited_for() {
    let folder = Folder::quickstart("example.org");
    let lock = std::fs::File::open(folder.path().join("data/lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (server, list) = std::thread::scope(|scope| {
        let server = scope.spawn(|| folder.serve());
        let list = scope.spawn(|| folder.ok(&["account", "list"]));
        drop(lock);
        (server.join().unwrap(), list.join().unwrap())
    });
    assert_eq!(list, "alice@example.org\nbob@example.org\n");
    server.stop();
}

#[test]
fn idle_sessions_hear_that_it_stops() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    let (mut smtp, mut pop3) = (server.connect("smtp"), server.connect("pop3"));
    smtp.reply();
    pop3.line();
    server.signal("INT");
    assert!(smtp.reply().starts_with("421 "));
    let _ = pop3.rest();
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(log.last().unwrap().ends_with("stopped"), "{log:#?}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    let mut busy = server.connect("smtp");
    busy.reply();
    busy.smtp("EHLO client.example", "250");
    busy.smtp("MAIL FROM:<x@client.example>", "250");
    busy.smtp("RCPT TO:<alice@example.org>", "250");
    busy.smtp("DATA", "354");
    server.signal("TERM");
    server.logged("stopping");
    server.signal("TERM");
    let (status, _) = server.end();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn what_a_killed_server_leaves_behind_stops_nobody() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    server.signal("KILL");
    drop(server.end());
    assert!(folder.path().join("data/control").exists(), "nobody cleaned up");
    assert_eq!(folder.ok(&["account", "list"]), "alice@example.org\nbob@example.org\n");
    let server = folder.serve();
    folder.ok(&["account", "remove", "bob"]);
    server.stop();
    assert_eq!(folder.ok(&["account", "list"]), "alice@example.org\n");
}

#[test]
fn a_port_in_use_is_named_with_its_line() {
    let folder = Folder::quickstart("example.org");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    folder.edit("127.0.0.1:0", &address.to_string());
    let said = folder.run(&["serve"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    let text = std::fs::read_to_string(folder.file()).unwrap();
    let line = text.lines().position(|line| line.contains(&address.to_string())).unwrap() + 1;
    let place = format!("{}:{line}: cannot open {address}: the port is in use", folder.file().display());
    assert!(said.err.contains(&place), "{said:?}");
}

#[test]
fn a_runtime_that_makes_no_sense_is_refused() {
    let folder = Folder::quickstart("example.org");
    for (option, value, why) in [
        ("--runtime", "tokyo", "a similar value exists: 'tokio'"),
        ("--runtime", "", "[possible values: tokio, smol, blocking]"),
        ("--workers", "-1", "it is a number from 0 to 1024"),
        ("--workers", "two", "it is a number from 0 to 1024"),
        ("--workers", "1.5", "it is a number from 0 to 1024"),
        ("--workers", "100000", "it is a number from 0 to 1024"),
    ] {
        let said = folder.run(&["serve", option, value]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.err.contains(why), "{said:?}");
    }
    for (from, to) in [("kind = \"tokio\"", "kind = \"tokyo\""), ("workers = 0", "workers = \"two\"")] {
        folder.edit(from, to);
        let said = folder.run(&["serve"]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains("pillarbox.toml:"), "{said:?}");
        folder.edit(to, from);
    }
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    let size = |server: &crate::run::Server| {
        let mut smtp = server.connect("smtp");
        smtp.reply();
        smtp.send("EHLO client.example\r\n");
        loop {
            let line = smtp.line().unwrap();
            if let Some((_, size)) = line.split_once("SIZE ") {
                return size.to_owned();
            }
        }
    };
    assert_eq!(size(&server), "52428800");
    folder.edit("\"50MB\"", "\"1MB\"");
    server.signal("HUP");
    server.logged("again");
    assert_eq!(size(&server), "1048576");
    folder.edit("\"1MB\"", "\"1 apple\"");
    server.signal("HUP");
    let log = server.logged("went on with the old configuration");
    assert!(log.last().unwrap().contains("not a size"), "{log:#?}");
    assert_eq!(size(&server), "1048576");
    server.stop();
}

#[test]
fn garbage_on_each_port_harms_nobody() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    let noise: Vec<u8> = (0u32..40_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let hello = b"\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00";
    for name in ["smtp", "submission", "submissions", "pop3", "pop3s"] {
        for garbage in [&noise[..], hello, b"\0\0\0\0", b"\r\r\n\n\r", &[b'a'; 100_000], b"\x1b[2J\x07\r\n"] {
            let mut talk = server.connect(name);
            // It may hang up in the middle.
            let _ = talk.write(garbage);
        }
        let mut quiet = server.connect(name);
        let _ = quiet.write(b"QUIT\r\n");
    }
    assert!(Talk::new(server.address("smtp")).reply().starts_with("220 "));
    assert!(server.connect("pop3").line().unwrap().starts_with("+OK"));
    folder.ok(&["account", "list"]);
    server.signal("TERM");
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains(char::is_control)), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains("panicked")), "{log:#?}");
}

#[test]
fn systemd_is_told_if_it_asked() {
    let folder = Folder::quickstart("example.org");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let server = folder.serve_with(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("JOURNAL_STREAM", "1:1")]);
    assert_eq!(heard(), "READY=1");
    server.signal("TERM");
    assert_eq!(heard(), "STOPPING=1");
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0));
    assert!(log[0].trim_start().starts_with("INFO smtp on "), "the journal knows the time: {log:?}");
}

#[test]
fn a_filter_that_is_none_is_told() {
    let folder = Folder::quickstart("example.org");
    let said = folder.run_with(&["serve"], &[("RUST_LOG", "a=b=c")]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("RUST_LOG"), "{said:?}");
}

#[test]
fn nobody_needs_to_read_the_log() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve_unread();
    // Twice what the pipe holds.
    for _ in 0..100 {
        let mut talk = Talk::new(server.address("smtp"));
        talk.reply();
        talk.smtp("HELO client.example", "250 ");
        talk.smtp("MAIL FROM:<x@client.example>", "250 ");
        for _ in 0..15 {
            talk.smtp(&format!("RCPT TO:<{}@other.example>", "x".repeat(60)), "550 ");
        }
    }
    assert_eq!(folder.ok(&["queue", "list"]), "");
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}
