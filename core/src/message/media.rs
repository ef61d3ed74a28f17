//! The values of MIME's fields: types, dispositions and their parameters (RFC 2045 §5.1, RFC 2183, RFC 2231).

use alloc::vec::Vec;

use bytes::Bytes;

use super::words::unescape;
use crate::imap::types::Parameter;

/// Parameters of one field at most; the others are passed over.
const MAX_PARAMETERS: usize = 64;

/// `Content-Type`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) media_type: Bytes,
    pub(super) subtype: Bytes,
    pub(super) parameters: Vec<Parameter>,
}

impl Media {
    /// `None` when it says no type and subtype: then it counts as not said (RFC 2045 §5.2).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { rest: value };
        let media_type = cursor.token()?;
        cursor.skip(b'/')?;
        let subtype = cursor.token()?;
        let (media_type, subtype) = (Bytes::copy_from_slice(media_type), Bytes::copy_from_slice(subtype));
        Some(Self { media_type, subtype, parameters: cursor.parameters() })
    }

    pub(super) fn of(media_type: &'static [u8], subtype: &'static [u8]) -> Self {
        let (media_type, subtype) = (Bytes::from_static(media_type), Bytes::from_static(subtype));
        Self { media_type, subtype, parameters: Vec::new() }
    }

    /// What a part is that does not say (RFC 2045 §5.2).
    pub(super) fn plain() -> Self {
        let charset = (Bytes::from_static(b"CHARSET"), Bytes::from_static(b"US-ASCII"));
        Self { parameters: [charset].into(), ..Self::of(b"TEXT", b"PLAIN") }
    }

    pub(super) fn is(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&Bytes> {
        self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

/// `Content-Disposition`
pub(super) fn disposition(value: &[u8]) -> Option<(Bytes, Vec<Parameter>)> {
    let mut cursor = Cursor { rest: value };
    let disposition = Bytes::copy_from_slice(cursor.token()?);
    Some((disposition, cursor.parameters()))
}

/// The first word, such as that of `Content-Transfer-Encoding`.
pub(super) fn token(value: &[u8]) -> Option<&[u8]> {
    Cursor { rest: value }.token()
}

/// A parameter that is encoded, or stood in pieces, decoded and put together (RFC 2231 §3, §4).
pub(super) struct Spread {
    pub(super) name: Vec<u8>,
    /// Of the octets; empty if it is not said.
    pub(super) charset: Vec<u8>,
    pub(super) octets: Vec<u8>,
}

/// Those of a field; the others can be read as they stand there.
pub(super) fn spread(value: &[u8]) -> Vec<Spread> {
    let mut pieces: Vec<(Vec<u8>, u32, bool, Vec<u8>)> = Vec::new();
    for (name, value) in (Cursor { rest: value }).listed() {
        match (piece(&name), name.strip_suffix(b"*")) {
            (Some((base, number, encoded)), _) => pieces.push((base.to_ascii_lowercase(), number, encoded, value)),
            (None, Some(base)) => pieces.push((base.to_ascii_lowercase(), 0, true, value)),
            (None, None) => {}
        }
    }
    pieces.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let mut all = Vec::new();
    for group in pieces.chunk_by(|a, b| a.0 == b.0) {
        let mut whole = Spread { name: group[0].0.clone(), charset: Vec::new(), octets: Vec::new() };
        for (n, (_, number, encoded, value)) in group.iter().enumerate() {
            if u32::try_from(n) != Ok(*number) {
                break;
            }
            let mut text = &value[..];
            // `charset'language'text`
            let mut parts = text.splitn(3, |octet| *octet == b'\'');
            if let (true, 0, Some(charset), Some(_), Some(rest)) =
                (*encoded, n, parts.next(), parts.next(), parts.next())
            {
                whole.charset = charset.to_vec();
                text = rest;
            }
            if *encoded { unescape(text, b'%', &mut whole.octets) } else { whole.octets.extend_from_slice(text) }
        }
        all.push(whole);
    }
    all
}

/// Words between commas, as in `Content-Language`.
pub(super) fn words(value: &[u8]) -> Vec<Bytes> {
    let mut cursor = Cursor { rest: value };
    let mut words = Vec::new();
    while let Some(word) = cursor.token() {
        words.push(Bytes::copy_from_slice(word));
        if words.len() == MAX_PARAMETERS || cursor.skip(b',').is_none() {
            break;
        }
    }
    words
}

/// What is left of a value.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Passes over spaces and comments, which nest (RFC 822 §3.4.3).
    fn blanks(&mut self) {
        let mut depth = 0_usize;
        while let [octet, rest @ ..] = self.rest {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => {
                    self.rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
                _ if depth > 0 => {}
                _ => return,
            }
            self.rest = rest;
        }
    }

    fn skip(&mut self, octet: u8) -> Option<()> {
        self.blanks();
        self.rest = self.rest.strip_prefix(&[octet])?;
        Some(())
    }

    /// `token`; 8-bit octets too, which some mail has.
    fn token(&mut self) -> Option<&'a [u8]> {
        self.blanks();
        let is_end = |octet: &u8| *octet <= b' ' || *octet == 0x7f || b"()<>@,;:\\\"/[]?=".contains(octet);
        let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token or a quoted string; without quotes anything up to a semicolon or a blank, as much mail has it.
    fn value(&mut self) -> Vec<u8> {
        self.blanks();
        let Some(mut rest) = self.rest.strip_prefix(b"\"") else {
            let is_end = |octet: &u8| matches!(octet, b';' | b' ' | b'\t' | b'(');
            let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return value.to_vec();
        };
        let mut value = Vec::new();
        while let [octet, behind @ ..] = rest {
            rest = behind;
            match (octet, behind) {
                (b'"', _) => break,
                (b'\\', [quoted, behind @ ..]) => {
                    value.push(*quoted);
                    rest = behind;
                }
                _ => value.push(*octet),
            }
        }
        self.rest = rest;
        value
    }

    /// `*(";" parameter)`, with split values joined.
    fn parameters(&mut self) -> Vec<Parameter> {
        joined(self.listed())
    }

    /// The same, as they stand there; what is none is passed over up to the next semicolon.
    fn listed(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut list = Vec::new();
        while list.len() < MAX_PARAMETERS && !self.rest.is_empty() {
            if self.skip(b';').is_none() {
                let next = self.rest.iter().position(|octet| *octet == b';');
                self.rest = next.map_or(&[], |at| &self.rest[at..]);
                continue;
            }
            let Some(name) = self.token() else { continue };
            if self.skip(b'=').is_some() {
                list.push((name.to_vec(), self.value()));
            }
        }
        list
    }
}

/// Joins what was split (RFC 2231 §3): `name*0`, `name*1`, … become `name`, or `name*` where a piece is encoded, which
/// then stays encoded.
fn joined(list: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<Parameter> {
    let mut out: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut pieces: Vec<(Vec<u8>, u32, bool, Vec<u8>)> = Vec::new();
    for (name, value) in list {
        match piece(&name) {
            Some((base, number, encoded)) => pieces.push((base.to_ascii_lowercase(), number, encoded, value)),
            None => out.push((name, value)),
        }
    }
    pieces.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    for group in pieces.chunk_by(|a, b| a.0 == b.0) {
        let mut name = group[0].0.clone();
        if group.iter().any(|piece| piece.2) {
            name.push(b'*');
        }
        let counted = group.iter().zip(0_u32..).take_while(|(piece, n)| piece.1 == *n);
        let value: Vec<u8> = counted.flat_map(|(piece, _)| piece.3.iter().copied()).collect();
        out.push((name, value));
    }
    out.into_iter().map(|(name, value)| (Bytes::from(name), Bytes::from(value))).collect()
}

/// The name, number and kind of a piece.
fn piece(name: &[u8]) -> Option<(&[u8], u32, bool)> {
    let (name, encoded) = name.strip_suffix(b"*").map_or((name, false), |name| (name, true));
    let star = name.iter().rposition(|octet| *octet == b'*')?;
    let number = core::str::from_utf8(&name[star + 1..]).ok()?.parse().ok()?;
    Some((&name[..star], number, encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parameters = Vec<(Vec<u8>, Vec<u8>)>;

    fn parse(value: &str) -> Option<(Vec<u8>, Vec<u8>, Parameters)> {
        let media = Media::parse(value.as_bytes())?;
        let list = media.parameters.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Some((media.media_type.to_vec(), media.subtype.to_vec(), list))
    }

    fn is(value: &str, kind: (&str, &str), list: &[(&str, &str)]) {
        let list = list.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        assert_eq!(parse(value), Some((kind.0.into(), kind.1.into(), list)), "{value}");
    }

    #[test]
    fn examples_of_the_rfcs() {
        let plain = ("text", "plain");
        is("text/plain; charset=us-ascii (Plain text)", plain, &[("charset", "us-ascii")]);
        is("text/plain; charset=\"us-ascii\"", plain, &[("charset", "us-ascii")]);
        let url = "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar";
        is(
            "message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
            ("message", "external-body"),
            &[("access-type", "URL"), ("url", url)],
        );
        is(
            "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
            ("application", "x-stuff"),
            &[("title*", "us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn't it!")],
        );
    }

    #[test]
    fn odd_ones() {
        assert_eq!(parse("text"), None);
        assert_eq!(parse(""), None);
        is("TEXT / html;;; x ; a = \"q\\\"\\\\\" ; b=c", ("TEXT", "html"), &[("a", "q\"\\"), ("b", "c")]);
        is("a/b; boundary=x=y:z; c=\"open", ("a", "b"), &[("boundary", "x=y:z"), ("c", "open")]);
        is("(a (nested) one) a/b (\\)", ("a", "b"), &[]);
    }
}
