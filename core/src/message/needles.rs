//! Texts that are looked for, all at once: one automaton (Aho and Corasick, 1975) takes each octet of a message once,
//! however many texts there are, and keeps nothing of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use aho_corasick::automaton::{Automaton, Candidate, StateID};
use aho_corasick::nfa::contiguous::{Builder, NFA};
use aho_corasick::{Anchored, MatchKind, Span};

use super::fold::fold;
use super::search::{Matcher, TextKey};

/// Texts that are looked for, made ready once for any number of messages.
#[derive(Clone, Debug)]
pub struct Needles {
    /// None when no text has a letter.
    automaton: Option<NFA>,
    /// Octets of the longest text.
    longest: usize,
    /// For each text of the automaton, the keys that look for it.
    texts: Vec<Vec<usize>>,
    /// Where each key looks.
    pub(super) places: Vec<Where>,
    /// Names of the fields that keys look into, folded, in order.
    names: Vec<String>,
    /// Keys whose text is empty: whatever they look into has it.
    pub(super) empty: Vec<usize>,
}

/// Where a key looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// In the fields of one name, by its number.
    Header(usize),
    Body,
    Anywhere,
}

/// One way through the automaton.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    state: Option<StateID>,
    /// States in which something was found: nothing new is found in them a second time.
    seen: BTreeSet<StateID>,
}

impl Needles {
    /// For these keys.
    #[must_use]
    pub fn new(keys: &[TextKey]) -> Self {
        let name = |key: &TextKey| match key {
            TextKey::Header { name, .. } => Some(fold(name)),
            TextKey::Body(_) | TextKey::Text(_) => None,
        };
        let names: BTreeSet<String> = keys.iter().filter_map(name).collect();
        let names: Vec<String> = names.into_iter().collect();
        let mut texts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut places = Vec::with_capacity(keys.len());
        for (n, key) in keys.iter().enumerate() {
            let (place, text) = match key {
                TextKey::Header { name, text } => {
                    (Where::Header(names.binary_search(&fold(name)).unwrap_or(names.len())), text)
                }
                TextKey::Body(text) => (Where::Body, text),
                TextKey::Text(text) => (Where::Anywhere, text),
            };
            places.push(place);
            texts.entry(fold(text)).or_default().push(n);
        }
        let empty = texts.remove("").unwrap_or_default();
        let longest = texts.keys().map(String::len).max().unwrap_or(0);
        // It could fail only for more texts than there are numbers for: 2^31 octets of them.
        let automaton = Builder::new().match_kind(MatchKind::Standard).build(texts.keys());
        let automaton = automaton.ok().filter(|_| longest > 0);
        Self { automaton, longest, texts: texts.into_values().collect(), places, names, empty }
    }

    /// Looks for them in one message.
    #[must_use]
    pub fn matcher(&self) -> Matcher<'_> {
        Matcher::lent(self)
    }

    /// The number of a field's name, if a key looks into such fields.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|known| known.as_str().cmp(name)).ok()
    }
}

impl Cursor {
    /// At the beginning of a text. `again`: it is in the same place as the one before, where what was found counted.
    pub(super) fn begin(&mut self, again: bool) {
        self.state = None;
        if !again {
            self.seen.clear();
        }
    }

    /// Reads more of the text, and says which keys' texts have come to their end in it; again only after another
    /// beginning.
    pub(super) fn read(&mut self, needles: &Needles, text: &str, mut found: impl FnMut(usize)) {
        let Some(automaton) = &needles.automaton else { return };
        let (text, mut at) = (text.as_bytes(), 0);
        // There is a start for texts that are found anywhere: the builder makes it unless it is told not to.
        let Ok(start) = automaton.start_state(Anchored::No) else { return };
        let mut state = self.state.unwrap_or(start);
        while at < text.len() {
            if state == start {
                at = skip(automaton, text, at, needles.longest);
                if at == text.len() {
                    break;
                }
            }
            state = automaton.next_state(Anchored::No, state, text[at]);
            at += 1;
            if automaton.is_match(state) && self.seen.insert(state) {
                let ended = (0..automaton.match_len(state)).map(|n| automaton.match_pattern(state, n).as_usize());
                ended.flat_map(|text| &needles.texts[text]).for_each(|key| found(*key));
            }
        }
        self.state = Some(state);
    }
}

/// Where in a text, from `at` on, something that is looked for may begin.
fn skip(automaton: &NFA, text: &[u8], at: usize, longest: usize) -> usize {
    let Some(prefilter) = automaton.prefilter() else { return at };
    match prefilter.find_in(text, Span::from(at..text.len())) {
        Candidate::Match(found) => found.start(),
        Candidate::PossibleStartOfMatch(start) => start,
        // Nothing is whole in it, but something may begin where it ends.
        Candidate::None => at.max(text.len().saturating_sub(longest - 1)),
    }
}
