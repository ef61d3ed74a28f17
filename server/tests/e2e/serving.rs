//! How a server begins and ends, and what it survives.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::common::{On, PATIENCE, Server, Wire, binary, on_every_runtime, until};

on_every_runtime! {
    one worker:
        the_ready_line_shows_what_can_be_connected_to,
        one_folder_has_one_server,
        idle_sessions_hear_that_it_stops,
        whoever_does_not_end_in_time_is_cut_off,
        the_port_is_free_while_the_last_session_ends,
        a_second_signal_stops_at_once,
        what_a_killed_server_leaves_behind_stops_nobody,
        a_hangup_reads_the_configuration_again,
        garbage_on_each_port_harms_nobody,
        systemd_is_told_if_it_asked,
        nobody_needs_to_read_the_log;
    two workers:
        the_ready_line_shows_what_can_be_connected_to,
        idle_sessions_hear_that_it_stops,
        the_port_is_free_while_the_last_session_ends,
        a_second_signal_stops_at_once;
}

fn folder(on: On) -> Server {
    Server::make(on, "example.org", &["alice", "bob"])
}

fn server(on: On) -> Server {
    Server::start(on, "example.org", &["alice", "bob"])
}

/// A session in the middle of a message.
fn busy(server: &Server) -> Wire {
    let mut smtp = server.smtp();
    smtp.smtp("MAIL FROM:<x@client.example>", 250);
    smtp.smtp("RCPT TO:<alice@example.org>", 250);
    smtp.smtp("DATA", 354);
    smtp
}

