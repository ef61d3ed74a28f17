//! A plan in words, and what is said in its world: for people who read how it came to what it came to.

use std::time::Duration;

use pillarbox_core::Mono;
use pillarbox_core::node::Event;

use crate::letter::{Found, recognize};
use crate::operator::{errand, order};
use crate::people::{Session, about};
use crate::plan::{Fault, FaultKind, HostPlan, LetterPlan, Means, Plan, StrangerPlan, VisitPlan};
use crate::timeline::Moment;

/// Lines of one breath that are told; what comes behind them is counted.
const LINES: usize = 12;

/// Characters of a line that are told.
const WIDTH: usize = 160;

impl Plan {
    /// What it has, in words: the machines, and then what happens, in order.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        let machines = self.hosts.iter().enumerate().map(|(number, host)| machine(number, host, self.users));
        let letters = self.letters.iter().map(|plan| (plan.at, letter(plan)));
        let visits = self.visits.iter().map(|plan| (plan.at, visit(plan)));
        let strangers = self.strangers.iter().map(|plan| (plan.at, stranger(plan)));
        let faults = self.faults.iter().map(|plan| (plan.at, fault(plan)));
        let mut happens: Vec<_> = letters.chain(visits).chain(strangers).chain(faults).collect();
        happens.push((self.span, "the world heals".to_owned()));
        happens.sort_by_key(|(at, _)| *at);
        let happens = happens.into_iter().map(|(at, words)| format!("{} {words}", Moment(Mono(1) + at)));
        machines.chain(happens).collect()
    }
}

fn machine(number: usize, host: &HostPlan, users: usize) -> String {
    let more = [
        (host.nodes > 1).then(|| format!("{} nodes", host.nodes)),
        host.tls.then(|| "STARTTLS".to_owned()),
        host.second.then(|| "a second exchanger".to_owned()),
        host.dead_first.then(|| "its preferred exchanger does not exist".to_owned()),
        host.cramped.then(|| "small limits".to_owned()),
        host.strict.then(|| "no passwords in the clear".to_owned()),
    ];
    let more: String = more.into_iter().flatten().map(|what| format!(", {what}")).collect();
    format!("d{number}: {users} user{}{more}", if users == 1 { "" } else { "s" })
}

fn letter(plan: &LetterPlan) -> String {
    let (host, user) = plan.from;
    let gone = gone(plan.leaves_after);
    let to = plan.to.join(", ");
    format!("u{user}@d{host}.example writes letter {} ({} octets) to {to}{gone}", plan.number, plan.octets)
}

fn visit(plan: &VisitPlan) -> String {
    let (host, user) = plan.user;
    let gone = gone(plan.leaves_after);
    let how = match &plan.means {
        Means::Pop3(habit) => format!("{habit:?}").to_lowercase(),
        Means::Imap(Session { device, resyncs, chores, .. }) => {
            let resyncs = if *resyncs { ", with QRESYNC" } else { "" };
            let chores = chores.iter().map(|chore| format!(", {}", format!("{chore:?}").to_lowercase()));
            format!("IMAP at device {device}{resyncs}{}", chores.collect::<String>())
        }
    };
    let vanishes = matches!(&plan.means, Means::Imap(session) if session.vanishes && plan.leaves_after.is_some());
    let vanishes = if vanishes { ", of which nobody is told" } else { "" };
    format!("u{user}@d{host}.example visits his mailbox ({how}){gone}{vanishes}")
}

fn stranger(plan: &StrangerPlan) -> String {
    format!("a stranger comes to d{}.example, and {}", plan.host, about(plan.script))
}

fn gone(after: Option<usize>) -> String {
    after.map(|replies| format!(", and is gone after reply {replies}")).unwrap_or_default()
}

fn fault(plan: &Fault) -> String {
    format!("{} for {}", what(plan), seconds(plan.lasts))
}

