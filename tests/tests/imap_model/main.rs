//! Random schedules of several IMAP sessions on the same mailboxes, against a plain reference.
//!
//! `world` hosts the server machines over a store, as awkwardly as a host may; `client` believes only what it is told and
//! lets nothing pass that is forbidden, `view` is its picture of a mailbox; `model` is what the mailboxes really are;
//! `schedule` draws who does what. At the end every view must be what the model is.
//!
//! A schedule is a number. One that fails says which, and runs alone with `IMAP_MODEL_SEED=number`; `IMAP_MODEL=count` runs
//! so many (`just imap-model`).

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod client;
mod command;
mod model;
mod schedule;
mod view;
mod wire;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pillarbox_core::Wall;
use pillarbox_core::ops::Store;
use pillarbox_store::{DiskStore, MemoryStore, Options, PasswordCost};

thread_local! {
    /// What has happened in the schedule of this thread.
    static TRACE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes what happens, for whoever reads why a schedule has failed.
#[macro_export]
macro_rules! trace {
    ($($words:tt)*) => { $crate::note(|| format!($($words)*)) };
}

pub fn note(words: impl FnOnce() -> String) {
    TRACE.with_borrow_mut(|trace| trace.push(words()));
}

/// Lines of a schedule that failed.
const SHOWN: usize = 150;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn options() -> Options {
    let time = AtomicI64::new(1_795_379_126_000);
    let clock = Arc::new(move || Wall(time.fetch_add(1, Ordering::Relaxed)));
    Options { password_cost: PasswordCost::CHEAP, expunged_runs: 20, clock, ..Options::default() }
}

/// Runs one schedule; what is wrong, if anything is.
fn run(seed: u64, store: Arc<dyn Store>, crowded: bool) -> Result<(), String> {
    TRACE.with_borrow_mut(Vec::clear);
    let why = match catch_unwind(AssertUnwindSafe(|| schedule::run(seed, store, crowded))) {
        Ok(()) => return Ok(()),
        Err(why) => why,
    };
    let said = why.downcast_ref::<String>().cloned().or_else(|| why.downcast_ref::<&str>().map(|it| (*it).to_owned()));
    Err(said.unwrap_or_default())
}

/// Runs all of these schedules, on as many threads as there are processors.
fn spread(count: u64, run: impl Fn(u64) -> Result<(), String> + Sync) {
    let one = number("IMAP_MODEL_SEED");
    let next = AtomicU64::new(one.unwrap_or(0));
    let end = one.map_or(count, |seed| seed + 1);
    let failed = Mutex::new(Vec::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let Err(why) = run(seed) else { continue };
        let mut failed = failed.lock().unwrap();
        if failed.is_empty() {
            show();
        }
        println!("schedule {seed} has failed: {why}");
        failed.push(seed);
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    assert!(failed.is_empty(), "{failed:?} of {count} have failed; IMAP_MODEL_SEED={} runs one alone", failed[0]);
    println!("{count} schedules without a difference");
}

/// The end of what has happened in the schedule of this thread.
fn show() {
    let shown = number("IMAP_MODEL_SHOWN").map_or(SHOWN, |shown| shown as usize);
    TRACE.with_borrow(|trace| {
        trace.iter().skip(trace.len().saturating_sub(shown)).for_each(|line| println!("{line}"));
    });
}

#[test]
fn every_view_is_what_the_mailbox_is() {
    spread(number("IMAP_MODEL").unwrap_or(300), |seed| run(seed, MemoryStore::new(options()), false));
}

#[test]
fn every_view_is_what_the_mailbox_on_disk_is() {
    spread(number("IMAP_MODEL_DISK").unwrap_or(20), |seed| {
        let folder = tempfile::tempdir().unwrap();
        run(seed, DiskStore::open(folder.path(), options()).unwrap(), seed % 2 == 1)
    });
}
