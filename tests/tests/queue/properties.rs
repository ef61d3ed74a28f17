//! What holds whatever the store, the hosts and the clock do. The rules themselves are in `world`: Wait is stable,
//! deadlines are honest, one answer counts, attempts and questions are bounded, nothing is tried that is delivered or
//! being tried, nothing expires without an attempt, nobody bounces to nobody, events tell what is on disk, each once.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{Script, World, config};

#[derive(Clone, Debug)]
enum Deed {
    Send { from: usize, to: Vec<usize> },
    Run { millis: u64 },
    Jump { ms: i64 },
    Rescan,
    Remove(usize),
    Retry(usize),
}

const FROM: [Option<&str>; 4] =
    [None, Some("alice@amber.example"), Some("carol@birch.example"), Some("\u{e4}da@elm.example")];

fn recipient(index: usize) -> String {
    let domains =
        ["birch.example", "elm.example", "amber.example", "d1.example", "d2.example", "d3.example", "d4.example"];
    format!("r{index}@{}", domains[index % domains.len()])
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..FROM.len(), vec(0..30_usize, 1..12)).prop_map(|(from, to)| Deed::Send { from, to }),
        4 => prop_oneof![0..2_000_u64, 0..600_000_u64].prop_map(|millis| Deed::Run { millis }),
        1 => prop_oneof![-100_000..100_000_i64, -300_000_000..300_000_000_i64].prop_map(|ms| Deed::Jump { ms }),
        1 => Just(Deed::Rescan),
        1 => (0..10_usize).prop_map(Deed::Remove),
        1 => (0..10_usize).prop_map(Deed::Retry),
    ]
}

fn play(deeds: &[Deed], store: &[u8], hosts: &[u8]) -> World {
    let mut world = World::new(config());
    world.store = Script::new(store);
    world.hosts = Script::new(hosts);
    let mut jumped = 0;
    for deed in deeds {
        match deed {
            Deed::Send { from, to } => {
                let to: Vec<_> = to.iter().map(|index| recipient(*index)).collect();
                world.send(FROM[*from], &to.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Deed::Run { millis } => world.run(Duration::from_millis(*millis)),
            Deed::Jump { ms } => {
                jumped += ms;
                world.jump(*ms);
            }
            Deed::Rescan => world.queue.rescan(),
            Deed::Remove(index) => {
                let id = world.desk.rows.keys().nth(*index).copied();
                id.inspect(|id| world.remove(*id));
            }
            Deed::Retry(index) => {
                if let Some((id, (row, _))) = world.desk.rows.iter().nth(*index) {
                    let (id, destination) = (*id, row.destination.clone());
                    world.desk.retry(id, world.now.wall);
                    world.queue.retry(&destination);
                }
            }
        }
        world.settle();
    }
    // The world is healed and the clock is set right. What is under way ends, what was put off until another time's
    // future is called by an operator, and what waits is delivered.
    world.heal();
    world.jump(-jumped);
    world.run(Duration::from_secs(300));
    world.call_all();
    world.run_dry(Duration::from_secs(2 * 3600));
    world.check_ends();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_ends_in_one_way(
        deeds in vec(deed(), 1..25),
        store in vec(any::<u8>(), 0..400),
        hosts in vec(any::<u8>(), 0..200),
    ) {
        play(&deeds, &store, &hosts);
    }

    #[test]
    fn the_same_inputs_give_the_same_trace(
        deeds in vec(deed(), 1..10),
        store in vec(any::<u8>(), 0..100),
        hosts in vec(any::<u8>(), 0..100),
    ) {
        prop_assert_eq!(play(&deeds, &store, &hosts).trace, play(&deeds, &store, &hosts).trace);
    }
}
