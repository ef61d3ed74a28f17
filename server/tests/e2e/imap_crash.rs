//! The promise, against the real server: what was changed by IMAP stays changed after a crash, and a message that moves is in
//! exactly one mailbox, under a UID that no message had before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::common::{On, Server, Wire, message, on_every_runtime, until};

on_every_runtime! {
    one worker:
        a_kill_takes_no_move_and_no_flag_back;
    two workers:
        a_kill_takes_no_move_and_no_flag_back;
}

const BOB: &str = "bob@example.org";

/// Sessions that change the same two mailboxes, each for messages of its own.
const CLIENTS: usize = 4;
const MESSAGES_EACH: usize = 6;

/// Between these the messages move.
const MAILBOXES: [&str; 2] = ["INBOX", "other"];

/// A message's flags are a number: these are its bits.
const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft"];

/// Where a message is and what is said of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    /// An index of [`MAILBOXES`].
    mailbox: usize,
    uid: u32,
    flags: u8,
}

/// What has been asked for and was not answered yet.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Flags(u8),
    Move,
}

/// What a client knows of a message.
#[derive(Debug)]
struct Known {
    name: String,
    /// As it was acknowledged.
    entry: Entry,
    asked: Option<Asked>,
    /// Where it came to since the judge has looked last: mailbox and UID.
    arrivals: Vec<(usize, u32)>,
}

impl Known {
    /// Is this what was acknowledged, or that and what was asked for?
    fn allows(&self, there: Entry) -> bool {
        let Entry { mailbox, flags, .. } = self.entry;
        there == self.entry
            || match self.asked {
                Some(Asked::Flags(new)) => there == Entry { flags: new, ..self.entry },
                Some(Asked::Move) => (there.mailbox, there.flags) == (1 - mailbox, flags),
                None => false,
            }
    }
}

/// The numbers of a set such as `1:3,7`.
fn numbers(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse().unwrap()
    };
    set.split(',').flat_map(range).collect()
}

/// A command that is obeyed: all it is answered with. `None` when the server has gone.
fn ask(wire: &mut Wire, command: &str) -> Option<Vec<String>> {
    wire.try_send(format!("t {command}\r\n").as_bytes()).ok()?;
    let (mut lines, tagged) = wire.try_tagged()?;
    assert!(tagged.starts_with("OK "), "{command}: {tagged}");
    lines.push(tagged);
    Some(lines)
}

