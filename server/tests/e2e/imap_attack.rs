//! IMAP clients that mean no good, or are merely too many, against the real server: whatever they do, it goes on serving
//! the others, in bounded memory, and keeps what it has acknowledged.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::thread;

use crate::common::{Glutton, On, Server, Wire, cramped, message, on_every_runtime, until};

on_every_runtime! {
    one runtime:
        literals_that_are_too_large_are_not_taken,
        parts_within_parts,
        searches_and_fetches_of_everything,
        a_full_disk_says_no_and_loses_nothing;
    one worker:
        appends_that_break_off_leave_nothing,
        readers_that_never_read_cost_little,
        a_crowd_that_idles_is_told,
        ten_thousand_commands_at_once;
    two workers:
        a_crowd_that_idles_is_told,
        messages_are_moved_to_and_fro_and_none_is_lost,
        what_is_selected_is_renamed_and_deleted_by_others;
}

const BOB: &str = "bob@example.org";

/// What the most memory may rise by while a test attacks, in KiB: far less than the attack brings.
const RISE: u64 = 24 * 1024;

fn server(on: On) -> Server {
    Server::start(on, "example.org", &["bob"])
}

/// The most memory so far, once everything that is held for good is there: logins have their blocks.
fn warm_peak(server: &Server) -> u64 {
    let sessions: Vec<Wire> = (0..6).map(|_| server.imap(BOB)).collect();
    drop(sessions);
    server.peak_kib()
}

/// A command and its tagged response, whatever octets come before it.
fn ask(wire: &mut Wire, command: &str) -> String {
    wire.send(format!("t {command}\r\n").as_bytes());
    loop {
        let line = wire.try_line().unwrap();
        if let Some(said) = line.strip_prefix("t ") {
            return said.to_owned();
        }
    }
}

/// Files a message, which must succeed.
fn append(wire: &mut Wire, to: &str, message: &[u8]) {
    let said = wire.try_append(to, &[message.to_vec()]);
    assert!(said.as_ref().is_some_and(|said| said.starts_with("OK ")), "{said:?}");
}

/// Bodies with a file of their own, those that are still coming among them.
fn bodies(server: &Server) -> usize {
    std::fs::read_dir(server.data().join("bodies")).unwrap().count()
}

fn appends_that_break_off_leave_nothing(on: On) {
    let server = server(on);
    let mut wire = server.imap(BOB);
    append(&mut wire, "INBOX", &message::message("first", 2_000_000));
    let (bodies_before, sockets) = (bodies(&server), server.sockets());
    for round in 0..3 {
        let mut wires: Vec<Wire> = (0..8).map(|_| server.imap(BOB)).collect();
        for (n, wire) in wires.iter_mut().enumerate() {
            // Small ones and ones with a file of their own; one message, or the second of two.
            let length = [3_000_000, 9_000, 40_000_000, 100][n % 4];
            let first = if n >= 4 { " {4}\r\nabcd" } else { "" };
            wire.send(format!("t APPEND INBOX{}", first.replace("{4}", "{4+}")).as_bytes());
            wire.send(format!(" {{{length}{}}}\r\n", if length <= 4096 { "+" } else { "" }).as_bytes());
            if length > 4096 {
                assert!(wire.line().starts_with("+ "));
            }
            let part = (length / 2).min(3_000_000);
            wire.send(&vec![b'x'; part]);
            if (n + round) % 2 == 0 {
                wire.finish();
            }
        }
        drop(wires);
    }
    until("they have gone", || server.sockets() <= sockets);
    until("nothing is left of them", || bodies(&server) == bodies_before);
    wire.imap("SELECT INBOX");
    assert_eq!(wire.messages().len(), 1);
    server.assert_alive(BOB);
}

