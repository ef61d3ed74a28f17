//! Properties of IMAP's grammar: what is read reads the same when it is written again; however the stream is cut, the same
//! is read; and a parser that we did not write finds the same commands good, and the same meaning in them.

use pillarbox_tests::oracle::imap_command::{
    inputs, what_others_read_we_read, what_we_read_others_read, what_we_write_we_read,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn pieces<'a>(sent: &'a [u8], cuts: &[Index]) -> impl Iterator<Item = &'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
    at.extend([0, sent.len()]);
    at.sort_unstable();
    (1..at.len()).map(move |n| &sent[at[n - 1]..at[n]])
}

/// Words of a command's name, its arguments, and everything between them. Many choices make sense, some do not.
fn argument() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "INBOX",
            "inbox",
            "foo",
            "\"foo bar\"",
            "\"\"",
            "{3}\r\na b",
            "{2+}\r\nxy",
            "{0}\r\n",
            "Entw&APw-rfe",
            "a&b",
            "%",
            "*",
            "\"*\"",
            "foo/%",
            "\"a\\\"b\\\\\"",
            "\"\u{fc}\"",
            "{2}\r\n\u{fc}",
            "NIL",
            "nil",
            "~{1}\r\nx",
            "\"a\\b\"",
        ]),
        select(vec![
            "1",
            "0",
            "*",
            "$",
            "1:*",
            "*:4",
            "2,4:7,9,12:*",
            "4294967295",
            "4294967296",
            "1,",
            ":1",
            "1:2:3",
            "007",
            "18446744073709551616",
            "9223372036854775807",
            "9223372036854775808",
        ]),
        select(vec![
            "FLAGS",
            "UID",
            "ENVELOPE",
            "BODY",
            "BODYSTRUCTURE",
            "body.peek[]",
            "BODY[HEADER]",
            "BODY[1.2.MIME]",
            "BODY[HEADER.FIELDS (To \"From\")]<0.10>",
            "BODY[1.HEADER.FIELDS.NOT (x)]",
            "RFC822.SIZE",
            "RFC822",
            "ALL",
            "FAST",
            "FULL",
            "INTERNALDATE",
            "BINARY[1]",
            "BINARY.PEEK[1.2]<3.4>",
            "BINARY.SIZE[]",
            "MODSEQ",
            "BODY[MIME]",
            "(CHANGEDSINCE 5)",
            "BODY[TEXT]<5.0>",
            "RFC822.TEXT",
            "RFC822.HEADER",
            "BODY[0]",
            "BODY[1.]",
        ]),
        select(vec![
            "\\Seen",
            "\\seen",
            "\\Deleted",
            "\\Recent",
            "\\*",
            "$Junk",
            "keyword",
            "\\Extension",
            "()",
            "(\\Seen)",
            "(\\Flagged $Forwarded)",
            "+FLAGS",
            "-FLAGS.SILENT",
            "FLAGS",
            "(UNCHANGEDSINCE 5)",
            "+flags.silent",
            "\\",
        ]),
        select(vec![
            "ANSWERED",
            "UNSEEN",
            "NEW",
            "OLD",
            "NOT",
            "OR",
            "FROM foo",
            "TO \"x\"",
            "SUBJECT {1}\r\nx",
            "KEYWORD $Junk",
            "UNKEYWORD x",
            "ON 1-Feb-2020",
            "SENTSINCE \"31-Dec-1999\"",
            "BEFORE 30-Feb-2020",
            "SINCE 01-jan-2021",
            "LARGER 5",
            "SMALLER 4294967295",
            "HEADER X-Y \"z\"",
            "UID 1:*",
            "BODY x",
            "TEXT x",
            "CHARSET UTF-8",
            "RETURN (MIN COUNT)",
            "YOUNGER 5",
            "OLDER 0",
            "MODSEQ 5",
            "ALL",
            "(SEEN)",
            "NOT NOT ALL",
            "OR ALL OR SEEN DRAFT",
            "1:3,5",
            "FUZZY",
        ]),
        select(vec![
            "MESSAGES",
            "(MESSAGES UNSEEN)",
            "(UIDNEXT RECENT UIDVALIDITY)",
            "(SIZE)",
            "(HIGHESTMODSEQ)",
            "(CONDSTORE)",
            "(QRESYNC (1 2 1:5 (1 2)))",
            "(USE (\\Sent))",
            "RETURN (CHILDREN)",
            "(SUBSCRIBED)",
            "()",
            "( )",
            "(\"name\" \"x\")",
            "CONDSTORE",
            "PLAIN",
            "PLAIN dGVzdA==",
            "=",
            "(\"a\" NIL)",
            "RETURN (STATUS (UNSEEN))",
            "UTF8=ACCEPT",
            "\" 1-Feb-2020 10:00:00 +0100\"",
            "\"31-Feb-2020 10:00:00 +0100\"",
            "\"01-Feb-2020 25:00:00 +0000\"",
        ]),
    ];
    let list = prop::collection::vec(leaf.clone(), 0..4).prop_map(|items| format!("({})", items.join(" ")));
    prop_oneof![6 => leaf.prop_map(String::from), 1 => list]
}

