//! A plan that fails is made smaller until nothing can be left out: what remains is the story.
//!
//! Whatever is taken away, the plan must go on failing in the same way. Large parts are tried first, then smaller ones, as
//! in delta debugging (Zeller and Hildebrandt, 2002): machines with all that is on them, letters, visits, strangers,
//! faults, recipients; then what is left is made plainer and shorter.
//!
//! What is not in the plan is drawn as the world goes, and each part that is left out changes all that is drawn behind it:
//! a connection that broke just behind a 250 does not break there any more. So what cannot be left out is tried once more
//! with other dice, a few times.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::people::Session;
use crate::plan::{Fault, HostPlan, LetterPlan, Means, Plan, VisitPlan};
use crate::run::{Outcome, run};

/// Octets of a letter that is as short as letters are.
const SHORT: usize = 200;

/// The span of a plan goes on for so long after the last thing in it has begun.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// Other dice with which a part is left out that could not be left out before.
const THROWS: u64 = 24;

/// The shortest time between two things.
const BREATH: Duration = Duration::from_secs(1);

/// What may be spent on making a plan smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Runs.
    pub runs: usize,
    /// Steps of all of them together, so that worlds that never come to rest are not tried for ever.
    pub steps: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { runs: 20_000, steps: 4_000_000 }
    }
}

/// A plan that was made smaller.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left.
    pub plan: Plan,
    /// Runs that it took.
    pub runs: usize,
    /// Nothing can be left out. Otherwise the effort was spent.
    pub complete: bool,
}

/// The kind of what was broken: its words without whatever is different in each world.
#[must_use]
pub fn kind(violation: &str) -> String {
    // What stands behind a colon is what was found there.
    let (promise, found) = violation.split_once(": ").unwrap_or((violation, ""));
    let words = if promise == "a panic" { found } else { promise };
    let plain = words.split_whitespace().map(|word| match word {
        _ if word.contains(['@', '"']) || word.parse::<std::net::IpAddr>().is_ok() => String::new(),
        _ => word.replace(|letter: char| letter.is_ascii_digit(), ""),
    });
    plain.collect::<Vec<_>>().join(" ")
}

/// Makes a plan smaller that breaks a promise; nothing where it breaks none. `progress` is told of the plan so far, and
/// how often it was run.
#[must_use]
pub fn shrink(plan: &Plan, effort: Effort, progress: impl FnMut(&Plan, usize)) -> Option<Shrunk> {
    let first = |outcome: &Outcome| outcome.violations.first().map(|violation| kind(violation));
    let wanted = first(&run(plan, false))?;
    let fails = |plan: &Plan| {
        let outcome = run(plan, false);
        (first(&outcome).as_ref() == Some(&wanted), outcome.steps)
    };
    Some(shrink_by(plan, effort, fails, progress))
}

/// The same for whatever may be wrong with a plan: `fails` says whether it is, and the steps that it took to find out.
#[must_use]
pub fn shrink_by(
    plan: &Plan,
    effort: Effort,
    fails: impl FnMut(&Plan) -> (bool, u64),
    progress: impl FnMut(&Plan, usize),
) -> Shrunk {
    let mut work = Work { plan: plan.clone(), effort, runs: 0, steps: 0, throws: 0, fails, progress };
    // First with the same dice for as long as that helps, and then with others.
    for throws in [0, THROWS] {
        work.throws = throws;
        loop {
            let before = work.plan.clone();
            work.round();
            if work.plan == before || work.is_spent() {
                break;
            }
        }
    }
    let complete = !work.is_spent();
    Shrunk { plan: work.plan, runs: work.runs, complete }
}

struct Work<F, P> {
    plan: Plan,
    effort: Effort,
    runs: usize,
    steps: u64,
    /// How often other dice are thrown.
    throws: u64,
    fails: F,
    progress: P,
}

impl<F: FnMut(&Plan) -> (bool, u64), P: FnMut(&Plan, usize)> Work<F, P> {
    fn is_spent(&self) -> bool {
        self.runs >= self.effort.runs || self.steps >= self.effort.steps
    }

