//! Power failures anywhere in a run of the whole store, SQLite's files included.
//!
//! A child process works on a store under strace. Its system calls are replayed up to random moments into pictures of what
//! a disk may hold just then: all that was synced, and of the rest (pages of writes, lengths, names in folders) any part.
//! Each picture is opened: what was acknowledged must be there, what was deleted must be gone, and the books must balance.
//!
//! `POWERFAIL=2000 cargo test -p pillarbox-store --test powerfail` tries so many moments.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use common::*;
use pillarbox_core::mailbox::*;
use pillarbox_core::message::TextKey;
use pillarbox_core::ops::*;
use pillarbox_core::{Random, Seed};
use pillarbox_store::DiskStore;

const CHILD: &str = "PILLARBOX_POWERFAIL_CHILD";
const POINTS: &str = "POWERFAIL";
/// Octets that a disk writes as a whole.
const PAGE: usize = 4096;

#[test]
fn power_fails_anywhere() {
    if let Ok(dir) = std::env::var(CHILD) {
        return work(Path::new(&dir));
    }
    let Some(trace) = trace() else {
        println!("SKIPPED powerfail: strace cannot be used here");
        return;
    };
    let points = std::env::var(POINTS).map_or(60, |points| points.parse().unwrap());
    let mut random = Random::new(&Seed::number(std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap())));
    let events = trace.events;
    assert!(events.len() > 500, "{} system calls", events.len());
    let mut moments: Vec<usize> = (0..points).map(|_| random.below(events.len() + 1)).collect();
    moments.sort_unstable();
    let (mut disk, mut said) = (Disk::default(), Said::default());
    let mut moments = moments.into_iter().peekable();
    let mut survived = 0;
    for (at, event) in events.into_iter().enumerate() {
        while moments.next_if(|moment| *moment == at).is_some() {
            let image = tempfile::tempdir().unwrap();
            disk.image(&trace.dir, image.path(), &mut random);
            survived += check(image.path(), &said, at);
        }
        match event.call {
            Call::Said(line) => said.hear(&line),
            call => disk.apply(event.begun, event.ended, call),
        }
    }
    println!("{points} power failures, {survived} messages seen again");
}

/// What the child said: numbers of messages.
#[derive(Default)]
struct Said {
    accepted: BTreeSet<usize>,
    queued: BTreeSet<usize>,
    /// Their deletion was asked for.
    leaving: BTreeSet<usize>,
    gone: BTreeSet<usize>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (Some(what), Some(Ok(n))) = (words.next(), words.next().map(str::parse)) else { return };
        match what {
            "accepted" => _ = self.accepted.insert(n),
            "queued" => _ = self.queued.insert(n),
            "leaving" => _ = self.leaving.insert(n),
            "gone" => _ = self.gone.insert(n),
            _ => {}
        }
    }
}

/// Opens what is left, and returns how many messages are there.
fn check(dir: &Path, said: &Said, moment: usize) -> usize {
    let store =
        DiskStore::open(dir, options(&TestClock::default())).unwrap_or_else(|error| panic!("{moment}: {error}"));
    let recovery = store.recovery();
    assert_eq!((recovery.missing, recovery.damaged), (0, 0), "{moment}");
    let node = Node::new();
    let resolve = AccountOp::Resolve { address: address("alice@example.org") };
    let found = node.ask(&*store, StoreOp::Account(resolve));
    let mut present = BTreeSet::new();
    if let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) = found {
        let (lock, entries) = open_maildrop(&node, &*store, accounts[0].0);
        for entry in entries.iter() {
            let n = number(&read_all(&node, &*store, entry)[PREFIX..]);
            assert!(present.insert(n), "{moment}: {n} is there twice");
        }
        release(&node, &*store, lock);
        accepted(node.ask(&*store, deliver(accounts[0].0, "and on it goes")));
    }
    let resolve = AccountOp::Resolve { address: address("bob@example.org") };
    let found = node.ask(&*store, StoreOp::Account(resolve));
    if let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) = found {
        for n in filed(&node, &store, accounts[0].0) {
            assert!(present.insert(n), "{moment}: {n} is there twice");
        }
        respond(node.ask(&*store, appending(accounts[0].0, "INBOX", FlagSet::SEEN, vec![inline("and on it goes")])));
    }
    for n in said.accepted.difference(&said.leaving) {
        assert!(present.contains(n), "{moment}: message {n} was acknowledged and is lost");
    }
    assert!(said.gone.is_disjoint(&present), "{moment}: deleted mail came back");
    let list = QueueOp::List { after: None, limit: usize::MAX };
    let StoreReply::Queue(QueueReply::Rows(rows)) = node.ask(&*store, StoreOp::Queue(list)) else { panic!("no rows") };
    let mut queued = BTreeSet::new();
    for row in rows {
        let read = StoreOp::Queue(QueueOp::Read { row: row.id, offset: row.prefix.len() as u64, len: usize::MAX });
        let StoreReply::Queue(QueueReply::Bytes(bytes)) = node.ask(&*store, read) else {
            panic!("{moment}: unreadable")
        };
        queued.insert(number(&bytes));
    }
    assert!(said.queued.is_subset(&queued), "{moment}: a queued message is lost");
    store.close();
    balance(dir, moment);
    present.len()
}

