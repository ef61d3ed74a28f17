//! A whole mail node as one machine: connections, queue, resolver and router, and the only place where protocols meet
//! the store.
//!
//! The host feeds it ([`Node::accept`], [`Node::input`], bytes through [`Node::conn`] and [`Node::touched`]) and polls it
//! until it says [`NodeStep::Wait`]. What it cannot do itself is a [`NodeAction`].
//!
//! ```text
//!            accept, touched, Dialed, Closed                     Stored, Busy
//!                        │                                            │
//!     ┌──────────────────▼─────────────────┐   questions   ┌──────────▼──────────┐
//!     │ connections                        ├──────────────▶│ ops under way       │──▶ Store
//!     │  reception  maildrop  reader  …    │◀──────────────┤ token ─▶ who asked  │
//!     └───▲──────────────────────────┬─────┘    answers    └──▲───────────────▲──┘
//!         │ dial                     │ outcomes               │ leases, pages │ whose is this?
//!     ┌───┴───────┐   candidates  ┌──▼──────────┐  attempts  ┌┴──────┐     ┌──┴─────┐
//!     │ resolver  ├──────────────▶│ transfers   │◀───────────┤ queue │     │ router │
//!     └───────────┘               └─────────────┘            └───────┘     └────────┘
//! ```
//!
//! Several nodes may be one server, each with its [`Share`] of it, over one store. What one confirmed all see, since none
//! keeps what another may change: accounts, aliases, locks and rows are asked of the store each time. What a node must act
//! on unasked, mail that another put into its buckets, it hears by [`NodeInput::Notice`].
//!
//! A turn runs what is due and what was touched, a bounded number of sessions; what one turn says to a peer is flushed
//! once. All sessions that wait are found through one list and one order of deadlines: nobody walks all sessions.

mod action;
mod asked;
mod config;
mod conn;
mod conns;
mod delivery;
mod event;
mod intake;
mod machine;
mod maildrop;
mod operator;
mod reader;
mod reception;
mod replies;
mod resolve;
mod share;
mod shared;
mod transfer;
mod watching;
mod welcome;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

pub use action::{Accepted, Closed, ConnId, ConnIo, ListenerId, NodeAction, NodeInput, NodeStep};
pub use config::{Cleartext, Config, Delivery, Limits, Protocol, Service, TapSink, TlsMode};
pub use event::{Event, SessionKind};
pub use machine::Machine;
pub use share::Share;

use asked::Question;
use conn::{Conn, Dial, Pause, Phase, Speaker};
use conns::Conns;
use shared::{Deadlines, Shared};

use crate::dns::{Resolver, ResolverStep};
use crate::mailbox::{ModSeq, Request};
use crate::mark;
use crate::ops::{MailboxId, MailboxOp, MaildropOp, Notice, StageOp, StoreOp, StoreReply, Token};
use crate::queue::{self, Queue, QueueStep};
use crate::seed::{Random, Seed};
use crate::session::{Close, End};
use crate::time::{Mono, Now};

/// A mail node.
pub struct Node {
    shared: Shared,
    profiles: welcome::Profiles,
    conns: Conns,
    /// Connections to be run, each once.
    ready: VecDeque<ConnId>,
    deadlines: Deadlines,
    /// When the resolver and the queue are to be polled next; `None` means now.
    machines: Option<Machines>,
    /// When the rest is cut off.
    draining: Option<Mono>,
    /// Sessions run since the last pause.
    turn: usize,
}

/// What a node holds besides its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Bytes of bodies kept in memory ([`Limits::inline_bodies`]).
    pub inline_bytes: usize,
    /// Store operations that were not answered yet.
    pub ops: usize,
    /// Delivery attempts under way.
    pub attempts: usize,
    /// Sessions that watch a mailbox.
    pub watches: usize,
}

/// When the machines inside want to be polled.
#[derive(Clone, Copy)]
struct Machines {
    until: Option<Mono>,
    queue_idle: bool,
}