    /// Everything once, from the coarse to the fine.
    fn round(&mut self) {
        self.without_parts(|plan| plan.hosts.len(), without_hosts);
        self.without_parts(|plan| plan.letters.len(), |plan, part| _ = plan.letters.drain(part));
        self.without_parts(|plan| plan.visits.len(), |plan, part| _ = plan.visits.drain(part));
        self.without_parts(|plan| plan.strangers.len(), |plan, part| _ = plan.strangers.drain(part));
        self.without_parts(|plan| plan.faults.len(), |plan, part| _ = plan.faults.drain(part));
        for letter in 0..self.plan.letters.len() {
            self.without_parts(
                |plan| plan.letters[letter].to.len(),
                |plan, part| _ = plan.letters[letter].to.drain(part),
            );
        }
        for users in 1..self.plan.users {
            if self.try_change(|plan| with_users(plan, users)) {
                break;
            }
        }
        self.plainer_hosts();
        self.plainer_letters();
        self.plainer_visits();
        self.plainer_faults();
        self.sooner();
        for letter in 0..self.plan.letters.len() {
            self.try_change(|plan| plan.letters[letter].number = 1 + letter as u32);
        }
        self.try_change(|plan| plan.span = last_begins(plan) + AFTERWARDS);
    }

    /// Things happen one soon after the other, and the first of them at once.
    fn sooner(&mut self) {
        let mut before = Duration::ZERO;
        while let Some(next) = moments(&self.plan).find(|at| *at > before) {
            let mut gap = next - before;
            let mut wanted = BREATH;
            while gap > BREATH && !self.try_change(|plan| earlier(plan, before, gap - wanted)) {
                wanted = wanted.max(gap / 16) * 2;
                if wanted >= gap {
                    break;
                }
            }
            gap = moments(&self.plan).find(|at| *at > before).map_or(gap, |at| at - before);
            before += gap;
        }
    }

    /// Leaves out what can be left out of a list: halves of it, quarters, and so on, and at last each by itself.
    fn without_parts(&mut self, len: impl Fn(&Plan) -> usize, remove: impl Fn(&mut Plan, std::ops::Range<usize>)) {
        let mut size = len(&self.plan);
        while size > 0 {
            // From the end: what comes late is often a consequence.
            let mut end = len(&self.plan);
            while end > 0 {
                let start = end.saturating_sub(size);
                let removed = |plan: &mut Plan| remove(plan, start..end);
                if !self.try_change(removed) {
                    let seed = self.plan.seed;
                    _ = (1..=self.throws).any(|throw| {
                        self.try_change(|plan| {
                            plan.seed = seed.wrapping_add(throw);
                            removed(plan);
                        })
                    });
                }
                end = start.min(len(&self.plan));
            }
            size /= 2;
        }
    }

    fn plainer_hosts(&mut self) {
        let plainer: [fn(&mut HostPlan); 6] = [
            |host| host.nodes = 1,
            |host| host.tls = false,
            |host| host.second = false,
            |host| host.dead_first = false,
            |host| host.cramped = false,
            |host| host.strict = false,
        ];
        for host in 0..self.plan.hosts.len() {
            for change in plainer {
                self.try_change(|plan| change(&mut plan.hosts[host]));
            }
        }
    }

    fn plainer_letters(&mut self) {
        let plainer: [fn(&mut LetterPlan); 3] = [
            |letter| letter.octets = letter.octets.min(SHORT),
            |letter| letter.leaves_after = None,
            |letter| letter.at = whole(letter.at),
        ];
        for letter in 0..self.plan.letters.len() {
            for change in plainer {
                self.try_change(|plan| change(&mut plan.letters[letter]));
            }
        }
    }

    fn plainer_visits(&mut self) {
        for visit in 0..self.plan.visits.len() {
            self.without_parts(
                |plan| session(&plan.visits[visit]).map_or(0, |session| session.chores.len()),
                |plan, part| {
                    if let Means::Imap(session) = &mut plan.visits[visit].means {
                        session.chores.drain(part);
                    }
                },
            );
            self.try_change(|plan| {
                if let Means::Imap(session) = &mut plan.visits[visit].means {
                    session.resyncs = false;
                }
            });
            self.try_change(|plan| {
                if let Means::Imap(session) = &mut plan.visits[visit].means {
                    session.vanishes = false;
                }
            });
        }
        let plainer: [fn(&mut VisitPlan); 2] = [|visit| visit.leaves_after = None, |visit| visit.at = whole(visit.at)];
        for visit in 0..self.plan.visits.len() {
            for change in plainer {
                self.try_change(|plan| change(&mut plan.visits[visit]));
            }
        }
    }

    fn plainer_faults(&mut self) {
        let plainer: [fn(&mut Fault); 3] = [
            |fault| fault.degree = 100,
            |fault| fault.at = whole(fault.at),
            |fault| fault.lasts = whole(fault.lasts).max(Duration::from_secs(1)),
        ];
        for fault in 0..self.plan.faults.len() {
            for change in plainer {
                self.try_change(|plan| change(&mut plan.faults[fault]));
            }
            while self.plan.faults[fault].lasts > Duration::from_secs(1)
                && self.try_change(|plan| plan.faults[fault].lasts /= 2)
            {}
        }
    }

