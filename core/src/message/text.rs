//! The text of a message as searches see it: decoded and folded, field by field and part by part.

use alloc::string::String;
use alloc::vec::Vec;

use super::fold::{Fold, fold};

/// Is fed a message in pieces of any size, and tells its text: folded as by [`fold`], in the order of the message, in
/// bounded pieces. It never holds a part.
///
/// A [`Matcher`](super::Matcher) reads a message through this, too: what it finds is a substring of one of the texts
/// that are told here. Each field is a text of its own, and so is the body of each part that is a text. So a header that
/// is put in front of a message may be read alone, and the message behind it.
#[derive(Clone, Debug, Default)]
pub struct TextReader {
    message: Vec<u8>,
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
    /// A field of the message's own header. Its text is `name: value`, and the first piece of it is `name: `.
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

impl TextReader {
    /// At the beginning of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece, and tells what it says.
    pub fn feed(&mut self, piece: &[u8], _tell: &mut impl FnMut(Told<'_>)) {
        self.message.extend_from_slice(piece);
    }

    /// The message has ended: tells what is left.
    pub fn finish(self, tell: &mut impl FnMut(Told<'_>)) {
        let end = self.message.windows(4).position(|at| at == b"\r\n\r\n").map_or(self.message.len(), |at| at + 2);
        let (header, body) = self.message.split_at(end);
        for line in String::from_utf8_lossy(header).replace("\r\n ", " ").lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let name = fold(name);
            tell(Told::Begin(Place::Header { name: &name }));
            tell(Told::Text(&(name.clone() + ": ")));
            tell(Told::Text(&fold(value.trim_start())));
        }
        let mut text = String::new();
        Fold::default().push(&String::from_utf8_lossy(body), &mut text);
        tell(Told::Begin(Place::Body));
        tell(Told::Text(&text));
    }
}
