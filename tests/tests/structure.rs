//! The structure of messages: examples of the RFCs, odd mail, and properties over mail of all shapes.

use std::num::NonZeroU32;

use pillarbox_core::imap::types::{BodyKind, PartPath, Section, SectionText};
use pillarbox_core::message::{FieldName, Kind, Structure, StructureParser};
use proptest::prelude::*;

fn parse(message: &[u8]) -> Structure {
    let mut parser = StructureParser::new();
    parser.feed(message);
    parser.finish()
}

/// One line a part: depth, kind, header, body, lines.
fn tree(message: &str) -> String {
    let structure = parse(message.as_bytes());
    let parts: Vec<_> = structure.parts().collect();
    let text = |from: u64, to: u64| message[from as usize..to as usize].replace("\r\n", "|");
    let mut depths: Vec<usize> = Vec::new();
    let mut out = String::new();
    for part in &parts {
        let depth = part.parent.map_or(0, |parent| depths[parent] + 1);
        depths.push(depth);
        let body = match part.kind {
            Kind::Multipart | Kind::Message => String::new(),
            _ => text(part.body, part.end),
        };
        out += &format!("{depth} {:?} [{}] [{body}] {}\n", part.kind, text(part.header, part.body), part.lines);
    }
    out
}

fn section(structure: &Structure, path: &[u32], text: SectionText) -> Option<std::ops::Range<u64>> {
    let part = PartPath(path.iter().map(|number| NonZeroU32::new(*number).expect("parts count from one")).collect());
    structure.range(&Section { part, text })
}

#[test]
fn a_simple_message() {
    let message = "Subject: x\r\n\r\nHello\r\nworld";
    assert_eq!(tree(message), "0 Text [Subject: x||] [Hello|world] 2\n");
    let structure = parse(message.as_bytes());
    assert_eq!(section(&structure, &[], SectionText::All), Some(0..26));
    assert_eq!(section(&structure, &[], SectionText::Header), Some(0..14));
    assert_eq!(section(&structure, &[], SectionText::Text), Some(14..26));
    assert_eq!(section(&structure, &[1], SectionText::All), Some(14..26));
    assert_eq!(section(&structure, &[1], SectionText::Mime), Some(0..14));
    assert_eq!(section(&structure, &[1], SectionText::Text), None);
    assert_eq!(section(&structure, &[2], SectionText::All), None);
    assert_eq!(section(&structure, &[1, 1], SectionText::All), None);
    assert_eq!(structure.field(FieldName::Subject), Some(&b"x"[..]));
    let copy = structure.clone().with_prefix(100);
    assert_eq!(section(&copy, &[], SectionText::All), Some(0..126));
    assert_eq!(section(&copy, &[], SectionText::Header), Some(0..114));
    assert_eq!(section(&copy, &[1], SectionText::All), Some(114..126));
    assert_eq!(copy.body(), structure.body());
}

/// What a submission lacks is put before it (RFC 6409 §8), and counts as its own.
#[test]
fn fields_that_were_put_before_a_message() {
    let message =
        b"Subject: x\r\nMessage-ID: <its@own>\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nHello\r\n";
    let before = b"Received: from x\r\n\tby y\r\nDate: today\r\nMessage-ID: <a@b>\r\nContent-Type: image/gif\r\n";
    let whole = parse(&[&before[..], message].concat());
    let behind = parse(message).behind(before);
    assert_eq!(behind.field(FieldName::Date), Some(&b"today"[..]));
    assert_eq!(behind.field(FieldName::MessageId), Some(&b"<its@own>"[..]));
    assert_eq!(behind.envelope().date, whole.envelope().date);
    assert_eq!(Structure::decode(&behind.encode()), Ok(behind.clone()));
    assert_eq!(behind.body(), parse(message).body());
    assert_eq!(behind.size(), message.len() as u64);
    assert_eq!(parse(b"no header\r\n").behind(before).field(FieldName::MessageId), Some(&b"<a@b>"[..]));
    assert_eq!(parse(message).behind(b""), parse(message));
}

