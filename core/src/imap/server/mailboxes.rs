//! LIST, LSUB and STATUS, which look at the list of mailboxes; CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE, which
//! change it (RFC 9051 §6.3.4 to §6.3.11, RFC 5258, RFC 5819, RFC 6154).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::reply::Completion;
use super::task::{Cx, Progress};
use super::terms::{object_id, shown, shown_use};
use super::view::modseq;
use crate::imap::encode::{self, ListAttribute, ListEntry, StatusValue};
use crate::imap::types::pattern::Matcher;
use crate::imap::types::{self, Code, ListPattern, ListReturn, ListSelect, StatusItem};
use crate::mailbox::{Counters, Mailbox, MailboxName, Request, Response};
use crate::mark;
use crate::ops::MailboxId;

/// Names that are told in one step.
const STEP: usize = 256;
/// Octets of names that are looked at before others have their turn, each counted once for each word of the patterns ([`Matcher::words`]).
const WORK: usize = 16 * 1024;

/// What is asked of the list.
#[derive(Debug)]
pub(super) enum Query {
    List { patterns: Vec<ListPattern>, select: ListSelect, returns: ListReturn },
    Lsub(ListPattern),
    Status { name: MailboxName, items: Vec<StatusItem> },
}

/// LIST, LSUB or STATUS under way.
#[derive(Debug)]
pub(super) struct Listing {
    query: Query,
    asked: bool,
    mailboxes: Arc<[Mailbox]>,
    /// The patterns, while names are chosen.
    matchers: Vec<Matcher>,
    /// So many of the mailboxes have been looked at.
    looked_at: usize,
    /// The names to tell, in their order.
    names: BTreeMap<Level, Told>,
}

/// A name, or one that is above it: the octets are those of the name below.
#[derive(Clone, Debug)]
struct Level {
    name: MailboxName,
    end: usize,
}

/// Why a name is told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// It is selected, and matches.
    matches: bool,
    /// Something below it is selected (RFC 5258 §3.5).
    child: bool,
    /// And does not match, so that nothing else would be told of it.
    hidden_child: bool,
}

impl Listing {
    pub(super) fn new(query: Query) -> Self {
        let matcher = |pattern: &ListPattern| pattern.matcher(MailboxName::DELIMITER);
        let matchers = match &query {
            Query::List { patterns, .. } => patterns.iter().map(matcher).collect(),
            Query::Lsub(pattern) => [matcher(pattern)].into(),
            Query::Status { .. } => Vec::new(),
        };
        let (mailboxes, names) = (Arc::new([]), BTreeMap::new());
        Self { query, asked: false, mailboxes, matchers, looked_at: 0, names }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if !self.asked {
            self.asked = true;
            return Progress::Ask(Request::List);
        }
        if let Some(answer) = answer {
            let Response::Mailboxes(mailboxes) = answer else {
                return Progress::Done(Completion::unavailable(false));
            };
            self.mailboxes = mailboxes;
        }
        if let Query::Status { name, items } = &self.query {
            return Progress::Done(self.status(name, items, cx));
        }
        if self.looked_at < self.mailboxes.len() {
            self.choose();
            return Progress::Later;
        }
        for _ in 0..STEP {
            if cx.tx.is_full() {
                return Progress::Full;
            }
            let Some((level, told)) = self.names.pop_first() else { return Progress::Done(Completion::OK) };
            if told.matches || told.hidden_child {
                self.tell(level.as_str(), told, cx);
            }
        }
        Progress::Again
    }

    /// Looks at some of the mailboxes.
    fn choose(&mut self) {
        let words: usize = self.matchers.iter().map(Matcher::words).sum();
        let mut work = 0;
        while let Some(mailbox) = self.mailboxes.get(self.looked_at)
            && work < WORK
        {
            work += mailbox.name.as_str().len() * words.max(1);
            self.looked_at += 1;
            if self.selects(mailbox) {
                let name = mailbox.name.clone();
                self.choose_levels(&name);
            }
        }
    }

    /// What was asked for holds for a mailbox, whatever its name is.
    fn selects(&self, mailbox: &Mailbox) -> bool {
        let (subscribed, special) = match &self.query {
            Query::List { select, .. } => (select.subscribed, select.special_use),
            Query::Lsub(_) => (true, false),
            Query::Status { .. } => return false,
        };
        (!subscribed || mailbox.subscribed)
            && (!special || mailbox.special_use.is_some())
            && (subscribed || mailbox.there.is_some() || mailbox.noselect)
    }

    /// A name is told if it matches, and those above it may be for its sake.
    fn choose_levels(&mut self, name: &MailboxName) {
        let whole = name.as_str().len();
        let mut ends: Vec<usize> = self.matchers.iter().flat_map(|matcher| matcher.levels(name.as_str())).collect();
        let matches = ends.contains(&whole);
        if matches {
            self.names.entry(Level { name: name.clone(), end: whole }).or_default().matches = true;
        }
        let parents = match &self.query {
            Query::List { select, .. } => select.recursive_match,
            _ => true,
        };
        ends.retain(|end| parents && *end < whole);
        for end in ends {
            let told = self.names.entry(Level { name: name.clone(), end }).or_default();
            told.child = true;
            told.hidden_child |= !matches;
        }
    }

