//! What a mail reader asks of the mailboxes of one account, and what it hears.
//!
//! One request is one transaction. Where a request concerns many messages, whoever asks cuts it into pages of [`PAGE`],
//! so that no answer is large and nobody waits long for another's.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Change, Entry, FlagSet, Keyword, Keywords, Mailbox, MailboxName, ModSeq, Selected, SpecialUse, UidSet};
use crate::message::TextKey;
use crate::ops::{EntryId, MailboxId};
use crate::time::Wall;

/// Messages of one page.
pub const PAGE: u32 = 1_000;
/// Octets of structures in a page, at which it ends though there are fewer messages in it.
pub const PAGE_OCTETS: usize = 128 * 1024;
/// Octets of the beginnings of messages in one answer, at which it ends.
pub const HEADS_OCTETS: usize = 64 * 1024;
/// Octets of messages that are looked through for one answer, at which it ends: nobody waits long behind a search.
pub const SEARCH_OCTETS: u64 = 16 << 20;

/// A question about the mailboxes of one account, or a change of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// All mailboxes and subscriptions, in the order of their names. Answer: [`Response::Mailboxes`].
    List,
    /// What all mailboxes of the account hold together. Answer: [`Response::Usage`], `NoMailbox` (there is no such account).
    Usage,
    /// Is there a mailbox with this name, that messages can be filed in? Answer: `Done`, `NoMailbox`.
    Find {
        /// The name.
        name: MailboxName,
    },
    /// Makes a mailbox, and those above it that are missing. Answer: `Made`, `Exists`, `TooMany`, `Forbidden` (another
    /// mailbox is for this already), `NoMailbox` (there is no such account).
    Create {
        /// Its name.
        name: MailboxName,
        /// What it is for; only one mailbox of an account is for each.
        special_use: Option<SpecialUse>,
    },
    /// Deletes a mailbox with all messages in it. Where others are below it, its name stays (`\Noselect`) until the last
    /// of them is gone. Answer: `Done`, `NoMailbox`, `HasChildren` (it is such a name). INBOX is never deleted:
    /// `Forbidden`.
    Delete {
        /// Its name.
        name: MailboxName,
    },
    /// Renames a mailbox, or a name that is `\Noselect`, and those below it; makes what is missing above the new name. INBOX
    /// moves its messages into the new mailbox, and stays, and so do those below it. Answer: `Done`, `NoMailbox`,
    /// `Exists`, `Forbidden` (below itself, or a name becomes too long), `TooMany`.
    Rename {
        /// From this name.
        from: MailboxName,
        /// To this one.
        to: MailboxName,
    },
    /// Remembers a name as subscribed, or not, whether there is such a mailbox or not. Answer: `Done`, `TooMany`,
    /// `NoMailbox` (there is no such account).
    Subscribe {
        /// The name.
        name: MailboxName,
        /// Subscribed, or no longer.
        subscribed: bool,
    },
    /// SELECT, or EXAMINE when `peek`: only without it what is recent is claimed. Answer: `Selected`, `NoMailbox`.
    Select {
        /// Which.
        name: MailboxName,
        /// Change nothing.
        peek: bool,
    },
    /// Messages by UID, ascending, [`PAGE`] of them at most, or fewer ([`PAGE_OCTETS`]); those that are gone are passed
    /// over. Answer: `Entries`, `NoMailbox`.
    Entries {
        /// Of which mailbox.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
        /// Only what changed after this.
        changed_since: Option<ModSeq>,
        /// With [`Entry::structure`].
        structures: bool,
    },
    /// Octets of a message (prefix and body as one), from `offset`, at most `len`; fewer only at the end. Answer: `Bytes`,
    /// `NoMessage`.
    Read {
        /// Which message.
        entry: EntryId,
        /// Position of the first octet.
        offset: u64,
        /// How many at most.
        len: usize,
    },
    /// The beginnings of messages (prefix and body as one), so that whoever wants the headers of many need not ask for
    /// each. The answer is about the first of those asked for, and ends behind the one with which it has
    /// [`HEADS_OCTETS`], or in front of one that cannot be read. Answer: `Heads`.
    Heads {
        /// Of which messages.
        entries: Vec<EntryId>,
        /// How many octets of each at most; fewer only of a shorter message.
        len: usize,
    },
    /// Which messages hold the texts that are looked for, as [`Matcher`](crate::message::Matcher) decides. As many of
    /// them are looked into as fit into [`SEARCH_OCTETS`], or fewer, or one; those that are gone are passed over. Answer:
    /// `Found`, `NoMailbox`.
    Search {
        /// In which mailbox.
        mailbox: MailboxId,
        /// In which messages.
        uids: UidSet,
        /// What is looked for.
        keys: Arc<[TextKey]>,
    },
    /// What changed after a modseq: flags and new messages by (modseq, UID), [`PAGE`] of them at most, and what is gone.
    /// Answer: `Changes`, `NoMailbox`.
    Changes {
        /// Of which mailbox.
        mailbox: MailboxId,
        /// After this modseq.
        since: ModSeq,
        /// Go on behind this message of the last page.
        after: Option<(ModSeq, u32)>,
        /// With the last page, what has come is recent to whoever asks, and to no later session (RFC 3501 §2.3.2).
        claim: bool,
    },
    /// Changes flags of at most [`PAGE`] messages; those that are gone are passed over. What changes gets one modseq; where
    /// nothing changes there is none. Answer: `Flagged`, `NoMailbox`, `TooMany` (keywords, or UIDs in the set).
    Flag {
        /// In which mailbox.
        mailbox: MailboxId,
        /// Of which messages.
        uids: UidSet,
        /// How.
        change: FlagChange,
        /// Leave alone messages of which those flags have changed after this, or may have; all count where they are
        /// replaced (RFC 7162 §3.1.3).
        unchanged_since: Option<ModSeq>,
    },
    /// Removes messages that have `\Deleted`, [`PAGE`] of them at most, those with the smallest UIDs first. Answer:
    /// `Expunged`, `NoMailbox`.
    Expunge {
        /// From which mailbox.
        mailbox: MailboxId,
        /// Only of these; all when `None`.
        uids: Option<UidSet>,
    },
    /// Files messages in another mailbox as well, or once more in the same; all of them or none. They keep their flags,
    /// keywords and dates. Answer: `Copied`, `NoMailbox`, `TooMany`.
    Copy {
        /// From which mailbox.
        mailbox: MailboxId,
        /// Which; those that are gone are passed over.
        uids: UidSet,
        /// Into which.
        to: MailboxName,
        /// And remove them here (RFC 6851).
        remove: bool,
    },
    /// Files new messages; all of them or none. Their octets travel beside the request. Answer: `Appended`, `NoMailbox`,
    /// `TooMany`.
    Append {
        /// Into which mailbox.
        to: MailboxName,
        /// The messages, in order.
        messages: Vec<Append>,
    },
}

