//! The replies in our own words, for what no server said. All that might pass is 4yz, so that nothing is given up for
//! it; a loss of mail by a 5yz of our own would be our fault alone.

use alloc::format;

use crate::line::Fault;
use crate::smtp::{EnhancedStatus, Reply, ReplyError};

const PROTOCOL: EnhancedStatus = EnhancedStatus(4, 5, 0);
const CONNECTION: EnhancedStatus = EnhancedStatus(4, 4, 2);
const SECURITY: EnhancedStatus = EnhancedStatus(4, 7, 4);

/// The connection ended while we waited for `what`.
pub(super) fn lost(what: &str) -> Reply {
    Reply::new(451, Some(CONNECTION), format!("The connection was lost while waiting for {what}"))
}

/// Time ran out while we waited for `what`.
pub(super) fn timeout(what: &str) -> Reply {
    Reply::new(451, Some(CONNECTION), format!("Time ran out while waiting for {what}"))
}

/// The message is out as a whole, and nobody said what became of it (RFC 5321 §6.1, RFC 1047).
pub(super) fn unknown() -> Reply {
    let text = "The whole message was sent, but the reply to it never came: the outcome is unknown";
    Reply::new(451, Some(CONNECTION), text)
}

/// What came while we waited for `what` cannot be read.
pub(super) fn unreadable_reply(what: &str, error: ReplyError) -> Reply {
    Reply::new(451, Some(PROTOCOL), format!("Waited for {what}, and {error}"))
}

/// What came while we waited for `what` makes no sense there.
pub(super) fn unexpected(what: &str, reply: &Reply) -> Reply {
    Reply::new(451, Some(PROTOCOL), format!("Waited for {what}, and the server said: {reply}"))
}

/// Plaintext stood behind the go-ahead to STARTTLS.
pub(super) fn injected() -> Reply {
    Reply::new(451, Some(EnhancedStatus(4, 7, 0)), "The server sent plaintext behind its go-ahead to STARTTLS")
}

/// TLS is required and not offered.
pub(super) fn no_tls() -> Reply {
    Reply::new(454, Some(SECURITY), "TLS is required, and the server does not offer it")
}

/// The password would cross an unencrypted connection.
pub(super) fn cleartext_password() -> Reply {
    Reply::new(454, Some(SECURITY), "The password may not cross a connection without TLS")
}

/// No mechanism in common.
pub(super) fn no_mechanism() -> Reply {
    Reply::new(454, Some(SECURITY), "The server offers neither AUTH PLAIN nor AUTH LOGIN")
}

/// The credentials cannot be said.
pub(super) fn bad_credentials() -> Reply {
    Reply::new(454, Some(SECURITY), "The login name or the password cannot be sent: empty, or NUL in it")
}

/// The host could not read the message, or not in time.
pub(super) fn unreadable_message() -> Reply {
    Reply::new(451, Some(EnhancedStatus(4, 3, 0)), "The message could not be read here")
}

/// The message is none that may be sent.
pub(super) fn bad_message(fault: Fault) -> Reply {
    Reply::new(554, Some(EnhancedStatus(5, 6, 0)), format!("The message holds a {fault}, which may not be sent"))
}

/// The host stops.
pub(super) fn shutdown() -> Reply {
    Reply::new(421, Some(EnhancedStatus(4, 3, 2)), "Shutting down here, before the message was sent")
}

/// The server takes no message this large (RFC 1870 §6.1).
pub(super) fn too_large(size: u64, limit: u64) -> Reply {
    let text = format!("The message has {size} octets, and the server takes {limit} at most");
    Reply::new(552, Some(EnhancedStatus(5, 3, 4)), text)
}

/// The server cannot take the message or address without changing it (RFC 6531 §3.5).
pub(super) fn no_smtputf8() -> Reply {
    Reply::new(550, Some(EnhancedStatus(5, 6, 7)), "SMTPUTF8 is needed, and the server does not offer it")
}
