//! The reference: mailboxes as plain lists, and what each change makes of them, in the order in which the store commits.

use std::collections::BTreeMap;

use pillarbox_core::mailbox::{
    FlagChange, FlagMode, FlagSet, Keyword, Keywords, MailboxName, ModSeq, Request, Response, UidSet,
};
use pillarbox_core::ops::MailboxId;

use crate::command::Flags;

#[derive(Default)]
pub struct Model {
    pub mailboxes: Vec<Mailbox>,
    names: BTreeMap<String, usize>,
    ids: BTreeMap<MailboxId, usize>,
    /// Every message that was ever filed, by its number.
    pub contents: Vec<Vec<u8>>,
}

pub struct Mailbox {
    pub there: bool,
    pub messages: Vec<Message>,
    uid_next: u32,
    pub modseq: ModSeq,
    uid_validity: Option<u32>,
    /// The flags of each message, and since when.
    history: BTreeMap<u32, Vec<(ModSeq, Flags)>>,
    /// Of each UID that was ever given, what it named.
    named: BTreeMap<u32, usize>,
}

#[derive(Clone)]
pub struct Message {
    pub uid: u32,
    pub flags: Flags,
    pub content: usize,
    modseq: ModSeq,
}

/// Nobody has changed the named flags after `since`, as far as the last change of any tells.
fn unchanged(history: &[(ModSeq, Flags)], message: &Message, mode: FlagMode, named: &Flags, since: ModSeq) -> bool {
    match history {
        _ if message.modseq <= since => true,
        _ if mode == FlagMode::Replace => false,
        _ if since == 0 => !named.iter().any(|flag| flag.starts_with('\\') || message.flags.contains(flag)),
        [.., (before, old), (_, now)] => {
            *before <= since && named.iter().all(|it| old.contains(it) == now.contains(it))
        }
        _ => false,
    }
}

impl Mailbox {
    fn new() -> Self {
        let (messages, history, named) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { there: true, messages, uid_next: 1, modseq: 1, uid_validity: None, history, named }
    }

    fn file(&mut self, flags: Flags, content: usize) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.history.insert(uid, vec![(self.modseq, flags.clone())]);
        self.named.insert(uid, content);
        self.messages.push(Message { uid, flags, content, modseq: self.modseq });
        uid
    }

    fn take_out(&mut self, gone: impl Fn(&Message) -> bool) -> Vec<u32> {
        let uids: Vec<u32> = self.messages.iter().filter(|it| gone(it)).map(|it| it.uid).collect();
        self.modseq += u64::from(!uids.is_empty());
        self.messages.retain(|it| !gone(it));
        uids
    }

    /// What the UID names, whether it is there or not.
    pub fn content(&self, uid: u32) -> usize {
        *self.named.get(&uid).unwrap_or_else(|| panic!("UID {uid} was never given"))
    }

    pub fn is_there(&self, uid: u32) -> bool {
        self.messages.binary_search_by_key(&uid, |it| it.uid).is_ok()
    }

    /// The message has, or had, just these flags.
    pub fn had(&self, uid: u32, modseq: Option<ModSeq>, flags: &Flags) -> bool {
        let history = self.history.get(&uid).unwrap_or_else(|| panic!("UID {uid} was never given"));
        history.iter().any(|(since, then)| modseq.is_none_or(|modseq| modseq == *since) && then == flags)
    }

    /// At some time the message had the flag, or not.
    pub fn ever(&self, uid: u32, flag: &str, set: bool) -> bool {
        self.history[&uid].iter().any(|(_, flags)| flags.contains(flag) == set)
    }
}

impl Model {
    /// A new content: its number.
    pub fn content(&mut self, words: usize) -> usize {
        let number = self.contents.len();
        let mut text = format!("Subject: content {number}\r\nFrom: bob@example.net\r\n\r\n");
        text.extend((0..=words).map(|word| format!("word {word} of {number}\r\n")));
        self.contents.push(text.into_bytes());
        number
    }

    /// The number of these octets.
    pub fn number(&self, octets: &[u8]) -> usize {
        let text = std::str::from_utf8(octets).expect("text");
        let number = text.strip_prefix("Subject: content ").and_then(|rest| rest.split("\r\n").next());
        let number: usize = number.expect("one of ours").parse().expect("a number");
        assert_eq!(octets, self.contents[number], "content {number} is not what it was");
        number
    }

    pub fn make(&mut self, name: &str) {
        self.mailboxes.push(Mailbox::new());
        self.names.insert(name.to_owned(), self.mailboxes.len() - 1);
    }