/// What goes wrong, and where.
pub(crate) fn what(fault: &Fault) -> String {
    let Fault { kind, host, other, degree, .. } = fault;
    match kind {
        FaultKind::Kill
        | FaultKind::PowerCut
        | FaultKind::Isolation
        | FaultKind::Resets
        | FaultKind::Unplugged
        | FaultKind::Stop
        | FaultKind::FailedSync
        | FaultKind::Deafness => format!("{kind}: d{host}"),
        FaultKind::Partition => format!("{kind}: d{host} and d{other}"),
        FaultKind::Accounts => format!("{kind}: d{host}, {}", errand(*degree)),
        FaultKind::Meddling => format!("{kind}: d{host}, {}", order(*degree)),
        FaultKind::FullDisk | FaultKind::SlowDisk | FaultKind::BusyDisk | FaultKind::BadDisk | FaultKind::ClockJump => {
            format!("{kind}: d{host}, degree {degree}")
        }
        _ => format!("{kind}: everywhere, degree {degree}"),
    }
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    match () {
        () if seconds >= 3600 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        () if seconds >= 60 => format!("{} min {} s", seconds / 60, seconds % 60),
        () => format!("{seconds} s"),
    }
}

/// What somebody says in one breath, a line each; of messages only what they are.
pub(crate) fn said(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|octet| *octet == b'\n') {
        let rest = &bytes[at..];
        if let Some(message) = message(rest) {
            lines.push(message);
            return lines;
        }
        if lines.len() == LINES {
            lines.push(format!("[{} octets more]", rest.len()));
            return lines;
        }
        let words = String::from_utf8_lossy(line);
        lines.push(words.trim_end().chars().map(|c| if c.is_control() { '?' } else { c }).take(WIDTH).collect());
        at += line.len();
    }
    lines
}

/// The message that begins here, if one does.
fn message(bytes: &[u8]) -> Option<String> {
    let begins = [&b"Received: "[..], b"Return-Path: ", b"Message-ID: <", b"From: "];
    if !begins.iter().any(|begin| bytes.starts_with(begin)) {
        return None;
    }
    let what = match recognize(bytes) {
        Found::Letter(letter, _) => format!("letter {}", letter.0),
        Found::Report(letter) => format!("a report on letter {}", letter.0),
        Found::Something => "a message".to_owned(),
    };
    let ends = if bytes.ends_with(b"\r\n.\r\n") { ", and its end" } else { "" };
    Some(format!("[{what}, {} octets{ends}]", bytes.len()))
}

/// What a node reports, where the dialogue does not show it.
pub(crate) fn event(event: &Event) -> Option<String> {
    match event {
        Event::Accepted { delivered, queued, size, .. } => {
            Some(format!("a message of {size} octets is accepted: {delivered} delivered, {queued} in the queue"))
        }
        Event::Attempted { recipient, host, reply, .. } => {
            let host = if host.is_empty() { "nowhere" } else { host };
            Some(format!("tried {recipient} at {host}: {reply}"))
        }
        Event::Bounced { recipient, reply, reported, .. } => {
            let told = if *reported { "the sender is told" } else { "nobody is told" };
            Some(format!("gave up {recipient}, {told}: {reply}"))
        }
        Event::Unreachable { host, why } => Some(format!("cannot reach {host}: {why}")),
        Event::StoreTrouble { what } => Some(format!("the store: {what}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::Letter;
    use crate::plan::Size;

    #[test]
    fn a_plan_is_told_in_order() {
        let plan = Plan::draw(3, &Size { hosts: 2, letters: 3, visits: 2, strangers: 1, faults: 2, ..Size::default() });
        let story = plan.story();
        assert_eq!(story.len(), 2 + 3 + 2 + 1 + 2 + 1);
        assert!(story[0].starts_with("d0: 3 users") && story[1].starts_with("d1: "), "{story:#?}");
        assert!(story[2..].is_sorted(), "{story:#?}");
        assert!(story.iter().any(|line| line.contains("writes letter 0 (")), "{story:#?}");
    }

    #[test]
    fn what_is_said_is_told_line_by_line_and_messages_in_short() {
        let letter = Letter(17).text(3000);
        let said_by_him = [b"MAIL FROM:<a@b>\r\nBDAT 3000 LAST\r\nReceived: from x\r\n", &letter[..]].concat();
        let octets = letter.len() + 18;
        assert_eq!(
            said(&said_by_him),
            ["MAIL FROM:<a@b>".to_owned(), "BDAT 3000 LAST".to_owned(), format!("[letter 17, {octets} octets]")]
        );
        assert_eq!(said(b"a\x1b[1m\r\n"), ["a?[1m"]);
        assert_eq!(said(&b"x\r\n".repeat(14))[12], "[6 octets more]");
    }
}
