//! A machine on the bench: its buffers, its clock, its open questions, and the checks that hold at every single poll.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::{
    Close, Direction, End, Layer, LayerInfo, Mono, Now, Outbox, Seed, Session as _, SessionId, Step, TlsInfo, Wait,
    WaitingOn, Wall,
};

use crate::dialogue::Upgrade;
use crate::subject::{Bounds, Event, Kind, NotAnswered, Range, Settings, Shows, Subject};

/// A machine between buffers, with a clock that stands still until it is moved.
///
/// Every [`poll`](Self::poll) checks what can be checked at any time: that the bounds are kept, that a deadline lies
/// ahead, that nobody waits for nothing, that `Done` stays `Done`, and that what is held outside is given back.
pub struct Bench<S: Subject> {
    subject: S,
    bounds: Bounds,
    rx: BytesMut,
    tx: Outbox,
    now: Now,
    open: Vec<Open<S::Question>>,
    /// Questions that were taken out.
    lent: usize,
    next_question: usize,
    /// What the host holds or held for the machine, and whether it still does.
    held: BTreeMap<String, bool>,
    sent: Vec<u8>,
    consumed: u64,
    fed: Vec<u8>,
    masked: Vec<(Direction, u64, u64)>,
    closed: bool,
    done: Option<End>,
    forgetful: bool,
    /// A layer was asked for, and is not up yet.
    upgrading: Option<Layer>,
}

/// A question that is still open.
#[derive(Debug)]
pub struct Open<Q> {
    /// Its number on this bench, from 0.
    pub number: usize,
    /// What happens when nobody answers.
    pub kind: Kind,
    question: Q,
    chunk: bool,
    /// What it was asked for is given back: nobody needs its answer any more.
    void: bool,
    asked: Mono,
}

/// What a poll brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An action; a question has its number here.
    Act {
        /// How it reads.
        shows: Shows,
        /// The number of the question, if it is one.
        question: Option<usize>,
        /// The range it asks for, if it asks for one.
        range: Option<Range>,
    },
    /// A layer is asked for: [`Bench::upgrade`] comes next.
    Upgrade(Layer),
    /// The step budget is spent.
    More,
    /// Nothing to do.
    Wait(Wait),
    /// Over.
    Done(End),
}

/// A law is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which law, 1 to 7.
    pub law: u8,
    /// How.
    pub what: String,
}

impl Breach {
    /// Law number `law` is broken: `what` happened.
    #[must_use]
    pub fn of(law: u8, what: impl Into<String>) -> Self {
        Self { law, what: what.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.law {
            1 => "drain",
            2 => "honest deadline",
            3 => "split invariance",
            4 => "one question, one answer",
            5 => "bounded",
            6 => "pure",
            _ => "total",
        };
        write!(f, "law {} ({name}): {}", self.law, self.what)
    }
}

impl<S: Subject> Bench<S> {
    /// A fresh machine. The clock begins at Sun, 22 Nov 2026 20:25:26 +0000.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn new(settings: &Settings, id: SessionId) -> Result<Self, String> {
        let subject = S::new(settings, id, Seed::number(1))?;
        let bounds = subject.bounds();
        Ok(Self {
            subject,
            rx: BytesMut::new(),
            tx: Outbox::new(bounds.session.high_water),
            bounds,
            now: Now { mono: Mono(1_000_000_000_000), wall: Wall(1_795_379_126_000) },
            open: Vec::new(),
            lent: 0,
            next_question: 0,
            held: BTreeMap::new(),
            sent: Vec::new(),
            consumed: 0,
            fed: Vec::new(),
            masked: Vec::new(),
            closed: false,
            done: None,
            forgetful: false,
            upgrading: None,
        })
    }

