//! LOGIN (draft-murchison-sasl-login): the server asks for a name, then for a password.

/// The server's first challenge.
pub const USERNAME: &str = "Username:";

/// The server's second challenge.
pub const PASSWORD: &str = "Password:";
