//! One attempt: its rows, what became of each, and how that is recorded.
//!
//! Outcomes wait until no record of the attempt is on its way, then all that wait become one batch, which is one
//! [`Settle`]. A batch with bounces first reads the header of each message that bounces.
//!
//! ```text
//!  open ──outcome──> waiting ──batch──> reading headers ──> settling ──Settled──> told
//!                       ^                      │                │
//!                       └──────── lease lost, or no room for the bounces
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::{AttemptEnd, Config, Event, Failure, RowResult, Said, dsn, schedule};
use crate::mark;
use crate::message::StructureParser;
use crate::ops::{Accept, Accepted, Attempted, Body, Destination, LeaseEpoch, NewRow, QueueRow, RowId, Settle};
use crate::planted::{self, Bug};
use crate::router::Routes;
use crate::seed::Random;
use crate::smtp::{EnhancedStatus, Reply};
use crate::time::{Mono, Wall};

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) destination: Destination,
    pub(super) rows: Arc<[QueueRow]>,
    /// Under which lease it was begun.
    pub(super) epoch: LeaseEpoch,
    /// When it was begun.
    pub(super) begun: Wall,
    /// Rows without an outcome, by their index.
    open: BTreeMap<RowId, usize>,
    /// Outcomes not yet in a batch.
    waiting: Vec<Outcome>,
    /// The record on its way.
    batch: Option<Batch>,
    /// Outcomes that bring new messages wait until then: there was no room for them.
    full_until: Option<Mono>,
    over: bool,
}

#[derive(Debug)]
struct Outcome {
    row: usize,
    result: RowResult,
}

/// Outcomes that are recorded together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    lines: Vec<Line>,
    notices: Vec<Notice>,
    /// Built once all headers are there.
    settle: Option<Settle>,
}

#[derive(Debug)]
struct Line {
    row: usize,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Delivered(Said),
    Forwarded(Box<Accept>),
    Retry {
        due: Wall,
        said: Said,
    },
    /// `notice` is an index into the batch's notices; `None` for a message with the null reverse-path.
    Failed {
        why: Failure,
        said: Said,
        notice: Option<usize>,
    },
}

/// A bounce in the making: one message, all of its recipients that failed in this batch.
#[derive(Debug, Default)]
struct Notice {
    /// The message's header, once it is read; empty if it cannot be.
    header: Option<Bytes>,
}

/// What a batch needs next.
pub(super) enum Need {
    /// The header of this row's message.
    Header(RowId),
    /// To be recorded, as [`Attempt::settle`] says.
    Record,
    /// Nothing: all its rows are gone.
    Nothing,
}

impl Attempt {
    pub(super) fn new(destination: Destination, rows: Vec<QueueRow>, epoch: LeaseEpoch, begun: Wall) -> Self {
        let open = rows.iter().enumerate().map(|(index, row)| (row.id, index)).collect();
        let rows = rows.into();
        Self { destination, rows, epoch, begun, open, waiting: Vec::new(), batch: None, full_until: None, over: false }
    }

    /// A row's outcome; false if it is not the attempt's, or has one already.
    pub(super) fn settled(&mut self, row: RowId, result: RowResult) -> bool {
        let Some(row) = self.open.remove(&row) else { return false };
        self.waiting.push(Outcome { row, result });
        true
    }

    /// No more outcomes come: rows without one are deferred, or released if nothing was tried. Returns those.
    pub(super) fn finish(&mut self, end: &AttemptEnd) -> Vec<RowId> {
        self.over = true;
        let open = mem::take(&mut self.open);
        let (AttemptEnd::Reached(said) | AttemptEnd::Unreachable(said)) = end else {
            return open.into_keys().collect();
        };
        for row in open.into_values() {
            self.waiting.push(Outcome { row, result: RowResult::Deferred(said.clone()) });
        }
        Vec::new()
    }

    /// Whether it is over, with everything recorded.
    pub(super) fn is_through(&self) -> bool {
        self.over && self.waiting.is_empty() && self.batch.is_none()
    }

