//! Where the stream of fed bytes is cut.

use proptest::prelude::*;

use crate::dialogue::{Story, Turn};

/// Above this many bytes not every place is cut: only those near the beginning and the end, and some in between.
const EACH: usize = 6_000;

/// How many bytes are fed in all.
#[must_use]
pub(super) fn fed(story: &Story) -> usize {
    story.turns.iter().map(|turn| if let Turn::Feed { bytes, .. } = turn { bytes.len() } else { 0 }).sum()
}

/// A cut behind each byte.
#[must_use]
pub(super) fn each(story: &Story) -> Vec<usize> {
    let fed = fed(story);
    let near = |at: usize| fed <= EACH || at < EACH / 2 || fed - at < EACH / 2 || at % 997 < 2;
    (1..fed).filter(|&at| near(at)).collect()
}

/// Random cuts, in order.
pub(super) fn strategy(story: &Story) -> impl Strategy<Value = Vec<usize>> + use<> {
    let fed = fed(story);
    proptest::collection::btree_set(0..fed.max(1), 0..24).prop_map(|cuts| cuts.into_iter().collect())
}
