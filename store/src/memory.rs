//! The reference model: a store in plain maps.
//!
//! It is what the contract of [`pillarbox_core::ops`] means, written as plainly as possible; the disk store is tested
//! against it. It answers inside `submit`, so a simulation over it is deterministic. It keeps passwords as they are and
//! forgets everything when dropped: it is for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use pillarbox_core::Secret;
use pillarbox_core::ops::{
    Accept, Accepted, AccountId, AccountOp, AccountReply, Attempted, BlobId, Body, Busy, Destination, EmailId, EntryId,
    Id, LeaseEpoch, MailboxId, MaildropEntry, MaildropOp, MaildropReply, NewRow, Notice, QueueOp, QueueReply, QueueRow,
    RowId, RowState, Settle, Sink, StageId, StageOp, StageReply, Store, StoreError, StoreOp, StoreReply, ThreadId,
    Token,
};
use pillarbox_core::smtp::Address;

use crate::aliases::{self, Found};
use crate::holder::{Hints, Holder};
use crate::key::{key, login_key};
use crate::leases::Leases;
use crate::locks::Locks;
use crate::options::Options;

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    options: Options,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store. Of the options it heeds the clock and the limit of alias targets.
    #[must_use]
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::new(State { epoch: 1, ..State::default() }) })
    }

    /// What closing and opening does to a store on disk: locks, leases and stages are gone, a new epoch begins.
    pub fn reopen(&self) {
        self.with(|state| {
            state.epoch += 1;
            (state.ids, state.blob_ids, state.stage_ids, state.lease_ids) = (0, 0, 0, 0);
            state.stages.clear();
            state.locks = Locks::default();
            state.leases = Leases::default();
        });
    }

    /// Answers an op at once: one of no node's. Leases and locks that it takes end by time or by op alone.
    pub fn apply(&self, op: StoreOp) -> StoreReply {
        self.answer(None, op)
    }

    /// Answers an op of this node's at once. Whoever must hear of it has heard of it then.
    pub fn apply_for(&self, sink: &Arc<dyn Sink>, op: StoreOp) -> StoreReply {
        self.answer(Some(sink), op)
    }

    fn answer(&self, asker: Option<&Arc<dyn Sink>>, op: StoreOp) -> StoreReply {
        let holder = asker.map(Holder::new);
        let (reply, hints) = self.with(|state| {
            let reply = match op {
                StoreOp::Accept(accept) => state.accept_all(vec![*accept]).map(|mut all| match all.pop() {
                    Some(accepted) => StoreReply::Accepted(accepted),
                    None => StoreReply::Accepted(Accepted::default()),
                }),
                StoreOp::Stage(op) => state.stage(op).map(StoreReply::Stage),
                StoreOp::Account(op) => Ok(StoreReply::Account(state.account(op, &self.options))),
                StoreOp::Maildrop(op) => state.maildrop(op, holder).map(StoreReply::Maildrop),
                StoreOp::Mailbox(_) => Err(StoreError::Unknown),
                StoreOp::Queue(op) => state.queue(op, holder, &self.options).map(StoreReply::Queue),
            };
            (reply.unwrap_or_else(StoreReply::Failed), state.hints(asker))
        });
        hints.tell();
        reply
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn submit(&self, sink: &Arc<dyn Sink>, token: Token, op: StoreOp) -> Result<(), Busy> {
        sink.complete(token, self.apply_for(sink, op));
        Ok(())
    }
}

#[derive(Default)]
struct State {
    epoch: u64,
    ids: u64,
    blob_ids: u64,
    stage_ids: u64,
    lease_ids: u64,
    last_uidvalidity: u32,
    accounts: BTreeMap<String, Account>,
    aliases: BTreeMap<String, (Address, Vec<Address>)>,
    entries: BTreeMap<EntryId, Entry>,
    /// Each row and its body.
    rows: BTreeMap<RowId, (QueueRow, Bytes)>,
    stages: BTreeMap<StageId, BytesMut>,
    locks: Locks,
    leases: Leases,
    /// What the op under way has made due.
    due: Vec<Notice>,
}

struct Account {
    id: AccountId,
    address: Address,
    password: Secret,
    uidvalidity: u32,
    uidnext: u32,
}

struct Entry {
    account: AccountId,
    unique: u64,
    /// Prefix and body as one.
    bytes: Bytes,
}

