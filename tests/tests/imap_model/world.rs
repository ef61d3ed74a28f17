//! Server machines over one store, in one thread and in virtual time, with a host that is as awkward as its contract lets it
//! be: answers come when they come, notices late, twice or as a mere "something was missed", octets in pieces.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, ChunkAnswer, Config, Server};
use pillarbox_core::mailbox::{Request, Response};
use pillarbox_core::ops::{
    AccountId, AccountOp, AccountReply, Body, MailboxId, MailboxOp, NewBody, Notice, Notices, Resolution, Sink, Store,
    StoreOp, StoreReply, Token,
};
use pillarbox_core::session::{Answer as _, Close};
use pillarbox_core::{Mono, Now, Outbox, Random, Session as _, SessionId, Step, Ticket, Wait, Wall};

use crate::client::{Client, Event};
use crate::model::Model;
use crate::trace;

pub struct World {
    pub random: Random,
    pub model: Model,
    pub seats: Vec<Seat>,
    store: Arc<dyn Store>,
    account: AccountId,
    nodes: [Node; 2],
    /// Ops of sessions that are over.
    orphans: Vec<(usize, VecDeque<Op>)>,
    /// Changes that the store has, and has not answered.
    under_way: VecDeque<UnderWay>,
    now: Now,
    config: Arc<Config>,
    sessions: u64,
    tokens: u64,
    /// Nothing fails any more.
    pub calm: bool,
    /// Several ops are with the store at once.
    pub crowded: bool,
    /// Everybody is in one mailbox.
    pub together: bool,
    /// Breaks of connections, in 300 turns.
    pub breaks: usize,
    /// Notices take their time.
    slow: bool,
    high_water: usize,
}

struct UnderWay {
    token: Token,
    question: u64,
    node: usize,
    seat: Option<(usize, u64)>,
    ticket: Ticket<Response>,
    request: Request,
    contents: Vec<usize>,
    /// What the store has said, if the model knows of it already.
    response: Option<Response>,
}

/// A connection.
pub struct Seat {
    pub client: Client,
    session: u64,
    node: usize,
    server: Server,
    rx: BytesMut,
    tx: Outbox,
    wait: Option<Wait>,
    pub over: bool,
    ops: VecDeque<Op>,
    /// How many it has asked.
    questions: u64,
    answers: Vec<(Ticket<Response>, u64, Response)>,
    chunks: VecDeque<Ticket<ChunkAnswer>>,
    staged: Vec<Vec<Bytes>>,
    watched: Option<MailboxId>,
    hints: Vec<(MailboxId, u64)>,
    /// The last question that was not answered as it should be: until the next one the session may not know everything.
    missed: Option<u64>,
}

impl Seat {
    /// Whatever the session has asked it was told.
    pub fn is_told(&self) -> bool {
        self.missed.is_none()
    }
}

enum Op {
    Watch(MailboxId),
    Unwatch(MailboxId),
    Ask(Ticket<Response>, u64, Request, Vec<Vec<Bytes>>),
}

/// What the store tells a node.
#[derive(Default)]
struct Ear {
    replies: Mutex<BTreeMap<Token, StoreReply>>,
    notices: Mutex<Notices>,
    came: Condvar,
}

impl Sink for Ear {
    fn complete(&self, token: Token, reply: StoreReply) {
        self.replies.lock().unwrap().insert(token, reply);
        self.came.notify_all();
    }

    fn notice(&self, notice: Notice) {
        self.notices.lock().unwrap().add(notice);
    }
}

impl Ear {
    fn wait(&self, token: Token) -> StoreReply {
        let mut replies = self.replies.lock().unwrap();
        loop {
            if let Some(reply) = replies.remove(&token) {
                return reply;
            }
            let (next, timeout) = self.came.wait_timeout(replies, Duration::from_secs(60)).unwrap();
            assert!(!timeout.timed_out(), "the store does not answer");
            replies = next;
        }
    }
}

struct Node {
    ear: Arc<Ear>,
    sink: Arc<dyn Sink>,
    watching: BTreeSet<(MailboxId, u64)>,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Deliver(usize),
    Submit(usize),
    Orphan(usize),
    Collect,
    Answer(usize),
    Chunk(usize),
    Hear(usize),
    Hint(usize),
    Drain(usize),
}