fn readers_that_never_read_cost_little(on: On) {
    let server = server(on);
    let mut wire = server.imap(BOB);
    append(&mut wire, "INBOX", &message::message("large", 20 << 20));
    for n in 0..20 {
        append(&mut wire, "INBOX", &message::message(&format!("m{n}"), 30_000));
    }
    let before = warm_peak(&server);
    let deaf: Vec<Wire> = (0..20)
        .map(|n| {
            let mut wire = server.imap(BOB);
            wire.imap("SELECT INBOX");
            let fetch = ["t FETCH 1 BODY.PEEK[]\r\n", "t FETCH 1:* (BODY.PEEK[] BODYSTRUCTURE ENVELOPE)\r\n"][n % 2];
            wire.stream().set_nonblocking(true).unwrap();
            _ = wire.try_send(fetch.repeat(300).as_bytes());
            wire
        })
        .collect();
    // The others see and change the same mailbox all the while.
    wire.imap("SELECT INBOX");
    wire.imap("STORE 1:* +FLAGS.SILENT (\\Seen)");
    assert_eq!(wire.messages().len(), 21);
    server.assert_alive(BOB);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
    let sockets = server.sockets();
    drop(deaf);
    until("they have gone", || server.sockets() + 20 <= sockets);
    server.assert_alive(BOB);
}

/// Sessions that idle. Most of the time goes into their passwords.
const CROWD: usize = 48;

fn a_crowd_that_idles_is_told(on: On) {
    let mut server = Server::make(on, "example.org", &["bob"]);
    server.edit("[limits]", "[limits]\nconnections_per_address = 2000");
    server.serve();
    let mut crowd: Vec<Wire> = (0..CROWD).map(|_| server.connect("imap")).collect();
    let login = format!("t LOGIN {BOB} {}\r\nt SELECT INBOX\r\nt IDLE\r\n", server.password(BOB));
    // Hashing a password takes its time; it is asked for by some at once.
    for some in crowd.chunks_mut(20) {
        some.iter_mut().for_each(|wire| wire.send(login.as_bytes()));
        for wire in some {
            for _ in 0..2 {
                let (_, said) = wire.try_tagged().unwrap();
                assert!(said.starts_with("OK "), "{said}");
            }
            assert!(wire.line().starts_with("+ "));
        }
    }
    let mut smtp = server.smtp();
    for n in 0..10 {
        smtp.deliver("a@b.example", &[BOB], &message::message(&format!("m{n}"), 500));
    }
    let mut other = server.imap(BOB);
    other.imap("SELECT INBOX");
    other.imap("STORE 3 +FLAGS (\\Deleted)");
    other.imap("EXPUNGE");
    for wire in &mut crowd {
        let mut exists = 0_u32;
        while exists < 10 {
            let line = wire.line();
            let number = line.strip_prefix("* ").and_then(|line| line.strip_suffix(" EXISTS"));
            exists = number.map_or(exists, |number| number.parse().unwrap());
        }
        until("the one that has gone is told", || wire.line() == "* 3 EXPUNGE");
        wire.send(b"DONE\r\n");
        let (_, said) = wire.try_tagged().unwrap();
        assert!(said.starts_with("OK "), "{said}");
    }
    drop(crowd);
    server.assert_alive(BOB);
}

fn messages_are_moved_to_and_fro_and_none_is_lost(on: On) {
    const MESSAGES: usize = 40;
    let server = server(on);
    let mut wire = server.imap(BOB);
    wire.imap("CREATE other");
    for n in 0..MESSAGES {
        append(&mut wire, "INBOX", &message::message(&format!("m{n}"), 300));
    }
    thread::scope(|scope| {
        for n in 0..10_usize {
            let mut wire = server.imap(BOB);
            scope.spawn(move || {
                for round in 0..20 {
                    let (from, to) = if (n + round) % 2 == 0 { ("INBOX", "other") } else { ("other", "INBOX") };
                    let some = 1 + (7 * n + round) % MESSAGES;
                    // It may have gone or be empty by then: NO and BAD are answers, too.
                    wire.send(
                        format!("a SELECT {from}\r\nb MOVE {some}:* {to}\r\nc UID MOVE 1:* {to}\r\nt NOOP\r\n")
                            .as_bytes(),
                    );
                    let (lines, said) = wire.try_tagged().unwrap();
                    assert!(said.starts_with("OK "), "{said}");
                    assert!(!lines.iter().any(|line| line.contains("UNAVAILABLE")), "{lines:?}");
                }
            });
        }
    });
    let mut names = Vec::new();
    for mailbox in ["INBOX", "other"] {
        wire.imap(&format!("EXAMINE {mailbox}"));
        names.extend(wire.messages().iter().map(|message| message::name_of(message)));
    }
    assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (MESSAGES, MESSAGES));
    server.assert_alive(BOB);
}

