//! Mailbox addresses (RFC 5321 §4.1.2, RFC 6531 §3.3).

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

/// A mailbox: local part, and domain or address literal.
///
/// The local part is kept without quotes, so `"a.b"@x` and `a.b@x` are equal; it is shown with quotes where the
/// grammar wants them. The domain is kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: String,
    domain: Domain,
}

/// What stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// A domain name in lower case, without a trailing dot; with U-labels if it was written so.
    Name(String),
    /// An address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

impl Address {
    /// The local part without quotes. Letter case is as written: comparing is the mailbox owner's affair.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

/// The text is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {}
