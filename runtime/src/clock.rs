//! The real clocks, read together.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pillarbox_core::{Mono, Now, Wall};

/// Reads [`Now`]; monotonic time counts from when the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { mono: Mono(mono), wall: wall() }
    }

    /// When `deadline` comes by the operating system's clock.
    #[must_use]
    pub fn instant(&self, deadline: Mono) -> Instant {
        // A deadline beyond what an Instant holds is as good as a day from now: it will be asked for again.
        self.origin
            .checked_add(Duration::from_nanos(deadline.0))
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}

/// The wall clock.
#[must_use]
pub fn wall() -> Wall {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Wall(millis(since)),
        Err(before) => Wall(-millis(before.duration())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_an_instant() {
        let clock = Clock::start();
        let (now, instant) = (clock.now(), Instant::now());
        let minute = Duration::from_secs(60);
        let deadline = clock.instant(now.mono + minute);
        assert!(deadline > instant && deadline <= instant + minute);
        assert!(clock.now().mono >= now.mono);
        // The end of time is far off, and no panic.
        assert!(clock.instant(Mono(u64::MAX)) > instant + minute);
    }

    #[test]
    fn wall_time_is_of_this_age() {
        assert!(wall() > Wall(1_700_000_000_000));
    }
}
