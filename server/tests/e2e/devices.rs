//! Two devices that keep a copy of one mailbox, and change it from both sides at once: at the end both copies, made of
//! nothing but what each was told, are what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;

use crate::common::{On, Server, Wire, message, on_every_runtime, until};

on_every_runtime! {
    one worker:
        two_devices_end_with_the_same_mailbox,
        a_device_that_idles_keeps_up,
        after_a_break_only_what_changed_is_told;
    two workers: two_devices_end_with_the_same_mailbox, a_device_that_idles_keeps_up;
}

const BOB: &str = "bob@example.org";
/// Messages that each device brings.
const UPLOADS: usize = 500;
/// Changes that each device makes.
const CHANGES: usize = 200;
/// Messages of one APPEND.
const BATCH: usize = 10;

/// A message in a copy: its UID once it is known, and its flags in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Copy {
    uid: u32,
    flags: BTreeSet<String>,
}

/// A device with its copy of INBOX, by message numbers.
struct Device {
    wire: Wire,
    copies: Vec<Copy>,
    /// Names of the messages that it brought, by UID.
    brought: BTreeMap<u32, String>,
    /// UIDs that it wanted gone.
    deleted: BTreeSet<u32>,
    /// It draws from here what to do.
    state: u64,
}

impl Device {
    fn new(at: SocketAddr, password: &str, seed: u64) -> Self {
        let mut wire = Wire::connect(at);
        wire.line();
        wire.imap(&format!("LOGIN {BOB} {password}"));
        let mut device =
            Self { wire, copies: Vec::new(), brought: BTreeMap::new(), deleted: BTreeSet::new(), state: seed };
        device.say("SELECT INBOX");
        device
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).unwrap() % bound
    }

    /// A command that succeeds; what it tells goes into the copy.
    fn say(&mut self, command: &str) -> String {
        self.wire.send(format!("t {command}\r\n").as_bytes());
        self.answered(command)
    }

    fn answered(&mut self, command: &str) -> String {
        let (lines, tagged) = self.wire.try_tagged().expect("a tagged response");
        assert!(tagged.starts_with("OK"), "{command:?}: {tagged:?} behind {lines:#?}");
        lines.iter().for_each(|line| self.hear(line));
        tagged
    }

    /// An untagged response.
    fn hear(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ').skip(1);
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<usize>), words.next()) else { return };
        match what {
            "EXISTS" => {
                assert!(number >= self.copies.len(), "{line}: of {}", self.copies.len());
                self.copies.resize(number, Copy::default());
            }
            "EXPUNGE" => _ = self.copies.remove(number - 1),
            "FETCH" => {
                let items = words.next().unwrap();
                let copy = &mut self.copies[number - 1];
                if let Some((_, uid)) = items.split_once("UID ") {
                    let uid = uid.split([' ', ')']).next().unwrap().parse().unwrap();
                    assert!(copy.uid == 0 || copy.uid == uid, "{line}: its UID was {}", copy.uid);
                    copy.uid = uid;
                }
                let (_, flags) = items.split_once("FLAGS (").unwrap();
                let (flags, _) = flags.split_once(')').unwrap();
                // What is recent is each session's own.
                let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
                copy.flags = flags.map(str::to_owned).collect();
            }
            _ => {}
        }
    }

    /// Asks about the messages that it has heard of and knows no more of.
    fn learn(&mut self) {
        while let Some(first) = self.copies.iter().position(|copy| copy.uid == 0) {
            let tagged = self.say(&format!("FETCH {}:* (UID FLAGS)", first + 1));
            if tagged.contains("[EXPUNGEISSUED]") {
                // Some are gone, which no FETCH may say.
                self.say("NOOP");
            } else {
                assert!(self.copies[first].uid > 0, "nothing was said of {}: {tagged}", first + 1);
            }
        }
    }

    /// Brings messages.
    fn upload(&mut self, who: &str) {
        for batch in 0..UPLOADS / BATCH {
            let names: Vec<_> = (0..BATCH).map(|n| format!("{who}-{}", batch * BATCH + n)).collect();
            let mut command = b"t APPEND INBOX".to_vec();
            for (n, name) in names.iter().enumerate() {
                let text = message::message(name, 300 + 100 * n);
                let flags = ["", " (\\Seen)", " (\\Flagged $Work)"][n % 3];
                command.extend_from_slice(format!("{flags} {{{}+}}\r\n", text.len()).as_bytes());
                command.extend_from_slice(&text);
            }
            self.wire.send(&command);
            self.wire.send(b"\r\n");
            let tagged = self.answered("APPEND");
            let uids = tagged.split([' ', ']']).nth(3).unwrap();
            for (uid, name) in expanded(uids).zip(names) {
                self.brought.insert(uid, name);
            }
        }
        self.learn();
    }

    /// Changes something.
    fn change(&mut self) {
        self.learn();
        if self.copies.is_empty() {
            return;
        }
        let at = self.below(self.copies.len());
        let uid = self.copies[at].uid;
        match self.below(10) {
            0 => _ = self.say(&format!("UID MOVE {uid} Archive")),
            1 => {
                self.deleted.insert(uid);
                self.say(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
                self.say(&format!("UID EXPUNGE {uid}"));
            }
            // By number: it must mean to the server what it means here.
            2 => _ = self.say(&format!("STORE {} +FLAGS (By{uid})", at + 1)),
            n => {
                let sign = ["+", "-"][n % 2];
                let flag = ["\\Seen", "\\Flagged", "\\Answered", "$Work"][self.below(4)];
                self.say(&format!("UID STORE {uid},{} {sign}FLAGS ({flag})", uid + 1));
            }
        }
    }
}

