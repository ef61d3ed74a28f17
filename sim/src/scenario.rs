//! A week of mail: so many domains, so many users, letters with a daily rhythm, and things that go wrong; judged as every
//! world is, and measured.
//!
//! Letters and visits are drawn when their time comes, each from its number, so that it does not matter how many there
//! are.

use std::cell::Cell;
use std::iter::Peekable;
use std::time::Duration;

use pillarbox_core::{Random, Seed};

use crate::ledger::Counts;
use crate::meter::{Figures, Meter};
use crate::people::Habit;
use crate::plan::{Fault, FaultKind, HOPELESS, HostPlan, LetterPlan, Means, Plan, VisitPlan, domain};
use crate::rhythm::Rhythm;
use crate::run::{Outcome, PAUSE, REST, Run, STEPS, STEPS_A_LETTER, judged};
use crate::settings::Settings;
use crate::town;
use crate::world::World;

/// Letters for each visit to a mailbox.
const LETTERS_A_VISIT: u64 = 4;

/// Points in time that are worth a look, in the days of the scenario.
const POINTS: u32 = 360;

/// What a scenario is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What everything is drawn from.
    pub seed: u64,
    /// Domains, each with its server.
    pub domains: usize,
    /// Users of each domain.
    pub users: usize,
    /// For how long people write and things go wrong.
    pub span: Duration,
    /// Letters that are written in it.
    pub letters: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// How the servers are set up.
    pub settings: Settings,
}

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nothing.
    None,
    /// As in a week that nobody remembers: servers are restarted, lines are cut for minutes.
    Light,
    /// Everything that can, every day.
    Heavy,
}

/// How far it is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Time since the beginning.
    pub passed: Duration,
    /// Letters that were written so far.
    pub written: u64,
    /// What was counted so far.
    pub counts: Counts,
    /// Recipients in queues.
    pub queued: usize,
    /// All that goes wrong in the whole of it.
    faults: &'a [Fault],
    /// When the world heals.
    span: Duration,
}

impl Progress<'_> {
    /// What is wrong just now.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let lasting = |fault: &&Fault| fault.at <= self.passed && self.passed < fault.at + fault.lasts;
        self.faults.iter().filter(|_| !self.is_healed()).filter(lasting)
    }

    /// Nothing goes wrong any more: the queues drain.
    #[must_use]
    pub fn is_healed(&self) -> bool {
        self.passed > self.span
    }
}

/// What a scenario came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it was judged.
    pub outcome: Outcome,
    /// What was counted over time.
    pub figures: Figures,
    /// What went wrong.
    pub faults: Vec<Fault>,
}

