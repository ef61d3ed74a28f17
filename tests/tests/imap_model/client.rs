//! A client that takes the RFCs at their word: it believes what it is told, and nothing that is forbidden goes by.
//!
//! Beside what the server says it sees what the server asked its host, at the places in the stream where it did, and holds
//! that against the command under way: only what was commanded may be asked.

use std::collections::{BTreeMap, VecDeque};

use pillarbox_core::mailbox::{Request, Response, UidSet};

use crate::command::{Command, Flags, Known, Mode};
use crate::model::{self, Model};
use crate::trace;
use crate::view::{Meant, Memory, View};
use crate::wire::{self, Value};

/// What a client enables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Condstore,
    Qresync,
    Rev2,
}

pub struct Client {
    pub name: String,
    pub kind: Kind,
    /// Octets on their way to the server.
    pub outgoing: Vec<u8>,
    pub queue: VecDeque<Pending>,
    pub view: Option<View>,
    pub memory: BTreeMap<String, Memory>,
    /// The server has said `+` to IDLE.
    pub idling: bool,
    pub bye: bool,
    buffer: Vec<u8>,
    /// Octets that have been understood.
    position: u64,
    events: VecDeque<(u64, Event)>,
    tags: u32,
    /// The last question that the server has asked.
    question: u64,
    /// The mailbox that is being opened.
    opening: Option<View>,
    enabled: Vec<String>,
    /// Since the last tagged response: HIGHESTMODSEQ, and the highest MODSEQ.
    highest: (Option<u64>, u64),
}

/// A command that is not answered yet.
pub struct Pending {
    pub command: Command,
    tag: String,
    /// What is written when the server says `+`.
    pieces: VecDeque<Vec<u8>>,
    meant: Meant,
    /// The messages that were asked about.
    asked: UidSet,
    /// Changes that were asked for, and what came of them.
    changes: Vec<(Request, Option<Response>)>,
    /// Messages that were told.
    fetched: Vec<u32>,
    selected: bool,
}

/// What passes between the server and its host.
pub enum Event {
    /// It asks, under this number; in an APPEND come the contents.
    Asked(u64, Request, Vec<usize>),
    /// The answer to the question of this number.
    Answered(u64, Response),
}

impl Client {
    pub fn new(name: String, kind: Kind, memory: BTreeMap<String, Memory>) -> Self {
        Self {
            name,
            kind,
            outgoing: Vec::new(),
            queue: VecDeque::new(),
            view: None,
            memory,
            idling: false,
            bye: false,
            buffer: Vec::new(),
            position: 0,
            events: VecDeque::new(),
            tags: 0,
            question: 0,
            opening: None,
            enabled: Vec::new(),
            highest: (None, 0),
        }
    }

    /// Nothing stops it from sending another command.
    pub fn may_send(&self) -> bool {
        !self.bye && self.queue.iter().all(|pending| pending.pieces.is_empty())
    }

    pub fn is_enabled(&self, what: &str) -> bool {
        self.enabled.iter().any(|enabled| enabled == what)
    }

    pub fn send(&mut self, command: Command, contents: &[Vec<u8>]) {
        assert!(self.may_send());
        self.tags += 1;
        let tag = format!("{}{}", self.name, self.tags);
        let mut pieces: VecDeque<_> = command.written(contents).into();
        let first = [tag.as_bytes(), b" ", &pieces.pop_front().expect("a command has a piece")].concat();
        trace!("{} C: {}", self.name, first.escape_ascii());
        self.outgoing.extend_from_slice(&first);
        let (meant, asked, changes, fetched) = (Meant::default(), UidSet::default(), Vec::new(), Vec::new());
        self.queue.push_back(Pending { command, tag, pieces, meant, asked, changes, fetched, selected: false });
        if self.queue.len() == 1 {
            self.begin();
        }
    }