/// The numbers of a set, in its order.
fn expanded(set: &str) -> impl Iterator<Item = u32> + '_ {
    set.split(',').flat_map(|run| {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        first.parse().unwrap()..=last.parse().unwrap()
    })
}

/// What is in a mailbox, for somebody who comes new: UIDs and flags, and the name of each message, which is whole.
fn there(server: &Server, mailbox: &str) -> (Vec<Copy>, Vec<String>) {
    let mut device = Device::new(server.address("imap"), server.password(BOB), 0);
    device.copies.clear();
    device.say(&format!("SELECT {mailbox}"));
    device.learn();
    let names = if device.copies.is_empty() { Vec::new() } else { device.wire.messages() };
    let names = names.iter().map(|stored| message::name_of(stored)).collect();
    (device.copies, names)
}

fn two_devices_end_with_the_same_mailbox(on: On) {
    let server = Server::start(on, "example.org", &["bob"]);
    server.imap(BOB).imap("CREATE Archive");
    let run = |who: &'static str, seed| {
        let mut device = Device::new(server.address("imap"), server.password(BOB), seed);
        thread::spawn(move || {
            device.upload(who);
            (0..CHANGES).for_each(|_| device.change());
            device
        })
    };
    let [mut desk, mut phone] = [run("desk", 7), run("phone", 8)].map(|device| device.join().unwrap());
    for device in [&mut desk, &mut phone] {
        device.say("NOOP");
        device.learn();
    }
    let (inbox, mut names) = there(&server, "INBOX");
    assert_eq!(desk.copies, inbox, "desk");
    assert_eq!(phone.copies, inbox, "phone");
    // Each message is in one place, or was deleted.
    let (_, archived) = there(&server, "Archive");
    names.extend(archived);
    let left: BTreeSet<_> = names.iter().cloned().collect();
    assert_eq!(left.len(), names.len(), "one is there twice");
    let brought: BTreeMap<_, _> = desk.brought.into_iter().chain(phone.brought).collect();
    assert_eq!(brought.len(), 2 * UPLOADS, "each has a UID of its own");
    let deleted = |uid: &u32| desk.deleted.contains(uid) || phone.deleted.contains(uid);
    for (uid, name) in &brought {
        assert!(left.contains(name) || deleted(uid), "{name} is lost");
    }
    // In INBOX they are who they were said to be.
    for (copy, name) in inbox.iter().zip(&names) {
        assert_eq!(brought[&copy.uid], *name);
        assert!(!deleted(&copy.uid), "{name} is back");
        let by = copy.flags.iter().filter_map(|flag| flag.strip_prefix("By"));
        assert_eq!(by.filter(|uid| **uid != copy.uid.to_string()).count(), 0, "{name} is not who was meant: {copy:?}");
    }
}

