//! Kills the real server under load, and cuts its power, again and again; after each start everything that it had
//! acknowledged must be there, and nothing that it had deleted.
//!
//! ```text
//! just kill-loop --rounds 60
//! just power-cuts --rounds 54
//! ```
//!
//! Fails when anything was lost, torn or undone; when the control, a server whose syncs do nothing, comes through its power
//! cuts without a loss; or when too much came twice or a start took too long.

use std::fmt::Write as _;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand};
use pillarbox_benches::crash::{Crash, Outcome, Trial, disk};
use pillarbox_benches::figures::Figures;
use pillarbox_benches::host::{RUNTIMES, Way, binary};

/// File systems whose power can be cut.
const KINDS: [&str; 2] = ["ext4", "xfs"];
/// Load before a kill, at most. What was on its way at a crash may come twice, a few letters each time: how often that is
/// of all depends on how many there are between two crashes.
const BEFORE_A_KILL: Duration = Duration::from_secs(10);
/// Load before a power cut, at most.
const BEFORE_A_CUT: Duration = Duration::from_secs(3);
/// Load at least.
const LEAST: Duration = Duration::from_millis(200);
/// It serves again after so many milliseconds, at most of the time.
const START: f64 = 300.0;
/// Set in the process that has its own mounts.
const OWN_MOUNTS: &str = "PILLARBOX_CRASH_OWN_MOUNTS";

/// Crashes the real server, and judges it
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    how: How,
    /// Where the table goes, besides standard output
    #[arg(long, global = true, value_name = "FILE")]
    write: Option<PathBuf>,
    /// On this runtime alone
    #[arg(long, global = true, value_name = "NAME")]
    runtime: Option<String>,
    /// From which the lengths of the loads and the changes are drawn
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
}

