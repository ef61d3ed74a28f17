//! Mail protocols as pure state machines: bytes go in, actions come out, and nothing in here can touch a socket, a clock, a
//! file or a source of randomness.
//!
//! The crate is `no_std`, so the compiler proves it: what cannot be named cannot be used. Time comes with each call as
//! [`Now`], randomness once as a [`Seed`], and what must be looked up or stored is asked of the host. So the machine that
//! runs in production is the very object that a test drives with a virtual clock.
//!
//! # Two verbs
//!
//! A machine is a [`Session`]. The host appends what it read to `rx`, writes out what is in `tx`, and calls
//! [`poll`](Session::poll) until it says [`Step::Wait`], [`Step::More`] or [`Step::Done`]. An action that is a question
//! carries a [`Ticket`]; the host answers it by [`Answer::answer`] whenever it can, and polls again.
//!
//! ```
//! use bytes::BytesMut;
//! use pillarbox_core::session::{Answer, Close, End, Session, Step};
//! use pillarbox_core::smtp::server::{Action, ChunkAnswer, CommitAnswer, Config, Peer, RecipientAnswer, Server, Service};
//! use pillarbox_core::{Misuse, Now, Outbox, SessionId};
//!
//! /// Runs a session over everything the client will ever say.
//! fn converse(mut server: Server, client: &str) -> Result<(End, Outbox), Misuse> {
//!     let (mut rx, mut tx) = (BytesMut::from(client), Outbox::new(64 * 1024));
//!     loop {
//!         match server.poll(Now::default(), &mut rx, &mut tx) {
//!             Step::Act(Action::Recipient { ticket, .. }) => server.answer(ticket, RecipientAnswer::Accepted)?,
//!             Step::Act(Action::Chunk { ticket, .. }) => server.answer(ticket, ChunkAnswer::Taken)?,
//!             Step::Act(Action::Commit { ticket, .. }) => {
//!                 server.answer(ticket, CommitAnswer::Committed { text: "thank you".into() })?;
//!             }
//!             Step::Act(_) | Step::More => {}
//!             Step::Upgrade(_) => server.close(Close::Layer),
//!             Step::Wait(_) => server.close(Close::Eof),
//!             Step::Done(end) => return Ok((end, tx)),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Misuse> {
//! let config = Config::new("mx.example.org", Service::Transfer).into();
//! let peer = Peer { address: ([192, 0, 2, 7], 4242).into() };
//! let (end, said) = converse(Server::new(SessionId(1), config, peer), "QUIT\r\n")?;
//! assert_eq!(end, End::Quit);
//! assert!(said.slices().next().is_some_and(|bytes| bytes.starts_with(b"220 mx.example.org ")));
//! # Ok(())
//! # }
//! ```
//!
//! Over a network a session goes into a [`Channel`](channel::Channel), which brings TLS and drives it; your side is a loop
//! around [`Channel::poll`](channel::Channel::poll). `docs/bring-your-own-runtime.md` in the repository tells how to write
//! one, what can go wrong with it, and how to run a whole [`node`] on an event loop of your own; `core/examples` has the
//! loop on threads and on three executors.
//!
//! # The laws
//!
//! Every session keeps them, and a property test of each runs over every dialogue of its protocol.
//!
//! 1. **Drain.** `Wait` is stable: polled again with nothing new, a machine says the same, at once.
//! 2. **Honest deadline.** Without input, polling at `until` makes progress; before it, none.
//! 3. **Split invariance.** However the bytes are cut, the same bytes and the same actions come out.
//! 4. **One question, one answer.** In any order; replies leave in the order of the commands.
//! 5. **Bounded.** Lines, questions, buffers, steps and memory, each by a named limit.
//! 6. **Pure.** The same inputs give the same trace, bit for bit.
//! 7. **Total.** No input panics. A peer's fault is a reply and a counter, never an error of ours. After `Done`, always
//!    `Done`.
//!
//! # A map
//!
//! | | |
//! |---|---|
//! | [`session`], [`ticket`], [`outbox`], [`time`], [`seed`], [`limits`], [`secret`] | the contract |
//! | [`line`](mod@line), [`message`], [`sasl`], [`tls`] | what protocols share |
//! | [`smtp`], [`pop3`] | the protocols: a server machine and a client machine each |
//! | [`imap`], [`mailbox`] | IMAP: its grammar, and a server machine in the making; what a mailbox is |
//! | [`channel`] | one connection: a session, with TLS under it where there is any |
//! | [`dns`], [`router`], [`queue`] | where mail goes, and when |
//! | [`ops`] | what a node asks of a store, as plain data |
//! | [`control`] | what the command line asks of a running server |
//! | [`marks`], [`planted`] | what tests of the machines want to know, and what tests of these tests put wrong |
//! | [`node`] | all of it as one machine: the only place where protocols meet the store |

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod channel;
pub mod control;
#[cfg(feature = "dns")]
pub mod dns;
pub mod imap;
pub mod limits;
pub mod line;
pub mod mailbox;
pub mod marks;
pub mod message;
#[cfg(feature = "dns")]
pub mod node;
pub mod ops;
pub mod outbox;
mod pace;
pub mod planted;
pub mod pop3;
pub mod queue;
pub mod router;
pub mod sasl;
pub mod secret;
pub mod seed;
pub mod session;
mod show;
pub mod smtp;
pub mod ticket;
pub mod time;
pub mod tls;

pub use limits::SessionLimits;
pub use outbox::Outbox;
pub use secret::Secret;
pub use seed::{Random, Seed};
pub use session::{
    Answer, Close, Direction, End, Layer, LayerInfo, SecretSpan, Session, Step, TlsInfo, Wait, WaitingOn,
};
pub use ticket::{Misuse, SessionId, Ticket, Tickets};
pub use time::{Mono, Now, Wall};

/// The code in the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
