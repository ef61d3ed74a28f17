//! What is sent: messages like real ones, or one of the user's own.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;

use crate::failure::Failure;

/// Octets of a user's message at most: what the servers take, with room for what they add.
const LARGEST: u64 = 49 << 20;
/// Octets of a line at most, without its end (RFC 5322 §2.1.1).
const LINE: usize = 998;

/// A message, lines ended by CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message(Bytes);

/// The messages of the steps.
pub(super) struct Mail {
    /// From alice to bob.
    pub(super) neighbour: Message,
    /// From alice to carol.
    pub(super) elsewhere: Message,
    /// From alice to carol, whose server is down.
    pub(super) waiting: Message,
    /// From alice to nobody.
    pub(super) nobody: Message,
}

impl Mail {
    /// Those that come with the program.
    pub(super) fn built_in() -> Self {
        // Whoever checked the sources out may have another idea of the end of a line.
        let message = |file: &[u8]| Message(crlf(file).into());
        Self {
            neighbour: message(include_bytes!("mail/neighbour.eml")),
            elsewhere: message(include_bytes!("mail/elsewhere.eml")),
            waiting: message(include_bytes!("mail/waiting.eml")),
            nobody: message(include_bytes!("mail/nobody.eml")),
        }
    }

    /// The same one in all steps.
    pub(super) fn all(message: &Message) -> Self {
        let message = || message.clone();
        Self { neighbour: message(), elsewhere: message(), waiting: message(), nobody: message() }
    }
}

impl Message {
    /// Reads a file: lines may end with LF.
    ///
    /// # Errors
    /// When it cannot be read, or is no message.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let cannot = |error| Failure::new(format!("cannot read {}: {error}", path.display()));
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(cannot)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
        Self::parse(&bytes).map_err(|why| Failure::new(format!("{} cannot be sent: {why}", path.display())))
    }

    /// A message of these bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("it is empty; a message begins with a header, like \"Subject: Hello\"".to_owned());
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            return Err("it begins with a byte order mark: save it without".to_owned());
        }
        if bytes.starts_with(b"From ") {
            return Err("it is an mbox: its first line, \"From …\", is no part of the message; remove it".to_owned());
        }
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.contains(&b'\r') {
                return Err(format!("line {number} has a CR that ends no line: mail may not hold one"));
            }
            if line.contains(&0) {
                return Err(format!("line {number} has a NUL: mail may not hold one; attach binary files as base64"));
            }
            if line.len() > LINE {
                let length = line.len();
                return Err(format!("line {number} has {length} octets: mail may have {LINE} at most (RFC 5322)"));
            }
        }
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let name = first.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.iter().all(|byte| (b'!'..=b'~').contains(byte));
        if !is_name || name.len() == first.len() {
            return Err(
                "its first line is no header field, like \"Subject: Hello\"; an empty line ends the header".to_owned()
            );
        }
        let bytes = crlf(bytes);
        if bytes.len() as u64 > LARGEST {
            return Err(format!("it is larger than {} MB", LARGEST >> 20));
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// It has octets beyond ASCII.
    pub(super) fn is_eight_bit(&self) -> bool {
        !self.0.is_ascii()
    }

    /// Its header has: SMTPUTF8 is about headers.
    pub(super) fn needs_smtputf8(&self) -> bool {
        !self.header().is_ascii() && std::str::from_utf8(self.header()).is_ok()
    }

    /// Its header, without the empty line.
    pub(super) fn header(&self) -> &[u8] {
        let end = self.0.windows(4).position(|window| window == b"\r\n\r\n").map_or(self.0.len(), |at| at + 2);
        &self.0[..end]
    }
}

/// Every line ended by CRLF, the last one too.
fn crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 32 + 2);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_messages_are_like_real_ones() {
        let Mail { neighbour, elsewhere, waiting, nobody } = Mail::built_in();
        for message in [&neighbour, &elsewhere, &waiting, &nobody] {
            assert_eq!(Message::parse(message.bytes()).as_ref(), Ok(message), "it stays as it is");
            assert!(message.header().windows(9).any(|bytes| bytes == b"\nSubject:"));
        }
        let text = |message: &Message| String::from_utf8(message.bytes().to_vec()).unwrap();
        assert!(neighbour.needs_smtputf8() && neighbour.is_eight_bit());
        assert!(text(&neighbour).contains("\r\n."), "a line begins with a dot");
        assert!(text(&elsewhere).contains("Content-Disposition: attachment"));
        assert!(text(&waiting).contains("multipart/alternative"));
    }

    #[test]
    fn lines_end_with_crlf() {
        assert_eq!(crlf(b"a\nb\r\n\nc"), b"a\r\nb\r\n\r\nc\r\n");
        assert_eq!(Message::parse(b"A: b\n\nc").unwrap().bytes(), &b"A: b\r\n\r\nc\r\n"[..]);
    }

    #[test]
    fn what_cannot_be_sent_is_said_why() {
        for (bytes, why) in [
            (&b""[..], "it is empty"),
            (b"Hello Bob\n\nBye\n", "no header field"),
            (b"\nBye\n", "no header field"),
            (b"\xef\xbb\xbfA: b\n\nx\n", "byte order mark"),
            (b"From alice Mon Jan\nA: b\n\nx\n", "an mbox"),
            (b"A: b\n\nx\0y", "line 3 has a NUL"),
            (b"A: b\n\nx\ry\n", "line 3 has a CR"),
            (&[b"A: b\n\n".as_slice(), &[b'x'; 999]].concat(), "line 3 has 999 octets"),
        ] {
            let said = Message::parse(bytes).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        assert!(Message::parse(&[b"A: b\n\n".as_slice(), &[b'x'; 998]].concat()).is_ok());
    }
}
