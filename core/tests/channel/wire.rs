//! One end of a wire, and two ends joined by one that cuts the bytes where a seed says.

use std::sync::Arc;
#[cfg(feature = "tls")]
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::tls::TlsFactory;
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_core::{Answer as _, Close, End, Mono, Now, Outbox, Random, Seed, Session, Step, Wait, Wall};

use crate::toy::{Act, Client, Server};

/// Server and client side of one engine.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) server: Arc<dyn TlsFactory>,
    pub(crate) client: Arc<dyn TlsFactory>,
}

/// A certificate and its key, made once.
#[cfg(feature = "tls")]
pub(crate) static PEM: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(vec!["mx.example.org".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

/// Every engine there is.
pub(crate) fn engines() -> Vec<Engines> {
    #[allow(unused_mut)] // Without rustls there is but one.
    let mut all = vec![Engines { server: Arc::new(FakeServer), client: Arc::new(FakeClient) }];
    #[cfg(feature = "tls")]
    {
        use pillarbox_core::tls::rustls::{RustlsClient, RustlsServer};
        let server = RustlsServer::from_pem(PEM.0.as_bytes(), PEM.1.as_bytes()).unwrap();
        all.push(Engines { server: Arc::new(server), client: Arc::new(RustlsClient::opportunistic()) });
    }
    all
}

pub(crate) const HIGH_WATER: usize = 8 * 1024;

pub(crate) fn config(side: Side, tls: Option<&Arc<dyn TlsFactory>>, implicit: bool) -> ChannelConfig {
    ChannelConfig {
        tls: tls.cloned(),
        server_name: (side == Side::Client).then(|| "mx.example.org".into()),
        implicit,
        high_water: HIGH_WATER,
        handshake_timeout: Duration::from_secs(30),
        ..ChannelConfig::plain(side)
    }
}

/// One end: a channel, its buffers, and what came of it.
pub(crate) struct Node<S> {
    pub(crate) channel: Channel<S>,
    pub(crate) rx: BytesMut,
    pub(crate) tx: Outbox,
    pub(crate) now: Now,
    pub(crate) wait: Option<Wait>,
    pub(crate) end: Option<End>,
    /// Bodies joined, questions in brackets.
    pub(crate) acts: Vec<u8>,
    /// The most that stood in `tx`.
    pub(crate) peak: usize,
}

/// How a toy's question is answered, where it has any.
pub(crate) trait Host: Session<Action = Act> + Sized {
    fn reply(channel: &mut Channel<Self>, act: Act, acts: &mut Vec<u8>);
}

impl Host for Server {
    fn reply(channel: &mut Channel<Self>, act: Act, acts: &mut Vec<u8>) {
        match act {
            Act::Body(bytes) => acts.extend_from_slice(&bytes),
            Act::Ask(line, ticket) => {
                acts.extend_from_slice(format!("[{line}]").as_bytes());
                channel.answer(ticket, line.to_uppercase()).unwrap();
            }
        }
    }
}

impl Host for Client {
    fn reply(_: &mut Channel<Self>, _: Act, _: &mut Vec<u8>) {}
}

impl<S: Host> Node<S> {
    pub(crate) fn new(session: S, config: ChannelConfig) -> Self {
        Self {
            channel: Channel::new(session, config),
            rx: BytesMut::new(),
            tx: Outbox::new(HIGH_WATER),
            now: Now { mono: Mono(1), wall: Wall(1_795_379_126_000) },
            wait: None,
            end: None,
            acts: Vec::new(),
            peak: 0,
        }
    }

    /// Polls until there is nothing to do; checks that this is stable.
    pub(crate) fn turn(&mut self) {
        let mut fuel = 100_000;
        loop {
            fuel -= 1;
            assert!(fuel > 0, "no end of steps");
            match self.channel.poll(self.now, &mut self.rx, &mut self.tx) {
                Step::Act(act) => S::reply(&mut self.channel, act, &mut self.acts),
                Step::More => {}
                Step::Wait(wait) => {
                    assert!(wait.until.is_none_or(|until| until > self.now.mono), "a deadline in the past");
                    let (held, said) = (self.rx.len(), self.tx.appended());
                    let again = self.channel.poll(self.now, &mut self.rx, &mut self.tx);
                    let Step::Wait(again) = again else { panic!("{wait:?}, then {again:?}") };
                    assert_eq!((again, self.rx.len(), self.tx.appended()), (wait, held, said), "a wait is stable");
                    self.wait = Some(wait);
                    break;
                }
                Step::Done(end) => {
                    assert!(self.end.is_none_or(|before| before == end), "done is done");
                    self.end = Some(end);
                    break;
                }
            }
            self.peak = self.peak.max(self.tx.len());
        }
        self.peak = self.peak.max(self.tx.len());
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.rx.extend_from_slice(bytes);
        self.turn();
    }

    pub(crate) fn close(&mut self, why: Close) {
        self.channel.close(why);
        self.turn();
    }

    pub(crate) fn wants_to_read(&self) -> bool {
        self.end.is_none() && self.wait.is_none_or(|wait| wait.read)
    }

    /// Takes up to `n` bytes off the wire's end of `tx`, then lets the channel see the room.
    pub(crate) fn take(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.tx.len());
        let bytes = self.tx.copy_to_bytes(n).to_vec();
        self.turn();
        bytes
    }

    /// Time passes; nothing may happen before the announced deadline, and something must at it.
    pub(crate) fn sleep_until_deadline(&mut self) {
        let until = self.wait.and_then(|wait| wait.until).expect("a deadline");
        let before = (self.wait, self.tx.appended());
        self.now.mono = Mono(until.0 - 1);
        self.turn();
        assert_eq!(
            (self.wait, self.tx.appended(), self.end),
            (before.0, before.1, None),
            "nothing before the deadline"
        );
        self.now.mono = until;
        self.turn();
        assert!(self.end.is_some() || self.wait != before.0, "progress at the deadline");
    }
}

/// A server and a client on one wire.
pub(crate) struct Pair {
    pub(crate) server: Node<Server>,
    pub(crate) client: Node<Client>,
}

impl Pair {
    pub(crate) fn new(engines: &Engines, implicit: bool, script: &[&[u8]]) -> Self {
        Self {
            server: Node::new(Server::new(), config(Side::Server, Some(&engines.server), implicit)),
            client: Node::new(Client::new(script), config(Side::Client, Some(&engines.client), implicit)),
        }
    }

    /// Carries bytes both ways in pieces until nothing moves. `cut` of 0: all at once; else pieces of 1 to `cut` bytes.
    pub(crate) fn run(&mut self, seed: u64, cut: usize) {
        let mut random = Random::new(&Seed::number(seed));
        self.server.turn();
        self.client.turn();
        loop {
            let mut piece = || if cut == 0 { usize::MAX } else { 1 + random.below(cut) };
            let mut moved = carry(&mut self.server, &mut self.client, piece());
            moved |= carry(&mut self.client, &mut self.server, piece());
            if !moved {
                break;
            }
        }
        // Whoever is done has closed; the other one sees it.
        if self.client.end.is_some() && self.server.end.is_none() {
            self.server.close(Close::Eof);
        }
        if self.server.end.is_some() && self.client.end.is_none() {
            self.client.close(Close::Eof);
        }
    }
}

fn carry<A: Host, B: Host>(from: &mut Node<A>, to: &mut Node<B>, n: usize) -> bool {
    if from.tx.is_empty() || !to.wants_to_read() && to.end.is_none() {
        return false;
    }
    let bytes = from.take(n);
    if to.end.is_none() {
        to.feed(&bytes);
    }
    true
}
