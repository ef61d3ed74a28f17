//! Somebody reads his mail by IMAP at one of his devices: opens a mailbox, reads what is new, does his chores, and says
//! LOGOUT, or is gone without.
//!
//! A device has one command under way at a time, or two where the second need not wait. What it does of its own accord is
//! in `chores.rs`, and what it hears beside the answers in `heard.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::Mono;

use super::chores::{Chore, Removal, Session};
use super::response::{Responses, Value, set};
use super::view::View;
use super::{Deed, News, Person, base64};
use crate::ledger::{Ledger, UserId};
use crate::letter::Letter;
use crate::told::{Folder, Known, Mark, Memories, Memory};
use crate::world::IMAP;

/// How long it idles.
const IDLES: Duration = Duration::from_secs(120);

/// Messages that are read at one time, at most.
const READ: usize = 8;

/// How often it asks of messages that it is not told of.
const ROUNDS: u32 = 20;

/// What the next tagged response answers.
#[derive(Debug)]
pub(super) enum Doing {
    Greeting,
    Login,
    Enable,
    Select,
    /// FETCH of messages by their numbers: none may go meanwhile.
    Numbers,
    Read,
    Noop,
    Create,
    /// STORE of its keyword.
    Store {
        uids: Vec<u32>,
        mark: Mark,
        by_number: bool,
    },
    /// STORE of `\Deleted`, and how these are removed then.
    Delete(Vec<u32>, Removal),
    /// These go, and with the two others all that is marked.
    Expunge(Vec<u32>, Removal),
    /// COPY or MOVE, and what was known of the archive.
    Copy {
        uids: Vec<u32>,
        moves: bool,
        known: Known,
    },
    Append {
        letter: Letter,
        known: Known,
    },
    /// IDLE, and the server has not said that it does.
    Idle,
    /// The server does, and something has been heard.
    Idling {
        heard: bool,
    },
    Logout,
}

/// A device in somebody's hands.
pub(crate) struct Device {
    pub(super) user: UserId,
    host: usize,
    pub(super) session: Session,
    pub(super) chores: VecDeque<Chore>,
    /// He is gone when he has heard so many responses.
    leaves_after: Option<usize>,
    responses: Responses,
    heard: usize,
    tag: u32,
    /// He has it: nobody else uses it at the same time.
    in_use: bool,
    pub(super) doing: Doing,
    /// Said already, and behind it.
    behind: Option<Doing>,
    pub(super) memories: Memories,
    pub(super) view: Option<View>,
    /// A mailbox that is being opened while another one is open.
    pub(super) opening: Option<View>,
    /// What was said in the course of a command: HIGHESTMODSEQ, and the largest mod-sequence of a message.
    pub(super) highest: Option<u64>,
    pub(super) largest: u64,
    pub(super) has_archive: bool,
    /// How often it has asked in vain of what messages there are.
    rounds: u32,
    /// Chores that were begun.
    pub(super) begun: u32,
    /// Nothing goes wrong any more: what it shows now is what there is.
    pub(super) last: bool,
}

impl Device {
    pub(crate) fn new(user: UserId, host: usize, session: Session, leaves_after: Option<usize>) -> Self {
        Self {
            user,
            host,
            chores: session.chores.iter().copied().collect(),
            session,
            leaves_after,
            responses: Responses::default(),
            heard: 0,
            tag: 0,
            in_use: false,
            doing: Doing::Greeting,
            behind: None,
            memories: Memories::new(),
            view: None,
            opening: None,
            highest: None,
            largest: 0,
            has_archive: false,
            rounds: 0,
            begun: 0,
            last: false,
        }
    }

    /// It is the last visit, when all is well: what is refused now is refused for ever, and what is shown is what there is.
    pub(crate) fn last(self) -> Self {
        Self { last: true, ..self }
    }

    /// The keyword that only this device sets.
    pub(super) fn keyword(&self) -> String {
        format!("$Device{}", self.session.device)
    }

    /// It was told something that cannot be.
    pub(super) fn wrong(&self, how: &str, ledger: &mut Ledger) {
        // What stands behind a colon is what was found there.
        let (what, found) = how.split_once(": ").unwrap_or((how, ""));
        let at = format!("{} is told at device {} of", ledger.address(self.user), self.session.device);
        ledger.violated(format!("{at} {what}: {found}"));
    }

    pub(super) fn say(&mut self, command: &str, doing: Doing, deeds: &mut Vec<Deed>) {
        self.tag += 1;
        self.doing = doing;
        (self.highest, self.largest) = (None, 0);
        deeds.push(Deed::Say(Bytes::from(format!("a{} {command}\r\n", self.tag))));
    }

