//! What a client says: a tag and a command (RFC 9051 §6).

use alloc::vec::Vec;

use bytes::Bytes;

use super::{
    AppendMessage, Enabled, Fetch, List, ListPattern, MailboxName, Search, Select, SequenceSet, SpecialUse, StatusItem,
    Store, Tag, Text,
};
use crate::secret::Secret;

/// A command and the tag that its response will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The client's name for it.
    pub tag: Tag,
    /// What it asks.
    pub command: Command,
}

/// A command with its arguments, whatever state it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    // In any state (RFC 9051 §6.1).
    /// `CAPABILITY`
    Capability,
    /// `NOOP`
    Noop,
    /// `LOGOUT`
    Logout,
    /// `ID` (RFC 2971): what the client says of itself, and `None` for `NIL`.
    Id(Option<Vec<IdField>>),

    // Before a login (§6.2).
    /// `STARTTLS`
    StartTls,
    /// `AUTHENTICATE`
    Authenticate {
        /// The SASL mechanism's name, in the case it was sent in.
        mechanism: Text,
        /// The initial response as it was sent (RFC 4959): base64, or `=` for the empty one.
        initial: Option<Secret>,
    },
    /// `LOGIN`
    Login {
        /// Who.
        user: Bytes,
        /// The password.
        password: Secret,
    },

    // After a login (§6.3).
    /// `ENABLE` (RFC 5161): what of it we know. Names that we do not know are passed over, as they must be.
    Enable(Enabled),
    /// `SELECT` and `EXAMINE`.
    Select(Select),
    /// `CREATE`
    Create {
        /// The name. A delimiter at its end says that mailboxes will be created under it.
        mailbox: MailboxName,
        /// `(USE (…))` (RFC 6154 §3)
        uses: Vec<SpecialUse>,
        /// A use stands there that we do not know: NO \[USEATTR\].
        unknown_use: bool,
    },
    /// `DELETE`
    Delete(MailboxName),
    /// `RENAME`
    Rename {
        /// The name that it has.
        from: MailboxName,
        /// The name that it will have.
        to: MailboxName,
    },
    /// `SUBSCRIBE`
    Subscribe(MailboxName),
    /// `UNSUBSCRIBE`
    Unsubscribe(MailboxName),
    /// `LIST`
    List(List),
    /// `LSUB` (RFC 3501 §6.3.9)
    Lsub {
        /// What stands in front of the pattern.
        reference: MailboxName,
        /// The pattern.
        pattern: ListPattern,
    },
    /// `NAMESPACE`
    Namespace,
    /// `STATUS`
    Status {
        /// Which mailbox.
        mailbox: MailboxName,
        /// What of it; one or more.
        items: Vec<StatusItem>,
    },
    /// `APPEND`, up to the octets of its first message.
    Append {
        /// Where to.
        mailbox: MailboxName,
        /// The first message. Its octets, and further messages, come behind.
        message: AppendMessage,
    },
    /// `IDLE`; the line `DONE` ends it (RFC 2177).
    Idle,

    // With a mailbox selected (§6.4).
    /// `CHECK` (RFC 3501 §6.4.1)
    Check,
    /// `CLOSE`
    Close,
    /// `UNSELECT`
    Unselect,
    /// `EXPUNGE`, and `UID EXPUNGE` with its UIDs (RFC 4315).
    Expunge(Option<SequenceSet>),
    /// `SEARCH` and `UID SEARCH`.
    Search(Search),
    /// `FETCH` and `UID FETCH`.
    Fetch(Fetch),
    /// `STORE` and `UID STORE`.
    Store(Store),
    /// `COPY` and `UID COPY`.
    Copy(Transfer),
    /// `MOVE` and `UID MOVE` (RFC 6851).
    Move(Transfer),
}

/// What goes where, in COPY and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The set holds UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: MailboxName,
}

/// A field of ID and its value; `None` for `NIL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdField {
    /// The name: at most 30 octets.
    pub name: Bytes,
    /// The value: at most 1024 octets.
    pub value: Option<Bytes>,
}

impl IdField {
    /// Fields in one ID at most (RFC 2971 §3.3).
    pub const MAX_FIELDS: usize = 30;
    /// Octets of a name at most.
    pub const MAX_NAME: usize = 30;
    /// Octets of a value at most.
    pub const MAX_VALUE: usize = 1024;
}

impl Command {
    /// Its name, as it stands in the response that completes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Authenticate { .. } => "AUTHENTICATE",
            Self::Login { .. } => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Select(select) if select.read_only => "EXAMINE",
            Self::Select(_) => "SELECT",
            Self::Create { .. } => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(_) => "LIST",
            Self::Lsub { .. } => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status { .. } => "STATUS",
            Self::Append { .. } => "APPEND",
            Self::Idle => "IDLE",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge(None) => "EXPUNGE",
            Self::Expunge(Some(_)) => "UID EXPUNGE",
            Self::Search(search) if search.uid => "UID SEARCH",
            Self::Search(_) => "SEARCH",
            Self::Fetch(fetch) if fetch.uid => "UID FETCH",
            Self::Fetch(_) => "FETCH",
            Self::Store(store) if store.uid => "UID STORE",
            Self::Store(_) => "STORE",
            Self::Copy(copy) if copy.uid => "UID COPY",
            Self::Copy(_) => "COPY",
            Self::Move(moving) if moving.uid => "UID MOVE",
            Self::Move(_) => "MOVE",
        }
    }
}
