//! A store for the queue's ops alone: indexed, so that a long backlog is quick, and honest about what it was told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pillarbox_core::Wall;
use pillarbox_core::ops::{
    Accept, Accepted, Attempted, BlobId, Body, Destination, Id, LeaseEpoch, NewRow, QueueOp, QueueReply, QueueRow,
    RowId, RowState, Settle, StoreError, StoreReply,
};
use pillarbox_core::smtp::Address;

#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) rows: BTreeMap<RowId, (QueueRow, Bytes)>,
    index: BTreeMap<String, BTreeSet<(Wall, RowId)>>,
    due: BTreeSet<(Wall, RowId)>,
    /// Every row there ever was, as it was in the beginning.
    pub(crate) born: BTreeMap<RowId, QueueRow>,
    /// What was accepted into mailboxes: the recipient.
    pub(crate) filed: Vec<Address>,
    /// Every record that was applied.
    pub(crate) settles: Vec<Settle>,
    /// The largest page given.
    pub(crate) widest: usize,
    pub(crate) epoch: Option<LeaseEpoch>,
    /// Somebody else holds the lease until then.
    pub(crate) taken_until: Wall,
    ids: u64,
}

impl Desk {
    fn id(&mut self) -> Id {
        self.ids += 1;
        Id { epoch: 1, counter: self.ids }
    }

    /// Another owner comes: outcomes under older epochs are refused.
    pub(crate) fn take_lease(&mut self, until: Wall) {
        self.epoch = None;
        self.taken_until = until;
    }

    pub(crate) fn accept(&mut self, accept: Accept) -> Accepted {
        let (blob, body) = match &accept.body {
            Body::Inline(pieces) => (BlobId(self.id()), Bytes::from(pieces.concat())),
            Body::Row(row) => (self.rows[row].0.blob, self.rows[row].1.clone()),
            Body::Staged(_) => unreachable!("nothing is staged here"),
        };
        let mut accepted = Accepted::default();
        for delivery in &accept.deliveries {
            self.filed.push(delivery.recipient.clone());
            accepted.emails.push(None);
        }
        for NewRow { recipient, destination, prefix, due } in accept.rows {
            let id = RowId(self.id());
            let row = QueueRow {
                id,
                blob,
                reverse_path: accept.reverse_path.clone(),
                recipient,
                destination,
                size: (prefix.len() + body.len()) as u64,
                prefix,
                smtputf8: accept.smtputf8,
                eight_bit: accept.eight_bit,
                received: accept.received,
                state: RowState { due, expires: accept.expires, attempts: 0, reply: String::new() },
            };
            self.file(&row);
            self.born.insert(id, row.clone());
            self.rows.insert(id, (row, body.clone()));
            accepted.rows.push(id);
        }
        accepted
    }

    pub(crate) fn remove(&mut self, id: RowId) -> bool {
        let Some((row, _)) = self.rows.remove(&id) else { return false };
        self.unfile(&row);
        true
    }

    pub(crate) fn retry(&mut self, id: RowId, now: Wall) {
        self.change(id, |row| row.state.due = now);
    }

    pub(crate) fn apply(&mut self, op: QueueOp, wall: Wall) -> StoreReply {
        if let QueueOp::Settle(settle) = &op
            && Some(settle.epoch) == self.epoch
            && settle
                .accepts
                .iter()
                .any(|accept| matches!(&accept.body, Body::Row(row) if !self.rows.contains_key(row)))
        {
            return StoreReply::Failed(StoreError::Unknown);
        }
        StoreReply::Queue(self.answer(op, wall))
    }

    fn answer(&mut self, op: QueueOp, wall: Wall) -> QueueReply {
        match op {
            QueueOp::Lease { epoch, .. } => {
                if wall < self.taken_until || epoch.is_some() && epoch != self.epoch {
                    return QueueReply::Lost;
                }
                let new = LeaseEpoch(self.id());
                QueueReply::Leased(*self.epoch.get_or_insert(new))
            }
            QueueOp::Active { buckets, now, after, limit } => {
                let after = after.map(|after| after.key());
                let due = |(key, rows): &(&String, &BTreeSet<(Wall, RowId)>)| {
                    after.as_ref().is_none_or(|after| *key > after)
                        && rows.first().is_some_and(|(due, _)| *due <= now)
                        && buckets.contains(&Destination::from_key(key).bucket())
                };
                let destinations = self.index.iter().filter(due).take(limit);
                QueueReply::Active {
                    destinations: destinations.map(|(key, _)| Destination::from_key(key)).collect(),
                    next: self.due.range((Wall(now.0 + 1), RowId::default())..).next().map(|(due, _)| *due),
                }
            }
            QueueOp::Due { destination, now, after, limit } => {
                let rows = self.index.get(&destination.key());
                let behind = |entry: &&(Wall, RowId)| after.is_none_or(|after| **entry > after);
                let rows = rows.into_iter().flatten().filter(behind).take_while(|(due, _)| *due <= now).take(limit);
                let rows: Vec<_> = rows.map(|(_, id)| self.rows[id].0.clone()).collect();
                self.widest = self.widest.max(rows.len());
                QueueReply::Rows(rows)
            }
            QueueOp::Read { row, offset, len } => match self.rows.get(&row) {
                Some((row, body)) => {
                    let whole = [row.prefix.as_ref(), body.as_ref()].concat();
                    let rest = &whole[usize::try_from(offset).unwrap().min(whole.len())..];
                    QueueReply::Bytes(Bytes::copy_from_slice(&rest[..len.min(rest.len())]))
                }
                None => QueueReply::Gone,
            },
            QueueOp::Settle(settle) => {
                if Some(settle.epoch) != self.epoch {
                    return QueueReply::Lost;
                }
                let accepted = settle.accepts.iter().cloned().map(|accept| self.accept(accept)).collect();
                for (id, attempted) in &settle.rows {
                    match attempted {
                        Attempted::Finished => _ = self.remove(*id),
                        Attempted::Retry { due, reply } => self.change(*id, |row| {
                            row.state.due = *due;
                            row.state.attempts += 1;
                            row.state.reply.clone_from(reply);
                        }),
                    }
                }
                self.settles.push(settle);
                QueueReply::Settled(accepted)
            }
            QueueOp::List { .. } | QueueOp::Show { .. } | QueueOp::Retry { .. } | QueueOp::Remove { .. } => {
                unreachable!("an operator's")
            }
        }
    }

    fn change(&mut self, id: RowId, change: impl FnOnce(&mut QueueRow)) {
        let Some((mut row, body)) = self.rows.remove(&id) else { return };
        self.unfile(&row);
        change(&mut row);
        self.file(&row);
        self.rows.insert(id, (row, body));
    }

    fn file(&mut self, row: &QueueRow) {
        self.due.insert((row.state.due, row.id));
        self.index.entry(row.destination.key()).or_default().insert((row.state.due, row.id));
    }

    fn unfile(&mut self, row: &QueueRow) {
        let key = row.destination.key();
        self.due.remove(&(row.state.due, row.id));
        if let Some(rows) = self.index.get_mut(&key) {
            rows.remove(&(row.state.due, row.id));
            if rows.is_empty() {
                self.index.remove(&key);
            }
        }
    }
}
