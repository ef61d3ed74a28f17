//! Mail that is read where it is kept: several devices with one mailbox, large messages in and out, and how it ends.

use std::time::Duration;

use pillarbox_core::node::Event;
use pillarbox_core::session::End;
use pillarbox_runtime::{GateLimits, Run};

use crate::provider::{Opening, until};
use crate::talk::Talk;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nHello, world\r\n";

/// So many octets that no two buffers on the way hold them.
const MUCH: usize = 12 << 20;

fn large() -> Vec<u8> {
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    while message.len() < MUCH {
        message.extend_from_slice(format!("{:0998}\r\n", message.len()).as_bytes());
    }
    message
}

/// What comes by SMTP and what one device does, the other is told at once: on the same worker, and on another.
pub(crate) fn one_mailbox_on_two_devices(run: Run) {
    for workers in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let opening = Opening::new("amber.example").kept_in(folder.path()).workers(workers).accounts(&["bob"]);
        let amber = opening.on(run);
        let (mut desk, mut phone) = (Talk::reader(amber.imap, "bob"), Talk::reader(amber.imap, "bob"));
        phone.say("i IDLE", "+ ");
        Talk::smtp(amber.smtp).give("x@client.example", "bob@amber.example", MESSAGE);
        phone.lines_until(|line| line == "* 1 EXISTS");
        desk.append(MESSAGE);
        phone.lines_until(|line| line == "* 2 EXISTS");
        desk.imap("STORE 2 +FLAGS (\\Flagged)");
        phone.lines_until(|line| line.starts_with("* 2 FETCH (FLAGS (\\Flagged"));
        desk.imap("STORE 1 +FLAGS.SILENT (\\Deleted)");
        desk.imap("EXPUNGE");
        phone.lines_until(|line| line == "* 1 EXPUNGE");
        phone.say("DONE", "i OK");
        // And the other way round.
        desk.say("i IDLE", "+ ");
        phone.imap("STORE 1 +FLAGS.SILENT ($Work)");
        desk.lines_until(|line| line == "* 1 FETCH (FLAGS (\\Flagged \\Recent $Work))");
        drop((desk, phone));
        amber.stop();
    }
}

/// Some megabytes in and out, as they were.
pub(crate) fn large_append_and_fetch(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let amber = Opening::new("amber.example").kept_in(folder.path()).accounts(&["bob"]).on(run);
    let message = large();
    let mut talk = Talk::reader(amber.imap, "bob");
    talk.append(MESSAGE);
    talk.append(&message);
    assert!(talk.fetch("2 BODY.PEEK[]") == message, "altered");
    assert!(talk.fetch("2 BODY.PEEK[]<1000000.3000000>") == message[1_000_000..4_000_000], "altered in part");
    assert_eq!(talk.fetch("1 BODY.PEEK[]"), MESSAGE);
    talk.imap("COPY 2 INBOX");
    assert!(talk.fetch("3 BODY.PEEK[]") == message, "altered by copying");
    talk.say("tag LOGOUT", "* BYE");
    amber.stop();
}

/// Whoever takes little at a time gets all of it, and others go on meanwhile.
pub(crate) fn slow_reader_of_much(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let amber = Opening::new("amber.example").kept_in(folder.path()).accounts(&["bob"]).on(run);
    let message = large();
    Talk::reader(amber.imap, "bob").append(&message);
    let mut slow = Talk::narrow(amber.imap);
    slow.reply("* OK");
    slow.imap("LOGIN bob bob");
    slow.imap("SELECT INBOX");
    slow.send(b"x FETCH 1 BODY.PEEK[]\r\n");
    let mut other = Talk::reader(amber.imap, "bob");
    other.append(MESSAGE);
    other.imap("STORE 1 +FLAGS (\\Seen)");
    let (_, line) = slow.lines_until(|line| line.ends_with('}'));
    assert!(line.contains(&format!("{{{}}}", message.len())), "{line}");
    let (lines, _) = slow.lines_until(|line| line.starts_with("x OK"));
    assert!(lines.len() > message.len() / 1001);
    amber.stop();
}

/// Who waits for mail is told when the server stops; whoever is in the middle of something may end it.
pub(crate) fn readers_are_told_of_the_end(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let amber = Opening::new("amber.example").kept_in(folder.path()).accounts(&["bob"]).on(run);
    let (mut idle, mut busy) = (Talk::reader(amber.imap, "bob"), Talk::reader(amber.imap, "bob"));
    idle.say("i IDLE", "+ ");
    busy.send(format!("tag APPEND INBOX {{{}+}}\r\n", MESSAGE.len()).as_bytes());
    amber.drain(Duration::from_secs(600));
    idle.reply("* BYE ");
    idle.ends();
    busy.lines_until(|line| line.starts_with("* BYE "));
    busy.ends();
    amber.join();
}

/// A peer that vanishes in the middle of a message: nothing of it stays, and its place is free.
pub(crate) fn vanished_in_append(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let gate = GateLimits { total: 1, ..GateLimits::default() };
    let opening = Opening::new("amber.example").kept_in(folder.path()).gate(gate).accounts(&["bob"]);
    let amber = opening.on(run);
    let mut talk = Talk::reader(amber.imap, "bob");
    talk.say(&format!("tag APPEND INBOX {{{MUCH}}}"), "+ ");
    talk.send(&vec![b'x'; MUCH / 2]);
    talk.vanish();
    amber.heard.hears("broken session", |event| matches!(event, Event::Ended { end: End::Broken, .. }));
    // The place is free when the gate has counted, which is a moment later.
    let next = until("free place", || {
        let mut talk = Talk::connect(amber.imap);
        talk.line().filter(|line| line.starts_with("* OK ")).map(|_| talk)
    });
    let mut talk = next.reads("bob");
    assert_eq!(talk.imap("STATUS INBOX (MESSAGES)"), ["* STATUS INBOX (MESSAGES 0)"]);
    drop(talk);
    amber.stop();
    assert_eq!(std::fs::read_dir(folder.path().join("bodies")).unwrap().count(), 0, "half a message is left");
}
