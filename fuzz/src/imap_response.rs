//! IMAP's responses: whatever stands in a message, what is told of it stays one response that can be read.

use pillarbox_core::imap::encode::Charset;
use pillarbox_tests::oracle::imap_response::{fetched, they_read_what_we_write};

use crate::gauge::{Allowance, linear};
use crate::message;

/// The FETCH response of a message: its form, and what `imap-codec` reads in it.
pub(crate) fn of_message(octets: &[u8]) {
    let structure = message::structure_of(octets);
    for charset in [Charset::Ascii, Charset::Utf8] {
        let allowed = Allowance { peak: (600, 1 << 19), total: (4000, 1 << 21), count: (32, 4096) };
        let response = linear(octets.len(), allowed, || fetched(&structure, charset));
        form(&response, charset).unwrap_or_else(|what| panic!("{what}: {}", response.escape_ascii()));
    }
    they_read_what_we_write(&structure).unwrap_or_else(|how| panic!("{how}"));
}

/// One response: strings are closed, literals as long as they say, parentheses balanced, and then CRLF.
fn form(response: &[u8], charset: Charset) -> Result<(), String> {
    let mut rest = response;
    let mut depth = 0_u32;
    loop {
        let (octet, behind) = rest.split_first().ok_or("it has no end")?;
        rest = behind;
        match octet {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).ok_or("one parenthesis too many is closed")?,
            b'"' => rest = quoted(rest, charset)?,
            b'{' => rest = literal(rest)?,
            b'\r' if rest == b"\n" && depth == 0 => return Ok(()),
            b' '..=b'~' => {}
            _ => return Err(format!("octet {octet} in the middle")),
        }
    }
}

fn quoted(mut rest: &[u8], charset: Charset) -> Result<&[u8], String> {
    loop {
        let (octet, behind) = rest.split_first().ok_or("a string has no end")?;
        rest = behind;
        match octet {
            b'"' => return Ok(rest),
            b'\\' if matches!(rest, [b'"' | b'\\', ..]) => rest = &rest[1..],
            b'\\' | 0 | b'\r' | b'\n' => return Err(format!("octet {octet} in a string")),
            0x80.. if charset == Charset::Ascii => return Err("a string beyond ASCII".into()),
            _ => {}
        }
    }
}

fn literal(rest: &[u8]) -> Result<&[u8], String> {
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let count: usize =
        std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok()).ok_or("no length")?;
    let behind = rest[digits..].strip_prefix(b"}\r\n").ok_or("no literal")?;
    let (octets, behind) = behind.split_at_checked(count).ok_or("a literal is cut off")?;
    if octets.contains(&0) { Err("a NUL in a literal".into()) } else { Ok(behind) }
}
