//! The threads that read: each with a database connection of its own, so that no read waits for a commit.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use pillarbox_core::Wall;
use pillarbox_core::mailbox::{HEADS_OCTETS, MailboxName, Request, Response};
use pillarbox_core::ops::{
    AccountId, AccountOp, AccountReply, Destination, EntryId, Id, MailboxOp, MaildropEntry, MaildropOp, MaildropReply,
    QueueOp, QueueReply, QueueRow, RowId, Sink, StageId, StoreError, StoreOp, StoreReply,
};
use pillarbox_core::smtp::Address;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::asker::{Asker, survive};
use super::body::{Location, Place, ReadError};
use super::mailbox::{self, Mailbox};
use super::schema::blob;
use super::{Shared, rows, unreadable};
use crate::aliases::{self, Found};
use crate::holder::Holder;
use crate::key::{from_text, key};

/// How often a body is looked up again that moved between the database's answer and the opening of its file.
const MOVES: usize = 4;

/// What the reading threads are asked.
pub(super) struct ReadJob {
    pub(super) asker: Asker,
    pub(super) op: StoreOp,
}

/// One reading thread.
pub(super) fn run(shared: &Shared, conn: &Connection) {
    let mut reader = Reader::new(shared, conn);
    while let Some(job) = shared.reads.pop() {
        survive(|| {
            let reply = reader.read(job.op, job.asker.sink());
            job.asker.answer(reply);
        });
    }
}

pub(super) struct Reader<'a> {
    shared: &'a Shared,
    conn: &'a Connection,
    /// Reused for the blocks that are verified.
    block: Vec<u8>,
}

/// A prefix, and where the body behind it is.
pub(super) struct Message {
    prefix: Vec<u8>,
    location: Location,
}

impl<'a> Reader<'a> {
    pub(super) fn new(shared: &'a Shared, conn: &'a Connection) -> Self {
        Self { shared, conn, block: Vec::new() }
    }

    fn read(&mut self, op: StoreOp, asker: &Arc<dyn Sink>) -> StoreReply {
        let reply = match op {
            StoreOp::Account(op) => self.account(op).map(StoreReply::Account),
            StoreOp::Maildrop(MaildropOp::Open { account }) => self.open(account, asker).map(StoreReply::Maildrop),
            StoreOp::Maildrop(MaildropOp::Read { entry, offset, len }) => {
                let bytes = self.range(|conn| find_entry(conn, entry, None), offset, len);
                let reply = |bytes: Option<_>| bytes.map_or(MaildropReply::Gone, MaildropReply::Bytes);
                return bytes.map_or_else(StoreReply::Failed, |bytes| StoreReply::Maildrop(reply(bytes)));
            }
            StoreOp::Mailbox(op) => return self.mailbox(*op),
            StoreOp::Queue(QueueOp::Read { row, offset, len }) => {
                let bytes = self.range(|conn| find_row(conn, row), offset, len);
                let reply = |bytes: Option<_>| bytes.map_or(QueueReply::Gone, QueueReply::Bytes);
                return bytes.map_or_else(StoreReply::Failed, |bytes| StoreReply::Queue(reply(bytes)));
            }
            StoreOp::Queue(op) => self.queue(op).map(StoreReply::Queue),
            // These never come here: see `Shared::submit`.
            StoreOp::Accept(_) | StoreOp::Stage(_) | StoreOp::Maildrop(_) => {
                Ok(StoreReply::Failed(StoreError::Unknown))
            }
        };
        reply.unwrap_or_else(|error| unreadable(&error))
    }

    fn account(&self, op: AccountOp) -> rusqlite::Result<AccountReply> {
        Ok(match op {
            AccountOp::Resolve { address } => {
                let limit = self.shared.options.alias_targets;
                // One snapshot for all the steps.
                let tx = self.conn.unchecked_transaction()?;
                AccountReply::Resolved(aliases::resolve(&address, limit, |key| find(&tx, key))?)
            }
            AccountOp::List { after, limit } => {
                let mut statement =
                    self.conn.prepare_cached("SELECT address FROM accounts WHERE key > ?1 ORDER BY key LIMIT ?2")?;
                let rows = statement.query_map(params![after_key(after), bound(limit)], |row| address(row, 0))?;
                AccountReply::Accounts(rows.collect::<rusqlite::Result<_>>()?)
            }
            AccountOp::ListAliases { after, limit } => {
                let tx = self.conn.unchecked_transaction()?;
                let mut statement =
                    tx.prepare_cached("SELECT key, address FROM aliases WHERE key > ?1 ORDER BY key LIMIT ?2")?;
                let rows = statement.query_map(params![after_key(after), bound(limit)], |row| {
                    Ok((address(row, 1)?, targets(&tx, row.get_ref(0)?.as_str()?)?))
                })?;
                AccountReply::Aliases(rows.collect::<rusqlite::Result<_>>()?)
            }
            _ => AccountReply::NotFound,
        })
    }

