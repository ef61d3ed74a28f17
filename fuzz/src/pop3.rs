//! POP3's commands.

use pillarbox_core::pop3::command::{Command, SyntaxError, decimal, secret};

use crate::gauge::{Allowance, linear};

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "USER ",
        "PASS ",
        "AUTH PLAIN ",
        "AUTH",
        "CAPA",
        "STLS",
        "QUIT",
        "STAT",
        "LIST ",
        "UIDL ",
        "RETR ",
        "DELE ",
        "TOP ",
        "NOOP",
        "RSET",
        "APOP ",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        " 0",
        "1 1",
    ]
}

/// One line as a command.
pub(crate) fn command(line: &[u8]) {
    // It borrows: nothing is allocated, however long the line.
    let parsed = linear(line.len(), Allowance { peak: (0, 0), total: (0, 0), count: (0, 0) }, || Command::parse(line));
    let hidden = secret(line);
    if let Some(hidden) = &hidden {
        assert!(hidden.start < hidden.end && hidden.end == line.len());
    }
    match parsed {
        Ok(Command::Pass(password)) => assert_eq!(&line[hidden.expect("a password is secret")], password),
        Ok(Command::Auth { initial: Some(initial), .. }) => {
            let hidden = hidden.expect("an initial response is secret");
            assert!(line[hidden].windows(initial.len().max(1)).any(|part| part == initial) || initial.is_empty());
        }
        Ok(Command::User(name)) => assert!(!name.is_empty()),
        Ok(Command::Auth { .. }) => {}
        Ok(_) => assert_eq!(hidden, None),
        Err(SyntaxError::Unknown | SyntaxError::Arguments | SyntaxError::Number) => {}
    }
    let number = std::str::from_utf8(line).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    assert_eq!(decimal(line), number.and_then(|text| text.parse().ok()));
    let mut other = line.to_vec();
    let verb = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
    other[..verb].make_ascii_lowercase();
    assert_eq!(Command::parse(&other).is_ok(), parsed.is_ok());
}
