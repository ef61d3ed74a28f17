//! What a search has found: told in pages (RFC 3501 §7.2.5, RFC 9051 §7.3.4), and saved (RFC 9051 §6.4.4.1).

use super::criteria::Page;
use super::reply::Completion;
use super::task::{Cx, Progress};
use super::terms::uids;
use super::view::modseq;
use crate::imap::encode::{self, Esearch, EsearchResponse};
use crate::imap::types::{Modseq, SearchReturn};
use crate::mailbox::{ModSeq, PAGE, UidSet};

/// What has been found, and what of it is wanted.
#[derive(Debug, Default)]
pub(super) struct Found {
    uids: UidSet,
    /// The first of them and its mod-sequence, if that is known.
    first: Option<(u32, ModSeq)>,
    /// The last.
    last: Option<(u32, ModSeq)>,
    highest: ModSeq,
    /// As the client wrote it.
    returns: Option<SearchReturn>,
}

impl Found {
    pub(super) fn new(returns: Option<SearchReturn>) -> Self {
        Self { returns, ..Self::default() }
    }

    /// `$` is to be the result.
    pub(super) fn is_saved(&self) -> bool {
        self.returns.is_some_and(|returns| returns.save)
    }

    /// These match; their entries are in `page`, if mod-sequences are wanted.
    pub(super) fn add(&mut self, uids: &UidSet, page: Option<&Page>) {
        self.uids.add(uids);
        let entries = page.map_or(&[][..], |page| &page.entries);
        for entry in entries.iter().filter(|entry| uids.contains(entry.uid)) {
            let this = (entry.uid, entry.modseq);
            self.first = Some(self.first.map_or(this, |first| first.min(this)));
            self.last = Some(self.last.map_or(this, |last| last.max(this)));
            self.highest = self.highest.max(entry.modseq);
        }
    }

    /// From where to where messages need no longer be judged: the result is the same whether they match or not.
    pub(super) fn settles(&self) -> Option<(u32, u32)> {
        let returns = self.returns.filter(ends_only)?;
        let (first, last) = (self.uids.first()?, self.uids.last()?);
        Some((if returns.min { first } else { 1 }, if returns.max { last } else { u32::MAX }))
    }

    /// What `$` becomes.
    fn saved(&self, returns: SearchReturn) -> UidSet {
        if !ends_only(&returns) {
            return self.uids.clone();
        }
        let (min, max) = (self.uids.first().filter(|_| returns.min), self.uids.last().filter(|_| returns.max));
        min.into_iter().chain(max).collect()
    }

    /// The largest mod-sequence of what is told (RFC 4731 §3.2).
    fn modseq(&self, returns: SearchReturn) -> Option<Modseq> {
        if !ends_only(&returns) {
            return self.uids.first().map(|_| modseq(self.highest));
        }
        let ends = self.first.filter(|_| returns.min).into_iter().chain(self.last.filter(|_| returns.max));
        ends.map(|(_, at)| modseq(at)).max()
    }
}

/// Nothing but the first or the last is wanted.
fn ends_only(returns: &SearchReturn) -> bool {
    (returns.min || returns.max) && !returns.all && !returns.count
}

/// The result is being told.
#[derive(Debug)]
pub(super) enum Telling {
    /// `* SEARCH`: these numbers are left.
    Search { left: UidSet, modseq: Option<Modseq> },
    /// `* ESEARCH`: of these numbers, the runs from this one on are left.
    Esearch { response: EsearchResponse, all: UidSet, from: usize },
    /// Nothing is told, or no more.
    Over,
}

impl Telling {
    /// Saves what was found, if it is to be saved, and begins to tell it.
    pub(super) fn begin(found: Found, uid: bool, wants_modseq: bool, cx: &mut Cx<'_>) -> Self {
        let Some(view) = cx.view else { return Self::Over };
        if let Some(returns) = found.returns.filter(|returns| returns.save) {
            view.saved = found.saved(returns);
        }
        let all = SearchReturn { all: true, ..SearchReturn::default() };
        let numbers = if uid { found.uids.clone() } else { uids(&view.sequences(&found.uids)) };
        let Some(returns) = found.returns.or_else(|| cx.enabled.imap4rev2.then_some(all)) else {
            encode::search_begin(cx.tx);
            return Self::Search { left: numbers, modseq: found.modseq(all).filter(|_| wants_modseq) };
        };
        if !(returns.min || returns.max || returns.all || returns.count) {
            return Self::Over;
        }
        let told = Esearch {
            tag: Some(cx.tag),
            uid,
            min: numbers.first().filter(|_| returns.min),
            max: numbers.last().filter(|_| returns.max),
            count: returns.count.then(|| u64::from(numbers.len())),
            modseq: found.modseq(returns).filter(|_| wants_modseq),
        };
        let response = EsearchResponse::begin(cx.tx, &told);
        Self::Esearch { response, all: if returns.all { numbers } else { UidSet::default() }, from: 0 }
    }

    /// Tells a page more.
    pub(super) fn turn(&mut self, cx: &mut Cx<'_>) -> Progress {
        if cx.tx.is_full() {
            return Progress::Full;
        }
        match self {
            Self::Search { left, .. } if !left.is_empty() => encode::search_numbers(cx.tx, left.page(PAGE).iter()),
            Self::Search { modseq, .. } => {
                encode::search_end(cx.tx, *modseq);
                *self = Self::Over;
            }
            Self::Esearch { response, all, from } if *from < all.runs().len() => {
                response.all(cx.tx, all.runs().skip(*from).take(PAGE as usize));
                *from += PAGE as usize;
            }
            Self::Esearch { response, .. } => {
                response.end(cx.tx);
                *self = Self::Over;
            }
            Self::Over => return Progress::Done(Completion::OK),
        }
        Progress::Again
    }
}