    fn find(&self, name: &str) -> Option<&Mailbox> {
        let at = self.mailboxes.binary_search_by(|mailbox| mailbox.name.as_str().cmp(name)).ok()?;
        self.mailboxes.get(at)
    }

    fn has_children(&self, name: &str) -> bool {
        const DELIMITER: char = MailboxName::DELIMITER;
        let is_before = |other: &str| match other.strip_prefix(name) {
            Some(rest) => rest.chars().next().is_none_or(|first| first < DELIMITER),
            None => other < name,
        };
        let is_below = |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(DELIMITER));
        let begin = self.mailboxes.partition_point(|other| is_before(other.name.as_str()));
        let mut below = self.mailboxes[begin..].iter().take_while(|other| is_below(other.name.as_str()));
        below.any(|other| other.there.is_some() || other.noselect)
    }

    fn tell(&self, name: &str, told: Told, cx: &mut Cx<'_>) {
        let Ok(said) = types::MailboxName::new(name) else { return };
        let mailbox = self.find(name);
        let exists = mailbox.is_some_and(|mailbox| mailbox.there.is_some());
        let names = cx.names();
        let Query::List { select, returns, .. } = &self.query else {
            let here = told.matches && mailbox.is_some_and(|mailbox| exists || !mailbox.noselect);
            let attributes: &[_] = if here { &[] } else { &[ListAttribute::NoSelect] };
            return encode::lsub(cx.tx, attributes, Some(MailboxName::DELIMITER), &said, names);
        };
        let mut attributes = Vec::new();
        if !exists {
            let noselect = mailbox.is_some_and(|mailbox| mailbox.noselect);
            attributes.push(if noselect { ListAttribute::NoSelect } else { ListAttribute::NonExistent });
        }
        if mailbox.is_some_and(|mailbox| mailbox.subscribed) && (returns.subscribed || select.subscribed) {
            attributes.push(ListAttribute::Subscribed);
        }
        attributes.push(match self.has_children(name) {
            true => ListAttribute::HasChildren,
            false => ListAttribute::HasNoChildren,
        });
        if let Some(special) = mailbox.and_then(|mailbox| mailbox.special_use).and_then(shown_use) {
            attributes.push(ListAttribute::Use(special));
        }
        let options = [(select.subscribed, "SUBSCRIBED"), (select.special_use, "SPECIAL-USE")];
        let met = options.into_iter().filter(|(asked, _)| *asked && told.child && select.recursive_match);
        let child_info: Vec<_> = met.map(|(_, name)| name).collect();
        let delimiter = Some(MailboxName::DELIMITER);
        let entry =
            ListEntry { attributes: &attributes, delimiter, name: &said, child_info: &child_info, old_name: None };
        encode::list(cx.tx, &entry, names);
        let there = mailbox.filter(|_| told.matches && !returns.status.is_empty()).and_then(|it| it.there.as_ref());
        if let Some((id, counters)) = there {
            encode::status(cx.tx, &said, &values(&returns.status, *id, counters, cx.config.message_size), names);
        }
    }

    fn status(&self, name: &MailboxName, items: &[StatusItem], cx: &mut Cx<'_>) -> Completion {
        let there = self.find(name.as_str()).and_then(|mailbox| mailbox.there.as_ref());
        let (Some((id, counters)), Some(said)) = (there, shown(name)) else { return Completion::nonexistent() };
        let names = cx.names();
        encode::status(cx.tx, &said, &values(items, *id, counters, cx.config.message_size), names);
        Completion::OK
    }
}

impl Level {
    fn as_str(&self) -> &str {
        // It ends in front of a delimiter, or where the name does.
        self.name.as_str().get(..self.end).unwrap_or_default()
    }
}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Level {}

fn values(items: &[StatusItem], id: MailboxId, counters: &Counters, limit: u64) -> Vec<StatusValue> {
    let value = |item: &StatusItem| {
        let number = match item {
            StatusItem::Messages => counters.messages.into(),
            StatusItem::Recent => counters.recent.into(),
            StatusItem::UidNext => counters.uid_next.into(),
            StatusItem::UidValidity => counters.uid_validity.into(),
            StatusItem::Unseen => counters.unseen.into(),
            StatusItem::Deleted => counters.deleted.into(),
            StatusItem::Size => counters.octets,
            StatusItem::HighestModseq => return StatusValue::HighestModseq(modseq(counters.highest_modseq)),
            StatusItem::AppendLimit => return StatusValue::AppendLimit(Some(limit)),
            StatusItem::MailboxId => return StatusValue::MailboxId(object_id(b'F', id.0)),
        };
        StatusValue::Number(*item, number)
    };
    items.iter().map(value).collect()
}