fn literals_that_are_too_large_are_not_taken(on: On) {
    let server = server(on);
    let before = warm_peak(&server);
    for length in ["4097", "4294967296", "99999999999999999999999999"] {
        for command in ["LOGIN", "SELECT", "SEARCH SUBJECT", "CREATE", "RENAME a", "LIST \"\"", "APPEND", "XYZZY"] {
            let mut wire = if command == "LOGIN" { server.connect("imap") } else { server.imap(BOB) };
            wire.send(format!("t {command} {{{length}}}\r\n").as_bytes());
            let said = wire.line();
            assert!(said.starts_with("t BAD") || said.starts_with("t NO"), "{command} {length}: {said}");
            wire.send(b"u NOOP\r\n");
            let said = wire.line();
            assert!(said.starts_with("u OK"), "{command} {length}: {said}");
            // Who does not wait for the go-ahead is cut off, or what he sends is passed over: it is never run.
            wire.send(format!("t {command} {{{length}+}}\r\n").as_bytes());
            _ = wire.try_send(&b"v DELETE INBOX\r\n".repeat(2_000));
            wire.finish();
            let rest = String::from_utf8_lossy(&wire.rest()).into_owned();
            let ran = rest.lines().filter(|line| line.starts_with("v ")).count();
            assert!(ran == 0 || length == "4097", "{command} {length}: {ran} {rest:.200}");
        }
    }
    let mut wire = server.imap(BOB);
    // Many of them, each within its limit.
    wire.send(b"t SEARCH");
    for _ in 0..2_000 {
        if wire.try_send(b" SUBJECT {4000+}\r\n").and_then(|()| wire.try_send(&[b'x'; 4_000])).is_err() {
            break;
        }
    }
    _ = wire.try_send(b"\r\n");
    wire.finish();
    let rest = String::from_utf8_lossy(&wire.rest()).into_owned();
    assert!(rest.contains("BAD") || rest.contains("NO"), "{rest:.300}");
    server.assert_alive(BOB);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

fn ten_thousand_commands_at_once(on: On) {
    let server = server(on);
    let mut wire = server.imap(BOB);
    append(&mut wire, "INBOX", &message::message("m", 3_000));
    wire.imap("SELECT INBOX");
    let before = warm_peak(&server);
    let commands =
        ["NOOP", "FETCH 1 FLAGS", "STATUS INBOX (MESSAGES)", "LIST \"\" *", "SEARCH ALL", "STORE 1 FLAGS ()"];
    let mut sender = wire.stream().try_clone().unwrap();
    let sending = thread::spawn(move || {
        for n in 0..10_000 {
            write!(sender, "a{n} {}\r\n", commands[n % commands.len()]).unwrap();
        }
        sender
    });
    for n in 0..10_000 {
        let tagged = loop {
            let line = wire.line();
            if !line.starts_with("* ") {
                break line;
            }
        };
        assert!(tagged.starts_with(&format!("a{n} OK ")), "{n}: {tagged}");
    }
    drop(sending.join().unwrap());
    // Nonsense is answered for a while.
    _ = wire.try_send(&b"t XYZZY\r\n".repeat(10_000));
    let answers = wire.rest();
    assert!(answers.len() < 10_000, "{} octets", answers.len());
    server.assert_alive(BOB);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

fn parts_within_parts(on: On) {
    let server = server(on);
    let before = warm_peak(&server);
    let mut wire = server.imap(BOB);
    let mut bombs = Vec::new();
    let mut multipart = String::from("From: alice@example.org\r\nSubject: deep\r\n");
    for n in 0..20_000 {
        multipart += &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    }
    bombs.push(multipart + "\r\nx\r\n");
    bombs.push("Content-Type: message/rfc822\r\n\r\n".repeat(30_000) + "x\r\n");
    bombs.push(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(100_000)));
    bombs.push(format!("To: {}x@y.example\r\n\r\nx\r\n", "x@y.example, ".repeat(70_000)));
    bombs.push(format!("Subject: {}\r\n\r\nx\r\n", "=?utf-8?q?=C3=A4?= ".repeat(50_000)));
    bombs.push("References: <a@b>\r\n".repeat(50_000) + "\r\nx\r\n");
    bombs.push(format!("Content-Type: text/plain{}\r\n\r\nx\r\n", "; a*0*=''%41".repeat(50_000)));
    bombs.push(format!("To: {}\r\n\r\nx\r\n", "(".repeat(500_000)));
    for bomb in &bombs {
        append(&mut wire, "INBOX", bomb.as_bytes());
    }
    wire.imap("SELECT INBOX");
    let deep = vec!["1"; 400].join(".");
    for command in [
        "FETCH 1:* (BODYSTRUCTURE ENVELOPE BODY)".to_owned(),
        format!("FETCH 1:* (BODY.PEEK[{deep}] BODY.PEEK[{deep}.MIME])"),
        "FETCH 1:* (BINARY.SIZE[1] BODY.PEEK[1.1.1.1.1.1.HEADER] BODY.PEEK[HEADER.FIELDS (TO SUBJECT)])".to_owned(),
        "SEARCH TEXT nothing SUBJECT x TO y.example".to_owned(),
    ] {
        let said = ask(&mut wire, &command);
        assert!(
            said.starts_with("OK ") || said.starts_with("NO ") || said.starts_with("BAD "),
            "{command:.100}: {said}"
        );
    }
    assert_eq!(wire.messages().len(), bombs.len());
    server.assert_alive(BOB);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

fn searches_and_fetches_of_everything(on: On) {
    let server = server(on);
    let mut wire = server.imap(BOB);
    for n in 0..200 {
        append(&mut wire, "INBOX", &message::message(&format!("m{n}"), 2_000));
    }
    append(&mut wire, "INBOX", &message::message("large", 8 << 20));
    let before = warm_peak(&server);
    thread::scope(|scope| {
        for n in 0..6 {
            let mut wire = server.imap(BOB);
            scope.spawn(move || {
                wire.imap("SELECT INBOX");
                let bombs = [
                    format!("SEARCH {}ALL", "NOT ".repeat(1_900)),
                    format!("SEARCH {}ALL{}", "(".repeat(3_000), ")".repeat(3_000)),
                    format!("SEARCH {}ALL", "OR ALL ".repeat(1_000)),
                    format!("SEARCH {}", vec!["TEXT nowhere"; 500].join(" ")),
                    format!("SEARCH OR {} TEXT b", vec!["TEXT a"; 200].join(" OR ")),
                    format!("SEARCH {}", vec!["1:*"; 1_500].join(",")),
                    format!(
                        "SEARCH {}",
                        (1..1_500).map(|n| (4_294_967_295_u32 - 2 * n).to_string()).collect::<Vec<_>>().join(",")
                    ),
                    format!("FETCH 1:* ({})", vec!["BODY.PEEK[HEADER.FIELDS (SUBJECT)]"; 200].join(" ")),
                    format!("FETCH 1:200 ({})", vec!["BODY.PEEK[]<0.10>"; 400].join(" ")),
                    format!("FETCH 1:* ({})", vec!["ENVELOPE BODYSTRUCTURE FLAGS"; 250].join(" ")),
                    format!("LIST \"\" ({})", vec!["\"*a*b*c*d*e*f*%\""; 400].join(" ")),
                ];
                for bomb in bombs.iter().skip(n) {
                    let said = ask(&mut wire, bomb);
                    assert!(
                        said.starts_with("OK ") || said.starts_with("BAD ") || said.starts_with("NO "),
                        "{bomb:.80}: {said}"
                    );
                }
            });
        }
        server.assert_alive(BOB);
    });
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

fn what_is_selected_is_renamed_and_deleted_by_others(on: On) {
    let server = server(on);
    let mut one = server.imap(BOB);
    let mut two = server.imap(BOB);
    one.imap("CREATE a/b");
    append(&mut one, "a/b", &message::message("m", 300));
    append(&mut one, "INBOX", &message::message("in", 300));
    one.imap("SELECT a/b");
    // Renamed, it stays the one that is selected.
    two.imap("RENAME a c/d");
    one.imap("STORE 1 +FLAGS (\\Flagged)");
    assert_eq!(one.messages().len(), 1);
    append(&mut two, "c/d/b", &message::message("n", 300));
    assert!(one.imap("NOOP").contains(&"* 2 EXISTS".to_owned()));
    // INBOX in the middle of somebody's session.
    two.imap("SELECT INBOX");
    one.imap("RENAME INBOX old");
    let lines = two.imap("NOOP");
    assert!(lines.iter().any(|line| line.contains("EXPUNGE")), "{lines:?}");
    assert_eq!(two.messages().len(), 0);
    // Deleted: what is asked is answered, and another one of the name is another one.
    two.imap("DELETE c/d/b");
    for command in [
        "NOOP",
        "FETCH 1:* FLAGS",
        "FETCH 1 BODY[]",
        "STORE 1 +FLAGS (\\Seen)",
        "SEARCH ALL",
        "EXPUNGE",
        "COPY 1 INBOX",
    ] {
        let Some((_, said)) = ({
            _ = one.try_send(format!("t {command}\r\n").as_bytes());
            one.try_tagged()
        }) else {
            break;
        };
        assert!(["OK ", "NO ", "BAD "].iter().any(|it| said.starts_with(it)), "{command}: {said}");
    }
    two.imap("CREATE c/d/b");
    let mut three = server.imap(BOB);
    assert!(three.imap("SELECT c/d/b").contains(&"* 0 EXISTS".to_owned()));
    // ENABLE and SELECT, in any order and mix.
    for (n, enable) in
        ["CONDSTORE", "QRESYNC", "IMAP4rev2", "UTF8=ACCEPT", "X", "CONDSTORE QRESYNC IMAP4rev2"].iter().enumerate()
    {
        let mut wire = server.imap(BOB);
        let select = ["SELECT INBOX", "EXAMINE old (CONDSTORE)", "SELECT nowhere"][n % 3];
        wire.send(format!("a {select}\r\nb ENABLE {enable}\r\nc SELECT old (QRESYNC (1 1))\r\nd {select}\r\ne UNSELECT\r\nt NOOP\r\n").as_bytes());
        let (_, said) = wire.try_tagged().unwrap();
        assert!(said.starts_with("OK "), "{enable}: {said}");
    }
    server.assert_alive(BOB);
}

fn a_full_disk_says_no_and_loses_nothing(on: On) {
    let Some(server) = cramped(on, 80) else { return };
    let mut wire = server.imap(BOB);
    let mut there = Vec::new();
    let fill = |wire: &mut Wire, there: &mut Vec<String>, size| {
        let name = format!("m{}", there.len());
        let said = wire.try_append("INBOX", &[message::message(&name, size)]).expect("an answer");
        match said.starts_with("OK ") {
            true => there.push(name),
            false => assert!(said.starts_with("NO ["), "{said}"),
        }
        said.starts_with("OK ")
    };
    for n in 0..1_000 {
        if !fill(&mut wire, &mut there, [100_000, 1_000_000][n % 2]) {
            break;
        }
        assert!(n < 999, "the disk is never full");
    }
    wire.imap("SELECT INBOX");
    let kept = |wire: &mut Wire| wire.messages().iter().map(|it| message::name_of(it)).collect::<Vec<_>>();
    assert_eq!(kept(&mut wire), there);
    // Somebody else fills it to its last block.
    let mut glutton = Glutton::at(&server);
    glutton.eat();
    // Each is done, or it is not.
    let mut made = BTreeSet::new();
    for n in 0..30 {
        for command in
            [format!("CREATE box{n}"), "STORE 1:* +FLAGS (\\Flagged $x)".to_owned(), "COPY 1:* INBOX".to_owned()]
        {
            let said = ask(&mut wire, &command);
            assert!(said.starts_with("OK ") || said.starts_with("NO ["), "{command}: {said}");
            match said.starts_with("OK ") {
                true if command.starts_with("CREATE") => _ = made.insert(format!("box{n}")),
                true if command.starts_with("COPY") => there.extend(there.clone()),
                _ => {}
            }
        }
        fill(&mut wire, &mut there, [500, 300_000][n % 2]);
        if there.len() > 2_000 {
            break;
        }
    }
    wire.imap("NOOP");
    wire.imap("SELECT INBOX");
    assert_eq!(kept(&mut wire), there);
    // What is there can be removed, and then there is room.
    wire.imap("STORE 1 +FLAGS.SILENT (\\Deleted)");
    wire.imap("EXPUNGE");
    there.remove(0);
    glutton.leave();
    until("there is room again", || fill(&mut wire, &mut there, 500));
    wire.imap("NOOP");
    assert_eq!(kept(&mut wire), there);
    let listed = wire.imap("LIST \"\" box*");
    assert_eq!(listed.len(), made.len(), "{listed:?}");
}
