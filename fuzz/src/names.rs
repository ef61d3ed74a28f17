//! Names and numbers: mailbox names and patterns of IMAP, sets of UIDs, ids and the other small texts that are read.

use std::collections::BTreeSet;

use bytes::Bytes;
use pillarbox_core::dns;
use pillarbox_core::imap::types::{
    Bound, Flag, Keyword, ListPattern, MailboxName, Names, NumberSet, ObjectId, SequenceRange, SequenceSet, Tag, utf7,
};
use pillarbox_core::mailbox::{self, UidSet};
use pillarbox_core::message::{base_subject, fold};
use pillarbox_core::ops::{BUCKETS, Destination, Id};
use pillarbox_core::router::NextHop;

use crate::choices::Choices;
use crate::gauge::{Allowance, linear};

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "INBOX",
        "inbox",
        "&-",
        "&AOk-",
        "&2D3f6A-",
        "&AGE-",
        "/",
        "%",
        "*",
        "%/%",
        "\0",
        "\u{e9}",
        "\u{1f4ec}",
        "Re: ",
        "Fwd: ",
        "[fwd: ",
        "(fwd)",
        "[list] ",
        "nameserver 192.0.2.1\n",
        "nameserver fe80::1%2\n",
        "mx:",
        "smtp://",
        "local",
        "1-1",
        "ffffffffffffffff-ffffffffffffffff",
        "\\Seen",
        "$Junk",
        "\\*",
    ]
}

/// A name as IMAP4rev1 writes it, and a pattern of LIST against it: the two are parted by a newline.
pub(crate) fn imap(input: &[u8]) {
    let mut parts = input.splitn(2, |octet| *octet == b'\n');
    let (sent, pattern) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Some(name) = linear(sent.len(), Allowance::of(40, 4096), || utf7::decode(sent)) {
        let again = written(&name);
        assert_eq!(utf7::decode(&again).as_ref(), Some(&name));
        assert!(
            !name.is_ascii() || name.contains(|c: char| c.is_control()) || again == sent,
            "{name:?} has two spellings"
        );
    }
    for names in [Names::Utf7, Names::Utf8] {
        let Ok(name) = MailboxName::read(Bytes::copy_from_slice(sent), names) else { continue };
        assert_eq!(MailboxName::new(name.as_str()).as_ref(), Ok(&name));
        assert_eq!(name.is_inbox(), name.as_str().eq_ignore_ascii_case("INBOX"));
        let Ok(pattern) = ListPattern::read(Bytes::copy_from_slice(pattern), names) else { continue };
        for delimiter in ['/', '.'] {
            let found = pattern.matcher(delimiter).levels(name.as_str());
            let ends = name.as_str().match_indices(delimiter).map(|(at, _)| at).chain([name.as_str().len()]);
            let upper = pattern.as_str().to_ascii_uppercase();
            let meant = |level: &str| {
                let pattern = if level == "INBOX" { &upper } else { pattern.as_str() };
                matches(pattern.as_bytes(), level.as_bytes(), delimiter as u8)
            };
            let expected: Vec<usize> = ends.filter(|end| meant(&name.as_str()[..*end])).collect();
            assert_eq!(found, expected, "{pattern:?} {name:?}");
        }
    }
    if let Ok(name) = std::str::from_utf8(sent) {
        assert_eq!(utf7::decode(&written(name)).as_deref(), Some(name));
    }
}

fn written(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    utf7::encode(name, |piece| out.extend_from_slice(piece));
    out
}

/// The definition, by a table: whether the first `n` octets of the name are what the first `p` of the pattern stand for.
fn matches(pattern: &[u8], name: &[u8], delimiter: u8) -> bool {
    let mut table = vec![vec![false; name.len() + 1]; pattern.len() + 1];
    table[0][0] = true;
    for p in 1..=pattern.len() {
        for n in 0..=name.len() {
            table[p][n] = match pattern[p - 1] {
                b'*' => table[p - 1][n] || n > 0 && table[p][n - 1],
                b'%' => table[p - 1][n] || n > 0 && name[n - 1] != delimiter && table[p][n - 1],
                octet => n > 0 && name[n - 1] == octet && table[p - 1][n - 1],
            };
        }
    }
    table[pattern.len()][name.len()]
}

/// The largest number in the sets of the model.
const MOST: u32 = 64;

/// What is done to two sets at once: ours, and a plain one.
pub(crate) fn numbers(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (mut ours, mut plain) = (UidSet::default(), BTreeSet::new());
    let (mut numbers, mut those) = (NumberSet::new(), BTreeSet::new());
    while !choices.is_empty() {
        let how = choices.below(8);
        let (first, last) = (1 + choices.below(MOST as usize) as u32, 1 + choices.below(MOST as usize) as u32);
        let other = UidSet::run(first, last);
        match how {
            0..3 => {
                ours.insert(first, last);
                plain.extend(first..=last);
            }
            3 | 4 => {
                ours.remove(&other);
                plain.retain(|uid| !(first..=last).contains(uid));
            }
            5 => {
                let page = ours.page(first);
                let expected: Vec<u32> = plain.iter().copied().take(first as usize).collect();
                assert!(page.iter().eq(expected.iter().copied()));
                plain.retain(|uid| !expected.contains(uid));
            }
            6 => {
                ours.add(&other);
                plain.extend(first..=last);
            }
            _ => {
                let both = ours.intersection(&other);
                assert!(both.iter().eq(plain.iter().copied().filter(|uid| (first..=last).contains(uid))));
                let (low, high) = (first.min(last), first.max(last));
                numbers.insert_range(low..=high);
                those.extend(low..=high);
            }
        }
        agree(&ours, &plain);
        assert!(numbers.numbers().eq(those.iter().copied()), "{numbers:?}");
        assert_eq!((numbers.count(), numbers.first()), (those.len() as u64, those.first().copied()));
    }
    sequence_set(input);
}

