//! The grammar of commands (RFC 9051 §9 and the extensions in [`imap`](super)): framed pieces in, typed commands out.
//!
//! It is strict, but for what harms nobody: keywords come in any case (which the RFC demands), numbers may have leading
//! zeros, the day of an internal date may come without the space before it, a set, an item or an option that stands
//! there twice is taken once, quoted strings may hold UTF-8. Strings are slices of what was received. Whatever is sent,
//! it costs time in proportion to its octets, and bounded memory.

mod append;
mod argument;
mod cursor;
mod error;
mod fetch;
mod mailboxes;
mod search;
#[cfg(test)]
mod tests;

pub use append::{Announced, announced, end as append_end, next_message};
pub use cursor::Piece;
pub use error::{Bad, SyntaxError};

use alloc::vec::Vec;
use core::ops::Range;

use self::cursor::{Cursor, Word};
use super::types::chars::is_tag_char;
use super::types::{Command, Enabled, IdField, Names, Tag, Tagged, Text, Transfer};
use crate::secret::Secret;

type Result<T> = core::result::Result<T, SyntaxError>;

/// Reads a whole command: text, or text and literals in turns, beginning and ending with text.
///
/// APPEND is not read here: it is streamed, see [`announced`].
///
/// # Errors
/// [`Bad`] when it is no command.
pub fn parse(pieces: &[Piece], names: Names) -> core::result::Result<Tagged, Bad> {
    let mut cursor = Cursor::new(pieces);
    let tag = tag(&mut cursor)?;
    let bad = |what| Bad { tag: Some(tag), what };
    cursor.space().map_err(bad)?;
    let word = cursor.word();
    if &*word == b"APPEND" {
        return Err(append::without_message(tag));
    }
    let command = command(&mut cursor, &word, names).map_err(bad)?;
    cursor.end().map_err(bad)?;
    Ok(Tagged { tag, command })
}

/// Which part of the first text of a command a log must not show; all that follows in the same command is secret then
/// too. LOGIN's arguments are, the initial response of AUTHENTICATE is, and the whole of what is no command at all, for
/// that may be a password gone astray.
#[must_use]
pub fn secret(text: &[u8]) -> Option<Range<usize>> {
    let all = 0..text.len();
    let mut words = text.splitn(3, |&octet| octet == b' ');
    let (Some(tag), Some(keyword)) = (words.next(), words.next()) else {
        return Some(all);
    };
    let arguments = words.next().unwrap_or_default();
    let behind = |secret: &[u8]| text.len() - secret.len()..text.len();
    if tag.is_empty() || !tag.iter().all(|&octet| is_tag_char(octet)) {
        return Some(all);
    }
    match &*Word::new(keyword) {
        b"LOGIN" => Some(behind(arguments)),
        b"AUTHENTICATE" => {
            let initial = arguments.splitn(2, |&octet| octet == b' ').nth(1);
            initial.map(behind)
        }
        keyword if KEYWORDS.contains(&keyword) => None,
        _ => Some(all),
    }
}

/// The tag at the front of `text`, if there is one.
#[must_use]
pub fn tag_of(text: &[u8]) -> Option<Tag> {
    let len = text.iter().position(|&octet| !is_tag_char(octet))?;
    Tag::new(&text[..len]).filter(|_| text[len] == b' ')
}

/// The keywords of all commands but LOGIN and AUTHENTICATE.
const KEYWORDS: [&[u8]; 34] = [
    b"CAPABILITY",
    b"NOOP",
    b"LOGOUT",
    b"ID",
    b"STARTTLS",
    b"ENABLE",
    b"SELECT",
    b"EXAMINE",
    b"CREATE",
    b"DELETE",
    b"RENAME",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"LIST",
    b"LSUB",
    b"NAMESPACE",
    b"STATUS",
    b"APPEND",
    b"IDLE",
    b"CHECK",
    b"CLOSE",
    b"UNSELECT",
    b"EXPUNGE",
    b"SEARCH",
    b"FETCH",
    b"STORE",
    b"COPY",
    b"MOVE",
    b"UID",
    b"DONE",
    b"SORT",
    b"THREAD",
    b"COMPRESS",
    b"NOTIFY",
];

fn tag(cursor: &mut Cursor<'_>) -> core::result::Result<Tag, Bad> {
    Tag::new(cursor.run(is_tag_char)).ok_or(Bad { tag: None, what: SyntaxError::Tag })
}

