//! The ledger: what was promised to whom, and what has become of it.
//!
//! It believes nobody. What was accepted it knows from the replies that people heard, what was delivered from what their
//! devices read and from what the disks were given, and what a server heard from its next hop from the octets on the wire.
//! Each promise that is broken is written down, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use pillarbox_core::Mono;
use pillarbox_core::ops::{AccountId, Attempted, RowId};

use crate::copies::{self, Copies, Has};
use crate::letter::{Found, Letter, Stamp, recognize};
use crate::meter::Meter;
use crate::told::{Folder, Memories, Told};

/// Violations that are written down; a world that is broken breaks everything.
const VIOLATIONS: usize = 20;

/// The numbers of letters that devices file themselves begin here.
const FIRST_DRAFT: u32 = 3_000_000_000;

/// A message that somebody has read: a letter, or a report about one; and which copy of it.
pub(crate) type Read = (Letter, Stamp);

/// Somebody with a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UserId(pub(crate) usize);

/// How the submission of a letter ended, for the one who wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was not offered.
    #[default]
    Unsent,
    /// It was offered, and the reply never came.
    Unknown,
    /// 250.
    Accepted,
    /// Refused.
    Refused,
}

/// A letter in the ledger.
#[derive(Clone, Debug)]
struct Entry {
    from: UserId,
    /// How long it is; the rest follows from its number.
    octets: usize,
    outcome: Outcome,
    /// When it was handed over.
    at: Mono,
    /// Those who were accepted as its recipients, and whose address that is: one of theirs, where it is now one's and now
    /// another's; nobody's, where nobody has it.
    to: Vec<(String, Vec<UserId>)>,
    /// Addresses of recipients that it was reported not to have reached.
    reported: BTreeSet<String>,
    /// Addresses of recipients for whom an operator has taken it out of a queue.
    taken_out: BTreeSet<String>,
    /// An operator has taken out a report about it, and nobody knows what that said.
    untold: bool,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Letters that were accepted.
    pub accepted: u64,
    /// Letters whose writers never heard.
    pub unknown: u64,
    /// Letters that were refused.
    pub refused: u64,
    /// Copies that reached an INBOX.
    pub delivered: u64,
    /// Of them, those of a letter that was there already, where a crash or a lost reply allows it.
    pub doubled: u64,
    /// Recipients whose failure was reported to the sender.
    pub reported: u64,
    /// Messages that devices read.
    pub read: u64,
}

impl Counts {
    /// Those of another world on top.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.delivered += other.delivered;
        self.doubled += other.doubled;
        self.reported += other.reported;
        self.read += other.read;
    }
}

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    users: Vec<String>,
    by_address: BTreeMap<String, Vec<UserId>>,
    /// Nobody reads what they get, and strangers write to them as well.
    guests: BTreeSet<UserId>,
    accounts: BTreeMap<(usize, AccountId), UserId>,
    letters: BTreeMap<Letter, Entry>,
    copies: BTreeMap<(UserId, Letter, Stamp), Copies>,
    /// What IMAP devices were told of somebody's mailboxes.
    told: BTreeMap<(UserId, Folder), Told>,
    /// What devices remember until their next visit; nothing while one is in use.
    devices: BTreeMap<(UserId, usize), Option<Memories>>,
    /// Letters that devices have filed themselves.
    drafts: u32,
    /// Letters for which a next hop's 250 was heard, by machine and recipient, since it was last started.
    heard: BTreeSet<(usize, Letter, String)>,
    violations: Vec<String>,
    counts: Counts,
    /// The time.
    pub(crate) now: Mono,
    /// Who counts what happens when, if anybody does.
    pub(crate) meter: Option<Box<Meter>>,
}

impl Ledger {
    /// Somebody gets an account.
    pub(crate) fn user(&mut self, address: &str, host: usize, account: AccountId) -> UserId {
        let user = UserId(self.users.len());
        self.users.push(address.to_owned());
        self.known_as(user, address);
        self.has_account(user, host, account);
        user
    }

