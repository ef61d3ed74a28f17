//! How long a mail reader waits for a mailbox of a thousand to a million messages: opening it, a page of it, a change.
//!
//! `cargo run --release -p pillarbox-store --example mailboxes [MESSAGES]`; the folder is made in `$TMPDIR`.

use std::error::Error;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pillarbox_core::Secret;
use pillarbox_core::mailbox::{Append, FlagChange, FlagMode, FlagSet, MailboxName, PAGE, Request, Response, UidSet};
use pillarbox_core::ops::{
    AccountId, AccountOp, AccountReply, Body, MailboxId, MailboxOp, NewBody, Resolution, Sink, Store, StoreOp,
    StoreReply, Token,
};
use pillarbox_core::smtp::Address;
use pillarbox_store::{DiskStore, Options, PasswordCost};

type Failure = Box<dyn Error>;

struct Answer(Mutex<Sender<StoreReply>>);

impl Sink for Answer {
    fn complete(&self, _: Token, reply: StoreReply) {
        if let Ok(sender) = self.0.lock() {
            _ = sender.send(reply);
        }
    }
}

/// A reader of one account.
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
        let address: Address = "alice@example.org".parse().map_err(|_| "no address")?;
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

    /// Files messages until there are so many.
    fn grow(&self, to: u32) -> Result<(), Failure> {
        let body = Body::Inline(vec![Bytes::from(vec![b'x'; 200])]);
        let structure = Bytes::from(vec![b's'; 600]);
        loop {
            let Response::Selected(selected) = self.ask(select(), Vec::new())? else { return Err("no INBOX".into()) };
            let missing = to.saturating_sub(selected.counters.messages).min(PAGE);
            if missing == 0 {
                return Ok(());
            }
            let messages = vec![Append::default(); missing as usize];
            let bodies = vec![NewBody { body: body.clone(), structure: structure.clone() }; missing as usize];
            self.ask(Request::Append { to: MailboxName::inbox(), messages }, bodies)?;
        }
    }

    /// The middle one of some times that it takes.
    fn time(&self, mut request: impl FnMut(u32) -> Request) -> Result<Duration, Failure> {
        let mut times = Vec::new();
        for round in 0..15 {
            let request = request(round);
            let begun = Instant::now();
            self.ask(request, Vec::new())?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    fn measure(&self, mailbox: MailboxId, messages: u32) -> Result<(), Failure> {
        // All but the last were read.
        let mut all = UidSet::run(1, messages - 1);
        while !all.is_empty() {
            let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::SEEN, keywords: Vec::new() };
            self.ask(Request::Flag { mailbox, uids: all.page(PAGE), change, unchanged_since: None }, Vec::new())?;
        }
        let middle = UidSet::run(messages / 2, messages / 2 + PAGE - 1);
        let page = |structures| Request::Entries { mailbox, uids: middle.clone(), changed_since: None, structures };
        let flag = |round: u32| Request::Flag {
            mailbox,
            uids: middle.clone(),
            change: FlagChange {
                mode: if round.is_multiple_of(2) { FlagMode::Add } else { FlagMode::Remove },
                flags: FlagSet::FLAGGED,
                keywords: Vec::new(),
            },
            unchanged_since: None,
        };
        let select = self.time(|_| select())?;
        let entries = self.time(|_| page(false))?;
        let structures = self.time(|_| page(true))?;
        let flags = self.time(flag)?;
        let since = self.time(|_| Request::Changes { mailbox, since: 1, after: None, claim: false })?;
        println!("{messages:>9}  {select:>10.1?} {entries:>10.1?} {structures:>10.1?} {flags:>10.1?} {since:>10.1?}");
        Ok(())
    }
}

fn select() -> Request {
    Request::Select { name: MailboxName::inbox(), peek: false }
}

fn main() -> Result<(), Failure> {
    let most = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let options = Options { password_cost: PasswordCost::CHEAP, ..Options::default() };
    let store = DiskStore::open(dir.path(), options)?;
    let reader = Reader::new(Arc::clone(&store))?;
    let Response::Selected(inbox) = reader.ask(select(), Vec::new())? else { return Err("no INBOX".into()) };
    println!(" messages      SELECT    entries  +structure       flags    changes   (pages of {PAGE})");
    let mut messages = 1_000;
    while messages <= most {
        reader.grow(messages)?;
        reader.measure(inbox.mailbox, messages)?;
        messages *= 10;
    }
    // Holes all over: one in a thousand, in pages.
    let holes: UidSet = (1..most).step_by(1_000).collect();
    let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: Vec::new() };
    reader.ask(Request::Flag { mailbox: inbox.mailbox, uids: holes, change, unchanged_since: None }, Vec::new())?;
    let begun = Instant::now();
    reader.ask(Request::Expunge { mailbox: inbox.mailbox, uids: None }, Vec::new())?;
    println!("EXPUNGE of one in a thousand: {:.1?}", begun.elapsed());
    println!("SELECT then: {:.1?}", reader.time(|_| select())?);
    store.close();
    Ok(())
}
