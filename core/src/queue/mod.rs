//! The queue: what is due, how often, and when it is given up.

mod config;
mod step;

pub use config::{Config, Limits};
pub use step::{AttemptEnd, AttemptId, Event, Failure, QuestionId, QueueStep, RowResult, Said};