impl Scenario {
    /// Plays it. `progress` is told how far it is, again and again.
    #[must_use]
    pub fn run(&self, mut progress: impl FnMut(&Progress<'_>)) -> Report {
        let plan = self.plan();
        let (mut world, residents) = town::build(&plan, &self.settings, false);
        let begin = world.now();
        world.ledger.meter = Some(Box::new(Meter::new(begin, self.every())));
        let written = Cell::new(0);
        let mut look = |world: &mut World| {
            let (now, queued) = (world.now(), world.queued());
            if let Some(meter) = &mut world.ledger.meter {
                meter.looked(now, queued);
            }
            let passed = Duration::from_nanos(now.0 - begin.0);
            let counts = world.ledger.counts();
            let written = written.get();
            progress(&Progress { passed, written, counts, queued, faults: &plan.faults, span: plan.span });
        };
        let outcome = judged(&mut world, |world| {
            let mut run = Run {
                world,
                plan: &plan,
                residents: &residents,
                rest: REST + self.settings.queue.expire_after + 2 * self.longest_wait(),
                most_steps: STEPS + STEPS_A_LETTER * self.letters,
                look: &mut look,
                looked: begin,
            };
            run.set_out();
            for what in self.happens() {
                run.until_looking(begin + what.at());
                match what {
                    Happens::Letter(letter) => {
                        run.write(&letter);
                        written.set(written.get() + 1);
                    }
                    Happens::Visit(visit) => run.visit(&visit),
                }
                if !run.world.ledger.violations().is_empty() {
                    return;
                }
            }
            run.until_looking(begin + self.span);
            run.finish();
        });
        let figures = world.ledger.meter.as_ref().map(|meter| meter.figures().clone());
        let figures = figures.unwrap_or_else(|| Meter::new(begin, PAUSE).figures().clone());
        Report { outcome, figures, faults: plan.faults }
    }

    /// How long a point in time is.
    fn every(&self) -> Duration {
        let minutes = (self.span / POINTS).as_secs().div_ceil(60).max(1);
        // One that an hour, or a day, has a whole number of.
        let even = [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 360, 720];
        let minutes = even.into_iter().find(|even| *even >= minutes).unwrap_or(1440);
        Duration::from_secs(60 * minutes)
    }

    fn longest_wait(&self) -> Duration {
        self.settings.queue.retry.iter().copied().max().unwrap_or_default()
    }

    /// The machines, and what goes wrong.
    fn plan(&self) -> Plan {
        let mut random = Random::new(&Seed::number(self.seed ^ 0x5ce4_a110_0000_0000));
        let random = &mut random;
        let hosts: Vec<_> = (0..self.domains.max(1))
            .map(|_| HostPlan {
                strict: false,
                nodes: if random.below(4) == 0 { 2 } else { 1 },
                tls: random.below(3) > 0,
                second: random.below(2) == 0,
                dead_first: random.below(16) == 0,
                cramped: false,
            })
            .collect();
        let faults = self.draw_faults(hosts.len(), random);
        let users = self.users.max(1);
        Plan {
            seed: self.seed,
            hosts,
            users,
            letters: Vec::new(),
            visits: Vec::new(),
            strangers: Vec::new(),
            faults,
            span: self.span,
        }
    }

    /// What goes wrong at one machine grows with their number, and what goes wrong everywhere does not.
    fn draw_faults(&self, hosts: usize, random: &mut Random) -> Vec<Fault> {
        let days = self.span.as_secs_f64() / 86_400.0;
        let (of_hosts, of_all) = match self.faults {
            Faults::None => return Vec::new(),
            Faults::Light => (days * hosts as f64 / 10.0, days * EVERYWHERE.len() as f64 / 10.0),
            Faults::Heavy => (days * hosts as f64, days * EVERYWHERE.len() as f64),
        };
        let is_at_one = |kind: &FaultKind| !EVERYWHERE.contains(kind) && !BY_OPERATORS.contains(kind);
        let at_one: Vec<_> = FaultKind::ALL.iter().copied().filter(is_at_one).collect();
        let mut faults = Vec::new();
        for _ in 0..of_hosts.ceil() as usize {
            let kind = at_one[random.below(at_one.len())];
            faults.push(self.fault(kind, hosts, random));
        }
        for number in 0..of_all.ceil() as usize {
            let mut fault = self.fault(EVERYWHERE[number % EVERYWHERE.len()], hosts, random);
            // Where all suffer they do not suffer the worst.
            fault.degree = fault.degree.min(60);
            faults.push(fault);
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    fn fault(&self, kind: FaultKind, hosts: usize, random: &mut Random) -> Fault {
        let at = Duration::from_millis(random.below(self.span.as_millis() as usize + 1) as u64);
        // Many are short, some last for hours.
        let power = if self.faults == Faults::Heavy { 14 } else { 11 };
        let most = 1 << random.below(power);
        let lasts = Duration::from_secs(30 + random.below(most) as u64);
        let host = random.below(hosts);
        let other = (host + 1 + random.below(hosts.max(2) - 1)) % hosts;
        Fault { kind, at, lasts, host, other, degree: 10 + random.below(91) }
    }

    /// All that people do, in its order.
    fn happens(&self) -> impl Iterator<Item = Happens> + '_ {
        let visits = self.letters / LETTERS_A_VISIT;
        let rhythm = Rhythm::new(self.span);
        let again = rhythm.clone();
        let letters = (0..self.letters).map(move |number| self.letter(number, &rhythm));
        let visits = (0..visits).map(move |number| self.visit(number, visits, &again));
        InOrder { letters: letters.peekable(), visits: visits.peekable() }
    }

    fn random_of(&self, what: u64, number: u64) -> Random {
        Random::new(&Seed::number(self.seed.rotate_left(48) ^ what << 56 ^ number))
    }

    fn letter(&self, number: u64, rhythm: &Rhythm) -> LetterPlan {
        let random = &mut self.random_of(1, number);
        let at = rhythm.moment(number, random.u16(), self.letters);
        let (hosts, users) = (self.domains.max(1), self.users.max(1));
        let from = (random.below(hosts), random.below(users));
        let recipients = match random.below(20) {
            0..17 => 1,
            17..19 => 2,
            _ => 3 + random.below(4),
        };
        let mut to: Vec<String> = Vec::with_capacity(recipients);
        for _ in 0..recipients {
            let address = match random.below(200) {
                0..2 => format!("nobody@{}", domain(random.below(hosts))),
                2 => format!("u0@{}", HOPELESS[random.below(HOPELESS.len())]),
                3..60 => format!("u{}@{}", random.below(users), domain(from.0)),
                _ => {
                    // Some domains are written to more often than others.
                    let known = 1 + random.below(hosts);
                    format!("u{}@{}", random.below(users), domain(random.below(known)))
                }
            };
            if !to.contains(&address) {
                to.push(address);
            }
        }
        let octets = match random.below(100) {
            0..80 => 500 + random.below(2_500),
            80..99 => 3_000 + random.below(12_000),
            _ => 15_000 + random.below(100_000),
        };
        let leaves_after = (random.below(100) == 0).then(|| 1 + random.below(8));
        LetterPlan { number: number as u32, at, from, to, octets, leaves_after }
    }

    fn visit(&self, number: u64, all: u64, rhythm: &Rhythm) -> VisitPlan {
        let random = &mut self.random_of(2, number);
        let at = rhythm.moment(number, random.u16(), all);
        let user = (random.below(self.domains.max(1)), random.below(self.users.max(1)));
        let habit = match random.below(10) {
            0..8 => Habit::Empties,
            8 => Habit::Picks,
            _ => Habit::Looks,
        };
        let leaves_after = (random.below(50) == 0).then(|| 1 + random.below(12));
        VisitPlan { at, user, means: Means::Pop3(habit), leaves_after }
    }
}

/// What an operator does, and does not wonder about.
const BY_OPERATORS: &[FaultKind] = &[FaultKind::Accounts, FaultKind::Meddling];

/// What goes wrong for everybody at once.
const EVERYWHERE: &[FaultKind] = &[
    FaultKind::Breaks,
    FaultKind::Splits,
    FaultKind::SlowWire,
    FaultKind::LostDatagrams,
    FaultKind::SilentNames,
    FaultKind::SlowNames,
    FaultKind::FailingNames,
    FaultKind::TruncatedNames,
    FaultKind::ForgedNames,
    FaultKind::GarbledNames,
];

/// Something that somebody does.
enum Happens {
    Letter(LetterPlan),
    Visit(VisitPlan),
}

impl Happens {
    fn at(&self) -> Duration {
        match self {
            Self::Letter(letter) => letter.at,
            Self::Visit(visit) => visit.at,
        }
    }
}

struct InOrder<L: Iterator<Item = LetterPlan>, V: Iterator<Item = VisitPlan>> {
    letters: Peekable<L>,
    visits: Peekable<V>,
}

impl<L: Iterator<Item = LetterPlan>, V: Iterator<Item = VisitPlan>> Iterator for InOrder<L, V> {
    type Item = Happens;

    fn next(&mut self) -> Option<Happens> {
        let letter_first = match (self.letters.peek(), self.visits.peek()) {
            (Some(letter), Some(visit)) => letter.at <= visit.at,
            (letter, _) => letter.is_some(),
        };
        if letter_first { self.letters.next().map(Happens::Letter) } else { self.visits.next().map(Happens::Visit) }
    }
}
