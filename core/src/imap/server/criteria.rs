//! Searching criteria (RFC 9051 §6.4.4), and what can be said of messages by what is known of them.
//!
//! Of some messages a key can say that they match, of some that they do not, and of the rest nothing, until more is known.
//! It says so of sets of messages at once ([`Verdict`]). What costs nothing is known first: numbers, UIDs, `$`; then what
//! stands in the entries of messages, then their Date fields, and only of those that are left the texts in them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::commands::no_such_number;
use super::reply::Completion;
use super::terms;
use super::view::View;
use crate::imap::types::{
    AddressField, Charset, Code, Date, DateField, Enabled, Flag, ObjectId, Search, SearchKey, SequenceSet, When,
};
use crate::mailbox::{Entry, FlagSet, Keyword, Keywords, ModSeq, PAGE, UidSet};
use crate::mark;
use crate::message::TextKey;
use crate::ops::{EmailId, Id, ThreadId};
use crate::time::Wall;

/// Different texts in one search at most: each of them is looked for in every message.
const TEXTS: usize = 256;

/// Messages times keys that are judged in one turn.
const WORK: usize = 64 * 1024;

/// What a search looks for.
#[derive(Debug)]
pub(super) struct Criteria {
    /// All of these must match: those that need no text.
    cheap: Key,
    /// And those that need one.
    deep: Key,
    /// The texts that they mean.
    pub(super) texts: Arc<[TextKey]>,
    pub(super) needs: Needs,
    /// Only messages that have changed after this can match.
    pub(super) changed_since: Option<ModSeq>,
    /// A mod-sequence is asked for: that of what is found is told.
    pub(super) modseq: bool,
    /// Messages that are judged in one turn.
    pub(super) window: u32,
}

/// What must be known for a final verdict, in the order of its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) entries: bool,
    pub(super) dates: bool,
    pub(super) texts: bool,
    /// The texts alone do not decide it: the entries must still be at hand.
    pub(super) mixed: bool,
}

/// What is known of messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// `$`
    pub(super) saved: &'a UidSet,
    /// The entries of a page.
    pub(super) page: Option<&'a Page>,
    /// For each text, the messages that hold it.
    pub(super) texts: Option<&'a [UidSet]>,
}

/// Entries of messages, ascending.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) keywords: Keywords,
    /// The days of their Date fields, in the same order, once they are known.
    pub(super) sent: Option<Vec<Option<Date>>>,
}

/// What is said of messages; those that are in neither set do not match.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// They match.
    pub(super) yes: UidSet,
    /// More must be known of them.
    pub(super) maybe: UidSet,
}

/// A key, ready to be held against messages.
#[derive(Debug)]
enum Key {
    All,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// These messages, and perhaps others that are not in the view.
    These(UidSet),
    Saved,
    Entry(Fact),
    /// By the Date field.
    Sent(When, Date),
    /// The text with this index.
    Text(usize),
}

/// What an entry says by itself.
#[derive(Debug)]
enum Fact {
    /// It has all of these.
    Flags(FlagSet),
    Keyword(Keyword),
    Received(When, Date),
    Saved(When, Date),
    /// Its internal date is this second or later.
    Since(i64),
    /// Its internal date is this second or earlier.
    Until(i64),
    Larger(u64),
    Smaller(u64),
    Changed(ModSeq),
    Email(EmailId),
    Thread(ThreadId),
}

impl Criteria {
    /// What the client asks for, as of now.
    pub(super) fn new(search: &Search, view: &View, enabled: Enabled, now: Wall) -> Result<Self, Completion> {
        if search.charset != Charset::Unsaid && enabled.utf8_accept {
            return mark!(ImapCharsetSaid, Err(Completion::bad("After ENABLE UTF8=ACCEPT no charset is said")));
        }
        if let Charset::Other(_) = search.charset {
            return Err(bad_charset());
        }
        let mut reader = Reader { view, charset: &search.charset, now, texts: Vec::new(), keys: 0 };
        let key = reader.key(&search.key)?;
        let Reader { texts, keys, .. } = reader;
        let (deep, cheap): (Vec<_>, Vec<_>) = match key {
            Key::And(keys) => keys.into_iter().partition(|key| key.price() == TEXT),
            key => Vec::from([key]).into_iter().partition(|key| key.price() == TEXT),
        };
        let (cheap, deep) = (Key::And(cheap), Key::And(deep));
        let has = |price| cheap.any(price) || deep.any(price);
        let modseq = search.key.any(&mut |key| matches!(key, SearchKey::Modseq(_)));
        let needs = Needs {
            entries: has(ENTRY),
            dates: has(DATE),
            texts: deep.any(TEXT),
            mixed: deep.any(ENTRY) || deep.any(DATE) || modseq,
        };
        let changed_since = cheap.changed_since();
        let window = u32::try_from(WORK / keys.max(1)).unwrap_or(PAGE).clamp(1, PAGE);
        Ok(Self { cheap, deep, texts: texts.into(), needs, changed_since, modseq, window })
    }

