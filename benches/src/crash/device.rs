//! A device that changes mailboxes of its own by IMAP, and knows at each moment what they must be: what was acknowledged,
//! and one change more whose answer did not come, wholly or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::letters;
use crate::talk::Talk;

/// A message as the device knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    name: String,
    flags: BTreeSet<String>,
}

/// A mailbox, by UID.
type Mailbox = BTreeMap<u32, Item>;

/// A change that was asked for.
#[derive(Clone, Debug)]
enum Change {
    Append(Vec<Item>),
    Flags(u32, BTreeSet<String>),
    Copy(u32),
    Move(u32),
    Expunge(BTreeSet<u32>),
}

/// A device.
#[derive(Debug)]
pub struct Device {
    name: String,
    /// Its own mailbox, and its archive.
    boxes: [Mailbox; 2],
    /// The highest UID that was ever told of each.
    highest: [u32; 2],
    /// The name of each message that a UID ever had.
    known: [BTreeMap<u32, String>; 2],
    validity: [Option<String>; 2],
    pending: Option<Change>,
    state: u64,
    brought: usize,
    /// Changes that were acknowledged.
    pub changes: u64,
}

/// Its mailbox is kept below so many messages.
const FULL: usize = 40;

impl Device {
    /// A device whose mailboxes are not there yet.
    #[must_use]
    pub fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            boxes: Default::default(),
            highest: [0; 2],
            known: Default::default(),
            validity: [None, None],
            pending: None,
            state: seed,
            brought: 0,
            changes: 0,
        }
    }

    /// Makes its mailboxes.
    ///
    /// # Errors
    /// When the server does not.
    pub fn settle(&self, talk: &mut Talk) -> io::Result<()> {
        talk.imap(&format!("CREATE {}", self.mailbox(0)))?;
        talk.imap(&format!("CREATE {}", self.mailbox(1))).map(|_| ())
    }

    fn mailbox(&self, which: usize) -> String {
        format!("{}{}", self.name, ["", "-archive"][which])
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % bound
    }

    /// Makes changes until the server is gone.
    pub fn change(&mut self, mut talk: Talk) -> io::Error {
        let selected = talk.imap(&format!("SELECT {}", self.mailbox(0)));
        let mut done = selected.map(|_| ());
        while done.is_ok() {
            let change = self.draw();
            self.pending = Some(change.clone());
            done = self.ask(&mut talk, &change).and_then(|uids| self.apply(&change, &uids));
        }
        done.err().unwrap_or_else(|| io::Error::other("the server is gone"))
    }

    /// What it does next.
    fn draw(&mut self) -> Change {
        let what = self.below(10);
        let uids: Vec<u32> = self.boxes[0].keys().copied().collect();
        if uids.len() < 5 || (what < 3 && uids.len() < FULL) {
            let flags = [&[][..], &["\\Seen"], &["\\Flagged", "$Work"]][self.below(3)];
            let items = (0..=self.below(4)).map(|_| {
                self.brought += 1;
                let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
                Item { name: format!("{}-{}", self.name, self.brought), flags }
            });
            return Change::Append(items.collect());
        }
        let uid = uids[self.below(uids.len())];
        match what {
            3 => Change::Copy(uid),
            4 => Change::Move(uid),
            5 | 6 => {
                let deleted = self.boxes[0].iter().filter(|(_, item)| item.flags.contains("\\Deleted"));
                let deleted: BTreeSet<u32> = deleted.map(|(uid, _)| *uid).collect();
                if deleted.is_empty() { self.mark(uid, "\\Deleted") } else { Change::Expunge(deleted) }
            }
            _ => {
                let flag = ["\\Seen", "\\Flagged", "\\Answered", "$Work"][self.below(4)];
                self.mark(uid, flag)
            }
        }
    }

    /// A flag of a message is turned over.
    fn mark(&self, uid: u32, flag: &str) -> Change {
        let mut flags = self.boxes[0].get(&uid).map(|item| item.flags.clone()).unwrap_or_default();
        if !flags.remove(flag) {
            flags.insert(flag.to_owned());
        }
        Change::Flags(uid, flags)
    }

    /// Asks for a change, up to its OK; the UIDs that new messages were given.
    fn ask(&self, talk: &mut Talk, change: &Change) -> io::Result<Vec<u32>> {
        let archive = self.mailbox(1);
        match change {
            Change::Append(items) => {
                let mut command = format!("a APPEND {}", self.mailbox(0)).into_bytes();
                for item in items {
                    // LITERAL- allows no more in one breath (RFC 7888 §5).
                    let text = letters::letter(&item.name, letters::size(self.brought).min(3_500));
                    command.extend_from_slice(format!(" ({}) {{{}+}}\r\n", joined(&item.flags), text.len()).as_bytes());
                    command.extend_from_slice(&text);
                }
                command.extend_from_slice(b"\r\n");
                talk.say(&command)?;
            }
            Change::Flags(uid, flags) => {
                talk.say(format!("a UID STORE {uid} FLAGS.SILENT ({})\r\n", joined(flags)).as_bytes())?;
            }
            Change::Copy(uid) => talk.say(format!("a UID COPY {uid} {archive}\r\n").as_bytes())?,
            Change::Move(uid) => talk.say(format!("a UID MOVE {uid} {archive}\r\n").as_bytes())?,
            Change::Expunge(uids) => {
                let set: Vec<_> = uids.iter().map(u32::to_string).collect();
                talk.say(format!("a UID EXPUNGE {}\r\n", set.join(",")).as_bytes())?;
            }
        }
        let answer = talk.imap_answer()?;
        let code = answer.iter().find_map(|line| {
            let (_, code) = line.split_once("UID ")?;
            line.contains("[APPENDUID").then_some(()).or(line.contains("[COPYUID").then_some(()))?;
            code.split(']').next()?.split(' ').next_back()
        });
        Ok(code.map(expanded).unwrap_or_default())
    }

    /// A change was acknowledged.
    fn apply(&mut self, change: &Change, uids: &[u32]) -> io::Result<()> {
        let (boxes, new) = after(&self.boxes, change);
        self.boxes = boxes;
        if let Some((which, items)) = new {
            if uids.len() != items.len() || uids.iter().any(|uid| *uid <= self.highest[which]) {
                return Err(io::Error::other(format!(
                    "{change:?}: {} messages were given the UIDs {uids:?} behind {}",
                    items.len(),
                    self.highest[which]
                )));
            }
            for (uid, item) in uids.iter().zip(items) {
                self.highest[which] = *uid;
                self.known[which].insert(*uid, item.name.clone());
                self.boxes[which].insert(*uid, item);
            }
        }
        self.pending = None;
        self.changes += 1;
        Ok(())
    }

    /// After a restart: what is not as it must be. What was in doubt is decided.
    ///
    /// # Errors
    /// When the server does not tell.
    pub fn judge(&mut self, talk: &mut Talk) -> io::Result<Faults> {
        let mut found: [Mailbox; 2] = Default::default();
        let mut faults = Faults::default();
        for (which, found) in found.iter_mut().enumerate() {
            let mailbox = self.mailbox(which);
            talk.say(format!("a SELECT {mailbox}\r\n").as_bytes())?;
            let told = talk.imap_answer()?;
            let validity =
                told.iter().find_map(|line| line.split_once("[UIDVALIDITY ")).map(|(_, rest)| rest.to_owned());
            if *self.validity[which].get_or_insert_with(|| validity.clone().unwrap_or_default())
                != validity.unwrap_or_default()
            {
                faults.twice.push(format!("{mailbox}: another UIDVALIDITY"));
            }
            if told.iter().any(|line| line.trim_end() == "* 0 EXISTS") {
                continue;
            }
            talk.say(b"a UID FETCH 1:* (UID FLAGS BODY.PEEK[])\r\n")?;
            for message in talk.imap_messages()? {
                let Some(name) = letters::name_of(&message.octets) else {
                    faults.torn.push(format!("{mailbox}: {} is torn", message.uid));
                    continue;
                };
                if self.known[which].get(&message.uid).is_some_and(|known| *known != name) {
                    faults.twice.push(format!("{mailbox}: {} is {name} now", message.uid));
                }
                found.insert(message.uid, Item { name, flags: message.flags });
            }
        }
        let pending = self.pending.take();
        let done = pending.as_ref().map(|change| after(&self.boxes, change));
        let fits = self.fits(&found, &self.boxes, None)
            || done.as_ref().is_some_and(|(boxes, new)| self.fits(&found, boxes, new.as_ref()));
        if !fits {
            self.compare(&found, pending.as_ref(), &mut faults);
        }
        for (which, found) in found.iter().enumerate() {
            self.known[which].extend(found.iter().map(|(uid, item)| (*uid, item.name.clone())));
            let last = found.keys().next_back().copied().unwrap_or(0);
            self.highest[which] = self.highest[which].max(last);
        }
        self.boxes = found;
        self.archive_is_kept_small(talk)?;
        Ok(faults)
    }

    /// The archive, which is selected, is emptied; that must last, too.
    fn archive_is_kept_small(&mut self, talk: &mut Talk) -> io::Result<()> {
        if self.boxes[1].len() < FULL {
            return Ok(());
        }
        talk.imap("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
        talk.imap("EXPUNGE")?;
        self.boxes[1].clear();
        self.changes += 2;
        Ok(())
    }

    /// Whether this is there and nothing else, `new` at the end of its mailbox.
    fn fits(&self, found: &[Mailbox; 2], expected: &[Mailbox; 2], new: Option<&(usize, Vec<Item>)>) -> bool {
        (0..2).all(|which| {
            let new = new.filter(|(other, _)| *other == which).map_or(&[][..], |(_, items)| items);
            let there = expected[which].iter().all(|(uid, item)| found[which].get(uid) == Some(item));
            let more = found[which].iter().filter(|(uid, _)| !expected[which].contains_key(uid));
            let more: Vec<_> = more.collect();
            there
                && more.len() == new.len()
                && more.iter().zip(new).all(|((uid, item), new)| **uid > self.highest[which] && *item == new)
        })
    }

    /// What is wrong.
    fn compare(&self, found: &[Mailbox; 2], pending: Option<&Change>, faults: &mut Faults) {
        for (which, found) in found.iter().enumerate() {
            let mailbox = self.mailbox(which);
            for (uid, item) in &self.boxes[which] {
                match found.get(uid) {
                    None => faults.lost.push(format!("{mailbox}: {uid} {item:?} is gone; in doubt is {pending:?}")),
                    Some(other) if other != item => {
                        faults.undone.push(format!("{mailbox}: {uid} {item:?} is {other:?}; in doubt is {pending:?}"));
                    }
                    Some(_) => {}
                }
            }
            for (uid, item) in found.iter().filter(|(uid, _)| !self.boxes[which].contains_key(uid)) {
                faults.undone.push(format!("{mailbox}: {uid} {item:?} is there again; in doubt is {pending:?}"));
            }
        }
    }
}

