//! What the search index is worth, and what it costs: searches with and without it, its size, how fast it is made, and
//! how fast mail is delivered beside it.
//!
//! `cargo run --release -p pillarbox-store --example search [MESSAGES]`; the folder is made in `$TMPDIR`.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pillarbox_core::mailbox::{Append, MailboxName, Request, Response, UidSet};
use pillarbox_core::message::TextKey;
use pillarbox_core::ops::{
    Accept, AccountId, AccountOp, AccountReply, Body, Delivery, MailboxOp, NewBody, Resolution, Sink, Store, StoreOp,
    StoreReply, Token,
};
use pillarbox_core::smtp::Address;
use pillarbox_core::{Random, Secret, Seed, Wall};
use pillarbox_store::{DiskStore, Options, PasswordCost};

type Failure = Box<dyn Error>;

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long mail is delivered.
const DELIVERY: Duration = Duration::from_secs(5);
const SUBMITTERS: usize = 20;
/// Messages of one request.
const TOGETHER: usize = 100;

struct Answer(Mutex<Sender<StoreReply>>);

impl Sink for Answer {
    fn complete(&self, _: Token, reply: StoreReply) {
        if let Ok(sender) = self.0.lock() {
            _ = sender.send(reply);
        }
    }
}

/// Asks one thing at a time.
struct Reader {
    store: Arc<DiskStore>,
    sink: Arc<dyn Sink>,
    answers: mpsc::Receiver<StoreReply>,
    account: AccountId,
}

impl Reader {
    fn new(store: Arc<DiskStore>) -> Result<Self, Failure> {
        let (sender, answers) = mpsc::channel();
        let sink = Arc::new(Answer(Mutex::new(sender)));
        let mut reader = Self { store, sink, answers, account: AccountId::default() };
        let address = alice()?;
        let add = AccountOp::Add { address: address.clone(), password: Secret::from("pencil") };
        reader.submit(StoreOp::Account(add))?;
        match reader.submit(StoreOp::Account(AccountOp::Resolve { address }))? {
            StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => {
                reader.account = accounts[0].0;
                Ok(reader)
            }
            other => Err(format!("{other:?}").into()),
        }
    }

    fn submit(&self, op: StoreOp) -> Result<StoreReply, Failure> {
        self.store.submit(&self.sink, Token(0), op).map_err(|_| "busy")?;
        Ok(self.answers.recv()?)
    }

