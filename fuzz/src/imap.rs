//! IMAP's framing and grammar: streams of commands, and single ones that another parser reads, too.

use pillarbox_core::imap::grammar::{secret, tag_of};
use pillarbox_core::imap::reader::Input;
use pillarbox_tests::oracle::imap_command::{
    inputs, what_others_read_we_read, what_we_read_others_read, what_we_write_we_read,
};

use crate::gauge::{Allowance, linear};
use crate::pieces::ways;

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "a1 ",
        "CAPABILITY",
        "LOGIN ",
        "AUTHENTICATE PLAIN",
        "ENABLE CONDSTORE",
        "SELECT ",
        "EXAMINE ",
        "CREATE ",
        "DELETE ",
        "RENAME ",
        "SUBSCRIBE ",
        "UNSUBSCRIBE ",
        "LIST \"\" ",
        "LSUB \"\" ",
        "STATUS INBOX (",
        "APPEND INBOX ",
        "IDLE",
        "DONE",
        "CHECK",
        "CLOSE",
        "EXPUNGE",
        "SEARCH ",
        "FETCH 1 ",
        "STORE 1 ",
        "COPY 1 ",
        "MOVE 1 ",
        "UID ",
        "NAMESPACE",
        "ID NIL",
        "UNSELECT",
        "STARTTLS",
        "LOGOUT",
        "NOOP",
        "INBOX",
        "{3}\r\n",
        "{3+}\r\n",
        "~{3}\r\n",
        "{0}\r\n",
        "\r\n",
        "UTF8 (",
        "BODY[",
        "BODY.PEEK[",
        "BODYSTRUCTURE",
        "ENVELOPE",
        "HEADER.FIELDS (",
        "HEADER.FIELDS.NOT (",
        "MIME]",
        "TEXT]",
        "<0.5>",
        "BINARY[",
        "BINARY.SIZE[",
        "BINARY.PEEK[",
        "RFC822.SIZE",
        "RFC822.HEADER",
        "INTERNALDATE",
        "MODSEQ",
        "FLAGS",
        "ALL",
        "FULL",
        "+FLAGS.SILENT ",
        "-FLAGS ",
        "(\\Seen)",
        "\\Deleted",
        "$Junk",
        "UNCHANGEDSINCE 5",
        "CHANGEDSINCE 5",
        "VANISHED",
        "QRESYNC (1 2 1:5 (1 2))",
        "RETURN (",
        "MIN MAX COUNT ALL SAVE",
        "CHARSET UTF-8 ",
        "OR ",
        "NOT ",
        "SINCE ",
        "1-Feb-2020",
        "\" 1-Feb-2020 10:00:00 +0100\"",
        "KEYWORD ",
        "HEADER X ",
        "LARGER ",
        "UID 1:*",
        "$",
        "1:*",
        "*:4",
        "4294967295",
        "9223372036854775807",
        "SPECIAL-USE",
        "CHILDREN",
        "STATUS (",
        "USE (\\Sent)",
        "&AOk-",
        "\u{fc}",
        "EMAILID ",
        "THREADID ",
        "SAVEDATE",
        "YOUNGER ",
        "OLDER ",
        "FUZZY ",
    ]
}

/// What a value that was read may weigh, for each octet of its text: keys of a search are the largest.
const COST: Allowance = Allowance::of(600, 64 * 1024).allocations(8);

/// A stream of commands, literals and messages.
pub(crate) fn reader(stream: &[u8]) {
    let whole = linear(stream.len(), COST, || inputs([stream]));
    assert!(whole.len() <= stream.len() + 1, "{} inputs", whole.len());
    let octets: usize =
        whole.iter().map(|input| if let Input::Octets(octets) = input { octets.len() } else { 0 }).sum();
    assert!(octets <= stream.len());
    for pieces in ways(stream) {
        assert_eq!(inputs(pieces), whole);
    }
}

/// One command: read, written and read again; and what `imap-codec` makes of it.
pub(crate) fn command(text: &[u8]) {
    let text = text.strip_suffix(b"\r\n").unwrap_or(text);
    let sent = [text, b"\r\n"].concat();
    let outcome = linear(sent.len(), COST, || what_we_write_we_read(&sent));
    outcome.unwrap_or_else(|how| panic!("{how}"));
    what_others_read_we_read(&sent).unwrap_or_else(|how| panic!("{how}"));
    what_we_read_others_read(&sent).unwrap_or_else(|how| panic!("{how}"));
    if let Some(hidden) = secret(text) {
        assert!(hidden.start <= hidden.end && hidden.end <= text.len());
    }
    if let Some(tag) = tag_of(text) {
        assert!(text.starts_with(tag.as_bytes()));
    }
}
