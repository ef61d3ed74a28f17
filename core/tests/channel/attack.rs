//! What a peer may do to us, and what must not come of it.

use pillarbox_core::channel::{HANDSHAKE_BYTES, Side};
use pillarbox_core::tls::TlsErrorKind;
use pillarbox_core::{Close, End, Outbox, Random, Seed, Step, Wall};

use crate::toy::{Client, Server};
use crate::wire::{Engines, HIGH_WATER, Node, Pair, config, engines};

fn kind(pair: &Node<Server>) -> Option<TlsErrorKind> {
    pair.channel.fault().map(|fault| fault.kind)
}

fn server(engines: &Engines, implicit: bool) -> Node<Server> {
    Node::new(Server::new(), config(Side::Server, Some(&engines.server), implicit))
}

/// Both ends up, nothing on the wire.
fn up(engines: &Engines) -> Pair {
    let mut pair = Pair::new(engines, true, &[]);
    pair.run(1, 0);
    assert!(pair.server.channel.tls().is_some() && pair.client.channel.tls().is_some());
    pair
}

#[test]
fn commands_behind_starttls_are_refused_and_never_run() {
    for engines in engines() {
        let mut server = server(&engines, false);
        server.feed(b"STARTTLS\r\nASK injected\r\n");
        assert!(server.channel.tls().is_none());
        assert_eq!(server.take(usize::MAX), b"220 toy\r\n501 nothing may follow\r\n250 INJECTED\r\n");
    }
}

#[test]
fn plaintext_before_the_go_ahead_is_out_ends_the_connection() {
    for engines in engines() {
        let mut server = server(&engines, false);
        server.feed(b"STARTTLS\r\n");
        server.feed(b"ASK injected\r\n");
        assert_eq!((server.end, kind(&server)), (Some(End::Broken), Some(TlsErrorKind::Protocol)));
        assert_eq!(server.acts, b"");
    }
}

#[test]
fn plaintext_in_the_handshakes_place_never_runs() {
    for engines in engines() {
        for piece in [1, 5, 100] {
            let mut server = server(&engines, false);
            server.feed(b"STARTTLS\r\n");
            server.take(usize::MAX);
            for piece in b"ASK injected\r\nQUIT\r\n".chunks(piece) {
                server.feed(piece);
            }
            assert_eq!((server.end, kind(&server)), (Some(End::Broken), Some(TlsErrorKind::Protocol)));
            assert_eq!(server.acts, b"");
            assert!(!server.tx.is_empty(), "an alert says why");
        }
    }
}

#[test]
fn plaintext_behind_the_go_ahead_ends_the_client() {
    for engines in engines() {
        for (head, tail) in [("220 toy\r\n220 go\r\n250 forged\r\n", ""), ("220 toy\r\n220 go\r\n", "250 forged\r\n")] {
            let mut client =
                Node::new(Client::new(["STARTTLS\r\n"]), config(Side::Client, Some(&engines.client), false));
            client.feed(b"220 toy\r\n");
            client.take(usize::MAX);
            client.feed(&head.as_bytes()[9..]);
            client.take(usize::MAX);
            client.feed(tail.as_bytes());
            assert_eq!(client.end, Some(End::Broken), "{head}{tail}");
            assert!(!client.channel.session().heard.ends_with(b"forged\r\n"));
        }
    }
}

#[test]
fn garbage_is_no_handshake() {
    for engines in engines() {
        let mut random = Random::new(&Seed::number(4));
        for _ in 0..300 {
            let mut server = server(&engines, true);
            let bytes: Vec<u8> = (0..random.below(3000)).map(|_| random.u16() as u8).collect();
            for piece in bytes.chunks(1 + random.below(500)) {
                server.feed(piece);
            }
            server.close(Close::Eof);
            assert_eq!(server.end, Some(End::Broken));
            assert!(matches!(
                kind(&server),
                Some(TlsErrorKind::Protocol | TlsErrorKind::Truncated | TlsErrorKind::Alert)
            ));
        }
    }
}

/// A pair that is up, and the client's first application bytes, held back.
fn held_back(engines: &Engines, script: &[&[u8]]) -> (Pair, Vec<u8>) {
    let mut pair = Pair::new(engines, true, script);
    pair.server.turn();
    pair.client.turn();
    while pair.client.channel.session().heard.is_empty() {
        let bytes = pair.client.take(usize::MAX);
        pair.server.feed(&bytes);
        let bytes = pair.server.take(usize::MAX);
        pair.client.feed(&bytes);
    }
    let bytes = pair.client.take(usize::MAX);
    (pair, bytes)
}

