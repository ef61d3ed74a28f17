//! A toy protocol with everything a real one has: pipelined questions, a change, bodies both ways, a layer, a lock held
//! outside. It can be broken in many ways, each against one law.

mod binding;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pillarbox_core::{
    Answer, Close, End, Layer, LayerInfo, Misuse, Mono, Now, Outbox, Session, SessionId, SessionLimits, Step, Ticket,
    Tickets, Wait, WaitingOn,
};

pub(crate) use binding::Subject;

/// The longest line with its CRLF.
pub(crate) const LINE: usize = 512;

/// How it panics.
pub(crate) const DISLIKE: &str = "I do not like this byte";

/// Questions that may be open at once.
pub(crate) const OPEN: usize = 4;

const IDLE: Duration = Duration::from_secs(60);

/// What is wrong with a toy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Law 1: every other poll says something else.
    FlipFlop,
    /// Law 1: a reply waits for a second poll.
    Procrastinates,
    /// Law 1: resting costs an allocation.
    Fidgets,
    /// Law 2: its deadline is always a minute from now.
    Slides,
    /// Law 2: at its deadline it does nothing, and names another.
    Snoozes,
    /// Law 2: its deadline comes a second before it believes it.
    Early,
    /// Law 3: what has come so far is a line.
    Impatient,
    /// Law 3: it answers how much has come.
    Counts,
    /// Law 4: it takes any ticket.
    Gullible,
    /// Law 4: replies leave in the order of the answers.
    Disorderly,
    /// Law 4: an unanswered read waits for ever.
    Faithful,
    /// Law 4: a change that nobody confirmed is said to have failed.
    Liar,
    /// Law 4: a late answer is said all the same.
    Forgiving,
    /// Law 5: it keeps all it ever read.
    Hoards,
    /// Law 5: it does not look at the high-water mark.
    Floods,
    /// Law 5: it waits for the end of any line.
    Endless,
    /// Law 5: it hands over chunks whether they are answered or not.
    Heedless,
    /// Law 5: it has no step budget.
    Gulps,
    /// Law 6: it knows how many toys there were.
    Haunted,
    /// Law 7: a byte it does not like is its end.
    Panics,
    /// Law 7: it forgets its lock.
    Forgets,
    /// Law 7: it lives on.
    Undead,
    /// Law 7: it does not listen when told to stop.
    Stubborn,
}

