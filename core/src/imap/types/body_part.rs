//! The structure of a message: its MIME parts, and what their headers say of them (RFC 9051 §7.5.2, RFC 2045).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Envelope;

/// `body`: a part, and the parts in it. Texts stand here as they stand in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPart {
    /// What it is.
    pub kind: BodyKind,
    /// The subtype: `PLAIN`, `MIXED`, …
    pub subtype: Bytes,
    /// The parameters of its type.
    pub parameters: Vec<Parameter>,
    /// `Content-ID`; of no meaning for a multipart.
    pub id: Option<Bytes>,
    /// `Content-Description`; of no meaning for a multipart.
    pub description: Option<Bytes>,
    /// `Content-Transfer-Encoding`; `7BIT` when not said. Of no meaning for a multipart.
    pub encoding: Bytes,
    /// Octets of its body, in its transfer encoding. Of no meaning for a multipart.
    pub octets: u64,
    /// `Content-MD5`; of no meaning for a multipart.
    pub md5: Option<Bytes>,
    /// `Content-Disposition`, and its parameters.
    pub disposition: Option<(Bytes, Vec<Parameter>)>,
    /// `Content-Language`: the tags.
    pub language: Vec<Bytes>,
    /// `Content-Location`
    pub location: Option<Bytes>,
}

/// The kinds of parts that a structure tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// `multipart/…`: the parts in it.
    Multipart(Vec<BodyPart>),
    /// `message/rfc822` and `message/global`: a message.
    Message {
        /// Its envelope.
        envelope: Box<Envelope>,
        /// Its structure.
        body: Box<BodyPart>,
        /// Lines of it, in its transfer encoding.
        lines: u64,
    },
    /// `text/…`
    Text {
        /// Lines of it, in its transfer encoding.
        lines: u64,
    },
    /// Anything else, such as `image`.
    Basic(Bytes),
}

/// A name and a value.
pub type Parameter = (Bytes, Bytes);
