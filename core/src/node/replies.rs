//! What a node has its SMTP sessions say: one line for each reason.

use crate::ops::StoreError;
use crate::smtp::{EnhancedStatus, Reply};

/// A reply in our words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words(u16, EnhancedStatus, &'static str);

impl Words {
    pub(super) fn reply(self) -> Reply {
        Reply::new(self.0, Some(self.1), self.2)
    }
}

const fn words(code: u16, status: EnhancedStatus, text: &'static str) -> Words {
    Words(code, status, text)
}

pub(super) const UNKNOWN_USER: Words = words(550, EnhancedStatus(5, 1, 1), "No such user here");
pub(super) const TOO_MANY_TARGETS: Words = words(550, EnhancedStatus(5, 4, 6), "This alias expands without end");
pub(super) const STORE_FULL: Words = words(452, EnhancedStatus(4, 3, 1), "No room for mail just now; try again later");
pub(super) const STORE_TROUBLE: Words =
    words(451, EnhancedStatus(4, 3, 0), "Mail cannot be stored just now; try again later");
pub(super) const STORE_BUSY: Words = words(451, EnhancedStatus(4, 3, 2), "Too busy just now; try again later");

pub(super) const NULL_MX: Words = words(556, EnhancedStatus(5, 1, 10), "The domain accepts no mail (null MX)");
pub(super) const NO_DOMAIN: Words = words(550, EnhancedStatus(5, 1, 2), "The domain does not exist");
pub(super) const NO_ADDRESS: Words = words(550, EnhancedStatus(5, 4, 4), "The domain has no host that takes mail");
pub(super) const NO_ADDRESS_NOW: Words =
    words(451, EnhancedStatus(4, 4, 3), "No mail exchanger's address is known just now");
pub(super) const MX_LOOP: Words =
    words(550, EnhancedStatus(5, 4, 6), "The domain's mail exchanger is this host, which does not serve it");
pub(super) const BAD_ROUTE: Words = words(451, EnhancedStatus(4, 3, 5), "The configured route is not a host and port");
pub(super) const ROUTE_UNKNOWN: Words =
    words(451, EnhancedStatus(4, 3, 5), "The host of the configured route has no address");
pub(super) const NO_CONNECTION: Words = words(451, EnhancedStatus(4, 4, 1), "No connection to any mail exchanger");

/// What a peer is told of a store's failure.
pub(super) fn of_store(error: StoreError) -> Reply {
    match error {
        StoreError::Full => STORE_FULL.reply(),
        StoreError::Stopped | StoreError::Unknown | StoreError::Unreadable => STORE_TROUBLE.reply(),
    }
}
