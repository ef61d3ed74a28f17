//! The POP3 server machine.

mod action;

pub use action::{Action, AuthenticateAnswer, CommitAnswer, Config, Limits, Message, OpenAnswer, ReadAnswer};