/// The messages in all mailboxes of a reader.
fn filed(node: &Node, store: &DiskStore, account: AccountId) -> Vec<usize> {
    let Response::Mailboxes(mailboxes) = request(node, store, account, Request::List) else { panic!("no list") };
    let mut found = Vec::new();
    for mailbox in mailboxes.iter().filter(|mailbox| mailbox.there.is_some()) {
        let selected = select(node, store, account, mailbox.name.as_str(), true);
        let entries = entries(node, store, account, selected.mailbox);
        assert!(entries.iter().map(|entry| entry.uid).eq(selected.uids.iter()));
        let mut wanted = UidSet::default();
        for entry in entries {
            let read = Request::Read { entry: entry.entry, offset: 0, len: usize::MAX };
            let Response::Bytes(bytes) = request(node, store, account, read) else { panic!("unreadable") };
            let number = number(&bytes);
            if number.to_string().starts_with("100") {
                wanted.insert(entry.uid, entry.uid);
            }
            found.push(number);
        }
        // Whatever is left of the index.
        let keys = [TextKey::Text("message 100".to_owned())].into();
        let search = Request::Search { mailbox: selected.mailbox, uids: UidSet::run(1, u32::MAX), keys };
        assert_eq!(request(node, store, account, search), Response::Found { found: vec![wanted], next: None });
    }
    found
}

/// Counters are what they count.
fn balance(dir: &Path, moment: usize) {
    let conn = rusqlite::Connection::open(dir.join("pillarbox.db")).unwrap();
    for (what, wrong) in [
        (
            "names of a body",
            "SELECT count(*) FROM blobs b WHERE refs <>
             (SELECT count(*) FROM emails WHERE blob = b.id) + (SELECT count(*) FROM rows WHERE blob = b.id)",
        ),
        (
            "bodies in a segment",
            "SELECT count(*) FROM segments s WHERE live <>
             (SELECT coalesce(sum(size + 48), 0) FROM blobs WHERE segment = s.id)",
        ),
        (
            "bodies without a segment",
            "SELECT count(*) FROM blobs WHERE file IS NULL AND segment NOT IN (SELECT id FROM segments)",
        ),
        (
            "messages in a mailbox",
            "SELECT count(*) FROM mailboxes m WHERE (messages, octets, unseen, deleted, deleted_octets) <>
             (SELECT count(*), coalesce(sum(size), 0), count(*) FILTER (WHERE flags & 1 = 0),
                count(*) FILTER (WHERE flags & 8 != 0), coalesce(sum(size) FILTER (WHERE flags & 8 != 0), 0)
              FROM entries WHERE mailbox = m.number)",
        ),
        ("UIDs", "SELECT count(*) FROM entries e JOIN mailboxes m ON m.number = e.mailbox WHERE e.uid >= m.uidnext"),
        (
            "places of a message",
            "SELECT count(*) FROM emails m WHERE entries <> (SELECT count(*) FROM entries WHERE email = m.id)",
        ),
        (
            "entries of no mailbox",
            "SELECT count(*) FROM entries WHERE mailbox NOT IN
             (SELECT number FROM mailboxes UNION SELECT mailbox FROM graves)",
        ),
        (
            "what is remembered of what is gone",
            "SELECT count(*) FROM mailboxes m WHERE expunged_runs <>
             (SELECT coalesce(sum(runs), 0) FROM expunged WHERE mailbox = m.number)",
        ),
        ("structures", "SELECT count(*) FROM structures WHERE blob NOT IN (SELECT id FROM blobs)"),
    ] {
        let wrong: i64 = conn.query_row(wrong, [], |row| row.get(0)).unwrap();
        assert_eq!(wrong, 0, "{moment}: {what}");
    }
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{moment}");
}

