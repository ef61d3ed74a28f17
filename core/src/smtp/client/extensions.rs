//! What a server offers: the keywords of its EHLO reply (RFC 5321 §4.1.1.1).

/// The extensions that matter to us. Forgotten when TLS comes up: what was said before it proves nothing (RFC 3207
/// §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 1870.
    pub(super) size: Option<Size>,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 4954, with PLAIN.
    pub(super) plain: bool,
    /// RFC 4954, with LOGIN.
    pub(super) login: bool,
    /// The first line of the reply, which holds the server's name and no keyword, has passed.
    named: bool,
}

/// What a server says of the largest message it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// There is no fixed maximum, or none that can be read.
    Unknown,
    /// So many octets.
    Limit(u64),
}

impl Extensions {
    /// Takes the next line of an EHLO reply. Unknown keywords mean nothing; letter case neither.
    pub(super) fn line(&mut self, text: &[u8]) {
        if !self.named {
            self.named = true;
            return;
        }
        // `AUTH=LOGIN PLAIN` is how servers from before RFC 2554 say it.
        let mut words = text.split(|octet| matches!(octet, b' ' | b'\t' | b'=')).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return };
        let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        if is("PIPELINING") {
            self.pipelining = true;
        } else if is("SIZE") {
            self.size = Some(size(words.next()));
        } else if is("8BITMIME") {
            self.eight_bit = true;
        } else if is("SMTPUTF8") {
            self.smtputf8 = true;
        } else if is("STARTTLS") {
            self.starttls = true;
        } else if is("AUTH") {
            for mechanism in words {
                self.plain |= mechanism.eq_ignore_ascii_case(b"PLAIN");
                self.login |= mechanism.eq_ignore_ascii_case(b"LOGIN");
            }
        }
    }

    /// Whether a message of so many octets is too large for the server.
    pub(super) fn refuses(&self, octets: u64) -> Option<u64> {
        match self.size {
            Some(Size::Limit(limit)) if octets > limit => Some(limit),
            _ => None,
        }
    }
}

/// 0 means that there is no fixed maximum (RFC 1870 §4); a number beyond 2^64 means as much to us.
fn size(word: Option<&[u8]>) -> Size {
    let number = word.and_then(|word| core::str::from_utf8(word).ok()).and_then(|word| word.parse().ok());
    number.filter(|limit| *limit > 0).map_or(Size::Unknown, Size::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(lines: &[&str]) -> Extensions {
        let mut offered = Extensions::default();
        offered.line(b"SIZE.example greets you");
        for line in lines {
            offered.line(line.as_bytes());
        }
        offered
    }

    #[test]
    fn keywords_in_any_case() {
        let all =
            offered(&["pipelining", "Size 1000", "8BITMIME", "SMTPUTF8", "STARTTLS", "AUTH LOGIN plain", "X", ""]);
        let expected = Extensions {
            pipelining: true,
            size: Some(Size::Limit(1000)),
            eight_bit: true,
            smtputf8: true,
            starttls: true,
            plain: true,
            login: true,
            named: true,
        };
        assert_eq!(all, expected);
        let old = offered(&["AUTH=LOGIN", "AUTH CRAM-MD5", "STARTTLSX"]);
        assert_eq!((old.login, old.plain, old.starttls), (true, false, false));
        assert_eq!(offered(&[]), Extensions { named: true, ..Extensions::default() });
    }

    #[test]
    fn sizes_do_not_wrap() {
        for line in ["SIZE", "SIZE 0", "SIZE x", "SIZE -1", "SIZE 18446744073709551616", "SIZE 99999999999999999999999"]
        {
            assert_eq!(
                (offered(&[line]).size, offered(&[line]).refuses(u64::MAX)),
                (Some(Size::Unknown), None),
                "{line}"
            );
        }
        let limited = offered(&["SIZE 18446744073709551614"]);
        assert_eq!(limited.refuses(u64::MAX), Some(u64::MAX - 1));
        assert_eq!(limited.refuses(u64::MAX - 1), None);
    }
}
