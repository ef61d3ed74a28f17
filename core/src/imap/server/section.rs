//! Where a section of a message lies, and what is made of its octets (RFC 9051 §6.4.5.1).
//!
//! Many sections are octets of the message as they stand there. Selected header fields and decoded parts are *made* of
//! some, and how many they come to must be told before them. So they are made twice: once to be counted, when what is
//! small is kept, and once more to be sent. Neither time more is in hand than what one piece of the message makes.
//!
//! A client that takes a decoded part in pieces asks for one after the other. Where the last one has ended is remembered
//! ([`Bookmark`]), so that the next one is made from there, and not from the beginning of the part.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::source::{Source, Wanted};
use super::task::Cx;
use crate::imap::types::{FetchItem, PartPath, Partial, Section, SectionText};
use crate::mailbox::HEADS_OCTETS;
use crate::message::{Decoder, FieldFilter, Kind, LineEnds, Pick};
use crate::ops::EntryId;

/// What an item's octets are.
#[derive(Debug)]
pub(super) enum Located {
    /// There is no such section.
    Nowhere,
    /// The part is encoded in a way that nobody here knows.
    Undecodable,
    /// Octets as they stand in the message.
    There(Range<u64>),
    /// Octets that are made of some.
    Made(Recipe),
}

/// How octets are made, and which of them are wanted.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// Of these octets of the message.
    of: Range<u64>,
    /// Where making begins.
    from: Place,
    wanted: Range<u64>,
}

/// How far octets are made.
#[derive(Clone, Debug)]
struct Place {
    sieve: Sieve,
    /// How many of the message's octets have gone through.
    through: u64,
    /// Octets made.
    made: u64,
}

/// Where a client has come to that takes a decoded part in pieces. What it holds of the part are the few octets that no
/// decoder can do without.
#[derive(Debug)]
pub(super) struct Bookmark {
    entry: EntryId,
    /// Where the part is.
    of: Range<u64>,
    place: Place,
}

/// What octets go through.
#[derive(Clone, Debug)]
enum Sieve {
    Fields(FieldFilter),
    Decoded(Decoder),
    /// Of a text: its lines end with CRLF, however it was encoded.
    DecodedText(Decoder, LineEnds),
}

/// Octets are being made.
#[derive(Debug)]
pub(super) struct Making {
    recipe: Recipe,
    /// None at the end.
    at: Option<Place>,
    /// Where it was before the last piece, if a client may go on from there.
    before: Option<Place>,
    /// Those wanted of what was made last.
    ready: Vec<u8>,
}

/// Octets are made to be counted.
#[derive(Debug)]
pub(super) struct Counting {
    making: Making,
    /// Those that are wanted, while they are few.
    kept: Option<Vec<u8>>,
    /// How many of them there are.
    wanted: u64,
    nul: bool,
}

/// What there is to send of octets that are made.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) octets: u64,
    /// There is a NUL among them.
    pub(super) nul: bool,
    pub(super) all: All,
    /// From where the client may go on.
    pub(super) bookmark: Option<Bookmark>,
}

/// The octets themselves.
#[derive(Debug)]
pub(super) enum All {
    /// At hand.
    Kept(Bytes),
    /// To be made once more.
    Again(Box<Making>),
}

/// Where the octets are that an item asks for.
pub(super) fn locate(item: &FetchItem, source: &mut Source, cx: &Cx<'_>) -> Wanted<Located> {
    let whole = |text| Section { text, ..Section::default() };
    match item {
        FetchItem::Section { section: wanted, partial, .. } => section(wanted, *partial, source, cx),
        FetchItem::Rfc822 => section(&whole(SectionText::All), None, source, cx),
        FetchItem::Rfc822Header => section(&whole(SectionText::Header), None, source, cx),
        FetchItem::Rfc822Text => section(&whole(SectionText::Text), None, source, cx),
        FetchItem::Binary { part, partial, .. } => binary(part, *partial, source, cx),
        FetchItem::BinarySize(part) => binary(part, None, source, cx),
        _ => Ok(Located::Nowhere),
    }
}