impl Node {
    /// A node with nothing open: its share of the server that `config` is for. Its first poll asks the store for the
    /// queue.
    #[must_use]
    pub fn new(config: Arc<Config>, share: Share, seed: &Seed) -> Self {
        let config = share.configure(config);
        let mut random = Random::new(seed);
        let (plan, routes) = (Arc::clone(&config.delivery.queue), config.routes.clone());
        let queue = Queue::new(plan, routes, share.buckets(), &random.seed());
        let resolver = Resolver::new(config.dns.clone(), &random.seed());
        Self {
            profiles: welcome::Profiles::new(&config),
            shared: Shared::new(config, share, queue, resolver),
            conns: Conns::default(),
            ready: VecDeque::new(),
            deadlines: Deadlines::default(),
            machines: None,
            draining: None,
            turn: 0,
        }
    }

    /// A connection came in. Its session begins with the next poll.
    pub fn accept(&mut self, accepted: Accepted) -> ConnId {
        let id = self.shared.conn_id();
        let Some(mut conn) = self.profiles.welcome(&self.shared, id, &accepted) else {
            // No such listener: a bug in the host. The connection is closed.
            self.shared.out.push_back(NodeAction::Close { conn: id, abort: true });
            return id;
        };
        self.shared.event(Event::Opened { conn: id, kind: conn.kind, peer: accepted.peer });
        if accepted.crowded || self.draining.is_some() {
            conn.close(Close::Shutdown);
        }
        self.insert(id, conn);
        id
    }

    /// Something happened.
    pub fn input(&mut self, now: Now, input: NodeInput) {
        match input {
            NodeInput::Dialed { conn, result } => self.dialed(now, conn, result),
            NodeInput::Closed { conn, how } => self.closed(now, conn, how),
            NodeInput::Datagram { socket, from, bytes } => {
                self.shared.resolver.datagram(now, socket, from, &bytes);
                self.machines = None;
            }
            NodeInput::Stored { token, reply } => self.stored(now, token, reply),
            NodeInput::Busy { token, op } => self.busy(now, token, op),
            NodeInput::Notice(notice) => self.notice(notice),
            NodeInput::Reload(config) => self.reload(config),
            NodeInput::Drain { deadline } => self.drain(now, deadline),
        }
    }

    /// A connection's buffers, for reading into and writing from; call [`touched`](Self::touched) afterwards.
    pub fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>> {
        let conn = self.conns.get(id)?;
        Some(ConnIo { rx: &mut conn.rx, tx: &mut conn.tx })
    }