    /// One more command, and the one before it is not answered yet.
    pub(super) fn say_behind(&mut self, command: &str, doing: Doing, deeds: &mut Vec<Deed>) {
        self.tag += 1;
        self.behind = Some(doing);
        deeds.push(Deed::Say(Bytes::from(format!("a{} {command}\r\n", self.tag))));
    }

    pub(super) fn done_idling(&mut self, deeds: &mut Vec<Deed>) {
        self.doing = Doing::Noop;
        deeds.push(Deed::Say(Bytes::from_static(b"DONE\r\n")));
    }

    /// A whole response.
    fn response(&mut self, response: &[Value], ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let word = |at: usize| response.get(at).map_or("", Value::atom);
        if word(0) == "+" {
            return self.goes_on(ledger, deeds);
        }
        if word(0) == "*" && matches!(self.doing, Doing::Greeting) {
            if word(1) == "OK" {
                let address = ledger.address(self.user);
                let password = address.split('@').next().unwrap_or_default();
                let login = format!("LOGIN {address} {password}");
                let login = if self.session.resyncs { &login } else { "AUTHENTICATE PLAIN" };
                self.say(login, Doing::Login, deeds);
            }
            return;
        }
        if word(0) == "*" {
            return self.untagged(&response[1..], ledger, deeds);
        }
        if word(0) != format!("a{}", self.tag - u32::from(self.behind.is_some())) {
            return self.wrong(&format!("a command that it has not given: {}", word(0)), ledger);
        }
        self.code(response.get(2).map_or(&[], Value::list), ledger);
        self.learn_highest(ledger);
        match word(1) {
            "OK" => self.ok(ledger, deeds),
            "NO" => self.no(response, ledger, deeds),
            _ => {
                self.wrong(&format!("a mistake that it has not made: {response:?}"), ledger);
                self.say("LOGOUT", Doing::Logout, deeds);
            }
        }
    }

    /// `+`
    fn goes_on(&mut self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        match self.doing {
            Doing::Login => {
                let address = ledger.address(self.user);
                let password = address.split('@').next().unwrap_or_default();
                let plain = base64(&format!("\0{address}\0{password}"));
                deeds.push(Deed::Say(Bytes::from(plain + "\r\n")));
            }
            Doing::Idle => {
                self.doing = Doing::Idling { heard: false };
                deeds.push(Deed::Wait(IDLES));
            }
            _ => self.wrong("a go-ahead that it has not asked for: +", ledger),
        }
    }

    /// The command was done.
    fn ok(&mut self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        match std::mem::replace(&mut self.doing, Doing::Noop) {
            Doing::Delete(uids, _) if self.behind.is_some() => self.marked(&uids, true, ledger),
            Doing::Login if self.session.resyncs => return self.say("ENABLE QRESYNC", Doing::Enable, deeds),
            Doing::Login | Doing::Enable => return self.select(Folder::Inbox, ledger, deeds),
            Doing::Select => self.selected(ledger),
            Doing::Create => self.has_archive = true,
            Doing::Store { uids, mark, .. } => self.mark(&uids, mark),
            Doing::Delete(uids, how) => {
                self.marked(&uids, true, ledger);
                return self.remove(uids, how, ledger, deeds);
            }
            Doing::Expunge(uids, how) => {
                self.removed(&uids, how, true, ledger);
                if how == Removal::Close {
                    return self.select(Folder::Inbox, ledger, deeds);
                }
            }
            Doing::Append { letter, .. } => ledger.appended(self.user, letter, true),
            Doing::Logout => return self.leave(ledger, deeds),
            // What was copied is said in a code.
            Doing::Copy { .. } | Doing::Numbers | Doing::Read | Doing::Noop => {}
            Doing::Idle | Doing::Idling { .. } | Doing::Greeting => {
                self.wrong("the end of a command that it has not ended: IDLE", ledger);
            }
        }
        self.next(ledger, deeds);
    }

    /// The command was refused: nothing has changed.
    fn no(&mut self, response: &[Value], ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let doing = std::mem::replace(&mut self.doing, Doing::Noop);
        let code = response.get(2).and_then(|code| code.list().first()).map_or("", Value::atom);
        if matches!(doing, Doing::Create) && code == "ALREADYEXISTS" {
            self.has_archive = true;
            return self.next(ledger, deeds);
        }
        if self.last {
            self.wrong(&format!("a refusal at rest: {response:?} to {doing:?}"), ledger);
        }
        match doing {
            Doing::Login | Doing::Enable | Doing::Select => {
                self.view = None;
                return self.say("LOGOUT", Doing::Logout, deeds);
            }
            // They are not marked by it; perhaps by somebody else.
            Doing::Delete(uids, how) if self.behind.is_some() => {
                self.removed(&uids, how, false, ledger);
                self.behind = Some(Doing::Noop);
            }
            _ => {}
        }
        self.next(ledger, deeds);
    }

