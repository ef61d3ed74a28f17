//! Random requests of mail readers, and a reader that is away for a while and must find the way back.

use std::collections::BTreeMap;

use bytes::Bytes;
use pillarbox_core::Wall;
use pillarbox_core::mailbox::*;
use pillarbox_core::message::{StructureParser, TextKey};
use pillarbox_core::ops::*;
use pillarbox_store::MemoryStore;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::inline;
use crate::{Seen, octets, pick};

/// A request; whose it is, and which mailboxes and messages it names, is chosen among those seen so far.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    List,
    Usage,
    Find(usize),
    Create(usize, Option<SpecialUse>),
    Delete(usize),
    Rename(usize, usize),
    Subscribe(usize, bool),
    Select(usize, bool),
    Entries(usize, Vec<(u32, u32)>, Option<u64>, bool),
    Read(usize, u64, usize),
    Heads(Vec<usize>, usize),
    Search(usize, Vec<(u32, u32)>, Vec<(usize, String)>),
    Changes(usize, u64, Option<(u64, u32)>, bool),
    Flag(usize, Vec<(u32, u32)>, FlagMode, u64, Vec<usize>, Option<u64>),
    Expunge(usize, Option<Vec<(u32, u32)>>),
    Copy(usize, Vec<(u32, u32)>, usize, bool),
    Append(usize, Vec<(u64, Vec<usize>, Option<i64>, New)>, bool),
    Watch(usize, bool),
}

/// The octets of an appended message.
#[derive(Clone, Debug)]
pub(crate) enum New {
    Inline(usize),
    Staged(usize),
    Row(usize),
}

const NAMES: [&str; 10] = ["INBOX", "a", "a/b", "a/b/c", "d", "inbox/x", "a/é", "d/a/b", "a0", "a/e\u{301}"];

pub(crate) fn asks() -> impl Strategy<Value = Ask> {
    let name = || prop_oneof![3 => Just(0_usize), 4 => 0..NAMES.len()];
    let mailbox = || prop_oneof![6 => 0..4_usize, 1 => 0..12_usize];
    let set = || vec((0..14_u32, 0..6_u32), 1..4);
    let modseq = || prop_oneof![4 => 0..30_u64, 1 => Just(u64::MAX)];
    let since = || proptest::option::of(modseq());
    let keywords = || vec(0..4_usize, 0..3);
    let flags = || prop_oneof![2 => Just(8_u64), 2 => Just(1), 3 => 0..32_u64, 1 => Just(u64::MAX)];
    let mode = prop_oneof![Just(FlagMode::Add), Just(FlagMode::Remove), Just(FlagMode::Replace)];
    let uses = prop_oneof![6 => Just(None), 1 => Just(Some(SpecialUse::Sent)), 1 => Just(Some(SpecialUse::Trash))];
    // What the octets of messages and their prefix have.
    let text = prop_oneof![
        Just(String::new()),
        (0..250_usize, 1..12_usize)
            .prop_map(|(a, b)| octets(a, b).iter().map(|octet| char::from(octet % 128)).collect()),
        "return|turn-pa|<>|PATH|some|zz",
    ];
    let new = prop_oneof![
        8 => (0..40_000_usize).prop_map(New::Inline),
        2 => (0..4_usize).prop_map(New::Staged),
        1 => (0..20_usize).prop_map(New::Row),
    ];
    let messages = vec((flags(), keywords(), proptest::option::of(0..99_i64), new), 0..4);
    prop_oneof![
        2 => Just(Ask::List),
        3 => Just(Ask::Usage),
        1 => name().prop_map(Ask::Find),
        5 => (name(), uses).prop_map(|(a, b)| Ask::Create(a, b)),
        2 => name().prop_map(Ask::Delete),
        3 => (name(), name()).prop_map(|(a, b)| Ask::Rename(a, b)),
        1 => (name(), any::<bool>()).prop_map(|(a, b)| Ask::Subscribe(a, b)),
        5 => (name(), any::<bool>()).prop_map(|(a, b)| Ask::Select(a, b)),
        4 => (mailbox(), set(), since(), any::<bool>()).prop_map(|(a, b, c, d)| Ask::Entries(a, b, c, d)),
        2 => (0..20_usize, 0..200_u64, 0..50_000_usize).prop_map(|(a, b, c)| Ask::Read(a, b, c)),
        2 => (vec(0..20_usize, 0..9), 0..30_000_usize).prop_map(|(a, b)| Ask::Heads(a, b)),
        3 => (mailbox(), set(), vec((0..4_usize, text), 0..4)).prop_map(|(a, b, c)| Ask::Search(a, b, c)),
        4 => (mailbox(), modseq(), proptest::option::of((modseq(), 0..12_u32)), any::<bool>())
            .prop_map(|(a, b, c, d)| Ask::Changes(a, b, c, d)),
        8 => (mailbox(), set(), mode, flags(), keywords(), since())
            .prop_map(|(a, b, c, d, e, f)| Ask::Flag(a, b, c, d, e, f)),
        5 => (mailbox(), proptest::option::of(set())).prop_map(|(a, b)| Ask::Expunge(a, b)),
        5 => (mailbox(), set(), name(), any::<bool>()).prop_map(|(a, b, c, d)| Ask::Copy(a, b, c, d)),
        6 => (name(), messages, prop_oneof![19 => Just(true), 1 => Just(false)])
            .prop_map(|(a, b, c)| Ask::Append(a, b, c)),
        2 => (mailbox(), any::<bool>()).prop_map(|(a, b)| Ask::Watch(a, b)),
    ]
}

