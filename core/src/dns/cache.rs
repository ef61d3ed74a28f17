//! What was learnt, for as long as it may be believed: bounded in entries and in bytes.
//!
//! An entry is kept under the name and the kind that were asked, and under nothing else: what a message says of names
//! that nobody asked for is never stored. When room is short, what expires first goes first.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::limits::Limits;
use super::name::DomainName;
use super::wire::{Finding, Kind, What};
use crate::mark;
use crate::time::Mono;

/// What a question asks: the name, and the kind of record.
pub(super) type Key = (DomainName, Kind);

/// A tree node, its two keys and a finding, roughly: what an entry weighs beside its names.
const ENTRY_BYTES: usize = 256;

/// Findings by question, until they expire.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: BTreeMap<Key, Entry>,
    by_expiry: BTreeSet<(Mono, Key)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    finding: Finding,
    expires: Mono,
    bytes: usize,
}

impl Cache {
    /// What is known of `key`. A name that does not exist has no records of any kind (RFC 2308 §5).
    pub(super) fn find(&self, key: &Key, now: Mono) -> Option<&Finding> {
        if let Some(entry) = self.entries.get(key).filter(|entry| now < entry.expires) {
            return Some(&entry.finding);
        }
        let others = Kind::ALL.into_iter().filter(|kind| *kind != key.1);
        others
            .filter_map(|kind| self.entries.get(&(key.0.clone(), kind)))
            .find_map(|entry| (now < entry.expires && entry.finding.what == What::NoName).then_some(&entry.finding))
    }

    /// Remembers `finding` for `ttl`; one without a lifetime is not kept.
    pub(super) fn insert(&mut self, key: Key, finding: Finding, ttl: Duration, now: Mono, limits: &Limits) {
        self.remove(&key);
        if ttl.is_zero() {
            return;
        }
        let bytes = ENTRY_BYTES + key.0.as_str().len() + finding.bytes();
        let expires = now.after(ttl);
        self.by_expiry.insert((expires, key.clone()));
        self.entries.insert(key, Entry { finding, expires, bytes });
        self.bytes += bytes;
        self.shrink(limits);
    }

    /// Keeps to `limits`.
    pub(super) fn shrink(&mut self, limits: &Limits) {
        while self.entries.len() > limits.cache_entries || self.bytes > limits.cache_bytes {
            let Some((_, key)) = self.by_expiry.pop_first() else { return };
            mark!(DnsCacheFull);
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= entry.bytes;
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn remove(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.bytes -= entry.bytes;
        self.by_expiry.remove(&(entry.expires, key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    fn key(text: &str) -> Key {
        (DomainName::parse(text).unwrap(), Kind::A)
    }

    fn finding(name: &Key) -> Finding {
        Finding { aliases: 0, name: name.0.clone(), what: What::Addresses(vec![[192, 0, 2, 1].into()]) }
    }

    #[test]
    fn room_is_made_by_what_expires_first() {
        let limits = Limits { cache_entries: 3, ..Limits::default() };
        let (mut cache, now) = (Cache::default(), Mono(0));
        for (name, ttl) in [("a.example", 30), ("b.example", 10), ("c.example", 20), ("d.example", 40)] {
            cache.insert(key(name), finding(&key(name)), Duration::from_secs(ttl), now, &limits);
        }
        assert!(cache.find(&key("b.example"), now).is_none());
        assert!(cache.find(&key("c.example"), now).is_some());
        assert!(cache.find(&key("c.example"), now.after(Duration::from_secs(20))).is_none());
    }

    #[test]
    fn bytes_are_bounded_and_counted_back_to_nothing() {
        let limits = Limits { cache_bytes: 4096, ..Limits::default() };
        let mut cache = Cache::default();
        for n in 0..1000 {
            let key = key(&format!("host{}.example", n % 100));
            cache.insert(key.clone(), finding(&key), Duration::from_secs(n), Mono(n), &limits);
            assert!(cache.bytes <= 4096 && cache.by_expiry.len() == cache.entries.len());
        }
        cache.shrink(&Limits { cache_entries: 0, ..limits });
        assert_eq!((cache.bytes, cache.entries.len()), (0, 0));
    }

    #[test]
    fn a_name_that_does_not_exist_has_nothing() {
        let mut cache = Cache::default();
        let asked = key("gone.example");
        let gone = Finding { aliases: 0, name: asked.0.clone(), what: What::NoName };
        cache.insert(asked.clone(), gone, Duration::from_secs(5), Mono(0), &Limits::default());
        assert!(cache.find(&(asked.0.clone(), Kind::Mx), Mono(0)).is_some());
        assert!(cache.find(&(asked.0, Kind::Mx), Mono(5_000_000_000)).is_none());
    }
}
