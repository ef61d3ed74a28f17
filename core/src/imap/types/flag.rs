//! Flags of messages (RFC 9051 §2.3.2).

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use super::chars::is_atom_char;

/// A flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: IMAP4rev1 only. A server says it and a client searches for it; no client sets it.
    Recent,
    /// A name of the client's choice, or one of those that start with `$`.
    Keyword(Keyword),
    /// `\` and a name that no standard gave a meaning. A client may send one; no server has to keep it.
    Extension(Keyword),
}

/// The name of a flag that is not a system flag: an atom. `$Junk` and `$junk` are one keyword, shown as it was written.
#[derive(Clone)]
pub struct Keyword(Bytes);

impl Keyword {
    /// Octets of a keyword at most: it is kept with every message that has it, and sent with every FETCH of its flags.
    pub const MAX: usize = 128;

    /// Takes `bytes` when they are a keyword.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        let good = !bytes.is_empty() && bytes.len() <= Self::MAX && bytes.iter().all(|&octet| is_atom_char(octet));
        good.then_some(Self(bytes))
    }

    /// The name as it was written; ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // A keyword is ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().map(u8::to_ascii_lowercase)
    }
}

impl Flag {
    /// Flags in one list at most. Far more than a person tells apart, and few enough that a list is cheap.
    pub const MAX_LIST: usize = 128;

    /// The flag called `name`: `\Seen` in any case, or a keyword. `None` when it cannot be a flag; `\*` is none.
    #[must_use]
    pub fn new(name: Bytes) -> Option<Self> {
        let Some(system) = name.strip_prefix(b"\\") else {
            return Keyword::new(name).map(Self::Keyword);
        };
        Some(match system {
            _ if system.eq_ignore_ascii_case(b"Answered") => Self::Answered,
            _ if system.eq_ignore_ascii_case(b"Flagged") => Self::Flagged,
            _ if system.eq_ignore_ascii_case(b"Deleted") => Self::Deleted,
            _ if system.eq_ignore_ascii_case(b"Seen") => Self::Seen,
            _ if system.eq_ignore_ascii_case(b"Draft") => Self::Draft,
            _ if system.eq_ignore_ascii_case(b"Recent") => Self::Recent,
            _ => return Keyword::new(name.slice(1..)).map(Self::Extension),
        })
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Seen => "\\Seen",
            Self::Draft => "\\Draft",
            Self::Recent => "\\Recent",
            Self::Keyword(keyword) => keyword.as_str(),
            Self::Extension(name) => return write!(f, "\\{}", name.as_str()),
        })
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|octet| state.write_u8(octet));
        state.write_u8(0xff);
    }
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn flag(name: &'static str) -> Option<Flag> {
        Flag::new(Bytes::from_static(name.as_bytes()))
    }

    #[test]
    fn flags_are_read_in_any_case() {
        for name in ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\Recent", "$Forwarded", "\\X"] {
            let read = flag(name).unwrap();
            assert_eq!(read.to_string(), name);
            assert_eq!(Flag::new(name.to_ascii_lowercase().into()), Some(read));
        }
        assert_eq!(flag("\\sEEN"), Some(Flag::Seen));
        assert!(matches!(flag("Seen"), Some(Flag::Keyword(_))));
    }

    #[test]
    fn what_is_no_atom_is_no_flag() {
        for name in ["", "\\", "\\*", "*", "a b", "a]", "a(", "\\\\Seen", "gr\u{fc}n", "a\"b"] {
            assert_eq!(flag(name), None, "{name}");
        }
        assert_eq!(Flag::new(alloc::vec![b'k'; Keyword::MAX + 1].into()), None);
    }
}
