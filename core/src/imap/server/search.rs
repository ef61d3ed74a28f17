//! SEARCH (RFC 9051 §6.4.4): messages are judged by what is known, and of those that are left more is asked.
//!
//! ```text
//!                ┌─────────────── of those that are left ───────────────┐
//!                ▼                                                      │
//!  view ──► Ask ──► Asked ──► Dates ──► Judge ──► Judge … ──────────────┤ none is left
//!              a page      without a structure    a window a turn       ▼
//!              of entries, or what holds the texts                    told
//! ```
//!
//! A message is judged by one reading of its flags, so what others do to it meanwhile changes nothing half-way. One that
//! is gone is not found. What is known of a page is forgotten with the page, and the result is a set of runs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::criteria::{Criteria, Known, Page};
use super::found::{Found, Telling};
use super::reply::Completion;
use super::source::Source;
use super::task::{Cx, Progress};
use super::view::View;
use crate::imap::types::{Date, SearchReturn};
use crate::mailbox::{PAGE, Request, Response, UidSet};
use crate::mark;
use crate::message::{FieldFilter, FieldName, Pick, Structure, day};

/// A SEARCH under way.
#[derive(Debug)]
pub(super) struct Searching {
    uid: bool,
    criteria: Criteria,
    stage: Stage,
    /// Messages that wait, at each level.
    waiting: [UidSet; LEVELS],
    /// What is judged now is known up to this level.
    level: usize,
    /// Messages that were asked about.
    asked: UidSet,
    /// Messages of which enough is known to judge them.
    scope: UidSet,
    page: Option<Page>,
    texts: Option<Vec<UidSet>>,
    found: Found,
}

#[derive(Debug)]
enum Stage {
    Ask,
    Asked,
    /// Date fields are learnt; one that was not kept is read from the message.
    Dates(Option<Box<Source>>),
    Judge,
    Tell(Telling),
}

/// What is known: what stands in the view; entries; entries and Date fields; which messages hold the texts.
const LEVELS: usize = 4;
const VIEW: usize = 0;
const ENTRIES: usize = 1;
const DATES: usize = 2;
const TEXTS: usize = 3;

/// Messages of a page whose structures come with it.
const STRUCTURES: u32 = 256;

