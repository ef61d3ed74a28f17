//! Mailboxes in memory: what each request means, with everything counted anew whenever it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use pillarbox_core::Wall;
use pillarbox_core::mailbox::{
    Append, Change, Counters, Entry, FlagChange, FlagMode, FlagSet, Gone, HEADS_OCTETS, Keywords, MailboxName, ModSeq,
    PAGE, PAGE_OCTETS, Request, Response, SEARCH_OCTETS, Selected, SpecialUse, UidSet,
};
use pillarbox_core::message::{Needles, Structure, TextKey};
use pillarbox_core::ops::{AccountId, EmailId, EntryId, MailboxId, MailboxOp, NewBody, Sink, StoreError, ThreadId};
use pillarbox_core::planted::{self, Bug};

use super::{Content, State, range};
use crate::flags::{self, Latest, Translation};
use crate::options::Options;

/// A mailbox.
#[derive(Clone)]
pub(super) struct Mailbox {
    pub(super) account: AccountId,
    pub(super) name: MailboxName,
    special_use: Option<SpecialUse>,
    pub(super) uid_validity: u32,
    uid_next: u32,
    highest_modseq: ModSeq,
    /// Messages from this UID on are recent.
    recent_from: u32,
    keywords: Keywords,
    pub(super) messages: BTreeMap<u32, Message>,
    /// What was removed, by the modseq of its removal.
    expunged: BTreeMap<ModSeq, UidSet>,
    /// What was removed up to this modseq nobody remembers.
    forgotten: ModSeq,
}

/// A message in a mailbox.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) entry: EntryId,
    pub(super) email: EmailId,
    pub(super) thread: ThreadId,
    pub(super) received: Wall,
    pub(super) saved: Wall,
    pub(super) flags: FlagSet,
    latest: Latest,
    /// Prefix and body as one.
    pub(super) bytes: Bytes,
    prefix: u32,
    structure: Bytes,
    thread_keys: Vec<u64>,
}

impl Mailbox {
    fn counters(&self) -> Counters {
        let count = |those: &dyn Fn(u32, &Message) -> bool| {
            self.messages.iter().filter(|(uid, message)| those(**uid, message)).count() as u32
        };
        let octets = |messages: &mut dyn Iterator<Item = &Message>| messages.map(|it| it.bytes.len() as u64).sum();
        Counters {
            messages: self.messages.len() as u32,
            unseen: count(&|_, message| !message.flags.contains(FlagSet::SEEN)),
            deleted: count(&|_, message| message.flags.contains(FlagSet::DELETED)),
            recent: count(&|uid, _| uid >= self.recent_from),
            octets: octets(&mut self.messages.values()),
            deleted_octets: octets(&mut self.messages.values().filter(|it| it.flags.contains(FlagSet::DELETED))),
            uid_next: self.uid_next,
            uid_validity: self.uid_validity,
            highest_modseq: self.highest_modseq,
        }
    }

    fn uids(&self) -> UidSet {
        self.messages.keys().copied().collect()
    }

    /// Messages of these UIDs.
    fn select<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (u32, &'a Message)> {
        self.messages.iter().filter(|(uid, _)| uids.contains(**uid)).map(|(uid, message)| (*uid, message))
    }

    /// So many messages more have UIDs.
    pub(super) fn has_room(&self, messages: usize) -> bool {
        u32::try_from(messages).is_ok_and(|messages| messages <= u32::MAX - self.uid_next)
    }

    fn change(&mut self) -> ModSeq {
        self.highest_modseq += 1;
        self.highest_modseq
    }

    /// Remembers these as removed by the latest change.
    fn remember(&mut self, gone: UidSet, most: usize) {
        self.expunged.insert(self.highest_modseq, gone);
        while self.expunged.values().map(|uids| uids.runs().len()).sum::<usize>() > most {
            let Some((oldest, _)) = self.expunged.pop_first() else { break };
            self.forgotten = oldest;
        }
    }

