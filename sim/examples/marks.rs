//! Which limits, refusals and ways back from trouble are never reached? Worlds are run, and the marks in the machines
//! counted; what was not reached must have its reason.
//!
//! ```text
//! just marks          # writes docs/marks.md
//! just marks 500      # fewer worlds
//! ```
#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use pillarbox_core::marks::{Mark, hits};
use pillarbox_sim::{RARE, Size, Swarm, UNREACHED};

/// Worlds in which each mark should be reached.
const WORLDS: u64 = 10_000;

fn main() -> ExitCode {
    let worlds = match std::env::args().nth(1).map(|word| word.parse()) {
        None => WORLDS,
        Some(Ok(worlds)) => worlds,
        Some(Err(_)) => {
            eprintln!("how many worlds?");
            return ExitCode::FAILURE;
        }
    };
    let threads = available_parallelism().map_or(1, usize::from);
    let swarm = Swarm { seeds: 0..worlds, size: Size::default(), threads, twice: false, first_only: false };
    let told = AtomicU64::new(0);
    let tally = swarm.run(|tally| {
        if tally.worlds.is_multiple_of(500) && told.swap(tally.worlds, Ordering::Relaxed) != tally.worlds {
            let reached = Mark::ALL.iter().filter(|mark| hits(**mark) > 0).count();
            eprintln!("{} of {worlds} worlds: {reached} of {} marks", tally.worlds, Mark::ALL.len());
        }
    });

    println!("# Marks\n");
    println!(
        "Each limit, each refusal and each way back from trouble in the machines carries a mark (`core/src/marks.rs`)."
    );
    println!(
        "This is how often each was reached in {worlds} simulated worlds. `just marks` makes this page, and fails when a"
    );
    println!("mark was never reached and has no reason for it.\n");
    let mut part = "";
    let mut wrong = 0;
    for mark in Mark::ALL {
        if mark.part() != part {
            part = mark.part();
            println!("\n## {part}\n\n| mark | what has happened | times |\n|---|---|---:|");
        }
        let reason = UNREACHED.iter().chain(RARE).find(|(unreached, _)| unreached == mark).map(|(_, reason)| *reason);
        let times = match (hits(*mark), reason) {
            (0, Some(_)) => "not here".to_owned(),
            (0, None) => {
                wrong += 1;
                eprintln!("never reached, and no reason: {mark}");
                "**never**".to_owned()
            }
            (times, None) => times.to_string(),
            (times, Some(_)) if !UNREACHED.iter().any(|(unreached, _)| unreached == mark) => times.to_string(),
            (times, Some(_)) => {
                wrong += 1;
                eprintln!("reached {times} times, and yet it has a reason why it is not: {mark}");
                times.to_string()
            }
        };
        println!("| {mark} | {} | {times} |", mark.sentence());
    }
    println!("\n## Why some are not reached here\n\n| mark | reason |\n|---|---|");
    for (mark, reason) in UNREACHED.iter().chain(RARE.iter().filter(|(mark, _)| hits(*mark) == 0)) {
        println!("| {mark} | {reason} |");
    }
    for failure in &tally.failures {
        eprintln!("seed {} failed: {}", failure.seed, failure.violations.join("; "));
    }
    if wrong == 0 && tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
