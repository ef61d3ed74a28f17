//! How STORE changes flags (RFC 9051 §6.4.6).

use alloc::vec::Vec;

use super::{Flag, Modseq, SequenceSet};

/// `STORE` and `UID STORE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The set holds UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// `UNCHANGEDSINCE`: only messages whose mod-sequence is not larger (RFC 7162 §3.1.3).
    pub unchanged_since: Option<Modseq>,
    /// What happens to the flags.
    pub change: FlagChange,
    /// `.SILENT`: no FETCH response for what the client itself has changed.
    pub silent: bool,
    /// The flags; no `\Recent`. There may be none, and one may stand there twice.
    pub flags: Vec<Flag>,
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`: these too.
    Add,
    /// `-FLAGS`: not these.
    Remove,
}
