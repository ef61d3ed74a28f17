//! PLAIN (RFC 4616): authorization identity, login name and password in one message.

use alloc::string::ToString as _;

use super::{Credentials, name};
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
        let malformed: [&[u8]; 8] =
            [b"", b"tim", b"\0tim", b"\0tim\0", b"\0\0secret", b"\0tim\0a\0b", b"\0t\nim\0a", b"\0t\xffim\0a"];
        for message in malformed {
            assert_eq!(parse(message), None, "{}", message.escape_ascii());
        }
    }
}
