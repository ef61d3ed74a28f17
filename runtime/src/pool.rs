//! Receive buffers, shared by the connections of a worker: a connection has one only while its bytes are being run. What
//! waits for its other half, as half a line does, has no more memory than it fills: a crowd of peers that stop in the middle
//! of a line costs what it has said, and not a buffer each.

use bytes::BytesMut;

/// Bytes of one buffer: one read of a body fills it, and it is what a chunk at most is cut from.
const BUFFER: usize = 64 * 1024;

/// Free room below which a read is not worth its system call.
const LEAST_ROOM: usize = 4 * 1024;

/// Bytes up to which a rest is worth being copied: longer than any line, and little enough to be copied at each read.
const REST: usize = BUFFER / 4;

/// Buffers kept for reuse at most: 1 MiB in all.
const KEPT: usize = 16;

/// Buffers that nobody uses just now.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<BytesMut>,
}

impl BufferPool {
    /// Gives `rx` room to read into: a buffer of the pool if it has none.
    pub fn make_room(&mut self, rx: &mut BytesMut) {
        if rx.capacity() - rx.len() >= LEAST_ROOM || rx.try_reclaim(LEAST_ROOM) {
            return;
        }
        if rx.len() > REST {
            return rx.reserve(BUFFER);
        }
        let mut buffer = self.free.pop().unwrap_or_else(|| BytesMut::with_capacity(BUFFER));
        buffer.extend_from_slice(rx);
        *rx = buffer;
    }

    /// Takes the buffer back if it is empty and nobody else holds a part of it.
    pub fn reclaim(&mut self, rx: &mut BytesMut) {
        if rx.is_empty() {
            self.keep(std::mem::take(rx));
        }
    }

    /// Takes the buffer back, and leaves what waits in it in one of its own size.
    pub fn settle(&mut self, rx: &mut BytesMut) {
        if rx.len() <= REST {
            let rest = BytesMut::from(&rx[..]);
            self.keep(std::mem::replace(rx, rest));
        }
    }

    fn keep(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        // A buffer that was used up to its end shows no capacity, and has it all the same.
        if self.free.len() < KEPT && buffer.try_reclaim(BUFFER) {
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    #[test]
    fn an_empty_buffer_goes_back_and_is_used_again() {
        let mut pool = BufferPool::default();
        let mut rx = BytesMut::new();
        pool.make_room(&mut rx);
        rx.extend_from_slice(b"NOOP\r\n");
        pool.reclaim(&mut rx);
        assert_eq!(&rx[..], b"NOOP\r\n");
        let line = rx.split_to(6);
        pool.reclaim(&mut rx);
        assert_eq!((rx.capacity(), pool.free.len()), (0, 0), "a part of it is still held");
        drop(line);
        pool.make_room(&mut rx);
        pool.reclaim(&mut rx);
        assert_eq!((rx.capacity(), pool.free.len()), (0, 1));
    }

    #[test]
    fn a_buffer_that_was_filled_goes_back_too() {
        for rest in [0, 10] {
            let mut pool = BufferPool::default();
            let mut rx = BytesMut::new();
            pool.make_room(&mut rx);
            rx.resize(rx.capacity(), b'x');
            rx.advance(rx.len() - rest);
            pool.settle(&mut rx);
            assert_eq!((rx.len(), rx.capacity(), pool.free.len()), (rest, rest, 1));
        }
    }

    #[test]
    fn half_a_line_holds_no_buffer() {
        let mut pool = BufferPool::default();
        let mut rx = BytesMut::new();
        for octet in *b"NOOP" {
            pool.make_room(&mut rx);
            assert!(rx.capacity() - rx.len() >= LEAST_ROOM);
            rx.extend_from_slice(&[octet]);
            pool.settle(&mut rx);
            assert!(rx.capacity() < 64 && pool.free.len() == 1, "{} octets for {}", rx.capacity(), rx.len());
        }
        assert_eq!(&rx[..], b"NOOP");
        pool.make_room(&mut rx);
        rx.extend_from_slice(&vec![b'x'; REST]);
        pool.settle(&mut rx);
        assert_eq!((rx.len(), pool.free.len()), (REST + 4, 0), "as much as that stays where it is");
    }
}
