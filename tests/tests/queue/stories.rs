//! Single situations, with their exact outcome.

use std::time::Duration;

use pillarbox_core::ops::{Body, Destination};
use pillarbox_core::queue::{Event, Failure, QueueStep};
use pillarbox_core::{Mono, Wall};

use crate::world::{Answer, START, Script, World, config};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn world() -> World {
    let mut world = World::new(config());
    world.settle();
    world
}

#[test]
fn a_row_is_tried_at_once_and_gone_when_it_is_delivered() {
    let mut world = world();
    let rows = world.send(Some("alice@amber.example"), &["bob@birch.example"]);
    world.run(Duration::from_millis(10));
    let [Event::Leased { .. }, Event::Delivered { row, said, .. }] = &world.events[..] else {
        panic!("{:?}", world.events)
    };
    assert_eq!((*row, said.reply.code()), (rows[0], 250));
    assert!(world.desk.rows.is_empty());
    assert_eq!(world.begun, [(START, Destination::Domain("birch.example".into()), 1)]);
}

#[test]
fn rows_of_one_message_go_in_one_attempt() {
    let mut world = world();
    world.send(Some("alice@amber.example"), &["a@birch.example", "x@elm.example", "b@birch.example"]);
    world.run(Duration::from_millis(10));
    let mut sizes: Vec<_> = world.begun.iter().map(|(_, destination, rows)| (destination.key(), *rows)).collect();
    sizes.sort();
    assert_eq!(sizes, [("mx:birch.example".into(), 2), ("mx:elm.example".into(), 1)]);
    assert_eq!(world.desk.settles.len(), 2, "all that waits is recorded together");
}

#[test]
fn retries_grow_with_jitter_and_stop_at_the_expiry() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Defer);
    world.send(Some("alice@elm.example"), &["bob@birch.example"]);
    world.run(2 * HOUR);
    let bob = Destination::Domain("birch.example".into());
    let times: Vec<_> = world.begun.iter().filter(|(_, to, _)| *to == bob).map(|(wall, ..)| wall.0 - START.0).collect();
    let bounced = world.events.iter().position(|event| matches!(event, Event::Failed { .. })).unwrap();
    let Event::Failed { why: Failure::Expired, bounce: Some(_), said, .. } = &world.events[bounced] else {
        panic!("{:?}", world.events[bounced])
    };
    assert_eq!(said.reply.code(), 450);
    let waits: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
    assert!((24..=37).contains(&waits[0]), "{waits:?}");
    assert!((96..=145).contains(&waits[1]), "{waits:?}");
    assert!(waits[2..5].iter().all(|wait| (480..=721).contains(wait)), "{waits:?}");
    assert_eq!(times.iter().filter(|time| **time == 3_600_000).count(), 1, "the last attempt is right at the expiry");
}

#[test]
fn a_refusal_bounces_in_the_transaction_that_finishes_the_row() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Refuse);
    world.send(Some("alice@amber.example"), &["a@birch.example", "b@birch.example"]);
    world.run_dry(MINUTE);
    let settle = &world.desk.settles[0];
    assert_eq!((settle.rows.len(), settle.accepts.len()), (2, 1), "both recipients in one report");
    let Body::Inline(body) = &settle.accepts[0].body else { panic!() };
    let text = String::from_utf8(body.concat()).unwrap();
    for recipient in ["a@birch.example", "b@birch.example"] {
        assert!(text.contains(&format!("Final-Recipient: rfc822; {recipient}\r\n")), "{text}");
    }
    assert!(text.contains("\r\nSubject: Hi\r\n") && !text.contains("Body"), "{text}");
    assert_eq!(settle.accepts[0].rows[0].destination, Destination::Local, "it is for one of ours");
    assert_eq!(world.desk.filed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["alice@amber.example"]);
}

#[test]
fn a_bounce_never_bounces() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Refuse);
    world.answers.insert("mx:elm.example".into(), Answer::Refuse);
    world.send(Some("alice@elm.example"), &["bob@birch.example"]);
    world.send(None, &["carol@birch.example"]);
    world.run_dry(MINUTE);
    let failed: Vec<_> = world.events.iter().filter(|event| matches!(event, Event::Failed { .. })).collect();
    assert_eq!(failed.len(), 3);
    let reported = failed.iter().filter(|event| matches!(event, Event::Failed { bounce: Some(_), .. })).count();
    assert_eq!(reported, 1);
}

#[test]
fn a_broken_connection_costs_only_the_rest() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Break);
    world.send(Some("alice@amber.example"), &["a@birch.example", "b@birch.example"]);
    world.run(Duration::from_millis(10));
    assert!(matches!(
        &world.events[1..],
        [Event::Delivered { .. }, Event::Deferred { said, .. }] if said.reply.text() == "The connection broke"
    ));
}

