//! The node's laws in its own inputs: drain, deadline and bounded are held by the world at every step; here it meets
//! everything else: peers that talk garbage, hang up and break off, stores that are busy or fail, crashes at any moment,
//! of whole servers and of single nodes of theirs.

use std::time::Duration;

use pillarbox_core::Wall;
use pillarbox_core::node::Holdings;
use pillarbox_core::ops::{Destination, Id, MailboxId, Notice, StoreOp};
use pillarbox_tests::world::{ClientId, Trouble, World};
use proptest::prelude::*;

use super::provider::{fetch, providers, submission_at};

/// What may happen next.
#[derive(Clone, Debug)]
enum Happening {
    /// A new connection to a port of one of amber's nodes.
    Connect(usize, u16),
    /// A connection says this.
    Say(usize, Vec<u8>),
    HangUp(usize),
    BreakOff(usize),
    Pass(u64),
    /// A server dies, and comes back.
    Kill(usize),
    /// A node of a server's dies alone, and another takes its place.
    Lose(usize),
    Trouble(usize, usize),
    /// Amber's store answers nothing of this kind any more to this node.
    Hold(usize, usize),
    /// It answers it so many of the ops that it held back.
    Release(usize, usize),
    /// A node hears a notice, true or not.
    Notice(usize, Notice),
    /// A node of birch's stops, and another takes its place.
    Drain(usize),
}

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

fn words() -> impl Strategy<Value = Vec<u8>> {
    let lines = [
        "EHLO x\r\n",
        "HELO x\r\n",
        "MAIL FROM:<a@b.example>\r\n",
        "MAIL FROM:<>\r\n",
        "RCPT TO:<bob@amber.example>\r\n",
        "RCPT TO:<carol@birch.example>\r\n",
        "RCPT TO:<postmaster>\r\n",
        "DATA\r\n",
        "Subject: x\r\n\r\nbody\r\n",
        ".\r\n",
        "BDAT 5 LAST\r\nabcde",
        "BDAT 0 LAST\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "STARTTLS\r\n",
        "STLS\r\n",
        "QUIT\r\n",
        "\n.\r\n",
        "AUTH PLAIN AGFsaWNlAGFsaWNl\r\n",
        "AUTH LOGIN\r\n",
        "YWxpY2U=\r\n",
        "*\r\n",
        "USER alice\r\n",
        "PASS alice\r\n",
        "STAT\r\n",
        "LIST\r\n",
        "UIDL\r\n",
        "RETR 1\r\n",
        "TOP 1 0\r\n",
        "DELE 1\r\n",
        "CAPA\r\n",
        "a LOGIN alice alice\r\n",
        "a LOGIN alice alice\r\nb SELECT INBOX\r\n",
        "a AUTHENTICATE PLAIN AGFsaWNlAGFsaWNl\r\n",
        "a SELECT INBOX\r\n",
        "a EXAMINE Other\r\n",
        "a CREATE Other\r\n",
        "a DELETE Other\r\n",
        "a FETCH 1:* (FLAGS BODY[])\r\n",
        "a STORE 1:* +FLAGS (\\Deleted x)\r\n",
        "a EXPUNGE\r\n",
        "a COPY 1:* Other\r\n",
        "a MOVE 1 Other\r\n",
        "a SEARCH TEXT x\r\n",
        "a IDLE\r\n",
        "DONE\r\n",
        "a APPEND INBOX {3+}\r\nabc\r\n",
        "a APPEND INBOX {3+}\r\nabc {40000}\r\n",
        "a APPEND INBOX {40000}\r\n",
        "a APPEND Nowhere {40000}\r\n",
        "a NOOP\r\n",
        "a CLOSE\r\n",
        "a LOGOUT\r\n",
        "a STARTTLS\r\n",
    ];
    prop_oneof![
        8 => proptest::collection::vec(proptest::sample::select(lines.to_vec()), 1..6)
            .prop_map(|lines| lines.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..64),
        1 => Just(vec![b'x'; 40_000]),
        1 => Just([&b"x: y\r\n\r\n"[..], &b"0123456789\r\n".repeat(3000)].concat()),
    ]
}

