//! Makes the structure of a message while its octets pass (RFC 5322, RFC 2046).
//!
//! It goes line by line and keeps none of them: of a body it looks at lines that begin like a delimiter, at as many
//! octets as that has; of a header it keeps the fields that a [`Structure`] holds. Nothing is an error: a message is what it is.

use alloc::vec::Vec;

use bytes::Bytes;

use super::media::{Media, token};
use super::structure::{Field, FieldName, Kind, Part, Structure};

/// Is fed a message in pieces of any size, and makes its [`Structure`].
#[derive(Clone, Debug)]
pub struct StructureParser {
    parts: Vec<Part>,
    fields: Vec<Field>,
    texts: Vec<u8>,
    /// The parts we are in, from the outside in.
    open: Vec<Open>,
    at: At,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Octets of that line so far.
    line_octets: u64,
    /// The last octet seen: a CR may be in another piece than its LF.
    last: u8,
    /// Where the line begins.
    offset: u64,
    /// Lines before it.
    lines: u64,
    /// Octets of the line before it, and of its end.
    before: (u64, u64),
    /// Nobody asks for a [`Structure`]: only the fields are kept that say how to read the part we are in.
    passing: bool,
}

/// What a line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It begins a field, with a name of so many octets.
    Field { name: usize },
    /// It goes on with the line before it.
    Folded,
    /// It stands in a header and is no field.
    Stray,
    /// It is the empty line behind a header.
    HeaderEnd,
    /// It ends parts; unless it is the last one of its multipart, the header of another one begins behind it.
    Delimiter,
    /// It stands in a body: in the first line of one, where a header would have begun.
    Body,
}

/// A part that has begun and not ended.
#[derive(Clone, Debug)]
struct Open {
    part: usize,
    /// Lines before its body.
    lines: u64,
    /// Of a multipart whose last delimiter has not come yet.
    boundary: Option<Bytes>,
    /// Of a multipart whose parts are messages if they do not say otherwise (RFC 2046 §5.1.5).
    digest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the first line of the header of the innermost part.
    FirstLine,
    /// In that header, and in a field that is kept or in another one.
    Header { kept: bool },
    /// In no header.
    Body,
}

impl Default for StructureParser {
    fn default() -> Self {
        Self::new()
    }
}

impl StructureParser {
    /// At the beginning of a message.
    #[must_use]
    pub fn new() -> Self {
        let mut parser = Self {
            parts: Vec::new(),
            fields: Vec::new(),
            texts: Vec::new(),
            open: Vec::new(),
            at: At::Body,
            line: Vec::new(),
            line_octets: 0,
            last: 0,
            offset: 0,
            lines: 0,
            before: (0, 0),
            passing: false,
        };
        parser.begin(None);
        parser
    }

    /// The same, for one who reads line by line and asks what each is: there will be no structure.
    pub(super) fn passing() -> Self {
        Self { passing: true, ..Self::new() }
    }

    /// The next line stands in a header, or would if it were a field.
    pub(super) fn is_in_header(&self) -> bool {
        self.at != At::Body
    }

    /// The header we are in is that of the message itself.
    pub(super) fn is_in_message(&self) -> bool {
        self.parts.len() == 1
    }

    /// A line may be a delimiter.
    pub(super) fn has_boundary(&self) -> bool {
        self.open.iter().any(|open| open.boundary.is_some())
    }

    /// The charset and the encoding of the part whose body we are in, if that is a text: `text/…`, or one of the reports
    /// that are `message/…` and no message.
    pub(super) fn text(&self) -> Option<(Bytes, Bytes)> {
        let part = self.parts.get(self.open.last()?.part)?;
        let value = |name| {
            let mut fields = self.fields.get(part.fields.clone())?.iter();
            fields.find(|field| field.name == name).map(|field| &self.texts[field.value.clone()])
        };
        let media = value(FieldName::ContentType).and_then(Media::parse);
        let is_report = || part.kind == Kind::Basic && media.as_ref().is_some_and(|media| media.is("message"));
        if self.is_in_header() || part.kind != Kind::Text && !is_report() {
            return None;
        }
        let charset = media.as_ref().and_then(|media| media.parameter("charset")).cloned().unwrap_or_default();
        let encoding = value(FieldName::ContentTransferEncoding).and_then(token).unwrap_or(b"7bit");
        Some((charset, Bytes::copy_from_slice(encoding)))
    }

