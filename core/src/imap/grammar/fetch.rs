//! FETCH and STORE: items, sections, modifiers (RFC 9051 §6.4.5 and §6.4.6, RFC 3516, RFC 7162, RFC 8474, RFC 8514).

use alloc::vec::Vec;

use bytes::Bytes;

use super::SyntaxError;
use super::cursor::Cursor;
use crate::imap::types::{Fetch, FetchItem, FlagChange, PartPath, Partial, Section, SectionText, Store};

type Result<T> = core::result::Result<T, SyntaxError>;

/// Behind `FETCH`.
pub(super) fn fetch(cursor: &mut Cursor<'_>, uid: bool) -> Result<Fetch> {
    let set = cursor.space()?.set()?;
    cursor.space()?;
    let items = items(cursor)?;
    let mut fetch = Fetch { uid, set, items, changed_since: None, vanished: false };
    if cursor.eat(b' ') {
        modifiers(cursor, &mut fetch)?;
    }
    if fetch.vanished && !(uid && fetch.changed_since.is_some()) {
        return Err(SyntaxError::Combination("VANISHED goes with UID FETCH and CHANGEDSINCE only"));
    }
    Ok(fetch)
}

/// Behind `STORE`.
pub(super) fn store(cursor: &mut Cursor<'_>, uid: bool) -> Result<Store> {
    let set = cursor.space()?.set()?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.eat(b'(') {
        loop {
            match &*cursor.word() {
                b"UNCHANGEDSINCE" if unchanged_since.is_none() => {
                    unchanged_since = Some(cursor.space()?.modseq()?);
                }
                _ => return Err(SyntaxError::Unknown("modifier of STORE")),
            }
            if !cursor.another()? {
                break;
            }
        }
        cursor.space()?;
    }
    let (change, silent) = match &*cursor.word() {
        b"FLAGS" => (FlagChange::Replace, false),
        b"FLAGS.SILENT" => (FlagChange::Replace, true),
        b"+FLAGS" => (FlagChange::Add, false),
        b"+FLAGS.SILENT" => (FlagChange::Add, true),
        b"-FLAGS" => (FlagChange::Remove, false),
        b"-FLAGS.SILENT" => (FlagChange::Remove, true),
        _ => return Err(SyntaxError::Expected("FLAGS, +FLAGS or -FLAGS")),
    };
    cursor.space()?;
    let flags = if cursor.peek() == Some(b'(') { cursor.flag_list()? } else { cursor.flags()? };
    Ok(Store { uid, set, unchanged_since, change, silent, flags })
}

/// A macro, one item, or some in parentheses. What stands there twice is taken once.
fn items(cursor: &mut Cursor<'_>) -> Result<Vec<FetchItem>> {
    if !cursor.eat(b'(') {
        return single(cursor);
    }
    let mut items = Vec::new();
    for _ in 0..Fetch::MAX_ITEMS {
        let word = cursor.word();
        let item = item(cursor, &word)?;
        if !items.contains(&item) {
            items.push(item);
        }
        if !cursor.another()? {
            return Ok(items);
        }
    }
    Err(SyntaxError::TooMany("items"))
}

fn single(cursor: &mut Cursor<'_>) -> Result<Vec<FetchItem>> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let word = cursor.word();
    Ok(match &*word {
        b"ALL" => [Flags, InternalDate, Rfc822Size, Envelope].into(),
        b"FAST" => [Flags, InternalDate, Rfc822Size].into(),
        b"FULL" => [Flags, InternalDate, Rfc822Size, Envelope, Body].into(),
        word => [item(cursor, word)?].into(),
    })
}

/// `fetch-att`, of which `word` was read.
fn item(cursor: &mut Cursor<'_>, word: &[u8]) -> Result<FetchItem> {
    let in_section = cursor.peek() == Some(b'[');
    Ok(match word {
        b"BODY" | b"BODY.PEEK" if in_section => {
            let section = section(cursor)?;
            FetchItem::Section { peek: word != b"BODY", section, partial: partial(cursor)? }
        }
        b"BINARY" | b"BINARY.PEEK" if in_section => {
            let part = section_part(cursor)?;
            FetchItem::Binary { peek: word != b"BINARY", part, partial: partial(cursor)? }
        }
        b"BINARY.SIZE" if in_section => FetchItem::BinarySize(section_part(cursor)?),
        _ if in_section => return Err(SyntaxError::Unknown("item of FETCH")),
        b"UID" => FetchItem::Uid,
        b"FLAGS" => FetchItem::Flags,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822.SIZE" => FetchItem::Rfc822Size,
        b"ENVELOPE" => FetchItem::Envelope,
        b"BODY" => FetchItem::Body,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"RFC822" => FetchItem::Rfc822,
        b"RFC822.HEADER" => FetchItem::Rfc822Header,
        b"RFC822.TEXT" => FetchItem::Rfc822Text,
        b"MODSEQ" => FetchItem::Modseq,
        b"EMAILID" => FetchItem::EmailId,
        b"THREADID" => FetchItem::ThreadId,
        b"SAVEDATE" => FetchItem::SaveDate,
        _ => return Err(SyntaxError::Unknown("item of FETCH")),
    })
}

