//! A client of the IMAP server machine, a mailbox in memory, and somebody else who uses it too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, Config, Server};
use pillarbox_core::mailbox::{
    Append, Entry, FlagChange, FlagMode, FlagSet, Keyword, MailboxName, Request, Response, UidSet,
};
use pillarbox_core::message::StructureParser;
use pillarbox_core::ops::{
    AccountId, AccountOp, AccountReply, Body, MailboxId, MailboxOp, NewBody, Resolution, StoreOp, StoreReply,
};
use pillarbox_core::session::Answer as _;
use pillarbox_core::{Mono, Now, Outbox, Session as _, SessionId, Step, Wall};
use pillarbox_store::{MemoryStore, Options};
use proptest::prelude::*;
use proptest::sample::select;

/// Sun, 22 Nov 2026 20:25:26 +0000.
pub(crate) const NOW: i64 = 1_795_379_126;
pub(crate) const DAY: i64 = 86_400;

/// A message to be.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) header: Vec<(&'static str, String)>,
    /// Days before now, in the Date field.
    pub(crate) sent: Option<i64>,
    pub(crate) body: String,
    pub(crate) flags: FlagSet,
    pub(crate) work: bool,
    /// Seconds before now.
    pub(crate) received: i64,
    pub(crate) saved: i64,
    /// Its structure was made when it came.
    structured: bool,
    /// It is gone before anybody looks.
    pub(crate) gone: bool,
    /// It has been seen by another session.
    pub(crate) old: bool,
    /// Its flags were changed since it came.
    changed: bool,
}

pub(crate) fn words() -> impl Strategy<Value = String> {
    select(&["apple", "Pear plum", "PLUM", "apple pear", ""][..]).prop_map(str::to_owned)
}

pub(crate) fn letter() -> impl Strategy<Value = Letter> {
    let fields = (words(), words(), proptest::option::of(words()), words(), proptest::option::of(0..4_i64));
    let times = (select(&[0, 1, 59, 60, 61, DAY, 2 * DAY, 3 * DAY][..]), 0..3 * DAY);
    (fields, words(), 0..32_u64, times, any::<[bool; 4]>(), 0..5_u8).prop_map(
        |((from, to, cc, subject, sent), body, flags, (received, saved), [work, structured, old, changed], gone)| {
            let mut header = vec![("From", format!("{from} <a@example.org>")), ("To", format!("{to} <b@example.org>"))];
            header.extend(cc.map(|cc| ("Cc", format!("{cc} <c@example.org>"))));
            header.push(("Subject", subject));
            let (flags, gone) = (FlagSet(flags), gone == 0);
            Letter { header, sent, body, flags, work, received, saved, structured, gone, old, changed }
        },
    )
}

impl Letter {
    pub(crate) fn date(days: i64) -> String {
        // Written far east of here, where it is another day already.
        let text = Wall((NOW - days * DAY) * 1000).rfc5322().to_string();
        text.replace("20:25:26 +0000", "04:25:26 +1400")
    }

    pub(crate) fn text(&self) -> String {
        let date = self.sent.map(|days| ("Date", Self::date(days)));
        let header = self.header.iter().cloned().chain(date).map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}\r\n", header.collect::<String>(), self.body)
    }
}

/// A client that has selected INBOX, and its server.
pub(crate) struct Client {
    server: Server,
    rx: BytesMut,
    tx: Outbox,
    store: Arc<MemoryStore>,
    account: AccountId,
    mailbox: MailboxId,
    /// Messages that the store tells of in one answer.
    page: usize,
    /// The messages that are there, by their UIDs.
    pub(crate) letters: BTreeMap<u32, Letter>,
    /// What somebody else does before the next questions are answered: 0 delivers, 1 expunges, 2 sets flags.
    pub(crate) others: VecDeque<(usize, u32)>,
}

