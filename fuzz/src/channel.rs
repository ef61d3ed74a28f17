//! A connection under TLS: a session that says back what it hears, and a wire that brings records, parts of them, forged
//! ones, plaintext at the wrong time, and ends.
//!
//! The engines are the fake ones: bit-exact, and as strict as real ones about every changed octet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::line::{Line, LineReader};
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_core::tls::{TlsEngine, TlsFactory as _, TlsState};
use pillarbox_core::{Close, End, Layer, LayerInfo, Now, Outbox, Session, Step, Wait, WaitingOn, Wall};

use crate::choices::Choices;
use crate::gauge::{Allowance, Steps, linear};

pub(crate) fn words() -> &'static [&'static str] {
    &["TLS\r\n", "QUIT\r\n", "hello\r\n", "\r\n", "\u{1}\0\u{4}", "\0\0", "\u{2}\0", "\u{3}\u{40}\0"]
}

/// The first octet says whether TLS begins at once; then comes what happens.
pub(crate) fn wire(input: &[u8]) {
    let allowed = Allowance { peak: (1000, 1 << 19), total: (40_000, 1 << 22), count: (400, 20_000) };
    let whole = linear(input.len(), allowed, || Wire::play(input, usize::MAX));
    for piece in [1, 5, 11] {
        assert_eq!(Wire::play(input, piece), whole, "in pieces of {piece}");
    }
}

/// What is to be seen of a connection in the end.
type Outcome = (Vec<u8>, Vec<u8>, Vec<Close>, Option<End>);

/// Both ends of a connection.
struct Wire {
    channel: Channel<Echo>,
    rx: BytesMut,
    tx: Outbox,
    far: Box<dyn TlsEngine>,
    /// What the far end says inside TLS, and everything it has ever said so.
    far_says: Outbox,
    said: Vec<u8>,
    /// What the far end hears before TLS, and inside.
    plain: Vec<u8>,
    heard: BytesMut,
    /// What the far end says by itself, as a handshake has it: it comes behind what is on the wire.
    coming: Vec<u8>,
    now: Now,
    piece: usize,
    done: Option<End>,
    steps: Steps,
}

impl Wire {
    fn play(input: &[u8], piece: usize) -> Outcome {
        let mut choices = Choices::new(input);
        let implicit = choices.octet() & 1 == 1;
        let config = ChannelConfig {
            tls: Some(Arc::new(FakeServer)),
            implicit,
            high_water: 300,
            ..ChannelConfig::plain(Side::Server)
        };
        let mut wire = Self {
            channel: Channel::new(Echo::new(implicit), config),
            rx: BytesMut::new(),
            tx: Outbox::new(1000),
            far: FakeClient.engine(Some("mx.example.org")).expect("a short name"),
            far_says: Outbox::new(usize::MAX),
            said: Vec::new(),
            plain: Vec::new(),
            heard: BytesMut::new(),
            coming: Vec::new(),
            now: Now::default(),
            piece,
            done: None,
            steps: Steps::of(input.len(), 100, 2000),
        };
        wire.turn();
        while !choices.is_empty() && wire.done.is_none() {
            wire.happen(&mut choices);
        }
        wire.channel.close(Close::Eof);
        wire.turn();
        wire.channel.close(Close::Shutdown);
        wire.turn();
        wire.outcome()
    }

    fn happen(&mut self, choices: &mut Choices<'_>) {
        let (how, octets) = (choices.below(8), choices.below(64));
        match how {
            // As it stands: words before TLS, and no record behind that.
            0 => {
                let said = choices.take(octets).to_vec();
                self.feed(&said);
            }
            1 | 2 => {
                let said = choices.take(octets);
                self.said.extend_from_slice(said);
                self.far_says.put(said);
                self.far_speaks(None);
            }
            3 => {
                let said = b"changed\r\n";
                self.far_says.put(said);
                // During the handshake nothing leaves, and nothing is changed: it is said unchanged later.
                if !self.far_speaks(Some(octets)) {
                    self.said.extend_from_slice(said);
                }
            }
            4 => {
                let mut tx = Outbox::new(usize::MAX);
                self.far.close(&mut tx);
                self.feed(&tx.copy_to_bytes(tx.len()));
            }
            5 => self.channel.close([Close::Eof, Close::Error, Close::Shutdown][octets % 3]),
            6 => self.now.mono = self.now.mono.after(Duration::from_secs(octets as u64)),
            _ => self.far_hears(&[]),
        }
        self.turn();
        while !self.coming.is_empty() {
            let coming = std::mem::take(&mut self.coming);
            self.feed(&coming);
        }
    }

    /// What the far end has to say goes onto the wire; one octet of it may be another. Whether anything left.
    fn far_speaks(&mut self, changed: Option<usize>) -> bool {
        let mut tx = Outbox::new(usize::MAX);
        if self.far.encrypt(&mut self.far_says, &mut tx).is_err() {
            self.far_says.clear();
        }
        let mut records = tx.copy_to_bytes(tx.len()).to_vec();
        let length = records.len().max(1);
        if let Some(octet) = changed.and_then(|at| records.get_mut(at % length)) {
            *octet ^= 0x10;
        }
        self.feed(&records);
        !records.is_empty()
    }

    /// Octets arrive, in pieces. Before TLS a piece is what is said at once: what stands behind the word that asks for TLS
    /// is neither cut from it nor joined to it.
    fn feed(&mut self, octets: &[u8]) {
        let piece = if self.channel.session().layered { self.piece } else { usize::MAX };
        for piece in octets.chunks(piece.min(octets.len()).max(1)) {
            self.rx.extend_from_slice(piece);
            self.turn();
        }
    }