/// Whether an item asks for octets.
pub(super) fn takes_octets(item: &FetchItem) -> bool {
    use FetchItem as F;
    matches!(
        item,
        F::Section { .. } | F::Rfc822 | F::Rfc822Header | F::Rfc822Text | F::Binary { .. } | F::BinarySize(_)
    )
}

/// Whether the structure of a message is needed for an item.
pub(super) fn needs_structure(item: &FetchItem) -> bool {
    match item {
        FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => true,
        FetchItem::Section { section: Section { part, .. }, .. }
        | FetchItem::Binary { part, .. }
        | FetchItem::BinarySize(part) => !part.is_empty(),
        _ => false,
    }
}

/// `BODY[…]`
fn section(section: &Section, partial: Option<Partial>, source: &mut Source, cx: &Cx<'_>) -> Wanted<Located> {
    let range = if section.part.is_empty() {
        match section.text {
            SectionText::All => 0..source.size,
            SectionText::Text => source.header_end(cx)?..source.size,
            SectionText::Mime => return Ok(Located::Nowhere),
            _ => 0..source.header_end(cx)?,
        }
    } else {
        source.learn_structure(cx)?;
        let range = source.structure().and_then(|structure| structure.range(section));
        let Some(range) = range else { return Ok(Located::Nowhere) };
        range
    };
    Ok(match &section.text {
        SectionText::HeaderFields(names) => fields(range, Pick::Only(names.clone()), partial),
        SectionText::HeaderFieldsNot(names) => fields(range, Pick::Not(names.clone()), partial),
        _ => Located::There(cut(range, partial)),
    })
}

/// `BINARY[…]`. What holds parts or a message is not encoded itself (RFC 2045 §6.4), and neither is the whole message.
fn binary(path: &PartPath, partial: Option<Partial>, source: &mut Source, cx: &Cx<'_>) -> Wanted<Located> {
    if path.is_empty() {
        return Ok(Located::There(cut(0..source.size, partial)));
    }
    source.learn_structure(cx)?;
    let Some(structure) = source.structure() else { return Ok(Located::Nowhere) };
    let at = structure.find(path.0.iter().map(|number| number.get()));
    let Some((at, part)) = at.and_then(|at| Some((at, structure.parts().nth(at)?))) else {
        return Ok(Located::Nowhere);
    };
    let of = part.body..part.end;
    let goes_on = |made: Located| match made {
        Located::Made(recipe) => Located::Made(recipe.go_on(source.entry(), cx)),
        located => located,
    };
    if matches!(part.kind, Kind::Multipart | Kind::Message) {
        return Ok(Located::There(cut(of, partial)));
    }
    Ok(match Decoder::new(structure.encoding(at)) {
        Err(_) => Located::Undecodable,
        Ok(decoder) if part.kind == Kind::Text => {
            goes_on(made(of, Sieve::DecodedText(decoder, LineEnds::default()), partial))
        }
        Ok(decoder) if decoder.is_identity() => Located::There(cut(of, partial)),
        Ok(decoder) => goes_on(made(of, Sieve::Decoded(decoder), partial)),
    })
}

fn fields(of: Range<u64>, pick: Pick, partial: Option<Partial>) -> Located {
    made(of, Sieve::Fields(FieldFilter::new(pick)), partial)
}

fn made(of: Range<u64>, sieve: Sieve, partial: Option<Partial>) -> Located {
    let from = Place { sieve, through: 0, made: 0 };
    Located::Made(Recipe { of, from, wanted: cut(0..u64::MAX, partial) })
}

/// The octets of a range that a client has asked for.
fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(Partial { offset, length }) = partial else { return range };
    let start = range.start.saturating_add(offset).min(range.end);
    start..start.saturating_add(length).min(range.end)
}

impl Sieve {
    fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Fields(filter) => filter.feed(piece, out),
            Self::Decoded(decoder) => decoder.feed(piece, out),
            Self::DecodedText(decoder, ends) => {
                let mut decoded = Vec::with_capacity(piece.len());
                decoder.feed(piece, &mut decoded);
                ends.feed(&decoded, out);
            }
        }
    }

    fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::Fields(filter) => filter.finish(out),
            Self::Decoded(decoder) => decoder.finish(out),
            Self::DecodedText(decoder, mut ends) => {
                let mut decoded = Vec::new();
                decoder.finish(&mut decoded);
                ends.feed(&decoded, out);
            }
        }
    }
}