    /// Ends IDLE.
    pub fn done(&mut self) {
        assert!(std::mem::take(&mut self.idling));
        let piece = self.queue.front_mut().and_then(|idle| idle.pieces.pop_front()).expect("DONE");
        trace!("{} C: DONE", self.name);
        self.outgoing.extend_from_slice(&piece);
    }

    pub fn note(&mut self, at: u64, event: Event) {
        self.events.push_back((at, event));
    }

    /// The connection is gone; what is remembered.
    pub fn lost(&mut self) -> BTreeMap<String, Memory> {
        self.leave();
        std::mem::take(&mut self.memory)
    }

    /// What the server takes up next means what it means now.
    fn begin(&mut self) {
        let Some(pending) = self.queue.front_mut() else { return };
        pending.selected = self.view.is_some();
        if let (Some(view), Some((set, uid))) = (&self.view, pending.command.set()) {
            pending.meant = view.resolve(set, uid);
        }
        match pending.command.clone() {
            Command::Store { uid, set, mode, flags, silent: true, .. } if !pending.meant.bad => {
                self.view.iter_mut().filter(|it| !it.read_only).for_each(|it| it.expect(&set, uid, mode, &flags));
            }
            Command::Select { name, read_only, known, .. } => {
                self.leave();
                let base = known.and_then(|known| self.base(&name, &known));
                self.opening = Some(View { name, read_only, base, ..View::default() });
            }
            _ => {}
        }
    }

    /// What of its memory a client has said that it knows.
    fn base(&self, name: &str, known: &Known) -> Option<BTreeMap<u32, Option<Flags>>> {
        let memory =
            self.memory.get(name).filter(|it| (it.uid_validity, it.modseq) == (known.uid_validity, known.modseq))?;
        Some(memory.messages.clone())
    }

    /// The mailbox is selected no more.
    fn leave(&mut self) {
        if let Some(view) = self.view.take().filter(|_| self.enabled.iter().any(|it| it == "QRESYNC")) {
            match view.memory() {
                Some(memory) => self.memory.insert(view.name, memory),
                None => self.memory.remove(&view.name),
            };
        }
    }

    /// Takes in what the server has sent.
    pub fn receive(&mut self, octets: &[u8], model: &Model) {
        self.buffer.extend_from_slice(octets);
        while let Some((values, len)) = wire::response(&self.buffer) {
            self.events_until(self.position);
            trace!("{} S: {}", self.name, self.buffer[..len].escape_ascii());
            self.buffer.drain(..len);
            self.position += len as u64;
            self.response(&values, model);
        }
    }

    /// Nothing more comes.
    pub fn ended(&self) {
        assert!(self.buffer.is_empty(), "{} breaks off behind {}", self.name, self.buffer.escape_ascii());
    }

    fn events_until(&mut self, position: u64) {
        while self.events.front().is_some_and(|(at, _)| *at <= position) {
            match self.events.pop_front().expect("there is one").1 {
                Event::Asked(question, request, contents) => self.asked(question, request, &contents),
                Event::Answered(question, response) => self.answered(question, response),
            }
        }
    }

