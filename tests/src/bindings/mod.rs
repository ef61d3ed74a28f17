//! The host bindings: one file a machine.

mod smtp_client;

pub use smtp_client::SmtpClient;