    /// What is to be done now.
    fn next(&mut self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        if let Some(doing) = self.behind.take() {
            self.doing = doing;
            return;
        }
        let Some(view) = &mut self.view else { return self.say("LOGOUT", Doing::Logout, deeds) };
        let unknown = view.unknown();
        self.rounds = if unknown.is_empty() { 0 } else { self.rounds + 1 };
        if self.rounds > ROUNDS {
            self.wrong(&format!("nothing of messages that there are: {unknown:?}"), ledger);
            return self.say("LOGOUT", Doing::Logout, deeds);
        }
        if self.rounds.is_multiple_of(2) && !unknown.is_empty() {
            // What is gone cannot be told while numbers are fetched.
            return self.say("NOOP", Doing::Noop, deeds);
        }
        if !unknown.is_empty() {
            let modseq = if self.session.resyncs { " MODSEQ" } else { "" };
            let fetch = format!("FETCH {} (UID FLAGS{modseq})", set(&unknown));
            return self.say(&fetch, Doing::Numbers, deeds);
        }
        let read = self.memories.get(&view.folder).map(|memory| &memory.read);
        let is_new = |uid: &u32| !view.asked.contains(uid) && read.is_none_or(|read| !read.contains(uid));
        let new: Vec<u32> = view.uids().into_iter().filter(is_new).take(READ).collect();
        if !new.is_empty() {
            view.asked.extend(&new);
            // Whoever remembers nothing leaves it to the server to say what was read; but at the end nothing changes.
            let body = if self.session.resyncs || self.last { "BODY.PEEK[]" } else { "BODY[]" };
            return self.say(&format!("UID FETCH {} ({body})", set(&new)), Doing::Read, deeds);
        }
        while let Some(chore) = self.chores.pop_front() {
            self.begun += 1;
            if self.begin(chore, ledger, deeds) {
                return;
            }
        }
        let in_inbox = self.view.as_ref().is_some_and(|view| view.folder == Folder::Inbox);
        if self.last && in_inbox && self.memories.contains_key(&Folder::Archive) {
            return self.select(Folder::Archive, ledger, deeds);
        }
        self.say("LOGOUT", Doing::Logout, deeds);
    }

    pub(super) fn select(&mut self, folder: Folder, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let mut view = View::new(folder, ledger.told(self.user, folder).known());
        let memory = self.memories.entry(folder).or_insert_with(|| Memory::new(folder));
        let mut select = format!("SELECT {}", folder.name());
        if self.session.resyncs && memory.modseq > 0 {
            let known: Vec<u32> = memory.messages.keys().copied().collect();
            // Some tell what they know, and are told of nothing else.
            let known = match known.is_empty() || self.session.device.is_multiple_of(2) {
                true => String::new(),
                false => format!(" {}", set(&known)),
            };
            select += &format!(" (QRESYNC ({} {}{known}))", memory.validity, memory.modseq);
            view.base = Some(memory.messages.clone());
            view.modseq = memory.modseq;
        }
        match self.view {
            Some(_) => self.opening = Some(view),
            None => self.view = Some(view),
        }
        self.say(&select, Doing::Select, deeds);
    }

    fn selected(&mut self, ledger: &mut Ledger) {
        if self.opening.take().is_some() {
            self.wrong("two mailboxes at the same time: the first was not closed", ledger);
        }
        let Some(view) = &mut self.view else { return };
        let (folder, known) = (view.folder, view.known.clone());
        let resumed = view.resume();
        let uids = view.uids();
        if let Err(how) = resumed {
            self.wrong(&how, ledger);
        }
        for uid in uids {
            if let Err(how) = ledger.told(self.user, folder).uid(uid, &known) {
                self.wrong(&how, ledger);
            }
        }
    }

    /// Its own keyword is set, or is not, or nobody knows.
    fn mark(&mut self, uids: &[u32], mark: Mark) {
        let Some(view) = &self.view else { return };
        let memory = self.memories.entry(view.folder).or_insert_with(|| Memory::new(view.folder));
        for uid in uids {
            let now = memory.marks.entry(*uid).or_insert(mark);
            *now = if *now == Mark::Lost { Mark::Lost } else { mark };
        }
    }

