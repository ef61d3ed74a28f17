//! What a search has found: SEARCH (RFC 3501 §7.2.5, RFC 7162 §3.1.5), ESEARCH (RFC 4731), VANISHED (RFC 7162 §3.2.10).

use super::string::number;
use crate::imap::types::{Modseq, NumberSet, Tag};
use crate::outbox::Outbox;

/// `* SEARCH 2 84 882`. An outbox that is full half-way is of no harm: begin, add numbers in pages, end.
pub fn search_begin(tx: &mut Outbox) {
    tx.put(b"* SEARCH");
}

/// More numbers of a SEARCH response.
pub fn search_numbers(tx: &mut Outbox, numbers: impl IntoIterator<Item = u32>) {
    for found in numbers {
        tx.put(b" ");
        number(tx, u64::from(found));
    }
}

/// The end of a SEARCH response; with the largest mod-sequence of what was found, if the search was for one. That is only
/// said when something was found.
pub fn search_end(tx: &mut Outbox, modseq: Option<Modseq>) {
    if let Some(modseq) = modseq {
        tx.put(b" (MODSEQ ");
        number(tx, modseq.value());
        tx.put(b")");
    }
    tx.put(b"\r\n");
}

/// What an ESEARCH response tells, but for ALL. What is `None` is not told: `MIN` and `MAX` of nothing are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Esearch {
    /// Whose answer it is.
    pub tag: Option<Tag>,
    /// The numbers are UIDs.
    pub uid: bool,
    /// The smallest number.
    pub min: Option<u32>,
    /// The largest number.
    pub max: Option<u32>,
    /// How many.
    pub count: Option<u64>,
    /// The largest mod-sequence of what is told.
    pub modseq: Option<Modseq>,
}

/// `* ESEARCH (TAG "a") UID COUNT 17 ALL 4:18,21`, of which the end may come in pages: an outbox that is full half-way is
/// of no harm.
#[derive(Debug)]
pub struct EsearchResponse {
    /// A range stands there.
    all: bool,
}

impl EsearchResponse {
    /// All but ALL.
    pub fn begin(tx: &mut Outbox, told: &Esearch) -> Self {
        tx.put(b"* ESEARCH");
        if let Some(tag) = told.tag {
            tx.put(b" (TAG \"");
            tx.put(tag.as_bytes());
            tx.put(b"\")");
        }
        if told.uid {
            tx.put(b" UID");
        }
        let modseq = told.modseq.map(Modseq::value);
        let (min, max) = (told.min.map(u64::from), told.max.map(u64::from));
        for (name, value) in [(" MIN ", min), (" MAX ", max), (" COUNT ", told.count), (" MODSEQ ", modseq)] {
            if let Some(value) = value {
                tx.put(name.as_bytes());
                number(tx, value);
            }
        }
        Self { all: false }
    }

    /// More ranges of ALL, from the first number to the last.
    pub fn all(&mut self, tx: &mut Outbox, ranges: impl IntoIterator<Item = (u32, u32)>) {
        for (first, last) in ranges {
            tx.put(if core::mem::replace(&mut self.all, true) { b"," } else { b" ALL " });
            range(tx, first, last);
        }
    }

    /// There is no more.
    pub fn end(&self, tx: &mut Outbox) {
        tx.put(b"\r\n");
    }
}

/// `* VANISHED 300:310`, in the place of EXPUNGE; `earlier`: expunged before the mailbox was opened. Nothing is said of
/// the empty set.
pub fn vanished(tx: &mut Outbox, earlier: bool, uids: &NumberSet) {
    if uids.is_empty() {
        return;
    }
    tx.put(if earlier { b"* VANISHED (EARLIER) " } else { b"* VANISHED " });
    number_set(tx, uids);
    tx.put(b"\r\n");
}

/// `1:3,5`; the empty set has no form, and none may come here.
pub fn number_set(tx: &mut Outbox, set: &NumberSet) {
    for (n, numbers) in set.ranges().enumerate() {
        tx.put(if n == 0 { b"" } else { b"," });
        range(tx, *numbers.start(), *numbers.end());
    }
}

fn range(tx: &mut Outbox, first: u32, last: u32) {
    number(tx, u64::from(first));
    if first != last {
        tx.put(b":");
        number(tx, u64::from(last));
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn results() {
        let search = |numbers: &[u32], modseq| {
            written(|tx| {
                search_begin(tx);
                search_numbers(tx, numbers.iter().copied());
                search_end(tx, modseq);
            })
        };
        assert_eq!(search(&[], None), b"* SEARCH\r\n");
        assert_eq!(search(&[2, 5, 6], Modseq::new(917)), b"* SEARCH 2 5 6 (MODSEQ 917)\r\n");
        let esearch = |told: &Esearch, pages: &[&[(u32, u32)]]| {
            written(|tx| {
                let mut response = EsearchResponse::begin(tx, told);
                pages.iter().for_each(|page| response.all(tx, page.iter().copied()));
                response.end(tx);
            })
        };
        let told = Esearch {
            tag: Tag::new(b"A285"),
            uid: true,
            min: Some(2),
            max: Some(43),
            count: Some(4),
            modseq: Modseq::new(9),
        };
        let expected: &[u8] = b"* ESEARCH (TAG \"A285\") UID MIN 2 MAX 43 COUNT 4 MODSEQ 9 ALL 2:4,43\r\n";
        assert_eq!(esearch(&told, &[&[(2, 4)], &[(43, 43)]]), expected);
        assert_eq!(esearch(&Esearch::default(), &[]), b"* ESEARCH\r\n");
        assert_eq!(esearch(&Esearch { count: Some(0), ..Esearch::default() }, &[&[]]), b"* ESEARCH COUNT 0\r\n");
        let set = [43, 2, 3, 4].into_iter().collect();
        assert_eq!(written(|tx| vanished(tx, true, &set)), b"* VANISHED (EARLIER) 2:4,43\r\n");
        assert_eq!(written(|tx| vanished(tx, false, &NumberSet::new())), b"");
    }
}
