//! How connections and servers end: drained, broken off, crowded out, and never before the last word is heard.

use std::time::Duration;

use pillarbox_core::node::Event;
use pillarbox_core::session::End;
use pillarbox_runtime::{GateLimits, Run, listen};

use crate::provider::{Opening, until};
use crate::talk::Talk;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nHello, world\r\n";

/// Idle sessions are told so at once, the port is free, and who is giving a message may finish.
pub(crate) fn drain(run: Run) {
    let amber = Opening::new("amber.example").accounts(&["bob"]).on(run);
    let (mut idle, mut busy) = (Talk::smtp(amber.smtp), Talk::smtp(amber.smtp));
    busy.say("MAIL FROM:<x@client.example>", "250 ");
    busy.say("RCPT TO:<bob@amber.example>", "250 ");
    busy.say("DATA", "354 ");
    let mut maildrop = Talk::connect(amber.pop3);
    maildrop.reply("+OK");
    amber.drain(Duration::from_secs(600));
    idle.reply("421 4.3.2");
    idle.ends();
    maildrop.rest();
    drop(maildrop);
    // Somebody else may have the port, while a session still runs.
    let next = until("free port", || listen(amber.smtp).ok());
    drop(next);
    busy.send(MESSAGE);
    busy.say(".", "250 ");
    busy.reply("421 4.3.2");
    busy.ends();
    amber.join();
}

/// Whoever does not end within the grace is cut off.
pub(crate) fn drain_cuts_off(run: Run) {
    let amber = Opening::new("amber.example").accounts(&["bob"]).on(run);
    let mut busy = Talk::smtp(amber.smtp);
    busy.say("MAIL FROM:<x@client.example>", "250 ");
    busy.say("RCPT TO:<bob@amber.example>", "250 ");
    busy.say("DATA", "354 ");
    amber.drain(Duration::from_millis(50));
    assert!(busy.is_gone());
    amber.join();
}

/// A peer that vanishes in the middle of a message: nothing of it stays, and its place is free.
pub(crate) fn vanished_in_data(run: Run) {
    let gate = GateLimits { total: 1, ..GateLimits::default() };
    let amber = Opening::new("amber.example").accounts(&["bob"]).gate(gate).on(run);
    let mut talk = Talk::smtp(amber.smtp);
    talk.say("MAIL FROM:<x@client.example>", "250 ");
    talk.say("RCPT TO:<bob@amber.example>", "250 ");
    talk.say("DATA", "354 ");
    talk.send(MESSAGE);
    talk.vanish();
    amber.heard.hears("broken session", |event| matches!(event, Event::Ended { end: End::Broken, .. }));
    let mut next = until("free place", || {
        let mut talk = Talk::connect(amber.smtp);
        let greeting = talk.line().unwrap();
        greeting.starts_with("220 ").then_some(talk)
    });
    next.say("QUIT", "221 ");
    next.ends();
    until("free place", || Talk::connect(amber.pop3).line().filter(|line| line.starts_with("+OK")));
    amber.stop();
}

/// A peer that still talks when all is said hears our last word nonetheless, and no reset before it.
pub(crate) fn last_word_is_heard(run: Run) {
    let amber = Opening::new("amber.example").on(run);
    for _ in 0..8 {
        let mut talk = Talk::smtp(amber.smtp);
        let mut flood = b"QUIT\r\n".to_vec();
        flood.resize(500_000, b'x');
        talk.send(&flood);
        talk.reply("221 ");
        talk.send(b"NOOP\r\n");
        talk.ends();
    }
    amber.stop();
}

/// A peer that closes its side behind its commands hears all the answers.
pub(crate) fn half_closed_peer_hears_all(run: Run) {
    let amber = Opening::new("amber.example").accounts(&["bob"]).on(run);
    let mut talk = Talk::connect(amber.smtp);
    let commands = b"EHLO client.example\r\nMAIL FROM:<x@client.example>\r\nRCPT TO:<bob@amber.example>\r\nDATA\r\n";
    talk.reply("220 ");
    talk.send(commands);
    for expected in ["250 ", "250 ", "250 ", "354 "] {
        talk.reply(expected);
    }
    talk.send(b"Subject: x\r\n\r\ny\r\n.\r\nNOOP\r\n");
    talk.finish();
    talk.reply("250 2.0.0");
    talk.reply("250 2.0.0");
    talk.ends();
    assert_eq!(amber.fetch("bob").len(), 1);
    amber.stop();
}

/// One too many is told so; beyond, there is not a word.
pub(crate) fn crowd(run: Run) {
    let gate = GateLimits { total: 2, per_address: 10, crowd: 1 };
    let amber = Opening::new("amber.example").gate(gate).on(run);
    let within = [Talk::smtp(amber.smtp), Talk::smtp(amber.smtp)];
    let mut crowded = Talk::connect(amber.smtp);
    crowded.reply("421 4.3.2");
    crowded.ends();
    drop(within);
    until("free place", || Talk::connect(amber.smtp).line().filter(|line| line.starts_with("220 ")));
    amber.stop();
}

/// So is whoever has too many already.
pub(crate) fn crowd_from_one_address(run: Run) {
    let gate = GateLimits { per_address: 1, ..GateLimits::default() };
    let amber = Opening::new("amber.example").gate(gate).on(run);
    let mut first = Talk::smtp(amber.smtp);
    let mut second = Talk::connect(amber.smtp);
    second.reply("421 4.3.2");
    second.ends();
    first.say("NOOP", "250 ");
    first.say("QUIT", "221 ");
    first.ends();
    amber.stop();
}
