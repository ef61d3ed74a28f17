//! Searches find the same with the index, without it, and with any part of it; and with it they look into few messages.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use common::*;
use pillarbox_core::mailbox::*;
use pillarbox_core::message::{Matcher, TextKey};
use pillarbox_core::ops::*;
use pillarbox_store::{Disk, DiskFile, DiskStore, Options, SystemDisk};
use proptest::collection::vec;
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(120);
/// Free octets with which the store takes mail, and keeps no index.
const TIGHT: u64 = 32 << 20;
const INDEX: &str = "search.sqlite";

/// A reader of a store in a folder, whose disk may be nearly full.
struct Reader {
    store: Arc<DiskStore>,
    node: Node,
    account: AccountId,
    free: Arc<AtomicU64>,
}

impl Reader {
    fn new(dir: &Path) -> Self {
        let (store, free) = open(dir, true);
        let node = Node::new();
        let account = add(&node, &*store, "alice@example.org");
        Self { store, node, account, free }
    }

    /// The same, once the store was closed and something done to its folder.
    fn reopen(self, dir: &Path, index: bool, meanwhile: impl FnOnce(&Path)) -> Self {
        self.store.close();
        meanwhile(dir);
        let (store, free) = open(dir, index);
        Self { store, free, ..self }
    }

    fn append(&self, to: &str, messages: Vec<Bytes>) {
        let bodies = messages.into_iter().map(inline).collect();
        let op = appending(self.account, to, FlagSet::default(), bodies);
        assert!(matches!(respond(self.node.ask(&*self.store, op)), Response::Appended { .. }));
    }

    fn mailbox(&self, name: &str) -> MailboxId {
        select(&self.node, &*self.store, self.account, name, true).mailbox
    }

    /// What a search finds in a mailbox, by key; page by page.
    fn search(&self, mailbox: &str, keys: &[TextKey]) -> Vec<Vec<u32>> {
        let (mailbox, keys): (_, Arc<[TextKey]>) = (self.mailbox(mailbox), keys.into());
        let mut all = vec![Vec::new(); keys.len()];
        let mut from = Some(1);
        while let Some(first) = from {
            let search = Request::Search { mailbox, uids: UidSet::run(first, u32::MAX), keys: Arc::clone(&keys) };
            let Response::Found { found, next } = request(&self.node, &*self.store, self.account, search) else {
                panic!("not found")
            };
            all.iter_mut().zip(found).for_each(|(all, found)| all.extend(found.iter()));
            assert!(next.is_none_or(|next| next > first));
            from = next;
        }
        all
    }

    /// The same, and how many messages were looked into.
    fn effort(&self, key: TextKey) -> (Vec<u32>, u64) {
        let before = self.store.looked_into();
        let found = self.search("INBOX", &[key]).remove(0);
        (found, self.store.looked_into() - before)
    }

    /// What is to be found: each message is read, and the matcher asked.
    fn expected(&self, mailbox: &str, keys: &[TextKey]) -> Vec<Vec<u32>> {
        let mut all = vec![Vec::new(); keys.len()];
        for entry in entries(&self.node, &*self.store, self.account, self.mailbox(mailbox)) {
            let read = Request::Read { entry: entry.entry, offset: 0, len: usize::MAX };
            let Response::Bytes(bytes) = request(&self.node, &*self.store, self.account, read) else { panic!("gone") };
            let mut matcher = Matcher::new(keys);
            matcher.feed(&bytes);
            let held = all.iter_mut().zip(matcher.finish()).filter(|(_, holds)| *holds);
            held.for_each(|(all, _)| all.push(entry.uid));
        }
        all
    }

    fn expunge(&self, mailbox: &str, uids: UidSet) {
        let mailbox = self.mailbox(mailbox);
        let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: vec![] };
        let flag = Request::Flag { mailbox, uids, change, unchanged_since: None };
        for ask in [flag, Request::Expunge { mailbox, uids: None }] {
            request(&self.node, &*self.store, self.account, ask);
        }
    }

    fn settle(&self) {
        assert!(self.store.wait_for_search_index(PATIENCE), "the index is behind");
    }
}

