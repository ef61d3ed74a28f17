//! Mailbox names (RFC 9051 §5.1, RFC 3501 §5.1).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use super::Text;
use super::utf7;
use crate::mailbox::canonical;

/// The name of a mailbox, in UTF-8 whatever way it was sent, and in normalization form C. `INBOX` in any case is `INBOX`.
///
/// It remembers what the client has [called it](Self::said); names are the same that mean the same.
#[derive(Clone)]
pub struct MailboxName {
    name: Text,
    /// As it was written, if that is different, which is rare.
    said: Option<Box<Text>>,
}

/// How a client writes mailbox names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// In modified UTF-7 (RFC 3501 §5.1.3), until something else is enabled. Names in plain UTF-8 are taken too, as RFC
    /// 6855 §3 wants it.
    #[default]
    Utf7,
    /// In UTF-8: after ENABLE of UTF8=ACCEPT (RFC 6855) or IMAP4rev2 (RFC 9051 §A).
    Utf8,
}

/// Why octets are no mailbox name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Longer than [`MailboxName::MAX`] octets in UTF-8.
    TooLong,
    /// Neither UTF-8 nor, where it is in use, modified UTF-7.
    Encoding,
    /// A control character, or another that no name may hold (RFC 5198 §2).
    Control,
}

impl MailboxName {
    /// Octets of a name in UTF-8 at most. Names are kept, listed and compared, and nobody reads longer ones.
    pub const MAX: usize = 1024;

    /// The one mailbox that every account has.
    pub const INBOX: Self = Self { name: Text::from_static("INBOX"), said: None };

    /// Reads a name as it was sent.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it. The empty name is none of those: what it means depends on the command.
    pub fn read(sent: Bytes, names: Names) -> Result<Self, NameError> {
        let said = decode(sent, names)?;
        Ok(match canonical(said.as_str()) {
            Cow::Borrowed(_) => Self { name: said, said: None },
            Cow::Owned(name) if name.len() > Self::MAX => return Err(NameError::TooLong),
            Cow::Owned(name) if name == said.as_str() => Self { name: said, said: None },
            Cow::Owned(name) => Self { name: Text::from(name.as_str()), said: Some(Box::new(said)) },
        })
    }

    /// Reads a name that is in UTF-8 already, such as one out of a store.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn new(name: &str) -> Result<Self, NameError> {
        Self::read(Bytes::copy_from_slice(name.as_bytes()), Names::Utf8)
    }

    /// Whether it is INBOX.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        *self == Self::INBOX
    }

    /// What the client has called it, in UTF-8, where that is not the name itself.
    #[must_use]
    pub fn said(&self) -> Option<Self> {
        self.said.as_ref().map(|said| Self { name: said.detached(), said: None })
    }

    /// The name in UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.name.as_str()
    }

    /// The name in UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// The name alone in a buffer of its own, so that keeping it does not keep the buffer that it was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { name: self.name.detached(), said: None }
    }
}

impl PartialEq for MailboxName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for MailboxName {}

impl PartialOrd for MailboxName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MailboxName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for MailboxName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the mailbox name is too long",
            Self::Encoding => "the mailbox name is not well encoded",
            Self::Control => "the mailbox name holds a control character",
        })
    }
}

impl core::error::Error for NameError {}

/// What was sent, in UTF-8. Without a copy when it is ASCII without `&`, as nearly all names are.
pub(super) fn decode(sent: Bytes, names: Names) -> Result<Text, NameError> {
    // UTF-7 is never shorter than half of the UTF-8 that it stands for.
    if sent.len() > 2 * MailboxName::MAX {
        return Err(NameError::TooLong);
    }
    let name = match names {
        Names::Utf7 if memchr::memchr(b'&', &sent).is_some() => utf7::decode(&sent).ok_or(NameError::Encoding)?.into(),
        Names::Utf7 | Names::Utf8 => sent,
    };
    if name.len() > MailboxName::MAX {
        return Err(NameError::TooLong);
    }
    let text = core::str::from_utf8(&name).map_err(|_| NameError::Encoding)?;
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        return Err(NameError::Control);
    }
    Text::new(name).ok_or(NameError::Control)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn read(sent: &[u8], names: Names) -> Result<String, NameError> {
        MailboxName::read(Bytes::copy_from_slice(sent), names).map(|name| name.as_str().into())
    }

    #[test]
    fn names_are_utf8_whatever_was_sent() {
        assert_eq!(read(b"inBox", Names::Utf7).as_deref(), Ok("INBOX"));
        assert_eq!(read(b"inbox/x", Names::Utf7).as_deref(), Ok("INBOX/x"));
        assert_eq!(read(b"inboxes", Names::Utf7).as_deref(), Ok("inboxes"));
        assert_eq!(read(b"Cafe&AwE-", Names::Utf7).as_deref(), Ok("Caf\u{e9}"));
        assert_eq!(read(b"Entw&APw-rfe", Names::Utf7).as_deref(), Ok("Entw\u{fc}rfe"));
        assert_eq!(read(b"Entw&APw-rfe", Names::Utf8).as_deref(), Ok("Entw&APw-rfe"));
        assert_eq!(read(b"R&-D", Names::Utf7).as_deref(), Ok("R&D"));
        assert_eq!(read(b"R&D", Names::Utf8).as_deref(), Ok("R&D"));
        assert_eq!(read("gr\u{fc}n".as_bytes(), Names::Utf7).as_deref(), Ok("gr\u{fc}n"));
    }

    #[test]
    fn what_was_said_is_remembered() {
        let said = |name: &str| MailboxName::new(name).unwrap().said().map(|said| String::from(said.as_str()));
        assert_eq!(said("INBOX"), None);
        assert_eq!(said("inbox").as_deref(), Some("inbox"));
        assert_eq!(said("caf\u{e9}"), None);
        assert_eq!(said("cafe\u{301}").as_deref(), Some("cafe\u{301}"));
        assert_eq!(MailboxName::new("cafe\u{301}"), MailboxName::new("caf\u{e9}"));
        // It is composed already, though that is not seen at a glance.
        assert_eq!(said("x\u{301}"), None);
    }

    #[test]
    fn names_that_are_none() {
        assert_eq!(read(b"R&D", Names::Utf7), Err(NameError::Encoding));
        assert_eq!(read(b"\xff", Names::Utf8), Err(NameError::Encoding));
        assert_eq!(read(b"a\r\nb", Names::Utf8), Err(NameError::Control));
        assert_eq!(read(b"a\0b", Names::Utf7), Err(NameError::Control));
        assert_eq!(read(&[b'x'; MailboxName::MAX + 1], Names::Utf8), Err(NameError::TooLong));
        assert!(read(&[b'x'; MailboxName::MAX], Names::Utf8).is_ok());
    }

    #[test]
    fn a_plain_name_is_not_copied() {
        let sent = Bytes::from_static(b"Archive/2026");
        assert_eq!(MailboxName::read(sent.clone(), Names::Utf7).unwrap().as_bytes().as_ptr(), sent.as_ptr());
    }
}