    /// What can be said of the messages in `scope`, all of which are there.
    pub(super) fn judge(&self, scope: UidSet, known: Known<'_>) -> Verdict {
        let first = match known.texts {
            // The texts were asked for because the rest does match.
            Some(_) => Verdict { yes: scope, maybe: UidSet::default() },
            None => self.cheap.judge(&scope, known),
        };
        let mut verdict = first.and(|live| self.deep.judge(live, known));
        if self.modseq && known.page.is_none() {
            // The mod-sequence of what is found must be known as well.
            verdict.maybe.add(&core::mem::take(&mut verdict.yes));
        }
        verdict
    }
}

impl Verdict {
    /// Both this and another one, which is asked only about messages of which this one is not a no.
    fn and(self, other: impl FnOnce(&UidSet) -> Self) -> Self {
        let mut live = self.yes.clone();
        live.add(&self.maybe);
        if live.is_empty() {
            return Self::default();
        }
        let other = other(&live);
        let yes = self.yes.intersection(&other.yes);
        let mut maybe = other.yes;
        maybe.add(&other.maybe);
        maybe.remove(&yes);
        Self { yes, maybe }
    }
}

/// What it costs to know: nothing, entries, entries and Date fields, texts.
type Price = u8;
const FREE: Price = 0;
const ENTRY: Price = 1;
const DATE: Price = 2;
const TEXT: Price = 3;

impl Key {
    /// Matches nothing.
    fn nothing() -> Self {
        Self::These(UidSet::default())
    }

    /// What the dearest key in here costs.
    fn price(&self) -> Price {
        match self {
            Self::All | Self::These(_) | Self::Saved => FREE,
            Self::Entry(_) => ENTRY,
            Self::Sent(..) => DATE,
            Self::Text(_) => TEXT,
            Self::Not(key) => key.price(),
            Self::And(keys) | Self::Or(keys) => keys.iter().map(Self::price).max().unwrap_or(FREE),
        }
    }

    /// Whether a key in here costs just that.
    fn any(&self, price: Price) -> bool {
        match self {
            Self::Not(key) => key.any(price),
            Self::And(keys) | Self::Or(keys) => keys.iter().any(|key| key.any(price)),
            key => key.price() == price,
        }
    }

    fn changed_since(&self) -> Option<ModSeq> {
        let Self::And(keys) = self else { return None };
        let changed = |key: &Self| if let Self::Entry(Fact::Changed(at)) = key { at.checked_sub(1) } else { None };
        keys.iter().filter_map(changed).max()
    }

    /// Nests no deeper than [`SearchKey::MAX_DEPTH`] allows.
    fn judge(&self, scope: &UidSet, known: Known<'_>) -> Verdict {
        let yes = |yes| Verdict { yes, maybe: UidSet::default() };
        let maybe = || Verdict { yes: UidSet::default(), maybe: scope.clone() };
        match self {
            Self::All => yes(scope.clone()),
            Self::These(uids) => yes(scope.intersection(uids)),
            Self::Saved => yes(scope.intersection(known.saved)),
            Self::Entry(fact) => match known.page {
                Some(page) => yes(page.those(scope, |_, entry| fact.holds(entry, &page.keywords))),
                None => maybe(),
            },
            Self::Sent(when, date) => match known.page.and_then(|page| Some((page, page.sent.as_ref()?))) {
                Some((page, sent)) => yes(page.those(scope, |at, _| {
                    // A message without a date was sent on no day.
                    sent.get(at).copied().flatten().is_some_and(|sent| compare(sent, *when, *date))
                })),
                None => maybe(),
            },
            Self::Text(index) => match known.texts {
                Some(texts) => yes(texts.get(*index).map(|found| scope.intersection(found)).unwrap_or_default()),
                None => maybe(),
            },
            Self::Not(key) => {
                let Verdict { yes, maybe } = key.judge(scope, known);
                let mut no = scope.clone();
                no.remove(&yes);
                no.remove(&maybe);
                Verdict { yes: no, maybe }
            }
            Self::And(keys) => {
                keys.iter().fold(yes(scope.clone()), |verdict, key| verdict.and(|live| key.judge(live, known)))
            }
            Self::Or(keys) => {
                let (mut open, mut both) = (scope.clone(), Verdict::default());
                for key in keys {
                    let Verdict { yes, maybe } = key.judge(&open, known);
                    open.remove(&yes);
                    both.yes.add(&yes);
                    both.maybe.add(&maybe);
                    if open.is_empty() {
                        break;
                    }
                }
                both.maybe.remove(&both.yes);
                both
            }
        }
    }
}