/// A change of the list under way: one question, and what its answer means.
#[derive(Debug)]
pub(super) struct Changing {
    request: Option<Request>,
    /// A mailbox is made, for some use.
    for_use: bool,
    /// What is told of names that the client has written in another way.
    renamed: Option<Box<Renamed>>,
}

/// A name that a client has written in another way than it is kept, or that has been changed.
#[derive(Debug)]
pub(super) struct Renamed {
    old: types::MailboxName,
    new: MailboxName,
    /// There is no such mailbox any more.
    gone: bool,
}

impl Renamed {
    /// `new` is what the client has called `name`: what there is to tell of that, if it has called it something else. In
    /// what way it writes INBOX it knows itself.
    pub(super) fn of(name: &types::MailboxName, new: &MailboxName) -> Option<Box<Self>> {
        let old = name.said().filter(|_| !new.is_inbox())?;
        Some(Box::new(Self { old, new: new.clone(), gone: false }))
    }

    /// `* LIST (…) "/" name ("OLDNAME" (old))` (RFC 9051 §6.3.9.7), to clients that may not be surprised by it.
    pub(super) fn tell(&self, cx: &mut Cx<'_>) {
        let Some(name) = shown(&self.new).filter(|_| cx.enabled.imap4rev2) else { return };
        let attributes: &[_] = if self.gone { &[ListAttribute::NonExistent] } else { &[] };
        let (delimiter, old_name) = (Some(MailboxName::DELIMITER), Some(&self.old));
        let entry = ListEntry { attributes, delimiter, name: &name, child_info: &[], old_name };
        encode::list(cx.tx, &entry, cx.names());
    }
}

impl Changing {
    pub(super) fn new(request: Request) -> Self {
        let for_use = matches!(request, Request::Create { special_use: Some(_), .. });
        Self { request: Some(request), for_use, renamed: None }
    }

    /// CREATE, DELETE and RENAME of a mailbox that the client calls `name`.
    pub(super) fn called(name: &types::MailboxName, request: Request) -> Self {
        let renamed = match &request {
            Request::Create { name: new, .. } => Renamed::of(name, new),
            Request::Delete { name: new } => Renamed::of(name, new).map(|it| Box::new(Renamed { gone: true, ..*it })),
            _ => None,
        };
        Self { renamed, ..Self::new(request) }
    }

    /// RENAME: if the client writes one of the names in another way than it is kept, both are told (RFC 9051 §6.3.6).
    pub(super) fn rename(from: &types::MailboxName, to: &types::MailboxName, request: Request) -> Self {
        let renamed = match &request {
            Request::Rename { from: kept, to: new } if !kept.is_inbox() && (from.said().or(to.said())).is_some() => {
                let old = from.said().unwrap_or_else(|| from.detached());
                Some(Box::new(Renamed { old, new: new.clone(), gone: false }))
            }
            _ => None,
        };
        Self { renamed, ..Self::new(request) }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if let Some(request) = self.request.take() {
            return Progress::Ask(request);
        }
        if let Some(view) = cx.view {
            // It may be the selected mailbox that has changed, or has gone.
            view.look_again();
        }
        if let (Some(renamed), Some(Response::Done | Response::Made(_))) = (&self.renamed, &answer) {
            renamed.tell(cx);
        }
        Progress::Done(match answer {
            Some(Response::Done) => Completion::OK,
            Some(Response::Made(id)) => Completion::ok(Code::MailboxId(object_id(b'F', id.0))),
            Some(Response::NoMailbox) => Completion::nonexistent(),
            Some(Response::Exists) => {
                mark!(ImapMailboxExists, Completion::no(Code::AlreadyExists, "There is such a mailbox already"))
            }
            Some(Response::HasChildren) => {
                mark!(ImapHasChildren, Completion::no(Code::HasChildren, "There are mailboxes below it"))
            }
            Some(Response::Forbidden) if self.for_use => {
                mark!(ImapUseTaken, Completion::no(Code::UseAttr, "Another mailbox is for that"))
            }
            Some(Response::Forbidden) => mark!(ImapForbidden, Completion::no(Code::Cannot, "Not with this mailbox")),
            Some(Response::TooMany) => mark!(ImapTooManyMailboxes, Completion::too_many("Too many mailboxes")),
            Some(Response::Unavailable { full }) => Completion::unavailable(full),
            _ => Completion::unavailable(false),
        })
    }
}

/// The patterns of a LIST behind its reference; `None` when one becomes too long, and so matches nothing.
pub(super) fn behind(reference: &types::MailboxName, patterns: &[ListPattern]) -> Vec<ListPattern> {
    patterns.iter().filter_map(|pattern| pattern.behind(reference.as_str()).ok()).collect()
}