/// What a judge found, in words.
#[derive(Debug, Default)]
pub struct Faults {
    /// Acknowledged and gone.
    pub lost: Vec<String>,
    /// Altered.
    pub torn: Vec<String>,
    /// Changes that were taken back.
    pub undone: Vec<String>,
    /// UIDs that are not one message's for ever.
    pub twice: Vec<String>,
}

/// The mailboxes after a change; and what is new in which, whose UIDs nobody knows yet.
fn after(boxes: &[Mailbox; 2], change: &Change) -> ([Mailbox; 2], Option<(usize, Vec<Item>)>) {
    let mut boxes = boxes.clone();
    let new = match change {
        Change::Append(items) => Some((0, items.clone())),
        Change::Flags(uid, flags) => {
            if let Some(item) = boxes[0].get_mut(uid) {
                item.flags.clone_from(flags);
            }
            None
        }
        Change::Copy(uid) => Some((1, boxes[0].get(uid).cloned().into_iter().collect())),
        Change::Move(uid) => Some((1, boxes[0].remove(uid).into_iter().collect())),
        Change::Expunge(uids) => {
            boxes[0].retain(|uid, _| !uids.contains(uid));
            None
        }
    };
    (boxes, new)
}

fn joined(flags: &BTreeSet<String>) -> String {
    flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The numbers of a set, in its order.
fn expanded(set: &str) -> Vec<u32> {
    let run = |run: &str| {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    set.split(',').filter_map(run).flatten().collect()
}
