//! Tells a story again: the same bytes and answers, cut and ordered in another way.

use std::collections::BTreeMap;
use std::fmt;

use pillarbox_core::{End, SessionId, Wait};

use super::tape::Tape;
use crate::bench::{Bench, Breach, Open, Seen};
use crate::dialogue::text::escape;
use crate::dialogue::{Dialogue, Key, Story, Turn};
use crate::subject::{NotAnswered, Range, Role, Shows, Subject};

/// Polls without rest after which a machine is called restless.
const RESTLESS: usize = 1_000_000;

/// In which manner the story is told.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Positions in the stream of fed bytes at which the machine is polled.
    pub cuts: Vec<usize>,
    /// Batches that only replies lie between come as one.
    pub joined: bool,
    /// Answers wait until the machine does, and come in the order that the tape says.
    pub deferred: Option<Tape>,
    /// The peer reads by pieces of the size that the tape says.
    pub slow: Option<Tape>,
    /// Poll again at each rest, and see whether something changes.
    pub insistent: bool,
    /// Answers are what the tape says: the story's, others, or none.
    pub wild: Option<Tape>,
    /// Keep a trace of every poll.
    pub traced: bool,
    /// Where to stop.
    pub stop: Stop,
}

impl Manner {
    /// As in the dialogue.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            cuts: Vec::new(),
            joined: false,
            deferred: None,
            slow: None,
            insistent: false,
            wild: None,
            traced: false,
            stop: Stop::Never,
        }
    }
}

/// Where to stop telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the end.
    Never,
    /// When it rests for the how-manieth time, from 0.
    Rest(usize),
    /// When it asked its how-manieth question, from 0; that one is not answered.
    Question(usize),
    /// Before the how-manieth turn, from 0.
    Turn(usize),
}

/// A story being told.
pub struct Replay<'a, S: Subject> {
    /// The machine.
    pub bench: Bench<S>,
    story: &'a Story,
    manner: Manner,
    pending: Vec<Pending>,
    texts: BTreeMap<String, usize>,
    run: (usize, usize),
    record: Record,
    rests: usize,
    questions: usize,
    stopped: bool,
    fed: usize,
    trace: Vec<String>,
}

/// A question that waits for its turn.
struct Pending {
    number: usize,
    key: Key,
    ask: Option<usize>,
}

/// What a machine did, as far as it must be the same however the bytes are cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// All bytes sent.
    pub sent: Vec<u8>,
    /// All actions, adjacent pieces joined.
    pub acts: Vec<Act>,
    /// How it ended, if it did.
    pub end: Option<End>,
}

/// An action, free of how it was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// As it reads.
    Text(String),
    /// A body.
    Body(Vec<u8>),
    /// A body that the host refused or left unanswered: how much of it was handed over depends on the cuts.
    Refused,
    /// Ranges of this were read.
    Range(String),
}

/// How the telling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// To the end, or to where it should stop.
    Well,
    /// A cut separated the request for a layer from what was fed behind it: that is another story.
    CutAtUpgrade(usize),
}

/// Where the machine came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It waits.
    Wait(Wait),
    /// It wants a layer.
    Upgrade,
    /// It is over.
    Done(End),
    /// The telling was stopped.
    Stopped,
}

impl<'a, S: Subject> Replay<'a, S> {
    /// A machine at the beginning of `story`.
    ///
    /// # Panics
    /// When the dialogue's settings are wrong: it was played before, so they are not.
    #[must_use]
    pub fn new(dialogue: &Dialogue, story: &'a Story, manner: Manner) -> Self {
        Self::named(dialogue, story, manner, SessionId(1))
    }

    /// The same under another session id.
    ///
    /// # Panics
    /// When the dialogue's settings are wrong: it was played before, so they are not.
    #[must_use]
    pub fn named(dialogue: &Dialogue, story: &'a Story, manner: Manner, id: SessionId) -> Self {
        let bench = Bench::new(&dialogue.settings, id).unwrap_or_else(|e| panic!("{}: {e}", dialogue.path.display()));
        Self {
            bench,
            story,
            manner,
            pending: Vec::new(),
            texts: BTreeMap::new(),
            run: (0, 0),
            record: Record::default(),
            rests: 0,
            questions: 0,
            stopped: false,
            fed: 0,
            trace: Vec::new(),
        }
    }

