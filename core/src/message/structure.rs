//! The structure of a message: its parts, where they lie, and what their headers say (RFC 2045, RFC 9051 §7.5.2).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::addresses::addresses;
use super::media::{self, Media};
use super::parser::StructureParser;
use crate::imap::types::{Address, BodyKind, BodyPart, Envelope, Section, SectionText};

/// What a [`StructureParser`] found in a message. Computed once, over the message as it was
/// accepted; [`Self::with_prefix`] shifts it behind the trace header that a recipient's copy begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// In the order in which they begin; the first is the message itself.
    pub(super) parts: Vec<Part>,
    /// In the order of their parts.
    pub(super) fields: Vec<Field>,
    /// The values of all fields.
    pub(super) texts: Bytes,
    /// Octets in front of the message that the offsets of its parts are not yet shifted by.
    pub(super) prefix: u64,
}

/// A part, and where it lies: octets from the beginning of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part it lies in, which comes before it; none for the message itself.
    pub parent: Option<usize>,
    /// What it is.
    pub kind: Kind,
    /// Where its header begins.
    pub header: u64,
    /// Where its body begins: behind the empty line.
    pub body: u64,
    /// Where it ends. The CRLF in front of a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
    pub end: u64,
    /// Lines of its body; a last one without an end counts.
    pub lines: u64,
    pub(super) fields: Range<usize>,
}

/// What a part is, as far as the tree cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `multipart/…` with a boundary.
    Multipart,
    /// `message/rfc822` or `message/global`; the message in it is the one part in it.
    Message,
    /// `text/…`, or nothing that could be read.
    Text,
    /// Any other type.
    Basic,
    /// Something that was not looked into: nested too deep, a multipart without a usable boundary, or an encoded
    /// message. It is told of as `application/octet-stream`.
    Opaque,
}

/// The fields that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FieldName {
    Date,
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
    References,
    ContentType,
    ContentTransferEncoding,
    ContentId,
    ContentDescription,
    ContentMd5,
    ContentDisposition,
    ContentLanguage,
    ContentLocation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: FieldName,
    pub(super) value: Range<usize>,
}

impl FieldName {
    /// All of them, with their names on the wire.
    pub(super) const ALL: [(Self, &'static str); 19] = [
        (Self::Date, "Date"),
        (Self::Subject, "Subject"),
        (Self::From, "From"),
        (Self::Sender, "Sender"),
        (Self::ReplyTo, "Reply-To"),
        (Self::To, "To"),
        (Self::Cc, "Cc"),
        (Self::Bcc, "Bcc"),
        (Self::InReplyTo, "In-Reply-To"),
        (Self::MessageId, "Message-ID"),
        (Self::References, "References"),
        (Self::ContentType, "Content-Type"),
        (Self::ContentTransferEncoding, "Content-Transfer-Encoding"),
        (Self::ContentId, "Content-ID"),
        (Self::ContentDescription, "Content-Description"),
        (Self::ContentMd5, "Content-MD5"),
        (Self::ContentDisposition, "Content-Disposition"),
        (Self::ContentLanguage, "Content-Language"),
        (Self::ContentLocation, "Content-Location"),
    ];

    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(field, _)| *field)
    }

    /// Fields of a part; the others are fields of a message.
    pub(super) fn is_mime(self) -> bool {
        self as u8 >= Self::ContentType as u8
    }

    /// Lists that may be spread over several fields, although RFC 5322 §3.6 forbids it. Of other fields the first counts.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::From | Self::Sender | Self::ReplyTo | Self::To | Self::Cc | Self::Bcc)
    }
}

impl Structure {
    /// Parts at most. What would begin another one belongs to the part before it.
    pub const MAX_PARTS: usize = 500;
    /// Parts around a part at most; one that would hold deeper ones is [`Kind::Opaque`].
    pub const MAX_DEPTH: usize = 32;
    /// Octets of one field's value at most; the rest is cut off.
    pub const MAX_FIELD: usize = 16 * 1024;
    /// Octets of all fields together at most, four for each field included; the rest is cut off.
    pub const MAX_FIELDS: usize = 40 * 1024;
    /// Octets of a boundary at most: RFC 2046 allows 70. A multipart with a longer one is [`Kind::Opaque`].
    pub const MAX_BOUNDARY: usize = 200;
    /// Octets of the encoded form at most.
    pub const MAX_ENCODED: usize = 64 * 1024;

