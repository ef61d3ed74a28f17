//! One message of a FETCH: what is told of it, item by item (RFC 9051 §7.5.2).
//!
//! ```text
//!            ┌────────────── the next item ◄─────────────────────────────┐
//!            ▼                                                           │
//!  begin ──► Idle ──► Counting ──► Kept ─────────────────────────────────┤
//!            │           └───────► Making, until all is out ─────────────┤
//!            └───────────────────► Range, until all is out ──────────────┘
//! ```
//!
//! Nothing is written of an item before its first octets are at hand. So a message that is gone by then is passed over,
//! an item whose octets cannot be had is NIL, and only within a literal nothing is left but to end the connection.

use alloc::boxed::Box;
use core::ops::Range;

use bytes::Bytes;

use super::section::{All, Counted, Counting, Located, Making, locate, needs_structure, takes_octets};
use super::source::{Lost, Source, Wanted};
use super::task::{Cx, Progress};
use super::terms::object_id;
use super::view::{Manner, charset, modseq};
use crate::imap::encode::FetchResponse;
use crate::imap::types::{DateTime, FetchItem, Partial};
use crate::mailbox::{Entry, Response};
use crate::mark;

/// A message that is being told.
#[derive(Debug)]
pub(super) struct Message {
    entry: Entry,
    /// Its number.
    number: u32,
    /// It has become `\Seen` by this.
    marked: bool,
    source: Source,
    /// None while nothing is written.
    response: Option<FetchResponse>,
    /// The item that is told.
    item: usize,
    work: Work,
    /// The literal of the item has begun.
    announced: bool,
    trouble: Option<Trouble>,
}

/// Why something of it was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// It is gone.
    Gone,
    /// A part of it is encoded in a way that nobody here knows.
    UnknownEncoding,
    /// It could not be read.
    Unreadable,
}

/// What is done about the item.
#[derive(Debug)]
enum Work {
    Idle,
    Counting(Box<Counting>),
    /// Octets at hand, and whether there is a NUL among them.
    Kept(Bytes, bool),
    /// Octets of the message that are still to be sent.
    Range(Range<u64>),
    /// Octets that are made, and how many of them are still to be sent.
    Making {
        making: Box<Making>,
        left: u64,
        nul: bool,
    },
}

impl Message {
    /// `marked`: it has become `\Seen` by this; `head`: its beginning, as far as it is known.
    pub(super) fn new(entry: Entry, number: u32, marked: bool, head: Bytes) -> Self {
        let source = Source::new(&entry, head);
        let (response, work, trouble) = (None, Work::Idle, None);
        Self { entry, number, marked, source, response, item: 0, work, announced: false, trouble }
    }

    /// Why something of it was not told.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// A step further, with the answer to what was asked; [`Progress::Synced`] when the message is told.
    pub(super) fn turn(&mut self, items: &[FetchItem], cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        self.source.take(answer);
        if let Some(lost) = self.source.lost {
            let trouble = if lost == Lost::Gone { Trouble::Gone } else { Trouble::Unreadable };
            self.trouble = self.trouble.max(Some(trouble));
            self.work = Work::Idle;
            if self.announced {
                mark!(ImapBrokenOff);
                return Progress::Broken;
            }
            if self.response.is_none() && !self.marked {
                return Progress::Synced;
            }
        }
        self.step(items, cx).unwrap_or_else(|question| question)
    }

    /// It cannot go on: ends what is half written. False when that cannot be.
    pub(super) fn fail(mut self, items: &[FetchItem], cx: &mut Cx<'_>) -> bool {
        if !self.announced && (self.response.is_some() || self.marked) {
            self.end(items, cx);
        }
        !self.announced
    }

    fn step(&mut self, items: &[FetchItem], cx: &mut Cx<'_>) -> Wanted<Progress> {
        let Some(item) = items.get(self.item) else {
            self.end(items, cx);
            return Ok(Progress::Synced);
        };
        let is_told = match &self.work {
            Work::Idle => self.begin(items, item, cx)?,
            Work::Counting(_) => self.count(items, item, cx)?,
            _ if cx.tx.is_full() => return self.read_ahead(cx),
            _ => self.send(items, item, cx)?,
        };
        if is_told {
            (self.work, self.announced) = (Work::Idle, false);
            self.item += 1;
        }
        Ok(Progress::Again)
    }