    /// A connection's buffers were read into or written from: its session runs at the next poll.
    pub fn touched(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.phase == Phase::Open && !conn.queued {
            conn.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Runs what is to be run, and returns the next thing for the host. Call until `Wait`, `More` or `Done`.
    pub fn poll(&mut self, now: Now) -> NodeStep {
        loop {
            if let Some(action) = self.shared.out.pop_front() {
                return NodeStep::Act(action);
            }
            if self.turn >= self.shared.config.limits.sessions_per_turn {
                self.turn = 0;
                mark!(NodeTurnSpent);
                // Who floods us does not keep mail from going out.
                self.background(now);
                return NodeStep::More;
            }
            if self.step(now) {
                self.turn += 1;
                continue;
            }
            self.turn = 0;
            return self.rest(now);
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// What the node holds besides its connections: nothing of it is left when nobody is connected and no mail is on its
    /// way.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings {
            inline_bytes: self.shared.inline_used(),
            ops: self.shared.asked.len(),
            attempts: self.shared.transfers.len(),
            watches: self.shared.watching.len(),
        }
    }

    /// One piece of work, if there is any.
    fn step(&mut self, now: Now) -> bool {
        if let Some(id) = self.deadlines.due(now.mono) {
            self.expired(now, id);
            return true;
        }
        if let Some(id) = self.ready.pop_front() {
            self.run(now, id);
            return true;
        }
        self.background(now)
    }

    /// One piece of what is no session's own work, if there is any.
    fn background(&mut self, now: Now) -> bool {
        if let Some(dial) = self.shared.dials.pop_front() {
            self.dial(now, dial);
            return true;
        }
        if let Some((token, op)) = self.shared.asked.resume(now.mono) {
            self.shared.out.push_back(NodeAction::Store { token, op });
            return true;
        }
        if self.draining.is_some_and(|deadline| deadline <= now.mono) && self.cut_one(now) {
            return true;
        }
        let due = self.machines.is_none_or(|machines| machines.until.is_some_and(|until| until <= now.mono));
        due && self.poll_machines(now)
    }

    fn rest(&self, now: Now) -> NodeStep {
        let idle = self.machines.is_some_and(|machines| machines.queue_idle);
        let over = idle && self.shared.asked.is_empty() && self.shared.transfers.is_empty();
        // A store that has stopped records nothing any more: what was delivered is delivered again after the restart.
        let end = self.draining.map(|deadline| deadline + self.shared.config.limits.linger);
        if end.is_some_and(|end| self.conns.is_empty() && (over || end <= now.mono)) {
            if !over {
                mark!(NodeStopsUndone);
            }
            return NodeStep::Done;
        }
        let machines = self.machines.and_then(|machines| machines.until);
        let drain = if self.conns.is_empty() { end } else { self.draining };
        let until = [self.deadlines.next(), self.shared.asked.deadline(), machines, drain].into_iter().flatten().min();
        NodeStep::Wait { until }
    }

    /// Polls resolver and queue; `true` if one of them did something.
    fn poll_machines(&mut self, now: Now) -> bool {
        let mut worked = false;
        let dns_until = loop {
            match self.shared.resolver.poll(now) {
                ResolverStep::Wait { until } => break until,
                step => self.resolver_step(now, step),
            }
            worked = true;
        };
        let (queue_until, queue_idle) = loop {
            match self.shared.queue.poll(now) {
                QueueStep::Wait { until } => break (until, false),
                QueueStep::Idle => break (None, true),
                step => self.queue_step(now, step),
            }
            worked = true;
        };
        // What the queue began may want a lookup, and an answer may end an attempt: both again, until both wait.
        let until = [dns_until, queue_until].into_iter().flatten().min();
        self.machines = (!worked).then_some(Machines { until, queue_idle });
        worked
    }

    fn resolver_step(&mut self, now: Now, step: ResolverStep) {
        match step {
            ResolverStep::Send { socket, to, bytes } => {
                self.shared.out.push_back(NodeAction::Datagram { socket, to, bytes });
            }
            ResolverStep::CloseSocket(socket) => self.shared.out.push_back(NodeAction::CloseSocket(socket)),
            ResolverStep::Stream { stream, to, query } => {
                self.shared.dials.push_back(Dial::Lookup { stream, to, query })
            }
            ResolverStep::Answer { lookup, answer } => transfer::looked_up(&mut self.shared, now, lookup, answer),
            ResolverStep::Wait { .. } => {}
        }
    }

    fn queue_step(&mut self, now: Now, step: QueueStep) {
        match step {
            QueueStep::Ask { question, op } => {
                self.shared.ask(Question::Queue(question), op);
            }
            QueueStep::Attempt { attempt, destination, rows } => {
                transfer::begin(&mut self.shared, now, attempt, destination, &rows);
            }
            QueueStep::Event(event) => self.queue_event(event),
            QueueStep::Wait { .. } | QueueStep::Idle => {}
        }
    }

    fn queue_event(&mut self, event: queue::Event) {
        match event {
            queue::Event::Failed { row, recipient, said, why: _, bounce } => {
                let reported = bounce.is_some();
                self.shared.event(Event::Bounced { row, recipient, reply: said.reply, reported });
            }
            queue::Event::Trouble { what } => self.shared.event(Event::StoreTrouble { what }),
            // Attempts are told when they are made, by the transfer that made them.
            _ => {}
        }
    }

    fn insert(&mut self, id: ConnId, mut conn: Box<Conn>) {
        if conn.phase == Phase::Open {
            conn.queued = true;
            self.ready.push_back(id);
        }
        self.conns.insert(id, conn);
    }

    fn dial(&mut self, now: Now, dial: Dial) {
        let id = self.shared.conn_id();
        let (to, mut conn) = self.profiles.dial(&self.shared, id, dial);
        conn.dialed = Some(to);
        conn.deadline = Some(now.mono + self.shared.config.limits.dial_timeout);
        self.deadlines.set(id, None, conn.deadline);
        self.insert(id, conn);
        self.shared.out.push_back(NodeAction::Dial { conn: id, to });
    }

    fn dialed(&mut self, now: Now, id: ConnId, result: Result<(), alloc::string::String>) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.phase != Phase::Dialing {
            return;
        }
        match result {
            Ok(()) => {
                conn.phase = Phase::Open;
                if let Some(peer) = conn.dialed.take() {
                    self.shared.event(Event::Opened { conn: id, kind: conn.kind, peer });
                }
                self.deadlines.set(id, conn.deadline.take(), None);
                self.touched(id);
            }
            Err(why) => mark!(NodeDialRefused, self.undialed(now, id, &why)),
        }
    }

    /// A dial is given up: the host has nothing more to say about it.
    fn undialed(&mut self, now: Now, id: ConnId, why: &str) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        self.deadlines.set(id, conn.deadline.take(), None);
        conn.unreachable(&mut self.shared, now, why);
        self.machines = None;
    }

