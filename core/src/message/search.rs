//! Whether a message holds the texts that somebody looks for: the one place that decides it, for every store and every
//! protocol.

use alloc::string::String;
use alloc::vec::Vec;

/// A text that is looked for, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextKey {
    /// A field of the header of this name, in any case, holds the text; an empty text is in every field of the name.
    Header {
        /// The field's name.
        name: String,
        /// The text.
        text: String,
    },
    /// The body holds it: the text parts of the message, and those of the messages within.
    Body(String),
    /// The header or the body holds it, or the header of a part.
    Text(String),
}

/// Is fed a message in pieces of any size, and says of each key whether it holds.
#[derive(Clone, Debug)]
pub struct Matcher<'a> {
    keys: &'a [TextKey],
    message: Vec<u8>,
}

impl<'a> Matcher<'a> {
    /// For these keys.
    #[must_use]
    pub fn new(keys: &'a [TextKey]) -> Self {
        Self { keys, message: Vec::new() }
    }

    /// The next octets of the message.
    pub fn feed(&mut self, piece: &[u8]) {
        self.message.extend(piece.iter().map(u8::to_ascii_lowercase));
    }

    /// More octets would change nothing.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.keys.is_empty()
    }

    /// The message has ended: for each key, in order, whether it holds.
    #[must_use]
    pub fn finish(self) -> Vec<bool> {
        let end = self.message.windows(4).position(|at| at == b"\r\n\r\n").map_or(self.message.len(), |at| at + 2);
        let (header, body) = self.message.split_at(end);
        let holds = |octets: &[u8], text: &str| {
            let text = text.to_ascii_lowercase();
            text.is_empty() || octets.windows(text.len()).any(|at| at == text.as_bytes())
        };
        let held = |key: &TextKey| match key {
            TextKey::Header { name, text } => header.split(|octet| *octet == b'\n').any(|line| {
                let mut halves = line.splitn(2, |octet| *octet == b':');
                let named = halves.next().is_some_and(|field| field.eq_ignore_ascii_case(name.as_bytes()));
                named && halves.next().is_some_and(|value| holds(value, text))
            }),
            TextKey::Body(text) => holds(body, text),
            TextKey::Text(text) => holds(&self.message, text),
        };
        self.keys.iter().map(held).collect()
    }
}
