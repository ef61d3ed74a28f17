//! The demonstration, as a user starts it: it verifies itself, says so, and leaves nothing behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{On, Said, binary, on_every_runtime, pillarbox};

on_every_runtime! {
    one worker:
        all_five_steps_are_verified,
        a_message_of_the_users_own_goes_the_same_way,
        both_servers_run_on_until_they_are_told_to_stop,
        an_interruption_half_way_leaves_nothing_behind;
    two workers:
        all_five_steps_are_verified;
}

fn demo(on: On, scratch: &Path, words: &[&str]) -> Command {
    let mut command = binary();
    // A place of its own, so that what is left behind is seen.
    command.arg("demo").args(on.arguments()).args(words).env("TMPDIR", scratch).env_remove("NO_COLOR");
    command.stdin(Stdio::null());
    command
}

fn run(on: On, words: &[&str]) -> Said {
    let scratch = tempfile::tempdir().unwrap();
    let said = Said::by(demo(on, scratch.path(), words), "");
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?} was left behind");
    said
}

/// The lines are there, in this order.
fn in_order(text: &str, lines: &[&str]) {
    let mut rest = text;
    for line in lines {
        let Some(at) = rest.find(line) else { panic!("{line:?} is missing, or too early, in:\n{text}") };
        rest = &rest[at + line.len()..];
    }
}

const STEPS: &[&str] = &[
    "━━ 1  To a neighbour",
    "C: AUTH PLAIN ****",
    "C: RCPT TO:<bob@amber.example>",
    "bob  C: RETR 1",
    "✓ bob has",
    "━━ 2  To another provider",
    "Q: MX birch.example",
    "A: 10 mx.birch.example",
    "amber  C: EHLO mx.amber.example",
    "birch  S: 220 2.0.0 Ready to start TLS",
    "amber  C: RCPT TO:<carol@birch.example>",
    "carol  C: RETR 1",
    "✓ carol has",
    "━━ 3  To a server that is down",
    "to            carol@birch.example",
    "No connection to mx.birch.example",
    "carol  C: RETR 2",
    "✓ The message waited",
    "━━ 4  To nobody",
    "birch  S: 550 5.1.1",
    "S: Return-Path: <>",
    "│ <nobody@birch.example>",
    "✓ alice knows",
    "━━ 5  On two devices",
    "laptop  C: a1 LOGIN bob@amber.example ****",
    "laptop  C: a4 IDLE",
    "phone  C: a3 STORE 1 +FLAGS (\\Flagged)",
    "amber  S: * 1 FETCH (FLAGS (\\Flagged",
    "amber  S: * 2 EXISTS",
    "amber  S: * 2 EXISTS",
    "laptop  C: a6 MOVE 1 Archive",
    "amber  S: * 1 EXPUNGE",
    "✓ Both devices",
    "All five steps went as they should",
];

fn all_five_steps_are_verified(on: On) {
    let Said { code, out, err } = run(on, &["--once"]);
    assert_eq!(code, Some(0), "{out}\n{err}");
    in_order(&out, STEPS);
    in_order(&out, &["Käsekuchen am Samstag? 🍰", "C: ..oO(", "with summits.csv, stamp.png"]);
    assert!(!out.contains('\x1b'), "no colours where no terminal is");
    assert_eq!(err, "");
}

fn a_message_of_the_users_own_goes_the_same_way(on: On) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.eml");
    // LF, no LF at the end, octets of no charset, dots.
    let mut text = b"Subject: My own \x1b[31m\nX: gr\xfc\xdfe\n\n.\n..\n.dot\n".to_vec();
    (0..20_000).for_each(|n| text.extend_from_slice(format!("line {n}\n").as_bytes()));
    text.extend_from_slice(b"the end");
    std::fs::write(&file, text).unwrap();
    let Said { code, out, err } = run(on, &["--once", "--message", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}\n{err}");
    in_order(&out, STEPS);
    assert!(out.contains("Subject: My own ?[31m"), "nothing in a message moves the cursor");
    assert!(out.contains("more lines"));
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("none.eml");
    std::fs::write(&file, "no header here\n").unwrap();
    let file = file.to_str().unwrap();
    for (args, said) in [
        (&["--once", "--message", "/nonexistent.eml"][..], "cannot read /nonexistent.eml"),
        (&["--once", "--message", file], "its first line is no header field"),
    ] {
        let Said { code, out, err } = run(On::default(), args);
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(err.contains(said), "{err}");
        assert_eq!(out, "");
    }
}

#[test]
fn what_is_not_as_it_should_be_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("loop.eml");
    std::fs::write(&file, "Received: from here\n".repeat(120) + "Subject: Round and round\n\nHello\n").unwrap();
    let Said { code, out, err } = run(On::default(), &["--once", "--message", file.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{out}{err}");
    let expected = "step 1  To a neighbour: expected mx.amber.example to take the message, but there was: 554 5.4.6";
    assert!(err.contains(expected), "{err}");
    in_order(&out, &["━━ 1  To a neighbour", "more lines of the header", "amber  S: 554 5.4.6"]);
    assert!(!out.contains("✓"));
}

fn both_servers_run_on_until_they_are_told_to_stop(on: On) {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = demo(on, scratch.path(), &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // The last line before the servers are left alone.
    while !text.contains("pillarbox queue list --dir ") {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "{text}");
    }
    in_order(&text, STEPS);
    in_order(
        &text,
        &["Ctrl-C", "carol@birch.example", "password ", "send     SMTP", "read     IMAP", "receive  POP3", "pop3s://"],
    );
    let dir = text.rsplit_once("--dir ").unwrap().1.trim();
    let queue = pillarbox(&["queue", "list", "--dir", dir]);
    assert_eq!((queue.code, queue.out.as_str()), (Some(0), ""), "{queue:?}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    out.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

fn an_interruption_half_way_leaves_nothing_behind(on: On) {
    let scratch = tempfile::tempdir().unwrap();
    let mut child =
        demo(on, scratch.path(), &["--once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("1  To a neighbour") {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "{text}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    out.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_that_goes_away_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child =
        demo(On::default(), scratch.path(), &["--once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("1  To a neighbour") {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "{text}");
    }
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}
