//! A message on its way out, for RETR and TOP: ranges are asked for ahead, and leave dot-stuffed and in order.
//!
//! At most `window` ranges are in hand at any moment, asked for or waiting for room, and none is asked for while `tx`
//! is at its high-water mark. So a slow reader holds up the store, and costs two chunks.

use alloc::collections::VecDeque;
use core::fmt::Write as _;
use core::mem;

use super::top::Cut;
use super::{Action, ReadAnswer, reply};
use crate::limits::SessionLimits;
use crate::line::dot::Stuff;
use crate::mark;
use crate::outbox::Outbox;
use crate::ticket::Tickets;
use crate::time::{Mono, Now};

/// One message on its way. Used again for the next one, so that its queue is allocated once a session.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    message: usize,
    size: u64,
    /// The first octet that belongs to no range yet.
    next: u64,
    /// Ranges in the order of the message.
    ranges: VecDeque<Range>,
    /// For TOP.
    cut: Option<Cut>,
    stuff: Stuff,
    /// The +OK is out.
    started: bool,
}

/// What a [`Transfer`] does when it is given a turn.
#[derive(Debug)]
pub(super) enum Progress {
    /// A range is wanted.
    Ask(Action),
    /// Something was written.
    Wrote,
    /// All of it is written, its end included.
    Finished,
    /// It cannot be read. `begun` when a part of it is out already.
    Failed { begun: bool },
    /// Nothing goes on until there is room in `tx`.
    Full,
    /// Nothing goes on until the store answers; until then it has time.
    Unanswered(Mono),
}

#[derive(Debug)]
struct Range {
    offset: u64,
    len: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// To be asked for (again, for the rest, when less came than was asked).
    Open,
    Asked {
        serial: u64,
        at: Mono,
    },
    Answered(ReadAnswer),
}

impl Transfer {
    /// Begins with message `message`, of `size` octets; with a `cut` for TOP.
    pub(super) fn begin(&mut self, message: usize, size: u64, cut: Option<Cut>) {
        let mut ranges = mem::take(&mut self.ranges);
        ranges.clear();
        *self = Self { message, size, ranges, cut, ..Self::default() };
    }

    /// Takes an answer; one to a question that is over is dropped.
    pub(super) fn answer(&mut self, serial: u64, answer: ReadAnswer) {
        let asked = |range: &&mut Range| matches!(range.state, State::Asked { serial: s, .. } if s == serial);
        if let Some(range) = self.ranges.iter_mut().find(asked) {
            range.state = State::Answered(answer);
        }
    }

    /// Goes one step further.
    pub(super) fn turn(
        &mut self,
        now: Now,
        limits: &SessionLimits,
        tickets: &mut Tickets,
        tx: &mut Outbox,
    ) -> Progress {
        if self.has_failed() {
            self.ranges.clear();
            return Progress::Failed { begun: self.started };
        }
        if self.is_complete() {
            self.start(tx);
            self.stuff.finish(tx);
            self.ranges.clear();
            return Progress::Finished;
        }
        if tx.is_full() {
            return Progress::Full;
        }
        if let Some(ask) = self.ask(now, limits, tickets) {
            return Progress::Ask(ask);
        }
        if matches!(self.ranges.front(), Some(Range { state: State::Answered(_), .. })) {
            self.write(tx);
            return Progress::Wrote;
        }
        let Some(Range { state: State::Asked { at, .. }, .. }) = self.ranges.front() else {
            // An open range was asked for just now, and an incomplete message has a range.
            return Progress::Failed { begun: self.started };
        };
        let until = at.after(limits.answer_timeout);
        if now.mono < until {
            return Progress::Unanswered(until);
        }
        mark!(Pop3ReadUnanswered);
        self.ranges.clear();
        Progress::Failed { begun: self.started }
    }

    /// The next range to ask for. TOP asks for one at a time: most often the first one is enough.
    fn ask(&mut self, now: Now, limits: &SessionLimits, tickets: &mut Tickets) -> Option<Action> {
        let open = self.ranges.iter().position(|range| matches!(range.state, State::Open));
        let at = match open {
            Some(at) => at,
            None => {
                let window = if self.cut.is_some() { 1 } else { limits.window.max(1) };
                if self.ranges.len() >= window || self.next == self.size {
                    return None;
                }
                let left = usize::try_from(self.size - self.next).unwrap_or(usize::MAX);
                let len = left.min(limits.chunk.max(1));
                self.ranges.push_back(Range { offset: self.next, len, state: State::Open });
                self.next += len as u64;
                self.ranges.len() - 1
            }
        };
        let (ticket, serial) = tickets.issue();
        let range = &mut self.ranges[at];
        range.state = State::Asked { serial, at: now.mono };
        Some(Action::Read { ticket, message: self.message, offset: range.offset, len: range.len })
    }

    /// Writes the first range, which is answered, as far as it came.
    fn write(&mut self, tx: &mut Outbox) {
        self.start(tx);
        let Some(range) = self.ranges.front_mut() else { return };
        let State::Answered(ReadAnswer::Bytes(mut bytes)) = mem::replace(&mut range.state, State::Open) else { return };
        bytes.truncate(range.len);
        range.offset += bytes.len() as u64;
        range.len -= bytes.len();
        if range.len == 0 {
            self.ranges.pop_front();
        }
        if let Some(cut) = &mut self.cut {
            bytes.truncate(cut.wanted(&bytes));
        }
        self.stuff.push(bytes, tx);
    }

    fn start(&mut self, tx: &mut Outbox) {
        if mem::replace(&mut self.started, true) {
            return;
        }
        if self.cut.is_some() {
            return tx.put(reply::TOP_FOLLOWS);
        }
        // Writing to an outbox does not fail.
        let _ = write!(tx, "+OK {} octets\r\n", self.size);
    }

    fn is_complete(&self) -> bool {
        self.cut.as_ref().is_some_and(Cut::is_over) || self.next == self.size && self.ranges.is_empty()
    }

    /// Whether the next range is known to be unreadable. No bytes at all is no progress, and so no answer.
    fn has_failed(&self) -> bool {
        match self.ranges.front() {
            Some(Range { state: State::Answered(ReadAnswer::Unreadable), .. }) => true,
            Some(Range { state: State::Answered(ReadAnswer::Bytes(bytes)), .. }) => bytes.is_empty(),
            _ => false,
        }
    }
}
