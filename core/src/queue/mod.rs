//! The queue: what is due, how often it is tried, and when it is given up.
//!
//! A [`Queue`] never holds the queue. The rows are in the store, found by destination and time; the machine holds the
//! destinations that have something due (*lanes*), and the rows of the attempts under way. It asks for rows by
//! [`QueueStep::Ask`], has them tried by [`QueueStep::Attempt`], and records every outcome. It makes no connection and
//! knows no protocol: whoever carries out an attempt says what became of each row.
//!
//! ```text
//!             hint, retry, time, rescan
//!                       │
//!                       v        room
//!  Lease ──Leased──> scanning ───────> lane ──turn──> Due page ──> attempt ──settled, finished──> batch
//!    ^                  ^               ^ │                           ^                             │ bounces: Read
//!    │ half of it over, │ next due      │ │ no rows left: gone        └── Deferred (kept due) ──┐   v
//!    │ or Lost          │               │ v                                                     │ Settle
//!    └──────────────────┴───────────────┴───── rows left: next turn <───────────────────────────┴───┘
//! ```
//!
//! What becomes of a row:
//!
//! | outcome | attempt begun before the row expires | at its expiry or later |
//! |---|---|---|
//! | [`RowResult::Delivered`] | leaves the queue | leaves the queue |
//! | [`RowResult::Forward`] | leaves the queue, and the message is accepted again, in one transaction | the same |
//! | [`RowResult::Refused`] | leaves the queue; a bounce enters it in the same transaction | the same |
//! | [`RowResult::Deferred`], or none | due again after the next interval, at its expiry at the latest | as `Refused` |
//! | any bounce, of a message with the null reverse-path | leaves the queue; nobody is told but the log ([`Event::Failed`]) | the same |
//!
//! The promises:
//!
//! * **Honest.** An [`Event`] about a row comes once its outcome is on disk. An outcome that the store refuses (busy, full,
//!   stopped) is kept and asked again; it holds its attempt's place meanwhile, so that a store in trouble stops the queue
//!   instead of filling memory. A full disk holds up bounces, not the records of deliveries, which make room.
//! * **Bounded.** Rows in memory: at most [`Limits::attempts`] times [`Limits::rows`]. Destinations:
//!   [`Limits::destinations`]; when more have mail due, each gives way after a page.
//! * **Fair.** Destinations take turns, page by page; none has more than [`Limits::attempts_per_destination`] at once.
//! * **Leased.** Outcomes are recorded under the lease their attempt was made under. When it is lost, they are void and
//!   the rows start again with whoever holds the buckets; deliveries alone are still recorded once the lease is back,
//!   because they have happened.
//! * **No haste, no surprise.** Intervals grow with the row's attempts, with jitter. A row is given up only after an
//!   attempt begun past its expiry has failed. A destination where no host could be reached is left alone for
//!   [`Limits::suspension`]; rows of it that are due meanwhile share that attempt's outcome.
//! * **Clocks.** Rows are due by wall time, and deadlines follow it when it is moved. A clock set back leaves rows waiting
//!   that were made in the future; an operator's retry wakes them.
//!
//! | RFC | what | here |
//! |---|---|---|
//! | 5321 §4.5.4.1 | retry interval, give-up time | [`Config::retry`], [`Config::expire_after`] |
//! | 5321 §4.5.4.1 | unreachable hosts are remembered | [`AttemptEnd::Unreachable`], [`Limits::suspension`] |
//! | 5321 §4.5.4.1, §5.1 | recipients of one message in one transaction | rows of one message stand together |
//! | 5321 §6.1, §4.5.5 | failures are reported, to the reverse-path, from `<>`; never about `<>` | each bounce is in the transaction that finishes its rows |
//! | 3464, 6522, 6533, 3834 | the report | a table in `dsn.rs` |
//! | 3461 | DSN as SMTP extension | not offered |
//! | 2852 | DELIVERBY | not offered |

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use attempt::{Attempt, Context, Need};
use clock::Clock;
use lanes::{Lanes, Look, Suspension};
use lease::Lease;
use scan::Scan;