impl World {
    pub fn new(store: Arc<dyn Store>, mut random: Random, crowded: bool) -> Self {
        let node = || {
            let ear = Arc::new(Ear::default());
            Node { sink: Arc::clone(&ear) as Arc<dyn Sink>, ear, watching: BTreeSet::new() }
        };
        let mut config = Config { cleartext_auth: true, ..Config::new("imap.example.org") };
        config.limits.session.chunk = [7, 100, 64 * 1024][random.below(3)];
        config.limits.session.steps = [1, 3, 32][random.below(3)];
        let high_water = [40, 500, 64 * 1024][random.below(3)];
        let (together, slow) = (random.below(2) == 0, random.below(2) == 0);
        let breaks = [0, 1, 2, 12][random.below(4)];
        let mut world = Self {
            together,
            breaks,
            slow,
            random,
            model: Model::default(),
            seats: Vec::new(),
            store,
            account: AccountId(pillarbox_core::ops::Id { epoch: 0, counter: 0 }),
            nodes: [node(), node()],
            orphans: Vec::new(),
            under_way: VecDeque::new(),
            now: Now { mono: Mono::default(), wall: Wall(1_795_379_126_000) },
            config: Arc::new(config),
            sessions: 0,
            tokens: 0,
            calm: false,
            crowded,
            high_water,
        };
        world.account = world.make_account();
        world.model.make("INBOX");
        world
    }

    fn ask(&mut self, op: StoreOp) -> StoreReply {
        let token = self.submit(0, op);
        self.nodes[0].ear.wait(token)
    }

