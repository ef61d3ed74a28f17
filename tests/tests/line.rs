//! Properties of the framing that all text protocols share, against models that see the whole stream at once.

use bytes::{Bytes, BytesMut};
use pillarbox_core::Outbox;
use pillarbox_core::line::dot::{Piece, Stuff, Unstuff};
use pillarbox_core::line::{Fault, Line, LineReader, Strict};
use pillarbox_core::message::HeaderScanner;
use proptest::prelude::*;

/// Streams in which everything that matters is frequent.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"\0".to_vec()),
        4 => Just(b".".to_vec()),
        4 => Just(b"ab".to_vec()),
        2 => Just(b"\r\n.\r\n".to_vec()),
    ];
    // Streams are looked at in blocks of 4 KiB: something may lie across two of them.
    let filler = prop_oneof![3 => Just(0), 1 => 4_085..4_097_usize];
    (filler, prop::collection::vec(octet, 0..24)).prop_map(|(n, pieces)| [vec![b'x'; n], pieces.concat()].concat())
}

/// Streams without a fault in them.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let line =
        prop_oneof![Just("\r\n"), Just(".\r\n"), Just("..\r\n"), Just(".a\r\n"), Just("a.\r\n"), Just("abc\r\n")];
    (prop::collection::vec(line, 0..12), prop_oneof![Just(""), Just("."), Just("end")])
        .prop_map(|(lines, rest)| (lines.concat() + rest).into_bytes())
}

fn pieces<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

/// Octets of the body, the fault, and where the stream goes on behind the end.
type Outcome = (Vec<u8>, Option<Fault>, Option<usize>);

/// The definition: the first CRLF `.` CRLF ends it, and the first forbidden octet before that end spoils it.
fn unstuffed(stream: &[u8]) -> Outcome {
    let framed = [b"\r\n", stream].concat();
    let end = framed.windows(5).position(|five| five == b"\r\n.\r\n");
    let inside = &stream[..end.map_or(stream.len(), |at| at + 3)];
    let before = |at: usize| at.checked_sub(1).map(|at| inside[at]);
    let fault = (0..inside.len()).find_map(|at| match inside[at] {
        0 => Some((at, Fault::Nul)),
        b'\n' if before(at) != Some(b'\r') => Some((at, Fault::BareLf)),
        b'\r' if inside.get(at + 1).is_some_and(|next| *next != b'\n') => Some((at + 1, Fault::BareCr)),
        _ => None,
    });
    let good = fault.map_or(inside, |(at, _)| &inside[..at]);
    let mut body = Vec::new();
    for line in good.split_inclusive(|octet| *octet == b'\n') {
        let line =
            line.strip_prefix(b".").map_or(line, |rest| if rest == b"\r\n" || rest == b"\r" { b"" } else { rest });
        body.extend_from_slice(line);
    }
    (body, fault.map(|(_, fault)| fault), end.map(|at| at + 3))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_is_what_its_definition_says(stream in stream(), cuts in cuts(), max in prop_oneof![1..40_usize, 4_000..9_000_usize]) {
        let (mut unstuff, mut rx) = (Unstuff::new(), BytesMut::new());
        let mut outcome: Outcome = (Vec::new(), None, None);
        let mut fed = 0;
        for piece in pieces(&stream, &cuts) {
            rx.extend_from_slice(piece);
            fed += piece.len();
            while outcome.2.is_none() {
                match unstuff.next(&mut rx, max) {
                    Some(Piece::Body(bytes)) => {
                        prop_assert!(!bytes.is_empty() && bytes.len() <= max);
                        outcome.0.extend_from_slice(&bytes);
                    }
                    Some(Piece::Fault(fault)) => prop_assert_eq!(outcome.1.replace(fault), None),
                    Some(Piece::End) => outcome.2 = Some(fed - rx.len()),
                    None => {
                        prop_assert!(rx.is_empty());
                        break;
                    }
                }
            }
        }
        prop_assert_eq!(outcome, unstuffed(&stream));
    }

    #[test]
    fn what_is_stuffed_comes_out_as_it_was(body in body(), cuts in cuts(), behind in stream()) {
        let (mut stuff, mut tx) = (Stuff::new(), Outbox::new(1));
        for piece in pieces(&body, &cuts) {
            stuff.push(Bytes::copy_from_slice(piece), &mut tx);
        }
        stuff.finish(&mut tx);
        let mut wire: Vec<u8> = tx.slices().flatten().copied().collect();
        let end = wire.len();
        wire.extend_from_slice(&behind);
        let mut whole = body.clone();
        if !whole.is_empty() && !whole.ends_with(b"\r\n") {
            whole.extend_from_slice(b"\r\n");
        }
        prop_assert_eq!(unstuffed(&wire), (whole, None, Some(end)));
    }

    #[test]
    fn lines_do_not_depend_on_the_cuts(stream in stream(), cuts in cuts(), max in 2..12_usize) {
        let read = |pieces: &[&[u8]]| {
            let (mut reader, mut rx, mut lines) = (LineReader::new(max), BytesMut::new(), Vec::new());
            for piece in pieces {
                rx.extend_from_slice(piece);
                while let Some(line) = reader.next(&mut rx) {
                    lines.push(line);
                }
            }
            (lines, rx.len(), reader.consumed())
        };
        let whole = read(&[&stream]);
        let (lines, left, consumed) = &whole;
        prop_assert!(*left < max && *consumed == (stream.len() - left) as u64);
        for line in lines {
            if let Line::Whole(line) = line {
                prop_assert!(line.len() + 2 <= max && !line.iter().any(|octet| b"\r\n\0".contains(octet)));
            }
        }
        prop_assert_eq!(read(&pieces(&stream, &cuts)), whole);
    }

    #[test]
    fn counted_octets_are_judged_as_a_whole(stream in stream(), cuts in cuts()) {
        let judge = |pieces: &[&[u8]]| {
            let (mut strict, mut good) = (Strict::new(), 0);
            for piece in pieces {
                if let Err((at, fault)) = strict.check(piece) {
                    return Err((good + at, fault));
                }
                good += piece.len();
            }
            strict.finish().map_err(|fault| (good, fault))
        };
        let whole = judge(&[&stream]);
        if whole.is_ok() {
            let lines = String::from_utf8(stream.clone()).unwrap();
            prop_assert!(!lines.replace("\r\n", "").contains(['\r', '\n', '\0']));
        }
        prop_assert_eq!(judge(&pieces(&stream, &cuts)), whole);
    }

    #[test]
    fn headers_are_seen_however_they_are_cut(
        words in prop::collection::vec(prop_oneof![
            Just("Date:"), Just("received"), Just(" "), Just(":"), Just("\r\n"), Just("From: x\r\n"), Just("Message-ID"),
            Just("Received: y\r\n\t"), Just("\n"), Just("\r"),
        ], 0..20),
        cuts in cuts(),
    ) {
        let message = words.concat().into_bytes();
        let scan = |pieces: &[&[u8]]| {
            let (mut scanner, mut good) = (HeaderScanner::new(80, 2), 0);
            for piece in pieces {
                if let Err((at, fault)) = scanner.feed(piece) {
                    return Err((good + at, fault));
                }
                good += piece.len();
            }
            let s = &scanner;
            Ok((s.has_date(), s.has_from(), s.has_message_id(), s.received(), s.is_complete()))
        };
        prop_assert_eq!(scan(&pieces(&message, &cuts)), scan(&[&message]));
    }
}
