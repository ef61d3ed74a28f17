//! FETCH (RFC 9051 §6.4.5): messages in pages, their octets range by range.
//!
//! ```text
//!  Begin ──► Vanished ──► Page ──► Entries ──► Seen ──► Messages ──► Page … ──► over
//!       UID FETCH (VANISHED)       a page      those       │  ▲
//!                                              unread      ▼  │
//!                                                        octets of one section
//! ```
//!
//! Nothing is asked while `tx` is full, and of a message no more is in hand than one chunk, or its header.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::reply::Completion;
use super::section::{Source, Span};
use super::sync::learn_keywords;
use super::task::{Cx, Progress};
use super::terms::{numbers, object_id};
use super::view::{charset, modseq};
use crate::imap::encode::{self, FetchResponse};
use crate::imap::types::{DateTime, FetchItem, Section, SectionText};
use crate::mailbox::{Entry, FlagChange, FlagMode, FlagSet, Gone, ModSeq, PAGE, Request, Response, UidSet};
use crate::outbox::Outbox;

/// A FETCH under way.
#[derive(Debug)]
pub(super) struct Fetching {
    items: Vec<FetchItem>,
    left: UidSet,
    /// The page that was asked for last.
    asked: UidSet,
    changed_since: Option<ModSeq>,
    /// Of these, those that are gone since are told.
    vanished: Option<UidSet>,
    /// Messages become `\Seen`.
    seen: bool,
    stage: Stage,
    page: VecDeque<Entry>,
    /// Messages of the page that have become `\Seen` by this.
    marked: UidSet,
    message: Option<Message>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Vanished,
    Page,
    Entries,
    Seen,
    Messages,
}

/// A message that is being told.
#[derive(Debug)]
struct Message {
    entry: Entry,
    response: FetchResponse,
    /// The item that comes next.
    item: usize,
    source: Source,
    /// Octets of the literal that is being written.
    span: Option<Span>,
    /// The announcement of the literal is out.
    announced: bool,
}

