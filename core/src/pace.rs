//! How long a peer is worth waiting for that moves octets slowly: octets earn time.
//!
//! A time limit on each wait alone is no limit: one octet an hour meets it for years. So all waits for one transfer are
//! added up, and may be no longer than a grace and what the octets that came of them have earned.

use core::time::Duration;

use crate::time::Mono;

/// The waits of one transfer so far.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Octets that moved.
    moved: u64,
    /// How long we waited for them.
    waited: Duration,
    /// Since when we wait for the next one.
    since: Option<Mono>,
}

impl Pace {
    /// So many octets moved; a wait is over.
    pub(crate) fn moved(&mut self, octets: u64, now: Mono) {
        self.moved = self.moved.saturating_add(octets);
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(now - since);
        }
    }

    /// Octets that have moved.
    pub(crate) fn octets(&self) -> u64 {
        self.moved
    }

    /// A wait begins, or goes on: how long it may take, from its beginning, with a `grace` and at a `rate` of octets a
    /// second (at least 1) beyond it.
    pub(crate) fn wait(&mut self, now: Mono, grace: Duration, rate: u64) -> (Mono, Duration) {
        let since = *self.since.get_or_insert(now);
        let earned = Duration::from_secs(self.moved / rate.max(1));
        (since, grace.saturating_add(earned).saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_earn_time_and_waits_spend_it() {
        let (grace, second) = (Duration::from_secs(10), Duration::from_secs(1));
        let (mut pace, begin) = (Pace::default(), Mono(0));
        assert_eq!(pace.wait(begin, grace, 100), (begin, grace));
        let later = begin + 4 * second;
        assert_eq!(pace.wait(later, grace, 100), (begin, grace), "the same wait goes on");
        pace.moved(99, later);
        assert_eq!(pace.wait(later, grace, 100), (later, 6 * second));
        pace.moved(1, later);
        assert_eq!(pace.wait(later, grace, 100), (later, 7 * second), "a hundred octets are a second");
        pace.moved(0, later + 100 * second);
        assert_eq!(pace.wait(later, grace, 100), (later, Duration::ZERO));
    }
}
