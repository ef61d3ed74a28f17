//! What IMAP devices were told of a mailbox: no later word may contradict it, whichever device hears it.

use std::collections::{BTreeMap, BTreeSet};

use crate::copies::Has;
use crate::ledger::Read;

/// Flags of a message.
pub(crate) type Flags = BTreeSet<String>;

/// A mailbox that devices use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Folder {
    Inbox,
    Archive,
}

impl Folder {
    pub(crate) const ALL: [Self; 2] = [Self::Inbox, Self::Archive];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inbox => "INBOX",
            Self::Archive => "Archive",
        }
    }
}

/// Whether something has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    #[default]
    No,
    /// Whoever tried was never told.
    Perhaps,
    /// He was told so.
    Yes,
}

impl Fate {
    /// It was tried once more.
    pub(crate) fn tried(&mut self, told: bool) {
        *self = (*self).max(if told { Self::Yes } else { Self::Perhaps });
    }
}

/// A message that somebody has read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// What it is.
    pub(crate) what: Read,
    /// It has `\Deleted`, which nobody takes away.
    pub(crate) marked: Fate,
    /// Somebody has removed it.
    pub(crate) removed: Fate,
    /// Somebody has moved it to another mailbox.
    pub(crate) moved: Fate,
}

/// What was told of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Told {
    validity: Option<u32>,
    highest_uid: u32,
    highest_modseq: u64,
    messages: BTreeMap<u32, Message>,
    gone: BTreeSet<u32>,
    /// An EXPUNGE of all that is marked was never answered, and may still be under way.
    lingers: bool,
}

/// What everybody knew when a command was sent: what is answered to it is newer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    uid: u32,
    modseq: u64,
    gone: BTreeSet<u32>,
}

impl Told {
    /// What is known by now.
    pub(crate) fn known(&self) -> Known {
        Known { uid: self.highest_uid, modseq: self.highest_modseq, gone: self.gone.clone() }
    }

    /// Messages that were read, by UID.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (&u32, &Message)> {
        self.messages.iter()
    }

    /// Those that are marked as deleted, surely or perhaps.
    pub(crate) fn marked(&self) -> Vec<(u32, Fate)> {
        let all = self.messages.iter().map(|(uid, message)| (*uid, message.marked));
        all.filter(|(_, marked)| *marked != Fate::No).collect()
    }

    /// Nobody knows whether all that is marked, now or later, will be removed.
    pub(crate) fn lingers(&mut self) {
        self.lingers = true;
    }

    /// Whether somebody has removed it.
    pub(crate) fn removed(&self, message: &Message) -> Fate {
        let lingers = self.lingers && message.marked != Fate::No;
        message.removed.max(if lingers { Fate::Perhaps } else { Fate::No })
    }

    pub(crate) fn message(&mut self, uid: u32) -> Option<&mut Message> {
        self.messages.get_mut(&uid)
    }

    /// Which message this was, if somebody has read it.
    pub(crate) fn what(&self, uid: u32) -> Option<Read> {
        self.messages.get(&uid).map(|message| message.what)
    }

    /// It has this UIDVALIDITY.
    pub(crate) fn validity(&mut self, validity: u32) -> Result<(), String> {
        let was = *self.validity.get_or_insert(validity);
        unless(was != validity, || format!("a UIDVALIDITY that has changed: {was} before, and {validity}"))
    }

    /// Its UIDNEXT, as somebody hears who has asked when so much was known.
    pub(crate) fn uid_next(&self, next: u32, known: &Known) -> Result<(), String> {
        unless(next <= known.uid, || format!("a UIDNEXT that was given already: {next}, and {} was told", known.uid))
    }

    /// A mod-sequence of it.
    pub(crate) fn modseq(&mut self, modseq: u64) {
        self.highest_modseq = self.highest_modseq.max(modseq);
    }

    /// Its HIGHESTMODSEQ, as somebody hears who has asked when so much was known.
    pub(crate) fn highest(&mut self, modseq: u64, known: &Known) -> Result<(), String> {
        self.modseq(modseq);
        unless(modseq < known.modseq, || format!("a HIGHESTMODSEQ that fell: {modseq} behind {}", known.modseq))
    }

    /// A message has this UID, and somebody hears it who opened the mailbox when so much was known.
    pub(crate) fn uid(&mut self, uid: u32, known: &Known) -> Result<(), String> {
        self.highest_uid = self.highest_uid.max(uid);
        unless(known.gone.contains(&uid), || format!("a message that was gone: UID {uid}"))
    }

    /// A message has got this UID: it is a new one.
    pub(crate) fn new_uid(&mut self, uid: u32, known: &Known) -> Result<(), String> {
        self.highest_uid = self.highest_uid.max(uid);
        unless(uid <= known.uid, || format!("a new UID that is none: {uid}, and {} was told before", known.uid))
    }

    /// This is what the UID stands for.
    pub(crate) fn is(&mut self, uid: u32, what: Read) -> Result<(), String> {
        let message = Message { what, marked: Fate::No, removed: Fate::No, moved: Fate::No };
        let was = self.messages.entry(uid).or_insert(message).what;
        unless(was != what, || format!("one UID of two messages: {uid}"))
    }

    /// It is gone.
    pub(crate) fn gone(&mut self, uid: u32) {
        self.gone.insert(uid);
    }

    /// Somebody was told that it is gone.
    pub(crate) fn is_gone(&self, uid: u32) -> bool {
        self.gone.contains(&uid)
    }
}