#[derive(Subcommand)]
enum How {
    /// kill -9
    Kill {
        /// Kills of each runtime, half of them with two workers
        #[arg(long, default_value_t = 60)]
        rounds: u64,
    },
    /// The file system forgets what was not synced; root only
    Power {
        /// Cuts in all
        #[arg(long, default_value_t = 54)]
        rounds: u64,
        /// Cuts of the control on each file system
        #[arg(long, default_value_t = 2)]
        control: u64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.how {
        How::Kill { rounds } => kill(&arguments, rounds),
        How::Power { rounds, control } => power(&arguments, rounds, control),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn runtimes(arguments: &Arguments) -> Vec<&'static str> {
    let wanted = |runtime: &&str| arguments.runtime.as_ref().is_none_or(|wanted| wanted == runtime);
    RUNTIMES.into_iter().filter(wanted).collect()
}

fn kill(arguments: &Arguments, rounds: u64) -> io::Result<bool> {
    let binary = binary()?;
    let mut report = Report::new("kill -9", 0.1);
    for runtime in runtimes(arguments) {
        for workers in [1, 2] {
            let way = Way { runtime, workers };
            report.add(&way.to_string(), run(&binary, way, Crash::Kill, rounds.div_ceil(2), arguments.seed)?);
        }
    }
    report.finish(arguments, "just kill-loop")
}

fn power(arguments: &Arguments, rounds: u64, control: u64) -> io::Result<bool> {
    // In mounts of its own: whatever ends this program, they go with it.
    if std::env::var_os(OWN_MOUNTS).is_none() && rustix::process::geteuid().is_root() {
        let mut again = Command::new("unshare");
        again.args(["--mount", "--propagation", "private", "--"]).arg(std::env::current_exe()?);
        return Err(again.args(std::env::args_os().skip(1)).env(OWN_MOUNTS, "1").exec());
    }
    let mut kinds = Vec::new();
    for kind in KINDS {
        match disk::missing(kind) {
            Some(reason) => println!("SKIPPED power on {kind}: {reason}"),
            None => kinds.push(kind),
        }
    }
    if kinds.is_empty() {
        println!("0 power cuts");
        return Ok(true);
    }
    let binary = binary()?;
    let mut report = Report::new("power cuts", 0.3);
    let runtimes = runtimes(arguments);
    let each = rounds.div_ceil((kinds.len() * runtimes.len()).max(1) as u64);
    for &kind in &kinds {
        for (n, &runtime) in runtimes.iter().enumerate() {
            // One and two workers take turns.
            let way = Way { runtime, workers: 1 + (n + usize::from(kind == "xfs")) % 2 };
            report.add(&format!("{kind}: {way}"), run(&binary, way, Crash::Power(kind), each, arguments.seed)?);
        }
    }
    for &kind in &kinds {
        for round in 0..control {
            let way = Way { runtime: RUNTIMES[0], workers: 1 };
            // A server that lost everything may not even start: each control is a server of its own.
            match run(&binary, way, Crash::PowerWithoutSyncs(kind), 1, arguments.seed + round) {
                Ok(outcome) => report.control(kind, &outcome),
                Err(error) => report.control(kind, &Outcome { faults: vec![error.to_string()], ..Outcome::default() }),
            }
        }
    }
    report.finish(arguments, "just power-cuts")
}

/// Crashes a server so often.
fn run(binary: &Path, way: Way, crash: Crash, rounds: u64, seed: u64) -> io::Result<Outcome> {
    let mut trial = Trial::begin(binary, way, crash, seed)?;
    for round in 1..=rounds {
        trial.round(LEAST, if crash == Crash::Kill { BEFORE_A_KILL } else { BEFORE_A_CUT })?;
        let outcome = &trial.outcome;
        eprintln!(
            "{crash:?}, {way}: {round} of {rounds}; {} letters and {} changes acknowledged; {} lost, {} torn, {} undone; \
             serving again after {:.0} ms",
            outcome.acknowledged,
            outcome.changes,
            outcome.lost,
            outcome.torn,
            outcome.undone,
            outcome.starts.last().copied().unwrap_or_default()
        );
    }
    trial.end()
}

/// The table, and whether it is as it should be.
struct Report {
    text: String,
    /// Percent of recipients for whom something may come twice.
    bound: f64,
    all: Outcome,
    controls: Vec<(String, bool)>,
}

impl Report {
    fn new(what: &str, bound: f64) -> Self {
        Self {
            text: format!("# The real server: {what}\n\n{}\n", Outcome::HEAD),
            bound,
            all: Outcome::default(),
            controls: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, outcome: Outcome) {
        self.line(&outcome.row(name));
        let all = &mut self.all;
        all.rounds += outcome.rounds;
        all.acknowledged += outcome.acknowledged;
        all.changes += outcome.changes;
        all.lost += outcome.lost;
        all.torn += outcome.torn;
        all.undone += outcome.undone;
        all.twice += outcome.twice;
        all.locks += outcome.locks;
        all.resent += outcome.resent;
        all.relayed += outcome.relayed;
        all.starts.extend(outcome.starts);
        all.faults.extend(outcome.faults);
    }

    fn control(&mut self, kind: &str, outcome: &Outcome) {
        let what = if outcome.rounds == 0 {
            format!("it did not serve again: {}", outcome.faults.first().map_or("", String::as_str))
        } else {
            format!(
                "of {} letters and {} changes, {} lost, {} torn, {} undone",
                outcome.acknowledged, outcome.changes, outcome.lost, outcome.torn, outcome.undone
            )
        };
        self.controls.push((format!("{kind}: {what}"), outcome.shows_losses()));
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn finish(mut self, arguments: &Arguments, recipe: &str) -> io::Result<bool> {
        let (all, bound) = (self.all.clone(), self.bound);
        self.line(&all.row("all"));
        self.line(&format!(
            "\nEach crash hits a server at work: four sessions submit letters to somebody here and somebody elsewhere, the \
             queue relays, one reads and deletes by POP3, and two devices APPEND, STORE, COPY, MOVE and EXPUNGE by IMAP. After \
             the start everything acknowledged is looked for, octet by octet. Made by `{recipe}`."
        ));
        let longest = Figures::new(all.starts.clone()).rank(1.0);
        let verdicts = [
            ("nothing acknowledged is lost, torn or undone; no UID twice; no lock left".to_owned(), all.is_sound()),
            (format!("under {bound} % came twice"), all.duplicates() < bound),
            (format!("serving again within {START} ms"), longest <= START),
        ];
        for (what, holds) in &verdicts {
            self.line(&format!("\n* {what}: {}", if *holds { "yes" } else { "NO" }));
        }
        for (what, lost) in self.controls.clone() {
            let word = if lost { "loses, as it must" } else { "LOSES NOTHING: the test proves nothing" };
            self.line(&format!("\n* a control whose syncs do nothing {word}; {what}"));
        }
        for fault in &all.faults {
            self.line(&format!("\n* FAULT: {fault}"));
        }
        print!("{}", self.text);
        if let Some(file) = &arguments.write {
            std::fs::write(file, &self.text)?;
        }
        Ok(verdicts.iter().all(|(_, holds)| *holds) && self.controls.iter().all(|(_, lost)| *lost))
    }
}
