//! The plan of a run: who writes to whom and when, who reads, and what goes wrong. All of it is drawn from the seed, and
//! all of it is data, so that a plan can be made smaller until only what matters is left.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use pillarbox_core::{Random, Seed};

use crate::people::{Chore, Habit, SCRIPTS, Session};

/// How large a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Machines, each with a domain.
    pub hosts: usize,
    /// Users of each domain.
    pub users: usize,
    /// Letters that are written.
    pub letters: usize,
    /// Visits of users to their mailboxes.
    pub visits: usize,
    /// Visits of strangers, who say what no decent device says.
    pub strangers: usize,
    /// Things that go wrong.
    pub faults: usize,
    /// For how long people write and things go wrong.
    pub span: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            hosts: 20,
            users: 3,
            letters: 60,
            visits: 60,
            strangers: 8,
            faults: 16,
            span: Duration::from_secs(2 * 3600),
        }
    }
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it was drawn from. What is not in the plan (how long each octet travels) is drawn from it as well.
    pub seed: u64,
    /// The domains' machines.
    pub hosts: Vec<HostPlan>,
    /// Users of each domain.
    pub users: usize,
    /// What is written.
    pub letters: Vec<LetterPlan>,
    /// Who reads.
    pub visits: Vec<VisitPlan>,
    /// Who means no good.
    pub strangers: Vec<StrangerPlan>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// When the world heals.
    pub span: Duration,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// Nodes of its server.
    pub nodes: u16,
    /// It offers STARTTLS, and uses it.
    pub tls: bool,
    /// It has a second exchanger, on another address.
    pub second: bool,
    /// Its preferred exchanger does not exist.
    pub dead_first: bool,
    /// Its limits are small.
    pub cramped: bool,
    /// It takes no password in the clear, but from itself, where its own people are.
    pub strict: bool,
}

/// A letter that somebody writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPlan {
    /// Its number.
    pub number: u32,
    /// When.
    pub at: Duration,
    /// By whom: the machine, and which of its users.
    pub from: (usize, usize),
    /// To which addresses.
    pub to: Vec<String>,
    /// Octets.
    pub octets: usize,
    /// Its writer is gone after so many replies.
    pub leaves_after: Option<usize>,
}

/// Somebody looks into his mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitPlan {
    /// When.
    pub at: Duration,
    /// Who: the machine, and which of its users.
    pub user: (usize, usize),
    /// How.
    pub means: Means,
    /// He is gone after so many replies.
    pub leaves_after: Option<usize>,
}

/// How somebody looks into his mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// By POP3.
    Pop3(Habit),
    /// By IMAP.
    Imap(Session),
}

/// Somebody who is nobody's user comes to a server, or one who behaves like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrangerPlan {
    /// When.
    pub at: Duration,
    /// To which machine.
    pub host: usize,
    /// What he says: which of the scripts.
    pub script: usize,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// From when.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// On which machine, where it is on one.
    pub host: usize,
    /// Between it and which other, where it is between two.
    pub other: usize,
    /// How bad, in per cent.
    pub degree: usize,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $words:literal,)*) => {
        /// What can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $($(#[$doc])* $name,)* }

        impl FaultKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }

        impl fmt::Display for FaultKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $words,)* })
            }
        }
    };
}

kinds! {
    /// The server is killed, and started again.
    Kill = "server killed",
    /// The machine has no power for a while.
    PowerCut = "power cut",
    /// Nothing passes between two machines.
    Partition = "partition",
    /// Nothing passes between a machine and any other.
    Isolation = "isolation",
    /// All connections of a machine break.
    Resets = "connections reset",
    /// New connections break in the middle.
    Breaks = "connections that break",
    /// Everything comes in pieces.
    Splits = "split segments",
    /// Everything takes long.
    SlowWire = "slow network",
    /// Datagrams are lost.
    LostDatagrams = "lost datagrams",
    /// One address of a machine is not reached.
    Unplugged = "address unreachable",
    /// Name servers do not answer.
    SilentNames = "silent name servers",
    /// They answer late.
    SlowNames = "slow name servers",
    /// They fail.
    FailingNames = "SERVFAIL",
    /// Their answers are cut off.
    TruncatedNames = "truncated answers",
    /// Somebody answers in their place.
    ForgedNames = "forged answers",
    /// They answer garbage.
    GarbledNames = "garbled answers",
    /// A disk is full, now and then.
    FullDisk = "full disk",
    /// A disk is slow.
    SlowDisk = "slow disk",
    /// A store hands ops back.
    BusyDisk = "busy store",
    /// A sync fails: the store stops, and somebody starts the server again.
    FailedSync = "failed sync",
    /// Some of what a disk has cannot be read.
    BadDisk = "unreadable disk",
    /// A server is told to stop, and is started again later.
    Stop = "server stopped",
    /// A clock is set to another time.
    ClockJump = "clock jump",
    /// What a store hints at is not heard.
    Deafness = "lost notices",
    /// An operator removes an account, or gives an alias other targets.
    Accounts = "accounts changed",
    /// An operator removes letters from a queue, or wants them tried again.
    Meddling = "operator at the queue",
}

