//! What goes well: both engines, STARTTLS and implicit, however the bytes are cut.

use std::sync::{Arc, Mutex};

use pillarbox_core::channel::{Side, Tap};
use pillarbox_core::tls::TlsErrorKind;
use pillarbox_core::{Close, Direction, End, LayerInfo, Step, WaitingOn};

use crate::toy::{Client, Server};
use crate::wire::{HIGH_WATER, Node, Pair, config, engines};

/// What the server said, plainly, and what it asked.
fn talk(pair: &Pair) -> (String, String) {
    let heard = String::from_utf8_lossy(&pair.client.channel.session().heard).into_owned();
    (heard, String::from_utf8_lossy(&pair.server.acts).into_owned())
}

#[test]
fn starttls_then_talk_however_it_is_cut() {
    for engines in engines() {
        let script: [&[u8]; 6] =
            [b"EHLO\r\n", b"STARTTLS\r\n", b"ASK who\r\n", b"one\r\n", b"ASK why\r\n", b"QUIT\r\n"];
        for (seed, cut) in (0..40).map(|n| (n, [0, 1, 2, 7, 100, 5000][n as usize % 6])) {
            let mut pair = Pair::new(&engines, false, &script);
            pair.run(seed, cut);
            let (heard, asked) = talk(&pair);
            assert_eq!(heard, "220 toy\r\n250 EHLO\r\n220 go\r\n250 WHO\r\n250 one\r\n250 WHY\r\n221 bye\r\n");
            assert_eq!(asked, "[who][why]");
            assert_eq!((pair.server.end, pair.client.end), (Some(End::Quit), Some(End::Quit)));
            assert_eq!((pair.server.channel.fault(), pair.client.channel.fault()), (None, None));
            assert!(pair.server.channel.tls().is_some_and(|tls| !tls.verified));
            assert_eq!(pair.server.channel.session().layers.len(), 1);
        }
    }
}

#[test]
fn implicit_tls_and_bodies_both_ways() {
    for engines in engines() {
        let body = b"b".repeat(300_000);
        for (seed, cut) in [(1, 0), (2, 1500), (3, 20_000), (4, 333)] {
            let mut pair = Pair::new(&engines, true, &[b"BIG 200000\r\n", b"SINK\r\n", &body]);
            pair.run(seed, cut);
            assert_eq!(pair.client.channel.session().heard.len(), "220 toy\r\n".len() + 200_000);
            assert_eq!(pair.server.acts.len(), body.len());
            // High water, one chunk of the session's or one record, and what TLS adds to them.
            assert!(pair.server.peak <= HIGH_WATER + 17_000, "{}", pair.server.peak);
        }
    }
}

#[test]
fn without_tls_a_channel_is_its_session() {
    let script: [&[u8]; 2] = [b"ASK a\r\n", b"QUIT\r\n"];
    let mut pair = Pair {
        server: Node::new(Server::new(), config(Side::Server, None, false)),
        client: Node::new(Client::new(script), config(Side::Client, None, false)),
    };
    pair.run(3, 3);
    assert_eq!(talk(&pair).0, "220 toy\r\n250 A\r\n221 bye\r\n");
    assert_eq!(pair.server.channel.into_inner().layers, []);
}

#[test]
fn who_has_told_the_peers_end_is_never_asked_to_read() {
    let mut node = Node::new(Client::new(["one\r\n"]), config(Side::Client, None, false));
    node.turn();
    node.feed(b"220 toy\r\n");
    assert!(node.wants_to_read());
    // A session that waits for the wire, and would read meanwhile, as this client always would.
    node.tx.put(&[b'x'; HIGH_WATER]);
    node.channel.session_mut().deaf = true;
    node.close(Close::Eof);
    assert_eq!(node.wait.map(|wait| (wait.read, wait.on)), Some((false, WaitingOn::Flush)));
}

#[test]
fn what_is_unsaid_when_the_connection_breaks_is_dropped() {
    let mut node = Node::new(Server::new(), config(Side::Server, None, false));
    node.feed(b"BIG 5000\r\n");
    assert!(!node.tx.is_empty());
    node.close(Close::Error);
    assert_eq!((node.end, node.tx.len()), (Some(End::Broken), 0));
    assert_eq!(node.channel.session().closed, [Close::Error]);
}

#[test]
fn close_notify_is_an_orderly_end() {
    for engines in engines() {
        let mut pair = Pair::new(&engines, true, &[b"one\r\n"]);
        pair.run(1, 0);
        assert_eq!((pair.server.end, pair.client.end), (None, None));
        // A session that ends has its channel say close_notify.
        pair.server.close(Close::Shutdown);
        assert_eq!(pair.server.end, Some(End::Shutdown));
        pair.run(1, 9);
        assert!(pair.client.channel.session().heard.ends_with(b"421 later\r\n"));
        assert_eq!(pair.client.channel.session().closed, [Close::Eof]);
        assert_eq!(pair.client.channel.fault(), None);
    }
}