use crate::mark;
use crate::ops::{
    Accepted, Destination, LeaseEpoch, QueueOp, QueueReply, QueueRow, RowId, StoreError, StoreOp, StoreReply,
};
use crate::planted::{self, Bug};
use crate::router::Routes;
use crate::seed::{Random, Seed};
use crate::time::{Mono, Now, Wall};

mod attempt;
mod clock;
mod config;
mod dsn;
mod lanes;
mod lease;
mod scan;
mod schedule;
mod step;

pub use config::{Config, Limits};
pub use step::{AttemptEnd, AttemptId, Event, Failure, QuestionId, QueueStep, RowResult, Said};

/// A page with at least this many rows is shared out to several attempts while nobody else waits: one after the other on
/// one connection would take long, and a connection for each alone would not pay.
const SHARE: usize = 10;

/// Destinations in one page of a scan.
const SCAN_PAGE: usize = 100;

/// The queue of some buckets, as a machine. See the [module](self).
#[derive(Debug)]
pub struct Queue {
    config: Arc<Config>,
    routes: Routes,
    buckets: Range<u16>,
    random: Random,
    clock: Clock,
    lease: Lease,
    scan: Scan,
    lanes: Lanes,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// Rows of attempts: nobody else tries them.
    flying: BTreeSet<RowId>,
    /// Attempts to look at: an outcome waits to be recorded.
    ready: BTreeSet<AttemptId>,
    /// Attempts to look at later.
    later: BTreeSet<(Mono, AttemptId)>,
    hints: BTreeMap<Destination, Wall>,
    /// Destinations that an operator wants tried.
    wanted: BTreeSet<Destination>,
    asked: BTreeMap<QuestionId, Question>,
    /// Questions to be asked again.
    parked: BTreeMap<(Mono, QuestionId), Question>,
    /// Pages of rows asked for: each holds the place of an attempt.
    pages: usize,
    steps: VecDeque<QueueStep>,
    questions: u64,
    begun: u64,
    troubled: bool,
    draining: bool,
}

/// What was asked, and what its answer needs.
#[derive(Clone, Debug)]
enum Question {
    Lease { epoch: Option<LeaseEpoch>, until: Wall },
    Active { limit: usize },
    Due { destination: Destination, after: Option<(Wall, RowId)>, limit: usize, epoch: LeaseEpoch },
    Header { attempt: AttemptId, row: RowId },
    Settle { attempt: AttemptId },
}

impl Queue {
    /// The queue of these buckets; of all of them when there is one node.
    #[must_use]
    pub fn new(config: Arc<Config>, routes: Routes, buckets: Range<u16>, seed: &Seed) -> Self {
        Self {
            config,
            routes,
            buckets,
            random: Random::new(seed),
            clock: Clock::default(),
            lease: Lease::default(),
            scan: Scan::default(),
            lanes: Lanes::default(),
            attempts: BTreeMap::new(),
            flying: BTreeSet::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            hints: BTreeMap::new(),
            wanted: BTreeSet::new(),
            asked: BTreeMap::new(),
            parked: BTreeMap::new(),
            pages: 0,
            steps: VecDeque::new(),
            questions: 0,
            begun: 0,
            troubled: false,
            draining: false,
        }
    }

    /// Another configuration, from now on. Attempts under way and times already given stay.
    pub fn reload(&mut self, config: Arc<Config>, routes: Routes) {
        self.config = config;
        self.routes = routes;
    }

    /// There is a new row for this destination, due then: it is looked for at once. Destinations of other buckets are
    /// somebody else's, and passed over. Call it once the row is on disk.
    pub fn hint(&mut self, destination: &Destination, due: Wall) {
        if !self.buckets.contains(&destination.bucket()) {
            return;
        }
        if let Some(earlier) = self.hints.get_mut(destination) {
            *earlier = due.min(*earlier);
        } else if self.hints.len() < self.config.limits.destinations {
            self.hints.insert(destination.clone(), due);
        } else {
            mark!(QueueHintsFull);
            self.scan.wanted = true;
        }
    }

    /// An operator wants rows of this destination tried now: like [`hint`](Self::hint), and a suspension ends. Call it
    /// once the rows are due in the store.
    pub fn retry(&mut self, destination: &Destination) {
        if !self.buckets.contains(&destination.bucket()) {
            return;
        }
        if self.wanted.len() < self.config.limits.destinations {
            self.wanted.insert(destination.clone());
        } else {
            mark!(QueueWantedFull);
            self.scan.wanted = true;
        }
    }