    fn asked(&mut self, question: u64, request: Request, contents: &[usize]) {
        self.question = question;
        let pending = self.queue.front_mut().expect("a command is under way");
        if let Request::Entries { uids, .. } | Request::Flag { uids, .. } = &request {
            pending.asked.add(uids);
        }
        if !request.is_change() {
            return;
        }
        let view = self.view.as_ref();
        let mine = |id| view.and_then(|view| view.id) == Some(id) && view.is_some_and(|view| !view.read_only);
        let command = &pending.command;
        let fits = match (&request, command) {
            (
                Request::Flag { mailbox, change, unchanged_since, .. },
                Command::Store { mode, flags, unchanged_since: since, .. },
            ) => {
                mine(*mailbox)
                    && model::mode(change.mode) == *mode
                    && model::flags(change.flags, &change.keywords) == *flags
                    && unchanged_since == since
            }
            (Request::Flag { mailbox, change, .. }, Command::Fetch { items, .. }) => {
                mine(*mailbox)
                    && items.contains("BODY[]")
                    && model::mode(change.mode) == Mode::Add
                    && model::flags(change.flags, &change.keywords) == Flags::from(["\\Seen".to_owned()])
            }
            (Request::Expunge { mailbox, uids: None }, Command::Expunge(None) | Command::Close) => mine(*mailbox),
            (Request::Expunge { uids: Some(uids), .. }, Command::Close) => uids.is_empty(),
            (Request::Expunge { mailbox, uids: Some(uids) }, Command::Expunge(Some(_))) => {
                pending.meant.check(uids, true);
                mine(*mailbox)
            }
            (Request::Copy { mailbox, uids, to, remove }, Command::Transfer { to: target, remove: takes, .. }) => {
                pending.meant.check(uids, true);
                view.and_then(|view| view.id) == Some(*mailbox)
                    && to.as_str() == target
                    && remove == takes
                    && (mine(*mailbox) || !remove)
            }
            (Request::Append { to, messages }, Command::Append { to: target, messages: sent, .. }) => {
                let same = |(it, (flags, _)): (&pillarbox_core::mailbox::Append, &(Flags, usize))| {
                    model::flags(it.flags, &it.keywords) == *flags
                };
                to.as_str() == target
                    && messages.len() == sent.len()
                    && messages.iter().zip(sent).all(same)
                    && contents.iter().eq(sent.iter().map(|(_, content)| content))
            }
            (Request::Create { name, .. }, Command::Create(wanted)) => name.as_str() == wanted,
            (Request::Delete { name }, Command::Delete(wanted)) => name.as_str() == wanted,
            (Request::Rename { from, to }, Command::Rename(old, new)) => from.as_str() == old && to.as_str() == new,
            _ => false,
        };
        assert!(fits, "{request:?} for {command:?}");
        if let Request::Flag { uids, .. } = &request {
            pending.meant.check(uids, false);
        }
        pending.changes.push((request, None));
    }

    fn answered(&mut self, question: u64, response: Response) {
        if question != self.question {
            // It comes too late: the command was told that there is none.
            return;
        }
        let pending = self.queue.front_mut().expect("a command is under way");
        match &response {
            Response::Selected(selected) => {
                if let Some(opening) = &mut self.opening {
                    opening.id = Some(selected.mailbox);
                }
            }
            _ => {
                if let Some((_, answer @ None)) = pending.changes.last_mut() {
                    *answer = Some(response);
                }
            }
        }
    }

    fn response(&mut self, values: &[Value], model: &Model) {
        match values[0].atom() {
            "+" => self.go_on(),
            "*" => self.untagged(&values[1..], model),
            tag => self.tagged(tag, &values[1..], model),
        }
    }

    fn go_on(&mut self) {
        let pending = self.queue.front_mut().expect("`+` for a command");
        if pending.command == Command::Idle {
            self.idling = true;
            return;
        }
        let piece = pending.pieces.pop_front().expect("there is more to send");
        self.outgoing.extend_from_slice(&piece);
    }

    fn untagged(&mut self, values: &[Value], model: &Model) {
        if let Value::Atom(first) = &values[0]
            && let Ok(number) = first.parse::<usize>()
        {
            return self.counted(number, &values[1..], model);
        }
        let rev2 = self.is_enabled("IMAP4REV2");
        match values[0].atom() {
            "BYE" => self.bye = true,
            "OK" => {
                if let Some(Value::List(code)) = values.get(1) {
                    self.code(code);
                }
            }
            "NO" | "BAD" => panic!("{}: {values:?}", self.name),
            "ENABLED" => self.enabled.extend(values[1..].iter().map(|it| it.atom().to_ascii_uppercase())),
            "FLAGS" => self.at_hand().keywords = values[1].flags(),
            "VANISHED" => self.vanished(&values[1..], model),
            "SEARCH" => {
                assert!(!rev2, "SEARCH, once there is ESEARCH");
                let numbers = values[1..].iter().filter_map(|it| match it {
                    Value::Atom(number) => Some(number.parse().expect("a number")),
                    _ => None,
                });
                self.found(numbers.collect(), model);
            }
            "ESEARCH" => {
                let all = values.iter().position(|it| *it == Value::Atom("ALL".into()));
                self.found(all.map_or(Vec::new(), |at| wire::numbers(values[at + 1].atom())), model);
            }
            "CAPABILITY" | "LIST" | "STATUS" => {}
            other => panic!("what is {other}?"),
        }
    }

