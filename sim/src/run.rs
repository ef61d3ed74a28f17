//! A plan is carried out, and judged.
//!
//! In the first phase things go wrong, and nothing that was promised may break: safety. Then the world heals, and
//! everything must come to its end: the queues drain, everybody finds his mail, sessions end, and nothing is held any
//! more: liveness.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pillarbox_core::Mono;
use pillarbox_core::node::Holdings;

use crate::census::census;
use crate::disk::Health;
use crate::host::{Doors, Power};
use crate::ledger::{Counts, UserId};
use crate::letter::Letter;
use crate::names::Fog;
use crate::operator;
use crate::people::{Chore, Device, Habit, Mailer, Person, Popper, Session, Stranger};
use crate::plan::{Fault, FaultKind, Item, LetterPlan, Means, Plan, StrangerPlan, VisitPlan};
use crate::settings::Settings;
use crate::story::what;
use crate::town::{self, Resident};
use crate::weather::Weather;
use crate::world::{Step, World};

/// Steps after which a world goes round in circles: in any world, and for each letter in it.
pub(crate) const STEPS: u64 = 10_000_000;
pub(crate) const STEPS_A_LETTER: u64 = 10_000;

/// How long a world may take to come to rest once it is healed: a clock may have been wrong by a day, and what it has
/// put off until then is tried once more, and reported.
pub(crate) const REST: Duration = Duration::from_secs(40 * 3600);

/// How often somebody looks whether it has.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// The number of a device that nobody has used before.
const ONE_MORE: usize = 9;

/// How long a group takes to be on disk at most, where disks are slow.
const SLOWEST_WRITE: Duration = Duration::from_secs(1000);

/// How long sessions may take to end when everybody is gone.
const FAREWELL: Duration = Duration::from_secs(3600);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The trace, as a number.
    pub trace: u64,
    /// The promises that were broken.
    pub violations: Vec<String>,
    /// What was counted.
    pub counts: Counts,
    /// Things that happened.
    pub steps: u64,
    /// Simulated time.
    pub passed: Duration,
    /// What happened, for a reader, if it was to be told.
    pub lines: Vec<String>,
    /// What became of each letter, likewise.
    pub fates: Vec<String>,
}

/// Carries a plan out. With `told`, the outcome has the lines of what happened.
#[must_use]
pub fn run(plan: &Plan, told: bool) -> Outcome {
    let (mut world, residents) = town::build(plan, &Settings::brisk(), told);
    let most_steps = STEPS + STEPS_A_LETTER * plan.letters.len() as u64;
    let (look, looked) = (&mut |_: &mut World| (), world.now());
    judged(&mut world, |world| {
        Run { world, plan, residents: &residents, rest: REST, most_steps, look, looked }.run();
    })
}

/// What a world comes to when this is done with it; a panic breaks a promise.
pub(crate) fn judged(world: &mut World, act: impl FnOnce(&mut World)) -> Outcome {
    if let Err(why) = catch_unwind(AssertUnwindSafe(|| act(world))) {
        let words = why.downcast_ref::<String>().cloned();
        let words = words.or_else(|| why.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        world.ledger.violated(format!("a panic: {}", words.unwrap_or_default()));
    }
    Outcome {
        trace: world.trace.hash(),
        violations: world.ledger.violations().to_vec(),
        counts: world.ledger.counts(),
        steps: world.steps,
        passed: Duration::from_nanos(world.now().0),
        lines: world.trace.lines(world.ledger.violations()),
        fates: if world.trace.is_told() { world.ledger.fates() } else { Vec::new() },
    }
}

/// A plan that is being carried out.
pub(crate) struct Run<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) plan: &'a Plan,
    pub(crate) residents: &'a [Vec<Resident>],
    /// How long the world may take to come to rest.
    pub(crate) rest: Duration,
    /// Steps after which it goes round in circles.
    pub(crate) most_steps: u64,
    /// Looks at the world every [`PAUSE`].
    pub(crate) look: &'a mut dyn FnMut(&mut World),
    /// When it looked last.
    pub(crate) looked: Mono,
}

