//! A machine under TLS, seen from the far end of it: what is fed is encrypted by a client's engine, and what comes out is
//! decrypted by it. So every dialogue and every law of a machine is one of [`Channel`], too.
//!
//! The engine is the fake one, so that runs are the same bit for bit. The wire between the two ends is cut in pieces.
//! Between [`tap`] and [`tapped`] every new channel has a tap on it.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::channel::{Channel, ChannelConfig, Side, Tap};
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_core::tls::{TlsEngine, TlsFactory as _, TlsState};
use pillarbox_core::{Close, Direction, LayerInfo, Now, Outbox, SecretSpan, Seed, Session, SessionId, Step, Wall};

use crate::subject::{Bounds, Event, NotAnswered, Role, Settings, Subject};

/// Bytes of one piece of the wire: fewer than a record's header, so that everything is cut.
const PIECE: usize = 5;

/// Longest run of such pieces; what is longer comes in larger ones, so that floods take no ages.
const PIECES: usize = 200;

/// `B` under TLS.
pub struct Tunnelled<B: Subject> {
    inner: Rc<RefCell<B>>,
    tunnel: Tunnel<B>,
}

/// The channel, and the far end of its wire.
pub struct Tunnel<B: Subject> {
    channel: Channel<Inside<B>>,
    rx: BytesMut,
    tx: Outbox,
    far: Box<dyn TlsEngine>,
    up: bool,
    /// What the far end has sent and the channel has not been given.
    wire: BytesMut,
    eof: Eof,
    wants: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Eof {
    No,
    /// The far end wants to close, behind what it has still to say.
    Wanted,
    /// close_notify is on the wire.
    Sent,
    Told,
}

/// The machine inside the channel: the one that the host binding answers.
pub struct Inside<B: Subject> {
    subject: Rc<RefCell<B>>,
    /// Of the last poll.
    secrets: Vec<SecretSpan>,
}

impl<B: Subject> Session for Inside<B> {
    type Action = <B::Session as Session>::Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Self::Action> {
        let mut subject = self.subject.borrow_mut();
        let step = subject.session().poll(now, rx, tx);
        self.secrets.clear();
        self.secrets.extend_from_slice(subject.session().secrets());
        step
    }

    fn close(&mut self, why: Close) {
        self.subject.borrow_mut().session().close(why);
    }

