//! Messages that are well made, by a plan that the input is: `mail-parser` reads the same in them.

use pillarbox_tests::oracle::mail::{Differs, the_same_structure, the_same_texts};
use pillarbox_tests::oracle::well_made::{CHARSETS, Header, Part, SINGLE, Transfer, Words, message};

use crate::choices::Choices;

/// Letters of several scripts, of which texts are made.
const LETTERS: [&str; 4] = [
    "abcdefghijklmnopqrstuvwxyz ,.",
    "\u{e0}\u{e9}\u{f1}\u{fc}\u{df}\u{20ac} ae",
    "\u{433}\u{434}\u{436}\u{448} \u{44f}",
    "\u{3042}\u{304b}\u{4e00}\u{4e8c} \u{ac00}\u{ac01}",
];

/// Parts of one message at most.
const PARTS: usize = 12;

/// Levels of multiparts and messages at most.
const DEPTH: usize = 3;

/// A message, and what both read in it.
pub(crate) fn agreed(input: &[u8]) {
    let mut choices = Choices::new(input);
    let header = header(&mut choices);
    let mut left = PARTS;
    let part = part(&mut choices, DEPTH, &mut left);
    if is_too_much(&part, false) {
        return;
    }
    let message = message(&header, &part);
    for same in [the_same_texts, the_same_structure] {
        match same(&message) {
            Ok(()) | Err(Differs::GivesUp) => {}
            Err(Differs::Otherwise(how)) => panic!("{how}\n{}", String::from_utf8_lossy(&message)),
        }
    }
}

/// A message that is nothing but a message, within a multipart: `mail-parser` goes back from one of them when the
/// multipart goes on, and takes it for the whole.
fn is_too_much(part: &Part, in_multipart: bool) -> bool {
    match part {
        Part::Message(_, inner) => {
            in_multipart && matches!(**inner, Part::Message(..)) || is_too_much(inner, in_multipart)
        }
        Part::Multipart(parts) => parts.iter().any(|part| is_too_much(part, true)),
        Part::Text { .. } | Part::File { .. } => false,
    }
}

fn header(choices: &mut Choices<'_>) -> Header {
    let subject = (0..=choices.below(3)).map(|_| words(choices)).collect();
    let from = address(choices);
    let to = (0..=choices.below(3)).map(|_| address(choices)).collect();
    Header { subject, from, to }
}

fn words(choices: &mut Choices<'_>) -> Words {
    match choices.below(3) {
        0 => Words::Plain(format!("a{}z", letters(choices, "abcdefgh XYZ").replace("  ", " "))),
        base64 => Words::Encoded(choices.of(&SINGLE), base64 == 1, format!("x{}y", text(choices).trim())),
    }
}

fn address(choices: &mut Choices<'_>) -> (String, String) {
    let name = if choices.below(2) == 0 { String::new() } else { format!("A{} B", letters(choices, "abcde")) };
    (name, format!("u{}", letters(choices, "abcde")))
}

fn part(choices: &mut Choices<'_>, depth: usize, left: &mut usize) -> Part {
    *left = left.saturating_sub(1);
    match choices.below(if depth == 0 || *left == 0 { 4 } else { 7 }) {
        0..3 => Part::Text {
            subtype: choices.of(&["plain", "html"]),
            charset: choices.of(&CHARSETS),
            encoding: choices.of(&[Transfer::None, Transfer::Base64, Transfer::QuotedPrintable]),
            text: format!("t{}", text(choices)),
        },
        3 => {
            let name = format!("n{}.bin", letters(choices, "abc\u{e9}\u{44f}"));
            let octets = choices.below(40);
            Part::File { name, octets: choices.take(octets).to_vec() }
        }
        4 => Part::Message(Box::new(header(choices)), Box::new(part(choices, depth - 1, left))),
        _ => Part::Multipart((0..=choices.below(3)).map(|_| part(choices, depth - 1, left)).collect()),
    }
}

fn text(choices: &mut Choices<'_>) -> String {
    let script = choices.of(&LETTERS);
    letters(choices, script)
}

fn letters(choices: &mut Choices<'_>, alphabet: &str) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let count = choices.below(30);
    (0..count).map(|_| choices.of(&alphabet)).collect()
}
