//! One world: what it was, what became of it, and its trace. Where a promise was broken, the shortest story of it.

use std::collections::BTreeMap;
use std::panic;

use pillarbox_sim::{Effort, Outcome, Plan, run, shrink};

use super::SizeArgs;
use super::progress::Progress;
use super::words::{duration, faults, number, some};
use crate::failure::Failure;
use crate::print;

/// Lines of a story that are told: its beginning, and its end.
const TOLD: (usize, usize) = (400, 200);

/// Runs the world of a seed twice; one that fails is made smaller and told, if `story` is wanted.
///
/// # Errors
/// When a promise was broken, or the second run was not as the first.
pub(super) fn one(seed: u64, size: SizeArgs, story: bool) -> Result<(), Failure> {
    let plan = Plan::draw(seed, &size.size());
    world(&plan)?;
    let clock = Progress::new();
    let outcome = run(&plan, false);
    let taken = clock.taken();
    came_to(&outcome)?;
    print::line(format_args!(
        "it took   {} of virtual time, {} steps, {} of yours",
        duration(outcome.passed),
        number(outcome.steps),
        duration(taken),
    ))?;
    let again = run(&plan, false);
    for violation in &outcome.violations {
        print::line(format_args!("BROKEN    {violation}"))?;
    }
    if again.trace != outcome.trace {
        print::line(format_args!("BROKEN    the same seed gave another trace: {:016x}", again.trace))?;
    }
    if story && !outcome.violations.is_empty() {
        tell(&plan)?;
    }
    print::line(format_args!("trace {:016x}", outcome.trace))?;
    print::flush()?;
    if outcome.violations.is_empty() && again.trace == outcome.trace { Ok(()) } else { Err(Failure::silent()) }
}

/// What this world is.
fn world(plan: &Plan) -> Result<(), Failure> {
    let nodes = plan.hosts.iter().map(|host| usize::from(host.nodes)).sum();
    print::line(format_args!(
        "world     {}: {} ({}), {} users each; {} and {} within {}",
        plan.seed,
        some(plan.hosts.len(), "machine"),
        some(nodes, "node"),
        plan.users,
        some(plan.letters.len(), "letter"),
        some(plan.visits.len(), "visit"),
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
    // A world that panics does so many times now, and its words are among the violations.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let shrunk = shrink(plan, Effort::default(), |plan, runs| {
        progress.show(|| {
            format!(
                "made smaller in {}: {}, {}, {}, {}",
                some(runs, "run"),
                some(plan.hosts.len(), "machine"),
                some(plan.letters.len(), "letter"),
                some(plan.visits.len(), "visit"),
                some(plan.faults.len(), "fault"),
            )
        });
    });
    progress.done();
    let told = shrunk.as_ref().map(|shrunk| run(&shrunk.plan, true));
    panic::set_hook(hook);
    let (Some(shrunk), Some(told)) = (shrunk, told) else { return Ok(()) };
    print::line("")?;
    let left = if shrunk.complete { "nothing can be left out" } else { "it may not be the smallest" };
    print::line(format_args!("The same in short, after {}: {left}.", some(shrunk.runs, "run")))?;
    print::line("")?;
    shrunk.plan.story().iter().try_for_each(|line| print::line(format_args!("  {line}")))?;
    print::line("")?;
    print::line("What happens:")?;
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
        print::line(format_args!("  BROKEN: {violation}"))?;
    }
    print::line("")
}
