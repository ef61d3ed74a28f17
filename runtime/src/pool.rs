//! Receive buffers, shared by the connections of a worker: a connection has one only while bytes wait in it.

use bytes::BytesMut;

/// Bytes of one buffer: one read of a body fills it, and it is what a chunk at most is cut from.
const BUFFER: usize = 64 * 1024;

/// Free room below which a read is not worth its system call.
const LEAST_ROOM: usize = 4 * 1024;

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
        if rx.capacity() == 0 {
            *rx = self.free.pop().unwrap_or_else(|| BytesMut::with_capacity(BUFFER));
        } else if rx.capacity() - rx.len() < LEAST_ROOM {
            // Chunks cut from the buffer may still be on their way; then this is a new allocation.
            rx.reserve(BUFFER);
        }
    }

    /// Takes the buffer back if it is empty and nobody else holds a part of it.
    pub fn reclaim(&mut self, rx: &mut BytesMut) {
        if !rx.is_empty() || rx.capacity() == 0 {
            return;
        }
        let mut buffer = std::mem::take(rx);
        if self.free.len() < KEPT && buffer.try_reclaim(BUFFER) {
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
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
}
