//! The tag that ties a response to its command (RFC 9051 §2.2.1).

use core::fmt;

use super::chars::is_tag_char;

/// What a client put in front of a command: one or more printable ASCII characters, none of which `(){%*"\+` or a space.
///
/// It is a value of its own and not a slice of what was received: a session in IDLE keeps it for hours, and would keep
/// the whole buffer with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// What stands behind `len` is 0.
    octets: [u8; Tag::MAX],
    len: u8,
}

impl Tag {
    /// Octets of a tag at most: every response repeats it, and nobody needs more to count commands.
    pub const MAX: usize = 63;

    /// Takes `octets` when they are a tag.
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        if octets.is_empty() || octets.len() > Self::MAX || !octets.iter().all(|&octet| is_tag_char(octet)) {
            return None;
        }
        let mut tag = Self { octets: [0; Self::MAX], len: octets.len() as u8 };
        tag.octets[..octets.len()].copy_from_slice(octets);
        Some(tag)
    }

    /// The tag as it was sent; ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A tag is ASCII.
        f.write_str(core::str::from_utf8(self.as_bytes()).unwrap_or_default())
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
        for good in ["1", "a001", "A.b-c]", "tag:1", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"] {
            assert_eq!(Tag::new(good.as_bytes()).unwrap().as_bytes(), good.as_bytes());
        }
        for bad in ["", "+", "a+", "*", "a b", "a(", "a\\", "a\"", "a{", "\x7f", "gr\u{fc}n"] {
            assert_eq!(Tag::new(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Tag::new(&[b'a'; Tag::MAX + 1]), None);
    }
}