    /// Somebody has an account of whose mail nobody asks what it is.
    pub(crate) fn guest(&mut self, address: &str, host: usize, account: AccountId) -> UserId {
        let guest = self.user(address, host, account);
        self.guests.insert(guest);
        guest
    }

    /// He gets this account.
    pub(crate) fn has_account(&mut self, user: UserId, host: usize, account: AccountId) {
        self.accounts.insert((host, account), user);
    }

    /// He has this address, too, or has it at times.
    pub(crate) fn known_as(&mut self, user: UserId, address: &str) {
        self.by_address.entry(address.to_owned()).or_default().push(user);
    }

    /// Somebody without a mailbox.
    pub(crate) fn somebody(&mut self, name: &str) -> UserId {
        self.users.push(name.to_owned());
        UserId(self.users.len() - 1)
    }

    /// His address.
    #[must_use]
    pub(crate) fn address(&self, user: UserId) -> &str {
        &self.users[user.0]
    }

    /// The promises that were broken.
    #[must_use]
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// What was counted.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// A promise is broken.
    pub(crate) fn violated(&mut self, how: String) {
        if self.violations.len() < VIOLATIONS {
            self.violations.push(how);
        }
    }

    // What people say.

    /// Somebody has written a letter.
    pub(crate) fn wrote(&mut self, letter: Letter, from: UserId, octets: usize) {
        let (outcome, at) = (Outcome::Unsent, self.now);
        let entry = Entry {
            from,
            octets,
            outcome,
            at,
            to: Vec::new(),
            reported: BTreeSet::new(),
            taken_out: BTreeSet::new(),
            untold: false,
        };
        self.letters.insert(letter, entry);
    }

    /// This address was taken as a recipient of it.
    pub(crate) fn addressed(&mut self, letter: Letter, to: &str) {
        let users = self.by_address.get(to).cloned().unwrap_or_default();
        if let Some(entry) = self.letters.get_mut(&letter) {
            entry.to.push((to.to_owned(), users));
        }
    }

    /// So it ended.
    pub(crate) fn submitted(&mut self, letter: Letter, outcome: Outcome) {
        match outcome {
            Outcome::Unsent => {}
            Outcome::Unknown => self.counts.unknown += 1,
            Outcome::Accepted => self.counts.accepted += 1,
            Outcome::Refused => self.counts.refused += 1,
        }
        if let Some(meter) = &mut self.meter {
            meter.submitted(self.now, outcome);
        }
        if let Some(entry) = self.letters.get_mut(&letter) {
            entry.outcome = outcome;
            if outcome == Outcome::Unsent {
                entry.at = self.now;
            }
        }
    }

    /// A device has read this message in his mailbox; which it was.
    pub(crate) fn read(&mut self, user: UserId, message: &[u8]) -> Option<Read> {
        self.counts.read += 1;
        match recognize(message) {
            Found::Letter(letter, at) => {
                let Some(entry) = self.letters.get(&letter) else {
                    self.violated(format!("{letter:?} was never written, and {} has it", self.address(user)));
                    return None;
                };
                if message[at..] != letter.text(entry.octets) {
                    let has = String::from_utf8_lossy(&message[at..]).into_owned();
                    self.violated(format!("{letter:?} was altered on its way to {}: {has:?}", self.address(user)));
                }
                self.check_owner(user, letter);
                Some((letter, Stamp::of(message)))
            }
            Found::Report(letter) => {
                self.check_report(user, letter);
                Some((letter, Stamp::of(message)))
            }
            Found::Something => {
                let has = String::from_utf8_lossy(message).into_owned();
                self.violated(format!("{} has a message of nobody's: {has:?}", self.address(user)));
                None
            }
        }
    }

