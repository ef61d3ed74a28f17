//! The envelope of a message: the fields of its header that mail readers list (RFC 9051 §7.5.2).

use alloc::vec::Vec;

use bytes::Bytes;

/// `envelope`. Texts stand here as they stand in the header, unfolded, with encoded words left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `Date`
    pub date: Option<Bytes>,
    /// `Subject`
    pub subject: Option<Bytes>,
    /// `From`
    pub from: Vec<Address>,
    /// `Sender`; `From`, when there is none (whoever fills this in sees to it).
    pub sender: Vec<Address>,
    /// `Reply-To`; `From`, when there is none.
    pub reply_to: Vec<Address>,
    /// `To`
    pub to: Vec<Address>,
    /// `Cc`
    pub cc: Vec<Address>,
    /// `Bcc`
    pub bcc: Vec<Address>,
    /// `In-Reply-To`
    pub in_reply_to: Option<Bytes>,
    /// `Message-ID`
    pub message_id: Option<Bytes>,
}

/// `address`. One without a host begins a group, when it has a mailbox (the group's name), and else ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The phrase in front of the address.
    pub name: Option<Bytes>,
    /// The source route, which nobody writes any more.
    pub route: Option<Bytes>,
    /// The local part.
    pub mailbox: Option<Bytes>,
    /// The domain.
    pub host: Option<Bytes>,
}