impl FaultKind {
    /// While it lasts, a name may not be found that is there.
    #[must_use]
    pub fn hides_names(self) -> bool {
        matches!(
            self,
            Self::SlowWire
                | Self::LostDatagrams
                | Self::SilentNames
                | Self::SlowNames
                | Self::FailingNames
                | Self::TruncatedNames
                | Self::ForgedNames
                | Self::GarbledNames
        )
    }
}

/// What stands in a plan, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Letter(usize),
    Visit(usize),
    Stranger(usize),
    Begins(usize),
    Ends(usize),
}

/// Domains that nobody can write to, each for another reason.
pub const HOPELESS: [&str; 11] = [
    "null.example",
    "void.example",
    "ring.example",
    "deaf.example",
    "maze.example",
    "self.example",
    "chain.example",
    "lame.example",
    "empty.example",
    "odd.example",
    "routed.example",
];

impl Plan {
    /// Draws one.
    #[must_use]
    pub fn draw(seed: u64, size: &Size) -> Self {
        let mut random = Random::new(&Seed::number(seed ^ 0x5eed_0000_0000_0000));
        let random = &mut random;
        let hosts: Vec<_> = (0..size.hosts.max(1))
            .map(|_| {
                let tls = random.below(3) == 0;
                HostPlan {
                    nodes: if random.below(4) == 0 { 2 } else { 1 },
                    tls,
                    second: random.below(2) == 0,
                    dead_first: random.below(8) == 0,
                    cramped: random.below(6) == 0,
                    strict: tls && random.below(2) == 0,
                }
            })
            .collect();
        let users = size.users.max(1);
        // A swarm: each world has only some of what can go wrong, so that no fault hides another.
        let mut kinds = FaultKind::ALL.to_vec();
        random.shuffle(&mut kinds);
        kinds.truncate(3 + random.below(6));
        let faults: Vec<_> =
            (0..size.faults).map(|number| fault(kinds[number % kinds.len()], hosts.len(), size, random)).collect();
        let town = Town::draw(hosts.len(), users, random);
        let letters = (0..size.letters)
            .map(|number| letter(number as u32, moment(size.span, &faults, random), &town, random))
            .collect();
        let mut visits = Vec::with_capacity(size.visits + 1);
        while visits.len() < size.visits {
            let first = visit(moment(size.span, &faults, random), &town, random);
            let second = second_device(&first, random);
            visits.push(first);
            visits.extend(second);
        }
        visits.truncate(size.visits);
        let strangers = (0..size.strangers).map(|_| stranger(size.span, &faults, hosts.len(), random)).collect();
        Self { seed, hosts, users, letters, visits, strangers, faults, span: size.span }
    }

    /// The kinds of what goes wrong in it.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<FaultKind> {
        self.faults.iter().map(|fault| fault.kind).collect()
    }
}

/// Who lives there.
struct Town {
    hosts: usize,
    users: usize,
    /// Some get more mail than others, and read it at more than one device.
    busy: [(usize, usize); 3],
}

impl Town {
    fn draw(hosts: usize, users: usize, random: &mut Random) -> Self {
        let busy = [(); 3].map(|()| (random.below(hosts), random.below(users)));
        Self { hosts, users, busy }
    }

    fn anybody(&self, random: &mut Random) -> (usize, usize) {
        (random.below(self.hosts), random.below(self.users))
    }

    fn somebody_busy(&self, random: &mut Random) -> (usize, usize) {
        self.busy[random.below(self.busy.len())]
    }
}

fn within(span: Duration, random: &mut Random) -> Duration {
    Duration::from_millis(random.below(span.as_millis() as usize + 1) as u64)
}

/// When people do something: as often as not just when something goes wrong.
fn moment(span: Duration, faults: &[Fault], random: &mut Random) -> Duration {
    let fault = (!faults.is_empty() && random.below(2) == 0).then(|| &faults[random.below(faults.len())]);
    match fault {
        Some(fault) => (fault.at + within(fault.lasts.min(Duration::from_secs(60)), random))
            .saturating_sub(Duration::from_millis(random.below(2000) as u64))
            .min(span),
        None => within(span, random),
    }
}