    /// He has removed it from his INBOX by POP3; `told` when he was told that it is gone.
    pub(crate) fn removed(&mut self, user: UserId, (letter, stamp): Read, told: bool) {
        let copies = self.copies.entry((user, letter, stamp)).or_default();
        *if told { &mut copies.removed } else { &mut copies.perhaps_removed } += 1;
    }

    // What IMAP devices do and are told.

    /// What devices were told of a mailbox of his.
    pub(crate) fn told(&mut self, user: UserId, folder: Folder) -> &mut Told {
        self.told.entry((user, folder)).or_default()
    }

    /// He takes this device into his hands, unless it is in use; what it remembers.
    pub(crate) fn takes_device(&mut self, user: UserId, device: usize) -> Option<Memories> {
        self.devices.entry((user, device)).or_insert_with(|| Some(Memories::default())).take()
    }

    /// He lays it down.
    pub(crate) fn lays_down_device(&mut self, user: UserId, device: usize, memories: Memories) {
        self.devices.insert((user, device), Some(memories));
    }

    /// Devices that were ever used.
    pub(crate) fn devices(&self) -> Vec<(UserId, usize)> {
        self.devices.keys().copied().collect()
    }

    /// He writes a letter to himself that goes through nobody's hands.
    pub(crate) fn drafts(&mut self, user: UserId, octets: usize) -> Letter {
        let letter = Letter(FIRST_DRAFT + self.drafts);
        self.drafts += 1;
        self.wrote(letter, user, octets);
        let address = self.address(user).to_owned();
        self.addressed(letter, &address);
        letter
    }

    /// What such a letter is when it has been filed.
    pub(crate) fn draft(&self, letter: Letter) -> Read {
        let octets = self.letters.get(&letter).map_or(0, |entry| entry.octets);
        (letter, Stamp::of(&letter.text(octets)))
    }

    /// His device has filed it in his INBOX, or perhaps it has.
    pub(crate) fn appended(&mut self, user: UserId, letter: Letter, told: bool) {
        if let Some(entry) = self.letters.get_mut(&letter) {
            entry.outcome = if told { Outcome::Accepted } else { Outcome::Unknown };
        }
        let (_, stamp) = self.draft(letter);
        let copies = self.copies.entry((user, letter, stamp)).or_default();
        *if told { &mut copies.delivered } else { &mut copies.perhaps_delivered } += 1;
    }

    /// His device has filed one more copy of it in his archive, or perhaps it has.
    pub(crate) fn archived(&mut self, user: UserId, (letter, stamp): Read, told: bool) {
        let copies = self.copies.entry((user, letter, stamp)).or_default();
        *if told { &mut copies.archived } else { &mut copies.perhaps_archived } += 1;
    }

    // What the disks are given.

    /// A message that begins like this is in the INBOX of this account, on disk.
    pub(crate) fn filed(&mut self, host: usize, account: AccountId, head: &[u8]) {
        let Some(&user) = self.accounts.get(&(host, account)) else {
            return self.violated(format!("machine {host} delivers to an account that nobody has"));
        };
        match recognize(head) {
            Found::Letter(letter, _) => {
                self.check_owner(user, letter);
                self.counts.delivered += 1;
                self.counts.doubled += u64::from(self.delivered(user, letter) > 0);
                self.copies.entry((user, letter, Stamp::of(head))).or_default().delivered += 1;
                if let (Some(meter), Some(entry)) = (&mut self.meter, self.letters.get(&letter)) {
                    let took = Duration::from_nanos(self.now.0.saturating_sub(entry.at.0));
                    let domain = |user: UserId| self.users[user.0].split_once('@').map(|(_, domain)| domain);
                    meter.delivered(self.now, took, domain(entry.from) == domain(user));
                }
            }
            Found::Report(letter) => {
                self.check_report(user, letter);
                let report = self.copies.entry((user, letter, Stamp::of(head))).or_default();
                (report.is_report, report.delivered) = (true, report.delivered + 1);
                let text = String::from_utf8_lossy(head);
                for line in text.lines() {
                    if let (Some(meter), Some(status)) = (&mut self.meter, line.strip_prefix("Status: ")) {
                        meter.bounced(self.now, status.trim());
                    }
                    let Some((_, address)) = line.split_once("Final-Recipient: ").and_then(|(_, r)| r.split_once("; "))
                    else {
                        continue;
                    };
                    self.reported(letter, address.trim());
                }
            }
            Found::Something if self.guests.contains(&user) => {}
            Found::Something => self.violated(format!("{} gets a message of nobody's", self.address(user))),
        }
    }

