//! Response codes (RFC 9051 §7.1, RFC 5530, RFC 4315, RFC 7162, RFC 8474 and others).

use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::{Flag, Modseq, NumberSet, ObjectId, Text};

/// What a status response tells a program, between brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// `ALERT`: the text is for the user.
    Alert,
    /// `ALREADYEXISTS`
    AlreadyExists,
    /// `APPENDUID`: the UIDs that the messages of an APPEND got.
    AppendUid {
        /// The UIDVALIDITY of the mailbox.
        uid_validity: NonZeroU32,
        /// The UIDs; never none.
        uids: NumberSet,
    },
    /// `AUTHENTICATIONFAILED`
    AuthenticationFailed,
    /// `AUTHORIZATIONFAILED`
    AuthorizationFailed,
    /// `BADCHARSET`, and which ones would be good.
    BadCharset(&'static [&'static str]),
    /// `CANNOT`
    Cannot,
    /// `CAPABILITY`: the names, in their order.
    Capability(Vec<Text>),
    /// `CLIENTBUG`
    ClientBug,
    /// `CLOSED`: the mailbox selected before is closed; what follows is about the new one.
    Closed,
    /// `CONTACTADMIN`
    ContactAdmin,
    /// `COPYUID`: which UIDs became which. The sets have as many numbers each, and belong together in ascending order.
    CopyUid {
        /// The UIDVALIDITY of the mailbox copied to.
        uid_validity: NonZeroU32,
        /// The UIDs copied; never none.
        from: NumberSet,
        /// The UIDs that the copies got.
        to: NumberSet,
    },
    /// `CORRUPTION`
    Corruption,
    /// `EXPIRED`
    Expired,
    /// `EXPUNGEISSUED`
    ExpungeIssued,
    /// `HASCHILDREN`
    HasChildren,
    /// `HIGHESTMODSEQ`
    HighestModseq(Modseq),
    /// `INUSE`
    InUse,
    /// `LIMIT`
    Limit,
    /// `MAILBOXID`: of the mailbox created or selected (RFC 8474).
    MailboxId(ObjectId),
    /// `MODIFIED`: the messages that a conditional STORE left alone (RFC 7162), as numbers or as UIDs.
    Modified(NumberSet),
    /// `NOMODSEQ`
    NoModseq,
    /// `NONEXISTENT`
    Nonexistent,
    /// `NOPERM`
    NoPerm,
    /// `NOTSAVED`: `$` could not be set (RFC 5182).
    NotSaved,
    /// `OVERQUOTA`
    OverQuota,
    /// `PARSE`: a message could not be read.
    Parse,
    /// `PERMANENTFLAGS`: which flags can be changed for good.
    PermanentFlags {
        /// The flags.
        flags: Vec<Flag>,
        /// `\*`: new keywords may be made.
        any: bool,
    },
    /// `PRIVACYREQUIRED`: not without TLS.
    PrivacyRequired,
    /// `READ-ONLY`
    ReadOnly,
    /// `READ-WRITE`
    ReadWrite,
    /// `SERVERBUG`
    ServerBug,
    /// `TOOBIG`: larger than APPENDLIMIT (RFC 4469).
    TooBig,
    /// `TRYCREATE`: there is no such mailbox, but it could be created.
    TryCreate,
    /// `UIDNEXT`
    UidNext(NonZeroU32),
    /// `UIDNOTSTICKY`
    UidNotSticky,
    /// `UIDVALIDITY`
    UidValidity(NonZeroU32),
    /// `UNAVAILABLE`
    Unavailable,
    /// `UNKNOWN-CTE`: a part's transfer encoding cannot be undone (RFC 3516).
    UnknownCte,
    /// `UNSEEN`: the first message that is not seen (RFC 3501).
    Unseen(NonZeroU32),
    /// `USEATTR`: no mailbox can have that special use (RFC 6154).
    UseAttr,
    /// Any other one: an atom.
    Other(String),
}