    /// The view that untagged responses are about.
    fn at_hand(&mut self) -> &mut View {
        self.opening.as_mut().or(self.view.as_mut()).expect("a mailbox is selected")
    }

    fn code(&mut self, code: &[Value]) {
        match code[0].atom() {
            "HIGHESTMODSEQ" => {
                self.highest.0 = Some(code[1].number());
            }
            "UIDVALIDITY" => {
                let value = code[1].number() as u32;
                let opening = self.opening.as_mut().expect("a SELECT is under way");
                opening.uid_validity = value;
                let memory = self.memory.get(&opening.name);
                if memory.is_none_or(|memory| memory.uid_validity != value) {
                    opening.base = None;
                }
            }
            _ => {}
        }
    }

    fn counted(&mut self, number: usize, values: &[Value], model: &Model) {
        let rev2 = self.is_enabled("IMAP4REV2");
        match values[0].atom() {
            "EXISTS" => self.at_hand().exists(number),
            "RECENT" => {
                assert!(!rev2, "RECENT in IMAP4rev2");
                assert!(number <= self.at_hand().slots.len(), "RECENT {number}");
            }
            "EXPUNGE" => {
                self.may_expunge();
                assert!(!self.is_enabled("QRESYNC"), "EXPUNGE instead of VANISHED");
                let view = self.view.as_mut().expect("a mailbox is selected");
                view.expunge(number, model.mailbox(view.id.expect("it has an id")));
            }
            "FETCH" => self.fetched(number, values[1].list(), model),
            other => panic!("what is {other}?"),
        }
    }

    fn may_expunge(&self) {
        let pending = self.queue.front().expect("EXPUNGE while no command is in progress");
        assert!(!pending.command.holds_expunges(), "EXPUNGE during {:?}", pending.command);
    }

    fn vanished(&mut self, values: &[Value], model: &Model) {
        assert!(self.is_enabled("QRESYNC"), "VANISHED without QRESYNC");
        let earlier = matches!(&values[0], Value::List(list) if *list == [Value::Atom("EARLIER".into())]);
        let uids = wire::numbers(values[usize::from(earlier)].atom());
        let pending = self.queue.front().expect("VANISHED while no command is in progress");
        if !earlier {
            self.may_expunge();
            let view = self.view.as_mut().expect("a mailbox is selected");
            let mailbox = model.mailbox(view.id.expect("it has an id"));
            return uids.into_iter().for_each(|uid| view.vanish(uid, mailbox));
        }
        let asked = matches!(
            &pending.command,
            Command::Select { known: Some(_), .. } | Command::Fetch { since: Some((_, true)), .. }
        );
        assert!(asked, "VANISHED (EARLIER) in {:?}", pending.command);
        let view = self.opening.as_mut().or(self.view.as_mut()).expect("a mailbox is selected");
        let mailbox = model.mailbox(view.id.expect("it has an id"));
        for uid in uids {
            assert!(!mailbox.is_there(uid), "UID {uid} is there, and VANISHED (EARLIER)");
            assert!(view.slots.iter().all(|slot| slot.uid != Some(uid)), "UID {uid} still has a number");
            view.base.as_mut().map(|base| base.remove(&uid));
        }
    }

