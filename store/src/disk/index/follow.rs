//! The thread that keeps the index: it follows the main database, reads what is new, and forgets what is gone.
//!
//! ```text
//! open (make anew) -> a batch, a batch, ... -> caught up -> sweep, if much is gone -> wait for commits, rest a while
//!        ^                    |                                                                  |
//!        +---- damaged -------+---- no room: rest ----------------------------------------------+
//! ```
//!
//! Emails are read in the order of their ids, which is that of their commits: whatever comes is behind all that was seen.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, params};

use super::bell::Bell;
use super::file::{Email, File};
use super::text::Gatherer;
use super::{path, remove};
use crate::disk::Shared;
use crate::disk::read::{Reader, find_email};

/// Emails of one batch.
const BATCH: usize = 500;
/// Octets of text in it, at which it ends.
const BATCH_OCTETS: usize = 2 << 20;
/// Octets of a message that are read together.
const PIECE: usize = 64 << 10;
/// Emails that are looked up together when it is seen which are gone.
const PAGE: usize = 1_000;
/// How long it rests when it has caught up: messages that come one by one are taken in together.
const REST: Duration = Duration::from_secs(1);
/// How long it rests when there is little room, or when a file that was just made anew is damaged once more.
const PAUSE: Duration = Duration::from_secs(30);
/// How long it rests when it has found none.
const LONG_PAUSE: Duration = Duration::from_secs(3600);
/// How much longer than a batch took it rests behind it, while mail comes in.
const PATIENCE: u32 = 4;
/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(15);
/// Free octets that it leaves to the mail, beside those that the store keeps for itself.
const ROOM: u64 = 64 << 20;

/// Keeps the index until the store closes.
pub(in crate::disk) fn run(shared: &Shared, conn: &Connection) {
    let _over = Over(&shared.index);
    be_humble();
    let mut follower = Follower { shared, conn, reader: Reader::new(shared, conn), files: 0, failures: 0 };
    let path = path(&shared.database);
    while !shared.index.is_closed() {
        let Err(error) = follower.keep(&path) else { continue };
        shared.index.shut();
        follower.failures += 1;
        tracing::warn!(%error, "the search index cannot be kept, and is made anew; searches take longer meanwhile");
        if let Err(error) = remove(&path) {
            tracing::warn!(%error, "the search index cannot be removed");
        }
        match error.sqlite_error_code() {
            // It has taken the last of what a quota leaves. That belongs to the mail.
            Some(ErrorCode::DiskFull) => shared.index.rest(LONG_PAUSE, false),
            _ if follower.failures > 1 => shared.index.rest(PAUSE, false),
            _ => {}
        }
    }
}

/// Says that nobody keeps the index any more, also if that is because of a panic.
struct Over<'a>(&'a Bell);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}

struct Follower<'a> {
    shared: &'a Shared,
    /// To the main database.
    conn: &'a Connection,
    reader: Reader<'a>,
    /// Files that were opened.
    files: u64,
    /// How often the index failed since it had last caught up.
    failures: u32,
}

impl Follower<'_> {
    /// Keeps the index until the store closes, or the file is damaged.
    fn keep(&mut self, path: &Path) -> rusqlite::Result<()> {
        let bell = &self.shared.index;
        if !path.exists() && !self.has_room() {
            bell.rest(PAUSE, false);
            return Ok(());
        }
        let mut file = File::open(path, self.shared.epoch)?;
        self.files += 1;
        bell.opened(self.files);
        while !bell.is_closed() {
            if bell.is_broken() {
                return Err(rusqlite::Error::InvalidQuery);
            }
            let (commits, gone) = bell.hear();
            file.count_gone(gone);
            if !self.catch_up(&mut file)? {
                if !bell.is_broken() {
                    bell.rest(PAUSE, false);
                }
                continue;
            }
            bell.seen(commits);
            self.failures = 0;
            if file.gone() > file.emails() / 8 {
                self.sweep(&mut file)?;
            }
            bell.wait();
            bell.rest(REST, true);
        }
        Ok(())
    }

    /// Takes in all that is there; `false` when there is no room, or the store closes.
    fn catch_up(&mut self, file: &mut File) -> rusqlite::Result<bool> {
        let (begun, mut told, mut taken) = (Instant::now(), Instant::now(), 0);
        let mut next = self.conn.prepare_cached("SELECT id, account FROM emails WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        loop {
            let seen = params![file.seen(), BATCH as i64];
            let ids =
                next.query_map(seen, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()?;
            if ids.is_empty() {
                break;
            }
            if self.shared.index.is_closed() || self.shared.index.is_broken() || !self.has_room() {
                return Ok(false);
            }
            let (batch, commits) = (Instant::now(), self.shared.index.commits());
            taken += self.take_in(file, &ids)?;
            if self.shared.index.commits() != commits {
                // Mail comes in just now, and the disk is one.
                self.shared.index.rest(batch.elapsed() * PATIENCE, true);
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                tracing::info!(messages = taken, "the search index catches up");
            }
        }
        if begun.elapsed() >= PROGRESS {
            tracing::info!(messages = taken, seconds = begun.elapsed().as_secs(), "the search index has caught up");
        }
        Ok(true)
    }

    /// Takes in some of these emails: as many as fit into a batch.
    fn take_in(&mut self, file: &mut File, ids: &[([u8; 16], [u8; 16])]) -> rusqlite::Result<usize> {
        let (mut emails, mut octets, mut seen) = (Vec::new(), 0, file.seen());
        for (id, account) in ids {
            if octets >= BATCH_OCTETS || self.shared.index.is_closed() {
                break;
            }
            if let Some(email) = self.read(*id, *account) {
                octets += email.text.as_ref().map_or(0, super::text::Text::len);
                emails.push(email);
            }
            seen = *id;
        }
        let taken = emails.len();
        file.add(emails, seen)?;
        Ok(taken)
    }

    /// Reads an email; `None` when it is gone.
    fn read(&mut self, id: [u8; 16], account: [u8; 16]) -> Option<Email> {
        let (mut gatherer, mut offset) = (Gatherer::default(), 0);
        loop {
            let piece = match self.reader.range(|conn| find_email(conn, id), offset, PIECE) {
                Ok(Some(piece)) => piece,
                Ok(None) => return None,
                Err(_) => return Some(Email { id, account, text: None }),
            };
            if piece.is_empty() {
                return Some(Email { id, account, text: gatherer.finish() });
            }
            if !gatherer.feed(&piece) {
                return Some(Email { id, account, text: None });
            }
            offset += piece.len() as u64;
        }
    }

    /// Forgets the emails that are gone.
    fn sweep(&self, file: &mut File) -> rusqlite::Result<()> {
        let mut there = self.conn.prepare_cached("SELECT 1 FROM emails WHERE id = ?1")?;
        let mut after = [0; 16];
        loop {
            let page = file.page(after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = *last;
            let mut gone = Vec::new();
            for id in &page {
                if !there.exists([id])? {
                    gone.push(*id);
                }
            }
            if !gone.is_empty() {
                file.remove(&gone)?;
            }
            if self.shared.index.is_closed() || self.shared.index.is_broken() {
                return Ok(());
            }
        }
        file.swept()
    }

    fn has_room(&self) -> bool {
        let free = self.shared.disk.free(self.shared.bodies.segments()).unwrap_or(u64::MAX);
        free >= self.shared.options.reserve.saturating_add(ROOM)
    }
}

/// Lets everybody else go first. Only Linux has this for one thread.
fn be_humble() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "the search index is kept with the priority of the others");
    }
}