impl Fetching {
    pub(super) fn new(
        items: Vec<FetchItem>,
        left: UidSet,
        changed_since: Option<ModSeq>,
        vanished: Option<UidSet>,
        writable: bool,
    ) -> Self {
        let seen = writable && items.iter().any(FetchItem::sets_seen);
        let (stage, page, marked) = (Stage::Begin, VecDeque::new(), UidSet::default());
        Self {
            items,
            left,
            asked: UidSet::default(),
            changed_since,
            vanished,
            seen,
            stage,
            page,
            marked,
            message: None,
        }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let Some(view) = cx.view else { return Progress::Done(Completion::OK) };
        let mailbox = view.mailbox;
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Page;
                let (Some(_), Some(since)) = (&self.vanished, self.changed_since) else { return Progress::Again };
                self.stage = Stage::Vanished;
                Progress::Ask(Request::Changes { mailbox, since, after: None })
            }
            Stage::Vanished => {
                self.stage = Stage::Page;
                let (Some(Response::Changes { gone, .. }), Some(known)) = (answer, self.vanished.take()) else {
                    return Progress::Done(Completion::unavailable(false));
                };
                let mut gone = match gone {
                    Gone::These(gone) => gone.intersection(&known),
                    Gone::AllBut(there) => {
                        let mut gone = known;
                        gone.remove(&there);
                        gone
                    }
                };
                gone.remove(&view.uids);
                encode::vanished(cx.tx, true, &numbers(&gone));
                Progress::Again
            }
            Stage::Page if self.left.is_empty() => Progress::Done(Completion::OK),
            Stage::Page if cx.tx.is_full() => Progress::Full,
            Stage::Page => {
                self.stage = Stage::Entries;
                let structures = self.items.iter().any(needs_structure);
                let page = if structures { STRUCTURES } else { PAGE };
                let (uids, changed_since) = (self.left.page(page), self.changed_since);
                self.asked = uids.clone();
                Progress::Ask(Request::Entries { mailbox, uids, changed_since, structures })
            }
            Stage::Entries => match answer {
                Some(Response::Entries { entries, keywords, next, .. }) => {
                    learn_keywords(view, &keywords, cx.tx);
                    self.take_page(entries, next);
                    self.mark(mailbox)
                }
                Some(Response::NoMailbox) => {
                    view.lose();
                    Progress::Done(Completion::nonexistent())
                }
                _ => Progress::Done(Completion::unavailable(false)),
            },
            Stage::Seen => {
                self.stage = Stage::Messages;
                match answer {
                    Some(Response::Flagged { changed, at, .. }) => {
                        for change in &changed {
                            if let Some(entry) = self.page.iter_mut().find(|entry| entry.uid == change.uid) {
                                (entry.flags, entry.modseq) = (change.flags, change.modseq);
                                self.marked.insert(change.uid, change.uid);
                            }
                        }
                        if changed.iter().any(|change| change.modseq == at) {
                            view.own_change(at);
                        }
                        Progress::Again
                    }
                    Some(Response::NoMailbox) => {
                        view.lose();
                        Progress::Done(Completion::nonexistent())
                    }
                    Some(Response::Unavailable { full }) => Progress::Done(Completion::unavailable(full)),
                    _ => Progress::Done(Completion::unavailable(false)),
                }
            }
            Stage::Messages => self.messages(cx, answer),
        }
    }

    /// The host cannot go on: ends what is half written. False when that cannot be.
    pub(super) fn fail(&mut self, tx: &mut Outbox) -> bool {
        let Some(mut message) = self.message.take() else { return true };
        if message.announced {
            return false;
        }
        if message.span.is_some() {
            message.response.nil(tx);
        } else if message.item == 0 {
            // There is no FETCH response without an item.
            message.response.uid(tx, message.entry.uid);
        }
        message.response.end(tx);
        true
    }

    fn take_page(&mut self, entries: Vec<Entry>, next: Option<u32>) {
        if let Some(next) = next {
            // The store has looked at fewer than were asked for: the rest comes with the next page.
            for (first, last) in self.asked.runs().filter(|(_, last)| *last >= next) {
                self.left.insert(first.max(next), last);
            }
        }
        self.page = entries.into();
        self.marked = UidSet::default();
    }

    fn mark(&mut self, mailbox: crate::ops::MailboxId) -> Progress {
        self.stage = Stage::Messages;
        if !self.seen {
            return Progress::Again;
        }
        let unread = self.page.iter().filter(|entry| !entry.flags.contains(FlagSet::SEEN));
        let uids: UidSet = unread.map(|entry| entry.uid).collect();
        if uids.is_empty() {
            return Progress::Again;
        }
        self.stage = Stage::Seen;
        let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::SEEN, keywords: Vec::new() };
        Progress::Ask(Request::Flag { mailbox, uids, change, unchanged_since: None })
    }

    fn messages(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if let Some(message) = &mut self.message {
            let progress = message.turn(&self.items, cx, answer);
            if let Progress::Synced = progress {
                self.message = None;
                return Progress::Again;
            }
            return progress;
        }
        if cx.tx.is_full() {
            return Progress::Full;
        }
        let Some(view) = cx.view else { return Progress::Done(Completion::OK) };
        let Some(entry) = self.page.pop_front() else {
            self.stage = Stage::Page;
            return Progress::Again;
        };
        let Some(number) = view.uids.sequence(entry.uid) else { return Progress::Again };
        let mut response = FetchResponse::begin(cx.tx, number, charset(cx.enabled));
        if self.marked.contains(entry.uid) && !self.items.contains(&FetchItem::Flags) {
            let recent = !cx.enabled.imap4rev2 && view.is_recent(entry.uid);
            response.flags(cx.tx, view.names.of(entry.flags, recent));
        }
        let source = Source::new(&entry);
        self.message = Some(Message { entry, response, item: 0, source, span: None, announced: false });
        Progress::Again
    }
}

impl Message {
    /// One item further, or one answer; [`Progress::Synced`] when the message is told.
    fn turn(&mut self, items: &[FetchItem], cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if self.source.is_asking() {
            self.source.take(answer, cx.config.limits.header);
        }
        if self.span.is_some() {
            return self.octets(cx);
        }
        while let Some(item) = items.get(self.item) {
            if needs_structure(item)
                && let Some(progress) = self.source.ask_structure(cx)
            {
                return progress;
            }
            if let Some((section, partial)) = octets_of(item) {
                if !self.source.knows(&section) {
                    return self.source.ask_header(cx);
                }
                self.name(item, cx.tx);
                self.item += 1;
                match self.source.locate(&section, partial) {
                    None => self.response.nil(cx.tx),
                    Some(Span::Here(octets)) => self.response.octets(cx.tx, octets),
                    Some(span @ Span::There { .. }) => {
                        self.span = Some(span);
                        return Progress::Again;
                    }
                }
                continue;
            }
            self.plain(item, cx);
            self.item += 1;
        }
        self.response.end(cx.tx);
        Progress::Synced
    }