    fn closed(&mut self, now: Now, id: ConnId, how: Closed) {
        let Some(conn) = self.conns.get(id) else { return };
        match (how, conn.phase) {
            (_, Phase::Dialing) => mark!(NodeDialBroken, self.undialed(now, id, "connection closed")),
            (Closed::Eof, Phase::Open) => {
                conn.close(Close::Eof);
                self.touched(id);
            }
            (Closed::Error | Closed::Done, Phase::Open) => {
                mark!(NodeBroken);
                conn.broken = true;
                conn.close(Close::Error);
                self.touched(id);
            }
            (Closed::Eof, Phase::Closing) => {}
            (Closed::Error | Closed::Done, Phase::Closing) => self.forget(id),
        }
    }

    fn forget(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conns.remove(id) {
            self.deadlines.set(id, conn.deadline.take(), None);
        }
    }

    /// A connection's deadline has come.
    fn expired(&mut self, now: Now, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        conn.deadline = None;
        match conn.phase {
            Phase::Open => self.touched(id),
            Phase::Dialing => {
                self.shared.out.push_back(NodeAction::Close { conn: id, abort: true });
                mark!(NodeDialTimeout);
                self.undialed(now, id, "timed out");
            }
            Phase::Closing => {
                mark!(NodeLingers);
                self.shared.out.push_back(NodeAction::Close { conn: id, abort: true });
                self.forget(id);
            }
        }
    }

    /// Runs a session until it waits, and tells the host what changed.
    fn run(&mut self, now: Now, id: ConnId) {
        let Some(mut conn) = self.conns.take(id) else { return };
        conn.queued = false;
        if conn.phase != Phase::Open {
            self.conns.insert(id, conn);
            return;
        }
        let pause = conn.run(&mut self.shared, now);
        // A session's action may have moved the queue or the resolver.
        self.machines = None;
        let mut deadline = None;
        let mut read = conn.reading;
        match pause {
            Pause::More => {
                conn.queued = true;
                self.ready.push_back(id);
                // Others come first, and meanwhile a flood would pile up: it is read on once this much is run.
                mark!(NodeSessionSpent);
                if conn.rx.len() >= self.shared.config.limits.receive_buffer {
                    mark!(NodeReceiveFull);
                }
                read &= conn.rx.len() < self.shared.config.limits.receive_buffer;
            }
            Pause::Wait(wait) => {
                deadline = wait.until;
                read = wait.read;
            }
            Pause::Done(end) => {
                self.over(now, id, conn, end);
                return;
            }
        }
        if !conn.broken && conn.tx.appended() > conn.flushed {
            conn.flushed = conn.tx.appended();
            self.shared.out.push_back(NodeAction::Flush(id));
        }
        if read != conn.reading {
            conn.reading = read;
            self.shared.out.push_back(NodeAction::Interest { conn: id, read });
        }
        self.deadlines.set(id, conn.deadline, deadline);
        conn.deadline = deadline;
        self.conns.insert(id, conn);
    }

