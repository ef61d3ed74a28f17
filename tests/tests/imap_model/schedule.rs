//! A random schedule: who is there, what they say, and when it is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use pillarbox_core::mailbox::{Append, FlagSet, MailboxName, Request};
use pillarbox_core::ops::Store;
use pillarbox_core::session::Close;
use pillarbox_core::{Random, Seed};

use crate::client::{Client, Kind};
use crate::command::{Command, End, Flags, Known, Mode, Set};
use crate::world::World;

const NAMES: [&str; 4] = ["INBOX", "Work", "Trash", "Old"];
const FLAGS: [&str; 7] = ["\\Seen", "\\Flagged", "\\Deleted", "\\Deleted", "\\Answered", "$A", "work"];

/// Runs the schedule of a seed; panics when a rule is broken, or a view is not what it should be.
pub fn run(seed: u64, store: Arc<dyn Store>, crowded: bool) {
    let mut random = Random::new(&Seed::number(seed));
    let sessions = 2 + random.below(3);
    let large = random.below(100) == 0;
    let mut world = World::new(store, random, crowded);
    prepare(&mut world, large);
    for at in 0..sessions {
        let kind = [Kind::Plain, Kind::Condstore, Kind::Qresync, Kind::Qresync, Kind::Rev2][world.random.below(5)];
        let name = char::from(b'a' + at as u8).to_string();
        enter(&mut world, at, Client::new(name, kind, BTreeMap::new()));
    }
    let length = 100 + world.random.below(500);
    for _ in 0..length {
        turn(&mut world);
    }
    end(&mut world);
}

fn prepare(world: &mut World, large: bool) {
    world.before(Request::Create { name: name("Work"), special_use: None }, Vec::new());
    let messages = if large { 1_050 } else { world.random.below(8) };
    for to in ["INBOX", "Work"] {
        let contents: Vec<_> = (0..messages).map(|_| world.model.content(0)).collect();
        let flags = |world: &mut World| [FlagSet::default(), FlagSet::SEEN, FlagSet::DELETED][world.random.below(3)];
        let messages: Vec<_> = contents.iter().map(|_| Append { flags: flags(world), ..Append::default() }).collect();
        if !messages.is_empty() {
            world.before(Request::Append { to: name(to), messages }, contents);
        }
    }
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).expect("a name")
}

fn send(world: &mut World, at: usize, command: Command) {
    world.seats[at].client.send(command, &world.model.contents);
}

/// A client connects and logs in.
fn enter(world: &mut World, at: usize, client: Client) {
    let kind = client.kind;
    world.connect(at, client);
    send(world, at, Command::Login);
    match kind {
        Kind::Plain => {}
        Kind::Condstore => send(world, at, Command::Enable("CONDSTORE")),
        Kind::Qresync => send(world, at, Command::Enable("QRESYNC")),
        Kind::Rev2 => send(world, at, Command::Enable("IMAP4rev2")),
    }
}

fn turn(world: &mut World) {
    let at = world.random.below(world.seats.len());
    if world.seats[at].over {
        return again(world, at);
    }
    match world.random.below(300) {
        turn if turn < world.breaks => world.close(at, Close::Error),
        20 if world.seats[at].client.outgoing.is_empty() => world.close(at, Close::Eof),
        21 => _ = world.stall(),
        22..60 => speak(world, at),
        _ => _ = world.step() || world.step(),
    }
}

/// Whoever is gone comes back with what he remembers.
fn again(world: &mut World, at: usize) {
    world.bury(at);
    let client = &mut world.seats[at].client;
    let (name, kind) = (client.name.clone(), client.kind);
    let memory = client.lost();
    enter(world, at, Client::new(name, kind, memory));
    if world.random.below(3) > 0 {
        let select = select(world, at);
        send(world, at, select);
    }
}

fn speak(world: &mut World, at: usize) {
    let client = &mut world.seats[at].client;
    if client.idling {
        if world.random.below(3) == 0 {
            client.done();
        }
        return;
    }
    // Now and then a few commands at once.
    let commands = [1, 1, 1, 2, 3][world.random.below(5)];
    for _ in 0..commands {
        if world.seats[at].client.may_send() && world.seats[at].client.queue.len() < 4 {
            let command = command(world, at);
            send(world, at, command);
        }
    }
}

fn command(world: &mut World, at: usize) -> Command {
    if world.seats[at].client.view.is_none() && world.random.below(3) > 0 {
        return select(world, at);
    }
    let condstore = world.seats[at].client.kind == Kind::Condstore || world.seats[at].client.is_enabled("QRESYNC");
    let vanished = world.seats[at].client.is_enabled("QRESYNC");
    let modseq = world.seats[at].client.view.as_ref().map_or(1, |view| view.modseq);
    let since = 1 + world.random.below(modseq as usize + 2) as u64;
    let (uid, silent) = (world.random.below(2) == 0, world.random.below(2) == 0);
    let to = NAMES[world.random.below(3)].to_owned();
    match world.random.below(100) {
        0..10 => Command::Noop,
        10 => Command::Check,
        11..21 => Command::Idle,
        21..45 => {
            let mode = [Mode::Add, Mode::Add, Mode::Remove, Mode::Replace][world.random.below(4)];
            let unchanged_since = (condstore && world.random.below(4) == 0).then_some(since);
            let (set, flags) = (set(world, at, uid), flags(world));
            Command::Store { uid, set, mode, flags, silent, unchanged_since }
        }
        45..51 => Command::Expunge(None),
        51..54 => Command::Expunge(Some(set(world, at, true))),
        54..62 => Command::Transfer { uid, set: set(world, at, uid), to, remove: world.random.below(2) == 0 },
        62..70 => append(world, to),
        70..84 => {
            let items =
                ["FLAGS", "UID FLAGS", "UID FLAGS", "UID FLAGS BODY.PEEK[]", "UID BODY[]"][world.random.below(5)];
            let since = (condstore && world.random.below(4) == 0).then_some((since, uid && vanished));
            Command::Fetch { uid, set: set(world, at, uid), items, since }
        }
        84..89 => {
            let key = ["ALL", "SEEN", "UNSEEN", "DELETED", "KEYWORD $A"][world.random.below(5)];
            Command::Search { uid, key }
        }
        89..93 => select(world, at),
        93 => Command::Close,
        94 => Command::Unselect,
        95 => Command::Create(NAMES[2 + world.random.below(2)].to_owned()),
        96 => Command::Delete(NAMES[1 + world.random.below(3)].to_owned()),
        97 => Command::Rename(NAMES[world.random.below(4)].to_owned(), NAMES[1 + world.random.below(3)].to_owned()),
        98 => Command::Status(to),
        _ => Command::Logout,
    }
}