static TOYS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(crate) enum Action {
    Ask { ticket: Ticket<bool>, what: String },
    Set { ticket: Ticket<Stored>, what: String },
    Chunk { ticket: Ticket<Taken>, bytes: Bytes },
    Read { ticket: Ticket<Bytes>, offset: u64, len: usize },
    Unlock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored(pub(crate) bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

pub(crate) struct Toy {
    fault: Fault,
    limits: SessionLimits,
    tickets: Tickets,
    slots: VecDeque<Slot>,
    state: State,
    idle: Mono,
    greeted: bool,
    lock: bool,
    closed: Option<Close>,
    polls: u64,
    number: u64,
    kept: Vec<u8>,
    late: Vec<String>,
}

struct Slot {
    waits: Option<(u64, Mono)>,
    text: String,
}

enum State {
    Command,
    Set { serial: u64, until: Mono, stored: Option<bool> },
    Body { left: usize, total: usize, open: Vec<(u64, Mono)> },
    Get { left: usize, offset: u64, asked: Option<(u64, Mono)>, given: Option<Bytes> },
    Upgrading,
    Over(End),
    Done(End),
}

impl Toy {
    pub(crate) fn new(id: SessionId, limits: SessionLimits, fault: Fault) -> Self {
        Self {
            fault,
            limits,
            tickets: Tickets::new(id),
            slots: VecDeque::new(),
            state: State::Command,
            idle: Mono(0),
            greeted: false,
            lock: false,
            closed: None,
            polls: 0,
            number: TOYS.fetch_add(1, Ordering::Relaxed),
            kept: Vec::new(),
            late: Vec::new(),
        }
    }

    fn turn(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        let now = now.mono;
        match self.closed {
            Some(Close::Eof) | None => {}
            Some(Close::Shutdown) if self.fault == Fault::Stubborn => {}
            Some(why) if !matches!(self.state, State::Over(_) | State::Done(_)) => {
                rx.clear();
                if why == Close::Shutdown {
                    tx.put(b"-closing\r\n");
                }
                let end = if why == Close::Shutdown { End::Shutdown } else { End::Broken };
                self.state = State::Over(end);
            }
            Some(_) => {}
        }
        if let State::Over(end) | State::Done(end) = self.state {
            return Some(self.over(end, now));
        }
        for late in self.late.drain(..) {
            tx.put(late.as_bytes());
        }
        while self.slots.front().is_some_and(|slot| slot.waits.is_none()) {
            if tx.is_full() && self.fault != Fault::Floods {
                return Some(self.wait(WaitingOn::Flush, rx, None, now));
            }
            let slot = self.slots.pop_front()?;
            tx.put(slot.text.as_bytes());
            self.idle = now + IDLE;
        }
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.waits.is_some_and(|(_, until)| until <= now)) {
            *slot = Slot { waits: None, text: "-timeout\r\n".to_owned() };
            return None;
        }
        match self.state {
            State::Command => self.command(now, rx, tx),
            State::Set { .. } => self.set(now, rx, tx),
            State::Body { .. } => self.body(now, rx, tx),
            State::Get { .. } => self.get(now, rx, tx),
            State::Upgrading if rx.is_empty() => Some(Step::Upgrade(Layer::Tls)),
            State::Upgrading => {
                tx.put(b"-early\r\n");
                self.state = State::Command;
                None
            }
            State::Over(end) | State::Done(end) => Some(self.over(end, now)),
        }
    }

    fn over(&mut self, end: End, now: Mono) -> Step<Action> {
        if self.fault == Fault::Undead && matches!(self.state, State::Done(_)) {
            return Step::Wait(Wait { read: true, until: Some(now + IDLE), on: WaitingOn::Peer });
        }
        if self.lock && self.fault != Fault::Forgets {
            self.lock = false;
            return Step::Act(Action::Unlock);
        }
        self.state = State::Done(end);
        Step::Done(end)
    }

    fn command(&mut self, now: Mono, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        let until = self.slots.iter().filter_map(|slot| slot.waits).map(|(_, until)| until).min();
        if self.slots.len() >= OPEN {
            return Some(self.wait(WaitingOn::Answer, rx, until, now));
        }
        if tx.is_full() && self.fault != Fault::Floods {
            return Some(self.wait(WaitingOn::Flush, rx, Some(self.idle), now));
        }
        let end = rx.iter().position(|&b| b == b'\n').map(|at| at + 1);
        let end = end.or(Some(rx.len()).filter(|&n| n > 0 && self.fault == Fault::Impatient));
        if (end.unwrap_or(rx.len()) > LINE || end.is_none() && rx.len() == LINE) && self.fault != Fault::Endless {
            if !self.slots.is_empty() {
                return Some(self.wait(WaitingOn::Answer, rx, until, now));
            }
            tx.put(b"-long\r\n");
            self.state = State::Over(End::Refused);
            return None;
        }
        let Some(end) = end else { return self.nothing(now, rx, tx, until) };
        let line = String::from_utf8_lossy(&rx[..end]).trim_end().to_owned();
        let (verb, what) = line.split_once(' ').unwrap_or((&line, ""));
        if !matches!(verb, "ECHO" | "ASK") && !self.slots.is_empty() {
            return Some(self.wait(WaitingOn::Answer, rx, until, now));
        }
        assert!(self.fault != Fault::Panics || !rx[..end].iter().any(|byte| *byte >= 0xf7), "{DISLIKE}");
        let taken = rx.split_to(end);
        if self.fault == Fault::Hoards {
            self.kept.extend_from_slice(&taken.repeat(200));
        }
        self.idle = now + IDLE;
        self.run(verb, what, now, rx, tx)
    }

    fn run(&mut self, verb: &str, what: &str, now: Mono, rx: &BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        match verb {
            "ECHO" => {
                let text = match self.fault {
                    Fault::Counts => format!("+{what} {}\r\n", rx.len()),
                    Fault::Haunted => format!("+{what} {}\r\n", self.number),
                    _ => format!("+{what}\r\n"),
                };
                self.slots.push_back(Slot { waits: None, text });
                if self.fault == Fault::Procrastinates {
                    return Some(self.wait(WaitingOn::Peer, rx, None, now));
                }
            }
            "ASK" => {
                let (ticket, serial) = self.tickets.issue();
                let until = now + self.limits.answer_timeout;
                self.slots.push_back(Slot { waits: Some((serial, until)), text: String::new() });
                return Some(Step::Act(Action::Ask { ticket, what: what.to_owned() }));
            }
            "SET" => {
                let (ticket, serial) = self.tickets.issue();
                self.lock = true;
                self.state = State::Set { serial, until: now + self.limits.commit_timeout, stored: None };
                return Some(Step::Act(Action::Set { ticket, what: what.to_owned() }));
            }
            "BODY" | "GET" => match what.parse::<usize>().ok().filter(|&n| n < 10_000_000) {
                None => tx.put(b"-number?\r\n"),
                Some(total) if verb == "BODY" => self.state = State::Body { left: total, total, open: Vec::new() },
                Some(left) => self.state = State::Get { left, offset: 0, asked: None, given: None },
            },
            "TLS" => {
                if rx.is_empty() {
                    tx.put(b"+go\r\n");
                }
                self.state = State::Upgrading;
            }
            "QUIT" => {
                tx.put(b"+bye\r\n");
                self.state = State::Over(End::Quit);
            }
            _ => tx.put(b"-what?\r\n"),
        }
        None
    }

    fn nothing(&mut self, now: Mono, rx: &BytesMut, tx: &mut Outbox, until: Option<Mono>) -> Option<Step<Action>> {
        if !self.slots.is_empty() {
            return Some(self.wait(WaitingOn::Answer, rx, until, now));
        }
        if self.closed == Some(Close::Eof) {
            self.state = State::Over(End::Eof);
            return None;
        }
        if self.idle <= now {
            match self.fault {
                Fault::Snoozes => self.idle = now + IDLE,
                Fault::Early => return Some(self.wait(WaitingOn::Peer, rx, Some(now + Duration::from_secs(1)), now)),
                _ => {
                    tx.put(b"-idle\r\n");
                    self.state = State::Over(End::Timeout);
                    return None;
                }
            }
        }
        Some(self.wait(WaitingOn::Peer, rx, Some(self.idle), now))
    }

    fn set(&mut self, now: Mono, rx: &BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        let State::Set { until, stored, .. } = self.state else { return None };
        match stored {
            Some(stored) => {
                tx.put(if stored { b"+done\r\n" } else { b"-failed\r\n" });
                self.state = State::Command;
                self.idle = now + IDLE;
            }
            None if until <= now && self.fault == Fault::Liar => {
                tx.put(b"-failed\r\n");
                self.state = State::Command;
            }
            None if until <= now => self.state = State::Over(End::Unconfirmed),
            None => return Some(self.wait(WaitingOn::Answer, rx, Some(until), now)),
        }
        None
    }

    fn body(&mut self, now: Mono, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        let State::Body { left, total, open } = &mut self.state else { return None };
        if open.iter().any(|(_, until)| *until <= now) || (open.is_empty() && self.idle <= now) {
            tx.put(b"-timeout\r\n");
            self.state = State::Over(End::Timeout);
            return None;
        }
        if *left == 0 && open.is_empty() {
            tx.put(format!("+{total} bytes\r\n").as_bytes());
            self.idle = now + IDLE;
            self.state = State::Command;
            return None;
        }
        let until = open.iter().map(|(_, until)| *until).min();
        let window = if self.fault == Fault::Heedless { usize::MAX } else { self.limits.window };
        if *left == 0 || open.len() >= window {
            return Some(Step::Wait(Wait { read: false, until, on: WaitingOn::Answer }));
        }
        if rx.is_empty() && self.closed == Some(Close::Eof) {
            self.state = State::Over(End::Eof);
            return None;
        }
        if rx.is_empty() {
            return Some(self.wait(WaitingOn::Peer, rx, until.or(Some(self.idle)), now));
        }
        let bytes = rx.split_to(rx.len().min(*left).min(self.limits.chunk)).freeze();
        *left -= bytes.len();
        let (ticket, serial) = self.tickets.issue();
        open.push((serial, now + self.limits.answer_timeout));
        self.idle = now + IDLE;
        Some(Step::Act(Action::Chunk { ticket, bytes }))
    }

    fn get(&mut self, now: Mono, rx: &BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        let State::Get { left, offset, asked, given } = &mut self.state else { return None };
        if let Some(bytes) = given.take() {
            *left -= bytes.len().min(*left);
            *offset += bytes.len() as u64;
            tx.push(bytes);
            self.idle = now + IDLE;
            return None;
        }
        if let Some((_, until)) = *asked {
            if until > now {
                return Some(self.wait(WaitingOn::Answer, rx, Some(until), now));
            }
            self.state = State::Over(End::Broken);
            return None;
        }
        if *left == 0 {
            tx.put(b"\r\n.\r\n");
            self.state = State::Command;
            return None;
        }
        if tx.is_full() && self.fault != Fault::Floods {
            if self.idle <= now {
                self.state = State::Over(End::Timeout);
                return None;
            }
            return Some(self.wait(WaitingOn::Flush, rx, Some(self.idle), now));
        }
        let (ticket, serial) = self.tickets.issue();
        *asked = Some((serial, now + self.limits.answer_timeout));
        let len = (*left).min(self.limits.chunk);
        Some(Step::Act(Action::Read { ticket, offset: *offset, len }))
    }

    fn wait(&self, on: WaitingOn, rx: &BytesMut, until: Option<Mono>, now: Mono) -> Step<Action> {
        let mut wait = Wait { read: rx.len() <= LINE || self.fault == Fault::Endless, until, on };
        match self.fault {
            Fault::FlipFlop => wait.until = Some(now + Duration::from_secs(5 + self.polls % 2)),
            Fault::Slides => wait.until = Some(now + IDLE),
            Fault::Faithful if on == WaitingOn::Answer => wait.until = None,
            Fault::Fidgets => drop(Vec::<u8>::with_capacity(10 + usize::from(wait.read))),
            _ => {}
        }
        Step::Wait(wait)
    }
}

impl Session for Toy {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.polls += 1;
        if !self.greeted {
            self.greeted = true;
            self.idle = now.mono + IDLE;
            tx.put(b"+hello\r\n");
        }
        let steps = if self.fault == Fault::Gulps { usize::MAX } else { self.limits.steps };
        for _ in 0..steps {
            if let Some(step) = self.turn(now, rx, tx) {
                return step;
            }
        }
        Step::More
    }

    fn close(&mut self, why: Close) {
        if self.closed.is_none() || why != Close::Eof {
            self.closed = Some(why);
        }
    }

    fn upgraded(&mut self, _: LayerInfo) {
        self.state = State::Command;
    }
}

