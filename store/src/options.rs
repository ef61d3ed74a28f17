//! What a store can be told when it opens. The defaults are what a server wants.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pillarbox_core::Wall;

/// Where a store reads the time: for lease expiry, save dates and UIDVALIDITY.
pub type Clock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// Knobs of a store, each a bound with its reason.
#[derive(Clone)]
pub struct Options {
    /// What a new password's hash costs. Existing accounts keep the cost they were given.
    pub password_cost: PasswordCost,
    /// Threads that hash passwords. Each holds one block of [`PasswordCost::memory_kib`] for as long as it lives, so
    /// that logins move no memory peak.
    pub hash_workers: usize,
    /// Threads that read. Each has a database connection of its own.
    pub read_workers: usize,
    /// Threads that search. They are apart from those that read, so that whoever opens a message waits for nobody's search.
    /// Each answers one page of a search at a time, in turn.
    pub search_workers: usize,
    /// Keep an index of the texts in messages, so that a search looks into few of them. It is kept behind the scenes, and
    /// takes about a third as much room as the texts. Without it searches find the same, but look into every message.
    pub search_index: bool,
    /// Changes that may wait for the next group commit before [`submit`](pillarbox_core::ops::Store::submit) says busy.
    pub waiting_changes: usize,
    /// Bytes of bodies that may wait inside those changes.
    pub waiting_bytes: usize,
    /// Reads that may wait, and as many searches.
    pub waiting_reads: usize,
    /// Logins and new passwords that may wait: each costs tens of milliseconds, so a longer queue helps nobody.
    pub waiting_hashes: usize,
    /// Pieces of staged bodies that may wait to be written.
    pub waiting_stages: usize,
    /// Bytes at which a segment is sealed and the next one begins. A segment is the unit of reclaim.
    pub segment_size: u64,
    /// Mail is refused when the file system has less than this many bytes left, so that deletion stays possible.
    pub reserve: u64,
    /// Targets that one alias may stand for, nested ones included.
    pub alias_targets: usize,
    /// Mailboxes of one account, names that are only kept for those below them included. All are in one answer.
    pub mailboxes: usize,
    /// Names that one account may be subscribed to.
    pub subscriptions: usize,
    /// Messages that one COPY or MOVE may concern: it is one transaction, and others wait for it.
    pub copied: u32,
    /// Runs of UIDs that were removed from one mailbox, and are remembered for readers that come back: some tens of octets
    /// each. Whoever was away for longer than that is told what is left.
    pub expunged_runs: usize,
    /// The clock.
    pub clock: Clock,
}

/// What hashing one password costs: argon2id's parameters, and SCRAM's iterations (RFC 5802).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB, at least 8.
    pub memory_kib: u32,
    /// Passes over it, at least 1.
    pub passes: u32,
    /// PBKDF2 iterations of the SCRAM keys, at least 4096 (RFC 7677 §4) unless it is a test.
    pub scram_iterations: u32,
}

impl PasswordCost {
    /// Next to nothing: for tests alone.
    pub const CHEAP: Self = Self { memory_kib: 8, passes: 1, scram_iterations: 1 };
}

impl Default for PasswordCost {
    /// What OWASP recommends for argon2id with one lane: 19 MiB, two passes.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, scram_iterations: 10_000 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            password_cost: PasswordCost::default(),
            hash_workers: 2,
            read_workers: 2,
            search_workers: 2,
            search_index: true,
            waiting_changes: 8192,
            waiting_bytes: 64 << 20,
            waiting_reads: 8192,
            waiting_hashes: 256,
            waiting_stages: 4096,
            segment_size: 32 << 20,
            reserve: 16 << 20,
            alias_targets: 100,
            mailboxes: 5_000,
            subscriptions: 5_000,
            copied: 20_000,
            expunged_runs: 10_000,
            clock: Arc::new(system_clock),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("password_cost", &self.password_cost)
            .field("segment_size", &self.segment_size)
            .field("reserve", &self.reserve)
            .finish_non_exhaustive()
    }
}

fn system_clock() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
