//! The server's side of one authentication exchange, over lines of base64 as SMTP (RFC 4954), POP3 (RFC 5034) and
//! IMAP have them.
//!
//! ```text
//! PLAIN:  (initial response) ──────────────► credentials
//!         ── "" ──► (response) ────────────► credentials
//! LOGIN:  (initial response) ─┐
//!         ── "Username:" ──► (response) ─┴─ "Password:" ──► (response) ──► credentials
//! ```

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Credentials, Mechanism, name, plain};
use crate::secret::Secret;

/// The server's side of one exchange.
#[derive(Debug)]
pub struct Exchange {
    expects: Expects,
}

/// What the server does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send this challenge. It is base64 already; behind it CRLF, before it what the protocol wants (`334 `, `+ `).
    Challenge(&'static str),
    /// The exchange is over: check these.
    Credentials(Mechanism, Credentials),
}

/// Why an exchange ended without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client sent `*`.
    Cancelled,
    /// The line is not base64 (RFC 4648 §4: with padding, without anything else).
    Base64,
    /// What was decoded is not what the mechanism wants.
    Malformed,
}

/// What the client's next line holds.
#[derive(Debug)]
enum Expects {
    Plain,
    LoginName,
    LoginPassword(String),
}

impl Exchange {
    /// Begins. `initial` is the initial response as it stood on the command line: base64, or `=` for an empty one.
    ///
    /// # Errors
    /// [`Failure`]: the exchange is over.
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<(Self, Turn), Failure> {
        let mut exchange =
            Self { expects: if mechanism == Mechanism::Plain { Expects::Plain } else { Expects::LoginName } };
        let turn = match initial {
            None => Turn::Challenge(if mechanism == Mechanism::Plain { "" } else { BASE64_USERNAME }),
            Some(b"=") => exchange.take(Vec::new())?,
            Some(b"*") => return Err(Failure::Base64),
            Some(line) => exchange.respond(line)?,
        };
        Ok((exchange, turn))
    }

    /// Goes on with the client's next line, without its CRLF.
    ///
    /// # Errors
    /// [`Failure`]: the exchange is over.
    pub fn respond(&mut self, line: &[u8]) -> Result<Turn, Failure> {
        if line == b"*" {
            return Err(Failure::Cancelled);
        }
        self.take(STANDARD.decode(line).map_err(|_| Failure::Base64)?)
    }

    fn take(&mut self, message: Vec<u8>) -> Result<Turn, Failure> {
        let message = Zeroizing::new(message);
        match core::mem::replace(&mut self.expects, Expects::LoginName) {
            Expects::Plain => {
                let credentials = plain::parse(&message).ok_or(Failure::Malformed)?;
                Ok(Turn::Credentials(Mechanism::Plain, credentials))
            }
            Expects::LoginName => {
                let authcid = name(&message).filter(|name| !name.is_empty()).ok_or(Failure::Malformed)?;
                self.expects = Expects::LoginPassword(authcid.to_string());
                Ok(Turn::Challenge(BASE64_PASSWORD))
            }
            Expects::LoginPassword(authcid) => {
                if message.is_empty() || message.contains(&0) {
                    return Err(Failure::Malformed);
                }
                let password = Secret::new(message.to_vec());
                Ok(Turn::Credentials(Mechanism::Login, Credentials { authzid: String::new(), authcid, password }))
            }
        }
    }
}

/// [`USERNAME`](super::login::USERNAME).
const BASE64_USERNAME: &str = "VXNlcm5hbWU6";
/// [`PASSWORD`](super::login::PASSWORD).
const BASE64_PASSWORD: &str = "UGFzc3dvcmQ6";

#[cfg(test)]
mod tests {
    use super::super::login;
    use super::*;

    fn credentials(mechanism: Mechanism) -> Turn {
        Turn::Credentials(
            mechanism,
            Credentials { authzid: "".into(), authcid: "test".into(), password: "1234".into() },
        )
    }

    #[test]
    fn challenges_are_what_they_say() {
        assert_eq!(STANDARD.encode(login::USERNAME), BASE64_USERNAME);
        assert_eq!(STANDARD.encode(login::PASSWORD), BASE64_PASSWORD);
    }

    #[test]
    fn plain_with_and_without_initial_response() {
        // The example of RFC 4954 §4.1.
        let line = b"AHRlc3QAMTIzNA==";
        assert_eq!(Exchange::begin(Mechanism::Plain, Some(line)).unwrap().1, credentials(Mechanism::Plain));
        let (mut exchange, turn) = Exchange::begin(Mechanism::Plain, None).unwrap();
        assert_eq!(turn, Turn::Challenge(""));
        assert_eq!(exchange.respond(line), Ok(credentials(Mechanism::Plain)));
    }

    #[test]
    fn login_with_and_without_initial_response() {
        let (mut exchange, turn) = Exchange::begin(Mechanism::Login, None).unwrap();
        assert_eq!(turn, Turn::Challenge(BASE64_USERNAME));
        assert_eq!(exchange.respond(b"dGVzdA=="), Ok(Turn::Challenge(BASE64_PASSWORD)));
        assert_eq!(exchange.respond(b"MTIzNA=="), Ok(credentials(Mechanism::Login)));
        let (mut exchange, turn) = Exchange::begin(Mechanism::Login, Some(b"dGVzdA==")).unwrap();
        assert_eq!(turn, Turn::Challenge(BASE64_PASSWORD));
        assert_eq!(exchange.respond(b"MTIzNA=="), Ok(credentials(Mechanism::Login)));
    }

    #[test]
    fn failures() {
        let (mut exchange, _) = Exchange::begin(Mechanism::Plain, None).unwrap();
        assert_eq!(exchange.respond(b"*"), Err(Failure::Cancelled));
        let lines: [&[u8]; 6] =
            [b"AHRlc3QAMTIzNA", b"AHRlc3QAMTIzNA= =", b"!", b"AHRlc3QAMTIzNB==", b" AHRlc3QAMTIzNA==", b"\xff"];
        for line in lines {
            assert_eq!(Exchange::begin(Mechanism::Plain, Some(line)).unwrap_err(), Failure::Base64);
        }
        assert_eq!(Exchange::begin(Mechanism::Plain, Some(b"*")).unwrap_err(), Failure::Base64);
        assert_eq!(Exchange::begin(Mechanism::Plain, Some(b"=")).unwrap_err(), Failure::Malformed);
        assert_eq!(Exchange::begin(Mechanism::Login, Some(b"=")).unwrap_err(), Failure::Malformed);
        assert_eq!(Exchange::begin(Mechanism::Login, Some(b"Cg==")).unwrap_err(), Failure::Malformed);
    }
}
