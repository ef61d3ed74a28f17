//! Reading commands and writing responses, beside imap-codec and imap-proto in the same run: one table, in nanoseconds and
//! allocations for each.
//!
//! Every command is read from a buffer that its octets are copied into first, as they come from a socket. Ours reads
//! through framing and grammar, and what it gives can be kept; imap-codec's borrows from the buffer. imap-proto is a
//! client's: it reads responses, so it stands beside imap-codec's reading of those that the three of us know; who
//! writes them is us and imap-codec.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use imap_codec::decode::Decoder as _;
use imap_codec::encode::Encoder as _;
use imap_codec::{CommandCodec, ResponseCodec};
use pillarbox_benches::{Cost, Counting, cost};
use pillarbox_core::Outbox;
use pillarbox_core::imap::encode::{Charset, FetchResponse, exists};
use pillarbox_core::imap::framing::Limits;
use pillarbox_core::imap::reader::{Input, Reader};
use pillarbox_core::imap::types::{Command, Envelope, Flag, Tagged};
use pillarbox_core::message::StructureParser;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Each is measured so many times, in turns with the others; the quickest counts, since a busy machine only adds.
const ROUNDS: usize = 100;
/// How long one of them takes, about: less than what a scheduler gives at a time.
const ROUND: Duration = Duration::from_millis(1);

fn main() {
    // `cargo test --benches` wants to see that it works, not how fast.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    // `cargo bench --bench imap -- FETCH` runs those.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!("{:32} {:>24} {:>24} {:>24}", "", "pillarbox", "imap-codec", "imap-proto");
    for (name, wire) in commands().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let mut ours = Ours::new();
        let mut theirs = Theirs::default();
        row(&format!("read {name}"), rounds, [Some(&mut || ours.read(&wire)), Some(&mut || theirs.read(&wire)), None]);
    }
    for (name, mut write) in responses().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let wire = written(&mut *write);
        let (rest, response) = ResponseCodec::new().decode(&wire).expect("what we write is a response");
        assert!(rest.is_empty());
        let mut tx = Outbox::new(1 << 20);
        let mut ours = || {
            write(&mut tx);
            if tx.len() > 16 * 1024 {
                tx.advance(tx.remaining());
            }
        };
        let mut theirs = || drop(black_box(ResponseCodec::new().encode(black_box(&response)).dump()));
        row(&format!("write {name}"), rounds, [Some(&mut ours), Some(&mut theirs), None]);
        let mut codec = || drop(black_box(ResponseCodec::new().decode(black_box(&wire))));
        let mut proto = || drop(black_box(imap_proto::Response::parse(black_box(&wire))));
        row(&format!("(read {name})"), rounds, [None, Some(&mut codec), Some(&mut proto)]);
    }
}

/// Measures one thing as the three of us do it, and prints a line.
fn row(name: &str, rounds: usize, mut runs: [Option<&mut dyn FnMut()>; 3]) {
    let mut best: [Option<Cost>; 3] = [None; 3];
    for _ in 0..rounds {
        for (run, best) in runs.iter_mut().zip(&mut best) {
            let Some(run) = run else { continue };
            let once = cost(10, &mut *run).ns.max(1.0);
            let found = cost((ROUND.as_nanos() as f64 / once) as u32 + 1, &mut *run);
            if best.is_none_or(|best| found.ns < best.ns) {
                *best = Some(found);
            }
        }
    }
    let cell = |cost: &Option<Cost>| match cost {
        Some(cost) => format!("{:.0} ns, {:.2} allocs", cost.ns, cost.allocations),
        None => "-".to_owned(),
    };
    println!("{name:32} {:>24} {:>24} {:>24}", cell(&best[0]), cell(&best[1]), cell(&best[2]));
}

/// A connection's reader and its buffer.
struct Ours {
    reader: Reader,
    rx: BytesMut,
}

impl Ours {
    fn new() -> Self {
        let limits = Limits { non_synchronizing: u64::MAX, ..Limits::default() };
        Self { reader: Reader::new(limits), rx: BytesMut::with_capacity(64 * 1024) }
    }

