//! Replies (RFC 5321 §4.2) with enhanced status codes (RFC 3463).

use alloc::borrow::Cow;
use core::fmt;

use crate::show::plain;

/// An enhanced mail system status code, `class.subject.detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatus(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply: what a server says, what a client was told, what a host wants said.
///
/// The text never holds CR, LF or NUL, whoever wrote it: [`Reply::new`] and the client's parser see to that. Several
/// lines of a peer's reply are joined by `" / "`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    code: u16,
    status: Option<EnhancedStatus>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply in our words. Control characters in `text`, and others that change how a
    /// line is read, become spaces.
    #[must_use]
    pub fn new(code: u16, status: Option<EnhancedStatus>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status, text: plain(text) }
    }

    /// A reply in fixed words, which hold no control characters.
    #[must_use]
    pub const fn fixed(code: u16, status: EnhancedStatus, text: &'static str) -> Self {
        Self { code, status: Some(status), text: Cow::Borrowed(text) }
    }

    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if one was given.
    #[must_use]
    pub fn status(&self) -> Option<EnhancedStatus> {
        self.status
    }

    /// The words, without codes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2yz.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz: try again later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: never mind.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", self.text) }
    }
}
