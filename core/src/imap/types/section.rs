//! Which part of a message, and which octets of it (RFC 9051 §6.4.5.1).

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use bytes::Bytes;

/// `section-part`: the numbers on the way to a body part, from the outside in. Empty: the whole message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartPath(pub Vec<NonZeroU32>);

/// What stands between the brackets of `BODY[…]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Which part; empty for the message itself.
    pub part: PartPath,
    /// What of it.
    pub text: SectionText,
}

/// What of a part is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SectionText {
    /// All of it: the whole message, or the body of the part without its MIME header.
    #[default]
    All,
    /// The header of the message, or of the one that the part holds, with the empty line.
    Header,
    /// Only these fields of it, by their names in any case; with the empty line.
    HeaderFields(Vec<Bytes>),
    /// All fields but these; with the empty line.
    HeaderFieldsNot(Vec<Bytes>),
    /// What stands behind the header.
    Text,
    /// The MIME header of the part. Only behind a part's number.
    Mime,
}

/// `<offset.length>`: only these octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The first octet, from 0; at most 2^63 - 1.
    pub offset: u64,
    /// How many octets at most, from 1; at most 2^63 - 1.
    pub length: u64,
}

impl PartPath {
    /// Numbers in one path at most: no message nests deeper and means it.
    pub const MAX_DEPTH: usize = 64;

    /// Whether it is the whole message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl SectionText {
    /// Field names in one list at most.
    pub const MAX_FIELDS: usize = 256;
}

impl fmt::Display for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, number) in self.0.iter().enumerate() {
            let dot = if n == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}
