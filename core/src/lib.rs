#![no_std]
#![forbid(unsafe_code)]
//! The machines of Pillarbox.

extern crate alloc;

pub mod limits;
pub mod outbox;
pub mod secret;
pub mod seed;
pub mod session;
pub mod ticket;
pub mod time;

pub use limits::SessionLimits;
pub use outbox::Outbox;
pub use secret::Secret;
pub use seed::{Random, Seed};
pub use session::{
    Answer, Close, Direction, End, Layer, LayerInfo, SecretSpan, Session, Step, TlsInfo, Wait, WaitingOn,
};
pub use ticket::{Misuse, SessionId, Ticket, Tickets};
pub use time::{Mono, Now, Wall};

pub mod channel;
pub mod control;
#[cfg(feature = "dns")]
pub mod dns;
pub mod line;
pub mod message;
#[cfg(feature = "dns")]
pub mod node;
pub mod ops;
pub mod pop3;
pub mod queue;
pub mod router;
pub mod sasl;
pub mod smtp;
pub mod tls;
