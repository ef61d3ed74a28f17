//! Whether a message holds the texts that somebody looks for: the one place that decides it, for every store and every
//! protocol.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::needles::{Cursor, Needles, Where};
use super::text::{Place, TextReader, Told};

/// A text that is looked for, and where. It is found in whatever case and form it is written (see
/// [`fold`](super::fold())), also across the end of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextKey {
    /// A field of the header of this name, in any case, holds the text; an empty text is in every field of the name.
    Header {
        /// The field's name.
        name: String,
        /// The text.
        text: String,
    },
    /// The body holds it: the text parts of the message, and those of the messages within. An empty text is in every one.
    Body(String),
    /// The header or the body holds it, or the header of a part.
    Text(String),
}

/// Is fed a message in pieces of any size, and says of each key whether it holds. It keeps no more of the message than a
/// [`TextReader`] does.
#[derive(Debug)]
pub struct Matcher<'a> {
    needles: Cow<'a, Needles>,
    reader: TextReader,
    hunt: Hunt,
}

/// Where in the message we are.
#[derive(Debug)]
struct Hunt {
    score: Score,
    here: Here,
    /// The next piece is the name of a field.
    is_name: bool,
    /// Through whole texts, and through values of fields.
    whole: Cursor,
    value: Cursor,
}

/// What has been found so far.
#[derive(Debug)]
struct Score {
    /// For each key.
    found: Vec<bool>,
    left: Left,
}

/// How many keys have not been found.
#[derive(Debug, Default)]
struct Left {
    header: usize,
    body: usize,
    anywhere: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    /// In a field of the message's header, by the number of its name: keys look into it.
    Named(usize),
    /// In another field.
    Field,
    Body,
}

impl<'a> Matcher<'a> {
    /// Octets that are looked at before it is asked again whether all is decided.
    const STEP: usize = 64 * 1024;

    /// For these keys. Who looks into several messages makes [`Needles`] once.
    #[must_use]
    pub fn new(keys: &'a [TextKey]) -> Self {
        Self::with(Cow::Owned(Needles::new(keys)))
    }

    pub(super) fn lent(needles: &'a Needles) -> Self {
        Self::with(Cow::Borrowed(needles))
    }

    fn with(needles: Cow<'a, Needles>) -> Self {
        Self { hunt: Hunt::new(&needles), needles, reader: TextReader::new() }
    }

    /// The next octets of the message.
    pub fn feed(&mut self, piece: &[u8]) {
        for piece in piece.chunks(Self::STEP) {
            if self.is_decided() {
                return;
            }
            self.reader.feed(piece, &mut |told| self.hunt.hear(&self.needles, told));
        }
    }

    /// More octets would change nothing.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        let left = &self.hunt.score.left;
        let is_header = left.header > 0 && self.reader.is_in_header();
        left.body + left.anywhere == 0 && !is_header || self.reader.is_over()
    }

    /// The message has ended: for each key, in order, whether it holds.
    #[must_use]
    pub fn finish(mut self) -> Vec<bool> {
        self.reader.finish(&mut |told| self.hunt.hear(&self.needles, told));
        self.hunt.score.found
    }
}

impl Hunt {
    fn new(needles: &Needles) -> Self {
        let (whole, value) = (Cursor::default(), Cursor::default());
        Self { score: Score::new(needles), here: Here::Field, is_name: false, whole, value }
    }

    fn hear(&mut self, needles: &Needles, told: Told<'_>) {
        match told {
            Told::Begin(place) => self.begin(needles, place),
            Told::Text(text) => self.text(needles, text),
        }
    }

    fn begin(&mut self, needles: &Needles, place: Place<'_>) {
        let here = match place {
            Place::Header { name } => needles.named(name).map_or(Here::Field, Here::Named),
            Place::Part { .. } => Here::Field,
            Place::Body => Here::Body,
        };
        let before = core::mem::replace(&mut self.here, here);
        self.is_name = matches!(place, Place::Header { name } | Place::Part { name } if !name.is_empty());
        self.whole.begin((before == Here::Body) == (here == Here::Body));
        if let Here::Named(name) = here {
            self.value.begin(before == here);
            let is_name = |place| place == Where::Header(name);
            needles.empty.iter().for_each(|key| self.score.find(needles, *key, is_name));
        }
    }

    fn text(&mut self, needles: &Needles, text: &str) {
        let is_value = !core::mem::take(&mut self.is_name);
        let in_body = self.here == Here::Body;
        if self.score.left.anywhere > 0 || in_body && self.score.left.body > 0 {
            let counts = |place| place == Where::Anywhere || in_body && place == Where::Body;
            self.whole.read(needles, text, |key| self.score.find(needles, key, counts));
        }
        if let (Here::Named(name), true) = (self.here, is_value && self.score.left.header > 0) {
            self.value.read(needles, text, |key| self.score.find(needles, key, |place| place == Where::Header(name)));
        }
    }
}

impl Score {
    fn new(needles: &Needles) -> Self {
        let mut score = Self { found: vec![false; needles.places.len()], left: Left::default() };
        needles.places.iter().for_each(|place| *score.left.of(*place) += 1);
        needles.empty.iter().for_each(|key| score.find(needles, *key, |place| !matches!(place, Where::Header(_))));
        score
    }

    /// The text of a key was found in a place where that `counts` for some of them.
    fn find(&mut self, needles: &Needles, key: usize, counts: impl Fn(Where) -> bool) {
        let place = needles.places[key];
        if counts(place) && !core::mem::replace(&mut self.found[key], true) {
            *self.left.of(place) -= 1;
        }
    }
}

impl Left {
    fn of(&mut self, place: Where) -> &mut usize {
        match place {
            Where::Header(_) => &mut self.header,
            Where::Body => &mut self.body,
            Where::Anywhere => &mut self.anywhere,
        }
    }
}
