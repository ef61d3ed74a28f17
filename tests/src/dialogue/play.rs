//! Plays a dialogue against a machine, line by line, and says where the machine left the story.

use std::collections::VecDeque;
use std::time::Duration;

use pillarbox_core::{Close, Direction, End, SessionId};

use super::parse::{Dialogue, Line, Upgrade, What};
use super::story::{Asked, Key, Story, Turn};
use super::text::{escape, matches};
use super::wire::{Direct, Wire};
use crate::bench::{Bench, Seen};
use crate::subject::{Range, Role, Shows, Subject};

/// A machine that polls this often without coming to rest never will.
const RESTLESS: usize = 100_000;

/// From this length on a chunk is shown by its length.
const SHORT: usize = 200;

/// Plays `dialogue`, and returns what happened.
///
/// # Errors
/// The machine left the story: file and line, what was expected, what came, and what was said so far.
pub fn run<S: Subject>(dialogue: &Dialogue) -> Result<Story, String> {
    run_over::<S>(dialogue, &mut Direct::default())
}

/// The same, with this wire between the machine and its peer.
///
/// # Errors
/// Those of [`run`], and whatever the wire has to say.
pub fn run_over<S: Subject>(dialogue: &Dialogue, wire: &mut dyn Wire) -> Result<Story, String> {
    let bench =
        Bench::<S>::new(&dialogue.settings, SessionId(1)).map_err(|e| format!("{}: {e}", dialogue.path.display()))?;
    let mut player = Player {
        dialogue,
        bench,
        wire,
        got: VecDeque::new(),
        piece: None,
        open: Vec::new(),
        upgrading: false,
        unpolled: false,
        transcript: Vec::new(),
        story: Story::default(),
        runs: (0, 0),
    };
    for at in 0..dialogue.lines.len() {
        player.line(at).map_err(|failure| player.report(dialogue.lines[at].number, &failure))?;
    }
    let last = dialogue.lines.last().map_or(0, |line| line.number);
    player.at_rest().and_then(|()| player.ending()).map_err(|failure| player.report(last, &failure))?;
    Ok(player.story)
}

/// What the machine did that no line has asked for yet.
#[derive(Debug)]
enum Got {
    Said(Vec<u8>),
    Act { text: String, question: Option<usize>, range: Option<Range> },
    Chunk { bytes: Vec<u8>, question: Option<usize> },
    Upgrade,
    Done(End),
}

/// Questions that one `A:` line shows: several where pieces of a body were joined.
struct Group {
    questions: Vec<usize>,
    /// Its place in the story.
    ask: usize,
    /// How many turns the story had when it was asked.
    turns: usize,
}

struct Player<'a, S: Subject> {
    dialogue: &'a Dialogue,
    bench: Bench<S>,
    wire: &'a mut dyn Wire,
    got: VecDeque<Got>,
    /// The rest of a chunk of which a line has taken the beginning.
    piece: Option<(Vec<u8>, Option<usize>)>,
    open: Vec<Group>,
    upgrading: bool,
    /// Bytes were fed since the last poll.
    unpolled: bool,
    transcript: Vec<String>,
    story: Story,
    /// The run of chunks we are in, and how far.
    runs: (usize, usize),
}

