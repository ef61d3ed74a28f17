//! Who was away and comes back with QRESYNC (RFC 7162) has the same picture of the mailbox as one who fetches all of it, and
//! was sent no more than what has changed: over random histories, in which others are busy before, while and after each
//! command, and the connection breaks at any octet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, Config, Server};
use pillarbox_core::mailbox::{
    Append, FlagChange, FlagMode, FlagSet, MailboxName, ModSeq, Request, Response, Selected, UidSet,
};
use pillarbox_core::ops::{
    AccountId, AccountOp, AccountReply, Body, MailboxId, MailboxOp, NewBody, Resolution, StoreOp, StoreReply,
};
use pillarbox_core::session::Answer as _;
use pillarbox_core::{Mono, Now, Outbox, Session as _, SessionId, Step, Wall};
use pillarbox_store::{MemoryStore, Options};
use proptest::collection::vec;
use proptest::prelude::*;

/// What another device does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Deliver,
    Flag(u32, u64, bool),
    Expunge(u32, u32),
}

/// What the client does.
#[derive(Clone, Copy, Debug)]
enum Say {
    Noop,
    Store(u32, u32, u64, bool),
    UidStore(u32, u64),
    Conditional(u32, u64),
    Fetch(u32, u32),
    UidFetch,
    UidExpunge(u32),
    Move(u32),
}

#[derive(Clone, Debug)]
enum Event {
    Act(Act),
    /// A command, what others do while it runs, and whether the client then asks about new messages.
    Say(Say, Vec<Option<Act>>, bool),
    /// The connection breaks at this octet of what is said to a command; others do something before the client is back,
    /// and while it comes back.
    Break(Say, usize, Vec<Act>, Vec<Option<Act>>, bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Deliver),
        (0..20_u32, 0..32_u64, any::<bool>()).prop_map(|(uid, flags, add)| Act::Flag(uid, flags, add)),
        (0..20_u32, 0..4_u32).prop_map(|(uid, more)| Act::Expunge(uid, more)),
    ]
}

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        Just(Say::Noop),
        (0..20_u32, 0..5_u32, 0..32_u64, any::<bool>()).prop_map(|(n, more, f, silent)| Say::Store(n, more, f, silent)),
        (0..20_u32, 0..32_u64).prop_map(|(uid, flags)| Say::UidStore(uid, flags)),
        (0..20_u32, 0..32_u64).prop_map(|(uid, flags)| Say::Conditional(uid, flags)),
        (0..20_u32, 0..5_u32).prop_map(|(number, more)| Say::Fetch(number, more)),
        Just(Say::UidFetch),
        (0..20_u32).prop_map(Say::UidExpunge),
        (0..20_u32).prop_map(Say::Move),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let while_it_runs = || vec(proptest::option::of(act()), 0..4);
    prop_oneof![
        2 => act().prop_map(Event::Act),
        3 => (say(), while_it_runs(), any::<bool>()).prop_map(|(say, acts, fetch)| Event::Say(say, acts, fetch)),
        1 => (say(), 0..400_usize, vec(act(), 0..8), while_it_runs(), any::<bool>())
            .prop_map(|(say, cut, away, back, names)| Event::Break(say, cut, away, back, names)),
    ]
}

/// The mailbox and whoever uses it.
struct World {
    store: Arc<MemoryStore>,
    account: AccountId,
    mailbox: MailboxId,
    uid_next: u32,
    /// What was removed, and by which change.
    gone: BTreeMap<u32, ModSeq>,
    /// Changes that the store tells in one answer.
    page: usize,
    /// What others do before the next questions are answered.
    others: VecDeque<Option<Act>>,
}

