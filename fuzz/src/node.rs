//! Whole nodes: an input is a schedule of what clients say, what stores do, and who dies, in a small internet of two
//! providers. The world holds the nodes to their laws at every step; when all has calmed down, nothing is held any more.

use std::time::Duration;

use pillarbox_core::Wall;
use pillarbox_core::node::Holdings;
use pillarbox_core::ops::{Destination, Id, MailboxId, Notice, StoreOp};
use pillarbox_tests::provider::{fetch, providers};
use pillarbox_tests::world::{ClientId, Trouble, World};

use crate::choices::Choices;
use crate::gauge::{Allowance, linear};
use crate::pieces::hash;

/// The octets that begin an instruction; all others are said by the client who spoke last. Each takes one octet.
mod mark {
    /// A client connects: to which node, and to which port.
    pub(super) const CONNECT: u8 = 0xf8;
    /// From now on this client speaks.
    pub(super) const CLIENT: u8 = 0xf9;
    /// Time passes.
    pub(super) const TIME: u8 = 0xfa;
    /// The client hangs up, or breaks off.
    pub(super) const LEAVE: u8 = 0xfb;
    /// Stores are busy, or fail, or are slow at something, or answer after all.
    pub(super) const STORE: u8 = 0xfc;
    /// A server dies, or a node of one does; or it drains.
    pub(super) const DIE: u8 = 0xfd;
    /// A node hears a notice, true or not.
    pub(super) const NOTICE: u8 = 0xfe;
    /// What was said, once more for each power of two that the octet says.
    pub(super) const AGAIN: u8 = 0xff;
}

const PORTS: [u16; 4] = [25, 587, 110, 143];

/// Instructions of one schedule at most.
const INSTRUCTIONS: usize = 60;

/// Octets that are said at once at most.
const SAID: usize = 64 * 1024;

type Slow = fn(&StoreOp) -> bool;

/// Ops that a store may be slow at.
const SLOW: [Option<Slow>; 6] = [
    None,
    Some(|op| matches!(op, StoreOp::Account(_))),
    Some(|op| matches!(op, StoreOp::Stage(_))),
    Some(|op| matches!(op, StoreOp::Maildrop(_))),
    Some(|op| matches!(op, StoreOp::Accept(_))),
    Some(|op| matches!(op, StoreOp::Mailbox(_))),
];

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "EHLO x\r\n",
        "MAIL FROM:<a@b.example>\r\n",
        "MAIL FROM:<>\r\n",
        "RCPT TO:<bob@amber.example>\r\n",
        "RCPT TO:<carol@birch.example>\r\n",
        "RCPT TO:<x@cold.example>\r\n",
        "DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n",
        "BDAT 5 LAST\r\nabcde",
        "RSET\r\n",
        "STARTTLS\r\n",
        "STLS\r\n",
        "QUIT\r\n",
        "AUTH PLAIN AGFsaWNlAGFsaWNl\r\n",
        "USER alice\r\nPASS alice\r\n",
        "STAT\r\nUIDL\r\nLIST\r\n",
        "RETR 1\r\n",
        "TOP 1 0\r\n",
        "DELE 1\r\n",
        "a LOGIN alice alice\r\n",
        "a SELECT INBOX\r\n",
        "a CREATE Other\r\n",
        "a FETCH 1:* (FLAGS BODY[])\r\n",
        "a STORE 1:* +FLAGS (\\Deleted x)\r\n",
        "a EXPUNGE\r\n",
        "a COPY 1:* Other\r\n",
        "a MOVE 1 Other\r\n",
        "a SEARCH TEXT x\r\n",
        "a IDLE\r\n",
        "DONE\r\n",
        "a APPEND INBOX {3+}\r\nabc\r\n",
        "a APPEND INBOX {40000}\r\n",
        "a LOGOUT\r\n",
    ]
}

/// The first octet is the number of nodes that each provider has; then comes the schedule. Some are played twice: the same
/// happenings give the same trace.
pub(crate) fn schedule(input: &[u8]) {
    let allowed = Allowance {
        peak: (100_000, 256 << 20),
        total: (u64::MAX >> 32, u64::MAX >> 1),
        count: (u64::MAX >> 32, u64::MAX >> 1),
    };
    let trace = linear(input.len(), allowed, || play(input));
    if hash(input).is_multiple_of(4) {
        assert_eq!(play(input), trace);
    }
}

fn play(input: &[u8]) -> Vec<String> {
    let mut choices = Choices::new(input);
    let nodes = 1 + choices.below(3);
    let mut schedule =
        Schedule { world: providers(7, nodes as u16), nodes, clients: Vec::new(), speaks: 0, said: Vec::new() };
    for _ in 0..INSTRUCTIONS {
        if choices.is_empty() {
            break;
        }
        let said = choices.until(|octet| octet >= mark::CONNECT).to_vec();
        let (instruction, how) = (choices.octet(), usize::from(choices.octet()));
        let times = if instruction == mark::AGAIN { 1 << (how % 13) } else { 1 };
        schedule.say(&said, times);
        schedule.happen(instruction, how);
    }
    schedule.calm()
}

struct Schedule {
    world: World,
    /// Of each provider.
    nodes: usize,
    clients: Vec<ClientId>,
    /// Whose words come next.
    speaks: usize,
    said: Vec<u8>,
}

impl Schedule {
    fn say(&mut self, said: &[u8], times: usize) {
        let Some(client) = self.client() else { return };
        if !said.is_empty() {
            self.said = said.to_vec();
        }
        let times = times.min(SAID / self.said.len().max(1)).max(1);
        if !said.is_empty() || times > 1 {
            self.world.send(client, &self.said.repeat(times));
        }
    }

