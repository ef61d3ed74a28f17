//! Messages: headers, structures, transfer encodings, charsets, and the texts that searches see.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pillarbox_core::message::{
    Decoder, FieldFilter, FieldName, HeaderEnd, HeaderScanner, LineEnds, Matcher, Needles, Pick, Place, Structure,
    StructureParser, TextKey, TextReader, Told, fold,
};

use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::{choice, ways};

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "From: ",
        "To: ",
        "Cc: ",
        "Subject: ",
        "Date: ",
        "Message-ID: <a@b>",
        "Received: ",
        "In-Reply-To: ",
        "References: ",
        "Content-Type: ",
        "multipart/mixed; boundary=",
        "multipart/digest;\r\n boundary=\"",
        "message/rfc822",
        "text/plain",
        "text/html; charset=",
        "message/delivery-status",
        "Content-Transfer-Encoding: ",
        "base64",
        "quoted-printable",
        "8bit",
        "Content-Disposition: attachment; filename",
        "*0*=utf-8''",
        "*1=",
        "Content-Language: en, de",
        "Content-ID: <x>",
        "Content-MD5: ",
        "Content-Location: ",
        "\r\n",
        "\r\n\r\n",
        "\r\n ",
        "--a\r\n",
        "--a--\r\n",
        "=?utf-8?q?",
        "=?iso-8859-1?B?",
        "?=",
        "=C3=A9",
        "=\r\n",
        "w6k=",
        "iso-2022-jp",
        "\u{1b}$B",
        "shift_jis",
        "gb18030",
        "koi8-r",
        "utf-7",
        "\"A (b)\" <c@d>",
        "group: a@b, c@d;",
        "(comment \\) (nested))",
        "<@r1,@r2:a@b>",
        "\0",
        "\n",
        "\r",
        ";",
        "name=",
    ]
}

/// What is kept of a message is bounded; what is kept while it passes, too.
const COST: Allowance = Allowance { peak: (64, 1 << 19), total: (1024, 1 << 21), count: (24, 4096) };

/// What header there is: where it ends, what is in it, and a selection of its fields.
pub(crate) fn header(message: &[u8]) {
    let end = end_of(&[message]);
    assert_eq!(end, parse(&[message]).range(&whole_header()).map_or(0, |range| range.end));
    let scanned = scan(&[message]);
    let picks =
        [Pick::Only(vec!["to".into(), "Subject".into()]), Pick::Not(vec!["received".into()]), Pick::Only(vec![])];
    let section = &message[..end as usize];
    let picked: Vec<_> =
        picks.iter().map(|pick| linear(section.len(), Allowance::of(16, 8192), || filter(pick, &[section]))).collect();
    assert!(picked[0].len() <= section.len() && picked[1].len() <= section.len());
    for pieces in ways(message) {
        assert_eq!(end_of(&pieces), end);
        assert_eq!(scan(&pieces), scanned);
    }
    for pieces in ways(section) {
        for (pick, picked) in picks.iter().zip(&picked) {
            assert_eq!(&filter(pick, &pieces), picked, "{pick:?}");
        }
    }
}

fn whole_header() -> pillarbox_core::imap::types::Section {
    use pillarbox_core::imap::types::{Section, SectionText};
    Section { text: SectionText::Header, ..Section::default() }
}

fn end_of(pieces: &[&[u8]]) -> u64 {
    let mut end = HeaderEnd::default();
    pieces.iter().for_each(|piece| end.feed(piece));
    end.finish()
}

fn scan(pieces: &[&[u8]]) -> String {
    let (mut scanner, mut good) = (HeaderScanner::new(200, 2), 0);
    for piece in pieces {
        if let Err((at, fault)) = scanner.feed(piece) {
            return format!("{fault:?} at {}", good + at);
        }
        good += piece.len();
    }
    let s = &scanner;
    let (seen, missing) = ((s.has_date(), s.has_from(), s.has_message_id(), s.received()), s.is_missing());
    format!("{seen:?} {missing} {}", s.is_complete())
}

