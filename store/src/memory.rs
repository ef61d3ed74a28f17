//! The reference model: a store in plain maps.
//!
//! It is what the contract of [`pillarbox_core::ops`] means, written as plainly as possible; the disk store is tested
//! against it. It answers inside `submit`, so a simulation over it is deterministic. It keeps passwords as they are and
//! forgets everything when dropped: it is for tests.

mod mailbox;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use pillarbox_core::mailbox::{FlagSet, MailboxName, ModSeq, UidSet};
use pillarbox_core::ops::{
    Accept, Accepted, AccountId, AccountOp, AccountReply, Attempted, BlobId, Body, Busy, Destination, EmailId, EntryId,
    Id, LeaseEpoch, MailboxId, MaildropEntry, MaildropOp, MaildropReply, NewRow, Notice, QueueOp, QueueReply, QueueRow,
    RowId, RowState, Settle, Sink, StageId, StageOp, StageReply, Store, StoreError, StoreOp, StoreReply, ThreadId,
    Token,
};
use pillarbox_core::smtp::Address;
use pillarbox_core::{Secret, Wall};

use self::mailbox::Mailbox;
use crate::aliases::{self, Found};
use crate::holder::{Hints, Holder};
use crate::key::{key, login_key};
use crate::leases::Leases;
use crate::locks::Locks;
use crate::options::Options;
use crate::watches::Watches;

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    options: Options,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store. Of the options it heeds the clock and the limits of what one account or alias may have.
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
            state.watches = Watches::default();
        });
    }

    /// All that it holds, as a disk would that is copied just now.
    #[must_use]
    pub fn image(&self) -> Image {
        Image(self.with(|state| state.on_disk()))
    }

    /// Its disk becomes this image; whatever is not on a disk is gone, and it must be [`reopen`](Self::reopen)ed.
    pub fn restore(&self, image: &Image) {
        self.with(|state| *state = image.0.on_disk());
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
                StoreOp::Accept(accept) => {
                    state.accept_all(vec![*accept], &self.options).map(|mut all| match all.pop() {
                        Some(accepted) => StoreReply::Accepted(accepted),
                        None => StoreReply::Accepted(Accepted::default()),
                    })
                }
                StoreOp::Stage(op) => state.stage(op).map(StoreReply::Stage),
                StoreOp::Account(op) => Ok(StoreReply::Account(state.account(op, &self.options))),
                StoreOp::Maildrop(op) => state.maildrop(op, holder, &self.options).map(StoreReply::Maildrop),
                StoreOp::Mailbox(op) => {
                    state.mailbox(*op, asker, &self.options).map(|response| StoreReply::Mailbox(Box::new(response)))
                }
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

/// What a store in memory would have on its disk.
pub struct Image(State);

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").finish_non_exhaustive()
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
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    /// Where each message is: its mailbox, its UID.
    places: BTreeMap<EntryId, (MailboxId, u32)>,
    /// Names of deleted mailboxes with others below them.
    noselect: BTreeSet<(AccountId, MailboxName)>,
    subscriptions: BTreeSet<(AccountId, MailboxName)>,
    /// The conversation that each key of a message stands for; see [`Structure::thread_keys`].
    ///
    /// [`Structure::thread_keys`]: pillarbox_core::message::Structure::thread_keys
    threads: BTreeMap<(AccountId, u64), ThreadId>,
    /// Each row and its body.
    rows: BTreeMap<RowId, (QueueRow, Content)>,
    stages: BTreeMap<StageId, BytesMut>,
    locks: Locks,
    leases: Leases,
    watches: Watches,
    /// What the op under way has made due.
    due: Vec<Notice>,
    /// The mailboxes that it has changed.
    changed: BTreeMap<MailboxId, ModSeq>,
}

#[derive(Clone)]
struct Account {
    id: AccountId,
    address: Address,
    password: Secret,
}

/// A body, shared by all who name it.
#[derive(Clone)]
struct Content {
    blob: BlobId,
    body: Bytes,
    structure: Bytes,
}

impl State {
    /// A copy of what is on disk: no locks, no leases, nobody who listens.
    fn on_disk(&self) -> Self {
        Self {
            accounts: self.accounts.clone(),
            aliases: self.aliases.clone(),
            mailboxes: self.mailboxes.clone(),
            places: self.places.clone(),
            noselect: self.noselect.clone(),
            subscriptions: self.subscriptions.clone(),
            threads: self.threads.clone(),
            rows: self.rows.clone(),
            ..Self { epoch: self.epoch, last_uidvalidity: self.last_uidvalidity, ..Self::default() }
        }
    }

