//! Messages as we read them, and as `mail-parser` does.

use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use pillarbox_core::imap::types::{self, BodyKind, BodyPart};
use pillarbox_core::message::{Place, Structure, StructureParser, TextReader, Told, fold};

/// Why nothing could be said of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Differs {
    /// `mail-parser` gives up: its debug build has an assertion that some multiparts within messages within multiparts do
    /// not meet.
    GivesUp,
    /// We read something else than it does; or it finds no message at all.
    Otherwise(String),
}

/// Subjects, names of files and texts are the same to both.
///
/// # Errors
/// They are not.
pub fn the_same_texts(message: &[u8]) -> Result<(), Differs> {
    let mut expected = Vec::new();
    their_texts(&theirs(message)?, &mut expected);
    let expected: Vec<String> = expected.iter().map(|text| fold(text).trim().to_owned()).collect();
    let ours: Vec<String> = our_texts(message).iter().map(|text| text.trim().to_owned()).collect();
    same(&ours, &expected)
}

/// Parts, where they lie, and addresses are the same to both.
///
/// # Errors
/// They are not.
pub fn the_same_structure(message: &[u8]) -> Result<(), Differs> {
    let mut expected = String::new();
    their_structure(&theirs(message)?, &mut expected);
    let mut parser = StructureParser::new();
    parser.feed(message);
    same(&our_structure(&parser.finish()), &expected)
}

/// It is a multipart/report to somebody, of three parts (RFC 6522).
///
/// # Errors
/// It is not.
pub fn is_report(message: &[u8]) -> Result<(), Differs> {
    let theirs = theirs(message)?;
    let kind = theirs.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
    let to = theirs.to().and_then(Address::first).and_then(|to| to.address()).unwrap_or_default();
    let parts = theirs.parts[0].sub_parts().map_or(0, <[_]>::len);
    same(&(kind.as_deref(), to.is_empty(), parts), &(Some("multipart/report"), false, 3))
}

fn same<T: PartialEq + std::fmt::Debug>(ours: &T, theirs: &T) -> Result<(), Differs> {
    if ours == theirs { Ok(()) } else { Err(Differs::Otherwise(format!("ours: {ours:#?}\ntheirs: {theirs:#?}"))) }
}

fn theirs(message: &[u8]) -> Result<Message<'_>, Differs> {
    let parsed = std::panic::catch_unwind(|| MessageParser::default().parse(message));
    let parsed = parsed.map_err(|_| Differs::GivesUp)?;
    parsed.ok_or_else(|| Differs::Otherwise("no message to mail-parser".into()))
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