/// What the child does: mail comes, is queued, is fetched and deleted, and segments are rewritten.
fn work(dir: &Path) {
    let store = open(dir);
    let node = Node::new();
    let account = add(&node, &*store, "alice@example.org");
    let reader = add(&node, &*store, "bob@example.org");
    let (mut next, mut filed) = (0, Vec::new());
    for round in 0..40_usize {
        if round % 2 == 0 {
            work_of_a_reader(&node, &store, reader, round);
        }
        let mut asked = Vec::new();
        for i in 0..4 {
            let n = next;
            next += 1;
            let rows = if i == 3 { vec![row("birch.example", 0)] } else { vec![] };
            let queued = !rows.is_empty();
            let body = match (round % 5, i) {
                (4, 0) => Body::Staged(stage(&node, &*store, [body(n).slice(..1_000), body(n).slice(1_000..)])),
                _ => inline(body(n)),
            };
            let accept = message(body, vec![delivery(account)], rows);
            asked.push((n, queued, node.submit(&*store, StoreOp::Accept(Box::new(accept)))));
        }
        for (n, queued, token) in asked {
            accepted(node.replies.wait(token));
            println!("accepted {n}");
            if queued {
                println!("queued {n}");
            }
            filed.push(n);
        }
        if round % 3 == 2 {
            let (lock, entries) = open_maildrop(&node, &*store, account);
            assert_eq!(entries.len(), filed.len());
            // All but each fourth: the rest keeps its segment half alive, until it is rewritten.
            let leaving: Vec<usize> = (0..filed.len()).filter(|at| at % 4 != 1).collect();
            leaving.iter().for_each(|at| println!("leaving {}", filed[*at]));
            let deleted = leaving.iter().map(|at| entries[*at].entry).collect();
            let done = node.ask(&*store, StoreOp::Maildrop(MaildropOp::Commit { lock, deleted }));
            assert_eq!(done, StoreReply::Maildrop(MaildropReply::Done));
            leaving.iter().for_each(|at| println!("gone {}", filed[*at]));
            let mut at = 0;
            filed.retain(|_| {
                at += 1;
                (at - 1) % 4 == 1
            });
        }
    }
    // Idle, until space has been given back: the tidying is part of the picture.
    _ = store.wait_for_search_index(std::time::Duration::from_secs(60));
    let (full, begun) = (folder_size(dir), std::time::Instant::now());
    while folder_size(dir) >= full && begun.elapsed() < std::time::Duration::from_secs(5) {
        std::thread::yield_now();
    }
    store.close();
}

/// New messages are filed, moved, flagged, some of them removed; a mailbox is renamed, and one is deleted.
fn work_of_a_reader(node: &Node, store: &DiskStore, account: AccountId, round: usize) {
    let numbers: Vec<usize> = (0..3).map(|i| 10_000 + 3 * round + i).collect();
    let bodies = numbers.iter().map(|n| inline(body(*n))).collect();
    let Response::Appended { uids, .. } = respond(node.ask(store, appending(account, "INBOX", FlagSet::DRAFT, bodies)))
    else {
        panic!("not filed")
    };
    numbers.iter().for_each(|n| println!("accepted {n}"));
    let inbox = select(node, store, account, "INBOX", false).mailbox;
    let ask = |ask| request(node, store, account, ask);
    ask(Request::Create { name: name("a/b"), special_use: None });
    let removed: Vec<_> = uids.iter().zip(&numbers).filter(|(_, n)| **n % 4 == 1).collect();
    removed.iter().for_each(|(_, n)| println!("leaving {n}"));
    let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: vec![] };
    let some = removed.iter().map(|(uid, _)| *uid).collect();
    ask(Request::Flag { mailbox: inbox, uids: some, change, unchanged_since: None });
    ask(Request::Expunge { mailbox: inbox, uids: None });
    removed.iter().for_each(|(_, n)| println!("gone {n}"));
    ask(Request::Copy { mailbox: inbox, uids, to: name("a/b"), remove: true });
    match round % 12 {
        4 => _ = ask(Request::Rename { from: name("a/b"), to: name(&format!("kept/{round}")) }),
        8 => {
            let target = select(node, store, account, "a/b", true);
            let lost = 10_000 + 3 * (round - 2)..10_000 + 3 * (round + 1);
            lost.clone().for_each(|n| println!("leaving {n}"));
            assert!(target.counters.messages > 0);
            ask(Request::Delete { name: name("a/b") });
            lost.for_each(|n| println!("gone {n}"));
        }
        _ => {}
    }
}

