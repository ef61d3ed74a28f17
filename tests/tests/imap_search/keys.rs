//! Search keys: as a client writes them, and whether one message matches.

use pillarbox_core::Wall;
use pillarbox_core::imap::types::{Date, ObjectId};
use pillarbox_core::mailbox::{Entry, FlagSet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::world::{Client, DAY, Letter, NOW};

/// A key.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    All,
    And(Vec<Key>),
    Or(Box<Key>, Box<Key>),
    Not(Box<Key>),
    /// From one number to another; `None` is `*`.
    Sequence(Option<Index>, Option<Index>),
    Uid(Option<u32>, Option<u32>),
    Saved(bool),
    /// A name with a flag, and whether the message has it.
    Flag(&'static str, FlagSet, bool),
    Work(bool),
    Unknown(bool),
    /// RECENT, NEW, OLD.
    Recent(&'static str),
    /// Which date, how compared, days before now.
    Date(&'static str, &'static str, i64),
    Larger(u64),
    Smaller(u64),
    Younger(i64),
    Older(i64),
    /// The name of a key, or of a field, and a text.
    Field(&'static str, String),
    Header(&'static str, String),
    Body(String),
    Text(String),
    Modseq(u64),
    EmailId(Index),
    ThreadId(Index),
}

pub(crate) fn key() -> impl Strategy<Value = Key> {
    let leaf = prop_oneof![4 => cheap(), 4 => entry(), 4 => text()];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Key::And),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| Key::Or(Box::new(one), Box::new(other))),
            inner.prop_map(|key| Key::Not(Box::new(key))),
        ]
    })
}

fn cheap() -> impl Strategy<Value = Key> {
    let index = || proptest::option::weighted(0.8, any::<Index>());
    let uid = || proptest::option::weighted(0.8, 1..20_u32);
    prop_oneof![
        Just(Key::All),
        (index(), index()).prop_map(|(first, last)| Key::Sequence(first, last)),
        (uid(), uid()).prop_map(|(first, last)| Key::Uid(first, last)),
        any::<bool>().prop_map(Key::Saved),
        select(&["RECENT", "NEW", "OLD"][..]).prop_map(Key::Recent),
    ]
}

fn entry() -> impl Strategy<Value = Key> {
    let flags = [
        ("ANSWERED", FlagSet::ANSWERED),
        ("DELETED", FlagSet::DELETED),
        ("DRAFT", FlagSet::DRAFT),
        ("FLAGGED", FlagSet::FLAGGED),
        ("SEEN", FlagSet::SEEN),
    ];
    let seconds = || select(&[1, 59, 60, 61, DAY, 2 * DAY][..]);
    prop_oneof![
        4 => (select(Vec::from(flags)), any::<bool>()).prop_map(|((name, flag), has)| Key::Flag(name, flag, has)),
        1 => any::<bool>().prop_map(Key::Work),
        1 => any::<bool>().prop_map(Key::Unknown),
        3 => (select(&["", "SENT", "SAVED"][..]), select(&["BEFORE", "ON", "SINCE"][..]), -1..5_i64)
            .prop_map(|(date, when, days)| Key::Date(date, when, days)),
        1 => (100..160_u64).prop_map(Key::Larger),
        1 => (100..160_u64).prop_map(Key::Smaller),
        1 => seconds().prop_map(Key::Younger),
        1 => seconds().prop_map(Key::Older),
        1 => (0..30_u64).prop_map(Key::Modseq),
        1 => any::<Index>().prop_map(Key::EmailId),
        1 => any::<Index>().prop_map(Key::ThreadId),
    ]
}

