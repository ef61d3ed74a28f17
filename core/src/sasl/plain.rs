//! PLAIN (RFC 4616): authorization identity, login name and password in one message, `[authzid] NUL authcid NUL passwd`.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::{Credentials, Unsayable, name};
use crate::secret::Secret;

/// The server's side: reads `[authzid] NUL authcid NUL passwd`. `None` when the message is malformed: another number
/// of parts, no login name, no password, or a name with control characters in it.
#[must_use]
pub fn parse(message: &[u8]) -> Option<Credentials> {
    let mut parts = message.split(|octet| *octet == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || authcid.is_empty() || password.is_empty() {
        return None;
    }
    Some(Credentials {
        authzid: name(authzid)?.to_string(),
        authcid: name(authcid)?.to_string(),
        password: Secret::new(password.to_vec()),
    })
}

/// The client's side: its one message, not yet in base64.
///
/// # Errors
/// [`Unsayable`] when a part holds NUL, or the login name or the password is empty (§2).
pub fn response(credentials: &Credentials) -> Result<Secret, Unsayable> {
    let parts = [credentials.authzid.as_bytes(), credentials.authcid.as_bytes(), credentials.password.expose()];
    if parts[1].is_empty() || parts[2].is_empty() || parts.iter().any(|part| part.contains(&0)) {
        return Err(Unsayable);
    }
    // Room for all of it at once: a growing vector would leave copies of the password behind.
    let mut message = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            message.push(0);
        }
        message.extend_from_slice(part);
    }
    Ok(Secret::new(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_side() {
        let credentials = |authzid: &str| Credentials {
            authzid: authzid.into(),
            authcid: "tim".into(),
            password: "tanstaaftanstaaf".into(),
        };
        assert_eq!(parse(b"\0tim\0tanstaaftanstaaf"), Some(credentials("")));
        assert_eq!(parse(b"Ursel\0tim\0tanstaaftanstaaf"), Some(credentials("Ursel")));
        let malformed: [&[u8]; 9] = [
            b"",
            b"tim",
            b"\0tim",
            b"\0tim\0",
            b"\0\0secret",
            b"\0tim\0a\0b",
            b"\0t\nim\0a",
            b"\0t\xffim\0a",
            b"\0t\xe2\x80\xaeim\0a",
        ];
        for message in malformed {
            assert_eq!(parse(message), None, "{}", message.escape_ascii());
        }
    }

    fn said(authzid: &str, authcid: &str, password: &str) -> Result<Secret, Unsayable> {
        response(&Credentials { authzid: authzid.into(), authcid: authcid.into(), password: password.into() })
    }

    #[test]
    fn the_rfcs_examples_are_said() {
        assert_eq!(said("", "tim", "tanstaaftanstaaf"), Ok(Secret::from("\0tim\0tanstaaftanstaaf")));
        assert_eq!(said("Ursel", "Kurt", "xipj3plmq"), Ok(Secret::from("Ursel\0Kurt\0xipj3plmq")));
    }

    #[test]
    fn what_would_be_read_otherwise_is_not_said() {
        for (authzid, authcid, password) in [("", "", "x"), ("", "x", ""), ("\0", "x", "x"), ("", "x", "a\0b")] {
            assert_eq!(said(authzid, authcid, password), Err(Unsayable));
        }
    }
}