impl State {
    /// Who is to hear what of the op that is done.
    fn hints(&mut self, asker: Option<&Arc<dyn Sink>>) -> Hints {
        let mut hints = Hints::default();
        for notice in std::mem::take(&mut self.due) {
            let (Notice::Due { destination, .. } | Notice::Retry { destination }) = &notice else { continue };
            if let Some(holder) = self.leases.other(destination.bucket(), asker) {
                hints.add(holder, notice);
            }
        }
        hints
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        Id { epoch: self.epoch, counter: self.ids }
    }

    fn blob_id(&mut self) -> BlobId {
        self.blob_ids += 1;
        BlobId(Id { epoch: self.epoch, counter: self.blob_ids })
    }

    fn accept_all(&mut self, accepts: Vec<Accept>) -> Result<Vec<Accepted>, StoreError> {
        let mut stages = BTreeSet::new();
        for accept in &accepts {
            let known = match &accept.body {
                Body::Inline(_) => true,
                Body::Staged(stage) => self.stages.contains_key(stage) && stages.insert(*stage),
                Body::Row(row) => self.rows.contains_key(row),
            };
            if !known {
                return Err(StoreError::Unknown);
            }
        }
        Ok(accepts.into_iter().map(|accept| self.accept(accept)).collect())
    }

    fn accept(&mut self, accept: Accept) -> Accepted {
        let (shared, body) = match &accept.body {
            Body::Inline(pieces) => (None, pieces.concat().into()),
            Body::Staged(stage) => (None, self.stages.remove(stage).unwrap_or_default().freeze()),
            Body::Row(row) => {
                let (row, body) = &self.rows[row];
                (Some(row.blob), body.clone())
            }
        };
        if accept.deliveries.is_empty() && accept.rows.is_empty() {
            return Accepted::default();
        }
        let blob = shared.unwrap_or_else(|| self.blob_id());
        let mut accepted = Accepted::default();
        let mut rows = accept.rows.clone();
        for delivery in &accept.deliveries {
            let Some(account) = self.accounts.values_mut().find(|account| account.id == delivery.account) else {
                accepted.emails.push(None);
                rows.push(NewRow {
                    recipient: delivery.recipient.clone(),
                    destination: Destination::Local,
                    prefix: delivery.prefix.clone(),
                    due: accept.received,
                });
                continue;
            };
            let unique = (u64::from(account.uidvalidity) << 32) | u64::from(account.uidnext);
            account.uidnext += 1;
            let account = account.id;
            let (email, _thread, entry) = (EmailId(self.id()), ThreadId(self.id()), EntryId(self.id()));
            self.entries.insert(entry, Entry { account, unique, bytes: join(&delivery.prefix, &body) });
            accepted.emails.push(Some(email));
        }
        for row in rows {
            self.due.push(Notice::Due { destination: row.destination.clone(), due: row.due });
            let id = RowId(self.id());
            let size = (row.prefix.len() + body.len()) as u64;
            let row = QueueRow {
                id,
                blob,
                reverse_path: accept.reverse_path.clone(),
                recipient: row.recipient,
                destination: row.destination,
                prefix: row.prefix,
                size,
                smtputf8: accept.smtputf8,
                eight_bit: accept.eight_bit,
                received: accept.received,
                state: RowState { due: row.due, expires: accept.expires, attempts: 0, reply: String::new() },
            };
            self.rows.insert(id, (row, body.clone()));
            accepted.rows.push(id);
        }
        accepted
    }

    fn stage(&mut self, op: StageOp) -> Result<StageReply, StoreError> {
        match op {
            StageOp::Open { expected: _ } => {
                self.stage_ids += 1;
                let id = StageId(Id { epoch: self.epoch, counter: self.stage_ids });
                self.stages.insert(id, BytesMut::new());
                Ok(StageReply::Opened(id))
            }
            StageOp::Append { stage, bytes } => {
                self.stages.get_mut(&stage).ok_or(StoreError::Unknown)?.extend_from_slice(&bytes);
                Ok(StageReply::Appended)
            }
            StageOp::Drop { stage } => {
                self.stages.remove(&stage).ok_or(StoreError::Unknown)?;
                Ok(StageReply::Dropped)
            }
        }
    }

