//! How many messages there are, and which one is gone (RFC 9051 §7.4.1 and §7.5.1).

use super::string::number;
use crate::outbox::Outbox;

/// `* n EXISTS`
pub fn exists(tx: &mut Outbox, count: u32) {
    numbered(tx, count, b"EXISTS");
}

/// `* n RECENT` (RFC 3501 §7.3.2)
pub fn recent(tx: &mut Outbox, count: u32) {
    numbered(tx, count, b"RECENT");
}

/// `* n EXPUNGE`
pub fn expunge(tx: &mut Outbox, message: u32) {
    numbered(tx, message, b"EXPUNGE");
}

fn numbered(tx: &mut Outbox, count: u32, name: &[u8]) {
    tx.put(b"* ");
    number(tx, u64::from(count));
    tx.put(b" ");
    tx.put(name);
    tx.put(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(written(|tx| exists(tx, 23)), b"* 23 EXISTS\r\n");
        assert_eq!(written(|tx| recent(tx, 0)), b"* 0 RECENT\r\n");
        assert_eq!(written(|tx| expunge(tx, u32::MAX)), b"* 4294967295 EXPUNGE\r\n");
    }
}