fn command(cursor: &mut Cursor<'_>, word: &[u8], names: Names) -> Result<Command> {
    Ok(match word {
        b"NOOP" => Command::Noop,
        b"CAPABILITY" => Command::Capability,
        b"LOGOUT" => Command::Logout,
        b"STARTTLS" => Command::StartTls,
        b"NAMESPACE" => Command::Namespace,
        b"IDLE" => Command::Idle,
        b"CHECK" => Command::Check,
        b"CLOSE" => Command::Close,
        b"UNSELECT" => Command::Unselect,
        b"EXPUNGE" => Command::Expunge(None),
        b"FETCH" => Command::Fetch(fetch::fetch(cursor, false)?),
        b"STORE" => Command::Store(fetch::store(cursor, false)?),
        b"SEARCH" => Command::Search(search::search(cursor, false)?),
        b"COPY" => Command::Copy(transfer(cursor, names, false)?),
        b"MOVE" => Command::Move(transfer(cursor, names, false)?),
        b"UID" => uid(cursor, names)?,
        b"SELECT" => Command::Select(mailboxes::select(cursor, names, false)?),
        b"EXAMINE" => Command::Select(mailboxes::select(cursor, names, true)?),
        b"STATUS" => mailboxes::status(cursor, names)?,
        b"LIST" => Command::List(mailboxes::list(cursor, names)?),
        b"LSUB" => {
            let reference = cursor.space()?.mailbox(names)?;
            Command::Lsub { reference, pattern: cursor.space()?.pattern(names)? }
        }
        b"CREATE" => mailboxes::create(cursor, names)?,
        b"DELETE" => Command::Delete(mailbox(cursor, names)?),
        b"RENAME" => Command::Rename { from: mailbox(cursor, names)?, to: mailbox(cursor, names)? },
        b"SUBSCRIBE" => Command::Subscribe(mailbox(cursor, names)?),
        b"UNSUBSCRIBE" => Command::Unsubscribe(mailbox(cursor, names)?),
        b"ENABLE" => enable(cursor)?,
        b"ID" => id(cursor)?,
        b"LOGIN" => login(cursor)?,
        b"AUTHENTICATE" => authenticate(cursor)?,
        _ => return Err(SyntaxError::Command),
    })
}

/// Behind `UID`.
fn uid(cursor: &mut Cursor<'_>, names: Names) -> Result<Command> {
    cursor.space()?;
    Ok(match &*cursor.word() {
        b"FETCH" => Command::Fetch(fetch::fetch(cursor, true)?),
        b"STORE" => Command::Store(fetch::store(cursor, true)?),
        b"SEARCH" => Command::Search(search::search(cursor, true)?),
        b"COPY" => Command::Copy(transfer(cursor, names, true)?),
        b"MOVE" => Command::Move(transfer(cursor, names, true)?),
        b"EXPUNGE" => Command::Expunge(Some(cursor.space()?.set()?)),
        _ => return Err(SyntaxError::Command),
    })
}

/// `SP mailbox`
fn mailbox(cursor: &mut Cursor<'_>, names: Names) -> Result<super::types::MailboxName> {
    cursor.space()?.mailbox(names)
}

fn transfer(cursor: &mut Cursor<'_>, names: Names, uid: bool) -> Result<Transfer> {
    let set = cursor.space()?.set()?;
    Ok(Transfer { uid, set, mailbox: mailbox(cursor, names)? })
}

fn enable(cursor: &mut Cursor<'_>) -> Result<Command> {
    let mut enabled = Enabled::default();
    loop {
        enabled.switch_on(&cursor.space()?.atom()?);
        if cursor.peek() != Some(b' ') {
            return Ok(Command::Enable(enabled));
        }
    }
}

fn login(cursor: &mut Cursor<'_>) -> Result<Command> {
    let user = cursor.space()?.astring()?;
    Ok(Command::Login { user, password: Secret::new(cursor.space()?.astring()?.to_vec()) })
}

fn authenticate(cursor: &mut Cursor<'_>) -> Result<Command> {
    let mechanism = Text::new(cursor.space()?.atom()?).ok_or(SyntaxError::Expected("a mechanism"))?;
    let mut initial = None;
    if cursor.eat(b' ') {
        let response = cursor.run(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='));
        if response.is_empty() {
            return Err(SyntaxError::Expected("an initial response in base64"));
        }
        initial = Some(Secret::new(response.to_vec()));
    }
    Ok(Command::Authenticate { mechanism, initial })
}

fn id(cursor: &mut Cursor<'_>) -> Result<Command> {
    cursor.space()?;
    if !cursor.eat(b'(') {
        return if &*cursor.word() == b"NIL" {
            Ok(Command::Id(None))
        } else {
            Err(SyntaxError::Expected("NIL or a list"))
        };
    }
    let mut fields = Vec::new();
    if cursor.eat(b')') {
        return Ok(Command::Id(Some(fields)));
    }
    loop {
        if fields.len() == IdField::MAX_FIELDS {
            return Err(SyntaxError::TooMany("fields"));
        }
        let name = cursor.string()?;
        cursor.space()?;
        let string = matches!(cursor.peek(), Some(b'"') | None);
        let value = match string {
            true => Some(cursor.string()?),
            false if &*cursor.word() == b"NIL" => None,
            false => return Err(SyntaxError::Expected("a string or NIL")),
        };
        if name.len() > IdField::MAX_NAME || value.as_ref().is_some_and(|value| value.len() > IdField::MAX_VALUE) {
            return Err(SyntaxError::TooLong("a field of ID"));
        }
        fields.push(IdField { name, value });
        if !cursor.another()? {
            return Ok(Command::Id(Some(fields)));
        }
    }
}
