//! The SMTP client machine.

mod action;

pub use action::{Action, BodyAnswer, Config, Envelope, Limits, Next, Outcome, Tls};