    /// Tells the whole story.
    ///
    /// # Errors
    /// A law is broken.
    pub fn tell(&mut self) -> Result<Told, Breach> {
        let mut rest = self.settle()?;
        for (at, turn) in self.turns().iter().enumerate() {
            if self.manner.stop == Stop::Turn(at) {
                self.stopped = true;
            }
            if self.stopped {
                return Ok(Told::Well);
            }
            if rest == Rest::Upgrade && !matches!(turn, Turn::Upgrade(_) | Turn::Close(_)) {
                return Err(Breach::of(3, "it asks for a layer where it did not before"));
            }
            match turn {
                Turn::Feed { bytes, whole: true } => {
                    self.bench.feed(bytes);
                    self.fed += bytes.len();
                    continue;
                }
                Turn::Feed { bytes, whole: false } => match self.feed(bytes)? {
                    Ok(at_rest) => rest = at_rest,
                    Err(cut) => return Ok(Told::CutAtUpgrade(cut)),
                },
                Turn::After(time) => {
                    let target = self.bench.now().mono.after(*time);
                    loop {
                        rest = self.settle()?;
                        let Rest::Wait(wait) = rest else { break };
                        let now = self.bench.now().mono;
                        let until = wait.until.filter(|&until| until <= target);
                        self.bench.advance(now.until(until.unwrap_or(target)));
                        if until.is_none() {
                            break;
                        }
                    }
                }
                Turn::Close(why) => {
                    self.bench.close(*why);
                    rest = self.settle()?;
                }
                Turn::Upgrade(upgrade) => {
                    if rest != Rest::Upgrade {
                        return Err(Breach::of(3, "it does not ask for a layer where it did before"));
                    }
                    self.bench.upgrade(*upgrade);
                    rest = self.settle()?;
                }
                Turn::Answer(asks) => {
                    for number in self.waiting(|ask| ask.is_some_and(|ask| asks.contains(&ask))) {
                        self.respond(number)?;
                    }
                    rest = self.settle()?;
                }
            }
        }
        Ok(Told::Well)
    }

    /// Polls until the machine rests, answering what the story answers at once.
    ///
    /// # Errors
    /// A law is broken.
    pub fn settle(&mut self) -> Result<Rest, Breach> {
        for _ in 0..RESTLESS {
            if self.stopped {
                return Ok(Rest::Stopped);
            }
            let seen = self.bench.poll()?;
            if self.manner.traced {
                let (rx, tx) = self.bench.waiting();
                self.trace.push(format!("{seen:?}, rx {rx}, tx {tx}"));
            }
            if let (true, Seen::Wait(wait)) = (self.manner.insistent, &seen) {
                insist(&mut self.bench, *wait)?;
            }
            let flushed = self.flush(&seen);
            match seen {
                Seen::Act { shows, question, range } => self.act(shows, question, range)?,
                Seen::Upgrade(_) => return Ok(Rest::Upgrade),
                Seen::More => {}
                Seen::Done(end) => {
                    self.record.end = Some(end);
                    return Ok(Rest::Done(end));
                }
                // There is room that was not there.
                Seen::Wait(_) if flushed > 0 => {}
                Seen::Wait(wait) => {
                    if self.respond_to_one()? {
                        continue;
                    }
                    let count = self.rests;
                    self.rests += 1;
                    self.stopped |= self.manner.stop == Stop::Rest(count);
                    return Ok(Rest::Wait(wait));
                }
            }
        }
        Err(Breach::of(1, "the machine never comes to rest"))
    }

    /// What the machine did.
    #[must_use]
    pub fn record(&self) -> Record {
        Record { sent: self.bench.sent().to_vec(), ..self.record.clone() }
    }

    /// How often it came to rest.
    #[must_use]
    pub fn rests(&self) -> usize {
        self.rests
    }

