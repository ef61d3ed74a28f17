//! What a session holds while much passes through it, and how much it asks for that.

use bytes::Bytes;
use pillarbox_core::message::StructureParser;
use pillarbox_tests::alloc;

use crate::host::{Host, Mail};

/// Octets that a session may hold at worst: what leaves, what comes next, and what is made of it.
const HELD: i64 = 512 * 1024;

const LARGE: u64 = 50_000_000;

/// One message: a header of so many octets, then a part of text and a part in base64.
struct Large {
    head: Bytes,
    structure: Bytes,
}

const BASE64: &[u8; 78] = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n";

impl Large {
    fn new(header: usize) -> Self {
        let mut head = b"Subject: Large\r\n".to_vec();
        while head.len() < header {
            head.extend_from_slice(format!("X-Filler: {}\r\n", "x".repeat(60)).as_bytes());
        }
        head.extend_from_slice(
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\nContent-Type: application/x\r\n\
            Content-Transfer-Encoding: base64\r\n\r\n",
        );
        let mut parser = StructureParser::new();
        parser.feed(&head);
        let lines = BASE64.repeat(1000);
        let mut left = LARGE - head.len() as u64;
        while left > 0 {
            let n = left.min(lines.len() as u64);
            parser.feed(&lines[..n as usize]);
            left -= n;
        }
        Self { head: head.into(), structure: parser.finish().encode() }
    }
}

impl Mail for Large {
    fn count(&self) -> u32 {
        1
    }

    fn size(&self, _: u32) -> u64 {
        LARGE
    }

    fn read(&self, _: u32, offset: u64, len: usize) -> Bytes {
        let len = len.min((LARGE - offset.min(LARGE)) as usize);
        let head = self.head.len() as u64;
        if offset < head {
            let from = offset as usize;
            return self.head.slice(from..(from + len).min(self.head.len()));
        }
        let at = (offset - head) as usize % BASE64.len();
        let mut octets = Vec::with_capacity(len);
        octets.extend_from_slice(&BASE64[at..][..len.min(BASE64.len() - at)]);
        while octets.len() < len {
            let more = (len - octets.len()).min(BASE64.len());
            octets.extend_from_slice(&BASE64[..more]);
        }
        octets.into()
    }

    fn structure(&self, _: u32) -> Bytes {
        self.structure.clone()
    }
}

/// Says it, and what was heard: how many octets, the beginning, and how much was held meanwhile.
fn weigh<M: Mail>(host: &mut Host<M>, said: &str) -> (u64, String, i64) {
    let (mut heard, mut begins) = (0, Vec::with_capacity(100));
    let before = alloc::live();
    alloc::forget_peak();
    host.say(said, |octets| {
        heard += octets.len() as u64;
        let room = begins.capacity() - begins.len();
        begins.extend_from_slice(&octets[..octets.len().min(room)]);
    });
    let held = alloc::peak() - before;
    println!("{}: {heard} octets, {held} held, asked {:?}", said.trim_end(), host.asked);
    (heard, String::from_utf8_lossy(&begins).into_owned(), held)
}

#[test]
fn a_large_message_is_never_in_hand() {
    let large = Large::new(0);
    let (head, body) = (large.head.len() as u64, LARGE - large.head.len() as u64);
    // Of 78 octets, 76 are base64.
    let decoded = (body / 78 * 76 + body % 78) / 4 * 3;
    let mut host = Host::new(large);
    for (said, begins, octets) in [
        ("BODY.PEEK[]", format!("* 1 FETCH (BODY[] {{{LARGE}}}\r\n"), LARGE),
        ("BODY.PEEK[TEXT]", "* 1 FETCH (BODY[TEXT] {".into(), LARGE - head),
        ("BODY.PEEK[2]", format!("* 1 FETCH (BODY[2] {{{body}}}\r\n"), body),
        ("BINARY.PEEK[2]", format!("* 1 FETCH (BINARY[2] {{{decoded}}}\r\n"), decoded),
        ("BINARY.SIZE[2]", format!("* 1 FETCH (BINARY.SIZE[2] {decoded})\r\n"), 0),
        ("BODY.PEEK[2]<1000000.30000000>", "* 1 FETCH (BODY[2]<1000000> {30000000}\r\n".into(), 30_000_000),
    ] {
        let (heard, beginning, held) = weigh(&mut host, &format!("a FETCH 1 {said}\r\n"));
        assert!(beginning.starts_with(&begins), "{beginning}");
        assert!((octets..octets + 200).contains(&heard), "{said}: {heard} octets");
        assert!(held < HELD, "{said}: {held} octets are held");
    }
}