fn name(i: usize) -> MailboxName {
    MailboxName::new(NAMES[i % NAMES.len()]).unwrap()
}

fn uids(runs: &[(u32, u32)]) -> UidSet {
    let mut set = UidSet::default();
    runs.iter().for_each(|(first, more)| set.insert(*first, first + more));
    set
}

fn keywords(all: &[usize]) -> Vec<Keyword> {
    all.iter().map(|i| Keyword::new(["$A", "$b", "$B", "more"][i % 4]).unwrap()).collect()
}

fn text_key(kind: usize, text: String) -> TextKey {
    match kind % 4 {
        0 => TextKey::Body(text),
        1 => TextKey::Text(text),
        2 => TextKey::Header { name: "Return-Path".to_owned(), text },
        _ => TextKey::Header { name: "subject".to_owned(), text },
    }
}

impl Seen {
    pub(crate) fn ask(&self, whose: usize, ask: Ask) -> MailboxOp {
        let mailbox = |i: usize| pick(&self.mailboxes, i);
        let mut bodies = Vec::new();
        let request = match ask {
            Ask::List => Request::List,
            Ask::Usage => Request::Usage,
            Ask::Find(i) => Request::Find { name: name(i) },
            Ask::Create(i, special_use) => Request::Create { name: name(i), special_use },
            Ask::Delete(i) => Request::Delete { name: name(i) },
            Ask::Rename(from, to) => Request::Rename { from: name(from), to: name(to) },
            Ask::Subscribe(i, subscribed) => Request::Subscribe { name: name(i), subscribed },
            Ask::Select(i, peek) => Request::Select { name: name(i), peek },
            Ask::Entries(i, set, changed_since, structures) => {
                Request::Entries { mailbox: mailbox(i), uids: uids(&set), changed_since, structures }
            }
            Ask::Read(i, offset, len) => Request::Read { entry: pick(&self.entries, i), offset, len },
            Ask::Heads(which, len) => {
                Request::Heads { entries: which.into_iter().map(|i| pick(&self.entries, i)).collect(), len }
            }
            Ask::Search(i, set, keys) => {
                let keys = keys.into_iter().map(|(kind, text)| text_key(kind, text)).collect();
                Request::Search { mailbox: mailbox(i), uids: uids(&set), keys }
            }
            Ask::Changes(i, since, after, claim) => Request::Changes { mailbox: mailbox(i), since, after, claim },
            Ask::Flag(i, set, mode, flags, words, unchanged_since) => {
                let change = FlagChange { mode, flags: FlagSet(flags), keywords: keywords(&words) };
                Request::Flag { mailbox: mailbox(i), uids: uids(&set), change, unchanged_since }
            }
            Ask::Expunge(i, set) => Request::Expunge { mailbox: mailbox(i), uids: set.map(|set| uids(&set)) },
            Ask::Copy(i, set, to, remove) => {
                Request::Copy { mailbox: mailbox(i), uids: uids(&set), to: name(to), remove }
            }
            Ask::Append(i, new, all) => {
                let messages = new.iter().map(|(flags, words, received, _)| Append {
                    flags: FlagSet(*flags),
                    keywords: keywords(words),
                    received: received.map(Wall),
                });
                let messages = messages.collect();
                for (number, (.., new)) in new.into_iter().enumerate().skip(usize::from(!all)) {
                    let seed = if let New::Inline(len) = new { len } else { number };
                    let body = match new {
                        New::Inline(len) => inline(octets(number, len)),
                        New::Staged(i) => Body::Staged(pick(&self.stages, i)),
                        New::Row(i) => Body::Row(pick(&self.rows, i)),
                    };
                    bodies.push(NewBody { body, structure: structure(seed) });
                }
                Request::Append { to: name(i), messages }
            }
            Ask::Watch(i, true) => return MailboxOp::Watch { mailbox: mailbox(i) },
            Ask::Watch(i, false) => return MailboxOp::Unwatch { mailbox: mailbox(i) },
        };
        MailboxOp::Ask { account: pick(&self.accounts, whose), request, bodies }
    }

