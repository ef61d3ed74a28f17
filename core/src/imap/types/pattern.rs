//! Patterns of mailbox names (RFC 9051 §6.3.9), and how one is held against many names.
//!
//! A pattern with many wildcards can be read in more ways than there are atoms. So all ways are followed at once: for each
//! place in the pattern there is a bit, set when what stands before it can be what was seen of the name. An octet more
//! moves all of them by a few operations on words of 64 bits.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::mailbox::{MailboxName, NameError, Names, decode};
use super::text::Text;
use crate::mailbox::canonical;

/// A name in which `%` stands for anything within one level, and `*` for anything (RFC 9051 §6.3.9).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListPattern(Text);

/// A pattern that is ready to be held against names.
#[derive(Clone, Debug)]
pub struct Matcher {
    delimiter: char,
    /// Where in the pattern each octet stands.
    octets: BTreeMap<u8, Places>,
    /// Where `*` stands.
    any: Places,
    /// Where `%` stands.
    within: Places,
    /// What is reached before the first octet of a name.
    begin: Places,
    /// The place behind the pattern.
    end: usize,
    /// INBOX matches, in which any case is the same.
    inbox: bool,
}

/// Places in a pattern, a bit for each.
type Places = Vec<u64>;

impl ListPattern {
    /// Reads a pattern as it was sent.
    ///
    /// # Errors
    /// As [`MailboxName::read`].
    pub fn read(sent: Bytes, names: Names) -> Result<Self, NameError> {
        let said = decode(sent, names)?;
        Ok(match canonical(said.as_str()) {
            Cow::Borrowed(_) => Self(said),
            Cow::Owned(pattern) if pattern.len() > MailboxName::MAX => return Err(NameError::TooLong),
            Cow::Owned(pattern) => Self(Text::from(pattern.as_str())),
        })
    }

    /// The pattern in UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The pattern's octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Makes it ready, where `delimiter` parts the levels of the hierarchy.
    ///
    /// The reference is not looked at: put it in front of the pattern first, with [`behind`](Self::behind).
    #[must_use]
    pub fn matcher(&self, delimiter: char) -> Matcher {
        let mut matcher = Matcher::new(self.as_bytes(), delimiter);
        let upper = self.as_str().to_ascii_uppercase();
        matcher.inbox = Matcher::new(upper.as_bytes(), delimiter).ends("INBOX").last() == Some(&INBOX.len());
        matcher
    }

    /// The pattern behind a reference: `LIST "mail/" "%"` asks for `mail/%`.
    ///
    /// # Errors
    /// [`NameError::TooLong`] when the two together are.
    pub fn behind(&self, reference: &str) -> Result<Self, NameError> {
        if reference.is_empty() {
            return Ok(self.clone());
        }
        Self::read([reference.as_bytes(), self.0.as_bytes()].concat().into(), Names::Utf8)
    }
}

const INBOX: &str = "INBOX";

impl Matcher {
    fn new(pattern: &[u8], delimiter: char) -> Self {
        let pattern = without_repeats(pattern);
        let none = vec![0; pattern.len() / 64 + 1];
        let (mut octets, mut any, mut within) = (BTreeMap::new(), none.clone(), none.clone());
        for (at, octet) in pattern.iter().enumerate() {
            let places = match octet {
                b'*' => &mut any,
                b'%' => &mut within,
                octet => octets.entry(*octet).or_insert_with(|| none.clone()),
            };
            places[at / 64] |= 1 << (at % 64);
        }
        let mut begin = none;
        begin[0] = 1;
        let mut matcher = Self { delimiter, octets, any, within, begin, end: pattern.len(), inbox: false };
        let mut begin = core::mem::take(&mut matcher.begin);
        matcher.pass_wildcards(&mut begin);
        matcher.begin = begin;
        matcher
    }

    /// Words that are looked at for each octet of a name: what it costs.
    #[must_use]
    pub fn words(&self) -> usize {
        self.begin.len()
    }

    /// Whether a name matches. INBOX matches in any case.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.levels(name).last() == Some(&name.len())
    }

    /// Which of a name's beginnings match that end with one of its levels, all of it included: where they end.
    #[must_use]
    pub fn levels(&self, name: &str) -> Vec<usize> {
        let mut ends = self.ends(name);
        let is_inbox = name.strip_prefix(INBOX).is_some_and(|rest| rest.is_empty() || rest.starts_with(self.delimiter));
        if is_inbox && self.inbox && ends.first() != Some(&INBOX.len()) {
            ends.insert(0, INBOX.len());
        }
        ends
    }

    fn ends(&self, name: &str) -> Vec<usize> {
        let (mut buffer, mut ends) = ([0; 4], Vec::new());
        let delimiter = self.delimiter.encode_utf8(&mut buffer).as_bytes();
        let mut reached = self.begin.clone();
        for (at, octet) in name.bytes().enumerate() {
            let parts_levels = name.as_bytes()[at..].starts_with(delimiter);
            if parts_levels && self.is_at_end(&reached) {
                ends.push(at);
            }
            if !self.step(&mut reached, octet, parts_levels) {
                return ends;
            }
        }
        if self.is_at_end(&reached) {
            ends.push(name.len());
        }
        ends
    }

    /// An octet more of the name; false when no way is left.
    fn step(&self, reached: &mut [u64], octet: u8, parts_levels: bool) -> bool {
        let here = self.octets.get(&octet);
        let mut carry = 0;
        for (word, places) in reached.iter_mut().enumerate() {
            let within = if parts_levels { 0 } else { self.within[word] };
            let stays = *places & (self.any[word] | within);
            let moves = *places & here.map_or(0, |here| here[word]);
            *places = stays | moves << 1 | carry;
            carry = moves >> 63;
        }
        self.pass_wildcards(reached);
        reached.iter().any(|places| *places != 0)
    }

    /// A wildcard may stand for nothing. No two stand side by side.
    fn pass_wildcards(&self, reached: &mut [u64]) {
        let mut carry = 0;
        for (word, places) in reached.iter_mut().enumerate() {
            let passes = *places & (self.any[word] | self.within[word]);
            *places |= passes << 1 | carry;
            carry = passes >> 63;
        }
    }

    fn is_at_end(&self, reached: &[u64]) -> bool {
        reached[self.end / 64] >> (self.end % 64) & 1 == 1
    }
}