    fn fetched(&mut self, number: usize, items: &[Value], model: &Model) {
        let (mut uid, mut modseq, mut flags, mut body) = (None, None, None, None);
        for pair in items.chunks(2) {
            match pair[0].atom() {
                "UID" => uid = Some(pair[1].number() as u32),
                "MODSEQ" => modseq = Some(pair[1].list()[0].number()),
                "FLAGS" => {
                    let recent = pair[1].list().contains(&Value::Atom("\\Recent".into()));
                    assert!(!recent || !self.is_enabled("IMAP4REV2"), "\\Recent in IMAP4rev2");
                    flags = Some(pair[1].flags());
                }
                "BODY[]" => body = Some(&pair[1]),
                _ => {}
            }
        }
        let pending = self.queue.front().expect("FETCH while no command is in progress");
        let by_uid = pending.command.set().is_some_and(|(_, uid)| uid) && pending.command.set().is_some();
        assert!(uid.is_some() || !by_uid || matches!(pending.command, Command::Expunge(_)), "no UID in a UID command");
        let unasked = !matches!(pending.command, Command::Fetch { .. });
        assert!(uid.is_some() || !unasked || !self.is_enabled("QRESYNC"), "no UID with QRESYNC");
        assert!(modseq.is_none() || self.kind != Kind::Plain, "MODSEQ, and nobody enabled CONDSTORE");
        self.highest.1 = self.highest.1.max(modseq.unwrap_or(0));
        let known = self.at_hand().told(number, uid, modseq, flags.clone());
        let Some(known) = known else { return };
        let mailbox = model.mailbox(self.at_hand().id.expect("it has an id"));
        if let Some(flags) = &flags {
            assert!(mailbox.had(known, modseq, flags), "UID {known} never had {flags:?} ({modseq:?})");
        }
        if let Some(Value::Text(octets)) = body {
            assert_eq!(model.number(octets), mailbox.content(known), "UID {known} is another message");
        }
        self.queue.front_mut().expect("it was there").fetched.push(known);
    }

    /// What a search has found was so at some time.
    fn found(&mut self, numbers: Vec<u32>, model: &Model) {
        let Some(Pending { command: Command::Search { uid, key }, .. }) = self.queue.front() else {
            panic!("SEARCH without being asked")
        };
        let (uid, key) = (*uid, *key);
        let wanted = match key {
            "SEEN" => Some(("\\Seen", true)),
            "UNSEEN" => Some(("\\Seen", false)),
            "DELETED" => Some(("\\Deleted", true)),
            "KEYWORD $A" => Some(("$A", true)),
            _ => None,
        };
        let view = self.view.as_ref().expect("a mailbox is selected");
        let mailbox = model.mailbox(view.id.expect("it has an id"));
        for number in &numbers {
            let there = if uid {
                mailbox.content(*number) < usize::MAX
            } else {
                (1..=view.slots.len()).contains(&(*number as usize))
            };
            assert!(there, "SEARCH {number} of {}", view.slots.len());
        }
        for (number, slot) in (1_u32..).zip(&view.slots) {
            let Some(this) = slot.uid else { continue };
            let found = numbers.contains(if uid { &this } else { &number });
            let might = wanted.is_none_or(|(flag, set)| mailbox.ever(this, flag, set == found));
            let gone = !mailbox.is_there(this);
            assert!(gone && !found || might && (found || wanted.is_some()), "SEARCH {key}: UID {this} {found}");
        }
    }

    fn tagged(&mut self, tag: &str, values: &[Value], model: &Model) {
        let pending = self.queue.pop_front().expect("a command that is not answered");
        // What is still answered comes too late.
        self.question = 0;
        assert_eq!(tag, pending.tag, "commands are answered in their order");
        let condition = values[0].atom();
        let code = match values.get(1) {
            Some(Value::List(code)) => code.as_slice(),
            _ => &[],
        };
        self.code_of(code);
        let idle = std::mem::take(&mut self.idling);
        assert!(!idle || condition != "OK", "IDLE ended by itself");
        let expected_bad = pending.meant.bad || !pending.selected;
        assert!(condition != "BAD" || expected_bad, "{:?} is {values:?}", pending.command);
        assert!(condition != "OK" || !pending.meant.bad, "{:?} is {values:?}", pending.command);
        let ok = condition == "OK";
        self.check_changes(&pending, ok, code, model);
        match &pending.command {
            Command::Select { known, .. } => {
                let opening = self.opening.take();
                self.view = opening.filter(|_| ok);
                if let (Some(view), Some(_)) = (&mut self.view, known) {
                    view.resume();
                }
            }
            Command::Close | Command::Unselect if ok => self.leave(),
            Command::Store { uid, silent: true, .. } => {
                let modified = modified(code);
                if let Some(view) = &mut self.view {
                    view.stored(ok, |number, it| {
                        if *uid { it.is_some_and(|it| modified.contains(&it)) } else { modified.contains(&number) }
                    });
                }
            }
            _ => {}
        }
        self.catch_up();
        self.begin();
    }

