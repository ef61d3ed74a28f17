//! Domain names that are safe to show, to compare and to send: lower-case A-labels of letters, digits, `-` and `_`.
//!
//! What comes from a user may be written in any script and is turned into A-labels (RFC 5891). What comes from the wire may
//! be any bytes, and what is no host name in there never becomes one here: so no CR, LF, NUL or dot inside a label
//! passes into a header, a log line or a comparison.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use hickory_proto::rr::Name;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// The longest name in text form, without the final dot (RFC 1035 §3.1).
const LONGEST: usize = 253;

/// The longest label (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// A valid domain name, lower-case and without a final dot; the root is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DomainName(Arc<str>);

impl Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl DomainName {
    /// Reads a name as a user or an envelope writes it; a final dot is allowed.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_ascii() {
            return Self::checked(text);
        }
        // A U-label is never longer than its A-label by more than this, and what is longer is not worth the tables.
        if text.len() > 4 * LONGEST {
            return Err("the domain name is longer than 253 characters");
        }
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| "the domain name is no valid internationalized name")?;
        Self::checked(&ascii)
    }

    /// The name in a message, if it is one that a host can have.
    pub(super) fn from_wire(name: &Name) -> Option<Self> {
        let mut text = alloc::string::String::with_capacity(name.len());
        for label in name {
            if !text.is_empty() {
                text.push('.');
            }
            // A dot inside a label would read as two labels.
            if label.contains(&b'.') {
                return None;
            }
            text.push_str(core::str::from_utf8(label).ok()?);
        }
        Self::checked(&text).ok()
    }

    /// The name as the codec wants it.
    pub(super) fn to_wire(&self) -> Name {
        if self.0.is_empty() {
            return Name::root();
        }
        Name::from_labels(self.0.split('.').map(str::as_bytes)).expect("`checked` keeps to the lengths of RFC 1035")
    }

    /// The root of the tree.
    pub(super) fn root() -> Self {
        Self(Arc::from(""))
    }

    /// The name as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// It is `zone`, or stands below it.
    pub(super) fn is_within(&self, zone: &Self) -> bool {
        zone.0.is_empty() || self.0.strip_suffix(&*zone.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    fn checked(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the domain name is empty");
        }
        if text.len() > LONGEST {
            return Err("the domain name is longer than 253 characters");
        }
        for label in text.split('.') {
            if label.is_empty() {
                return Err("the domain name has an empty label");
            }
            if label.len() > LONGEST_LABEL {
                return Err("the domain name has a label longer than 63 characters");
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                return Err("the domain name has a character that no host name has");
            }
        }
        Ok(Self(Arc::from(text.to_ascii_lowercase())))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString as _};

    use super::*;

    fn parsed(text: &str) -> Result<String, &'static str> {
        DomainName::parse(text).map(|name| name.to_string())
    }

    #[test]
    fn names_are_lowered_and_rooted() {
        assert_eq!(parsed("Mx.EXAMPLE.org."), Ok("mx.example.org".to_string()));
        assert_eq!(parsed("_dmarc.example.org"), Ok("_dmarc.example.org".to_string()));
    }

    #[test]
    fn unicode_becomes_a_labels() {
        assert_eq!(parsed("bücher.example"), Ok("xn--bcher-kva.example".to_string()));
        assert_eq!(parsed("BÜCHER.example."), Ok("xn--bcher-kva.example".to_string()));
        assert_eq!(parsed("例え。テスト"), Ok("xn--r8jz45g.xn--zckzah".to_string()));
        for bad in ["b\u{fc} cher.example", "\u{200d}.example", "-\u{fc}.example", "\u{fc}..example", "\u{fc}\r\n"] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
        assert!(parsed(&"\u{fc}".repeat(5000)).is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in ["", ".", "..", "a..b", ".a", "a b", "a\r\nb", "a\0", "[127.0.0.1]", "a@b", "a\\.b"] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
        assert!(parsed(&"a".repeat(63)).is_ok());
        assert!(parsed(&"a".repeat(64)).is_err());
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(DomainName::parse(&long).map(|name| DomainName::from_wire(&name.to_wire()).is_some()), Ok(true));
        assert!(parsed(&(long + "e")).is_err());
    }

    #[test]
    fn labels_with_dots_or_controls_stay_on_the_wire() {
        let evil = Name::from_labels([&b"mx.evil"[..], b"example"]).unwrap();
        assert!(DomainName::from_wire(&evil).is_none());
        let evil = Name::from_labels([&b"mx\r\n"[..], b"example"]).unwrap();
        assert!(DomainName::from_wire(&evil).is_none());
        assert!(DomainName::from_wire(&Name::root()).is_none());
    }

    #[test]
    fn within_means_at_or_below() {
        let name = |text| DomainName::parse(text).unwrap();
        assert!(name("a.b.example").is_within(&name("b.example")));
        assert!(name("b.example").is_within(&name("b.example")));
        assert!(name("b.example").is_within(&DomainName::root()));
        assert!(!name("ab.example").is_within(&name("b.example")));
    }
}