/// The pattern with one wildcard in the place of several side by side.
fn without_repeats(pattern: &[u8]) -> Vec<u8> {
    let mut short: Vec<u8> = Vec::with_capacity(pattern.len());
    for octet in pattern {
        match (short.last_mut(), octet) {
            (Some(last @ (b'*' | b'%')), b'*') => *last = b'*',
            (Some(b'*' | b'%'), b'%') => {}
            _ => short.push(*octet),
        }
    }
    short
}

impl fmt::Debug for ListPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(pattern: &str) -> Matcher {
        ListPattern::read(Bytes::copy_from_slice(pattern.as_bytes()), Names::Utf8).unwrap().matcher('/')
    }

    #[test]
    fn patterns_match() {
        let cases: [(&str, &[&str]); 13] = [
            ("*", &["INBOX", "a", "a/b", "a/b/c", "ab"]),
            ("%", &["INBOX", "a", "ab"]),
            ("%/%", &["a/b"]),
            ("a/*", &["a/b", "a/b/c"]),
            ("a/%", &["a/b"]),
            ("a*", &["a", "a/b", "a/b/c", "ab"]),
            ("*b", &["a/b", "ab"]),
            ("%b", &["ab"]),
            ("*%c", &["a/b/c"]),
            ("%*/%", &["a/b", "a/b/c"]),
            ("%%%%", &["INBOX", "a", "ab"]),
            ("iNb%", &["INBOX"]),
            ("", &[]),
        ];
        let all = ["INBOX", "a", "a/b", "a/b/c", "ab"];
        for (pattern, expected) in cases {
            let matcher = matcher(pattern);
            let matching: Vec<&str> = all.into_iter().filter(|name| matcher.matches(name)).collect();
            assert_eq!(matching, expected, "{pattern:?}");
        }
    }

    #[test]
    fn levels_of_a_name_match() {
        assert_eq!(matcher("*").levels("a/bc/d"), [1, 4, 6]);
        assert_eq!(matcher("%").levels("a/bc/d"), [1]);
        assert_eq!(matcher("*c").levels("a/bc/d"), [4]);
        assert_eq!(matcher("a/%").levels("a/bc/d"), [4]);
        assert_eq!(matcher("inbox").levels("INBOX/a"), [5]);
        assert_eq!(matcher("I%").levels("INBOX/a"), [5]);
        assert!(matcher("inbox").levels("INBOXES/a").is_empty());
    }

    #[test]
    fn long_patterns_and_long_names() {
        for length in [62, 63, 64, 65, 127, 128, 129, 500] {
            let name = "ab/".repeat(length / 3) + &"a".repeat(length % 3);
            assert!(matcher(&name).matches(&name), "{length}");
            assert!(!matcher(&name).matches(&name[1..]), "{length}");
            let wild = name.replace('b', "*%");
            assert!(matcher(&wild).matches(&name), "{length}");
            assert!(!matcher(&(wild + "c")).matches(&name), "{length}");
            let stars = "*a".repeat(length / 2);
            assert!(matcher(&stars).matches(&"a".repeat(length / 2)), "{length}");
            assert!(!matcher(&stars).matches(&"a".repeat(length / 2 - 1)), "{length}");
        }
    }

    #[test]
    fn matching_is_what_trying_everything_finds() {
        fn slow(pattern: &[u8], name: &[u8]) -> bool {
            match pattern {
                [] => name.is_empty(),
                [b'*', rest @ ..] => (0..=name.len()).any(|n| slow(rest, &name[n..])),
                [b'%', rest @ ..] => {
                    (0..=name.len()).take_while(|&n| !name[..n].contains(&b'/')).any(|n| slow(rest, &name[n..]))
                }
                [octet, rest @ ..] => name.first() == Some(octet) && slow(rest, &name[1..]),
            }
        }
        let alphabet = b"ab/*%";
        for mut n in 0..5_usize.pow(5) {
            let mut pattern = Vec::new();
            while n > 0 {
                pattern.push(alphabet[n % 5]);
                n /= 5;
            }
            let matcher = Matcher::new(&pattern, '/');
            for mut m in 0..3_usize.pow(5) {
                let mut name = Vec::new();
                while m > 0 {
                    name.push(alphabet[m % 3]);
                    m /= 3;
                }
                let text = core::str::from_utf8(&name).unwrap();
                assert_eq!(
                    matcher.matches(text),
                    slow(&pattern, &name),
                    "{} {}",
                    pattern.escape_ascii(),
                    name.escape_ascii()
                );
            }
        }
    }
}
