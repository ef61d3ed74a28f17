//! How a queue behaves: when it tries again, when it gives up, and its bounds.

use alloc::vec::Vec;
use core::time::Duration;

/// What an operator decides about the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long to wait after the first attempt, after the second, and so on; the last repeats. Never less than
    /// [`Limits::shortest_retry`]. RFC 5321 §4.5.4.1 wants 30 minutes at least, later on; the first ones may be shorter.
    pub retry: Vec<Duration>,
    /// Each wait is longer or shorter by up to this many per cent, so that what failed together does not come back
    /// together.
    pub jitter_percent: u32,
    /// How long after its receipt a message is given up; §4.5.4.1 wants 4 to 5 days. Here for the bounces that the queue
    /// makes itself: every other row brings its own time.
    pub expire_after: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            retry: [
                Duration::from_secs(30),
                minutes(2),
                minutes(10),
                minutes(30),
                minutes(60),
                minutes(120),
                minutes(240),
            ]
            .into(),
            jitter_percent: 20,
            expire_after: minutes(5 * 24 * 60),
            limits: Limits::default(),
        }
    }
}

/// The bounds of a queue. Rows in memory are at most `attempts` times `rows`, however long the queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Destinations that are worked on by turns, in the whole server: a node keeps its part. When more have mail due, each gives way after a page of rows.
    pub destinations: usize,
    /// Rows of one attempt, and of one page read from the store: enough for the 100 recipients that every server takes
    /// (RFC 5321 §4.5.3.1.8).
    pub rows: usize,
    /// Attempts at once in the whole server, until their outcome is on disk: a node makes its part of them.
    pub attempts: usize,
    /// Attempts at once at one destination: more would be rude.
    pub attempts_per_destination: usize,
    /// Bounces in one transaction; each brings the header of a message.
    pub bounces: usize,
    /// Octets of a message's header that are read for its bounce.
    pub header: usize,
    /// For how long the buckets are leased; the lease is prolonged when half of it is over.
    pub lease: Duration,
    /// How long to leave a destination alone after no host of it could be reached. Rows that are due meanwhile count as
    /// tried, since they would fare the same. Never longer than the first retry.
    pub suspension: Duration,
    /// The shortest wait before a row is tried again, whatever `retry` says.
    pub shortest_retry: Duration,
    /// Looking at the store for due rows, unasked, at least this often: clocks are moved, and a hint may be missed.
    pub recheck: Duration,
    /// And at most this often, when rows become due one after the other.
    pub scan_pause: Duration,
    /// Pause before an op that a busy store handed back is asked again.
    pub busy_pause: Duration,
    /// Pause before an op that failed (disk full, store stopped) is asked again.
    pub failed_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            destinations: 1_000,
            rows: 100,
            attempts: 100,
            attempts_per_destination: 5,
            bounces: 16,
            header: 16 * 1024,
            lease: Duration::from_secs(300),
            suspension: Duration::from_secs(60),
            shortest_retry: Duration::from_millis(100),
            recheck: Duration::from_secs(60),
            scan_pause: Duration::from_millis(200),
            busy_pause: Duration::from_millis(50),
            failed_pause: Duration::from_secs(2),
        }
    }
}
