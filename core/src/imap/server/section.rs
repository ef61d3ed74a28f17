//! Octets of one message: where a section of it is, and how its octets are read (RFC 9051 §6.4.5.1).

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::task::{Cx, Progress};
use crate::imap::types::{Partial, Section, SectionText};
use crate::mailbox::{Entry, Request, Response};
use crate::message::{Structure, StructureParser};
use crate::ops::EntryId;

/// The octets of a section.
#[derive(Clone, Debug)]
pub(super) enum Span {
    /// At hand.
    Here(Bytes),
    /// To be read.
    There { offset: u64, len: u64 },
}

/// A message, as far as it was read.
#[derive(Debug)]
pub(super) struct Source {
    entry: EntryId,
    size: u64,
    asking: Asking,
    /// The header, once it is known: with the empty line behind it.
    header: Option<Bytes>,
    gathered: BytesMut,
    /// What was read last.
    piece: Option<Option<Bytes>>,
    structure: Option<Structure>,
    /// Makes the structure of a message that was stored without one, from so many octets so far.
    parser: Option<(StructureParser, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    No,
    Header,
    Piece,
    Structure,
}

impl Source {
    pub(super) fn new(entry: &Entry) -> Self {
        let stored = entry.structure.as_ref().filter(|stored| !stored.is_empty());
        let structure = stored.and_then(|stored| Structure::decode(stored).ok());
        Self {
            entry: entry.entry,
            size: entry.size,
            asking: Asking::No,
            header: None,
            gathered: BytesMut::new(),
            piece: None,
            structure: structure.map(|structure| structure.with_prefix(entry.prefix.into())),
            parser: None,
        }
    }

    /// The structure, once it is known.
    pub(super) fn structure(&self) -> Option<&Structure> {
        self.structure.as_ref()
    }

    /// Asks for more of the message, to make its structure. `None`: it is made.
    pub(super) fn ask_structure(&mut self, cx: &Cx<'_>) -> Option<Progress> {
        if self.structure.is_some() {
            return None;
        }
        let (parser, read) = self.parser.take().unwrap_or_else(|| (StructureParser::new(), 0));
        if read >= self.size {
            self.structure = Some(parser.finish());
            return None;
        }
        self.parser = Some((parser, read));
        self.asking = Asking::Structure;
        Some(self.read(read, self.size - read, cx.config.limits.session.chunk))
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asking != Asking::No
    }

    /// Takes the answer to what was asked.
    pub(super) fn take(&mut self, answer: Option<Response>, most: usize) {
        let asking = core::mem::replace(&mut self.asking, Asking::No);
        let bytes = match answer {
            Some(Response::Bytes(bytes)) if !bytes.is_empty() => Some(bytes),
            _ => None,
        };
        if asking == Asking::Piece {
            self.piece = Some(bytes);
            return;
        }
        if asking == Asking::Structure {
            let Some((parser, read)) = &mut self.parser else { return };
            match bytes {
                Some(bytes) => {
                    parser.feed(&bytes);
                    *read += bytes.len() as u64;
                }
                // It is gone: its structure is that of what was read.
                None => *read = self.size,
            }
            return;
        }
        let Some(bytes) = bytes else {
            // It is gone: what is left of it is nothing.
            self.header = Some(Bytes::new());
            self.size = 0;
            return;
        };
        let from = self.gathered.len().saturating_sub(3);
        self.gathered.extend_from_slice(&bytes);
        let end = match memchr::memmem::find(&self.gathered[from..], b"\r\n\r\n") {
            _ if self.gathered.starts_with(b"\r\n") => Some(2),
            Some(at) => Some(from + at + 4),
            None if self.gathered.len() >= most || self.gathered.len() as u64 >= self.size => Some(self.gathered.len()),
            None => None,
        };
        if let Some(end) = end {
            self.gathered.truncate(end);
            self.header = Some(Bytes::copy_from_slice(&self.gathered));
            self.gathered = BytesMut::new();
        }
    }