/// A whole command, with its CRLF.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let name = select(vec![
        "CAPABILITY",
        "NOOP",
        "LOGOUT",
        "STARTTLS",
        "AUTHENTICATE",
        "LOGIN",
        "ENABLE",
        "SELECT",
        "EXAMINE",
        "CREATE",
        "DELETE",
        "RENAME",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "LIST",
        "LSUB",
        "NAMESPACE",
        "STATUS",
        "IDLE",
        "CHECK",
        "CLOSE",
        "UNSELECT",
        "EXPUNGE",
        "SEARCH",
        "FETCH",
        "STORE",
        "COPY",
        "MOVE",
        "UID EXPUNGE",
        "UID SEARCH",
        "UID FETCH",
        "UID STORE",
        "UID COPY",
        "UID MOVE",
        "ID",
        "noop",
        "Uid Fetch",
        "XYZZY",
    ]);
    let tag = prop_oneof![20 => Just("a1"), 1 => select(vec!["A.1]", "+", "a+b", "", "*", "\u{fc}", "a\"b"])];
    (tag, name, prop::collection::vec(argument(), 0..5)).prop_map(|(tag, name, arguments)| {
        let arguments: String = arguments.iter().map(|argument| format!(" {argument}")).collect();
        format!("{tag} {name}{arguments}\r\n").into_bytes()
    })
}

/// Commands that are mostly good: each takes the arguments it wants.
fn good_command() -> impl Strategy<Value = Vec<u8>> {
    let mailbox = || {
        select(vec!["INBOX", "foo", "\"foo bar\"", "{3}\r\na b", "Entw&APw-rfe", "\"\"", "iNbOx", "\"a\\\\b\"", "a]"])
    };
    let set = || select(vec!["1", "1:*", "*", "2,4:7,9,12:*", "4294967295", "7:3"]);
    let uid = || select(vec!["", "UID "]);
    let fetch = select(vec![
        "FLAGS",
        "(FLAGS UID)",
        "ALL",
        "FULL",
        "BODY[]",
        "(BODY.PEEK[HEADER.FIELDS (DATE FROM)] RFC822.SIZE)",
        "BODY[1.2.TEXT]<0.100>",
        "BINARY.PEEK[1]",
        "(INTERNALDATE ENVELOPE BODYSTRUCTURE BODY)",
        "RFC822.HEADER",
    ]);
    let key = || {
        select(vec![
            "ALL",
            "UNSEEN",
            "FROM foo",
            "SUBJECT \"a b\"",
            "NOT SEEN",
            "OR SEEN FLAGGED",
            "1:5",
            "UID 1:*",
            "LARGER 100",
            "SINCE 1-Feb-2020",
            "HEADER X \"\"",
            "KEYWORD $Junk",
            "(SEEN DRAFT)",
            "NOT (OR NEW OLD)",
            "TEXT {1}\r\nx",
            "OR OR SEEN DRAFT ALL",
            "SENTON \"5-May-2005\"",
            "UNKEYWORD x",
            "BCC x",
            "SMALLER 0",
            "RECENT",
        ])
    };
    let flags = || select(vec!["(\\Seen)", "()", "(\\Deleted $Junk)", "\\Seen", "(\\Answered \\Flagged \\Draft x)"]);
    let date = select(vec!["", " \" 1-Feb-2020 10:00:00 +0100\"", " \"31-Dec-1999 23:59:59 -0830\""]);
    let text = prop_oneof![
        select(vec![
            "CAPABILITY",
            "NOOP",
            "LOGOUT",
            "STARTTLS",
            "IDLE",
            "CHECK",
            "CLOSE",
            "UNSELECT",
            "EXPUNGE",
            "ID NIL"
        ])
        .prop_map(String::from),
        (select(vec!["SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE"]), mailbox())
            .prop_map(|(name, mailbox)| format!("{name} {mailbox}")),
        (mailbox(), mailbox()).prop_map(|(from, to)| format!("RENAME {from} {to}")),
        (mailbox(), select(vec!["*", "%", "foo/%", "\"*\"", "\"\""])).prop_map(|(a, b)| format!("LIST {a} {b}")),
        (mailbox(), select(vec!["*", "%"])).prop_map(|(a, b)| format!("LSUB {a} {b}")),
        (mailbox(), select(vec!["(MESSAGES)", "(UIDNEXT UIDVALIDITY UNSEEN RECENT)"]))
            .prop_map(|(a, b)| format!("STATUS {a} {b}")),
        (uid(), set(), fetch).prop_map(|(uid, set, items)| format!("{uid}FETCH {set} {items}")),
        (uid(), set(), select(vec!["FLAGS", "+FLAGS", "-FLAGS.SILENT"]), flags())
            .prop_map(|(uid, set, how, flags)| format!("{uid}STORE {set} {how} {flags}")),
        (uid(), select(vec!["COPY", "MOVE"]), set(), mailbox())
            .prop_map(|(uid, name, set, to)| format!("{uid}{name} {set} {to}")),
        (uid(), select(vec!["", "CHARSET UTF-8 "]), prop::collection::vec(key(), 1..4))
            .prop_map(|(uid, charset, keys)| format!("{uid}SEARCH {charset}{}", keys.join(" "))),
        (mailbox(), prop::option::of(flags()), date, select(vec!["{5}\r\nHello", "{2+}\r\n\r\n", "{1}\r\nx"]))
            .prop_map(|(mailbox, flags, date, message)| {
                let flags = flags.map(|flags| format!(" {flags}")).unwrap_or_default();
                format!("APPEND {mailbox}{flags}{date} {message}")
            }),
        Just(String::from("LOGIN alice {3}\r\na b")),
        Just(String::from("AUTHENTICATE PLAIN")),
        Just(String::from("ENABLE CONDSTORE")),
        Just(String::from("UID EXPUNGE 1:5")),
    ];
    text.prop_map(|text| format!("a1 {text}\r\n").into_bytes())
}