fn notice() -> impl Strategy<Value = Notice> {
    let destination = proptest::sample::select(vec!["local", "mx:birch.example", "mx:", "smtp://nowhere"])
        .prop_map(Destination::from_key);
    let due = prop_oneof![any::<i64>(), (0..100_000_i64).prop_map(|ms| World::BEGINNING.0 + ms)];
    prop_oneof![
        2 => (destination.clone(), due).prop_map(|(destination, due)| Notice::Due { destination, due: Wall(due) }),
        1 => destination.prop_map(|destination| Notice::Retry { destination }),
        2 => (0_u64..20, any::<u64>()).prop_map(|(counter, modseq)| {
            Notice::Mailbox { mailbox: MailboxId(Id { epoch: 1, counter }), modseq }
        }),
        1 => Just(Notice::Missed),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (any::<usize>(), proptest::sample::select(vec![25_u16, 587, 110, 143, 143]))
            .prop_map(|(node, port)| Happening::Connect(node, port)),
        12 => (any::<usize>(), words()).prop_map(|(client, words)| Happening::Say(client, words)),
        1 => any::<usize>().prop_map(Happening::HangUp),
        1 => any::<usize>().prop_map(Happening::BreakOff),
        2 => (0_u64..2000).prop_map(Happening::Pass),
        1 => (0_usize..2).prop_map(Happening::Kill),
        1 => any::<usize>().prop_map(Happening::Lose),
        1 => (0_usize..40, 0_usize..40).prop_map(|(busy, failed)| Happening::Trouble(busy, failed)),
        1 => (any::<usize>(), 0..SLOW.len()).prop_map(|(node, kind)| Happening::Hold(node, kind)),
        2 => (any::<usize>(), 0_usize..4).prop_map(|(node, count)| Happening::Release(node, count)),
        1 => (any::<usize>(), notice()).prop_map(|(node, notice)| Happening::Notice(node, notice)),
        1 => any::<usize>().prop_map(Happening::Drain),
    ]
}

