//! Law 1, drain: `Wait` is stable. Polled again with nothing new, a machine says the same `Wait`, moves nothing and
//! allocates nothing.

use proptest::prelude::*;

use super::replay::{Manner, Replay, Told};
use super::{Tape, cuts};
use crate::bench::Breach;
use crate::dialogue::{Dialogue, Story};
use crate::subject::Subject;

/// Polls twice wherever the machine rests, however the bytes are cut and the peer reads.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let strategy = (cuts::strategy(story), any::<bool>(), Tape::strategy(20));
    super::property(dialogue, 1, strategy, |(mut cuts, joined, slow)| {
        loop {
            let slow = Some(slow.clone());
            let manner = Manner { cuts: cuts.clone(), joined, slow, insistent: true, ..Manner::plain() };
            match Replay::<S>::new(dialogue, story, manner).tell()? {
                Told::Well => return Ok::<_, Breach>(()),
                Told::CutAtUpgrade(cut) => cuts.retain(|&other| other != cut),
            }
        }
    })
}
