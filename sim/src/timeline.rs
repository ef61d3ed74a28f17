//! What happened in a world, in order, for people to read: what befell it, and what was said on each connection.
//!
//! Each connection has a letter, by which its lines are told apart from those of others that go on at the same time. The
//! time stands where it has changed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pillarbox_core::Mono;

use crate::story::said;

/// Characters of a reply of many lines that are told, in one.
const WIDTH: usize = 96;

/// A connection's name among all that there ever were in a world.
pub(crate) type Key = [u64; 3];

/// A connection: who has opened it, and to whom.
#[derive(Debug)]
pub(crate) struct Talk {
    /// A person's address, or a machine.
    pub(crate) client: String,
    /// A machine.
    pub(crate) server: String,
    /// Which of its ports.
    pub(crate) port: u16,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    entries: Vec<(Mono, Entry)>,
    talks: Vec<(Mono, Talk)>,
    by_key: BTreeMap<Key, usize>,
    /// When nothing went wrong any more.
    healed: Option<Mono>,
}

#[derive(Debug)]
enum Entry {
    Happened(String),
    Said(usize, Side, Vec<String>),
}

impl Timeline {
    /// Something happens.
    pub(crate) fn happens(&mut self, now: Mono, words: String) {
        self.entries.push((now, Entry::Happened(words)));
    }

    /// The world heals.
    pub(crate) fn heals(&mut self, now: Mono) {
        self.healed = Some(now);
        self.happens(now, "the world heals".to_owned());
    }

    /// Somebody says this on a connection.
    pub(crate) fn says(&mut self, now: Mono, key: Key, talk: impl FnOnce() -> Talk, side: Side, bytes: &[u8]) {
        let number = *self.by_key.entry(key).or_insert_with(|| {
            self.talks.push((now, talk()));
            self.talks.len() - 1
        });
        self.entries.push((now, Entry::Said(number, side, in_one(said(bytes)))));
    }

    /// It in lines. When everything is over, everybody looks into his mailbox once more; of those visits only the ones of
    /// people are told whom `concerns` names.
    pub(crate) fn lines(&self, concerns: &[String]) -> Vec<String> {
        let concerned = |who: &str| concerns.iter().any(|words| words.contains(who) || words.starts_with("a panic"));
        let is_told = |number: usize| {
            let (began, talk) = &self.talks[number];
            let last = talk.client.contains('@') && self.healed.is_some_and(|healed| *began > healed);
            !last || concerns.is_empty() || concerned(&talk.client)
        };
        let mut page = Page::default();
        for (at, entry) in &self.entries {
            match entry {
                Entry::Happened(words) => page.line(*at, "", words),
                Entry::Said(number, side, lines) if is_told(*number) => {
                    page.said(*at, *number, &self.talks[*number].1, *side, lines);
                }
                Entry::Said(..) => {}
            }
        }
        page.lines
    }
}

/// Lines as they are written down.
#[derive(Default)]
struct Page {
    lines: Vec<String>,
    time: String,
    /// The letters of connections, in the order in which they are told.
    letters: BTreeMap<usize, String>,
}

impl Page {
    fn said(&mut self, at: Mono, number: usize, talk: &Talk, side: Side, lines: &[String]) {
        let next = self.letters.len();
        let is_new = !self.letters.contains_key(&number);
        let letter = self.letters.entry(number).or_insert_with(|| letters(next)).clone();
        if is_new {
            self.line(at, &letter, &talk.to_string());
        }
        let side = if side == Side::Client { "C" } else { "S" };
        lines.iter().for_each(|line| self.line(at, &letter, &format!("{side}: {line}")));
    }

    fn line(&mut self, at: Mono, letter: &str, words: &str) {
        let time = Moment(at).to_string();
        let shown = if time == self.time { "" } else { &time };
        self.lines.push(format!("{shown:12}  {letter:2} {words}"));
        self.time = time;
    }
}

/// A, B, and so on; behind Z comes AA.
fn letters(number: usize) -> String {
    let last = char::from(b'A' + (number % 26) as u8);
    match number / 26 {
        0 => last.to_string(),
        more => letters(more - 1) + &last.to_string(),
    }
}

