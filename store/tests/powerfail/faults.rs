//! A disk that fails at any step: EIO or ENOSPC, once or for a while, in a write, a sync, or when a file is made.
//!
//! What was answered before that is there, whether the power fails then or the store is only opened again; and so is what
//! comes after, if the power fails later: a sync that failed may have left holes that nothing but the disk knows of.

use std::time::{Duration, Instant};

use pillarbox_core::{Random, Seed};

use crate::common::*;
use crate::layer::{Fault, Faults};
use crate::number;
use crate::platter::Ignored;
use crate::record::{Outcome, Recorded, State};
use crate::schedule::run;
use crate::subject::Subject;

/// Disks that are tried.
const DISKS: &str = "POWERFAIL_DISKS";
const SEED: &str = "SEED";
const ROUNDS: usize = 12;
/// States that each of them is tried in, before the store is opened again and afterwards.
const STATES: u64 = 3;

#[test]
fn the_disk_fails_anywhere() {
    let (seed, disks) = (number(SEED).unwrap_or(1), number(DISKS).unwrap_or(8));
    let steps = {
        let folder = tempfile::tempdir().unwrap();
        let subject = Subject::new(folder.path(), true);
        subject.open().unwrap();
        run(&subject, seed, ROUNDS).unwrap();
        subject.layer.steps()
    };
    let mut random = Random::new(&Seed::number(seed));
    let (mut stopped, mut states, mut failed) = (0, 0, 0);
    for number in 0..disks {
        let what = [Fault::Broken, Fault::Full][random.below(2)];
        let faults = Faults { what, from: random.below(steps), count: [1, 3, 40, usize::MAX][random.below(4)] };
        match try_one(seed + number, faults) {
            Ok(tried) => {
                stopped += usize::from(tried.stopped);
                states += tried.states;
            }
            Err(what) => {
                failed += 1;
                println!("seed {}: {faults:?}: {what}", seed + number);
            }
        }
    }
    println!(
        "disks that fail, from seed {seed}: {disks}, the store stopped on {stopped}, {states} states: {failed} wrong"
    );
    assert_eq!(failed, 0);
}

/// Each step in turn, without the index of searches, which has steps of its own at moments of its own.
#[test]
fn each_step_of_a_delivery_fails() {
    for what in [Fault::Broken, Fault::Full] {
        for step in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let subject = Subject::new(folder.path(), false);
            subject.open().unwrap();
            let account = add(&subject.node, &subject, "alice@example.org");
            accepted(subject.node.ask(&subject, deliver(account, "before")));
            subject.layer.fail(Faults { what, from: subject.layer.steps() + step, count: 1 });
            let reply = subject.node.ask(&subject, deliver(account, "now"));
            if !subject.layer.has_failed() {
                accepted(reply);
                assert!(step > 3, "a delivery has steps");
                break;
            }
            assert!(subject.is_stopped() || !subject.layer.sync_has_failed(), "{what:?} at {step}: it goes on");
            subject.close();
            subject.layer.mend();
            subject.open().unwrap();
            subject.settle().unwrap_or_else(|wrong| panic!("{what:?} at {step}: {wrong:?}"));
            let mended = subject.layer.events().len();
            accepted(subject.node.ask(&subject, deliver(account, "after")));
            let recorded = Recorded::of(&subject);
            survives(&recorded, step as u64, mended).unwrap_or_else(|wrong| panic!("{what:?} at {step}: {wrong}"));
        }
    }
}

/// Each step of opening in turn: what is opened in spite of it gives no number twice.
#[test]
fn each_step_of_opening_fails() {
    for what in [Fault::Broken, Fault::Full] {
        for step in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let subject = Subject::new(folder.path(), false);
            subject.open().unwrap();
            let account = add(&subject.node, &subject, "alice@example.org");
            accepted(subject.node.ask(&subject, deliver(account, "before")));
            subject.close();
            subject.layer.fail(Faults { what, from: subject.layer.steps() + step, count: 1 });
            let opened = subject.open();
            if !subject.layer.has_failed() {
                assert!(opened.is_ok() && step > 1, "opening has steps");
                break;
            }
            subject.layer.mend();
            if opened.is_ok() {
                accepted(subject.node.ask(&subject, deliver(account, "now")));
                subject.close();
            }
            subject.open().unwrap();
            accepted(subject.node.ask(&subject, deliver(account, "after")));
            let recorded = Recorded::of(&subject);
            survives(&recorded, step as u64, recorded.events.len())
                .unwrap_or_else(|wrong| panic!("{what:?} at {step}: {wrong}"));
        }
    }
}

struct Tried {
    stopped: bool,
    states: usize,
}

fn try_one(seed: u64, faults: Faults) -> Result<Tried, String> {
    let folder = tempfile::tempdir().unwrap();
    let subject = Subject::new(folder.path(), true);
    subject.layer.fail(faults);
    let opened = subject.open().is_ok();
    if opened {
        _ = run(&subject, seed, ROUNDS);
    }
    if subject.layer.sync_has_failed() && !stops(&subject) {
        return Err("a sync failed, and the store goes on".to_owned());
    }
    let stopped = subject.is_stopped();
    if opened && stopped && faults.what == Fault::Full && !subject.layer.sync_has_failed() {
        return Err("the store stops for want of room".to_owned());
    }
    subject.close();
    let first = Recorded::of(&subject);
    let mut states = survives(&first, seed, 0)?;

    subject.layer.mend();
    subject.open().map_err(|_| "it cannot be opened again")?;
    subject.settle().map_err(|wrong| format!("opened again: {wrong:?}"))?;
    let mended = subject.layer.events().len();
    run(&subject, seed + 1_000_000, ROUNDS).map_err(|_| "it stops again")?;
    subject.close();
    states += survives(&Recorded::of(&subject), seed, mended)?;
    Ok(Tried { stopped, states })
}

/// The engine may be just about to say so.
fn stops(subject: &Subject) -> bool {
    let begun = Instant::now();
    while !subject.is_stopped() {
        if begun.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The power fails at some moments behind this one.
fn survives(recorded: &Recorded, seed: u64, from: usize) -> Result<usize, String> {
    let mut random = Random::new(&Seed::number(seed));
    let end = recorded.events.len();
    let mut states: Vec<State> =
        (1..STATES).map(|_| State { event: from + random.below(end + 1 - from), chance: random.u64() >> 16 }).collect();
    states.push(State { event: end, chance: 0 });
    let Outcome { states, lost, torn, .. } = recorded.try_all(Ignored::Nothing, states);
    let wrong = lost.into_iter().chain(torn).next();
    match wrong {
        Some((state, what)) => Err(format!("behind step {from}, {state:?}: {what}")),
        None => Ok(states),
    }
}