    fn entries(&self, uids: &UidSet, changed_since: Option<ModSeq>, structures: bool) -> Response {
        let mut entries = Vec::new();
        // As many runs as messages, so that no question is long.
        let last = uids.runs().take(PAGE as usize).last().map_or(0, |(_, last)| last);
        let (mut octets, mut looked_at) = (0, last);
        for (uid, message) in
            self.select(uids).filter(|(_, it)| changed_since.is_none_or(|since| it.latest.modseq > since))
        {
            if uid > last {
                break;
            }
            entries.push(Entry {
                uid,
                entry: message.entry,
                email: message.email,
                thread: message.thread,
                flags: message.flags,
                modseq: message.latest.modseq,
                size: message.bytes.len() as u64,
                received: message.received,
                saved: message.saved,
                prefix: message.prefix,
                structure: structures.then(|| message.structure.clone()),
            });
            octets += if structures { message.structure.len() } else { 0 };
            if entries.len() == PAGE as usize || octets >= PAGE_OCTETS {
                looked_at = uid;
                break;
            }
        }
        let mut rest = uids.clone();
        rest.remove(&UidSet::run(1, looked_at));
        Response::Entries { entries, keywords: self.keywords.clone(), next: rest.first(), at: self.highest_modseq }
    }

    fn search(&self, uids: &UidSet, keys: &[TextKey]) -> Response {
        let mut found = vec![UidSet::default(); keys.len()];
        let (mut octets, mut looked_at) = (0, u32::MAX);
        let needles = Needles::new(keys);
        for (uid, message) in self.select(uids) {
            let mut matcher = needles.matcher();
            matcher.feed(&message.bytes);
            for (found, _) in found.iter_mut().zip(matcher.finish()).filter(|(_, holds)| *holds) {
                found.insert(uid, uid);
            }
            octets += message.bytes.len() as u64;
            if octets >= SEARCH_OCTETS {
                looked_at = uid;
                break;
            }
        }
        let mut rest = uids.clone();
        rest.remove(&UidSet::run(1, looked_at));
        Response::Found { found, next: rest.first() }
    }

    fn changes(&self, since: ModSeq, after: Option<(ModSeq, u32)>) -> Response {
        let mut changes: Vec<Change> = self
            .messages
            .iter()
            .map(|(uid, message)| Change { uid: *uid, flags: message.flags, modseq: message.latest.modseq })
            .filter(|change| change.modseq > since && after.is_none_or(|after| (change.modseq, change.uid) > after))
            .collect();
        changes.sort_by_key(|change| (change.modseq, change.uid));
        let more = changes.len() > PAGE as usize;
        changes.truncate(PAGE as usize);
        let mut gone = UidSet::default();
        for uids in self.expunged.iter().filter(|(modseq, _)| **modseq > since).map(|(_, uids)| uids) {
            uids.runs().for_each(|(first, last)| gone.insert(first, last));
        }
        Response::Changes {
            changes,
            more,
            gone: if since < self.forgotten { Gone::AllBut(self.uids()) } else { Gone::These(gone) },
            keywords: self.keywords.clone(),
            at: self.highest_modseq,
            uid_next: self.uid_next,
        }
    }
}