    fn account(&mut self, op: AccountOp, options: &Options) -> AccountReply {
        match op {
            AccountOp::Resolve { address } => {
                let found = |key: &str| {
                    Ok::<_, Infallible>(match (self.accounts.get(key), self.aliases.get(key)) {
                        (Some(account), _) => Found::Account(account.id, account.address.clone()),
                        (None, Some((_, targets))) => Found::Alias(targets.clone()),
                        (None, None) => Found::Nothing,
                    })
                };
                let Ok(resolution) = aliases::resolve(&address, options.alias_targets, found);
                AccountReply::Resolved(resolution)
            }
            AccountOp::Authenticate { login, password } => {
                let account = login_key(&login).and_then(|key| self.accounts.get(&key));
                let right = account.filter(|account| account.password == password);
                AccountReply::Authenticated(right.map(|account| account.id))
            }
            AccountOp::Add { address, password } => {
                let key = key(&address);
                if self.accounts.contains_key(&key) || self.aliases.contains_key(&key) {
                    return AccountReply::Exists;
                }
                let (id, _inbox) = (AccountId(self.id()), MailboxId(self.id()));
                // A UIDVALIDITY is never given twice, so a new account at an old address is a new mailbox to its
                // clients.
                let now = u32::try_from((options.clock)().seconds()).unwrap_or(0);
                self.last_uidvalidity = now.max(self.last_uidvalidity + 1);
                let account = Account { id, address, password, uidvalidity: self.last_uidvalidity, uidnext: 1 };
                self.accounts.insert(key, account);
                AccountReply::Done
            }
            AccountOp::SetPassword { address, password } => match self.accounts.get_mut(&key(&address)) {
                Some(account) => {
                    account.password = password;
                    AccountReply::Done
                }
                None => AccountReply::NotFound,
            },
            AccountOp::Remove { address } => match self.accounts.remove(&key(&address)) {
                Some(account) => {
                    self.entries.retain(|_, entry| entry.account != account.id);
                    AccountReply::Done
                }
                None => AccountReply::NotFound,
            },
            AccountOp::List { after, limit } => {
                let after = after.as_ref().map(key);
                let behind = self.accounts.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
                AccountReply::Accounts(behind.take(limit).map(|(_, account)| account.address.clone()).collect())
            }
            AccountOp::SetAlias { alias, targets } => {
                let key = key(&alias);
                if self.accounts.contains_key(&key) {
                    return AccountReply::Exists;
                }
                self.aliases.insert(key, (alias, targets));
                AccountReply::Done
            }
            AccountOp::RemoveAlias { alias } => match self.aliases.remove(&key(&alias)) {
                Some(_) => AccountReply::Done,
                None => AccountReply::NotFound,
            },
            AccountOp::ListAliases { after, limit } => {
                let after = after.as_ref().map(key);
                let behind = self.aliases.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
                AccountReply::Aliases(behind.take(limit).map(|(_, alias)| alias.clone()).collect())
            }
        }
    }

    fn maildrop(&mut self, op: MaildropOp, holder: Option<Holder>) -> Result<MaildropReply, StoreError> {
        Ok(match op {
            MaildropOp::Open { account } => {
                if !self.accounts.values().any(|known| known.id == account) {
                    return Ok(MaildropReply::NoAccount);
                }
                let Some(lock) = self.locks.take(account, self.epoch, holder) else {
                    return Ok(MaildropReply::InUse);
                };
                let mine = self.entries.iter().filter(|(_, entry)| entry.account == account);
                let mut entries: Vec<_> = mine
                    .map(|(id, entry)| MaildropEntry {
                        entry: *id,
                        size: entry.bytes.len() as u64,
                        unique: entry.unique,
                    })
                    .collect();
                entries.sort_by_key(|entry| entry.unique);
                MaildropReply::Opened { lock, entries: entries.into() }
            }
            MaildropOp::Read { entry, offset, len } => match self.entries.get(&entry) {
                Some(entry) => MaildropReply::Bytes(range(&entry.bytes, offset, len)),
                None => MaildropReply::Gone,
            },
            MaildropOp::Commit { lock, deleted } => {
                let account = self.locks.account(lock).ok_or(StoreError::Unknown)?;
                for id in deleted {
                    if self.entries.get(&id).is_some_and(|entry| entry.account == account) {
                        self.entries.remove(&id);
                    }
                }
                self.locks.release(lock);
                MaildropReply::Done
            }
            MaildropOp::Release { lock } => {
                if !self.locks.release(lock) {
                    return Err(StoreError::Unknown);
                }
                MaildropReply::Done
            }
        })
    }

