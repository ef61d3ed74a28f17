//! The host bindings: one file a machine.

mod smtp_client;

pub use smtp_client::SmtpClient;
mod dns_stream;

pub use dns_stream::DnsStream;
mod smtp_server;

pub use smtp_server::SmtpServer;
