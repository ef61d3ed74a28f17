//! Law 3, split invariance: however the bytes are cut, the same bytes come out, and the same actions once adjacent
//! pieces of a body are joined.
//!
//! One exception: what stands behind a request for a layer is neither cut from it nor joined to it.

use proptest::prelude::*;

use super::replay::{Manner, Record, Replay, Told};
use super::{Tape, cuts};
use crate::bench::Breach;
use crate::dialogue::{Dialogue, Story};
use crate::subject::Subject;

/// Cuts the bytes everywhere, nowhere, and anywhere, with a peer that reads at once or by pieces.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let failed = |e: Breach| format!("{}: {e}", dialogue.path.display());
    let plain = tell::<S>(dialogue, story, Manner::plain()).map_err(failed)?;
    let compare = |manner: Manner| -> Result<(), Breach> {
        let now = tell::<S>(dialogue, story, manner)?;
        plain.differs(&now).map_or(Ok(()), |how| Err(Breach::of(3, how)))
    };
    for joined in [false, true] {
        for cuts in [Vec::new(), cuts::each(story)] {
            let how = format!("joined: {joined}, cuts: {}", cuts.len());
            let manner = Manner { cuts, joined, ..Manner::plain() };
            compare(manner).map_err(|e| format!("{}\nwith {how}", failed(e)))?;
        }
    }
    let strategy = (cuts::strategy(story), any::<bool>(), prop::option::of(Tape::strategy(20)));
    super::property(dialogue, 3, strategy, |(cuts, joined, slow)| {
        compare(Manner { cuts, joined, slow, ..Manner::plain() })
    })
}

/// Tells the story in this manner, without the cuts that would make it another story.
///
/// # Errors
/// A law is broken.
pub fn tell<S: Subject>(dialogue: &Dialogue, story: &Story, mut manner: Manner) -> Result<Record, Breach> {
    loop {
        let mut replay = Replay::<S>::new(dialogue, story, manner.clone());
        match replay.tell()? {
            Told::Well => return Ok(replay.record()),
            Told::CutAtUpgrade(cut) => manner.cuts.retain(|&other| other != cut),
        }
    }
}
