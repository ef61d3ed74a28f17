//! Carries out what the queue wants, in virtual time, and watches the rules on the way.
//!
//! What happens is read from a script of bytes, so that a failing run shrinks. When the script is over, the world is
//! healed: everything answers at once, and everything that is tried is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::ops::{
    Accept, AccountId, BUCKETS, Body, Delivery, Destination, NewRow, QueueOp, QueueReply, QueueRow, RowId, StoreError,
    StoreOp, StoreReply,
};
use pillarbox_core::queue::{
    AttemptEnd, AttemptId, Config, Event, Failure, QuestionId, Queue, QueueStep, RowResult, Said,
};
use pillarbox_core::router::Routes;
use pillarbox_core::smtp::{Address, EnhancedStatus, Reply};
use pillarbox_core::{Mono, Now, Seed, Wall};

use crate::desk::Desk;

/// 2026-11-22.
pub(crate) const START: Wall = Wall(1_795_379_126_000);

/// What a world may do to the queue, in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    at: usize,
}

impl Script {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), at: 0 }
    }

    /// The next number below `bound`; 0, the kind one, when the script is over.
    pub(crate) fn next(&mut self, bound: u8) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte % bound
    }
}

pub(crate) struct World {
    pub(crate) queue: Queue,
    pub(crate) config: Arc<Config>,
    pub(crate) desk: Desk,
    pub(crate) now: Now,
    pub(crate) store: Script,
    pub(crate) hosts: Script,
    /// There is no room for so many new messages.
    pub(crate) full: u32,
    /// What hosts say, whatever the script.
    pub(crate) answers: BTreeMap<String, Answer>,
    pub(crate) attempts: BTreeMap<AttemptId, Running>,
    /// Each attempt: when, where, how many rows.
    pub(crate) begun: Vec<(Wall, Destination, usize)>,
    pub(crate) events: Vec<Event>,
    /// Everything said, for comparing runs.
    pub(crate) trace: Vec<String>,
    pub(crate) idle: bool,
    pub(crate) most_attempts: usize,
    pub(crate) most_questions: usize,
    questions: BTreeMap<QuestionId, Coming>,
    told: BTreeSet<RowId>,
    /// A crash came between a record and its event.
    untold: bool,
    /// By an operator.
    removed: BTreeSet<RowId>,
    delivered: BTreeSet<RowId>,
    /// The latest time at which each destination was tried.
    tried: BTreeMap<Destination, Wall>,
    until: Option<Mono>,
    /// The latest that the wall clock has ever shown.
    latest: Wall,
    blobs: u64,
}

/// An answer on its way.
struct Coming {
    at: Mono,
    reply: Reaction,
}

enum Reaction {
    Reply(StoreReply),
    Busy,
}

/// What a destination does to every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Take,
    Refuse,
    Defer,
    Unreachable,
    /// The connection breaks behind the first row.
    Break,
}

pub(crate) struct Running {
    pub(crate) destination: Destination,
    pub(crate) rows: Arc<[QueueRow]>,
    ends: Mono,
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) fn reply(code: u16, text: &'static str) -> Reply {
    let class = u8::try_from(code / 100).unwrap();
    Reply::new(code, Some(EnhancedStatus(class, 2, 0)), text)
}

pub(crate) fn said(code: u16) -> Said {
    Said::by(reply(code, "So be it"), "mx.example")
}

