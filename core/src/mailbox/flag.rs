//! Flags of a message in a mailbox: five that every protocol knows, and the mailbox's own keywords.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

/// Flags as bits: the system flags, and keywords by their place in the mailbox's [`Keywords`]. `\Recent` is not here: it
/// belongs to a session.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagSet(pub u64);

impl FlagSet {
    /// `\Seen`: it has been read.
    pub const SEEN: Self = Self(1);
    /// `\Answered`.
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`: somebody wants it to stand out.
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`: EXPUNGE will remove it.
    pub const DELETED: Self = Self(8);
    /// `\Draft`.
    pub const DRAFT: Self = Self(16);
    /// All of these.
    pub const SYSTEM: Self = Self(31);

    /// Bits below the first keyword's.
    const FIRST_KEYWORD: u32 = 8;

    /// The keyword that stands at `index` in the mailbox's list; `None` beyond the list's bound.
    #[must_use]
    pub fn keyword(index: usize) -> Option<Self> {
        (index < Keywords::MOST).then(|| Self(1 << (Self::FIRST_KEYWORD as usize + index)))
    }

    /// All of `other`'s flags are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// None is set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The places in the mailbox's list of the keywords that are set.
    pub fn keywords(self) -> impl Iterator<Item = usize> {
        (0..Keywords::MOST).filter(move |index| self.0 >> Self::FIRST_KEYWORD & (1 << index) != 0)
    }
}

impl BitOr for FlagSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for FlagSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for FlagSet {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for FlagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlagSet({:b})", self.0)
    }
}

/// A keyword: a flag that somebody made up, such as `$Forwarded`. An atom that does not begin with a backslash
/// (RFC 9051 §2.3.2); compared without regard to case, shown as it was written first.
#[derive(Clone, Debug, Eq)]
pub struct Keyword(String);

impl Keyword {
    /// Octets of a keyword at most.
    pub const OCTETS: usize = 100;

    /// Takes an atom.
    ///
    /// # Errors
    /// [`BadKeyword`] when it is empty, too long, or no atom.
    pub fn new(text: &str) -> Result<Self, BadKeyword> {
        let atom = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        let good = !text.is_empty() && text.len() <= Self::OCTETS && text.bytes().all(atom);
        if good { Ok(Self(text.into())) } else { Err(BadKeyword) }
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeyword;

impl fmt::Display for BadKeyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a keyword is an atom of at most 100 characters")
    }
}

impl core::error::Error for BadKeyword {}

/// The keywords of a mailbox, in the order in which they were first used. It only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords(Arc<[Keyword]>);

impl Keywords {
    /// Keywords of one mailbox at most.
    pub const MOST: usize = 48;

    /// These, as far as there is room for them.
    #[must_use]
    pub fn new(mut keywords: Vec<Keyword>) -> Self {
        keywords.truncate(Self::MOST);
        Self(keywords.into())
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> &[Keyword] {
        &self.0
    }

    /// The flag of a keyword that is in the list.
    #[must_use]
    pub fn flag(&self, keyword: &Keyword) -> Option<FlagSet> {
        FlagSet::keyword(self.0.iter().position(|known| known == keyword)?)
    }

    /// The list with this keyword in it, and its flag; `None` when there is no room.
    #[must_use]
    pub fn with(&self, keyword: &Keyword) -> Option<(Self, FlagSet)> {
        if let Some(flag) = self.flag(keyword) {
            return Some((self.clone(), flag));
        }
        let flag = FlagSet::keyword(self.0.len())?;
        let keywords = self.0.iter().chain([keyword]).cloned().collect();
        Some((Self(keywords), flag))
    }

    /// The keywords that are set in `flags`.
    pub fn of(&self, flags: FlagSet) -> impl Iterator<Item = &Keyword> {
        flags.keywords().filter_map(|index| self.0.get(index))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn keywords_have_bits_of_their_own() {
        let mut keywords = Keywords::default();
        let mut all = FlagSet::SYSTEM;
        for number in 0..Keywords::MOST {
            let keyword = Keyword::new(&format!("$K{number}")).unwrap();
            let (grown, flag) = keywords.with(&keyword).unwrap();
            assert!((all & flag).is_empty());
            all = all | flag;
            assert_eq!(grown.of(flag).collect::<Vec<_>>(), [&keyword]);
            keywords = grown;
        }
        assert!(all.0.cast_signed() > 0, "they fit in a database's integer");
        assert!(keywords.with(&Keyword::new("more").unwrap()).is_none());
        assert_eq!(keywords.flag(&Keyword::new("$k3").unwrap()), FlagSet::keyword(3), "case does not matter");
    }

    #[test]
    fn what_is_no_keyword() {
        for bad in ["", "\\Seen", "a b", "a\"", "a]", "a{1}", "ü", "a\r"] {
            assert_eq!(Keyword::new(bad), Err(BadKeyword), "{bad:?}");
        }
    }
}