    fn open(&self, account: AccountId, asker: &Arc<dyn Sink>) -> rusqlite::Result<MaildropReply> {
        // The lock first: what is listed then cannot be deleted by the session before.
        let known = "SELECT 1 FROM accounts WHERE id = ?1";
        if !self.conn.prepare_cached(known)?.exists([blob(account.0)])? {
            return Ok(MaildropReply::NoAccount);
        }
        let Some(lock) = self.shared.locks().take(account, self.shared.epoch, Some(Holder::new(asker))) else {
            return Ok(MaildropReply::InUse);
        };
        let listed = self.list(account);
        if !matches!(listed, Ok(Some(_))) {
            self.shared.locks().release(lock);
        }
        Ok(match listed? {
            Some(entries) => MaildropReply::Opened { lock, entries: entries.into() },
            None => MaildropReply::NoAccount,
        })
    }

    fn list(&self, account: AccountId) -> rusqlite::Result<Option<Vec<MaildropEntry>>> {
        let tx = self.conn.unchecked_transaction()?;
        let Some(inbox) = Mailbox::named(&tx, account, &MailboxName::inbox())? else { return Ok(None) };
        let mut statement = tx.prepare_cached("SELECT id, uid, size FROM entries WHERE mailbox = ?1 ORDER BY uid")?;
        let rows = statement.query_map([inbox.number], |row| {
            let (uid, size): (u32, i64) = (row.get(1)?, row.get(2)?);
            Ok(MaildropEntry {
                entry: EntryId(Id::from_bytes(row.get(0)?)),
                size: size.unsigned_abs(),
                unique: (u64::from(inbox.uid_validity) << 32) | u64::from(uid),
            })
        })?;
        rows.collect::<rusqlite::Result<_>>().map(Some)
    }

    fn mailbox(&mut self, op: MailboxOp) -> StoreReply {
        let (account, request) = match op {
            MailboxOp::Ask { account, request, bodies } if bodies.is_empty() => (account, request),
            _ => return StoreReply::Failed(StoreError::Unknown),
        };
        let response = match request {
            Request::Read { entry, offset, len } => {
                match self.range(|conn| find_entry(conn, entry, Some(account)), offset, len) {
                    Ok(bytes) => bytes.map_or(Response::NoMessage, Response::Bytes),
                    Err(error) => return StoreReply::Failed(error),
                }
            }
            Request::Heads { entries, len } => match self.heads(account, &entries, len) {
                Ok(heads) => Response::Heads(heads),
                Err(error) => return StoreReply::Failed(error),
            },
            request => match mailbox::answer(self.conn, &self.shared.claims, account, &request) {
                Ok(response) => response,
                Err(error) => return unreadable(&error),
            },
        };
        StoreReply::Mailbox(Box::new(response))
    }