impl Client {
    /// In an account with these letters. The store answers in pages of `page` messages, and `room` octets wait for the
    /// client at most.
    pub(crate) fn new(letters: &[Letter], page: usize, room: usize) -> Self {
        let clock = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&clock);
        let store = MemoryStore::new(Options {
            clock: Arc::new(move || Wall(read.load(Ordering::Relaxed))),
            ..Options::default()
        });
        let address: pillarbox_core::smtp::Address = "alice@example.org".parse().expect("it is an address");
        store.apply(StoreOp::Account(AccountOp::Add { address: address.clone(), password: "wonderland".into() }));
        let resolved = store.apply(StoreOp::Account(AccountOp::Resolve { address }));
        let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) = resolved else {
            panic!("the account is there");
        };
        let config = Arc::new(Config { cleartext_auth: true, ..Config::new("imap.example.org") });
        let mut client = Self {
            server: Server::new(SessionId(1), config),
            rx: BytesMut::new(),
            tx: Outbox::new(room),
            store,
            account: accounts[0].0,
            mailbox: MailboxId::default(),
            page,
            letters: BTreeMap::new(),
            others: VecDeque::new(),
        };
        // What other sessions have seen came first.
        let (old, new): (Vec<_>, Vec<_>) = letters.iter().partition(|letter| letter.old);
        client.mailbox = client.select();
        old.into_iter().for_each(|letter| client.deliver(letter, &clock));
        client.select();
        new.into_iter().for_each(|letter| client.deliver(letter, &clock));
        clock.store(NOW * 1000, Ordering::Relaxed);
        let gone: Vec<_> = client.letters.iter().filter(|(_, letter)| letter.gone).map(|(uid, _)| *uid).collect();
        for uid in gone {
            client.letters.remove(&uid);
            client.expunge(uid);
        }
        client.run();
        client.command("LOGIN alice wonderland");
        client.command("SELECT INBOX");
        client
    }

    /// The entries of all messages.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let uids = self.letters.keys().copied().collect();
        match self.ask(Request::Entries { mailbox: self.mailbox, uids, changed_since: None, structures: false }) {
            Response::Entries { entries, .. } => entries,
            other => panic!("{other:?}"),
        }
    }

    /// All that is said to a command.
    pub(crate) fn command(&mut self, line: &str) -> String {
        self.rx.extend_from_slice(format!("t {line}\r\n").as_bytes());
        self.run()
    }

    fn run(&mut self) -> String {
        let mut said = Vec::new();
        loop {
            let now = Now { mono: Mono(0), wall: Wall(NOW * 1000 + 999) };
            let step = self.server.poll(now, &mut self.rx, &mut self.tx);
            let waits = matches!(step, Step::Wait(_));
            if let Step::Act(action) = step {
                self.act(action);
            }
            if waits && self.tx.is_empty() {
                return String::from_utf8(said).expect("it is UTF-8");
            }
            if waits {
                self.tx.slices().for_each(|slice| said.extend_from_slice(slice));
                self.tx.advance(self.tx.len());
            }
        }
    }

    fn act(&mut self, action: Action) {
        let done = match action {
            Action::Authenticate { ticket, .. } => self.server.answer(ticket, AuthenticateAnswer::Accepted),
            Action::Ask { ticket, request } => {
                let looks = matches!(request, Request::Entries { .. } | Request::Search { .. });
                if let Some((what, uid)) = self.others.pop_front().filter(|_| looks) {
                    self.other(what, uid);
                }
                let response = self.page(request);
                self.server.answer(ticket, response)
            }
            Action::Watch { .. } | Action::Unwatch { .. } => Ok(()),
            Action::Chunk { .. } | Action::Discard => unreachable!("nobody appends"),
        };
        done.expect("it was asked");
    }

    /// What somebody else does.
    fn other(&mut self, what: usize, uid: u32) {
        match what {
            0 => drop(self.append("Subject: apple\r\n\r\nplum\r\n".into(), Append::default(), false)),
            1 => self.expunge(uid),
            _ => {
                let flags = FlagChange { mode: FlagMode::Replace, flags: FlagSet::DRAFT, keywords: Vec::new() };
                self.flag(uid, flags);
            }
        }
    }

    /// Answers about a page.
    fn page(&self, request: Request) -> Response {
        let page = |uids: &UidSet| {
            let mut rest = uids.clone();
            let page = rest.page(self.page as u32);
            (page, rest.first())
        };
        match request {
            Request::Entries { mailbox, uids, changed_since, structures } => {
                let (uids, rest) = page(&uids);
                match self.ask(Request::Entries { mailbox, uids, changed_since, structures }) {
                    Response::Entries { entries, keywords, next: None, at } => {
                        Response::Entries { entries, keywords, next: rest, at }
                    }
                    other => other,
                }
            }
            Request::Search { mailbox, uids, keys } => {
                let (uids, rest) = page(&uids);
                match self.ask(Request::Search { mailbox, uids, keys }) {
                    Response::Found { found, next: None } => Response::Found { found, next: rest },
                    other => other,
                }
            }
            request => self.ask(request),
        }
    }

    fn select(&self) -> MailboxId {
        match self.ask(Request::Select { name: MailboxName::inbox(), peek: false }) {
            Response::Selected(selected) => selected.mailbox,
            other => panic!("{other:?}"),
        }
    }

    fn deliver(&mut self, letter: &Letter, clock: &AtomicI64) {
        clock.store((NOW - letter.saved) * 1000, Ordering::Relaxed);
        let received = Some(Wall((NOW - letter.received) * 1000));
        let keywords: Vec<_> = letter.work.then(|| Keyword::new("$Work").expect("a keyword")).into_iter().collect();
        let (now, later) = if letter.changed { (FlagSet::SEEN, true) } else { (letter.flags, false) };
        let append = Append { flags: now, keywords: if later { Vec::new() } else { keywords.clone() }, received };
        let uid = self.append(letter.text(), append, letter.structured);
        if later {
            self.flag(uid, FlagChange { mode: FlagMode::Replace, flags: letter.flags, keywords });
        }
        self.letters.insert(uid, letter.clone());
    }

    fn append(&self, text: String, append: Append, structured: bool) -> u32 {
        let mut parser = StructureParser::new();
        parser.feed(text.as_bytes());
        let structure = if structured { parser.finish().encode() } else { Bytes::new() };
        let request = Request::Append { to: MailboxName::inbox(), messages: vec![append] };
        let body = NewBody { body: Body::Inline(vec![text.into()]), structure };
        match self.submit(request, vec![body]) {
            Response::Appended { uids, .. } => uids.first().expect("it got one"),
            other => panic!("{other:?}"),
        }
    }

    fn expunge(&self, uid: u32) {
        let uids = UidSet::run(uid, uid);
        self.flag(uid, FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: Vec::new() });
        self.ask(Request::Expunge { mailbox: self.mailbox, uids: Some(uids) });
    }

    fn flag(&self, uid: u32, change: FlagChange) {
        let uids = UidSet::run(uid, uid);
        self.ask(Request::Flag { mailbox: self.mailbox, uids, change, unchanged_since: None });
    }

    fn ask(&self, request: Request) -> Response {
        self.submit(request, Vec::new())
    }

    fn submit(&self, request: Request, bodies: Vec<NewBody>) -> Response {
        let op = MailboxOp::Ask { account: self.account, request, bodies };
        match self.store.apply(StoreOp::Mailbox(Box::new(op))) {
            StoreReply::Mailbox(response) => *response,
            other => panic!("a store answers {other:?} about a mailbox"),
        }
    }
}
