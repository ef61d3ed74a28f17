//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).
//!
//! Parts nest as deep as a sender likes, so what is open stands in a stack of our own, and nothing here calls itself.

use alloc::vec::Vec;
use core::slice;

use bytes::Bytes;

use super::envelope::envelope;
use super::string::{Charset, nstring, number, string};
use crate::imap::types::{BodyKind, BodyPart, Parameter};
use crate::outbox::Outbox;

/// Whether extension data is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extended {
    /// `BODY`
    No,
    /// `BODYSTRUCTURE`
    Yes,
}

/// A part that has begun.
enum Open<'a> {
    /// A multipart, and those of its parts that are still to come.
    Multipart(&'a BodyPart, slice::Iter<'a, BodyPart>),
    /// A message, whose structure is being told; and its lines.
    Message(&'a BodyPart, u64),
}

/// `body`
pub(super) fn body(tx: &mut Outbox, root: &BodyPart, extended: Extended, charset: Charset) {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut next = Some(root);
    loop {
        if let Some(part) = next.take() {
            match begin(tx, part, charset) {
                Begun::Open(inner) => open.push(inner),
                Begun::Message(inner, body) => {
                    open.push(inner);
                    next = Some(body);
                    continue;
                }
                Begun::Leaf => end(tx, part, extended, charset),
            }
        }
        match open.last_mut() {
            None => return,
            Some(Open::Multipart(part, parts)) => {
                let part = *part;
                next = parts.next();
                if next.is_some() {
                    continue;
                }
                tx.put(b" ");
                string(tx, &part.subtype, charset);
                end(tx, part, extended, charset);
            }
            Some(Open::Message(part, lines)) => {
                tx.put(b" ");
                number(tx, *lines);
                end(tx, part, extended, charset);
            }
        }
        open.pop();
    }
}

/// How a part has begun.
enum Begun<'a> {
    /// Parts follow.
    Open(Open<'a>),
    /// The structure of a message follows.
    Message(Open<'a>, &'a BodyPart),
    /// Only its end is missing.
    Leaf,
}

/// `(`, and what comes before the parts in it.
fn begin<'a>(tx: &mut Outbox, part: &'a BodyPart, charset: Charset) -> Begun<'a> {
    tx.put(b"(");
    let media_type: &[u8] = match &part.kind {
        BodyKind::Multipart(parts) => {
            if parts.is_empty() {
                // The grammar has no multipart without parts; one without any text says the same.
                tx.put(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)");
            }
            return Begun::Open(Open::Multipart(part, parts.iter()));
        }
        BodyKind::Message { .. } => b"MESSAGE",
        BodyKind::Text { .. } => b"TEXT",
        BodyKind::Basic(media_type) => media_type,
    };
    string(tx, media_type, charset);
    tx.put(b" ");
    string(tx, &part.subtype, charset);
    tx.put(b" ");
    parameters(tx, &part.parameters, charset);
    for field in [&part.id, &part.description] {
        tx.put(b" ");
        nstring(tx, field.as_deref(), charset);
    }
    tx.put(b" ");
    string(tx, &part.encoding, charset);
    tx.put(b" ");
    number(tx, part.octets);
    match &part.kind {
        BodyKind::Message { envelope: inner, body, lines } => {
            tx.put(b" ");
            envelope(tx, inner, charset);
            tx.put(b" ");
            return Begun::Message(Open::Message(part, *lines), body);
        }
        BodyKind::Text { lines } => {
            tx.put(b" ");
            number(tx, *lines);
        }
        BodyKind::Multipart(_) | BodyKind::Basic(_) => {}
    }
    Begun::Leaf
}

/// The extension data, if wanted, and `)`.
fn end(tx: &mut Outbox, part: &BodyPart, extended: Extended, charset: Charset) {
    if extended == Extended::No {
        return tx.put(b")");
    }
    tx.put(b" ");
    match part.kind {
        BodyKind::Multipart(_) => parameters(tx, &part.parameters, charset),
        _ => nstring(tx, part.md5.as_deref(), charset),
    }
    tx.put(b" ");
    match &part.disposition {
        Some((disposition, list)) => {
            tx.put(b"(");
            string(tx, disposition, charset);
            tx.put(b" ");
            parameters(tx, list, charset);
            tx.put(b")");
        }
        None => tx.put(b"NIL"),
    }
    tx.put(b" ");
    language(tx, &part.language, charset);
    tx.put(b" ");
    nstring(tx, part.location.as_deref(), charset);
    tx.put(b")");
}

fn parameters(tx: &mut Outbox, list: &[Parameter], charset: Charset) {
    for (n, (name, value)) in list.iter().enumerate() {
        tx.put(if n == 0 { b"(" } else { b" " });
        string(tx, name, charset);
        tx.put(b" ");
        string(tx, value, charset);
    }
    tx.put(if list.is_empty() { b"NIL" } else { b")" });
}

