//! What LIST asks for (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

use alloc::vec::Vec;

use super::{ListPattern, MailboxName, StatusItem};

/// `LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What stands in front of each pattern; may be empty.
    pub reference: MailboxName,
    /// The patterns; one or more.
    pub patterns: Vec<ListPattern>,
    /// Which of the mailboxes that match.
    pub select: ListSelect,
    /// What is told of each.
    pub returns: ListReturn,
    /// It was written in the extended form: with options of either kind, or patterns in parentheses. The empty pattern,
    /// which asks for the hierarchy's delimiter, does so only in the plain form (RFC 5258 §3).
    pub extended: bool,
}

/// `list-select-opt`: which mailboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// `SUBSCRIBED`: the subscribed names, also of mailboxes that do not exist.
    pub subscribed: bool,
    /// `REMOTE`: and remote ones, of which we have none.
    pub remote: bool,
    /// `RECURSIVEMATCH`: and those that do not match but have a child that is selected. Only with another one.
    pub recursive_match: bool,
    /// `SPECIAL-USE`: those that have a special use.
    pub special_use: bool,
}

/// `return-option`: what is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`: which are subscribed.
    pub subscribed: bool,
    /// `CHILDREN`: which have children.
    pub children: bool,
    /// `SPECIAL-USE`: which use they have.
    pub special_use: bool,
    /// `STATUS (…)`: a STATUS response for each; empty when not asked for.
    pub status: Vec<StatusItem>,
}

impl List {
    /// Patterns in one LIST at most, each of which is held against every name.
    pub const MAX_PATTERNS: usize = 32;
}