    /// Whether a batch can be made of something.
    pub(super) fn is_waiting(&self) -> bool {
        self.batch.is_none() && !self.waiting.is_empty()
    }

    /// The lease under which it was made is gone: only deliveries still count, since they are facts; all else is found
    /// out anew by whoever has the row next. Returns the rows released.
    pub(super) fn void(&mut self) -> Vec<RowId> {
        let void = |outcome: &mut Outcome| !matches!(outcome.result, RowResult::Delivered(_));
        self.waiting.extract_if(.., void).map(|outcome| self.rows[outcome.row].id).collect()
    }

    /// Makes a batch of the outcomes that wait, as far as bounds allow; false if none can be recorded now.
    pub(super) fn make_batch(&mut self, config: &Config, random: &mut Random, now: Wall, mono: Mono) -> bool {
        if self.full_until.is_some_and(|until| until <= mono) {
            self.full_until = None;
        }
        let mut batch = Batch::default();
        let mut messages: Vec<usize> = Vec::new();
        for Outcome { row, result } in mem::take(&mut self.waiting) {
            let state = &self.rows[row].state;
            let (why, said) = match result {
                RowResult::Delivered(said) => {
                    batch.lines.push(Line { row, fate: Fate::Delivered(said) });
                    continue;
                }
                RowResult::Deferred(said) if !schedule::expired(state, self.begun) => {
                    mark!(QueueRetry);
                    let due = schedule::retry(config, random, state, now);
                    batch.lines.push(Line { row, fate: Fate::Retry { due, said } });
                    continue;
                }
                RowResult::Forward(_) if self.full_until.is_some() => {
                    mark!(QueueForwardWaits);
                    self.waiting.push(Outcome { row, result });
                    continue;
                }
                RowResult::Forward(accept) => {
                    batch.lines.push(Line { row, fate: Fate::Forwarded(accept) });
                    continue;
                }
                RowResult::Deferred(said) => mark!(QueueExpired, (Failure::Expired, said)),
                RowResult::Refused(said) => mark!(QueueRefused, (Failure::Refused, said)),
            };
            if self.rows[row].reverse_path.is_none() {
                mark!(QueueNobodyToTell);
                batch.lines.push(Line { row, fate: Fate::Failed { why, said, notice: None } });
                continue;
            }
            let notice = messages.iter().position(|first| self.rows[*first].same_message(&self.rows[row]));
            let room = self.full_until.is_none() && messages.len() < config.limits.bounces.max(1);
            let notice = match notice {
                Some(notice) => notice,
                None if room => {
                    messages.push(row);
                    batch.notices.push(Notice::default());
                    messages.len() - 1
                }
                None => {
                    mark!(QueueBounceWaits);
                    self.waiting.push(Outcome { row, result: back(why, said) });
                    continue;
                }
            };
            batch.lines.push(Line { row, fate: Fate::Failed { why, said, notice: Some(notice) } });
        }
        let some = !batch.lines.is_empty();
        self.batch = some.then_some(batch);
        some
    }

    /// What its batch needs next. Building the record draws the names of its bounces from `random`.
    pub(super) fn need(&mut self, epoch: LeaseEpoch, context: &mut Context<'_>) -> Need {
        let Some(batch) = &mut self.batch else { return Need::Nothing };
        let unread = batch.unread().map(|(index, _)| index);
        if let Some(line) = batch.lines.iter().find(|line| unread.is_some() && line.fate.notice() == unread) {
            return Need::Header(self.rows[line.row].id);
        }
        if batch.lines.is_empty() {
            self.batch = None;
            return Need::Nothing;
        }
        batch.settle = Some(batch.record(&self.rows, epoch, context));
        Need::Record
    }

    /// The record of its batch, once it is made.
    pub(super) fn settle(&self) -> Option<&Settle> {
        self.batch.as_ref()?.settle.as_ref()
    }

    /// The header that was asked for: of the first notice that has none.
    pub(super) fn header(&mut self, head: &[u8]) {
        if let Some((_, notice)) = self.batch.as_mut().and_then(Batch::unread) {
            notice.header = Some(dsn::header_section(head));
        }
    }