impl Toy {
    fn redeem<A>(&self, ticket: Ticket<A>) -> Result<u64, Misuse> {
        let gullible = self.fault == Fault::Gullible;
        self.tickets.redeem(ticket).or_else(|misuse| if gullible { Ok(u64::MAX) } else { Err(misuse) })
    }
}

impl Answer<bool> for Toy {
    fn answer(&mut self, ticket: Ticket<bool>, answer: bool) -> Result<(), Misuse> {
        let serial = self.redeem(ticket)?;
        let text = if answer { "+yes\r\n" } else { "-no\r\n" }.to_owned();
        let slot = self.slots.iter().position(|slot| slot.waits.is_some_and(|(waits, _)| waits == serial));
        match slot {
            Some(at) if self.fault == Fault::Disorderly => {
                self.slots.remove(at);
                self.slots.push_front(Slot { waits: None, text });
            }
            Some(at) => self.slots[at] = Slot { waits: None, text },
            None if self.fault == Fault::Forgiving => self.late.push(text),
            None => {}
        }
        Ok(())
    }
}

impl Answer<Stored> for Toy {
    fn answer(&mut self, ticket: Ticket<Stored>, answer: Stored) -> Result<(), Misuse> {
        let redeemed = self.redeem(ticket)?;
        if let State::Set { serial, stored, .. } = &mut self.state
            && *serial == redeemed
        {
            *stored = Some(answer.0);
        }
        Ok(())
    }
}

impl Answer<Taken> for Toy {
    fn answer(&mut self, ticket: Ticket<Taken>, Taken: Taken) -> Result<(), Misuse> {
        let serial = self.redeem(ticket)?;
        if let State::Body { open, .. } = &mut self.state {
            open.retain(|(other, _)| *other != serial);
        }
        Ok(())
    }
}

impl Answer<Bytes> for Toy {
    fn answer(&mut self, ticket: Ticket<Bytes>, answer: Bytes) -> Result<(), Misuse> {
        let serial = self.redeem(ticket)?;
        if let State::Get { asked, given, .. } = &mut self.state
            && asked.is_some_and(|(other, _)| other == serial)
        {
            *asked = None;
            *given = Some(answer);
        }
        Ok(())
    }
}
