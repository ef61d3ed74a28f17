//! What a search asks the index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pillarbox_core::message::TextKey;
use pillarbox_core::ops::AccountId;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::bell::Bell;
use super::file::BLOCK;
use super::text::{Question, question};
use super::{path, tune};
use crate::disk::Shared;
use crate::disk::schema::blob;

/// Page cache, in KiB.
const CACHE_KIB: i64 = 1024;

/// The index as one searching thread sees it.
pub(in crate::disk) struct IndexReader<'a> {
    bell: &'a Bell,
    path: PathBuf,
    /// The file that it has open, and its number.
    open: Option<(u64, Connection)>,
}

impl<'a> IndexReader<'a> {
    pub(in crate::disk) fn new(shared: &'a Shared) -> Self {
        Self { bell: &shared.index, path: path(&shared.database), open: None }
    }

    /// The messages that may hold one of these texts; `None` when that is not known, so that all of them may.
    pub(in crate::disk) fn candidates(&mut self, account: AccountId, keys: &[TextKey]) -> Option<Candidates<'_>> {
        let questions: Vec<Question> = keys.iter().map(question).collect::<Option<_>>()?;
        let file = self.bell.file();
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            self.open = None;
        }
        if self.open.is_none() && file > 0 {
            let opened = connect(&self.path).inspect_err(|error| trouble(self.bell, file, error));
            self.open = opened.ok().map(|conn| (file, conn));
        }
        let (_, conn) = self.open.as_ref()?;
        let candidates = Candidates::find(conn, self.bell, file, account, &questions);
        candidates.inspect_err(|error| trouble(self.bell, file, error)).ok()
    }
}

/// Messages that a search has to look into. All that it says is of one snapshot of the index, which no message can be
/// missing from that it knows: what it was asked for, and which messages it has, belong together.
pub(in crate::disk) struct Candidates<'a> {
    tx: Transaction<'a>,
    bell: &'a Bell,
    file: u64,
    /// The numbers of messages that may hold a text: for each block that has any, a bit for each.
    blocks: BTreeMap<i64, Box<Bits>>,
}

type Bits = [u64; BLOCK as usize / 64];

impl<'a> Candidates<'a> {
    fn find(
        conn: &'a Connection,
        bell: &'a Bell,
        file: u64,
        account: AccountId,
        questions: &[Question],
    ) -> rusqlite::Result<Self> {
        let mut candidates = Self { tx: conn.unchecked_transaction()?, bell, file, blocks: BTreeMap::new() };
        let blocks: Vec<i64> = conn
            .prepare_cached("SELECT number FROM blocks WHERE account = ?1")?
            .query_map([blob(account.0)], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for block in blocks {
            for question in questions {
                candidates.ask(block, question)?;
            }
        }
        Ok(candidates)
    }

    fn ask(&mut self, block: i64, question: &Question) -> rusqlite::Result<()> {
        let terms: Vec<_> = question.trigrams.iter().map(|it| format!("\"{}\"", it.replace('"', "\"\""))).collect();
        let terms = terms.join(" AND ");
        for (table, wanted) in [("headers", question.in_header), ("bodies", question.in_body)] {
            if !wanted {
                continue;
            }
            let mut statement = self.tx.prepare_cached(&format!(
                "SELECT rowid FROM {table} WHERE {table} MATCH ?1 AND rowid BETWEEN ?2 AND ?3"
            ))?;
            let mut rows = statement.query(params![terms, block * BLOCK, block * BLOCK + BLOCK - 1])?;
            while let Some(row) = rows.next()? {
                let bit = (row.get::<_, i64>(0)? - block * BLOCK) as usize;
                let bits = self.blocks.entry(block).or_insert_with(|| Box::new([0; BLOCK as usize / 64]));
                bits[bit / 64] |= 1 << (bit % 64);
            }
        }
        Ok(())
    }

    /// A message may hold a text that is looked for.
    pub(in crate::disk) fn may_hold(&self, email: [u8; 16]) -> bool {
        self.look_up(email).unwrap_or_else(|error| {
            trouble(self.bell, self.file, &error);
            true
        })
    }

    fn look_up(&self, email: [u8; 16]) -> rusqlite::Result<bool> {
        let number = self
            .tx
            .prepare_cached("SELECT number FROM emails WHERE id = ?1")?
            .query_row([email], |row| row.get::<_, Option<i64>>(0))
            .optional()?;
        // What was not seen yet, or not whole, may hold anything.
        let Some(Some(number)) = number else { return Ok(true) };
        let (block, bit) = (number.div_euclid(BLOCK), number.rem_euclid(BLOCK) as usize);
        Ok(self.blocks.get(&block).is_some_and(|bits| bits[bit / 64] & 1 << (bit % 64) != 0))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    tune(&conn, CACHE_KIB)?;
    Ok(conn)
}

/// The index cannot be asked: it is made anew.
fn trouble(bell: &Bell, file: u64, error: &rusqlite::Error) {
    if bell.report(file) {
        tracing::warn!(%error, "the search index cannot be read");
    }
}