    /// The row whose header was asked for is gone: an operator removed it. It has no outcome any more; which it was.
    pub(super) fn gone(&mut self) -> Option<RowId> {
        let batch = self.batch.as_mut()?;
        let (index, _) = batch.unread()?;
        let line = batch.lines.iter().position(|line| line.fate.notice() == Some(index))?;
        Some(self.rows[batch.lines.remove(line).row].id)
    }

    /// The batch was not recorded: its outcomes wait again.
    pub(super) fn dissolve(&mut self) {
        for line in self.batch.take().into_iter().flat_map(|batch| batch.lines) {
            let result = match line.fate {
                Fate::Delivered(said) => RowResult::Delivered(said),
                Fate::Forwarded(accept) => RowResult::Forward(accept),
                Fate::Retry { said, .. } => RowResult::Deferred(said),
                Fate::Failed { why, said, .. } => back(why, said),
            };
            self.waiting.push(Outcome { row: line.row, result });
        }
    }

    /// Whether its batch brings new messages.
    pub(super) fn accepts(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.lines.iter().any(|line| line.fate.accepts()))
    }

    /// Whether its batch accepts a message again.
    pub(super) fn forwards(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.lines.iter().any(|line| line.fate.forwards()))
    }

    /// There is no room for new messages before `until`: the batch is taken apart, and what needs none goes first.
    pub(super) fn full(&mut self, until: Mono) {
        self.dissolve();
        self.full_until = Some(until);
    }

    /// The store does not know what a forwarded message names: those rows are tried again.
    pub(super) fn unknown(&mut self) {
        self.dissolve();
        for outcome in &mut self.waiting {
            if matches!(outcome.result, RowResult::Forward(_)) {
                let reply = Reply::new(451, Some(EnhancedStatus(4, 3, 0)), "The message could not be filed");
                outcome.result = RowResult::Deferred(Said::ours(reply));
            }
        }
    }

    /// The batch is on disk.
    pub(super) fn recorded(&mut self, accepted: &[Accepted]) -> Recorded {
        let mut recorded = Recorded::default();
        let Some(batch) = self.batch.take() else { return recorded };
        let (mut forwards, forwarded) = (0, batch.lines.iter().filter(|line| line.fate.forwards()).count());
        let live: Vec<usize> = (0..batch.notices.len()).filter(|notice| batch.is_live(*notice)).collect();
        for line in batch.lines {
            let row = &self.rows[line.row];
            let (id, recipient) = (row.id, row.recipient.clone());
            recorded.rows.push(id);
            recorded.events.push(match line.fate {
                Fate::Delivered(said) => Event::Delivered { row: id, recipient, said },
                Fate::Retry { due, said } => {
                    recorded.due = Some(recorded.due.map_or(due, |earliest| earliest.min(due)));
                    Event::Deferred { row: id, recipient, said, due }
                }
                Fate::Forwarded(accept) => {
                    let made = accepted.get(forwards).map_or(0, |accepted| accepted.rows.len());
                    forwards += 1;
                    recorded.new.extend(accept.rows.iter().map(|row| (row.destination.clone(), row.due)));
                    if made > accept.rows.len() {
                        recorded.new.push((Destination::Local, accept.received));
                    }
                    Event::Forwarded { row: id, recipient }
                }
                Fate::Failed { why, said, notice } => {
                    let place = notice.and_then(|notice| live.binary_search(&notice).ok());
                    let bounce = place.and_then(|place| accepted.get(forwarded + place));
                    let bounce = bounce.and_then(|accepted| accepted.rows.first()).copied();
                    Event::Failed { row: id, recipient, said, why, bounce }
                }
            });
        }
        let bounces = batch.settle.into_iter().flat_map(|settle| settle.accepts.into_iter().skip(forwarded));
        recorded.new.extend(bounces.flat_map(|accept| accept.rows).map(|row| (row.destination, row.due)));
        recorded
    }
}

/// What a batch on disk means for others.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Rows that nobody works on any more.
    pub(super) rows: Vec<RowId>,
    /// What to tell.
    pub(super) events: Vec<Event>,
    /// The earliest retry.
    pub(super) due: Option<Wall>,
    /// New rows: where to, and since when.
    pub(super) new: Vec<(Destination, Wall)>,
}