    /// Anything may have been hinted at or asked to be retried: look at all destinations afresh, and suspensions end.
    pub fn rescan(&mut self) {
        mark!(QueueRescan);
        self.scan.everything();
        self.lanes.resume_all();
    }

    /// The store answered. An answer to a question that is not open is passed over.
    pub fn stored(&mut self, now: Now, question: QuestionId, reply: StoreReply) {
        let now = self.clock.read(now);
        let Some(question) = self.asked.remove(&question) else { return };
        let StoreReply::Queue(reply) = reply else {
            let error = if let StoreReply::Failed(error) = reply { error } else { StoreError::Unreadable };
            return self.failed(now, question, error);
        };
        match (question, reply) {
            (Question::Lease { until, .. }, QueueReply::Leased(epoch)) => self.leased(now, epoch, until),
            (Question::Lease { epoch, .. }, QueueReply::Lost) => {
                mark!(QueueLeaseRefused);
                self.lease.answered();
                self.lost(now, epoch.is_none());
            }
            (Question::Active { limit }, QueueReply::Active { destinations, next }) => {
                self.seen(now, limit, &destinations, next);
            }
            (Question::Due { destination, limit, epoch, .. }, QueueReply::Rows(rows)) => {
                self.page(now, &destination, limit, epoch, rows);
            }
            (Question::Header { attempt, .. }, QueueReply::Bytes(mut head)) => {
                head.truncate(self.config.limits.header);
                self.header(now, attempt, Some(&head));
            }
            (Question::Header { attempt, .. }, QueueReply::Gone) => {
                mark!(QueueRowGone, self.header(now, attempt, None))
            }
            (Question::Settle { attempt }, QueueReply::Settled(accepted)) => self.recorded(now, attempt, &accepted),
            (Question::Settle { attempt }, QueueReply::Lost) => {
                mark!(QueueLeaseLost);
                self.lost(now, false);
                self.unrecorded(attempt, Attempt::dissolve);
            }
            // A reply of another kind is a fault of the store's: as if it could not be read.
            (question, _) => return self.failed(now, question, StoreError::Unreadable),
        }
        self.troubled = false;
    }

    /// The store had no place for this question: it is asked again after a pause, with a fresh op. The op that came back
    /// may be dropped.
    pub fn busy(&mut self, now: Now, question: QuestionId) {
        let now = self.clock.read(now);
        if let Some(asked) = self.asked.remove(&question) {
            mark!(QueueBusy);
            self.park(now.mono.after(self.config.limits.busy_pause), asked);
        }
    }

    /// One row of an attempt has its outcome. The first one counts; a row that is not the attempt's is passed over.
    pub fn settled(&mut self, attempt: AttemptId, row: RowId, result: RowResult) {
        let Some(under_way) = self.attempts.get_mut(&attempt) else { return };
        if matches!(result, RowResult::Delivered(_)) {
            self.lanes.resume(&under_way.destination);
        }
        if under_way.settled(row, result) {
            self.ready.insert(attempt);
        }
    }

    /// The attempt is over: its rows without an outcome are deferred, or left as they are if it was abandoned.
    pub fn finished(&mut self, now: Now, attempt: AttemptId, end: &AttemptEnd) {
        let now = self.clock.read(now);
        let Some(over) = self.attempts.get_mut(&attempt) else { return };
        let released = over.finish(end);
        for row in &released {
            self.flying.remove(row);
            self.lanes.settled(&over.destination, *row);
        }
        self.ready.insert(attempt);
        match end {
            AttemptEnd::Reached(_) => self.lanes.resume(&over.destination),
            AttemptEnd::Unreachable(said) => {
                mark!(QueueSuspends);
                let pause = self.config.limits.suspension.min(schedule::interval(&self.config, 0));
                let until = now.mono.after(pause);
                let suspension = Suspension { until, begun: over.begun, said: said.clone() };
                self.lanes.suspend(&over.destination, suspension);
            }
            AttemptEnd::Abandoned => {
                mark!(QueueAbandoned);
                let destination = over.destination.clone();
                self.look_at(&destination, Look::Afresh);
            }
        }
    }