/// Plays them in a world of two servers of so many nodes each.
fn play(world: &mut World, nodes: usize, happenings: &[Happening]) {
    let mut clients: Vec<ClientId> = Vec::new();
    let pick = |clients: &[ClientId], n: usize| clients.get(n % clients.len().max(1)).copied();
    for happening in happenings {
        match happening {
            Happening::Connect(node, port) => clients.push(world.connect(node % nodes, *port)),
            Happening::Say(n, words) => {
                if let Some(client) = pick(&clients, *n) {
                    world.send(client, words);
                }
            }
            Happening::HangUp(n) => {
                if let Some(client) = pick(&clients, *n) {
                    world.hang_up(client);
                }
            }
            Happening::BreakOff(n) => {
                if let Some(client) = pick(&clients, *n) {
                    world.break_off(client);
                }
            }
            Happening::Pass(seconds) => world.pass(Duration::from_secs(*seconds)),
            Happening::Kill(server) => {
                world.kill(server * nodes);
                world.revive(server * nodes);
            }
            Happening::Lose(node) => {
                world.lose(node % (2 * nodes));
                world.revive(node % (2 * nodes));
            }
            Happening::Trouble(busy, failed) => world.trouble = Trouble { busy: *busy, failed: *failed },
            Happening::Hold(node, kind) => world.hold(node % nodes, SLOW[*kind]),
            Happening::Release(node, count) => world.release(node % nodes, *count),
            Happening::Notice(node, notice) => world.notice(node % (2 * nodes), notice.clone()),
            Happening::Drain(node) => {
                let node = nodes + node % nodes;
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
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Total: nothing panics. Bounded, drain, deadline: the world looks. And when all has calmed down, everything is given
    /// back: every session ends, and the next user finds his mailbox unlocked.
    #[test]
    fn whatever_happens_a_node_keeps_its_laws(
        seed in any::<u64>(),
        nodes in 1_usize..4,
        happenings in proptest::collection::vec(happening(), 1..40),
    ) {
        let mut world = providers(seed, nodes as u16);
        play(&mut world, nodes, &happenings);
        world.trouble = Trouble::default();
        for node in 0..nodes {
            world.hold(node, None);
            world.release(node, usize::MAX);
        }
        world.pass(Duration::from_secs(4 * 3600));
        for machine in 0..2 * nodes {
            prop_assert_eq!(world.connections(machine), 0);
            prop_assert_eq!(world.holdings(machine), Holdings::default());
        }
        fetch(&mut world, 0, "alice");
        fetch(&mut world, nodes - 1, "bob");
    }

    /// Pure: the same seed and the same happenings give the same trace, bit for bit.
    #[test]
    fn the_same_inputs_give_the_same_trace(
        seed in any::<u64>(),
        nodes in 1_usize..4,
        happenings in proptest::collection::vec(happening(), 1..20),
    ) {
        let run = || {
            let mut world = providers(seed, nodes as u16);
            play(&mut world, nodes, &happenings);
            world.trace().to_vec()
        };
        prop_assert_eq!(run(), run());
    }

    /// Every message that was answered 250 is in a mailbox, in the queue, or bounced; none is there twice unless a crash
    /// stood between a server's commit and its word.
    #[test]
    fn what_was_accepted_is_not_lost(
        seed in any::<u64>(),
        nodes in 1_usize..4,
        deaf in any::<bool>(),
        troubles in proptest::collection::vec((0_usize..30, 0_usize..30, 0_usize..12, 0_u64..400), 1..12),
    ) {
        let mut world = providers(seed, nodes as u16);
        world.deaf = deaf;
        let mut accepted = Vec::new();
        let mut crashed = false;
        for (number, (busy, failed, kill, seconds)) in troubles.into_iter().enumerate() {
            world.trouble = Trouble::default();
            let alice = submission_at(&mut world, number % nodes, "alice");
            world.trouble = Trouble { busy, failed };
            world.send(alice, b"MAIL FROM:<alice@amber.example>\r\nRCPT TO:<carol@birch.example>\r\nRCPT TO:<bob@amber.example>\r\n");
            let recipients = world.heard(alice).matches("250 2.1.5").count();
            if recipients == 2 {
                world.say(alice, "DATA", "354");
                let reply = world.say(alice, &format!("Subject: number {number}.\r\n\r\nx\r\n."), "");
                if reply.starts_with("250") {
                    accepted.push(number);
                }
            }
            match kill {
                0 | 1 => world.kill(kill * nodes),
                2..6 => world.lose(kill * seconds as usize % (2 * nodes)),
                _ => {}
            }
            if kill < 6 {
                crashed = true;
                world.pass(Duration::from_secs(seconds / 2));
                world.revive(0);
                world.revive(nodes);
            }
            world.pass(Duration::from_secs(seconds));
        }
        world.trouble = Trouble::default();
        world.pass(Duration::from_secs(3 * 3600));
        let at_bob = fetch(&mut world, 0, "bob").concat();
        let at_carol = fetch(&mut world, nodes, "carol").concat();
        let bounced = fetch(&mut world, 0, "alice").concat();
        for number in accepted {
            let subject = format!("Subject: number {number}.\r\n");
            prop_assert_eq!(at_bob.matches(&subject).count(), 1, "{} at bob", number);
            let copies = at_carol.matches(&subject).count();
            prop_assert!(copies >= 1 || bounced.contains(&subject), "{} is lost", number);
            prop_assert!(copies <= 1 || crashed, "{} came {} times", number, copies);
        }
    }
}
