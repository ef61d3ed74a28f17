//! What happened, as one number; and, for whoever asks, as lines to read.
//!
//! Two runs are the same when their traces are: the number is fed with everything that crosses a border of the world, in
//! its order.

use std::fmt;
use std::time::Duration;

use pillarbox_core::Mono;

use crate::story::said;

/// An odd number with its bits well spread: the golden ratio's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty one; `told` keeps lines.
    #[must_use]
    pub(crate) fn new(told: bool) -> Self {
        Self { hash: SPREAD, lines: told.then(Vec::new) }
    }

    /// So far, as a number.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    #[must_use]
    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
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

    /// Somebody says something to somebody: a line for each of his.
    pub(crate) fn tell_said(&mut self, now: Mono, who: impl FnOnce() -> String, bytes: &[u8]) {
        if let Some(lines) = &mut self.lines {
            let who = who();
            lines.extend(said(bytes).iter().map(|line| format!("{} {who} {line}", Moment(now))));
        }
    }

    /// A line for a reader; it is not made when nobody reads.
    pub(crate) fn tell(&mut self, now: Mono, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {}", Moment(now), line()));
        }
    }
}

/// A moment of the simulated time, as people read it: days, hours, minutes, seconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Mono);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_nanos(self.0.0);
        let seconds = since.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        write!(f, "{days}d {hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, since.subsec_millis())
    }
}