    /// The next line, or as much of its beginning as there is [`Self::room`] for.
    pub(super) fn line(&mut self, line: &[u8]) -> Line {
        let ending = match line {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            _ => 0,
        };
        self.whole_line(line, line.len() as u64, ending)
    }

    /// Reads the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = &rest[self.pass(rest)..];
            let Some(lf) = memchr::memchr(b'\n', rest) else { break };
            let before = if lf == 0 { self.last } else { rest[lf - 1] };
            let (line, behind) = rest.split_at(lf + 1);
            let octets = self.line_octets + line.len() as u64;
            let ending = if octets > 1 && before == b'\r' { 2 } else { 1 };
            if self.line_octets == 0 {
                self.whole_line(&line[..line.len().min(self.room())], octets, ending);
            } else {
                self.hold(line);
                let held = core::mem::take(&mut self.line);
                self.whole_line(&held, octets, ending);
                self.line = held;
                self.line.clear();
                self.line_octets = 0;
            }
            rest = behind;
        }
        self.hold(rest);
        self.last = piece.last().copied().unwrap_or(self.last);
    }

    /// The message has ended.
    #[must_use]
    pub fn finish(mut self) -> Structure {
        if self.line_octets > 0 {
            let held = core::mem::take(&mut self.line);
            self.whole_line(&held, self.line_octets, 0);
        }
        if self.at != At::Body {
            self.end_header(self.offset);
        }
        self.close(0, self.offset);
        Structure { parts: self.parts, fields: self.fields, texts: Bytes::from(self.texts), prefix: 0 }
    }

    /// Counts the lines of a body up to the next one that may be a delimiter; says how many octets they have.
    fn pass(&mut self, rest: &[u8]) -> usize {
        if self.at != At::Body || self.line_octets > 0 {
            return 0;
        }
        let last = match self.open.iter().any(|open| open.boundary.is_some()) {
            true if rest.starts_with(b"--") => None,
            true => memchr::memmem::find(rest, b"\n--").or_else(|| memchr::memrchr(b'\n', rest)),
            false => memchr::memrchr(b'\n', rest),
        };
        let Some(last) = last else { return 0 };
        let lines = &rest[..=last];
        let line = &lines[memchr::memrchr(b'\n', &lines[..last]).map_or(0, |lf| lf + 1)..];
        self.before = (line.len() as u64, if line.ends_with(b"\r\n") { 2 } else { 1 });
        self.offset += lines.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', lines).count() as u64;
        lines.len()
    }

    /// How much of a line is looked at.
    pub(super) fn room(&self) -> usize {
        // `--`, the boundary, `--`, CRLF.
        if self.at == At::Body { Structure::MAX_BOUNDARY + 6 } else { Structure::MAX_FIELD }
    }

    fn hold(&mut self, piece: &[u8]) {
        let room = self.room().saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        self.line_octets += piece.len() as u64;
    }

    /// A line of so many octets, the last `ending` of which are its end, and which begins with `line`.
    fn whole_line(&mut self, line: &[u8], octets: u64, ending: u64) -> Line {
        let text = line.get(..usize::try_from(octets - ending).unwrap_or(usize::MAX)).unwrap_or(line);
        let known = match text.strip_prefix(b"--").and_then(|text| self.delimiter(text)) {
            Some(delimiter) => self.delimit(delimiter, octets),
            None if self.at == At::Body => Line::Body,
            None => self.header_line(text, octets),
        };
        self.offset += octets;
        self.lines += 1;
        self.before = (octets, ending);
        known
    }

    /// Which open part's boundary the line begins with, and whether it is its last one. The longest one counts, and of
    /// equal ones the innermost: that of an outer multipart ends all that is in it.
    fn delimiter(&self, text: &[u8]) -> Option<(usize, bool)> {
        let mut found: Option<(usize, &Bytes)> = None;
        for (level, open) in self.open.iter().enumerate() {
            let Some(boundary) = &open.boundary else { continue };
            if text.starts_with(boundary) && found.is_none_or(|(_, longest)| longest.len() <= boundary.len()) {
                found = Some((level, boundary));
            }
        }
        let (level, boundary) = found?;
        let is_last = text[boundary.len()..].starts_with(b"--");
        // No room for another part: the line belongs to the part that it would end.
        (is_last || self.parts.len() < Structure::MAX_PARTS).then_some((level, is_last))
    }

    fn delimit(&mut self, (level, is_last): (usize, bool), octets: u64) -> Line {
        if self.at != At::Body {
            self.end_header(self.offset);
        }
        self.close(level + 1, self.offset - self.before.1);
        if is_last {
            self.open[level].boundary = None;
        } else {
            self.offset += octets;
            self.begin(Some(self.open[level].part));
            self.offset -= octets;
        }
        Line::Delimiter
    }

    /// A line of a header, which may turn out to stand behind it.
    fn header_line(&mut self, text: &[u8], octets: u64) -> Line {
        if text.is_empty() {
            // Lines of the body are counted from the next one on.
            self.lines += 1;
            self.end_header(self.offset + octets);
            self.lines -= 1;
            return Line::HeaderEnd;
        }
        if let (At::Header { kept }, b' ' | b'\t') = (self.at, text[0]) {
            if kept {
                self.keep(text);
            }
            return Line::Folded;
        }
        let name = memchr::memchr(b':', text).map(|colon| &text[..colon]);
        let is_name = |name: &&[u8]| !name.is_empty() && name.iter().all(|octet| (b'!'..=b'~').contains(octet));
        if self.at == At::FirstLine && name.filter(is_name).is_none() {
            // There is no header: the line is one of the body. In a digest the body is a message, and it may be of its
            // header.
            self.end_header(self.offset);
            return if self.at == At::Body { Line::Body } else { self.header_line(text, octets) };
        }
        self.end_field();
        // Obsolete syntax has spaces before the colon (RFC 5322 §4.5).
        let known = name.and_then(|name| self.wanted(name.trim_ascii_end()));
        if let Some((field, name)) = known.zip(name) {
            let start = self.texts.len();
            self.fields.push(Field { name: field, value: start..start });
            self.keep(&text[name.len() + 1..]);
        }
        self.at = At::Header { kept: known.is_some() };
        name.map_or(Line::Stray, |name| Line::Field { name: name.len() })
    }

    /// The field of that name, if it is to be kept.
    fn wanted(&self, name: &[u8]) -> Option<FieldName> {
        let field = FieldName::of(name)?;
        let is_needed = matches!(field, FieldName::ContentType | FieldName::ContentTransferEncoding);
        if self.passing && !is_needed {
            return None;
        }
        let part = self.parts.last()?;
        let is_message = part.parent.is_none_or(|parent| self.parts[parent].kind == Kind::Message);
        let seen = || self.fields[part.fields.start..].iter().any(|known| known.name == field);
        let has_room = self.texts.len() + 4 * (self.fields.len() + 1) < Structure::MAX_FIELDS;
        (has_room && (is_message || field.is_mime()) && (field.repeats() || !seen())).then_some(field)
    }

    /// Appends to the value of the last field, as far as there is room.
    fn keep(&mut self, text: &[u8]) {
        let Some(field) = self.fields.last() else { return };
        // Nothing stands between the values: blanks in front of one are not kept at all.
        let text = if self.texts.len() == field.value.start { text.trim_ascii_start() } else { text };
        let in_field = Structure::MAX_FIELD.saturating_sub(self.texts.len() - field.value.start);
        let in_all = Structure::MAX_FIELDS.saturating_sub(self.texts.len() + 4 * self.fields.len());
        self.texts.extend_from_slice(&text[..text.len().min(in_field).min(in_all)]);
    }

    /// The value of the last field is whole.
    fn end_field(&mut self) {
        let At::Header { kept: true } = self.at else { return };
        let Some(field) = self.fields.last_mut() else { return };
        let value = self.texts[field.value.start..].trim_ascii_end();
        field.value.end = field.value.start + value.len();
        self.texts.truncate(field.value.end);
    }

    /// A part begins here, within that one.
    fn begin(&mut self, parent: Option<usize>) {
        if self.passing {
            self.fields.clear();
            self.texts.clear();
        }
        let fields = self.fields.len()..self.fields.len();
        let (header, body, end) = (self.offset, self.offset, self.offset);
        self.open.push(Open { part: self.parts.len(), lines: 0, boundary: None, digest: false });
        self.parts.push(Part { parent, kind: Kind::Text, header, body, end, lines: 0, fields });
        self.at = At::FirstLine;
    }

    /// The header of the innermost part has ended, and its body begins at `body`.
    fn end_header(&mut self, body: u64) {
        self.end_field();
        self.at = At::Body;
        let depth = self.open.len();
        let digest = depth > 1 && self.open[depth - 2].digest;
        let has_room = self.parts.len() < Structure::MAX_PARTS && depth < Structure::MAX_DEPTH;
        let Some(open) = self.open.last_mut() else { return };
        let part = &mut self.parts[open.part];
        open.lines = self.lines;
        part.body = body;
        part.fields.end = self.fields.len();
        let value = |name| {
            let mut fields = self.fields[part.fields.clone()].iter();
            fields.find(|field| field.name == name).map(|field| &self.texts[field.value.clone()])
        };
        let media = value(FieldName::ContentType).and_then(Media::parse);
        let is_message = match &media {
            Some(media) => media.is("message") && is_whole_message(&media.subtype),
            None => digest,
        };
        if media.as_ref().is_some_and(|media| media.is("multipart")) {
            let boundary = media.as_ref().and_then(|media| media.parameter("boundary"));
            let boundary = boundary.map(|boundary| boundary.trim_ascii_end());
            open.boundary = boundary
                .filter(|boundary| has_room && (1..=Structure::MAX_BOUNDARY).contains(&boundary.len()))
                .map(Bytes::copy_from_slice);
            open.digest = media.is_some_and(|media| media.subtype.eq_ignore_ascii_case(b"digest"));
            part.kind = if open.boundary.is_some() { Kind::Multipart } else { Kind::Opaque };
        } else if is_message {
            let encoding = value(FieldName::ContentTransferEncoding).and_then(token).unwrap_or(b"7bit");
            let is_plain = [&b"7bit"[..], b"8bit", b"binary"].iter().any(|e| encoding.eq_ignore_ascii_case(e));
            part.kind = if has_room && is_plain { Kind::Message } else { Kind::Opaque };
        } else {
            let is_text = media.is_none_or(|media| media.is("text"));
            part.kind = if is_text { Kind::Text } else { Kind::Basic };
        }
        if part.kind == Kind::Message {
            let message = open.part;
            let offset = core::mem::replace(&mut self.offset, body);
            self.begin(Some(message));
            self.offset = offset;
            // A message that is cut off in front of its header has an empty one.
            self.parts[message + 1].body = body;
        }
    }

    /// All parts from that level on have ended, at `end` or where their bodies began.
    fn close(&mut self, level: usize, end: u64) {
        if self.at != At::Body {
            // A message within a message has just begun, and there is nothing of it.
            self.at = At::Body;
            if let Some(open) = self.open.last_mut() {
                open.lines = self.lines;
            }
        }
        let mut last_end = end;
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { return };
            let part = &mut self.parts[open.part];
            last_end = last_end.max(part.body);
            part.end = last_end;
            let lines = self.lines.saturating_sub(open.lines);
            // The end of the last line belongs to the delimiter: if it was empty there is nothing left of it.
            let is_gone = last_end < self.offset && self.before.0 == self.before.1;
            part.lines = lines.saturating_sub(u64::from(is_gone));
        }
    }
}

fn is_whole_message(subtype: &[u8]) -> bool {
    subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global")
}
