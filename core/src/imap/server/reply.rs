//! How a command ends, and what is said then. The texts stand here; none of them repeats what a peer sent.

use alloc::string::String;

use super::view::modseq;
use crate::imap::encode::{self, Condition};
use crate::imap::types::{Code, Tag};
use crate::mailbox::ModSeq;
use crate::mark;
use crate::outbox::Outbox;

pub(super) const NEEDS_TLS: &str = "No password without TLS";
pub(super) const REJECTED: &str = "Invalid user name or password";
pub(super) const SHUTDOWN: &str = "Server is shutting down";
pub(super) const TURNED_AWAY: &str = "Too many connections, or about to stop; try again later";
pub(super) const TIMEOUT: &str = "Autologout; idle for too long";
pub(super) const LOGIN_TIMEOUT: &str = "Took too long to log in";
pub(super) const TOO_MANY: &str = "Too many bad commands in a row";
pub(super) const TOO_MANY_LOGINS: &str = "Too many failed logins";
pub(super) const GOODBYE: &str = "Logging out";

/// How a command ends: what its tagged response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Completion {
    condition: Condition,
    code: Option<Code>,
    /// Empty: `NAME completed`.
    text: &'static str,
}

impl Completion {
    /// `OK NAME completed`
    pub(super) const OK: Self = Self { condition: Condition::Ok, code: None, text: "" };

    /// `OK [CODE] NAME completed`
    pub(super) fn ok(code: Code) -> Self {
        Self { code: Some(code), ..Self::OK }
    }

    pub(super) fn no(code: Code, text: &'static str) -> Self {
        Self { condition: Condition::No, code: Some(code), text }
    }

    pub(super) const fn bad(text: &'static str) -> Self {
        Self { condition: Condition::Bad, code: None, text }
    }

    /// The host could not do it now.
    pub(super) fn unavailable(full: bool) -> Self {
        match full {
            true => mark!(ImapNoRoom, Self::no(Code::OverQuota, "There is no room for it")),
            false => mark!(ImapUnavailable, Self::no(Code::Unavailable, "Cannot be done now, try again later")),
        }
    }

    /// There is no such mailbox.
    pub(super) fn nonexistent() -> Self {
        mark!(ImapNoMailbox, Self::no(Code::Nonexistent, "No such mailbox"))
    }

    /// There is no such mailbox to put messages into.
    pub(super) fn try_create() -> Self {
        mark!(ImapTryCreate, Self::no(Code::TryCreate, "No such mailbox"))
    }

    pub(super) fn too_many(text: &'static str) -> Self {
        Self::no(Code::Limit, text)
    }

    pub(super) fn is_ok(&self) -> bool {
        self.condition == Condition::Ok
    }

    pub(super) fn is_bad(&self) -> bool {
        self.condition == Condition::Bad
    }

    /// The same, with a code where there is none yet.
    pub(super) fn or_code(self, code: Code) -> Self {
        Self { code: self.code.or(Some(code)), ..self }
    }

    /// The same, where HIGHESTMODSEQ is said with this instead.
    pub(super) fn at(self, highest: ModSeq) -> Self {
        let code = self.code.map(|code| match code {
            Code::HighestModseq(_) => Code::HighestModseq(modseq(highest)),
            code => code,
        });
        Self { code, ..self }
    }

    pub(super) fn says_highest(&self) -> bool {
        matches!(self.code, Some(Code::HighestModseq(_)))
    }

    pub(super) fn has_code(&self) -> bool {
        self.code.is_some()
    }

    /// The tagged response to the command called `name`.
    pub(super) fn say(&self, tag: &Tag, name: &str, tx: &mut Outbox) {
        if !self.text.is_empty() {
            return encode::tagged(tx, tag, self.condition, self.code.as_ref(), self.text);
        }
        let mut text = String::from(name);
        text.push_str(" completed");
        encode::tagged(tx, tag, self.condition, self.code.as_ref(), &text);
    }
}

/// `* OK [HIGHESTMODSEQ n]`
pub(super) fn highest(highest: ModSeq, tx: &mut Outbox) {
    encode::untagged(tx, Condition::Ok, Some(&Code::HighestModseq(modseq(highest))), "Highest");
}

/// `* BYE text`
pub(super) fn bye(text: &str, tx: &mut Outbox) {
    encode::untagged(tx, Condition::Bye, None, text);
}