impl Run<'_> {
    fn run(&mut self) {
        self.set_out();
        self.until(Mono(1) + self.plan.span);
        self.finish();
    }

    /// The world heals, and comes to its end.
    pub(crate) fn finish(&mut self) {
        self.heal();
        self.rest();
        // What is broken already breaks everything that comes behind it.
        if !self.world.ledger.violations().is_empty() {
            return;
        }
        self.look_once_more();
        self.farewell();
    }

    fn resident(&self, (host, user): (usize, usize)) -> Option<Resident> {
        self.residents.get(host)?.get(user).copied()
    }

    /// Everything that is planned goes into the agenda.
    pub(crate) fn set_out(&mut self) {
        let begin = self.world.now();
        for (number, letter) in self.plan.letters.iter().enumerate() {
            self.world.planned(begin + letter.at, Item::Letter(number));
        }
        for (number, visit) in self.plan.visits.iter().enumerate() {
            self.world.planned(begin + visit.at, Item::Visit(number));
        }
        for (number, stranger) in self.plan.strangers.iter().enumerate() {
            self.world.planned(begin + stranger.at, Item::Stranger(number));
        }
        for (number, fault) in self.plan.faults.iter().enumerate() {
            self.world.planned(begin + fault.at, Item::Begins(number));
            self.world.planned(begin + fault.at + fault.lasts, Item::Ends(number));
        }
    }

    /// Lets the world go on until then.
    pub(crate) fn until(&mut self, end: Mono) {
        loop {
            match self.world.step(end) {
                Step::Done => {}
                Step::Planned(item) => self.item(item),
                Step::Over => return,
            }
            if self.world.steps > self.most_steps {
                return self.world.ledger.violated("the world does not come to rest".to_owned());
            }
        }
    }

    /// The same, and somebody looks on.
    pub(crate) fn until_looking(&mut self, end: Mono) {
        while self.looked + PAUSE <= end {
            self.looked = self.looked + PAUSE;
            self.until(self.looked);
            (self.look)(self.world);
        }
        self.until(end);
    }

    fn item(&mut self, item: Item) {
        let plan = self.plan;
        // What is to begin behind the healing does not begin, and what has been healed does not end.
        let healed = self.world.now() > Mono(1) + plan.span;
        match item {
            Item::Letter(number) => self.write(&plan.letters[number]),
            Item::Visit(number) => self.visit(&plan.visits[number]),
            Item::Stranger(number) => self.stranger(&plan.strangers[number]),
            Item::Begins(_) | Item::Ends(_) if healed => {}
            Item::Begins(number) => self.fault(&plan.faults[number], true),
            Item::Ends(number) => self.fault(&plan.faults[number], false),
        }
    }

    pub(crate) fn write(&mut self, letter: &LetterPlan) {
        let Some(Resident { user, host, .. }) = self.resident(letter.from) else { return };
        let to = letter.to.clone();
        let mailer = Mailer::new(user, host, Letter(letter.number), to, letter.octets, letter.leaves_after);
        self.world.person(user, Box::new(mailer));
    }

    pub(crate) fn visit(&mut self, visit: &VisitPlan) {
        let Some(Resident { user, host, .. }) = self.resident(visit.user) else { return };
        let leaves_after = visit.leaves_after;
        let person: Box<dyn Person> = match &visit.means {
            Means::Pop3(habit) => Box::new(Popper::new(user, host, *habit, leaves_after)),
            Means::Imap(session) => Box::new(Device::new(user, host, session.clone(), leaves_after)),
        };
        self.world.person(user, person);
    }

    fn stranger(&mut self, stranger: &StrangerPlan) {
        let Some(guest) = self.world.hosts.get(stranger.host).and_then(|host| host.guest) else { return };
        self.world.person(guest, Box::new(Stranger::new(guest, stranger.host, stranger.script)));
    }

    fn fault(&mut self, fault: &Fault, begins: bool) {
        let now = self.world.now();
        let world = &mut *self.world;
        let host = fault.host.min(world.hosts.len() - 1);
        let other = fault.other.min(world.hosts.len() - 1);
        // What happens to a machine is told by itself.
        if !matches!(fault.kind, FaultKind::Kill | FaultKind::PowerCut | FaultKind::Stop) {
            world.trace.tell(now, || format!("{} {}", if begins { "begins:" } else { "ends:" }, what(fault)));
        }
        let degree = if begins { fault.degree } else { 0 };
        match fault.kind {
            FaultKind::Kill if begins => world.crash(host, false),
            FaultKind::PowerCut if begins => world.crash(host, true),
            FaultKind::Kill | FaultKind::PowerCut => world.start(host),
            FaultKind::Stop if begins => world.stop(host, Duration::from_secs(degree as u64 % 8)),
            FaultKind::Stop if world.hosts[host].stopping => {
                world.crash(host, false);
                world.start(host);
            }
            FaultKind::Stop => {}
            FaultKind::Partition if begins => world.weather.cut(host, other, now + fault.lasts),
            FaultKind::Isolation if begins => world.weather.isolate(host, now + fault.lasts),
            FaultKind::Partition | FaultKind::Isolation => {}
            FaultKind::Resets => world.reset(host, None),
            FaultKind::Breaks => world.weather.breaks = degree,
            FaultKind::Splits => world.weather.splits = degree,
            FaultKind::SlowWire => {
                let base = Weather::default();
                let (latency, per_octet) = match begins {
                    true => ((base.latency.0 * 50, base.latency.1 * degree as u32), 200 * degree as u64),
                    false => (base.latency, base.per_octet),
                };
                (world.weather.latency, world.weather.per_octet) = (latency, per_octet);
            }
            FaultKind::LostDatagrams => world.weather.loses = degree,
            FaultKind::Unplugged => {
                let address = world.hosts[host].addresses[0];
                match begins {
                    true => _ = world.hosts[host].unplugged.insert(address),
                    false => _ = world.hosts[host].unplugged.remove(&address),
                }
            }
            FaultKind::SilentNames => world.names.fog.silent = degree,
            FaultKind::SlowNames => world.names.fog.slow = degree,
            FaultKind::FailingNames => world.names.fog.failing = degree,
            FaultKind::TruncatedNames => {
                world.names.fog.truncated = degree;
                world.names.fog.streams = if degree > 50 { degree / 2 } else { 0 };
            }
            FaultKind::ForgedNames => world.names.fog.forged = degree,
            FaultKind::GarbledNames => world.names.fog.garbage = degree / 4,
            FaultKind::FullDisk => world.hosts[host].disk.health.full = degree,
            FaultKind::BadDisk => world.hosts[host].disk.health.bad = degree / 2,
            FaultKind::BusyDisk => world.hosts[host].disk.health.busy = degree.min(90),
            FaultKind::SlowDisk => {
                let health = &mut world.hosts[host].disk.health;
                *health = match begins {
                    true => Health {
                        write: SLOWEST_WRITE * (degree * degree) as u32 / if degree > 75 { 10_000 } else { 100_000 },
                        // The worst seem to have stopped.
                        read: Duration::from_millis(if degree > 60 { 1000 } else { 1 } * degree as u64),
                        ..*health
                    },
                    false => Health { write: Health::GOOD.write, read: Health::GOOD.read, ..*health },
                };
            }
            FaultKind::FailedSync if begins => world.hosts[host].disk.stopped = true,
            FaultKind::FailedSync => {
                if world.hosts[host].disk.stopped {
                    world.crash(host, false);
                    world.start(host);
                }
            }
            FaultKind::ClockJump => {
                let clock = &world.hosts[host].clock;
                let hours = fault.degree as i64 % 24;
                match begins {
                    true => clock.jump(3_600_000 * if fault.degree.is_multiple_of(2) { hours } else { -hours }),
                    // Some clocks stay wrong.
                    false if !fault.degree.is_multiple_of(3) => clock.right(),
                    false => {}
                }
                world.touch(host);
            }
            FaultKind::Accounts if begins => operator::changes_accounts(world, host, self.plan.users, fault.degree),
            FaultKind::Accounts => operator::puts_back(world, host),
            FaultKind::Meddling if begins => operator::meddles(world, host, fault.degree),
            FaultKind::Meddling => {}
            FaultKind::Deafness if begins => world.hosts[host].deaf = true,
            FaultKind::Deafness => {
                world.hosts[host].deaf = false;
                // Some learn that they have missed something.
                if fault.degree.is_multiple_of(2) {
                    world.tell_missed(host);
                }
            }
        }
    }

    /// Everything works again.
    fn heal(&mut self) {
        let now = self.world.now();
        let world = &mut *self.world;
        world.trace.heals(now);
        world.weather.clear();
        world.names.fog = Fog::default();
        for host in 0..world.hosts.len() {
            world.hosts[host].unplugged.clear();
            world.hosts[host].deaf = false;
            world.hosts[host].disk.health = Health::GOOD;
            if world.hosts[host].disk.stopped || world.hosts[host].stopping {
                world.crash(host, false);
            }
            if world.hosts[host].power != Power::On {
                world.start(host);
            }
            operator::puts_back(world, host);
        }
    }

    /// The queues drain.
    fn rest(&mut self) {
        // What a slow disk has begun to write it writes slowly, and somebody may wait for it.
        self.until_looking(self.world.now() + SLOWEST_WRITE);
        let end = self.world.now() + self.rest;
        while self.world.now() < end && (self.world.queued() > 0 || self.world.busy_people() > 0) {
            self.until_looking(self.world.now() + PAUSE);
            if !self.world.ledger.violations().is_empty() {
                return;
            }
        }
        for host in &self.world.hosts {
            if host.queued() > 0 {
                let how = format!("the queue of {} does not drain: {} rows", host.name, host.queued());
                return self.world.ledger.violated(how);
            }
        }
        if self.world.busy_people() > 0 {
            self.world.ledger.violated(format!("{} people wait for ever", self.world.busy_people()));
        }
    }

    /// Everybody looks into his mailbox, which nobody holds, and comes to each of his devices; and what he has is what was
    /// promised.
    fn look_once_more(&mut self) {
        // They all come at once.
        self.world.doors = Doors::OPEN;
        self.world.hosts.iter_mut().for_each(|host| host.doors = None);
        for resident in self.residents.iter().flatten() {
            let popper = Popper::new(resident.user, resident.host, Habit::Looks, None);
            self.world.person(resident.user, Box::new(popper.last()));
        }
        self.until_all_are_gone();
        self.come_to_devices();
        self.until_all_are_gone();
        for resident in self.residents.iter().flatten() {
            let world = &mut *self.world;
            let store = &world.hosts[resident.host].disk.store;
            let has = census(store, resident.account, resident.user, &mut world.ledger);
            world.ledger.settle_user(resident.user, &has);
        }
        self.world.ledger.settle();
    }

    /// At all his devices he finds everything as it is, and waits. Then something happens at one more, and all the others
    /// must hear of it.
    fn come_to_devices(&mut self) {
        let used = self.world.ledger.devices();
        let mut users = BTreeSet::new();
        for (user, device) in used {
            let resyncs = !(user.0 + device).is_multiple_of(3);
            self.last_session(user, Session { device, resyncs, chores: vec![Chore::Idles], vanishes: false });
            users.insert(user);
        }
        self.until(self.world.now() + Duration::from_secs(60));
        for user in users {
            let chores = vec![Chore::Marks, Chore::Appends, Chore::Deletes];
            self.last_session(user, Session { device: ONE_MORE, resyncs: true, chores, vanishes: false });
        }
    }

    fn last_session(&mut self, user: UserId, session: Session) {
        let Some(resident) = self.residents.iter().flatten().find(|resident| resident.user == user) else { return };
        let device = Device::new(user, resident.host, session, None);
        self.world.person(user, Box::new(device.last()));
    }

    /// Visits come to their ends, within an hour.
    fn until_all_are_gone(&mut self) {
        let end = self.world.now() + Duration::from_secs(3600);
        while self.world.busy_people() > 0 && self.world.now() < end {
            self.until(self.world.now() + PAUSE);
        }
    }

    /// Sessions end, and nothing is held any more.
    fn farewell(&mut self) {
        self.until(self.world.now() + FAREWELL);
        let held: Vec<_> = (self.world.holdings())
            .filter(|(_, connections, holdings)| *connections > 0 || *holdings != Holdings::default())
            .map(|(node, connections, holdings)| {
                format!("at rest node {node} holds {connections} connections, {holdings:?}")
            })
            .collect();
        held.into_iter().for_each(|how| self.world.ledger.violated(how));
    }
}
