//! The disk store is held to the in-memory one: random ops of several nodes on both, and every answer and every notice
//! must be equal, also across closing and opening, and when nodes die. Blob ids are compared up to renaming; all others must be the same.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod mailbox;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::*;
use pillarbox_core::mailbox::Request;
use pillarbox_core::ops::*;
use pillarbox_core::{Secret, Wall};
use pillarbox_store::{DiskStore, MemoryStore};
use proptest::collection::vec;
use proptest::prelude::*;

use self::mailbox::{Absent, Ask, asks, structure};

/// An op whose ids are chosen among those seen so far.
#[derive(Clone, Debug)]
enum Plan {
    Accept(Message),
    StageOpen,
    StageAppend(usize, usize),
    StageDrop(usize),
    Resolve(usize),
    Authenticate(usize, bool),
    Add(usize),
    SetPassword(usize),
    Remove(usize),
    List(Option<usize>, usize),
    SetAlias(usize, Vec<usize>),
    RemoveAlias(usize),
    ListAliases(Option<usize>, usize),
    MaildropOpen(usize),
    MaildropRead(usize, u64, usize),
    MaildropCommit(usize, Vec<usize>),
    MaildropRelease(usize),
    Lease(u16, u16, Option<usize>, i64),
    Active(u16, u16, i64, Option<usize>, usize),
    Due(usize, i64, Option<(i64, usize)>, usize),
    QueueRead(usize, u64, usize),
    Settle(usize, Vec<(usize, Option<i64>)>, Vec<Message>),
    RowList(Option<usize>, usize),
    Show(Vec<usize>),
    Retry(Vec<usize>, i64),
    RowRemove(Vec<usize>),
    /// Of which account, and what.
    Mailbox(usize, Ask),
    /// A reader who was away comes back, and stays or goes again.
    ComeBack(bool),
    Clock(i64),
    Reopen,
    /// The next node does what follows.
    Turn,
    /// The node whose turn it is dies, and another takes its place.
    Die,
}

#[derive(Clone, Debug)]
struct Message {
    body: PlannedBody,
    deliveries: Vec<usize>,
    rows: Vec<(usize, i64)>,
    null: bool,
}

#[derive(Clone, Debug)]
enum PlannedBody {
    Inline(Vec<usize>),
    Staged(usize),
    Row(usize),
}

const NAMES: [&str; 6] = [
    "alice@example.org",
    "ALICE@example.org",
    "bob@example.org",
    "\"c d\"@example.org",
    "e@[192.0.2.1]",
    "ü@exämple.org",
];

fn destination(i: usize) -> Destination {
    match i % 5 {
        0 => Destination::Local,
        1 => Destination::Route("smtp://127.0.0.1:2626".into()),
        2 => Destination::Domain("[192.0.2.1]".into()),
        i => Destination::Domain(format!("{i}.example")),
    }
}

fn octets(seed: usize, len: usize) -> Bytes {
    (0..len).map(|i| (seed.wrapping_mul(31).wrapping_add(i) >> 2) as u8).collect::<Vec<_>>().into()
}

fn messages() -> impl Strategy<Value = Message> {
    let body = prop_oneof![
        6 => vec(0..90_000_usize, 0..3).prop_map(PlannedBody::Inline),
        2 => (0..4_usize).prop_map(PlannedBody::Staged),
        1 => (0..20_usize).prop_map(PlannedBody::Row),
    ];
    (body, vec(0..4_usize, 0..3), vec((0..5_usize, 0..100_i64), 0..3), any::<bool>())
        .prop_map(|(body, deliveries, rows, null)| Message { body, deliveries, rows, null })
}