    pub fn mailbox(&self, id: MailboxId) -> &Mailbox {
        &self.mailboxes[self.ids[&id]]
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    /// The store has answered a SELECT: which mailbox has this id.
    pub fn selected(&mut self, name: &MailboxName, response: &Response, exact: bool) {
        let found = self.names.get(name.as_str()).copied();
        let Response::Selected(selected) = response else {
            assert!(found.is_none() || !exact, "{name} is there: {response:?}");
            return;
        };
        let index = *self.ids.entry(selected.mailbox).or_insert_with(|| found.expect("a mailbox with this name"));
        let mailbox = &mut self.mailboxes[index];
        Self::valid(mailbox, selected.counters.uid_validity);
        if exact {
            let uids: UidSet = mailbox.messages.iter().map(|it| it.uid).collect();
            assert_eq!((&selected.uids, selected.counters.highest_modseq), (&uids, mailbox.modseq));
            assert_eq!(selected.counters.uid_next, mailbox.uid_next);
        }
    }

    /// Does what the store did, and holds its answer against it.
    pub fn change(&mut self, request: &Request, contents: &[usize], response: &Response) {
        match request {
            Request::Create { name, .. } => match response {
                Response::Made(id) => {
                    assert!(!self.names.contains_key(name.as_str()));
                    self.make(name.as_str());
                    self.ids.insert(*id, self.mailboxes.len() - 1);
                }
                other => assert!(*other == Response::Exists && self.names.contains_key(name.as_str()), "{other:?}"),
            },
            Request::Delete { name } => match self.names.get(name.as_str()) {
                Some(_) if name.is_inbox() => assert_eq!(*response, Response::Forbidden),
                None => assert_eq!(*response, Response::NoMailbox),
                Some(&index) => {
                    assert_eq!(*response, Response::Done);
                    self.names.remove(name.as_str());
                    (self.mailboxes[index].there, self.mailboxes[index].messages) = (false, Vec::new());
                }
            },
            Request::Rename { from, to } => self.rename(from, to, response),
            Request::Flag { mailbox, uids, change, unchanged_since } => {
                self.flag(*mailbox, uids, change, *unchanged_since, response);
            }
            Request::Expunge { mailbox, uids } => {
                let Some(mailbox) = self.there(*mailbox, response) else { return };
                let wanted = |uid| uids.as_ref().is_none_or(|uids| uids.contains(uid));
                let mut page: Vec<u32> =
                    mailbox.messages.iter().filter(|it| deleted(it) && wanted(it.uid)).map(|it| it.uid).collect();
                let rest = page.len() > pillarbox_core::mailbox::PAGE as usize;
                page.truncate(pillarbox_core::mailbox::PAGE as usize);
                let gone = mailbox.take_out(|it| page.contains(&it.uid));
                let expected = Response::Expunged { uids: gone.into_iter().collect(), more: rest, at: mailbox.modseq };
                assert_eq!(*response, expected);
            }
            Request::Copy { mailbox, uids, to, remove } => self.copy(*mailbox, uids, to, *remove, response),
            Request::Append { to, messages } => self.append(to, messages, contents, response),
            other => panic!("{other:?} is no change"),
        }
    }

    fn there(&mut self, id: MailboxId, response: &Response) -> Option<&mut Mailbox> {
        let mailbox = &mut self.mailboxes[self.ids[&id]];
        if !mailbox.there {
            assert_eq!(*response, Response::NoMailbox);
        }
        mailbox.there.then_some(mailbox)
    }

    fn rename(&mut self, from: &MailboxName, to: &MailboxName, response: &Response) {
        let Some(&index) = self.names.get(from.as_str()) else {
            return assert_eq!(*response, Response::NoMailbox);
        };
        if self.names.contains_key(to.as_str()) {
            return assert_eq!(*response, Response::Exists);
        }
        assert_eq!(*response, Response::Done);
        if !from.is_inbox() {
            self.names.remove(from.as_str());
            self.names.insert(to.as_str().to_owned(), index);
            return;
        }
        self.make(to.as_str());
        let inbox = &mut self.mailboxes[index];
        let moved = (inbox.uid_next, inbox.modseq, inbox.messages.clone(), inbox.history.clone(), inbox.named.clone());
        inbox.take_out(|_| true);
        let new = self.mailboxes.last_mut().expect("it was just made");
        (new.uid_next, new.modseq, new.messages, new.history, new.named) = moved;
    }

    fn flag(
        &mut self,
        id: MailboxId,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
        response: &Response,
    ) {
        let Some(mailbox) = self.there(id, response) else { return };
        let Response::Flagged { changed, modified, keywords, at, new: differs } = response else {
            panic!("{response:?}")
        };
        let mode = mode(change.mode);
        let (next, named) = (mailbox.modseq + 1, flags(change.flags, &change.keywords));
        let (mut expected, mut left_alone, mut new) = (Vec::new(), UidSet::default(), false);
        for message in mailbox.messages.iter_mut().filter(|it| uids.contains(it.uid)) {
            let history = &mailbox.history[&message.uid];
            if unchanged_since.is_some_and(|since| !unchanged(history, message, change.mode, &named, since)) {
                left_alone.insert(message.uid, message.uid);
                continue;
            }
            let now = mode.change(&message.flags, &named);
            if now != message.flags {
                (message.flags, message.modseq, new) = (now, next, true);
                mailbox.history.entry(message.uid).or_default().push((next, message.flags.clone()));
            }
            expected.push((message.uid, message.flags.clone(), message.modseq));
        }
        mailbox.modseq += u64::from(new);
        let told: Vec<_> = changed.iter().map(|it| (it.uid, names(it.flags, keywords), it.modseq)).collect();
        assert_eq!((told, modified, *at, *differs), (expected, &left_alone, mailbox.modseq, new));
    }

    fn copy(&mut self, from: MailboxId, uids: &UidSet, to: &MailboxName, remove: bool, response: &Response) {
        let (from, to) = (self.ids[&from], self.names.get(to.as_str()).copied());
        let Some(to) = to.filter(|_| self.mailboxes[from].there) else {
            return assert_eq!(*response, Response::NoMailbox);
        };
        let copied: Vec<Message> =
            self.mailboxes[from].messages.iter().filter(|it| uids.contains(it.uid)).cloned().collect();
        let target = &mut self.mailboxes[to];
        target.modseq += u64::from(!copied.is_empty());
        let pairs: Vec<_> = copied.iter().map(|it| (it.uid, target.file(it.flags.clone(), it.content))).collect();
        let Response::Copied { uid_validity, uids, at } = response else { panic!("{response:?}") };
        Self::valid(target, *uid_validity);
        if remove {
            self.mailboxes[from].take_out(|it| pairs.iter().any(|(old, _)| *old == it.uid));
        }
        assert_eq!((uids, *at), (&pairs, self.mailboxes[from].modseq));
    }

    fn append(
        &mut self,
        to: &MailboxName,
        messages: &[pillarbox_core::mailbox::Append],
        contents: &[usize],
        response: &Response,
    ) {
        let Some(&index) = self.names.get(to.as_str()) else { return assert_eq!(*response, Response::NoMailbox) };
        let Response::Appended { uid_validity, uids } = response else { panic!("{response:?}") };
        let mailbox = &mut self.mailboxes[index];
        Self::valid(mailbox, *uid_validity);
        mailbox.modseq += 1;
        let filed =
            messages.iter().zip(contents).map(|(it, content)| mailbox.file(flags(it.flags, &it.keywords), *content));
        assert_eq!(*uids, filed.collect());
    }

    /// It has one UIDVALIDITY as long as it is there.
    fn valid(mailbox: &mut Mailbox, uid_validity: u32) {
        assert_eq!(*mailbox.uid_validity.get_or_insert(uid_validity), uid_validity);
    }

    /// No two mailboxes have the same UIDVALIDITY and name; here none have the same at all.
    pub fn check(&self) {
        let mut all: Vec<_> = self.mailboxes.iter().filter_map(|it| it.uid_validity).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "{all:?}");
    }
}