#[test]
fn an_answer_comes_while_the_peer_does_not_read() {
    for engines in engines() {
        let mut pair = Pair::new(&engines, true, &[b"BIG 100000\r\n", b"ASK late\r\n"]);
        pair.run(1, 0);
        assert_eq!(pair.client.channel.session().heard.len(), 9 + 100_000 + "250 LATE\r\n".len());
    }
}

#[test]
fn an_idle_channel_keeps_its_sessions_deadline() {
    for engines in engines() {
        let mut pair = Pair::new(&engines, true, &[b"one\r\n"]);
        pair.run(1, 0);
        pair.server.sleep_until_deadline();
        assert_eq!(pair.server.end, Some(End::Timeout));
    }
}

#[derive(Clone, Default)]
struct Transcript(Arc<Mutex<String>>);

impl Tap for Transcript {
    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap();
        all.push_str(if direction == Direction::In { "<" } else { ">" });
        all.push_str(&String::from_utf8_lossy(bytes).replace("\r\n", "/"));
    }

    fn layer(&mut self, layer: &LayerInfo) {
        let LayerInfo::Tls(_) = layer;
        self.0.lock().unwrap().push_str("{tls}");
    }
}

#[test]
fn the_tap_shows_plaintext_without_secrets() {
    for engines in engines() {
        let transcript = Transcript::default();
        let script: [&[u8]; 5] = [b"PASS early\r\n", b"STARTTLS\r\n", b"PASS sesame\r\n", b"PASS x\r\n", b"QUIT\r\n"];
        let mut pair = Pair::new(&engines, false, &script);
        pair.server.channel.set_tap(Some(Box::new(transcript.clone())));
        pair.run(1, 1);
        let seen = transcript.0.lock().unwrap().clone();
        assert!(!seen.contains("sesame") && !seen.contains("early"), "{seen}");
        assert!(seen.starts_with(">220 toy/<PASS <****</>235 ok >****>/<STARTTLS/>220 go/{tls}<PASS <****"), "{seen}");
        assert!(seen.ends_with("</QUIT/>235 ok >****>/235 ok >****>/221 bye/"), "{seen}");
    }
}

#[test]
fn a_tap_can_come_late_and_go() {
    let transcript = Transcript::default();
    let mut server = Node::new(Server::new(), config(Side::Server, None, false));
    server.feed(b"before\r\n");
    server.channel.set_tap(Some(Box::new(transcript.clone())));
    server.feed(b"PASS sec");
    server.feed(b"ret\r\n");
    server.channel.set_tap(None);
    server.feed(b"after\r\n");
    assert_eq!(*transcript.0.lock().unwrap(), "<PASS <****</>235 ok >****>/");
}

#[test]
fn an_upgrade_without_an_engine_ends_the_connection() {
    for implicit in [false, true] {
        let mut server = Node::new(Server::new(), config(Side::Server, None, implicit));
        server.feed(if implicit { b"" } else { b"STARTTLS\r\n" });
        server.take(usize::MAX);
        assert_eq!(server.end, Some(End::Broken));
        assert_eq!(server.channel.fault().map(|fault| fault.kind), Some(TlsErrorKind::Configuration));
        assert!(matches!(server.channel.poll(server.now, &mut server.rx, &mut server.tx), Step::Done(End::Broken)));
    }
}

#[cfg(feature = "tls")]
mod rustls {
    use pillarbox_core::tls::TlsFactory as _;
    use pillarbox_core::tls::rustls::{RustlsClient, RustlsServer};

    use super::*;
    use crate::wire::PEM;

    #[test]
    fn it_names_version_and_suite_as_received_headers_do() {
        let mut pair = Pair::new(&engines()[1], true, &[]);
        pair.run(1, 0);
        let info = pair.server.channel.tls().cloned().unwrap();
        assert_eq!((info.version, info.cipher), ("TLS1.3", "TLS13_AES_256_GCM_SHA384"));
        assert_eq!(pair.client.channel.tls(), Some(&info));
    }

    #[test]
    fn bad_pem_is_told_in_words() {
        let (cert, key) = (PEM.0.as_bytes(), PEM.1.as_bytes());
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let torn = &cert[..cert.len() - 30];
        let cases: [(&[u8], &[u8], &str); 6] = [
            (b"", key, "no certificate found"),
            (torn, key, "END line is missing"),
            (cert, b"nothing", "no private key found"),
            (cert, cert, "no private key found"),
            (cert, encrypted, "is encrypted"),
            (cert, other.as_bytes(), "does not belong"),
        ];
        for (cert, key, words) in cases {
            let error = RustlsServer::from_pem(cert, key).unwrap_err();
            assert_eq!(error.kind, TlsErrorKind::Configuration);
            assert!(error.reason.contains(words), "{error}");
        }
    }

    #[test]
    fn a_name_that_is_none_means_no_sni() {
        for name in [None, Some(""), Some("mx.example.org."), Some("a b"), Some("192.0.2.1"), Some("[::1]")] {
            assert!(RustlsClient::opportunistic().engine(name).is_ok());
        }
    }
}
