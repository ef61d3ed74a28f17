//! Machines: nodes that are started, killed, and turned as a runtime turns them, and their disks.
//!
//! Nodes are held to their contract all the time: a `Wait` is stable, nobody is woken before the deadline that he
//! announced, and the deadline ends it.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::node::{Closed, Event, Node, NodeAction, NodeInput, NodeStep};
use pillarbox_core::ops::{Notice, QueueOp, Sink, StoreError, StoreOp, StoreReply, Token};
use pillarbox_core::{Mono, queue};

use super::World;
use super::agenda::Coming;
use super::wires::Leaving;
use crate::disk::{Ear, Taken, Waiting};
use crate::host::Power;
use crate::overheard::Overheard;
use crate::story;

impl World {
    /// The server on a machine dies; with `power` the machine, too, so that its peers are not told.
    pub(crate) fn crash(&mut self, host: usize, power: bool) {
        if self.hosts[host].power == Power::Off {
            return;
        }
        let name = self.hosts[host].name.clone();
        self.trace.tell(self.now, || format!("{name}: {}", if power { "power fails" } else { "the server is killed" }));
        self.trace.add(&[1, host as u64, u64::from(power)]);
        self.hosts[host].power = if power { Power::Off } else { Power::NoServer };
        self.lives[host] += 1;
        let nobody: Arc<Ear> = Arc::default();
        for waiting in self.hosts[host].disk.crash(power) {
            _ = self.apply(host, Waiting { ear: Arc::clone(&nobody), ..waiting });
        }
        for index in self.hosts[host].nodes.clone() {
            self.hear_taps(index);
            let slot = &mut self.slots[index];
            slot.node = None;
            slot.ear = Arc::default();
            slot.answers.clear();
            slot.dialing.clear();
            slot.until = None;
            slot.overheard.clear();
            _ = slot.tap.take();
            for (_, line) in std::mem::take(&mut slot.lines) {
                self.leave(line.wire, line.end, if power { Leaving::Silently } else { Leaving::Broken });
            }
            self.dirty.remove(&index);
        }
        self.ledger.forgot(host);
        self.hosts[host].stages.clear();
        self.hosts[host].guests.clear();
    }

    /// The server on a machine is told to stop, and has so long for it.
    pub(crate) fn stop(&mut self, host: usize, time: Duration) {
        let name = &self.hosts[host].name;
        self.trace.tell(self.now, || format!("{name}: the server is told to stop"));
        self.hosts[host].stopping = true;
        for index in self.hosts[host].nodes.clone() {
            self.input(index, NodeInput::Drain { deadline: self.now + time });
        }
    }

    /// The server on a machine is started.
    pub(crate) fn start(&mut self, host: usize) {
        if self.hosts[host].power == Power::On {
            return;
        }
        let name = &self.hosts[host].name;
        // When a world begins, each starts, and need not be told.
        if self.slots[self.hosts[host].nodes.start].life > 0 {
            self.trace.tell(self.now, || format!("{name}: the server starts"));
        }
        self.trace.add(&[2, host as u64]);
        self.hosts[host].power = Power::On;
        self.hosts[host].disk.restart();
        self.hosts[host].stopping = false;
        for index in self.hosts[host].nodes.clone() {
            let seed = self.random.seed();
            let slot = &mut self.slots[index];
            slot.node = Some(Node::new(Arc::clone(&slot.config), slot.share, &seed));
            (slot.accepting, slot.done, slot.life) = (true, false, slot.life + 1);
            self.dirty.insert(index);
        }
    }

    /// The nodes of a machine are told that notices were lost.
    pub(crate) fn tell_missed(&mut self, host: usize) {
        for index in self.hosts[host].nodes.clone() {
            self.input(index, NodeInput::Notice(Notice::Missed));
        }
    }

    /// Something changed that the nodes of a machine were not told: they look at it now, as they would by and by.
    pub(crate) fn touch(&mut self, host: usize) {
        self.dirty.extend(self.hosts[host].nodes.clone());
    }

