//! APPEND, up to the octets of a message and between two of them (RFC 9051 §6.3.12, RFC 3502, RFC 3516, RFC 6855).

use super::cursor::{Cursor, Piece};
use super::{Bad, SyntaxError};
use crate::imap::types::{AppendMessage, Command, Literal, Names, Tag, Tagged};

type Result<T> = core::result::Result<T, SyntaxError>;

/// What a literal is that was just announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// An argument of some command, to be gathered.
    Argument,
    /// The message of an APPEND, to be streamed; the command so far.
    Message(Tagged),
}

/// Looks at a command as far as it goes: it stops where `literal` was announced.
///
/// # Errors
/// [`Bad`] when it is an APPEND and cannot become a good one. What is wrong with other commands is told at their end.
pub fn announced(pieces: &[Piece], literal: Literal, names: Names) -> core::result::Result<Announced, Bad> {
    let mut cursor = Cursor::new(pieces);
    let Ok(tag) = super::tag(&mut cursor) else {
        return Ok(Announced::Argument);
    };
    if cursor.space().is_err() || &*cursor.word() != b"APPEND" {
        return Ok(Announced::Argument);
    }
    let read = begin(&mut cursor, literal, names);
    match read.map_err(|what| Bad { tag: Some(tag), what })? {
        Some(command) => Ok(Announced::Message(Tagged { tag, command })),
        None => Ok(Announced::Argument),
    }
}

/// Behind a message: another one, which was just announced by `literal`. `utf8`: the one before it was in `UTF8 (…)`.
///
/// # Errors
/// What is wrong with the text between the two.
pub fn next_message(pieces: &[Piece], literal: Literal, utf8: bool) -> Result<AppendMessage> {
    let mut cursor = Cursor::new(pieces);
    if utf8 {
        cursor.close()?;
    }
    message(&mut cursor, literal)
}

/// Behind the last message.
///
/// # Errors
/// Something stands there.
pub fn end(pieces: &[Piece], utf8: bool) -> Result<()> {
    let mut cursor = Cursor::new(pieces);
    if utf8 {
        cursor.close()?;
    }
    cursor.end()
}

/// An APPEND that ended before a message did.
pub(super) fn without_message(tag: Tag) -> Bad {
    Bad { tag: Some(tag), what: SyntaxError::Expected("the literal of a message") }
}

/// `None`: the literal is the mailbox's name.
fn begin(cursor: &mut Cursor<'_>, literal: Literal, names: Names) -> Result<Option<Command>> {
    cursor.space()?;
    if cursor.is_end() {
        return Ok(None);
    }
    let mailbox = cursor.mailbox(names)?;
    Ok(Some(Command::Append { mailbox, message: message(cursor, literal)? }))
}

/// `[SP flag-list] [SP date-time] SP`, and the `UTF8 (` of RFC 6855, up to the literal.
fn message(cursor: &mut Cursor<'_>, literal: Literal) -> Result<AppendMessage> {
    let mut message = AppendMessage { flags: [].into(), date: None, literal, utf8: false };
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        message.flags = cursor.flag_list()?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        message.date = Some(cursor.date_time()?);
        cursor.space()?;
    }
    if !cursor.is_end() {
        if &*cursor.word() != b"UTF8" || !literal.binary {
            return Err(SyntaxError::Expected("flags, a date or a message"));
        }
        cursor.space()?;
        cursor.open()?;
        message.utf8 = true;
    }
    if cursor.is_end() { Ok(message) } else { Err(SyntaxError::Expected("the literal of a message")) }
}
