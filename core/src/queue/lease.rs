//! The lease of the queue's buckets: who may record outcomes, and until when.

use core::time::Duration;

use crate::ops::LeaseEpoch;
use crate::time::{Mono, Now, Wall};

/// ```text
///          ask          Leased            half of it over
/// wanted ──────> asked ────────> held ────────────────────> asked (and still held)
///    ^             │ Lost          │ Lost (of a settle)
///    └── a pause ──┴───────────────┘
/// ```
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// While it is held.
    epoch: Option<LeaseEpoch>,
    /// When it ends by the wall clock.
    until: Wall,
    /// When to ask for it, or for more of it.
    renew: Mono,
    asked: bool,
}

impl Lease {
    /// The epoch held; outcomes may be recorded under it.
    pub(super) fn epoch(&self) -> Option<LeaseEpoch> {
        self.epoch
    }

    /// Whether this is the epoch held.
    pub(super) fn is_held(&self, epoch: Option<LeaseEpoch>) -> bool {
        self.epoch.is_some() && self.epoch == epoch
    }

    /// Whether attempts may begin: it is held, and has not run out.
    pub(super) fn is_live(&self, now: Wall) -> bool {
        self.epoch.is_some() && now < self.until
    }

    /// When it runs out, unless it is prolonged.
    pub(super) fn end(&self) -> Wall {
        self.until
    }

    /// Whether it is time to ask: half of it is over, or the clock was moved past its end.
    pub(super) fn is_due(&self, now: Now) -> bool {
        let over = self.epoch.is_some() && now.wall >= self.until;
        !self.asked && (now.mono >= self.renew || over)
    }

    /// When it will be time to ask. `mono` translates wall time: after a jump of the clock the end may come first.
    pub(super) fn renewal(&self, mono: impl Fn(Wall) -> Mono) -> Option<Mono> {
        let end = self.epoch.map_or(self.renew, |_| mono(self.until));
        (!self.asked).then(|| self.renew.min(end))
    }

    /// It was asked for.
    pub(super) fn asked(&mut self) {
        self.asked = true;
    }

    /// It was given; true if it is another than the one held before.
    pub(super) fn granted(&mut self, epoch: LeaseEpoch, until: Wall, now: Mono, length: Duration) -> bool {
        let other = self.epoch != Some(epoch);
        *self =
            Self { epoch: Some(epoch), until, renew: now.after(length.max(Duration::from_secs(1)) / 2), asked: false };
        other
    }

    /// It is another's. It is asked for again at `again`; true if it was held until now.
    pub(super) fn lost(&mut self, again: Mono) -> bool {
        self.renew = again;
        self.epoch.take().is_some()
    }

    /// The question about it is answered.
    pub(super) fn answered(&mut self) {
        self.asked = false;
    }
}