    pub(super) fn wake(&mut self, index: usize, early: bool) {
        let (slot, now) = (&mut self.slots[index], self.now);
        let clock = self.hosts[slot.host].clock.at(now);
        let Some(node) = slot.node.as_mut() else { return };
        if early {
            let step = node.poll(clock);
            let as_it_was = match &step {
                NodeStep::Wait { until } => *until == slot.until,
                NodeStep::Done => slot.done,
                _ => false,
            };
            // A clock that jumped is news.
            if !as_it_was && slot.until.is_none_or(|until| until > now) {
                let was = slot.until;
                self.ledger.violated(format!("node {index} had something to do before its deadline {was:?}: {step:?}"));
            }
            return;
        }
        if slot.until.is_none_or(|until| until > now) {
            return;
        }
        let before = slot.until;
        let progressed = self.turn(index);
        if !progressed && self.slots[index].until == before {
            self.ledger.violated(format!("node {index} has a dishonest deadline: {before:?}"));
            self.slots[index].until = None;
        }
    }

    /// One turn of a node: its store's answers and hints, then polls until it waits. Whether it did something.
    pub(super) fn turn(&mut self, index: usize) -> bool {
        let host = self.slots[index].host;
        let mut busy = false;
        while let Some((token, reply)) = self.slots[index].answers.pop_front() {
            self.input(index, NodeInput::Stored { token, reply });
            busy = true;
        }
        let mut notices = self.slots[index].ear.take();
        while let Some(notice) = notices.pop() {
            if !self.hosts[host].deaf {
                self.input(index, NodeInput::Notice(notice));
                busy = true;
            }
        }
        loop {
            let now = self.hosts[host].clock.at(self.now);
            let Some(node) = self.slots[index].node.as_mut() else { return false };
            match node.poll(now) {
                NodeStep::Act(action) => {
                    busy = true;
                    self.act(index, action);
                }
                NodeStep::More => busy = true,
                NodeStep::Wait { until } => {
                    let again = node.poll(now);
                    if !matches!(again, NodeStep::Wait { until: same } if same == until) {
                        self.ledger.violated(format!("node {index}: a wait is stable, not {again:?}"));
                    }
                    let slot = &mut self.slots[index];
                    if until.is_some_and(|until| until <= self.now) {
                        self.ledger.violated(format!("node {index} waits for the past: {until:?}"));
                        slot.until = None;
                    } else if slot.until != until {
                        slot.until = until;
                        if let Some(until) = until {
                            self.comes(until, Coming::Wake(index));
                        }
                    }
                    if let Some(until) = until
                        && self.random.below(32) == 0
                    {
                        // Soon or late, as it may be.
                        let most = until.0.saturating_sub(self.now.0).min(1 << (20 + self.random.below(24)));
                        let early = Mono(self.now.0 + self.random.below(most.max(1) as usize) as u64);
                        self.comes(early, Coming::Nudge(index));
                    }
                    self.hear_taps(index);
                    return busy;
                }
                NodeStep::Done => {
                    let slot = &mut self.slots[index];
                    (slot.until, slot.done) = (None, true);
                    self.hear_taps(index);
                    return busy;
                }
            }
        }
    }

    pub(super) fn input(&mut self, index: usize, input: NodeInput) {
        let host = self.slots[index].host;
        let now = self.hosts[host].clock.at(self.now);
        if let Some(node) = self.slots[index].node.as_mut() {
            node.input(now, input);
            self.dirty.insert(index);
        }
    }

    fn act(&mut self, index: usize, action: NodeAction) {
        let host = self.slots[index].host;
        match action {
            NodeAction::Dial { conn, to } => {
                self.trace.add(&[3, index as u64, conn.0]);
                self.check_order(index, to);
                self.slots[index].dialing.insert(conn);
                if to.port() != 53 {
                    self.slots[index].overheard.insert(conn, (to.ip(), Overheard::new()));
                }
                let (life, at) = (self.slots[index].life, self.now + self.weather.latency(&mut self.random));
                self.comes(at, Coming::Dial { node: index, life, conn, to, tries: 0 });
            }
            NodeAction::Flush(conn) => self.flush(index, conn),
            NodeAction::Interest { conn, read } => {
                let Some(line) = self.slots[index].lines.get_mut(&conn) else { return };
                line.reading = read;
                let line = *line;
                if read {
                    self.take_unread(index, conn, line);
                }
            }
            NodeAction::Close { conn, abort } => {
                self.slots[index].dialing.remove(&conn);
                let Some(line) = self.slots[index].lines.get_mut(&conn) else {
                    if !abort {
                        self.input(index, NodeInput::Closed { conn, how: Closed::Done });
                    }
                    return;
                };
                if abort {
                    let line = *line;
                    self.forget(index, conn);
                    return self.leave(line.wire, line.end, Leaving::Broken);
                }
                line.closing = true;
                self.flush(index, conn);
            }
            NodeAction::Datagram { socket, to, bytes } => {
                self.trace.add(&[4, index as u64]);
                self.trace.add_bytes(&bytes);
                let life = self.slots[index].life;
                let at = self.now + self.weather.latency(&mut self.random);
                if !self.weather.is_lost(&mut self.random) {
                    self.comes(at, Coming::Query { node: index, life, socket, to, bytes });
                }
            }
            NodeAction::CloseSocket(_) => {}
            NodeAction::Accepting(accepting) => self.slots[index].accepting = accepting,
            NodeAction::Store { token, op } => self.store(index, token, op),
            NodeAction::Event(event) => self.event(host, index, event),
        }
    }

