//! The tag that ties a response to its command (RFC 9051 §2.2.1).

use core::fmt;

use bytes::Bytes;

use super::chars::is_tag_char;

/// What a client put in front of a command: one or more printable ASCII characters, none of which `(){%*"\+` or a space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Bytes);

impl Tag {
    /// Octets of a tag at most: every response repeats it, and nobody needs more to count commands.
    pub const MAX: usize = 64;

    /// Takes `bytes` when they are a tag.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        let good = !bytes.is_empty() && bytes.len() <= Self::MAX && bytes.iter().all(|&octet| is_tag_char(octet));
        good.then_some(Self(bytes))
    }

    /// The tag as it was sent; ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.escape_ascii(), f)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_nothing_that_would_be_read_otherwise() {
        for good in ["1", "a001", "A.b-c]", "tag:1"] {
            assert!(Tag::new(Bytes::from_static(good.as_bytes())).is_some(), "{good}");
        }
        for bad in ["", "+", "a+", "*", "a b", "a(", "a\\", "a\"", "a{", "\x7f", "gr\u{fc}n"] {
            assert_eq!(Tag::new(Bytes::from_static(bad.as_bytes())), None, "{bad}");
        }
        assert_eq!(Tag::new(Bytes::from(alloc::vec![b'a'; Tag::MAX + 1])), None);
    }
}
