//! Reading a server's replies (RFC 5321 §4.2): as the bytes come, within bounds, and safe to show afterwards.
//!
//! | quirk | what becomes of it |
//! |---|---|
//! | a bare LF at the end of a line | taken as the end: it is a line of a reply, not of a message |
//! | `250` with nothing behind it, not even a space | a last line without text (§4.2 asks clients to take it) |
//! | codes that differ from line to line, with the same first digit | the last one counts |
//! | codes whose first digits differ | malformed: nobody knows what was meant |
//! | a first digit outside 2 to 5, anything but space, `-` or the end behind the code | malformed |
//! | control characters, and those that change how a line is read | spaces |
//! | octets that are no UTF-8 | U+FFFD each |
//! | an enhanced status whose class is not the code's first digit | left in the text (RFC 2034 §4) |

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use bytes::{Buf, BytesMut};

use super::{EnhancedStatus, Reply};
use crate::show::is_plain;

/// What stands between the lines of a reply once they are one text.
const BETWEEN_LINES: &str = " / ";

/// What stands where a text was cut.
const CUT: &str = "…";

/// Takes replies out of a growing buffer. It remembers how far it has looked, and keeps no more of a reply than will be
/// shown.
#[derive(Clone, Debug)]
pub struct ReplyParser {
    bounds: ReplyBounds,
    /// Octets at the front of the buffer in which no LF stands.
    scanned: usize,
    /// Octets of the lines of this reply that are consumed.
    taken: usize,
    /// The reply read last is complete: the next line begins another one.
    complete: bool,
    code: u16,
    status: Option<EnhancedStatus>,
    text: String,
    /// The text is full.
    cut: bool,
}

/// How much of a reply is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyBounds {
    /// Octets of a line with its CRLF.
    pub line: usize,
    /// Octets of a whole reply.
    pub reply: usize,
    /// Octets of text that are kept; the rest is dropped.
    pub text: usize,
}

/// What came is not a reply. Nobody can tell where the next one would begin, so the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A line is not of the form `code SP text`, or contradicts the lines before it.
    Malformed,
    /// A line is longer than the bound.
    LineTooLong,
    /// The lines go on beyond the bound of a whole reply.
    TooLong,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "what came is not an SMTP reply",
            Self::LineTooLong => "a line of a reply is too long",
            Self::TooLong => "a reply is too long",
        })
    }
}

impl core::error::Error for ReplyError {}

impl ReplyParser {
    /// A parser that keeps to `bounds`.
    #[must_use]
    pub fn new(bounds: ReplyBounds) -> Self {
        Self { bounds, scanned: 0, taken: 0, complete: true, code: 0, status: None, text: String::new(), cut: false }
    }

    /// Takes the next reply out of `rx` and returns its code; `None` when it has not ended yet. `each` sees the text of
    /// every line as it passes, raw: that is where EHLO's keywords are read.
    ///
    /// # Errors
    /// [`ReplyError`]; what is in `rx` then means nothing.
    pub fn next(&mut self, rx: &mut BytesMut, mut each: impl FnMut(&[u8])) -> Result<Option<u16>, ReplyError> {
        loop {
            let Some(line) = self.scan(rx)? else { return Ok(None) };
            let Some(parsed) = parse_line(&rx[..line]) else { return Err(ReplyError::Malformed) };
            if self.complete {
                self.begin();
            } else if self.code / 100 != parsed.code / 100 {
                return Err(ReplyError::Malformed);
            }
            self.taken = self.taken.saturating_add(line);
            if self.taken > self.bounds.reply {
                return Err(ReplyError::TooLong);
            }
            each(parsed.text);
            self.code = parsed.code;
            let (status, text) = split_status(parsed.code, parsed.text);
            self.status = self.status.or(status);
            self.keep(text);
            let last = parsed.last;
            rx.advance(line);
            if last {
                self.complete = true;
                return Ok(Some(self.code));
            }
        }
    }

    /// The reply that [`next`](Self::next) has just read.
    #[must_use]
    pub fn reply(&self) -> Reply {
        Reply::new(self.code, self.status, self.text.clone())
    }

