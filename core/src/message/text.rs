//! The text of a message as searches see it: decoded and folded, field by field and part by part.
//!
//! The parser of structures says what a line is, so that what is searched are the very parts that BODYSTRUCTURE tells
//! of. Of the header and of each part goes what RFC 9051 §6.4.4 wants: encoded words and transfer encodings are undone,
//! charsets decoded. HTML is looked at as it stands there, tags and all, as IMAP's searches have always done.

use alloc::string::String;
use alloc::vec::Vec;

use super::charset::Charset;
use super::fold::{Fold, fold};
use super::media::spread;
use super::parser::{Line, StructureParser};
use super::structure::{FieldName, Structure};
use super::transfer::Decoder;
use super::words::Words;

/// Is fed a message in pieces of any size, and tells its text: folded as by [`fold`], in the order of the message, in
/// bounded pieces. It never holds a part.
///
/// A [`Matcher`](super::Matcher) reads a message through this, too: what it finds is a substring of one of the texts
/// that are told here. Each field is a text of its own, and so is the body of each part that is a text: `text/…`, and
/// reports such as `message/delivery-status`. Other parts are told of by their headers alone. A header that is put in
/// front of a message may be read alone, and the message behind it.
#[derive(Debug)]
pub struct TextReader {
    parser: StructureParser,
    at: At,
    /// The beginning of a line, in [`At::Line`].
    line: Vec<u8>,
    reading: Reading,
    voice: Voice,
}

/// What a [`TextReader`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// Another text begins; nothing that is looked for spans two of them.
    Begin(Place<'a>),
    /// The next piece of the text that has begun, folded; never empty, cut between characters.
    Text(&'a str),
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// A field of the message's own header. Its text is `name: value`, and the first piece of it is `name: `. A line that
    /// is no field has an empty name, and its text is the line.
    Header {
        /// Its name, folded.
        name: &'a str,
    },
    /// A field of the header of a part, or of a message within the message; told in the same way.
    Part {
        /// Its name, folded.
        name: &'a str,
    },
    /// The body of a part that is a text.
    Body,
}

/// Where in a line we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At its beginning, which must be seen before it is known what the line is.
    Line,
    /// Behind that.
    Rest,
}

/// What the octets of a line are.
#[derive(Debug)]
enum Reading {
    /// The value of a field.
    Field(Field),
    /// The body of a text.
    Body { decoder: Decoder, charset: Charset, octets: Vec<u8> },
    /// Nothing that is told.
    Nothing,
}

#[derive(Debug)]
struct Field {
    words: Words,
    /// It is a list of addresses, and the last octet was a backslash.
    backslash: Option<bool>,
    /// The value so far, of a field with parameters.
    value: Option<Vec<u8>>,
}

/// Folds what is said, and tells it in pieces.
#[derive(Debug, Default)]
struct Voice {
    fold: Fold,
    text: String,
}