/// New flags for each message, then to the other mailbox with some at once, until the server is gone. `obeyed` counts.
fn change(wire: &mut Wire, messages: &mut [Known], obeyed: &AtomicUsize) -> Option<()> {
    loop {
        for some in messages.chunks_mut(3) {
            let mailbox = some[0].entry.mailbox;
            ask(wire, &format!("SELECT {}", MAILBOXES[mailbox]))?;
            let mut here: Vec<_> = some.iter_mut().filter(|known| known.entry.mailbox == mailbox).collect();
            for known in &mut here {
                let Entry { uid, flags, .. } = known.entry;
                let flags = (flags + 1) % 16;
                let names: Vec<_> = (0..4).filter(|bit| flags >> bit & 1 == 1).map(|bit| FLAGS[bit]).collect();
                known.asked = Some(Asked::Flags(flags));
                ask(wire, &format!("UID STORE {uid} FLAGS.SILENT ({})", names.join(" ")))?;
                known.asked = None;
                known.entry.flags = flags;
                obeyed.fetch_add(1, Ordering::SeqCst);
            }
            here.iter_mut().for_each(|known| known.asked = Some(Asked::Move));
            let set = here.iter().map(|known| known.entry.uid.to_string()).collect::<Vec<_>>().join(",");
            let answer = ask(wire, &format!("UID MOVE {set} {}", MAILBOXES[1 - mailbox]))?;
            let copied = answer.iter().find_map(|line| line.split_once("[COPYUID ")?.1.split_once(']')).unwrap().0;
            let sets: Vec<_> = copied.split(' ').skip(1).map(numbers).collect();
            let moved: BTreeMap<u32, u32> = sets[0].iter().copied().zip(sets[1].iter().copied()).collect();
            for known in here {
                let uid = moved[&known.entry.uid];
                known.asked = None;
                known.entry = Entry { mailbox: 1 - mailbox, uid, ..known.entry };
                known.arrivals.push((1 - mailbox, uid));
            }
            obeyed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// One line of FETCH (UID FLAGS ENVELOPE): whose it is, and what is said.
fn fetched(mailbox: usize, line: &str) -> (String, Entry) {
    let after = |word: &str| line.split_once(word).unwrap_or_else(|| panic!("{line}")).1;
    let uid = after("UID ").split([' ', ')']).next().unwrap().parse().unwrap();
    let said = after("FLAGS (").split_once(')').unwrap().0;
    let flags = (0..4).filter(|bit| said.split(' ').any(|flag| flag == FLAGS[*bit])).map(|bit| 1 << bit).sum();
    let name = after("ENVELOPE (").split('"').find(|word| word.starts_with('m')).unwrap();
    (name.to_owned(), Entry { mailbox, uid, flags })
}

/// What is in both mailboxes, and their UIDVALIDITY: each message is there once.
fn look(wire: &mut Wire) -> (BTreeMap<String, Entry>, Vec<String>) {
    let (mut there, mut validities) = (BTreeMap::new(), Vec::new());
    for (mailbox, name) in MAILBOXES.iter().enumerate() {
        let said = wire.imap(&format!("EXAMINE {name}"));
        validities.extend(said.into_iter().filter(|line| line.contains("[UIDVALIDITY ")));
        let mut last = 0;
        for line in wire.imap("FETCH 1:* (UID FLAGS ENVELOPE)") {
            let (name, entry) = fetched(mailbox, &line);
            assert!(entry.uid > last, "UIDs ascend: {line}");
            last = entry.uid;
            let twice = there.insert(name.clone(), entry);
            assert!(twice.is_none(), "{name} is at {twice:?} and {entry:?}");
        }
    }
    assert_eq!(validities.len(), 2);
    (there, validities)
}

fn a_kill_takes_no_move_and_no_flag_back(on: On) {
    let mut server = Server::make(on, "example.org", &["bob"]);
    server.settle();
    server.serve();
    let mut wire = server.imap(BOB);
    wire.imap("CREATE other");
    let mut append = |mailbox: &str, name: &str| {
        let said = wire.try_append(mailbox, &[message::message(name, 300)]);
        assert!(said.as_ref().is_some_and(|said| said.starts_with("OK ")), "{said:?}");
    };
    (0..CLIENTS * MESSAGES_EACH).for_each(|n| append("INBOX", &format!("m{n}")));
    // These stay: of a mailbox without messages nothing can be fetched.
    MAILBOXES.iter().for_each(|mailbox| append(mailbox, &format!("m-of-{mailbox}")));
    let (mut there, validities) = look(&mut wire);
    let mut given: BTreeSet<(usize, u32)> = there.values().map(|entry| (entry.mailbox, entry.uid)).collect();
    let obeyed = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let before = obeyed.load(Ordering::SeqCst);
        let client = |client: usize| {
            let (mut wire, obeyed) = (server.imap(BOB), Arc::clone(&obeyed));
            let names = (0..MESSAGES_EACH).map(|n| format!("m{}", client * MESSAGES_EACH + n));
            let known = |name: String| Known { entry: there[&name], name, asked: None, arrivals: Vec::new() };
            let mut messages: Vec<Known> = names.map(known).collect();
            thread::spawn(move || {
                _ = change(&mut wire, &mut messages, &obeyed);
                messages
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        until("some are changed", || obeyed.load(Ordering::SeqCst) >= before + 100);
        server.kill();
        let known: Vec<Known> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        server.serve();
        let seen = look(&mut server.imap(BOB));
        assert_eq!(seen.1, validities);
        there = seen.0;
        assert_eq!(there.len(), known.len() + MAILBOXES.len(), "{there:?}");
        for known in known {
            let now = *there.get(&known.name).unwrap_or_else(|| panic!("lost: {known:?}"));
            assert!(known.allows(now), "{known:?} is now {now:?}");
            let unheard =
                (now.uid != known.entry.uid || now.mailbox != known.entry.mailbox).then_some((now.mailbox, now.uid));
            for arrival in known.arrivals.iter().copied().chain(unheard) {
                assert!(given.insert(arrival), "{}: the UID {arrival:?} was given before", known.name);
            }
        }
    }
    server.assert_alive(BOB);
}
