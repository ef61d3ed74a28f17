//! Many worlds, and how many of them broke a promise.

use std::panic;
use std::time::Duration;

use pillarbox_sim::{Swarm, Tally};

use super::progress::Progress;
use super::words::{duration, faults, number, some};
use super::{Seeds, Sim};
use crate::failure::Failure;
use crate::print;

/// Failures that are told in full.
const TOLD: usize = 10;

/// Runs them.
///
/// # Errors
/// When a promise was broken in one of them.
pub(super) fn swarm(seeds: &Seeds, args: &Sim, threads: usize) -> Result<(), Failure> {
    let swarm = Swarm { seeds: seeds.0.clone(), size: args.size.size(), threads, twice: true, first_only: false };
    let all = seeds.0.end - seeds.0.start;
    print::line(format_args!("seeds {seeds}, each of them twice, on {}", some(threads, "thread")))?;
    print::flush()?;
    let progress = Progress::new();
    // A panic in a world is told with its seed, and need not be told where it happens.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let tally = swarm.run(|tally| progress.show(|| so_far(tally, all, progress.taken())));
    panic::set_hook(hook);
    progress.done();
    totals(&tally, progress.taken())?;
    for failure in tally.failures.iter().take(TOLD) {
        print::line("")?;
        print::line(format_args!("seed {} failed: {}", failure.seed, args.command(failure.seed)))?;
        for violation in &failure.violations {
            print::line(format_args!("  {violation}"))?;
        }
    }
    if tally.failures.len() > TOLD {
        let rest: Vec<_> = tally.failures[TOLD..].iter().map(|failure| failure.seed.to_string()).collect();
        print::line(format_args!("and these seeds: {}", rest.join(" ")))?;
    }
    print::line(format_args!("trace {:016x}", tally.trace))?;
    print::flush()?;
    if tally.failures.is_empty() { Ok(()) } else { Err(Failure::silent()) }
}

fn so_far(tally: &Tally, all: u64, taken: Duration) -> String {
    let rate = tally.worlds as f64 / taken.as_secs_f64().max(0.001);
    let left = Duration::from_secs_f64((all - tally.worlds) as f64 / rate);
    format!(
        "{} of {} worlds, {rate:.1} a second, {} failed, {} left",
        number(tally.worlds),
        number(all),
        number(tally.failures.len() as u64),
        duration(left),
    )
}

fn totals(tally: &Tally, taken: Duration) -> Result<(), Failure> {
    let counts = &tally.counts;
    let rate = tally.worlds as f64 / taken.as_secs_f64().max(0.001);
    print::line(format_args!("worlds    {} in {}: {rate:.1} a second", number(tally.worlds), duration(taken)))?;
    print::line(format_args!(
        "letters   {} accepted, {} refused, {} whose writer never heard",
        number(counts.accepted),
        number(counts.refused),
        number(counts.unknown),
    ))?;
    print::line(format_args!(
        "copies    {} delivered, {} of them a second time where that is allowed; {} reported as failed, {} read",
        number(counts.delivered),
        number(counts.doubled),
        number(counts.reported),
        number(counts.read),
    ))?;
    print::line(format_args!("faults    {}: {}", number(tally.faults.values().sum()), faults(&tally.faults)))?;
    print::line(format_args!(
        "time      {:.1} virtual days, {} steps",
        tally.passed.as_secs_f64() / 86_400.0,
        number(tally.steps)
    ))?;
    #[cfg(feature = "marks")]
    marks()?;
    print::line(format_args!("failed    {}", number(tally.failures.len() as u64)))
}

/// Which limits, refusals and ways back from trouble were reached.
#[cfg(feature = "marks")]
fn marks() -> Result<(), Failure> {
    use pillarbox_core::marks::{Mark, hits};
    use pillarbox_sim::{RARE, UNREACHED};
    let (reached, never): (Vec<Mark>, Vec<Mark>) = Mark::ALL.iter().partition(|mark| hits(**mark) > 0);
    let has_reason = |mark: &Mark| UNREACHED.iter().chain(RARE).any(|(unreached, _)| unreached == mark);
    let (reasons, open): (Vec<Mark>, Vec<Mark>) = never.into_iter().partition(has_reason);
    print::line(format_args!(
        "marks     {} of {} reached, {} not for a reason, {} never{}",
        reached.len(),
        Mark::ALL.len(),
        reasons.len(),
        open.len(),
        open.iter().map(|mark| format!(" {mark}")).collect::<String>()
    ))
}
