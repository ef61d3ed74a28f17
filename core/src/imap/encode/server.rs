//! What a server says of itself: CAPABILITY, ENABLED, ID (RFC 9051 §7.2, RFC 2971).

use super::string::{Charset, astring, string};
use crate::outbox::Outbox;

/// `* CAPABILITY …`
pub fn capability<'a>(tx: &mut Outbox, names: impl IntoIterator<Item = &'a str>) {
    words(tx, "* CAPABILITY", names);
}

/// `* ENABLED …`
pub fn enabled<'a>(tx: &mut Outbox, names: impl IntoIterator<Item = &'a str>) {
    words(tx, "* ENABLED", names);
}

/// `* ID ("name" "Pillarbox")`; `NIL` when there is nothing to say.
pub fn id<'a>(tx: &mut Outbox, fields: impl IntoIterator<Item = (&'a str, &'a str)>) {
    tx.put(b"* ID ");
    let mut any = false;
    for (name, value) in fields {
        tx.put(if any { b" " } else { b"(" });
        any = true;
        string(tx, name.as_bytes(), Charset::Ascii);
        tx.put(b" ");
        string(tx, value.as_bytes(), Charset::Ascii);
    }
    tx.put(if any { b")\r\n" } else { b"NIL\r\n" });
}

fn words<'a>(tx: &mut Outbox, begin: &str, names: impl IntoIterator<Item = &'a str>) {
    tx.put(begin.as_bytes());
    for name in names {
        tx.put(b" ");
        astring(tx, name.as_bytes(), Charset::Ascii);
    }
    tx.put(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn words_about_ourselves() {
        assert_eq!(written(|tx| capability(tx, ["IMAP4rev1", "ID"])), b"* CAPABILITY IMAP4rev1 ID\r\n");
        assert_eq!(written(|tx| enabled(tx, [])), b"* ENABLED\r\n");
        assert_eq!(
            written(|tx| id(tx, [("name", "Pillarbox"), ("x", "\"")])),
            b"* ID (\"name\" \"Pillarbox\" \"x\" \"\\\"\")\r\n"
        );
        assert_eq!(written(|tx| id(tx, [])), b"* ID NIL\r\n");
    }
}
