//! What texts are compared by: letters without case, characters taken apart, runs of blanks as one.

use alloc::string::String;

/// Folds a text for comparison: two texts are equal for a search when these are. An index and a search use the same.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Fold::default().push(text, &mut out);
    out
}

/// The same, for a text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fold {
    /// The last one was a blank.
    blank: bool,
}

impl Fold {
    /// Appends what `text` is folded to.
    pub(super) fn push(&mut self, text: &str, out: &mut String) {
        for letter in text.chars() {
            if letter.is_whitespace() {
                if !self.blank {
                    out.push(' ');
                }
                self.blank = true;
                continue;
            }
            self.blank = false;
            out.extend(letter.to_lowercase());
        }
    }
}
