//! Lists of addresses, as ENVELOPE tells them (RFC 5322 §3.4, RFC 9051 §7.5.2).

use alloc::vec::Vec;

use bytes::Bytes;

use crate::imap::types::Address;

/// Appends the addresses of `value` to `list`: groups between their markers, quotes taken away, encoded words left
/// alone. An address without a domain gets an empty host, since none at all would mean a group.
pub(super) fn addresses(value: &[u8], list: &mut Vec<Address>) {
    let mut reader = Reader { rest: value, comment: None };
    let mut in_group = false;
    loop {
        let words = reader.words(b",;:<@");
        let sign = reader.sign();
        match sign {
            Some(b'<') => {
                let address = reader.angle(words.phrase);
                list.push(address);
                // What stands behind it up to the next comma is nobody's.
                reader.words(b",;");
                if reader.sign() == Some(b';') && in_group {
                    list.push(Address::default());
                    in_group = false;
                }
            }
            Some(b':') if !in_group => {
                list.push(Address { mailbox: Some(Bytes::from(words.phrase)), ..Address::default() });
                in_group = true;
            }
            Some(b'@') => {
                let host = reader.words(b",;").packed;
                list.push(Address {
                    name: reader.comment.take(),
                    route: None,
                    mailbox: Some(Bytes::from(words.packed)),
                    host: Some(Bytes::from(host)),
                });
            }
            _ => {
                if !words.phrase.is_empty() {
                    let mailbox = Some(Bytes::from(words.phrase));
                    list.push(Address { name: reader.comment.take(), route: None, mailbox, host: Some(Bytes::new()) });
                }
                if sign == Some(b';') && in_group {
                    list.push(Address::default());
                    in_group = false;
                }
            }
        }
        reader.comment = None;
        if sign.is_none() && reader.rest.is_empty() {
            break;
        }
    }
    if in_group {
        list.push(Address::default());
    }
}

/// Words up to a sign.
struct Words {
    /// With a space where there was one.
    phrase: Vec<u8>,
    /// Without any.
    packed: Vec<u8>,
}

struct Reader<'a> {
    rest: &'a [u8],
    /// The last comment: the name of an address in the old style, `local@domain (Name)`.
    comment: Option<Bytes>,
}

impl Reader<'_> {
    fn sign(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Everything up to one of `signs`.
    fn words(&mut self, signs: &[u8]) -> Words {
        let mut words = Words { phrase: Vec::new(), packed: Vec::new() };
        let mut is_apart = false;
        while let [octet, rest @ ..] = self.rest {
            if signs.contains(octet) {
                break;
            }
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    is_apart = true;
                    self.rest = rest;
                    continue;
                }
                b'(' => {
                    self.comment();
                    is_apart = true;
                    continue;
                }
                _ => {}
            }
            if is_apart && !words.phrase.is_empty() {
                words.phrase.push(b' ');
            }
            is_apart = false;
            if *octet == b'"' {
                let text = self.enclosed();
                words.phrase.extend_from_slice(&text);
                words.packed.extend_from_slice(&text);
            } else {
                words.phrase.push(*octet);
                words.packed.push(*octet);
                self.rest = rest;
            }
        }
        words
    }

    /// The text of a quoted string, which begins here.
    fn enclosed(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.rest = &self.rest[1..];
        while let [octet, rest @ ..] = self.rest {
            self.rest = rest;
            match (octet, rest) {
                (b'"', _) => break,
                (b'\\', [quoted, rest @ ..]) => {
                    text.push(*quoted);
                    self.rest = rest;
                }
                _ => text.push(*octet),
            }
        }
        text
    }

    /// A comment, which begins here and may hold others.
    fn comment(&mut self) {
        let (mut text, mut depth) = (Vec::new(), 0_usize);
        while let [octet, rest @ ..] = self.rest {
            self.rest = rest;
            match (octet, rest) {
                (b'\\', [quoted, rest @ ..]) => {
                    text.push(*quoted);
                    self.rest = rest;
                    continue;
                }
                (b'(', _) => depth += 1,
                (b')', _) => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            text.push(*octet);
        }
        let text = text.get(1..).unwrap_or_default().trim_ascii();
        self.comment = (!text.is_empty()).then(|| Bytes::copy_from_slice(text));
    }

    /// An address behind its `<`, with the phrase that stood in front.
    fn angle(&mut self, phrase: Vec<u8>) -> Address {
        let mut route = None;
        let mut local = self.words(b"@>:").packed;
        let mut sign = self.sign();
        if sign == Some(b'@') && local.is_empty() {
            // `<@a,@b:local@domain>`
            let mut text = Vec::from(b"@");
            text.extend(self.words(b":>").packed);
            route = Some(Bytes::from(text));
            sign = self.sign();
            if sign == Some(b':') {
                local = self.words(b"@>").packed;
                sign = self.sign();
            }
        }
        let host = if sign == Some(b'>') || sign.is_none() { Vec::new() } else { self.words(b">").packed };
        if sign != Some(b'>') {
            self.sign();
        }
        let name = (!phrase.is_empty()).then(|| Bytes::from(phrase));
        Address { name, route, mailbox: Some(Bytes::from(local)), host: Some(Bytes::from(host)) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    fn read(value: &str) -> String {
        let mut list = Vec::new();
        addresses(value.as_bytes(), &mut list);
        let text =
            |text: &Option<Bytes>| text.as_ref().map_or("-".into(), |text| String::from_utf8_lossy(text).into_owned());
        let one = |a: &Address| format!("{}|{}|{}|{}", text(&a.name), text(&a.route), text(&a.mailbox), text(&a.host));
        list.iter().map(one).collect::<Vec<_>>().join(" / ")
    }

    #[test]
    fn examples_of_the_rfcs() {
        for (value, expected) in [
            ("John Doe <jdoe@machine.example>", "John Doe|-|jdoe|machine.example"),
            ("\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public|-|john.q.public|example.com"),
            (
                "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
                "Mary Smith|-|mary|x.test / -|-|jdoe|example.org / Who?|-|one|y.test",
            ),
            (
                "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
                "-|-|boss|nil.test / Giant; \"Big\" Box|-|sysservices|example.net",
            ),
            (
                "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
                "-|-|A Group|- / Ed Jones|-|c|a.test / -|-|joe|where.test / John|-|jdoe|one.test / -|-|-|-",
            ),
            ("Undisclosed recipients:;", "-|-|Undisclosed recipients|- / -|-|-|-"),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|-|pete|silly.test"),
            (
                "Mary Smith <@node.test,@other.test:mary@example.net>, , jdoe@test   . example",
                "Mary Smith|@node.test,@other.test|mary|example.net / -|-|jdoe|test.example",
            ),
            ("terry@cac.example (Terry Gray)", "Terry Gray|-|terry|cac.example"),
            ("=?utf-8?q?J=C3=B6rg?= <j@x.test>", "=?utf-8?q?J=C3=B6rg?=|-|j|x.test"),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn odd_ones() {
        for (value, expected) in [
            ("", ""),
            (" , ,", ""),
            ("root", "-|-|root|"),
            ("<>", "-|-||"),
            ("a <b@c", "a|-|b|c"),
            ("\"open <a@b>", "-|-|open <a@b>|"),
            ("(open", ""),
            ("g: a@b", "-|-|g|- / -|-|a|b / -|-|-|-"),
            ("<a@b> trailing, c@d", "-|-|a|b / -|-|c|d"),
            ("\"a b\"@c", "-|-|a b|c"),
            (";;::", "-|-||- / -|-|-|-"),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }
}
