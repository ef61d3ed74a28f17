//! Many worlds: a range of seeds, on several threads, each of them twice, so that a seed that does not repeat itself shows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::ledger::Counts;
use crate::plan::{FaultKind, Plan, Size};
use crate::run::{Outcome, run};

/// How many worlds there are, and of what kind.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Their seeds.
    pub seeds: Range<u64>,
    /// How large each is.
    pub size: Size,
    /// Threads.
    pub threads: usize,
    /// Each is run a second time, which must give the same trace.
    pub twice: bool,
    /// Stop at the first that fails.
    pub first_only: bool,
}

/// A world in which a promise was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was broken.
    pub violations: Vec<String>,
}

/// What they came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Worlds that were run.
    pub worlds: u64,
    /// Those that failed, by seed.
    pub failures: Vec<Failure>,
    /// Everything that was counted.
    pub counts: Counts,
    /// Things that happened.
    pub steps: u64,
    /// Faults by their kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Simulated time.
    pub passed: Duration,
    /// All traces as one number: the same seeds give the same one.
    pub trace: u64,
}

impl Tally {
    fn add(&mut self, plan: &Plan, outcome: &Outcome) {
        self.worlds += 1;
        self.steps += outcome.steps;
        self.passed += outcome.passed;
        // In whatever order the threads come.
        self.trace ^= outcome.trace.rotate_left((plan.seed % 64) as u32);
        self.counts.add(&outcome.counts);
        for fault in &plan.faults {
            *self.faults.entry(fault.kind).or_default() += 1;
        }
        if !outcome.violations.is_empty() {
            self.failures.push(Failure { seed: plan.seed, violations: outcome.violations.clone() });
        }
    }
}

impl Swarm {
    /// Runs them all. `progress` is called after each world, with what there is so far.
    pub fn run(&self, progress: impl Fn(&Tally) + Sync) -> Tally {
        let tally = Mutex::new(Tally::default());
        let next = AtomicU64::new(self.seeds.start);
        let stop = AtomicBool::new(false);
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return;
                }
                let plan = Plan::draw(seed, &self.size);
                let mut outcome = run(&plan, false);
                if self.twice && run(&plan, false).trace != outcome.trace {
                    outcome.violations.push("the same seed gave another trace".to_owned());
                }
                if self.first_only && !outcome.violations.is_empty() {
                    stop.store(true, Ordering::Relaxed);
                }
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.add(&plan, &outcome);
                progress(&tally);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        tally.failures.sort_by_key(|failure| failure.seed);
        tally
    }
}
