//! A whole mail node as one machine: connections, queue, resolver and router, and the only place where protocols meet
//! the store.
//!
//! The host feeds it ([`Node::accept`], [`Node::input`], bytes through [`Node::conn`] and [`Node::touched`]) and polls it
//! until it says [`NodeStep::Wait`]. What it cannot do itself is a [`NodeAction`].

mod action;
mod config;
mod event;

pub use action::{Accepted, Closed, ConnId, ConnIo, ListenerId, NodeAction, NodeInput, NodeStep};
pub use config::{Cleartext, Config, Delivery, Limits, Protocol, Service, TapSink, TlsMode};
pub use event::{Event, SessionKind};