impl Page {
    /// Messages of `scope` of which this is true.
    fn those(&self, scope: &UidSet, mut is_true: impl FnMut(usize, &Entry) -> bool) -> UidSet {
        let (Some(first), Some(last)) = (scope.first(), scope.last()) else { return UidSet::default() };
        let from = self.entries.partition_point(|entry| entry.uid < first);
        let entries = self.entries.iter().enumerate().skip(from).take_while(|(_, entry)| entry.uid <= last);
        entries
            .filter(|(at, entry)| is_true(*at, entry) && scope.contains(entry.uid))
            .map(|(_, entry)| entry.uid)
            .collect()
    }
}

impl Fact {
    fn holds(&self, entry: &Entry, keywords: &Keywords) -> bool {
        match self {
            Self::Flags(flags) => entry.flags.contains(*flags),
            Self::Keyword(keyword) => keywords.flag(keyword).is_some_and(|flag| entry.flags.contains(flag)),
            Self::Received(when, date) => compare(Date::of(entry.received), *when, *date),
            Self::Saved(when, date) => compare(Date::of(entry.saved), *when, *date),
            Self::Since(second) => entry.received.seconds() >= *second,
            Self::Until(second) => entry.received.seconds() <= *second,
            Self::Larger(octets) => entry.size > *octets,
            Self::Smaller(octets) => entry.size < *octets,
            Self::Changed(modseq) => entry.modseq >= *modseq,
            Self::Email(id) => entry.email == *id,
            Self::Thread(id) => entry.thread == *id,
        }
    }
}

fn compare(date: Date, when: When, other: Date) -> bool {
    match when {
        When::Before => date < other,
        When::On => date == other,
        When::Since => date >= other,
    }
}

/// Makes keys of what the client wrote.
struct Reader<'a> {
    view: &'a View,
    charset: &'a Charset,
    now: Wall,
    texts: Vec<TextKey>,
    /// How many so far.
    keys: usize,
}