/// RFC 2046 §5.1.1.
#[test]
fn a_multipart_with_implicit_and_explicit_types() {
    let message = "From: Nathaniel Borenstein <nsb@bellcore.example>\r\n\
        MIME-Version: 1.0\r\nContent-type: multipart/mixed; boundary=\"simple boundary\"\r\n\r\n\
        This is the preamble.\r\n\r\n--simple boundary\r\n\r\nThis is implicitly typed\r\nIt does NOT end with a linebreak.\r\n\
        --simple boundary\r\nContent-type: text/plain; charset=us-ascii\r\n\r\nIt DOES end with a linebreak.\r\n\r\n\
        --simple boundary--\r\n\r\nThis is the epilogue.\r\n";
    let parts: Vec<_> = tree(message).lines().skip(1).map(str::to_owned).collect();
    assert_eq!(
        parts,
        [
            "1 Text [|] [This is implicitly typed|It does NOT end with a linebreak.] 2",
            "1 Text [Content-type: text/plain; charset=us-ascii||] [It DOES end with a linebreak.|] 1",
        ]
    );
}

/// RFC 3501 §6.4.5 has a message of this shape.
#[test]
fn sections_of_nested_messages() {
    let message = "Content-Type: multipart/mixed; boundary=o\r\n\r\n\
        --o\r\n\r\none\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n\
        --i\r\n\r\ntwo.one\r\n--i\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--i--\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: plain\r\n\r\nthree\r\n--o--\r\n";
    let structure = parse(message.as_bytes());
    let at = |path: &[u32], text| section(&structure, path, text).map(|r| &message[r.start as usize..r.end as usize]);
    assert_eq!(at(&[1], SectionText::All), Some("one"));
    assert_eq!(at(&[1], SectionText::Header), None);
    assert_eq!(at(&[2], SectionText::Mime), Some("Content-Type: message/rfc822\r\n\r\n"));
    let header = "Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n";
    assert_eq!(at(&[2], SectionText::Header), Some(header));
    assert_eq!(at(&[2], SectionText::HeaderFields([].into())), Some(header));
    assert!(at(&[2], SectionText::Text).unwrap().starts_with("--i\r\n"));
    assert!(at(&[2], SectionText::All).unwrap().starts_with(header));
    assert_eq!(at(&[2, 1], SectionText::All), Some("two.one"));
    assert_eq!(at(&[2, 2], SectionText::All), Some("R0lG"));
    assert_eq!(at(&[2, 3], SectionText::All), None);
    assert_eq!(at(&[3, 1], SectionText::All), Some("three"));
    assert_eq!(at(&[3, 1], SectionText::Mime), Some("Subject: plain\r\n\r\n"));
    assert_eq!(at(&[3, 1, 1], SectionText::All), None);
    assert_eq!(at(&[4], SectionText::All), None);
    assert_eq!(structure.encoding(structure.find([2, 2]).unwrap()), b"base64");
    let BodyKind::Multipart(parts) = structure.body().kind else { panic!("no multipart") };
    let BodyKind::Message { envelope, body, .. } = &parts[1].kind else { panic!("no message") };
    assert_eq!(envelope.subject.as_deref(), Some(&b"inner"[..]));
    assert!(matches!(&body.kind, BodyKind::Multipart(parts) if parts.len() == 2));
}

#[test]
fn odd_mime() {
    let mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (rest, expected) in [
        ("--b\r\n\r\nno end", vec!["1 Text [|] [no end] 1"]),
        ("--b \t\r\n\r\nx\r\n--b-- \r\n", vec!["1 Text [|] [x] 1"]),
        ("--b--\r\n", vec![]),
        ("", vec![]),
        ("--b", vec!["1 Text [] [] 0"]),
        ("--b\r\n--b\r\n\r\n--b--", vec!["1 Text [] [] 0", "1 Text [|] [] 0"]),
        ("--b\r\nA: header alone\r\n--b--", vec!["1 Text [A: header alone|] [] 0"]),
        ("--b\r\nno header\r\n--b--", vec!["1 Text [] [no header] 1"]),
        ("--b\r\n\r\nx\0\r\n--b--\r\n--b\r\n\r\nepilogue", vec!["1 Text [|] [x\0] 1"]),
        (
            "--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
            vec![
                "1 Multipart [Content-Type: multipart/alternative; boundary=bb||] [] 3",
                "2 Text [|] [x] 1",
                "1 Text [|] [y] 1",
            ],
        ),
        (
            "--b\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--b--",
            vec!["1 Opaque [Content-Type: multipart/mixed||] [x] 1"],
        ),
        (
            "--b\r\nContent-Type: message/rfc822\r\n--b--",
            vec!["1 Message [Content-Type: message/rfc822|] [] 0", "2 Text [] [] 0"],
        ),
    ] {
        let tree = tree(&format!("{mixed}{rest}"));
        assert_eq!(tree.lines().skip(1).collect::<Vec<_>>(), expected, "{rest:?}");
    }
    let digest = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nFrom: a\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(tree(digest).lines().skip(1).collect::<Vec<_>>(), ["1 Message [|] [] 3", "2 Text [From: a||] [x] 1"]);
}