fn the_ready_line_shows_what_can_be_connected_to(on: On) {
    let mut server = server(on);
    let names: Vec<_> = server.addresses().map(|(name, _)| name).collect();
    assert_eq!(names, ["smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps"]);
    for (_, address) in server.addresses() {
        assert_ne!(address.port(), 0);
        drop(Wire::connect(address));
    }
    let socket = fs::metadata(server.data().join("control")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    server.stop();
    assert!(!server.data().join("control").exists());
}

#[test]
fn several_of_a_kind_are_numbered() {
    let mut server = folder(On::default());
    server.edit("[auth]", "[[listener]]\nprotocol = \"smtp\"\nbind = \"127.0.0.1:0\"\n[auth]");
    server.serve();
    assert_ne!(server.address("smtp"), server.address("smtp2"));
    assert!(Wire::connect(server.address("smtp2")).line().starts_with("220 mx.example.org"));
    server.stop();
}

fn one_folder_has_one_server(on: On) {
    let mut server = server(on);
    let second = server.run(&["serve"]);
    assert_eq!((second.code, second.out.as_str()), (Some(1), ""), "{second:?}");
    assert!(second.err.contains("is in use by another pillarbox"), "{second:?}");
    assert!(Wire::connect(server.address("smtp")).line().starts_with("220 "), "the first goes on");
    // Its control socket is still there.
    server.ok(&["account", "list"]);
    server.stop();
}

#[test]
fn a_command_that_has_the_folder_for_a_moment_is_waited_for() {
    let mut server = folder(On::default());
    let lock = fs::File::open(server.data().join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut list = server.command(&["account", "list"]);
    let list = std::thread::scope(|scope| {
        let list = scope.spawn(move || list.output().unwrap());
        let serving = scope.spawn(|| server.serve());
        drop(lock);
        serving.join().unwrap();
        list.join().unwrap()
    });
    assert_eq!(String::from_utf8_lossy(&list.stdout), "alice@example.org\nbob@example.org\n", "{list:?}");
    server.stop();
}

fn idle_sessions_hear_that_it_stops(on: On) {
    let mut server = server(on);
    let mut sessions: Vec<_> = (0..4).map(|_| (server.smtp(), server.connect("pop3"))).collect();
    server.signal(Signal::INT);
    for (smtp, pop3) in &mut sessions {
        smtp.reply(421);
        assert!(smtp.rest().is_empty());
        pop3.rest();
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().ends_with("stopped\n"), "{}", server.log());
}

fn whoever_does_not_end_in_time_is_cut_off(on: On) {
    let mut server = server(on);
    let mut endless = busy(&server);
    server.signal(Signal::TERM);
    // There is always one more line, until it is told to go.
    until("it is told", || endless.try_send(b"and so on\r\n").is_err());
    assert_eq!(server.wait().code(), Some(0));
    server.serve();
    assert_eq!(server.count("alice@example.org"), 0, "half a message is none");
}

fn the_port_is_free_while_the_last_session_ends(on: On) {
    let mut server = folder(on);
    server.settle();
    server.serve();
    let mut last = busy(&server);
    server.signal(Signal::TERM);
    for (_, address) in server.addresses() {
        until("the port is free", || TcpListener::bind(address).is_ok());
    }
    last.send(b"Subject: last\r\n\r\nhi\r\n.\r\n");
    last.reply(250);
    last.reply(421);
    assert_eq!(server.wait().code(), Some(0));
    // The next one gets them at once.
    server.serve();
    assert_eq!(server.count("alice@example.org"), 1);
}

fn a_second_signal_stops_at_once(on: On) {
    let mut server = server(on);
    let _busy = busy(&server);
    server.signal(Signal::TERM);
    server.logged("stopping");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
}

fn what_a_killed_server_leaves_behind_stops_nobody(on: On) {
    let mut server = server(on);
    server.kill();
    assert!(server.data().join("control").exists(), "nobody cleaned up");
    assert_eq!(server.ok(&["account", "list"]), "alice@example.org\nbob@example.org\n");
    server.serve();
    server.ok(&["account", "remove", "bob"]);
    server.stop();
    assert_eq!(server.ok(&["account", "list"]), "alice@example.org\n");
}

#[test]
fn a_port_in_use_is_named_with_its_line() {
    let mut server = folder(On::default());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    server.edit("127.0.0.1:0", &address.to_string());
    let said = server.run(&["serve"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    let text = fs::read_to_string(server.file()).unwrap();
    let line = text.lines().position(|line| line.contains(&address.to_string())).unwrap() + 1;
    let place = format!("{}:{line}: cannot open {address}: the port is in use", server.file().display());
    assert!(said.err.contains(&place), "{said:?}");
    // Nothing is left behind that would stand in the way of the next try.
    server.edit(&address.to_string(), "127.0.0.1:0");
    server.serve();
    server.assert_alive("bob@example.org");
}

#[test]
fn a_runtime_that_makes_no_sense_is_refused() {
    let server = folder(On::default());
    for (option, value, why) in [
        ("--runtime", "tokyo", "a similar value exists: 'tokio'"),
        ("--runtime", "", "[possible values: tokio, smol, blocking]"),
        ("--workers", "-1", "it is a number from 0 to 64"),
        ("--workers", "two", "it is a number from 0 to 64"),
        ("--workers", "1.5", "it is a number from 0 to 64"),
        ("--workers", "100000", "it is a number from 0 to 64"),
    ] {
        let said = server.run(&["serve", option, value]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.err.contains(why), "{said:?}");
    }
    for (from, to) in [("kind = \"tokio\"", "kind = \"tokyo\""), ("workers = 0", "workers = \"two\"")] {
        server.edit(from, to);
        let said = server.run(&["serve"]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains("pillarbox.toml:"), "{said:?}");
        server.edit(to, from);
    }
}

fn a_hangup_reads_the_configuration_again(on: On) {
    let mut server = server(on);
    let size = |server: &Server| {
        let hello = server.connect("smtp").smtp("EHLO client.example", 250);
        hello.iter().find_map(|line| line.get(4..)?.strip_prefix("SIZE ")).unwrap().to_owned()
    };
    assert_eq!(size(&server), "52428800");
    server.edit("\"50MB\"", "\"1MB\"");
    server.signal(Signal::HUP);
    server.logged("pillarbox.toml again");
    assert_eq!(size(&server), "1048576");
    server.edit("\"1MB\"", "\"1 apple\"");
    server.signal(Signal::HUP);
    server.logged("not a size");
    server.edit("\"1 apple\"", "\"1MB\"");
    server.edit("workers = 0", "workers = 7\n[runtimes]");
    server.signal(Signal::HUP);
    server.logged("did you mean runtime?");
    assert_eq!(server.log().matches("went on with the old configuration").count(), 2);
    assert_eq!(size(&server), "1048576");
    server.stop();
}

#[test]
fn another_runtime_needs_a_restart() {
    let mut server = folder(On::default());
    server.edit("workers = 0", "workers = 1");
    server.serve();
    for (from, to) in [("workers = 1", "workers = 2"), ("kind = \"tokio\"", "kind = \"smol\"")] {
        server.edit(from, to);
        let before = server.log().matches("need a restart").count();
        server.signal(Signal::HUP);
        until("it is said", || server.log().matches("need a restart").count() == before + 1);
        server.edit(to, from);
    }
    server.stop();
}

fn garbage_on_each_port_harms_nobody(on: On) {
    let mut server = server(on);
    let noise: Vec<u8> = (0u32..40_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let hello = b"\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00";
    for (_, address) in server.addresses() {
        for garbage in [&noise[..], hello, b"\0\0\0\0", b"\r\r\n\n\r", &[b'a'; 100_000], b"\x1b[2J\x07\r\n"] {
            // It may hang up in the middle.
            let _ = Wire::connect(address).try_send(garbage);
        }
        let _ = Wire::connect(address).try_send(b"QUIT\r\n");
    }
    server.assert_alive("bob@example.org");
    server.ok(&["account", "list"]);
    server.stop();
    let log = server.log();
    assert!(log.lines().all(|line| !line.contains(char::is_control)), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

fn systemd_is_told_if_it_asked(on: On) {
    let mut server = folder(on);
    let path = server.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = binary();
    command.env("NOTIFY_SOCKET", &path).env("JOURNAL_STREAM", "1:1");
    server.serve_by(command);
    assert_eq!(heard(), "READY=1");
    server.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(log.trim_start().starts_with("INFO smtp on "), "the journal knows the time: {log}");
}

#[test]
fn a_filter_that_is_none_is_told() {
    let server = folder(On::default());
    let mut serve = server.command(&["serve"]);
    let output = serve.env("RUST_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("RUST_LOG"), "{output:?}");
}

fn nobody_needs_to_read_the_log(on: On) {
    let mut server = folder(on);
    server.serve_unread();
    let recipient = "x".repeat(60);
    // Twice what the pipe holds.
    for _ in 0..100 {
        let mut smtp = server.smtp();
        smtp.smtp("MAIL FROM:<x@client.example>", 250);
        let commands = format!("RCPT TO:<{recipient}@other.example>\r\n").repeat(15);
        smtp.send(commands.as_bytes());
        (0..15).for_each(|_| _ = smtp.reply(550));
    }
    assert_eq!(server.ok(&["queue", "list"]), "");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}