#[test]
fn a_changed_byte_is_found_and_nothing_behind_it_runs() {
    for engines in engines() {
        let length = held_back(&engines, &[b"ASK one\r\n"]).1.len();
        // The version in a record's header says nothing (RFC 8446 §5.1), and the fake engine has none.
        for place in (0..length).filter(|place| ![1, 2].contains(place)) {
            let (mut pair, mut bytes) = held_back(&engines, &[b"ASK one\r\n"]);
            bytes[place] ^= 0x10;
            pair.server.feed(&bytes);
            pair.server.close(Close::Eof);
            assert_eq!(pair.server.end, Some(End::Broken));
            assert_eq!(pair.server.acts, b"", "place {place}");
            assert!(kind(&pair.server).is_some());
        }
    }
}

#[test]
fn whole_records_before_a_broken_one_are_run_however_they_are_cut() {
    for engines in engines() {
        for cut in [1, 3, 10_000] {
            let (mut pair, mut bytes) = held_back(&engines, &[b"ASK one\r\n"]);
            bytes.extend_from_slice(b"\x17\x03\x03\x00\x20 this is not a record of anybody ");
            for piece in bytes.chunks(cut) {
                pair.server.feed(piece);
            }
            assert_eq!((pair.server.end, kind(&pair.server)), (Some(End::Broken), Some(TlsErrorKind::Protocol)));
            assert_eq!(pair.server.acts, b"[one]");
            let reply = pair.server.take(usize::MAX);
            pair.client.feed(&reply);
            assert!(pair.client.channel.session().heard.ends_with(b"250 ONE\r\n"));
            // Our alert reached the client, which can tell it from a cut.
            assert_eq!(pair.client.channel.fault().map(|fault| fault.kind), Some(TlsErrorKind::Alert));
        }
    }
}

#[test]
fn a_cut_after_whole_commands_loses_none_of_them() {
    for engines in engines() {
        // The client is gone right behind its QUIT, without a close_notify.
        let (mut pair, bytes) = held_back(&engines, &[b"ASK one\r\n", b"QUIT\r\n"]);
        pair.server.rx.extend_from_slice(&bytes);
        pair.server.close(Close::Eof);
        assert_eq!((pair.server.end, kind(&pair.server)), (Some(End::Quit), None));
        assert_eq!(pair.server.acts, b"[one]");
    }
}

#[test]
fn a_cut_without_close_notify_is_no_orderly_end() {
    for engines in engines() {
        let mut pair = up(&engines);
        pair.server.close(Close::Eof);
        assert_eq!((pair.server.end, kind(&pair.server)), (Some(End::Broken), Some(TlsErrorKind::Truncated)));
        assert_eq!(pair.server.channel.session().closed, [Close::Error]);
    }
}

#[test]
fn eof_in_every_place_of_a_handshake_ends_it() {
    for engines in engines() {
        let mut engine = engines.client.engine(Some("mx.example.org")).unwrap();
        let mut hello = Outbox::new(1 << 16);
        let (mut rx, mut plain) = (bytes::BytesMut::new(), bytes::BytesMut::new());
        engine.decrypt(Wall(0), &mut rx, &mut plain, 1, &mut hello).unwrap();
        let hello: Vec<u8> = hello.slices().flatten().copied().collect();
        for length in 0..hello.len() {
            let mut server = server(&engines, true);
            server.feed(&hello[..length]);
            server.close(Close::Eof);
            assert_eq!((server.end, kind(&server)), (Some(End::Broken), Some(TlsErrorKind::Truncated)));
        }
    }
}

#[test]
fn a_handshake_has_a_deadline() {
    for engines in engines() {
        for implicit in [true, false] {
            let mut server = server(&engines, implicit);
            server.feed(if implicit { b"" } else { b"STARTTLS\r\n" });
            if !implicit {
                server.take(usize::MAX);
            }
            server.sleep_until_deadline();
            assert_eq!((server.end, kind(&server)), (Some(End::Timeout), Some(TlsErrorKind::Timeout)));
        }
        // The go-ahead that nobody takes has the same one.
        let mut server = server(&engines, false);
        server.feed(b"STARTTLS\r\n");
        server.sleep_until_deadline();
        assert_eq!(server.end, Some(End::Timeout));
    }
}