impl<S: Subject> Player<'_, S> {
    fn line(&mut self, at: usize) -> Result<(), String> {
        let dialogue = self.dialogue;
        let Line { what, .. } = &dialogue.lines[at];
        match what {
            What::Says { who, bytes, .. } if *who != S::ROLE => self.feed(bytes, at),
            What::Says { bytes, raw: true, .. } => self.expect_raw(bytes),
            What::Says { bytes, raw: false, .. } => self.expect_line(bytes),
            What::Action(pattern) => self.expect_action(pattern),
            What::Chunk(bytes) => self.expect_chunk(at, Some(bytes), bytes.len()),
            What::ChunkOf(len) => self.expect_chunk(at, None, *len),
            What::Answer { which, text } => self.answer(*which, text),
            What::After(time) => self.after(*time),
            What::Close(why) => self.close(*why),
            What::Upgrade(upgrade) => self.upgrade(*upgrade),
            What::End(pattern) => self.expect_end(pattern),
        }
    }

    fn feed(&mut self, bytes: &[u8], at: usize) -> Result<(), String> {
        self.heard(bytes);
        let batch = at > 0 && matches!(&self.dialogue.lines[at - 1].what, What::Says { who, .. } if *who != S::ROLE);
        if !batch {
            self.at_rest()?;
        }
        self.wire.say(bytes)?;
        self.unpolled = true;
        match self.story.turns.last_mut() {
            Some(Turn::Feed { bytes: before, .. }) if batch => before.extend_from_slice(bytes),
            _ => self.story.turns.push(Turn::Feed { bytes: bytes.to_vec(), whole: false }),
        }
        Ok(())
    }

    fn expect_line(&mut self, pattern: &[u8]) -> Result<(), String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            match self.next()? {
                Some(Got::Said(bytes)) => {
                    let end = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| at + 1);
                    line.extend_from_slice(&bytes[..end]);
                    if end < bytes.len() {
                        self.got.push_front(Got::Said(bytes[end..].to_vec()));
                    }
                }
                other if line.is_empty() => return Err(differs(&said(pattern), other.as_ref())),
                other => {
                    return Err(format!(
                        "{}\nand then: {}",
                        differs(&said(pattern), Some(&Got::Said(line))),
                        describe(other.as_ref())
                    ));
                }
            }
        }
        if !matches(pattern, &line) {
            return Err(differs(&said(pattern), Some(&Got::Said(line))));
        }
        self.spoke(&line);
        Ok(())
    }

    fn expect_raw(&mut self, expected: &[u8]) -> Result<(), String> {
        let mut bytes = Vec::new();
        while bytes.len() < expected.len() {
            match self.next()? {
                Some(Got::Said(more)) => bytes.extend_from_slice(&more),
                other if bytes.is_empty() => return Err(differs(&said(expected), other.as_ref())),
                _ => break,
            }
        }
        if !bytes.starts_with(expected) {
            return Err(differs(&said(expected), Some(&Got::Said(bytes))));
        }
        if bytes.len() > expected.len() {
            self.got.push_front(Got::Said(bytes[expected.len()..].to_vec()));
        }
        self.spoke(expected);
        Ok(())
    }

    fn expect_action(&mut self, pattern: &str) -> Result<(), String> {
        let expected = format!("A: {pattern}");
        let (text, question, range) = match self.next()? {
            Some(Got::Act { text, question, range }) if matches(pattern.as_bytes(), text.as_bytes()) => {
                (text, question, range)
            }
            other => return Err(differs(&expected, other.as_ref())),
        };
        self.transcript.push(format!("A: {text}"));
        self.runs = if self.runs.1 > 0 { (self.runs.0 + 1, 0) } else { self.runs };
        let Some(question) = question else { return Ok(()) };
        let key = match range {
            Some(range) => Key::Range(range),
            None => {
                let same = |asked: &&Asked| matches!(&asked.key, Key::Text(other, _) if *other == text);
                let nth = self.story.asks.iter().filter(same).count();
                Key::Text(text, nth)
            }
        };
        self.asked(key, vec![question]);
        Ok(())
    }

    fn expect_chunk(&mut self, at: usize, text: Option<&[u8]>, len: usize) -> Result<(), String> {
        let expected = text.map_or_else(|| format!("A: chunk {len} bytes"), chunk);
        // A body that comes in more pieces than the window holds: they get the answer that stands below.
        let early = match self.dialogue.lines.get(at + 1).map(|line| &line.what) {
            Some(What::Answer { which: None, text }) => Some(text.clone()),
            _ => None,
        };
        let (mut body, mut questions) = (Vec::new(), Vec::new());
        while body.len() < len {
            let (bytes, question) = match self.piece.take() {
                Some(piece) => piece,
                None => match (self.next()?, &early) {
                    (Some(Got::Chunk { bytes, question }), _) => (bytes, question),
                    (None, Some(answer)) if !questions.is_empty() => {
                        for question in questions.drain(..) {
                            self.bench.answer(question, answer).map_err(|e| format!("{e:?}"))?;
                        }
                        continue;
                    }
                    (other, _) if body.is_empty() => return Err(differs(&expected, other.as_ref())),
                    (other, _) => {
                        let came = differs(&expected, Some(&Got::Chunk { bytes: body, question: None }));
                        return Err(format!("{came}\nand then: {}", describe(other.as_ref())));
                    }
                },
            };
            let n = bytes.len().min(len - body.len());
            body.extend_from_slice(&bytes[..n]);
            if n < bytes.len() {
                self.piece = Some((bytes[n..].to_vec(), question));
            } else {
                questions.extend(question);
            }
        }
        if text.is_some_and(|text| text != body) {
            let question = None;
            return Err(differs(&expected, Some(&Got::Chunk { bytes: body, question })));
        }
        self.transcript.push(chunk(&body));
        let (run, start) = self.runs;
        self.runs.1 += len;
        self.asked(Key::Chunk { run, start, end: start + len }, questions);
        Ok(())
    }

    fn asked(&mut self, key: Key, questions: Vec<usize>) {
        self.open.push(Group { questions, ask: self.story.asks.len(), turns: self.story.turns.len() });
        self.story.asks.push(Asked { key, answer: None, prompt: false });
    }

    fn answer(&mut self, which: Option<usize>, text: &str) -> Result<(), String> {
        let at = which.map_or(self.open.len(), |which| which).wrapping_sub(1);
        if at >= self.open.len() {
            return Err(format!("R: {text}\nbut there are {} open questions", self.open.len()));
        }
        let Group { questions, ask, turns } = self.open.remove(at);
        for question in questions {
            self.bench.answer(question, text).map_err(|e| format!("R: {text}\nbut {e:?}"))?;
        }
        self.transcript.push(format!("R: {text}"));
        if let Key::Range(range) = self.story.asks[ask].key.clone() {
            self.story.learn(&range, text);
        }
        let asked = &mut self.story.asks[ask];
        asked.answer = Some(text.to_owned());
        asked.prompt = turns == self.story.turns.len();
        if !asked.prompt {
            self.story.turns.push(Turn::Answer(vec![ask]));
            // What was fed before this answer, and not run yet, is run before it in every retelling.
        }
        Ok(())
    }

    fn after(&mut self, time: Duration) -> Result<(), String> {
        self.at_rest()?;
        self.transcript.push(format!("! after {time:?}"));
        self.story.turns.push(Turn::After(time));
        let target = self.bench.now().mono.after(time);
        for _ in 0..RESTLESS {
            let until = self.settle()?.filter(|&until| until <= target);
            let now = self.bench.now().mono;
            self.bench.advance(now.until(until.unwrap_or(target)));
            if until.is_none() {
                return Ok(());
            }
        }
        Err("time passes from deadline to deadline without end".to_owned())
    }

    fn close(&mut self, why: Close) -> Result<(), String> {
        if !self.unpolled {
            self.at_rest()?;
        } else if let (true, Some(Turn::Feed { whole, .. })) = (why != Close::Eof, self.story.turns.last_mut()) {
            *whole = true;
        }
        self.transcript.push(format!("! {why:?}"));
        self.story.turns.push(Turn::Close(why));
        let unread = self.wire.end(why)?;
        self.bench.feed(&unread);
        self.bench.close(why);
        Ok(())
    }

    fn upgrade(&mut self, upgrade: Upgrade) -> Result<(), String> {
        match self.next()? {
            Some(Got::Upgrade) => {}
            other => return Err(differs("! upgrade tls", other.as_ref())),
        }
        self.transcript.push(format!("! upgrade tls: {upgrade:?}"));
        self.story.turns.push(Turn::Upgrade(upgrade));
        self.bench.upgrade(upgrade);
        self.upgrading = false;
        Ok(())
    }

    fn expect_end(&mut self, pattern: &str) -> Result<(), String> {
        match self.next()? {
            Some(Got::Done(end)) if matches(pattern.as_bytes(), end.to_string().as_bytes()) => {
                self.transcript.push(format!("E: {end}"));
                Ok(())
            }
            other => Err(differs(&format!("E: {pattern}"), other.as_ref())),
        }
    }

    /// Nothing is left that no line asked for.
    fn at_rest(&mut self) -> Result<(), String> {
        if let Some((bytes, question)) = self.piece.take() {
            return Err(differs("nothing more", Some(&Got::Chunk { bytes, question })));
        }
        match self.next()? {
            None => Ok(()),
            some => Err(differs("nothing more", some.as_ref())),
        }
    }

    fn ending(&mut self) -> Result<(), String> {
        if self.bench.done().is_none() {
            self.wire.leave()?;
        }
        S::check_output(self.bench.sent(), self.bench.done().is_some())?;
        for secret in &self.dialogue.secrets {
            for direction in [Direction::In, Direction::Out] {
                let seen = self.bench.tapped(direction);
                if memchr::memmem::find(&seen, secret.as_bytes()).is_some() {
                    return Err(format!("a tap sees the secret \"{secret}\" going {direction:?}"));
                }
            }
        }
        Ok(())
    }

    /// The next thing the machine does; `None` when it waits.
    fn next(&mut self) -> Result<Option<Got>, String> {
        if let Some((bytes, question)) = self.piece.take() {
            return Ok(Some(Got::Chunk { bytes, question }));
        }
        for _ in 0..RESTLESS {
            if let Some(got) = self.got.pop_front() {
                return Ok(Some(got));
            }
            if self.upgrading || self.bench.done().is_some() {
                return Ok(None);
            }
            if self.poll()?.is_some_and(|rest| rest.is_over) {
                return Ok(None);
            }
        }
        Err("the machine never comes to rest".to_owned())
    }

    /// Polls until the machine waits; returns until when.
    fn settle(&mut self) -> Result<Option<pillarbox_core::Mono>, String> {
        for _ in 0..RESTLESS {
            if self.upgrading || self.bench.done().is_some() {
                return Ok(None);
            }
            if let Some(rest) = self.poll()?
                && rest.is_over
            {
                return Ok(rest.until);
            }
        }
        Err("the machine never comes to rest".to_owned())
    }

    /// Polls once, and lets the peer read everything.
    fn poll(&mut self) -> Result<Option<Rest>, String> {
        self.unpolled = false;
        let arrived = self.wire.arrive()?;
        self.bench.feed(&arrived);
        let seen = self.bench.poll().map_err(|breach| breach.to_string())?;
        let said = self.bench.flush(usize::MAX).to_vec();
        match seen {
            Seen::Done(_) => self.wire.over(&said)?,
            _ if said.is_empty() => {}
            _ => self.wire.hear(&said)?,
        }
        let flushed = !said.is_empty();
        match self.got.back_mut() {
            Some(Got::Said(before)) => before.extend_from_slice(&said),
            _ if said.is_empty() => {}
            _ => self.got.push_back(Got::Said(said)),
        }
        match seen {
            Seen::Act { shows: Shows::Text(text), question, range } => {
                self.got.push_back(Got::Act { text, question, range });
            }
            Seen::Act { shows: Shows::Chunk(bytes), question, .. } => {
                self.got.push_back(Got::Chunk { bytes: bytes.to_vec(), question });
            }
            Seen::Upgrade(_) => {
                self.upgrading = true;
                self.got.push_back(Got::Upgrade);
            }
            Seen::More => {}
            Seen::Wait(wait) => {
                self.wire.wait(wait.read)?;
                let comes = wait.read && self.wire.is_pending();
                return Ok(Some(Rest { until: wait.until, is_over: !flushed && !comes }));
            }
            Seen::Done(end) => self.got.push_back(Got::Done(end)),
        }
        Ok(None)
    }

    fn heard(&mut self, bytes: &[u8]) {
        let side = if S::ROLE == Role::Server { 'C' } else { 'S' };
        self.transcript.push(format!("{side}: {}", shown(bytes)));
    }

    fn spoke(&mut self, bytes: &[u8]) {
        let side = if S::ROLE == Role::Server { 'S' } else { 'C' };
        self.transcript.push(format!("{side}: {}", shown(bytes)));
    }

    fn report(&self, line: usize, failure: &str) -> String {
        let mut report = format!("{}:{line}: {failure}\n", self.dialogue.path.display());
        report.push_str("so far:\n");
        for line in &self.transcript {
            report.push_str("    ");
            report.push_str(line);
            report.push('\n');
        }
        for got in &self.got {
            report.push_str(&format!("  > {}\n", describe(Some(got))));
        }
        let open = self.open.iter().map(|group| &self.story.asks[group.ask].key).collect::<Vec<_>>();
        report.push_str(&format!("open questions: {open:?}, {:?}", self.bench));
        report
    }
}