impl State {
    pub(super) fn mailbox(
        &mut self,
        op: MailboxOp,
        asker: Option<&Arc<dyn Sink>>,
        options: &Options,
    ) -> Result<Response, StoreError> {
        let (account, request, bodies) = match op {
            MailboxOp::Ask { account, request, bodies } => (account, request, bodies),
            MailboxOp::Watch { mailbox } => {
                asker.into_iter().for_each(|asker| self.watches.add(mailbox, asker));
                return Ok(Response::Done);
            }
            MailboxOp::Unwatch { mailbox } => {
                asker.into_iter().for_each(|asker| self.watches.remove(mailbox, asker));
                return Ok(Response::Done);
            }
        };
        let appended = if let Request::Append { messages, .. } = &request { messages.len() } else { 0 };
        if bodies.len() != appended {
            return Err(StoreError::Unknown);
        }
        if !self.accounts.values().any(|known| known.id == account) {
            return Ok(match request {
                Request::List => Response::Mailboxes([].into()),
                Request::Read { .. } => Response::NoMessage,
                Request::Heads { entries, .. } => Response::Heads(vec![None; entries.len()]),
                _ => Response::NoMailbox,
            });
        }
        Ok(match request {
            Request::List => self.list(account),
            Request::Usage => self.usage(account),
            Request::Find { name } => self.find(account, &name).map_or(Response::NoMailbox, |_| Response::Done),
            Request::Create { name, special_use } => self.create(account, name, special_use, options),
            Request::Delete { name } => self.delete(account, &name),
            Request::Rename { from, to } => self.rename(account, &from, to, options),
            Request::Subscribe { name, subscribed } => self.subscribe(account, name, subscribed, options),
            Request::Select { name, peek } => self.select(account, &name, peek),
            Request::Entries { mailbox, uids, changed_since, structures } => match self.own(account, mailbox) {
                Some(mailbox) => mailbox.entries(&uids, changed_since, structures),
                None => Response::NoMailbox,
            },
            Request::Search { mailbox, uids, keys } => match self.own(account, mailbox) {
                Some(mailbox) => mailbox.search(&uids, &keys),
                None => Response::NoMailbox,
            },
            Request::Read { entry, offset, len } => match self.message(entry) {
                Some((mailbox, message)) if mailbox.account == account => {
                    Response::Bytes(range(&message.bytes, offset, len))
                }
                _ => Response::NoMessage,
            },
            Request::Heads { entries, len } => self.heads(account, &entries, len),
            Request::Changes { mailbox, since, after, claim } => {
                let Some(mailbox) = self.mailboxes.get_mut(&mailbox).filter(|it| it.account == account) else {
                    return Ok(Response::NoMailbox);
                };
                let response = mailbox.changes(since, after);
                if claim && matches!(response, Response::Changes { more: false, .. }) {
                    mailbox.recent_from = mailbox.uid_next;
                }
                response
            }
            Request::Flag { mailbox, uids, change, unchanged_since } => {
                self.flag(account, mailbox, &uids, &change, unchanged_since)
            }
            Request::Expunge { mailbox, uids } => self.expunge(account, mailbox, uids, options),
            Request::Copy { mailbox, uids, to, remove } => self.copy(account, mailbox, &uids, &to, remove, options),
            Request::Append { to, messages } => return self.append(account, &to, messages, bodies, options),
        })
    }

    fn heads(&self, account: AccountId, entries: &[EntryId], len: usize) -> Response {
        let (mut heads, mut octets) = (Vec::new(), 0);
        for entry in entries {
            let message = self.message(*entry).filter(|(mailbox, _)| mailbox.account == account);
            let head = message.map(|(_, message)| range(&message.bytes, 0, len));
            octets += head.as_ref().map_or(0, Bytes::len);
            heads.push(head);
            if octets >= HEADS_OCTETS {
                break;
            }
        }
        Response::Heads(heads)
    }

    /// An empty mailbox.
    pub(super) fn make_mailbox(&mut self, account: AccountId, name: MailboxName, options: &Options) -> MailboxId {
        let id = MailboxId(self.id());
        // A UIDVALIDITY is never given twice, so a new mailbox with an old name is a new one to its readers.
        let now = u32::try_from((options.clock)().seconds()).unwrap_or(0);
        self.last_uidvalidity = now.max(self.last_uidvalidity + 1);
        let mailbox = Mailbox {
            account,
            name,
            special_use: None,
            uid_validity: self.last_uidvalidity,
            uid_next: 1,
            highest_modseq: 1,
            recent_from: 1,
            keywords: Keywords::default(),
            messages: BTreeMap::new(),
            expunged: BTreeMap::new(),
            forgotten: 0,
        };
        self.mailboxes.insert(id, mailbox);
        id
    }

    /// Removes everything of an account.
    pub(super) fn remove_mailboxes(&mut self, account: AccountId) {
        let mine: Vec<_> = self.mailboxes.iter().filter(|(_, it)| it.account == account).map(|(id, _)| *id).collect();
        mine.into_iter().for_each(|id| self.remove_mailbox(id));
        self.noselect.retain(|(of, _)| *of != account);
        self.subscriptions.retain(|(of, _)| *of != account);
    }

    /// The mailbox with this name.
    pub(super) fn find(&self, account: AccountId, name: &MailboxName) -> Option<MailboxId> {
        let named = |mailbox: &Mailbox| mailbox.account == account && mailbox.name == *name;
        self.mailboxes.iter().find(|(_, mailbox)| named(mailbox)).map(|(id, _)| *id)
    }

    /// A message by its place.
    pub(super) fn message(&self, entry: EntryId) -> Option<(&Mailbox, &Message)> {
        let (mailbox, uid) = self.places.get(&entry)?;
        let mailbox = self.mailboxes.get(mailbox)?;
        Some((mailbox, mailbox.messages.get(uid)?))
    }