fn filter(pick: &Pick, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut filter, mut out) = (FieldFilter::new(pick.clone()), Vec::new());
    pieces.iter().for_each(|piece| filter.feed(piece, &mut out));
    filter.finish(&mut out);
    out
}

fn parse(pieces: &[&[u8]]) -> Structure {
    let mut parser = StructureParser::new();
    pieces.iter().for_each(|piece| parser.feed(piece));
    parser.finish()
}

/// The structure of a message: parts lie in their parents, and its code brings it back.
pub(crate) fn structure(message: &[u8]) {
    let whole = linear(message.len(), COST, || parse(&[message]));
    sound(&whole);
    let parts: Vec<_> = whole.parts().collect();
    assert_eq!((parts[0].header, parts[0].end), (0, message.len() as u64));
    for (n, part) in parts.iter().enumerate() {
        let body = &message[part.body as usize..part.end as usize];
        let lines = body.split_inclusive(|octet| *octet == b'\n').count();
        assert_eq!(part.lines, lines as u64, "{part:?}");
        let Some(parent) = part.parent else { continue };
        let before = parts[..n].iter().rev().find(|other| other.parent == part.parent);
        assert!(parts[parent].body <= part.header && part.end <= parts[parent].end, "{parts:?}");
        assert!(before.is_none_or(|before| before.end <= part.header), "{parts:?}");
    }
    let code = whole.encode();
    assert_eq!(Structure::decode(&code).as_ref(), Ok(&whole));
    for cut in (0..code.len()).step_by(1 + code.len() / 64) {
        assert!(Structure::decode(&code[..cut]).is_err());
    }
    for pieces in ways(message) {
        assert_eq!(parse(&pieces), whole);
    }
}

/// Everything that is told of a structure, whatever it was made of.
fn sound(structure: &Structure) {
    let parts: Vec<_> = structure.parts().collect();
    assert!(!parts.is_empty() && parts.len() <= Structure::MAX_PARTS);
    for part in &parts {
        assert!(part.header <= part.body && part.body <= part.end, "{part:?}");
    }
    linear(structure.encode().len(), Allowance::of(200, 64 * 1024).allocations(8), || {
        (structure.body(), structure.envelope(), structure.thread_keys())
    });
    for part in 0..parts.len() {
        let _ = Decoder::new(structure.encoding(part));
    }
    assert!(structure.thread_keys().len() <= Structure::MAX_THREAD_KEYS);
    let _ = structure.field(FieldName::Subject);
    let behind = structure.clone().behind(b"Received: x\r\nDate: y\r\n");
    assert_eq!(behind.size(), structure.size());
    assert_eq!(Structure::decode(&behind.encode()).as_ref(), Ok(&behind));
    assert_eq!(structure.clone().with_prefix(7).size(), structure.size().saturating_add(7));
}

/// Octets that may be the code of a structure, as an old or a broken store may have them.
pub(crate) fn code(code: &[u8]) {
    let decoded = linear(code.len(), Allowance::of(100, 64 * 1024), || Structure::decode(code));
    let Ok(structure) = decoded else { return };
    linear(code.len(), Allowance::of(400, 64 * 1024).allocations(16), || {
        let _ = (structure.body(), structure.envelope(), structure.thread_keys());
        let _ = structure.clone().with_prefix(u64::MAX).size();
    });
    assert_eq!(Structure::decode(&structure.encode()), Ok(structure));
}