impl fmt::Display for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match self.port {
            587 => "submission",
            110 => "POP3",
            143 => "IMAP",
            _ => "SMTP",
        };
        let Self { client, server, .. } = self;
        write!(f, "{client} connects to {server} ({service})")
    }
}

/// Lines of a reply that has many, in one.
fn in_one(lines: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines {
        let (code, rest) = line.split_at_checked(4).unwrap_or((&line, ""));
        let is_reply = code.len() == 4 && code.as_bytes()[..3].iter().all(u8::is_ascii_digit);
        let goes_on = is_reply && code.ends_with('-');
        match out.last_mut().filter(|_| open && is_reply) {
            Some(reply) => *reply = format!("{reply}, {rest}"),
            None if goes_on => out.push(format!("{} {rest}", &code[..3])),
            None => out.push(line),
        }
        if open
            && !goes_on
            && let Some(reply) = out.last_mut()
        {
            shorten(reply);
        }
        open = goes_on;
    }
    out
}

fn shorten(reply: &mut String) {
    if let Some((end, _)) = reply.char_indices().nth(WIDTH) {
        reply.truncate(end);
        reply.push('…');
    }
}

/// A moment of the simulated time, as people read it: hours, minutes, seconds, and days where there are any.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Mono);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_nanos(self.0.0);
        let seconds = since.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        if days > 0 {
            write!(f, "{days}d ")?;
        }
        write!(f, "{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, since.subsec_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Mono {
        Mono(second * 1_000_000_000)
    }

    fn talk(client: &str, port: u16) -> Talk {
        Talk { client: client.to_owned(), server: "d0.example".to_owned(), port }
    }

    #[test]
    fn connections_are_told_apart_and_the_time_once() {
        let mut timeline = Timeline::default();
        timeline.says(second(1), [0, 0, 1], || talk("u0@d0.example", 587), Side::Server, b"220 hello\r\n");
        timeline.says(second(1), [1, 1, 1], || talk("d1.example", 25), Side::Client, b"EHLO x\r\n");
        timeline.says(second(2), [0, 0, 1], || unreachable!("it is known"), Side::Client, b"QUIT\r\n");
        timeline.happens(second(90_002), "it rains".to_owned());
        assert_eq!(
            timeline.lines(&[]),
            [
                "00:00:01.000  A  u0@d0.example connects to d0.example (submission)",
                "              A  S: 220 hello",
                "              B  d1.example connects to d0.example (SMTP)",
                "              B  C: EHLO x",
                "00:00:02.000  A  C: QUIT",
                "1d 01:00:02.000     it rains",
            ]
        );
    }

    #[test]
    fn of_the_last_visits_those_are_told_that_matter() {
        let mut timeline = Timeline::default();
        timeline.heals(second(1));
        for (number, user) in ["u0@d0.example", "u1@d0.example"].into_iter().enumerate() {
            timeline.says(second(2), [0, 0, number as u64], || talk(user, 110), Side::Server, b"+OK\r\n");
        }
        assert_eq!(timeline.lines(&[]).len(), 5);
        assert_eq!(timeline.lines(&["u1@d0.example has nothing".to_owned()]).len(), 3);
        assert_eq!(timeline.lines(&["a node sleeps".to_owned()]).len(), 1);
        assert_eq!(timeline.lines(&["a panic: of a node".to_owned()]).len(), 5);
    }

    #[test]
    fn a_reply_of_many_lines_is_told_in_one() {
        let told = |text: &str| in_one(text.lines().map(str::to_owned).collect());
        assert_eq!(told("250-x\n250-A\n250 B\n250 C"), ["250 x, A, B", "250 C"]);
        assert_eq!(told("250-x"), ["250 x"]);
        assert_eq!(told("+OK\nü-250\n* 1 EXISTS"), ["+OK", "ü-250", "* 1 EXISTS"]);
        assert_eq!(told(&format!("250-{}\n250 B", "ä".repeat(200)))[0].chars().count(), WIDTH + 1);
    }

    #[test]
    fn there_are_as_many_letters_as_connections() {
        assert_eq!([0, 25, 26, 51, 52, 702].map(letters), ["A", "Z", "AA", "AZ", "BA", "AAA"]);
    }
}
