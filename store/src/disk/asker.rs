//! Who is owed an answer. Nobody waits in vain: an op whose thread panicked is answered as it is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pillarbox_core::ops::{Sink, StoreError, StoreReply, Token};

/// The sink that waits for the reply to one op that was taken.
pub(super) struct Asker {
    sink: Arc<dyn Sink>,
    token: Token,
    /// What it hears if nobody comes to answer; `None` once it needs no answer.
    otherwise: Option<StoreError>,
}

impl Asker {
    pub(super) fn new(sink: &Arc<dyn Sink>, token: Token, otherwise: StoreError) -> Self {
        Self { sink: Arc::clone(sink), token, otherwise: Some(otherwise) }
    }

    /// The reply.
    pub(super) fn answer(mut self, reply: StoreReply) {
        self.otherwise = None;
        self.sink.complete(self.token, reply);
    }

    /// The op was not taken after all.
    pub(super) fn withdraw(mut self) {
        self.otherwise = None;
    }

    /// Both ask for the same node.
    pub(super) fn is_of(&self, sink: &Arc<dyn Sink>) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.sink), Arc::as_ptr(sink))
    }

    /// The node's sink.
    pub(super) fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(error) = self.otherwise.take() {
            self.sink.complete(self.token, StoreReply::Failed(error));
        }
    }
}

/// Does one job of a thread that goes on with the next one if this one panics.
pub(super) fn survive(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a thread of the store panicked, and goes on: please report this");
    }
}
