//! Power failures anywhere in a run of the whole store, SQLite's files included, and disks that fail at any step.
//!
//! A store works under a recording layer ([`layer`], [`vfs`]), which writes down each step of its disk. The record is then
//! played up to any moment on a model of a disk ([`platter`]): what was synced is there, and of the rest (sectors and pages
//! of writes, lengths, names in folders) any part, in any order. What is left is opened ([`verify`]), and must hold what the
//! reference model held after some number of changes: all that were answered, and perhaps some that were only asked for.
//!
//! `just powerfail [states] [seed]` tries every sync and thousands of moments between.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod layer;
mod picture;
mod platter;
mod record;
mod schedule;
mod subject;
mod verify;
mod vfs;

use std::time::Instant;

use pillarbox_core::{Random, Seed};

use self::platter::Ignored;
use self::record::{Recorded, State};

/// Moments that are tried between the syncs. With it all syncs are tried, too.
const STATES: &str = "POWERFAIL";
const SEED: &str = "SEED";
/// A folder with a state that failed, to look at it once more.
const AGAIN: &str = "POWERFAIL_AGAIN";

#[test]
fn power_fails_anywhere() {
    if let Some(kept) = std::env::var_os(AGAIN) {
        return record::again(kept.as_ref()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    }
    let (seed, thorough) = (number(SEED).unwrap_or(1), number(STATES));
    let recorded = Recorded::new(seed, if thorough.is_some() { 150 } else { 30 });
    let begun = Instant::now();
    let boundaries = recorded.boundaries();
    let syncs = boundaries.len() / 2;
    let mut states: Vec<State> = boundaries.into_iter().step_by(if thorough.is_some() { 1 } else { 4 }).collect();
    states.extend(between(&recorded, seed, thorough.unwrap_or(60)));
    let outcome = recorded.try_all(Ignored::Nothing, states);
    println!(
        "power, seed {seed}: {syncs} sync boundaries in {} steps, {} states ({} failed again while opening): {} lost, {} torn; \
         {} timed, serving again within {} ms; {} s",
        recorded.events.len(),
        outcome.states,
        outcome.again,
        outcome.lost.len(),
        outcome.torn.len(),
        outcome.timed,
        outcome.longest.as_millis(),
        begun.elapsed().as_secs(),
    );
    outcome.tell();
    assert!(outcome.is_clean(), "seed {seed}");
}

/// The proof that the test would notice: without all syncs, and without any one kind of them, mail is lost.
#[test]
fn without_a_sync_mail_is_lost() {
    let (seed, thorough) = (number(SEED).unwrap_or(1), number(STATES));
    let recorded = Recorded::new(seed, if thorough.is_some() { 150 } else { 15 });
    for ignored in [Ignored::Everything, Ignored::Database, Ignored::Bodies, Ignored::Folders] {
        let states = between(&recorded, seed, thorough.map_or(12, |states| states / 20));
        let outcome = recorded.try_all(ignored, states);
        println!(
            "power, seed {seed}, without syncs of {ignored:?}: {} states, {} lost, {} torn",
            outcome.states,
            outcome.lost.len(),
            outcome.torn.len()
        );
        assert!(!outcome.is_clean(), "nothing is lost without syncs of {ignored:?}: the test proves nothing");
    }
}

/// Moments drawn from a seed.
fn between(recorded: &Recorded, seed: u64, count: u64) -> Vec<State> {
    let mut random = Random::new(&Seed::number(seed));
    let mut state = |_| State { event: random.below(recorded.events.len() + 1), chance: random.u64() >> 16 };
    (0..count).map(&mut state).collect()
}

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}