    fn submit(&mut self, node: usize, op: StoreOp) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.store.submit(&self.nodes[node].sink, token, op).expect("there is a place");
        token
    }

    fn make_account(&mut self) -> AccountId {
        let address: pillarbox_core::smtp::Address = "alice@example.org".parse().expect("an address");
        self.ask(StoreOp::Account(AccountOp::Add { address: address.clone(), password: "wonderland".into() }));
        match self.ask(StoreOp::Account(AccountOp::Resolve { address })) {
            StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => accounts[0].0,
            other => panic!("{other:?}"),
        }
    }

    /// Somebody has done this before all begins.
    pub fn before(&mut self, request: Request, contents: Vec<usize>) {
        let bodies = contents.iter().map(|it| vec![Bytes::from(self.model.contents[*it].clone())]).collect();
        let op = self.op(request.clone(), bodies);
        let StoreReply::Mailbox(response) = self.ask(op) else { panic!("no answer about a mailbox") };
        self.model.change(&request, &contents, &response);
    }

    fn op(&self, request: Request, bodies: Vec<Vec<Bytes>>) -> StoreOp {
        let body = |pieces| NewBody { body: Body::Inline(pieces), structure: Bytes::new() };
        let bodies = bodies.into_iter().map(body).collect();
        StoreOp::Mailbox(Box::new(MailboxOp::Ask { account: self.account, request, bodies }))
    }

    /// A client connects, in place of the one that sat there.
    pub fn connect(&mut self, at: usize, client: Client) {
        self.sessions += 1;
        let seat = Seat {
            client,
            session: self.sessions,
            node: self.random.below(2),
            server: Server::new(SessionId(self.sessions), Arc::clone(&self.config)),
            rx: BytesMut::new(),
            tx: Outbox::new(self.high_water),
            wait: None,
            over: false,
            ops: VecDeque::new(),
            questions: 0,
            answers: Vec::new(),
            chunks: VecDeque::new(),
            staged: Vec::new(),
            watched: None,
            hints: Vec::new(),
            missed: None,
        };
        match self.seats.get_mut(at) {
            Some(old) => *old = seat,
            None => self.seats.push(seat),
        }
        self.poll(at);
    }

    /// The connection ends. The client hears the rest only behind an orderly end.
    pub fn close(&mut self, at: usize, why: Close) {
        trace!("{} is closed: {why:?}", self.seats[at].client.name);
        self.seats[at].server.close(why);
        self.poll(at);
        if why == Close::Error {
            assert!(self.seats[at].over, "it ends at once");
            self.seats[at].tx.clear();
        }
    }

    /// What the session left behind is done whenever it is.
    pub fn bury(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        self.orphans.push((seat.node, std::mem::take(&mut seat.ops)));
    }

    fn poll(&mut self, at: usize) {
        loop {
            let seat = &mut self.seats[at];
            let step = seat.server.poll(self.now, &mut seat.rx, &mut seat.tx);
            match step {
                Step::Act(action) => self.act(at, action),
                Step::More => {}
                Step::Wait(wait) => {
                    seat.wait = Some(wait);
                    return;
                }
                Step::Done(end) => {
                    if !seat.over {
                        trace!("{} is over: {end}", seat.client.name);
                    }
                    seat.over = true;
                    return;
                }
                Step::Upgrade(_) => panic!("nobody asked for TLS"),
            }
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let said = self.seats[at].tx.appended();
        let seat = &mut self.seats[at];
        match action {
            Action::Authenticate { ticket, .. } => {
                seat.server.answer(ticket, AuthenticateAnswer::Accepted).expect("its own ticket");
            }
            Action::Ask { ticket, request } => {
                let staged = match &request {
                    Request::Append { .. } => std::mem::take(&mut seat.staged),
                    _ => Vec::new(),
                };
                let contents = staged.iter().map(|pieces| self.model.number(&pieces.concat())).collect();
                trace!("{} asks {request:?}", seat.client.name);
                seat.questions += 1;
                seat.client.note(said, Event::Asked(seat.questions, request.clone(), contents));
                seat.ops.push_back(Op::Ask(ticket, seat.questions, request, staged));
            }
            Action::Chunk { ticket, message, bytes, .. } => {
                seat.staged.resize(seat.staged.len().max(message + 1), Vec::new());
                seat.staged[message].push(bytes);
                seat.chunks.push_back(ticket);
            }
            Action::Discard => {
                seat.staged.clear();
                seat.chunks.clear();
            }
            Action::Watch { mailbox } => {
                seat.watched = Some(mailbox);
                seat.ops.push_back(Op::Watch(mailbox));
            }
            Action::Unwatch { mailbox } => {
                seat.watched = None;
                seat.ops.push_back(Op::Unwatch(mailbox));
            }
        }
    }

    fn choices(&self) -> Vec<Next> {
        let mut choices = Vec::new();
        for (at, seat) in self.seats.iter().enumerate() {
            let reads = seat.wait.is_some_and(|wait| wait.read) && !seat.over;
            let each = [
                (reads && !seat.client.outgoing.is_empty(), Next::Deliver(at)),
                (!seat.ops.is_empty(), Next::Submit(at)),
                (!seat.answers.is_empty(), Next::Answer(at)),
                (!seat.chunks.is_empty(), Next::Chunk(at)),
                (!seat.hints.is_empty(), Next::Hint(at)),
                (!seat.tx.is_empty(), Next::Drain(at)),
            ];
            choices.extend(each.iter().filter(|(may, _)| *may).map(|(_, next)| *next));
        }
        choices.extend((0..self.orphans.len()).map(Next::Orphan));
        let waits = |node: &Node| !node.ear.notices.lock().unwrap().is_empty();
        choices.extend((0..2).filter(|node| waits(&self.nodes[*node])).map(Next::Hear));
        choices.extend((!self.under_way.is_empty()).then_some(Next::Collect));
        choices
    }

    /// Something happens; false when nothing can.
    pub fn step(&mut self) -> bool {
        let choices = self.choices();
        if choices.is_empty() {
            return false;
        }
        self.now.mono = self.now.mono.after(Duration::from_millis(1));
        self.now.wall.0 += 1;
        match choices[self.random.below(choices.len())] {
            Next::Deliver(at) => self.deliver(at),
            Next::Submit(at) => {
                let (node, seat) = (self.seats[at].node, (at, self.seats[at].session));
                let op = self.seats[at].ops.pop_front().expect("there is one");
                self.carry_out(node, Some(seat), op);
            }
            Next::Orphan(index) => match self.orphans[index].1.pop_front() {
                Some(op) => self.carry_out(self.orphans[index].0, None, op),
                None => drop(self.orphans.remove(index)),
            },
            Next::Collect => self.collect(),
            Next::Answer(at) => self.answer(at),
            Next::Chunk(at) => self.chunk(at),
            Next::Hear(node) => self.hear(node),
            // As long as there is something else.
            Next::Hint(_) if self.slow && !self.calm && self.random.below(10) > 0 => {}
            Next::Hint(at) => self.hint(at),
            Next::Drain(at) => self.drain(at),
        }
        true
    }

    /// Everything happens that is under way.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 10_000_000, "it goes round in circles");
        }
    }

    fn deliver(&mut self, at: usize) {
        let most = [1, 10, 100_000][self.random.below(3)];
        let seat = &mut self.seats[at];
        let len = seat.client.outgoing.len().min(1 + self.random.below(most));
        seat.rx.extend_from_slice(&seat.client.outgoing[..len]);
        seat.client.outgoing.drain(..len);
        self.poll(at);
    }

    fn drain(&mut self, at: usize) {
        let most = [10, 1_000, 1_000_000][self.random.below(3)];
        let seat = &mut self.seats[at];
        let len = seat.tx.len().min(1 + self.random.below(most));
        let octets = seat.tx.copy_to_bytes(len);
        seat.client.receive(&octets, &self.model);
        if !seat.over {
            self.poll(at);
        }
    }

    fn carry_out(&mut self, node: usize, seat: Option<(usize, u64)>, op: Op) {
        let session = seat.map_or(0, |(_, session)| session);
        match op {
            Op::Watch(mailbox) => {
                if self.nodes[node].watching.insert((mailbox, session)) {
                    self.submit(node, StoreOp::Mailbox(Box::new(MailboxOp::Watch { mailbox })));
                }
            }
            Op::Unwatch(mailbox) => {
                self.nodes[node].watching.remove(&(mailbox, session));
                if !self.nodes[node].watching.iter().any(|(it, _)| *it == mailbox) {
                    self.submit(node, StoreOp::Mailbox(Box::new(MailboxOp::Unwatch { mailbox })));
                }
            }
            Op::Ask(ticket, question, request, staged) => {
                if !self.calm && self.random.below(200) == 0 {
                    let full = self.random.below(2) == 0;
                    return self.answered(seat, ticket, question, Response::Unavailable { full });
                }
                let contents = staged.iter().map(|pieces| self.model.number(&pieces.concat())).collect();
                let op = self.op(request.clone(), staged);
                let token = self.submit(node, op);
                let response = None;
                self.under_way.push_back(UnderWay { token, question, node, seat, ticket, request, contents, response });
                if !self.crowded {
                    self.collect();
                }
            }
        }
    }

    /// Takes the oldest answer of the store. Changes are made in the order in which they were submitted.
    fn collect(&mut self) {
        let Some(mut oldest) = self.under_way.pop_front() else { return };
        let response = self.learn(&mut oldest);
        // A question may be answered by what was changed behind it: the store reads when it comes to it.
        let mut behind = std::mem::take(&mut self.under_way);
        for change in behind.iter_mut().filter(|it| it.request.is_change()) {
            change.response = Some(self.learn(change));
        }
        self.under_way = behind;
        self.answered(oldest.seat, oldest.ticket, oldest.question, response);
    }

    /// What the store says to this; the model learns of it once.
    fn learn(&mut self, under_way: &mut UnderWay) -> Response {
        if let Some(response) = under_way.response.take() {
            return response;
        }
        let UnderWay { token, node, request, contents, seat, .. } = under_way;
        let StoreReply::Mailbox(response) = self.nodes[*node].ear.wait(*token) else { panic!("{request:?} failed") };
        if let Request::Select { name, .. } = &request {
            self.model.selected(name, &response, !self.crowded);
        }
        if request.is_change() {
            trace!("commit of session {:?}: {request:?}: {response:?}", seat.map(|it| it.1));
            self.model.change(request, contents, &response);
        }
        *response
    }

    fn answered(&mut self, seat: Option<(usize, u64)>, ticket: Ticket<Response>, question: u64, response: Response) {
        let Some((at, session)) = seat else { return };
        if self.seats[at].session == session {
            self.seats[at].answers.push((ticket, question, response));
        }
    }

    fn answer(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let (ticket, question, response) = seat.answers.remove(self.random.below(seat.answers.len()));
        match response {
            Response::Unavailable { .. } => seat.missed = Some(question),
            _ => seat.missed = seat.missed.filter(|missed| *missed >= question),
        }
        if !seat.over {
            seat.client.note(seat.tx.appended(), Event::Answered(question, response.clone()));
        }
        seat.server.answer(ticket, response).expect("its own ticket");
        self.poll(at);
    }

    fn chunk(&mut self, at: usize) {
        let full = !self.calm && self.random.below(200) == 0;
        let seat = &mut self.seats[at];
        let ticket = seat.chunks.pop_front().expect("there is one");
        let answer = if full { ChunkAnswer::Full } else { ChunkAnswer::Taken };
        seat.server.answer(ticket, answer).expect("its own ticket");
        self.poll(at);
    }

    /// A node hears of a change, and knows who watches the mailbox.
    fn hear(&mut self, node: usize) {
        let Some(notice) = self.nodes[node].ear.notices.lock().unwrap().pop() else { return };
        let Notice::Mailbox { mailbox, modseq } = notice else { return };
        for seat in self.seats.iter_mut().filter(|seat| seat.node == node && seat.watched == Some(mailbox)) {
            seat.hints.push((mailbox, modseq));
        }
    }

    fn hint(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let index = self.random.below(seat.hints.len());
        let (mailbox, modseq) = seat.hints[index];
        // Now and then it comes twice.
        if self.random.below(5) > 0 {
            seat.hints.remove(index);
        }
        match self.random.below(20) {
            0 => seat.server.missed(),
            _ => seat.server.changed(mailbox, modseq),
        }
        self.poll(at);
    }

    /// So long passes that a question that is open is given up; false when there is none.
    pub fn stall(&mut self) -> bool {
        let open = |seat: &Seat| !seat.ops.is_empty() && !seat.over;
        let Some(until) = self.seats.iter().filter(|it| open(it)).filter_map(|it| it.wait?.until).min() else {
            return false;
        };
        self.now.mono = self.now.mono.max(until);
        for at in 0..self.seats.len() {
            self.seats[at].missed = Some(self.seats[at].questions);
            self.poll(at);
        }
        true
    }
}
