//! The form of IMAP's responses, whatever they say (RFC 9051 §9): strings are closed, literals as long as they say,
//! parentheses balanced, and then CRLF.

use std::ops::ControlFlow;

use pillarbox_core::imap::encode::Charset;

/// Why a response is left: it is cut off, or what is wrong with it.
type Left = ControlFlow<Option<String>>;

/// Everything that a server has said. The last response may be cut off.
///
/// # Errors
/// What is wrong, and with what.
pub fn responses(mut sent: &[u8]) -> Result<(), String> {
    while !sent.is_empty() {
        let mut rest = sent;
        let left = if is_text(sent) { text(&mut rest) } else { data(&mut rest, Charset::Utf8) };
        if let ControlFlow::Break(why) = left {
            let shown = sent[..sent.len().min(2000)].escape_ascii();
            return why.map_or(Ok(()), |why| Err(format!("{why}: {shown}")));
        }
        sent = rest;
    }
    Ok(())
}

/// One response that holds data, and nothing behind it.
///
/// # Errors
/// What is wrong.
pub fn response(sent: &[u8], charset: Charset) -> Result<(), String> {
    let mut rest = sent;
    match data(&mut rest, charset) {
        ControlFlow::Continue(()) if rest.is_empty() => Ok(()),
        ControlFlow::Continue(()) => Err("there is something behind it".into()),
        ControlFlow::Break(why) => Err(why.unwrap_or_else(|| "it is cut off".into())),
    }
}

/// Words for people follow: a condition, or the request to go on.
fn is_text(sent: &[u8]) -> bool {
    let second = sent.splitn(3, |octet| *octet == b' ').nth(1).unwrap_or_default();
    let word = second.split(|octet| *octet == b'\r').next().unwrap_or_default();
    sent.starts_with(b"+ ") || [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].contains(&word)
}

fn text(rest: &mut &[u8]) -> Left {
    loop {
        match (next(rest)?, rest.first()) {
            (b'\r', Some(b'\n')) => {
                *rest = &rest[1..];
                return Left::Continue(());
            }
            (b'\r', None) => return Left::Break(None),
            (octet @ (..b' ' | 0x7f), _) => return wrong(format!("octet {octet} in words for people")),
            _ => {}
        }
    }
}

fn data(rest: &mut &[u8], charset: Charset) -> Left {
    let (mut depth, mut before) = (0_u32, b' ');
    loop {
        let octet = next(rest)?;
        match octet {
            b'(' => depth += 1,
            b')' if depth == 0 => return wrong("one parenthesis too many is closed"),
            b')' => depth -= 1,
            b'"' => quoted(rest, charset)?,
            b'{' => literal(rest, before == b'~')?,
            b'\r' if rest.is_empty() => return Left::Break(None),
            b'\r' if rest[0] == b'\n' && depth == 0 => {
                *rest = &rest[1..];
                return Left::Continue(());
            }
            b' '..=b'~' => {}
            _ => return wrong(format!("octet {octet} in the middle")),
        }
        before = octet;
    }
}

fn quoted(rest: &mut &[u8], charset: Charset) -> Left {
    loop {
        match next(rest)? {
            b'"' => return Left::Continue(()),
            b'\\' => match next(rest)? {
                b'"' | b'\\' => {}
                octet => return wrong(format!("\\ before octet {octet} in a string")),
            },
            octet @ (0 | b'\r' | b'\n') => return wrong(format!("octet {octet} in a string")),
            0x80.. if charset == Charset::Ascii => return wrong("a string beyond ASCII"),
            _ => {}
        }
    }
}

/// Only a literal of eight bits may hold NUL.
fn literal(rest: &mut &[u8], eight_bit: bool) -> Left {
    let mut count: usize = 0;
    loop {
        match next(rest)? {
            digit @ b'0'..=b'9' => {
                match count.checked_mul(10).and_then(|tens| tens.checked_add(usize::from(digit - b'0'))) {
                    Some(more) => count = more,
                    None => return wrong("a literal without end"),
                }
            }
            b'}' => break,
            octet => return wrong(format!("octet {octet} in the length of a literal")),
        }
    }
    if (next(rest)?, next(rest)?) != (b'\r', b'\n') {
        return wrong("no line end before a literal");
    }
    let (octets, behind) = rest.split_at(count.min(rest.len()));
    if octets.contains(&0) && !eight_bit {
        return wrong("a NUL in a literal");
    }
    *rest = behind;
    if octets.len() < count { Left::Break(None) } else { Left::Continue(()) }
}

/// The next octet; there may be none yet.
fn next(rest: &mut &[u8]) -> ControlFlow<Option<String>, u8> {
    let Some((octet, behind)) = rest.split_first() else { return ControlFlow::Break(None) };
    *rest = behind;
    ControlFlow::Continue(*octet)
}

fn wrong(what: impl Into<String>) -> Left {
    Left::Break(Some(what.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_form_is_found() {
        assert_eq!(
            responses(b"* OK (\" {\r\n+ \r\n* 1 FETCH (BODY[] {3}\r\na)\n BINARY[1] ~{1}\r\n\0)\r\na NO [X (] \"\r\n"),
            Ok(())
        );
        assert_eq!(responses(b"* LIST () \"/\" a\r\n* 1 FETCH (BODY[] {30}\r\nabc"), Ok(()), "it may be cut off");
        for bad in [
            "* LIST () \"/\" a\n",
            "* LIST ( \"/\" a\r\n",
            "* LIST ()) \"/\" a\r\n",
            "* LIST () \"\\/\" a\r\n",
            "* LIST () \"/\r\n\" a\r\n",
            "* LIST () / \u{e9}\r\n",
            "* 1 FETCH (BODY[] {3}\r\na\0b)\r\n",
            "* 1 FETCH (BODY[] {2}\r\na\r\n)\r\n",
            "* 1 FETCH (BODY[] {2a}\r\na)\r\n",
            "a OK x\ry\r\n",
            "* BYE x\0\r\n",
        ] {
            assert!(responses(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(
            response(b"* 1 EXISTS\r\n ", Charset::Utf8).is_err() && response(b"* 1 EXISTS\r", Charset::Utf8).is_err()
        );
        assert!(response("* A \"\u{e9}\"\r\n".as_bytes(), Charset::Utf8).is_ok());
        assert!(response("* A \"\u{e9}\"\r\n".as_bytes(), Charset::Ascii).is_err());
    }
}