    fn read(&mut self, wire: &[u8]) {
        self.rx.extend_from_slice(wire);
        let mut ended = false;
        while let Some(input) = self.reader.next(&mut self.rx, 64 * 1024) {
            match black_box(input) {
                Input::Command(Tagged { command: Command::Append { .. }, .. }) => {
                    let _ = self.reader.accept();
                }
                Input::Command(_) | Input::End => ended = true,
                Input::Octets(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(ended && self.rx.is_empty());
        self.reader.forget_secrets();
    }
}

#[derive(Default)]
struct Theirs {
    rx: Vec<u8>,
}

impl Theirs {
    fn read(&mut self, wire: &[u8]) {
        self.rx.clear();
        self.rx.extend_from_slice(wire);
        let (rest, command) = CommandCodec::new().decode(&self.rx).expect("a command");
        assert!(rest.is_empty());
        drop(black_box(command));
    }
}

fn commands() -> Vec<(&'static str, Vec<u8>)> {
    let append = format!(
        "a5 APPEND \"Sent Items\" (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" {{4096+}}\r\n{}\r\n",
        "x".repeat(4096)
    );
    let lines = [
        ("NOOP", "a1 NOOP\r\n"),
        ("LOGIN", "a2 LOGIN alice@example.org \"correct horse battery staple\"\r\n"),
        ("FETCH, quick", "a3 FETCH 1:* (UID FLAGS)\r\n"),
        (
            "FETCH, as a client has it",
            "a3 UID FETCH 1:50,60,70:* (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT \
             DATE MESSAGE-ID REFERENCES)] BODYSTRUCTURE)\r\n",
        ),
        ("STORE", "a4 UID STORE 17,20:25 +FLAGS.SILENT (\\Deleted \\Seen $Junk)\r\n"),
        (
            "SEARCH",
            "a5 UID SEARCH OR FROM \"smith\" SUBJECT \"meeting\" SINCE 1-Feb-1994 NOT DELETED LARGER 4096 BODY \"agenda\"\r\n",
        ),
        ("APPEND of 4 KiB", &append),
    ];
    lines.into_iter().map(|(name, line)| (name, line.as_bytes().to_vec())).collect()
}

type Write = Box<dyn FnMut(&mut Outbox)>;

fn responses() -> Vec<(&'static str, Write)> {
    let flags: Vec<Flag> = ["\\Seen", "\\Answered", "$Forwarded"]
        .iter()
        .filter_map(|name| Flag::new(bytes::Bytes::from_static(name.as_bytes())))
        .collect();
    let envelope = envelope();
    vec![
        ("EXISTS", Box::new(|tx| exists(tx, black_box(172)))),
        (
            "FETCH FLAGS",
            Box::new(move |tx| {
                let mut fetch = FetchResponse::begin(tx, black_box(12), Charset::Ascii);
                fetch.flags(tx, black_box(&flags));
                fetch.uid(tx, black_box(4_827_313));
                fetch.end(tx);
            }),
        ),
        (
            "ENVELOPE",
            Box::new(move |tx| {
                let mut fetch = FetchResponse::begin(tx, black_box(12), Charset::Ascii);
                fetch.envelope(tx, black_box(&envelope));
                fetch.end(tx);
            }),
        ),
    ]
}

/// The envelope of RFC 9051 §8.
fn envelope() -> Envelope {
    let mut parser = StructureParser::new();
    parser.feed(
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\
        Subject: IMAP4rev2 WG mtg summary and minutes\r\nTo: imap@cac.washington.edu\r\n\
        cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
        Message-ID: <B27397-0100000@cac.washington.edu>\r\n\r\n",
    );
    parser.finish().envelope()
}

fn written(write: &mut dyn FnMut(&mut Outbox)) -> Vec<u8> {
    let mut tx = Outbox::new(1 << 20);
    write(&mut tx);
    tx.slices().flatten().copied().collect()
}