impl Recipe {
    /// From where the client has come to, if that is on the way.
    fn go_on(self, entry: EntryId, cx: &Cx<'_>) -> Self {
        let bookmark = cx.view.as_ref().and_then(|view| view.bookmark.as_deref());
        let bookmark = bookmark.filter(|it| it.entry == entry && it.of == self.of);
        match bookmark.filter(|it| it.place.made <= self.wanted.start) {
            Some(bookmark) => Self { from: bookmark.place.clone(), ..self },
            None => self,
        }
    }
}

impl Making {
    fn new(recipe: Recipe) -> Self {
        let at = Some(recipe.from.clone());
        Self { recipe, at, before: None, ready: Vec::new() }
    }

    /// Makes some more; false at the end, or when no more is wanted.
    fn step(&mut self, source: &mut Source, cx: &Cx<'_>) -> Wanted<bool> {
        let Range { start, end } = self.recipe.of;
        let wanted = &self.recipe.wanted;
        let Some(at) = self.at.as_mut().filter(|at| at.made < wanted.end) else { return Ok(false) };
        let from = start + at.through;
        let begins = at.made;
        let mut out = core::mem::take(&mut self.ready);
        out.clear();
        if from < end {
            let piece = source.octets(from, end - from, cx)?;
            if wanted.end < u64::MAX && !matches!(at.sieve, Sieve::Fields(_)) {
                self.before = Some(at.clone());
            }
            at.through += piece.len() as u64;
            at.sieve.feed(&piece, &mut out);
            at.made += out.len() as u64;
        } else if let Some(at) = self.at.take() {
            at.sieve.finish(&mut out);
        }
        let made = begins..begins + out.len() as u64;
        let within = |octet: u64| octet.clamp(made.start, made.end) - made.start;
        // Both are at most `out.len()`.
        out.truncate(within(wanted.end) as usize);
        out.drain(..(within(wanted.start) as usize).min(out.len()));
        self.ready = out;
        Ok(true)
    }

    /// Asks for what the next octets are made of, if it is not at hand.
    pub(super) fn read_ahead(&self, source: &mut Source, cx: &Cx<'_>) -> Wanted<()> {
        let Range { start, end } = self.recipe.of;
        let Some(at) = self.at.as_ref().filter(|at| at.made < self.recipe.wanted.end) else { return Ok(()) };
        let from = start + at.through;
        if from < end {
            source.octets(from, end - from, cx)?;
        }
        Ok(())
    }

    /// Makes octets until there are some: they are taken out of here. None at the end.
    pub(super) fn next(&mut self, source: &mut Source, cx: &Cx<'_>) -> Wanted<Option<Bytes>> {
        while self.step(source, cx)? {
            if !self.ready.is_empty() {
                return Ok(Some(core::mem::take(&mut self.ready).into()));
            }
        }
        Ok(None)
    }

    /// From where the client may go on.
    pub(super) fn bookmark(&mut self, source: &Source) -> Option<Bookmark> {
        let place = self.before.take()?;
        Some(Bookmark { entry: source.entry(), of: self.recipe.of.clone(), place })
    }
}

impl Counting {
    pub(super) fn new(recipe: Recipe) -> Self {
        Self { making: Making::new(recipe), kept: Some(Vec::new()), wanted: 0, nul: false }
    }

    /// Goes on to the end.
    pub(super) fn finish(&mut self, source: &mut Source, cx: &Cx<'_>) -> Wanted<Counted> {
        while self.making.step(source, cx)? {
            let ready = &self.making.ready;
            self.wanted += ready.len() as u64;
            self.nul |= memchr::memchr(0, ready).is_some();
            self.kept = self.kept.take().filter(|kept| kept.len() + ready.len() <= HEADS_OCTETS);
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(ready);
            }
        }
        let all = match self.kept.take() {
            Some(kept) => All::Kept(kept.into()),
            None => All::Again(Box::new(Making::new(self.making.recipe.clone()))),
        };
        let bookmark = self.making.bookmark(source);
        Ok(Counted { octets: self.wanted, nul: self.nul, all, bookmark })
    }
}