    /// It has removed these, or tried to.
    fn removed(&mut self, uids: &[u32], how: Removal, is_told: bool, ledger: &mut Ledger) {
        let Some(view) = &self.view else { return };
        let told = ledger.told(self.user, view.folder);
        for uid in uids {
            if let Some(message) = told.message(*uid) {
                message.removed.tried(is_told);
            }
            if is_told {
                told.gone(*uid);
            }
        }
        if how != Removal::UidExpunge {
            // What was marked meanwhile may be gone as well; and as long as nobody has answered, what will be.
            for (uid, _) in told.marked() {
                told.message(uid).into_iter().for_each(|message| message.removed.tried(false));
            }
            if !is_told {
                told.lingers();
            }
        }
        if is_told && how == Removal::Close {
            return self.remember(ledger);
        }
        let left = view.uids().into_iter().find(|uid| is_told && uids.contains(uid));
        if let Some(uid) = left {
            self.wrong(&format!("the end of an EXPUNGE, and not of what is gone: UID {uid}"), ledger);
        }
    }

    /// The mailbox that is open is left: what it knows of it, it remembers.
    pub(super) fn remember(&mut self, ledger: &mut Ledger) {
        let Some(view) = self.view.take() else { return };
        let (keyword, last) = (self.keyword(), self.last);
        let memory = self.memories.entry(view.folder).or_insert_with(|| Memory::new(view.folder));
        // Who does not know all messages up to a mod-sequence must not say that he knows it: then he knows what he knew.
        let is_whole = view.base.is_none() && view.validity > 0 && view.unknown().is_empty();
        if is_whole {
            memory.validity = view.validity;
            memory.modseq = if self.session.resyncs { view.modseq } else { 0 };
            memory.messages = view.messages();
        }
        memory.is_last = last && is_whole;
        let undone = memory.messages.iter().find(|(uid, flags)| {
            let is_set = flags.as_ref().is_some_and(|flags| flags.contains(&keyword));
            match memory.marks.get(uid) {
                None | Some(Mark::Lost) => false,
                Some(mark) => is_set != (*mark == Mark::Set),
            }
        });
        if let Some((uid, flags)) = undone
            && last
        {
            let how = format!("flags that it was told to have changed: {flags:?} of UID {uid}");
            self.wrong(&how, ledger);
        }
    }

    /// He is gone, and whatever was under way has happened, or not.
    fn gone(&mut self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        if let Some(Doing::Expunge(uids, how)) = self.behind.take() {
            self.removed(&uids, how, false, ledger);
        }
        match std::mem::replace(&mut self.doing, Doing::Logout) {
            Doing::Store { uids, .. } => self.mark(&uids, Mark::Lost),
            Doing::Expunge(uids, how) => self.removed(&uids, how, false, ledger),
            Doing::Append { letter, .. } => ledger.appended(self.user, letter, false),
            Doing::Copy { uids, moves, .. } => self.perhaps_copied(&uids, moves, ledger),
            Doing::Logout => {}
            doing if self.last => self.wrong(&format!("nothing any more, at rest: {doing:?}"), ledger),
            _ => {}
        }
        self.leave(ledger, deeds);
    }

    fn leave(&mut self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        self.remember(ledger);
        if std::mem::take(&mut self.in_use) {
            let memories = std::mem::take(&mut self.memories);
            ledger.lays_down_device(self.user, self.session.device, memories);
        }
        deeds.push(Deed::Leave);
    }
}

impl Person for Device {
    fn hear(&mut self, _: Mono, news: News<'_>, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        match news {
            News::Begin => match ledger.takes_device(self.user, self.session.device) {
                Some(memories) => {
                    (self.memories, self.in_use) = (memories, true);
                    deeds.push(Deed::Connect { host: self.host, port: IMAP });
                }
                None => deeds.push(Deed::Leave),
            },
            News::Heard(bytes) => {
                self.responses.push(bytes);
                while let Some(response) = self.responses.next() {
                    match response {
                        Ok(response) => self.response(&response, ledger, deeds),
                        Err(what) => self.wrong(&format!("what it cannot understand: {what}"), ledger),
                    }
                    if matches!(deeds.last(), Some(Deed::Leave)) {
                        return;
                    }
                    self.heard += 1;
                    if Some(self.heard) == self.leaves_after {
                        deeds.push(if self.session.vanishes { Deed::Vanish } else { Deed::BreakOff });
                        return self.gone(ledger, deeds);
                    }
                }
                if matches!(self.doing, Doing::Idling { .. }) {
                    deeds.push(Deed::Wait(IDLES));
                }
            }
            News::Time => {
                if self.last && matches!(self.doing, Doing::Idling { heard: false }) {
                    self.wrong("nothing while it idles, and something has happened: waited for two minutes", ledger);
                }
                self.done_idling(deeds);
            }
            News::Over => self.gone(ledger, deeds),
        }
    }
}