    /// A session is over: its connection writes what is left, and closes.
    fn over(&mut self, now: Now, id: ConnId, mut conn: Box<Conn>, end: End) {
        conn.done(&mut self.shared, now, end);
        self.shared.event(Event::Ended { conn: id, end });
        let abort = conn.broken;
        self.shared.out.push_back(NodeAction::Close { conn: id, abort });
        let linger = (!abort).then(|| now.mono + self.shared.config.limits.linger);
        self.deadlines.set(id, conn.deadline, linger);
        if abort {
            self.conns.remove(id);
            return;
        }
        conn.deadline = linger;
        conn.phase = Phase::Closing;
        self.conns.insert(id, conn);
    }

    fn stored(&mut self, now: Now, token: Token, reply: StoreReply) {
        let Some(question) = self.shared.asked.answered(token) else { return };
        self.machines = None;
        match question {
            Question::Queue(question) => self.shared.queue.stored(now, question, reply),
            Question::Resolve(resolving) => {
                if let resolve::Resolved::Answer(then, found) = resolve::stored(&mut self.shared, resolving, reply) {
                    self.resolved(now, then, found);
                }
            }
            Question::Reception(id, question) => {
                reception::stored(&mut self.shared, self.conns.reception(id), question, reply);
                self.touched(id);
            }
            Question::Maildrop(id, question) => {
                maildrop::stored(&mut self.shared, self.conns.maildrop(id), question, reply);
                self.touched(id);
            }
            Question::Reader(id, question) => {
                reader::stored(&mut self.shared, self.conns.reader(id), question, reply);
                self.touched(id);
            }
            Question::Delivery(id, question) => {
                delivery::stored(self.conns.outgoing(id), question, reply);
                self.touched(id);
            }
            Question::Operator(id, question) => {
                operator::stored(&mut self.shared, id, self.conns.operator(id), question, reply);
                self.touched(id);
            }
            Question::Nobody => {}
        }
    }

    fn resolved(&mut self, now: Now, then: resolve::Then, found: Result<crate::ops::Resolution, crate::smtp::Reply>) {
        match then {
            resolve::Then::Row(row) => transfer::resolved(&mut self.shared, now, row, found),
            resolve::Then::Recipient(id, recipient) => {
                reception::resolved(&mut self.shared, self.conns.reception(id), recipient, found);
                self.touched(id);
            }
        }
    }

