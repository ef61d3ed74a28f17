//! The text of messages as searches see it: examples, and properties over mail of all shapes and over garbage.

use std::collections::BTreeSet;

use pillarbox_core::message::{Matcher, Needles, Place, TextKey, TextReader, Told, fold};
use pillarbox_tests::alloc;
use proptest::prelude::*;

#[global_allocator]
static COUNTING: alloc::Counting = alloc::Counting;

/// All texts of a message: `H:`, `P:` or `B:`, and the text.
fn texts(message: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut tell = |told: Told<'_>| match told {
        Told::Begin(Place::Header { .. }) => all.push("H:".into()),
        Told::Begin(Place::Part { .. }) => all.push("P:".into()),
        Told::Begin(Place::Body) => all.push("B:".into()),
        Told::Text(text) => {
            assert!(!text.is_empty());
            assert!(text.len() <= 40 * TextReader::PIECE, "a piece of {} octets", text.len());
            *all.last_mut().expect("a text begins before it is told") += text;
        }
    };
    let mut reader = TextReader::new();
    pieces(message, cuts).for_each(|piece| reader.feed(piece, &mut tell));
    reader.finish(&mut tell);
    all
}

/// The message, cut into pieces of these lengths over and over.
fn pieces<'a>(mut rest: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut cuts = cuts.iter().cycle();
    std::iter::from_fn(move || {
        let cut = cuts.next().map_or(rest.len(), |cut| (*cut).max(1)).min(rest.len());
        let (piece, behind) = rest.split_at(cut);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

fn holds(message: &[u8], keys: &[TextKey], cuts: &[usize]) -> Vec<bool> {
    let mut matcher = Matcher::new(keys);
    for piece in pieces(message, cuts) {
        if matcher.is_decided() {
            break;
        }
        matcher.feed(piece);
    }
    matcher.finish()
}

/// The same by the most naive of ways.
fn naive(message: &[u8], keys: &[TextKey]) -> Vec<bool> {
    let all = texts(message, &[]);
    let held = |key: &TextKey| match key {
        TextKey::Header { name, text } => {
            let begins = format!("H:{}: ", fold(name));
            all.iter().any(|it| it.strip_prefix(&begins).is_some_and(|value| value.contains(&fold(text))))
        }
        TextKey::Body(text) => {
            text.is_empty() || all.iter().any(|it| it.starts_with("B:") && it[2..].contains(&fold(text)))
        }
        TextKey::Text(text) => text.is_empty() || all.iter().any(|it| it[2..].contains(&fold(text))),
    };
    keys.iter().map(held).collect()
}

fn header(name: &str, text: &str) -> TextKey {
    TextKey::Header { name: name.into(), text: text.into() }
}

fn body(text: &str) -> TextKey {
    TextKey::Body(text.into())
}

fn anywhere(text: &str) -> TextKey {
    TextKey::Text(text.into())
}

const MESSAGE: &str = "From: \"J\u{f6}rg \\\"Joe\\\" Q. Public\" <joe@example.org>\r\n\
    Subject: =?utf-8?Q?Caf=C3=A9_?=\r\n =?utf-8?b?YW5k?= more\r\n\tof it\r\n\
    Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n\
    preamble\r\n--b1\r\n\
    Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Gr=FC=DFe aus\r\nM=FCn=\r\nchen\r\n\
    --b1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
    PGI+R3LDvMOfZSE8\r\nL2I+\r\n\
    --b1\r\nContent-Type: application/pdf; name*0*=utf-8''r%C3%A9su; name*1=me.pdf\r\n\
    Content-Disposition: attachment; filename*=iso-8859-1'fr'r%E9sum%E9.pdf\r\n\r\nsecret text\r\n\
    --b1\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: inner\r\nContent-Type: multipart/alternative; boundary=b11\r\n\r\n\
    --b11\r\n\r\ninnermost text\r\n--b11--\r\n\
    --b1\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n\
    --b1--\r\nepilogue\r\n";

#[test]
fn a_message_of_many_parts() {
    let expected = [
        "H:from: \"jörg \"joe\" q. public\" <joe@example.org>",
        "H:subject: café and more of it",
        "H:content-type: multipart/mixed; boundary=\"b1\"",
        "P:content-type: text/plain; charset=iso-8859-1",
        "P:content-transfer-encoding: quoted-printable",
        "B:grüsse aus münchen ",
        "P:content-type: text/html; charset=utf-8",
        "P:content-transfer-encoding: base64",
        "B:<b>grüsse!</b>",
        "P:content-type: application/pdf; name*0*=utf-8''r%c3%a9su; name*1=me.pdf; name=résume.pdf",
        "P:content-disposition: attachment; filename*=iso-8859-1'fr'r%e9sum%e9.pdf; filename=résumé.pdf",
        "P:content-type: message/rfc822",
        "P:subject: inner",
        "P:content-type: multipart/alternative; boundary=b11",
        "B:innermost text ",
        "P:content-type: message/delivery-status",
        "B:status: 5.1.1 ",
    ];
    let expected: Vec<String> = expected.iter().map(|text| format!("{}{}", &text[..2], fold(&text[2..]))).collect();
    for cut in 1..MESSAGE.len() {
        assert_eq!(texts(MESSAGE.as_bytes(), &[cut]), expected, "by {cut}");
    }
}

#[test]
fn where_a_key_looks() {
    let cases = [
        (header("subject", "CAFÉ AND"), true),
        (header("Subject", "it"), true),
        (header("Subject", "subject"), false),
        (header("Subject", "inner"), false),
        (header("Subject", ""), true),
        (header("X-Subject", ""), false),
        (header("Content-Type", "multipart"), true),
        (header("Content-Type", "pdf"), false),
        (header("From", "jörg \"Joe\""), true),
        (header("From", "joe@example.org"), true),
        (body("Grüße AUS münchen"), true),
        (body("GRÜSSE!"), true),
        (body("<b>"), true),
        (body("innermost"), true),
        (body("5.1.1"), true),
        (body("inner\r\n"), false),
        (body("subject"), false),
        (body("secret"), false),
        (body("preamble"), false),
        (body("epilogue"), false),
        (body("münchen <b>"), false),
        (body(""), true),
        (anywhere("Subject: Café"), true),
        (anywhere("subject: inner"), true),
        (anywhere("résumé.pdf"), true),
        (anywhere("secret"), false),
        (anywhere("inner text"), false),
        (anywhere(" text"), true),
        (anywhere(""), true),
    ];
    let keys: Vec<TextKey> = cases.iter().map(|case| case.0.clone()).collect();
    let expected: Vec<bool> = cases.iter().map(|case| case.1).collect();
    for cut in [1, 2, 3, 7, 64, 1000, 10_000] {
        assert_eq!(holds(MESSAGE.as_bytes(), &keys, &[cut]), expected, "by {cut}");
    }
    for (key, expected) in cases {
        assert_eq!(holds(MESSAGE.as_bytes(), std::slice::from_ref(&key), &[5]), [expected], "{key:?}");
    }
}

#[test]
fn it_is_decided_as_early_as_can_be() {
    let lines: Vec<&str> = MESSAGE.split_inclusive("\r\n").collect();
    // After how many lines.
    let decided = |keys: &[TextKey]| {
        let needles = Needles::new(keys);
        let mut matcher = needles.matcher();
        lines.iter().position(|line| {
            let was = matcher.is_decided();
            matcher.feed(line.as_bytes());
            was
        })
    };
    assert_eq!(decided(&[]), Some(0));
    assert_eq!(decided(&[anywhere(""), body("")]), Some(0));
    // A field is known to be whole when the next one begins.
    assert_eq!(decided(&[header("From", "joe"), anywhere("jörg")]), Some(2));
    // The header ends with its empty line.
    assert_eq!(decided(&[header("From", "nobody")]), Some(6));
    assert_eq!(decided(&[anywhere("no such text")]), Some(lines.len() - 1));
    let mut matcher = Needles::new(&[body("x")]).matcher().finish();
    assert_eq!(matcher.pop(), Some(false));
    let keys = [body("x")];
    let mut matcher = Matcher::new(&keys);
    matcher.feed(b"Content-Type: image/png\r\n\r\n");
    assert!(matcher.is_decided());
}

#[test]
fn odd_messages() {
    let cases: [(&[u8], &[&str]); 14] = [
        (b"", &[]),
        (b"no header\r\nat all", &["B:no header at all"]),
        (b"\r\nbody", &["B:body"]),
        (b"Subject: x", &["H:subject: x"]),
        (b"A: b\nSubject : x\n y\n\nz", &["H:a: b", "H:subject: x y", "B:z"]),
        (b"A:\r\nno field\r\n goes on\r\nB: c\r\n\r\n", &["H:a: ", "H:no field goes on", "H:b: c", "B:"]),
        (
            b"Subject: caf\xe9 \xc3\xa9\r\n\r\ncaf\xe9\xc3\xa9",
            &["H:subject: cafe\u{301} e\u{301}", "B:cafe\u{301}e\u{301}"],
        ),
        (
            b"Content-Type: text/plain; charset=x-martian\r\n\r\na\xe9b",
            &["H:content-type: text/plain; charset=x-martian", "B:a\u{fffd}b"],
        ),
        (b"Content-Transfer-Encoding: x-uuencode\r\n\r\nabc", &["H:content-transfer-encoding: x-uuencode", "B:abc"]),
        (b"Content-Type: multipart/mixed\r\n\r\nabc", &["H:content-type: multipart/mixed"]),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n-\r\n--\r\n--x\r\n-b\r\n--b",
            &["H:content-type: multipart/mixed; boundary=b", "B:- -- --x -b "],
        ),
        (
            b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n",
            &["H:content-type: multipart/digest; boundary=b", "P:subject: x", "B:y "],
        ),
        (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==",
            &["H:content-type: message/rfc822", "H:content-transfer-encoding: base64"],
        ),
        (b"Subject: =?utf-8?q?a?=\r\n\tb\r\n =?utf-8?q?c\r\n =?=\r\n\r\n", &["H:subject: a b c =", "B:"]),
    ];
    for (message, expected) in cases {
        for cut in 1..=message.len().max(1) {
            assert_eq!(texts(message, &[cut]), expected, "{} by {cut}", message.escape_ascii());
        }
    }
}

/// However long the lines are, and the header, and the names in it.
#[test]
fn long_things_are_read_through() {
    let long = "x y ".repeat(30_000);
    let message = format!("Subject: {long}\r\nTo: a,{long}\r\n\r\n{long}needle\r\n{long}");
    let expected = [format!("H:subject: {long}"), format!("H:to: a,{long}"), format!("B:{long}needle {long}")];
    let trimmed = |texts: Vec<String>| texts.iter().map(|text| text.trim_end().to_owned()).collect::<Vec<_>>();
    for cut in [1, 4095, 100_000] {
        assert_eq!(trimmed(texts(message.as_bytes(), &[cut])), trimmed(expected.to_vec()));
    }
    let boundary = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b{long}\r\nSubject: inner\r\n\r\nx");
    assert_eq!(texts(boundary.as_bytes(), &[])[1..], ["P:subject: inner", "B:x"]);
    // Fields that fill the room of a structure do not hide how the parts behind them are to be read.
    let mut many = format!("To: {long}\r\n").repeat(10) + "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for _ in 0..400 {
        many += "--b\r\nContent-Type: text/plain; charset=utf-8; name=a-rather-long-name-that-takes-some-room\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nbmVlZGxl\r\n";
    }
    assert_eq!(texts(many.as_bytes(), &[]).iter().filter(|text| *text == "B:needle").count(), 400);
}

