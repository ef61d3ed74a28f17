//! Bringing a view up to date: what others have done is learnt in pages, and told (RFC 9051 §7.5.1, RFC 7162 §3.2.10).
//!
//! ```text
//!            ┌── more ──┐
//!            ▼          │
//!  Begin ──► Asked ─────┴──► Expunges ──► over
//!    │ nothing new  ▲ FETCH     EXISTS, RECENT, EXPUNGE or VANISHED
//!    └──────────────┴────────────►
//! ```
//!
//! Changed flags are told page by page. What has come is told at the end, and all at once: only then is it known which of
//! it is still there, and in what order.

use super::task::{Cx, Progress};
use super::vanished::Vanishing;
use super::view::{Manner, View};
use crate::imap::encode::{self, Condition};
use crate::imap::types::{Code, Enabled};
use crate::mailbox::{Change, Gone, Keywords, ModSeq, PAGE, Request, Response, UidSet};
use crate::mark;
use crate::outbox::Outbox;
use crate::planted::{self, Bug};

/// One turn of catching up.
#[derive(Debug)]
pub(super) struct Sync {
    stage: Stage,
    /// EXPUNGE may be said.
    expunges: bool,
    /// The command under way speaks of UIDs.
    uid: bool,
    /// Behind which message the next page begins.
    after: Option<(ModSeq, u32)>,
    /// Messages that have come.
    fresh: UidSet,
    /// Messages that are gone, and are being told in the place of EXPUNGE.
    vanishing: Option<Vanishing>,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Asked,
    Expunges,
}

impl Sync {
    pub(super) fn new(expunges: bool, uid: bool) -> Self {
        Self { stage: Stage::Begin, expunges, uid, after: None, fresh: UidSet::default(), vanishing: None }
    }

    /// Whether there is anything to do.
    pub(super) fn is_due(view: &View, expunges: bool) -> bool {
        view.is_behind() || expunges && !view.gone.is_empty()
    }

    /// Goes one step further; [`Progress::Synced`] at the end.
    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        let Some(view) = cx.view else { return Progress::Synced };
        match self.stage {
            Stage::Begin if cx.tx.is_full() => Progress::Full,
            Stage::Begin if self.after.is_some() || view.is_behind() => {
                self.stage = Stage::Asked;
                view.asking();
                Progress::Ask(Request::Changes {
                    mailbox: view.mailbox,
                    since: view.modseq,
                    after: self.after,
                    claim: !view.read_only,
                })
            }
            Stage::Begin => {
                self.stage = Stage::Expunges;
                Progress::Again
            }
            Stage::Asked => self.learn(view, cx.enabled, answer, cx.tx),
            Stage::Expunges if !self.expunges || view.gone.is_empty() => Progress::Synced,
            Stage::Expunges if cx.tx.is_full() => Progress::Full,
            Stage::Expunges if cx.enabled.qresync => {
                let vanishing = self.vanishing.get_or_insert_with(|| Vanishing::now(view.gone.clone()));
                if vanishing.turn(cx.tx) {
                    view.uids.remove(&core::mem::take(&mut view.gone));
                }
                Progress::Again
            }
            Stage::Expunges => {
                expunge(view, cx.tx);
                Progress::Again
            }
        }
    }

    fn learn(&mut self, view: &mut View, enabled: Enabled, answer: Option<Response>, tx: &mut Outbox) -> Progress {
        self.stage = Stage::Expunges;
        match answer {
            Some(Response::Changes { changes, more, gone, keywords, at, .. }) => {
                learn_keywords(view, &keywords, tx);
                self.flags(view, &changes, &gone, enabled, tx);
                if let (true, Some(last)) = (more, changes.last()) {
                    self.after = Some((last.modseq, last.uid));
                    self.stage = Stage::Begin;
                } else {
                    self.arrived(view, &gone, enabled, tx);
                    view.in_sync(at);
                }
            }
            Some(Response::NoMailbox) => view.lose(),
            _ => view.miss(),
        }
        Progress::Again
    }

    /// Tells flags that have changed, and remembers what has come.
    fn flags(&mut self, view: &View, changes: &[Change], gone: &Gone, enabled: Enabled, tx: &mut Outbox) {
        let is_gone = |uid| match gone {
            Gone::These(gone) => gone.contains(uid),
            Gone::AllBut(there) => !there.contains(uid),
        };
        for change in changes.iter().filter(|change| !is_gone(change.uid)) {
            if !view.uids.contains(change.uid) {
                self.fresh.insert(change.uid, change.uid);
            } else if !view.gone.contains(change.uid) {
                view.tell(change, Manner::of(enabled, self.uid), tx);
            }
        }
    }

    /// Takes what has come and what is gone into the view.
    fn arrived(&mut self, view: &mut View, gone: &Gone, enabled: Enabled, tx: &mut Outbox) {
        let gone = match gone {
            Gone::These(gone) => gone.clone(),
            Gone::AllBut(there) => {
                mark!(ImapHistoryTooShort);
                let mut gone = view.uids.clone();
                for (first, last) in self.fresh.runs() {
                    gone.insert(first, last);
                }
                gone.remove(there);
                gone
            }
        };
        self.fresh.remove(&gone);
        if !planted::is(Bug::AnExpungeNotTold) {
            view.expunged(&gone);
        }
        if self.fresh.is_empty() {
            return;
        }
        for (first, last) in self.fresh.runs() {
            view.uids.insert(first, last);
        }
        encode::exists(tx, view.exists());
        if !enabled.imap4rev2 {
            encode::recent(tx, view.recent());
        }
    }
}

/// Takes a list of keywords into the view, and tells what is new in it.
pub(super) fn learn_keywords(view: &mut View, keywords: &Keywords, tx: &mut Outbox) {
    if !view.names.learn(keywords) {
        return;
    }
    let flags = view.names.all();
    encode::mailbox_flags(tx, &flags);
    permanent_flags(view, tx);
}

/// `* OK [PERMANENTFLAGS (…)]`
pub(super) fn permanent_flags(view: &View, tx: &mut Outbox) {
    let (flags, any) = match view.read_only {
        true => (alloc::vec![], false),
        false => (view.names.all(), view.names.takes_more()),
    };
    let words = if view.read_only { "No permanent flags" } else { "Flags permitted" };
    encode::untagged(tx, Condition::Ok, Some(&Code::PermanentFlags { flags, any }), words);
}

/// Tells of a page of messages that are gone. Each number counts once the ones before it are gone (RFC 9051 §7.5.1).
fn expunge(view: &mut View, tx: &mut Outbox) {
    let page = view.gone.page(PAGE);
    for (before, uid) in (0..).zip(page.iter()) {
        if let Some(number) = view.uids.sequence(uid) {
            encode::expunge(tx, number - before);
        }
    }
    view.uids.remove(&page);
}