    /// Polls once. A machine that has asked for a layer is not polled before the layer is up or the connection ends.
    ///
    /// # Errors
    /// A law is broken for everyone to see.
    pub fn poll(&mut self) -> Result<Seen, Breach> {
        if let Some(layer) = self.upgrading {
            return Ok(Seen::Upgrade(layer));
        }
        let (rx, tx, appended) = (self.rx.len(), self.tx.len(), self.tx.appended());
        let step = self.subject.session().poll(self.now, &mut self.rx, &mut self.tx);
        if self.rx.len() > rx {
            return Err(Breach::of(3, "the machine put bytes into rx"));
        }
        let before = self.consumed;
        self.consumed += (rx - self.rx.len()) as u64;
        self.check_bytes(tx, before, appended)?;
        if let Some(end) = self.done {
            let same = matches!(step, Step::Done(again) if again == end);
            if !same || self.tx.len() != tx {
                return Err(Breach::of(7, format!("after Done({end}) came something else")));
            }
        }
        match step {
            Step::Act(action) => self.act(action),
            Step::Upgrade(layer) => {
                self.upgrading = Some(layer);
                Ok(Seen::Upgrade(layer))
            }
            Step::More => Ok(Seen::More),
            Step::Wait(wait) => self.check_wait(wait),
            Step::Done(end) => {
                if let Some((name, _)) = self.held.iter().find(|(_, held)| **held) {
                    return Err(Breach::of(7, format!("Done({end}) came before {name} was given back")));
                }
                self.done = Some(end);
                Ok(Seen::Done(end))
            }
        }
    }

    /// The peer reads up to `most` bytes of what was sent; they come back as a slice.
    pub fn flush(&mut self, most: usize) -> &[u8] {
        if self.forgetful {
            self.sent.clear();
        }
        let start = self.sent.len();
        let mut left = most.min(self.tx.len());
        while left > 0 {
            let chunk = self.tx.chunk();
            let n = chunk.len().min(left);
            self.sent.extend_from_slice(&chunk[..n]);
            self.tx.advance(n);
            left -= n;
        }
        &self.sent[start..]
    }

    /// From now on the bench remembers nothing of what passes, so that memory can be measured.
    pub fn forget(&mut self) {
        self.forgetful = true;
    }