    /// Keeps a change when the plan is another one, and fails as before.
    fn try_change(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        if self.is_spent() {
            return false;
        }
        let mut plan = self.plan.clone();
        change(&mut plan);
        // A letter is for somebody, and somebody is somewhere.
        let is_sound = !plan.hosts.is_empty() && plan.letters.iter().all(|letter| !letter.to.is_empty());
        if plan == self.plan || !is_sound {
            return false;
        }
        let (fails, steps) = (self.fails)(&plan);
        self.runs += 1;
        self.steps += steps;
        if fails {
            self.plan = plan;
        }
        (self.progress)(&self.plan, self.runs);
        fails
    }
}

/// Without these machines and all that has to do with them; those behind them move up.
fn without_hosts(plan: &mut Plan, gone: std::ops::Range<usize>) {
    let place = |host: usize| match host {
        _ if host < gone.start => Some(host),
        _ if host < gone.end => None,
        _ => Some(host - gone.len()),
    };
    plan.hosts.drain(gone.clone());
    plan.letters.retain_mut(|letter| {
        letter.to = letter.to.drain(..).filter_map(|to| moved(to, place)).collect();
        move_up(&mut letter.from.0, place) && !letter.to.is_empty()
    });
    plan.visits.retain_mut(|visit| move_up(&mut visit.user.0, place));
    plan.strangers.retain_mut(|stranger| move_up(&mut stranger.host, place));
    let last = plan.hosts.len().saturating_sub(1);
    plan.faults.retain_mut(|fault| {
        // Not every fault is between two.
        fault.other = place(fault.other).unwrap_or(last);
        move_up(&mut fault.host, place)
    });
}

/// The host's new place, if it has one.
fn move_up(host: &mut usize, place: impl Fn(usize) -> Option<usize>) -> bool {
    place(*host).map(|place| *host = place).is_some()
}

/// An address on a machine that has another place now; nothing if it has none.
fn moved(address: String, place: impl Fn(usize) -> Option<usize>) -> Option<String> {
    let numbered = address.split_once("@d").and_then(|(user, domain)| {
        let host = domain.strip_suffix(".example")?.parse().ok()?;
        Some((user, host))
    });
    match numbered {
        Some((user, host)) => Some(format!("{user}@{}", crate::plan::domain(place(host)?))),
        None => Some(address),
    }
}

/// With so many users at each machine: the others' mail is the last one's.
fn with_users(plan: &mut Plan, users: usize) {
    plan.users = users;
    let last = users - 1;
    for letter in &mut plan.letters {
        letter.from.1 = letter.from.1.min(last);
        let mut to: Vec<String> = Vec::new();
        for address in letter.to.drain(..) {
            let there = address.split_once('@').and_then(|(user, domain)| {
                let user: usize = user.strip_prefix('u')?.parse().ok()?;
                Some(format!("u{}@{domain}", user.min(last)))
            });
            let address = there.unwrap_or(address);
            if !to.contains(&address) {
                to.push(address);
            }
        }
        letter.to = to;
    }
    for visit in &mut plan.visits {
        visit.user.1 = visit.user.1.min(last);
    }
}

/// A visit's session, if it is by IMAP.
fn session(visit: &VisitPlan) -> Option<&Session> {
    match &visit.means {
        Means::Imap(session) => Some(session),
        Means::Pop3(_) => None,
    }
}

/// When things happen, in order.
fn moments(plan: &Plan) -> impl Iterator<Item = Duration> + use<> {
    let letters = plan.letters.iter().map(|letter| letter.at);
    let visits = plan.visits.iter().map(|visit| visit.at);
    let strangers = plan.strangers.iter().map(|stranger| stranger.at);
    let faults = plan.faults.iter().map(|fault| fault.at);
    let moments: BTreeSet<_> = letters.chain(visits).chain(strangers).chain(faults).collect();
    moments.into_iter()
}

/// What happens after this moment happens so much earlier.
fn earlier(plan: &mut Plan, after: Duration, by: Duration) {
    let letters = plan.letters.iter_mut().map(|letter| &mut letter.at);
    let visits = plan.visits.iter_mut().map(|visit| &mut visit.at);
    let strangers = plan.strangers.iter_mut().map(|stranger| &mut stranger.at);
    let faults = plan.faults.iter_mut().map(|fault| &mut fault.at);
    letters
        .chain(visits)
        .chain(strangers)
        .chain(faults)
        .chain([&mut plan.span])
        .filter(|at| **at > after)
        .for_each(|at| *at -= by);
}