fn text() -> impl Strategy<Value = Key> {
    let text = || select(&["apple", "PEAR", "plu", "ear p", "nobody"][..]).prop_map(str::to_owned);
    let header = || select(&["apple", "PEAR", "plu", "ear p", ""][..]).prop_map(str::to_owned);
    prop_oneof![
        (select(&["From", "To", "Cc", "Bcc", "Subject"][..]), text()).prop_map(|(field, text)| Key::Field(field, text)),
        (select(&["From", "Cc", "Subject", "Date", "X-None"][..]), header())
            .prop_map(|(field, text)| Key::Header(field, text)),
        text().prop_map(Key::Body),
        text().prop_map(Key::Text),
    ]
}

impl Key {
    /// As a client writes it who knows of so many messages.
    pub(crate) fn text(&self, exists: u32) -> String {
        let number = |index: &Option<Index>| match index {
            Some(index) if exists > 0 => (index.index(exists as usize) + 1).to_string(),
            _ => "*".to_owned(),
        };
        let uid = |uid: &Option<u32>| uid.map_or("*".to_owned(), |uid| uid.to_string());
        let not = |has: bool| if has { "" } else { "UN" };
        match self {
            Self::All => "ALL".to_owned(),
            Self::And(keys) => {
                let keys: Vec<_> = keys.iter().map(|key| key.text(exists)).collect();
                format!("({})", keys.join(" "))
            }
            Self::Or(one, other) => format!("OR {} {}", one.text(exists), other.text(exists)),
            Self::Not(key) => format!("NOT {}", key.text(exists)),
            Self::Sequence(first, last) => format!("{}:{}", number(first), number(last)),
            Self::Uid(first, last) => format!("UID {}:{}", uid(first), uid(last)),
            Self::Saved(uid) => if *uid { "UID $" } else { "$" }.to_owned(),
            Self::Flag(name, _, has) => format!("{}{name}", not(*has)),
            Self::Work(has) => format!("{}KEYWORD $work", not(*has)),
            Self::Unknown(has) => format!("{}KEYWORD Unknown", not(*has)),
            Self::Recent(name) => (*name).to_owned(),
            Self::Date(date, when, days) => format!("{date}{when} {}", day(*days)),
            Self::Larger(octets) => format!("LARGER {octets}"),
            Self::Smaller(octets) => format!("SMALLER {octets}"),
            Self::Younger(seconds) => format!("YOUNGER {seconds}"),
            Self::Older(seconds) => format!("OLDER {seconds}"),
            Self::Field(name, text) => format!("{name} \"{text}\""),
            Self::Header(name, text) => format!("HEADER {name} \"{text}\""),
            Self::Body(text) => format!("BODY \"{text}\""),
            Self::Text(text) => format!("TEXT \"{text}\""),
            Self::Modseq(modseq) => format!("MODSEQ {modseq}"),
            // Those of the store are counted from 1.
            Self::EmailId(index) => format!("EMAILID {}", ObjectId::of(b'M', index.index(60) as u128)),
            Self::ThreadId(index) => format!("THREADID {}", ObjectId::of(b'T', index.index(60) as u128)),
        }
    }

    /// The mod-sequence of what is found is told.
    pub(crate) fn wants_modseq(&self) -> bool {
        match self {
            Self::And(keys) => keys.iter().any(Self::wants_modseq),
            Self::Or(one, other) => one.wants_modseq() || other.wants_modseq(),
            Self::Not(key) => key.wants_modseq(),
            Self::Modseq(_) => true,
            _ => false,
        }
    }
}

fn day(days: i64) -> Date {
    Date::of(Wall((NOW - days * DAY) * 1000))
}

/// What there is, as the client knows it.
pub(crate) struct Truth {
    messages: Vec<(Entry, Letter)>,
    pub(crate) saved: Vec<u32>,
}

impl Truth {
    pub(crate) fn new(client: &Client) -> Self {
        let letter = |entry: &Entry| client.letters[&entry.uid].clone();
        let messages = client.entries().into_iter().map(|entry| (entry.clone(), letter(&entry))).collect();
        Self { messages, saved: Vec::new() }
    }

    pub(crate) fn exists(&self) -> u32 {
        self.messages.len() as u32
    }

