//! FETCH (RFC 9051 §6.4.5): messages in pages, their octets range by range.
//!
//! ```text
//!                                    ┌─────────── the next page ──────────────┐
//!                                    ▼                                        │
//!  Begin ──► Vanished ──► Page ──► Entries ──► Messages ──► over              │
//!             ──► Vanish           a page      │ ▲    └── none is left ───────┘
//!       UID FETCH (VANISHED)                   │ │
//!                                              ▼ │
//!                                     Seen ──► Heads
//!                             the unread ones  the beginnings
//!                                    of the next few
//! ```
//!
//! Of messages whose octets are wanted a few are prepared at a time: they become `\Seen`, and their beginnings are read
//! by one question, which is all that there is to read of most. What comes next is asked for while the last answer is
//! still leaving. So in hand are a page of entries, the beginnings of a few messages, and a piece of one.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::message::{Message, Trouble};
use super::reply::Completion;
use super::section::{needs_structure, takes_octets};
use super::source::HEAD;
use super::sync::learn_keywords;
use super::task::{Cx, Progress};
use super::vanished::Vanishing;
use crate::imap::types::{Code, FetchItem};
use crate::mailbox::{Entry, FlagChange, FlagMode, FlagSet, HEADS_OCTETS, ModSeq, PAGE, Request, Response, UidSet};
use crate::mark;

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
    /// Those that are being told.
    vanishing: Option<Vanishing>,
    /// Messages become `\Seen`.
    seen: bool,
    stage: Stage,
    page: VecDeque<Entry>,
    /// So many of the page are being prepared, or are prepared and to be told.
    few: usize,
    /// Their beginnings, as far as they were read; `None` for one that is gone.
    heads: VecDeque<Option<Bytes>>,
    /// Messages of the page that have become `\Seen` by this.
    marked: UidSet,
    message: Option<Box<Message>>,
    trouble: Option<Trouble>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Vanished,
    Vanish,
    Page,
    Entries,
    Seen,
    Heads,
    Messages,
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
            vanishing: None,
            seen,
            stage,
            page,
            few: 0,
            heads: VecDeque::new(),
            marked,
            message: None,
            trouble: None,
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
                Progress::Ask(Request::Changes { mailbox, since, after: None, claim: false })
            }
            Stage::Vanished => {
                let (Some(Response::Changes { gone, uid_next, .. }), Some(known)) = (answer, self.vanished.take())
                else {
                    return Progress::Done(Completion::unavailable(false));
                };
                let known = known.intersection(&UidSet::run(1, uid_next.saturating_sub(1)));
                self.vanishing = Some(Vanishing::earlier(gone, known, &view.uids));
                self.stage = Stage::Vanish;
                Progress::Again
            }
            Stage::Vanish if cx.tx.is_full() => Progress::Full,
            Stage::Vanish => {
                if self.vanishing.as_mut().is_none_or(|vanishing| vanishing.turn(cx.tx)) {
                    (self.stage, self.vanishing) = (Stage::Page, None);
                }
                Progress::Again
            }
            Stage::Page if self.left.is_empty() => Progress::Done(self.outcome()),
            Stage::Page => {
                self.stage = Stage::Entries;
                let structures = self.items.iter().any(needs_structure);
                let (uids, changed_since) = (self.left.page(PAGE), self.changed_since);
                self.asked = uids.clone();
                Progress::Ask(Request::Entries { mailbox, uids, changed_since, structures })
            }
            Stage::Entries => match answer {
                Some(Response::Entries { entries, keywords, next, at }) => {
                    learn_keywords(view, &keywords, cx.tx);
                    view.hear(at);
                    self.take_page(entries, next);
                    self.stage = Stage::Messages;
                    Progress::Again
                }
                Some(Response::NoMailbox) => {
                    view.lose();
                    Progress::Done(Completion::nonexistent())
                }
                _ => Progress::Done(Completion::unavailable(false)),
            },
            Stage::Seen => match answer {
                Some(Response::Flagged { changed, keywords, at, new, .. }) => {
                    learn_keywords(view, &keywords, cx.tx);
                    for change in &changed {
                        if let Some(entry) = self.page.iter_mut().find(|entry| entry.uid == change.uid) {
                            (entry.flags, entry.modseq) = (change.flags, change.modseq);
                            self.marked.insert(change.uid, change.uid);
                        }
                    }
                    match new {
                        true => view.own_change(at),
                        false => view.hear(at),
                    }
                    self.read_heads(cx)
                }
                Some(Response::NoMailbox) => {
                    view.lose();
                    Progress::Done(Completion::nonexistent())
                }
                Some(Response::Unavailable { full }) => Progress::Done(Completion::unavailable(full)),
                _ => Progress::Done(Completion::unavailable(false)),
            },
            Stage::Heads => {
                self.stage = Stage::Messages;
                if let Some(Response::Heads(heads)) = answer
                    && !heads.is_empty()
                {
                    self.few = heads.len().min(self.few);
                    self.heads = heads.into();
                }
                Progress::Again
            }
            Stage::Messages => self.messages(cx, answer),
        }
    }

    /// The host cannot go on: ends what is half written. False when that cannot be.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.message.take().is_some_and(|message| !message.fail(&self.items, cx)) {
            return false;
        }
        let marked = core::mem::take(&mut self.marked);
        for entry in core::mem::take(&mut self.page).into_iter().filter(|entry| marked.contains(entry.uid)) {
            let Some(number) = cx.view.as_ref().and_then(|view| view.uids.sequence(entry.uid)) else { continue };
            Message::new(entry, number, true, Bytes::new()).fail(&self.items, cx);
        }
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

    /// Messages are told; when none is prepared, the next few are.
    fn messages(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if let Some(message) = &mut self.message {
            let progress = message.turn(&self.items, cx, answer);
            if let Progress::Synced = progress {
                self.trouble = self.trouble.max(message.trouble());
                self.message = None;
                return Progress::Again;
            }
            return progress;
        }
        if self.page.is_empty() {
            self.stage = Stage::Page;
            return Progress::Again;
        }
        if self.few == 0 {
            return self.prepare(cx);
        }
        if cx.tx.is_full() {
            return Progress::Full;
        }
        let (Some(view), Some(entry)) = (&mut *cx.view, self.page.pop_front()) else {
            return Progress::Done(Completion::OK);
        };
        self.few -= 1;
        let head = self.heads.pop_front();
        let Some(number) = view.uids.sequence(entry.uid) else { return Progress::Again };
        if let Some(None) = head {
            self.trouble = self.trouble.max(Some(Trouble::Gone));
            return Progress::Again;
        }
        let marked = self.marked.contains(entry.uid);
        self.message = Some(Box::new(Message::new(entry, number, marked, head.flatten().unwrap_or_default())));
        Progress::Again
    }

    /// Chooses the next few messages, and marks those of them that are unread.
    fn prepare(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.heads.clear();
        self.few = self.page.len();
        if !self.items.iter().any(takes_octets) {
            return Progress::Again;
        }
        let mut octets = 0;
        let has_room = |entry: &&Entry| {
            octets += entry.size.min(HEAD as u64);
            octets <= HEADS_OCTETS as u64
        };
        self.few = self.page.iter().take(FEW).take_while(has_room).count().max(1);
        let unread = self.page.iter().take(self.few).filter(|entry| !entry.flags.contains(FlagSet::SEEN));
        let uids: UidSet = unread.map(|entry| entry.uid).collect();
        let Some(view) = cx.view.as_ref().filter(|_| self.seen && !uids.is_empty()) else { return self.read_heads(cx) };
        self.stage = Stage::Seen;
        let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::SEEN, keywords: Vec::new() };
        Progress::Ask(Request::Flag { mailbox: view.mailbox, uids, change, unchanged_since: None })
    }

    /// Asks for the beginnings of the next few messages. One alone is read as its items want it.
    fn read_heads(&mut self, cx: &Cx<'_>) -> Progress {
        self.stage = Stage::Messages;
        if self.few < 2 {
            return Progress::Again;
        }
        self.stage = Stage::Heads;
        let entries = self.page.iter().take(self.few).map(|entry| entry.entry).collect();
        Progress::Ask(Request::Heads { entries, len: HEAD.min(cx.config.limits.session.chunk).max(1) })
    }

    /// How the command ends, when all was told that can be.
    fn outcome(&self) -> Completion {
        match self.trouble {
            None => Completion::OK,
            Some(Trouble::Gone) => mark!(ImapMessageGone, Completion::ok(Code::ExpungeIssued)),
            Some(Trouble::UnknownEncoding) => {
                mark!(ImapUnknownEncoding, Completion::no(Code::UnknownCte, "The encoding of a part is not known"))
            }
            Some(Trouble::Unreadable) => mark!(ImapMessageUnreadable, Completion::unavailable(false)),
        }
    }
}

/// Messages that are prepared at a time, at most.
const FEW: usize = 256;
