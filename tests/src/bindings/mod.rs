//! The host bindings: one file a machine.

mod control_client;
mod control_server;
mod dns_stream;
mod imap_server;
mod pop3_client;
mod pop3_server;
mod smtp_client;
mod smtp_server;

pub use control_client::ControlClient;
pub use control_server::ControlServer;
pub use dns_stream::DnsStream;
pub use imap_server::ImapServer;
pub use pop3_client::Pop3Client;
pub use pop3_server::Pop3Server;
pub use smtp_client::SmtpClient;
pub use smtp_server::SmtpServer;