fn body(n: usize) -> Bytes {
    let mut body = format!("message {n}\r\n").into_bytes();
    let len = if n % 20 == 16 { 50_000 } else { 1_000 + n * 777 % 12_000 };
    body.resize(len, (n % 251) as u8);
    body.into()
}

/// Which message it is, whole and unaltered.
fn number(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|b| *b == b'\r').expect("a message of ours");
    let n = std::str::from_utf8(&bytes[8..end]).unwrap().parse().unwrap();
    assert!(bytes == body(n), "message {n} is another");
    n
}

// --- The disk ---

/// A disk: what is on it for certain, and what may be.
#[derive(Default)]
struct Disk {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Name>,
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    /// When it ended, and what.
    pending: Vec<(usize, Change)>,
}

/// A name in a folder stands for a file, or for none.
#[derive(Default)]
struct Name {
    synced: Option<usize>,
    now: Option<usize>,
    changed: usize,
}

enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Disk {
    fn apply(&mut self, begun: usize, ended: usize, call: Call) {
        match call {
            Call::Make(path, empty) => {
                let name = self.names.entry(path).or_default();
                match name.now {
                    Some(file) if empty => self.files[file].pending.push((ended, Change::Cut(0))),
                    Some(_) => {}
                    None => {
                        self.files.push(File::default());
                        (name.now, name.changed) = (Some(self.files.len() - 1), ended);
                    }
                }
            }
            Call::Write(path, at, bytes) => self.change(&path, ended, Change::Write(at, bytes)),
            Call::Cut(path, len) => self.change(&path, ended, Change::Cut(len)),
            Call::Unlink(path) => {
                let name = self.names.entry(path).or_default();
                (name.now, name.changed) = (None, ended);
            }
            Call::Sync(path) => {
                if let Some(file) = self.names.get(&path).and_then(|name| name.now) {
                    let file = &mut self.files[file];
                    let (done, left) = std::mem::take(&mut file.pending).into_iter().partition(|(at, _)| *at < begun);
                    file.pending = left;
                    done.into_iter().for_each(|(_, change): (usize, Change)| make(&mut file.synced, &change));
                }
                for (_, name) in self.names.iter_mut().filter(|(name, _)| name.parent() == Some(&path)) {
                    if name.changed < begun {
                        name.synced = name.now;
                    }
                }
            }
            Call::Said(_) => {}
        }
    }

    fn change(&mut self, path: &Path, ended: usize, change: Change) {
        if let Some(file) = self.names.get(path).and_then(|name| name.now) {
            self.files[file].pending.push((ended, change));
        }
    }

    /// What may be left of it.
    fn image(&self, from: &Path, to: &Path, random: &mut Random) {
        for folder in ["segments", "bodies"] {
            fs::create_dir_all(to.join(folder)).unwrap();
        }
        // Nothing, everything, or any part of what was not synced.
        let mood = random.below(4);
        let mut kept = |_: &()| match mood {
            0 => false,
            1 => true,
            _ => random.below(2) == 0,
        };
        for (path, name) in &self.names {
            let Ok(relative) = path.strip_prefix(from) else { continue };
            let file = if name.synced == name.now || kept(&()) { name.now } else { name.synced };
            let Some(file) = file else { continue };
            let mut content = self.files[file].synced.clone();
            for (_, change) in &self.files[file].pending {
                match change {
                    Change::Cut(_) if kept(&()) => make(&mut content, change),
                    Change::Cut(_) => {}
                    Change::Write(at, bytes) => {
                        let mut done = 0;
                        while done < bytes.len() {
                            let page = (PAGE - (at + done) % PAGE).min(bytes.len() - done);
                            if kept(&()) {
                                make(&mut content, &Change::Write(at + done, bytes[done..done + page].to_vec()));
                            }
                            done += page;
                        }
                    }
                }
            }
            fs::write(to.join(relative), content).unwrap();
        }
    }
}