    /// Whether a reply has begun and not ended.
    #[must_use]
    pub fn is_inside(&self, rx: &BytesMut) -> bool {
        !self.complete || !rx.is_empty()
    }

    fn begin(&mut self) {
        (self.taken, self.complete, self.status, self.cut) = (0, false, None, false);
        self.text.clear();
    }

    /// The length of the line at the front of `rx`, with its end.
    fn scan(&mut self, rx: &BytesMut) -> Result<Option<usize>, ReplyError> {
        let within = rx.len().min(self.bounds.line);
        let from = self.scanned.min(within);
        if let Some(at) = memchr::memchr(b'\n', &rx[from..within]) {
            self.scanned = 0;
            return Ok(Some(from + at + 1));
        }
        self.scanned = within;
        if within == self.bounds.line { Err(ReplyError::LineTooLong) } else { Ok(None) }
    }

    fn keep(&mut self, text: &[u8]) {
        let text = text.trim_ascii();
        if text.is_empty() || self.cut {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str(BETWEEN_LINES);
        }
        for chunk in text.utf8_chunks() {
            let unknown = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
            for c in chunk.valid().chars().chain(unknown) {
                if self.text.len() + c.len_utf8() > self.bounds.text {
                    self.text.push_str(CUT);
                    self.cut = true;
                    return;
                }
                self.text.push(if is_plain(c) { c } else { ' ' });
            }
        }
    }
}

/// One line of a reply.
struct ReplyLine<'a> {
    code: u16,
    last: bool,
    text: &'a [u8],
}

/// Reads `line`, whose last octet is LF.
fn parse_line(line: &[u8]) -> Option<ReplyLine<'_>> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    let code = number(digits)?;
    if !(200..600).contains(&code) {
        return None;
    }
    let (last, text) = match rest {
        [] => (true, rest),
        [b' ' | b'\t', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    Some(ReplyLine { code, last, text })
}

/// Takes an enhanced status (RFC 2034 §4) off the front of a line's text.
fn split_status(code: u16, text: &[u8]) -> (Option<EnhancedStatus>, &[u8]) {
    let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let status = parse_status(word).filter(|status| u16::from(status.0) == code / 100);
    (status, if status.is_some() { rest } else { text })
}

/// `class.subject.detail` (RFC 3463 §2): one digit, and twice one to three.
fn parse_status(word: &[u8]) -> Option<EnhancedStatus> {
    let mut parts = word.split(|octet| *octet == b'.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || class.len() != 1 {
        return None;
    }
    Some(EnhancedStatus(u8::try_from(number(class)?).ok()?, number(subject)?, number(detail)?))
}

/// One to three digits.
fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')))
}

