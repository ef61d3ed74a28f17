//! Looks for inputs that cost more than they are long: pieces of the inputs of the corpora are repeated, more and more often,
//! and the time of each run is measured. `growth [TARGET...]` prints those whose cost grows faster than their length.
//!
//! It is no test: time is not the same on every machine. It finds what the targets' own counts of steps and bytes cannot see.

use std::time::{Duration, Instant};

use pillarbox_fuzz::{TARGETS, Target, corpus};

/// Lengths that are compared: the second is so many times the first.
const LENGTH: usize = 16 * 1024;
const TIMES: usize = 4;

/// How many times the time of the shorter run the longer may take. Linear is [`TIMES`], quadratic its square.
const MOST: f64 = 9.0;

/// Below this a run says nothing.
const SHORT: Duration = Duration::from_millis(4);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for target in TARGETS.iter().filter(|target| wanted.is_empty() || wanted.iter().any(|name| name == target.name)) {
        let mut worst = (0.0, String::new());
        for input in inputs(target) {
            for (how, grown) in pumps(&input) {
                let growth = growth(target, &grown);
                if growth > worst.0 {
                    worst = (growth, format!("{how} of {}", input.escape_ascii()));
                }
            }
        }
        let verdict = if worst.0 > MOST { "GROWS" } else { "ok" };
        println!("{:16} {verdict}: {:.1} times for {TIMES} times the length: {:.200}", target.name, worst.0, worst.1);
    }
}

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    corpus::read(target).unwrap_or_else(|e| panic!("{e}")).into_iter().map(|input| input.octets).collect()
}

/// Parts of the input that are to be repeated: before, what, and behind.
type Pump<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Ways to make an input longer: all of it, its middle, and each of some lines.
fn pumps(input: &[u8]) -> Vec<(&'static str, Pump<'_>)> {
    let third = input.len() / 3;
    let mut pumps: Vec<(&'static str, Pump<'_>)> = vec![
        ("all", (&[], input, &[])),
        ("the end", (&input[..2 * third], &input[2 * third..], &[])),
        ("the middle", (&input[..third], &input[third..input.len() - third], &input[input.len() - third..])),
        ("an octet", (&input[..third], &input[third..=third], &input[third + 1..])),
    ];
    let ends: Vec<usize> =
        input.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1).collect();
    for two in ends.windows(2).take(6) {
        pumps.push(("a line", (&input[..two[0]], &input[two[0]..two[1]], &input[two[1]..])));
    }
    pumps.retain(|(_, (_, what, _))| !what.is_empty());
    pumps
}

fn growth(target: &Target, pump: &Pump<'_>) -> f64 {
    let one = time(target, &grown(pump, LENGTH));
    let more = time(target, &grown(pump, TIMES * LENGTH));
    if more < SHORT { 0.0 } else { more.as_secs_f64() / one.as_secs_f64().max(1e-6) }
}

fn grown((before, what, behind): &Pump<'_>, length: usize) -> Vec<u8> {
    [before, &what.repeat(length / what.len())[..], behind].concat()
}

/// The better of two.
fn time(target: &Target, input: &[u8]) -> Duration {
    let run = || {
        let begun = Instant::now();
        (target.run)(input);
        begun.elapsed()
    };
    run().min(run())
}
