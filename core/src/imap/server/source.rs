//! The octets of one message, as far as they are at hand, and what is asked for when they are not.

use bytes::{Bytes, BytesMut};

use super::task::{Cx, Progress};
use crate::mailbox::{Entry, HEADS_OCTETS, Request, Response};
use crate::message::{HeaderEnd, Structure, StructureParser};
use crate::ops::EntryId;

/// A message, as far as it was read. Of its octets at most one piece is at hand, or its beginning.
#[derive(Debug)]
pub(super) struct Source {
    entry: EntryId,
    pub(super) size: u64,
    /// Octets at hand, and where they begin.
    hand: Bytes,
    hand_at: u64,
    /// Where the octets begin that were asked for.
    asked: Option<u64>,
    pub(super) lost: Option<Lost>,
    header: Header,
    structure: Option<Structure>,
    /// Makes the structure of a message that was stored without one, from so many octets so far.
    parser: Option<(StructureParser, u64)>,
}

/// Why nothing more of a message can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lost {
    /// It is gone.
    Gone,
    /// There is less of it than there should be.
    Short,
}

#[derive(Debug)]
enum Header {
    Sought(HeaderEnd),
    Ends(u64),
}

/// What is wanted, or what must be asked first.
pub(super) type Wanted<T> = Result<T, Progress>;

/// Octets of a message's beginning that are asked for when its header is wanted: most headers are shorter.
pub(super) const HEAD: usize = 8 * 1024;

impl Source {
    /// `head`: the beginning of the message, as far as it is known.
    pub(super) fn new(entry: &Entry, head: Bytes) -> Self {
        let stored = entry.structure.as_ref().filter(|stored| !stored.is_empty());
        let structure = stored.and_then(|stored| Structure::decode(stored).ok());
        Self {
            entry: entry.entry,
            size: entry.size,
            hand: head,
            hand_at: 0,
            asked: None,
            lost: None,
            header: Header::Sought(HeaderEnd::default()),
            structure: structure.map(|structure| structure.with_prefix(entry.prefix.into())),
            parser: None,
        }
    }

    /// Which message it is.
    pub(super) fn entry(&self) -> EntryId {
        self.entry
    }

    /// Takes the answer to what was asked.
    pub(super) fn take(&mut self, answer: Option<Response>) {
        let Some(offset) = self.asked.take() else { return };
        match answer {
            Some(Response::Bytes(bytes)) if !bytes.is_empty() => self.have(offset, bytes),
            Some(Response::NoMessage) => self.lost = Some(Lost::Gone),
            _ => self.lost = Some(Lost::Short),
        }
    }

    /// Some of the octets of a range, which is not empty: those at its beginning.
    pub(super) fn octets(&mut self, offset: u64, len: u64, cx: &Cx<'_>) -> Wanted<Bytes> {
        self.at_hand(offset, len).ok_or_else(|| self.ask(offset, len, cx.config.limits.session.chunk))
    }

    /// Where the header ends.
    pub(super) fn header_end(&mut self, cx: &Cx<'_>) -> Wanted<u64> {
        loop {
            let sought = match &mut self.header {
                Header::Ends(end) => return Ok(*end),
                Header::Sought(sought) => sought,
            };
            let seen = sought.seen();
            if let Some(end) = sought.end() {
                self.header = Header::Ends(end);
            } else if seen >= self.size {
                self.header = Header::Ends(sought.clone().finish());
            } else if let Some(octets) = self.at_hand(seen, self.size - seen) {
                let Header::Sought(sought) = &mut self.header else { continue };
                sought.feed(&octets);
            } else {
                let most = if seen == 0 { HEAD } else { usize::MAX };
                return Err(self.ask(seen, self.size - seen, most.min(cx.config.limits.session.chunk)));
            }
        }
    }

    /// The header; of one that is longer than [`HEADS_OCTETS`] perhaps nothing.
    pub(super) fn header(&mut self, cx: &Cx<'_>) -> Wanted<Bytes> {
        let end = self.header_end(cx)?;
        Ok(self.at_hand(0, end).unwrap_or_default())
    }

    /// The structure is known from here on; it is made from the message if it has to be.
    pub(super) fn learn_structure(&mut self, cx: &Cx<'_>) -> Wanted<()> {
        while self.structure.is_none() {
            let (mut parser, read) = self.parser.take().unwrap_or_else(|| (StructureParser::new(), 0));
            if read >= self.size {
                self.structure = Some(parser.finish());
                break;
            }
            let octets = self.octets(read, self.size - read, cx);
            if let Ok(octets) = &octets {
                parser.feed(octets);
            }
            let more = octets.as_ref().map_or(0, |octets| octets.len() as u64);
            self.parser = Some((parser, read + more));
            octets?;
        }
        Ok(())
    }

    /// The structure, once it is known.
    pub(super) fn structure(&self) -> Option<&Structure> {
        self.structure.as_ref()
    }

    fn at_hand(&self, offset: u64, len: u64) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.hand_at)?).ok()?;
        let there = self.hand.len().checked_sub(from).filter(|there| *there > 0)?;
        Some(self.hand.slice(from..from + usize::try_from(len).unwrap_or(usize::MAX).min(there)))
    }

    fn ask(&mut self, offset: u64, len: u64, most: usize) -> Progress {
        self.asked = Some(offset);
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(most.max(1));
        Progress::Ask(Request::Read { entry: self.entry, offset, len })
    }

    /// These octets are at hand now. A beginning grows while it is small: the header is looked at more than once.
    fn have(&mut self, offset: u64, octets: Bytes) {
        let grows = self.hand_at == 0 && offset == self.hand.len() as u64 && offset > 0;
        if !grows || self.hand.len() + octets.len() > HEADS_OCTETS {
            (self.hand, self.hand_at) = (octets, offset);
            return;
        }
        let mut grown = BytesMut::from(&self.hand[..]);
        grown.extend_from_slice(&octets);
        self.hand = grown.freeze();
    }
}