/// The text of a message, and what searches find in it.
pub(crate) fn text(message: &[u8]) {
    let whole = linear(message.len(), COST, || texts(&[message]));
    let keys = [
        TextKey::Header { name: "subject".into(), text: "x".into() },
        TextKey::Header { name: "To".into(), text: String::new() },
        TextKey::Body("e".into()),
        TextKey::Text("=c3".into()),
        TextKey::Text("b".into()),
    ];
    let found: Vec<bool> = keys.iter().map(|key| naive(&whole, key)).collect();
    let needles = Needles::new(&keys);
    for pieces in std::iter::once(vec![message]).chain(ways(message)) {
        assert_eq!(texts(&pieces), whole);
        let mut matcher = needles.matcher();
        pieces.iter().for_each(|piece| matcher.feed(piece));
        assert_eq!(matcher.finish(), found);
        let mut one = Matcher::new(&keys[..1]);
        for piece in &pieces {
            if one.is_decided() {
                break;
            }
            one.feed(piece);
        }
        assert_eq!(one.finish(), found[..1]);
    }
}

/// A text of a message: where it stands, as a letter (header, part, body), the name of the field if it is one, and itself.
type Heard = (char, String, String);

fn texts(pieces: &[&[u8]]) -> Vec<Heard> {
    let mut all: Vec<Heard> = Vec::new();
    let octets = pieces.iter().map(|piece| piece.len()).sum();
    let mut steps = Steps::of(octets, 4, 16);
    let mut tell = |told: Told<'_>| {
        steps.step();
        match told {
            Told::Begin(Place::Header { name }) => all.push(('h', name.into(), String::new())),
            Told::Begin(Place::Part { name }) => all.push(('p', name.into(), String::new())),
            Told::Begin(Place::Body) => all.push(('b', String::new(), String::new())),
            Told::Text(text) => {
                assert!(!text.is_empty() && text.len() <= 40 * TextReader::PIECE, "a piece of {} octets", text.len());
                all.last_mut().expect("a text begins before it is told").2 += text;
            }
        }
    };
    let mut reader = TextReader::new();
    pieces.iter().for_each(|piece| reader.feed(piece, &mut tell));
    reader.finish(&mut tell);
    all
}

fn naive(all: &[Heard], key: &TextKey) -> bool {
    match key {
        TextKey::Header { name: wanted, text: sought } => {
            let begins = format!("{}: ", fold(wanted));
            let mut fields = all.iter().filter(|(place, name, _)| *place == 'h' && *name == fold(wanted));
            fields.any(|(.., text)| text.strip_prefix(&begins).is_some_and(|value| value.contains(&fold(sought))))
        }
        TextKey::Body(sought) => all.iter().any(|(place, _, text)| *place == 'b' && text.contains(&fold(sought))),
        TextKey::Text(sought) => all.iter().any(|(.., text)| text.contains(&fold(sought))),
    }
}

/// The first octet chooses the transfer encoding that is undone. What we encode in base64 comes back.
pub(crate) fn transfer(input: &[u8]) {
    let (how, body) = choice(input);
    let encoding: &[u8] = [&b"base64"[..], b"quoted-printable", b"8bit"][usize::from(how % 3)];
    let whole = linear(body.len(), Allowance::of(16, 8192), || decoded(encoding, &[body]));
    assert!(whole.len() <= body.len());
    let lines = ended(&[body]);
    assert_eq!(ended(&[&lines]), lines);
    for pieces in ways(body) {
        assert_eq!(decoded(encoding, &pieces), whole);
        assert_eq!(ended(&pieces), lines);
    }
    if let Ok(theirs) = STANDARD.decode(body) {
        assert_eq!(decoded(b"BASE64", &[body]), theirs);
    }
    assert_eq!(decoded(b"base64", &[STANDARD.encode(body).as_bytes()]), body);
}

fn decoded(encoding: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let (mut decoder, mut out) = (Decoder::new(encoding).expect("it is known"), Vec::new());
    pieces.iter().for_each(|piece| decoder.feed(piece, &mut out));
    decoder.finish(&mut out);
    out
}

fn ended(pieces: &[&[u8]]) -> Vec<u8> {
    let (mut ends, mut out) = (LineEnds::default(), Vec::new());
    pieces.iter().for_each(|piece| ends.feed(piece, &mut out));
    out
}

/// The structure of this message, for who writes it down.
pub(crate) fn structure_of(message: &[u8]) -> Structure {
    parse(&[message])
}
