//! What the index keeps of a message, and what a search asks it for.

use std::collections::BTreeSet;

use pillarbox_core::message::{Place, TextKey, TextReader, Told, fold};

/// Octets of text that are indexed of one message. In one that has more, a search looks itself: there are few of them, and
/// each would take as much room as hundreds of others.
pub(super) const INDEXED_OCTETS: usize = 1 << 20;
/// Trigrams that one text is looked for by: more would hardly leave fewer messages.
const TRIGRAMS: usize = 24;

/// The text of a message: that of all headers in it, and that of its body.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) header: String,
    pub(super) body: String,
}

impl Text {
    pub(super) fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

/// Makes the [`Text`] of a message that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    reader: TextReader,
    text: Gathered,
}

#[derive(Debug, Default)]
struct Gathered {
    text: Text,
    in_body: bool,
}

impl Gatherer {
    /// The next piece; `false` when the message has too much text.
    pub(super) fn feed(&mut self, piece: &[u8]) -> bool {
        self.reader.feed(piece, &mut |told| self.text.hear(told));
        self.text.text.len() <= INDEXED_OCTETS
    }

    /// The message has ended; `None` when it has too much text.
    pub(super) fn finish(mut self) -> Option<Text> {
        self.reader.finish(&mut |told| self.text.hear(told));
        (self.text.text.len() <= INDEXED_OCTETS).then_some(self.text.text)
    }
}

impl Gathered {
    fn hear(&mut self, told: Told<'_>) {
        if let Told::Begin(place) = told {
            self.in_body = matches!(place, Place::Body);
        }
        let into = if self.in_body { &mut self.text.body } else { &mut self.text.header };
        match told {
            // Apart, though that takes nothing away: trigrams that go across it are looked for by nobody.
            Told::Begin(_) => into.push(' '),
            // Not all of a piece that goes too far, so that no reader can make this large.
            Told::Text(_) if into.len() > INDEXED_OCTETS => {}
            Told::Text(text) if text.contains('\0') => into.extend(kept(text)),
            Told::Text(text) => into.push_str(text),
        }
    }
}

/// A message may hold a key's text if it has all these trigrams in one of these places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) in_header: bool,
    pub(super) in_body: bool,
    /// At least one.
    pub(super) trigrams: Vec<String>,
}

/// What to ask for; `None` when the text is too short to be asked for.
pub(super) fn question(key: &TextKey) -> Option<Question> {
    let (in_header, in_body, trigrams) = match key {
        TextKey::Header { name, text } => {
            let mut trigrams = trigrams(text);
            if trigrams.is_empty() {
                // That there is such a field is something, too.
                trigrams = self::trigrams(&(name.clone() + ": "));
            }
            (true, false, trigrams)
        }
        TextKey::Body(text) => (false, true, trigrams(text)),
        TextKey::Text(text) => (true, true, trigrams(text)),
    };
    (!trigrams.is_empty()).then_some(Question { in_header, in_body, trigrams })
}

/// Some trigrams that a text with `looked_for` in it has.
fn trigrams(looked_for: &str) -> Vec<String> {
    let folded = fold(looked_for);
    let letters: Vec<char> = kept(&folded).collect();
    let all: BTreeSet<&[char]> = letters.windows(3).collect();
    // Not just the first ones, which may be those that every message has.
    let step = all.len().div_ceil(TRIGRAMS).max(1);
    all.into_iter().step_by(step).map(|letters| letters.iter().collect()).collect()
}

/// The letters that count. SQLite's texts end at a NUL, here and there.
fn kept(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|letter| *letter != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: &[u8]) -> Option<Text> {
        let mut gatherer = Gatherer::default();
        octets.chunks(7).all(|piece| gatherer.feed(piece));
        gatherer.finish()
    }

    /// An index that is there already was made from what was read then. Whoever changes how texts are read or folded
    /// meets this, and raises [`LAYOUT`](super::super::file::LAYOUT), so that it is made anew.
    #[test]
    fn a_text_is_what_this_layout_says() {
        let text = text(
            "From: =?utf-8?Q?Andr=C3=A9_Stra=C3=9Fe?= <a@example.org>\r\nSubject: Two\r\n  lines\r\nno field\r\n\
             Content-Type: multipart/mixed; boundary=cut\r\n\r\npreamble\r\n--cut\r\n\
             Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
             \u{0}Caf=E9  =\r\nONE\r\n--cut\r\nContent-Type: image/png\r\n\r\nimage\r\n--cut--\r\n"
                .as_bytes(),
        );
        let text = text.unwrap_or_default();
        assert_eq!(
            text.header,
            " from: andre\u{301} strasse <a@example.org> subject: two lines no field \
             content-type: multipart/mixed; boundary=cut content-type: text/plain; charset=iso-8859-1 \
             content-transfer-encoding: quoted-printable content-type: image/png"
        );
        assert_eq!(text.body, " cafe\u{301} one ");
        assert_eq!(super::super::file::LAYOUT, 1);
    }

    #[test]
    fn a_text_is_asked_for_by_trigrams() {
        let ask = |text: &str| question(&TextKey::Text(text.to_owned())).map(|question| question.trigrams);
        assert_eq!(ask("ab"), None);
        assert_eq!(ask("a\0b"), None);
        assert_eq!(ask("ABC"), Some(vec!["abc".to_owned()]));
        assert_eq!(ask("a \t b"), Some(vec!["a b".to_owned()]));
        assert_eq!(ask("aaaaaa"), Some(vec!["aaa".to_owned()]));
        assert_eq!(ask("ß\"b"), Some(vec!["s\"b".to_owned(), "ss\"".to_owned()]));
        assert!(ask(&('a'..='z').chain('0'..='9').collect::<String>()).is_some_and(|all| all.len() <= TRIGRAMS));
        let field = question(&TextKey::Header { name: "X-A".to_owned(), text: "b".to_owned() });
        let trigrams = ["-a:", "a: ", "x-a"].map(str::to_owned).to_vec();
        assert_eq!(field, Some(Question { in_header: true, in_body: false, trigrams }));
    }

    #[test]
    fn of_a_text_without_end_little_is_kept() {
        let mut gatherer = Gatherer::default();
        assert!(gatherer.feed(b"\r\n"));
        while gatherer.feed(&[b'x'; 4096]) {}
        gatherer.feed(&[b'x'; 4 << 20]);
        assert!(gatherer.text.text.len() <= INDEXED_OCTETS + 8192);
        assert!(gatherer.finish().is_none());
    }
}
