//! Mod-sequences (RFC 7162 §3.1): numbers that rise with every change of a mailbox.

use core::fmt;

/// A mod-sequence, 0 to 2^63 - 1. 0 stands before every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Modseq(u64);

impl Modseq {
    /// The largest one: 2^63 - 1.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// `None` beyond [`MAX`](Self::MAX).
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Modseq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_63_bits() {
        assert_eq!(Modseq::new(i64::MAX as u64), Some(Modseq::MAX));
        assert_eq!(Modseq::new(1 << 63), None);
    }
}