    /// The octets of a section, a chunk at a time.
    fn octets(&mut self, cx: &mut Cx<'_>) -> Progress {
        let Some(Span::There { offset, len }) = self.span else { return Progress::Again };
        if len == 0 {
            if !core::mem::take(&mut self.announced) {
                self.response.octets(cx.tx, Bytes::new());
            }
            self.span = None;
            return Progress::Again;
        }
        match self.source.piece() {
            Some(Some(mut bytes)) => {
                bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                if !core::mem::replace(&mut self.announced, true) {
                    self.response.literal(cx.tx, len, false);
                }
                let more = bytes.len() as u64;
                cx.tx.push(bytes);
                self.span = Some(Span::There { offset: offset + more, len: len - more });
                Progress::Again
            }
            // It is gone, or cannot be read.
            Some(None) if self.announced => Progress::Broken,
            Some(None) => {
                self.response.nil(cx.tx);
                self.span = None;
                Progress::Again
            }
            None if cx.tx.is_full() => Progress::Full,
            None => self.source.ask(offset, len, cx),
        }
    }

    /// The name of an item whose octets follow.
    fn name(&mut self, item: &FetchItem, tx: &mut Outbox) {
        match item {
            FetchItem::Section { section, partial, .. } => {
                self.response.section(tx, section, partial.map(|partial| partial.offset));
            }
            FetchItem::Rfc822 => self.response.rfc822(tx, "RFC822"),
            FetchItem::Rfc822Header => self.response.rfc822(tx, "RFC822.HEADER"),
            FetchItem::Rfc822Text => self.response.rfc822(tx, "RFC822.TEXT"),
            _ => {}
        }
    }

    /// An item that is in the entry.
    fn plain(&mut self, item: &FetchItem, cx: &mut Cx<'_>) {
        let (entry, response, tx) = (&self.entry, &mut self.response, &mut *cx.tx);
        match item {
            FetchItem::Uid => response.uid(tx, entry.uid),
            FetchItem::Flags => {
                let Some(view) = cx.view.as_ref() else { return };
                let recent = !cx.enabled.imap4rev2 && view.is_recent(entry.uid);
                response.flags(tx, view.names.of(entry.flags, recent));
            }
            FetchItem::InternalDate => response.internal_date(tx, DateTime::of(entry.received)),
            FetchItem::SaveDate => response.save_date(tx, Some(DateTime::of(entry.saved))),
            FetchItem::Rfc822Size => response.rfc822_size(tx, entry.size),
            FetchItem::Modseq => response.modseq(tx, modseq(entry.modseq)),
            FetchItem::EmailId => response.email_id(tx, &object_id(b'M', entry.email.0)),
            FetchItem::ThreadId => response.thread_id(tx, Some(&object_id(b'T', entry.thread.0))),
            FetchItem::Envelope => {
                if let Some(structure) = self.source.structure() {
                    response.envelope(tx, &structure.envelope());
                }
            }
            FetchItem::Body => {
                if let Some(structure) = self.source.structure() {
                    response.body(tx, &structure.body());
                }
            }
            FetchItem::BodyStructure => {
                if let Some(structure) = self.source.structure() {
                    response.body_structure(tx, &structure.body());
                }
            }
            // Refused before, or not from the entry.
            FetchItem::Binary { .. }
            | FetchItem::BinarySize(_)
            | FetchItem::Section { .. }
            | FetchItem::Rfc822
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text => {}
        }
    }
}

/// Which octets an item asks for.
fn octets_of(item: &FetchItem) -> Option<(Section, Option<crate::imap::types::Partial>)> {
    let whole = |text| Section { text, ..Section::default() };
    Some(match item {
        FetchItem::Section { section, partial, .. } => (section.clone(), *partial),
        FetchItem::Rfc822 => (whole(SectionText::All), None),
        FetchItem::Rfc822Header => (whole(SectionText::Header), None),
        FetchItem::Rfc822Text => (whole(SectionText::Text), None),
        _ => return None,
    })
}

/// Messages of a page whose structures come with them.
const STRUCTURES: u32 = 32;

/// Items that need the structure of a message.
fn needs_structure(item: &FetchItem) -> bool {
    match item {
        FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => true,
        FetchItem::Section { section, .. } => !section.part.is_empty(),
        _ => false,
    }
}

/// Items that are not told yet.
pub(super) fn is_missing(item: &FetchItem) -> bool {
    let fields = |text: &SectionText| matches!(text, SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_));
    match item {
        FetchItem::Binary { .. } | FetchItem::BinarySize(_) => true,
        FetchItem::Section { section, .. } => !section.part.is_empty() && fields(&section.text),
        _ => false,
    }
}