fn open(dir: &Path, search_index: bool) -> (Arc<DiskStore>, Arc<AtomicU64>) {
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let options = Options { search_index, ..options(&TestClock::default()) };
    let disk = Tight(Arc::clone(&free));
    (DiskStore::open_on(dir, options, Arc::new(disk)).unwrap(), free)
}

fn body(text: &str) -> TextKey {
    TextKey::Body(text.to_owned())
}

fn header(name: &str, text: &str) -> TextKey {
    TextKey::Header { name: name.to_owned(), text: text.to_owned() }
}

fn mail(subject: &str, text: &str) -> Bytes {
    format!("From: someone@example.net\r\nSubject: {subject}\r\n\r\n{text}\r\n").into()
}

/// Many messages, of which those with these numbers hold a text.
fn hay(messages: u32, needles: &[u32]) -> Vec<Bytes> {
    let one = |n| match needles.contains(&n) {
        true => mail(&format!("rare thing {n}"), "there is a Needle in it"),
        false => mail(&format!("hay {n}"), "there is nothing in it but hay"),
    };
    (1..=messages).map(one).collect()
}

#[test]
fn with_the_index_few_messages_are_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::new(dir.path());
    reader.append("INBOX", hay(200, &[7, 70, 170]));
    // Another account's messages are nobody's candidates.
    let other = add(&reader.node, &*reader.store, "bob@example.org");
    for message in hay(20, &[1, 2, 3]) {
        accepted(reader.node.ask(&*reader.store, deliver(other, message)));
    }
    reader.settle();
    let found = vec![7, 70, 170];
    assert_eq!(reader.effort(body("needle")), (found.clone(), 3));
    assert_eq!(reader.effort(body("NEEDLE in")), (found.clone(), 3));
    assert_eq!(reader.effort(TextKey::Text("a needle".into())), (found.clone(), 3));
    assert_eq!(reader.effort(header("subject", "rare thing")), (found.clone(), 3));
    assert_eq!(reader.effort(header("subject", "thing 70")).0, [70]);
    assert_eq!(reader.effort(header("from", "needle")), (vec![], 0));
    assert_eq!(reader.effort(header("x-spam", "")), (vec![], 0));
    assert_eq!(reader.effort(body("rare thing")), (vec![], 0));
    assert_eq!(reader.effort(body("no such text")), (vec![], 0));
    assert_eq!(reader.effort(body("\"needle\" OR hay*")), (vec![], 0));
    // Too short to be asked for.
    assert_eq!(reader.effort(body("ne")).1, 200);
    assert_eq!(reader.effort(body("")).1, 200);

    // What is filed once more is known already; what is gone is looked for no more.
    let inbox = reader.mailbox("INBOX");
    let copy = Request::Copy { mailbox: inbox, uids: UidSet::run(70, 71), to: MailboxName::inbox(), remove: false };
    request(&reader.node, &*reader.store, reader.account, copy);
    reader.expunge("INBOX", UidSet::run(1, 70));
    assert_eq!(reader.effort(body("needle")), (vec![170, 201], 2));

    // Without it the same is found.
    let reader = reader.reopen(dir.path(), false, |_| {});
    assert!(!dir.path().join(INDEX).exists(), "it takes up no room");
    assert_eq!(reader.effort(body("needle")), (vec![170, 201], 132));
    assert!(!reader.store.wait_for_search_index(PATIENCE));

    // And it comes back.
    let reader = reader.reopen(dir.path(), true, |_| {});
    reader.settle();
    assert_eq!(reader.effort(body("needle")), (vec![170, 201], 2));
}

