//! Under which text an address is known here.
//!
//! Local parts are compared without letter case, as people expect of their own address; RFC 5321 §2.4 leaves that to
//! whoever owns the mailbox, and for addresses in this store that is us.

use pillarbox_core::smtp::Address;

/// The text that two spellings of one address share. It ends with the domain, which contains no `@`.
pub(crate) fn key(address: &Address) -> String {
    let mut key = address.local().to_lowercase();
    key.push('@');
    key.push_str(&address.domain().to_string());
    key
}

/// The address as a store keeps it: the local part without quotes, `@`, the domain.
pub(crate) fn text(address: &Address) -> String {
    format!("{}@{}", address.local(), address.domain())
}

/// The reverse of [`text`].
pub(crate) fn from_text(text: &str) -> Option<Address> {
    let (local, domain) = text.rsplit_once('@')?;
    Address::new(local, domain).ok()
}

/// The key of a login name as a person typed it; `None` when it has no `@`.
pub(crate) fn login_key(login: &str) -> Option<String> {
    if let Ok(address) = login.parse::<Address>() {
        return Some(key(&address));
    }
    let (local, domain) = login.rsplit_once('@')?;
    Some(format!("{}@{}", local.to_lowercase(), domain.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        // A row that cannot be read back would hold up its whole destination.
        for written in [
            "a@x.example",
            "A.b+c@X.Example",
            r#""a b"@x.example"#,
            r#""a@b"@x.example"#,
            r#""\"\\"@x.example"#,
            r#""<>(),:;[]"@x.example"#,
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "jörg@straße.example",
        ] {
            let address: Address = written.parse().expect("an address");
            assert_eq!(from_text(&text(&address)), Some(address), "{written}");
        }
        if let Ok(address) = r#"""@x.example"#.parse::<Address>() {
            assert_eq!(from_text(&text(&address)), Some(address));
        }
    }

    #[test]
    fn letter_case_of_a_login_does_not_matter() {
        assert_eq!(login_key("Alice@Example.ORG").as_deref(), Some("alice@example.org"));
        assert_eq!(login_key("alice"), None);
    }
}
