//! How bytes are written in a dialogue: escapes, patterns, and the contents of `bytes "…"`.

/// `bytes` as escaped text: printable ASCII stays, `\r \n \t \0 \\ \"` and `\xHH` stand for the rest.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The bytes that escaped text stands for. Characters outside ASCII stand for their UTF-8.
///
/// # Errors
/// An escape that is none.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let mut chars = rest[at + 1..].chars();
        let escape = chars.next().ok_or("a backslash at the end")?;
        rest = chars.as_str();
        bytes.push(match escape {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            '"' => b'"',
            'x' => {
                let digits = rest.get(..2).ok_or("\\x wants two hexadecimal digits")?;
                let byte = u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?;
                rest = &rest[2..];
                byte
            }
            other => return Err(format!("\\{other} is no escape: \\r \\n \\t \\0 \\\\ \\\" \\xHH are")),
        });
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Text between double quotes, escaped; what stands behind the closing quote comes second.
#[must_use]
pub fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some((unescape(&inner[..at]).ok()?, &inner[at + 1..])),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// The bytes of `bytes "text"`, or of `bytes "text" * times`.
#[must_use]
pub fn content(text: &str) -> Option<Vec<u8>> {
    let (bytes, rest) = quoted(text.trim().strip_prefix("bytes")?.trim_start())?;
    let times = match rest.trim() {
        "" => 1,
        rest => rest.strip_prefix('*')?.trim().parse().ok()?,
    };
    Some(bytes.repeat(times))
}

/// Whether `text` matches `pattern`, in which each `*` stands for any bytes, none included.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Greedy with one point to come back to: the last star. No recursion, at worst quadratic.
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = star {
            p = after;
            t = from + 1;
            star = Some((after, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)), Ok(all));
        assert_eq!(unescape("é\\x00"), Ok("é\0".as_bytes().to_vec()));
        for bad in ["\\", "\\q", "\\x", "\\x1", "\\xzz", "\\x\u{e9}"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn contents_may_repeat() {
        assert_eq!(content("bytes \"a\\r\\n\""), Some(b"a\r\n".to_vec()));
        assert_eq!(content("bytes \"a\\\"\" * 3"), Some(b"a\"a\"a\"".to_vec()));
        for bad in ["", "bytes", "bytes a", "bytes \"a", "bytes \"a\" b", "bytes \"a\\\"", "unreadable"] {
            assert_eq!(content(bad), None, "{bad}");
        }
    }

    #[test]
    fn stars_match_anything() {
        for (pattern, text) in [("*", ""), ("a*c", "abbc"), ("a*c", "ac"), ("*b*b", "abcb"), ("", ""), ("**", "x")] {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("a*c", "abbd"), ("*b", "bc"), ("a*b*c", "acb")] {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
