//! Clients that mean no good, against the real server: whatever they do, it goes on serving the others, in bounded memory.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use crate::common::{Glutton, On, PATIENCE, Server, Wire, cramped, message, on_every_runtime, until};

on_every_runtime! {
    one worker:
        garbage_on_every_port_and_the_control_socket,
        a_crowd_of_slow_peers_and_one_too_many,
        half_closed_connections_get_their_replies,
        ten_thousand_lines_at_once,
        giant_lines_are_swallowed_in_bounded_memory,
        a_message_beyond_the_limit_is_refused_by_its_word_and_by_its_deed,
        nothing_is_carried_over_into_tls,
        only_the_strict_end_ends_a_message,
        nobody_relays_through_us,
        peers_that_never_read_cost_little,
        connections_that_come_and_go_leave_nothing,
        what_strangers_say_does_not_reach_the_log_raw,
        a_corrupt_tail_costs_no_other_mail,
        without_dns_mail_waits_in_the_queue,
        a_full_disk_refuses_and_recovers,
        signals_and_quick_restarts;
    two workers:
        a_crowd_of_slow_peers_and_one_too_many,
        connections_that_come_and_go_leave_nothing,
        signals_and_quick_restarts;
}

const BOB: &str = "bob@example.org";

/// What the most memory may rise by while a test attacks, in KiB: far more than it does, far less than the attack brings.
const RISE: u64 = 24 * 1024;

fn server(on: On) -> Server {
    Server::start(on, "example.org", &["bob"])
}

/// The most memory so far, once everything that is held for good is there: logins have their blocks.
fn warm_peak(server: &Server) -> u64 {
    let mut sessions: Vec<Wire> = (0..6).map(|_| server.connect("submission")).collect();
    let login = message::base64(format!("\0{BOB}\0{}", server.password(BOB)).as_bytes());
    sessions.iter_mut().for_each(|wire| wire.send(format!("EHLO x\r\nAUTH PLAIN {login}\r\n").as_bytes()));
    for wire in &mut sessions {
        wire.reply(250);
        wire.reply(235);
    }
    server.peak_kib()
}

/// Bytes without any sense, the same for the same seed.
fn garbage(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[5]
    };
    (0..length).map(|_| byte()).collect()
}

/// A peer that says all this, whether anybody listens or not, and goes when it is hung up on.
fn babble(mut stream: impl io::Read + io::Write + Send, bytes: &[u8]) {
    _ = stream.write_all(bytes);
    let mut scratch = [0; 4096];
    // Once: some listeners wait for more, and that is their right.
    _ = stream.read(&mut scratch);
}