    /// Who is to hear what of the op that is done.
    fn hints(&mut self, asker: Option<&Arc<dyn Sink>>) -> Hints {
        let mut hints = Hints::default();
        for notice in std::mem::take(&mut self.due) {
            let (Notice::Due { destination, .. } | Notice::Retry { destination }) = &notice else { continue };
            if let Some(holder) = self.leases.other(destination.bucket(), asker) {
                hints.add(holder, notice);
            }
        }
        self.watches.hint(&std::mem::take(&mut self.changed), &mut hints);
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

    /// There is such a body; a stage only once.
    fn knows(&self, body: &Body, stages: &mut BTreeSet<StageId>) -> bool {
        match body {
            Body::Inline(_) => true,
            Body::Staged(stage) => self.stages.contains_key(stage) && stages.insert(*stage),
            Body::Row(row) => self.rows.contains_key(row),
        }
    }

    fn content(&mut self, body: Body, structure: Bytes) -> Content {
        let body = match body {
            Body::Inline(pieces) => pieces.concat().into(),
            Body::Staged(stage) => self.stages.remove(&stage).unwrap_or_default().freeze(),
            Body::Row(row) => return self.rows[&row].1.clone(),
        };
        Content { blob: self.blob_id(), body, structure }
    }

    fn accept_all(&mut self, accepts: Vec<Accept>, options: &Options) -> Result<Vec<Accepted>, StoreError> {
        let mut stages = BTreeSet::new();
        if !accepts.iter().all(|accept| self.knows(&accept.body, &mut stages)) {
            return Err(StoreError::Unknown);
        }
        Ok(accepts.into_iter().map(|accept| self.accept(accept, options)).collect())
    }

    fn accept(&mut self, accept: Accept, options: &Options) -> Accepted {
        let content = self.content(accept.body, accept.structure);
        if accept.deliveries.is_empty() && accept.rows.is_empty() {
            return Accepted::default();
        }
        let mut accepted = Accepted::default();
        let mut rows = accept.rows.clone();
        for delivery in &accept.deliveries {
            let Some(email) = self.deliver(delivery.account, accept.received, &delivery.prefix, &content, options)
            else {
                accepted.emails.push(None);
                rows.push(NewRow {
                    recipient: delivery.recipient.clone(),
                    destination: Destination::Local,
                    prefix: delivery.prefix.clone(),
                    due: accept.received,
                });
                continue;
            };
            accepted.emails.push(Some(email));
        }
        for row in rows {
            self.due.push(Notice::Due { destination: row.destination.clone(), due: row.due });
            let id = RowId(self.id());
            let size = (row.prefix.len() + content.body.len()) as u64;
            let row = QueueRow {
                id,
                blob: content.blob,
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
            self.rows.insert(id, (row, content.clone()));
            accepted.rows.push(id);
        }
        accepted
    }

    /// Files a message in an INBOX; `None` when it cannot be.
    fn deliver(
        &mut self,
        account: AccountId,
        received: Wall,
        prefix: &Bytes,
        content: &Content,
        options: &Options,
    ) -> Option<EmailId> {
        let inbox = self.find(account, &MailboxName::inbox())?;
        if !self.mailboxes[&inbox].has_room(1) {
            return None;
        }
        self.change(inbox);
        let (_, email) = self.file(inbox, FlagSet::default(), received, prefix, content, options)?;
        Some(email)
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
                let id = AccountId(self.id());
                self.make_mailbox(id, MailboxName::inbox(), options);
                self.accounts.insert(key, Account { id, address, password });
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
                    self.remove_mailboxes(account.id);
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

    fn maildrop(
        &mut self,
        op: MaildropOp,
        holder: Option<Holder>,
        options: &Options,
    ) -> Result<MaildropReply, StoreError> {
        Ok(match op {
            MaildropOp::Open { account } => {
                if !self.accounts.values().any(|known| known.id == account) {
                    return Ok(MaildropReply::NoAccount);
                }
                let Some(lock) = self.locks.take(account, self.epoch, holder) else {
                    return Ok(MaildropReply::InUse);
                };
                let inbox = self.find(account, &MailboxName::inbox()).and_then(|inbox| self.mailboxes.get(&inbox));
                let entries: Vec<_> = inbox
                    .into_iter()
                    .flat_map(|inbox| inbox.messages.iter().map(|(uid, message)| (inbox.uid_validity, *uid, message)))
                    .map(|(validity, uid, message)| MaildropEntry {
                        entry: message.entry,
                        size: message.bytes.len() as u64,
                        unique: (u64::from(validity) << 32) | u64::from(uid),
                    })
                    .collect();
                MaildropReply::Opened { lock, entries: entries.into() }
            }
            MaildropOp::Read { entry, offset, len } => match self.message(entry) {
                Some((_, message)) => MaildropReply::Bytes(range(&message.bytes, offset, len)),
                None => MaildropReply::Gone,
            },
            MaildropOp::Commit { lock, deleted } => {
                let account = self.locks.account(lock).ok_or(StoreError::Unknown)?;
                if let Some(inbox) = self.find(account, &MailboxName::inbox()) {
                    let places = deleted.iter().filter_map(|entry| self.places.get(entry));
                    let uids: UidSet = places.filter(|(mailbox, _)| *mailbox == inbox).map(|(_, uid)| *uid).collect();
                    self.take_out(inbox, &uids, options);
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
                Some((row, content)) => {
                    let bytes = [row.prefix.as_ref(), content.body.as_ref()].concat().into();
                    QueueReply::Bytes(range(&bytes, offset, len))
                }
                None => QueueReply::Gone,
            },
            QueueOp::Settle(settle) => self.settle(settle, options)?,
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

    fn settle(&mut self, settle: Settle, options: &Options) -> Result<QueueReply, StoreError> {
        let ours = |row: &QueueRow| self.leases.holds(settle.epoch, row.destination.bucket());
        let rows = settle.rows.iter().filter_map(|(id, _)| self.rows.get(id));
        if !self.leases.knows(settle.epoch) || !rows.fold(true, |all, (row, _)| all && ours(row)) {
            return Ok(QueueReply::Lost);
        }
        let accepted = self.accept_all(settle.accepts, options)?;
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

fn range(bytes: &Bytes, offset: u64, len: usize) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(start..start.saturating_add(len).min(bytes.len()))
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("accounts", &self.accounts.len())
            .field("messages", &self.places.len())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}