fn deleted(message: &Message) -> bool {
    message.flags.contains("\\Deleted")
}

pub fn mode(mode: FlagMode) -> crate::command::Mode {
    match mode {
        FlagMode::Add => crate::command::Mode::Add,
        FlagMode::Remove => crate::command::Mode::Remove,
        FlagMode::Replace => crate::command::Mode::Replace,
    }
}

/// Names of flags that a request names.
pub fn flags(system: FlagSet, keywords: &[Keyword]) -> Flags {
    let mut flags = names(system, &Keywords::default());
    flags.extend(keywords.iter().map(|keyword| keyword.as_str().to_owned()));
    flags
}

/// Names of flags that are bits of a mailbox's.
fn names(flags: FlagSet, keywords: &Keywords) -> Flags {
    let system = [
        ("\\Seen", FlagSet::SEEN),
        ("\\Answered", FlagSet::ANSWERED),
        ("\\Flagged", FlagSet::FLAGGED),
        ("\\Deleted", FlagSet::DELETED),
        ("\\Draft", FlagSet::DRAFT),
    ];
    let system = system.into_iter().filter(|(_, flag)| flags.contains(*flag)).map(|(name, _)| name.to_owned());
    system.chain(keywords.of(flags).map(|keyword| keyword.as_str().to_owned())).collect()
}