/// The machine waits.
struct Rest {
    until: Option<pillarbox_core::Mono>,
    /// Nothing is new. Otherwise it has to be asked once more: bytes have left, so there is room again, or more arrive.
    is_over: bool,
}

fn shown(line: &[u8]) -> String {
    let text = line.strip_suffix(b"\r\n").unwrap_or(line);
    let shown = escape(&text[..text.len().min(1000)]);
    match (text.len() < line.len(), text.len() > 1000) {
        (_, true) => format!("{shown}… ({} bytes)", line.len()),
        (true, _) => shown,
        (false, _) => format!("{shown} (no CRLF)"),
    }
}

fn said(bytes: &[u8]) -> String {
    shown(bytes)
}

fn chunk(bytes: &[u8]) -> String {
    if bytes.len() < SHORT {
        format!("A: chunk \"{}\"", escape(bytes))
    } else {
        format!("A: chunk {} bytes", bytes.len())
    }
}

fn differs(expected: &str, got: Option<&Got>) -> String {
    format!("\nexpected: {expected}\n     got: {}", describe(got))
}

fn describe(got: Option<&Got>) -> String {
    match got {
        None => "nothing: the machine waits, or is over".to_owned(),
        Some(Got::Said(bytes)) => {
            let lines: Vec<_> = bytes.split_inclusive(|&b| b == b'\n').map(shown).collect();
            lines.join("\n          ")
        }
        Some(Got::Act { text, question, .. }) => {
            format!("A: {text}{}", if question.is_some() { " (a question)" } else { "" })
        }
        Some(Got::Chunk { bytes, .. }) => chunk(bytes),
        Some(Got::Upgrade) => "! upgrade tls".to_owned(),
        Some(Got::Done(end)) => format!("E: {end}"),
    }
}