    pub(crate) fn learn_of_mailboxes(&mut self, response: &Response) {
        match response {
            Response::Made(id) | Response::Selected(Selected { mailbox: id, .. }) => self.mailboxes.push(*id),
            Response::Entries { entries, .. } => self.entries.extend(entries.iter().map(|entry| entry.entry)),
            _ => {}
        }
    }
}

/// Mailboxes as a reader saw them at some time.
#[derive(Default)]
pub(crate) struct Absent {
    saw: BTreeMap<MailboxId, (AccountId, ModSeq, BTreeMap<u32, FlagSet>)>,
    /// What each UID was ever given to.
    given: BTreeMap<(MailboxId, u32), EntryId>,
    validities: BTreeMap<u32, MailboxId>,
}

impl Absent {
    /// Comes back, of each mailbox asks only what changed, and must see what is there. Then remembers that, or not.
    pub(crate) fn come_back(
        &mut self,
        store: &MemoryStore,
        accounts: &[AccountId],
        stay: bool,
    ) -> Result<(), TestCaseError> {
        let ask = |account, request| match store.apply(StoreOp::Mailbox(Box::new(MailboxOp::Ask {
            account,
            request,
            bodies: Vec::new(),
        }))) {
            StoreReply::Mailbox(response) => *response,
            other => panic!("{other:?}"),
        };
        for account in accounts {
            let Response::Mailboxes(mailboxes) = ask(*account, Request::List) else { panic!("no list") };
            for (mailbox, counters) in mailboxes.iter().filter_map(|listed| listed.there) {
                prop_assert_eq!(*self.validities.entry(counters.uid_validity).or_insert(mailbox), mailbox);
                let all = Request::Entries {
                    mailbox,
                    uids: UidSet::run(1, u32::MAX),
                    changed_since: None,
                    structures: false,
                };
                let Response::Entries { entries, at, next: None, .. } = ask(*account, all) else {
                    panic!("no entries")
                };
                prop_assert_eq!(at, counters.highest_modseq);
                for entry in &entries {
                    prop_assert!(entry.uid < counters.uid_next && entry.modseq <= at && entry.modseq > 0);
                    let first = *self.given.entry((mailbox, entry.uid)).or_insert(entry.entry);
                    prop_assert_eq!(first, entry.entry, "a UID is given once");
                }
                let now: BTreeMap<u32, FlagSet> = entries.iter().map(|entry| (entry.uid, entry.flags)).collect();
                if let Some((_, since, old)) = self.saw.get(&mailbox) {
                    prop_assert!(at >= *since, "modseqs rise");
                    let Response::Changes { changes, more: false, gone, .. } =
                        ask(*account, Request::Changes { mailbox, since: *since, after: None, claim: false })
                    else {
                        panic!("no changes")
                    };
                    let mut view = old.clone();
                    view.extend(changes.iter().map(|change| (change.uid, change.flags)));
                    view.retain(|uid, _| match &gone {
                        Gone::These(gone) => !gone.contains(*uid),
                        Gone::AllBut(left) => left.contains(*uid),
                    });
                    prop_assert_eq!(&view, &now, "since {} with {:?}, {:?}", since, changes, gone);
                    prop_assert!(at > *since || changes.is_empty());
                }
                if stay || !self.saw.contains_key(&mailbox) {
                    self.saw.insert(mailbox, (*account, at, now));
                }
            }
        }
        Ok(())
    }
}

/// The structure of a body: of a message that names one or two others, out of a few; or nothing sound.
pub(crate) fn structure(seed: usize) -> Bytes {
    if seed.is_multiple_of(5) {
        return octets(seed, seed % 3 * 10);
    }
    let (id, subject) = (seed % 13, ["Lunch", "Dinner"][seed / 2 % 2]);
    let mut parser = StructureParser::new();
    parser.feed(format!("Message-ID: <{id}@x>\r\nSubject: Re: {subject}\r\n").as_bytes());
    parser.feed(b"References:");
    for reference in (0..seed % 4).map(|n| seed / 3 * n % 11) {
        parser.feed(format!(" <{reference}@x>").as_bytes());
    }
    parser.feed(b"\r\n\r\n");
    parser.finish().encode()
}
