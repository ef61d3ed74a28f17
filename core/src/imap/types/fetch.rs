//! What FETCH asks of a message (RFC 9051 §6.4.5).

use alloc::vec::Vec;

use super::{Modseq, PartPath, Partial, Section, SequenceSet};

/// `FETCH` and `UID FETCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The set holds UIDs, and every response says the message's UID.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What of each; never nothing. A macro (`ALL`, `FAST`, `FULL`) stands here as what it means.
    pub items: Vec<FetchItem>,
    /// `CHANGEDSINCE`: only messages whose mod-sequence is larger (RFC 7162 §3.1.4.1). Responses then say `MODSEQ`.
    pub changed_since: Option<Modseq>,
    /// `VANISHED`: and the UIDs of the set that were expunged since (RFC 7162 §3.2.6). Only with `uid` and
    /// `changed_since`.
    pub vanished: bool,
}

/// `fetch-att`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY` without a section: the structure without its extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `BODY[…]` and `BODY.PEEK[…]`.
    Section {
        /// `BODY.PEEK`: the message does not become `\Seen`.
        peek: bool,
        /// Which part.
        section: Section,
        /// Which octets of it.
        partial: Option<Partial>,
    },
    /// `BINARY[…]` and `BINARY.PEEK[…]`: the part with its transfer encoding undone.
    Binary {
        /// `BINARY.PEEK`: the message does not become `\Seen`.
        peek: bool,
        /// Which part; empty for the whole message.
        part: PartPath,
        /// Which octets of what was decoded.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[…]`: the octets of the part with its transfer encoding undone.
    BinarySize(PartPath),
    /// `RFC822`: as `BODY[]`, under another name (RFC 3501).
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]`, under another name (RFC 3501).
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]`, under another name (RFC 3501).
    Rfc822Text,
    /// `MODSEQ` (RFC 7162)
    Modseq,
    /// `EMAILID` (RFC 8474)
    EmailId,
    /// `THREADID` (RFC 8474)
    ThreadId,
    /// `SAVEDATE` (RFC 8514)
    SaveDate,
}

impl Fetch {
    /// Items of one FETCH at most.
    pub const MAX_ITEMS: usize = 128;
}

impl FetchItem {
    /// Whether to fetch it makes the message `\Seen`.
    #[must_use]
    pub fn sets_seen(&self) -> bool {
        match self {
            Self::Section { peek, .. } | Self::Binary { peek, .. } => !peek,
            Self::Rfc822 | Self::Rfc822Text => true,
            _ => false,
        }
    }
}