    /// How many questions it asked.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.questions
    }

    /// Whether it was stopped on the way.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Every poll, as text.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// The numbers of the questions that wait for an answer, oldest first.
    #[must_use]
    pub fn unanswered(&self) -> Vec<usize> {
        self.waiting(|_| true)
    }

    /// Takes an open question out of the story.
    pub fn take(&mut self, number: usize) -> Option<Open<S::Question>> {
        self.pending.retain(|pending| pending.number != number);
        self.bench.take(number)
    }

    /// Goes on after a stop, and does not stop again.
    pub fn go_on(&mut self) {
        self.stopped = false;
        self.manner.stop = Stop::Never;
    }

    /// The answer of the story to this open question, or the kindest there is.
    ///
    /// # Panics
    /// When the question is not open.
    #[must_use]
    pub fn answer_to(&self, number: usize) -> String {
        let open = self.bench.open().iter().find(|open| open.number == number).expect("the question is open");
        let pending = self.pending.iter().find(|pending| pending.number == number);
        let told = pending.and_then(|pending| self.story.answer(pending.ask?, &pending.key));
        told.unwrap_or_else(|| S::answers(open.question()).swap_remove(0))
    }

    /// Answers an open question as the story does, or kindly.
    ///
    /// # Errors
    /// The machine takes its own ticket for another's.
    ///
    /// # Panics
    /// When the answer does not parse: the dialogue was played before, so it does.
    pub fn respond(&mut self, number: usize) -> Result<(), Breach> {
        let answer = self.answer_to(number);
        self.say(number, &answer)
    }

    fn say(&mut self, number: usize, answer: &str) -> Result<(), Breach> {
        self.pending.retain(|pending| pending.number != number);
        match self.bench.answer(number, answer) {
            Ok(()) => Ok(()),
            Err(NotAnswered::Misuse(misuse)) => Err(Breach::of(4, format!("to its own ticket it says: {misuse}"))),
            Err(NotAnswered::Text(why)) => panic!("{why}"),
        }
    }

    /// The questions whose place in the story `which` accepts.
    fn waiting(&self, which: impl Fn(Option<usize>) -> bool) -> Vec<usize> {
        self.pending.iter().filter(|pending| which(pending.ask)).map(|pending| pending.number).collect()
    }

    /// In the deferring manner: answers one of the questions that the story answers at once.
    fn respond_to_one(&mut self) -> Result<bool, Breach> {
        let story = self.story;
        let prompt = self.waiting(|ask| ask.is_none_or(|ask| story.asks[ask].prompt));
        let Some(tape) = &mut self.manner.deferred else { return Ok(false) };
        if prompt.is_empty() {
            return Ok(false);
        }
        let chosen = prompt[tape.below(prompt.len())];
        self.respond(chosen)?;
        Ok(true)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Result<Rest, usize>, Breach> {
        let (start, end) = (self.fed, self.fed + bytes.len());
        self.fed = end;
        let mut cuts: Vec<_> = self.manner.cuts.iter().copied().filter(|&cut| start < cut && cut < end).collect();
        cuts.push(end);
        let mut from = start;
        for cut in cuts {
            self.bench.feed(&bytes[from - start..cut - start]);
            from = cut;
            let rest = self.settle()?;
            if rest == Rest::Upgrade && cut < end {
                return Ok(Err(cut));
            }
            if !matches!(rest, Rest::Wait(_)) || cut == end {
                return Ok(Ok(rest));
            }
        }
        unreachable!("the last cut is the end")
    }

    /// The peer reads: everything, or as slowly as the tape says; before a layer comes up and at the end, the rest.
    fn flush(&mut self, seen: &Seen) -> usize {
        let most = match &mut self.manner.slow {
            Some(tape) if !matches!(seen, Seen::Done(_) | Seen::Upgrade(_)) => {
                [usize::MAX, 5000, 100, 7, 2, 1][tape.below(6)]
            }
            _ => usize::MAX,
        };
        self.bench.flush(most).len()
    }

    fn act(&mut self, shows: Shows, question: Option<usize>, range: Option<Range>) -> Result<(), Breach> {
        let key = match (shows, range) {
            (Shows::Chunk(bytes), _) => {
                let (run, start) = self.run;
                self.run.1 += bytes.len();
                let key = Key::Chunk { run, start, end: start + bytes.len() };
                let told = self.story.find(&key).and_then(|ask| self.story.asks[ask].answer.as_ref());
                let open = self.bench.open().iter().find(|open| Some(open.number) == question);
                let kind = open.is_none_or(|open| told == S::answers(open.question()).first());
                match self.record.acts.last_mut() {
                    Some(Act::Refused) => {}
                    Some(Act::Body(body)) if kind => body.extend_from_slice(&bytes),
                    Some(act @ Act::Body(_)) => *act = Act::Refused,
                    _ => self.record.acts.push(if kind { Act::Body(bytes.to_vec()) } else { Act::Refused }),
                }
                key
            }
            (Shows::Text(_), Some(range)) => {
                self.end_run();
                let act = Act::Range(range.of.clone());
                if self.record.acts.last() != Some(&act) {
                    self.record.acts.push(act);
                }
                Key::Range(range)
            }
            (Shows::Text(text), None) => {
                self.end_run();
                self.record.acts.push(Act::Text(text.clone()));
                if question.is_none() {
                    return Ok(());
                }
                let nth = self.texts.entry(text.clone()).or_default();
                *nth += 1;
                Key::Text(text, *nth - 1)
            }
        };
        let Some(number) = question else { return Ok(()) };
        let ask = self.story.find(&key);
        self.pending.push(Pending { number, key, ask });
        let count = self.questions;
        self.questions += 1;
        if self.manner.stop == Stop::Question(count) {
            self.stopped = true;
            return Ok(());
        }
        let prompt = ask.is_none_or(|ask| self.story.asks[ask].prompt);
        if self.manner.wild.is_some() {
            return self.respond_wildly(number, prompt);
        }
        if self.manner.deferred.is_none() && prompt { self.respond(number) } else { Ok(()) }
    }

    fn respond_wildly(&mut self, number: usize, prompt: bool) -> Result<(), Breach> {
        let Some(tape) = &mut self.manner.wild else { return Ok(()) };
        match tape.below(8) {
            0..=4 if prompt => self.respond(number),
            5 | 6 => {
                let open = self.bench.open().iter().find(|open| open.number == number);
                let answers = open.map(|open| S::answers(open.question())).unwrap_or_default();
                let answer = answers[tape.below(answers.len())].clone();
                self.say(number, &answer)
            }
            _ => Ok(()),
        }
    }

    fn end_run(&mut self) {
        if self.run.1 > 0 {
            self.run = (self.run.0 + 1, 0);
        }
    }

    /// The turns of the story, batches joined if they shall be.
    fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::with_capacity(self.story.turns.len());
        for turn in &self.story.turns {
            if self.manner.joined
                && S::ROLE == Role::Server
                && let (Some(Turn::Feed { bytes, whole: false }), Turn::Feed { bytes: more, whole: false }) =
                    (turns.last_mut(), turn)
            {
                bytes.extend_from_slice(more);
                continue;
            }
            turns.push(turn.clone());
        }
        turns
    }
}