/// When the last thing in it begins or ends.
fn last_begins(plan: &Plan) -> Duration {
    let letters = plan.letters.iter().map(|letter| letter.at);
    let visits = plan.visits.iter().map(|visit| visit.at);
    let strangers = plan.strangers.iter().map(|stranger| stranger.at);
    let faults = plan.faults.iter().map(|fault| fault.at + fault.lasts);
    letters.chain(visits).chain(strangers).chain(faults).max().unwrap_or_default()
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{FaultKind, Size};

    fn shrunk(plan: &Plan, wrong: impl Fn(&Plan) -> bool) -> Shrunk {
        shrink_by(plan, Effort::default(), |plan| (wrong(plan), 1), |_, _| ())
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let is_large =
            |letter: &LetterPlan| letter.octets > 3000 && letter.to.iter().any(|to| to.ends_with("@odd.example"));
        let wrong = |plan: &Plan| {
            plan.letters.iter().any(is_large) && plan.faults.iter().any(|fault| fault.kind == FaultKind::PowerCut)
        };
        let size = Size { letters: 300, faults: 60, ..Size::default() };
        let plan = (0..100).map(|seed| Plan::draw(seed, &size)).find(wrong).expect("one of them has both");
        let Shrunk { plan: small, complete, runs } = shrunk(&plan, wrong);
        assert!(complete && runs < 1000, "{runs}");
        assert!(wrong(&small));
        assert_eq!((small.hosts.len(), small.users), (1, 1));
        assert_eq!((small.letters.len(), small.visits.len(), small.faults.len()), (1, 0, 1));
        assert_eq!(small.letters[0].to.len(), 1);
        assert_eq!(small.faults[0].lasts, Duration::from_secs(1));
        assert!(small.span < plan.span);
    }

    #[test]
    fn what_matters_together_stays_together() {
        let has = |plan: &Plan, number| plan.letters.iter().any(|letter| letter.number == number);
        let wrong = |plan: &Plan| has(plan, 3) && has(plan, 41) && has(plan, 42);
        let small = shrunk(&Plan::draw(1, &Size::default()), wrong).plan;
        let numbers: Vec<_> = small.letters.iter().map(|letter| letter.number).collect();
        assert_eq!(numbers, [3, 41, 42]);
        assert!(small.visits.is_empty() && small.faults.is_empty());
    }

    #[test]
    fn it_ends_when_the_effort_is_spent() {
        let effort = Effort { runs: 10, ..Effort::default() };
        let plan = Plan::draw(1, &Size::default());
        let Shrunk { plan: same, runs, complete } = shrink_by(&plan, effort, |_| (false, 1), |_, _| ());
        assert_eq!((same, runs, complete), (plan.clone(), 10, false));
        let effort = Effort { steps: 10, ..Effort::default() };
        assert_eq!(shrink_by(&plan, effort, |_| (false, 6), |_, _| ()).runs, 2);
    }

    #[test]
    fn machines_that_are_left_keep_what_is_theirs() {
        let wrong =
            |plan: &Plan| plan.hosts.len() >= 2 && plan.letters.iter().all(|letter| letter.from.0 < plan.hosts.len());
        let mut plan = Plan::draw(5, &Size::default());
        without_hosts(&mut plan, 3..7);
        assert!(wrong(&plan) && plan.hosts.len() == 16);
        let addresses: Vec<_> = plan.letters.iter().flat_map(|letter| &letter.to).collect();
        assert!(addresses.iter().all(|to| (16..30).all(|gone| !to.ends_with(&format!("@d{gone}.example")))));
        assert_eq!(moved("u1@d9.example".to_owned(), |host| Some(host - 4)), Some("u1@d5.example".to_owned()));
        assert_eq!(moved("u1@void.example".to_owned(), |_| None), Some("u1@void.example".to_owned()));
    }

    #[test]
    fn one_kind_of_violation_has_one_shape() {
        let shape = kind("letter 3 of u0@d1.example to nobody@d2.example was accepted, and is lost");
        assert_eq!(kind("letter 41 of u2@d0.example to u0@d17.example was accepted, and is lost"), shape);
        assert_ne!(kind("letter 3 is reported twice for u0@d1.example"), shape);
        assert_eq!(kind("node 1 waits for the past: Some(4)"), kind("node 12 waits for the past: Some(77)"));
        assert_ne!(kind("a panic: one thing"), kind("a panic: another"));
    }

    #[test]
    fn a_world_without_fault_has_no_story() {
        let plan = Plan::draw(1, &Size { hosts: 2, letters: 2, visits: 1, faults: 0, ..Size::default() });
        assert!(shrink(&plan, Effort::default(), |_, _| ()).is_none());
    }
}