    fn event(&mut self, host: usize, index: usize, event: Event) {
        if let Event::Ended { conn, .. } = &event {
            self.hear_taps(index);
            self.slots[index].overheard.remove(conn);
        }
        if let Some(meter) = &mut self.ledger.meter {
            meter.event(&event);
        }
        let hosts = &self.hosts;
        if let Some(words) = story::event(&event) {
            self.trace.tell(self.now, || format!("{}: {words}", hosts[host].name));
        }
    }

    // The disk.

    fn store(&mut self, index: usize, token: Token, op: StoreOp) {
        let host = self.slots[index].host;
        self.trace.add(&[5, index as u64, token.0]);
        let ear = Arc::clone(&self.slots[index].ear);
        let life = self.lives[host];
        match self.hosts[host].disk.submit(self.now, Waiting { node: index, ear, token, op }) {
            Taken::Busy(op) => self.input(index, NodeInput::Busy { token, op }),
            Taken::Answered(reply) => {
                self.slots[index].answers.push_back((token, reply));
                self.dirty.insert(index);
            }
            Taken::Begun(at) => self.comes(at, Coming::Written(host, life)),
            Taken::Reads(at) => self.comes(at, Coming::Read(host, life)),
            Taken::Waits => {}
        }
    }

    pub(super) fn written(&mut self, host: usize) {
        let (done, next) = self.hosts[host].disk.written(self.now);
        for waiting in done {
            let (index, token) = (waiting.node, waiting.token);
            let reply = match self.hosts[host].disk.failure(&waiting.op) {
                Some(error) => StoreReply::Failed(error),
                None => self.apply(host, waiting),
            };
            self.slots[index].answers.push_back((token, reply));
            self.dirty.insert(index);
        }
        if let Some(next) = next {
            self.comes(next, Coming::Written(host, self.lives[host]));
        }
        self.dirty.extend(self.hosts[host].nodes.clone());
    }

    pub(super) fn read(&mut self, host: usize) {
        if let Some(waiting) = self.hosts[host].disk.read() {
            let (index, token) = (waiting.node, waiting.token);
            let bad = self.hosts[host].disk.misreads() && !is_header(&waiting.op);
            let reply = if bad { StoreReply::Failed(StoreError::Unreadable) } else { self.apply(host, waiting) };
            self.slots[index].answers.push_back((token, reply));
            self.dirty.insert(index);
        }
    }

    /// An operator wants this of the store on a machine, whose server hands it on; nothing, where that does not run.
    pub(crate) fn order(&mut self, host: usize, op: StoreOp) -> Option<StoreReply> {
        if self.hosts[host].power != Power::On || self.hosts[host].disk.stopped {
            return None;
        }
        let (node, ear) = (self.hosts[host].nodes.start, Arc::default());
        let reply = self.apply(host, Waiting { node, ear, token: Token(0), op });
        self.touch(host);
        Some(reply)
    }

    /// An op takes effect, and the ledger hears of what it files.
    fn apply(&mut self, host: usize, waiting: Waiting) -> StoreReply {
        let op = waiting.op.clone();
        let ear = waiting.ear as Arc<dyn Sink>;
        let reply = self.hosts[host].disk.store.apply_for(&ear, waiting.op);
        self.trace.add(&[6, host as u64, waiting.token.0]);
        self.hosts[host].note(host, &op, &reply, &mut self.ledger);
        reply
    }
}

/// Whether it reads what a report says of a letter. Without it nobody could tell which letter the report is about.
fn is_header(op: &StoreOp) -> bool {
    matches!(op, StoreOp::Queue(QueueOp::Read { offset: 0, len, .. }) if *len == queue::Limits::default().header)
}
