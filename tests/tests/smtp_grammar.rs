//! Properties of SMTP's grammar: what is read is well-formed, and reads the same when it is shown.

use pillarbox_core::smtp::command::Command;
use pillarbox_core::smtp::{Address, Domain, Extensions, MAX_ADDRESS, MAX_LOCAL, Path};
use proptest::prelude::*;

/// Text in which the grammar's own characters are frequent.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("@"),
        Just("."),
        Just("\""),
        Just("\\"),
        Just("<"),
        Just(">"),
        Just(":"),
        Just(","),
        Just("["),
        Just("]"),
        Just("IPv6:"),
        Just("::1"),
        Just("192.0.2.1"),
        Just("a"),
        Just("Bob"),
        Just("x-y"),
        Just(" "),
        Just("\r\n"),
        Just("\0"),
        Just("ü"),
        Just("İ"),
        Just("用户"),
        Just("\u{202e}"),
        Just("\u{2028}"),
        Just("postmaster"),
        Just("FROM:"),
        Just("TO:"),
        Just("SIZE="),
        Just("42"),
        Just("BODY=8BITMIME"),
        Just("SMTPUTF8"),
        Just("="),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn check(address: &Address) -> Result<(), TestCaseError> {
    let shown = address.to_string();
    prop_assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
    prop_assert!(shown.len() <= MAX_ADDRESS && address.local().len() <= MAX_LOCAL);
    prop_assert_eq!(&shown.parse::<Address>(), &Ok(address.clone()));
    prop_assert_eq!(Address::new(address.local(), &address.domain().to_string()), Ok(address.clone()));
    let in_brackets = format!("<{shown}> X");
    prop_assert_eq!(Path::parse(&in_brackets), Ok((Path::Mailbox(address.clone()), " X")));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_reads_as_an_address_is_shown_as_one(text in text()) {
        if let Ok(address) = text.parse::<Address>() {
            check(&address)?;
        }
        if let Ok((Path::Mailbox(address), _)) = Path::parse(&text) {
            check(&address)?;
        }
    }

    #[test]
    fn whatever_code_makes_an_address_of_is_one(local in "\\PC{0,20}", domain in "[a-zA-Z0-9.üß-]{0,12}") {
        if let Ok(address) = Address::new(local, &domain) {
            check(&address)?;
        }
    }

    #[test]
    fn domains_are_in_lower_case(text in text()) {
        if let Ok(Domain::Name(name)) = text.parse::<Domain>() {
            prop_assert_eq!(name.parse(), Ok(Domain::Name(name.clone())));
            prop_assert!(!name.ends_with('.') && !name.contains(|c: char| c.is_ascii_uppercase()));
        }
    }

    #[test]
    fn any_line_is_a_command_or_an_error(
        verb in prop_oneof![
            Just("EHLO"), Just("HELO"), Just("MAIL FROM:<"), Just("RCPT TO:<"), Just("BDAT"), Just("AUTH"), Just("VRFY"), Just("")
        ],
        rest in text(),
        octets in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let line = [verb.as_bytes(), b" ", rest.as_bytes(), &octets].concat();
        let _ = Command::parse(&line);
        let joined = [verb.as_bytes(), rest.as_bytes()].concat();
        match Command::parse(&joined) {
            Ok(Command::Mail { path, .. } | Command::Rcpt { path }) => {
                if let Path::Mailbox(address) = path {
                    check(&address)?;
                }
            }
            Ok(Command::Ehlo(name) | Command::Helo(name)) => {
                prop_assert!(name.is_ascii() && !name.contains([' ', '(', ')', '\r', '\n', '\0', '<', '>', ';']));
            }
            _ => {}
        }
        if let Some(secret) = Command::secret(&line) {
            prop_assert!(secret.end == line.len() && secret.start < secret.end);
        }
    }

    #[test]
    fn extensions_are_read_from_any_text(line in text()) {
        let mut offered = Extensions::default();
        offered.note(&line);
        let mut again = Extensions::default();
        offered.lines().for_each(|line| again.note(&line.to_string()));
        prop_assert_eq!(again, offered);
    }
}
