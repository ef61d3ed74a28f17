//! Undoes content transfer encodings while the octets pass (RFC 2045 §6), for BINARY and for searches.

use alloc::vec::Vec;

/// Is fed the body of a part and gives what was encoded. Lenient: what is no base64 is passed over, a broken `=XX`
/// stands as it is.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
}

/// The encoding is not known: BINARY answers with UNKNOWN-CTE (RFC 3516 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

#[derive(Clone, Debug)]
enum State {
    Identity,
    /// Bits, how many of them, and whether the padding has come.
    Base64 {
        bits: u32,
        count: u8,
        ended: bool,
    },
    /// Octets that may be part of an escape, or blanks that may end a line.
    Quoted {
        held: Vec<u8>,
    },
}

impl Decoder {
    /// Blanks in front of a line's end that are taken away as RFC 2045 §6.7 (3) wants; of a longer run the first stay.
    pub const MAX_BLANKS: usize = 1000;

    /// For an encoding of that name, in any case.
    ///
    /// # Errors
    /// [`Undecodable`] when the encoding is not known.
    pub fn new(encoding: &[u8]) -> Result<Self, Undecodable> {
        let is = |name: &str| encoding.eq_ignore_ascii_case(name.as_bytes());
        let state = if is("7bit") || is("8bit") || is("binary") {
            State::Identity
        } else if is("base64") {
            State::Base64 { bits: 0, count: 0, ended: false }
        } else if is("quoted-printable") {
            State::Quoted { held: Vec::new() }
        } else {
            return Err(Undecodable);
        };
        Ok(Self { state })
    }

    /// What is encoded so stands there as it is.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(self.state, State::Identity)
    }

    /// Appends what the next octets mean to `out`.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(piece),
            State::Base64 { bits, count, ended } => {
                for octet in piece {
                    *ended |= *octet == b'=';
                    let Some(value) = sextet(*octet).filter(|_| !*ended) else { continue };
                    *bits = (*bits << 6 | u32::from(value)) & 0xff_ffff;
                    *count += 6;
                    if *count >= 8 {
                        *count -= 8;
                        out.push((*bits >> *count) as u8);
                    }
                }
            }
            State::Quoted { held } => {
                let mut rest = piece;
                while let [octet, behind @ ..] = rest {
                    // Up to an escape, or to the blanks in front of a line's end, all stands for itself.
                    let plain = if held.is_empty() { plain(rest) } else { 0 };
                    out.extend_from_slice(&rest[..plain]);
                    rest = &rest[plain..];
                    if plain == 0 {
                        quoted(held, *octet, out);
                        rest = behind;
                    }
                }
            }
        }
    }

    /// The body has ended.
    pub fn finish(self, out: &mut Vec<u8>) {
        let State::Quoted { held } = self.state else { return };
        if held.first() == Some(&b'=') && held[1..].iter().all(|octet| octet.is_ascii_whitespace()) {
            return;
        }
        out.extend_from_slice(if held.first() == Some(&b'=') { &held } else { held.trim_ascii_end() });
    }
}

/// Gives text with CRLF at the ends of its lines, where there was only an LF (RFC 9051 §7.5.2, BINARY): text that was
/// encoded as it stood in some file has such.
#[derive(Clone, Debug, Default)]
pub struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    /// Appends the next octets of the text to `out`.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for line in piece.split_inclusive(|octet| *octet == b'\n') {
            let before = line.len().checked_sub(2).map_or(self.after_cr, |at| line[at] == b'\r');
            if line.ends_with(b"\n") && !before {
                out.extend_from_slice(&line[..line.len() - 1]);
                out.extend_from_slice(b"\r\n");
            } else {
                out.extend_from_slice(line);
            }
            self.after_cr = line.ends_with(b"\r");
        }
    }
}