#[test]
fn a_destination_that_cannot_be_reached_is_left_alone() {
    let mut world = world();
    let birch = Destination::Domain("birch.example".into());
    world.answers.insert(birch.key(), Answer::Unreachable);
    for _ in 0..100 {
        world.send(Some("alice@amber.example"), &["bob@birch.example"]);
    }
    world.run(Duration::from_secs(20));
    // Two attempts may be under way before the first has failed.
    assert!(world.begun.len() <= 2, "{:?}", world.begun);
    let deferred = world.events.iter().filter(|event| matches!(event, Event::Deferred { .. })).count();
    assert_eq!(deferred, 100, "the others share its fate");
    assert_eq!(world.attempts.len(), 0);

    // An operator who knows better is obeyed at once.
    world.answers.clear();
    let id = *world.desk.rows.keys().next().unwrap();
    world.desk.retry(id, world.now.wall);
    world.queue.retry(&birch);
    world.run(Duration::from_millis(10));
    assert!(!world.desk.rows.contains_key(&id));
    world.run_dry(HOUR);
}

#[test]
fn when_hints_were_missed_a_destination_left_alone_is_tried() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Unreachable);
    let id = world.send(Some("alice@amber.example"), &["bob@birch.example"])[0];
    world.run(Duration::from_secs(1));
    world.answers.clear();
    world.desk.retry(id, world.now.wall);
    world.queue.rescan();
    world.run(Duration::from_secs(1));
    assert!(world.desk.rows.is_empty(), "{:?}", world.events);
}

#[test]
fn when_hints_were_missed_rows_behind_a_lanes_back_are_found() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Defer);
    let early = world.send(Some("alice@amber.example"), &["bob@birch.example"])[0];
    world.run(Duration::from_secs(1));
    world.answers.clear();
    // An attempt that takes long keeps the lane, which has come to its row.
    world.hosts = Script::new(&[3]);
    world.send(Some("alice@amber.example"), &["carol@birch.example"]);
    world.run(Duration::from_secs(1));
    let begun = world.begun.len();
    world.desk.retry(early, Wall(world.now.wall.0 - 1_500));
    world.queue.rescan();
    world.run(Duration::from_secs(1));
    assert_eq!(world.begun.len(), begun + 1, "{:?}", world.begun);
}

#[test]
fn a_clock_that_jumps_bounces_nothing() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Defer);
    world.send(Some("alice@amber.example"), &["bob@birch.example"]);
    world.run(MINUTE);
    world.answers.clear();
    world.jump(1000 * 86_400_000);
    world.run(2 * MINUTE);
    assert!(world.desk.rows.is_empty());
    assert!(matches!(world.events.last(), Some(Event::Delivered { .. })), "{:?}", world.events);
}

#[test]
fn a_clock_set_back_holds_up_old_rows_and_not_the_new_ones() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Defer);
    world.send(Some("alice@amber.example"), &["bob@birch.example"]);
    world.run(Duration::from_secs(1));
    world.jump(-HOUR.as_millis().cast_signed() as i64);
    world.answers.clear();
    world.send(Some("alice@amber.example"), &["carol@birch.example"]);
    world.run(Duration::from_secs(5));
    assert_eq!(world.desk.rows.len(), 1);
    world.run_dry(2 * HOUR);
}

#[test]
fn a_full_disk_holds_up_bounces_and_not_the_records_of_deliveries() {
    let mut world = world();
    world.send(Some("alice@amber.example"), &["a@birch.example", "b@birch.example"]);
    world.full = 2;
    world.hosts = Script::new(&[0, 0, 0, 1]);
    world.run(Duration::from_secs(1));
    assert!(world.events.iter().any(|event| matches!(event, Event::Trouble { .. })), "{:#?}", world.trace);
    world.run_dry(MINUTE);
    let records: Vec<_> = world.desk.settles.iter().map(|settle| (settle.rows.len(), settle.accepts.len())).collect();
    assert_eq!(records, [(1, 0), (1, 1), (1, 1)], "the delivery alone, the bounce, and its own delivery");
}

#[test]
fn a_lost_lease_voids_all_but_deliveries() {
    let mut world = world();
    world.send(Some("alice@amber.example"), &["a@birch.example", "b@birch.example"]);
    world.hosts = Script::new(&[2, 0, 0, 1]);
    world.run(Duration::from_secs(1));
    assert_eq!(world.attempts.len(), 1);
    world.desk.take_lease(world.now.wall.after(MINUTE));
    world.run(10 * MINUTE);
    let names: Vec<_> = world.events.iter().map(|event| format!("{event:?}")).collect();
    let kinds: Vec<_> = names.iter().map(|name| name.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["Leased", "LeaseLost", "Leased", "Delivered", "Delivered"], "b was refused, but tried again");
    assert_eq!(world.begun.len(), 2);
}

#[test]
fn nothing_begins_under_a_lease_that_has_run_out() {
    let mut world = world();
    world.desk.take_lease(world.now.wall.after(3 * HOUR));
    world.jump(2 * HOUR.as_millis().cast_signed() as i64);
    world.send(Some("alice@amber.example"), &["a@birch.example"]);
    world.run(MINUTE);
    assert!(world.begun.is_empty());
    world.run_dry(2 * HOUR);
}

#[test]
fn the_lease_is_prolonged_in_time() {
    let mut world = world();
    world.run(24 * HOUR);
    assert_eq!(world.events.len(), 1, "leased once: {:?}", world.events);
}

