//! LIST, LSUB and STATUS, which look at the list of mailboxes; CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE, which
//! change it (RFC 9051 §6.3.4 to §6.3.11, RFC 5258, RFC 5819, RFC 6154).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reply::Completion;
use super::task::{Cx, Progress};
use super::terms::{object_id, shown, shown_use};
use super::view::modseq;
use crate::imap::encode::{self, ListAttribute, ListEntry, StatusValue};
use crate::imap::types::{self, Code, ListPattern, ListReturn, ListSelect, StatusItem};
use crate::mailbox::{Counters, Mailbox, MailboxName, Request, Response};
use crate::ops::MailboxId;

/// Names that are looked at in one step.
const STEP: usize = 256;

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
    /// The names to tell, in their order, and whether one is there only for the sake of a child (RFC 5258 §3.5).
    names: Option<BTreeMap<MailboxName, Told>>,
}

/// A name to tell.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Where it is in the list; `None` when it is only above a name that is there.
    at: Option<usize>,
    matches: bool,
    child: bool,
}

impl Listing {
    pub(super) fn new(query: Query) -> Self {
        Self { query, asked: false, mailboxes: Arc::new([]), names: None }
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
        if cx.tx.is_full() {
            return Progress::Full;
        }
        let mut names = match self.names.take() {
            Some(names) => names,
            None => self.choose(),
        };
        for _ in 0..STEP {
            let Some((name, told)) = names.pop_first() else { return Progress::Done(Completion::OK) };
            self.tell(&name, told, cx);
            if cx.tx.is_full() {
                break;
            }
        }
        self.names = Some(names);
        Progress::Again
    }

    fn choose(&self) -> BTreeMap<MailboxName, Told> {
        let mut names: BTreeMap<MailboxName, Told> = BTreeMap::new();
        let (patterns, subscribed, special, parents) = match &self.query {
            Query::List { patterns, select, .. } => {
                (patterns.as_slice(), select.subscribed, select.special_use, select.recursive_match)
            }
            Query::Lsub(pattern) => (core::slice::from_ref(pattern), true, false, true),
            Query::Status { .. } => return names,
        };
        let matches =
            |name: &MailboxName| patterns.iter().any(|pattern| pattern.matches(name.as_str(), MailboxName::DELIMITER));
        for (at, mailbox) in self.mailboxes.iter().enumerate() {
            let selected = (!subscribed || mailbox.subscribed)
                && (!special || mailbox.special_use.is_some())
                && (subscribed || mailbox.there.is_some() || mailbox.noselect);
            if !selected {
                continue;
            }
            let this = matches(&mailbox.name);
            if this {
                names.entry(mailbox.name.clone()).or_default().matches = true;
            }
            // LSUB tells of a parent only where the child itself does not match (RFC 3501 §6.3.9).
            let lsub = matches!(self.query, Query::Lsub(_));
            let mut above = mailbox.name.parent().filter(|_| parents && !(lsub && this));
            while let Some(name) = above {
                if matches(&name) {
                    names.entry(name.clone()).or_default().child = true;
                }
                above = name.parent();
            }
            if let Some(told) = names.get_mut(&mailbox.name) {
                told.at = Some(at);
            }
        }
        for (name, told) in &mut names {
            told.at = self.find(name);
        }
        names
    }

    fn find(&self, name: &MailboxName) -> Option<usize> {
        self.mailboxes.binary_search_by(|mailbox| mailbox.name.cmp(name)).ok()
    }

    fn has_children(&self, name: &MailboxName) -> bool {
        // Those below follow, but for names with characters that sort before the delimiter.
        let begin = self.mailboxes.partition_point(|mailbox| mailbox.name <= *name);
        let below = self.mailboxes[begin..].iter().take_while(|other| other.name.as_str().starts_with(name.as_str()));
        below.filter(|other| other.there.is_some() || other.noselect).any(|other| other.name.is_below(name))
    }

    fn tell(&self, name: &MailboxName, told: Told, cx: &mut Cx<'_>) {
        let Some(said) = shown(name) else { return };
        let mailbox = told.at.and_then(|at| self.mailboxes.get(at));
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
        let entry = ListEntry {
            attributes: &attributes,
            delimiter: Some(MailboxName::DELIMITER),
            name: &said,
            subscribed_child: told.child && select.recursive_match && select.subscribed,
            old_name: None,
        };
        encode::list(cx.tx, &entry, names);
        if let (false, Some((id, counters))) = (returns.status.is_empty(), mailbox.and_then(|it| it.there.as_ref())) {
            encode::status(cx.tx, &said, &values(&returns.status, *id, counters, cx.config.message_size), names);
        }
    }

    fn status(&self, name: &MailboxName, items: &[StatusItem], cx: &mut Cx<'_>) -> Completion {
        let there = self.find(name).and_then(|at| self.mailboxes[at].there.as_ref());
        let (Some((id, counters)), Some(said)) = (there, shown(name)) else { return Completion::nonexistent() };
        let names = cx.names();
        encode::status(cx.tx, &said, &values(items, *id, counters, cx.config.message_size), names);
        Completion::OK
    }
}

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
}

impl Changing {
    pub(super) fn new(request: Request) -> Self {
        Self { request: Some(request) }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if let Some(request) = self.request.take() {
            return Progress::Ask(request);
        }
        if let Some(view) = cx.view {
            // It may be the selected mailbox that has changed, or has gone.
            view.look_again();
        }
        Progress::Done(match answer {
            Some(Response::Done) => Completion::OK,
            Some(Response::Made(id)) => Completion::ok(Code::MailboxId(object_id(b'F', id.0))),
            Some(Response::NoMailbox) => Completion::nonexistent(),
            Some(Response::Exists) => Completion::no(Code::AlreadyExists, "There is such a mailbox already"),
            Some(Response::Forbidden) => Completion::no(Code::Cannot, "Not with this mailbox"),
            Some(Response::TooMany) => Completion::too_many("Too many mailboxes"),
            Some(Response::Unavailable { full }) => Completion::unavailable(full),
            _ => Completion::unavailable(false),
        })
    }
}

/// The patterns of a LIST behind its reference; `None` when one becomes too long, and so matches nothing.
pub(super) fn behind(reference: &types::MailboxName, patterns: &[ListPattern]) -> Vec<ListPattern> {
    patterns.iter().filter_map(|pattern| pattern.behind(reference.as_str()).ok()).collect()
}
