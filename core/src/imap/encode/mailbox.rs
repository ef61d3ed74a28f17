//! What is told of mailboxes: LIST, LSUB, STATUS, NAMESPACE (RFC 9051 §7.3, RFC 3501 §7.2.3, RFC 5258).

use super::string::{Charset, mailbox, number, string};
use crate::imap::types::{MailboxName, Modseq, Names, ObjectId, SpecialUse, StatusItem};
use crate::outbox::Outbox;

/// One mailbox in the answer to LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry<'a> {
    /// Its attributes.
    pub attributes: &'a [ListAttribute],
    /// What parts the levels of its name; `None` when it has no levels.
    pub delimiter: Option<char>,
    /// Its name.
    pub name: &'a MailboxName,
    /// `CHILDINFO`: names of the selection options that something below it meets (RFC 9051 §6.3.9.6).
    pub child_info: &'a [&'static str],
    /// `OLDNAME`: it had this name until now, or the client has called it so (RFC 9051 §7.3.1).
    pub old_name: Option<&'a MailboxName>,
}

/// `mbx-list-flags`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListAttribute {
    /// `\Noinferiors`: it cannot have children.
    NoInferiors,
    /// `\NonExistent`: there is no such mailbox.
    NonExistent,
    /// `\Noselect`: it holds no messages.
    NoSelect,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\Marked`: it has new messages.
    Marked,
    /// `\Unmarked`: it has not.
    Unmarked,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// What it is for.
    Use(SpecialUse),
}

impl ListAttribute {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoInferiors => "\\Noinferiors",
            Self::NonExistent => "\\NonExistent",
            Self::NoSelect => "\\Noselect",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Marked => "\\Marked",
            Self::Unmarked => "\\Unmarked",
            Self::Subscribed => "\\Subscribed",
            Self::Remote => "\\Remote",
            Self::Use(special) => special.name(),
        }
    }
}

/// An item of STATUS and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusValue {
    /// `MESSAGES`, `RECENT`, `UNSEEN`, `DELETED`, `UIDNEXT`, `UIDVALIDITY` and `SIZE`: the item, and its number.
    Number(StatusItem, u64),
    /// `HIGHESTMODSEQ`
    HighestModseq(Modseq),
    /// `APPENDLIMIT`; `None` is `NIL`: there is no limit.
    AppendLimit(Option<u64>),
    /// `MAILBOXID`
    MailboxId(ObjectId),
}

/// `* LIST (…) "/" name`
pub fn list(tx: &mut Outbox, entry: &ListEntry<'_>, names: Names) {
    tx.put(b"* LIST ");
    place(tx, entry.attributes, entry.delimiter, entry.name, names);
    if !entry.child_info.is_empty() || entry.old_name.is_some() {
        tx.put(b" (");
        for (n, option) in entry.child_info.iter().enumerate() {
            tx.put(if n == 0 { b"\"CHILDINFO\" (" } else { b" " });
            string(tx, option.as_bytes(), Charset::Ascii);
        }
        tx.put(if entry.child_info.is_empty() { b"" } else { b")" });
        if let Some(old_name) = entry.old_name {
            tx.put(if entry.child_info.is_empty() { b"" } else { b" " });
            tx.put(b"\"OLDNAME\" (");
            mailbox(tx, old_name, names);
            tx.put(b")");
        }
        tx.put(b")");
    }
    tx.put(b"\r\n");
}

/// `* LSUB (…) "/" name`
pub fn lsub(tx: &mut Outbox, attributes: &[ListAttribute], delimiter: Option<char>, name: &MailboxName, names: Names) {
    tx.put(b"* LSUB ");
    place(tx, attributes, delimiter, name, names);
    tx.put(b"\r\n");
}

/// The answer to `LIST "" ""`: only the delimiter, and the root of the reference, `""` when it is relative.
pub fn list_root(tx: &mut Outbox, delimiter: Option<char>, root: &[u8]) {
    tx.put(b"* LIST (\\Noselect) ");
    put_delimiter(tx, delimiter);
    tx.put(b" ");
    string(tx, root, Charset::Ascii);
    tx.put(b"\r\n");
}

/// `* STATUS name (…)`
pub fn status(tx: &mut Outbox, name: &MailboxName, values: &[StatusValue], names: Names) {
    tx.put(b"* STATUS ");
    mailbox(tx, name, names);
    tx.put(b" (");
    for (n, value) in values.iter().enumerate() {
        tx.put(if n == 0 { b"" } else { b" " });
        put_status(tx, value);
    }
    tx.put(b")\r\n");
}

/// `* NAMESPACE`: one personal namespace with this prefix, and no others (RFC 2342).
pub fn namespace(tx: &mut Outbox, prefix: &str, delimiter: Option<char>) {
    tx.put(b"* NAMESPACE ((");
    string(tx, prefix.as_bytes(), Charset::Ascii);
    tx.put(b" ");
    put_delimiter(tx, delimiter);
    tx.put(b")) NIL NIL\r\n");
}

fn place(tx: &mut Outbox, attributes: &[ListAttribute], delimiter: Option<char>, name: &MailboxName, names: Names) {
    tx.put(b"(");
    for (n, attribute) in attributes.iter().enumerate() {
        tx.put(if n == 0 { b"" } else { b" " });
        tx.put(attribute.name().as_bytes());
    }
    tx.put(b") ");
    put_delimiter(tx, delimiter);
    tx.put(b" ");
    mailbox(tx, name, names);
}

/// One character between quotes. Only ASCII can be one.
fn put_delimiter(tx: &mut Outbox, delimiter: Option<char>) {
    match delimiter.filter(char::is_ascii_graphic) {
        Some(delimiter) => {
            let mut buffer = [0; 4];
            string(tx, delimiter.encode_utf8(&mut buffer).as_bytes(), Charset::Ascii);
        }
        None => tx.put(b"NIL"),
    }
}

fn put_status(tx: &mut Outbox, value: &StatusValue) {
    let item = match value {
        StatusValue::Number(item, _) => *item,
        StatusValue::HighestModseq(_) => StatusItem::HighestModseq,
        StatusValue::AppendLimit(_) => StatusItem::AppendLimit,
        StatusValue::MailboxId(_) => StatusItem::MailboxId,
    };
    tx.put(item.name().as_bytes());
    tx.put(b" ");
    match value {
        StatusValue::Number(_, value) | StatusValue::AppendLimit(Some(value)) => number(tx, *value),
        StatusValue::HighestModseq(modseq) => number(tx, modseq.value()),
        StatusValue::AppendLimit(None) => tx.put(b"NIL"),
        StatusValue::MailboxId(id) => {
            tx.put(b"(");
            tx.put(id.as_bytes());
            tx.put(b")");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn mailboxes_are_listed() {
        let (name, old) = (MailboxName::new("Entw\u{fc}rfe").unwrap(), MailboxName::new("old one").unwrap());
        let attributes = [ListAttribute::HasNoChildren, ListAttribute::Use(SpecialUse::Drafts)];
        let mut entry =
            ListEntry { attributes: &attributes, delimiter: Some('/'), name: &name, child_info: &[], old_name: None };
        let expected: &[u8] = b"* LIST (\\HasNoChildren \\Drafts) \"/\" \"Entw&APw-rfe\"\r\n";
        assert_eq!(written(|tx| list(tx, &entry, Names::Utf7)), expected);
        (entry.child_info, entry.old_name, entry.delimiter) = (&["SUBSCRIBED"], Some(&old), Some('\\'));
        let expected = "* LIST (\\HasNoChildren \\Drafts) \"\\\\\" \"Entw\u{fc}rfe\" (\"CHILDINFO\" (\"SUBSCRIBED\") \
                        \"OLDNAME\" (\"old one\"))\r\n";
        assert_eq!(written(|tx| list(tx, &entry, Names::Utf8)), expected.as_bytes());
        assert_eq!(written(|tx| lsub(tx, &[], None, &MailboxName::INBOX, Names::Utf7)), b"* LSUB () NIL INBOX\r\n");
        assert_eq!(written(|tx| list_root(tx, Some('/'), b"")), b"* LIST (\\Noselect) \"/\" \"\"\r\n");
        assert_eq!(written(|tx| namespace(tx, "", Some('/'))), b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    }

    #[test]
    fn a_status_is_told() {
        let values = [
            StatusValue::Number(StatusItem::Messages, 231),
            StatusValue::HighestModseq(Modseq::default()),
            StatusValue::AppendLimit(None),
            StatusValue::MailboxId(ObjectId::of(b'F', 1)),
        ];
        let expected: &[u8] = b"* STATUS INBOX (MESSAGES 231 HIGHESTMODSEQ 0 APPENDLIMIT NIL \
            MAILBOXID (F00000000000000000000000000000001))\r\n";
        assert_eq!(written(|tx| status(tx, &MailboxName::INBOX, &values, Names::Utf7)), expected);
    }
}