impl World {
    fn new(page: usize, expunged_runs: usize) -> Self {
        let store = MemoryStore::new(Options { expunged_runs, ..Options::default() });
        let address: pillarbox_core::smtp::Address = "alice@example.org".parse().expect("it is an address");
        store.apply(StoreOp::Account(AccountOp::Add { address: address.clone(), password: "wonderland".into() }));
        let resolved = store.apply(StoreOp::Account(AccountOp::Resolve { address }));
        let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) = resolved else {
            panic!("the account is there");
        };
        let (account, mailbox) = (accounts[0].0, MailboxId::default());
        let (gone, others) = (BTreeMap::new(), VecDeque::new());
        let mut world = Self { store, account, mailbox, uid_next: 1, gone, page, others };
        world.mailbox = world.selected().mailbox;
        world.ask(Request::Create { name: MailboxName::new("Old").expect("a name"), special_use: None });
        for _ in 0..6 {
            world.act(Act::Deliver);
        }
        world
    }

    fn selected(&mut self) -> Selected {
        match self.ask(Request::Select { name: MailboxName::inbox(), peek: true }) {
            Response::Selected(selected) => selected,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, request: Request) -> Response {
        let bodies = match &request {
            Request::Append { .. } => {
                vec![NewBody { body: Body::Inline(vec!["Subject: x\r\n\r\n".into()]), structure: Bytes::new() }]
            }
            _ => Vec::new(),
        };
        let op = MailboxOp::Ask { account: self.account, request, bodies };
        let StoreReply::Mailbox(response) = self.store.apply(StoreOp::Mailbox(Box::new(op))) else {
            panic!("it is about a mailbox")
        };
        match &*response {
            Response::Expunged { uids, at, .. } => self.gone.extend(uids.iter().map(|uid| (uid, *at))),
            Response::Copied { uids, at, .. } => self.gone.extend(uids.iter().map(|(uid, _)| (*uid, *at))),
            _ => {}
        }
        *response
    }

    /// As a store with small pages answers.
    fn answer(&mut self, request: Request) -> Response {
        let mut response = self.ask(request);
        if let Response::Changes { changes, more, .. } = &mut response
            && changes.len() > self.page
        {
            changes.truncate(self.page);
            *more = true;
        }
        response
    }

    fn act(&mut self, act: Act) {
        let mailbox = self.mailbox;
        match act {
            Act::Deliver => {
                self.ask(Request::Append { to: MailboxName::inbox(), messages: vec![Append::default()] });
                self.uid_next += 1;
            }
            Act::Flag(uid, flags, add) => {
                let mode = if add { FlagMode::Add } else { FlagMode::Remove };
                let change = FlagChange { mode, flags: FlagSet(flags), keywords: Vec::new() };
                self.ask(Request::Flag { mailbox, uids: UidSet::run(uid, uid), change, unchanged_since: None });
            }
            Act::Expunge(uid, more) => {
                let uids = UidSet::run(uid, uid + more);
                let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: Vec::new() };
                self.ask(Request::Flag { mailbox, uids: uids.clone(), change, unchanged_since: None });
                self.ask(Request::Expunge { mailbox, uids: Some(uids) });
            }
        }
    }

    /// What is there: flags and mod-sequences by UID.
    fn truth(&mut self) -> BTreeMap<u32, (BTreeSet<String>, ModSeq)> {
        let (mailbox, uids) = (self.mailbox, UidSet::run(1, u32::MAX));
        match self.ask(Request::Entries { mailbox, uids, changed_since: None, structures: false }) {
            Response::Entries { entries, .. } => {
                entries.iter().map(|entry| (entry.uid, (names(entry.flags), entry.modseq))).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

fn names(flags: FlagSet) -> BTreeSet<String> {
    let all = [
        (FlagSet::ANSWERED, "\\Answered"),
        (FlagSet::FLAGGED, "\\Flagged"),
        (FlagSet::DELETED, "\\Deleted"),
        (FlagSet::SEEN, "\\Seen"),
        (FlagSet::DRAFT, "\\Draft"),
    ];
    all.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned()).collect()
}

/// A client, as RFC 7162 §6 wants it.
#[derive(Default)]
struct Client {
    uid_validity: u32,
    highest: ModSeq,
    /// The largest mod-sequence heard of since the last tagged response, and what was said to be the highest.
    heard: ModSeq,
    said: Option<ModSeq>,
    /// All messages below this UID have been asked for.
    next: u32,
    /// Those that are not are asked for now.
    takes_new: bool,
    messages: BTreeMap<u32, BTreeSet<String>>,
    /// The UIDs by message number, from 1; 0 where it is not known.
    numbers: Vec<u32>,
    /// UIDs that the last command's responses were about.
    fetched: BTreeSet<u32>,
    vanished: BTreeSet<u32>,
    /// What the STORE under way sets, of which a message's flags are not told.
    silent: Option<BTreeSet<String>>,
}

impl Client {
    fn hear(&mut self, line: &str) {
        if let Some(modseq) = between(line, "[HIGHESTMODSEQ ", "]") {
            self.said = Some(modseq.parse().expect("a number"));
        }
        if let Some(value) = between(line, "[UIDVALIDITY ", "]") {
            self.uid_validity = value.parse().expect("a number");
        }
        let Some(untagged) = line.strip_prefix("* ") else { return self.settle() };
        let words: Vec<_> = untagged.split(' ').collect();
        match words[..] {
            [number, "EXISTS"] => self.numbers.resize(number.parse().expect("a number"), 0),
            [number, "FETCH", ..] => self.fetched(number.parse().expect("a number"), line),
            ["VANISHED", "(EARLIER)", uids] => {
                for uid in set(uids) {
                    assert!(!self.numbers.contains(&uid), "it is not gone: {line}");
                    self.messages.remove(&uid);
                    assert!(self.vanished.insert(uid), "twice: {line}");
                }
            }
            ["VANISHED", uids] => {
                for uid in set(uids) {
                    let known = self.numbers.iter().position(|there| *there == uid);
                    let before = self.numbers.iter().rposition(|there| *there != 0 && *there < uid);
                    // One of those of which nothing else is known.
                    let at = known.or(Some(before.map_or(0, |before| before + 1)));
                    let at =
                        at.filter(|at| matches!(self.numbers.get(*at), Some(there) if *there == 0 || *there == uid));
                    self.numbers.remove(at.expect("a message that was told of"));
                    self.messages.remove(&uid);
                }
            }
            [_, "EXPUNGE"] => panic!("EXPUNGE after ENABLE QRESYNC"),
            _ => {}
        }
    }

    fn fetched(&mut self, number: usize, line: &str) {
        let uid: u32 = between(line, "UID ", &[' ', ')'][..]).expect("a UID").parse().expect("a number");
        let there = self.numbers.get_mut(number - 1).expect("a message that was told of");
        assert!(*there == 0 || *there == uid, "{line}: it was {there}");
        *there = uid;
        self.fetched.insert(uid);
        if let Some(modseq) = between(line, "MODSEQ (", ")") {
            self.heard = self.heard.max(modseq.parse().expect("a number"));
        }
        let told = between(line, "FLAGS (", ")");
        if let (None, Some(set), true) = (told, &self.silent, uid < self.next) {
            self.messages.insert(uid, set.clone());
        }
        if let Some(flags) = told
            && (uid < self.next || self.takes_new)
        {
            let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
            self.messages.insert(uid, flags.map(str::to_owned).collect());
        }
    }

    /// After it has come back: what it knows and what is left of that has the first numbers.
    fn count(&mut self) {
        assert!(self.messages.len() <= self.numbers.len());
        for (there, uid) in self.numbers.iter_mut().zip(self.messages.keys()) {
            assert!(*there == 0 || there == uid, "{uid} where {there} is");
            *there = *uid;
        }
    }

    /// A tagged response has come.
    fn settle(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        self.highest = self.said.take().unwrap_or(self.highest.max(heard));
    }
}

fn between<'a>(line: &'a str, before: &str, behind: impl Into<Ends<'a>>) -> Option<&'a str> {
    let rest = &line[line.find(before)? + before.len()..];
    let end = match behind.into() {
        Ends::Text(text) => rest.find(text)?,
        Ends::Any(any) => rest.find(any)?,
    };
    Some(&rest[..end])
}

enum Ends<'a> {
    Text(&'a str),
    Any(&'a [char]),
}

impl<'a> From<&'a str> for Ends<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [char]> for Ends<'a> {
    fn from(any: &'a [char]) -> Self {
        Self::Any(any)
    }
}

fn set(text: &str) -> impl Iterator<Item = u32> + '_ {
    text.split(',').flat_map(|run| {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        first.parse::<u32>().expect("a UID")..=last.parse().expect("a UID")
    })
}

/// A connection.
struct Connection {
    server: Server,
    rx: BytesMut,
    tx: Outbox,
}

impl Connection {
    fn new(world: &mut World, room: usize) -> Self {
        let config = Arc::new(Config { cleartext_auth: true, ..Config::new("imap.example.org") });
        let server = Server::new(SessionId(1), config);
        let mut connection = Self { server, rx: BytesMut::new(), tx: Outbox::new(room) };
        connection.command("LOGIN alice wonderland", world);
        connection.command("ENABLE QRESYNC", world);
        connection
    }

    /// All that is said to a command.
    fn command(&mut self, line: &str, world: &mut World) -> String {
        self.rx.extend_from_slice(format!("t {line}\r\n").as_bytes());
        let mut said = Vec::new();
        loop {
            let step = self.server.poll(Now { mono: Mono(0), wall: Wall(0) }, &mut self.rx, &mut self.tx);
            match step {
                Step::Act(Action::Authenticate { ticket, .. }) => {
                    self.server.answer(ticket, AuthenticateAnswer::Accepted).expect("it was asked");
                }
                Step::Act(Action::Ask { ticket, request }) => {
                    if let Some(Some(act)) = world.others.pop_front() {
                        world.act(act);
                    }
                    let response = world.answer(request);
                    self.server.answer(ticket, response).expect("it was asked");
                }
                Step::Wait(_) if self.tx.is_empty() => return String::from_utf8(said).expect("it is UTF-8"),
                Step::Wait(_) => {
                    self.tx.slices().for_each(|slice| said.extend_from_slice(slice));
                    self.tx.advance(self.tx.len());
                }
                _ => {}
            }
        }
    }
}

/// The client, its connection, and all others.
struct Story {
    world: World,
    client: Client,
    connection: Connection,
    room: usize,
    /// The store remembers everything.
    remembers: bool,
}

impl Story {
    fn new(page: usize, expunged_runs: usize, room: usize) -> Self {
        let mut world = World::new(page, expunged_runs);
        let mut connection = Connection::new(&mut world, room);
        let mut client = Client { next: 1, ..Client::default() };
        connection.command("SELECT INBOX", &mut world).lines().for_each(|line| client.hear(line));
        let mut story = Self { world, client, connection, room, remembers: expunged_runs > 1000 };
        story.fetch_new();
        story
    }

    fn say(&mut self, line: &str) {
        self.say_until(line, usize::MAX);
    }

    /// Of what is said the client hears so many octets.
    fn say_until(&mut self, line: &str, octets: usize) {
        (self.client.fetched, self.client.vanished) = Default::default();
        let silent = line.split_once(".SILENT (").map(|(_, set)| set.trim_end_matches(')').split(' '));
        let flags = silent.map(|set| set.filter(|flag| !flag.is_empty()).map(str::to_owned).collect());
        self.client.silent = flags;
        let said = self.connection.command(line, &mut self.world);
        let end = said[..octets.min(said.len())].rfind("\r\n").unwrap_or(0);
        said[..end].lines().for_each(|line| self.client.hear(line));
        if octets > said.len() {
            assert!(said.lines().last().is_some_and(|line| line.starts_with("t OK")), "{line}: {said}");
        }
    }

    fn fetch_new(&mut self) {
        self.client.takes_new = true;
        self.say(&format!("UID FETCH {}:* (FLAGS)", self.client.next));
        self.client.takes_new = false;
        self.client.next = self.client.next.max(self.client.fetched.last().map_or(0, |last| last + 1));
    }

    fn text(&self, say: Say) -> String {
        let exists = self.client.numbers.len().max(1) as u32;
        let number = |number: u32| number % exists + 1;
        let flags = |flags: u64| {
            let names: Vec<_> = names(FlagSet(flags & !FlagSet::DELETED.0)).into_iter().collect();
            format!("({})", names.join(" "))
        };
        match say {
            _ if self.client.numbers.is_empty() => "NOOP".to_owned(),
            Say::Noop => "NOOP".to_owned(),
            Say::Store(first, more, set, silent) => {
                let (first, silent) = (number(first), if silent { ".SILENT" } else { "" });
                format!("STORE {first}:{} FLAGS{silent} {}", (first + more).min(exists), flags(set))
            }
            Say::UidStore(uid, set) => format!("UID STORE {}:* +FLAGS {}", uid + 1, flags(set)),
            Say::Conditional(uid, set) => {
                format!("UID STORE {} (UNCHANGEDSINCE {}) -FLAGS {}", uid + 1, self.client.highest, flags(set))
            }
            Say::Fetch(first, more) => format!("FETCH {}:{} (UID FLAGS MODSEQ)", number(first), number(first + more)),
            Say::UidFetch => "UID FETCH 1:* (FLAGS MODSEQ)".to_owned(),
            Say::UidExpunge(uid) => format!("UID EXPUNGE {}", uid + 1),
            Say::Move(uid) => format!("UID MOVE {} Old", uid + 1),
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Act(act) => self.world.act(*act),
            Event::Say(say, acts, fetch) => {
                self.world.others = acts.iter().copied().collect();
                self.say(&self.text(*say));
                if *fetch {
                    self.fetch_new();
                }
                self.world.others.clear();
            }
            Event::Break(say, cut, away, back, names) => {
                self.say_until(&self.text(*say), *cut);
                (self.client.heard, self.client.said) = (0, None);
                away.iter().for_each(|act| self.world.act(*act));
                self.come_back(back, *names);
            }
        }
    }

    fn come_back(&mut self, back: &[Option<Act>], names: bool) {
        self.connection = Connection::new(&mut self.world, self.room);
        self.client.numbers.clear();
        let (since, next) = (self.client.highest, self.client.next);
        let known = if names && next > 1 { format!(" 1:{}", next - 1) } else { String::new() };
        self.world.others = back.iter().copied().collect();
        let before = self.world.truth();
        let gone = self.world.gone.clone();
        self.say(&format!("SELECT INBOX (QRESYNC ({} {since}{known}))", self.client.uid_validity));
        self.client.count();
        if back.iter().all(Option::is_none) {
            // What has changed since, and nothing else.
            let asked = |uid: &u32| !names || *uid < next;
            let changed = before.iter().filter(|(_, (_, at))| *at > since).map(|(uid, _)| *uid);
            assert_eq!(self.client.fetched, changed.filter(asked).collect());
            let removed = gone.iter().filter(|(_, at)| self.remembers && **at > since).map(|(uid, _)| *uid);
            let not_there = (1..self.world.uid_next).filter(|uid| !self.remembers && !before.contains_key(uid));
            let most: BTreeSet<_> = removed.chain(not_there).filter(asked).collect();
            assert!(self.client.vanished.is_subset(&most), "{:?} of {most:?}", self.client.vanished);
            assert!(!self.remembers || self.client.vanished == most, "{:?} of {most:?}", self.client.vanished);
        }
        self.world.others.clear();
        self.settle();
    }

    /// The client learns of what is new, and knows everything then.
    fn settle(&mut self) {
        self.fetch_new();
        self.say("NOOP");
        self.fetch_new();
        let truth = self.world.truth();
        let truth: BTreeMap<_, _> = truth.into_iter().map(|(uid, (flags, _))| (uid, flags)).collect();
        assert_eq!(self.client.messages, truth);
        assert_eq!(self.client.numbers, truth.keys().copied().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_comes_back_knows_what_there_is(
        events in vec(event(), 1..40),
        page in 1..5_usize,
        forgets in any::<bool>(),
        room in prop_oneof![Just(1_usize), Just(64), Just(1 << 16)],
    ) {
        let mut story = Story::new(page, if forgets { 2 } else { 10_000 }, room);
        for event in &events {
            story.happen(event);
        }
        story.come_back(&[], false);
    }
}

/// A mailbox with large gaps is told in pages: little of it waits to be sent.
#[test]
fn a_mailbox_that_was_thinned_is_told_in_pages() {
    let mut world = World::new(1000, 10_000);
    for _ in 0..5_000 {
        world.act(Act::Deliver);
    }
    let mut connection = Connection::new(&mut world, 1024);
    let selected = connection.command("SELECT INBOX", &mut world);
    let valid = between(&selected, "[UIDVALIDITY ", "]").expect("a UIDVALIDITY").to_owned();
    let since = between(&selected, "[HIGHESTMODSEQ ", "]").expect("a HIGHESTMODSEQ").to_owned();
    for uid in (2..5_000).step_by(2) {
        world.act(Act::Expunge(uid, 0));
    }
    // Here as what it has missed, there as what happens now.
    let now = connection.command("NOOP", &mut world);
    let vanished = |said: &str, what: &str| -> Vec<u32> {
        let lines = said.lines().filter_map(|line| line.strip_prefix(what));
        assert!(lines.clone().all(|line| line.len() < 8 * 1024));
        lines.flat_map(set).collect()
    };
    let gone: Vec<_> = (2..5_000).step_by(2).collect();
    assert_eq!(vanished(&now, "* VANISHED "), gone);
    let mut connection = Connection::new(&mut world, 1024);
    let back = connection.command(&format!("SELECT INBOX (QRESYNC ({valid} {since}))"), &mut world);
    assert_eq!(vanished(&back, "* VANISHED (EARLIER) "), gone);
    let fetched = connection.command(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} VANISHED)"), &mut world);
    assert_eq!(vanished(&fetched, "* VANISHED (EARLIER) "), gone);
}