fn make(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut(len) => content.resize(*len, 0),
        Change::Write(at, bytes) => {
            content.resize(content.len().max(at + bytes.len()), 0);
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

// --- The trace ---

struct Trace {
    dir: PathBuf,
    events: Vec<Event>,
}

/// A system call, from line to line of the trace.
struct Event {
    begun: usize,
    ended: usize,
    call: Call,
}

enum Call {
    /// Opened for writing; and emptied.
    Make(PathBuf, bool),
    Write(PathBuf, usize, Vec<u8>),
    Cut(PathBuf, usize),
    Unlink(PathBuf),
    Sync(PathBuf),
    Said(String),
}

/// Has the child work under strace; `None` where that does not work.
fn trace() -> Option<Trace> {
    let (folder, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trace = folder.path().join("trace");
    let dir = work.path().canonicalize().unwrap();
    let calls = "trace=openat,write,pwrite64,ftruncate,unlink,fsync,fdatasync";
    let ran = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "4000000", "-e", calls, "-o"])
        .args([trace.as_os_str(), std::env::current_exe().unwrap().as_os_str()])
        .args(["--exact", "power_fails_anywhere", "--nocapture"])
        .env(CHILD, &dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !ran.is_ok_and(|status| status.success()) {
        return None;
    }
    let text = fs::read_to_string(trace).unwrap();
    let (mut events, mut begun) = (Vec::new(), BTreeMap::new());
    for (number, line) in text.lines().enumerate() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        if let Some(call) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (number, call));
            continue;
        }
        let (start, call) = match call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            Some((_, rest)) => match begun.remove(thread) {
                Some((start, first)) => (start, format!("{first}{rest}")),
                None => continue,
            },
            None => (number, call.to_owned()),
        };
        if let Some(call) = parse(&call, &dir) {
            // Words count from when they are said, everything else once it is done.
            let ended = if matches!(call, Call::Said(_)) { start } else { number };
            events.push(Event { begun: start, ended, call });
        }
    }
    events.sort_by_key(|event| event.ended);
    Some(Trace { dir, events })
}

fn parse(call: &str, dir: &Path) -> Option<Call> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let returned: usize = result.split(['<', ' ']).next()?.parse().ok()?;
    // The first argument's file, as strace -y tells it.
    let file = || {
        let path = arguments.split_once('<')?.1.split_once('>')?.0;
        Some(PathBuf::from(String::from_utf8(plain(path)).ok()?))
    };
    let ours = |path: PathBuf| path.starts_with(dir).then_some(path);
    let text = || arguments.split_once('"')?.1.split_once('"').map(|(text, _)| plain(text));
    let numbers = || arguments.trim_end().trim_end_matches(')').rsplit(", ").map(|word| word.parse::<usize>().ok());
    match name {
        "openat" => {
            let path = PathBuf::from(String::from_utf8(plain(result.split_once('<')?.1.strip_suffix('>')?)).ok()?);
            arguments.contains("O_CREAT").then(|| Call::Make(path, arguments.contains("O_TRUNC")))
        }
        "write" if arguments.starts_with("1<") => {
            Some(Call::Said(String::from_utf8_lossy(&text()?).trim_end().to_owned()))
        }
        "write" => None,
        "pwrite64" => {
            let mut bytes = text()?;
            bytes.truncate(returned);
            Some(Call::Write(ours(file()?)?, numbers().next()??, bytes))
        }
        "ftruncate" => Some(Call::Cut(ours(file()?)?, numbers().next()??)),
        "unlink" => Some(Call::Unlink(ours(PathBuf::from(String::from_utf8(text()?).ok()?))?)),
        "fsync" | "fdatasync" => Some(Call::Sync(ours(file()?)?)),
        _ => None,
    }
}

/// Undoes strace's escapes.
fn plain(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len() / 4), text.as_bytes());
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}