type Tell<'a> = &'a mut dyn FnMut(Told<'_>);

impl Default for TextReader {
    fn default() -> Self {
        Self::new()
    }
}

impl TextReader {
    /// Octets that are read at a time, and those of a text that is told: a piece may be longer by what the last octets
    /// become.
    pub const PIECE: usize = 4096;

    /// At the beginning of a message.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parser: StructureParser::passing(),
            at: At::Line,
            line: Vec::new(),
            reading: Reading::Nothing,
            voice: Voice::default(),
        }
    }

    /// Reads the next piece, and tells what it says.
    pub fn feed(&mut self, piece: &[u8], tell: &mut impl FnMut(Told<'_>)) {
        piece.chunks(Self::PIECE).for_each(|piece| self.read(piece, tell));
    }

    /// The message has ended: tells what is left.
    pub fn finish(mut self, tell: &mut impl FnMut(Told<'_>)) {
        if !self.line.is_empty() {
            self.begin_line(tell);
        }
        self.end_text(tell);
    }

    /// The header of the message itself may go on.
    #[must_use]
    pub fn is_in_header(&self) -> bool {
        self.parser.is_in_message() && self.parser.is_in_header()
    }

    /// Whatever comes, no more will be told.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_silent = matches!(self.reading, Reading::Nothing) && !self.parser.is_in_header();
        is_silent && !self.parser.has_boundary()
    }

    fn read(&mut self, mut piece: &[u8], tell: Tell<'_>) {
        while !piece.is_empty() {
            let taken = match self.at {
                At::Line => self.line_begins(piece, tell),
                At::Rest => self.line_goes_on(piece, tell),
            };
            piece = &piece[taken..];
        }
    }

    /// Octets from the beginning of a line on; how many of them were taken.
    fn line_begins(&mut self, piece: &[u8], tell: Tell<'_>) -> usize {
        let marks = 2_usize.saturating_sub(self.line.len()).min(piece.len());
        let is_marked = || piece[..marks].iter().all(|octet| *octet == b'-');
        // In a body there are delimiters, and everything else is of the body.
        let is_to_see = self.parser.is_in_header() || self.parser.has_boundary() && is_marked();
        if !is_to_see {
            self.at = At::Rest;
            let line = core::mem::take(&mut self.line);
            self.take(&line, tell);
            return 0;
        }
        let room = self.parser.room() - self.line.len();
        let lf = memchr::memchr(b'\n', &piece[..piece.len().min(room)]);
        let taken = lf.map_or(piece.len().min(room), |lf| lf + 1);
        self.line.extend_from_slice(&piece[..taken]);
        if lf.is_some() || taken == room {
            self.at = if lf.is_some() { At::Line } else { At::Rest };
            self.begin_line(tell);
        }
        taken
    }

    /// Octets behind the beginning of a line; how many of them were taken.
    fn line_goes_on(&mut self, piece: &[u8], tell: Tell<'_>) -> usize {
        let in_body = matches!(self.reading, Reading::Body { .. }) || !self.parser.is_in_header();
        let end = if !in_body {
            memchr::memchr(b'\n', piece)
        } else if self.parser.has_boundary() {
            next_delimiter(piece)
        } else {
            None
        };
        let taken = end.map_or(piece.len(), |lf| lf + 1);
        if end.is_some() {
            self.at = At::Line;
        }
        self.take(&piece[..taken], tell);
        taken
    }

    /// The line that is held begins, or is whole.
    fn begin_line(&mut self, tell: Tell<'_>) {
        let mut line = core::mem::take(&mut self.line);
        let was_in_header = self.parser.is_in_header();
        match self.parser.line(&line) {
            Line::Field { name } => {
                self.end_text(tell);
                self.begin_field(&line[..name], tell);
                self.take(&line[name + 1..], tell);
            }
            Line::Stray => {
                self.end_text(tell);
                self.begin_field(b"", tell);
                self.take(&line, tell);
            }
            Line::Folded => self.take(&line, tell),
            Line::HeaderEnd => {
                self.end_text(tell);
                self.begin_body(tell);
            }
            Line::Delimiter => self.end_text(tell),
            Line::Body => {
                if was_in_header {
                    self.end_text(tell);
                    self.begin_body(tell);
                }
                self.take(&line, tell);
            }
        }
        line.clear();
        self.line = line;
    }

    fn begin_field(&mut self, name: &[u8], tell: Tell<'_>) {
        let name = name.trim_ascii_end();
        let known = FieldName::of(name);
        let has_addresses = known.is_some_and(FieldName::repeats);
        let has_parameters = matches!(known, Some(FieldName::ContentType | FieldName::ContentDisposition));
        let field = Field {
            words: Words::default(),
            backslash: has_addresses.then_some(false),
            value: has_parameters.then(Vec::new),
        };
        self.reading = Reading::Field(field);
        let mut said = String::new();
        let (mut charset, mut say) = (Charset::default(), |text: &str| said.push_str(text));
        charset.feed(name, &mut say);
        charset.finish(&mut say);
        let name = fold(&said);
        let is_message = self.parser.is_in_message();
        tell(Told::Begin(if is_message { Place::Header { name: &name } } else { Place::Part { name: &name } }));
        self.voice = Voice::default();
        if !name.is_empty() {
            self.voice.say(&name, tell);
            self.voice.say(": ", tell);
            self.voice.pause(tell);
        }
    }

    fn begin_body(&mut self, tell: Tell<'_>) {
        let Some((charset, encoding)) = self.parser.text() else { return };
        let Ok(decoder) = Decoder::new(&encoding).or_else(|_| Decoder::new(b"binary")) else { return };
        self.reading = Reading::Body { decoder, charset: Charset::of(&charset), octets: Vec::new() };
        self.voice = Voice::default();
        tell(Told::Begin(Place::Body));
    }

    /// The next octets of what is read.
    fn take(&mut self, octets: &[u8], tell: Tell<'_>) {
        let voice = &mut self.voice;
        let mut say = |text: &str| voice.say(text, tell);
        match &mut self.reading {
            Reading::Field(field) => field.feed(octets, &mut say),
            Reading::Body { decoder, charset, octets: decoded } => {
                decoder.feed(octets, decoded);
                charset.feed(decoded, &mut say);
                decoded.clear();
            }
            Reading::Nothing => {}
        }
    }

    /// What was read has ended.
    fn end_text(&mut self, tell: Tell<'_>) {
        let voice = &mut self.voice;
        let mut say = |text: &str| voice.say(text, tell);
        match core::mem::replace(&mut self.reading, Reading::Nothing) {
            Reading::Field(field) => field.finish(&mut say),
            Reading::Body { decoder, mut charset, mut octets } => {
                decoder.finish(&mut octets);
                charset.feed(&octets, &mut say);
                charset.finish(&mut say);
            }
            Reading::Nothing => {}
        }
        self.voice.pause(tell);
    }
}

