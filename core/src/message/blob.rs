//! A structure as octets: compact, with a version, and read back with distrust.
//!
//! Numbers are LEB128. `version parts {kind parent+1 header body-header end-header lines fields}* {name length}*` and
//! then the values of the fields, each behind the other.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::structure::{Field, FieldName, Kind, Part, Structure};

const VERSION: u8 = 1;
const KINDS: [Kind; 5] = [Kind::Multipart, Kind::Message, Kind::Text, Kind::Basic, Kind::Opaque];

/// The octets are no structure: of another version, or damaged. It can be made again from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a message structure of this version")
    }
}

impl core::error::Error for Broken {}

impl Structure {
    /// At most [`Self::MAX_ENCODED`] octets. The prefix is not in them: it belongs to a copy, not to the message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64 + self.parts.len() * 16 + self.fields.len() * 4 + self.texts.len());
        out.push(VERSION);
        put(&mut out, self.parts.len() as u64);
        for part in &self.parts {
            out.push(part.kind as u8);
            put(&mut out, part.parent.map_or(0, |parent| parent as u64 + 1));
            put(&mut out, part.header);
            put(&mut out, part.body - part.header);
            put(&mut out, part.end - part.header);
            put(&mut out, part.lines);
            put(&mut out, part.fields.len() as u64);
        }
        for field in &self.fields {
            out.push(field.name as u8);
            put(&mut out, field.value.len() as u64);
        }
        for field in &self.fields {
            out.extend_from_slice(&self.texts[field.value.clone()]);
        }
        Bytes::from(out)
    }

    /// What [`Self::encode`] made.
    ///
    /// # Errors
    /// [`Broken`] for anything else: every bound and every order that a structure keeps is looked at.
    pub fn decode(octets: &[u8]) -> Result<Self, Broken> {
        if octets.len() > Self::MAX_ENCODED {
            return Err(Broken);
        }
        Reader { rest: octets }.structure().ok_or(Broken)
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*octet)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn structure(mut self) -> Option<Structure> {
        if self.octet()? != VERSION {
            return None;
        }
        let count = self.size().filter(|count| (1..=Structure::MAX_PARTS).contains(count))?;
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        let mut depths: Vec<usize> = Vec::with_capacity(count);
        let mut fields_before = 0_usize;
        for n in 0..count {
            let kind = *KINDS.get(usize::from(self.octet()?))?;
            let parent = self.size()?.checked_sub(1);
            let header = self.number()?;
            let body = header.checked_add(self.number()?)?;
            let end = header.checked_add(self.number()?)?;
            let lines = self.number()?;
            let fields = fields_before..fields_before.checked_add(self.size()?)?;
            fields_before = fields.end;
            let depth = match parent {
                None if n == 0 => 0,
                Some(parent) if parent < n => depths[parent] + 1,
                _ => return None,
            };
            let is_inside = parent.is_none_or(|parent| {
                let outer = &parts[parent];
                matches!(outer.kind, Kind::Multipart | Kind::Message) && outer.body <= header && end <= outer.end
            });
            if !is_inside || body > end || depth > Structure::MAX_DEPTH {
                return None;
            }
            depths.push(depth);
            parts.push(Part { parent, kind, header, body, end, lines, fields });
        }
        if fields_before > Structure::MAX_FIELDS {
            return None;
        }
        let mut fields = Vec::new();
        let mut at = 0_usize;
        for _ in 0..fields_before {
            let (name, _) = *FieldName::ALL.get(usize::from(self.octet()?))?;
            let end = at.checked_add(self.size()?)?;
            fields.push(Field { name, value: at..end });
            at = end;
        }
        let texts = (self.rest.len() == at).then(|| Bytes::copy_from_slice(self.rest))?;
        Some(Structure { parts, fields, texts, prefix: 0 })
    }
}
