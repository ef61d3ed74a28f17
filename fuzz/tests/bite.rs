//! The targets are tested: each of their three promises can be broken, and who breaks one is found.
//!
//! The sessions are the toys that the laws are tested with, each with a fault of its own; the readers are small, and each is
//! bad in one way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pillarbox_fuzz::gauge::{Allowance, Steps, linear};
use pillarbox_fuzz::pieces::ways;
use pillarbox_fuzz::session;
use pillarbox_tests::alloc::Counting;

#[path = "../../tests/tests/toy/mod.rs"]
#[allow(dead_code, reason = "it has faults that only the laws look for")]
mod toy;

use toy::Fault;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Faults that break a promise of a session's target, and the law that they break with it.
const FAULTS: [(usize, Fault); 12] = [
    (1, Fault::FlipFlop),
    (1, Fault::Procrastinates),
    (1, Fault::Fidgets),
    (2, Fault::Slides),
    (2, Fault::Snoozes),
    (2, Fault::Early),
    (3, Fault::Impatient),
    (3, Fault::Counts),
    (6, Fault::Haunted),
    (7, Fault::Panics),
    (7, Fault::Forgets),
    (7, Fault::Undead),
];

/// Scripts as a fuzzer finds them: `session/script.rs` says what the octets from f8 on stand for.
const SCRIPTS: [&[u8]; 5] = [
    b"\nECHO one\r\nASK first\r\nECHO two\r\n\xf8yes\xffASK second\r\n\xfa\x00ECHO x\r\nQUIT\r\n",
    b"\nSET x\r\nECHO y\r\n\xf8done\xffASK a\r\nASK b\r\n\xf9no\xf8yes\xfb\x00",
    b"\nBODY 10\r\n01234\xf8taken\xff56789ECHO more\r\n\xf8taken\xfb\x01",
    b"high_water=300\nGET 5000\r\n\xf8\x00\xf8\x00\xf8\x00\xfa\x09QUIT\r\n",
    b"\nECHO \xf7 again and again\r\n\xfe\x0cQUIT\r\n",
];

fn lives(script: &[u8], fault: Fault) {
    session::run::<toy::Subject>(script, "toy", &[("fault", &format!("{fault:?}"))]);
}

fn is_found(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

#[test]
fn a_sound_session_holds() {
    SCRIPTS.iter().for_each(|script| lives(script, Fault::None));
}

#[test]
fn a_session_with_a_fault_is_found() {
    let missed: Vec<Fault> = FAULTS
        .iter()
        .map(|(_, fault)| *fault)
        .filter(|fault| !SCRIPTS.iter().any(|script| is_found(|| lives(script, *fault))))
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// What a reader of lines makes of these pieces.
type Reader = fn(&[&[u8]]) -> Vec<Vec<u8>>;

/// As every target of a reader looks at it.
fn hold(reader: Reader, input: &[u8]) {
    let whole = linear(input.len(), Allowance::of(100, 4096), || reader(&[input]));
    for pieces in ways(input) {
        assert_eq!(reader(&pieces), whole);
    }
}

fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut steps = Steps::of(pieces.iter().map(|piece| piece.len()).sum(), 1, 1);
    let all = pieces.concat();
    all.split_inclusive(|octet| *octet == b'\n').inspect(|_| steps.step()).map(<[u8]>::to_vec).collect()
}

/// It panics at a line that is empty.
fn dislikes(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    lines(pieces).into_iter().inspect(|line| assert_ne!(line[0], b'\n')).collect()
}

/// What has come is a line.
fn hurries(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    pieces.iter().flat_map(|piece| lines(&[piece])).collect()
}

/// It begins anew with every line.
fn begins_anew(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let all = pieces.concat();
    let mut steps = Steps::of(all.len(), 4, 16);
    let count = lines(pieces).len();
    (0..count)
        .map(|n| {
            all.split_inclusive(|octet| *octet == b'\n').inspect(|_| steps.step()).nth(n).expect("it is there").into()
        })
        .collect()
}

/// It copies all that there is for every line, and keeps none of it.
fn copies(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    lines(pieces).into_iter().inspect(|_| drop(pieces.concat())).collect()
}

/// It keeps what there was with every line.
fn hoards(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let copies: Vec<_> = lines(pieces).iter().map(|_| pieces.concat()).collect();
    copies.iter().zip(lines(pieces)).map(|(_, line)| line).collect()
}

#[test]
fn a_reader_that_is_bad_is_found() {
    let input = b"a\nb\n\nlines, and a rest".repeat(500);
    hold(lines, &input);
    for (what, bad) in [
        ("panics", dislikes as Reader),
        ("cuts lines where its input is cut", hurries),
        ("takes more steps than there are octets", begins_anew),
        ("allocates more than there are octets", copies),
        ("holds more than there are octets", hoards),
    ] {
        assert!(is_found(|| hold(bad, &input)), "nobody sees that it {what}");
    }
}