fn plans() -> impl Strategy<Value = Plan> {
    let page = prop_oneof![Just(usize::MAX), 0..4_usize];
    let name = 0..NAMES.len();
    let maybe = proptest::option::of(0..12_usize);
    let range = (
        prop_oneof![4 => 0..200_u64, 2 => 0..200_000_u64, 1 => Just(u64::MAX)],
        prop_oneof![0..100_000_usize, Just(usize::MAX)],
    );
    prop_oneof![
        12 => messages().prop_map(Plan::Accept),
        3 => Just(Plan::StageOpen),
        4 => (0..4_usize, 0..70_000_usize).prop_map(|(a, b)| Plan::StageAppend(a, b)),
        1 => (0..4_usize).prop_map(Plan::StageDrop),
        3 => name.clone().prop_map(Plan::Resolve),
        2 => (name.clone(), any::<bool>()).prop_map(|(a, b)| Plan::Authenticate(a, b)),
        8 => name.clone().prop_map(Plan::Add),
        1 => name.clone().prop_map(Plan::SetPassword),
        1 => name.clone().prop_map(Plan::Remove),
        1 => (maybe.clone(), page.clone()).prop_map(|(a, b)| Plan::List(a, b)),
        3 => (name.clone(), vec(name.clone(), 0..6)).prop_map(|(a, b)| Plan::SetAlias(a, b)),
        1 => name.prop_map(Plan::RemoveAlias),
        1 => (maybe.clone(), page.clone()).prop_map(|(a, b)| Plan::ListAliases(a, b)),
        6 => (0..4_usize).prop_map(Plan::MaildropOpen),
        8 => (0..20_usize, range.clone()).prop_map(|(a, (b, c))| Plan::MaildropRead(a, b, c)),
        4 => (0..4_usize, vec(0..20_usize, 0..4)).prop_map(|(a, b)| Plan::MaildropCommit(a, b)),
        2 => (0..4_usize).prop_map(Plan::MaildropRelease),
        2 => (0..700_u16, 300..1024_u16, maybe.clone(), 0..300_i64).prop_map(|(a, b, c, d)| Plan::Lease(a, b, c, d)),
        4 => (0..700_u16, 300..1025_u16, 0..120_i64, proptest::option::of(0..5_usize), page.clone())
            .prop_map(|(a, b, c, d, e)| Plan::Active(a, b, c, d, e)),
        4 => (0..5_usize, 0..120_i64, proptest::option::of((0..120_i64, 0..20_usize)), page.clone())
            .prop_map(|(a, b, c, d)| Plan::Due(a, b, c, d)),
        5 => (0..20_usize, range).prop_map(|(a, (b, c))| Plan::QueueRead(a, b, c)),
        6 => (0..4_usize, vec((0..20_usize, proptest::option::of(0..200_i64)), 0..4), vec(messages(), 0..3))
            .prop_map(|(a, b, c)| Plan::Settle(a, b, c)),
        2 => (maybe, page).prop_map(|(a, b)| Plan::RowList(a, b)),
        1 => vec(0..20_usize, 0..4).prop_map(Plan::Show),
        2 => (vec(0..20_usize, 0..4), 0..100_i64).prop_map(|(a, b)| Plan::Retry(a, b)),
        1 => vec(0..20_usize, 0..4).prop_map(Plan::RowRemove),
        60 => (0..3_usize, asks()).prop_map(|(a, b)| Plan::Mailbox(a, b)),
        6 => any::<bool>().prop_map(Plan::ComeBack),
        2 => (0..1_100_i64).prop_map(Plan::Clock),
        1 => Just(Plan::Reopen),
        8 => Just(Plan::Turn),
        1 => Just(Plan::Die),
    ]
}

/// What was named in answers so far.
#[derive(Default)]
struct Seen {
    accounts: Vec<AccountId>,
    stages: Vec<StageId>,
    locks: Vec<LockId>,
    entries: Vec<EntryId>,
    mailboxes: Vec<MailboxId>,
    rows: Vec<RowId>,
    leases: Vec<LeaseEpoch>,
}

/// The newest come first, so that small numbers mean what is likely to be there still. Large ones mean one that never was.
fn pick<T: Copy + Default>(all: &[T], i: usize) -> T {
    if i > 18 || all.is_empty() {
        return T::default();
    }
    all[all.len() - 1 - i % all.len()]
}

/// How every run begins, so that there is something to work with.
fn beginning() -> Vec<Plan> {
    let arrives = |i| {
        Plan::Accept(Message {
            body: PlannedBody::Inline(vec![1_000 * i]),
            deliveries: vec![0; i],
            rows: vec![],
            null: false,
        })
    };
    vec![
        Plan::Add(0),
        Plan::Add(2),
        Plan::Resolve(0),
        Plan::Resolve(2),
        arrives(2),
        arrives(3),
        Plan::Mailbox(1, Ask::Create(1, None)),
        Plan::Mailbox(0, Ask::Create(2, None)),
        Plan::Mailbox(0, Ask::Select(0, true)),
        Plan::Mailbox(0, Ask::Watch(0, true)),
        Plan::ComeBack(true),
        Plan::Lease(0, 512, None, 1_000),
        Plan::Turn,
        Plan::Lease(512, BUCKETS, None, 1_000),
        Plan::Turn,
        Plan::StageOpen,
        Plan::StageAppend(0, 50_000),
    ]
}

