//! IDLE (RFC 2177, RFC 9051 §6.3.13): changes are told as they are heard of, until the client says `DONE`.

use super::reply::Completion;
use super::sync::Sync;
use super::task::{Cx, Progress};
use crate::imap::reader::{Exchange, Input};
use crate::mailbox::Response;
use crate::mark;

/// An IDLE under way.
#[derive(Debug, Default)]
pub(super) struct Idle {
    begun: bool,
    sync: Option<Sync>,
}

impl Idle {
    pub(super) fn turn(&mut self, cx: &mut Cx<'_>, answer: Option<Response>) -> Progress {
        if !self.begun {
            self.begun = true;
            cx.reader.exchange(Exchange::Idle);
            crate::imap::encode::continuation(cx.tx, "idling");
        }
        if let Some(sync) = &mut self.sync {
            let progress = sync.turn(cx, answer);
            if !matches!(progress, Progress::Synced) {
                return progress;
            }
            self.sync = None;
        }
        if cx.view.as_ref().is_some_and(|view| Sync::is_due(view, true)) {
            self.sync = Some(Sync::new(true, false));
            return Progress::Again;
        }
        if cx.tx.is_full() {
            return Progress::Full;
        }
        match cx.reader.next(cx.rx, cx.config.limits.session.chunk) {
            Some(Input::Line(line)) if line.eq_ignore_ascii_case(b"DONE") => Progress::Done(Completion::OK),
            Some(_) => mark!(ImapNotDone, Progress::Done(Completion::bad("Expected DONE"))),
            None => Progress::Peer { until: None },
        }
    }
}