fn agree(ours: &UidSet, plain: &BTreeSet<u32>) {
    assert!(ours.iter().eq(plain.iter().copied()), "{ours:?}");
    assert_eq!((ours.len() as usize, ours.is_empty()), (plain.len(), plain.is_empty()));
    assert_eq!((ours.first(), ours.last()), (plain.first().copied(), plain.last().copied()));
    for (n, uid) in (1..).zip(plain) {
        assert_eq!((ours.uid(n), ours.sequence(*uid)), (Some(*uid), Some(n)));
    }
    for uid in 0..MOST + 2 {
        assert_eq!(ours.contains(uid), plain.contains(&uid));
    }
    let runs: Vec<_> = ours.runs().collect();
    assert!(runs.windows(2).all(|two| two[0].1 + 1 < two[1].0), "{runs:?}");
}

/// Ranges of any numbers at all, and what they come to where so many messages are.
fn sequence_set(input: &[u8]) {
    let mut choices = Choices::new(input);
    let last = choices.word();
    let mut ranges = Vec::new();
    while !choices.is_empty() && ranges.len() < 32 {
        let mut bound = || {
            let number = [choices.word(), u32::from(choices.octet()), u32::MAX][choices.below(3)];
            number.try_into().map_or(Bound::Last, Bound::Number)
        };
        ranges.push(SequenceRange { first: bound(), last: bound() });
    }
    if ranges.is_empty() {
        return;
    }
    let set = SequenceSet::Ranges(ranges.clone());
    let resolved = set.resolve(last).expect("it is no $");
    let sorted: Vec<_> = resolved.ranges().collect();
    assert!(sorted.windows(2).all(|two| u64::from(*two[0].end()) + 1 < u64::from(*two[1].start())), "{sorted:?}");
    assert_eq!(resolved.count(), sorted.iter().map(|run| u64::from(run.end() - run.start()) + 1).sum::<u64>());
    for range in &ranges {
        let number = |bound| if let Bound::Number(number) = bound { number.get() } else { last };
        for at in [number(range.first), number(range.last)] {
            assert_eq!(resolved.contains(at), at > 0, "{at} of {set} in {last}");
        }
    }
}

/// Every small text that is read from outside: shown again it reads the same.
pub(crate) fn small(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(Id::from_bytes(id.to_bytes()), id);
    }
    let destination = Destination::from_key(text);
    assert_eq!(Destination::from_key(&destination.key()), destination);
    assert!(destination.bucket() < BUCKETS);
    assert!(dns::resolv_conf::parse(text).len() <= 3);
    if let Ok(name) = mailbox::MailboxName::new(text) {
        assert_eq!(mailbox::MailboxName::new(name.as_str()).as_ref(), Ok(&name));
        assert_eq!(name.is_inbox(), text.eq_ignore_ascii_case("INBOX"));
        if let Some(parent) = name.parent() {
            assert!(name.is_below(&parent));
            assert_eq!(name.renamed(&parent, &parent).as_ref(), Some(&name));
        }
        assert!(MailboxName::new(name.as_str()).is_ok(), "{name:?} has no name in IMAP");
    }
    if let Ok(keyword) = mailbox::Keyword::new(text) {
        assert!(keyword.as_str().len() <= mailbox::Keyword::OCTETS);
    }
    let octets = Bytes::copy_from_slice(input);
    assert_eq!(Keyword::new(octets.clone()).map(|keyword| keyword.as_bytes().to_vec()), {
        let good = Keyword::new(octets.clone()).is_some();
        good.then(|| input.to_vec())
    });
    let _ = (Flag::new(octets.clone()), Tag::new(input));
    if let Some(id) = ObjectId::new(octets)
        && let Some(number) = id.id(b'M')
    {
        assert_eq!(ObjectId::of(b'M', number), id);
    }
    let folded = linear(text.len(), Allowance::of(200, 4096).allocations(8), || fold(text));
    assert_eq!(fold(&folded), folded, "folding twice changes nothing");
    let base = linear(text.len(), Allowance::of(200, 4096).allocations(8), || base_subject(text));
    assert_eq!(base_subject(&base), base, "a base subject is its own");
    if let Ok(hop) = text.parse::<NextHop>() {
        assert_eq!(hop.to_string().parse().as_ref(), Ok(&hop));
        assert!(hop.port > 0 && !hop.host.contains(|c: char| c.is_control() || c.is_whitespace()), "{hop:?}");
    }
}