/// A new message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// Its system flags.
    pub flags: FlagSet,
    /// Its keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE; now, when `None`.
    pub received: Option<Wall>,
}

/// A change of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagChange {
    /// How.
    pub mode: FlagMode,
    /// System flags.
    pub flags: FlagSet,
    /// Keywords; those that are new to the mailbox are added to its list.
    pub keywords: Vec<Keyword>,
}

/// How flags are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagMode {
    /// These are set.
    Add,
    /// These are taken away.
    Remove,
    /// These are all that is set.
    Replace,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To `List`.
    Mailboxes(Arc<[Mailbox]>),
    /// To `Usage`. A message that is filed twice counts twice, although its octets are kept once.
    Usage {
        /// Messages.
        messages: u64,
        /// Octets of all of them.
        octets: u64,
    },
    /// To `Create`.
    Made(MailboxId),
    /// To `Select`.
    Selected(Selected),
    /// To `Entries`.
    Entries {
        /// The messages.
        entries: Vec<Entry>,
        /// The list of keywords that their flags refer to.
        keywords: Keywords,
        /// Where to go on: a UID of those asked for that was not looked at; `None` when all were.
        next: Option<u32>,
        /// As of which modseq.
        at: ModSeq,
    },
    /// To `Read`.
    Bytes(Bytes),
    /// To `Heads`: in the order in which they were asked for; `None` for one that is gone.
    Heads(Vec<Option<Bytes>>),
    /// To `Search`.
    Found {
        /// For each key, in their order, the messages that hold it.
        found: Vec<UidSet>,
        /// Where to go on: a UID of those asked for that was not looked at; `None` when all were.
        next: Option<u32>,
    },
    /// To `Changes`.
    Changes {
        /// Flags and new messages.
        changes: Vec<Change>,
        /// There are more: ask again behind the last.
        more: bool,
        /// What is gone, as of `at`.
        gone: Gone,
        /// The list of keywords.
        keywords: Keywords,
        /// As of which modseq.
        at: ModSeq,
        /// The UID that the next message will get at least.
        uid_next: u32,
    },
    /// To `Flag`.
    Flagged {
        /// Messages whose flags are others now, or would be if they had not been so already; ascending.
        changed: Vec<Change>,
        /// Messages that were left alone because of `unchanged_since`.
        modified: UidSet,
        /// The list of keywords.
        keywords: Keywords,
        /// As of which modseq.
        at: ModSeq,
        /// Something is different now: `at` is the modseq of this change, and not of somebody else's.
        new: bool,
    },
    /// To `Expunge`.
    Expunged {
        /// What was removed.
        uids: UidSet,
        /// There is more to remove.
        more: bool,
        /// As of which modseq.
        at: ModSeq,
    },
    /// To `Copy`.
    Copied {
        /// UIDVALIDITY of the mailbox they are in now.
        uid_validity: u32,
        /// Each old UID with its new one, ascending.
        uids: Vec<(u32, u32)>,
        /// As of which modseq of the old mailbox: when they were removed, that of the removal.
        at: ModSeq,
    },
    /// To `Append`.
    Appended {
        /// UIDVALIDITY of the mailbox.
        uid_validity: u32,
        /// UIDs in the order of the messages.
        uids: UidSet,
    },
    /// It is on disk.
    Done,
    /// To `Delete`: there is only the name, and it stays for as long as others are below it.
    HasChildren,
    /// There is no such mailbox; to `Create` and `Copy`, one that could be made.
    NoMailbox,
    /// There is no such message any more.
    NoMessage,
    /// There is such a mailbox already.
    Exists,
    /// Not with this mailbox, ever.
    Forbidden,
    /// There would be more of these than the store's limits allow: mailboxes, subscriptions, keywords, messages, UIDs.
    TooMany,
    /// Not now; nothing was changed. There is no room when `full`.
    Unavailable {
        /// The disk is full, or a quota.
        full: bool,
    },
}

/// What is gone since a modseq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Just these. Some of them may have come and gone meanwhile.
    These(UidSet),
    /// That far back nobody remembers: all but these.
    AllBut(UidSet),
}

impl Request {
    /// It changes something: it is never answered by running out of time, since it may have happened.
    #[must_use]
    pub fn is_change(&self) -> bool {
        match self {
            Self::List
            | Self::Usage
            | Self::Find { .. }
            | Self::Select { .. }
            | Self::Entries { .. }
            | Self::Read { .. }
            | Self::Heads { .. }
            | Self::Search { .. }
            | Self::Changes { .. } => false,
            Self::Create { .. }
            | Self::Delete { .. }
            | Self::Rename { .. }
            | Self::Subscribe { .. }
            | Self::Flag { .. }
            | Self::Expunge { .. }
            | Self::Copy { .. }
            | Self::Append { .. } => true,
        }
    }
}
