//! Names of mailboxes: a path of levels, as Net-Unicode.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// A mailbox's name: levels separated by `/`. `INBOX`, however it was written, is always spelt so, also as the first
/// level of a longer name, and characters are composed as far as they can be (normalization form C): what looks the
/// same is the same name, whichever way it was typed (RFC 9051 §5.1, RFC 5198 §3).
///
/// It never becomes the name of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Arc<str>);

impl MailboxName {
    /// What separates levels.
    pub const DELIMITER: char = '/';
    /// Octets of a name at most.
    pub const OCTETS: usize = 1_000;
    /// Levels at most.
    pub const LEVELS: usize = 32;

    /// Where mail arrives; every account has it.
    #[must_use]
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    /// Takes a name as a client wrote it (decoded to UTF-8).
    ///
    /// # Errors
    /// [`BadName`] when it is empty, too long or too deep, has an empty level, a control character, or one of the
    /// wildcards `*` and `%`, by which it could not be listed.
    pub fn new(text: &str) -> Result<Self, BadName> {
        // What is too long is not composed; what is composed may be longer than it was.
        if text.len() > Self::OCTETS {
            return Err(BadName::TooLong);
        }
        let text = canonical(text);
        if text.is_empty() || text.split(Self::DELIMITER).any(str::is_empty) {
            return Err(BadName::EmptyLevel);
        }
        if text.len() > Self::OCTETS || text.split(Self::DELIMITER).count() > Self::LEVELS {
            return Err(BadName::TooLong);
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '*' | '%' | '\u{2028}' | '\u{2029}')) {
            return Err(BadName::Character);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It is where mail arrives.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The name one level up, if there is one.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once(Self::DELIMITER)?;
        Some(Self(parent.into()))
    }

    /// It is somewhere below `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(Self::DELIMITER))
    }

    /// The name that this one gets when `from`, which it is or is below of, is called `to`; `None` when it is neither, or
    /// the new name would be too long.
    #[must_use]
    pub fn renamed(&self, from: &Self, to: &Self) -> Option<Self> {
        if self == from {
            return Some(to.clone());
        }
        let rest = self.0.strip_prefix(&*from.0).filter(|rest| rest.starts_with(Self::DELIMITER))?;
        Self::new(&alloc::format!("{to}{rest}")).ok()
    }
}

/// The one way to write a name, or a pattern of names: in normalization form C, and with INBOX in capitals where it is
/// the first level.
pub(crate) fn canonical(text: &str) -> Cow<'_, str> {
    let is_composed = text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes;
    let text = if is_composed { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) };
    let first = text.split(MailboxName::DELIMITER).next().unwrap_or_default();
    if first == "INBOX" || !first.eq_ignore_ascii_case("INBOX") {
        return text;
    }
    let mut name = String::from("INBOX");
    name.push_str(&text[first.len()..]);
    Cow::Owned(name)
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It, or one of its levels, is empty.
    EmptyLevel,
    /// It is longer than [`MailboxName::OCTETS`], or deeper than [`MailboxName::LEVELS`].
    TooLong,
    /// A control character or a wildcard is in it.
    Character,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLevel => "a mailbox name, and each level of it, has at least one character",
            Self::TooLong => "the mailbox name is too long",
            Self::Character => "a mailbox name has no control characters and no wildcards",
        })
    }
}

impl core::error::Error for BadName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_has_one_spelling() {
        for text in ["inbox", "Inbox", "INBOX"] {
            assert!(MailboxName::new(text).unwrap().is_inbox());
        }
        assert_eq!(MailboxName::new("inbox/Work").unwrap().as_str(), "INBOX/Work");
        assert_eq!(MailboxName::new("inboxes").unwrap().as_str(), "inboxes");
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        let name = |text| MailboxName::new(text).unwrap();
        assert_eq!(name("Cafe\u{301}").as_str(), "Caf\u{e9}");
        // Two marks in either order, Hangul, a sign that stands for a letter, and a letter that is never composed.
        assert_eq!(name("q\u{307}\u{323}"), name("q\u{323}\u{307}"));
        assert_eq!(name("\u{1112}\u{1161}\u{11ab}/\u{212b}"), name("\u{d55c}/\u{c5}"));
        assert_eq!(name("\u{958}").as_str(), "\u{915}\u{93c}");
        // What is composed is longer than what was written, or shorter.
        assert_eq!(MailboxName::new(&"\u{958}".repeat(200)), Err(BadName::TooLong));
        assert!(MailboxName::new(&"e\u{301}".repeat(333)).is_ok());
        assert_eq!(MailboxName::new(&"e\u{301}".repeat(334)), Err(BadName::TooLong));
    }

    #[test]
    fn what_is_no_name() {
        let long = "x".repeat(MailboxName::OCTETS + 1);
        let deep = ["x"; MailboxName::LEVELS + 1].join("/");
        for bad in ["", "/", "/a", "a/", "a//b", "a\0b", "a\r\nb", "a*", "50%", &long, &deep] {
            assert!(MailboxName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_tree_of_names() {
        let name = |text| MailboxName::new(text).unwrap();
        assert_eq!(name("a/b/c").parent(), Some(name("a/b")));
        assert_eq!(name("a").parent(), None);
        assert!(
            name("a/b").is_below(&name("a")) && !name("ab").is_below(&name("a")) && !name("a").is_below(&name("a"))
        );
        assert_eq!(name("a/b").renamed(&name("a"), &name("x/y")), Some(name("x/y/b")));
        assert_eq!(name("ab").renamed(&name("a"), &name("x")), None);
    }
}