/// What a record is made with.
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) routes: &'a Routes,
    pub(super) random: &'a mut Random,
    pub(super) now: Wall,
}

impl Batch {
    /// The first notice that still needs its message's header, with its index.
    fn unread(&mut self) -> Option<(usize, &mut Notice)> {
        let unread = |index: &usize| self.notices[*index].header.is_none() && self.is_live(*index);
        let index = (0..self.notices.len()).find(unread)?;
        Some((index, &mut self.notices[index]))
    }

    /// Whether a notice has a recipient left to tell about.
    fn is_live(&self, notice: usize) -> bool {
        self.lines.iter().any(|line| line.fate.notice() == Some(notice))
    }

    /// The op that records it: forwarded messages first, then one bounce for each notice.
    fn record(&self, rows: &[QueueRow], epoch: LeaseEpoch, context: &mut Context<'_>) -> Settle {
        let mut settle = Settle { epoch, rows: Vec::with_capacity(self.lines.len()), accepts: Vec::new() };
        for line in &self.lines {
            let attempted = match &line.fate {
                Fate::Retry { due, said } => Attempted::Retry { due: *due, reply: said.reply.to_string() },
                Fate::Forwarded(accept) => {
                    settle.accepts.push((**accept).clone());
                    Attempted::Finished
                }
                Fate::Delivered(_) | Fate::Failed { .. } => Attempted::Finished,
            };
            settle.rows.push((rows[line.row].id, attempted));
        }
        settle.accepts.extend((0..self.notices.len()).filter_map(|notice| self.bounce(notice, rows, context)));
        settle
    }

    /// The bounce of a notice; `None` once all its rows are gone.
    fn bounce(&self, notice: usize, rows: &[QueueRow], context: &mut Context<'_>) -> Option<Accept> {
        let mut failures = Vec::new();
        for line in &self.lines {
            if let Fate::Failed { why, said, notice: Some(index) } = &line.fate
                && *index == notice
            {
                failures.push((&rows[line.row], *why, said));
            }
        }
        let (first, ..) = failures.first()?;
        let reverse_path = first.reverse_path.as_ref()?;
        let report = dsn::Report {
            hostname: &context.routes.hostname,
            reverse_path,
            arrived: first.received,
            header: self.notices[notice].header.as_deref().unwrap_or_default(),
            failures: &failures
                .iter()
                .map(|(row, why, said)| dsn::FailedRecipient { recipient: &row.recipient, why: *why, said })
                .collect::<Vec<_>>(),
        };
        let reverse_path = if planted::is(Bug::ABounceToAStranger) { &first.recipient } else { reverse_path };
        let body = report.write(context.now, context.random);
        let destination = context.routes.destination(reverse_path);
        let mut parser = StructureParser::new();
        parser.feed(&body);
        let stays = destination == Destination::Local;
        Some(Accept {
            body: Body::Inline([body].into()),
            structure: if stays { parser.finish().encode() } else { Bytes::new() },
            received: context.now,
            reverse_path: None,
            smtputf8: !reverse_path.is_ascii(),
            eight_bit: !reverse_path.is_ascii(),
            deliveries: Vec::new(),
            rows: [NewRow { recipient: reverse_path.clone(), destination, prefix: Bytes::new(), due: context.now }]
                .into(),
            expires: context.now.after(context.config.expire_after),
        })
    }
}

impl Fate {
    fn notice(&self) -> Option<usize> {
        match self {
            Self::Failed { notice, .. } => *notice,
            _ => None,
        }
    }

    fn forwards(&self) -> bool {
        matches!(self, Self::Forwarded(_))
    }

    fn accepts(&self) -> bool {
        self.forwards() || self.notice().is_some()
    }
}

/// The outcome that a failure came from.
fn back(why: Failure, said: Said) -> RowResult {
    match why {
        Failure::Refused => RowResult::Refused(said),
        Failure::Expired => RowResult::Deferred(said),
    }
}
