//! Which characters from the wire may be shown: in a header, a reply, a log line, a report.

use alloc::borrow::Cow;
use alloc::string::String;

/// Whether `c` is neither a control character nor one that changes how a line is read: an end of line by another name, a
/// bidirectional mark or override, or a mark that nobody sees. With those, a name would look like another one.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control() && !is_hidden(c)
}

/// `text` with a space in the place of each character that may not be shown.
pub(crate) fn plain<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    if text.chars().all(is_plain) {
        return text;
    }
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect::<String>().into()
}

fn is_hidden(c: char) -> bool {
    !c.is_ascii()
        && matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_the_eye_is_not_shown() {
        assert_eq!(plain("gr\u{fc}n, \u{5d0}\u{5d1} 1\u{301}"), "gr\u{fc}n, \u{5d0}\u{5d1} 1\u{301}");
        assert_eq!(plain("a\r\nb\0c\u{7f}d\u{85}e\u{2028}f\u{202e}g\u{2067}h\u{200b}i"), "a  b c d e f g h i");
    }
}
