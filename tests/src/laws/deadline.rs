//! Law 2, honest deadline: with no input, polling at `until` makes progress, and before it none.

use core::time::Duration;

use proptest::prelude::*;

use super::cuts;
use super::replay::{Manner, Replay, Rest, Stop, insist};
use crate::bench::Breach;
use crate::dialogue::{Dialogue, Story};
use crate::subject::Subject;

/// How many deadlines in a row are looked at.
const DEADLINES: usize = 16;

/// Leaves the machine alone where it rests, and looks at its deadlines.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let strategy = (cuts::strategy(story), any::<prop::sample::Index>(), any::<u64>());
    super::property(dialogue, 2, strategy, |(cuts, rest, early)| {
        let manner = Manner { cuts, ..Manner::plain() };
        let mut whole = Replay::<S>::new(dialogue, story, manner.clone());
        whole.tell()?;
        let stop = Stop::Rest(rest.index(whole.rests().max(1)));
        let mut replay = Replay::<S>::new(dialogue, story, Manner { stop, ..manner });
        replay.tell()?;
        if !replay.stopped() {
            return Ok(());
        }
        replay.go_on();
        wait_alone(&mut replay, early)
    })
}

/// Nobody does anything, and the machine's deadlines come one after another; `early` is some moment before each.
///
/// # Errors
/// A deadline is a lie.
pub fn wait_alone<S: Subject>(replay: &mut Replay<S>, early: u64) -> Result<(), Breach> {
    let mut rest = replay.settle()?;
    for _ in 0..DEADLINES {
        let Rest::Wait(wait) = rest else { return Ok(()) };
        let Some(until) = wait.until else { return Ok(()) };
        let left = replay.bench.now().mono.until(until);
        let ahead = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        // Once somewhere on the way, once a nanosecond before.
        let first = early % ahead;
        for step in [first, ahead - 1 - first] {
            replay.bench.advance(Duration::from_nanos(step));
            insist(&mut replay.bench, wait)
                .map_err(|breach| Breach::of(2, format!("before its time: {}", breach.what)))?;
        }
        replay.bench.advance(Duration::from_nanos(1));
        let before = replay.record();
        rest = replay.settle()?;
        let same = matches!(rest, Rest::Wait(again) if again.read == wait.read && again.on == wait.on);
        if same && replay.record() == before {
            return Err(Breach::of(2, format!("it said {wait:?}; polled then, it does nothing and says {rest:?}")));
        }
    }
    Ok(())
}
