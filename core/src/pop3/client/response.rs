//! The grammar of POP3 responses (RFC 1939 §3, RFC 2449 §3 and §5, RFC 5034 §4).

use alloc::string::String;

use crate::pop3::command::decimal;
use crate::show::plain;

/// The first line of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status<'a> {
    /// `+OK`, and the words behind it.
    Ok(&'a [u8]),
    /// `-ERR`, and the words behind it.
    Err(&'a [u8]),
    /// `+ `: go on with the SASL exchange.
    Challenge,
}

impl<'a> Status<'a> {
    /// Reads a line, given without its CRLF; `None` when it is none of these.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let end = line.iter().position(|&octet| octet == b' ').unwrap_or(line.len());
        let text = line.get(end + 1..).unwrap_or(&[]);
        match &line[..end] {
            b"+OK" => Some(Self::Ok(text)),
            b"-ERR" => Some(Self::Err(text)),
            b"+" => Some(Self::Challenge),
            _ => None,
        }
    }
}

/// A server's words, fit for a log line: UTF-8, and spaces where characters were that may not be shown.
pub(super) fn words(text: &[u8]) -> String {
    plain(String::from_utf8_lossy(text)).into_owned()
}

/// The drop listing (RFC 1939 §5): messages and octets. What stands behind them is nobody's business.
pub(super) fn drop_listing(text: &[u8]) -> Option<(u32, u64)> {
    let mut fields = fields(text);
    Some((number(fields.next()?)?, decimal(fields.next()?)?))
}

/// A line of UIDL: message-number, and unique-id of 1 to 70 printable characters (RFC 1939 §7).
pub(super) fn unique_id(line: &[u8]) -> Option<(u32, String)> {
    let mut fields = fields(line);
    let (number, id) = (number(fields.next()?)?, fields.next()?);
    let good = number > 0 && id.len() <= 70 && id.iter().all(u8::is_ascii_graphic) && fields.next().is_none();
    good.then(|| (number, id.iter().copied().map(char::from).collect()))
}

/// What of a capability list concerns us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) stls: bool,
    /// `SASL` names PLAIN.
    pub(super) plain: bool,
}

impl Capabilities {
    /// Takes one line of the list. What we do not know is somebody else's.
    pub(super) fn take(&mut self, line: &[u8]) {
        let mut fields = fields(line);
        let Some(tag) = fields.next() else { return };
        if tag.eq_ignore_ascii_case(b"STLS") {
            self.stls = true;
        }
        if tag.eq_ignore_ascii_case(b"SASL") {
            self.plain |= fields.any(|mechanism| mechanism.eq_ignore_ascii_case(b"PLAIN"));
        }
    }
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&octet| octet == b' ').filter(|field| !field.is_empty())
}

fn number(digits: &[u8]) -> Option<u32> {
    u32::try_from(decimal(digits)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(Status::parse(b"+OK"), Some(Status::Ok(b"")));
        assert_eq!(Status::parse(b"+OK two words"), Some(Status::Ok(b"two words")));
        assert_eq!(Status::parse(b"-ERR [IN-USE] no"), Some(Status::Err(b"[IN-USE] no")));
        assert_eq!(Status::parse(b"+ "), Some(Status::Challenge));
        for line in [&b""[..], b"+OKAY", b"+ok", b" +OK", b"-ERROR", b"* OK", b"220 x", b"+OK\tx"] {
            assert_eq!(Status::parse(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(drop_listing(b"2 320"), Some((2, 320)));
        assert_eq!(drop_listing(b"2 320 and more"), Some((2, 320)));
        assert_eq!(drop_listing(b"4294967295 18446744073709551615"), Some((u32::MAX, u64::MAX)));
        for text in [&b""[..], b"2", b"4294967296 1", b"1 18446744073709551616", b"-1 1", b"a b"] {
            assert_eq!(drop_listing(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn unique_ids_are_checked() {
        assert_eq!(unique_id(b"1 QhdPYR:00WBw1Ph7x7"), Some((1, "QhdPYR:00WBw1Ph7x7".into())));
        for (len, good) in [(70, true), (71, false)] {
            let line = [b"1 ", &[b'x'; 71][..len]].concat();
            assert_eq!(unique_id(&line).is_some(), good);
        }
        for line in [&b"1"[..], b"0 a", b"4294967297 a", b"1 a b", b"a 1", b"1 a\x7f", b"1 \xc3\xa9"] {
            assert_eq!(unique_id(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn capabilities_are_found_in_any_case() {
        let mut capabilities = Capabilities::default();
        for line in [&b"TOP"[..], b"sasl CRAM-MD5 plain", b"stls", b"", b"IMPLEMENTATION x"] {
            capabilities.take(line);
        }
        assert_eq!(capabilities, Capabilities { stls: true, plain: true });
        let mut capabilities = Capabilities::default();
        capabilities.take(b"SASL PLAINER");
        capabilities.take(b"PLAIN STLS");
        assert_eq!(capabilities, Capabilities::default());
    }
}