    fn queue(&self, op: QueueOp) -> rusqlite::Result<QueueReply> {
        let columns = rows::COLUMNS;
        Ok(match op {
            QueueOp::Active { buckets, now, after, limit } => {
                let tx = self.conn.unchecked_transaction()?;
                QueueReply::Active {
                    destinations: active(&tx, &buckets, now, after.as_ref(), limit)?,
                    next: next_due(&tx, &buckets, now)?,
                }
            }
            QueueOp::Due { destination, now, after, limit } => {
                let (due, id) = after.map_or((i64::MIN, [0; 16]), |(due, id)| (due.0, blob(id.0)));
                let mut statement = self.conn.prepare_cached(&format!(
                    "SELECT {columns} FROM rows WHERE destination = ?1 AND (due, id) > (?2, ?3) AND due <= ?4
                     ORDER BY due, id LIMIT ?5"
                ))?;
                collect(statement.query_map(params![destination.key(), due, id, now.0, bound(limit)], rows::read)?)?
            }
            QueueOp::List { after, limit } => {
                let after = after.map_or(Vec::new(), |id| blob(id.0).to_vec());
                let mut statement = self
                    .conn
                    .prepare_cached(&format!("SELECT {columns} FROM rows WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
                collect(statement.query_map(params![after, bound(limit)], rows::read)?)?
            }
            QueueOp::Show { rows: ids } => {
                let tx = self.conn.unchecked_transaction()?;
                let mut statement = tx.prepare_cached(&format!("SELECT {columns} FROM rows WHERE id = ?1"))?;
                let mut found = Vec::new();
                for id in ids {
                    found.extend(statement.query_row([blob(id.0)], rows::read).optional()?);
                }
                QueueReply::Rows(found)
            }
            _ => QueueReply::Gone,
        })
    }

    /// The beginnings of messages, until the answer is large enough, or one of them cannot be read.
    fn heads(&mut self, account: AccountId, entries: &[EntryId], len: usize) -> Result<Vec<Option<Bytes>>, StoreError> {
        let (mut heads, mut octets) = (Vec::new(), 0);
        for entry in entries {
            let head = match self.range(|conn| find_entry(conn, *entry, Some(account)), 0, len) {
                Err(error) if heads.is_empty() => return Err(error),
                Err(_) => break,
                Ok(head) => head,
            };
            octets += head.as_ref().map_or(0, Bytes::len);
            heads.push(head);
            if octets >= HEADS_OCTETS {
                break;
            }
        }
        Ok(heads)
    }

    /// A range of a message, prefix and body as one; `None` when it is gone.
    pub(super) fn range(
        &mut self,
        find: impl Fn(&Connection) -> rusqlite::Result<Option<Message>>,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        for _ in 0..MOVES {
            let message = match find(self.conn) {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(None),
                Err(error) => {
                    tracing::error!(%error, "the database cannot be read");
                    return Err(StoreError::Unreadable);
                }
            };
            match self.cut(&message, offset, len) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(ReadError::Moved) => {}
                Err(ReadError::Damaged) => {
                    tracing::error!(at = ?message.location.place, "a body is damaged");
                    return Err(StoreError::Unreadable);
                }
                Err(ReadError::Io(error)) => {
                    tracing::error!(at = ?message.location.place, %error, "a body cannot be read");
                    return Err(StoreError::Unreadable);
                }
            }
        }
        tracing::error!("the file of a body is missing");
        Err(StoreError::Unreadable)
    }

    fn cut(&mut self, message: &Message, offset: u64, len: usize) -> Result<Bytes, ReadError> {
        let (prefix, size) = (message.prefix.len() as u64, message.location.size);
        let start = offset.min(prefix + size);
        let end = start.saturating_add(len as u64).min(prefix + size);
        let mut out = Vec::with_capacity((end - start) as usize);
        if start < prefix {
            out.extend_from_slice(&message.prefix[start as usize..end.min(prefix) as usize]);
        }
        let (from, to) = (start.max(prefix) - prefix, end.max(prefix) - prefix);
        self.shared.bodies.read(&message.location, from, (to - from) as usize, &mut out, &mut self.block)?;
        Ok(out.into())
    }
}

/// Destinations with a row due, in the order of their keys: one seek from each destination to the next.
fn active(
    conn: &Connection,
    buckets: &Range<u16>,
    now: Wall,
    after: Option<&Destination>,
    limit: usize,
) -> rusqlite::Result<Vec<Destination>> {
    let mut seek = conn.prepare_cached(
        "SELECT destination, due, bucket FROM rows WHERE destination > ?1 ORDER BY destination, due LIMIT 1",
    )?;
    let mut at = after.map_or_else(String::new, Destination::key);
    let mut destinations = Vec::new();
    while destinations.len() < limit {
        let next =
            seek.query_row([&at], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, u16>(2)?)));
        let Some((key, due, bucket)) = next.optional()? else { break };
        if due <= now.0 && buckets.contains(&bucket) {
            destinations.push(Destination::from_key(&key));
        }
        at = key;
    }
    Ok(destinations)
}

