//! What the server says, word by word (RFC 5321 §4.2, codes of RFC 3463 and RFC 5248).

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use crate::line::Fault;
use crate::mark;
use crate::outbox::Outbox;
use crate::smtp::address::AddressError;
use crate::smtp::command::CommandError;
use crate::smtp::reply::{EnhancedStatus, Reply};

macro_rules! replies {
    ($($name:ident = $code:literal ($class:literal, $subject:literal, $detail:literal) $text:literal;)*) => {
        $(pub(super) const $name: Reply = Reply::fixed($code, EnhancedStatus($class, $subject, $detail), $text);)*
    };
}

replies! {
    OK = 250 (2, 0, 0) "Ok";
    HELP = 214 (2, 0, 0) "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS AUTH (RFC 5321)";
    BYE = 221 (2, 0, 0) "Bye";
    READY_FOR_TLS = 220 (2, 0, 0) "Ready to start TLS";
    AUTHENTICATED = 235 (2, 7, 0) "Authentication successful";
    CANNOT_VERIFY = 252 (2, 5, 0) "Cannot verify, but send some mail and it will be tried";
    SENDER_OK = 250 (2, 1, 0) "Ok";
    RECIPIENT_OK = 250 (2, 1, 5) "Ok";

    SHUTDOWN = 421 (4, 3, 2) "Service shutting down";
    TURNED_AWAY = 421 (4, 3, 2) "Too many connections, or about to stop; try again later";
    IDLE = 421 (4, 4, 2) "Timeout waiting for the client";
    TOO_MANY_BAD = 421 (4, 7, 0) "Too many bad commands";
    TOO_MANY_LOGINS = 421 (4, 7, 0) "Too many failed logins";
    TOO_MANY_MESSAGES = 421 (4, 7, 0) "Too many messages in one session; connect again";
    HOST_SILENT = 451 (4, 3, 0) "Temporarily unavailable; try again later";
    TOO_MANY_RECIPIENTS = 452 (4, 5, 3) "Too many recipients in one transaction";
    AUTH_UNAVAILABLE = 454 (4, 7, 0) "Temporary authentication failure";

    LINE_TOO_LONG = 500 (5, 5, 2) "Line too long";
    AUTH_LINE_TOO_LONG = 500 (5, 5, 6) "Authentication exchange line too long";
    AUTH_CANCELLED = 501 (5, 7, 0) "Authentication cancelled";
    AUTH_MALFORMED = 501 (5, 5, 2) "Malformed authentication response";
    STARTTLS_NOT_ALONE = 501 (5, 5, 4) "Nothing may follow STARTTLS before the reply to it; no TLS";
    NO_STARTTLS = 502 (5, 5, 1) "STARTTLS is not offered here";
    TLS_IS_UP = 503 (5, 5, 1) "TLS is up already";
    TLS_AFTER_AUTH = 503 (5, 5, 1) "STARTTLS comes before AUTH";
    NO_AUTH = 502 (5, 5, 1) "AUTH is not offered here";
    IS_AUTHENTICATED = 503 (5, 5, 1) "Authenticated already";
    AUTH_IN_TRANSACTION = 503 (5, 5, 1) "AUTH is not allowed during a mail transaction";
    EHLO_FIRST = 503 (5, 5, 1) "EHLO or HELO first";
    MAIL_FIRST = 503 (5, 5, 1) "MAIL first";
    NESTED_MAIL = 503 (5, 5, 1) "A mail transaction is open already";
    BDAT_BEGUN = 503 (5, 5, 1) "The message has begun with BDAT and goes on with it";
    NO_MECHANISM = 504 (5, 5, 4) "Unknown authentication mechanism";
    AUTH_REQUIRED = 530 (5, 7, 0) "Authentication required";
    BAD_CREDENTIALS = 535 (5, 7, 8) "Authentication credentials invalid";
    TLS_REQUIRED = 538 (5, 7, 11) "Encryption required for authentication";
    REVERSE_NOT_ASCII = 550 (5, 6, 7) "Non-ASCII address without SMTPUTF8";
    FORWARD_NOT_ASCII = 553 (5, 6, 7) "Non-ASCII address without SMTPUTF8";
    TOO_BIG = 552 (5, 3, 4) "Message larger than this server takes";
    HEADER_TOO_BIG = 552 (5, 3, 4) "Header section larger than this server takes";
    NO_RECIPIENTS = 554 (5, 5, 1) "No valid recipients";
    LOOP = 554 (5, 4, 6) "Too many Received fields: the message is in a loop";
    BARE_CR = 554 (5, 6, 0) "Message refused: it holds a bare CR; lines end with CRLF";
    BARE_LF = 554 (5, 6, 0) "Message refused: it holds a bare LF; lines end with CRLF";
    NUL = 554 (5, 6, 0) "Message refused: it holds a NUL";
    NOT_SMTP = 554 (5, 5, 1) "This is an SMTP server; goodbye";
}