fn unless(is_wrong: bool, how: impl FnOnce() -> String) -> Result<(), String> {
    if is_wrong { Err(how()) } else { Ok(()) }
}

/// What a device remembers of the mailboxes that it has seen.
pub(crate) type Memories = BTreeMap<Folder, Memory>;

/// What it remembers of one.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) folder: Folder,
    pub(crate) validity: u32,
    /// It has heard of all changes up to here (RFC 7162 §6); 0 where it does not know.
    pub(crate) modseq: u64,
    /// The messages, by UID, with their flags where it knows them.
    pub(crate) messages: BTreeMap<u32, Option<Flags>>,
    /// Those that it has read.
    pub(crate) read: BTreeSet<u32>,
    /// Whether the keyword that it alone sets is set.
    pub(crate) marks: BTreeMap<u32, Mark>,
    /// It is as of the end of all: what it shows is what there is.
    pub(crate) is_last: bool,
}

/// Whether a keyword that only one device sets is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Set,
    Unset,
    /// A command was never answered, and may still be under way: nobody will ever know.
    Lost,
}

impl Memory {
    pub(crate) fn new(folder: Folder) -> Self {
        Self {
            folder,
            validity: 0,
            modseq: 0,
            messages: BTreeMap::new(),
            read: BTreeSet::new(),
            marks: BTreeMap::new(),
            is_last: false,
        }
    }

    /// How a message differs from what it shows at rest, if it does.
    pub(crate) fn differs(&self, has: &[Has]) -> Option<String> {
        let folder = self.folder;
        let there: BTreeMap<u32, &Flags> =
            has.iter().filter(|has| has.folder == folder).map(|has| (has.uid, &has.flags)).collect();
        if !self.is_last {
            return Some(format!("never sees {folder:?} as it is"));
        }
        if let Some(uid) = self.messages.keys().find(|uid| !there.contains_key(uid)) {
            return Some(format!("sees a message in {folder:?} that is not there: UID {uid}"));
        }
        there.iter().find_map(|(uid, flags)| match self.messages.get(uid) {
            None => Some(format!("does not see a message in {folder:?}: UID {uid}")),
            Some(Some(seen)) if seen == *flags => None,
            Some(seen) => Some(format!("sees other flags in {folder:?}: {seen:?} of UID {uid}, which has {flags:?}")),
        })
    }
}
