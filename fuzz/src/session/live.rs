//! A session that lives through a script, and what is remembered of it: a story that can be told again in other ways.

use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::Mono;
use pillarbox_tests::bench::{Bench, Breach, Seen};
use pillarbox_tests::dialogue::{Asked, Key, Story, Turn, Upgrade};
use pillarbox_tests::subject::Shows;
use pillarbox_tests::{NotAnswered, Subject};

use super::script::Event;
use crate::gauge::Steps;

/// Deadlines on which one stretch of time stops at most.
const DEADLINES: usize = 64;

/// The session, and its story.
pub(crate) struct Live<S: Subject> {
    pub(crate) bench: Bench<S>,
    pub(crate) story: Story,
    open: Vec<Waiting>,
    /// The run of chunks we are in, and how far.
    run: (usize, usize),
    upgrading: bool,
    /// What the peer reads of each poll's words.
    reads: usize,
    steps: Steps,
}

/// A question that waits for its answer.
struct Waiting {
    number: usize,
    /// Its place in the story.
    ask: usize,
    /// How many turns the story had when it was asked.
    turns: usize,
}

impl<S: Subject> Live<S> {
    pub(crate) fn new(bench: Bench<S>, steps: Steps) -> Self {
        Self {
            bench,
            story: Story::default(),
            open: Vec::new(),
            run: (0, 0),
            upgrading: false,
            reads: usize::MAX,
            steps,
        }
    }

    /// Lives through all of it, or until the session is over.
    pub(crate) fn run(&mut self, events: &[Event<'_>]) -> Result<(), Breach> {
        self.settle()?;
        for (at, event) in events.iter().enumerate() {
            if self.bench.done().is_some() {
                break;
            }
            let next = events.get(at + 1);
            self.happen(event, matches!(next, Some(Event::Close { unread: true, .. })))?;
        }
        // Whatever the peer has left lying he reads in the end.
        self.reads = usize::MAX;
        self.settle()?;
        self.bench.flush(usize::MAX);
        Ok(())
    }

    fn happen(&mut self, event: &Event<'_>, unread: bool) -> Result<(), Breach> {
        if self.upgrading && !matches!(event, Event::Layer(_) | Event::Close { .. }) {
            self.layer(Upgrade::Up)?;
        }
        match event {
            Event::Say(said) => {
                self.story.turns.push(Turn::Feed { bytes: said.clone(), whole: unread });
                self.bench.feed(said);
                if unread { Ok(()) } else { self.settle().map(drop) }
            }
            Event::Answer { oldest, answer } => self.answer(*oldest, answer),
            Event::Pass(amount) => self.pass(*amount),
            Event::Close { why, .. } => {
                self.upgrading = false;
                self.story.turns.push(Turn::Close(*why));
                self.bench.close(*why);
                self.settle().map(drop)
            }
            Event::Layer(upgrade) if self.upgrading => self.layer(*upgrade),
            Event::Layer(_) => Ok(()),
            Event::Reads(octets) => {
                self.reads = *octets;
                self.settle().map(drop)
            }
        }
    }

    fn layer(&mut self, upgrade: Upgrade) -> Result<(), Breach> {
        self.upgrading = false;
        self.story.turns.push(Turn::Upgrade(upgrade));
        self.bench.upgrade(upgrade);
        self.settle().map(drop)
    }

    fn answer(&mut self, oldest: bool, answer: &[u8]) -> Result<(), Breach> {
        if self.open.is_empty() {
            return Ok(());
        }
        let Waiting { number, ask, turns } = self.open.remove(if oldest { 0 } else { self.open.len() - 1 });
        let Some(question) = self.bench.take(number) else { return Ok(()) };
        let text = match answer {
            [number] => {
                let mut answers = S::answers(question.question());
                answers.swap_remove(usize::from(*number) % answers.len())
            }
            text => String::from_utf8_lossy(text).into_owned(),
        };
        if is_excessive(&text) {
            return Ok(());
        }
        match self.bench.answer_with(question, &text) {
            Ok(()) => {}
            // Then nobody answers it any more.
            Err(NotAnswered::Text(_)) => return Ok(()),
            Err(NotAnswered::Misuse(misuse)) => return Err(Breach::of(4, format!("its own ticket: {misuse}"))),
        }
        if let Key::Range(range) = self.story.asks[ask].key.clone() {
            self.story.learn(&range, &text);
        }
        let prompt = turns == self.story.turns.len();
        let asked = &mut self.story.asks[ask];
        (asked.answer, asked.prompt) = (Some(text), prompt);
        if !prompt {
            self.story.turns.push(Turn::Answer(vec![ask]));
        }
        self.settle().map(drop)
    }

    fn pass(&mut self, amount: Option<Duration>) -> Result<(), Breach> {
        let now = self.bench.now().mono;
        let Some(until) = self.settle()? else {
            return match amount {
                Some(amount) => self.advance(amount),
                None => Ok(()),
            };
        };
        self.advance(amount.unwrap_or_else(|| now.until(until)))
    }

    fn advance(&mut self, amount: Duration) -> Result<(), Breach> {
        self.story.turns.push(Turn::After(amount));
        let target = self.bench.now().mono.after(amount);
        for _ in 0..DEADLINES {
            let until = self.settle()?.filter(|until| *until <= target);
            let now = self.bench.now().mono;
            self.bench.advance(now.until(until.unwrap_or(target)));
            if until.is_none() {
                break;
            }
        }
        self.settle().map(drop)
    }

    /// Polls until the session rests; until when.
    fn settle(&mut self) -> Result<Option<Mono>, Breach> {
        loop {
            if self.upgrading || self.bench.done().is_some() {
                return Ok(None);
            }
            self.steps.step();
            let seen = self.bench.poll()?;
            let flushed = self.bench.flush(self.reads).len();
            match seen {
                Seen::Act { shows, question, range } => {
                    let key = match (shows, range) {
                        (Shows::Chunk(bytes), _) => self.chunk(&bytes),
                        (Shows::Text(_), Some(range)) => {
                            self.end_run();
                            Key::Range(range)
                        }
                        (Shows::Text(text), None) => {
                            self.end_run();
                            let same = |asked: &&Asked| matches!(&asked.key, Key::Text(other, _) if *other == text);
                            let nth = self.story.asks.iter().filter(same).count();
                            Key::Text(text, nth)
                        }
                    };
                    if let Some(number) = question {
                        self.open.push(Waiting { number, ask: self.story.asks.len(), turns: self.story.turns.len() });
                        self.story.asks.push(Asked { key, answer: None, prompt: false });
                    }
                }
                Seen::Upgrade(_) => self.upgrading = true,
                Seen::Wait(_) if flushed > 0 => {}
                Seen::Wait(wait) => return Ok(wait.until),
                Seen::More | Seen::Done(_) => {}
            }
        }
    }

    fn chunk(&mut self, bytes: &Bytes) -> Key {
        let (run, start) = self.run;
        self.run.1 += bytes.len();
        Key::Chunk { run, start, end: start + bytes.len() }
    }

    fn end_run(&mut self) {
        if self.run.1 > 0 {
            self.run = (self.run.0 + 1, 0);
        }
    }
}

/// An answer that holds more than a machine would ever be given at once: `… * 100000`.
fn is_excessive(text: &str) -> bool {
    text.split('*')
        .skip(1)
        .any(|times| times.trim_start().trim_start_matches('+').bytes().take_while(u8::is_ascii_digit).count() > 3)
}