    /// An operator takes this out of a queue, where it waited for this recipient.
    pub(crate) fn taken_out(&mut self, head: &[u8], recipient: &str) {
        match recognize(head) {
            Found::Letter(letter, _) => {
                if let Some(entry) = self.letters.get_mut(&letter) {
                    entry.taken_out.insert(recipient.to_owned());
                }
            }
            Found::Report(letter) => {
                if let Some(entry) = self.letters.get_mut(&letter) {
                    entry.untold = true;
                }
            }
            Found::Something => {}
        }
    }

    fn reported(&mut self, letter: Letter, address: &str) {
        let Some(entry) = self.letters.get_mut(&letter) else { return };
        self.counts.reported += 1;
        if !entry.to.iter().any(|(to, _)| to == address) && entry.outcome != Outcome::Unknown {
            return self.violated(format!("{letter:?} was never for {address}, and yet it is reported"));
        }
        if !entry.reported.insert(address.to_owned()) {
            self.violated(format!("{letter:?} is reported twice for {address}"));
        }
    }

    /// A machine has written down what became of a row of its queue.
    pub(crate) fn attempted(&mut self, host: usize, row: RowId, attempted: &Attempted) {
        let Some(meter) = &mut self.meter else { return };
        match attempted {
            Attempted::Finished => meter.finished(host, row),
            Attempted::Retry { .. } => meter.deferred(self.now, host, row),
        }
    }

    // What goes over the wire.

    /// A server gives a letter to its next hop for these recipients.
    pub(crate) fn offered(&mut self, host: usize, letter: Letter, recipients: &[String]) {
        for recipient in recipients {
            if self.heard.contains(&(host, letter, recipient.clone())) {
                self.violated(format!(
                    "machine {host} sends {letter:?} to {recipient} again, though it was told that it has arrived"
                ));
            }
        }
    }

    /// It hears that the next hop has it.
    pub(crate) fn taken(&mut self, host: usize, letter: Letter, recipients: &[String]) {
        self.heard.extend(recipients.iter().map(|recipient| (host, letter, recipient.clone())));
    }

    /// It has written down that a recipient of it is done with, and forgets him.
    pub(crate) fn finished(&mut self, host: usize, letter: Letter, recipient: &str) {
        self.heard.remove(&(host, letter, recipient.to_owned()));
    }

    /// A machine has died, and with it what it heard and had not written down.
    pub(crate) fn forgot(&mut self, host: usize) {
        self.heard.retain(|(of, ..)| *of != host);
    }

    // The end.

    /// At rest, this is all that he has. Each promise is looked at.
    pub(crate) fn settle_user(&mut self, user: UserId, has: &[Has]) {
        let copies = of_user(&self.copies, user, Letter(u32::MIN)..=Letter(u32::MAX));
        let told = Folder::ALL.map(|folder| self.told.remove(&(user, folder)).unwrap_or_default());
        let mut wrong = copies::settle(copies, &told, has);
        for ((_, device), memories) in self.devices.range((user, usize::MIN)..=(user, usize::MAX)) {
            for memory in memories.iter().flat_map(|memories| memories.values()) {
                wrong.extend(memory.differs(has).map(|how| format!("{how} at his device {device}")));
            }
        }
        for how in wrong {
            self.violated(format!("{} {how}", self.address(user)));
        }
    }

