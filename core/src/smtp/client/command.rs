//! The commands as they are written (RFC 5321 §4.1.1).

use core::fmt::Write as _;

use super::action::Envelope;
use super::extensions::Extensions;
use crate::outbox::Outbox;
use crate::smtp::Address;

/// `EHLO` or `HELO` with our name.
pub(super) fn hello(tx: &mut Outbox, verb: &str, hostname: &str) {
    put(tx, format_args!("{verb} {hostname}\r\n"));
}

/// `MAIL FROM`, with the parameters that the server understands.
pub(super) fn mail(tx: &mut Outbox, envelope: &Envelope, offered: &Extensions) {
    match &envelope.reverse_path {
        Some(address) => put(tx, format_args!("MAIL FROM:<{address}>")),
        None => tx.put(b"MAIL FROM:<>"),
    }
    if offered.size.is_some() {
        put(tx, format_args!(" SIZE={}", envelope.size));
    }
    if offered.eight_bit && envelope.eight_bit {
        tx.put(b" BODY=8BITMIME");
    }
    if offered.smtputf8 && needs_smtputf8(envelope) {
        tx.put(b" SMTPUTF8");
    }
    tx.put(b"\r\n");
}

/// `RCPT TO`.
pub(super) fn rcpt(tx: &mut Outbox, recipient: &Address) {
    put(tx, format_args!("RCPT TO:<{recipient}>\r\n"));
}

/// Whether anything in the envelope, or the message itself, asks for SMTPUTF8 (RFC 6531 §3.4).
fn needs_smtputf8(envelope: &Envelope) -> bool {
    envelope.smtputf8 || envelope.reverse_path.iter().chain(&envelope.recipients).any(|address| !address.is_ascii())
}

fn put(tx: &mut Outbox, text: core::fmt::Arguments<'_>) {
    // Writing into an outbox cannot fail.
    let _ = tx.write_fmt(text);
}
