//! Ids of mailboxes, emails and threads, as clients see them (RFC 8474).

use core::fmt;

use bytes::Bytes;

/// `objectid`: 1 to 255 letters, digits, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Bytes);

impl ObjectId {
    /// Octets at most, by RFC 8474 §7.
    pub const MAX: usize = 255;

    /// Takes `bytes` when they are an id.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        let plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
        ((1..=Self::MAX).contains(&bytes.len()) && bytes.iter().all(plain)).then_some(Self(bytes))
    }

    /// The id that 128 bits are written as: a letter that says of what it is the id, and 32 digits.
    #[must_use]
    pub fn of(kind: u8, id: u128) -> Self {
        debug_assert!(kind.is_ascii_alphabetic());
        let mut text = [kind; 33];
        for (n, digit) in text[1..].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (124 - 4 * n) & 15) as usize];
        }
        Self(Bytes::copy_from_slice(&text))
    }

    /// The 128 bits that [`of`](Self::of) wrote; `None` when it was written otherwise.
    #[must_use]
    pub fn id(&self, kind: u8) -> Option<u128> {
        let digits = self.0.strip_prefix(&[kind])?;
        let plain = digits.len() == 32 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let text = core::str::from_utf8(digits).ok().filter(|_| plain)?;
        u128::from_str_radix(text, 16).ok()
    }

    /// The id as it is written; ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.escape_ascii(), f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn ids_are_written_and_read() {
        let id = ObjectId::of(b'M', 0x0123_4567_89ab_cdef_0000_0000_0000_002a);
        assert_eq!(id.to_string(), "M0123456789abcdef000000000000002a");
        assert_eq!(id.id(b'M'), Some(0x0123_4567_89ab_cdef_0000_0000_0000_002a));
        assert_eq!(id.id(b'T'), None);
        assert_eq!(ObjectId::new(Bytes::from_static(b"M+1")).and_then(|id| id.id(b'M')), None);
        assert_eq!(ObjectId::of(b'E', u128::MAX).id(b'E'), Some(u128::MAX));
    }

    #[test]
    fn what_is_no_id() {
        for bad in [&b""[..], b"a b", b"a.b", b"\xc3\xbc", &[b'a'; 256]] {
            assert_eq!(ObjectId::new(Bytes::copy_from_slice(bad)), None);
        }
    }
}
