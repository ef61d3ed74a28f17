//! Every bound that the machines keep, by name and with its reason.
//!
//! Whoever meets a bound gets a clear error, and nothing is lost. The defaults are what a server on the open Internet
//! wants; an embedder may choose otherwise, but not "no bound".

use core::time::Duration;

/// What every session keeps to, whatever its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Bytes of body in one chunk at most. 64 KiB: large enough that per-chunk costs vanish, small enough to be shared
    /// fairly between thousands of connections.
    pub chunk: usize,
    /// Chunks that may wait for their answer. Two: one is stored while the next one is read.
    pub window: usize,
    /// Bytes in `tx` at which a machine stops producing. One chunk, so that a slow reader costs one chunk.
    pub high_water: usize,
    /// Commands run in one `poll` before it says `More`: one peer's flood never starves the others.
    pub steps: usize,
    /// How long an unanswered read may take before the machine answers 451 or -ERR [SYS/TEMP] in its stead.
    pub answer_timeout: Duration,
    /// How long an unconfirmed change (commit, QUIT of a maildrop) may take before the connection is closed without a
    /// reply. Longer than any store's group commit, and within the client's own patience (RFC 5321 §4.5.3.2.6).
    pub commit_timeout: Duration,
    /// Bad commands before we hang up: a peer that speaks another protocol will not learn ours.
    pub bad_commands: u32,
    /// Failed authentications before we hang up: whoever guesses passwords pays a new connection for each few.
    pub failed_logins: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            chunk: 64 * 1024,
            window: 2,
            high_water: 64 * 1024,
            steps: 32,
            answer_timeout: Duration::from_secs(60),
            commit_timeout: Duration::from_secs(9 * 60),
            bad_commands: 20,
            failed_logins: 3,
        }
    }
}
