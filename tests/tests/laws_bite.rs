//! The tests are tested: a sound toy passes every law, and each way to break it is found by the law it breaks.

use std::path::Path;

use pillarbox_tests::dialogue::{self, Dialogue};
use pillarbox_tests::laws;

mod toy;

use toy::{Fault, Subject};

#[global_allocator]
static COUNTING: pillarbox_tests::alloc::Counting = pillarbox_tests::alloc::Counting;

/// Every fault, and the law it breaks.
const FAULTS: [(usize, Fault); 23] = [
    (1, Fault::FlipFlop),
    (1, Fault::Procrastinates),
    (1, Fault::Fidgets),
    (2, Fault::Slides),
    (2, Fault::Snoozes),
    (2, Fault::Early),
    (3, Fault::Impatient),
    (3, Fault::Counts),
    (4, Fault::Gullible),
    (4, Fault::Disorderly),
    (4, Fault::Faithful),
    (4, Fault::Liar),
    (4, Fault::Forgiving),
    (5, Fault::Hoards),
    (5, Fault::Floods),
    (5, Fault::Endless),
    (5, Fault::Heedless),
    (5, Fault::Gulps),
    (6, Fault::Haunted),
    (7, Fault::Panics),
    (7, Fault::Forgets),
    (7, Fault::Undead),
    (7, Fault::Stubborn),
];

const STORY: &str = r#"
# All that the toy can do.
machine: toy
set: high_water=1000 chunk=4096
---
S: +hello
C: ECHO one
S: +one
C: ASK first
C: ECHO two
C: ASK second
C: ASK first
A: ask first
R: yes
S: +yes
S: +two
A: ask second
A: ask first
R1: no
S: -no
R: yes
S: +yes
C: SET x
A: set x
! after 10s
R: done
S: +done
C: BODY 10
C| 0123\n5
A: chunk "0123"
R: taken
A: chunk "\n5"
R: taken
C| 6789ECHO more\r\n
A: chunk "6789"
R: taken
S: +10 bytes
S: +more
C: GET 5000
A: read 4096 at 0
R: bytes "0123456789abcdef" * 256
S*256| 0123456789abcdef
A: read 904 at 4096
R: bytes "x" * 500
S*500| x
A: read * at 4596
R: bytes "y" * 404
S*404| y
S| \r\n.\r\n
C: TLS
C: ECHO smuggled
S: -early
S: +smuggled
C: TLS
S: +go
! upgrade tls
C: WHAT
S: -*
C: ASK slow
A: ask slow
! after 1m
S: -timeout
C: QUIT
S: +bye
A: unlock
E: quit
"#;

const IDLE: &str = "machine: toy\n---\nS: +hello\nC: ECHO a\nS: +a\n! after 59s\n! after 1s\nS: -idle\nE: timeout\n";

const CUT_OFF: &str = "machine: toy\n---\nS: +hello\nC: SET a\nA: set a\nR: failed\nS: -failed\nC: ECHO a\n! error\n\
    A: unlock\nE: connection broken\n";

const UNCONFIRMED: &str = "machine: toy\nset: commit_timeout=70\n---\nS: +hello\nC: SET a\nC: ECHO b\nA: set a\n! after 70s\n\
    A: unlock\nE: unconfirmed\n";

const EOF: &str = "machine: toy\n---\nS: +hello\nC: ECHO a\nC| ECHO half\n! eof\nS: +a\nE: closed by peer\n";

fn stories() -> Vec<Dialogue> {
    let parse = |(number, source): (usize, &&str)| Dialogue::parse(Path::new(&format!("toy-{number}")), source);
    [STORY, IDLE, CUT_OFF, UNCONFIRMED, EOF]
        .iter()
        .enumerate()
        .map(|story| parse(story).unwrap_or_else(|e| panic!("{e}")))
        .collect()
}

#[test]
fn a_sound_toy_passes() {
    for dialogue in stories() {
        let story = dialogue::run::<Subject>(&dialogue).unwrap_or_else(|e| panic!("{e}"));
        for law in laws::all::<Subject>() {
            law(&dialogue, &story).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

#[test]
fn every_fault_is_found_by_its_law() {
    // One fault is a panic, tried again and again until its input is small: nobody wants to read that.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(toy::DISLIKE) {
            hook(info);
        }
    }));
    let stories: Vec<_> = stories()
        .into_iter()
        .map(|dialogue| (dialogue::run::<Subject>(&dialogue).unwrap_or_else(|e| panic!("{e}")), dialogue))
        .collect();
    let mut missed = Vec::new();
    for (number, fault) in FAULTS {
        let law = laws::all::<Subject>()[number - 1];
        let found = stories.iter().any(|(story, dialogue)| {
            let mut broken = dialogue.clone();
            broken.settings.set("fault", format!("{fault:?}"));
            law(&broken, story).is_err()
        });
        if !found {
            missed.push((number, fault));
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn a_failure_says_where_and_what() {
    let source = "machine: toy\n---\nS: +hello\nC: ASK a\nA: ask b\nR: yes\nS: +yes\n";
    let dialogue = Dialogue::parse(Path::new("some/where.txt"), source).expect("a dialogue");
    let failure = dialogue::run::<Subject>(&dialogue).expect_err("the toy asks for a");
    let expected = "some/where.txt:5: \nexpected: A: ask b\n     got: A: ask a (a question)\nso far:\n    S: +hello\n    C: ASK a\n";
    assert!(failure.starts_with(expected), "{failure}");
}