    /// The structure of the same message behind `octets` of fields that were put before it: the header of the message
    /// begins with them, and everything else moves.
    #[must_use]
    pub fn with_prefix(mut self, octets: u64) -> Self {
        self.prefix = self.prefix.saturating_add(octets);
        self
    }

    /// With the fields that were put before the message, as far as it has none of their names: the Date and the Message-ID
    /// of a submission (RFC 6409 §8). Its offsets stay what they are.
    #[must_use]
    pub fn behind(mut self, header: &[u8]) -> Self {
        if header.is_empty() {
            return self;
        }
        let mut parser = StructureParser::new();
        parser.feed(header);
        let before = parser.finish();
        for field in &before.fields[before.parts[0].fields.clone()] {
            if !field.name.is_mime() && self.field(field.name).is_none() {
                self.add(field.name, &before.texts[field.value.clone()]);
            }
        }
        self
    }

    /// How many parts there are, the message itself included; never none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Never: there is always the message itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts, in the order in which they begin; the first is the message itself.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.parts.iter().map(|part| self.shifted(part))
    }

    /// Octets of the message, with its prefix.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.parts[0].end.saturating_add(self.prefix)
    }

    /// The first such field of the message's header: unfolded, without spaces around it, else as it stands there.
    #[must_use]
    pub fn field(&self, name: FieldName) -> Option<&[u8]> {
        self.values(0, name).next().map(|value| &self.texts[value])
    }

    /// What ENVELOPE tells of the message.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        self.envelope_of(0)
    }

    /// What BODY and BODYSTRUCTURE tell of the message.
    #[must_use]
    pub fn body(&self) -> BodyPart {
        let mut inner: Vec<Vec<BodyPart>> = self.parts.iter().map(|_| Vec::new()).collect();
        for (n, part) in self.parts.iter().enumerate().skip(1).rev() {
            let parts = core::mem::take(&mut inner[n]);
            let body = self.body_of(n, parts);
            inner[part.parent.unwrap_or(0)].push(body);
        }
        let parts = core::mem::take(&mut inner[0]);
        self.body_of(0, parts)
    }

    /// The octets of the message that a section means; those of the whole header for a selection of fields, which a
    /// [`FieldFilter`](super::FieldFilter) makes. `None` when there is no such part, or it has no such thing.
    #[must_use]
    pub fn range(&self, section: &Section) -> Option<Range<u64>> {
        let path = &section.part.0;
        let at = self.find(path.iter().map(|number| number.get()))?;
        let part = self.shifted(&self.parts[at]);
        match section.text {
            SectionText::All if path.is_empty() => return Some(0..part.end),
            SectionText::All => return Some(part.body..part.end),
            SectionText::Mime if path.is_empty() => return None,
            SectionText::Mime => return Some(part.header..part.body),
            _ => {}
        }
        let message = if path.is_empty() {
            part
        } else {
            let holds_message = self.parts[at].kind == Kind::Message;
            self.shifted(&self.parts[holds_message.then(|| self.child(at, 1))??])
        };
        Some(match section.text {
            SectionText::Text => message.body..message.end,
            _ => message.header..message.body,
        })
    }

    /// The part that such a path means, as an index into [`Self::parts`] (RFC 9051 §6.4.5.1): numbers count from 1, and
    /// a message that is no multipart has one part, itself.
    #[must_use]
    pub fn find(&self, path: impl IntoIterator<Item = u32>) -> Option<usize> {
        let (mut at, mut is_message) = (0, true);
        for number in path {
            if !is_message && self.parts[at].kind == Kind::Message {
                (at, is_message) = (self.child(at, 1)?, true);
            }
            at = match self.parts[at].kind {
                Kind::Multipart => self.child(at, number)?,
                _ if is_message && number == 1 => at,
                _ => return None,
            };
            is_message = false;
        }
        Some(at)
    }

    /// How the body of a part is encoded, for a [`Decoder`](super::Decoder): the value of Content-Transfer-Encoding, or
    /// `7BIT`.
    #[must_use]
    pub fn encoding(&self, part: usize) -> &[u8] {
        let value = self.values(part, FieldName::ContentTransferEncoding).next();
        value.and_then(|value| media::token(&self.texts[value])).unwrap_or(b"7BIT")
    }

    /// Adds a field behind those of the message's header. The fields of its parts move: they stand in their order.
    fn add(&mut self, name: FieldName, value: &[u8]) {
        let at = self.parts[0].fields.end;
        let start = self.fields[..at].last().map_or(0, |field| field.value.end);
        self.texts = [&self.texts[..start], value, &self.texts[start..]].concat().into();
        for field in &mut self.fields[at..] {
            field.value = field.value.start + value.len()..field.value.end + value.len();
        }
        self.fields.insert(at, Field { name, value: start..start + value.len() });
        self.parts[0].fields.end += 1;
        for part in &mut self.parts[1..] {
            part.fields = part.fields.start + 1..part.fields.end + 1;
        }
    }

    fn child(&self, parent: usize, number: u32) -> Option<usize> {
        let nth = usize::try_from(number).ok()?.checked_sub(1)?;
        let mut inner = self.parts.iter().enumerate().filter(|(_, part)| part.parent == Some(parent));
        inner.nth(nth).map(|(at, _)| at)
    }

    fn shifted(&self, part: &Part) -> Part {
        let header = if part.parent.is_none() { 0 } else { part.header.saturating_add(self.prefix) };
        let (body, end) = (part.body.saturating_add(self.prefix), part.end.saturating_add(self.prefix));
        Part { header, body, end, ..part.clone() }
    }

    fn values(&self, part: usize, name: FieldName) -> impl Iterator<Item = Range<usize>> {
        let fields = self.parts.get(part).map_or(&[][..], |part| &self.fields[part.fields.clone()]);
        fields.iter().filter(move |field| field.name == name).map(|field| field.value.clone())
    }

    fn text(&self, part: usize, name: FieldName) -> Option<Bytes> {
        self.values(part, name).next().map(|value| self.texts.slice(value))
    }

    fn list(&self, part: usize, name: FieldName) -> Vec<Address> {
        let mut list = Vec::new();
        self.values(part, name).for_each(|value| addresses(&self.texts[value], &mut list));
        list
    }

    fn envelope_of(&self, part: usize) -> Envelope {
        use FieldName as F;
        let from = self.list(part, F::From);
        let or_from = |list: Vec<Address>| if list.is_empty() { from.clone() } else { list };
        Envelope {
            date: self.text(part, F::Date),
            subject: self.text(part, F::Subject),
            sender: or_from(self.list(part, F::Sender)),
            reply_to: or_from(self.list(part, F::ReplyTo)),
            to: self.list(part, F::To),
            cc: self.list(part, F::Cc),
            bcc: self.list(part, F::Bcc),
            in_reply_to: self.text(part, F::InReplyTo),
            message_id: self.text(part, F::MessageId),
            from,
        }
    }

    /// The structure of one part, whose parts stand in `inner`, last first.
    fn body_of(&self, at: usize, mut inner: Vec<BodyPart>) -> BodyPart {
        use FieldName as F;
        let part = &self.parts[at];
        let Media { media_type, subtype, parameters } = self.media_of(at);
        let kind = match part.kind {
            Kind::Multipart => {
                inner.reverse();
                BodyKind::Multipart(inner)
            }
            Kind::Message => match (inner.pop(), self.child(at, 1)) {
                (Some(body), Some(message)) => BodyKind::Message {
                    envelope: Box::new(self.envelope_of(message)),
                    body: Box::new(body),
                    lines: part.lines,
                },
                _ => BodyKind::Basic(media_type),
            },
            Kind::Text => BodyKind::Text { lines: part.lines },
            Kind::Basic | Kind::Opaque => BodyKind::Basic(media_type),
        };
        let value = |name| self.values(at, name).next().map(|value| &self.texts[value]);
        // The size of a part is that of its body; the prefix belongs to the header of the message.
        BodyPart {
            kind,
            subtype,
            parameters,
            id: self.text(at, F::ContentId),
            description: self.text(at, F::ContentDescription),
            encoding: Bytes::copy_from_slice(self.encoding(at)),
            octets: part.end - part.body,
            md5: self.text(at, F::ContentMd5),
            disposition: value(F::ContentDisposition).and_then(media::disposition),
            language: value(F::ContentLanguage).map(media::words).unwrap_or_default(),
            location: self.text(at, F::ContentLocation),
        }
    }

    fn media_of(&self, part: usize) -> Media {
        let said = self.values(part, FieldName::ContentType).next();
        let said = said.and_then(|value| Media::parse(&self.texts[value]));
        match (self.parts[part].kind, said) {
            (Kind::Opaque, _) => Media::of(b"APPLICATION", b"OCTET-STREAM"),
            (_, Some(media)) => media,
            (Kind::Message, None) => Media::of(b"MESSAGE", b"RFC822"),
            (_, None) => Media::plain(),
        }
    }
}