    /// The dialogues tell of machines without TLS: this one is not to know.
    fn upgraded(&mut self, _layer: LayerInfo) {}

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

thread_local! {
    static TAPPED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Puts a tap on every channel that this thread makes from now on.
pub fn tap() {
    TAPPED.set(Some(Vec::new()));
}

/// What the taps saw; new channels have none.
pub fn tapped() -> Vec<u8> {
    TAPPED.take().unwrap_or_default()
}

struct Recorder;

impl Tap for Recorder {
    fn bytes(&mut self, _direction: Direction, bytes: &[u8]) {
        TAPPED.with_borrow_mut(|all| all.get_or_insert_default().extend_from_slice(bytes));
    }
}

impl<B: Subject> Tunnel<B> {
    fn new(inner: Rc<RefCell<B>>, high_water: usize) -> Self {
        let config = ChannelConfig {
            tls: Some(std::sync::Arc::new(FakeServer)),
            implicit: true,
            high_water,
            ..ChannelConfig::plain(Side::Server)
        };
        let mut channel = Channel::new(Inside { subject: inner, secrets: Vec::new() }, config);
        if TAPPED.with_borrow(Option::is_some) {
            channel.set_tap(Some(Box::new(Recorder)));
        }
        Self {
            channel,
            rx: BytesMut::new(),
            tx: Outbox::new(high_water),
            far: FakeClient.engine(None).expect("no name is too long"),
            up: false,
            wire: BytesMut::new(),
            eof: Eof::No,
            wants: true,
        }
    }

    /// The far end says what is in `rx`, as far as the channel wants to read, and then closes if it is to.
    fn say(&mut self, rx: &mut BytesMut) {
        let mut records = Outbox::new(usize::MAX);
        if !rx.is_empty() {
            let mut plain = Outbox::new(usize::MAX);
            plain.push(rx.split().freeze());
            self.far.encrypt(&mut plain, &mut records).expect("the far end is up");
        } else if self.eof == Eof::Wanted {
            self.far.close(&mut records);
            self.eof = Eof::Sent;
        }
        records.slices().for_each(|slice| self.wire.extend_from_slice(slice));
    }

    /// The far end hears what the channel said, as far as `tx` has room, or all of it. Whether it heard anything.
    fn hear(&mut self, tx: &mut Outbox, all: bool) -> bool {
        let mut heard = false;
        while !self.tx.is_empty() && (all || !self.up || !tx.is_full()) {
            heard = true;
            let n = self.tx.chunk().len();
            let mut records = BytesMut::from(&self.tx.copy_to_bytes(n)[..]);
            let (mut plain, mut back) = (BytesMut::new(), Outbox::new(usize::MAX));
            while !records.is_empty() {
                match self.far.decrypt(Wall(0), &mut records, &mut plain, usize::MAX, &mut back) {
                    Ok(state) => self.up |= matches!(state, TlsState::Up(_)),
                    Err(_) => return heard,
                }
            }
            back.slices().for_each(|slice| self.wire.extend_from_slice(slice));
            tx.put(&plain);
        }
        heard
    }

    fn shake_hands(&mut self, now: Now) {
        let mut hello = Outbox::new(usize::MAX);
        let begun = self.far.decrypt(now.wall, &mut BytesMut::new(), &mut BytesMut::new(), 1, &mut hello);
        begun.expect("a client begins");
        hello.slices().for_each(|slice| self.wire.extend_from_slice(slice));
        while !self.up {
            self.rx.extend_from_slice(&self.wire.split());
            let Step::Wait(_) = self.channel.poll(now, &mut self.rx, &mut self.tx) else { return };
            self.hear(&mut Outbox::new(usize::MAX), true);
        }
    }
}

impl<B: Subject> Session for Tunnel<B> {
    type Action = <B::Session as Session>::Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Self::Action> {
        if !self.up {
            self.shake_hands(now);
        }
        let mut heard = self.hear(tx, false);
        loop {
            if self.wants {
                if self.wire.is_empty() {
                    self.say(rx);
                }
                let piece = PIECE.max(self.wire.len() / PIECES).min(self.wire.len());
                self.rx.extend_from_slice(&self.wire.split_to(piece));
                if self.wire.is_empty() && self.eof == Eof::Sent {
                    self.eof = Eof::Told;
                    self.channel.close(Close::Eof);
                }
            }
            let wait = match self.channel.poll(now, &mut self.rx, &mut self.tx) {
                Step::Wait(wait) => wait,
                Step::Done(end) => {
                    rx.clear();
                    self.hear(tx, true);
                    return Step::Done(end);
                }
                Step::Act(action) => {
                    self.hear(tx, false);
                    return Step::Act(action);
                }
                Step::More => {
                    self.hear(tx, false);
                    return Step::More;
                }
            };
            self.wants = wait.read;
            heard |= self.hear(tx, false);
            let more = !rx.is_empty() || !self.wire.is_empty() || matches!(self.eof, Eof::Wanted | Eof::Sent);
            if std::mem::take(&mut heard) || self.wants && more {
                continue;
            }
            return Step::Wait(wait);
        }
    }

    fn close(&mut self, why: Close) {
        match why {
            Close::Eof if self.eof == Eof::No => self.eof = Eof::Wanted,
            Close::Eof => {}
            why => self.channel.close(why),
        }
    }

    fn upgraded(&mut self, _layer: LayerInfo) {}
}

impl<B: Subject> Subject for Tunnelled<B> {
    type Session = Tunnel<B>;
    type Question = B::Question;

    const ROLE: Role = B::ROLE;
    const HEARS_OUT: bool = B::HEARS_OUT;

    fn new(settings: &Settings, id: SessionId, seed: Seed) -> Result<Self, String> {
        let inner = B::new(settings, id, seed)?;
        let high_water = inner.bounds().session.high_water;
        let inner = Rc::new(RefCell::new(inner));
        Ok(Self { tunnel: Tunnel::new(Rc::clone(&inner), high_water), inner })
    }

    fn session(&mut self) -> &mut Tunnel<B> {
        &mut self.tunnel
    }

    fn bounds(&self) -> Bounds {
        self.inner.borrow().bounds()
    }

    fn event(&mut self, action: <Tunnel<B> as Session>::Action) -> Event<B::Question> {
        self.inner.borrow_mut().event(action)
    }

    fn answer(&mut self, question: B::Question, text: &str) -> Result<(), NotAnswered> {
        self.inner.borrow_mut().answer(question, text)
    }

    fn answers(question: &B::Question) -> Vec<String> {
        B::answers(question)
    }

    fn check_output(sent: &[u8], ended: bool) -> Result<(), String> {
        B::check_output(sent, ended)
    }

    fn vocabulary() -> &'static [&'static str] {
        B::vocabulary()
    }
}