#[test]
fn what_a_lease_will_not_live_to_see_is_no_deadline() {
    let mut config = config();
    (config.limits.lease, config.limits.recheck) = (Duration::from_secs(10), Duration::from_secs(12));
    let mut world = World::new(config);
    // The answer to the second question about the lease takes 20 s, and the lease ends before the next look at the store.
    world.store = Script::new(&[0, 0, 0, 0, 0, 3]);
    world.run(MINUTE);
    assert!(world.trace.iter().filter(|line| line.contains("Active")).count() > 2, "{:#?}", world.trace);
}

#[test]
fn destinations_take_turns() {
    let mut world = world();
    for index in 0..200 {
        world.send(Some("alice@amber.example"), &[&format!("r{index}@birch.example")]);
    }
    for index in 0..40 {
        world.send(Some("alice@amber.example"), &[&format!("bob@d{index}.example")]);
    }
    world.run_dry(MINUTE);
    let birch = Destination::Domain("birch.example".into());
    let last = world.begun.iter().rposition(|(_, to, _)| *to != birch).unwrap();
    let before: usize = world.begun[..last].iter().filter(|(_, to, _)| *to == birch).map(|(.., rows)| rows).sum();
    assert!(before < 190, "the small ones do not wait for the large one: {before}");
}

#[test]
fn a_backlog_is_read_in_pages() {
    let mut large = config();
    large.limits = pillarbox_core::queue::Limits::default();
    let mut world = World::new(large);
    let recipients: Vec<_> = (0..100_000).map(|index| format!("r{index}@d{}.example", index % 2_000)).collect();
    for recipient in &recipients {
        world.send(None, &[recipient]);
    }
    let mut held = 0;
    while !world.desk.rows.is_empty() {
        assert!(world.advance(world.now.mono.after(HOUR)));
        held = held.max(world.attempts.values().map(|running| running.rows.len()).sum());
    }
    world.run(MINUTE);
    let limits = &world.config.limits;
    assert!(world.desk.widest <= limits.rows && world.most_attempts <= limits.attempts);
    assert!(held <= limits.rows * limits.attempts, "{held}");
    assert_eq!(world.events.len(), 100_001);
}

#[test]
fn a_restart_at_any_point_loses_nothing() {
    for cut in 0..60 {
        let mut world = World::new(config());
        world.store = Script::new(&[0, 1, 0, 2, 0, 3].repeat(20));
        world.hosts = Script::new(&[1, 0, 2, 1, 6, 2, 2, 7, 0, 1, 3].repeat(10));
        world.send(Some("alice@amber.example"), &["a@birch.example", "b@birch.example", "c@elm.example"]);
        for _ in 0..cut {
            world.advance(Mono(u64::MAX));
        }
        world.restart();
        // What was delivered and not recorded is delivered once more; that is the one thing a crash may do.
        world.forgive();
        world.run_dry(2 * HOUR);
        world.check_ends();
    }
}

#[test]
fn draining_waits_for_the_record_of_every_outcome() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Refuse);
    world.send(Some("alice@amber.example"), &["bob@birch.example"]);
    world.hosts = Script::new(&[2]);
    world.run(Duration::from_secs(1));
    world.queue.drain();
    world.settle();
    assert!(!world.idle, "an attempt is under way");
    world.send(Some("alice@amber.example"), &["carol@elm.example"]);
    world.run(MINUTE);
    assert!(world.idle);
    assert_eq!(world.desk.rows.len(), 2, "the bounce, and what came too late");
    assert_eq!(world.queue.poll(world.now), QueueStep::Idle);
    assert_eq!(world.desk.rows.values().map(|(row, _)| row.state.attempts).sum::<u32>(), 0);
}

#[test]
fn an_operator_who_removes_a_row_under_way_is_no_error() {
    let mut world = world();
    world.answers.insert("mx:birch.example".into(), Answer::Refuse);
    let rows = world.send(Some("alice@amber.example"), &["a@birch.example", "b@birch.example"]);
    world.hosts = Script::new(&[2]);
    world.run(Duration::from_secs(1));
    world.desk.remove(rows[0]);
    world.run(MINUTE);
    let Body::Inline(body) = &world.desk.settles[0].accepts[0].body else { panic!() };
    let text = String::from_utf8(body.concat()).unwrap();
    assert!(text.contains("b@birch.example") && !text.contains("a@birch.example"), "{text}");
    assert_eq!(world.desk.settles[0].accepts.len(), 1);
}

#[test]
fn new_rows_of_other_buckets_are_somebody_elses() {
    let mut world = World::new(config());
    let birch = Destination::Domain("birch.example".into());
    let routes = pillarbox_core::router::Routes::default();
    let bucket = birch.bucket();
    let seed = pillarbox_core::Seed::number(1);
    world.queue = pillarbox_core::queue::Queue::new(world.config.clone(), routes, 0..bucket, &seed);
    world.send(None, &["bob@birch.example"]);
    world.queue.hint(&birch, Wall(0));
    world.queue.retry(&birch);
    world.run(MINUTE);
    assert!(world.begun.is_empty());
}