    /// Start nothing new. Once the attempts under way are finished and recorded, [`poll`](Self::poll) says
    /// [`QueueStep::Idle`].
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// What next? Call until it says [`QueueStep::Wait`] or [`QueueStep::Idle`].
    pub fn poll(&mut self, now: Now) -> QueueStep {
        let now = self.clock.read(now);
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            if !self.work(now) {
                break;
            }
        }
        if self.draining && self.attempts.is_empty() {
            return QueueStep::Idle;
        }
        QueueStep::Wait { until: self.deadline(now) }
    }

    /// Does one thing that is to be done; false when there is none.
    fn work(&mut self, now: Now) -> bool {
        self.wake(now)
            || self.record_next(now)
            || self.renew(now)
            || (!self.draining
                && self.lease.is_live(now.wall)
                && (self.take_hints(now) || self.look(now) || self.ask_page(now)))
    }

    /// When there will be something to do without any input. Each part is past only if `work` would have done it.
    fn deadline(&self, now: Now) -> Option<Mono> {
        if planted::is(Bug::ADeadlineThatLies) {
            return None;
        }
        let parked = self.parked.first_key_value().map(|((at, _), _)| *at);
        let later = self.later.first().map(|(at, _)| *at);
        let lease = self.needs_lease().then(|| self.lease.renewal(|wall| self.clock.mono(wall))).flatten();
        let looking = !self.draining && self.lease.is_live(now.wall) && self.scan.pass.is_none();
        // What would be looked for after the lease's end waits for the next lease.
        let scan = looking.then(|| self.scan.deadline(|wall| self.clock.mono(wall)));
        let scan = scan.filter(|at| *at < self.clock.mono(self.lease.end()));
        [parked, later, lease, scan].into_iter().flatten().min()
    }

    // --- Questions ---

    fn ask(&mut self, now: Now, question: Question) {
        let op = match &question {
            Question::Lease { epoch, until } => {
                QueueOp::Lease { buckets: self.buckets.clone(), epoch: *epoch, until: *until }
            }
            Question::Active { limit } => QueueOp::Active {
                buckets: self.buckets.clone(),
                now: now.wall,
                after: self.scan.pass.as_ref().and_then(|pass| pass.after.clone()),
                limit: *limit,
            },
            Question::Due { destination, after, limit, .. } => {
                QueueOp::Due { destination: destination.clone(), now: now.wall, after: *after, limit: *limit }
            }
            Question::Header { row, .. } => QueueOp::Read { row: *row, offset: 0, len: self.config.limits.header },
            Question::Settle { attempt } => match self.attempts.get(attempt).and_then(Attempt::settle) {
                Some(settle) => QueueOp::Settle(settle.clone()),
                None => return,
            },
        };
        self.questions += 1;
        let id = QuestionId(self.questions);
        self.asked.insert(id, question);
        self.steps.push_back(QueueStep::Ask { question: id, op: StoreOp::Queue(op) });
    }

    fn park(&mut self, at: Mono, question: Question) {
        self.questions += 1;
        self.parked.insert((at, QuestionId(self.questions)), question);
    }

    /// Asks again what was put off, and looks again at attempts that were.
    fn wake(&mut self, now: Now) -> bool {
        if let Some(&(at, attempt)) = self.later.first()
            && at <= now.mono
        {
            self.later.pop_first();
            self.ready.insert(attempt);
            return true;
        }
        let Some((&(at, _), _)) = self.parked.first_key_value() else { return false };
        if at > now.mono {
            return false;
        }
        match self.parked.pop_first() {
            Some((_, Question::Lease { .. })) => self.ask_lease(now),
            Some((_, Question::Settle { attempt })) if !self.lease.is_held(self.settling(attempt)) => {
                mark!(QueueSettleTooLate);
                self.unrecorded(attempt, Attempt::dissolve);
            }
            Some((_, question)) => self.ask(now, question),
            None => {}
        }
        true
    }

    /// The op had no effect.
    fn failed(&mut self, now: Now, question: Question, error: StoreError) {
        if !self.troubled {
            self.steps.push_back(QueueStep::Event(Event::Trouble { what: error.to_string() }));
        }
        self.troubled = true;
        let later = now.mono.after(self.config.limits.failed_pause.max(Duration::from_millis(1)));
        match (question, error) {
            (Question::Header { attempt, .. }, _) => mark!(QueueHeaderUnreadable, self.header(now, attempt, Some(&[]))),
            (Question::Settle { attempt }, StoreError::Full) if self.accepts(attempt) => {
                mark!(QueueNoRoomForBounces);
                self.unrecorded(attempt, |attempt| attempt.full(later));
                self.later.insert((later, attempt));
            }
            (Question::Settle { attempt }, StoreError::Unknown) if self.forwards(attempt) => {
                mark!(QueueForwardUnknown);
                self.unrecorded(attempt, Attempt::unknown);
            }
            (question, _) => mark!(QueueStoreFailed, self.park(later, question)),
        }
    }

    // --- The lease ---

    fn needs_lease(&self) -> bool {
        !self.draining || !self.attempts.is_empty()
    }

    fn renew(&mut self, now: Now) -> bool {
        let due = self.needs_lease() && self.lease.is_due(now);
        if due {
            self.ask_lease(now);
        }
        due
    }

    fn ask_lease(&mut self, now: Now) {
        self.lease.asked();
        let until = now.wall.after(self.config.limits.lease.max(Duration::from_secs(1)));
        self.ask(now, Question::Lease { epoch: self.lease.epoch(), until });
    }

    fn leased(&mut self, now: Now, epoch: LeaseEpoch, until: Wall) {
        if self.lease.granted(epoch, until, now.mono, self.config.limits.lease) {
            self.scan.wanted = true;
            self.steps.push_back(QueueStep::Event(Event::Leased { epoch }));
            // What was put off for want of a lease.
            self.ready.extend(self.attempts.iter().filter(|(_, attempt)| attempt.is_waiting()).map(|(id, _)| *id));
        }
    }

    /// The buckets are another's. `refused`: a new lease is, too, so that it makes no sense to ask for one at once.
    fn lost(&mut self, now: Now, refused: bool) {
        let pause = if refused { self.config.limits.lease / 2 } else { Duration::ZERO };
        if self.lease.lost(now.mono.after(pause.min(self.config.limits.recheck))) {
            self.steps.push_back(QueueStep::Event(Event::LeaseLost));
        }
    }

    // --- Looking for work ---

    fn take_hints(&mut self, now: Now) -> bool {
        if let Some(destination) = self.wanted.pop_first() {
            self.lanes.resume(&destination);
            self.look_at(&destination, Look::Afresh);
            return true;
        }
        let Some((destination, due)) = self.hints.pop_first() else { return false };
        if due <= now.wall {
            self.look_at(&destination, Look::At(due));
        } else {
            self.scan.note(due);
        }
        true
    }

    fn look_at(&mut self, destination: &Destination, look: Look) -> bool {
        let room = self.lanes.activate(destination, look, &self.config.limits);
        if !room {
            mark!(QueueLanesFull);
        }
        self.scan.wanted |= !room;
        room
    }

    /// Begins a pass over the destinations when it is time, or goes on with it when there is room.
    fn look(&mut self, now: Now) -> bool {
        if self.scan.pass.is_none() && self.scan.deadline(|wall| self.clock.mono(wall)) <= now.mono {
            self.scan.begin(now.mono);
        }
        let Some(pass) = self.scan.pass.as_mut().filter(|pass| !pass.asked) else { return false };
        let room = self.lanes.room(&self.config.limits);
        if room == 0 {
            mark!(QueueScanHeldUp);
            return false;
        }
        pass.asked = true;
        self.ask(now, Question::Active { limit: room.min(SCAN_PAGE) });
        true
    }

    /// A page of a scan came.
    fn seen(&mut self, now: Now, limit: usize, destinations: &[Destination], next: Option<Wall>) {
        let Some(pass) = &mut self.scan.pass else { return };
        pass.asked = false;
        let look = if pass.afresh { Look::Afresh } else { Look::Onward };
        let mut last = destinations.len() < limit;
        for destination in destinations.iter().take(limit) {
            if !self.lanes.activate(destination, look, &self.config.limits) {
                last = false;
                break;
            }
            pass.after = Some(destination.clone());
        }
        if let Some(next) = next {
            self.scan.note(next);
        }
        if last {
            self.scan.end(now.mono, &self.config.limits);
        }
    }

    /// Asks for the page of whose turn it is.
    fn ask_page(&mut self, now: Now) -> bool {
        let Some(epoch) = self.lease.epoch() else { return false };
        if self.attempts.len() + self.pages >= self.config.limits.attempts.max(1) {
            if self.lanes.waiting() {
                mark!(QueueAttemptsFull);
            }
            return false;
        }
        let Some((destination, after)) = self.lanes.turn(&self.config.limits) else { return false };
        self.pages += 1;
        let limit = self.config.limits.rows.max(1);
        self.ask(now, Question::Due { destination, after, limit, epoch });
        true
    }

    // --- Attempts ---

    /// A page of due rows came. One from before a lease was lost shows what another may have tried since.
    fn page(&mut self, now: Now, destination: &Destination, asked: usize, epoch: LeaseEpoch, rows: Vec<QueueRow>) {
        self.pages = self.pages.saturating_sub(1);
        if self.draining || !self.lease.is_held(Some(epoch)) || !self.lease.is_live(now.wall) {
            mark!(QueuePageForgone);
            self.lanes.forgo(destination);
            self.rest(now, destination);
            return;
        }
        let mut rows = rows;
        if planted::is(Bug::LoseARetryOnRestart) {
            rows.retain(|row| row.state.attempts == 0 || row.id.0.epoch == epoch.0.epoch);
        }
        let rows = by_message(self.lanes.page(destination, rows, asked, &mut self.flying));
        if !rows.is_empty() {
            let suspension = self.lanes.suspension(destination, now.mono).cloned();
            let share = if suspension.is_some() { rows.len() } else { self.share(destination, rows.len()) };
            for rows in split(rows, share) {
                self.begin(now, destination, rows, epoch, suspension.as_ref());
            }
        }
        self.rest(now, destination);
    }

    /// How many rows of a page go into one attempt.
    fn share(&self, destination: &Destination, rows: usize) -> usize {
        if self.lanes.waiting() {
            return rows;
        }
        let limits = &self.config.limits;
        let here = limits.attempts_per_destination.saturating_sub(self.lanes.running(destination));
        let all = limits.attempts.saturating_sub(self.attempts.len() + self.pages);
        rows.div_ceil(here.min(all).max(1)).max(SHARE)
    }

    fn begin(
        &mut self,
        now: Now,
        destination: &Destination,
        rows: Vec<QueueRow>,
        epoch: LeaseEpoch,
        suspension: Option<&Suspension>,
    ) {
        self.begun += 1;
        let id = AttemptId(self.begun);
        let begun = suspension.map_or(now.wall, |suspension| suspension.begun);
        let mut attempt = Attempt::new(destination.clone(), rows, epoch, begun);
        self.lanes.begun(destination);
        if let Some(suspension) = suspension {
            mark!(QueueSharesSuspension);
            attempt.finish(&AttemptEnd::Unreachable(suspension.said.clone()));
            self.ready.insert(id);
        } else {
            let (destination, rows) = (destination.clone(), attempt.rows.clone());
            self.steps.push_back(QueueStep::Attempt { attempt: id, destination, rows });
        }
        self.attempts.insert(id, attempt);
    }

    /// The lane waits for its next turn, or goes.
    fn rest(&mut self, now: Now, destination: &Destination) {
        let limits = &self.config.limits;
        let crowded = self.scan.is_held_up(self.lanes.room(limits));
        self.scan.wanted |= self.lanes.rest(destination, now.mono, crowded, limits);
    }

    // --- Outcomes ---

    /// Records what waits of one attempt.
    fn record_next(&mut self, now: Now) -> bool {
        let Some(epoch) = self.lease.epoch() else { return false };
        let Some(id) = self.ready.pop_first() else { return false };
        let Some(attempt) = self.attempts.get_mut(&id) else { return true };
        let void = if attempt.epoch == epoch { Vec::new() } else { attempt.void() };
        if !void.is_empty() {
            mark!(QueueOutcomeVoid);
            let destination = attempt.destination.clone();
            for row in void {
                self.flying.remove(&row);
                self.lanes.settled(&destination, row);
            }
            self.look_at(&destination, Look::Afresh);
        }
        let Some(attempt) = self.attempts.get_mut(&id) else { return true };
        if attempt.is_waiting() && attempt.make_batch(&self.config, &mut self.random, now.wall, now.mono) {
            self.advance(now, id);
        }
        self.close(now, id);
        true
    }

    /// Goes on with an attempt's batch: reads the next header, or has it recorded.
    fn advance(&mut self, now: Now, id: AttemptId) {
        let Some(epoch) = self.lease.epoch() else {
            mark!(QueueLeaseGoneMidway);
            return self.unrecorded(id, Attempt::dissolve);
        };
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let mut context =
            Context { config: &self.config, routes: &self.routes, random: &mut self.random, now: now.wall };
        match attempt.need(epoch, &mut context) {
            Need::Header(row) => self.ask(now, Question::Header { attempt: id, row }),
            Need::Record => self.ask(now, Question::Settle { attempt: id }),
            Need::Nothing => {
                self.ready.insert(id);
            }
        }
    }

    /// The header asked for; `None` when its row is gone.
    fn header(&mut self, now: Now, id: AttemptId, head: Option<&[u8]>) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        match head {
            Some(head) => attempt.header(head),
            None => {
                if let Some(row) = attempt.gone() {
                    self.flying.remove(&row);
                    self.lanes.settled(&attempt.destination, row);
                }
            }
        }
        self.advance(now, id);
    }

    /// A batch is on disk.
    fn recorded(&mut self, now: Now, id: AttemptId, accepted: &[Accepted]) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let recorded = attempt.recorded(accepted);
        for row in &recorded.rows {
            self.flying.remove(row);
            self.lanes.settled(&attempt.destination, *row);
        }
        if let Some(due) = recorded.due {
            self.scan.note(due);
        }
        self.steps.extend(recorded.events.into_iter().map(QueueStep::Event));
        for (destination, due) in &recorded.new {
            self.hint(destination, *due);
        }
        self.ready.insert(id);
        self.close(now, id);
    }

    /// A batch was not recorded: `undo` takes it apart, and its outcomes are looked at again.
    fn unrecorded(&mut self, id: AttemptId, undo: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            undo(attempt);
            self.ready.insert(id);
        }
    }

    fn accepts(&self, id: AttemptId) -> bool {
        self.attempts.get(&id).is_some_and(Attempt::accepts)
    }

    fn forwards(&self, id: AttemptId) -> bool {
        self.attempts.get(&id).is_some_and(Attempt::forwards)
    }

    /// The epoch under which a batch was to be recorded.
    fn settling(&self, id: AttemptId) -> Option<LeaseEpoch> {
        Some(self.attempts.get(&id)?.settle()?.epoch)
    }

    /// Lets go of an attempt that is through.
    fn close(&mut self, now: Now, id: AttemptId) {
        if !self.attempts.get(&id).is_some_and(Attempt::is_through) {
            return;
        }
        let Some(attempt) = self.attempts.remove(&id) else { return };
        self.ready.remove(&id);
        self.lanes.ended(&attempt.destination);
        self.rest(now, &attempt.destination);
    }
}

/// Puts the rows of one message together, the messages in the order of their first row.
fn by_message(mut rows: Vec<QueueRow>) -> Vec<QueueRow> {
    let mut first = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        first.entry(row.blob).or_insert(index);
    }
    // Bodies may be shared by messages with other envelopes (a forwarded one): these are told apart behind that.
    rows.sort_by(|a, b| {
        let key = |row: &QueueRow| (first.get(&row.blob).copied(), row.smtputf8, row.eight_bit);
        key(a).cmp(&key(b)).then_with(|| a.reverse_path.cmp(&b.reverse_path)).then_with(|| a.prefix.cmp(&b.prefix))
    });
    rows
}

/// Cuts rows into runs of about `share`, never within a message.
fn split(rows: Vec<QueueRow>, share: usize) -> Vec<Vec<QueueRow>> {
    let mut parts: Vec<Vec<QueueRow>> = Vec::new();
    for row in rows {
        match parts.last_mut() {
            Some(part) if part.len() < share || part.last().is_some_and(|last| last.same_message(&row)) => {
                part.push(row)
            }
            _ => parts.push([row].into()),
        }
    }
    parts
}
