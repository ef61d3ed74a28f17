//! Checksums of a body, one for each block of it, so that a range can be verified without reading the rest.

use crc32fast::Hasher;

/// Bytes of body that one checksum covers. A range read verifies at most two blocks more than it returns.
pub(super) const BLOCK: usize = 32 * 1024;

/// Takes a body in pieces and collects the checksums of its blocks.
#[derive(Clone, Default)]
pub(super) struct Checksums {
    /// Four bytes a finished block, little-endian.
    done: Vec<u8>,
    open: Hasher,
    /// Bytes in the open block.
    filled: usize,
}

impl Checksums {
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let n = bytes.len().min(BLOCK - self.filled);
            self.open.update(&bytes[..n]);
            self.filled += n;
            bytes = &bytes[n..];
            if self.filled == BLOCK {
                self.seal();
            }
        }
    }

    /// The checksums as they are stored.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.seal();
        }
        self.done
    }

    fn seal(&mut self) {
        let sum = std::mem::take(&mut self.open).finalize();
        self.done.extend_from_slice(&sum.to_le_bytes());
        self.filled = 0;
    }
}

/// Whether `bytes` is the block number `block` of the body with these checksums.
pub(super) fn verify(checksums: &[u8], block: usize, bytes: &[u8]) -> bool {
    let at = block.saturating_mul(4);
    checksums.get(at..at + 4).is_some_and(|sum| sum == crc32fast::hash(bytes).to_le_bytes())
}