    /// The channel's turns, until it waits for the peer.
    fn turn(&mut self) {
        while self.done.is_none() {
            self.steps.step();
            let layered = self.channel.session().layered;
            let step = self.channel.poll(self.now, &mut self.rx, &mut self.tx);
            let sent = self.tx.copy_to_bytes(self.tx.len());
            // The go-ahead is the last that is said in plaintext.
            if layered {
                self.far_hears(&sent)
            } else {
                self.plain.extend_from_slice(&sent)
            }
            match step {
                Step::Done(end) => self.done = Some(end),
                Step::Wait(wait) => {
                    assert!(wait.read || wait.on != WaitingOn::Peer || self.channel.session().closed.is_some());
                    if sent.is_empty() {
                        return;
                    }
                }
                Step::More => {}
                Step::Act(never) => match never {},
            }
        }
    }

    fn far_hears(&mut self, sent: &[u8]) {
        let (mut rx, mut tx) = (BytesMut::from(sent), Outbox::new(usize::MAX));
        loop {
            let before = rx.len();
            let state = self.far.decrypt(Wall(0), &mut rx, &mut self.heard, usize::MAX, &mut tx);
            if state.is_err() || state == Ok(TlsState::Closed) || rx.len() == before {
                break;
            }
        }
        self.coming.extend_from_slice(&tx.copy_to_bytes(tx.len()));
    }

    /// Whatever the wire did: what is heard inside TLS answers what was said inside, and nothing else.
    fn outcome(self) -> Outcome {
        assert!(self.done.is_some(), "it does not end");
        let expected = Echo::answers(&self.said);
        assert!(expected.starts_with(&self.heard), "{} to {}", self.heard.escape_ascii(), self.said.escape_ascii());
        let session = self.channel.into_inner();
        (self.plain, self.heard.to_vec(), session.closes, self.done)
    }
}

/// Says every line back; `TLS` asks for it, `QUIT` is the end.
struct Echo {
    lines: LineReader,
    /// TLS was asked for.
    layered: bool,
    greeted: bool,
    closed: Option<Close>,
    closes: Vec<Close>,
}

impl Echo {
    fn new(layered: bool) -> Self {
        Self { lines: LineReader::new(64), layered, greeted: false, closed: None, closes: Vec::new() }
    }

    /// What it says to this under TLS.
    fn answers(said: &[u8]) -> Vec<u8> {
        let (mut echo, mut tx) = (Self::new(true), Outbox::new(usize::MAX));
        let _ = echo.poll(Now::default(), &mut BytesMut::from(said), &mut tx);
        tx.copy_to_bytes(tx.len()).to_vec()
    }
}

impl Session for Echo {
    type Action = Infallible;

    fn poll(&mut self, _: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Self::Action> {
        if !std::mem::replace(&mut self.greeted, true) {
            tx.put(b"hello\r\n");
        }
        if let Some(why @ (Close::Error | Close::Layer | Close::Shutdown)) = self.closed {
            rx.clear();
            return Step::Done(if why == Close::Shutdown { End::Shutdown } else { End::Broken });
        }
        while !tx.is_full() {
            let Some(line) = self.lines.next(rx) else { break };
            match line {
                Line::Whole(line) if &line[..] == b"TLS" && !self.layered => {
                    tx.put(b"go\r\n");
                    self.layered = true;
                    return Step::Upgrade(Layer::Tls);
                }
                Line::Whole(line) if &line[..] == b"QUIT" => {
                    rx.clear();
                    return Step::Done(End::Quit);
                }
                Line::Whole(line) => [&line[..], b"\r\n"].iter().for_each(|part| tx.put(part)),
                _ => tx.put(b"what?\r\n"),
            }
        }
        if tx.is_full() {
            return Step::Wait(Wait { read: false, until: None, on: WaitingOn::Flush });
        }
        if self.closed.is_some() {
            return Step::Done(End::Eof);
        }
        Step::Wait(Wait { read: true, until: None, on: WaitingOn::Peer })
    }

    fn close(&mut self, why: Close) {
        self.closes.push(why);
        if self.closed.is_none() || why != Close::Eof {
            self.closed = Some(why);
        }
    }

    fn upgraded(&mut self, _: LayerInfo) {
        // What was said before it counts for nothing.
        self.lines = LineReader::new(64);
        self.greeted = false;
    }
}

/// Conversations to begin with, with what may go wrong in them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let say = |how: u8, text: &str| [&[how, text.len() as u8][..], text.as_bytes()].concat();
    let begin: [u8; 2] = [7, 0];
    let mut seeds = Vec::new();
    for wrong in [&[3_u8, 9][..], &[4, 0], &[5, 0], &[5, 1], &[5, 2], &[6, 40], &[0, 4, b'w', b'h', b'a', b't']] {
        let talk = [say(1, "hello\r\nwor"), say(2, "ld\r\n"), wrong.to_vec(), say(1, "QUIT\r\n")].concat();
        seeds.push([&[1][..], &begin, &talk].concat());
        seeds.push([&[0][..], &say(0, "hi\r\nTLS\r\n"), &begin, &talk].concat());
        seeds.push([&[0][..], &say(0, "TLS\r\n"), wrong, &begin, &talk].concat());
        seeds.push([&[0][..], &say(0, "TLS\r\nQUIT\r\n"), &begin, &talk].concat());
    }
    seeds
}