#[test]
fn limits_cut_and_never_fail() {
    let many = "--b\r\n\r\nx\r\n".repeat(2 * Structure::MAX_PARTS);
    let structure = parse(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{many}--b--\r\n").as_bytes());
    assert_eq!(structure.len(), Structure::MAX_PARTS);
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000);
    let structure = parse(deep.as_bytes());
    assert_eq!(structure.len(), Structure::MAX_DEPTH);
    assert_eq!(structure.parts().last().unwrap().kind, Kind::Opaque);
    let _ = structure.body();
    let long = format!("To: {}\r\nSubject: s\r\n\r\n", "someone@example.com,\r\n ".repeat(100_000));
    let structure = parse(&[long.as_bytes(), &b"To: x\r\n".repeat(9)].concat());
    assert!(structure.encode().len() <= Structure::MAX_ENCODED);
    assert_eq!(structure.field(FieldName::Subject), Some(&b"s"[..]));
    assert!(structure.field(FieldName::To).unwrap().len() <= Structure::MAX_FIELD);
    let fields = parse("To: a\r\nContent-ID: x\r\n".repeat(50_000).as_bytes());
    assert!(fields.encode().len() <= Structure::MAX_ENCODED);
    assert_eq!(Structure::decode(&fields.encode()), Ok(fields));
}

/// Mail in which everything that matters is frequent.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        2 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just(" "), 1 => Just("-"), 1 => Just("\0\u{fc}"),
        3 => Just("--a\r\n"), 2 => Just("--ab\r\n"), 2 => Just("--a--\r\n"), 1 => Just("--ab--\r\n"),
        2 => Just("Content-Type: multipart/mixed; boundary=a\r\n"),
        2 => Just("Content-Type: multipart/digest;\r\n boundary=\"ab\"\r\n"),
        3 => Just("Content-Type: message/rfc822\r\n"), 1 => Just("Content-Type: image/gif\r\n\r\n"),
        1 => Just("Subject: =?utf-8?q?a?=\r\n b\r\n"), 1 => Just("From: A (b) <c@d>, g: e@f;\r\n"),
        2 => Just("text\r\n"), 1 => Just("Content-Disposition: attachment; filename*0=a; filename*1*=b\r\n"),
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn split_invariance(message in message(), step in 1..20_usize) {
        let mut parser = StructureParser::new();
        message.chunks(step).for_each(|piece| parser.feed(piece));
        prop_assert_eq!(parser.finish(), parse(&message));
    }

    #[test]
    fn every_part_lies_in_its_parent_and_the_code_brings_it_back(message in message()) {
        let structure = parse(&message);
        let parts: Vec<_> = structure.parts().collect();
        prop_assert_eq!((parts[0].header, parts[0].end), (0, message.len() as u64));
        for (n, part) in parts.iter().enumerate() {
            prop_assert!(part.header <= part.body && part.body <= part.end, "{:?}", part);
            let Some(parent) = part.parent else { continue };
            prop_assert!(parent < n && parts[parent].body <= part.header && part.end <= parts[parent].end, "{:?}", parts);
            let before = parts[..n].iter().rev().find(|other| other.parent == part.parent);
            prop_assert!(before.is_none_or(|before| before.end <= part.header), "{:?}", parts);
        }
        for part in &parts {
            let body = &message[part.body as usize..part.end as usize];
            let lines = body.iter().filter(|octet| **octet == b'\n').count() + usize::from(!body.is_empty() && !body.ends_with(b"\n"));
            prop_assert_eq!(part.lines, lines as u64, "{:?}", part);
        }
        let _ = (structure.body(), structure.envelope());
        let code = structure.encode();
        prop_assert_eq!(Structure::decode(&code), Ok(structure));
        for cut in 0..code.len() {
            prop_assert!(Structure::decode(&code[..cut]).is_err());
        }
    }

    #[test]
    fn garbage_is_no_structure_or_a_sound_one(message in message(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut code = parse(&message).encode().to_vec();
        let at = at.index(code.len());
        code[at] = octet;
        if let Ok(structure) = Structure::decode(&code) {
            let _ = (structure.body(), structure.envelope(), structure.with_prefix(u64::MAX).size());
        }
    }
}
