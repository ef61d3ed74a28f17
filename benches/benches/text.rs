//! Reading a message as a search sees it, and looking for texts in it: octets a nanosecond, by how it is encoded and by
//! how many texts are looked for.

use std::hint::black_box;

use pillarbox_benches::{Counting, cost, report};
use pillarbox_core::message::{Needles, StructureParser, TextKey, TextReader, Told};

#[global_allocator]
static COUNTING: Counting = Counting;

const SIZE: usize = 1 << 20;

fn main() {
    let runs = if std::env::args().any(|argument| argument == "--bench") { 30 } else { 1 };
    let english =
        body("text/plain; charset=utf-8", "8bit", "The quick brown fox jumps over the lazy dog; then it rests.");
    for (name, message) in [
        ("English", &english),
        (
            "Russian",
            &body("text/plain; charset=utf-8", "8bit", "Съешь же ещё этих мягких французских булок, да выпей чаю"),
        ),
        (
            "quoted-printable",
            &body("text/html; charset=iso-8859-1", "quoted-printable", "<p>Gr=FC=DFe aus M=FCnchen, und ="),
        ),
        (
            "base64",
            &body(
                "text/plain; charset=utf-8",
                "base64",
                "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4K",
            ),
        ),
        ("a file", &body("application/pdf", "base64", "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4K")),
    ] {
        let read = || {
            let mut reader = TextReader::new();
            let mut tell = |told: Told<'_>| _ = black_box(told);
            message.chunks(64 * 1024).for_each(|piece| reader.feed(piece, &mut tell));
            reader.finish(&mut tell);
        };
        report(&format!("text/read {name}"), message.len(), cost(runs, read));
    }
    for count in [1, 4, 32, 1024] {
        let keys: Vec<TextKey> = (0..count).map(|n| TextKey::Text(format!("nobody wrote {n}"))).collect();
        let needles = Needles::new(&keys);
        let find = || {
            let mut matcher = needles.matcher();
            english.chunks(64 * 1024).for_each(|piece| matcher.feed(piece));
            black_box(matcher.finish());
        };
        report(&format!("text/find {count}"), english.len(), cost(runs, find));
        report(&format!("text/ready {count}"), 0, cost(runs, || drop(black_box(Needles::new(&keys)))));
    }
    let parse = || {
        let mut parser = StructureParser::new();
        english.chunks(64 * 1024).for_each(|piece| parser.feed(piece));
        black_box(parser.finish());
    };
    report("text/structure alone", english.len(), cost(runs, parse));
}

/// A multipart with one part, of so many lines.
fn body(media: &str, encoding: &str, line: &str) -> Vec<u8> {
    let mut message = format!(
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    while message.len() < SIZE {
        message += line;
        message += "\r\n";
    }
    (message + "--b--\r\n").into_bytes()
}
