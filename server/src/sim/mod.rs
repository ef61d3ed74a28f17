//! `sim`: a mail internet in one thread and in virtual time, drawn from a seed, and judged.

mod chart;
mod one;
mod progress;
mod report;
mod scenario;
mod swarm;
mod words;

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use clap::Args;
use pillarbox_sim::Size;

use self::scenario::{ScenarioArgs, Wrong};
use crate::failure::Failure;

/// `sim`'s arguments.
#[derive(Args)]
pub(crate) struct Sim {
    /// One world: run it twice, and tell what happened in it; with --domains, what is drawn from
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Many worlds: those of the seeds A to B (without B), or the first N
    #[arg(long, value_name = "A..B", conflicts_with = "seed")]
    seeds: Option<Seeds>,
    /// Threads for many worlds; as many as there are processors unless given
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Tell all that happens in the one world, with every word that is said on its connections
    #[arg(long, requires = "seed")]
    story: bool,
    /// Do not look for the shortest story when a promise is broken
    #[arg(long)]
    no_shrink: bool,
    /// Make this mistake on purpose, to see it found
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "NAME")]
    plant: Option<pillarbox_core::planted::Bug>,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// How large a world is, where it is not as usual.
#[derive(Args, Clone, Copy)]
struct SizeArgs {
    /// Machines, each with a domain
    #[arg(long, value_name = "N", conflicts_with = "domains")]
    hosts: Option<usize>,
    /// Users of each domain; with --domains, of all together
    #[arg(long, value_name = "N")]
    users: Option<usize>,
    /// Letters that are written
    #[arg(long, value_name = "N", conflicts_with = "domains")]
    letters: Option<usize>,
    /// Visits of users to their mailboxes
    #[arg(long, value_name = "N", conflicts_with = "domains")]
    visits: Option<usize>,
    /// Visits of strangers, who say what no decent device says
    #[arg(long, value_name = "N", conflicts_with = "domains")]
    strangers: Option<usize>,
    /// Things that go wrong; with --domains none, light or heavy
    #[arg(long, value_name = "N")]
    faults: Option<Wrong>,
    /// For how long people write and things go wrong
    #[arg(long, value_name = "N", conflicts_with = "domains")]
    hours: Option<u32>,
}

impl Sim {
    /// The words that run this world again.
    fn command(&self, seed: u64) -> String {
        #[cfg(feature = "planted")]
        let planted = self.plant.map(|bug| format!(" --plant {bug}")).unwrap_or_default();
        #[cfg(not(feature = "planted"))]
        let planted = "";
        format!("{}{planted}", self.size.command(seed))
    }
}

impl SizeArgs {
    fn size(self) -> Size {
        let usual = Size::default();
        Size {
            hosts: self.hosts.unwrap_or(usual.hosts),
            users: self.users.unwrap_or(usual.users),
            letters: self.letters.unwrap_or(usual.letters),
            visits: self.visits.unwrap_or(usual.visits),
            strangers: self.strangers.unwrap_or(usual.strangers),
            faults: self.things().unwrap_or(usual.faults),
            span: self.hours.map_or(usual.span, |hours| Duration::from_secs(3600 * u64::from(hours))),
        }
    }

    /// Things that go wrong, if they are numbered.
    fn things(self) -> Option<usize> {
        match self.faults? {
            Wrong::Things(things) => Some(things),
            Wrong::Much(_) => None,
        }
    }

    /// The words that run this world again.
    fn command(self, seed: u64) -> String {
        let words = [
            ("hosts", self.hosts),
            ("users", self.users),
            ("letters", self.letters),
            ("visits", self.visits),
            ("strangers", self.strangers),
            ("faults", self.things()),
            ("hours", self.hours.map(|hours| hours as usize)),
        ];
        let given = words.iter().filter_map(|(word, value)| Some(format!(" --{word} {}", (*value)?)));
        format!("pillarbox sim --seed {seed}{}", given.collect::<String>())
    }
}

/// A range of seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, end) = text.split_once("..").unwrap_or(("0", text));
        match (first.parse(), end.parse()) {
            (Ok(first), Ok(end)) if first < end => Ok(Self(first..end)),
            _ => Err("seeds are given as A..B, A being smaller, or as a number of them"),
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}

/// Simulates.
///
/// # Errors
/// When a promise was broken.
pub(crate) fn sim(args: &Sim) -> Result<(), Failure> {
    #[cfg(feature = "planted")]
    pillarbox_core::planted::plant(args.plant);
    if args.scenario.is_wanted() {
        return scenario::play(&args.scenario, args.seed.unwrap_or(1), args.size.users, args.size.faults);
    }
    if let Some(Wrong::Much(_)) = args.size.faults {
        return Err(Failure::usage("without --domains, --faults is the number of things that go wrong"));
    }
    match (args.seed, &args.seeds) {
        (Some(seed), _) => one::one(seed, args),
        (None, Some(seeds)) => {
            let threads = args.threads.or_else(|| thread::available_parallelism().ok());
            swarm::swarm(seeds, args, threads.map_or(1, NonZeroUsize::get))
        }
        (None, None) => Err(Failure::usage(
            "say which worlds: --seed N for one, --seeds A..B for many, --domains N for days of mail",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_or_a_number() {
        assert_eq!("3..7".parse(), Ok(Seeds(3..7)));
        assert_eq!("7".parse(), Ok(Seeds(0..7)));
        for wrong in ["", "..", "7..3", "3..3", "0", "a..b", "3..=7", "-1"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_world_is_run_again_by_what_it_was_made_of() {
        let usual = SizeArgs {
            hosts: None,
            users: None,
            letters: None,
            visits: None,
            strangers: None,
            faults: None,
            hours: None,
        };
        assert_eq!(usual.command(7), "pillarbox sim --seed 7");
        assert_eq!(usual.size(), Size::default());
        let other = SizeArgs { hosts: Some(4), hours: Some(5), ..usual };
        assert_eq!(other.command(7), "pillarbox sim --seed 7 --hosts 4 --hours 5");
        assert_eq!(other.size(), Size { hosts: 4, span: Duration::from_secs(18_000), ..Size::default() });
    }
}
