//! Bytes on their way out: small replies are joined, large bodies pass through uncopied.
//!
//! A machine appends, the host writes [`slices`](Outbox::slices) with one `writev` and then calls
//! [`advance`](Buf::advance) with what the kernel took. Above its high-water mark a machine stops producing
//! ([`is_full`](Outbox::is_full)), and TCP's backpressure reaches all the way to the store.

use alloc::collections::VecDeque;
use core::fmt;
use core::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A `Bytes` at least this long stays a segment of its own; shorter ones are copied into the current segment, which is
/// cheaper than another entry in the `writev`.
const OWN_SEGMENT: usize = 4 * 1024;

/// The space a fresh coalescing segment is given, in bytes: most turns say less than this to a peer.
const SEGMENT: usize = 512;

/// An ordered queue of bytes to be written.
pub struct Outbox {
    /// Finished segments, oldest first; none is empty.
    segments: VecDeque<Bytes>,
    /// The segment that small writes go to; it stands behind `segments`.
    tail: BytesMut,
    /// Bytes in all.
    len: usize,
    /// Bytes ever appended.
    appended: u64,
    high_water: usize,
}

impl Outbox {
    /// An empty outbox in which machines stop at `high_water` bytes. They may pass it by one reply or one chunk.
    #[must_use]
    pub fn new(high_water: usize) -> Self {
        Self { segments: VecDeque::new(), tail: BytesMut::new(), len: 0, appended: 0, high_water }
    }

    /// An empty outbox in the place of this one: its first byte has the position that the next one here would have had.
    #[must_use]
    pub(crate) fn sequel(&self) -> Self {
        Self { appended: self.appended, ..Self::new(self.high_water) }
    }

    /// Appends a copy of `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.tail.reserve(bytes.len().max(SEGMENT));
        }
        self.tail.put_slice(bytes);
        self.count(bytes.len());
    }

    /// Appends `bytes`, without a copy when they are long.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < OWN_SEGMENT {
            return self.put(&bytes);
        }
        self.seal();
        self.count(bytes.len());
        self.segments.push_back(bytes);
    }

    /// The bytes in order, as slices for `writev`.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map(AsRef::as_ref).chain(Some(self.tail.as_ref()).filter(|tail| !tail.is_empty()))
    }

    /// Moves everything in here behind what is in `other`, uncopied where that pays.
    pub fn append_to(&mut self, other: &mut Self) {
        while let Some(segment) = self.pop() {
            other.push(segment);
        }
    }

    /// Takes the oldest segment out; `None` when empty.
    pub fn pop(&mut self) -> Option<Bytes> {
        let segment = match self.segments.pop_front() {
            Some(segment) => segment,
            None if self.tail.is_empty() => return None,
            None => mem::take(&mut self.tail).freeze(),
        };
        self.len -= segment.len();
        Some(segment)
    }

    /// Bytes waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// At or above the high-water mark: a machine stops and waits with `WaitingOn::Flush`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len >= self.high_water
    }

    /// Bytes left below the high-water mark.
    #[must_use]
    pub fn room(&self) -> usize {
        self.high_water.saturating_sub(self.len)
    }

    /// How many bytes were ever appended: the position of the next one in the stream.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Drops what is waiting, as when the connection died.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.tail = BytesMut::new();
        self.len = 0;
    }

    fn count(&mut self, n: usize) {
        self.len += n;
        self.appended += n as u64;
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.segments.front().map_or(self.tail.as_ref(), AsRef::as_ref)
    }

    fn advance(&mut self, mut n: usize) {
        assert!(n <= self.len, "advance past the end of the outbox");
        self.len -= n;
        while n > 0 {
            let Some(front) = self.segments.front_mut() else {
                self.tail.advance(n);
                break;
            };
            if front.len() > n {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.segments.pop_front();
        }
        if self.len == 0 {
            // An idle connection holds no buffer.
            self.tail = BytesMut::new();
        }
    }
}

/// So that replies are written with `write!(tx, …)`.
impl fmt::Write for Outbox {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("len", &self.len).field("high_water", &self.high_water).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while outbox.has_remaining() {
            assert_eq!(outbox.slices().map(<[u8]>::len).sum::<usize>(), outbox.len());
            let n = outbox.chunk().len().min(step);
            out.extend_from_slice(&outbox.chunk()[..n]);
            outbox.advance(n);
        }
        out
    }

    #[test]
    fn order_is_kept_between_small_and_large() {
        for step in [1, 7, 5000, usize::MAX] {
            let mut outbox = Outbox::new(10);
            let body = Bytes::from(vec![b'x'; OWN_SEGMENT]);
            outbox.put(b"one");
            outbox.push(body.clone());
            outbox.put(b"two");
            outbox.push(Bytes::from_static(b"three"));
            assert!(outbox.is_full());
            assert_eq!(outbox.slices().count(), 3);
            let mut expected = b"one".to_vec();
            expected.extend_from_slice(&body);
            expected.extend_from_slice(b"twothree");
            assert_eq!(drain(&mut outbox, step), expected);
            assert_eq!(outbox.appended(), expected.len() as u64);
        }
    }

    #[test]
    fn moving_to_another_outbox_keeps_order() {
        let (mut from, mut to) = (Outbox::new(10), Outbox::new(10));
        to.put(b"a");
        from.put(b"b");
        from.push(Bytes::from(vec![b'c'; OWN_SEGMENT]));
        from.put(b"d");
        from.append_to(&mut to);
        assert!(from.is_empty());
        let all = drain(&mut to, usize::MAX);
        assert_eq!((all.len(), &all[..2], all[all.len() - 1]), (OWN_SEGMENT + 3, &b"ab"[..], b'd'));
    }
}