fn sextet(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet - b'A'),
        b'a'..=b'z' => Some(octet - b'a' + 26),
        b'0'..=b'9' => Some(octet - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// How many octets of quoted-printable stand for themselves, when nothing is held.
fn plain(text: &[u8]) -> usize {
    let end = memchr::memchr2(b'=', b'\n', text).unwrap_or(text.len());
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r');
    text[..end].iter().rposition(|octet| !is_blank(octet)).map_or(0, |last| last + 1)
}

/// One octet of quoted-printable. `held` is empty, or begins with `=`, or is blanks and perhaps a CR.
fn quoted(held: &mut Vec<u8>, octet: u8, out: &mut Vec<u8>) {
    if let [b'=', rest @ ..] = &held[..] {
        match (rest, octet) {
            // A soft line break; there may be blanks in it.
            (_, b'\n') if rest.iter().all(|octet| octet.is_ascii_whitespace()) => return held.clear(),
            (_, b' ' | b'\t' | b'\r')
                if rest.iter().all(|octet| octet.is_ascii_whitespace()) && held.len() <= Decoder::MAX_BLANKS =>
            {
                return held.push(octet);
            }
            ([], _) if octet.is_ascii_hexdigit() => return held.push(octet),
            ([high], _) if octet.is_ascii_hexdigit() && high.is_ascii_hexdigit() => {
                out.push(nibble(*high) << 4 | nibble(octet));
                return held.clear();
            }
            _ => {
                out.append(held);
                return quoted_plain(held, octet, out);
            }
        }
    }
    quoted_plain(held, octet, out);
}

/// The same, outside an escape.
fn quoted_plain(held: &mut Vec<u8>, octet: u8, out: &mut Vec<u8>) {
    match octet {
        b'\n' => {
            // Blanks in front of a line's end were added on the way.
            let has_cr = held.last() == Some(&b'\r');
            held.clear();
            out.extend_from_slice(if has_cr { b"\r\n" } else { b"\n" });
        }
        b' ' | b'\t' | b'\r' if held.len() < Decoder::MAX_BLANKS => held.push(octet),
        _ => {
            out.append(held);
            if octet == b'=' { held.push(octet) } else { out.push(octet) }
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_decodes_however_the_body_is_cut() {
        let cases: [(&str, &[u8], &[u8]); 9] = [
            ("7bit", b"a=20\r\n", b"a=20\r\n"),
            ("BASE64", b"SGVs\r\nbG8=\r\ngarbage", b"Hello"),
            ("base64", b"SGVsbG8", b"Hello"),
            ("base64", b"S!G V*sbG8hIQ==", b"Hello!!"),
            (
                "quoted-printable",
                b"Now's the time =\r\nfor all folk=20 \t\r\nx=3D=3d",
                b"Now's the time for all folk \r\nx==",
            ),
            ("quoted-printable", b"a=ZZ =4 ==41= \t\r\nb =", b"a=ZZ =4 =Ab "),
            ("quoted-printable", b"a \n\r \rb\r\n", b"a\n\r \rb\r\n"),
            ("quoted-printable", b"a=", b"a"),
            ("quoted-printable", b"a=4", b"a=4"),
        ];
        for (encoding, body, expected) in cases {
            for step in 1..=body.len() {
                let (mut decoder, mut out) = (Decoder::new(encoding.as_bytes()).unwrap(), Vec::new());
                body.chunks(step).for_each(|piece| decoder.feed(piece, &mut out));
                decoder.finish(&mut out);
                assert_eq!(out, expected, "{} by {step}: {}", body.escape_ascii(), out.escape_ascii());
            }
        }
        assert!(Decoder::new(b"x-uuencode").is_err());
    }

    #[test]
    fn lines_end_with_crlf() {
        let (text, expected) = (b"\na\r\nb\n\n\rc\r\r\n\r", b"\r\na\r\nb\r\n\r\n\rc\r\r\n\r");
        for step in 1..=text.len() {
            let (mut ends, mut out) = (LineEnds::default(), Vec::new());
            text.chunks(step).for_each(|piece| ends.feed(piece, &mut out));
            assert_eq!(out, expected, "by {step}: {}", out.escape_ascii());
        }
    }
}