/// Whatever is sent, little of it is kept.
#[test]
fn what_is_held_is_bounded() {
    let repeated = |begin: &str, again: &str| {
        let mut message = begin.as_bytes().to_vec();
        while message.len() < 256 << 10 {
            message.extend_from_slice(again.as_bytes());
        }
        message
    };
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let part = "--b\r\nContent-Type: text/plain; charset=utf-8; name=some-name\r\n\r\n";
    let nested = format!("--b\r\n{multipart}").replace("=b", "=bb");
    let hostile = [
        repeated("", "x"),
        repeated("Subject: ", "x"),
        repeated("", "Subject: x\r\n"),
        repeated("Subject: x\r\n", " folded =?utf-8?q?\r\n"),
        repeated("Subject: =?utf-8?q?", "x"),
        repeated("Subject: ", "=?utf-8?q?a=C3?= "),
        repeated("Content-Type: text/plain", ";\r\n a*0*=b"),
        repeated("Content-Disposition: attachment", "; a"),
        repeated("From: ", "\\\""),
        repeated(multipart, part),
        repeated(multipart, "--b"),
        repeated(multipart, "--b\r\n"),
        repeated(multipart, "--bx\r\n"),
        repeated(multipart, &nested),
        repeated("", "Content-Type: message/rfc822\r\n\r\n"),
        repeated("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\n"),
        repeated("Content-Transfer-Encoding: quoted-printable\r\n\r\n", " "),
        repeated("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "="),
        repeated("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n", "\u{1b}$B"),
        repeated("\r\n", "\u{fdfa}"),
    ];
    let keys = [anywhere("no such thing"), body("nor this"), header("Subject", "nor that")];
    let needles = Needles::new(&keys);
    for message in hostile {
        for step in [61, 1 << 20] {
            let before = alloc::live();
            let mut matcher = needles.matcher();
            let mut most = 0;
            for piece in message.chunks(step) {
                matcher.feed(piece);
                most = most.max(alloc::live() - before);
            }
            let begin = String::from_utf8_lossy(&message[..60]);
            assert!(most < 200 << 10, "{most} octets are held of {begin:?} by {step}");
        }
    }
}

/// A thousand keys of which each is found at each octet, over and over.
#[test]
fn many_keys_that_are_found_everywhere_cost_little() {
    let mut keys: Vec<TextKey> = (1..1024).map(|n| anywhere(&"a".repeat(n))).collect();
    keys.push(anywhere("b"));
    let message = format!("\r\n{}", "a".repeat(1 << 20));
    let held = holds(message.as_bytes(), &keys, &[]);
    assert_eq!(held.iter().filter(|held| **held).count(), 1023);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c \r\n-]{0,40}",
        1 => "[a-cA-C\u{e4}\u{c4}\u{df}\u{1e9e}\u{3a3}\u{3c2}\u{ac00}-\u{ac10}\u{4e00}\u{1f4ee} \t\r\n-]{0,30}",
        1 => "\\PC{0,20}",
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        text().prop_map(String::into_bytes),
        Just(b"=?utf-8?q?=C3=A4?=".to_vec()),
        Just(b"=?utf-8?q?=C3?=".to_vec()),
        Just(b"=?utf-8?b?w6Q=?=\r\n ".to_vec()),
        Just(b"=?iso-8859-1?q?a=E4_b?= ".to_vec()),
        Just(b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=".to_vec()),
        "[=?qb_ a\\\\\"-]{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(word, 0..4).prop_map(|words| words.concat())
}

/// A header with its empty line.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let field = (prop_oneof![Just("Subject"), Just("To"), Just("X-a"), Just("Content-Disposition")], value());
    proptest::collection::vec(field, 0..4).prop_map(|fields| {
        let lines = fields.into_iter().map(|(name, value)| [name.as_bytes(), b": ", &value, b"\r\n"].concat());
        lines.collect::<Vec<_>>().concat()
    })
}