    /// At rest, with empty queues: each letter that was accepted is where it belongs, or its sender was told.
    pub(crate) fn settle(&mut self) {
        let mut wrong = Vec::new();
        for ((user, letter, _), _) in self.copies.iter().filter(|(_, copies)| copies.is_letter()) {
            if self.letters.get(letter).is_some_and(|entry| entry.outcome == Outcome::Refused) {
                wrong.push(format!("{letter:?} was refused, and {} has it", self.address(*user)));
            }
        }
        for (letter, entry) in &self.letters {
            if entry.outcome != Outcome::Accepted {
                continue;
            }
            for (address, users) in &entry.to {
                let delivered = users.iter().any(|user| self.delivered(*user, *letter) > 0);
                let taken_out = entry.untold || entry.taken_out.contains(address);
                if !delivered && !taken_out && !entry.reported.contains(address) {
                    let from = self.address(entry.from);
                    wrong.push(format!("{letter:?} of {from} to {address} was accepted, and is lost"));
                }
            }
        }
        wrong.into_iter().for_each(|how| self.violated(how));
    }

    /// What became of each letter, in words.
    pub(crate) fn fates(&self) -> Vec<String> {
        let fate = |(letter, entry): (&Letter, &Entry)| {
            let became = |(address, users): &(String, Vec<UserId>)| {
                let times = users.iter().map(|user| self.delivered(*user, *letter)).sum::<u32>();
                let reported = entry.reported.contains(address);
                match (times, reported) {
                    (0, false) if entry.taken_out.contains(address) => format!("{address} taken out of a queue"),
                    (0, false) => format!("{address} has nothing"),
                    (0, true) => format!("{address} reported"),
                    (1, false) => format!("{address} delivered"),
                    (1, true) => format!("{address} delivered and reported"),
                    (times, _) => format!("{address} delivered {times} times"),
                }
            };
            let to: Vec<_> = entry.to.iter().map(became).collect();
            let from = self.address(entry.from);
            let outcome = match entry.outcome {
                Outcome::Unsent => "never offered",
                Outcome::Unknown => "never heard what became of it",
                Outcome::Accepted => "accepted",
                Outcome::Refused => "refused",
            };
            format!("{letter:?} of {from}: {}", [&[outcome.to_owned()], &to[..]].concat().join(", "))
        };
        self.letters.iter().map(fate).collect()
    }

    /// How often it has reached his INBOX.
    fn delivered(&self, user: UserId, letter: Letter) -> u32 {
        let copies = of_user(&self.copies, user, letter..=letter);
        copies.filter(|(.., copies)| copies.is_letter()).map(|(.., copies)| copies.delivered).sum()
    }

    fn check_owner(&mut self, user: UserId, letter: Letter) {
        let Some(entry) = self.letters.get(&letter) else {
            return self.violated(format!("{letter:?} was never written"));
        };
        if !entry.to.iter().any(|(_, to)| to.contains(&user)) {
            self.violated(format!("{letter:?} is at {}, for whom it is not", self.address(user)));
        }
    }

    fn check_report(&mut self, user: UserId, letter: Letter) {
        match self.letters.get(&letter) {
            Some(entry) if entry.from == user => {}
            _ => self.violated(format!("a report about {letter:?} is at {}, who has not sent it", self.address(user))),
        }
    }
}

/// His copies of these letters, and of reports about them.
fn of_user(
    copies: &BTreeMap<(UserId, Letter, Stamp), Copies>,
    user: UserId,
    letters: RangeInclusive<Letter>,
) -> impl Iterator<Item = (Letter, Stamp, &Copies)> {
    let (first, last) = letters.into_inner();
    let range = (user, first, Stamp::FIRST)..=(user, last, Stamp::LAST);
    copies.range(range).map(|((_, letter, stamp), copies)| (*letter, *stamp, copies))
}
