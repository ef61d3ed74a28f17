//! When a row is tried again, and when it is given up.

use core::time::Duration;

use super::Config;
use crate::ops::RowState;
use crate::seed::Random;
use crate::time::Wall;

/// How long to wait after attempt number `attempts` (from 0), without jitter.
pub(super) fn interval(config: &Config, attempts: u32) -> Duration {
    let step = usize::try_from(attempts).unwrap_or(usize::MAX).min(config.retry.len().saturating_sub(1));
    // Without any interval configured, the one that RFC 5321 §4.5.4.1 recommends.
    let interval = config.retry.get(step).copied().unwrap_or(Duration::from_secs(30 * 60));
    interval.max(config.limits.shortest_retry)
}

/// When a row is due again whose attempt failed at `now`. The last attempt is made right at the row's expiry, so that the
/// sender learns of it then, and not hours later.
pub(super) fn retry(config: &Config, random: &mut Random, row: &RowState, now: Wall) -> Wall {
    let interval = interval(config, row.attempts);
    let due = now.after(random.jitter(interval, config.jitter_percent).max(config.limits.shortest_retry));
    let soonest = now.after(config.limits.shortest_retry);
    due.min(row.expires.max(soonest))
}

/// Whether a row is given up after an attempt begun at `begun` has failed for the time being. Only such an attempt
/// counts: a clock that jumps past the expiry bounces nothing by itself.
pub(super) fn expired(row: &RowState, begun: Wall) -> bool {
    begun >= row.expires
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn waits_grow_and_the_last_attempt_is_at_the_expiry() {
        let config = Config { retry: vec![Duration::from_secs(1), Duration::from_secs(60)], ..Config::default() };
        let mut random = Random::new(&Seed::number(1));
        let mut row = RowState { due: Wall(0), expires: Wall(100_000), attempts: 0, reply: String::new() };
        for _ in 0..100 {
            row.attempts = 0;
            assert!((800..=1200).contains(&retry(&config, &mut random, &row, Wall(0)).0));
            row.attempts = 7;
            assert!((48_000..=72_000).contains(&retry(&config, &mut random, &row, Wall(0)).0));
            assert_eq!(retry(&config, &mut random, &row, Wall(99_000)), Wall(100_000));
            assert_eq!(retry(&config, &mut random, &row, Wall(99_999)), Wall(100_099), "never in a hurry");
        }
        assert!(!expired(&row, Wall(99_999)));
        assert!(expired(&row, Wall(100_000)));
        let none = Config { retry: vec![], ..config };
        assert_eq!(interval(&none, 3), Duration::from_secs(1800));
    }
}
