//! LOGIN (draft-murchison-sasl-login): the server asks twice, for the name and then for the password.

use super::Credentials;

/// The server's first challenge.
pub const USERNAME: &str = "Username:";

/// The server's second challenge.
pub const PASSWORD: &str = "Password:";

/// The client's answer to the server's challenge number `step`, from 0, not yet in base64. `None` when the server
/// should have asked no more.
///
/// What the challenge says is not looked at: `Username:`, `User Name` and nothing at all are seen, and mean the same.
#[must_use]
pub fn response(credentials: &Credentials, step: u8) -> Option<&[u8]> {
    match step {
        0 => Some(credentials.authcid.as_bytes()),
        1 => Some(credentials.password.expose()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_then_password_then_nothing() {
        let credentials = Credentials { authzid: "".into(), authcid: "tim".into(), password: "hunter2".into() };
        let said = [0, 1, 2].map(|step| response(&credentials, step));
        assert_eq!(said, [Some(&b"tim"[..]), Some(&b"hunter2"[..]), None]);
    }
}