impl Searching {
    pub(super) fn new(uid: bool, returns: Option<SearchReturn>, criteria: Criteria, view: &View) -> Self {
        let mut all = view.uids.clone();
        all.remove(&view.gone);
        Self {
            uid,
            found: Found::new(returns),
            criteria,
            stage: Stage::Judge,
            waiting: Default::default(),
            level: VIEW,
            asked: UidSet::default(),
            scope: all,
            page: None,
            texts: None,
        }
    }

    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let Some(view) = cx.view else { return Progress::Done(Completion::OK) };
        match &mut self.stage {
            Stage::Judge if self.scope.is_empty() => {
                self.stage = Stage::Ask;
                Progress::Again
            }
            Stage::Judge => self.judge(&view.saved),
            Stage::Ask => match self.ask(view) {
                Some(request) => Progress::Ask(request),
                None if cx.tx.is_full() => Progress::Full,
                None => {
                    let found = core::mem::take(&mut self.found);
                    self.stage = Stage::Tell(Telling::begin(found, self.uid, self.criteria.modseq, cx));
                    Progress::Again
                }
            },
            Stage::Asked => self.learn(view, answer),
            Stage::Dates(..) => self.dates(cx, answer),
            Stage::Tell(telling) => telling.turn(cx),
        }
    }

    /// The search cannot be done: what was to be saved is nothing (RFC 5182 §2.1).
    pub(super) fn fail(&self, view: &mut View) {
        mark!(ImapSearchFailed);
        if self.found.is_saved() {
            view.saved = UidSet::default();
        }
    }

    /// Judges some messages by what is known of them.
    fn judge(&mut self, saved: &UidSet) -> Progress {
        let window = self.scope.page(self.criteria.window);
        let known = Known { saved, page: self.page.as_ref(), texts: self.texts.as_deref() };
        let verdict = self.criteria.judge(window, known);
        self.found.add(&verdict.yes, self.page.as_ref());
        let needs = self.criteria.needs;
        let next = match self.level {
            VIEW if needs.entries => Some(ENTRIES),
            VIEW | ENTRIES if needs.dates => Some(DATES),
            VIEW | ENTRIES | DATES if needs.texts => Some(TEXTS),
            _ => None,
        };
        if let Some(next) = next {
            self.waiting[next].add(&verdict.maybe);
        }
        if let Some((first, last)) = self.found.settles() {
            let settled = UidSet::run(first, last);
            self.waiting.iter_mut().chain([&mut self.scope]).for_each(|waiting| waiting.remove(&settled));
        }
        // A window may be all the work that a turn should do.
        if self.scope.is_empty() { Progress::Again } else { Progress::Later }
    }

    /// What is asked next; `None`: all has been judged.
    fn ask(&mut self, view: &View) -> Option<Request> {
        let mailbox = view.mailbox;
        // While the page is needed there is no other one; else all that is left is looked into at once.
        let texts_first = self.criteria.needs.mixed && !self.waiting[TEXTS].is_empty();
        let level =
            if texts_first { TEXTS } else { (ENTRIES..LEVELS).find(|level| !self.waiting[*level].is_empty())? };
        (self.level, self.stage) = (level, Stage::Asked);
        if level == TEXTS {
            if !self.criteria.needs.mixed {
                self.page = None;
            }
            self.asked = core::mem::take(&mut self.waiting[TEXTS]);
            return Some(Request::Search { mailbox, uids: self.asked.clone(), keys: self.criteria.texts.clone() });
        }
        (self.page, self.texts) = (None, None);
        let (structures, changed_since) = (level == DATES, self.criteria.changed_since);
        self.asked = match changed_since {
            // The store passes quickly over all that has not changed.
            Some(_) => core::mem::take(&mut self.waiting[level]),
            None => self.waiting[level].page(if structures { STRUCTURES } else { PAGE }),
        };
        Some(Request::Entries { mailbox, uids: self.asked.clone(), changed_since, structures })
    }

    /// Takes the answer.
    fn learn(&mut self, view: &mut View, answer: Option<Response>) -> Progress {
        let asked = core::mem::take(&mut self.asked);
        let from = asked.first().unwrap_or(0);
        self.stage = Stage::Judge;
        let next = match answer {
            Some(Response::Entries { entries, keywords, next, .. }) if next.is_none_or(|next| next > from) => {
                self.scope = entries.iter().map(|entry| entry.uid).collect();
                self.page = Some(Page { entries, keywords, sent: None });
                if self.level == DATES {
                    self.stage = Stage::Dates(None);
                }
                next
            }
            Some(Response::Found { found, next }) if next.is_none_or(|next| next > from) => {
                self.scope = asked.intersection(&UidSet::run(1, next.map_or(u32::MAX, |next| next - 1)));
                self.texts = Some(found);
                next
            }
            Some(Response::NoMailbox) => {
                view.lose();
                self.fail(view);
                return Progress::Done(Completion::nonexistent());
            }
            _ => {
                self.fail(view);
                return Progress::Done(Completion::unavailable(false));
            }
        };
        if let Some(next) = next {
            self.waiting[self.level].add(&asked.intersection(&UidSet::run(next, u32::MAX)));
        }
        Progress::Again
    }

    /// Learns the days on which the messages of the page were sent.
    fn dates(&mut self, cx: &Cx<'_>, answer: Option<Response>) -> Progress {
        let (Stage::Dates(reading), Some(page)) = (&mut self.stage, &mut self.page) else { return Progress::Again };
        if let Some(source) = reading {
            source.take(answer);
        }
        let sent = page.sent.get_or_insert_default();
        while let Some(entry) = page.entries.get_mut(sent.len()) {
            let stored = entry.structure.take().filter(|stored| !stored.is_empty());
            let date = match stored.and_then(|stored| Structure::decode(&stored).ok()) {
                Some(structure) => structure.field(FieldName::Date).and_then(day),
                None => {
                    let source = reading.get_or_insert_with(|| Box::new(Source::new(entry, Bytes::new())));
                    match source.header(cx) {
                        _ if source.lost.is_some() => None,
                        Ok(header) => date_of(&header),
                        Err(question) => return question,
                    }
                }
            };
            *reading = None;
            sent.push(date);
        }
        self.stage = Stage::Judge;
        Progress::Again
    }
}

/// The day in the Date field of a header.
fn date_of(header: &[u8]) -> Option<Date> {
    let (mut filter, mut field) = (FieldFilter::new(Pick::Only([Bytes::from_static(b"Date")].into())), Vec::new());
    filter.feed(header, &mut field);
    filter.finish(&mut field);
    let at = field.iter().position(|octet| *octet == b':')?;
    day(&field[at + 1..])
}
