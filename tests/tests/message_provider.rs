//! Messages that are well made, read by us and by `mail-parser`: the same texts, the same structure.

use std::fmt::Write as _;

use encoding_rs::Encoding;
use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use pillarbox_core::imap::types::{self, BodyKind, BodyPart};
use pillarbox_core::message::{Place, Structure, StructureParser, TextReader, Told, fold};
use proptest::prelude::*;

/// A part to be made.
#[derive(Clone, Debug)]
enum Part {
    Text { subtype: &'static str, charset: &'static str, encoding: Transfer, text: String },
    File { name: String, octets: Vec<u8> },
    Message(Box<Header>, Box<Part>),
    Multipart(Vec<Part>),
}

#[derive(Clone, Copy, Debug)]
enum Transfer {
    None,
    Base64,
    QuotedPrintable,
}

#[derive(Clone, Debug)]
struct Header {
    subject: Vec<Words>,
    from: (String, String),
    to: Vec<(String, String)>,
}

/// A piece of a subject.
#[derive(Clone, Debug)]
enum Words {
    Plain(String),
    Encoded(&'static str, bool, String),
}

const SINGLE: [&str; 5] = ["utf-8", "iso-8859-1", "iso-8859-15", "windows-1251", "koi8-r"];
const ALL: [&str; 10] = [
    "utf-8",
    "iso-8859-1",
    "iso-8859-15",
    "windows-1251",
    "koi8-r",
    "shift_jis",
    "gb18030",
    "big5",
    "euc-kr",
    "euc-jp",
];

/// The text in that charset; what is not in it becomes a question mark.
fn encoded(charset: &str, text: &str) -> Vec<u8> {
    let encoding = Encoding::for_label(charset.as_bytes()).expect("the test names charsets that there are");
    let mut out = Vec::new();
    for letter in text.chars() {
        let letter = letter.to_string();
        let (octets, _, broken) = encoding.encode(&letter);
        // `mail-parser` reads ISO-8859-1 as it is, and everybody else as windows-1252.
        let is_control = charset == "iso-8859-1" && octets.iter().any(|octet| (0x80..0xa0).contains(octet));
        if broken || is_control { out.push(b'?') } else { out.extend_from_slice(&octets) }
    }
    out
}

fn base64(octets: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in octets.chunks(3) {
        let bits = group.iter().chain([&0, &0]).take(3).fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet));
        for n in 0..4 {
            let sign = if n <= group.len() { char::from(SIGNS[(bits >> (18 - 6 * n) & 63) as usize]) } else { '=' };
            out.push(sign);
        }
    }
    out
}

fn escaped(octets: &[u8], plain: &str) -> String {
    let one = |octet: &u8| match char::from(*octet) {
        letter if letter.is_ascii_alphanumeric() || plain.contains(letter) => letter.into(),
        _ => format!("={octet:02X}"),
    };
    octets.iter().map(one).collect()
}

impl Header {
    fn write(&self, out: &mut Vec<u8>) {
        let mut subject = String::new();
        for words in &self.subject {
            subject += "\r\n ";
            match words {
                Words::Plain(text) => subject += text,
                Words::Encoded(charset, true, text) => {
                    let _ = write!(subject, "=?{charset}?B?{}?=", base64(&encoded(charset, text)));
                }
                Words::Encoded(charset, false, text) => {
                    let _ = write!(
                        subject,
                        "=?{charset}?q?{}?=",
                        escaped(&encoded(charset, text), "_").replace("=20", "_")
                    );
                }
            }
        }
        let address = |(name, local): &(String, String)| {
            if name.is_empty() { format!("{local}@example.org") } else { format!("\"{name}\" <{local}@example.org>") }
        };
        let to: Vec<String> = self.to.iter().map(address).collect();
        out.extend(
            format!("From: {}\r\nTo: {}\r\nSubject:{subject}\r\n", address(&self.from), to.join(",\r\n\t")).bytes(),
        );
    }
}

