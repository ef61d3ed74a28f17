//! What SEARCH asks for (RFC 9051 §6.4.4).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Date, Flag, Modseq, ObjectId, SequenceSet};

/// `SEARCH` and `UID SEARCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The answer is in UIDs.
    pub uid: bool,
    /// `RETURN (…)`. Without it, IMAP4rev1 answers with SEARCH, and IMAP4rev2 as if it were `RETURN (ALL)`.
    pub returns: Option<SearchReturn>,
    /// `CHARSET`: in what the strings of the keys are written.
    pub charset: Charset,
    /// What is looked for.
    pub key: SearchKey,
}

/// What of the result is told (RFC 4731, RFC 5182). `RETURN ()` is read as `RETURN (ALL)`, which it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`
    pub min: bool,
    /// `MAX`
    pub max: bool,
    /// `ALL`
    pub all: bool,
    /// `COUNT`
    pub count: bool,
    /// `SAVE`: `$` becomes the result.
    pub save: bool,
}

/// A charset by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// None was named. ASCII it is, and UTF-8 where more stands there.
    #[default]
    Unsaid,
    /// `US-ASCII`
    UsAscii,
    /// `UTF-8`
    Utf8,
    /// Another one. Whoever cannot read it answers `NO [BADCHARSET]`.
    Other(Bytes),
}

/// `search-key`, as a tree. `UNSEEN` is `Lacks(Seen)`, and `NEW` is `RECENT UNSEEN`.
///
/// Strings are octets in the charset of the [`Search`]; they hold no NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`: every message.
    All,
    /// All of these; two or more.
    And(Vec<Self>),
    /// Any of these; two or more. `OR a OR b c` is one of three.
    Or(Vec<Self>),
    /// `NOT`
    Not(Box<Self>),
    /// A set of message sequence numbers.
    Sequence(SequenceSet),
    /// `UID`: a set of UIDs.
    Uid(SequenceSet),
    /// `ANSWERED`, `DELETED`, `DRAFT`, `FLAGGED`, `RECENT`, `SEEN`, and `KEYWORD`.
    Has(Flag),
    /// `UNANSWERED`, `UNDELETED`, `UNDRAFT`, `UNFLAGGED`, `OLD`, `UNSEEN`, and `UNKEYWORD`.
    Lacks(Flag),
    /// The envelope's field of that name holds the string.
    Address(AddressField, Bytes),
    /// `SUBJECT`
    Subject(Bytes),
    /// `HEADER`: a field of this name holds the string; the empty string is in every field.
    Header {
        /// The field's name, in any case.
        name: Bytes,
        /// What it holds.
        value: Bytes,
    },
    /// `BODY`
    Body(Bytes),
    /// `TEXT`: header or body.
    Text(Bytes),
    /// A date, without its time and zone, compared with another.
    Date(DateField, When, Date),
    /// `LARGER`: than so many octets.
    Larger(u64),
    /// `SMALLER`: than so many octets.
    Smaller(u64),
    /// `YOUNGER`: its internal date is so many seconds ago or less (RFC 5032).
    Younger(u32),
    /// `OLDER`: it is so many seconds ago or more.
    Older(u32),
    /// `MODSEQ`: equal or larger (RFC 7162 §3.1.5). The name of an entry may be said; it asks about one flag only, and
    /// as servers may, none of that is kept.
    Modseq(Modseq),
    /// `EMAILID` (RFC 8474)
    EmailId(ObjectId),
    /// `THREADID` (RFC 8474)
    ThreadId(ObjectId),
    /// `SAVEDATESUPPORTED` (RFC 8514): every message, or none.
    SaveDateSupported,
}

/// Fields of a header that hold addresses, and have a key of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// `FROM`
    From,
    /// `TO`
    To,
    /// `CC`
    Cc,
    /// `BCC`
    Bcc,
}

/// Which date of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateField {
    /// `BEFORE`, `ON`, `SINCE`: the internal date.
    Internal,
    /// `SENTBEFORE`, …: the Date field of the header.
    Sent,
    /// `SAVEDBEFORE`, …: when it came into this mailbox (RFC 8514).
    Saved,
}

/// How dates are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Earlier than that day.
    Before,
    /// That day.
    On,
    /// That day or later.
    Since,
}

impl SearchKey {
    /// How deep keys may nest: each parenthesis and each NOT is a step, a chain of ORs is none. Whoever walks the tree
    /// may do so by recursion.
    pub const MAX_DEPTH: usize = 32;

    /// Keys in one search at most, each of which may have to be tried on every message.
    pub const MAX_KEYS: usize = 1024;

    /// Whether a key in here satisfies `wanted`.
    pub fn any(&self, wanted: &mut impl FnMut(&Self) -> bool) -> bool {
        if wanted(self) {
            return true;
        }
        match self {
            Self::And(keys) | Self::Or(keys) => keys.iter().any(|key| key.any(wanted)),
            Self::Not(key) => key.any(wanted),
            _ => false,
        }
    }
}