    /// The peer says `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.rx.extend_from_slice(bytes);
        if !self.forgetful {
            self.fed.extend_from_slice(bytes);
        }
    }

    /// The connection ends.
    pub fn close(&mut self, why: Close) {
        self.closed = true;
        self.upgrading = None;
        self.subject.session().close(why);
    }

    /// The layer that was asked for is up, or failed.
    pub fn upgrade(&mut self, upgrade: Upgrade) {
        if upgrade == Upgrade::Fails {
            return self.close(Close::Layer);
        }
        self.upgrading = None;
        let verified = upgrade == Upgrade::Verified;
        let info = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified };
        self.subject.session().upgraded(LayerInfo::Tls(info));
    }

    /// Answers the open question with this number.
    ///
    /// # Errors
    /// The text is no answer to it, or the machine takes the ticket for another's.
    pub fn answer(&mut self, number: usize, text: &str) -> Result<(), NotAnswered> {
        let Some(at) = self.open.iter().position(|open| open.number == number) else {
            return Err(NotAnswered::Text(format!("question {number} is not open")));
        };
        let open = self.open.remove(at);
        self.answer_with(open, text)
    }

    /// Takes an open question out, to be answered late, elsewhere, or never.
    pub fn take(&mut self, number: usize) -> Option<Open<S::Question>> {
        let at = self.open.iter().position(|open| open.number == number)?;
        self.lent += 1;
        Some(self.open.remove(at))
    }

    /// Answers a question that was taken out, perhaps of another bench.
    ///
    /// # Errors
    /// The text is no answer to it, or the machine takes the ticket for another's.
    pub fn answer_with(&mut self, open: Open<S::Question>, text: &str) -> Result<(), NotAnswered> {
        self.subject.answer(open.question, text)
    }

    /// The questions that are open, oldest first.
    pub fn open(&self) -> &[Open<S::Question>] {
        &self.open
    }

    /// Moves both clocks.
    pub fn advance(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono.after(by), wall: self.now.wall.after(by) };
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The bounds of the machine.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Everything the peer has read so far.
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Bytes consumed so far.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Bytes that wait in `rx` and in `tx`.
    pub fn waiting(&self) -> (usize, usize) {
        (self.rx.len(), self.tx.len())
    }

    /// How it ended, if it did.
    pub fn done(&self) -> Option<End> {
        self.done
    }

    /// What a tap sees of one direction: everything but the secret spans.
    pub fn tapped(&self, direction: Direction) -> Vec<u8> {
        let bytes = if direction == Direction::In { &self.fed } else { &self.sent };
        let mut seen = bytes.clone();
        for &(_, start, end) in self.masked.iter().filter(|(which, ..)| *which == direction) {
            let end = usize::try_from(end).unwrap_or(usize::MAX).min(seen.len());
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(end);
            seen[start..end].fill(b'#');
        }
        seen
    }

    fn act(&mut self, action: <S::Session as pillarbox_core::Session>::Action) -> Result<Seen, Breach> {
        let Event { shows, ask, range, takes, gives } = self.subject.event(action);
        if let Some(name) = gives {
            if self.held.insert(name.clone(), false) != Some(true) {
                return Err(Breach::of(7, format!("{name} is given back, and is not held")));
            }
            self.open.iter_mut().filter(|open| open.chunk).for_each(|open| open.void = true);
        }
        if let Some(name) = takes {
            self.held.insert(name, true);
        }
        let chunk = match &shows {
            Shows::Chunk(bytes) if bytes.is_empty() => return Err(Breach::of(3, "an empty chunk")),
            Shows::Chunk(bytes) if bytes.len() > self.bounds.session.chunk => {
                return Err(Breach::of(5, format!("a chunk of {} bytes", bytes.len())));
            }
            Shows::Chunk(_) => true,
            Shows::Text(_) => false,
        };
        let Some((kind, question)) = ask else { return Ok(Seen::Act { shows, question: None, range }) };
        let number = self.next_question;
        self.next_question += 1;
        self.open.push(Open { number, kind, question, chunk, void: false, asked: self.now.mono });
        self.check_open()?;
        Ok(Seen::Act { shows, question: Some(number), range })
    }

    fn check_open(&self) -> Result<(), Breach> {
        // A question past the answer timeout has met it: its ticket lies here, the machine has forgotten it.
        let patience = self.bounds.session.answer_timeout;
        let live = || self.open.iter().filter(|open| !open.void && self.now.mono - open.asked < patience);
        let chunks = live().filter(|open| open.chunk).count();
        if chunks > self.bounds.session.window {
            return Err(Breach::of(5, format!("{chunks} chunks are unanswered")));
        }
        let open = live().count();
        if open > self.bounds.open {
            return Err(Breach::of(5, format!("{open} questions are open")));
        }
        Ok(())
    }

    fn check_bytes(&mut self, tx: usize, consumed: u64, appended: u64) -> Result<(), Breach> {
        // One reply or one chunk past the mark, and dot-stuffing may add a byte to every three.
        let limits = &self.bounds.session;
        let most = limits.high_water + 2 * limits.chunk + 4096;
        if self.tx.len() > most.max(tx) {
            return Err(Breach::of(5, format!("{} bytes in tx", self.tx.len())));
        }
        for span in self.subject.session().secrets() {
            let (from, to) = match span.direction {
                Direction::In => (consumed, self.consumed),
                Direction::Out => (appended, self.tx.appended()),
            };
            if self.done.is_none() && (span.start > span.end || span.start < from || span.end > to) {
                let moved = format!("{from}..{to}");
                return Err(Breach::of(7, format!("{span:?} lies outside of what this poll moved, {moved}")));
            }
            self.masked.push((span.direction, span.start, span.end));
        }
        Ok(())
    }

    fn check_wait(&self, wait: Wait) -> Result<Seen, Breach> {
        if wait.until.is_some_and(|until| until <= self.now.mono) {
            return Err(Breach::of(2, format!("it waits until a time that has come: {wait:?} at {:?}", self.now.mono)));
        }
        if wait.on == WaitingOn::Flush && self.tx.is_empty() {
            return Err(Breach::of(1, "it waits for a flush, and tx is empty"));
        }
        if wait.on == WaitingOn::Answer && self.open.is_empty() && self.lent == 0 {
            return Err(Breach::of(4, "it waits for an answer, and every question is answered"));
        }
        if wait.on == WaitingOn::Peer && !wait.read && !self.closed {
            return Err(Breach::of(1, "it waits for the peer, and does not read"));
        }
        if wait.read && self.rx.len() > self.bounds.line {
            return Err(Breach::of(5, format!("it wants to read on, with {} bytes in rx", self.rx.len())));
        }
        Ok(Seen::Wait(wait))
    }
}

impl<Q> Open<Q> {
    /// The question itself.
    pub fn question(&self) -> &Q {
        &self.question
    }

    /// When it was asked.
    pub fn asked(&self) -> Mono {
        self.asked
    }
}

impl<S: Subject> fmt::Debug for Bench<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench")
            .field("rx", &self.rx.len())
            .field("tx", &self.tx.len())
            .field("open", &self.open.len())
            .field("held", &self.held)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
