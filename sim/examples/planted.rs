//! Are the tests any good? Mistakes are made on purpose, one at a time, and the simulator must find each of them.
//!
//! ```text
//! just planted        # writes docs/planted.md
//! ```
#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::Instant;

use pillarbox_core::planted::{Bug, plant};
use pillarbox_sim::{Size, Swarm};

/// Worlds in which each mistake must show.
const WORLDS: u64 = 1000;

fn main() -> ExitCode {
    // A mistake that makes a machine panic is found as well, and need not be told twice.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = 0;
    println!("# Mistakes that were made on purpose\n");
    println!(
        "Each was made alone, in the real machines or in the simulated disk (`core/src/planted.rs`, feature `planted`),"
    );
    println!("and looked for in up to {WORLDS} worlds. `just planted` makes this table.\n");
    println!("| the mistake | first found by seed | how it shows |");
    println!("|---|---:|---|");
    for bug in Bug::ALL {
        plant(Some(*bug));
        let begun = Instant::now();
        let swarm = Swarm { seeds: 0..WORLDS, size: Size::default(), threads: 1, twice: false, first_only: true };
        match swarm.run(|_| {}).failures.first() {
            Some(failure) => {
                let how = failure.violations.first().map_or("", String::as_str);
                let how: String = how.chars().take(120).collect();
                println!("| {bug} | {} | {how} |", failure.seed);
            }
            None => {
                missed += 1;
                println!("| {bug} | **not found** | |");
            }
        }
        eprintln!("{bug}: {:.1} s", begun.elapsed().as_secs_f64());
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