impl Seen {
    fn message(&self, plan: Message) -> Accept {
        let seed = match &plan.body {
            PlannedBody::Inline(pieces) => pieces.iter().sum(),
            PlannedBody::Staged(_) | PlannedBody::Row(_) => plan.deliveries.len(),
        };
        let body = match plan.body {
            PlannedBody::Inline(pieces) => {
                Body::Inline(pieces.iter().enumerate().map(|(i, len)| octets(i, *len)).collect())
            }
            PlannedBody::Staged(i) => Body::Staged(pick(&self.stages, i)),
            PlannedBody::Row(i) => Body::Row(pick(&self.rows, i)),
        };
        let deliveries = plan.deliveries.iter().map(|i| delivery(pick(&self.accounts, *i))).collect();
        let rows = plan.rows.iter().map(|(to, due)| NewRow { destination: destination(*to), ..row("x.example", *due) });
        let reverse_path = (!plan.null).then(|| address("\"some one\"@elsewhere.example"));
        Accept {
            structure: structure(seed),
            reverse_path,
            smtputf8: plan.null,
            ..message(body, deliveries, rows.collect())
        }
    }

    fn op(&self, plan: Plan) -> Option<StoreOp> {
        let name = |i: usize| address(NAMES[i % NAMES.len()]);
        let entries = |all: Vec<usize>| all.into_iter().map(|i| pick(&self.entries, i)).collect();
        let rows = |all: Vec<usize>| all.into_iter().map(|i| pick(&self.rows, i)).collect();
        let password = Secret::from("pencil");
        Some(match plan {
            Plan::Accept(message) => StoreOp::Accept(Box::new(self.message(message))),
            Plan::StageOpen => StoreOp::Stage(StageOp::Open { expected: None }),
            Plan::StageAppend(i, len) => {
                StoreOp::Stage(StageOp::Append { stage: pick(&self.stages, i), bytes: octets(len, len) })
            }
            Plan::StageDrop(i) => StoreOp::Stage(StageOp::Drop { stage: pick(&self.stages, i) }),
            Plan::Resolve(i) => StoreOp::Account(AccountOp::Resolve { address: name(i) }),
            Plan::Authenticate(i, right) => StoreOp::Account(AccountOp::Authenticate {
                login: NAMES[i].to_uppercase(),
                password: if right { password } else { Secret::from("wrong") },
            }),
            Plan::Add(i) => StoreOp::Account(AccountOp::Add { address: name(i), password }),
            Plan::SetPassword(i) => {
                let password = Secret::from(if i % 2 == 0 { "pencil" } else { "other" });
                StoreOp::Account(AccountOp::SetPassword { address: name(i), password })
            }
            Plan::Remove(i) => StoreOp::Account(AccountOp::Remove { address: name(i) }),
            Plan::List(after, limit) => StoreOp::Account(AccountOp::List { after: after.map(name), limit }),
            Plan::SetAlias(i, targets) => StoreOp::Account(AccountOp::SetAlias {
                alias: name(i),
                targets: targets.into_iter().map(name).collect(),
            }),
            Plan::RemoveAlias(i) => StoreOp::Account(AccountOp::RemoveAlias { alias: name(i) }),
            Plan::ListAliases(after, limit) => {
                StoreOp::Account(AccountOp::ListAliases { after: after.map(name), limit })
            }
            Plan::MaildropOpen(i) => StoreOp::Maildrop(MaildropOp::Open { account: pick(&self.accounts, i) }),
            Plan::MaildropRead(i, offset, len) => {
                StoreOp::Maildrop(MaildropOp::Read { entry: pick(&self.entries, i), offset, len })
            }
            Plan::MaildropCommit(i, deleted) => {
                StoreOp::Maildrop(MaildropOp::Commit { lock: pick(&self.locks, i), deleted: entries(deleted) })
            }
            Plan::MaildropRelease(i) => StoreOp::Maildrop(MaildropOp::Release { lock: pick(&self.locks, i) }),
            Plan::Lease(start, end, epoch, until) => {
                let epoch = epoch.map(|i| pick(&self.leases, i));
                StoreOp::Queue(QueueOp::Lease { buckets: start..end, epoch, until: Wall(until) })
            }
            Plan::Active(start, end, now, after, limit) => {
                let after = after.map(destination);
                StoreOp::Queue(QueueOp::Active { buckets: start..end, now: Wall(now), after, limit })
            }
            Plan::Due(to, now, after, limit) => {
                let after = after.map(|(due, i)| (Wall(due), pick(&self.rows, i)));
                StoreOp::Queue(QueueOp::Due { destination: destination(to), now: Wall(now), after, limit })
            }
            Plan::QueueRead(i, offset, len) => StoreOp::Queue(QueueOp::Read { row: pick(&self.rows, i), offset, len }),
            Plan::Settle(epoch, attempts, messages) => {
                let attempt = |(i, retry): (usize, Option<i64>)| {
                    let attempted = match retry {
                        None => Attempted::Finished,
                        Some(due) => Attempted::Retry { due: Wall(due), reply: format!("451 try at {due}") },
                    };
                    (pick(&self.rows, i), attempted)
                };
                StoreOp::Queue(QueueOp::Settle(Settle {
                    epoch: pick(&self.leases, epoch),
                    rows: attempts.into_iter().map(attempt).collect(),
                    accepts: messages.into_iter().map(|message| self.message(message)).collect(),
                }))
            }
            Plan::RowList(after, limit) => {
                StoreOp::Queue(QueueOp::List { after: after.map(|i| pick(&self.rows, i)), limit })
            }
            Plan::Show(ids) => StoreOp::Queue(QueueOp::Show { rows: rows(ids) }),
            Plan::Retry(ids, now) => StoreOp::Queue(QueueOp::Retry { rows: rows(ids), now: Wall(now) }),
            Plan::RowRemove(ids) => StoreOp::Queue(QueueOp::Remove { rows: rows(ids) }),
            Plan::Mailbox(whose, ask) => StoreOp::Mailbox(Box::new(self.ask(whose, ask))),
            Plan::ComeBack(_) | Plan::Clock(_) | Plan::Reopen | Plan::Turn | Plan::Die => return None,
        })
    }