#[test]
fn what_is_not_in_the_index_yet_is_found_too() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::new(dir.path());
    reader.append("INBOX", hay(50, &[5]));
    reader.settle();
    // The mail goes on where there is too little room for the index.
    reader.free.store(TIGHT, Ordering::SeqCst);
    reader.append("INBOX", hay(30, &[3, 4]));
    assert!(!reader.store.wait_for_search_index(Duration::from_millis(100)));
    assert_eq!(reader.effort(body("needle")), (vec![5, 53, 54], 31));
    // Where it stopped it goes on.
    let reader = reader.reopen(dir.path(), true, |_| {});
    reader.settle();
    assert_eq!(reader.effort(body("needle")), (vec![5, 53, 54], 3));
}

#[test]
fn a_message_with_much_text_is_always_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::new(dir.path());
    let (fits, large) = ("small talk ".repeat(50_000), "small talk ".repeat(120_000));
    reader.append("INBOX", vec![mail("fits", &(fits + "needle")), mail("large", &(large + "needle"))]);
    reader.append("INBOX", hay(10, &[]));
    reader.settle();
    assert_eq!(reader.effort(body("needle")), (vec![1, 2], 2));
    assert_eq!(reader.effort(body("no such text")), (vec![], 1));
}

#[test]
fn a_search_is_answered_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::new(dir.path());
    let large = |text: &str| mail("large", &format!("{}{text}", "x".repeat(SEARCH_OCTETS as usize / 3)));
    for round in 0..4 {
        reader.append(
            "INBOX",
            vec![large("needle"), mail("small", "needle"), large(if round == 2 { "" } else { "needle" })],
        );
    }
    let mailbox = reader.mailbox("INBOX");
    let uids: UidSet = [1, 3, 4, 5, 6, 7, 9, 11, 12, 4_000].into_iter().collect();
    let keys: Arc<[TextKey]> = [body("needle")].into();
    let ask = |uids: &UidSet| {
        let search = Request::Search { mailbox, uids: uids.clone(), keys: Arc::clone(&keys) };
        match request(&reader.node, &*reader.store, reader.account, search) {
            Response::Found { found, next } => (found[0].iter().collect::<Vec<_>>(), next),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&uids), (vec![1, 3, 4], Some(5)));
    reader.expunge("INBOX", UidSet::run(5, 6));
    let rest: UidSet = uids.iter().filter(|uid| *uid >= 5).collect();
    assert_eq!(ask(&rest), (vec![7, 11, 12], Some(4_000)));
}

#[test]
fn a_file_that_is_lost_or_damaged_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(dir.path());
    reader.append("INBOX", hay(100, &[7, 70]));
    reader.settle();
    let damages: [fn(&Path); 6] = [
        |dir| fs::remove_file(dir.join(INDEX)).unwrap(),
        |dir| fs::write(dir.join(INDEX), b"no database").unwrap(),
        |dir| fs::write(dir.join(INDEX), b"").unwrap(),
        |dir| zero(dir, 0),
        |dir| zero(dir, 4096),
        |dir| fs::OpenOptions::new().write(true).open(dir.join(INDEX)).unwrap().set_len(9_000).unwrap(),
    ];
    for (round, damage) in (1..).zip(damages) {
        reader = reader.reopen(dir.path(), true, damage);
        assert_eq!(reader.search("INBOX", &[body("needle")]), [[7, 70]], "{round}");
        reader.append("INBOX", hay(1, &[]));
        reader.settle();
        assert_eq!(reader.effort(body("needle")), (vec![7, 70], 2), "{round}");
    }
    // While it is open.
    zero(dir.path(), 4096);
    reader.append("INBOX", hay(2_000, &[2_000]));
    for _ in 0..3 {
        assert_eq!(reader.search("INBOX", &[body("needle")]), [[7, 70, 2_106]]);
    }
    reader.settle();
    assert_eq!(reader.search("INBOX", &[body("needle")]), [[7, 70, 2_106]]);
}

/// Nothing but zeros from there on.
fn zero(dir: &Path, from: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::OpenOptions::new().write(true).open(dir.join(INDEX)).unwrap();
    let len = file.metadata().unwrap().len();
    file.write_all_at(&vec![0; (len - from) as usize], from).unwrap();
}

