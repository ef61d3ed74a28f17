//! Between the two vocabularies: what a client writes, and what is stored.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::imap::types::{self, Flag, NumberSet, ObjectId};
use crate::mailbox::{BadName, FlagSet, Keyword, Keywords, MailboxName, SpecialUse, UidSet};
use crate::ops::Id;

/// The system flags that are stored, in the order in which they are told.
const SYSTEM: [(Flag, FlagSet); 5] = [
    (Flag::Answered, FlagSet::ANSWERED),
    (Flag::Flagged, FlagSet::FLAGGED),
    (Flag::Deleted, FlagSet::DELETED),
    (Flag::Seen, FlagSet::SEEN),
    (Flag::Draft, FlagSet::DRAFT),
];

static TOLD: [Flag; 6] = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft, Flag::Recent];

/// The name as it is stored.
pub(super) fn stored(name: &types::MailboxName) -> Result<MailboxName, BadName> {
    MailboxName::new(name.as_str())
}

/// The name as a client sees it; `None` for one that no client could say.
pub(super) fn shown(name: &MailboxName) -> Option<types::MailboxName> {
    types::MailboxName::new(name.as_str()).ok()
}

/// An id as a client sees it.
pub(super) fn object_id(kind: u8, id: Id) -> ObjectId {
    ObjectId::of(kind, u128::from_be_bytes(id.to_bytes()))
}

/// The set as numbers.
pub(super) fn numbers(uids: &UidSet) -> NumberSet {
    uids.runs().map(|(first, last)| first..=last).collect()
}

/// The set as UIDs.
pub(super) fn uids(numbers: &NumberSet) -> UidSet {
    let mut uids = UidSet::default();
    numbers.ranges().for_each(|range| uids.insert(*range.start(), *range.end()));
    uids
}

/// Flags that a client has listed. Those that begin with a backslash and that nobody knows are passed over, as flags that
/// are not permanent may be (RFC 9051 §6.4.6). `None` when one is too long to be kept.
pub(super) fn flags(list: &[Flag]) -> Option<(FlagSet, Vec<Keyword>)> {
    let (mut flags, mut keywords) = (FlagSet::default(), Vec::new());
    for flag in list {
        if let Flag::Keyword(name) = flag {
            let keyword = Keyword::new(name.as_str()).ok()?;
            if !keywords.contains(&keyword) {
                keywords.push(keyword);
            }
        } else if let Some((_, set)) = SYSTEM.iter().find(|(system, _)| system == flag) {
            flags = flags | *set;
        }
    }
    Some((flags, keywords))
}

/// The flags that a mailbox knows, by the names under which they are told.
#[derive(Debug, Default)]
pub(super) struct FlagNames {
    stored: Keywords,
    keywords: Vec<Flag>,
}

impl FlagNames {
    pub(super) fn new(stored: Keywords) -> Self {
        let flag = |keyword: &Keyword| {
            let name = types::Keyword::new(Bytes::copy_from_slice(keyword.as_str().as_bytes()));
            // What the store takes for a keyword the grammar does, too; the place must not be lost if it does not.
            name.map_or(Flag::Recent, Flag::Keyword)
        };
        Self { keywords: stored.list().iter().map(flag).collect(), stored }
    }

    /// Takes a later list; true when there is more in it.
    pub(super) fn learn(&mut self, stored: &Keywords) -> bool {
        let more = stored.list().len() > self.stored.list().len();
        if more {
            *self = Self::new(stored.clone());
        }
        more
    }

    /// The names of `flags`.
    pub(super) fn of(&self, flags: FlagSet, recent: bool) -> impl Iterator<Item = &Flag> {
        let system = SYSTEM.iter().zip(&TOLD).filter(move |((_, set), _)| flags.contains(*set)).map(|(_, flag)| flag);
        let keywords = flags.keywords().filter_map(|index| self.keywords.get(index));
        system.chain(recent.then_some(&TOLD[5])).chain(keywords)
    }

    /// All that messages can have.
    pub(super) fn all(&self) -> Vec<Flag> {
        TOLD[..5].iter().chain(&self.keywords).cloned().collect()
    }

    /// There is room for more keywords.
    pub(super) fn takes_more(&self) -> bool {
        self.keywords.len() < Keywords::MOST
    }
}

/// The use as it is stored; `None` for one that we do not keep.
pub(super) fn stored_use(special: types::SpecialUse) -> Option<SpecialUse> {
    USES.iter().find(|(_, said)| *said == special).map(|(stored, _)| *stored)
}

/// The use as a client sees it.
pub(super) fn shown_use(special: SpecialUse) -> Option<types::SpecialUse> {
    USES.iter().find(|(stored, _)| *stored == special).map(|(_, said)| *said)
}

const USES: [(SpecialUse, types::SpecialUse); 7] = [
    (SpecialUse::All, types::SpecialUse::All),
    (SpecialUse::Archive, types::SpecialUse::Archive),
    (SpecialUse::Drafts, types::SpecialUse::Drafts),
    (SpecialUse::Flagged, types::SpecialUse::Flagged),
    (SpecialUse::Junk, types::SpecialUse::Junk),
    (SpecialUse::Sent, types::SpecialUse::Sent),
    (SpecialUse::Trash, types::SpecialUse::Trash),
];
