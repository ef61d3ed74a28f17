//! UTF-8 out of a larger buffer: a string that costs no copy.

use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

/// A piece of a buffer that is known to be UTF-8 without NUL.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// Takes `bytes` when they are UTF-8 and hold no NUL.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        let good = memchr::memchr(0, &bytes).is_none() && core::str::from_utf8(&bytes).is_ok();
        good.then_some(Self(bytes))
    }

    /// A text that is known when the program is written.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every constructor has seen that it is UTF-8.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text's octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text in a buffer of its own, so that keeping it does not keep the buffer that it was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl From<&str> for Text {
    /// A copy of `text`, up to its first NUL.
    fn from(text: &str) -> Self {
        let end = memchr::memchr(0, text.as_bytes()).unwrap_or(text.len());
        Self(Bytes::copy_from_slice(&text.as_bytes()[..end]))
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_utf8_without_nul() {
        assert_eq!(Text::new(Bytes::from_static("gr\u{fc}n".as_bytes())), Some(Text::from("gr\u{fc}n")));
        assert_eq!(Text::new(Bytes::from_static(b"\xff")), None);
        assert_eq!(Text::new(Bytes::from_static(b"a\0b")), None);
        assert_eq!(Text::from("a\0b").as_str(), "a");
    }
}