fn a_device_that_idles_keeps_up(on: On) {
    let server = Server::start(on, "example.org", &["bob"]);
    let mut wire = server.imap(BOB);
    wire.imap("CREATE Archive");
    let mut phone = Device::new(server.address("imap"), server.password(BOB), 1);
    phone.wire.send(b"t IDLE\r\n");
    assert!(phone.wire.line().starts_with("+ "));
    let mut desk = Device::new(server.address("imap"), server.password(BOB), 2);
    let messages: Vec<_> = (0..50).map(|n| message::message(&format!("m{n}"), 400)).collect();
    wire.try_append("INBOX", &messages).unwrap();
    desk.say("NOOP");
    (0..100).for_each(|_| desk.change());
    // One more that is told last.
    server.smtp().deliver("x@elsewhere.example", &[BOB], &message::message("last", 300));
    until("desk has the last one", || {
        desk.say("NOOP");
        desk.learn();
        desk.copies.last().is_some_and(|copy| copy.uid == 51)
    });
    desk.say(&format!("STORE {} FLAGS (Last)", desk.copies.len()));
    loop {
        let line = phone.wire.line();
        phone.hear(&line);
        if line.contains("FETCH") && line.contains("Last") {
            break;
        }
    }
    phone.wire.send(b"DONE\r\n");
    phone.answered("IDLE");
    let flags = |device: &Device| device.copies.iter().map(|copy| copy.flags.clone()).collect::<Vec<_>>();
    // What came while it idled it has heard of, and no more, so flags that nobody changed since it does not know.
    phone.copies.iter_mut().for_each(|copy| copy.uid = 0);
    phone.learn();
    assert_eq!(flags(&phone), flags(&desk));
    assert_eq!(phone.copies, there(&server, "INBOX").0);
}

/// The octets that a server sends for a command.
fn cost(lines: &[String]) -> usize {
    lines.iter().map(|line| line.len() + 2).sum()
}

/// The number behind a response code.
fn code(lines: &[String], name: &str) -> u64 {
    let found = lines.iter().find_map(|line| line.split_once(&format!("[{name} "))?.1.split_once(']'));
    found.unwrap_or_else(|| panic!("no {name} in {lines:#?}")).0.parse().unwrap()
}

fn after_a_break_only_what_changed_is_told(on: On) {
    let mut server = Server::make(on, "example.org", &["bob"]);
    server.settle();
    server.serve();
    let (at, password) = (server.address("imap"), server.password(BOB).to_owned());
    let mut phone = Device::new(at, &password, 1);
    phone.upload("phone");
    phone.upload("more");
    phone.say("ENABLE QRESYNC");
    let told = phone.wire.imap("SELECT INBOX");
    let (validity, modseq) = (code(&told, "UIDVALIDITY"), code(&told, "HIGHESTMODSEQ"));
    assert_eq!(phone.copies.len(), 2 * UPLOADS);
    // Somebody else goes on, and the server dies in between.
    let mut desk = Device::new(at, &password, 2);
    desk.say("UID STORE 100:104 +FLAGS.SILENT (\\Answered)");
    desk.say("UID STORE 300:349,900 +FLAGS.SILENT (\\Deleted)");
    desk.say("UID EXPUNGE 300:349,900");
    server.kill();
    server.serve();
    let mut desk = Device::new(at, &password, 2);
    desk.say("UID STORE 500 FLAGS (Here)");
    let appended = server.imap(BOB).try_append("INBOX", &[message::message("new", 300)]);
    assert!(appended.is_some_and(|tagged| tagged.starts_with("OK")));
    desk.say("NOOP");
    desk.learn();

    let mut wire = server.imap(BOB);
    wire.imap("ENABLE QRESYNC");
    let told = wire.imap(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))"));
    let gone: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("* VANISHED (EARLIER) ")).collect();
    assert_eq!(gone, ["300:349,900"]);
    let changed: Vec<_> = told.iter().filter(|line| line.contains(" FETCH (")).collect();
    assert_eq!(changed.len(), 7, "{told:#?}");
    assert!(cost(&told) < 2_000, "{} octets: {told:#?}", cost(&told));
    // The copy of before, and this, are what is there.
    let vanished: BTreeSet<u32> = expanded(gone[0]).collect();
    phone.copies.retain(|copy| !vanished.contains(&copy.uid));
    phone.wire = wire;
    told.iter().for_each(|line| phone.hear(line));
    phone.learn();
    assert_eq!(phone.copies, there(&server, "INBOX").0);
    assert_eq!(phone.copies, desk.copies);
}
