//! POP3 (RFC 1939): the server machine and the client machine.

pub mod client;
pub mod command;
pub mod server;
