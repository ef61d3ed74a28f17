//! The destinations that are worked on, each by turns.
//!
//! A lane walks over its destination's due rows in the order of (due, id), a page at a time, and is asked for the next
//! page only when an attempt may be made with it. So no rows are held but those of attempts.
//!
//! ```text
//!           activate          turn            page                      ended
//! (no lane) ───────> waiting ─────> asking ─┬─────> page under way ─┬───────────> waiting, rows left: next page
//!                       ^                   │                       │
//!                       └── nothing new <───┘                       └───────────> gone, nothing left
//! ```

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{Limits, Said};
use crate::mark;
use crate::ops::{Destination, QueueRow, RowId};
use crate::time::{Mono, Wall};

#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Destination, Lane>,
    /// Who is next. An entry whose lane is gone or busy is passed over.
    ring: VecDeque<Destination>,
    /// Lanes kept for their suspension alone: the first to go when room is needed.
    idle: BTreeSet<Destination>,
}

#[derive(Debug, Default)]
struct Lane {
    /// The last row seen in this walk.
    cursor: Option<(Wall, RowId)>,
    /// There may be rows behind the cursor.
    more: bool,
    /// There may be rows before it: walk once more.
    again: bool,
    /// A page is on its way.
    asked: bool,
    /// Rows may have become due since it was asked for.
    late: bool,
    /// It stands in the ring.
    ringed: bool,
    /// Attempts under way.
    running: usize,
    /// Rows settled since the page was asked for: it may show them as they were.
    stale: BTreeSet<RowId>,
    suspension: Option<Suspension>,
}

/// Nobody could be reached there.
#[derive(Clone, Debug)]
pub(super) struct Suspension {
    /// Until when nobody tries.
    pub(super) until: Mono,
    /// When the attempt began that found out.
    pub(super) begun: Wall,
    /// What was said of it.
    pub(super) said: Said,
}

/// Why a destination is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It has rows that are due; those that the lane has not come to yet.
    Onward,
    /// A row with this due time was put in, perhaps behind the lane's back.
    At(Wall),
    /// Whatever is due.
    Afresh,
}

impl Lanes {
    /// How many lanes may be added. Suspended lanes without work make room.
    pub(super) fn room(&mut self, limits: &Limits) -> usize {
        if self.lanes.len() >= limits.destinations.max(1)
            && let Some(idle) = self.idle.pop_first()
        {
            mark!(QueueSuspensionForgotten);
            self.lanes.remove(&idle);
        }
        limits.destinations.max(1).saturating_sub(self.lanes.len())
    }

    /// Looks for due rows of this destination; false when there is no room for one more.
    pub(super) fn activate(&mut self, destination: &Destination, look: Look, limits: &Limits) -> bool {
        if !self.lanes.contains_key(destination) {
            if self.room(limits) == 0 {
                return false;
            }
            self.lanes.insert(destination.clone(), Lane { more: true, ..Lane::default() });
        }
        self.idle.remove(destination);
        if let Some(lane) = self.lanes.get_mut(destination) {
            match look {
                Look::At(due) if lane.cursor.is_some_and(|(cursor, _)| due <= cursor) => lane.again = true,
                Look::Onward | Look::At(_) => lane.more = true,
                Look::Afresh => lane.again = true,
            }
            // A page on its way was asked for before this: it may not know.
            lane.late |= lane.asked;
            lane.again |= lane.asked && look != Look::Onward;
        }
        self.enqueue(destination, limits);
        true
    }

    /// Whose turn it is: its page is now being asked for, behind the cursor given.
    pub(super) fn turn(&mut self, limits: &Limits) -> Option<(Destination, Option<(Wall, RowId)>)> {
        while let Some(destination) = self.ring.pop_front() {
            let Some(lane) = self.lanes.get_mut(&destination) else { continue };
            lane.ringed = false;
            if !lane.may_ask(limits) {
                continue;
            }
            if !lane.more {
                lane.again = false;
                lane.cursor = None;
            }
            lane.asked = true;
            let cursor = lane.cursor;
            return Some((destination, cursor));
        }
        None
    }

