//! Bounces as a parser sees them that we did not write.

use std::time::Duration;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use pillarbox_core::ops::Body;

use crate::world::{Answer, World, config};

/// The first bounce of a message from `from` to `to`.
fn bounce(from: &str, to: &[&str]) -> Vec<u8> {
    let mut world = World::new(config());
    for name in ["birch.example", "elm.example"] {
        world.answers.insert(format!("mx:{name}"), Answer::Refuse);
    }
    world.send(Some(from), to);
    world.run_dry(Duration::from_secs(60));
    let bounce = world.desk.settles.iter().flat_map(|settle| &settle.accepts).find_map(|accept| match &accept.body {
        Body::Inline(body) => Some(body.concat()),
        _ => None,
    });
    bounce.unwrap()
}

/// The text of a part, whatever its type.
fn text(message: &Message<'_>, part: usize) -> String {
    match &message.parts[part].body {
        PartType::Text(text) | PartType::Html(text) => text.to_string(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        PartType::Message(message) => String::from_utf8(message.raw_message.to_vec()).unwrap(),
        PartType::Multipart(_) => panic!("a multipart"),
    }
}

#[test]
fn a_parser_reads_what_we_wrote() {
    let raw = bounce("alice@amber.example", &["a@birch.example", "b@birch.example"]);
    assert!(raw.is_ascii());
    let message = MessageParser::default().parse(&raw).unwrap();
    assert_eq!(message.from().unwrap().first().unwrap().address(), Some("MAILER-DAEMON@mx.amber.example"));
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("alice@amber.example"));
    assert_eq!(message.header("Auto-Submitted").unwrap().as_text(), Some("auto-replied"));
    assert_eq!(message.references().as_text(), Some("1@amber.example"));
    assert_eq!(message.date().unwrap().to_rfc3339(), "2026-11-22T20:25:26Z");
    assert!(message.message_id().unwrap().ends_with("@mx.amber.example"));
    let kind = message.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    let PartType::Multipart(parts) = &message.parts[0].body else { panic!("not a multipart") };
    assert_eq!(parts.len(), 3);
    let parts: Vec<_> = parts.iter().map(|part| usize::try_from(*part).unwrap()).collect();
    let kinds: Vec<_> = parts
        .iter()
        .map(|part| message.parts[*part].content_type().unwrap())
        .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap()))
        .collect();
    assert_eq!(kinds, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    let words = text(&message, parts[0]);
    assert!(words.contains("<a@birch.example>") && words.contains("<b@birch.example>"), "{words}");
    let status = text(&message, parts[1]);
    let groups: Vec<_> = status.trim_end().split("\r\n\r\n").collect();
    assert_eq!(groups.len(), 3, "{status}");
    assert!(
        groups[0].starts_with("Reporting-MTA: dns; mx.amber.example\r\nArrival-Date: Sun, 22 Nov 2026 20:25:26 +0000")
    );
    for (group, recipient) in groups[1..].iter().zip(["a", "b"]) {
        let expected = format!(
            "Final-Recipient: rfc822; {recipient}@birch.example\r\nAction: failed\r\nStatus: 5.2.0\r\n\
             Remote-MTA: dns; mx.example\r\nDiagnostic-Code: smtp; 550 5.2.0 So be it\r\n"
        );
        assert!(group.starts_with(&expected), "{group}");
    }
    assert_eq!(text(&message, parts[2]).trim_end(), "Received: here\r\nMessage-ID: <1@amber.example>\r\nSubject: Hi");
}

#[test]
fn a_sender_outside_ascii_gets_it_in_utf_8() {
    let raw = bounce("\u{e4}da@elm.example", &["b\u{fc}b@birch.example"]);
    let message = MessageParser::default().parse(&raw).unwrap();
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("\u{e4}da@elm.example"));
    let text = String::from_utf8(raw.clone()).unwrap();
    assert!(text.contains("\r\nContent-Type: message/global-delivery-status\r\n"));
    assert!(text.contains("\r\nFinal-Recipient: utf-8; b\u{fc}b@birch.example\r\n"));
}

#[test]
fn a_recipient_outside_ascii_is_told_in_ascii() {
    let raw = bounce("ada@elm.example", &["b\u{fc}b@birch.example"]);
    assert!(raw.is_ascii());
    let message = MessageParser::default().parse(&raw).unwrap();
    assert!(message.body_text(0).unwrap().contains("<b\u{fc}b@birch.example>"), "quoted-printable for people");
    assert!(
        String::from_utf8(raw.clone()).unwrap().contains("\r\nFinal-Recipient: utf-8; b\\x{FC}b@birch.example\r\n")
    );
}