/// `sent` with some octets changed, left out or put in.
fn mutate(mut sent: Vec<u8>, changes: &[(Index, u8, u8)]) -> Vec<u8> {
    for (at, how, octet) in changes {
        if sent.is_empty() {
            break;
        }
        let at = at.index(sent.len());
        match how % 3 {
            0 => sent[at] = *octet,
            1 => drop(sent.remove(at)),
            _ => sent.insert(at, *octet),
        }
    }
    sent
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    let octet = prop_oneof![
        4 => select(b" ()[]{}<>\"\\*%+-.,:$&~\r\n\0".to_vec()),
        2 => select(b"0123456789".to_vec()),
        2 => select(b"aAxXNUF".to_vec()),
        1 => any::<u8>(),
    ];
    prop::collection::vec((any::<Index>(), any::<u8>(), octet), 0..3)
}

fn any_command() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => good_command(), 1 => command()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn read_write_read(sent in any_command()) {
        what_we_write_we_read(&sent).map_err(TestCaseError::fail)?;
    }

    /// However the stream is cut, the same is read of it.
    #[test]
    fn cuts_do_not_show(
        streams in prop::collection::vec((any_command(), changes()), 1..4),
        cuts in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let sent: Vec<u8> = streams.into_iter().flat_map(|(sent, changes)| mutate(sent, &changes)).collect();
        prop_assert_eq!(inputs(pieces(&sent, &cuts)), inputs([&sent[..]]), "{}", sent.escape_ascii());
    }

    /// Anything at all is read without harm, and never takes more than it gives.
    #[test]
    fn garbage_is_no_harm(sent in prop::collection::vec(any::<u8>(), 0..400), cuts in prop::collection::vec(any::<Index>(), 0..4)) {
        let _ = inputs(pieces(&sent, &cuts));
    }

    #[test]
    fn others_and_we(sent in any_command(), changes in changes()) {
        what_others_read_we_read(&mutate(sent, &changes)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn we_and_others(sent in any_command(), changes in changes()) {
        what_we_read_others_read(&mutate(sent, &changes)).map_err(TestCaseError::fail)?;
    }
}