    /// Whether anyone waits for a turn.
    pub(super) fn waiting(&self) -> bool {
        !self.ring.is_empty()
    }

    /// The page asked for came: the rows of it that nobody works on yet. They are in `flying` from now on.
    pub(super) fn page(
        &mut self,
        destination: &Destination,
        mut rows: Vec<QueueRow>,
        asked: usize,
        flying: &mut BTreeSet<RowId>,
    ) -> Vec<QueueRow> {
        let Some(lane) = self.lanes.get_mut(destination) else { return Vec::new() };
        lane.asked = false;
        lane.more = core::mem::take(&mut lane.late) || rows.len() >= asked;
        rows.truncate(asked);
        if let Some(last) = rows.last() {
            lane.cursor = Some((last.state.due, last.id));
        }
        let stale = core::mem::take(&mut lane.stale);
        rows.retain(|row| row.destination == *destination && !stale.contains(&row.id) && flying.insert(row.id));
        rows
    }

    /// The page asked for is not wanted any more; its rows are looked for again later.
    pub(super) fn forgo(&mut self, destination: &Destination) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.asked = false;
            lane.again = true;
            lane.more = false;
            lane.late = false;
            lane.stale.clear();
        }
    }

    /// An attempt begins.
    pub(super) fn begun(&mut self, destination: &Destination) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.running += 1;
        }
    }

    /// How many attempts are under way there.
    pub(super) fn running(&self, destination: &Destination) -> usize {
        self.lanes.get(destination).map_or(0, |lane| lane.running)
    }

    /// An attempt is over, and its outcomes are recorded.
    pub(super) fn ended(&mut self, destination: &Destination) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.running = lane.running.saturating_sub(1);
        }
    }

    /// After a page or an attempt: wait for the next turn, or go. With `crowded` (others wait for a lane) it goes once its
    /// attempts are over, even if it has rows left; true when it has gone so, and is to be found again.
    pub(super) fn rest(&mut self, destination: &Destination, mono: Mono, crowded: bool, limits: &Limits) -> bool {
        let Some(lane) = self.lanes.get(destination) else { return false };
        if lane.wants() && !crowded {
            self.enqueue(destination, limits);
            return false;
        }
        if lane.asked || lane.running > 0 {
            return false;
        }
        let left = lane.wants();
        if !crowded && lane.suspension.as_ref().is_some_and(|suspension| mono < suspension.until) {
            self.idle.insert(destination.clone());
        } else {
            self.lanes.remove(destination);
        }
        left
    }

    /// A row is settled or released: a page on its way may still show it as due.
    pub(super) fn settled(&mut self, destination: &Destination, row: RowId) {
        if let Some(lane) = self.lanes.get_mut(destination)
            && lane.asked
        {
            lane.stale.insert(row);
        }
    }

    /// Nobody tries there for a while.
    pub(super) fn suspend(&mut self, destination: &Destination, suspension: Suspension) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.suspension = Some(suspension);
        }
    }

    /// Somebody got through, or an operator wants it tried.
    pub(super) fn resume(&mut self, destination: &Destination) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.suspension = None;
        }
    }

    /// Every destination may be tried again.
    pub(super) fn resume_all(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.suspension = None);
    }

    /// Why nobody tries there just now.
    pub(super) fn suspension(&self, destination: &Destination, mono: Mono) -> Option<&Suspension> {
        let suspension = self.lanes.get(destination)?.suspension.as_ref()?;
        (mono < suspension.until).then_some(suspension)
    }

    fn enqueue(&mut self, destination: &Destination, limits: &Limits) {
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        if !lane.ringed && lane.may_ask(limits) {
            lane.ringed = true;
            self.ring.push_back(destination.clone());
        }
    }
}

impl Lane {
    fn wants(&self) -> bool {
        self.more || self.again
    }

    fn may_ask(&self, limits: &Limits) -> bool {
        self.wants() && !self.asked && self.running < limits.attempts_per_destination.max(1)
    }
}
