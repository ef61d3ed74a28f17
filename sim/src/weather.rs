//! How the network is: how far everybody is from everybody, which paths are cut, what breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use pillarbox_core::{Mono, Random};

use crate::wire::Quality;

/// The weather.
#[derive(Debug)]
pub(crate) struct Weather {
    /// A path's shortest way, and what chance adds to it at most.
    pub(crate) latency: (Duration, Duration),
    /// Nanoseconds that an octet takes.
    pub(crate) per_octet: u64,
    /// Of a hundred connections, so many deliver in pieces what was sent at once.
    pub(crate) splits: usize,
    /// Of a hundred connections, so many break after some octets.
    pub(crate) breaks: usize,
    /// Of a hundred datagrams, so many are lost.
    pub(crate) loses: usize,
    /// Paths between two machines that let nothing through, and until when; the smaller number comes first.
    cuts: BTreeMap<(usize, usize), Mono>,
    /// Machines that reach no other, and until when.
    alone: BTreeMap<usize, Mono>,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: (Duration::from_millis(2), Duration::from_millis(40)),
            per_octet: 80,
            splits: 0,
            breaks: 0,
            loses: 0,
            cuts: BTreeMap::new(),
            alone: BTreeMap::new(),
        }
    }
}

impl Weather {
    /// Nothing gets from one to the other before this time.
    pub(crate) fn cut(&mut self, a: usize, b: usize, until: Mono) {
        let end = self.cuts.entry((a.min(b), a.max(b))).or_insert(until);
        *end = (*end).max(until);
    }

    /// Nothing gets from this machine to another, or from there to it, before this time.
    pub(crate) fn isolate(&mut self, host: usize, until: Mono) {
        let end = self.alone.entry(host).or_insert(until);
        *end = (*end).max(until);
    }

    /// All is well again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_cut(&self, a: usize, b: usize, now: Mono) -> bool {
        self.clear_at(a, b, now) > now
    }

    /// When something that is sent now gets through.
    pub(crate) fn clear_at(&self, a: usize, b: usize, now: Mono) -> Mono {
        if a == b || self.cuts.is_empty() && self.alone.is_empty() {
            return now;
        }
        let ends = [self.cuts.get(&(a.min(b), a.max(b))), self.alone.get(&a), self.alone.get(&b)];
        ends.into_iter().flatten().copied().fold(now, Mono::max)
    }

    /// One way, this time.
    pub(crate) fn latency(&self, random: &mut Random) -> Duration {
        let (least, more) = self.latency;
        least + Duration::from_micros(random.below(more.as_micros() as usize + 1) as u64)
    }

    pub(crate) fn is_lost(&self, random: &mut Random) -> bool {
        self.loses > 0 && random.below(100) < self.loses
    }

    /// What a new connection is like.
    pub(crate) fn quality(&self, random: &mut Random) -> Quality {
        let (mut cut_at, mut segments) = ([u64::MAX; 2], u32::MAX);
        if self.breaks > 0 && random.below(100) < self.breaks {
            if random.below(2) == 0 {
                // Short conversations break as often as long ones.
                let octets = 1 << random.below(16);
                cut_at[random.below(2)] = octets + random.below(octets as usize) as u64;
            } else {
                segments = 1 + random.below(24) as u32;
            }
        }
        let splits = self.splits > 0 && random.below(100) < self.splits;
        Quality { latency: self.latency(random), per_octet: self.per_octet, splits, cut_at, segments }
    }
}