fn part() -> impl Strategy<Value = Vec<u8>> {
    let charset = prop_oneof![
        Just("utf-8"),
        Just("us-ascii"),
        Just("iso-8859-1"),
        Just("shift_jis"),
        Just("utf-16"),
        Just("x-martian")
    ];
    let kind = prop_oneof![4 => Just("text/plain"), 1 => Just("image/png"), 1 => Just("message/delivery-status")];
    let encoding = prop_oneof![Just("7bit"), Just("base64"), Just("quoted-printable"), Just("x-none")];
    let octets = prop_oneof![
        text().prop_map(String::into_bytes),
        "[A-Za-z0-9+/=\r\n]{0,40}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let leaf = (fields(), kind, charset, encoding, octets).prop_map(|(fields, kind, charset, encoding, octets)| {
        let mime = format!("Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
        [&fields[..], mime.as_bytes(), &octets].concat()
    });
    leaf.prop_recursive(3, 12, 4, |inner| {
        let boundary = prop_oneof![Just("b"), Just("bb"), Just("-")];
        let multipart = (fields(), boundary, any::<bool>(), proptest::collection::vec(inner.clone(), 0..4)).prop_map(
            |(fields, boundary, ends, parts)| {
                let mut out = fields;
                out.extend(format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n").into_bytes());
                for part in parts {
                    out.extend([b"--", boundary.as_bytes(), b"\r\n", &part, b"\r\n"].concat());
                }
                if ends {
                    out.extend(format!("--{boundary}--\r\n").into_bytes());
                }
                out
            },
        );
        let message = (fields(), inner)
            .prop_map(|(fields, inner)| [&fields[..], b"Content-Type: message/rfc822\r\n\r\n", &inner].concat());
        prop_oneof![multipart, message]
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1..40_usize, 1..6)
}

/// Keys: made up, and cut out of what there is to be found.
fn keys(message: &[u8], made_up: &[String], seeds: &[(usize, usize, usize)]) -> Vec<TextKey> {
    let all = texts(message, &[]);
    let mut keys = Vec::new();
    let mut push = |kind: usize, text: String| {
        keys.push(match kind % 4 {
            0 => anywhere(&text),
            1 => body(&text),
            2 => header("subject", &text),
            _ => header("TO", &text),
        });
    };
    for (n, text) in made_up.iter().enumerate() {
        push(n, text.clone());
    }
    for (kind, at, length) in seeds {
        let Some(text) = all.get(at % all.len().max(1)) else { continue };
        let letters: Vec<char> = text.chars().skip(2).collect();
        let from = at % (letters.len() + 1);
        push(*kind, letters[from..].iter().take(*length).collect());
    }
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cuts_do_not_matter(message in part(), cuts in cuts()) {
        prop_assert_eq!(texts(&message, &cuts), texts(&message, &[]));
    }

    #[test]
    fn what_is_found_is_what_a_naive_search_finds(
        message in part(),
        cuts in cuts(),
        made_up in proptest::collection::vec(text(), 0..6),
        seeds in proptest::collection::vec((any::<usize>(), any::<usize>(), 0..20_usize), 0..12),
    ) {
        let keys = keys(&message, &made_up, &seeds);
        let expected = naive(&message, &keys);
        prop_assert_eq!(holds(&message, &keys, &cuts), expected.clone(), "{:?}", keys);
        prop_assert_eq!(holds(&message, &keys, &[]), expected);
    }

    #[test]
    fn what_is_told_is_folded(message in part()) {
        for text in texts(&message, &[]) {
            prop_assert_eq!(fold(&text[2..]), &text[2..]);
        }
    }

    #[test]
    fn folding_keeps_substrings(text in text(), from in any::<usize>(), length in 0..20_usize, cut in any::<usize>()) {
        let letters: Vec<char> = text.chars().collect();
        let from = from % (letters.len() + 1);
        let within: String = letters[from..].iter().take(length).collect();
        prop_assert!(fold(&text).contains(&fold(&within)));
        let (left, right) = letters.split_at(cut % (letters.len() + 1));
        let (left, right): (String, String) = (left.iter().collect(), right.iter().collect());
        prop_assert!(fold(&text).starts_with(&fold(&left)) && fold(&text).ends_with(&fold(&right)));
    }

    #[test]
    fn garbage_is_read(message in proptest::collection::vec(any::<u8>(), 0..400), cuts in cuts()) {
        prop_assert_eq!(texts(&message, &cuts), texts(&message, &[]));
    }

    #[test]
    fn garbage_of_signs_is_read(message in "(Content-Type:|multipart/mixed;|boundary=|--|b|=|\\?|\r|\n|\r\n|:| |[a-z]|utf-8|q|text/plain){0,60}", cuts in cuts()) {
        prop_assert_eq!(texts(message.as_bytes(), &cuts), texts(message.as_bytes(), &[]));
    }
}

#[test]
fn names_are_told_folded() {
    let mut names = BTreeSet::new();
    let mut reader = TextReader::new();
    reader.feed(b"SUBJECT: x\r\nX-\xc3\x84: y\r\n\r\n", &mut |told| {
        if let Told::Begin(Place::Header { name }) = told {
            names.insert(name.to_owned());
        }
    });
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["subject", "x-a\u{308}"]);
}