impl Reader<'_> {
    fn key(&mut self, key: &SearchKey) -> Result<Key, Completion> {
        self.keys += 1;
        Ok(match key {
            SearchKey::All | SearchKey::SaveDateSupported => Key::All,
            SearchKey::And(keys) => Key::And(self.keys(keys)?),
            SearchKey::Or(keys) => Key::Or(self.keys(keys)?),
            SearchKey::Not(key) => Key::Not(Box::new(self.key(key)?)),
            SearchKey::Sequence(set) => self.set(set, false)?,
            SearchKey::Uid(set) => self.set(set, true)?,
            SearchKey::Has(flag) => self.flag(flag),
            SearchKey::Lacks(flag) => Key::Not(Box::new(self.flag(flag))),
            SearchKey::Address(field, text) => {
                let name = match field {
                    AddressField::From => "from",
                    AddressField::To => "to",
                    AddressField::Cc => "cc",
                    AddressField::Bcc => "bcc",
                };
                let text = self.string(text)?;
                self.text(TextKey::Header { name: name.into(), text })?
            }
            SearchKey::Subject(text) => {
                let text = self.string(text)?;
                self.text(TextKey::Header { name: "subject".into(), text })?
            }
            SearchKey::Header { name, value } => {
                let (name, text) = (self.string(name)?, self.string(value)?);
                // No field has a name like that (RFC 5322 §2.2).
                if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':') {
                    return Ok(Key::nothing());
                }
                self.text(TextKey::Header { name, text })?
            }
            // What is empty is in everything.
            SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Key::All,
            SearchKey::Body(text) => {
                let text = self.string(text)?;
                self.text(TextKey::Body(text))?
            }
            SearchKey::Text(text) => {
                let text = self.string(text)?;
                self.text(TextKey::Text(text))?
            }
            SearchKey::Date(DateField::Sent, when, date) => Key::Sent(*when, *date),
            SearchKey::Date(DateField::Internal, when, date) => Key::Entry(Fact::Received(*when, *date)),
            SearchKey::Date(DateField::Saved, when, date) => Key::Entry(Fact::Saved(*when, *date)),
            SearchKey::Larger(octets) => Key::Entry(Fact::Larger(*octets)),
            SearchKey::Smaller(octets) => Key::Entry(Fact::Smaller(*octets)),
            SearchKey::Younger(seconds) => Key::Entry(Fact::Since(self.ago(*seconds))),
            SearchKey::Older(seconds) => Key::Entry(Fact::Until(self.ago(*seconds))),
            SearchKey::Modseq(modseq) => Key::Entry(Fact::Changed(modseq.value())),
            SearchKey::EmailId(id) => match stored_id(id, b'M') {
                Some(id) => Key::Entry(Fact::Email(EmailId(id))),
                None => Key::nothing(),
            },
            SearchKey::ThreadId(id) => match stored_id(id, b'T') {
                Some(id) => Key::Entry(Fact::Thread(ThreadId(id))),
                None => Key::nothing(),
            },
        })
    }

    /// Those that cost least come first: what they decide need not be looked into.
    fn keys(&mut self, keys: &[SearchKey]) -> Result<Vec<Key>, Completion> {
        let mut keys = keys.iter().map(|key| self.key(key)).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(Key::price);
        Ok(keys)
    }

    fn set(&self, set: &SequenceSet, uid: bool) -> Result<Key, Completion> {
        match set {
            SequenceSet::Saved => Ok(Key::Saved),
            set => self.view.span(set, uid).map(Key::These).ok_or_else(no_such_number),
        }
    }

    fn flag(&self, flag: &Flag) -> Key {
        if *flag == Flag::Recent {
            return Key::These(self.view.recent_uids());
        }
        match terms::flags(core::slice::from_ref(flag)) {
            Some((_, mut keywords)) if keywords.len() == 1 => {
                keywords.pop().map_or_else(Key::nothing, |keyword| Key::Entry(Fact::Keyword(keyword)))
            }
            Some((flags, _)) if !flags.is_empty() => Key::Entry(Fact::Flags(flags)),
            // No message has it: it cannot be kept.
            _ => Key::nothing(),
        }
    }

    fn ago(&self, seconds: u32) -> i64 {
        self.now.seconds().saturating_sub(i64::from(seconds))
    }

    /// A string in the charset of the search.
    fn string(&self, octets: &[u8]) -> Result<String, Completion> {
        let good = *self.charset != Charset::UsAscii || octets.is_ascii();
        match core::str::from_utf8(octets) {
            Ok(text) if good => Ok(text.into()),
            _ if *self.charset == Charset::Unsaid => Err(bad_charset()),
            _ => mark!(ImapNotInCharset, Err(Completion::bad("A string is not in the charset that was said"))),
        }
    }

    fn text(&mut self, text: TextKey) -> Result<Key, Completion> {
        if let Some(index) = self.texts.iter().position(|known| *known == text) {
            return Ok(Key::Text(index));
        }
        if self.texts.len() == TEXTS {
            return mark!(ImapTooManyTexts, Err(Completion::too_many("Too many texts are searched for")));
        }
        self.texts.push(text);
        Ok(Key::Text(self.texts.len() - 1))
    }
}

fn bad_charset() -> Completion {
    mark!(ImapBadCharset, Completion::no(Code::BadCharset(&["US-ASCII", "UTF-8"]), "That charset is not known here"))
}

/// The id that a client was told; `None` when it was told no such one.
fn stored_id(id: &ObjectId, kind: u8) -> Option<Id> {
    id.id(kind).map(|bits| Id::from_bytes(bits.to_be_bytes()))
}
