//! A disk under a model of the store.
//!
//! What a node asks for waits, is written as a group, and is answered when the group is on disk: so a crash finds some of
//! it written and unanswered, and the rest gone. It can be slow, full, busy, or stop at a failed sync.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pillarbox_core::ops::{
    AccountOp, MailboxOp, MaildropOp, Notice, Notices, QueueOp, Sink, StageOp, StoreError, StoreOp, StoreReply, Token,
};
use pillarbox_core::planted::{self, Bug};
use pillarbox_core::{Mono, Random};
use pillarbox_store::{Image, MemoryStore};

/// Ops that wait at most; more are handed back.
const WAITING: usize = 4096;

/// Where a store's notices wait for their node.
#[derive(Default)]
pub(crate) struct Ear(Mutex<Notices>);

impl Ear {
    pub(crate) fn take(&self) -> Notices {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Ear {
    fn complete(&self, token: Token, _: StoreReply) {
        unreachable!("{token:?} is answered by the disk");
    }

    fn notice(&self, notice: Notice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(notice);
    }
}

/// How a disk is doing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// How long a group takes.
    pub(crate) write: Duration,
    /// How long a read takes.
    pub(crate) read: Duration,
    /// Of a hundred changes, so many find no room.
    pub(crate) full: usize,
    /// Of a hundred ops, so many are handed back.
    pub(crate) busy: usize,
    /// Of a hundred reads, so many fail.
    pub(crate) bad: usize,
}

impl Health {
    pub(crate) const GOOD: Self =
        Self { write: Duration::from_micros(700), read: Duration::from_micros(90), full: 0, busy: 0, bad: 0 };
}

/// An op that waits for its turn.
pub(crate) struct Waiting {
    /// Whose it is, by its place in the world.
    pub(crate) node: usize,
    pub(crate) ear: Arc<Ear>,
    pub(crate) token: Token,
    pub(crate) op: StoreOp,
}

/// What has become of an op that was taken.
pub(crate) enum Taken {
    /// It is handed back.
    Busy(StoreOp),
    /// Its answer comes at once.
    Answered(StoreReply),
    /// The group that was begun with it is written then.
    Begun(Mono),
    /// It waits for the group behind the one that is being written.
    Waits,
    /// A read, which is answered then.
    Reads(Mono),
}

/// A disk.
pub(crate) struct Disk {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) health: Health,
    /// A sync has failed: no change is taken before a restart.
    pub(crate) stopped: bool,
    /// The group that is being written.
    group: Vec<Waiting>,
    /// The next one.
    next: VecDeque<Waiting>,
    reads: VecDeque<Waiting>,
    random: Random,
    /// What a disk that only says that it writes has really written, and when.
    really: Option<(Mono, Image)>,
}

/// How long such a disk takes its time.
const LINGERS: Duration = Duration::from_secs(30);

impl Disk {
    pub(crate) fn new(store: Arc<MemoryStore>, random: Random) -> Self {
        Self {
            store,
            health: Health::GOOD,
            stopped: false,
            group: Vec::new(),
            next: VecDeque::new(),
            reads: VecDeque::new(),
            random,
            really: None,
        }
    }

    /// Takes an op.
    pub(crate) fn submit(&mut self, now: Mono, waiting: Waiting) -> Taken {
        if matches!(&waiting.op, StoreOp::Mailbox(op) if !matches!(**op, MailboxOp::Ask { .. })) {
            let ear = Arc::clone(&waiting.ear) as Arc<dyn Sink>;
            return Taken::Answered(self.store.apply_for(&ear, waiting.op));
        }
        if self.group.len() + self.next.len() + self.reads.len() >= WAITING || self.random.below(100) < self.health.busy
        {
            return Taken::Busy(waiting.op);
        }
        if !changes(&waiting.op) {
            self.reads.push_back(waiting);
            return Taken::Reads(now + self.health.read);
        }
        if !self.group.is_empty() {
            self.next.push_back(waiting);
            return Taken::Waits;
        }
        self.group.push(waiting);
        Taken::Begun(now + self.health.write)
    }

    /// The group is on disk: its ops, to be applied and answered; and when the next one is.
    pub(crate) fn written(&mut self, now: Mono) -> (Vec<Waiting>, Option<Mono>) {
        if planted::is(Bug::DropTheFsync) && self.really.as_ref().is_none_or(|(at, _)| *at + LINGERS <= now) {
            self.really = Some((now, self.store.image()));
        }
        let done = std::mem::take(&mut self.group);
        self.group.extend(self.next.drain(..));
        let next = (!self.group.is_empty()).then(|| now + self.health.write);
        (done, next)
    }

    /// The oldest read is done.
    pub(crate) fn read(&mut self) -> Option<Waiting> {
        self.reads.pop_front()
    }

    /// Whether a read fails.
    pub(crate) fn misreads(&mut self) -> bool {
        self.health.bad > 0 && self.random.below(100) < self.health.bad
    }

    /// Whether this change fails, and why.
    pub(crate) fn failure(&mut self, op: &StoreOp) -> Option<StoreError> {
        // What gives something back needs no room.
        let gives = matches!(op, StoreOp::Maildrop(MaildropOp::Release { .. }) | StoreOp::Stage(StageOp::Drop { .. }));
        match () {
            () if gives => None,
            () if self.stopped => Some(StoreError::Stopped),
            () if self.random.below(100) < self.health.full => Some(StoreError::Full),
            () => None,
        }
    }

    /// The server dies, or the machine when its `power` fails: of what was being written some reached the disk, in order,
    /// and nobody was told.
    pub(crate) fn crash(&mut self, power: bool) -> Vec<Waiting> {
        if let Some((_, image)) = self.really.take().filter(|_| power) {
            self.store.restore(&image);
        }
        let mut written = std::mem::take(&mut self.group);
        written.truncate(self.random.below(written.len() + 1));
        if self.stopped {
            written.clear();
        }
        self.next.clear();
        self.reads.clear();
        written
    }

    /// The machine comes up again.
    pub(crate) fn restart(&mut self) {
        self.stopped = false;
        self.store.reopen();
    }
}

/// Whether it changes what is on disk, and so is written in its node's order.
fn changes(op: &StoreOp) -> bool {
    match op {
        StoreOp::Accept(_) | StoreOp::Stage(_) => true,
        StoreOp::Account(op) => {
            !matches!(op, AccountOp::Resolve { .. } | AccountOp::Authenticate { .. } | AccountOp::List { .. })
        }
        StoreOp::Maildrop(op) => matches!(op, MaildropOp::Commit { .. } | MaildropOp::Release { .. }),
        StoreOp::Mailbox(op) => matches!(&**op, MailboxOp::Ask { request, .. } if request.is_change()),
        StoreOp::Queue(op) => {
            matches!(op, QueueOp::Lease { .. } | QueueOp::Settle(_) | QueueOp::Retry { .. } | QueueOp::Remove { .. })
        }
    }
}