    /// Begins an item; true when it is told.
    fn begin(&mut self, items: &[FetchItem], item: &FetchItem, cx: &mut Cx<'_>) -> Wanted<bool> {
        let is_lost = self.source.lost.is_some();
        if !takes_octets(item) {
            if needs_structure(item) && !is_lost {
                self.source.learn_structure(cx)?;
            }
            self.plain(items, item, cx);
            return Ok(true);
        }
        let located = if is_lost { Located::Nowhere } else { locate(item, &mut self.source, cx)? };
        self.work = match located {
            Located::Nowhere => {
                self.nowhere(items, item, is_lost, cx);
                return Ok(true);
            }
            Located::Undecodable => {
                self.trouble = self.trouble.max(Some(Trouble::UnknownEncoding));
                return Ok(true);
            }
            Located::There(range) if matches!(item, FetchItem::BinarySize(_)) => {
                self.size(items, item, range.end - range.start, cx);
                return Ok(true);
            }
            Located::There(range) if range.is_empty() => Work::Kept(Bytes::new(), false),
            Located::There(range) => Work::Range(range),
            Located::Made(recipe) => Work::Counting(Box::new(Counting::new(recipe))),
        };
        Ok(false)
    }

    /// Counts what is made of a part; true when the item is told.
    fn count(&mut self, items: &[FetchItem], item: &FetchItem, cx: &mut Cx<'_>) -> Wanted<bool> {
        let Work::Counting(counting) = &mut self.work else { return Ok(true) };
        let Counted { octets, nul, all, bookmark } = counting.finish(&mut self.source, cx)?;
        if let (Some(view), Some(bookmark)) = (cx.view.as_mut(), bookmark) {
            view.bookmark = Some(Box::new(bookmark));
        }
        if matches!(item, FetchItem::BinarySize(_)) {
            self.size(items, item, octets, cx);
            return Ok(true);
        }
        self.work = match all {
            All::Kept(octets) => Work::Kept(octets, nul),
            All::Again(making) => Work::Making { making, left: octets, nul },
        };
        Ok(false)
    }

    /// Sends a piece of the item's octets; true when all are out.
    fn send(&mut self, items: &[FetchItem], item: &FetchItem, cx: &mut Cx<'_>) -> Wanted<bool> {
        let (octets, len, nul) = match &mut self.work {
            Work::Idle | Work::Counting(_) => return Ok(true),
            Work::Kept(octets, nul) => (core::mem::take(octets), None, *nul),
            Work::Range(left) => {
                let len = left.end - left.start;
                let octets = self.source.octets(left.start, len, cx)?;
                left.start += octets.len() as u64;
                (octets, Some(len), false)
            }
            Work::Making { making, left, nul } => {
                let Some(octets) = making.next(&mut self.source, cx)? else { return Err(Progress::Broken) };
                let len = *left;
                *left = len.saturating_sub(octets.len() as u64);
                (octets, Some(len), *nul)
            }
        };
        let sent = octets.len() as u64;
        let len = len.unwrap_or(sent);
        if !core::mem::replace(&mut self.announced, true) {
            self.name(items, item, cx).literal(cx.tx, len, nul);
        }
        cx.tx.push(octets);
        Ok(sent == len)
    }

    /// The client has not read what there is; meanwhile the next octets are fetched.
    fn read_ahead(&mut self, cx: &Cx<'_>) -> Wanted<Progress> {
        match &self.work {
            Work::Range(left) => drop(self.source.octets(left.start, left.end - left.start, cx)?),
            Work::Making { making, .. } => making.read_ahead(&mut self.source, cx)?,
            Work::Idle | Work::Counting(_) | Work::Kept(..) => {}
        }
        Ok(Progress::Full)
    }

    /// There are no such octets.
    fn nowhere(&mut self, items: &[FetchItem], item: &FetchItem, is_lost: bool, cx: &mut Cx<'_>) {
        if !matches!(item, FetchItem::BinarySize(_)) {
            return self.name(items, item, cx).nil(cx.tx);
        }
        if !is_lost {
            self.size(items, item, 0, cx);
        }
    }

    fn size(&mut self, items: &[FetchItem], item: &FetchItem, octets: u64, cx: &mut Cx<'_>) {
        if let FetchItem::BinarySize(part) = item {
            self.response(items, cx).binary_size(cx.tx, part, octets);
        }
    }