    fn ask(&self, request: Request, bodies: Vec<NewBody>) -> Result<Response, Failure> {
        let op = MailboxOp::Ask { account: self.account, request, bodies };
        match self.submit(StoreOp::Mailbox(Box::new(op)))? {
            StoreReply::Mailbox(response) => Ok(*response),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// How many messages hold a text, how many were looked into, and how long that took.
    fn search(&self, key: &TextKey) -> Result<(u32, u64, Duration), Failure> {
        let Response::Selected(inbox) = self.ask(Request::Select { name: MailboxName::inbox(), peek: true }, vec![])?
        else {
            return Err("no INBOX".into());
        };
        let (before, begun) = (self.store.looked_into(), Instant::now());
        let (mut messages, mut from) = (0, Some(1));
        while let Some(first) = from {
            let (uids, keys) = (UidSet::run(first, u32::MAX), [key.clone()].into());
            match self.ask(Request::Search { mailbox: inbox.mailbox, uids, keys }, vec![])? {
                Response::Found { found, next } => (messages, from) = (messages + found[0].len(), next),
                other => return Err(format!("{other:?}").into()),
            }
        }
        Ok((messages, self.store.looked_into() - before, begun.elapsed()))
    }
}

/// Writes mail: words as frequent as words are, so that there are rare ones and common ones.
struct Author {
    random: Random,
    words: Vec<String>,
}

impl Author {
    fn new() -> Self {
        let mut random = Random::new(&Seed::number(7));
        let syllables = ["an", "be", "cor", "da", "el", "fi", "gra", "hu", "in", "ka", "lo", "mer", "ni", "os", "pre"];
        let ends = ["t", "n", "s", "r", "ing", "ed", "al", "e", "ion", "y"];
        let mut word = || {
            let syllables = (0..1 + random.below(4)).map(|_| syllables[random.below(syllables.len())]);
            let word: String = syllables.collect();
            word + ends[random.below(ends.len())]
        };
        let words = (0..20_000).map(|_| word()).collect();
        Self { random, words }
    }

    fn text(&mut self, octets: usize) -> String {
        let mut text = String::new();
        let mut line = 0;
        while text.len() < octets {
            // The n-th word about 1/n as often as the first.
            let exponent = self.random.below(1 << 20) as f64 / f64::from(1 << 20);
            let word = &self.words[(self.words.len() as f64).powf(exponent) as usize - 1];
            text += word;
            line += word.len() + 1;
            text += if line > 72 { "\r\n" } else { " " };
            line = if line > 72 { 0 } else { line };
        }
        text
    }

    fn mail(&mut self, number: usize) -> Bytes {
        let octets = [600, 1_200, 2_500, 4_000, 12_000][self.random.below(5)];
        let rare = if number.is_multiple_of(1_000) { "the zebra crosses" } else { "" };
        let (subject, text) = (self.text(40).replace("\r\n", " "), self.text(octets));
        format!(
            "From: Sender {from} <sender{from}@example.net>\r\nTo: Alice <alice@example.org>\r\nSubject: {subject}\r\n\
             Message-ID: <{number}.{from}@mail.example.net>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}{rare}\r\n",
            from = number % 97,
        )
        .into()
    }
}

fn main() -> Result<(), Failure> {
    let messages: usize = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let mut author = Author::new();

    let reader = Reader::new(open(dir.path(), false)?)?;
    let mut octets = 0;
    for first in (0..messages).step_by(TOGETHER) {
        let mail: Vec<Bytes> = (first..(first + TOGETHER).min(messages)).map(|number| author.mail(number)).collect();
        octets += mail.iter().map(Bytes::len).sum::<usize>();
        let new = |body| NewBody { body: Body::Inline(vec![body]), structure: Bytes::new() };
        let append = Request::Append { to: MailboxName::inbox(), messages: vec![Append::default(); mail.len()] };
        reader.ask(append, mail.into_iter().map(new).collect())?;
    }
    println!("{messages} messages, {:.1} MB", octets as f64 / 1e6);

    let keys = [
        ("a rare text", TextKey::Body("zebra".into())),
        ("no such text", TextKey::Text("quetzalcoatl".into())),
        ("a common word", TextKey::Body(author.words[0].clone())),
        ("a sender", TextKey::Header { name: "From".into(), text: "sender42".into() }),
        ("a message-id", TextKey::Header { name: "Message-ID".into(), text: "<4242.71@mail.example.net>".into() }),
        ("two letters", TextKey::Body("zq".into())),
    ];
    let scans = keys.iter().map(|(_, key)| reader.search(key)).collect::<Result<Vec<_>, _>>()?;
    reader.store.close();

    let (store, begun) = (open(dir.path(), true)?, Instant::now());
    if !store.wait_for_search_index(PATIENCE) {
        return Err("there is no index".into());
    }
    let seconds = begun.elapsed().as_secs_f64();
    // Its log is written back when it is closed.
    store.close();
    let size = std::fs::metadata(dir.path().join("search.sqlite"))?.len();
    println!(
        "index: {:.1} MB, {:.2} of the mail; made in {seconds:.1} s: {:.0} messages/s, {:.1} MB/s",
        size as f64 / 1e6,
        size as f64 / octets as f64,
        messages as f64 / seconds,
        octets as f64 / 1e6 / seconds
    );
    let store = open(dir.path(), true)?;
    if !store.wait_for_search_index(PATIENCE) {
        return Err("there is no index".into());
    }
    let reader = Reader { store, ..reader };
    println!("                  found   looked into   without the index   looked into   with it");
    for ((name, key), (found, all, scan)) in keys.iter().zip(scans) {
        reader.search(key)?;
        let (again, few, asked) = reader.search(key)?;
        println!("{name:<15} {again:>7} {all:>13} {scan:>19.1?} {few:>13} {asked:>9.1?}");
        if again != found {
            return Err(format!("{found} were found, now {again}").into());
        }
    }
    reader.store.close();

    let mails: Vec<Bytes> = (0..1_000).map(|number| author.mail(number)).collect();
    for index in [false, true, false, true] {
        let dir = tempfile::tempdir()?;
        let reader = Reader::new(open(dir.path(), index)?)?;
        let (rate, begun) = (deliver(&reader.store, reader.account, &mails)?, Instant::now());
        let behind = if reader.store.wait_for_search_index(PATIENCE) { begun.elapsed() } else { Duration::ZERO };
        println!("deliveries/s, index {index:>5}: {rate:>7.0}; it had caught up {behind:.1?} later");
        reader.store.close();
    }
    Ok(())
}

fn open(dir: &Path, search_index: bool) -> Result<Arc<DiskStore>, Failure> {
    let options = Options { password_cost: PasswordCost::CHEAP, search_index, ..Options::default() };
    Ok(DiskStore::open(dir, options)?)
}

fn alice() -> Result<Address, Failure> {
    Ok("alice@example.org".parse().map_err(|_| "no address")?)
}

/// Deliveries a second.
fn deliver(store: &Arc<DiskStore>, account: AccountId, mails: &[Bytes]) -> Result<f64, Failure> {
    let (done, over, recipient) = (AtomicU64::new(0), AtomicBool::new(false), alice()?);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for first in 0..SUBMITTERS {
            let (done, over, recipient) = (&done, &over, &recipient);
            scope.spawn(move || {
                let (sender, answers) = mpsc::channel();
                let sink: Arc<dyn Sink> = Arc::new(Answer(Mutex::new(sender)));
                for body in mails.iter().cycle().skip(first * mails.len() / SUBMITTERS) {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let taken = store.submit(&sink, Token(0), message(account, recipient.clone(), body.clone()));
                    assert!(taken.is_ok(), "busy");
                    assert!(matches!(answers.recv(), Ok(StoreReply::Accepted(_))), "not taken");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(DELIVERY);
        over.store(true, Ordering::Relaxed);
    });
    Ok(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

fn message(account: AccountId, recipient: Address, body: Bytes) -> StoreOp {
    let prefix = Bytes::from_static(b"Return-Path: <sender@example.net>\r\n");
    StoreOp::Accept(Box::new(Accept {
        body: Body::Inline(vec![body]),
        structure: Bytes::new(),
        received: Wall(0),
        reverse_path: None,
        smtputf8: false,
        eight_bit: false,
        deliveries: vec![Delivery { account, recipient, prefix }],
        rows: Vec::new(),
        expires: Wall(0),
    }))
}
