//! What texts are compared by: letters without case, characters taken apart, runs of blanks as one.
//!
//! It is `i;unicode-casemap` (RFC 5051), as Dovecot has it, too, with two differences. Letters end up small, which is
//! how they mostly come, and through all of Unicode's full mappings, so that `STRASSE` finds `Straße`. And a run of
//! blanks is one space, of whatever kind they are and wherever a line ends: a line is broken by whoever wrote or sent it
//! and means nothing, so that a sentence is found across it. What is a substring of a text stays one when both are
//! folded (RFC 9051 §6.4.4 asks for no less), and "flexible matching" is allowed to find more.
//!
//! Each character is folded by itself. So a text may be folded in pieces; but marks above and below a letter are found
//! only in the order in which they were written.

use alloc::string::String;

use unicode_normalization::char::decompose_compatible;

/// Folds a text for comparison: two texts are equal for a search when these are. What is looked for, and an index over
/// what is there, are folded by this alone. Folding twice changes nothing.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Fold::default().push(text, &mut out);
    out
}

/// The same, for a text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fold {
    /// The last character was a blank.
    blank: bool,
}

impl Fold {
    /// Appends what `text` is folded to.
    pub(super) fn push(&mut self, mut text: &str, out: &mut String) {
        // Most text is ASCII, and most of that needs no look at a table.
        while let Some(letter) = text.chars().next() {
            let end = text.bytes().position(|octet| !octet.is_ascii()).unwrap_or(text.len());
            if end > 0 {
                self.ascii(&text[..end], out);
                text = &text[end..];
                continue;
            }
            match letter {
                // So is most of the rest: but for `Й`, these are not taken apart.
                'а'..='и' | 'к'..='я' => {
                    self.blank = false;
                    out.push(letter);
                }
                _ => decompose_compatible(letter, |letter| self.letter(letter, out)),
            }
            text = &text[letter.len_utf8()..];
        }
    }

    fn ascii(&mut self, mut text: &str, out: &mut String) {
        let from = out.len();
        while !text.is_empty() {
            // As far as nothing changes but the case: up to a blank that is no space, or is not the first one.
            let mut blank = self.blank;
            let changes = |octet: u8| {
                let before = core::mem::replace(&mut blank, octet == b' ');
                matches!(octet, b'\t'..=b'\r') || before && octet == b' '
            };
            let end = text.bytes().position(changes).unwrap_or(text.len());
            out.push_str(&text[..end]);
            if end > 0 {
                self.blank = text.as_bytes()[end - 1] == b' ';
            }
            if end == text.len() {
                break;
            }
            if !self.blank {
                out.push(' ');
            }
            self.blank = true;
            text = &text[end + 1..];
        }
        out[from..].make_ascii_lowercase();
    }

    /// One character of a text that has been taken apart.
    fn letter(&mut self, letter: char, out: &mut String) {
        let is_blank = letter.is_whitespace();
        if is_blank && !self.blank {
            out.push(' ');
        }
        self.blank = is_blank;
        if is_blank {
            return;
        }
        if letter.is_ascii() || is_without_case(letter) {
            return out.push(letter.to_ascii_lowercase());
        }
        // Small, large and small again: `ẞ` is large for `ß`, which is `SS` when it is large; `ς` and `σ` are both `Σ`.
        let large = letter.to_lowercase().flat_map(char::to_uppercase);
        out.extend(large.flat_map(char::to_lowercase));
    }
}

/// Accents, and scripts that know no large and small letters: from Hebrew to Burmese, Hangul and Ethiopic, Chinese and
/// Japanese. The tables need not be asked.
fn is_without_case(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{344}' | '\u{590}'..='\u{109f}' | '\u{1100}'..='\u{139f}' | '\u{2e80}'..='\u{a63f}' | '\u{ac00}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_is_equal_for_a_reader_is_equal() {
        for (left, right) in [
            ("Pillarbox", "pILLARBOX"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("ﬁnd", "FIND"),
            ("Ｆｕｌｌ", "full"),
            ("отпуск", "ОТПУСК"),
            ("İ", "i\u{307}"),
            ("한", "\u{1112}\u{1161}\u{11ab}"),
            ("a \t\r\n\u{a0}\u{3000} b", "A B"),
        ] {
            assert_eq!(fold(left), fold(right), "{left} {right}");
        }
        assert_eq!(fold("  Two  words "), " two words ");
        assert_ne!(fold("résumé"), fold("resume"));
    }

    #[test]
    fn each_character_is_folded_once_and_by_itself() {
        for letter in '\0'..='\u{1ffff}' {
            let folded = fold(&letter.to_string());
            assert!(!folded.is_empty(), "{letter:?}");
            assert_eq!(fold(&folded), folded, "{letter:?}");
            if !letter.is_whitespace() && !folded.starts_with(' ') {
                assert_eq!(fold(&alloc::format!("x{letter}x")), alloc::format!("x{folded}x"));
            }
            if is_without_case(letter) {
                assert!(letter.to_uppercase().chain(letter.to_lowercase()).all(|it| it == letter), "{letter:?}");
            }
            // Whichever case it is written in.
            assert_eq!(fold(&letter.to_uppercase().to_string()), folded, "{letter:?}");
            assert_eq!(fold(&letter.to_lowercase().to_string()), folded, "{letter:?}");
        }
    }
}