pub(crate) fn config() -> Config {
    let seconds = Duration::from_secs;
    let mut config = Config {
        retry: vec![seconds(30), seconds(120), seconds(600)],
        jitter_percent: 20,
        expire_after: seconds(3600),
        ..Config::default()
    };
    config.limits.rows = 8;
    config.limits.attempts = 6;
    config.limits.attempts_per_destination = 2;
    config.limits.destinations = 4;
    config
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let routes =
            Routes { hostname: "mx.amber.example".into(), domains: vec!["amber.example".into()], routes: vec![] };
        Self {
            queue: Queue::new(config.clone(), routes, 0..BUCKETS, &Seed::number(7)),
            config,
            desk: Desk::default(),
            now: Now { mono: Mono(1_000_000_000), wall: START },
            store: Script::default(),
            hosts: Script::default(),
            full: 0,
            answers: BTreeMap::new(),
            attempts: BTreeMap::new(),
            begun: Vec::new(),
            events: Vec::new(),
            trace: Vec::new(),
            idle: false,
            most_attempts: 0,
            most_questions: 0,
            questions: BTreeMap::new(),
            told: BTreeSet::new(),
            untold: false,
            removed: BTreeSet::new(),
            delivered: BTreeSet::new(),
            tried: BTreeMap::new(),
            until: None,
            latest: START,
            blobs: 0,
        }
    }

    /// A queue that starts over on the same store, as after a crash.
    pub(crate) fn restart(&mut self) {
        let mut fresh = Self::new((*self.config).clone());
        std::mem::swap(&mut fresh.queue, &mut self.queue);
        self.desk.epoch = None;
        self.questions.clear();
        self.attempts.clear();
    }

    /// Puts one message into the queue: its row ids.
    pub(crate) fn send(&mut self, from: Option<&str>, to: &[&str]) -> Vec<RowId> {
        self.blobs += 1;
        let row = |recipient: &&str| {
            let recipient = address(recipient);
            let domain = recipient.domain().to_string();
            let destination = if domain == "amber.example" { Destination::Local } else { Destination::Domain(domain) };
            NewRow { recipient, destination, prefix: Bytes::from_static(b"Received: here\r\n"), due: self.now.wall }
        };
        let body = format!("Message-ID: <{}@amber.example>\r\nSubject: Hi\r\n\r\nBody\r\n", self.blobs);
        let accept = Accept {
            body: Body::Inline(vec![body.into()]),
            structure: Bytes::new(),
            received: self.now.wall,
            reverse_path: from.map(address),
            smtputf8: false,
            eight_bit: false,
            deliveries: vec![],
            rows: to.iter().map(row).collect(),
            expires: self.now.wall.after(self.config.expire_after),
        };
        let hints: Vec<_> = accept.rows.iter().map(|row| row.destination.clone()).collect();
        let rows = self.desk.accept(accept).rows;
        for destination in hints {
            self.queue.hint(&destination, self.now.wall);
        }
        rows
    }

    /// Polls until it waits.
    pub(crate) fn settle(&mut self) {
        self.latest = self.latest.max(self.now.wall);
        for turn in 0.. {
            assert!(turn < 100_000, "the queue spins");
            match self.queue.poll(self.now) {
                QueueStep::Wait { until } => {
                    assert_eq!(self.queue.poll(self.now), QueueStep::Wait { until }, "drain: Wait is stable");
                    assert!(until.is_none_or(|until| until > self.now.mono), "a deadline that has passed");
                    self.until = until;
                    break;
                }
                QueueStep::Idle => {
                    assert_eq!(self.queue.poll(self.now), QueueStep::Idle);
                    self.idle = true;
                    self.until = None;
                    break;
                }
                step => self.step(step),
            }
        }
        let limits = &self.config.limits;
        self.most_attempts = self.most_attempts.max(self.attempts.len());
        self.most_questions = self.most_questions.max(self.questions.len());
        assert!(self.attempts.len() <= limits.attempts);
        assert!(self.questions.len() <= limits.attempts + 2, "a lease, a scan, and one question an attempt");
    }

    /// Goes on to the next thing that happens, at most until `end`; false when nothing does.
    pub(crate) fn advance(&mut self, end: Mono) -> bool {
        self.settle();
        let coming = self.questions.values().map(|coming| coming.at);
        let running = self.attempts.values().map(|running| running.ends);
        let Some(next) = coming.chain(running).chain(self.until).min() else { return false };
        if next > end {
            return false;
        }
        let deadline = self.until == Some(next);
        let early = Mono(next.0 - 1);
        if early > self.now.mono {
            self.pass(early);
            assert_eq!(self.queue.poll(self.now), QueueStep::Wait { until: self.until }, "woken before its time");
        }
        self.pass(next);
        let before = self.until;
        if deadline {
            let step = self.queue.poll(self.now);
            assert_ne!(step, QueueStep::Wait { until: before }, "an honest deadline makes progress");
            if !matches!(step, QueueStep::Wait { .. } | QueueStep::Idle) {
                self.step(step);
            }
        }
        self.answer();
        self.carry_out();
        true
    }

    /// Everything that happens within `time`.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        let mut events = 0;
        while self.advance(end) {
            events += 1;
            assert!(events < 1_000_000, "never quiet");
        }
        self.pass(end.max(self.now.mono));
        self.settle();
    }

    /// Until everything is gone from the store and the queue is quiet.
    pub(crate) fn run_dry(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        while !(self.desk.rows.is_empty() && self.attempts.is_empty()) {
            assert!(self.advance(end), "rows are stuck: {:?}", self.desk.rows.keys());
        }
        // The last answers are still on their way.
        self.run(Duration::from_secs(60));
    }

    /// From now on everything works.
    pub(crate) fn heal(&mut self) {
        self.store = Script::default();
        self.hosts = Script::default();
        self.desk.taken_until = Wall(i64::MIN);
    }

    /// An operator removes a row.
    pub(crate) fn remove(&mut self, id: RowId) {
        self.desk.remove(id);
        self.removed.insert(id);
    }

    /// An operator makes everything due.
    pub(crate) fn call_all(&mut self) {
        let rows: Vec<_> = self.desk.rows.iter().map(|(id, (row, _))| (*id, row.destination.clone())).collect();
        for (id, destination) in rows {
            self.desk.retry(id, self.now.wall);
            self.queue.retry(&destination);
        }
    }

    /// A crash has made a second delivery legal.
    pub(crate) fn forgive(&mut self) {
        self.delivered.clear();
        self.untold = true;
    }

    /// Every row there ever was has ended, in one way.
    pub(crate) fn check_ends(&self) {
        assert!(self.desk.rows.is_empty() && self.attempts.is_empty());
        for id in self.desk.born.keys() {
            assert!(self.removed.contains(id) || self.told.contains(id) || self.untold, "{id} has no end");
        }
        // Each failure with a reverse-path is in exactly one report.
        let failed = self.events.iter().filter(|event| matches!(event, Event::Failed { bounce: Some(_), .. })).count();
        let reports =
            self.desk.settles.iter().flat_map(|settle| &settle.accepts).filter_map(|accept| match &accept.body {
                Body::Inline(body) => Some(String::from_utf8(body.concat()).unwrap()),
                _ => None,
            });
        let reported: usize = reports.map(|report| report.matches("Final-Recipient:").count()).sum();
        assert!(failed == reported || self.untold, "{failed} failed, {reported} reported");
    }

    pub(crate) fn pass(&mut self, to: Mono) {
        let millis = (to.0 / 1_000_000) as i64 - (self.now.mono.0 / 1_000_000) as i64;
        self.now = Now { mono: to, wall: Wall(self.now.wall.0 + millis) };
    }

    /// Somebody moves the wall clock.
    pub(crate) fn jump(&mut self, by_ms: i64) {
        self.now.wall.0 += by_ms;
    }

    fn step(&mut self, step: QueueStep) {
        self.trace.push(format!("{:?} {step:?}", self.now.mono));
        match step {
            QueueStep::Ask { question, op } => self.question(question, op),
            QueueStep::Attempt { attempt, destination, rows } => self.attempt(attempt, destination, rows),
            QueueStep::Event(event) => self.event(event),
            QueueStep::Wait { .. } | QueueStep::Idle => unreachable!(),
        }
    }

    fn question(&mut self, question: QuestionId, op: StoreOp) {
        let StoreOp::Queue(op) = op else { panic!("the queue asks about the queue: {op:?}") };
        if let QueueOp::Settle(settle) = &op {
            self.check_bounces(&settle.accepts);
        }
        let wall = self.now.wall;
        let settle = matches!(op, QueueOp::Settle(_));
        let applied = |world: &mut Self| Reaction::Reply(world.desk.apply(op.clone(), wall));
        let (mut fate, delay) = (self.store.next(16), self.store.next(4));
        if self.full > 0 && matches!(&op, QueueOp::Settle(settle) if !settle.accepts.is_empty()) {
            self.full -= 1;
            fate = 3;
        }
        let reply = match fate {
            1 | 2 => Reaction::Busy,
            3 => Reaction::Reply(StoreReply::Failed(StoreError::Full)),
            4 => Reaction::Reply(StoreReply::Failed(StoreError::Stopped)),
            5 => Reaction::Reply(StoreReply::Failed(StoreError::Unreadable)),
            6 => Reaction::Reply(StoreReply::Failed(StoreError::Unknown)),
            // Out of its mind, and without effect.
            7 => Reaction::Reply(StoreReply::Queue(QueueReply::Changed(7))),
            8 => {
                // Another owner takes the buckets.
                self.desk.take_lease(wall.after(Duration::from_secs(u64::from(delay) * 40)));
                applied(self)
            }
            9 if settle => {
                // A restart of the store: leases are gone, nobody else holds them.
                self.desk.epoch = None;
                applied(self)
            }
            _ => applied(self),
        };
        let delay = match delay {
            0 => Duration::ZERO,
            1 => Duration::from_millis(1),
            2 => Duration::from_millis(300),
            _ => Duration::from_secs(20),
        };
        let coming = Coming { at: self.now.mono.after(delay), reply };
        assert!(self.questions.insert(question, coming).is_none(), "one question, one name");
    }

    fn check_bounces(&self, accepts: &[Accept]) {
        for accept in accepts {
            if let Body::Row(_) = accept.body {
                continue;
            }
            assert_eq!(accept.reverse_path, None, "a bounce has the null reverse-path");
            assert_eq!((accept.rows.len(), accept.deliveries.len()), (1, 0));
        }
    }

    fn answer(&mut self) {
        let due: Vec<_> =
            self.questions.iter().filter(|(_, coming)| coming.at <= self.now.mono).map(|(id, _)| *id).collect();
        for id in due {
            match self.questions.remove(&id).unwrap().reply {
                Reaction::Reply(reply) => {
                    self.queue.stored(self.now, id, reply.clone());
                    // A second answer to the same question is nobody's.
                    self.queue.stored(self.now, id, reply);
                }
                Reaction::Busy => self.queue.busy(self.now, id),
            }
        }
    }

    fn attempt(&mut self, id: AttemptId, destination: Destination, rows: Arc<[QueueRow]>) {
        let limits = &self.config.limits;
        assert!((1..=limits.rows).contains(&rows.len()));
        let here = self.attempts.values().filter(|running| running.destination == destination).count();
        assert!(here < limits.attempts_per_destination);
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row.destination, destination);
            assert!(row.state.due <= self.latest.after(Duration::from_secs(1)), "not due yet");
            assert!(!self.delivered.contains(&row.id), "{} was delivered already", row.id);
            let twice = self.attempts.values().any(|running| running.rows.iter().any(|other| other.id == row.id));
            assert!(!twice, "{} is being tried already", row.id);
            let group = rows.iter().rposition(|other| other.same_message(row)).unwrap();
            assert!(rows[index..=group].iter().all(|other| other.same_message(row)), "a message is torn apart");
        }
        self.begun.push((self.now.wall, destination.clone(), rows.len()));
        let latest = self.tried.entry(destination.clone()).or_insert(self.now.wall);
        *latest = self.now.wall.max(*latest);
        let time = [0, 100, 5_000, 90_000][usize::from(self.hosts.next(4))];
        let ends = self.now.mono.after(Duration::from_millis(time));
        assert!(self.attempts.insert(id, Running { destination, rows, ends }).is_none());
    }

    fn carry_out(&mut self) {
        let over: Vec<_> =
            self.attempts.iter().filter(|(_, running)| running.ends <= self.now.mono).map(|(id, _)| *id).collect();
        for id in over {
            let running = self.attempts.remove(&id).unwrap();
            let fixed = self.answers.get(&running.destination.key()).copied();
            let answer = fixed.unwrap_or_else(|| match self.hosts.next(8) {
                6 => Answer::Unreachable,
                7 => Answer::Break,
                _ => Answer::Take,
            });
            self.outcomes(id, &running, answer, fixed.is_some());
            let end = match answer {
                Answer::Unreachable => AttemptEnd::Unreachable(Said::ours(reply(451, "Nobody there"))),
                _ => AttemptEnd::Reached(Said::ours(reply(451, "The connection broke"))),
            };
            self.queue.finished(self.now, id, &end);
            // Nobody listens any more.
            self.queue.settled(id, running.rows[0].id, RowResult::Refused(said(550)));
        }
    }

    fn outcomes(&mut self, id: AttemptId, running: &Running, answer: Answer, fixed: bool) {
        for (index, row) in running.rows.iter().enumerate() {
            let fate = match answer {
                Answer::Unreachable => return,
                Answer::Break if index > 0 => return,
                Answer::Refuse => 1,
                Answer::Defer => 2,
                Answer::Take | Answer::Break if fixed => 0,
                Answer::Take | Answer::Break => self.hosts.next(4),
            };
            let result = match fate {
                1 => RowResult::Refused(said(550)),
                2 => RowResult::Deferred(said(450)),
                _ if running.destination == Destination::Local => {
                    RowResult::Forward(Box::new(forward(row, self.now.wall)))
                }
                _ => {
                    self.delivered.insert(row.id);
                    RowResult::Delivered(said(250))
                }
            };
            self.queue.settled(id, row.id, result);
            self.queue.settled(id, row.id, RowResult::Refused(said(551)));
        }
    }

    fn event(&mut self, event: Event) {
        match &event {
            Event::Delivered { row, .. } => {
                assert!(self.delivered.contains(row));
                self.ended(*row);
            }
            Event::Forwarded { row, .. } => self.ended(*row),
            Event::Failed { row, why, said, bounce, .. } => {
                assert_eq!(*why == Failure::Refused, said.reply.is_permanent());
                assert!(!self.delivered.contains(row), "delivered, and bounced");
                let born = &self.desk.born[row];
                assert!(bounce.is_none() || born.reverse_path.is_some(), "a bounce to nobody");
                if *why == Failure::Expired {
                    let tried = self.tried.get(&born.destination);
                    assert!(tried.is_some_and(|tried| *tried >= born.state.expires), "expired without an attempt");
                }
                if let Some(bounce) = bounce
                    && let Some((bounce, _)) = self.desk.rows.get(bounce)
                {
                    assert_eq!(bounce.reverse_path, None);
                }
                self.ended(*row);
            }
            Event::Deferred { row, .. } => {
                assert!(!self.told.contains(row));
                assert!(!self.delivered.contains(row));
            }
            Event::Leased { .. } | Event::LeaseLost | Event::Trouble { .. } => {}
        }
        self.events.push(event);
    }

    fn ended(&mut self, row: RowId) {
        assert!(self.told.insert(row), "{row} ends twice");
        assert!(!self.desk.rows.contains_key(&row), "told before it is on disk");
    }
}

/// What a node makes of a local row whose recipient has a mailbox.
fn forward(row: &QueueRow, now: Wall) -> Accept {
    Accept {
        body: Body::Row(row.id),
        structure: Bytes::new(),
        received: now,
        reverse_path: row.reverse_path.clone(),
        smtputf8: row.smtputf8,
        eight_bit: row.eight_bit,
        deliveries: vec![Delivery {
            account: AccountId::default(),
            recipient: row.recipient.clone(),
            prefix: row.prefix.clone(),
        }],
        rows: vec![],
        expires: row.state.expires,
    }
}