impl Part {
    /// The MIME fields, an empty line, and the body.
    fn write(&self, out: &mut Vec<u8>, depth: usize) {
        match self {
            Self::Text { subtype, charset, encoding, text } => {
                let octets = encoded(charset, text);
                let (name, body) = match encoding {
                    Transfer::None => ("8bit", octets),
                    Transfer::Base64 => {
                        let lines: Vec<String> = base64(&octets)
                            .as_bytes()
                            .chunks(76)
                            .map(|line| String::from_utf8_lossy(line).into())
                            .collect();
                        ("base64", (lines.join("\r\n") + "\r\n").into_bytes())
                    }
                    Transfer::QuotedPrintable => {
                        let lines: Vec<String> = octets.chunks(20).map(|line| escaped(line, "., ")).collect();
                        ("quoted-printable", (lines.join("=\r\n")).into_bytes())
                    }
                };
                let fields = format!(
                    "Content-Type: text/{subtype}; charset=\"{charset}\"\r\nContent-Transfer-Encoding: {name}\r\n\r\n"
                );
                out.extend(fields.bytes().chain(body));
            }
            Self::File { name, octets } => {
                let name = escaped(name.as_bytes(), ".").replace('=', "%");
                let fields = format!(
                    "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
                     Content-Disposition: attachment;\r\n\tfilename*=utf-8''{name}\r\n\r\n{}\r\n",
                    base64(octets)
                );
                out.extend(fields.bytes());
            }
            Self::Message(header, part) => {
                out.extend(b"Content-Type: message/rfc822\r\n\r\n");
                header.write(out);
                part.write(out, depth + 1);
            }
            Self::Multipart(parts) => {
                out.extend(format!("Content-Type: multipart/mixed; boundary=\"=_{depth}_\"\r\n\r\n").bytes());
                for part in parts {
                    out.extend(format!("\r\n--=_{depth}_\r\n").bytes());
                    part.write(out, depth + 1);
                }
                out.extend(format!("\r\n--=_{depth}_--\r\n").bytes());
            }
        }
    }
}

fn letters() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z,. ]{1,60}",
        2 => "[a-z \u{e0}-\u{ff}\u{20ac}]{1,40}",
        2 => "[\u{410}-\u{44f} ]{1,40}",
        1 => "[\u{3042}-\u{3090}\u{4e00}-\u{4e20}\u{ac00}-\u{ac10}]{1,30}",
    ]
}

fn header() -> impl Strategy<Value = Header> {
    let words = prop_oneof![
        "[a-zA-Z][a-zA-Z ]{0,20}[a-zA-Z]".prop_map(Words::Plain),
        (proptest::sample::select(&SINGLE[..]), any::<bool>(), letters())
            .prop_map(|(charset, base64, text)| Words::Encoded(charset, base64, format!("x{}y", text.trim()))),
    ];
    let address = || ("([A-Z][a-z]{1,5} [A-Z][a-z]{1,5})?", "[a-z]{1,8}");
    (proptest::collection::vec(words, 1..4), address(), proptest::collection::vec(address(), 1..4))
        .prop_map(|(subject, from, to)| Header { subject, from, to })
}

fn part() -> impl Strategy<Value = Part> {
    let encoding = prop_oneof![Just(Transfer::None), Just(Transfer::Base64), Just(Transfer::QuotedPrintable)];
    let text =
        (proptest::sample::select(&["plain", "html"][..]), proptest::sample::select(&ALL[..]), encoding, letters())
            .prop_map(|(subtype, charset, encoding, text)| Part::Text { subtype, charset, encoding, text });
    let file = ("[a-z\u{e0}-\u{ff}\u{430}-\u{44f}]{1,20}", proptest::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(name, octets)| Part::File { name: name + ".bin", octets });
    let leaf = prop_oneof![3 => text, 1 => file];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (header(), inner.clone()).prop_map(|(header, part)| Part::Message(Box::new(header), Box::new(part))),
            proptest::collection::vec(inner, 1..4).prop_map(Part::Multipart),
        ]
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    (header(), part()).prop_map(|(header, part)| {
        let mut out = b"MIME-Version: 1.0\r\n".to_vec();
        header.write(&mut out);
        part.write(&mut out, 0);
        out
    })
}

/// What theirs says: subjects, names of files and texts, in the order of the message.
fn their_texts(message: &Message<'_>, out: &mut Vec<String>) {
    out.push(format!("subject: {}", message.subject().unwrap_or_default()));
    for part in &message.parts {
        if let Some(name) = part.attachment_name() {
            out.push(format!("filename={name}"));
        }
        match &part.body {
            PartType::Text(text) | PartType::Html(text) => out.push(text.to_string()),
            PartType::Message(message) => their_texts(message, out),
            PartType::Binary(_) | PartType::InlineBinary(_) | PartType::Multipart(_) => {}
        }
    }
}