impl Field {
    /// Of a line, perhaps with its end, which is no part of the value.
    fn feed(&mut self, octets: &[u8], say: &mut dyn FnMut(&str)) {
        let is_end = |octet: &u8| matches!(octet, b'\r' | b'\n');
        let octets = octets.split(is_end).filter(|octets| !octets.is_empty());
        octets.for_each(|octets| self.unfolded(octets, say));
    }

    fn unfolded(&mut self, octets: &[u8], say: &mut dyn FnMut(&str)) {
        if let Some(value) = &mut self.value {
            let room = Structure::MAX_FIELD.saturating_sub(value.len());
            value.extend_from_slice(&octets[..octets.len().min(room)]);
        }
        let Some(backslash) = &mut self.backslash else { return self.words.feed(octets, say) };
        // A name that stands in quotes has its own quotes, and its backslashes, behind backslashes.
        for octet in octets {
            let is_quoted = core::mem::take(backslash);
            match octet {
                b'\\' if !is_quoted => *backslash = true,
                b'"' | b'\\' => self.words.feed(&[*octet], say),
                _ if is_quoted => self.words.feed(&[b'\\', *octet], say),
                _ => self.words.feed(&[*octet], say),
            }
        }
    }

    fn finish(mut self, say: &mut dyn FnMut(&str)) {
        if self.backslash == Some(true) {
            self.words.feed(b"\\", say);
        }
        self.words.finish(say);
        // The name of a file that is cut or encoded stands behind its field once more, as it is.
        for parameter in self.value.iter().flat_map(|value| spread(value)) {
            say("; ");
            let mut charset = Charset::default();
            charset.feed(&parameter.name, say);
            charset.finish(say);
            say("=");
            let mut charset = Charset::of(&parameter.charset);
            charset.feed(&parameter.octets, say);
            charset.finish(say);
        }
    }
}

impl Voice {
    fn say(&mut self, text: &str, tell: Tell<'_>) {
        self.fold.push(text, &mut self.text);
        if self.text.len() >= TextReader::PIECE {
            self.pause(tell);
        }
    }

    /// Tells what has been said.
    fn pause(&mut self, tell: Tell<'_>) {
        if !self.text.is_empty() {
            tell(Told::Text(&self.text));
            self.text.clear();
        }
    }
}

/// Where the line in front of what may be a delimiter ends.
fn next_delimiter(piece: &[u8]) -> Option<usize> {
    let marks = memchr::memmem::find(piece, b"\n--");
    let is_cut = || piece.ends_with(b"\n").then(|| piece.len() - 1);
    let is_cut_behind = || piece.ends_with(b"\n-").then(|| piece.len() - 2);
    marks.or_else(is_cut).or_else(is_cut_behind)
}