/// The earliest time later than `now` at which a row of these buckets is due: two seeks for each bucket that has rows.
fn next_due(conn: &Connection, buckets: &Range<u16>, now: Wall) -> rusqlite::Result<Option<Wall>> {
    let mut bucket = conn.prepare_cached("SELECT min(bucket) FROM rows WHERE bucket >= ?1")?;
    let mut due = conn.prepare_cached("SELECT min(due) FROM rows WHERE bucket = ?1 AND due > ?2")?;
    let mut earliest: Option<i64> = None;
    let mut at = u32::from(buckets.start);
    while at < u32::from(buckets.end) {
        let Some(found) = bucket.query_row([at], |row| row.get::<_, Option<u32>>(0))? else { break };
        if found >= u32::from(buckets.end) {
            break;
        }
        let next: Option<i64> = due.query_row(params![found, now.0], |row| row.get(0))?;
        earliest = earliest.into_iter().chain(next).min();
        at = found + 1;
    }
    Ok(earliest.map(Wall))
}

fn find(conn: &Connection, key: &str) -> rusqlite::Result<Found> {
    let account = conn
        .prepare_cached("SELECT id, address FROM accounts WHERE key = ?1")?
        .query_row([key], |row| Ok(Found::Account(AccountId(Id::from_bytes(row.get(0)?)), address(row, 1)?)))
        .optional()?;
    if let Some(account) = account {
        return Ok(account);
    }
    match conn.prepare_cached("SELECT 1 FROM aliases WHERE key = ?1")?.exists([key])? {
        true => Ok(Found::Alias(targets(conn, key)?)),
        false => Ok(Found::Nothing),
    }
}

fn targets(conn: &Connection, alias: &str) -> rusqlite::Result<Vec<Address>> {
    let mut statement = conn.prepare_cached("SELECT address FROM alias_targets WHERE alias = ?1 ORDER BY position")?;
    let rows = statement.query_map([alias], |row| address(row, 0))?;
    rows.collect()
}

/// The message that is filed here, in a mailbox of this account.
pub(super) fn find_entry(
    conn: &Connection,
    entry: EntryId,
    account: Option<AccountId>,
) -> rusqlite::Result<Option<Message>> {
    conn.prepare_cached(
        "SELECT m.prefix, b.size, b.file, b.segment, b.offset, b.checksums FROM entries e
         JOIN mailboxes x ON x.number = e.mailbox JOIN emails m ON m.id = e.email JOIN blobs b ON b.id = m.blob
         WHERE e.id = ?1 AND (?2 IS NULL OR x.account = ?2)",
    )?
    .query_row(params![blob(entry.0), account.map(|account| blob(account.0))], message)
    .optional()
}

/// The message that this email is.
pub(super) fn find_email(conn: &Connection, email: [u8; 16]) -> rusqlite::Result<Option<Message>> {
    conn.prepare_cached(
        "SELECT m.prefix, b.size, b.file, b.segment, b.offset, b.checksums FROM emails m
         JOIN blobs b ON b.id = m.blob WHERE m.id = ?1",
    )?
    .query_row([email], message)
    .optional()
}

fn find_row(conn: &Connection, row: RowId) -> rusqlite::Result<Option<Message>> {
    conn.prepare_cached(
        "SELECT r.prefix, b.size, b.file, b.segment, b.offset, b.checksums FROM rows r
         JOIN blobs b ON b.id = r.blob WHERE r.id = ?1",
    )?
    .query_row([blob(row.0)], message)
    .optional()
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let size: i64 = row.get(1)?;
    let place = match row.get::<_, Option<[u8; 16]>>(2)? {
        Some(file) => Place::File(StageId(Id::from_bytes(file))),
        None => {
            let (segment, offset): (i64, i64) = (row.get(3)?, row.get(4)?);
            Place::Segment(segment.unsigned_abs(), offset.unsigned_abs())
        }
    };
    let location = Location { place, size: size.unsigned_abs(), checksums: row.get(5)? };
    Ok(Message { prefix: row.get(0)?, location })
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Address> {
    let wrong = || rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "not an address".into());
    from_text(row.get_ref(column)?.as_str()?).ok_or_else(wrong)
}

fn collect(rows: impl Iterator<Item = rusqlite::Result<QueueRow>>) -> rusqlite::Result<QueueReply> {
    rows.collect::<rusqlite::Result<_>>().map(QueueReply::Rows)
}

/// No key is empty, so all keys are behind the empty one.
fn after_key(after: Option<Address>) -> String {
    after.as_ref().map_or_else(String::new, key)
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