#[test]
fn a_handshake_without_end_is_cut_off() {
    // Handshake records that announce the longest message there is, and never end it.
    for engines in engines() {
        let mut server = server(&engines, true);
        let mut fed = 0;
        let mut record = b"\x16\x03\x01\x40\x00".to_vec();
        record.extend_from_slice(b"\x01\xff\xff\xff");
        record.resize(5 + 0x4000, 0);
        while server.end.is_none() && fed < 4 * HANDSHAKE_BYTES {
            server.feed(&record);
            fed += record.len();
            record[5..9].fill(0);
        }
        assert_eq!((server.end, kind(&server)), (Some(End::Broken), Some(TlsErrorKind::Protocol)));
        assert!(fed <= HANDSHAKE_BYTES + 2 * record.len());
    }
}

#[test]
fn a_flood_meets_backpressure_when_the_session_does_not_read() {
    for engines in engines() {
        let flood = b"x".repeat(100_000);
        let script: Vec<&[u8]> = std::iter::once(&b"STALL\r\n"[..]).chain((0..20).map(|_| &flood[..])).collect();
        let mut pair = Pair::new(&engines, true, &script);
        pair.run(1, 10_000);
        assert!(!pair.server.wants_to_read());
        // One read of the host's stands unread before it, one record at most behind it, and the client's session stopped.
        assert!(pair.server.rx.len() <= 10_000 && pair.server.tx.is_empty());
        assert!(pair.client.peak <= HIGH_WATER + 17_000, "{}", pair.client.peak);
        assert!(pair.client.channel.session().unsaid() > 10);
        // Polled for ever, it takes no more.
        let held = pair.server.rx.len();
        pair.server.rx.extend_from_slice(&flood);
        pair.server.turn();
        assert_eq!(pair.server.rx.len(), held + flood.len());
    }
}

#[test]
fn a_flood_of_tiny_records_does_not_hold_the_thread() {
    for engines in engines() {
        let mut pair = up(&engines);
        // Each line in a record of its own, as a client that flushes after each line sends them.
        let mut wire = Vec::new();
        for _ in 0..200 {
            pair.client.channel.session_mut().say("NOOP\r\n");
            pair.client.turn();
            wire.extend(pair.client.take(usize::MAX));
        }
        pair.server.rx.extend_from_slice(&wire);
        let mut mores = 0;
        loop {
            match pair.server.channel.poll(pair.server.now, &mut pair.server.rx, &mut pair.server.tx) {
                Step::More => mores += 1,
                Step::Wait(_) => {
                    if pair.server.rx.is_empty() {
                        break;
                    }
                    pair.server.tx.clear();
                }
                step => panic!("{step:?}"),
            }
        }
        assert!(mores >= 4, "{mores}");
    }
}

#[test]
fn a_host_that_gives_up_is_obeyed_in_every_state() {
    for engines in engines() {
        for why in [Close::Error, Close::Layer, Close::Shutdown] {
            let mut fresh = server(&engines, true);
            fresh.close(why);
            let mut shaking = server(&engines, true);
            shaking.feed(b"\x16");
            shaking.close(why);
            let mut leaving = server(&engines, false);
            leaving.feed(b"STARTTLS\r\n");
            leaving.close(why);
            let mut pair = up(&engines);
            pair.server.close(why);
            let end = if why == Close::Shutdown { End::Shutdown } else { End::Broken };
            for node in [fresh, shaking, leaving, pair.server] {
                assert_eq!(node.end, Some(end));
                assert_eq!(node.channel.session().closed, [why]);
            }
        }
    }
}

#[test]
fn a_random_cut_of_a_whole_talk_never_panics_or_hangs() {
    for engines in engines() {
        for seed in 0..60 {
            let mut random = Random::new(&Seed::number(seed));
            let mut pair = Pair::new(&engines, seed % 2 == 0, &[b"STARTTLS\r\n", b"BIG 30000\r\n", b"ASK x\r\n"]);
            pair.server.turn();
            pair.client.turn();
            for _ in 0..random.below(40) {
                if pair.server.end.is_some() {
                    break;
                }
                let mut bytes = pair.client.take(1 + random.below(400));
                if random.below(30) == 0 && !bytes.is_empty() {
                    let place = random.below(bytes.len());
                    bytes[place] ^= 1 << random.below(8);
                }
                if pair.server.wants_to_read() {
                    pair.server.feed(&bytes);
                }
                let bytes = pair.server.take(1 + random.below(4000));
                if pair.client.end.is_none() {
                    pair.client.feed(&bytes);
                }
            }
            pair.server.take(usize::MAX);
            pair.server.close(Close::Error);
            pair.client.close(Close::Error);
            assert!(pair.server.end.is_some() && pair.client.end.is_some());
        }
    }
}