    pub(crate) fn uids(&self) -> Vec<u32> {
        self.messages.iter().map(|(entry, _)| entry.uid).collect()
    }

    pub(crate) fn sequence(&self, uid: u32) -> u32 {
        1 + self.uids().iter().position(|known| *known == uid).expect("it is there") as u32
    }

    pub(crate) fn modseq(&self, uid: u32) -> u64 {
        self.messages[self.sequence(uid) as usize - 1].0.modseq
    }

    /// UIDs of the messages that match.
    pub(crate) fn found(&self, key: &Key) -> Vec<u32> {
        let matching = self.messages.iter().filter(|(entry, letter)| self.matches(key, entry, letter));
        matching.map(|(entry, _)| entry.uid).collect()
    }

    fn matches(&self, key: &Key, entry: &Entry, letter: &Letter) -> bool {
        let within = |number: u32, last: u32, a: Option<u32>, b: Option<u32>| {
            let (a, b) = (a.unwrap_or(last), b.unwrap_or(last));
            (a.min(b)..=a.max(b)).contains(&number)
        };
        let number = |index: &Index| index.index(self.messages.len()) as u32 + 1;
        let holds = |value: &str, text: &str| value.to_lowercase().contains(&text.to_lowercase());
        let date = letter.sent.map(Letter::date);
        let header = || {
            let fields = letter.header.iter().map(|(name, value)| (*name, value.as_str()));
            fields.chain(date.as_deref().map(|date| ("Date", date)))
        };
        let field = |name: &str, text: &str| header().any(|(field, value)| field == name && holds(value, text));
        match key {
            Key::All => true,
            Key::And(keys) => keys.iter().all(|key| self.matches(key, entry, letter)),
            Key::Or(one, other) => self.matches(one, entry, letter) || self.matches(other, entry, letter),
            Key::Not(key) => !self.matches(key, entry, letter),
            Key::Sequence(first, last) => {
                let (first, last) = (first.as_ref().map(number), last.as_ref().map(number));
                within(self.sequence(entry.uid), self.exists(), first, last)
            }
            Key::Uid(first, last) => within(entry.uid, self.uids()[self.messages.len() - 1], *first, *last),
            Key::Saved(_) => self.saved.contains(&entry.uid),
            Key::Flag(_, flag, has) => letter.flags.contains(*flag) == *has,
            Key::Work(has) => letter.work == *has,
            Key::Unknown(has) => !has,
            Key::Recent("RECENT") => !letter.old,
            Key::Recent("NEW") => !letter.old && !letter.flags.contains(FlagSet::SEEN),
            Key::Recent(_) => letter.old,
            Key::Date(which, when, days) => {
                let is = match *which {
                    "" => Date::of(Wall((NOW - letter.received) * 1000)),
                    "SAVED" => Date::of(Wall((NOW - letter.saved) * 1000)),
                    _ => match letter.sent {
                        Some(days) => day(days),
                        None => return false,
                    },
                };
                match *when {
                    "BEFORE" => is < day(*days),
                    "ON" => is == day(*days),
                    _ => is >= day(*days),
                }
            }
            Key::Larger(octets) => letter.text().len() as u64 > *octets,
            Key::Smaller(octets) => (letter.text().len() as u64) < *octets,
            Key::Younger(seconds) => letter.received <= *seconds,
            Key::Older(seconds) => letter.received >= *seconds,
            Key::Field(name, text) | Key::Header(name, text) => field(name, text),
            Key::Body(text) => holds(&letter.body, text),
            Key::Text(text) => holds(&letter.body, text) || header().any(|(_, value)| holds(value, text)),
            Key::Modseq(modseq) => entry.modseq >= *modseq,
            Key::EmailId(index) => u128::from_be_bytes(entry.email.0.to_bytes()) == index.index(60) as u128,
            Key::ThreadId(index) => u128::from_be_bytes(entry.thread.0.to_bytes()) == index.index(60) as u128,
        }
    }
}
