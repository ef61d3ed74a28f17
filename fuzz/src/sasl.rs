//! The server's side of a SASL exchange, and what the client's side writes for it.

use pillarbox_core::sasl::{Credentials, Exchange, Mechanism, Turn, encode, login, plain};

use crate::gauge::{Allowance, linear};
use crate::pieces::choice;

pub(crate) fn words() -> &'static [&'static str] {
    &["AGFsaWNlAHdvbmRlcmxhbmQ=", "YWxpY2U=", "=", "*", "\n", "AAA=", "\0", "w6k=", "===="]
}

/// The first octet chooses the mechanism and whether an initial response comes; then one response a line. What we would
/// send for the same credentials is read as them.
pub(crate) fn exchange(input: &[u8]) {
    let (how, rest) = choice(input);
    let mechanism = Mechanism::ALL[usize::from(how & 1)];
    let found = linear(rest.len(), Allowance::of(100, 4096), || converse(mechanism, how & 2 != 0, rest));
    let Some(found) = found else { return };
    assert!(!found.authcid.is_empty() && !found.password.expose().is_empty());
    assert!(!found.authcid.contains(|c: char| c.is_control()) && !found.authzid.contains(|c: char| c.is_control()));
    let lines = match mechanism {
        Mechanism::Plain => vec![plain::response(&found).expect("it was said").expose().to_vec()],
        Mechanism::Login => (0..2).filter_map(|step| login::response(&found, step)).map(<[u8]>::to_vec).collect(),
    };
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| encode(line).expose().to_vec()).collect();
    assert_eq!(converse(mechanism, false, &lines.join(&b'\n')), Some(found));
}

fn converse(mechanism: Mechanism, initial: bool, said: &[u8]) -> Option<Credentials> {
    let mut lines = said.split(|octet| *octet == b'\n');
    let first = if initial { lines.next() } else { None };
    let (mut exchange, mut turn) = Exchange::begin(mechanism, first).ok()?;
    loop {
        match turn {
            Turn::Credentials(by, credentials) => {
                assert_eq!(by, mechanism);
                return Some(credentials);
            }
            Turn::Challenge(challenge) => assert!(challenge.bytes().all(|octet| octet.is_ascii_graphic())),
        }
        turn = exchange.respond(lines.next()?).ok()?;
    }
}