/// A number that is small more often than not, of this magnitude at most.
fn skewed(magnitude: u32, random: &mut Random) -> usize {
    let most = 1_usize << random.below(magnitude as usize + 1);
    most / 2 + random.below(most)
}

fn letter(number: u32, at: Duration, town: &Town, random: &mut Random) -> LetterPlan {
    let from = town.anybody(random);
    let mut to: Vec<String> = Vec::new();
    for _ in 0..1 + skewed(2, random) {
        let address = match random.below(20) {
            0 => format!("nobody@{}", domain(random.below(town.hosts))),
            1 => match random.below(3) {
                0 => "u0@odd.example".to_owned(),
                _ => format!("u{}@{}", random.below(2), HOPELESS[random.below(HOPELESS.len())]),
            },
            2 => {
                let name = ["postmaster", "other", "loop"][random.below(3)];
                format!("{name}@{}", domain(random.below(town.hosts)))
            }
            3..7 => format!("u{}@{}", random.below(town.users), domain(from.0)),
            7..11 => address(town.somebody_busy(random)),
            _ => address(town.anybody(random)),
        };
        if !to.contains(&address) {
            to.push(address);
        }
    }
    // Most are short; now and then one is staged.
    let octets = 200 + skewed(if random.below(10) == 0 { 17 } else { 12 }, random);
    let leaves_after = (random.below(8) == 0).then(|| 1 + random.below(8));
    LetterPlan { number, at, from, to, octets, leaves_after }
}

fn address((host, user): (usize, usize)) -> String {
    format!("u{user}@{}", domain(host))
}

fn visit(at: Duration, town: &Town, random: &mut Random) -> VisitPlan {
    if random.below(3) == 0 {
        let user = town.somebody_busy(random);
        let means = Means::Imap(session(random.below(2), random));
        return VisitPlan { at, user, means, leaves_after: imap_leaves_after(random) };
    }
    let user = if random.below(8) == 0 { town.somebody_busy(random) } else { town.anybody(random) };
    let means = Means::Pop3([Habit::Empties, Habit::Picks, Habit::Looks][random.below(3)]);
    let leaves_after = (random.below(4) == 0).then(|| 1 + random.below(12));
    VisitPlan { at, user, means, leaves_after }
}

/// As often as not somebody who reads by IMAP has another device open at the same time.
fn second_device(first: &VisitPlan, random: &mut Random) -> Option<VisitPlan> {
    let Means::Imap(Session { device, .. }) = &first.means else { return None };
    let at = first.at + within(Duration::from_secs(2 << random.below(6)), random);
    let means = Means::Imap(session(1 - device, random));
    let second = VisitPlan { at, user: first.user, means, leaves_after: imap_leaves_after(random) };
    (random.below(2) == 0).then_some(second)
}

/// An IMAP server says many lines.
fn imap_leaves_after(random: &mut Random) -> Option<usize> {
    (random.below(4) == 0).then(|| 1 + random.below(80))
}

fn session(device: usize, random: &mut Random) -> Session {
    let chores = (0..random.below(6)).map(|_| Chore::ALL[random.below(Chore::ALL.len())]).collect();
    Session { device, resyncs: random.below(3) > 0, chores, vanishes: random.below(3) == 0 }
}

/// As often as not he comes just where something goes wrong.
fn stranger(span: Duration, faults: &[Fault], hosts: usize, random: &mut Random) -> StrangerPlan {
    let fault = (!faults.is_empty() && random.below(2) == 0).then(|| &faults[random.below(faults.len())]);
    let (at, host) = match fault {
        Some(fault) => {
            let around = fault.at + within(Duration::from_secs(60), random);
            (around.saturating_sub(Duration::from_secs(30)).min(span), fault.host)
        }
        None => (within(span, random), random.below(hosts)),
    };
    StrangerPlan { at, host, script: random.below(SCRIPTS) }
}

fn fault(kind: FaultKind, hosts: usize, size: &Size, random: &mut Random) -> Fault {
    let host = random.below(hosts);
    let other = (host + 1 + random.below(hosts.max(2) - 1)) % hosts;
    // Many are short, some last for most of the time.
    let lasts = Duration::from_secs(1 << random.below(12)) + within(Duration::from_secs(60), random);
    Fault { kind, at: within(size.span, random), lasts, host, other, degree: 10 + random.below(91) }
}

/// The domain of a machine.
#[must_use]
pub fn domain(host: usize) -> String {
    format!("d{host}.example")
}