    /// Writes the name of an item whose octets follow.
    fn name(&mut self, items: &[FetchItem], item: &FetchItem, cx: &mut Cx<'_>) -> &mut FetchResponse {
        let response = self.response(items, cx);
        let origin = |partial: &Option<Partial>| partial.map(|partial| partial.offset);
        match item {
            FetchItem::Section { section, partial, .. } => response.section(cx.tx, section, origin(partial)),
            FetchItem::Binary { part, partial, .. } => response.binary(cx.tx, part, origin(partial)),
            FetchItem::Rfc822 => response.rfc822(cx.tx, "RFC822"),
            FetchItem::Rfc822Header => response.rfc822(cx.tx, "RFC822.HEADER"),
            FetchItem::Rfc822Text => response.rfc822(cx.tx, "RFC822.TEXT"),
            _ => {}
        }
        response
    }

    /// Tells an item that is in the entry or its structure.
    fn plain(&mut self, items: &[FetchItem], item: &FetchItem, cx: &mut Cx<'_>) {
        if needs_structure(item) && self.source.structure().is_none() {
            return;
        }
        let mut response = *self.response(items, cx);
        let (entry, tx) = (&self.entry, &mut *cx.tx);
        match item {
            FetchItem::Uid => response.uid(tx, entry.uid),
            FetchItem::Flags => flags(&mut response, entry, cx),
            FetchItem::InternalDate => response.internal_date(tx, DateTime::of(entry.received)),
            FetchItem::SaveDate => response.save_date(tx, Some(DateTime::of(entry.saved))),
            FetchItem::Rfc822Size => response.rfc822_size(tx, entry.size),
            FetchItem::Modseq => response.modseq(tx, modseq(entry.modseq)),
            FetchItem::EmailId => response.email_id(tx, &object_id(b'M', entry.email.0)),
            FetchItem::ThreadId => response.thread_id(tx, Some(&object_id(b'T', entry.thread.0))),
            _ => {}
        }
        if let Some(structure) = self.source.structure() {
            match item {
                FetchItem::Envelope => response.envelope(cx.tx, &structure.envelope()),
                FetchItem::Body => response.body(cx.tx, &structure.body()),
                FetchItem::BodyStructure => response.body_structure(cx.tx, &structure.body()),
                _ => {}
            }
        }
        self.response = Some(response);
    }

    /// What is written of the message; begun, if nothing is.
    fn response(&mut self, items: &[FetchItem], cx: &mut Cx<'_>) -> &mut FetchResponse {
        let (entry, number, marked) = (&self.entry, self.number, self.marked);
        self.response.get_or_insert_with(|| {
            let mut response = FetchResponse::begin(cx.tx, number, charset(cx.enabled));
            if marked {
                marked_seen(&mut response, entry, items, cx);
            }
            response
        })
    }

    /// Ends what is written of the message. A message of which nothing can be told is passed over, but that it has become
    /// `\Seen` is told.
    fn end(&mut self, items: &[FetchItem], cx: &mut Cx<'_>) {
        if self.marked {
            self.response(items, cx);
        }
        let Some(mut response) = self.response.take() else { return };
        let uid = items.iter().position(|item| *item == FetchItem::Uid);
        if response.is_empty() || uid.is_some_and(|uid| uid >= self.item) {
            // There is no FETCH response without an item, and in a UID FETCH none without the UID.
            response.uid(cx.tx, self.entry.uid);
        }
        response.end(cx.tx);
    }
}

/// The flags of a message that has just become `\Seen`, unless they are told anyway.
fn marked_seen(response: &mut FetchResponse, entry: &Entry, items: &[FetchItem], cx: &mut Cx<'_>) {
    let manner = Manner::of(cx.enabled, false);
    if manner.uid && !items.contains(&FetchItem::Uid) {
        response.uid(cx.tx, entry.uid);
    }
    if manner.modseq && !items.contains(&FetchItem::Modseq) {
        response.modseq(cx.tx, modseq(entry.modseq));
    }
    if !items.contains(&FetchItem::Flags) {
        flags(response, entry, cx);
    }
}

fn flags(response: &mut FetchResponse, entry: &Entry, cx: &mut Cx<'_>) {
    let Some(view) = cx.view.as_ref() else { return };
    let recent = !cx.enabled.imap4rev2 && view.is_recent(entry.uid);
    response.flags(cx.tx, view.names.of(entry.flags, recent));
}
