//! IMAP: IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051).
//!
//! [`types`] says what commands and responses are about.

pub mod framing;
pub mod grammar;
pub mod reader;
pub mod types;