/// Law 1: nothing is new, so nothing changes.
///
/// # Errors
/// Something does.
pub fn insist<S: Subject>(bench: &mut Bench<S>, wait: Wait) -> Result<(), Breach> {
    let before = bench.waiting();
    let allocations = crate::alloc::count();
    let again = bench.poll()?;
    let allocated = crate::alloc::count() - allocations;
    if again != Seen::Wait(wait) {
        return Err(Breach::of(1, format!("it said {wait:?}, and polled again with nothing new: {again:?}")));
    }
    if bench.waiting() != before {
        return Err(Breach::of(1, format!("it said {wait:?}, and polled again with nothing new it moved bytes")));
    }
    if allocated > 0 {
        return Err(Breach::of(1, format!("polled again with nothing new, it allocates {allocated} times")));
    }
    Ok(())
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Body(body) if body.len() <= 400 => write!(f, "chunk \"{}\"", escape(body)),
            Self::Body(body) => {
                let (head, tail) = (&body[..200], &body[body.len() - 200..]);
                write!(f, "chunk of {} bytes \"{}…{}\"", body.len(), escape(head), escape(tail))
            }
            Self::Refused => f.write_str("chunk, refused or unanswered"),
            Self::Range(of) => write!(f, "ranges of {of}"),
        }
    }
}

impl Record {
    /// Where the two differ first, in words; `None` when they do not.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<String> {
        if self.sent != other.sent {
            let same = self.sent.iter().zip(&other.sent).take_while(|(a, b)| a == b).count();
            let from = self.sent[..same].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            let show = |sent: &[u8]| escape(&sent[from..sent.len().min(from + 300)]);
            return Some(format!(
                "other bytes from position {same}\n  before: {}\n     now: {}",
                show(&self.sent),
                show(&other.sent)
            ));
        }
        let (one, two) = (&self.acts, &other.acts);
        if one != two {
            let same = one.iter().zip(two).take_while(|(a, b)| a == b).count();
            let show = |acts: &[Act]| acts.get(same).map_or("nothing".to_owned(), ToString::to_string);
            return Some(format!("other actions from number {same}\n  before: {}\n     now: {}", show(one), show(two)));
        }
        (self.end != other.end).then(|| format!("another end\n  before: {:?}\n     now: {:?}", self.end, other.end))
    }
}