/// The same, by us.
fn our_texts(message: &[u8]) -> Vec<String> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut reader = TextReader::new();
    let mut tell = |told: Told<'_>| match told {
        Told::Begin(Place::Header { name } | Place::Part { name }) => all.push((name.into(), String::new())),
        Told::Begin(Place::Body) => all.push((String::new(), String::new())),
        Told::Text(text) => all.last_mut().expect("a text begins before it is told").1 += text,
    };
    reader.feed(message, &mut tell);
    reader.finish(&mut tell);
    let wanted = all.into_iter().filter_map(|(name, text)| match name.as_str() {
        "" | "subject" => Some(text),
        "content-disposition" => text.rsplit_once("; ").map(|(_, name)| name.to_owned()),
        _ => None,
    });
    wanted.collect()
}

/// A line a part: its type, and where its body lies; of a message also its envelope. Where a multipart ends, and a
/// message that is one, is another matter: they leave its epilogue out.
fn their_structure(message: &Message<'_>, out: &mut String) {
    let addresses = |list: Option<&Address<'_>>| {
        let one = |address: &mail_parser::Addr<'_>| format!("{:?} {:?}", address.name(), address.address());
        let list = list.and_then(Address::as_list).unwrap_or_default();
        list.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    *out += &format!("from {} to {}\n", addresses(message.from()), addresses(message.to()));
    for part in &message.parts {
        let kind = part
            .content_type()
            .map_or("text/plain".into(), |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
        let MessagePart { offset_body, offset_end, .. } = part;
        match &part.body {
            PartType::Message(message) => {
                *out += &format!("{kind} {offset_body}\n");
                their_structure(message, out);
            }
            PartType::Multipart(_) => *out += &format!("{kind} {offset_body}\n"),
            _ => *out += &format!("{kind} {offset_body}..{offset_end}\n"),
        }
    }
}

fn our_structure(structure: &Structure) -> String {
    let mut lines = envelope(&structure.envelope()) + "\n";
    let mut open = vec![structure.body()];
    let mut parts = structure.parts();
    while let Some(BodyPart { kind, subtype, octets, .. }) = open.pop() {
        let part = parts.next().expect("a part for each body");
        assert_eq!(octets, part.end - part.body);
        let subtype = String::from_utf8_lossy(&subtype).into_owned();
        match kind {
            BodyKind::Multipart(parts) => {
                lines += &format!("multipart/{subtype} {}\n", part.body);
                open.extend(parts.into_iter().rev());
            }
            BodyKind::Message { envelope: inner, body, .. } => {
                lines += &format!("message/{subtype} {}\n{}\n", part.body, envelope(&inner));
                open.push(*body);
            }
            BodyKind::Text { .. } => lines += &format!("text/{subtype} {}..{}\n", part.body, part.end),
            BodyKind::Basic(name) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                lines += &format!("{name}/{subtype} {}..{}\n", part.body, part.end);
            }
        }
    }
    lines
}

fn envelope(envelope: &types::Envelope) -> String {
    let text = |text: &Option<bytes::Bytes>| text.as_ref().map(|text| String::from_utf8_lossy(text).into_owned());
    let one = |address: &types::Address| {
        let mailbox =
            format!("{}@{}", text(&address.mailbox).unwrap_or_default(), text(&address.host).unwrap_or_default());
        format!("{:?} {:?}", text(&address.name), Some(mailbox))
    };
    let all = |list: &[types::Address]| list.iter().map(one).collect::<Vec<_>>().join(", ");
    format!("from {} to {}", all(&envelope.from), all(&envelope.to))
}

/// What theirs makes of it. Its debug build has an assertion that some multiparts within messages within multiparts do
/// not meet: those cases are passed over.
fn theirs(message: &[u8]) -> Result<Message<'_>, TestCaseError> {
    let parsed = std::panic::catch_unwind(|| MessageParser::default().parse(message));
    let parsed = parsed.map_err(|_| TestCaseError::reject("mail-parser gives up"))?;
    parsed.ok_or_else(|| TestCaseError::fail("no message to mail-parser"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_same_texts(message in message()) {
        let mut expected = Vec::new();
        their_texts(&theirs(&message)?, &mut expected);
        let expected: Vec<String> = expected.iter().map(|text| fold(text).trim().to_owned()).collect();
        let ours: Vec<String> = our_texts(&message).iter().map(|text| text.trim().to_owned()).collect();
        prop_assert_eq!(ours, expected, "{}", String::from_utf8_lossy(&message));
    }

    #[test]
    fn the_same_structure(message in message()) {
        let mut expected = String::new();
        their_structure(&theirs(&message)?, &mut expected);
        let mut parser = StructureParser::new();
        parser.feed(&message);
        let ours = our_structure(&parser.finish());
        prop_assert_eq!(ours, expected, "{}", String::from_utf8_lossy(&message));
    }
}
