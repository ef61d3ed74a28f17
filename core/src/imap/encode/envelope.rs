//! ENVELOPE (RFC 9051 §7.5.2).

use super::string::{Charset, nstring};
use crate::imap::types::{Address, Envelope};
use crate::outbox::Outbox;

/// `(date subject from sender reply-to to cc bcc in-reply-to message-id)`
pub(super) fn envelope(tx: &mut Outbox, envelope: &Envelope, charset: Charset) {
    let Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id } = envelope;
    tx.put(b"(");
    nstring(tx, date.as_deref(), charset);
    tx.put(b" ");
    nstring(tx, subject.as_deref(), charset);
    for list in [from, sender, reply_to, to, cc, bcc] {
        tx.put(b" ");
        addresses(tx, list, charset);
    }
    for id in [in_reply_to, message_id] {
        tx.put(b" ");
        nstring(tx, id.as_deref(), charset);
    }
    tx.put(b")");
}

/// No spaces between addresses: the grammar has none.
fn addresses(tx: &mut Outbox, list: &[Address], charset: Charset) {
    if list.is_empty() {
        return tx.put(b"NIL");
    }
    tx.put(b"(");
    for Address { name, route, mailbox, host } in list {
        for (n, field) in [name, route, mailbox, host].into_iter().enumerate() {
            tx.put(if n == 0 { b"(" } else { b" " });
            nstring(tx, field.as_deref(), charset);
        }
        tx.put(b")");
    }
    tx.put(b")");
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use bytes::Bytes;

    use super::super::written;
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let text = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let address = |name, mailbox, host| Address { name, route: None, mailbox: text(mailbox), host: text(host) };
        let terry = vec![address(text("Terry Gray"), "gray", "cac.washington.edu")];
        let message = Envelope {
            date: text("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"),
            subject: text("IMAP4rev2 WG mtg summary and minutes"),
            from: terry.clone(),
            sender: terry.clone(),
            reply_to: terry,
            to: vec![address(None, "imap", "cac.washington.edu")],
            cc: vec![
                address(None, "minutes", "CNRI.Reston.VA.US"),
                address(text("John Klensin"), "KLENSIN", "MIT.EDU"),
            ],
            bcc: vec![],
            in_reply_to: None,
            message_id: text("<B27397-0100000@cac.washington.ed>"),
        };
        let expected: &[u8] = b"(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
            \"IMAP4rev2 WG mtg summary and minutes\" \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((NIL NIL \"imap\" \"cac.washington.edu\")) \
            ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
            (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
            \"<B27397-0100000@cac.washington.ed>\")";
        assert_eq!(written(|tx| envelope(tx, &message, Charset::Ascii)), expected);
    }

    #[test]
    fn nothing_breaks_out() {
        let message = Envelope { subject: Some(Bytes::from_static(b"x\r\n* BYE \"\0")), ..Envelope::default() };
        let expected: &[u8] = b"(NIL {11}\r\nx\r\n* BYE \"  NIL NIL NIL NIL NIL NIL NIL NIL)";
        assert_eq!(written(|tx| envelope(tx, &message, Charset::Ascii)), expected);
    }
}
