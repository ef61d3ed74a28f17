//! Law 6, pure: the same inputs give the same trace, poll by poll.

use proptest::prelude::*;

use super::replay::{Manner, Replay};
use super::{Tape, cuts};
use crate::bench::Breach;
use crate::dialogue::{Dialogue, Story};
use crate::subject::Subject;

/// Tells the story twice in the same manner.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let tapes = (Tape::strategy(20), Tape::strategy(20));
    let strategy = (cuts::strategy(story), any::<bool>(), tapes);
    super::property(dialogue, 6, strategy, |(cuts, joined, (slow, deferred))| {
        let (slow, deferred) = (Some(slow), Some(deferred));
        let manner = Manner { cuts, joined, slow, deferred, traced: true, ..Manner::plain() };
        let mut first = Replay::<S>::new(dialogue, story, manner.clone());
        let mut second = Replay::<S>::new(dialogue, story, manner);
        if first.tell()? != second.tell()? || first.bench.sent() != second.bench.sent() {
            return Err(Breach::of(6, "the second run sends other bytes"));
        }
        let (one, two) = (first.trace(), second.trace());
        let same = one.iter().zip(two).take_while(|(one, two)| one == two).count();
        if same < one.len().max(two.len()) {
            let what = format!("poll {same}\n  first: {:?}\n second: {:?}", one.get(same), two.get(same));
            return Err(Breach::of(6, what));
        }
        Ok(())
    })
}