    fn client(&self) -> Option<ClientId> {
        self.clients.get(self.speaks % self.clients.len().max(1)).copied()
    }

    fn happen(&mut self, instruction: u8, how: usize) {
        let Self { world, nodes, .. } = self;
        match instruction {
            mark::CONNECT => {
                self.speaks = self.clients.len();
                self.clients.push(world.connect(how / 4 % *nodes, PORTS[how % 4]));
            }
            mark::CLIENT => self.speaks = how,
            mark::TIME => world.pass(Duration::from_secs(1 << (how % 12))),
            mark::LEAVE => match (self.client(), how % 2) {
                (Some(client), 0) => self.world.hang_up(client),
                (Some(client), _) => self.world.break_off(client),
                (None, _) => {}
            },
            mark::STORE => match how % 4 {
                0 => world.trouble = Trouble { busy: how / 4 % 8 * 5, failed: how / 32 * 5 },
                1 => world.hold(how / 4 % *nodes, SLOW[how / 16 % SLOW.len()]),
                2 => world.release(how / 4 % *nodes, how / 16),
                _ => world.release_reversed(how / 4 % *nodes),
            },
            mark::DIE => self.die(how),
            mark::NOTICE => world.notice(how / 8 % (2 * *nodes), notice(how % 8)),
            _ => {}
        }
    }

    fn die(&mut self, how: usize) {
        let Self { world, nodes, .. } = self;
        match how % 3 {
            0 => {
                let machine = how / 3 % 2 * *nodes;
                world.kill(machine);
                world.revive(machine);
            }
            1 => {
                let machine = how / 3 % (2 * *nodes);
                world.lose(machine);
                world.revive(machine);
            }
            _ => {
                let node = *nodes + how / 3 % *nodes;
                world.drain(node, Duration::from_secs(5));
                world.pass(Duration::from_secs(5));
                world.trouble = Trouble::default();
                world.pass(Duration::from_secs(60));
                assert!(world.is_done(node), "drained within its time");
                world.lose(node);
                world.revive(node);
            }
        }
    }

    /// Everything heals and comes to its end: every session ends, everything is given back, and the next user finds his
    /// mailbox unlocked.
    fn calm(self) -> Vec<String> {
        let Self { mut world, nodes, .. } = self;
        world.trouble = Trouble::default();
        for node in 0..nodes {
            world.hold(node, None);
            world.release(node, usize::MAX);
        }
        world.pass(Duration::from_secs(4 * 3600));
        for machine in 0..2 * nodes {
            assert_eq!(world.connections(machine), 0, "connections of {machine}");
            assert_eq!(world.holdings(machine), Holdings::default(), "of {machine}");
        }
        fetch(&mut world, 0, "alice");
        fetch(&mut world, nodes - 1, "bob");
        world.trace().to_vec()
    }
}

fn notice(which: usize) -> Notice {
    let mailbox = |counter, modseq| Notice::Mailbox { mailbox: MailboxId(Id { epoch: 1, counter }), modseq };
    let due = |key, due| Notice::Due { destination: Destination::from_key(key), due };
    match which {
        0 => due("mx:birch.example", Wall(i64::MIN)),
        1 => due("mx:", Wall(i64::MAX)),
        2 => due("local", World::BEGINNING),
        3 => Notice::Retry { destination: Destination::from_key("mx:cold.example") },
        4 => mailbox(1, u64::MAX),
        5 => mailbox(2, 0),
        6 => mailbox(9, 5),
        _ => Notice::Missed,
    }
}

/// Schedules to begin with: a submission, a fetch, a mail reader, and what may happen between them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let connect = |port: u8, node: u8| vec![mark::CONNECT, port + 4 * node];
    let submit: &[u8] = b"EHLO x\r\nAUTH PLAIN AGFsaWNlAGFsaWNl\r\nMAIL FROM:<alice@amber.example>\r\nRCPT TO:<carol@birch.example>\r\n\
        RCPT TO:<bob@amber.example>\r\nRCPT TO:<x@cold.example>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n";
    let read: &[u8] = b"a LOGIN bob bob\r\nb SELECT INBOX\r\nc IDLE\r\n";
    let pop: &[u8] = b"USER bob\r\nPASS bob\r\nLIST\r\nRETR 1\r\nDELE 1\r\n";
    let mut seeds = Vec::new();
    for nodes in 0..3 {
        for (instruction, how) in [
            (mark::TIME, 8),
            (mark::LEAVE, 0),
            (mark::LEAVE, 1),
            (mark::STORE, 37),
            (mark::STORE, 0x41),
            (mark::STORE, 0x51),
            (mark::DIE, 0),
            (mark::DIE, 1),
            (mark::DIE, 2),
            (mark::NOTICE, 0),
            (mark::NOTICE, 4),
            (mark::NOTICE, 7),
        ] {
            let middle = [instruction, how];
            let calm = [mark::STORE, 2 + 16 * 15, mark::TIME, 11];
            seeds.push([&[nodes][..], &connect(1, nodes), submit, &middle, &calm].concat());
            seeds.push([&[nodes][..], &connect(3, 0), read, &connect(1, nodes), submit, &middle, &calm].concat());
            let again = [mark::CLIENT, 0];
            seeds.push(
                [
                    &[nodes][..],
                    &connect(1, 0),
                    submit,
                    &connect(2, nodes),
                    pop,
                    &middle,
                    b"QUIT\r\n",
                    &again,
                    b"QUIT\r\n",
                ]
                .concat(),
            );
        }
    }
    seeds
}
