//! What a device hears beside the answers to its commands, and what it makes of it: its view of the mailbox, and what must
//! not be contradicted any more.

use super::Deed;
use super::device::{Device, Doing};
use super::response::{Value, numbers};
use crate::ledger::Ledger;
use crate::told::{Fate, Flags, Folder, Mark, Memory, Message};

/// The parts of `* n FETCH (…)` that a device asks for.
#[derive(Default)]
struct Fetched<'a> {
    uid: Option<u32>,
    flags: Option<Flags>,
    modseq: Option<u64>,
    body: Option<&'a [u8]>,
}

impl<'a> Fetched<'a> {
    fn new(items: &'a [Value]) -> Self {
        let mut fetched = Self::default();
        for item in items.chunks_exact(2) {
            match (item[0].atom(), &item[1]) {
                ("UID", uid) => fetched.uid = uid.number().and_then(|uid| u32::try_from(uid).ok()),
                ("FLAGS", flags) => fetched.flags = Some(flags.flags()),
                ("MODSEQ", modseq) => fetched.modseq = modseq.list().first().and_then(Value::number),
                ("BODY[]", Value::Text(text)) => fetched.body = Some(text),
                _ => {}
            }
        }
        fetched
    }
}

impl Device {
    /// `* …`
    pub(super) fn untagged(&mut self, response: &[Value], ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let word = |at: usize| response.get(at).map_or("", Value::atom);
        let heard = match (response.first().and_then(Value::number), word(0), word(1)) {
            (Some(number), _, "EXISTS") => self.exists(number as usize),
            (Some(number), _, "EXPUNGE") => self.expunged(number as usize, ledger),
            (Some(number), _, "FETCH") => {
                let items = response.get(2).map_or(&[][..], Value::list);
                self.fetched(number as usize, &Fetched::new(items), ledger)
            }
            (_, "VANISHED", "") => self.vanished(&numbers(word(2)), true, ledger),
            (_, "VANISHED", uids) => self.vanished(&numbers(uids), false, ledger),
            (_, "SEARCH", _) => self.found(&response[1..], ledger),
            (_, "OK", _) => return self.code(response.get(1).map_or(&[], Value::list), ledger),
            _ => return,
        };
        if let Err(how) = heard {
            self.wrong(&how, ledger);
        }
        if let Doing::Idling { heard } = &mut self.doing {
            *heard = true;
            // At the end of all he hears all of it.
            if !self.last {
                self.done_idling(deeds);
            }
        }
    }

    fn exists(&mut self, number: usize) -> Result<(), String> {
        self.view.as_mut().map_or(Ok(()), |view| view.exists(number))
    }

    fn expunged(&mut self, number: usize, ledger: &mut Ledger) -> Result<(), String> {
        if self.session.resyncs {
            return Err("EXPUNGE where VANISHED was wanted".to_owned());
        }
        self.may_go()?;
        let Some(view) = &mut self.view else { return Ok(()) };
        if let Some(uid) = view.expunged(number)? {
            ledger.told(self.user, view.folder).gone(uid);
        }
        Ok(())
    }

    fn vanished(&mut self, uids: &[u32], earlier: bool, ledger: &mut Ledger) -> Result<(), String> {
        if !earlier {
            self.may_go()?;
        }
        let Some(view) = &mut self.view else { return Ok(()) };
        for uid in uids {
            if earlier {
                view.vanished_earlier(*uid);
                continue;
            }
            view.resume()?;
            view.vanished(*uid)?;
            ledger.told(self.user, view.folder).gone(*uid);
        }
        Ok(())
    }

    /// Numbers mean what they meant until a command that names them is over (RFC 9051 §7.5.1).
    fn may_go(&self) -> Result<(), String> {
        match self.doing {
            Doing::Numbers => Err("EXPUNGE in the middle of a FETCH".to_owned()),
            Doing::Store { by_number: true, .. } => Err("EXPUNGE in the middle of a STORE".to_owned()),
            _ => Ok(()),
        }
    }

    /// `* SEARCH uid …`: all that there is.
    fn found(&mut self, uids: &[Value], ledger: &mut Ledger) -> Result<(), String> {
        let Some(view) = &self.view else { return Ok(()) };
        let found: Vec<u32> = uids.iter().flat_map(|uid| numbers(uid.atom())).collect();
        let known = view.uids();
        for uid in known.iter().filter(|uid| !found.contains(uid)) {
            ledger.told(self.user, view.folder).gone(*uid);
        }
        match found.iter().find(|uid| !known.contains(uid)) {
            Some(uid) if view.unknown().is_empty() => Err(format!("a SEARCH that finds what is not there: UID {uid}")),
            _ => Ok(()),
        }
    }

    fn fetched(&mut self, number: usize, fetched: &Fetched<'_>, ledger: &mut Ledger) -> Result<(), String> {
        let Some(view) = &mut self.view else { return Ok(()) };
        let folder = view.folder;
        let uid = view.fetched(number, fetched.uid, fetched.modseq, fetched.flags.clone())?;
        if let Some(modseq) = fetched.modseq {
            self.largest = self.largest.max(modseq);
            ledger.told(self.user, folder).modseq(modseq);
        }
        let Some(uid) = uid else { return Ok(()) };
        ledger.told(self.user, folder).uid(uid, &view.known)?;
        if let Some(body) = fetched.body {
            let memory = self.memories.entry(folder).or_insert_with(|| Memory::new(folder));
            memory.read.insert(uid);
            if let Some(what) = ledger.read(self.user, body) {
                ledger.told(self.user, folder).is(uid, what)?;
            }
        }
        if fetched.flags.as_ref().is_some_and(|flags| flags.contains("\\Deleted"))
            && let Some(message) = ledger.told(self.user, folder).message(uid)
        {
            message.marked.tried(false);
        }
        match &fetched.flags {
            Some(flags) => self.check_mark(folder, uid, flags),
            None => Ok(()),
        }
    }

