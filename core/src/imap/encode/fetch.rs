//! FETCH responses, item by item (RFC 9051 §7.5.2).

use bytes::Bytes;

use super::flag::flag_list;
use super::string::{Charset, astring, literal_header, number, string};
use super::{body, envelope};
use crate::imap::types::{BodyPart, DateTime, Envelope, Flag, Modseq, ObjectId, PartPath, Section, SectionText};
use crate::outbox::Outbox;

/// A FETCH response that is being written: `* 23 FETCH (FLAGS (\Seen) UID 4827313)`.
///
/// It holds nothing but where it is, so that a session can stop between two pieces of a literal and go on later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a response has an end"]
pub struct FetchResponse {
    /// An item stands there already.
    any: bool,
    charset: Charset,
}

impl FetchResponse {
    /// `* 23 FETCH (`
    pub fn begin(tx: &mut Outbox, message: u32, charset: Charset) -> Self {
        tx.put(b"* ");
        number(tx, u64::from(message));
        tx.put(b" FETCH (");
        Self { any: false, charset }
    }

    /// No item stands there yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// `)`
    pub fn end(self, tx: &mut Outbox) {
        tx.put(b")\r\n");
    }

    /// `UID`
    pub fn uid(&mut self, tx: &mut Outbox, uid: u32) {
        self.item(tx, b"UID ");
        number(tx, u64::from(uid));
    }

    /// `FLAGS`
    pub fn flags<'a>(&mut self, tx: &mut Outbox, flags: impl IntoIterator<Item = &'a Flag>) {
        self.item(tx, b"FLAGS ");
        flag_list(tx, flags);
    }

    /// `INTERNALDATE`
    pub fn internal_date(&mut self, tx: &mut Outbox, date: DateTime) {
        self.item(tx, b"INTERNALDATE ");
        put_date(tx, date);
    }

    /// `SAVEDATE`; `None` when it was not kept.
    pub fn save_date(&mut self, tx: &mut Outbox, date: Option<DateTime>) {
        self.item(tx, b"SAVEDATE ");
        match date {
            Some(date) => put_date(tx, date),
            None => tx.put(b"NIL"),
        }
    }

    /// `RFC822.SIZE`
    pub fn rfc822_size(&mut self, tx: &mut Outbox, size: u64) {
        self.item(tx, b"RFC822.SIZE ");
        number(tx, size);
    }

    /// `MODSEQ`
    pub fn modseq(&mut self, tx: &mut Outbox, modseq: Modseq) {
        self.item(tx, b"MODSEQ (");
        number(tx, modseq.value());
        tx.put(b")");
    }

    /// `EMAILID`
    pub fn email_id(&mut self, tx: &mut Outbox, id: &ObjectId) {
        self.item(tx, b"EMAILID (");
        tx.put(id.as_bytes());
        tx.put(b")");
    }

    /// `THREADID`; `None` when there are no threads.
    pub fn thread_id(&mut self, tx: &mut Outbox, id: Option<&ObjectId>) {
        self.item(tx, b"THREADID ");
        match id {
            Some(id) => {
                tx.put(b"(");
                tx.put(id.as_bytes());
                tx.put(b")");
            }
            None => tx.put(b"NIL"),
        }
    }

    /// `ENVELOPE`
    pub fn envelope(&mut self, tx: &mut Outbox, message: &Envelope) {
        self.item(tx, b"ENVELOPE ");
        envelope::envelope(tx, message, self.charset);
    }

    /// `BODY`, without a section.
    pub fn body(&mut self, tx: &mut Outbox, structure: &BodyPart) {
        self.item(tx, b"BODY ");
        body::body(tx, structure, body::Extended::No, self.charset);
    }

    /// `BODYSTRUCTURE`
    pub fn body_structure(&mut self, tx: &mut Outbox, structure: &BodyPart) {
        self.item(tx, b"BODYSTRUCTURE ");
        body::body(tx, structure, body::Extended::Yes, self.charset);
    }

    /// `BODY[…]<origin>`, up to its octets: next comes [`octets`](Self::octets), [`literal`](Self::literal) or
    /// [`nil`](Self::nil).
    pub fn section(&mut self, tx: &mut Outbox, section: &Section, origin: Option<u64>) {
        self.item(tx, b"BODY[");
        put_section(tx, section);
        tx.put(b"]");
        put_origin(tx, origin);
    }

    /// `BINARY[…]<origin>`, up to its octets, as [`section`](Self::section).
    pub fn binary(&mut self, tx: &mut Outbox, part: &PartPath, origin: Option<u64>) {
        self.item(tx, b"BINARY[");
        put_part(tx, part);
        tx.put(b"]");
        put_origin(tx, origin);
    }

    /// `BINARY.SIZE[…] n`
    pub fn binary_size(&mut self, tx: &mut Outbox, part: &PartPath, size: u64) {
        self.item(tx, b"BINARY.SIZE[");
        put_part(tx, part);
        tx.put(b"] ");
        number(tx, size);
    }

    /// `RFC822`, `RFC822.HEADER` or `RFC822.TEXT`, up to its octets, as [`section`](Self::section).
    pub fn rfc822(&mut self, tx: &mut Outbox, name: &'static str) {
        self.item(tx, name.as_bytes());
        tx.put(b" ");
    }

    /// The octets of a section, announced: exactly `len` of them must follow. `binary`: there may be a NUL among them, as
    /// there may be in what was decoded for BINARY.
    pub fn literal(&mut self, tx: &mut Outbox, len: u64, binary: bool) {
        literal_header(tx, len, binary);
    }

    /// The octets of a section, at hand.
    pub fn octets(&mut self, tx: &mut Outbox, octets: Bytes) {
        literal_header(tx, octets.len() as u64, false);
        tx.push(octets);
    }

    /// There is no such section.
    pub fn nil(&mut self, tx: &mut Outbox) {
        tx.put(b"NIL");
    }

    fn item(&mut self, tx: &mut Outbox, name: &[u8]) {
        if self.any {
            tx.put(b" ");
        }
        self.any = true;
        tx.put(name);
    }
}