    fn learn(&mut self, reply: &StoreReply) {
        match reply {
            StoreReply::Accepted(accepted) => self.rows.extend(&accepted.rows),
            StoreReply::Queue(QueueReply::Settled(all)) => {
                all.iter().for_each(|accepted| self.rows.extend(&accepted.rows));
            }
            StoreReply::Queue(QueueReply::Leased(epoch)) => self.leases.push(*epoch),
            StoreReply::Stage(StageReply::Opened(stage)) => self.stages.push(*stage),
            StoreReply::Maildrop(MaildropReply::Opened { lock, entries }) => {
                self.locks.push(*lock);
                self.entries.extend(entries.iter().map(|entry| entry.entry));
            }
            StoreReply::Mailbox(response) => self.learn_of_mailboxes(response),
            StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => {
                self.accounts.extend(accounts.iter().map(|(id, _)| *id));
            }
            _ => {}
        }
    }
}

/// Names blobs in the order in which they are first seen.
#[derive(Default)]
struct Blobs(BTreeMap<BlobId, BlobId>);

impl Blobs {
    fn rename(&mut self, reply: StoreReply) -> StoreReply {
        let StoreReply::Queue(QueueReply::Rows(mut rows)) = reply else { return reply };
        for row in &mut rows {
            let counter = self.0.len() as u64;
            row.blob = *self.0.entry(row.blob).or_insert(BlobId(Id { epoch: 0, counter }));
        }
        StoreReply::Queue(QueueReply::Rows(rows))
    }
}

/// Whether the op goes through the engine's line, where order is promised without waiting for answers.
fn is_ordered(op: &StoreOp) -> bool {
    match op {
        StoreOp::Accept(_) => true,
        StoreOp::Stage(_) => false,
        StoreOp::Mailbox(ask) => match &**ask {
            MailboxOp::Ask { request, .. } => request.is_change() && !buries(op),
            MailboxOp::Watch { .. } | MailboxOp::Unwatch { .. } => false,
        },
        StoreOp::Account(op) => matches!(
            op,
            AccountOp::Add { .. }
                | AccountOp::SetPassword { .. }
                | AccountOp::SetAlias { .. }
                | AccountOp::RemoveAlias { .. }
        ),
        StoreOp::Maildrop(op) => matches!(op, MaildropOp::Commit { .. } | MaildropOp::Release { .. }),
        StoreOp::Queue(op) => {
            matches!(op, QueueOp::Lease { .. } | QueueOp::Settle(_) | QueueOp::Retry { .. } | QueueOp::Remove { .. })
        }
    }
}

