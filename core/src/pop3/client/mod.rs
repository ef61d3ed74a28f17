//! The POP3 client machine.

mod action;

pub use action::{Action, Command, Config, Failure, Limits, Outcome, Taken, Tls};