fn put_section(tx: &mut Outbox, section: &Section) {
    put_part(tx, &section.part);
    if !section.part.is_empty() && section.text != SectionText::All {
        tx.put(b".");
    }
    let (name, fields) = match &section.text {
        SectionText::All => return,
        SectionText::Header => ("HEADER", None),
        SectionText::Text => ("TEXT", None),
        SectionText::Mime => ("MIME", None),
        SectionText::HeaderFields(fields) => ("HEADER.FIELDS", Some(fields)),
        SectionText::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT", Some(fields)),
    };
    tx.put(name.as_bytes());
    let Some(fields) = fields else {
        return;
    };
    for (n, field) in fields.iter().enumerate() {
        tx.put(if n == 0 { b" (" } else { b" " });
        // As the client has written them, but `]` is told from the bracket behind by quotes.
        if field.contains(&b']') { string(tx, field, Charset::Ascii) } else { astring(tx, field, Charset::Ascii) }
    }
    tx.put(b")");
}

fn put_part(tx: &mut Outbox, part: &PartPath) {
    for (n, part) in part.0.iter().enumerate() {
        tx.put(if n == 0 { b"" } else { b"." });
        number(tx, u64::from(part.get()));
    }
}

/// `<origin>`, and the space before the octets.
fn put_origin(tx: &mut Outbox, origin: Option<u64>) {
    if let Some(origin) = origin {
        tx.put(b"<");
        number(tx, origin);
        tx.put(b">");
    }
    tx.put(b" ");
}

fn put_date(tx: &mut Outbox, date: DateTime) {
    use core::fmt::Write as _;
    // Writing into an outbox does not fail.
    let _ = write!(tx, "\"{date}\"");
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::written;
    use super::*;
    use crate::imap::types::Date;

    #[test]
    fn items_stand_next_to_each_other() {
        let date = DateTime::new(Date::new(1996, 7, 17).unwrap(), 2, 44, 25, -420).unwrap();
        let out = written(|tx| {
            let mut fetch = FetchResponse::begin(tx, 12, Charset::Ascii);
            fetch.flags(tx, &[Flag::Seen]);
            fetch.uid(tx, 7);
            fetch.internal_date(tx, date);
            fetch.save_date(tx, None);
            fetch.rfc822_size(tx, 4286);
            fetch.modseq(tx, Modseq::MAX);
            fetch.email_id(tx, &ObjectId::of(b'M', 1));
            fetch.thread_id(tx, None);
            fetch.end(tx);
        });
        let expected: &[u8] = b"* 12 FETCH (FLAGS (\\Seen) UID 7 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" SAVEDATE NIL \
            RFC822.SIZE 4286 MODSEQ (9223372036854775807) EMAILID (M00000000000000000000000000000001) THREADID NIL)\r\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn sections_say_what_they_are() {
        let part = |numbers: &[u32]| PartPath(numbers.iter().filter_map(|&number| number.try_into().ok()).collect());
        let out = written(|tx| {
            let mut fetch = FetchResponse::begin(tx, 1, Charset::Ascii);
            fetch.section(tx, &Section::default(), None);
            fetch.octets(tx, Bytes::from_static(b"x\r\n"));
            let fields = vec![Bytes::from_static(b"To"), Bytes::from_static(b"X-a]")];
            fetch.section(tx, &Section { part: part(&[1, 2]), text: SectionText::HeaderFields(fields) }, Some(3));
            fetch.nil(tx);
            fetch.section(tx, &Section { part: part(&[4]), text: SectionText::Mime }, None);
            fetch.octets(tx, Bytes::new());
            fetch.binary(tx, &part(&[1]), Some(0));
            fetch.literal(tx, 2, true);
            tx.put(b"\0x");
            fetch.binary_size(tx, &part(&[1]), 2);
            fetch.rfc822(tx, "RFC822.HEADER");
            fetch.nil(tx);
            fetch.end(tx);
        });
        let expected: &[u8] =
            b"* 1 FETCH (BODY[] {3}\r\nx\r\n BODY[1.2.HEADER.FIELDS (To \"X-a]\")]<3> NIL BODY[4.MIME] {0}\r\n \
            BINARY[1]<0> ~{2}\r\n\0x BINARY.SIZE[1] 2 RFC822.HEADER NIL)\r\n";
        assert_eq!(out, expected);
    }
}
