//! What a world is like over time, counted as it goes: a point for each stretch of time, and how long letters took.
//!
//! It holds numbers only, however many letters there are.

use std::collections::BTreeMap;
use std::time::Duration;

use pillarbox_core::Mono;
use pillarbox_core::node::Event;
use pillarbox_core::ops::RowId;

use crate::ledger::Outcome;

/// Kinds of answers that are told apart; there are fewer codes than that.
const ANSWERS: usize = 256;

/// What was counted over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// How long a point is.
    pub every: Duration,
    /// One after the other, from the beginning.
    pub points: Vec<Point>,
    /// From when a letter is handed over until it is in its recipient's mailbox: at the same server.
    pub near: Latency,
    /// The same, where the mailbox is at another server.
    pub far: Latency,
    /// Recipients who left a queue, by how often they were tried.
    pub attempts: BTreeMap<u32, u64>,
    /// Recipients that were reported to the sender, by status (RFC 3463).
    pub bounces: BTreeMap<String, u64>,
    /// What servers said to other servers that was not yes, and what was said where none answered.
    pub deferrals: BTreeMap<String, Said>,
    /// What servers said to whoever came to them that was not yes.
    pub refusals: BTreeMap<String, Said>,
}

/// Something that was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// How often.
    pub times: u64,
    /// In which words, when it was said first.
    pub words: String,
}

/// A stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Letters that were accepted from their writers.
    pub accepted: u64,
    /// Letters that were refused, or whose writers never heard.
    pub refused: u64,
    /// Copies that reached a mailbox.
    pub delivered: u64,
    /// Attempts that are to be made again.
    pub deferred: u64,
    /// Recipients that were reported to the sender.
    pub bounced: u64,
    /// Recipients in all queues together, at most.
    pub queued: usize,
    /// How long letters to other servers took that arrived in it.
    pub far: Latency,
}

/// How long it took, as a histogram with sixteen classes to a power of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    classes: BTreeMap<u16, u64>,
    count: u64,
}

/// Classes to a power of two.
const CLASSES: u64 = 16;

impl Latency {
    fn add(&mut self, took: Duration) {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        *self.classes.entry(class(milliseconds)).or_default() += 1;
        self.count += 1;
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (class, count) in &other.classes {
            *self.classes.entry(*class).or_default() += count;
        }
        self.count += other.count;
        self
    }

