//! The store at work under the recording layer, with all that it is asked and answers written down; and what the reference
//! model holds after each of these ops.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pillarbox_core::mailbox::Request;
use pillarbox_core::ops::*;
use pillarbox_store::{DiskStore, MemoryStore, Options};

use crate::common::*;
use crate::layer::{Event, Layer, LayeredDisk};
use crate::picture::{Picture, difference, picture};
use crate::schedule::Stopped;
use crate::verify::Wrong;

/// A store whose folder is under a layer, and the one node that asks it.
pub(crate) struct Subject {
    pub(crate) layer: Arc<Layer>,
    pub(crate) node: Node,
    clock: TestClock,
    search_index: bool,
    store: Mutex<Option<Arc<DiskStore>>>,
    tee: Arc<dyn Sink>,
    log: Arc<Mutex<Vec<Step>>>,
}

/// What happened to a store, in order.
enum Step {
    Clock(i64),
    /// So often was the store opened by now, if only in vain.
    Opened(u64),
    Asked(Token, StoreOp, Option<StoreReply>),
}

impl Subject {
    pub(crate) fn new(folder: &Path, search_index: bool) -> Self {
        let layer = Layer::new(folder);
        let (node, log) = (Node::new(), Arc::default());
        let tee = Arc::new(Tee { to: Arc::clone(node.sink()), log: Arc::clone(&log), layer: Arc::clone(&layer) });
        Self { layer, node, clock: TestClock::default(), search_index, store: Mutex::new(None), tee, log }
    }

    pub(crate) fn open(&self) -> Result<(), Stopped> {
        let disk = Arc::new(LayeredDisk(Arc::clone(&self.layer)));
        let options = Options { search_index: self.search_index, ..options(&self.clock) };
        let opened = DiskStore::open_on(self.layer.root(), options, disk).map_err(|_| Stopped)?;
        *self.store.lock().unwrap() = Some(opened);
        let conn = rusqlite::Connection::open(self.layer.root().join("pillarbox.db")).unwrap();
        let epoch: i64 =
            conn.query_row("SELECT value FROM counters WHERE name = 'epoch'", [], |row| row.get(0)).unwrap();
        self.log.lock().unwrap().push(Step::Opened(epoch.unsigned_abs()));
        Ok(())
    }

    pub(crate) fn reopen(&self) -> Result<(), Stopped> {
        self.close();
        self.open()
    }

    /// The store is open again after it had stopped: which of the changes that it never answered are there. Those that are
    /// not never happened.
    pub(crate) fn settle(&self) -> Result<(), Wrong> {
        let Some(store) = self.store.lock().unwrap().clone() else {
            return Err(Wrong::Torn("it is closed".to_owned()));
        };
        let now = picture(&Node::new(), &*store, &mut BTreeMap::new());
        let mut log = self.log.lock().unwrap();
        let reference = Reference::new(&log);
        let unknown =
            |step: &Step| matches!(step, Step::Asked(_, _, None | Some(StoreReply::Failed(StoreError::Stopped))));
        let first = log.iter().position(unknown).unwrap_or(log.len());
        let done = (first..=log.len()).find(|done| *reference.pictures[*done] == now);
        let done = done.ok_or_else(|| Wrong::Lost(difference(&now, &reference.pictures[first])))?;
        for step in &mut log[done..] {
            if let Step::Asked(_, _, reply) = step {
                reply.get_or_insert(StoreReply::Failed(StoreError::Stopped));
                if *reply == Some(StoreReply::Failed(StoreError::Stopped)) {
                    *reply = Some(StoreReply::Failed(StoreError::Full));
                }
            }
        }
        Ok(())
    }

    /// What a store must hold after each step so far.
    pub(crate) fn reference(&self) -> Reference {
        Reference::new(&self.log.lock().unwrap())
    }