    /// Files a new message in a mailbox whose change it belongs to; `None` when the mailbox has no more UIDs.
    pub(super) fn file(
        &mut self,
        mailbox: MailboxId,
        flags: FlagSet,
        received: Wall,
        prefix: &Bytes,
        content: &Content,
        options: &Options,
    ) -> Option<(u32, EmailId)> {
        if !self.mailboxes.get(&mailbox).is_some_and(|mailbox| mailbox.has_room(1)) {
            return None;
        }
        let account = self.mailboxes.get(&mailbox)?.account;
        let (email, new, entry) = (EmailId(self.id()), ThreadId(self.id()), EntryId(self.id()));
        let structure = Structure::decode(&content.structure);
        let thread_keys = structure.map(|structure| structure.thread_keys()).unwrap_or_default();
        let thread = thread_keys.iter().find_map(|key| self.threads.get(&(account, *key)).copied()).unwrap_or(new);
        for key in &thread_keys {
            self.threads.entry((account, *key)).or_insert(thread);
        }
        let message = Message {
            entry,
            email,
            thread,
            received,
            saved: (options.clock)(),
            flags,
            latest: Latest::coming(0),
            bytes: [prefix.as_ref(), content.body.as_ref()].concat().into(),
            prefix: prefix.len() as u32,
            structure: content.structure.clone(),
            thread_keys,
        };
        Some((self.put(mailbox, message)?, email))
    }

