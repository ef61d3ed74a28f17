//! Who holds something in the store's memory, and what it is to hear: a node, known by its sink. It holds nothing longer
//! than it lives.

use std::sync::{Arc, Weak};

use pillarbox_core::ops::{Notice, Notices, Sink};

/// A node that holds a lease or a lock. It is not kept alive by that.
#[derive(Clone, Debug)]
pub(crate) struct Holder(Weak<dyn Sink>);

impl Holder {
    pub(crate) fn new(sink: &Arc<dyn Sink>) -> Self {
        Self(Arc::downgrade(sink))
    }

    /// It has dropped its sink, and no op of it is under way.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// It is this node.
    pub(crate) fn is(&self, sink: &Arc<dyn Sink>) -> bool {
        std::ptr::addr_eq(self.0.as_ptr(), Arc::as_ptr(sink))
    }
}

/// What nodes are to hear once a change is on disk.
#[derive(Debug, Default)]
pub(crate) struct Hints(Vec<(Holder, Notices)>);

impl Hints {
    pub(crate) fn add(&mut self, holder: &Holder, notice: Notice) {
        // There are as many holders as there are nodes.
        let known = self.0.iter_mut().find(|(known, _)| known.0.ptr_eq(&holder.0));
        if let Some((_, notices)) = known {
            notices.add(notice);
        } else {
            let mut notices = Notices::default();
            notices.add(notice);
            self.0.push((holder.clone(), notices));
        }
    }

    pub(crate) fn absorb(&mut self, other: Self) {
        for (holder, mut notices) in other.0 {
            while let Some(notice) = notices.pop() {
                self.add(&holder, notice);
            }
        }
    }

    /// Tells them. Whoever is gone hears nothing.
    pub(crate) fn tell(self) {
        for (holder, mut notices) in self.0 {
            let Some(sink) = holder.0.upgrade() else { continue };
            while let Some(notice) = notices.pop() {
                sink.notice(notice);
            }
        }
    }
}
