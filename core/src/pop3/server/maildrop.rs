//! A maildrop as a session sees it: the listing it was opened with, and the marks that DELE leaves in it.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::Message;
use crate::pop3::command::Number;

/// The listing and the marks. The listing is shared with the host; the marks cost a bit a message, from the first DELE.
#[derive(Debug, Default)]
pub(super) struct Maildrop {
    messages: Arc<[Message]>,
    /// A bit for each message, set when it is marked; empty while none is.
    marks: Vec<u64>,
    /// Messages without a mark.
    count: usize,
    /// Their octets. Sums of 64-bit sizes do not fit in 64 bits.
    octets: u128,
}

/// Why a message-number names no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSuch {
    /// There never was one.
    Message,
    /// It is marked as deleted.
    Deleted,
}

impl Maildrop {
    pub(super) fn new(messages: Arc<[Message]>) -> Self {
        let mut maildrop = Self { messages, ..Self::default() };
        maildrop.reset();
        maildrop
    }

    /// Messages that are not marked.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Their octets.
    pub(super) fn octets(&self) -> u128 {
        self.octets
    }

    /// Messages in the listing, marked or not.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The message at `index`, unless it is marked.
    pub(super) fn live(&self, index: usize) -> Option<Message> {
        self.messages.get(index).copied().filter(|_| !self.is_marked(index))
    }

    /// What `number` names.
    pub(super) fn find(&self, number: Number) -> Result<(usize, Message), NoSuch> {
        let found = number.index().and_then(|index| Some((index, *self.messages.get(index)?)));
        let (index, message) = found.ok_or(NoSuch::Message)?;
        if self.is_marked(index) { Err(NoSuch::Deleted) } else { Ok((index, message)) }
    }

    /// DELE.
    pub(super) fn mark(&mut self, index: usize) {
        let Some(message) = self.live(index) else { return };
        if self.marks.is_empty() {
            self.marks = vec![0; self.messages.len().div_ceil(64)];
        }
        self.marks[index / 64] |= 1 << (index % 64);
        self.count -= 1;
        self.octets -= u128::from(message.size);
    }

    /// RSET.
    pub(super) fn reset(&mut self) {
        self.marks = Vec::new();
        self.count = self.messages.len();
        self.octets = self.messages.iter().map(|message| u128::from(message.size)).sum();
    }

    /// The marked ones, ascending.
    pub(super) fn marked(&self) -> Vec<usize> {
        let mut marked = Vec::with_capacity(self.len() - self.count);
        for (word, &bits) in self.marks.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                marked.push(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
        marked
    }

    fn is_marked(&self, index: usize) -> bool {
        self.marks.get(index / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_counted_and_taken_back() {
        let messages: Arc<[Message]> = (0..130).map(|n| Message { size: u64::MAX - n, unique: n.into() }).collect();
        let mut maildrop = Maildrop::new(messages);
        let all = maildrop.octets();
        for index in [129, 0, 64, 63, 64] {
            maildrop.mark(index);
        }
        assert_eq!(maildrop.marked(), [0, 63, 64, 129]);
        assert_eq!((maildrop.len(), maildrop.count()), (130, 126));
        assert_eq!(maildrop.octets(), all - 4 * u128::from(u64::MAX) + 63 + 64 + 129);
        assert_eq!(maildrop.find(Number(1)), Err(NoSuch::Deleted));
        assert_eq!(maildrop.find(Number(0)), Err(NoSuch::Message));
        assert_eq!(maildrop.find(Number(131)), Err(NoSuch::Message));
        assert!(maildrop.find(Number(2)).is_ok() && maildrop.live(130).is_none());
        maildrop.reset();
        assert_eq!((maildrop.count(), maildrop.octets(), maildrop.marked()), (130, all, vec![]));
    }
}