    /// A mailbox is about to change.
    pub(super) fn change(&mut self, id: MailboxId) {
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            self.changed.insert(id, mailbox.change());
        }
    }

    /// Removes messages from a mailbox; nothing happens when none of them is there.
    pub(super) fn take_out(&mut self, id: MailboxId, uids: &UidSet, options: &Options) {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return };
        let gone: UidSet = mailbox.select(uids).map(|(uid, _)| uid).collect();
        if gone.is_empty() {
            return;
        }
        for uid in gone.iter() {
            let message = mailbox.messages.remove(&uid);
            message.into_iter().for_each(|message| _ = self.places.remove(&message.entry));
        }
        self.changed.insert(id, mailbox.change());
        mailbox.remember(gone, options.expunged_runs);
        self.forget_threads();
    }

    /// A key is kept for as long as there is a message that has it.
    fn forget_threads(&mut self) {
        let mut left = BTreeSet::new();
        for mailbox in self.mailboxes.values() {
            let keys = mailbox.messages.values().flat_map(|message| &message.thread_keys);
            left.extend(keys.map(|key| (mailbox.account, *key)));
        }
        self.threads.retain(|key, _| left.contains(key));
    }

    fn put(&mut self, id: MailboxId, message: Message) -> Option<u32> {
        let mailbox = self.mailboxes.get_mut(&id)?;
        if planted::is(Bug::AUidGivenTwice) {
            mailbox.uid_next = mailbox.messages.last_key_value().map_or(1, |(last, _)| last + 1);
        }
        let uid = mailbox.uid_next;
        mailbox.uid_next += 1;
        self.places.insert(message.entry, (id, uid));
        mailbox.messages.insert(uid, Message { latest: Latest::coming(mailbox.highest_modseq), ..message });
        Some(uid)
    }

    fn own(&self, account: AccountId, id: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.get(&id).filter(|mailbox| mailbox.account == account)
    }

    fn list(&self, account: AccountId) -> Response {
        let mine = self.mailboxes.iter().filter(|(_, mailbox)| mailbox.account == account);
        let there: BTreeMap<_, _> = mine.map(|(id, mailbox)| (&mailbox.name, (*id, mailbox))).collect();
        let named = |set: &'_ BTreeSet<(AccountId, MailboxName)>| -> BTreeSet<MailboxName> {
            set.iter().filter(|(of, _)| *of == account).map(|(_, name)| name.clone()).collect()
        };
        let (noselect, subscriptions) = (named(&self.noselect), named(&self.subscriptions));
        let names: BTreeSet<_> = there.keys().copied().chain(&noselect).chain(&subscriptions).collect();
        let mailboxes = names.into_iter().map(|name| pillarbox_core::mailbox::Mailbox {
            name: name.clone(),
            there: there.get(name).map(|(id, mailbox)| (*id, mailbox.counters())),
            subscribed: subscriptions.contains(name),
            noselect: noselect.contains(name),
            special_use: there.get(name).and_then(|(_, mailbox)| mailbox.special_use),
        });
        Response::Mailboxes(mailboxes.collect())
    }

    fn usage(&self, account: AccountId) -> Response {
        let mine = self.mailboxes.values().filter(|mailbox| mailbox.account == account).map(Mailbox::counters);
        let (messages, octets) = mine.fold((0, 0), |(messages, octets), counters| {
            (messages + u64::from(counters.messages), octets + counters.octets)
        });
        Response::Usage { messages, octets }
    }

    fn create(
        &mut self,
        account: AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
        options: &Options,
    ) -> Response {
        if self.find(account, &name).is_some() {
            return Response::Exists;
        }
        let taken = |mailbox: &Mailbox| mailbox.account == account && mailbox.special_use == special_use;
        if special_use.is_some() && self.mailboxes.values().any(taken) {
            return Response::Forbidden;
        }
        let missing = self.missing_above(account, &name);
        let noselect = (account, name.clone());
        let new = missing.len() + usize::from(!self.noselect.contains(&noselect));
        if self.names(account) + new > options.mailboxes {
            return Response::TooMany;
        }
        self.noselect.remove(&noselect);
        for above in missing {
            self.make_mailbox(account, above, options);
        }
        let id = self.make_mailbox(account, name, options);
        self.mailboxes.entry(id).and_modify(|mailbox| mailbox.special_use = special_use);
        Response::Made(id)
    }

    fn delete(&mut self, account: AccountId, name: &MailboxName) -> Response {
        if name.is_inbox() {
            return Response::Forbidden;
        }
        let Some(id) = self.find(account, name) else {
            let is_name = self.noselect.contains(&(account, name.clone()));
            return if is_name { Response::HasChildren } else { Response::NoMailbox };
        };
        self.remove_mailbox(id);
        // It goes at once if nothing is below it.
        self.noselect.insert((account, name.clone()));
        self.prune(account, Some(name.clone()));
        Response::Done
    }

    fn rename(&mut self, account: AccountId, from: &MailboxName, to: MailboxName, options: &Options) -> Response {
        let exists =
            |name: &MailboxName| self.find(account, name).is_some() || self.noselect.contains(&(account, name.clone()));
        if !exists(from) {
            return Response::NoMailbox;
        }
        if exists(&to) {
            return Response::Exists;
        }
        if to.is_below(from) && !from.is_inbox() {
            return Response::Forbidden;
        }
        let moves = |name: &MailboxName| name == from || (name.is_below(from) && !from.is_inbox());
        let mine = self.mailboxes.values().filter(|mailbox| mailbox.account == account).map(|mailbox| &mailbox.name);
        let mut names = mine.chain(self.noselect.iter().filter(|(of, _)| *of == account).map(|(_, name)| name));
        if names.any(|name| moves(name) && name.renamed(from, &to).is_none()) {
            return Response::Forbidden;
        }
        let missing = self.missing_above(account, &to);
        if self.names(account) + missing.len() + usize::from(from.is_inbox()) > options.mailboxes {
            return Response::TooMany;
        }
        for above in missing {
            self.make_mailbox(account, above, options);
        }
        if from.is_inbox() {
            self.empty_inbox(account, to, options);
            return Response::Done;
        }
        for mailbox in self.mailboxes.values_mut().filter(|mailbox| mailbox.account == account) {
            mailbox.name = mailbox.name.renamed(from, &to).unwrap_or_else(|| mailbox.name.clone());
        }
        let noselect = std::mem::take(&mut self.noselect).into_iter();
        let renamed = |(of, name): (AccountId, MailboxName)| match name.renamed(from, &to) {
            Some(name) if of == account => (of, name),
            _ => (of, name),
        };
        self.noselect = noselect.map(renamed).collect();
        self.prune(account, from.parent());
        Response::Done
    }

    /// INBOX becomes a new mailbox with all that is in it, UIDs and all, and is empty.
    fn empty_inbox(&mut self, account: AccountId, to: MailboxName, options: &Options) {
        let new = self.make_mailbox(account, to, options);
        let Some(inbox) = self.find(account, &MailboxName::inbox()) else { return };
        let uids = self.mailboxes[&inbox].uids();
        let moved = {
            let old = &self.mailboxes[&inbox];
            (old.uid_next, old.highest_modseq, old.recent_from, old.keywords.clone(), old.messages.clone())
        };
        let Some(mailbox) = self.mailboxes.get_mut(&new) else { return };
        (mailbox.uid_next, mailbox.highest_modseq, mailbox.recent_from, mailbox.keywords, mailbox.messages) = moved;
        self.take_out(inbox, &uids, options);
        let Some(mailbox) = self.mailboxes.get(&new) else { return };
        for (uid, message) in &mailbox.messages {
            self.places.insert(message.entry, (new, *uid));
        }
    }

    fn subscribe(&mut self, account: AccountId, name: MailboxName, subscribed: bool, options: &Options) -> Response {
        if !subscribed {
            self.subscriptions.remove(&(account, name));
            return Response::Done;
        }
        let mine = self.subscriptions.iter().filter(|(of, _)| *of == account).count();
        if !self.subscriptions.contains(&(account, name.clone())) && mine >= options.subscriptions {
            return Response::TooMany;
        }
        self.subscriptions.insert((account, name));
        Response::Done
    }

    fn select(&mut self, account: AccountId, name: &MailboxName, peek: bool) -> Response {
        let Some(id) = self.find(account, name) else { return Response::NoMailbox };
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return Response::NoMailbox };
        let unseen = |message: &Message| !message.flags.contains(FlagSet::SEEN);
        let selected = Selected {
            mailbox: id,
            counters: mailbox.counters(),
            uids: mailbox.uids(),
            keywords: mailbox.keywords.clone(),
            first_unseen: mailbox.messages.iter().find(|(_, message)| unseen(message)).map(|(uid, _)| *uid),
            recent_from: mailbox.recent_from,
        };
        if !peek {
            mailbox.recent_from = mailbox.uid_next;
        }
        Response::Selected(selected)
    }

    fn flag(
        &mut self,
        account: AccountId,
        id: MailboxId,
        uids: &UidSet,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Response {
        let Some(mailbox) = self.mailboxes.get_mut(&id).filter(|mailbox| mailbox.account == account) else {
            return Response::NoMailbox;
        };
        let resolved = flags::resolve(change, &mailbox.keywords).filter(|_| uids.len() <= PAGE);
        let Some((flags, keywords)) = resolved else { return Response::TooMany };
        let (mut changed, mut modified, mut new) = (Vec::new(), UidSet::default(), false);
        let next = mailbox.highest_modseq + 1;
        for (uid, message) in mailbox.messages.iter_mut().filter(|(uid, _)| uids.contains(**uid)) {
            if unchanged_since.is_some_and(|since| !message.latest.allows(change.mode, message.flags, flags, since)) {
                modified.insert(*uid, *uid);
                continue;
            }
            let now = flags::change(change.mode, message.flags, flags);
            if now != message.flags {
                if !planted::is(Bug::AFlagWithoutAModseq) {
                    message.latest = message.latest.change(next, message.flags, now);
                }
                (message.flags, new) = (now, true);
            }
            changed.push(Change { uid: *uid, flags: message.flags, modseq: message.latest.modseq });
        }
        if new {
            mailbox.keywords = keywords;
            self.changed.insert(id, mailbox.change());
        }
        Response::Flagged { changed, modified, keywords: mailbox.keywords.clone(), at: mailbox.highest_modseq, new }
    }

    fn expunge(&mut self, account: AccountId, id: MailboxId, uids: Option<UidSet>, options: &Options) -> Response {
        let Some(mailbox) = self.own(account, id) else { return Response::NoMailbox };
        let deleted = mailbox.messages.iter().filter(|(_, message)| message.flags.contains(FlagSet::DELETED));
        let wanted = |uid: &u32| uids.as_ref().is_none_or(|uids| uids.contains(*uid));
        let mut deleted: UidSet = deleted.map(|(uid, _)| *uid).filter(wanted).collect();
        let page = deleted.page(PAGE);
        self.take_out(id, &page, options);
        let at = self.mailboxes[&id].highest_modseq;
        Response::Expunged { uids: page, more: !deleted.is_empty(), at }
    }

    fn copy(
        &mut self,
        account: AccountId,
        from: MailboxId,
        uids: &UidSet,
        to: &MailboxName,
        remove: bool,
        options: &Options,
    ) -> Response {
        let (Some(source), Some(to)) = (self.own(account, from), self.find(account, to)) else {
            return Response::NoMailbox;
        };
        let messages: Vec<(u32, Message)> = source.select(uids).map(|(uid, it)| (uid, it.clone())).collect();
        let all = messages.iter().fold(FlagSet::default(), |all, (_, message)| all | message.flags);
        let target = &self.mailboxes[&to];
        let uid_validity = target.uid_validity;
        let translation = Translation::new(all, &source.keywords, &target.keywords);
        let translation =
            translation.filter(|_| messages.len() <= options.copied as usize && target.has_room(messages.len()));
        let Some(translation) = translation else { return Response::TooMany };
        let mut pairs = Vec::new();
        if !messages.is_empty() {
            self.change(to);
        }
        for (uid, message) in messages {
            let (flags, saved) = (translation.translate(message.flags), (options.clock)());
            let entry = EntryId(self.id());
            pairs.extend(self.put(to, Message { entry, flags, saved, ..message }).map(|new| (uid, new)));
        }
        self.mailboxes.entry(to).and_modify(|mailbox| mailbox.keywords = translation.keywords);
        if remove {
            self.take_out(from, &pairs.iter().map(|(old, _)| *old).collect(), options);
        }
        Response::Copied { uid_validity, uids: pairs, at: self.mailboxes[&from].highest_modseq }
    }

    fn append(
        &mut self,
        account: AccountId,
        to: &MailboxName,
        messages: Vec<Append>,
        bodies: Vec<NewBody>,
        options: &Options,
    ) -> Result<Response, StoreError> {
        let Some(id) = self.find(account, to) else { return Ok(Response::NoMailbox) };
        let mailbox = &self.mailboxes[&id];
        let (uid_validity, mut keywords, mut all) = (mailbox.uid_validity, mailbox.keywords.clone(), Vec::new());
        if !mailbox.has_room(messages.len()) {
            return Ok(Response::TooMany);
        }
        for message in messages {
            let change = FlagChange { mode: FlagMode::Add, flags: message.flags, keywords: message.keywords };
            let Some(resolved) = flags::resolve(&change, &keywords) else { return Ok(Response::TooMany) };
            all.push((resolved.0, message.received.unwrap_or_else(|| (options.clock)())));
            keywords = resolved.1;
        }
        let mut stages = BTreeSet::new();
        if !bodies.iter().all(|new| self.knows(&new.body, &mut stages)) {
            return Err(StoreError::Unknown);
        }
        self.mailboxes.entry(id).and_modify(|mailbox| mailbox.keywords = keywords);
        if !all.is_empty() {
            self.change(id);
        }
        let mut uids = UidSet::default();
        for ((flags, received), new) in all.into_iter().zip(bodies) {
            let content = self.content(new.body, new.structure);
            let filed = self.file(id, flags, received, &Bytes::new(), &content, options);
            filed.into_iter().for_each(|(uid, _)| uids.insert(uid, uid));
        }
        Ok(Response::Appended { uid_validity, uids })
    }

    fn remove_mailbox(&mut self, id: MailboxId) {
        self.change(id);
        let Some(mailbox) = self.mailboxes.remove(&id) else { return };
        mailbox.messages.values().for_each(|message| _ = self.places.remove(&message.entry));
        self.forget_threads();
    }

    /// Names of an account that are taken.
    fn names(&self, account: AccountId) -> usize {
        self.mailboxes.values().filter(|mailbox| mailbox.account == account).count()
            + self.noselect.iter().filter(|(of, _)| *of == account).count()
    }

    /// Names above this one that are not there, the topmost first.
    fn missing_above(&self, account: AccountId, name: &MailboxName) -> Vec<MailboxName> {
        let above = std::iter::successors(name.parent(), MailboxName::parent);
        let there =
            |name: &MailboxName| self.find(account, name).is_some() || self.noselect.contains(&(account, name.clone()));
        let mut missing: Vec<_> = above.filter(|name| !there(name)).collect();
        missing.reverse();
        missing
    }

    /// Removes this name, if nothing but others below it kept it, and then those above it.
    fn prune(&mut self, account: AccountId, mut name: Option<MailboxName>) {
        while let Some(top) = name {
            let mine = self.mailboxes.values().filter(|mailbox| mailbox.account == account).map(|it| &it.name);
            let noselect = self.noselect.iter().filter(|(of, _)| *of == account).map(|(_, name)| name);
            if mine.chain(noselect).any(|name| name.is_below(&top)) {
                return;
            }
            name = top.parent();
            if !self.noselect.remove(&(account, top)) {
                return;
            }
        }
    }
}