/// A client that takes a decoded part in pieces is not served from the beginning each time.
#[test]
fn a_large_part_is_read_once_however_many_pieces_it_is_taken_in() {
    let mut host = Host::new(Large::new(0));
    let decoded = (LARGE - host.mail().head.len() as u64) / 78 * 57;
    for piece in [64 * 1024, 1_000_000] {
        host.asked.clear();
        let before = alloc::live();
        alloc::forget_peak();
        let mut heard = 0;
        for from in (0..decoded).step_by(piece) {
            host.say(&format!("a FETCH 1 BINARY.PEEK[2]<{from}.{piece}>\r\n"), |octets| heard += octets.len() as u64);
        }
        let (held, reads) = (alloc::peak() - before, host.asked["read"]);
        println!("{heard} octets in pieces of {piece}: {held} held, {reads} reads");
        assert!(heard > decoded && held < HELD, "{heard} octets, {held} held");
        // What is larger than what is kept is made twice: once to be counted.
        let passes = if piece > 64 * 1024 { 2 } else { 1 };
        let pieces = decoded / piece as u64 + 1;
        assert!(reads < (LARGE / (64 * 1024) + 1) * passes + 3 * pieces, "{reads} reads");
    }
}

#[test]
fn a_large_header_is_never_in_hand() {
    let mut host = Host::new(Large::new(5_000_000));
    for said in ["BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (X-Filler)]", "BODY.PEEK[HEADER.FIELDS.NOT (Subject)]"] {
        let (heard, beginning, held) = weigh(&mut host, &format!("a FETCH 1 {said}\r\n"));
        assert!(beginning.contains("X-Filler: x"), "{beginning}");
        assert!((4_900_000..5_100_000).contains(&heard), "{said}: {heard} octets");
        assert!(held < HELD, "{said}: {held} octets are held");
    }
    let (_, beginning, _) = weigh(&mut host, "a FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\n");
    assert!(beginning.ends_with("{18}\r\nSubject: Large\r\n\r\n)\r\na OK FETCH completed\r\n"), "{beginning}");
}

#[test]
fn a_large_append_is_never_in_hand() {
    let mut host = Host::new(Many(1));
    let chunk = BASE64.repeat(1000);
    let before = alloc::live();
    alloc::forget_peak();
    let mut heard = Vec::with_capacity(1000);
    let mut hears = |octets: &[u8]| heard.extend_from_slice(octets);
    host.send(format!("a APPEND INBOX {{{LARGE}}}\r\n").as_bytes(), &mut hears);
    let mut left = LARGE as usize;
    while left > 0 {
        let n = left.min(chunk.len());
        host.send(&chunk[..n], &mut hears);
        left -= n;
    }
    host.say("\r\n", &mut hears);
    let held = alloc::peak() - before;
    println!("APPEND of {LARGE} octets: {held} held, asked {:?}", host.asked);
    assert!(String::from_utf8_lossy(&heard).contains("a OK [APPENDUID 1 9]"));
    assert_eq!(host.appended, LARGE);
    assert!(held < HELD, "{held} octets are held");
}

/// So many messages of some 4 KB, all alike.
struct Many(u32);

fn small() -> (Bytes, Bytes) {
    let mut message = b"From: Bob <bob@example.net>\r\nTo: alice@example.org\r\nSubject: Small\r\n".to_vec();
    while message.len() < 3000 {
        message.extend_from_slice(format!("X-Filler: {}\r\n", "x".repeat(60)).as_bytes());
    }
    message.extend_from_slice(b"Message-ID: <1@example.net>\r\n\r\n");
    message.extend_from_slice(&b"Hello\r\n".repeat(150));
    let mut parser = StructureParser::new();
    parser.feed(&message);
    (message.into(), parser.finish().encode())
}

thread_local! {
    static SMALL: (Bytes, Bytes) = small();
}

impl Mail for Many {
    fn count(&self) -> u32 {
        self.0
    }

    fn size(&self, _: u32) -> u64 {
        SMALL.with(|(message, _)| message.len() as u64)
    }

    fn read(&self, _: u32, offset: u64, len: usize) -> Bytes {
        let from = offset as usize;
        // A store gives each its own octets.
        SMALL.with(|(message, _)| Bytes::copy_from_slice(&message[from..(from + len).min(message.len())]))
    }

    fn structure(&self, _: u32) -> Bytes {
        SMALL.with(|(_, structure)| Bytes::copy_from_slice(structure))
    }
}

/// Messages, what is asked of each, the least that is heard of each, and how many questions that may be.
#[test]
fn many_messages_are_told_in_pages() {
    const MANY: u32 = 100_000;
    const SOME: u32 = 10_000;
    for (messages, items, octets, questions) in [
        (MANY, "(FLAGS UID)", 20, 101),
        (MANY, "(FLAGS ENVELOPE)", 100, 400),
        (SOME, "(BODY.PEEK[HEADER.FIELDS (From To Subject Message-ID)])", 150, SOME / 10),
        (SOME, "(UID RFC822.SIZE FLAGS BODY.PEEK[])", 4000, SOME / 10),
        (SOME, "(BODY.PEEK[1])", 1050, SOME / 10),
        (SOME, "(BODY[TEXT])", 1050, SOME / 5),
    ] {
        let mut host = Host::new(Many(messages));
        let (heard, _, held) = weigh(&mut host, &format!("a FETCH 1:* {items}\r\n"));
        assert!(heard > u64::from(messages) * octets, "{items}: {heard} octets");
        assert!(held < HELD, "{items}: {held} octets are held");
        let asked: u64 = host.asked.values().sum();
        assert!(asked <= u64::from(questions), "{items}: {asked} questions");
    }
}