fn select(world: &mut World, at: usize) -> Command {
    let name = NAMES[if world.together { 0 } else { [0, 0, 0, 0, 1, 1, 2, 3][world.random.below(8)] }].to_owned();
    let read_only = world.random.below(8) == 0;
    let by_uids = world.random.below(2) == 0;
    let client = &world.seats[at].client;
    let known =
        client.memory.get(&name).filter(|_| client.is_enabled("QRESYNC") && client.queue.is_empty()).map(|memory| {
            let last = memory.messages.keys().last().filter(|_| by_uids);
            Known {
                uid_validity: memory.uid_validity,
                modseq: memory.modseq,
                uids: last.map(|last| format!("1:{last}")),
            }
        });
    let condstore = client.kind == Kind::Condstore && known.is_none();
    Command::Select { name, read_only, condstore, known }
}

fn append(world: &mut World, to: String) -> Command {
    let count = 1 + world.random.below(5) / 4;
    let messages = (0..count).map(|_| {
        let words = [0, 3, 300][world.random.below(3)];
        let flags = if world.random.below(2) == 0 { Flags::new() } else { flags(world) };
        (flags, world.model.content(words))
    });
    let messages: Vec<_> = messages.collect();
    let small = messages.iter().all(|(_, content)| world.model.contents[*content].len() <= 4096);
    Command::Append { to, messages, waits: !small || world.random.below(2) == 0 }
}

fn flags(world: &mut World) -> Flags {
    (0..=world.random.below(2)).map(|_| FLAGS[world.random.below(FLAGS.len())].to_owned()).collect()
}

/// Mostly messages that there are.
fn set(world: &mut World, at: usize, uid: bool) -> Set {
    let Some(view) = &world.seats[at].client.view else { return Set(vec![(Some(1), Some(1))]) };
    let known: Vec<u32> = view.slots.iter().filter_map(|slot| slot.uid).collect();
    let numbers: Vec<u32> = if uid { known } else { (1..=view.slots.len() as u32).collect() };
    let random = &mut world.random;
    let mut end = || -> End {
        match random.below(12) {
            0 => None,
            1 if uid => Some(1 + random.below(30) as u32),
            _ if numbers.is_empty() => None,
            _ => Some(numbers[random.below(numbers.len())]),
        }
    };
    let ranges = match end() {
        None => vec![(Some(1), None)],
        one => {
            let other = end();
            let ranges = [vec![(one, one)], vec![(one, one)], vec![(one, other)], vec![(one, one), (other, other)]];
            ranges[random.below(4)].clone()
        }
    };
    Set(ranges)
}

/// Whose session is over comes again.
fn everybody_is_there(world: &mut World) {
    for at in 0..world.seats.len() {
        if world.seats[at].over {
            again(world, at);
        }
    }
    world.settle();
}

/// Everybody hears what there is to hear, and knows the same.
fn end(world: &mut World) {
    world.calm = true;
    world.settle();
    // Whoever idles has been told already.
    for seat in world.seats.iter().filter(|seat| !seat.over && seat.client.idling && seat.is_told()) {
        seat.client.view.iter().for_each(|view| view.agree(&world.model));
    }
    everybody_is_there(world);
    for at in 0..world.seats.len() {
        if world.seats[at].client.idling {
            world.seats[at].client.done();
        }
        send(world, at, Command::Noop);
    }
    world.settle();
    // A command may come just when its session has been idle for too long.
    everybody_is_there(world);
    for seat in &world.seats {
        assert!(seat.client.queue.is_empty(), "{} waits for ever", seat.client.name);
        seat.client.view.iter().for_each(|view| view.agree(&world.model));
    }
    for at in 0..world.seats.len() {
        if world.seats[at].client.view.is_none() {
            let select = select(world, at);
            send(world, at, select);
            world.settle();
        }
        let set = Set(vec![(Some(1), None)]);
        let items = "UID FLAGS BODY.PEEK[]";
        if world.seats[at].client.view.is_some() {
            send(world, at, Command::Fetch { uid: false, set, items, since: None });
        }
    }
    world.settle();
    for seat in &world.seats {
        let Some(view) = &seat.client.view else { continue };
        view.agree(&world.model);
        assert!(view.slots.iter().all(|slot| slot.uid.is_some() && slot.flags.is_some()), "{:?}", view.slots);
        seat.client.ended();
    }
    assert!(world.model.names().any(|name| name == "INBOX"));
    world.model.check();
}