#[test]
fn mail_that_is_put_back_from_a_copy_is_found() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let reader = Reader::new(dir.path());
    reader.append("INBOX", hay(10, &[]));
    reader.settle();
    let save = |dir: &Path| {
        let segment = fs::read_dir(dir.join("segments")).unwrap().next().unwrap().unwrap();
        fs::copy(segment.path(), copy.path().join("segment")).unwrap();
        fs::copy(dir.join("pillarbox.db"), copy.path().join("pillarbox.db")).unwrap();
    };
    let reader = reader.reopen(dir.path(), true, save);
    reader.append("INBOX", hay(10, &[]));
    reader.settle();
    // Other messages get the same ids as those that the index knows.
    let reader = reader.reopen(dir.path(), true, |dir| {
        let segment = fs::read_dir(dir.join("segments")).unwrap().next().unwrap().unwrap();
        fs::copy(copy.path().join("segment"), segment.path()).unwrap();
        fs::copy(copy.path().join("pillarbox.db"), dir.join("pillarbox.db")).unwrap();
    });
    reader.append("INBOX", hay(10, &[4]));
    reader.settle();
    assert_eq!(reader.effort(body("needle")), (vec![14], 1));
}

#[test]
fn what_is_gone_leaves_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::new(dir.path());
    reader.append("INBOX", hay(300, &[7, 70, 170]));
    reader.settle();
    reader.expunge("INBOX", UidSet::run(1, 290));
    reader.append("INBOX", hay(1, &[]));
    reader.settle();
    // It is swept behind that.
    let index = rusqlite::Connection::open(dir.path().join(INDEX)).unwrap();
    let count = |sql: &str| index.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let begun = std::time::Instant::now();
    while count("SELECT count(*) FROM emails") > 11 {
        assert!(begun.elapsed() < PATIENCE, "{} are left", count("SELECT count(*) FROM emails"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(count("SELECT count(*) FROM bodies('nee')"), 0);
    assert_eq!(count("SELECT count(*) FROM bodies('\"hay\"')"), 11);
    assert_eq!(reader.effort(body("hay")).1, 11);
}

const WORDS: [&str; 16] = [
    "hay",
    "hays",
    "needle",
    "Needles",
    "ÉTÉ",
    "été",
    "straße",
    "漢字漢字",
    "\"quoted\"",
    "a\0b\0c",
    "x",
    "aaaa",
    "aaa",
    "*",
    "🦀🦀🦀",
    "AND",
];

/// Words, in lines.
fn texts() -> impl Strategy<Value = String> {
    let blank = prop_oneof![5 => Just(" "), 2 => Just("\r\n"), 1 => Just("-"), 1 => Just("")];
    vec((0..WORDS.len(), blank), 0..12)
        .prop_map(|all| all.into_iter().map(|(word, blank)| WORDS[word].to_owned() + blank).collect())
}

/// What is looked for: a part of some words.
fn needles() -> impl Strategy<Value = String> {
    (vec(0..WORDS.len(), 0..3), 0..6_usize, 1..14_usize).prop_map(|(words, from, len)| {
        let all: Vec<&str> = words.into_iter().map(|word| WORDS[word]).collect();
        all.join(" ").chars().skip(from).take(len).collect()
    })
}

/// A message that says this in its subject and its body, in one way or another.
fn written(how: usize, subject: &str, text: &str) -> Bytes {
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    let subject = match how {
        1 | 3 => format!("=?utf-8?B?{}?=", encoded(&subject.replace("\r\n", " "))),
        _ => subject.replace("\r\n", "\r\n "),
    };
    let part = match how {
        1 | 2 => format!("Content-Transfer-Encoding: base64\r\n\r\n{}", encoded(text)),
        3 => format!("Content-Type: application/octet-stream\r\n\r\n{text}"),
        _ => format!("\r\n{text}"),
    };
    let head = format!("From: someone@example.net\r\nSubject: {subject}\r\n");
    match how {
        2 | 3 => format!(
            "{head}Content-Type: multipart/mixed; boundary=cut\r\n\r\n--cut\r\n{part}\r\n--cut\r\n\
             Content-Type: message/rfc822\r\n\r\nSubject: within {subject}\r\n\r\n{text}\r\n--cut--\r\n"
        ),
        _ => format!("{head}{part}\r\n"),
    }
    .into()
}

fn keys() -> impl Strategy<Value = Vec<TextKey>> {
    let key = prop_oneof![
        needles().prop_map(TextKey::Body),
        needles().prop_map(TextKey::Text),
        (prop_oneof![Just("Subject"), Just("fRom"), Just("x-none")], needles())
            .prop_map(|(name, it)| header(name, &it)),
    ];
    vec(key, 1..5)
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize, Vec<(usize, String, String)>),
    Copy(usize, u32, bool),
    Expunge(usize, u32),
    Search(Vec<TextKey>),
    Settle,
    /// From now on the index stands still, until the store is opened again.
    Stand,
    /// Opens the store again: with an index or without, and with the one that was kept once.
    Reopen(bool, bool),
    Keep,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2_usize, vec((0..4_usize, texts(), texts()), 1..6)).prop_map(|(a, b)| Step::Append(a, b)),
        2 => (0..2_usize, 1..20_u32, any::<bool>()).prop_map(|(a, b, c)| Step::Copy(a, b, c)),
        2 => (0..2_usize, 1..20_u32).prop_map(|(a, b)| Step::Expunge(a, b)),
        8 => keys().prop_map(Step::Search),
        4 => Just(Step::Settle),
        1 => Just(Step::Stand),
        2 => (prop_oneof![4 => Just(true), 1 => Just(false)], any::<bool>()).prop_map(|(a, b)| Step::Reopen(a, b)),
        1 => Just(Step::Keep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn the_answers_are_the_same_whatever_the_index_knows(steps in vec(steps(), 1..40)) {
        let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut reader = Reader::new(dir.path());
        let names = ["INBOX", "a"];
        let create = Request::Create { name: name("a"), special_use: None };
        request(&reader.node, &*reader.store, reader.account, create);
        let (mut index, mut stands) = (true, false);
        for step in steps {
            match step {
                Step::Append(to, messages) => {
                    reader.append(names[to], messages.iter().map(|(how, subject, text)| written(*how, subject, text)).collect());
                }
                Step::Copy(to, uid, remove) => {
                    let (mailbox, uids) = (reader.mailbox(names[1 - to]), UidSet::run(uid, uid + 1));
                    let copy = Request::Copy { mailbox, uids, to: name(names[to]), remove };
                    request(&reader.node, &*reader.store, reader.account, copy);
                }
                Step::Expunge(from, uid) => reader.expunge(names[from], UidSet::run(uid, uid + 2)),
                Step::Search(keys) => for name in names {
                    prop_assert_eq!(reader.search(name, &keys), reader.expected(name, &keys), "{:?}", keys);
                },
                Step::Settle if index && !stands => reader.settle(),
                Step::Settle => {}
                Step::Stand => {
                    reader.free.store(TIGHT, Ordering::SeqCst);
                    stands = true;
                }
                Step::Reopen(with, put_back) => {
                    (index, stands) = (with, false);
                    reader = reader.reopen(dir.path(), with, |dir| {
                        if put_back && kept.path().join(INDEX).exists() {
                            put(kept.path(), dir);
                        }
                    });
                }
                Step::Keep => {
                    (index, stands) = (true, false);
                    reader = reader.reopen(dir.path(), true, |dir| {
                        if dir.join(INDEX).exists() {
                            put(dir, kept.path());
                        }
                    });
                }
            }
        }
    }
}

/// The index of one folder in the place of another's, with its log: the log of one belongs to no other.
fn put(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("{INDEX}{suffix}");
        _ = fs::remove_file(to.join(&name));
        if suffix != "-shm" && from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

/// A disk that is as full as it says.
struct Tight(Arc<AtomicU64>);

impl Disk for Tight {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.open(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}
