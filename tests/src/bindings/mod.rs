//! The host bindings: one file a machine.

mod control_client;
mod control_server;
mod dns_stream;
mod smtp_client;
mod smtp_server;

pub use control_client::ControlClient;
pub use control_server::ControlServer;
pub use dns_stream::DnsStream;
pub use smtp_client::SmtpClient;
pub use smtp_server::SmtpServer;
