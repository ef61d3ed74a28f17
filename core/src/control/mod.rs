//! The control protocol: what the command line asks of a running server, over a socket that only its owner can reach.
//!
//! One line asks, one or more lines answer. Words are separated by a space; what is not a plain printable character is
//! written as `%XX`, so that no word can pass for two, or for a line.
//!
//! ```text
//! C: account-add alice@example.org correct%20horse
//! S: done
//! C: queue-list 2-0
//! S: row 2-7 1-3 alice@example.org carol@birch.example mx:birch.example 2048 8 … 451%204.4.1%20No%20connection
//! S: rows
//! ```
//!
//! | request | answer |
//! |---|---|
//! | `account-add ADDRESS PASSWORD`, `account-passwd …` | `done`, `exists`, `not-found` |
//! | `account-remove ADDRESS`, `alias-remove ALIAS` | `done`, `not-found` |
//! | `alias-set ALIAS TARGET…` | `done`, `exists` |
//! | `account-list [AFTER]` | `account ADDRESS`…, `accounts` |
//! | `alias-list [AFTER]` | `alias ALIAS TARGET…`…, `aliases` |
//! | `queue-list [AFTER]`, `queue-show ID…` | `row …`…, `rows` |
//! | `queue-retry ID…`, `queue-remove ID…` | `changed N` |
//! | any | `failed full`, `failed stopped`, …: the store could not; `bad`: the request was not understood |
//!
//! Lists come a page at a time: `AFTER` is the last item of the page before, and an empty page is the end. The requests
//! are [`StoreOp`](crate::ops::StoreOp)s, the answers [`StoreReply`](crate::ops::StoreReply)s: a command line that finds no
//! server running puts the same op to the store itself.
//!
//! ```text
//!            line                answer                      request            end of answer
//!  Server: [Idle] ──▶ [Asked] ──────────▶ [Idle]    Client: [Start] ──▶ [Reading] ──────▶ Done
//!             │ 60 s, goodbye      │ 60 s without one                       │ close, 60 s
//!             ▼                    ▼                                        ▼
//!           Done          Done(Unconfirmed)                               Done
//! ```

mod client;
mod request;
mod response;
mod server;
mod word;

pub use client::{Answered, Client};
pub use server::{Action, Server};

/// Rows, accounts or aliases in one page.
pub const PAGE: usize = 100;

/// Octets of a line with its CRLF at most, either way: a row with two longest addresses and a longest reply, each octet
/// of them written as three, is shorter, and so is an alias with its hundred targets of common length.
pub const LINE: usize = 128 * 1024;