fn language(tx: &mut Outbox, tags: &[Bytes], charset: Charset) {
    match tags {
        [] => tx.put(b"NIL"),
        [tag] => string(tx, tag, charset),
        tags => {
            for (n, tag) in tags.iter().enumerate() {
                tx.put(if n == 0 { b"(" } else { b" " });
                string(tx, tag, charset);
            }
            tx.put(b")");
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::string::String;
    use alloc::vec;

    use super::super::written;
    use super::*;
    use crate::imap::types::Envelope;

    fn part(kind: BodyKind, subtype: &'static str, octets: u64) -> BodyPart {
        BodyPart {
            kind,
            subtype: Bytes::from_static(subtype.as_bytes()),
            parameters: vec![],
            id: None,
            description: None,
            encoding: Bytes::from_static(b"7BIT"),
            octets,
            md5: None,
            disposition: None,
            language: vec![],
            location: None,
        }
    }

    fn text(octets: u64, lines: u64) -> BodyPart {
        let parameter = (Bytes::from_static(b"CHARSET"), Bytes::from_static(b"US-ASCII"));
        BodyPart { parameters: vec![parameter], ..part(BodyKind::Text { lines }, "PLAIN", octets) }
    }

    fn shown(root: &BodyPart, extended: Extended) -> String {
        String::from_utf8(written(|tx| body(tx, root, extended, Charset::Ascii))).unwrap()
    }

    const PLAIN: &str = r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)"#;

    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(shown(&text(1152, 23), Extended::No), PLAIN);
        let mut second = text(4554, 73);
        second.parameters.push((Bytes::from_static(b"NAME"), Bytes::from_static(b"cc.diff")));
        second.id = Some(Bytes::from_static(b"<960723163407.20117h@cac.washington.edu>"));
        second.description = Some(Bytes::from_static(b"Compiler diff"));
        second.encoding = Bytes::from_static(b"BASE64");
        let mixed = part(BodyKind::Multipart(vec![text(1152, 23), second]), "MIXED", 0);
        let expected = r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac.washington.edu>" "Compiler diff" "BASE64" 4554 73) "MIXED")"#;
        assert_eq!(shown(&mixed, Extended::No), expected);
    }

    #[test]
    fn extension_data_stands_behind() {
        let mut image = part(BodyKind::Basic(Bytes::from_static(b"IMAGE")), "PNG", 9);
        image.md5 = Some(Bytes::from_static(b"Q2hlY2s="));
        let name = (Bytes::from_static(b"filename"), Bytes::from_static(b"a\"b"));
        image.disposition = Some((Bytes::from_static(b"attachment"), vec![name]));
        image.language = vec![Bytes::from_static(b"en"), Bytes::from_static(b"de")];
        let mut root = part(BodyKind::Multipart(vec![image]), "MIXED", 0);
        root.parameters = vec![(Bytes::from_static(b"BOUNDARY"), Bytes::from_static(b"x"))];
        root.disposition = Some((Bytes::from_static(b"inline"), vec![]));
        root.language = vec![Bytes::from_static(b"en")];
        root.location = Some(Bytes::from_static(b"http://a.example/"));
        let expected = r#"(("IMAGE" "PNG" NIL NIL NIL "7BIT" 9 "Q2hlY2s=" ("attachment" ("filename" "a\"b")) ("en" "de") NIL) "MIXED" ("BOUNDARY" "x") ("inline" NIL) "en" "http://a.example/")"#;
        assert_eq!(shown(&root, Extended::Yes), expected);
    }

    #[test]
    fn messages_hold_structures() {
        let message = |body| {
            let (envelope, body) = (Box::new(Envelope::default()), Box::new(body));
            part(BodyKind::Message { envelope, body, lines: 5 }, "RFC822", 99)
        };
        let nils = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
        let expected = alloc::format!(r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 99 {nils} {PLAIN} 5)"#);
        assert_eq!(shown(&message(text(1152, 23)), Extended::No), expected);
        let empty = part(BodyKind::Multipart(vec![]), "MIXED", 0);
        let nothing = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0)"#;
        let expected = alloc::format!(r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 99 {nils} ({nothing} "MIXED") 5)"#);
        assert_eq!(shown(&message(empty), Extended::No), expected);
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut deep = text(1, 1);
        for _ in 0..5_000 {
            deep = part(BodyKind::Multipart(vec![deep]), "MIXED", 0);
        }
        let out = shown(&deep, Extended::Yes);
        assert_eq!(out.matches('(').count(), out.matches(')').count());
        // To drop it would take the stack that writing did not.
        while let BodyKind::Multipart(mut parts) = deep.kind {
            deep = parts.remove(0);
        }
    }
}