    /// Where the section is can be said.
    pub(super) fn knows(&self, section: &Section) -> bool {
        !section.part.is_empty() || self.header.is_some() || section.text == SectionText::All || self.size == 0
    }

    /// What was read last, once: `None` inside when it could not be read.
    pub(super) fn piece(&mut self) -> Option<Option<Bytes>> {
        self.piece.take()
    }

    /// Asks for more of the header.
    pub(super) fn ask_header(&mut self, cx: &Cx<'_>) -> Progress {
        self.asking = Asking::Header;
        let offset = self.gathered.len() as u64;
        // Most headers are short.
        let len = if offset == 0 { HEADER } else { cx.config.limits.session.chunk };
        self.read(offset, self.size.saturating_sub(offset), len.min(cx.config.limits.session.chunk))
    }

    /// Asks for octets of the message.
    pub(super) fn ask(&mut self, offset: u64, len: u64, cx: &Cx<'_>) -> Progress {
        self.asking = Asking::Piece;
        self.read(offset, len, cx.config.limits.session.chunk)
    }

    fn read(&self, offset: u64, len: u64, most: usize) -> Progress {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(most.max(1));
        Progress::Ask(Request::Read { entry: self.entry, offset, len })
    }

    /// Where a section is; `None` when there is no such one.
    pub(super) fn locate(&self, section: &Section, partial: Option<Partial>) -> Option<Span> {
        if !section.part.is_empty() {
            let range = self.structure.as_ref()?.range(section)?;
            return Some(cut(range.start, range.end.saturating_sub(range.start), partial));
        }
        let header = self.header.clone().unwrap_or_default();
        Some(match &section.text {
            SectionText::All => cut(0, self.size, partial),
            SectionText::Text => cut(header.len() as u64, self.size.saturating_sub(header.len() as u64), partial),
            SectionText::Header => here(header, partial),
            SectionText::HeaderFields(fields) => here(choose(&header, fields, true), partial),
            SectionText::HeaderFieldsNot(fields) => here(choose(&header, fields, false), partial),
            SectionText::Mime => return None,
        })
    }
}

/// Octets of the first read of a header.
const HEADER: usize = 8 * 1024;

fn cut(offset: u64, len: u64, partial: Option<Partial>) -> Span {
    let Some(Partial { offset: from, length }) = partial else { return Span::There { offset, len } };
    let from = from.min(len);
    Span::There { offset: offset + from, len: length.min(len - from) }
}

fn here(mut octets: Bytes, partial: Option<Partial>) -> Span {
    if let Some(Partial { offset, length }) = partial {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
        octets = octets.slice(from..);
        octets.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    }
    Span::Here(octets)
}

/// The fields of a header whose names are listed, or whose names are not; with the empty line (RFC 9051 §6.4.5.1).
fn choose(header: &[u8], names: &[Bytes], listed: bool) -> Bytes {
    let mut chosen = Vec::new();
    let mut takes = false;
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        if line == b"\r\n" {
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let end = line.iter().position(|octet| *octet == b':').unwrap_or(line.len());
            let name = line[..end].trim_ascii_end();
            takes = names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) == listed;
        }
        if takes {
            chosen.extend_from_slice(line);
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_chosen_with_what_is_folded_behind_them() {
        let header = b"To: a\r\n b\r\nSUBJECT : x\r\nX: 1\r\nto:c\r\n\r\n";
        let names = [Bytes::from_static(b"to"), Bytes::from_static(b"Subject")];
        assert_eq!(&choose(header, &names, true)[..], b"To: a\r\n b\r\nSUBJECT : x\r\nto:c\r\n\r\n");
        assert_eq!(&choose(header, &names, false)[..], b"X: 1\r\n\r\n");
        assert_eq!(&choose(b"", &names, true)[..], b"\r\n");
    }
}
