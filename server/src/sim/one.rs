//! One world: what it was, what became of it, and its trace. Where a promise was broken, the shortest story of it.

use std::collections::BTreeMap;
use std::panic;

use pillarbox_sim::{Effort, Outcome, Plan, run, shrink};

use super::Sim;
use super::progress::Progress;
use super::words::{duration, faults, number, some};
use crate::failure::Failure;
use crate::print;

/// Broken promises that are told; one mistake breaks many.
const BROKEN: usize = 5;

/// Lines of a story that are told: its beginning, and its end.
const TOLD: (usize, usize) = (400, 200);

/// Runs the world of a seed twice; one that fails is made smaller and told, unless that is not wanted.
///
/// # Errors
/// When a promise was broken, or the second run was not as the first.
pub(super) fn one(seed: u64, args: &Sim) -> Result<(), Failure> {
    let plan = Plan::draw(seed, &args.size.size());
    world(&plan)?;
    let clock = Progress::new();
    let (outcome, again) = quietly(|| (run(&plan, true), run(&plan, false)));
    let taken = clock.taken();
    if args.story {
        print::line("")?;
        plan.story().iter().try_for_each(|line| print::line(format_args!("  {line}")))?;
        print::line("")?;
        outcome.lines.iter().try_for_each(|line| print::line(format_args!("  {line}")))?;
        print::line("")?;
    }
    // Where a promise was broken, its own story comes, and the rest is of no interest.
    let fates = if args.story || outcome.violations.is_empty() { &outcome.fates[..] } else { &[] };
    fates.iter().try_for_each(|fate| print::line(format_args!("          {fate}")))?;
    came_to(&outcome)?;
    print::line(format_args!(
        "it took   {} of virtual time, {} steps; {} of yours for both runs",
        duration(outcome.passed),
        number(outcome.steps),
        duration(taken),
    ))?;
    for violation in outcome.violations.iter().take(BROKEN) {
        print::line(format_args!("BROKEN    {violation}"))?;
    }
    if outcome.violations.len() > BROKEN {
        print::line(format_args!("          and {} more", outcome.violations.len() - BROKEN))?;
    }
    if again.trace != outcome.trace {
        print::line(format_args!("BROKEN    the same seed gave another trace: {:016x}", again.trace))?;
    }
    if !args.no_shrink && !outcome.violations.is_empty() {
        tell(&plan)?;
        print::line(format_args!("To see it again: {}", args.command(seed)))?;
    }
    print::line(format_args!("trace {:016x}", outcome.trace))?;
    print::flush()?;
    if outcome.violations.is_empty() && again.trace == outcome.trace { Ok(()) } else { Err(Failure::silent()) }
}

/// A world that panics is told as one that fails, and not where it happens.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let result = work();
    panic::set_hook(hook);
    result
}

/// What this world is.
fn world(plan: &Plan) -> Result<(), Failure> {
    let nodes = plan.hosts.iter().map(|host| usize::from(host.nodes)).sum();
    print::line(format_args!(
        "world     {}: {} ({}), {} users each; {}, {} and {} within {}",
        plan.seed,
        some(plan.hosts.len(), "machine"),
        some(nodes, "node"),
        plan.users,
        some(plan.letters.len(), "letter"),
        some(plan.visits.len(), "visit"),
        some(plan.strangers.len(), "stranger"),
        duration(plan.span),
    ))?;
    let mut by_kind = BTreeMap::new();
    plan.faults.iter().for_each(|fault| *by_kind.entry(fault.kind).or_default() += 1);
    print::line(format_args!("faults    {}: {}", plan.faults.len(), faults(&by_kind)))
}

/// What was counted.
fn came_to(outcome: &Outcome) -> Result<(), Failure> {
    let counts = &outcome.counts;
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
    ))
}

/// Makes the plan smaller, and tells what is left of it.
fn tell(plan: &Plan) -> Result<(), Failure> {
    let progress = Progress::new();
    let smaller = |plan: &Plan, runs| {
        progress.show(|| {
            format!(
                "made smaller in {}: {}, {}, {}, {}, {}",
                some(runs, "run"),
                some(plan.hosts.len(), "machine"),
                some(plan.letters.len(), "letter"),
                some(plan.visits.len(), "visit"),
                some(plan.strangers.len(), "stranger"),
                some(plan.faults.len(), "fault"),
            )
        });
    };
    let told = quietly(|| {
        let shrunk = shrink(plan, Effort::default(), smaller)?;
        let told = run(&shrunk.plan, true);
        Some((shrunk, told))
    });
    progress.done();
    let Some((shrunk, told)) = told else { return Ok(()) };
    print::line("")?;
    let left = if shrunk.complete { "nothing in it can be left out" } else { "a shorter one may exist" };
    print::line(format_args!("The shortest story, found in {}: {left}.", some(shrunk.runs, "run")))?;
    print::line("")?;
    shrunk.plan.story().iter().try_for_each(|line| print::line(format_args!("  {line}")))?;
    print::line("")?;
    print::line("What happens in it:")?;
    print::line("")?;
    let (first, last) = TOLD;
    let skipped = told.lines.len().saturating_sub(first + last);
    for (index, line) in told.lines.iter().enumerate() {
        if skipped == 0 || index < first || index >= first + skipped {
            print::line(format_args!("  {line}"))?;
        } else if index == first {
            print::line(format_args!("  … {} …", some(skipped, "line")))?;
        }
    }
    for violation in &told.violations {
        print::line(format_args!("  BROKEN           {violation}"))?;
    }
    print::line("")
}