    /// So many of a thousand took no longer than this, which is right within a sixteenth; nothing where there are none.
    #[must_use]
    pub fn permille(&self, permille: u64) -> Option<Duration> {
        let wanted = (u128::from(self.count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        let class = self.classes.iter().find(|(_, count)| {
            seen += u128::from(**count);
            seen >= wanted
        });
        class.map(|(class, _)| up_to(*class))
    }

    /// For each duration, the shortest first: how many took no longer.
    pub fn within(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.classes.iter().scan(0, |seen, (class, count)| {
            *seen += count;
            Some((up_to(*class), *seen))
        })
    }
}

/// The class of so many milliseconds: small numbers are their own, larger ones share.
fn class(milliseconds: u64) -> u16 {
    let Some(power) = milliseconds.checked_ilog2().filter(|power| *power >= 4) else { return milliseconds as u16 };
    let within = (milliseconds >> (power - 4)) - CLASSES;
    ((u64::from(power) - 3) * CLASSES + within) as u16
}

/// The longest in a class.
fn up_to(class: u16) -> Duration {
    let (power, within) = (u64::from(class) / CLASSES, u64::from(class) % CLASSES);
    let next = match power {
        0 => within + 1,
        power => (CLASSES + within + 1) << (power - 1),
    };
    Duration::from_millis(next - 1)
}

/// Counts.
#[derive(Debug)]
pub(crate) struct Meter {
    begin: Mono,
    figures: Figures,
    /// Rows that were tried, and must be again: how often.
    tried: BTreeMap<(usize, RowId), u32>,
}

impl Meter {
    /// One that begins then, with a point for each so many.
    pub(crate) fn new(begin: Mono, every: Duration) -> Self {
        let figures = Figures {
            every: every.max(Duration::from_secs(1)),
            points: vec![Point::default()],
            near: Latency::default(),
            far: Latency::default(),
            attempts: BTreeMap::new(),
            bounces: BTreeMap::new(),
            deferrals: BTreeMap::new(),
            refusals: BTreeMap::new(),
        };
        Self { begin, figures, tried: BTreeMap::new() }
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    fn point(&mut self, now: Mono) -> &mut Point {
        let passed = now.0.saturating_sub(self.begin.0);
        let place = (u128::from(passed) / self.figures.every.as_nanos()) as usize;
        if self.figures.points.len() <= place {
            self.figures.points.resize_with(place + 1, Point::default);
        }
        &mut self.figures.points[place]
    }

    /// Somebody looks at the queues.
    pub(crate) fn looked(&mut self, now: Mono, queued: usize) {
        let point = self.point(now);
        point.queued = point.queued.max(queued);
    }

    pub(crate) fn submitted(&mut self, now: Mono, outcome: Outcome) {
        match outcome {
            Outcome::Unsent => {}
            Outcome::Accepted => self.point(now).accepted += 1,
            Outcome::Unknown | Outcome::Refused => self.point(now).refused += 1,
        }
    }

    pub(crate) fn delivered(&mut self, now: Mono, took: Duration, near: bool) {
        let point = self.point(now);
        point.delivered += 1;
        if near {
            return self.figures.near.add(took);
        }
        point.far.add(took);
        self.figures.far.add(took);
    }

    pub(crate) fn bounced(&mut self, now: Mono, status: &str) {
        self.point(now).bounced += 1;
        let bounces = &mut self.figures.bounces;
        if let Some(count) = bounces.get_mut(status) {
            *count += 1;
        } else if bounces.len() < ANSWERS {
            bounces.insert(status.to_owned(), 1);
        }
    }

    pub(crate) fn deferred(&mut self, now: Mono, host: usize, row: RowId) {
        self.point(now).deferred += 1;
        *self.tried.entry((host, row)).or_default() += 1;
    }

    pub(crate) fn finished(&mut self, host: usize, row: RowId) {
        let before = self.tried.remove(&(host, row)).unwrap_or(0);
        *self.figures.attempts.entry(before + 1).or_default() += 1;
    }

    /// A node tells what happened.
    pub(crate) fn event(&mut self, event: &Event) {
        let (said, reply) = match event {
            Event::Refused { reply, .. } => (&mut self.figures.refusals, reply),
            Event::Attempted { reply, .. } if reply.code() >= 400 => (&mut self.figures.deferrals, reply),
            _ => return,
        };
        let status = reply.status().map(|status| format!(" {status}")).unwrap_or_default();
        let code = format!("{}{status}", reply.code());
        if let Some(said) = said.get_mut(&code) {
            said.times += 1;
        } else if said.len() < ANSWERS {
            said.insert(code, Said { times: 1, words: reply.text().to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_narrow_and_follow_each_other() {
        let mut last = 0;
        for milliseconds in (0..5000).chain((13..50).map(|power| 1 << power)) {
            let class = class(milliseconds);
            assert!(class >= last, "{milliseconds}");
            last = class;
            let most = up_to(class).as_millis() as u64;
            assert!(most >= milliseconds && most - milliseconds <= milliseconds / CLASSES, "{milliseconds}: {most}");
        }
        assert_eq!((class(15), class(16), class(31), class(32)), (15, 16, 31, 32));
    }

    #[test]
    fn a_percentile_is_that_of_the_letters() {
        let mut latency = Latency::default();
        assert_eq!(latency.permille(500), None);
        (1..=1000).for_each(|milliseconds| latency.add(Duration::from_millis(milliseconds)));
        for (permille, milliseconds) in [(0, 1), (10, 10), (500, 500), (990, 990), (1000, 1000)] {
            let found = latency.permille(permille).expect("there are some").as_millis();
            assert!((milliseconds..=milliseconds + milliseconds / 16 + 1).contains(&found), "{permille}: {found}");
        }
        assert_eq!(latency.within().last().map(|(_, count)| count), Some(1000));
        assert_eq!(latency.clone().and(&latency).count(), 2000);
    }

    #[test]
    fn points_follow_the_time() {
        let at = |seconds: u64| Mono(1) + Duration::from_secs(seconds);
        let mut meter = Meter::new(Mono(1), Duration::from_secs(60));
        meter.looked(at(0), 3);
        meter.looked(at(59), 2);
        meter.looked(at(180), 7);
        meter.delivered(at(60), Duration::from_secs(1), false);
        meter.delivered(at(61), Duration::from_secs(1), true);
        let figures = meter.figures();
        let queued: Vec<_> = figures.points.iter().map(|point| point.queued).collect();
        assert_eq!(queued, [3, 0, 0, 7]);
        assert_eq!((figures.points[1].delivered, figures.points[1].far.count()), (2, 1));
        assert_eq!((figures.near.count(), figures.far.count()), (1, 1));
    }
}
