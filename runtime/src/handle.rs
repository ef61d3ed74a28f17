//! Orders to running workers, from any thread: drain, or take a new configuration.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::node::Config;

use crate::Inbox;
use crate::inbox::Order;

/// Gives orders to workers; clones give orders to the same ones.
#[derive(Clone, Debug)]
pub struct Handle {
    inboxes: Arc<[Arc<Inbox>]>,
}

impl Handle {
    /// A handle of the workers that have these inboxes.
    #[must_use]
    pub fn new(inboxes: &[Arc<Inbox>]) -> Self {
        Self { inboxes: inboxes.into() }
    }

    /// Stops the workers: idle sessions are told so at once, the others have `grace`.
    pub fn drain(&self, grace: Duration) {
        self.inboxes.iter().for_each(|inbox| inbox.order(Order::Drain(grace)));
    }

    /// Gives the workers a new configuration.
    pub fn reload(&self, config: &Arc<Config>) {
        self.inboxes.iter().for_each(|inbox| inbox.order(Order::Reload(Arc::clone(config))));
    }
}
