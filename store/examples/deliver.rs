//! Durable deliveries a second: how fast mail goes into mailboxes when each submitter waits until its message is on disk.
//!
//! `cargo run --release -p pillarbox-store --example deliver [SECONDS]`; the folder is made in `$TMPDIR`.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pillarbox_core::message::StructureParser;
use pillarbox_core::ops::{
    Accept, AccountId, AccountOp, AccountReply, Body, Delivery, Resolution, Sink, Store, StoreOp, StoreReply, Token,
};
use pillarbox_core::smtp::Address;
use pillarbox_core::{Secret, Wall};
use pillarbox_store::{DiskStore, Options, PasswordCost};

struct Answer(Mutex<Sender<StoreReply>>);

impl Sink for Answer {
    fn complete(&self, _: Token, reply: StoreReply) {
        if let Ok(sender) = self.0.lock() {
            _ = sender.send(reply);
        }
    }
}

/// Asks one thing at a time.
struct Node {
    sink: Arc<dyn Sink>,
    answers: mpsc::Receiver<StoreReply>,
}

impl Node {
    fn new() -> Self {
        let (sender, answers) = mpsc::channel();
        Self { sink: Arc::new(Answer(Mutex::new(sender))), answers }
    }

    fn ask(&self, store: &dyn Store, op: StoreOp) -> Result<StoreReply, Box<dyn Error>> {
        store.submit(&self.sink, Token(0), op).map_err(|_| "busy")?;
        Ok(self.answers.recv()?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let options = Options { password_cost: PasswordCost::CHEAP, ..Options::default() };
    let store = DiskStore::open(dir.path(), options)?;
    let account = account(&store)?;
    println!("submitters      4 KB/s     50 KB/s");
    for submitters in [1, 20, 100] {
        let [small, large] =
            [4 << 10, 50 << 10].map(|size| run(&store, account, submitters, size, Duration::from_secs(seconds)));
        println!("{submitters:>10}  {small:>10.0}  {large:>10.0}");
    }
    store.close();
    Ok(())
}

fn account(store: &DiskStore) -> Result<AccountId, Box<dyn Error>> {
    let node = Node::new();
    let address: Address = "alice@example.org".parse().map_err(|_| "no address")?;
    let add = AccountOp::Add { address: address.clone(), password: Secret::from("pencil") };
    node.ask(store, StoreOp::Account(add))?;
    match node.ask(store, StoreOp::Account(AccountOp::Resolve { address }))? {
        StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => Ok(accounts[0].0),
        other => Err(format!("{other:?}").into()),
    }
}

fn run(store: &Arc<DiskStore>, account: AccountId, submitters: usize, size: usize, time: Duration) -> f64 {
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..submitters {
            scope.spawn(|| {
                let (node, body) = (Node::new(), Bytes::from(vec![b'x'; size]));
                while !over.load(Ordering::Relaxed) {
                    match node.ask(&**store, message(account, body.clone())) {
                        Ok(StoreReply::Accepted(_)) => done.fetch_add(1, Ordering::Relaxed),
                        other => panic!("not taken: {other:?}"),
                    };
                }
            });
        }
        std::thread::sleep(time);
        over.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// The structure of a mail as they are; every other one answers the one before it.
fn structure() -> Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut parser = StructureParser::new();
    parser.feed(b"From: Bob <bob@example.net>\r\nTo: alice@example.org\r\nDate: Sun, 22 Nov 2026 20:25:26 +0000\r\n");
    parser.feed(format!("Subject: Re: Lunch\r\nMessage-ID: <{number}@example.net>\r\n").as_bytes());
    if number.is_multiple_of(2) {
        parser.feed(format!("References: <{}@example.net>\r\n", number - 1).as_bytes());
    }
    parser.feed(b"Content-Type: text/plain; charset=utf-8\r\n\r\n");
    parser.finish().encode()
}

fn message(account: AccountId, body: Bytes) -> StoreOp {
    let Ok(recipient) = "alice@example.org".parse::<Address>() else { unreachable!("it is an address") };
    let prefix = Bytes::from(vec![b'p'; 300]);
    StoreOp::Accept(Box::new(Accept {
        body: Body::Inline(vec![body]),
        structure: structure(),
        received: Wall(0),
        reverse_path: None,
        smtputf8: false,
        eight_bit: false,
        deliveries: vec![Delivery { account, recipient, prefix }],
        rows: Vec::new(),
        expires: Wall(0),
    }))
}
