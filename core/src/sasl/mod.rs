//! SASL (RFC 4422): one file a mechanism, both sides; and the server's side of an exchange as a line protocol has it.

mod exchange;
pub mod login;
pub mod plain;

pub use exchange::{Exchange, Failure, Turn};

use alloc::string::String;
use alloc::vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::show::is_plain;

/// The mechanisms we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and still what many clients use.
    Login,
}

impl Mechanism {
    /// All of them, the better ones first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// The mechanism of this name, in any letter case; `None` for one that we do not speak.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| name.eq_ignore_ascii_case(mechanism.name().as_bytes()))
    }

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who somebody claims to be, and the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Whom to act as; empty means the same as `authcid`.
    pub authzid: String,
    /// The login name.
    pub authcid: String,
    /// The password.
    pub password: Secret,
}

/// The credentials cannot be said in this mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsayable;

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the login name or the password is empty or holds NUL")
    }
}

impl core::error::Error for Unsayable {}

/// A message as it travels: in base64 with padding (RFC 4648 §4).
#[must_use]
pub fn encode(message: &[u8]) -> Secret {
    let mut text = Zeroizing::new(vec![0; message.len().div_ceil(3) * 4]);
    // The buffer has exactly the room that padded base64 takes.
    let written = STANDARD.encode_slice(message, &mut text).unwrap_or(0);
    text.truncate(written);
    Secret::new(core::mem::take(&mut *text))
}

/// A name as it came over the wire: UTF-8 with nothing in it that may not be shown, so that it can stand in a log line.
fn name(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok().filter(|name| name.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (message, text) in [("", ""), ("a", "YQ=="), ("\0tim\0tanstaaftanstaaf", "AHRpbQB0YW5zdGFhZnRhbnN0YWFm")] {
            assert_eq!(encode(message.as_bytes()), Secret::from(text));
        }
    }
}
