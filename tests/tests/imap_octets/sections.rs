//! Every section of a message, against what its author knows of it: random trees of parts are written, and each section
//! is noted while it is.

use std::fmt::Write as _;

use pillarbox_core::message::StructureParser;
use proptest::prelude::*;

use crate::host::{Host, Message};

/// A message or a part.
struct Entity {
    /// Names and whole fields.
    fields: Vec<(String, String)>,
    body: Body,
}

enum Body {
    /// As it stands there, and as it was before it was encoded.
    Leaf(Vec<u8>, Vec<u8>),
    Message(Box<Entity>),
    Parts {
        boundary: String,
        preamble: Vec<u8>,
        parts: Vec<Entity>,
        /// What stands behind the last delimiter; that one may be missing.
        epilogue: Option<Vec<u8>>,
    },
}

impl Entity {
    fn header(&self) -> Vec<u8> {
        let mut header: String = self.fields.iter().map(|(_, field)| field.as_str()).collect();
        header.push_str("\r\n");
        header.into()
    }

    fn body(&self) -> Vec<u8> {
        match &self.body {
            Body::Leaf(body, _) => body.clone(),
            Body::Message(message) => message.whole(),
            Body::Parts { boundary, preamble, parts, epilogue } => {
                let mut body = preamble.clone();
                for (n, part) in parts.iter().enumerate() {
                    let end = if n > 0 || !preamble.is_empty() { "\r\n" } else { "" };
                    body.extend_from_slice(format!("{end}--{boundary}\r\n").as_bytes());
                    body.extend_from_slice(&part.whole());
                }
                if let Some(epilogue) = epilogue {
                    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
                    body.extend_from_slice(epilogue);
                }
                body
            }
        }
    }

    fn whole(&self) -> Vec<u8> {
        [self.header(), self.body()].concat()
    }

    /// The fields of these names, or the others.
    fn chosen(&self, names: &[&str], are_listed: bool) -> Vec<u8> {
        let is_listed = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let chosen = self.fields.iter().filter(|(name, _)| is_listed(name) == are_listed);
        let mut chosen: String = chosen.map(|(_, field)| field.as_str()).collect();
        chosen.push_str("\r\n");
        chosen.into()
    }
}

/// What is asked for, and what it is.
type Notes = Vec<(String, Option<Vec<u8>>)>;

/// The sections of a message; `path` stands before their names, with a dot if it is not empty.
fn note_message(message: &Entity, path: &str, notes: &mut Notes) {
    let mut note = |name: &str, octets| notes.push((format!("BODY[{path}{name}]"), Some(octets)));
    note("HEADER", message.header());
    note("TEXT", message.body());
    note("HEADER.FIELDS (subject X-Fold nothing)", message.chosen(&["Subject", "x-fold"], true));
    note("HEADER.FIELDS.NOT (Content-Type TO)", message.chosen(&["to", "content-type"], false));
    match &message.body {
        Body::Parts { .. } => note_parts(message, path, notes),
        _ => note_part(message, &format!("{path}1"), notes),
    }
}

fn note_parts(entity: &Entity, path: &str, notes: &mut Notes) {
    let Body::Parts { parts, .. } = &entity.body else { return };
    for (n, part) in (1..).zip(parts) {
        note_part(part, &format!("{path}{n}"), notes);
    }
    let beyond = parts.len() + 1;
    notes.push((format!("BODY[{path}{beyond}]"), None));
    notes.push((format!("BINARY[{path}{beyond}]"), None));
}

fn note_part(part: &Entity, path: &str, notes: &mut Notes) {
    notes.push((format!("BODY[{path}]"), Some(part.body())));
    notes.push((format!("BODY[{path}.MIME]"), Some(part.header())));
    match &part.body {
        Body::Leaf(_, decoded) => {
            notes.push((format!("BINARY[{path}]"), Some(decoded.clone())));
            notes.push((format!("BODY[{path}.HEADER]"), None));
            notes.push((format!("BODY[{path}.2]"), None));
        }
        Body::Message(message) => {
            notes.push((format!("BINARY[{path}]"), Some(part.body())));
            note_message(message, &format!("{path}."), notes);
        }
        Body::Parts { .. } => {
            notes.push((format!("BINARY[{path}]"), Some(part.body())));
            note_parts(part, &format!("{path}."), notes);
        }
    }
}

