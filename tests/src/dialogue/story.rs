//! What happened in a dialogue, free of how it was cut: enough to tell it again in another way.

use std::collections::BTreeMap;
use std::time::Duration;

use pillarbox_core::Close;

use super::parse::Upgrade;
use crate::subject::Range;

/// A dialogue that was played: what came from outside, in order, and what the host answered to what.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// What came from outside.
    pub turns: Vec<Turn>,
    /// The questions, in the order they were asked.
    pub asks: Vec<Asked>,
    /// The bytes that were given for the ranges asked for, by the name of the whole.
    pub contents: BTreeMap<String, Vec<u8>>,
}

/// Something that came from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The peer says these bytes.
    Feed {
        /// The bytes.
        bytes: Vec<u8>,
        /// They are still in `rx` when the connection breaks: to be fed whole, and not run before the next turn.
        whole: bool,
    },
    /// Time passes.
    After(Duration),
    /// The connection ends.
    Close(Close),
    /// The layer asked for is up, or not.
    Upgrade(Upgrade),
    /// The host answers these questions (places in [`Story::asks`]), which it had left waiting.
    Answer(Vec<usize>),
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was asked.
    pub key: Key,
    /// What the host said; `None`: nothing.
    pub answer: Option<String>,
    /// It said so before anything else happened.
    pub prompt: bool,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// This, for the how-manieth time.
    Text(String, usize),
    /// To take these bytes of a body: `start..end` of the how-manieth run of chunks.
    Chunk {
        /// Which run of adjacent chunks.
        run: usize,
        /// Position in it of the first byte.
        start: usize,
        /// Position after the last one.
        end: usize,
    },
    /// To give these bytes.
    Range(Range),
}

impl Story {
    /// The place in `asks` of the question that `key` is, or is a part of.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<usize> {
        let same = |asked: &Asked| match (&asked.key, key) {
            (Key::Chunk { run, start, end }, Key::Chunk { run: r, start: s, .. }) => run == r && start <= s && s < end,
            (Key::Range(whole), Key::Range(part)) => {
                whole.of == part.of && whole.offset <= part.offset && part.offset < whole.offset + whole.len as u64
            }
            (one, other) => one == other,
        };
        // The last one: a range may be asked for again where the host gave less than was asked.
        let found = self.asks.iter().rposition(same);
        // Beyond the end of a refused body or an unreadable range: as the last part of it.
        found.or_else(|| {
            self.asks.iter().rposition(|asked| match (&asked.key, key) {
                (Key::Chunk { run, .. }, Key::Chunk { run: r, .. }) => run == r,
                (Key::Range(whole), Key::Range(part)) => whole.of == part.of,
                _ => false,
            })
        })
    }

    /// The answer to `key` by the answer of the ask at `at`: the same text, or for a range the bytes that belong there.
    #[must_use]
    pub fn answer(&self, at: usize, key: &Key) -> Option<String> {
        let answer = self.asks[at].answer.as_ref()?;
        let Key::Range(range) = key else { return Some(answer.clone()) };
        let Some(content) = self.contents.get(&range.of) else { return Some(answer.clone()) };
        let rest = usize::try_from(range.offset).ok().and_then(|offset| content.get(offset..)).unwrap_or(&[]);
        if rest.is_empty() {
            return Some(answer.clone());
        }
        Some(format!("bytes \"{}\"", super::text::escape(&rest[..rest.len().min(range.len)])))
    }

    /// Remembers what was answered to a range: its bytes go to their place in the whole.
    pub fn learn(&mut self, range: &Range, answer: &str) {
        let Some(bytes) = super::text::content(answer) else { return };
        let content = self.contents.entry(range.of.clone()).or_default();
        let Ok(offset) = usize::try_from(range.offset) else { return };
        // A hole cannot be: machines read forward. If one does not, its answers are taken as they stand.
        if offset <= content.len() && offset + bytes.len() > content.len() {
            content.truncate(offset);
            content.extend_from_slice(&bytes);
        }
    }
}
