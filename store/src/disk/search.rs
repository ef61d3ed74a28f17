//! The threads that search: they look into messages one after the other, in pieces, and never hold one. Into which ones,
//! the index says, as far as it knows.
//!
//! They are not those that read, and each of their answers is bounded (see [`Request::Search`]): nobody who opens a message
//! waits for a search, and a search waits for a page of each of the others at most.

use std::sync::atomic::Ordering;

use pillarbox_core::mailbox::{PAGE, Request, Response, SEARCH_OCTETS, UidSet};
use pillarbox_core::message::{Needles, TextKey};
use pillarbox_core::ops::{AccountId, EntryId, Id, MailboxId, MailboxOp, StoreError, StoreReply};
use rusqlite::{Connection, params};

use super::asker::{Asker, survive};
use super::index::IndexReader;
use super::mailbox::{Mailbox, unsigned};
use super::read::{Reader, find_entry};
use super::{Shared, unreadable};

/// Octets of a message that are looked at together.
const PIECE: usize = 64 << 10;
/// Pages of messages that are passed for one answer, also where the index says that there is nothing in them.
const PAGES: u32 = 20;

/// What the searching threads are asked.
pub(super) struct SearchJob {
    pub(super) asker: Asker,
    pub(super) op: Box<MailboxOp>,
}

/// One searching thread.
pub(super) fn run(shared: &Shared, conn: &Connection) {
    let mut searcher = Searcher { shared, conn, reader: Reader::new(shared, conn), index: IndexReader::new(shared) };
    while let Some(job) = shared.searches.pop() {
        survive(|| {
            let reply = searcher.answer(*job.op);
            job.asker.answer(reply);
        });
    }
}

struct Searcher<'a> {
    shared: &'a Shared,
    conn: &'a Connection,
    reader: Reader<'a>,
    index: IndexReader<'a>,
}

/// A message that may be looked into.
struct Filed {
    uid: u32,
    entry: EntryId,
    email: [u8; 16],
    size: u64,
}

impl Searcher<'_> {
    fn answer(&mut self, op: MailboxOp) -> StoreReply {
        let MailboxOp::Ask { account, request: Request::Search { mailbox, uids, keys }, bodies } = op else {
            return StoreReply::Failed(StoreError::Unknown);
        };
        if !bodies.is_empty() {
            return StoreReply::Failed(StoreError::Unknown);
        }
        match self.search(account, mailbox, uids, &keys) {
            Ok(response) => StoreReply::Mailbox(Box::new(response)),
            Err(error) => unreadable(&error),
        }
    }

    fn search(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        mut uids: UidSet,
        keys: &[TextKey],
    ) -> rusqlite::Result<Response> {
        let Some(mailbox) = Mailbox::own(self.conn, account, mailbox)? else { return Ok(Response::NoMailbox) };
        let candidates = self.index.candidates(account, keys);
        let needles = Needles::new(keys);
        let mut found = vec![UidSet::default(); keys.len()];
        let mut octets = 0;
        for _ in 0..PAGES {
            if uids.is_empty() || octets >= SEARCH_OCTETS {
                break;
            }
            let (page, mut looked_at) = page(self.conn, &mailbox, &uids)?;
            for filed in page {
                if candidates.as_ref().is_some_and(|candidates| !candidates.may_hold(filed.email)) {
                    continue;
                }
                let held = look_into(&mut self.reader, account, &filed, &needles);
                for (found, _) in found.iter_mut().zip(held).filter(|(_, holds)| *holds) {
                    found.insert(filed.uid, filed.uid);
                }
                self.shared.looked_into.fetch_add(1, Ordering::Relaxed);
                octets += filed.size;
                if octets >= SEARCH_OCTETS {
                    looked_at = filed.uid;
                    break;
                }
            }
            uids.remove(&UidSet::run(1, looked_at));
        }
        Ok(Response::Found { found, next: uids.first() })
    }
}

/// The first messages of those asked for, and the UID up to which these are all.
fn page(conn: &Connection, mailbox: &Mailbox, uids: &UidSet) -> rusqlite::Result<(Vec<Filed>, u32)> {
    let mut statement = conn.prepare_cached(
        "SELECT uid, id, email, size FROM entries WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid LIMIT ?4",
    )?;
    let mut page = Vec::new();
    let mut end = u32::MAX;
    // As many runs as messages, so that no question is long.
    for (first, last) in uids.runs().take(PAGE as usize) {
        let left = PAGE as usize - page.len();
        let rows = statement.query_map(params![mailbox.number, first, last, left as i64], |row| {
            Ok(Filed {
                uid: row.get(0)?,
                entry: EntryId(Id::from_bytes(row.get(1)?)),
                email: row.get(2)?,
                size: unsigned(row, 3)?,
            })
        })?;
        for filed in rows {
            page.push(filed?);
        }
        end = last;
        if page.len() == PAGE as usize {
            end = page.last().map_or(last, |filed| filed.uid);
            break;
        }
    }
    Ok((page, end))
}

/// Which of the keys a message holds: none, once it is gone. What cannot be read is not found either, and whoever
/// searches hears of the others.
fn look_into(reader: &mut Reader<'_>, account: AccountId, filed: &Filed, needles: &Needles) -> Vec<bool> {
    let mut matcher = needles.matcher();
    let mut offset = 0;
    while offset < filed.size && !matcher.is_decided() {
        let piece = reader.range(|conn| find_entry(conn, filed.entry, Some(account)), offset, PIECE);
        let Ok(Some(piece)) = piece else { return Vec::new() };
        if piece.is_empty() {
            break;
        }
        matcher.feed(&piece);
        offset += piece.len() as u64;
    }
    matcher.finish()
}