/// Random, and the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn octets(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }

    /// Lines that are no delimiters.
    fn text(&mut self) -> Vec<u8> {
        const LINES: [&str; 7] = ["", "Hello", "--", " --x", "a: b", "----", "caf\u{e9} ="];
        let lines: Vec<_> = (0..self.below(6)).map(|_| LINES[self.below(7) as usize]).collect();
        lines.join("\r\n").into()
    }

    fn entity(&mut self, depth: u64, is_message: bool) -> Entity {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: &str| fields.push((name.to_owned(), format!("{name}: {value}\r\n")));
        if is_message || self.below(4) == 0 {
            field("Subject", &format!("message {}", self.below(100)));
            field("To", "alice@example.org");
            field("X-Fold", "a\r\n b\r\n\tsubject: c");
            if self.below(9) == 0 {
                field("X-Long", &"y".repeat(9_000));
            }
        }
        let kind = if depth == 0 { 0 } else { self.below(4) };
        let body = match kind {
            1 | 2 => {
                let boundary = format!("b{}", self.below(1_000_000_000));
                let subtype = ["mixed", "alternative", "digest"][self.below(3) as usize];
                field("Content-Type", &format!("multipart/{subtype};\r\n boundary=\"{boundary}\""));
                let preamble = if self.below(2) == 0 { Vec::new() } else { self.text() };
                let parts = (0..=self.below(4)).map(|_| self.part(depth - 1, subtype)).collect();
                let epilogue = (self.below(5) > 0).then(|| self.text());
                Body::Parts { boundary, preamble, parts, epilogue }
            }
            3 => {
                field("Content-type", ["message/rfc822", "MESSAGE/Global"][self.below(2) as usize]);
                Body::Message(Box::new(self.entity(depth - 1, true)))
            }
            _ => self.leaf(&mut field),
        };
        Entity { fields, body }
    }

    /// A part of a multipart. In a digest, what says nothing is a message.
    fn part(&mut self, depth: u64, subtype: &str) -> Entity {
        if subtype != "digest" || self.below(2) == 0 {
            return self.entity(depth, false);
        }
        Entity { fields: Vec::new(), body: Body::Message(Box::new(self.entity(depth, true))) }
    }

    fn leaf(&mut self, field: &mut impl FnMut(&str, &str)) -> Body {
        if self.below(3) > 0 {
            // It says what it is, so that it is no message in a digest.
            field("Content-Type", "text/plain; charset=utf-8");
            let text = self.text();
            return match self.below(3) {
                0 => Body::Leaf(text.clone(), text),
                1 => {
                    field("Content-Transfer-Encoding", "Quoted-Printable");
                    Body::Leaf(quoted(&text), text)
                }
                _ => {
                    field("Content-Transfer-Encoding", "base64");
                    // The text was written elsewhere.
                    let text = String::from_utf8(text).unwrap();
                    Body::Leaf(base64(text.replace("\r\n", "\n").as_bytes()), text.into())
                }
            };
        }
        field("Content-Type", "application/octet-stream");
        field("Content-Transfer-Encoding", "BASE64");
        let octets = self.octets(300);
        Body::Leaf(base64(&octets), octets)
    }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = String::new();
    for octet in text {
        match octet {
            b'\r' | b'\n' | b'!'..=b'<' | b'>'..=b'~' => quoted.push(char::from(*octet)),
            _ => write!(quoted, "={octet:02X}=\r\n").unwrap(),
        }
    }
    quoted.into()
}

fn base64(octets: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = Vec::new();
    for (n, three) in octets.chunks(3).enumerate() {
        if n % 19 == 18 {
            encoded.extend_from_slice(b"\r\n");
        }
        let bits = three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        let digit = |at: usize| if at <= three.len() { DIGITS[(bits >> (18 - 6 * at)) as usize & 63] } else { b'=' };
        encoded.extend((0..4).map(digit));
    }
    encoded
}

/// What is told under a name, in each of the responses that are heard.
fn told(heard: &[u8], name: &str) -> Vec<Option<Vec<u8>>> {
    let (mut rest, mut told) = (heard, Vec::new());
    while let Some(behind) = rest.strip_prefix(b"* ") {
        let begins = format!(" FETCH ({name} ");
        let digits = behind.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let value = behind[digits..].strip_prefix(begins.as_bytes()).expect("the item that was asked for");
        if let Some(behind) = value.strip_prefix(b"NIL)\r\n") {
            told.push(None);
            rest = behind;
            continue;
        }
        let is_binary = value.starts_with(b"~");
        let value = value.strip_prefix(b"~").unwrap_or(value).strip_prefix(b"{").expect("a literal");
        let end = memchr::memchr(b'}', value).unwrap();
        let len: usize = std::str::from_utf8(&value[..end]).unwrap().parse().unwrap();
        let octets = &value[end + 3..][..len];
        assert_eq!(is_binary, octets.contains(&0), "{name}");
        told.push(Some(octets.to_vec()));
        rest = value[end + 3 + len..].strip_prefix(b")\r\n").expect("the end of the response");
    }
    if rest.starts_with(b"a NO [UNKNOWN-CTE] ") {
        told.push(Some(b"UNKNOWN-CTE".to_vec()));
    } else {
        assert_eq!(rest, b"a OK FETCH completed\r\n", "{}", rest.escape_ascii());
    }
    assert!(!told.is_empty());
    told
}