/// A reply's text for a caller who wants it in lines again.
impl Reply {
    /// The lines of a peer's reply, as far as they can be told apart.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text().split(BETWEEN_LINES)
    }

    /// The same words under another code, as when a 552 means 452.
    #[must_use]
    pub fn recoded(&self, code: u16, status: Option<EnhancedStatus>) -> Self {
        Self::new(code, status, self.text().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const BOUNDS: ReplyBounds = ReplyBounds { line: 40, reply: 100, text: 30 };

    /// All replies in `input`, fed in pieces of `step` octets, as they are shown.
    fn replies(input: &[u8], step: usize) -> (Vec<String>, Option<ReplyError>) {
        let (mut parser, mut rx, mut out) = (ReplyParser::new(BOUNDS), BytesMut::new(), Vec::new());
        for piece in input.chunks(step) {
            rx.extend_from_slice(piece);
            loop {
                match parser.next(&mut rx, |_| {}) {
                    Ok(Some(code)) => {
                        assert_eq!(code, parser.reply().code());
                        out.push(parser.reply().to_string());
                    }
                    Ok(None) => break,
                    Err(error) => return (out, Some(error)),
                }
            }
        }
        (out, None)
    }

    fn check(input: &[u8], expected: &[&str], error: Option<ReplyError>) {
        for step in 1..=input.len() {
            let expected = expected.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(replies(input, step), (expected, error), "{} by {step}", input.escape_ascii());
        }
    }

    #[test]
    fn replies_are_read_however_they_are_cut() {
        check(b"220 mx.example ESMTP\r\n250 ok\r\n25", &["220 mx.example ESMTP", "250 ok"], None);
        check(b"250-mx.example\r\n250-SIZE 7\r\n250 HELP\r\n", &["250 mx.example / SIZE 7 / HELP"], None);
        check(b"550-5.1.1 No\r\n550 5.1.1 such user\r\n", &["550 5.1.1 No / such user"], None);
        check(b"250\r\n250 \r\n250-\r\n250-x\r\n250\r\n", &["250", "250", "250 x"], None);
    }

    #[test]
    fn harmless_quirks_are_taken() {
        check(b"250-a\n250 b\n221 bye\r\n", &["250 a / b", "221 bye"], None);
        check(b"550-a\r\n554 b\r\n", &["554 a / b"], None);
        check(b"250\ttab\r\n", &["250 tab"], None);
        check(b"250 a\r\r\n", &["250 a"], None);
    }

    #[test]
    fn what_is_shown_is_clean() {
        check(b"250 a\0b\x1b[31mc\rd\x7f\r\n", &["250 a b [31mc d "], None);
        check(b"250 gr\xc3\xbc\xc3\x9fe \xff \xc2\x85\r\n", &["250 gr\u{fc}\u{df}e \u{fffd}  "], None);
    }

    #[test]
    fn a_status_has_the_codes_class() {
        check(b"250 2.1.5 ok\r\n250 4.1.5 ok\r\n", &["250 2.1.5 ok", "250 4.1.5 ok"], None);
        for (line, status) in [
            ("550 5.7.509 x\r\n", Some(EnhancedStatus(5, 7, 509))),
            ("550 5.1.1\r\n", Some(EnhancedStatus(5, 1, 1))),
            ("550 4.1.1 x\r\n", None),
            ("550 5.1.1.1 x\r\n", None),
            ("550 5.1 x\r\n", None),
            ("550 5.1111.1 x\r\n", None),
            ("550 5..1 x\r\n", None),
            ("550 5.1.1x\r\n", None),
        ] {
            let mut parser = ReplyParser::new(BOUNDS);
            assert_eq!(parser.next(&mut BytesMut::from(line), |_| {}), Ok(Some(550)));
            assert_eq!(parser.reply().status(), status, "{line}");
        }
    }

    #[test]
    fn what_is_not_a_reply_is_told() {
        use ReplyError::{LineTooLong, Malformed, TooLong};
        for input in
            ["HTTP/1.1 400 Bad\r\n", "* OK IMAP\r\n", "+OK POP3\r\n", "\r\n", "25\r\n", "2500 x\r\n", "250_x\r\n"]
        {
            check(input.as_bytes(), &[], Some(Malformed));
        }
        check(b"150 x\r\n", &[], Some(Malformed));
        check(b"650 x\r\n", &[], Some(Malformed));
        check(b"220 a\r\n250-b\r\n550 c\r\n", &["220 a"], Some(Malformed));
        check(&[b'2'; 100], &[], Some(LineTooLong));
        check(&b"250-0123456789\r\n".repeat(10), &[], Some(TooLong));
    }

    #[test]
    fn a_long_text_is_cut() {
        check(
            b"250-0123456789\r\n250-0123456789\r\n250 0123456789\r\n",
            &["250 0123456789 / 0123456789 / 0123…"],
            None,
        );
        assert_eq!(replies(b"250 \xc3\xbc0123456789012345678901234567\xc3\xbc\r\n", 1).0.len(), 1);
    }

    #[test]
    fn a_line_of_just_the_bound_is_taken() {
        let mut line = vec![b'x'; BOUNDS.line];
        line[..4].copy_from_slice(b"250 ");
        line[BOUNDS.line - 2..].copy_from_slice(b"\r\n");
        assert_eq!(replies(&line, 1).1, None);
        line.insert(5, b'x');
        assert_eq!(replies(&line, line.len()).1, Some(ReplyError::LineTooLong));
    }
}
