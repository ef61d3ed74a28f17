//! The host bindings: one file a machine.

mod smtp_client;

pub use smtp_client::SmtpClient;
mod dns_stream;

pub use dns_stream::DnsStream;
