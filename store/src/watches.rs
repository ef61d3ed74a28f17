//! Who wants to hear of changes of which mailbox: nodes, known by their sinks, for as long as they live.

use std::collections::BTreeMap;
use std::sync::Arc;

use pillarbox_core::mailbox::ModSeq;
use pillarbox_core::ops::{MailboxId, Notice, Sink};

use crate::holder::{Hints, Holder};

/// The mailboxes that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_mailbox: BTreeMap<MailboxId, Vec<Holder>>,
    /// At so many mailboxes those of nodes that are gone are looked for.
    sweep_at: usize,
}

impl Watches {
    /// Mailboxes that may be watched before anybody looks for nodes that are gone.
    const SWEEP: usize = 1_000;

    /// From now on this node hears of the mailbox.
    pub(crate) fn add(&mut self, mailbox: MailboxId, sink: &Arc<dyn Sink>) {
        let holders = self.by_mailbox.entry(mailbox).or_default();
        if !holders.iter().any(|holder| holder.is(sink)) {
            holders.push(Holder::new(sink));
        }
        if self.by_mailbox.len() > self.sweep_at.max(Self::SWEEP) {
            self.retain(|holder| !holder.is_gone());
            self.sweep_at = 2 * self.by_mailbox.len();
        }
    }

    /// No longer.
    pub(crate) fn remove(&mut self, mailbox: MailboxId, sink: &Arc<dyn Sink>) {
        let Some(holders) = self.by_mailbox.get_mut(&mailbox) else { return };
        holders.retain(|holder| !holder.is(sink));
        if holders.is_empty() {
            self.by_mailbox.remove(&mailbox);
        }
    }

    /// Notes for each who watches one of these mailboxes up to where it has changed.
    pub(crate) fn hint(&self, changed: &BTreeMap<MailboxId, ModSeq>, hints: &mut Hints) {
        for (mailbox, modseq) in changed {
            for holder in self.by_mailbox.get(mailbox).into_iter().flatten() {
                hints.add(holder, Notice::Mailbox { mailbox: *mailbox, modseq: *modseq });
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(&Holder) -> bool) {
        self.by_mailbox.retain(|_, holders| {
            holders.retain(&keep);
            !holders.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use pillarbox_core::ops::{Id, StoreReply, Token};

    use super::*;

    struct Deaf;

    impl Sink for Deaf {
        fn complete(&self, _: Token, _: StoreReply) {}
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten() {
        let mut watches = Watches::default();
        let [gone, there]: [Arc<dyn Sink>; 2] = [Arc::new(Deaf), Arc::new(Deaf)];
        let mailbox = |counter| MailboxId(Id { epoch: 1, counter });
        (0..Watches::SWEEP as u64).for_each(|counter| watches.add(mailbox(counter), &gone));
        drop(gone);
        watches.add(mailbox(7), &there);
        assert_eq!(watches.by_mailbox.len(), Watches::SWEEP);
        watches.add(mailbox(u64::MAX), &there);
        assert_eq!(watches.by_mailbox.len(), 2);
        watches.remove(mailbox(7), &there);
        watches.remove(mailbox(8), &there);
        assert_eq!(watches.by_mailbox.len(), 1);
    }
}