/// To a message in which `fault` was found.
pub(super) fn bad_body(fault: Fault) -> Reply {
    mark!(SmtpBadBody);
    match fault {
        Fault::BareCr => BARE_CR,
        Fault::BareLf => BARE_LF,
        Fault::Nul => NUL,
    }
}

/// To a line that holds `fault`.
pub(super) fn bad_line(fault: Fault) -> Reply {
    let text = match fault {
        Fault::BareCr => "Bare CR in a command; lines end with CRLF",
        Fault::BareLf => "Bare LF in a command; lines end with CRLF",
        Fault::Nul => "NUL in a command",
    };
    Reply::fixed(500, EnhancedStatus(5, 5, 2), text)
}

/// To a line that is no command.
pub(super) fn bad_command(error: CommandError) -> Reply {
    let fixed = |code, detail, text| Reply::fixed(code, EnhancedStatus(5, 5, detail), text);
    match error {
        CommandError::Unknown => fixed(500, 1, "Unknown command"),
        CommandError::NotImplemented => fixed(502, 1, "Command not implemented"),
        CommandError::WrongProtocol => NOT_SMTP,
        CommandError::NotUtf8 => fixed(500, 2, "Neither ASCII nor UTF-8"),
        CommandError::Syntax(syntax) => Reply::new(501, Some(EnhancedStatus(5, 5, 4)), format!("Syntax: {syntax}")),
        CommandError::Name => fixed(501, 4, "Neither a domain nor an address literal"),
        CommandError::ReversePath(error) => bad_path(EnhancedStatus(5, 1, 7), error),
        CommandError::ForwardPath(error) => bad_path(EnhancedStatus(5, 1, 3), error),
        CommandError::Parameter(what) => {
            Reply::new(501, Some(EnhancedStatus(5, 5, 4)), format!("Malformed parameter: {what}"))
        }
        CommandError::UnknownParameter => fixed(555, 4, "Parameter not supported"),
        CommandError::ChunkSize => fixed(501, 4, "Malformed BDAT: where its octets end is unknown; goodbye"),
    }
}

fn bad_path(status: EnhancedStatus, error: AddressError) -> Reply {
    Reply::new(501, Some(status), format!("Malformed address: {error}"))
}

/// The message is on disk.
pub(super) fn committed(text: String) -> Reply {
    Reply::new(250, Some(EnhancedStatus(2, 0, 0)), text)
}

/// What the host wants said when it refuses. A reply that does not refuse would promise what nobody keeps.
pub(super) fn refusal(reply: Reply) -> Reply {
    if reply.is_transient() || reply.is_permanent() { reply } else { HOST_SILENT }
}

/// Appends one reply of one line of at most 512 octets (RFC 5321 §4.5.3.1.5). Texts are ASCII: what is not becomes `?`,
/// since the client may not have asked for SMTPUTF8 (RFC 6531 §3.7.4.1).
pub(super) fn say(reply: &Reply, tx: &mut Outbox) {
    // Writing to an outbox cannot fail.
    let _ = write!(tx, "{}", reply.code());
    if let Some(status) = reply.status() {
        let _ = write!(tx, " {status}");
    }
    tx.put(b" ");
    let text = reply.text();
    if text.is_ascii() && text.len() <= LONGEST_TEXT {
        tx.put(text.as_bytes());
    } else {
        for c in text.chars().take(LONGEST_TEXT) {
            tx.put(&[u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?')]);
        }
    }
    tx.put(b"\r\n");
}

/// Octets of a text at most, so that with codes and CRLF it stays below 512.
const LONGEST_TEXT: usize = 480;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_reply_is_one_short_line_of_ascii() {
        let mut tx = Outbox::new(1);
        say(&Reply::new(550, None, "gr\u{fc}n\r\nX".repeat(200)), &mut tx);
        let line = String::from_utf8(tx.slices().flatten().copied().collect::<Vec<u8>>()).unwrap();
        assert!(line.len() <= 512 && line.starts_with("550 gr?n  Xgr?n") && line.ends_with("\r\n"));
        assert!(!line[..line.len() - 2].contains(char::is_control));
    }

    #[test]
    fn a_host_cannot_refuse_with_a_yes() {
        assert_eq!(refusal(OK), HOST_SILENT);
        assert_eq!(refusal(TOO_BIG), TOO_BIG);
    }
}