/// Whether messages are removed in the background behind it: on disk they may be known to conversations for longer.
fn buries(op: &StoreOp) -> bool {
    match op {
        StoreOp::Mailbox(op) => matches!(&**op, MailboxOp::Ask { request: Request::Delete { .. }, .. }),
        StoreOp::Account(op) => matches!(op, AccountOp::Remove { .. }),
        _ => false,
    }
}

/// Waits until nothing is left in the background.
fn wait_until_buried(dir: &std::path::Path) {
    let database = rusqlite::Connection::open(dir.join("pillarbox.db")).unwrap();
    let left = || database.query_row("SELECT count(*) FROM graves", [], |row| row.get::<_, i64>(0)).unwrap();
    let begun = Instant::now();
    while left() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "messages are left");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A node of both stores.
struct Double {
    disk: Node,
    memory: Node,
}

impl Double {
    fn new() -> Self {
        Self { disk: Node::new(), memory: Node::new() }
    }
}

/// Nodes that share the stores.
const NODES: usize = 3;

/// Runs the plans on both stores; at most `depth` ordered ops are under way at a time.
fn compare(plans: Vec<Plan>, depth: usize) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let options = || pillarbox_store::Options {
        segment_size: 256 << 10,
        mailboxes: 7,
        subscriptions: 3,
        copied: 5,
        expunged_runs: 6,
        ..options(&clock)
    };
    let memory = MemoryStore::new(options());
    let mut disk = DiskStore::open(dir.path(), options()).unwrap();
    let mut nodes: [Double; NODES] = std::array::from_fn(|_| Double::new());
    let (mut turn, mut seen, mut absent) = (0, Seen::default(), Absent::default());
    let (mut ours, mut theirs) = (Blobs::default(), Blobs::default());
    let mut under_way: Vec<(StoreOp, StoreReply, Token)> = Vec::new();
    for plan in beginning().into_iter().chain(plans).map(Some).chain([None]) {
        let op = plan.clone().and_then(|plan| seen.op(plan));
        let waits = !op.as_ref().is_some_and(is_ordered);
        if waits || under_way.len() >= depth {
            for (op, expected, token) in under_way.drain(..) {
                let got = nodes[turn].disk.replies.wait(token);
                prop_assert_eq!(theirs.rename(got), ours.rename(expected), "{:?}", op);
            }
            for node in &nodes {
                prop_assert_eq!(node.disk.replies.notices(), node.memory.replies.notices(), "before {:?}", op);
            }
        }
        let node = &nodes[turn].disk;
        match (plan, op) {
            (Some(Plan::Clock(now)), _) => clock.set(now),
            (Some(Plan::ComeBack(stay)), _) => absent.come_back(&memory, &seen.accounts, stay)?,
            (Some(Plan::Turn), _) => turn = (turn + 1) % NODES,
            (Some(Plan::Die), _) => {
                let dead = std::mem::replace(&mut nodes[turn], Double::new());
                dead.disk.die();
                dead.memory.die();
            }
            (Some(Plan::Reopen), _) => {
                memory.reopen();
                disk.close();
                disk = DiskStore::open(dir.path(), options()).unwrap();
                prop_assert_eq!((disk.recovery().missing, disk.recovery().damaged), (0, 0));
            }
            (_, Some(op)) => {
                let expected = memory.apply_for(nodes[turn].memory.sink(), op.clone());
                seen.learn(&expected);
                let token = node.submit(&*disk, op.clone());
                match waits {
                    false => under_way.push((op, expected, token)),
                    true => {
                        let got = node.replies.wait(token);
                        prop_assert_eq!(theirs.rename(got), ours.rename(expected), "{:?}", op);
                        if buries(&op) {
                            wait_until_buried(dir.path());
                        }
                    }
                }
            }
            (_, None) => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike(plans in vec(plans(), 1..200)) {
        compare(plans, 0)?;
    }

    #[test]
    fn both_stores_answer_alike_when_changes_are_grouped(plans in vec(plans(), 1..200)) {
        compare(plans, 16)?;
    }
}
