//! What happened, as one number; and, for whoever asks, as lines to read.
//!
//! Two runs are the same when their traces are: the number is fed with everything that crosses a border of the world, in
//! its order.

use pillarbox_core::Mono;

use crate::timeline::{Key, Side, Talk, Timeline};

/// An odd number with its bits well spread: the golden ratio's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    timeline: Option<Timeline>,
}

impl Trace {
    /// An empty one; `told` keeps lines.
    #[must_use]
    pub(crate) fn new(told: bool) -> Self {
        Self { hash: SPREAD, timeline: told.then(Timeline::default) }
    }

    /// So far, as a number.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether there is a reader.
    #[must_use]
    pub(crate) fn is_told(&self) -> bool {
        self.timeline.is_some()
    }

    /// What happened, in lines, if it was kept: of the end only what `concerns` names.
    #[must_use]
    pub(crate) fn lines(&self, concerns: &[String]) -> Vec<String> {
        self.timeline.as_ref().map(|timeline| timeline.lines(concerns)).unwrap_or_default()
    }

    /// Something happened that these numbers stand for.
    pub(crate) fn add(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(SPREAD).rotate_left(29);
        }
    }

    /// Octets went by.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(&[bytes.len() as u64, u64::from_le_bytes(last)]);
        for word in words {
            self.add(&[u64::from_le_bytes(*word)]);
        }
    }

    /// Somebody says something on a connection.
    pub(crate) fn says(&mut self, now: Mono, key: Key, talk: impl FnOnce() -> Talk, side: Side, bytes: &[u8]) {
        if let Some(timeline) = &mut self.timeline {
            timeline.says(now, key, talk, side, bytes);
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heals(&mut self, now: Mono) {
        if let Some(timeline) = &mut self.timeline {
            timeline.heals(now);
        }
    }

    /// A line for a reader; it is not made when nobody reads.
    pub(crate) fn tell(&mut self, now: Mono, line: impl FnOnce() -> String) {
        if let Some(timeline) = &mut self.timeline {
            timeline.happens(now, line());
        }
    }
}