fn mailbox(octets: Vec<u8>, random: &mut Random) -> Host<Message> {
    let mut parser = StructureParser::new();
    parser.feed(&octets);
    let stored = parser.finish().encode();
    let structure = if random.below(2) == 0 { stored } else { bytes::Bytes::new() };
    let chunk = [50, 300, 65536][random.below(3) as usize];
    Host::with_chunks(Message { octets: octets.into(), structure, count: 1 + random.below(2) as u32 }, chunk)
}

fn ask(host: &mut Host<Message>, item: &str, partial: &str) -> Vec<Option<Vec<u8>>> {
    let peek = item.replacen('[', ".PEEK[", 1);
    let name = format!("{item}{}", partial.split('.').next().unwrap_or_default());
    let name = if partial.is_empty() { name } else { format!("{name}>") };
    let heard = host.hear(&format!("a FETCH 1:* {peek}{partial}\r\n"));
    told(&heard, &name)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_section_is_what_it_was_written_as(seed in any::<u64>()) {
        let mut random = Random(seed);
        let message = random.entity(4, true);
        let mut notes = vec![("BODY[]".to_owned(), Some(message.whole())), ("BINARY[]".to_owned(), Some(message.whole()))];
        note_message(&message, "", &mut notes);
        let mut host = mailbox(message.whole(), &mut random);
        for (item, expected) in notes {
            for told in ask(&mut host, &item, "") {
                prop_assert_eq!(&told, &expected, "{}", item);
            }
            let Some(expected) = expected else { continue };
            let (offset, length) = (random.below(expected.len() as u64 + 3), 1 + random.below(expected.len() as u64 + 3));
            let from = expected.len().min(offset as usize);
            let part = expected[from..expected.len().min(from + length as usize)].to_vec();
            for told in ask(&mut host, &item, &format!("<{offset}.{length}>")) {
                prop_assert_eq!(told.as_ref(), Some(&part), "{}<{}.{}>", item, offset, length);
            }
            if let Some(path) = item.strip_prefix("BINARY") {
                // Piece by piece, and now and then one is asked for once more, or passed over.
                let (step, mut from) = (1 + random.below(60) as usize, 0);
                for _ in 0..9 {
                    if from >= expected.len() {
                        break;
                    }
                    let piece = &expected[from..expected.len().min(from + step)];
                    for told in ask(&mut host, &item, &format!("<{from}.{step}>")) {
                        prop_assert_eq!(told.as_deref(), Some(piece), "{}<{}.{}>", item, from, step);
                    }
                    from = (from + [step, step, step, 2 * step, 0][random.below(5) as usize]).max(1);
                }
                let said = String::from_utf8(host.hear(&format!("a FETCH 1 BINARY.SIZE{path}\r\n"))).unwrap();
                let size = format!("* 1 FETCH (BINARY.SIZE{path} {})\r\na OK FETCH completed\r\n", expected.len());
                prop_assert_eq!(said, size);
            }
        }
    }

    /// Whatever the message is: it is told the same, whether its structure was stored or not, and however it is read.
    #[test]
    fn garbage_is_told_alike(seed in any::<u64>()) {
        let mut random = Random(seed);
        let mut message = random.entity(4, true).whole();
        for _ in 0..random.below(20) {
            let at = random.below(message.len() as u64) as usize;
            let odd = [&b"\n"[..], b"\r", b"\r\n", b"\r\n\r\n", b"", b":", b"--b", b"\xff", b"="][random.below(9) as usize];
            let end = (at + random.below(3) as usize).min(message.len());
            message.splice(at..end, odd.iter().copied());
            if message.is_empty() {
                message.push(b'x');
            }
        }
        let (mut one, mut other) = (mailbox(message.clone(), &mut random), mailbox(message.clone(), &mut random));
        for item in [
            "BODY[]", "BODY[HEADER]", "BODY[TEXT]", "BODY[HEADER.FIELDS (Subject)]", "BODY[1]", "BODY[1.MIME]", "BINARY[1]",
            "BODY[2.HEADER]", "BODY[1.HEADER.FIELDS.NOT (To)]", "BODY[1.2]", "BINARY[2]", "BODY[1.1.TEXT]",
        ] {
            let (mut told, more) = (ask(&mut one, item, ""), ask(&mut other, item, ""));
            told.extend(more);
            prop_assert!(told.windows(2).all(|two| two[0] == two[1]), "{}: {}", item, message.escape_ascii());
            if item == "BODY[]" {
                prop_assert_eq!(told[0].as_ref(), Some(&message));
            }
        }
    }
}