    fn queue(&mut self, op: QueueOp, holder: Option<Holder>, options: &Options) -> Result<QueueReply, StoreError> {
        Ok(match op {
            QueueOp::Lease { buckets, epoch, until } => {
                let next = LeaseEpoch(Id { epoch: self.epoch, counter: self.lease_ids + 1 });
                let leased = self.leases.lease(buckets, epoch, until, holder, (options.clock)(), || next);
                if leased == Some(next) {
                    self.lease_ids += 1;
                }
                leased.map_or(QueueReply::Lost, QueueReply::Leased)
            }
            QueueOp::Active { buckets, now, after, limit } => {
                let rows = || self.rows.values().filter(|(row, _)| buckets.contains(&row.destination.bucket()));
                let due = rows().filter(|(row, _)| row.state.due <= now);
                let after = after.map(|after| after.key());
                let keys: BTreeSet<_> = due
                    .map(|(row, _)| row.destination.key())
                    .filter(|key| after.as_ref().is_none_or(|after| key > after))
                    .collect();
                let later = rows().map(|(row, _)| row.state.due).filter(|due| *due > now);
                QueueReply::Active {
                    destinations: keys.iter().take(limit).map(|key| Destination::from_key(key)).collect(),
                    next: later.min(),
                }
            }
            QueueOp::Due { destination, now, after, limit } => {
                let mut rows: Vec<_> = self
                    .rows
                    .values()
                    .map(|(row, _)| row)
                    .filter(|row| row.destination == destination && row.state.due <= now)
                    .filter(|row| after.is_none_or(|after| (row.state.due, row.id) > after))
                    .cloned()
                    .collect();
                rows.sort_by_key(|row| (row.state.due, row.id));
                rows.truncate(limit);
                QueueReply::Rows(rows)
            }
            QueueOp::Read { row, offset, len } => match self.rows.get(&row) {
                Some((row, body)) => QueueReply::Bytes(range(&join(&row.prefix, body), offset, len)),
                None => QueueReply::Gone,
            },
            QueueOp::Settle(settle) => self.settle(settle)?,
            QueueOp::List { after, limit } => {
                let behind = self.rows.values().filter(|(row, _)| after.is_none_or(|after| row.id > after));
                QueueReply::Rows(behind.take(limit).map(|(row, _)| row.clone()).collect())
            }
            QueueOp::Show { rows } => {
                QueueReply::Rows(rows.iter().filter_map(|id| Some(self.rows.get(id)?.0.clone())).collect())
            }
            QueueOp::Retry { rows, now } => {
                let mut changed = 0;
                for id in rows {
                    if let Some((row, _)) = self.rows.get_mut(&id) {
                        row.state.due = now;
                        self.due.push(Notice::Retry { destination: row.destination.clone() });
                        changed += 1;
                    }
                }
                QueueReply::Changed(changed)
            }
            QueueOp::Remove { rows } => {
                QueueReply::Changed(rows.iter().filter(|id| self.rows.remove(id).is_some()).count())
            }
        })
    }

    fn settle(&mut self, settle: Settle) -> Result<QueueReply, StoreError> {
        let ours = |row: &QueueRow| self.leases.holds(settle.epoch, row.destination.bucket());
        let rows = settle.rows.iter().filter_map(|(id, _)| self.rows.get(id));
        if !self.leases.knows(settle.epoch) || !rows.fold(true, |all, (row, _)| all && ours(row)) {
            return Ok(QueueReply::Lost);
        }
        let accepted = self.accept_all(settle.accepts)?;
        for (id, attempted) in settle.rows {
            // A row that an operator removed meanwhile is no error.
            let Some((row, _)) = self.rows.get_mut(&id) else { continue };
            match attempted {
                Attempted::Finished => _ = self.rows.remove(&id),
                Attempted::Retry { due, reply } => {
                    row.state.due = due;
                    row.state.attempts += 1;
                    row.state.reply = reply;
                }
            }
        }
        Ok(QueueReply::Settled(accepted))
    }
}

fn join(prefix: &Bytes, body: &Bytes) -> Bytes {
    [prefix.as_ref(), body.as_ref()].concat().into()
}

fn range(bytes: &Bytes, offset: u64, len: usize) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(start..start.saturating_add(len).min(bytes.len()))
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("accounts", &self.accounts.len())
            .field("entries", &self.entries.len())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}
