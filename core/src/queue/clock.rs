//! One clock out of two: wall time that moves with the monotonic clock, and follows it when an administrator moves it.
//!
//! Rows are due by wall time, deadlines are monotonic. Computing one from the other anew at each poll would give another
//! deadline each time by a rounding error; so the distance between the two is remembered, until it is really another.

use core::time::Duration;

use crate::time::{Mono, Now, Wall};

/// A difference above this is a clock that was moved, not one that is read a moment later.
const JUMP_MS: i64 = 500;

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Wall minus mono, in milliseconds.
    offset: Option<i64>,
}

impl Clock {
    /// The time as the queue sees it.
    pub(super) fn read(&mut self, now: Now) -> Now {
        let mono = millis(now.mono);
        let seen = now.wall.0.saturating_sub(mono);
        let offset = match self.offset {
            Some(offset) if offset.abs_diff(seen) <= JUMP_MS.unsigned_abs() => offset,
            _ => seen,
        };
        self.offset = Some(offset);
        Now { mono: now.mono, wall: Wall(offset.saturating_add(mono)) }
    }

    /// When the monotonic clock shows what the wall clock calls `wall`.
    pub(super) fn mono(&self, wall: Wall) -> Mono {
        let millis = wall.0.saturating_sub(self.offset.unwrap_or(0));
        Mono(0).after(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }
}

fn millis(mono: Mono) -> i64 {
    i64::try_from(mono.0 / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_stay_put_until_the_clock_is_moved() {
        let mut clock = Clock::default();
        let at = |mono: u64, wall| Now { mono: Mono(mono * 1_000_000), wall: Wall(wall) };
        assert_eq!(clock.read(at(1_000, 50_000)).wall, Wall(50_000));
        assert_eq!(clock.mono(Wall(51_000)), Mono(2_000_000_000));
        assert_eq!(clock.read(at(1_500, 50_499)).wall, Wall(50_500), "a rounding error is none");
        assert_eq!(clock.mono(Wall(51_000)), Mono(2_000_000_000));
        assert_eq!(clock.read(at(1_500, 99_000)).wall, Wall(99_000), "a jump is followed");
        assert_eq!(clock.mono(Wall(51_000)), Mono(0), "long past");
        assert_eq!(clock.read(at(1_500, i64::MIN)).wall, Wall(i64::MIN + 1_500));
        assert_eq!(clock.read(at(u64::MAX / 1_000_000, i64::MAX)).wall, Wall(i64::MAX));
    }
}