    fn code_of(&mut self, code: &[Value]) {
        if code.first().is_some_and(|it| it.atom() == "HIGHESTMODSEQ") {
            self.highest.0 = Some(code[1].number());
        }
    }

    /// RFC 7162 §6: a HIGHESTMODSEQ counts, whatever else was seen; else the largest MODSEQ.
    fn catch_up(&mut self) {
        let (highest, seen) = std::mem::take(&mut self.highest);
        if let Some(view) = &mut self.view {
            view.modseq = highest.unwrap_or(view.modseq.max(seen));
        }
    }

    /// What was said fits to what was done.
    fn check_changes(&self, pending: &Pending, ok: bool, code: &[Value], model: &Model) {
        for (request, response) in &pending.changes {
            let response = response.as_ref().expect("nobody is told before it is known");
            let done = !matches!(
                response,
                Response::NoMailbox
                    | Response::Exists
                    | Response::Forbidden
                    | Response::TooMany
                    | Response::Unavailable { .. }
            );
            // CLOSE leaves a mailbox that is gone, too.
            let close = pending.command == Command::Close && *response == Response::NoMailbox;
            let pages = pending.changes.len() > 1 || matches!(pending.command, Command::Fetch { .. });
            assert!(done == ok || close || (done && pages), "{request:?} gave {response:?}, and the command {ok}");
        }
        if !ok {
            return;
        }
        match &pending.command {
            Command::Store { .. } => pending.meant.check(&pending.asked, true),
            Command::Fetch { since: None, .. } => {
                let view = self.view.as_ref().expect("a mailbox is selected");
                let mailbox = model.mailbox(view.id.expect("it has an id"));
                let missing: Vec<u32> = pending
                    .meant
                    .known()
                    .filter(|uid| mailbox.is_there(*uid) && !pending.fetched.contains(uid))
                    .collect();
                assert!(missing.is_empty(), "{missing:?} were not told");
            }
            Command::Append { .. } => {
                let Some((_, Some(Response::Appended { uids, .. }))) = pending.changes.last() else {
                    panic!("APPEND is OK, and nothing was filed")
                };
                assert_eq!(code[0].atom(), "APPENDUID");
                assert_eq!(wire::numbers(code[2].atom()), uids.iter().collect::<Vec<_>>());
            }
            Command::Transfer { remove: false, .. } => {
                if let Some((_, Some(Response::Copied { uids, .. }))) =
                    pending.changes.last().filter(|_| !code.is_empty())
                    && code[0].atom() == "COPYUID"
                {
                    assert_eq!(wire::numbers(code[2].atom()), uids.iter().map(|it| it.0).collect::<Vec<_>>());
                    assert_eq!(wire::numbers(code[3].atom()), uids.iter().map(|it| it.1).collect::<Vec<_>>());
                }
            }
            Command::Create(_) | Command::Delete(_) | Command::Rename(..) => assert!(!pending.changes.is_empty()),
            Command::Expunge(None) => assert!(!pending.changes.is_empty()),
            _ => {}
        }
    }
}

fn modified(code: &[Value]) -> Vec<u32> {
    match code.first() {
        Some(it) if it.atom() == "MODIFIED" => wire::numbers(code[1].atom()),
        _ => Vec::new(),
    }
}
