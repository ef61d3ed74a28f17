//! When to look at the store for destinations with due rows, and how far the look has come.

use core::time::Duration;

use super::Limits;
use crate::ops::Destination;
use crate::time::{Mono, Wall};

/// One pass over the destinations with due rows at a time, in order of their keys, as far as there are lanes for them.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// A pass is wanted as soon as may be.
    pub(super) wanted: bool,
    /// And it is to look at each destination from its first row on.
    afresh: bool,
    /// The pass under way.
    pub(super) pass: Option<Pass>,
    /// The earliest row that is known to become due.
    next: Option<Wall>,
    /// The pause after the last pass ends.
    rested: Mono,
    /// When a pass is made whatever is known; at once in the beginning.
    recheck: Mono,
}

/// A pass over the destinations.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Seen up to here.
    pub(super) after: Option<Destination>,
    /// A page is on its way.
    pub(super) asked: bool,
    /// Each destination is looked at from its first row on, not only behind the rows it has come to.
    pub(super) afresh: bool,
}

impl Scan {
    /// Anything may be due, behind each lane's back.
    pub(super) fn everything(&mut self) {
        self.wanted = true;
        self.afresh = true;
    }

    /// A row will be due then.
    pub(super) fn note(&mut self, due: Wall) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    /// When the next pass begins, unless one is under way. `mono` translates wall time.
    pub(super) fn deadline(&self, mono: impl Fn(Wall) -> Mono) -> Mono {
        let due = self.next.map_or(self.recheck, |next| mono(next).min(self.recheck));
        let soonest = if self.wanted { Mono(0) } else { due };
        soonest.max(self.rested)
    }

    /// Begins a pass. What is noted from now on is for the next one.
    pub(super) fn begin(&mut self, now: Mono) {
        self.pass = Some(Pass { after: None, asked: false, afresh: self.afresh || now >= self.recheck });
        self.afresh = false;
        self.wanted = false;
        self.next = None;
    }

    /// The pass has seen everything.
    pub(super) fn end(&mut self, now: Mono, limits: &Limits) {
        let Some(pass) = self.pass.take() else { return };
        self.rested = now.after(limits.scan_pause);
        if pass.afresh {
            self.recheck = now.after(limits.recheck.max(Duration::from_secs(1)));
        }
    }

    /// Others wait for a lane: the pass cannot go on for want of one.
    pub(super) fn is_held_up(&self, room: usize) -> bool {
        self.pass.as_ref().is_some_and(|pass| !pass.asked) && room == 0
    }
}