    /// The store had no place. What can be refused is refused; what would be lost is submitted again.
    fn busy(&mut self, now: Now, token: Token, op: StoreOp) {
        let keep = match &op {
            StoreOp::Stage(StageOp::Drop { .. })
            | StoreOp::Maildrop(MaildropOp::Release { .. } | MaildropOp::Commit { .. }) => true,
            // Whoever idles has nobody to be refused: he would not hear of what has changed before the next change.
            StoreOp::Mailbox(op) => matches!(&**op, MailboxOp::Ask { request: Request::Changes { .. }, .. }),
            _ => false,
        };
        if keep && self.shared.asked.question(token).is_some() {
            mark!(NodeAskedAgain);
            let until = now.mono + self.shared.config.limits.busy_pause;
            return self.shared.asked.pause(token, op, until);
        }
        let Some(question) = self.shared.asked.answered(token) else { return };
        self.machines = None;
        match question {
            Question::Queue(question) => mark!(NodeQueueBusy, self.shared.queue.busy(now, question)),
            Question::Resolve(resolving) => {
                mark!(NodeResolveBusy);
                let (then, reply) = resolve::busy(*resolving);
                self.resolved(now, then, Err(reply));
            }
            Question::Reception(id, question) => {
                mark!(NodeReceptionBusy);
                reception::refuse(&mut self.shared, self.conns.reception(id), question, replies::STORE_BUSY.reply());
                self.touched(id);
            }
            Question::Maildrop(id, question) => {
                mark!(NodeMaildropBusy);
                maildrop::refuse(&mut self.shared, self.conns.maildrop(id), question);
                self.touched(id);
            }
            Question::Reader(id, question) => {
                mark!(NodeReaderBusy);
                reader::refuse(&mut self.shared, self.conns.reader(id), question, false);
                self.touched(id);
            }
            Question::Delivery(id, question) => {
                mark!(NodeDeliveryBusy);
                delivery::busy(self.conns.outgoing(id), question);
                self.touched(id);
            }
            Question::Operator(id, question) => {
                operator::busy(self.conns.operator(id), question);
                self.touched(id);
            }
            Question::Nobody => {}
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Due { destination, due } => self.shared.queue.hint(&destination, due),
            Notice::Retry { destination } => self.shared.queue.retry(&destination),
            Notice::Mailbox { mailbox, modseq } => {
                for id in self.shared.watching.of(mailbox) {
                    self.changed(id, mailbox, Some(modseq));
                }
                return;
            }
            Notice::Missed => {
                mark!(NodeMissedNotices);
                self.shared.queue.rescan();
                for (mailbox, id) in self.shared.watching.all() {
                    self.changed(id, mailbox, None);
                }
            }
        }
        self.machines = None;
    }

    /// A session watches a mailbox that has changed, up to `modseq` if that is known.
    fn changed(&mut self, id: ConnId, mailbox: MailboxId, modseq: Option<ModSeq>) {
        if let Some(session) = self.conns.reader(id) {
            session.changed(mailbox, modseq);
            self.touched(id);
        }
    }

    fn reload(&mut self, config: Arc<Config>) {
        let config = self.shared.share.configure(config);
        self.shared.resolver.reload(config.dns.clone());
        self.shared.queue.reload(Arc::clone(&config.delivery.queue), config.routes.clone());
        self.profiles = welcome::Profiles::new(&config);
        self.shared.config = config;
        self.machines = None;
    }

    fn drain(&mut self, now: Now, deadline: Mono) {
        if self.draining.is_none() {
            self.shared.out.push_back(NodeAction::Accepting(false));
            self.shared.queue.drain();
            transfer::abandon(&mut self.shared, now);
        }
        self.draining = Some(deadline);
        self.machines = None;
        for id in self.conns.ids() {
            let Some(conn) = self.conns.get(id) else { continue };
            // A delivery under way goes on; who brings or fetches mail is told at the next command.
            if conn.phase == Phase::Open && !matches!(conn.speaker, Speaker::Outgoing(_) | Speaker::Lookup(_)) {
                conn.close(Close::Shutdown);
                self.touched(id);
            }
        }
    }

    /// Cuts off one connection that did not end in time.
    fn cut_one(&mut self, now: Now) -> bool {
        let Some(id) = self.conns.first() else { return false };
        mark!(NodeCutOff);
        self.shared.out.push_back(NodeAction::Close { conn: id, abort: true });
        if let Some(mut conn) = self.conns.remove(id) {
            self.deadlines.set(id, conn.deadline.take(), None);
            conn.done(&mut self.shared, now, End::Shutdown);
        }
        true
    }
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Node").field("connections", &self.conns.len()).finish_non_exhaustive()
    }
}
