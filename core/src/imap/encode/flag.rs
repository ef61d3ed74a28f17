//! Flags (RFC 9051 §2.3.2 and §7.3.5).

use crate::imap::types::Flag;
use crate::outbox::Outbox;

/// `* FLAGS (…)`: the flags that a mailbox knows.
pub fn mailbox_flags(tx: &mut Outbox, list: &[Flag]) {
    tx.put(b"* FLAGS ");
    flag_list(tx, list);
    tx.put(b"\r\n");
}

/// `(\Seen $Junk)`
pub fn flag_list<'a>(tx: &mut Outbox, list: impl IntoIterator<Item = &'a Flag>) {
    tx.put(b"(");
    flags(tx, list);
    tx.put(b")");
}

/// The flags with spaces between them.
pub(super) fn flags<'a>(tx: &mut Outbox, list: impl IntoIterator<Item = &'a Flag>) {
    for (n, flag) in list.into_iter().enumerate() {
        if n > 0 {
            tx.put(b" ");
        }
        put_flag(tx, flag);
    }
}

fn put_flag(tx: &mut Outbox, flag: &Flag) {
    let name: &[u8] = match flag {
        Flag::Answered => b"\\Answered",
        Flag::Flagged => b"\\Flagged",
        Flag::Deleted => b"\\Deleted",
        Flag::Seen => b"\\Seen",
        Flag::Draft => b"\\Draft",
        Flag::Recent => b"\\Recent",
        Flag::Keyword(keyword) => keyword.as_bytes(),
        Flag::Extension(name) => {
            tx.put(b"\\");
            name.as_bytes()
        }
    };
    tx.put(name);
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn lists_of_flags() {
        let list =
            [Flag::Seen, Flag::new(b"$Junk".as_slice().into()).unwrap(), Flag::new(b"\\X".as_slice().into()).unwrap()];
        assert_eq!(written(|tx| mailbox_flags(tx, &list)), b"* FLAGS (\\Seen $Junk \\X)\r\n");
        assert_eq!(written(|tx| mailbox_flags(tx, &[])), b"* FLAGS ()\r\n");
    }
}