    /// Nobody else sets its keyword.
    fn check_mark(&self, folder: Folder, uid: u32, flags: &Flags) -> Result<(), String> {
        if matches!(self.doing, Doing::Store { .. }) {
            return Ok(());
        }
        let mark = self.memories.get(&folder).and_then(|memory| memory.marks.get(&uid));
        let is_set = flags.contains(&self.keyword());
        match mark {
            None | Some(Mark::Lost) => Ok(()),
            Some(mark) if is_set == (*mark == Mark::Set) => Ok(()),
            Some(mark) => Err(format!("flags that it was told to have changed: {flags:?} of UID {uid}, {mark:?}")),
        }
    }

    /// `* OK [code …]`, and the same in a tagged response.
    pub(super) fn code(&mut self, code: &[Value], ledger: &mut Ledger) {
        let number = code.get(1).and_then(Value::number).unwrap_or(0);
        let small = u32::try_from(number).unwrap_or(u32::MAX);
        let (folder, known) = match &self.view {
            Some(view) => (view.folder, view.known.clone()),
            None => return,
        };
        let told = ledger.told(self.user, folder);
        let heard = match code.first().map_or("", Value::atom) {
            "CLOSED" => {
                let opening = self.opening.take();
                self.remember(ledger);
                self.view = opening;
                Ok(())
            }
            "UIDVALIDITY" => {
                if let Some(view) = &mut self.view {
                    view.validity = small;
                }
                told.validity(small)
            }
            "UIDNEXT" => told.uid_next(small, &known),
            "HIGHESTMODSEQ" => {
                self.highest = Some(number);
                told.highest(number, &known)
            }
            "COPYUID" => self.copied(code, ledger),
            "APPENDUID" => self.appended(code, ledger),
            _ => Ok(()),
        };
        if let Err(how) = heard {
            self.wrong(&how, ledger);
        }
    }

    /// A command is over: up to where it has heard everything (RFC 7162 §6).
    pub(super) fn learn_highest(&mut self, ledger: &mut Ledger) {
        let (highest, largest) = (self.highest.take(), self.largest);
        let Some(view) = &mut self.view else { return };
        let was = view.modseq;
        view.modseq = highest.unwrap_or(was.max(largest));
        if view.modseq < was {
            let how = format!("a HIGHESTMODSEQ that fell: {} behind {was}, at the same device", view.modseq);
            self.wrong(&how, ledger);
        }
    }

    /// `[COPYUID validity from to]`: it is there now, and where it was moved from it is not.
    fn copied(&mut self, code: &[Value], ledger: &mut Ledger) -> Result<(), String> {
        let at = |at: usize| code.get(at).map_or("", Value::atom);
        let Doing::Copy { uids, moves, known } = &mut self.doing else {
            return Err("a COPYUID of nothing".to_owned());
        };
        let validity = at(1).parse().unwrap_or(0);
        let (from, to) = (numbers(at(2)), numbers(at(3)));
        if from.len() != to.len() || from.iter().any(|uid| !uids.contains(uid)) {
            return Err(format!("a COPYUID that does not match: {from:?} and {to:?} of {uids:?}"));
        }
        ledger.told(self.user, Folder::Archive).validity(validity)?;
        for (from, to) in from.into_iter().zip(to) {
            let Some(what) = ledger.told(self.user, Folder::Inbox).what(from) else { continue };
            ledger.archived(self.user, what, true);
            if let Some(message) = ledger.told(self.user, Folder::Inbox).message(from).filter(|_| *moves) {
                message.moved.tried(true);
            }
            let is_marked = |message: &mut Message| message.marked != Fate::No;
            let is_marked = ledger.told(self.user, Folder::Inbox).message(from).is_some_and(is_marked);
            let archive = ledger.told(self.user, Folder::Archive);
            archive.new_uid(to, known)?;
            archive.is(to, what)?;
            if let Some(message) = archive.message(to).filter(|_| is_marked) {
                // It is marked there as well, and somebody may have removed it before this was heard.
                message.marked.tried(false);
                message.removed.tried(false);
            }
        }
        // What is not named was not there any more.
        uids.clear();
        Ok(())
    }

    /// Nobody knows whether these were copied.
    pub(super) fn perhaps_copied(&self, uids: &[u32], moves: bool, ledger: &mut Ledger) {
        for uid in uids {
            let inbox = ledger.told(self.user, Folder::Inbox);
            let Some(what) = inbox.what(*uid) else { continue };
            match inbox.message(*uid).filter(|_| moves) {
                Some(message) => message.moved.tried(false),
                None => ledger.archived(self.user, what, false),
            }
        }
    }

    /// `[APPENDUID validity uid]`
    fn appended(&mut self, code: &[Value], ledger: &mut Ledger) -> Result<(), String> {
        let at = |at: usize| code.get(at).and_then(Value::number).and_then(|number| u32::try_from(number).ok());
        let (Some(validity), Some(uid)) = (at(1), at(2)) else { return Err("an APPENDUID of nothing".to_owned()) };
        let Doing::Append { letter, known } = &self.doing else { return Err("an APPENDUID of nothing".to_owned()) };
        let what = ledger.draft(*letter);
        let inbox = ledger.told(self.user, Folder::Inbox);
        inbox.validity(validity)?;
        inbox.new_uid(uid, known)?;
        inbox.is(uid, what)
    }
}
