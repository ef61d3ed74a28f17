//! The SMTP server machine (RFC 5321), for transfer between servers and for submission (RFC 6409).
//!
//! ```text
//!                      ┌── AUTH ──► Auth ◄─┐334        ┌─ Step::Upgrade(Tls) ─► Upgrading
//!                      │             │ └───┘           │                           │ upgraded()
//!                      │       credentials             │                           │ forgets all
//!                      │             ▼                 │ STARTTLS                  ▼
//!  Start ──220──► Command ◄── Authenticating       Command ◄───────────────── Command
//!                  │   ▲ ▲      (the host answers)
//!        DATA 354  │   │ └──────────────── refused: its reply, at the message's true end ◄──┐
//!        ┌─────────┤   └── 250 of a BDAT that is not the last ◄──┐                          │
//!        ▼         ▼ BDAT                                        │                          │
//!       Data     Chunk ──────────────────────────────────────────┘                          │
//!        │         │ LAST                                                                   │
//!        └────┬────┘                                                                        │
//!             ▼                                                                             │
//!         Finishing ── all chunks answered ──► Committing ── 250, or the host's refusal ────┤
//!             └── spoilt: bare CR, LF, NUL; too big; a loop; a chunk refused ───────────────┘
//! ```
//!
//! Each state ends in `Done` by QUIT, by the peer's EOF, by a time limit (421), by the host's shutdown (421, at a
//! command boundary), or when a bound is passed (421, 554).
//!
//! | time limit (`Limits`) | of | ended by |
//! |---|---|---|
//! | `command_timeout` | one wait for a command | a whole line |
//! | `login_timeout` | greeting to login, on submission | 235 |
//! | `message_gap` | greeting or end of a message to the next one | 354, BDAT |
//! | `data_timeout` | one wait for octets of a message; for room in `tx` | an octet |
//! | `data_grace`, `data_rate` | all waits for one message together | its end |
//! | `overrun`, in octets | a message that is refused already | its end |
//! | `answer_timeout` | the host's answer about a recipient or a login | 451, 454 |
//! | `commit_timeout` | the host's answer to a chunk or a commit | no word: [`End::Unconfirmed`](crate::End::Unconfirmed) |
//!
//! # What is allowed when
//!
//! | command | wants | else | and then |
//! |---|---|---|---|
//! | EHLO, HELO | | | the transaction is dropped |
//! | STARTTLS | offered, no TLS yet, not authenticated, nothing behind it in the buffer | 502, 503, 503, 501 | Upgrading |
//! | AUTH | submission, EHLO, not authenticated, no transaction, a known mechanism, TLS or `cleartext_auth` | 502, 503, 503, 503, 504, 538 | Auth |
//! | MAIL | EHLO or HELO, on submission AUTH, no transaction, SIZE within bounds | 503, 530, 503, 552 | a transaction |
//! | RCPT | a transaction without BDAT, room for it | 503, 452 | asked of the host |
//! | DATA | a transaction without BDAT, a recipient | 503, 554 | Data |
//! | BDAT | a transaction, a recipient, room for it | 503, 554, 552 once its octets are read | Chunk |
//! | RSET | | | the transaction is dropped |
//! | NOOP, HELP, VRFY, QUIT | | | |
//!
//! A client may pipeline (RFC 2920). RCPTs are asked of the host at the same time, up to `Limits::questions`, and their
//! replies leave in order; any other command waits until they have left.
//!
//! # RFCs
//!
//! | RFC | | |
//! |---|---|---|
//! | 5321 | SMTP | all but: EXPN, TURN, SEND, SOML, SAML (502); VRFY says 252; source routes are dropped |
//! | 1870 | SIZE | the declared size at MAIL, the real one while it arrives |
//! | 2034, 5248 | ENHANCEDSTATUSCODES | |
//! | 2920 | PIPELINING | |
//! | 3030 | CHUNKING | BDAT; not BINARYMIME (555): what we store has lines |
//! | 3207 | STARTTLS | refused after AUTH; bytes behind it mean that it does not happen |
//! | 3848 | protocol names in Received | |
//! | 4954 | AUTH | PLAIN and LOGIN; submission only; `AUTH=` of MAIL is read and ignored |
//! | 6152 | 8BITMIME | |
//! | 6409 | submission | AUTH required; missing Date and Message-ID are added |
//! | 6531 | SMTPUTF8 | addresses, Received; replies stay ASCII |
//! | 3461 | DSN | not offered: its parameters are told 555 |
//!
//! Only `CRLF . CRLF` ends DATA. A message with a bare CR, a bare LF or a NUL is read to that end, stored nowhere, and
//! refused; by BDAT likewise. Whoever relays to us with another idea of line ends cannot smuggle a second message.
//!
//! The machine has no opinion about whose recipient somebody is: it asks, and relaying is refused by the answer.
//!
//! # Driving it
//!
//! All it needs is a loop. This one has no socket and no clock: the bytes are a string, and the time stands still. The
//! examples `sink_*` are the same with both, on plain threads and on several runtimes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::BytesMut;
//! use pillarbox_core::session::{Answer, Close, End, Session, Step};
//! use pillarbox_core::smtp::server::{
//!     Action, ChunkAnswer, CommitAnswer, Config, Peer, RecipientAnswer, Server, Service,
//! };
//! use pillarbox_core::{Misuse, Now, Outbox, SessionId};
//!
//! # fn main() -> Result<(), Misuse> {
//! let config = Arc::new(Config::new("mx.example.org", Service::Transfer));
//! let peer = Peer { address: ([192, 0, 2, 7], 4242).into() };
//! let mut server = Server::new(SessionId(1), config, peer);
//!
//! let mut rx = BytesMut::from(
//!     "EHLO client.example\r\nMAIL FROM:<alice@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n\
//!      Subject: Hello\r\n\r\n..and goodbye\r\n.\r\nQUIT\r\n",
//! );
//! let mut tx = Outbox::new(64 * 1024);
//! let mut mail = Vec::new();
//! let end = loop {
//!     match server.poll(Now::default(), &mut rx, &mut tx) {
//!         Step::Act(Action::Recipient { ticket, recipient, .. }) => {
//!             assert_eq!(recipient.local(), "bob");
//!             server.answer(ticket, RecipientAnswer::Accepted)?;
//!         }
//!         Step::Act(Action::Chunk { ticket, bytes, .. }) => {
//!             mail.extend_from_slice(&bytes);
//!             server.answer(ticket, ChunkAnswer::Taken)?;
//!         }
//!         Step::Act(Action::Commit { ticket, transaction }) => {
//!             // Here it would go to the disk, behind `transaction.trace`.
//!             assert_eq!(transaction.size, mail.len() as u64);
//!             server.answer(ticket, CommitAnswer::Committed { text: "taken".into() })?;
//!         }
//!         Step::Act(Action::Abort(_)) => mail.clear(),
//!         Step::Act(Action::Authenticate { .. } | Action::Refused { .. }) | Step::More => {}
//!         Step::Upgrade(_) => server.close(Close::Layer), // no STARTTLS here
//!         // A host with a socket writes `tx`, and reads until `wait.until`; ours has nothing more to say.
//!         Step::Wait(_wait) => server.close(Close::Eof),
//!         Step::Done(end) => break end,
//!     }
//! };
//! assert_eq!(end, End::Quit);
//! assert_eq!(mail, b"Subject: Hello\r\n\r\n.and goodbye\r\n");
//! let said: Vec<u8> = tx.slices().flatten().copied().collect();
//! assert!(said.ends_with(b"250 2.0.0 taken\r\n221 2.0.0 Bye\r\n"));
//! # Ok(())
//! # }
//! ```

mod action;
mod body;
mod commands;
mod machine;
mod replies;
mod trace;

pub use action::{
    Action, AuthenticateAnswer, ChunkAnswer, ClientInfo, CommitAnswer, Config, Limits, Peer, RecipientAnswer, Service,
    Transaction, TransactionId,
};
pub use machine::Server;
