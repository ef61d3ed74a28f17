//! SASL (RFC 4422): one file a mechanism, both sides.

use alloc::string::String;

use crate::secret::Secret;

/// The mechanisms we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and still what many clients use.
    Login,
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