    pub(crate) fn close(&self) {
        let store = self.store.lock().unwrap().take();
        if let Some(store) = store {
            store.close();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.store.lock().unwrap().as_ref().is_none_or(|store| store.is_stopped())
    }

    pub(crate) fn set_clock(&self, now: i64) {
        self.clock.set(now);
        self.log.lock().unwrap().push(Step::Clock(now));
    }

    /// Waits until the database's log is written back once more than `before`, which the store does when nobody asks for
    /// anything.
    pub(crate) fn wait_until_tidied(&self, before: usize) {
        let begun = Instant::now();
        while self.layer.syncs_of_database() == before && !self.layer.has_failed() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the store never tidies up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Store for Subject {
    fn submit(&self, _: &Arc<dyn Sink>, token: Token, op: StoreOp) -> Result<(), Busy> {
        let Some(store) = self.store.lock().unwrap().clone() else { return Err(Busy(op)) };
        let mut log = self.log.lock().unwrap();
        log.push(Step::Asked(token, op.clone(), None));
        self.layer.note(Event::Asked(log.len()));
        drop(log);
        store.submit(&self.tee, token, op)
    }
}

/// Hears what is answered before whoever asked.
struct Tee {
    to: Arc<dyn Sink>,
    log: Arc<Mutex<Vec<Step>>>,
    layer: Arc<Layer>,
}

impl Sink for Tee {
    fn complete(&self, token: Token, reply: StoreReply) {
        let mut log = self.log.lock().unwrap();
        for (at, step) in log.iter_mut().enumerate().rev() {
            match step {
                Step::Asked(asked, _, answered @ None) if *asked == token => {
                    *answered = Some(reply.clone());
                    if reply != StoreReply::Failed(StoreError::Stopped) {
                        self.layer.note(Event::Answered(at + 1));
                    }
                    break;
                }
                _ => {}
            }
        }
        drop(log);
        self.to.complete(token, reply);
    }

    fn notice(&self, notice: Notice) {
        self.to.notice(notice);
    }
}

/// What a store holds after each step, as the reference model has it.
pub(crate) struct Reference {
    pictures: Vec<Rc<Picture>>,
    /// The lease of the queue that was taken last.
    pub(crate) lease: Option<LeaseEpoch>,
}

impl Reference {
    /// Does the same to the reference. What was refused for want of room never happened; and all answers must be equal.
    fn new(log: &[Step]) -> Self {
        let (node, clock, mut seen) = (Node::new(), TestClock::default(), BTreeMap::new());
        let memory = MemoryStore::new(options(&clock));
        let mut reference = Self { pictures: vec![Rc::new(picture(&node, &*memory, &mut seen))], lease: None };
        let mut epoch = 1;
        for step in log {
            let mut changed = false;
            match step {
                Step::Clock(now) => clock.set(*now),
                Step::Opened(now) => {
                    (epoch..*now).for_each(|_| memory.reopen());
                    epoch = *now;
                }
                // A number is used up all the same.
                Step::Asked(
                    _,
                    op @ StoreOp::Stage(StageOp::Open { .. }),
                    Some(StoreReply::Failed(StoreError::Full)),
                ) => {
                    memory.apply_for(node.sink(), op.clone());
                }
                Step::Asked(_, _, Some(StoreReply::Failed(StoreError::Full))) => {}
                Step::Asked(_, op, reply) => {
                    let expected = memory.apply_for(node.sink(), op.clone());
                    if let StoreReply::Queue(QueueReply::Leased(epoch)) = &expected {
                        reference.lease = Some(*epoch);
                    }
                    if let Some(reply) = reply
                        && *reply != StoreReply::Failed(StoreError::Stopped)
                    {
                        assert_eq!(nameless(reply.clone()), nameless(expected), "{op:?}");
                    }
                    changed = is_change(op);
                }
            }
            let last = || Rc::clone(reference.pictures.last().expect("the first"));
            let now = if changed { Rc::new(picture(&node, &*memory, &mut seen)) } else { last() };
            reference.pictures.push(now);
        }
        reference
    }

    /// What may be there if so many steps are done for certain, and so many were asked for.
    pub(crate) fn allowed(&self, done: usize, asked: usize) -> Vec<Rc<Picture>> {
        let mut allowed = self.pictures[done..=asked].to_vec();
        allowed.dedup_by(|one, other| Rc::ptr_eq(one, other));
        allowed
    }
}

/// Bodies may be called something else in another store.
fn nameless(reply: StoreReply) -> StoreReply {
    let StoreReply::Queue(QueueReply::Rows(mut rows)) = reply else { return reply };
    rows.iter_mut().for_each(|row| row.blob = BlobId::default());
    StoreReply::Queue(QueueReply::Rows(rows))
}

/// It changes what must outlive a power failure.
fn is_change(op: &StoreOp) -> bool {
    match op {
        StoreOp::Accept(_) => true,
        StoreOp::Stage(_) => false,
        StoreOp::Account(op) => !matches!(
            op,
            AccountOp::Resolve { .. }
                | AccountOp::Authenticate { .. }
                | AccountOp::List { .. }
                | AccountOp::ListAliases { .. }
        ),
        StoreOp::Maildrop(op) => matches!(op, MaildropOp::Commit { .. }),
        StoreOp::Mailbox(op) => {
            matches!(&**op, MailboxOp::Ask { request, .. } if !matches!(request, Request::List | Request::Usage))
        }
        StoreOp::Queue(op) => {
            matches!(op, QueueOp::Settle(_) | QueueOp::Retry { .. } | QueueOp::Remove { .. })
        }
    }
}