/// `section`, with its brackets.
fn section(cursor: &mut Cursor<'_>) -> Result<Section> {
    cursor.expect(b'[', "\"[\"")?;
    let (part, more) = part_path(cursor)?;
    let text = if more || (part.is_empty() && cursor.peek() != Some(b']')) {
        section_text(cursor, &part)?
    } else {
        SectionText::All
    };
    cursor.expect(b']', "\"]\"")?;
    Ok(Section { part, text })
}

/// `section-binary`, with its brackets.
fn section_part(cursor: &mut Cursor<'_>) -> Result<PartPath> {
    cursor.expect(b'[', "\"[\"")?;
    let (part, more) = part_path(cursor)?;
    if more {
        return Err(SyntaxError::Number);
    }
    cursor.expect(b']', "\"]\"")?;
    Ok(part)
}

/// Numbers with dots between them; and whether a dot stands behind them too, with something else behind it.
fn part_path(cursor: &mut Cursor<'_>) -> Result<(PartPath, bool)> {
    let mut path = PartPath::default();
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        if path.0.len() == PartPath::MAX_DEPTH {
            return Err(SyntaxError::TooMany("numbers in a section"));
        }
        path.0.push(cursor.nz_number()?);
        if !cursor.eat(b'.') {
            return Ok((path, false));
        }
    }
    let more = !path.is_empty();
    Ok((path, more))
}

fn section_text(cursor: &mut Cursor<'_>, part: &PartPath) -> Result<SectionText> {
    // A `]` may not stand in an atom, so the word ends before it.
    Ok(match &*cursor.word() {
        b"HEADER" => SectionText::Header,
        b"HEADER.FIELDS" => SectionText::HeaderFields(header_list(cursor)?),
        b"HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(header_list(cursor)?),
        b"TEXT" => SectionText::Text,
        b"MIME" if !part.is_empty() => SectionText::Mime,
        _ => return Err(SyntaxError::Unknown("section")),
    })
}

fn header_list(cursor: &mut Cursor<'_>) -> Result<Vec<Bytes>> {
    cursor.space()?;
    cursor.open()?;
    let mut names = Vec::new();
    loop {
        if names.len() == SectionText::MAX_FIELDS {
            return Err(SyntaxError::TooMany("header fields"));
        }
        names.push(field_name(cursor)?);
        if !cursor.another()? {
            return Ok(names);
        }
    }
}

/// `header-fld-name`. It comes back in the response, and no header has one with anything but printable ASCII in it.
fn field_name(cursor: &mut Cursor<'_>) -> Result<Bytes> {
    let name = cursor.astring()?;
    let good = name.iter().all(|octet| octet.is_ascii_graphic() && *octet != b':');
    if good && !name.is_empty() { Ok(name) } else { Err(SyntaxError::Expected("the name of a header field")) }
}

/// `partial`, if it is there.
fn partial(cursor: &mut Cursor<'_>) -> Result<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let offset = cursor.number64()?;
    cursor.expect(b'.', "\".\"")?;
    let length = cursor.number64()?;
    cursor.expect(b'>', "\">\"")?;
    if length == 0 { Err(SyntaxError::Number) } else { Ok(Some(Partial { offset, length })) }
}

fn modifiers(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Result<()> {
    cursor.open()?;
    loop {
        match &*cursor.word() {
            b"CHANGEDSINCE" if fetch.changed_since.is_none() => {
                fetch.changed_since = Some(cursor.space()?.nz_modseq()?);
            }
            b"VANISHED" => fetch.vanished = true,
            _ => return Err(SyntaxError::Unknown("modifier of FETCH")),
        }
        if !cursor.another()? {
            return Ok(());
        }
    }
}
