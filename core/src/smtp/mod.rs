//! SMTP (RFC 5321): what both ends share, the server machine and the client machine.

mod address;
pub mod command;
mod extensions;
mod reply;
mod reply_parser;

pub mod client;
pub mod server;

pub use address::{Address, AddressError, Domain, MAX_ADDRESS, MAX_DOMAIN, MAX_LOCAL, Path};
pub use extensions::{Extensions, Keyword, Mechanisms, Size};
pub use reply::{EnhancedStatus, Reply};
pub use reply_parser::{ReplyBounds, ReplyError, ReplyParser};