fn control(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(server.data().join("control")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn garbage_on_every_port_and_the_control_socket(on: On) {
    let server = server(on);
    for seed in 0..4 {
        let mut bytes = garbage(seed, 150_000);
        if seed % 2 == 1 {
            // Lines of it.
            bytes.chunks_mut(57).for_each(|line| line[line.len() / 2] = b'\n');
        }
        for (_, address) in server.addresses() {
            let wire = Wire::connect(address);
            wire.stream().set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
            babble(wire.stream(), &bytes);
        }
        let stream = control(&server);
        stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        babble(stream, &bytes);
    }
    // After the go-ahead to TLS, too.
    for (listener, hello, command) in [("submission", "EHLO x", "STARTTLS"), ("pop3", "CAPA", "STLS")] {
        let mut wire = server.connect(listener);
        wire.send(format!("{hello}\r\n").as_bytes());
        until("the last line of the answer", || {
            let line = wire.line();
            line == "." || line.starts_with("250 ")
        });
        wire.send(format!("{command}\r\n").as_bytes());
        wire.line();
        _ = wire.try_send(&garbage(9, 10_000));
        wire.rest();
    }
    assert_eq!(server.ok(&["account", "list"]), "bob@example.org\n");
    server.assert_alive(BOB);
}

fn a_crowd_of_slow_peers_and_one_too_many(on: On) {
    let server = server(on);
    let mut slow: Vec<Wire> = (0..190).map(|_| Wire::connect(server.address("smtp"))).collect();
    slow.iter_mut().for_each(|wire| assert!(wire.line().starts_with("220 ")));
    // All of them dribble, a byte each in turn, while somebody has work to do.
    for byte in b"EHLO slow.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@exa" {
        slow.iter_mut().for_each(|wire| wire.send(&[*byte]));
    }
    server.assert_alive(BOB);
    // From one address there may be 200; whoever comes beyond is told so.
    let mut more: Vec<Wire> = (0..20).map(|_| Wire::connect(server.address("smtp"))).collect();
    let greetings: Vec<String> = more.iter_mut().map(Wire::line).collect();
    assert!(greetings[0].starts_with("220 "), "{greetings:?}");
    // Those that have just gone may still be counted, so it may be fewer that are let in, and never more.
    let said = |code: &str| greetings.iter().filter(|line| line.starts_with(code)).count();
    assert!(said("220 ") <= 10 && said("220 ") + said("421 ") == 20, "{greetings:?}");
    for wire in &mut slow {
        wire.send(b"mple.org>\r\n");
    }
    for wire in &mut slow {
        (0..3).for_each(|_| _ = wire.reply(250));
    }
    drop((slow, more));
    until("there is room again", || Wire::connect(server.address("smtp")).line().starts_with("220 "));
    server.assert_alive(BOB);
}

fn half_closed_connections_get_their_replies(on: On) {
    let server = server(on);
    let mut wire = Wire::connect(server.address("smtp"));
    let text = message::stuffed(&message::message("half", 200_000));
    let mut all = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n".to_vec();
    // Pipelined beyond DATA, which no client should do, and then an end: no reply is lost.
    all.extend_from_slice(&text);
    all.extend_from_slice(b".\r\nQUIT\r\n");
    wire.send(&all);
    wire.finish();
    let replies = String::from_utf8(wire.rest()).unwrap();
    assert!(replies.contains("\r\n354 ") && replies.contains("\r\n250 2.0.0 "), "{replies}");
    assert!(replies.lines().last().unwrap().starts_with("221 "), "{replies}");
    assert_eq!(message::name_of(&server.mailbox_of(BOB, 1)[0]), "half");

    let mut pop = server.pop3(BOB);
    pop.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n");
    pop.finish();
    let replies = String::from_utf8(pop.rest()).unwrap();
    assert!(replies.len() > 200_000 && replies.lines().last().unwrap().starts_with("+OK"), "{}", replies.len());
    server.mailbox_of(BOB, 0);

    // An end in the middle is no message, and no deletion.
    let mut cut = server.smtp();
    cut.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n");
    (0..2).for_each(|_| _ = cut.reply(250));
    cut.reply(354);
    cut.send(b"Subject: cut\r\n\r\n.\r");
    cut.finish();
    cut.rest();
    server.assert_alive(BOB);
    let mut pop = server.pop3(BOB);
    pop.pop3("DELE 1");
    pop.finish();
    pop.rest();
    server.mailbox_of(BOB, 1);
}

fn ten_thousand_lines_at_once(on: On) {
    let server = server(on);
    let before = warm_peak(&server);
    let mut smtp = server.smtp();
    smtp.send(&b"NOOP\r\n".repeat(10_000));
    (0..10_000).for_each(|_| _ = smtp.reply(250));
    smtp.smtp("MAIL FROM:<a@b.example>", 250);
    smtp.send(&b"RCPT TO:<bob@example.org>\r\n".repeat(10_000));
    let codes: Vec<String> = (0..10_000).map(|_| smtp.line()[..3].to_owned()).collect();
    assert_eq!(codes.iter().filter(|code| *code == "250").count(), 1_000, "and the rest is refused");
    assert!(codes[1_000..].iter().all(|code| code == "452"));
    smtp.smtp("QUIT", 221);

    let mut pop = server.pop3(BOB);
    pop.send(&b"NOOP\r\n".repeat(10_000));
    (0..10_000).for_each(|_| assert!(pop.line().starts_with("+OK")));
    pop.pop3("QUIT");

    // Nonsense is answered for a while.
    for listener in ["smtp", "submission", "pop3"] {
        let mut wire = server.connect(listener);
        _ = wire.try_send(&b"XYZZY plugh\r\n".repeat(10_000));
        let answers = wire.rest();
        assert!(answers.len() < 10_000, "{listener}: {} octets", answers.len());
    }
    server.assert_alive(BOB);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

fn giant_lines_are_swallowed_in_bounded_memory(on: On) {
    let server = server(on);
    let before = warm_peak(&server);
    let line = vec![b'x'; 1 << 20];
    for (listener, refusal) in [("smtp", "500 "), ("submission", "500 "), ("pop3", "-ERR ")] {
        let mut wire = server.connect(listener);
        match listener {
            "pop3" => _ = wire.pop3("CAPA"),
            _ => _ = wire.smtp("EHLO client.example", 250),
        }
        until("the answer's end", || listener != "pop3" || wire.line() == ".");
        (0..30).for_each(|_| wire.send(&line));
        wire.send(b"\r\nNOOP\r\n");
        let said = wire.line();
        assert!(said.starts_with(refusal), "{listener}: {said:?}");
        // One reply for one line, and the session goes on.
        wire.send(b"QUIT\r\n");
        let rest = String::from_utf8(wire.rest()).unwrap();
        assert_eq!(rest.lines().count(), 2, "{listener}: {rest:?}");
    }
    // In a body, a line as long as the message is no one's business.
    let mut smtp = server.smtp();
    smtp.deliver("a@b.example", &[BOB], &[b"X-Name: one line\r\n\r\n".as_slice(), &line.repeat(8), b"\r\n"].concat());
    assert!(server.mailbox_of(BOB, 1)[0].len() > 8 << 20);
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
}

fn a_message_beyond_the_limit_is_refused_by_its_word_and_by_its_deed(on: On) {
    let mut server = server(on);
    server.stop();
    server.edit("message_size = \"50MB\"", "message_size = \"1MB\"");
    server.serve();
    let mut smtp = server.smtp();
    smtp.smtp("MAIL FROM:<a@b.example> SIZE=1048577", 552);
    smtp.smtp("MAIL FROM:<a@b.example> SIZE=18446744073709551615", 552);
    // What no number holds does not become a small one.
    smtp.smtp("MAIL FROM:<a@b.example> SIZE=18446744073709551616", 552);
    smtp.smtp("MAIL FROM:<a@b.example> SIZE=18446744073709551716", 552);
    smtp.smtp("MAIL FROM:<a@b.example> SIZE=99999999999999999999999999999999999999", 501);
    smtp.smtp("MAIL FROM:<a@b.example> SIZE=-1", 501);
    let reply = smtp.try_deliver("a@b.example", &[BOB], &message::message("too large", 3 << 20)).unwrap();
    assert!(reply.starts_with("552 "), "{reply}");
    // A chunk's length that no number holds.
    smtp.smtp("MAIL FROM:<a@b.example>", 250);
    smtp.smtp("RCPT TO:<bob@example.org>", 250);
    smtp.send(b"BDAT 18446744073709551617 LAST\r\n");
    assert!(smtp.line().starts_with('5'));
    server.assert_alive(BOB);
}

fn nothing_is_carried_over_into_tls(on: On) {
    let server = server(on);
    for (listener, hello, command) in [("smtp", "EHLO x\r\n", "STARTTLS"), ("pop3", "NOOP\r\n", "STLS")] {
        let mut wire = server.connect(listener);
        wire.send(hello.as_bytes());
        match listener {
            "smtp" => _ = wire.reply(250),
            _ => _ = wire.line(),
        }
        // What stands behind the command in the clear is refused together with it.
        let injected = match listener {
            "smtp" => "MAIL FROM:<evil@b.example>",
            _ => "USER evil",
        };
        wire.send(format!("{command}\r\n{injected}\r\n").as_bytes());
        let said = wire.line();
        assert!(said.starts_with('5') || said.starts_with("-ERR"), "{listener}: {said:?}");
        wire.finish();
        wire.rest();
    }
    server.assert_alive(BOB);
}

fn only_the_strict_end_ends_a_message(on: On) {
    let server = server(on);
    let ends: [&[u8]; 6] = [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r\r\n", b"\r\n\0.\r\n"];
    for end in ends {
        let mut smtp = server.smtp();
        smtp.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n");
        (0..2).for_each(|_| _ = smtp.reply(250));
        smtp.reply(354);
        smtp.send(b"Subject: outer\r\n\r\nouter");
        smtp.send(end);
        smtp.send(b"MAIL FROM:<admin@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n");
        let verdict = smtp.try_reply().unwrap().pop().unwrap();
        assert!(verdict.starts_with('2') || verdict.starts_with('5'), "{verdict}");
        smtp.send(b"QUIT\r\n");
        let rest = String::from_utf8(smtp.rest()).unwrap();
        assert_eq!(rest.lines().count(), 1, "{end:?}: one message, one verdict: {rest}");
    }
    for stored in server.mailbox(BOB) {
        let text = String::from_utf8_lossy(&stored).into_owned();
        assert!(text.contains("Return-Path: <a@b.example>"), "{text}");
    }
}

fn nobody_relays_through_us(on: On) {
    let server = server(on);
    let mut smtp = server.smtp();
    for recipient in [
        "<victim@elsewhere.example>",
        "<victim%elsewhere.example@example.org>",
        "<@example.org:victim@elsewhere.example>",
        "<\"victim@elsewhere.example\"@example.org>",
        "<victim@[203.0.113.9]>",
        "<elsewhere.example!victim@example.org>",
    ] {
        smtp.smtp("MAIL FROM:<bob@example.org>", 250);
        smtp.send(format!("RCPT TO:{recipient}\r\n").as_bytes());
        let said = smtp.line();
        assert!(said.starts_with("55"), "{recipient}: {said}");
        smtp.smtp("RSET", 250);
    }
    assert!(server.queue().is_empty());
}

fn peers_that_never_read_cost_little(on: On) {
    let server = server(on);
    server.smtp().deliver("a@b.example", &[BOB], &message::message("large", 20 << 20));
    server.mailbox_of(BOB, 1);
    let before = warm_peak(&server);
    // One asks for 400 MB and takes none of it; it holds the mailbox meanwhile.
    let mut pop = server.pop3(BOB);
    pop.send(&b"RETR 1\r\n".repeat(20));
    // Fifty talk on and on, and hear nothing.
    let deaf: Vec<Wire> = (0..50)
        .map(|_| {
            let mut wire = server.smtp();
            wire.stream().set_nonblocking(true).unwrap();
            let help = b"EHLO client.example\r\n".repeat(4_000);
            (0..100).take_while(|_| wire.try_send(&help).is_ok()).count();
            wire
        })
        .collect();
    let mut smtp = server.smtp();
    smtp.deliver("a@b.example", &[BOB], b"Subject: meanwhile\r\n\r\nhi\r\n");
    let rise = server.peak_kib() - before;
    assert!(rise < RISE, "+{rise} KiB");
    drop(deaf);
    drop(pop);
    until("the mailbox is free again", || server.try_pop3(BOB).is_ok());
    server.assert_alive(BOB);
}

fn connections_that_come_and_go_leave_nothing(on: On) {
    let server = server(on);
    server.assert_alive(BOB);
    let sockets = server.sockets();
    for round in 0..10 {
        for (_, address) in server.addresses() {
            let wires: Vec<Wire> = (0..20).map(|_| Wire::connect(address)).collect();
            for (n, wire) in wires.iter().enumerate() {
                let mut stream = wire.stream();
                match (n + round) % 4 {
                    0 => {}
                    1 => _ = stream.write_all(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n"),
                    2 => _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
                    _ => _ = stream.shutdown(Shutdown::Write),
                }
            }
        }
        drop(control(&server));
    }
    until("all are gone", || server.sockets() <= sockets + 2);
    server.assert_alive(BOB);
}

fn what_strangers_say_does_not_reach_the_log_raw(on: On) {
    let server = server(on);
    let mut pop = server.connect("pop3");
    pop.send(b"USER \x1b[31mred\x07\xff\r\n");
    pop.line();
    pop.send(b"PASS x\r\n");
    pop.line();
    let mut smtp = server.smtp();
    smtp.send(b"MAIL FROM:<\"\x1b[2J\"@b.example>\r\nRCPT TO:<\x07@example.org>\r\nRCPT TO:<\"a\rb\"@example.org>\r\n");
    (0..3).for_each(|_| _ = smtp.try_reply());
    server.assert_alive(BOB);
    let log = server.log();
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
}

fn a_corrupt_tail_costs_no_other_mail(on: On) {
    let mut server = server(on);
    let sizes = [2_000, 500_000, 3_000];
    let mut smtp = server.smtp();
    for (n, size) in sizes.into_iter().enumerate() {
        smtp.deliver("a@b.example", &[BOB], &message::message(&format!("m{n}"), size));
    }
    server.kill();
    // What a torn write leaves behind the last record: garbage.
    let segment = last_segment(&server);
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    bytes.extend_from_slice(&garbage(3, 100_000));
    std::fs::write(&segment, &bytes).unwrap();
    server.serve();
    let names = |server: &Server, count| -> Vec<String> {
        server.mailbox_of(BOB, count).iter().map(|stored| message::name_of(stored)).collect()
    };
    assert_eq!(names(&server, 3), ["m0", "m1", "m2"]);
    server.logged("not closed properly");
    // New mail is written over the garbage.
    server.smtp().deliver("a@b.example", &[BOB], &message::message("m3", 50_000));
    assert_eq!(names(&server, 4), ["m0", "m1", "m2", "m3"]);
    server.stop();

    // Something else cut the last message in half: it alone is lost, and the log says so.
    let segment = last_segment(&server);
    let bytes = std::fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    std::fs::write(&segment, &bytes[..last - 20_000]).unwrap();
    server.serve();
    server.logged("shorter than it was written");
    let mut pop = server.pop3(BOB);
    assert_eq!(pop.count(), 4);
    for (n, name) in [(1, "m0"), (2, "m1"), (3, "m2")] {
        assert_eq!(message::name_of(&pop.multiline(&format!("RETR {n}"))), name);
    }
    pop.send(b"RETR 4\r\nNOOP\r\n");
    let said = pop.line();
    match said.starts_with("-ERR") {
        true => assert!(pop.line().starts_with("+OK")),
        // It had begun: then it ends without the final dot.
        false => assert!(!String::from_utf8_lossy(&pop.rest()).contains("\r\n.\r\n")),
    }
    drop(pop);
    server.smtp().deliver("a@b.example", &[BOB], &message::message("m4", 500));
    until("the mailbox is free", || server.try_pop3(BOB).is_ok());
    assert_eq!(message::name_of(&server.pop3(BOB).multiline("RETR 5")), "m4");
}

fn last_segment(server: &Server) -> PathBuf {
    let folder = std::fs::read_dir(server.data().join("segments")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    files.filter(|path| path.metadata().unwrap().len() > 0).max().unwrap()
}

fn without_dns_mail_waits_in_the_queue(on: On) {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut server = Server::make(on, "example.org", &["bob"]);
    // It is bound, and silent.
    server.ask(nobody.local_addr().unwrap());
    server.serve();
    server.submission(BOB).deliver(BOB, &["far@remote.example"], b"Subject: waits\r\n\r\nhi\r\n");
    let waits = |least: u64| {
        let rows = server.queue();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((&rows[0]["from"], &rows[0]["to"]), (&BOB.into(), &"far@remote.example".into()));
        rows[0]["attempts"].as_u64().unwrap() >= least && rows[0]["last_reply"].as_str().unwrap().contains("DNS")
    };
    until("it was tried", || waits(1));
    // Meanwhile local mail flows, and nobody is told of a failure.
    server.assert_alive(BOB);
    let id = server.queue()[0]["id"].as_str().unwrap().to_owned();
    server.ok(&["queue", "remove", &id]);
    assert!(server.queue().is_empty());
}

fn a_full_disk_refuses_and_recovers(on: On) {
    let Some(server) = cramped(on, 80) else { return };
    let mut kept = 0;
    let mut smtp = server.smtp();
    let mut send = |size| smtp.try_deliver("a@b.example", &[BOB], &message::message("fill", size)).unwrap();
    // Inline bodies and those with a file of their own.
    for size in [100_000, 1_000_000].into_iter().cycle() {
        let reply = send(size);
        if !reply.starts_with("250 ") {
            assert!(reply.starts_with("452 ") || reply.starts_with("451 "), "{reply}");
            break;
        }
        kept += 1;
        assert!(kept < 1_000, "the disk is never full");
    }
    // What was taken is there, and can be deleted.
    let mut pop = server.pop3(BOB);
    assert_eq!(pop.count(), kept);
    message::name_of(&pop.multiline("RETR 2"));
    for n in 1..=kept / 2 {
        pop.pop3(&format!("DELE {n}"));
    }
    pop.pop3("QUIT");
    until("mail is taken again", || send(100_000).starts_with("250 "));

    // Somebody else fills the disk to its last block, and takes what the store still gives back of what was deleted.
    let mut glutton = Glutton::at(&server);
    for size in [500, 100_000, 1_000_000] {
        until("no more is taken", || {
            glutton.eat();
            let reply = send(size);
            let refused = reply.starts_with("452 ") || reply.starts_with("451 ");
            assert!(refused || reply.starts_with("250 "), "{size}: {reply}");
            refused
        });
    }
    let mut pop = server.pop3(BOB);
    let count = pop.count();
    message::name_of(&pop.multiline("RETR 1"));
    pop.pop3("DELE 1");
    pop.pop3("QUIT");
    glutton.leave();
    until("mail is taken again", || send(1_000_000).starts_with("250 "));
    let stored = server.mailbox(BOB);
    assert_eq!(stored.len(), count);
    stored.iter().for_each(|stored| _ = message::name_of(stored));
}

fn signals_and_quick_restarts(on: On) {
    let mut server = server(on);
    for _ in 0..3 {
        // While somebody is connected and does nothing, and somebody is in the middle of a message.
        let mut idle = server.smtp();
        let mut busy = server.smtp();
        busy.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n");
        (0..2).for_each(|_| _ = busy.reply(250));
        busy.reply(354);
        server.signal(rustix::process::Signal::TERM);
        idle.reply(421);
        // Who stays on the line is waited for.
        drop(idle);
        // The one at work may finish.
        busy.send(b"Subject: last\r\n\r\nhi\r\n.\r\n");
        busy.reply(250);
        busy.reply(421);
        drop(busy);
        assert!(server.wait().success());
        server.serve();
    }
    server.mailbox_of(BOB, 3);
    let reader = thread::spawn({
        let mut pop = server.pop3(BOB);
        move || pop.rest()
    });
    server.signal(rustix::process::Signal::INT);
    assert!(server.wait().success());
    reader.join().unwrap();
}
