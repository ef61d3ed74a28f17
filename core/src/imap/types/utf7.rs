//! Modified UTF-7, in which IMAP4rev1 writes mailbox names (RFC 3501 §5.1.3).
//!
//! ASCII stands for itself, `&-` for `&`, and everything else is UTF-16 in base64 between `&` and `-`, with `,` in the
//! place of `/` and without padding. There is one right way to write a name, and only that one is read: otherwise two
//! names would look different and be the same.

use alloc::string::String;
use alloc::vec::Vec;

/// The name that `sent` stands for; `None` when it is not well written. Octets beyond ASCII outside of base64 must be
/// UTF-8 and stand for themselves.
#[must_use]
pub fn decode(sent: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(sent.len());
    let mut rest = sent;
    while let Some(at) = memchr::memchr(b'&', rest) {
        name.push_str(core::str::from_utf8(&rest[..at]).ok()?);
        let end = at + memchr::memchr(b'-', &rest[at..])?;
        let coded = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if coded.is_empty() {
            name.push('&');
            continue;
        }
        // Two runs of base64 next to each other should have been one.
        if matches!(rest, [b'&', second, ..] if *second != b'-') {
            return None;
        }
        for unit in char::decode_utf16(units(coded)?) {
            let c = unit.ok()?;
            // What can stand for itself must.
            if (' '..='~').contains(&c) {
                return None;
            }
            name.push(c);
        }
    }
    name.push_str(core::str::from_utf8(rest).ok()?);
    Some(name)
}

/// Writes `name` piece by piece, as it is sent.
pub fn encode(name: &str, mut put: impl FnMut(&[u8])) {
    let mut rest = name;
    while !rest.is_empty() {
        let plain = rest.find(|c: char| !stands_for_itself(c)).unwrap_or(rest.len());
        put(&rest.as_bytes()[..plain]);
        rest = &rest[plain..];
        if let Some(behind) = rest.strip_prefix('&') {
            put(b"&-");
            rest = behind;
            continue;
        }
        let coded = rest.find(|c: char| (' '..='~').contains(&c)).unwrap_or(rest.len());
        if coded > 0 {
            put(b"&");
            base64(rest[..coded].encode_utf16(), &mut put);
            put(b"-");
        }
        rest = &rest[coded..];
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn stands_for_itself(c: char) -> bool {
    (' '..='~').contains(&c) && c != '&'
}

/// The UTF-16 in a run of base64; what is left over of its bits must be less than a sextet, and 0.
fn units(coded: &[u8]) -> Option<Vec<u16>> {
    let (mut units, mut bits, mut held) = (Vec::with_capacity(coded.len() * 3 / 8), 0_u32, 0);
    for &octet in coded {
        bits = bits << 6 | u32::from(sextet(octet)?);
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push((bits >> held) as u16);
            bits &= (1 << held) - 1;
        }
    }
    (held < 6 && bits == 0).then_some(units)
}

fn sextet(octet: u8) -> Option<u8> {
    Some(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b',' => 63,
        _ => return None,
    })
}

fn base64(units: impl Iterator<Item = u16>, put: &mut impl FnMut(&[u8])) {
    let (mut bits, mut held) = (0_u32, 0);
    for unit in units {
        bits = bits << 16 | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            put(&[ALPHABET[(bits >> held & 63) as usize]]);
            bits &= (1 << held) - 1;
        }
    }
    if held > 0 {
        put(&[ALPHABET[(bits << (6 - held) & 63) as usize]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(name: &str) -> String {
        let mut out = Vec::new();
        encode(name, |piece| out.extend_from_slice(piece));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_written_and_read() {
        let cases = [
            ("", ""),
            ("INBOX", "INBOX"),
            ("R&D", "R&-D"),
            ("&", "&-"),
            ("&&", "&-&-"),
            ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entw\u{fc}rfe", "Entw&APw-rfe"),
            ("\u{e9}&\u{e9}", "&AOk-&-&AOk-"),
            ("\u{1f4e7}", "&2D3c5w-"),
            ("a\tb", "a&AAk-b"),
            ("\u{fc}\u{fc}\u{fc}", "&APwA,AD8-"),
        ];
        for (name, sent) in cases {
            assert_eq!(encoded(name), sent);
            assert_eq!(decode(sent.as_bytes()).as_deref(), Some(name), "{sent}");
        }
    }

    #[test]
    fn there_is_one_way_to_write_a_name() {
        for sent in [
            "&",
            "a&",
            "&AOk",
            "&AGE-",
            "&AOk-&AOk-",
            "&AO-",
            "&AOl-",
            "&AOkA-",
            "&AO/-",
            "&2D0-",
            "&3ED-",
            "&AOk=-",
            "&U,BTFw-&ZeVnLIqe-",
            "& -",
            "&\u{e9}-",
        ] {
            assert_eq!(decode(sent.as_bytes()), None, "{sent}");
        }
        assert_eq!(decode(b"a\xff&-"), None);
    }
}
