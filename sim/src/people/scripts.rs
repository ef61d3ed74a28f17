//! What strangers say, by port. Nothing here hands over a message that a server might take: whoever counts letters need
//! not know of strangers.

use super::stranger::Act::{self, Deaf, Gone, Long, Raw, Say, Times, Tls, Wait};
use crate::world::{IMAP, POP3, SMTP, SUBMISSION};

/// One of them.
pub(crate) struct Script {
    /// Where it is said.
    pub(crate) port: u16,
    /// What it is about, for stories.
    pub(crate) about: &'static str,
    pub(crate) acts: &'static [Act],
}

const fn at(port: u16, about: &'static str, acts: &'static [Act]) -> Script {
    Script { port, about, acts }
}

/// How many there are.
pub(crate) const SCRIPTS: usize = ALL.len();

/// What the script with this number is about.
pub(crate) fn about(number: usize) -> &'static str {
    ALL[number % SCRIPTS].about
}

/// All of them.
pub(crate) const ALL: &[Script] = &[
    // SMTP, between servers.
    at(SMTP, "speaks HTTP", &[Say("GET / HTTP/1.1\nHost: x")]),
    at(SMTP, "speaks binary", &[Raw(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n")]),
    at(SMTP, "says nothing", &[Wait(2000)]),
    at(
        SMTP,
        "says only NOOP",
        &[
            Say("EHLO x"),
            Wait(280),
            Say("NOOP"),
            Wait(280),
            Say("NOOP"),
            Wait(280),
            Say("NOOP"),
            Wait(280),
            Say("NOOP"),
            Wait(280),
            Say("NOOP"),
            Wait(280),
            Say("NOOP"),
            Wait(280),
            Say("NOOP"),
        ],
    ),
    at(SMTP, "says nonsense", &[Say("EHLO x"), Times(30, "FROBNICATE now")]),
    at(
        SMTP,
        "says what is not there",
        &[
            Say("HELO"),
            Say("EHLO x"),
            Say(
                "MAIL TO:<x>\nMAIL FROM:<a@b@c>\nMAIL FROM:<a@b.example> FOO=1\nRCPT TO:<{me}>\nDATA\nBDAT 3 LAST\nabcBDAT x\nVRFY x\nTURN",
            ),
            Wait(5),
        ],
    ),
    at(SMTP, "ends lines badly", &[Say("EHLO x"), Raw(b"NOOP\nNOOP\r\n"), Raw(b"NOOP \0\r\n"), Raw(b"NO\rOP\r\n")]),
    at(SMTP, "has no end", &[Say("EHLO x"), Long("NOOP ", 14_000), Long("MAIL FROM:<", 14_000)]),
    at(
        SMTP,
        "says all twice",
        &[Say("EHLO x\nMAIL FROM:<>\nMAIL FROM:<>\nRCPT TO:<{me}>\nEHLO x\nDATA"), Say("RSET\nRSET")],
    ),
    at(
        SMTP,
        "wants to relay",
        &[Say(
            "EHLO x\nMAIL FROM:<a@nowhere.example>\nRCPT TO:<a@elsewhere.example>\nRCPT TO:<nobody@{here}>\nDATA\nQUIT",
        )],
    ),
    at(SMTP, "wants AUTH where there is none", &[Say("EHLO x\nAUTH PLAIN {plain}\nAUTH")]),
    at(
        SMTP,
        "announces too much",
        &[Say(
            "EHLO x\nMAIL FROM:<> SIZE=99999999999\nMAIL FROM:<> SIZE=99999999999999999999999999\nMAIL FROM:<ä@b.example>\nMAIL FROM:<>\nRCPT TO:<ä@{here}>",
        )],
    ),
    at(SMTP, "has many recipients", &[Say("EHLO x\nMAIL FROM:<>"), Times(120, "RCPT TO:<{me}>"), Say("RSET\nQUIT")]),
    at(SMTP, "has no valid recipient", &[Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<nobody@{here}>\nDATA\nBDAT 5 LAST\nabc")]),
    at(
        SMTP,
        "loops",
        &[
            Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"),
            Times(120, "Received: from x by y; Mon, 1 Jan 2024 00:00:00 +0000"),
            Say("\nx\n."),
        ],
    ),
    at(SMTP, "sends bare LF", &[Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"), Raw(b"a: b\n\r\nx\r\n.\r\n")]),
    at(
        SMTP,
        "sends too much",
        &[
            Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"),
            Times(3000, "0123456789012345678901234567890123456789"),
            Gone,
        ],
    ),
    at(
        SMTP,
        "sends a header without end",
        &[
            Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"),
            Times(30_000, "x: 0123456789012345678901234567890123456789"),
            Gone,
        ],
    ),
    at(
        SMTP,
        "sends chunks that are too large",
        &[
            Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nBDAT 99999999"),
            Times(100, "0123456789012345678901234567890123456789"),
            Gone,
        ],
    ),
    at(
        SMTP,
        "sends slowly",
        &[
            Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"),
            Say("a: b"),
            Wait(200),
            Say("x"),
            Wait(200),
            Say("x"),
            Wait(200),
            Say("x"),
            Wait(200),
            Say("x"),
        ],
    ),
    at(SMTP, "is gone within a message", &[Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"), Say("a: b\n"), Gone]),
    at(SMTP, "leaves within a message", &[Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nDATA"), Say("a: b\n")]),
    at(SMTP, "does not listen", &[Say("EHLO x"), Deaf, Times(9000, "HELP"), Wait(3000)]),
    at(
        SMTP,
        "says all at once",
        &[Say("EHLO x\nMAIL FROM:<>"), Times(200, "RCPT TO:<{me}>"), Times(400, "NOOP"), Say("QUIT")],
    ),
    at(SMTP, "is in a hurry for TLS", &[Say("EHLO x"), Say("STARTTLS\nNOOP")]),
    at(SMTP, "injects", &[Say("EHLO x"), Say("STARTTLS"), Say("MAIL FROM:<>")]),
    at(SMTP, "wants TLS and is gone", &[Say("EHLO x\nSTARTTLS"), Gone]),
    at(SMTP, "wants TLS and leaves", &[Say("EHLO x\nSTARTTLS")]),
    at(SMTP, "wants TLS and is silent", &[Say("EHLO x\nSTARTTLS"), Wait(600)]),
    at(SMTP, "wants TLS with words", &[Say("STARTTLS now\nEHLO x\nMAIL FROM:<>\nSTARTTLS")]),
    at(
        SMTP,
        "shakes hands for ever",
        &[
            Say("EHLO x\nSTARTTLS"),
            Raw(&[1, 63, 255, 0, 0, 0, 0]),
            Times(4000, "0123456789012345678901234567890123456789"),
        ],
    ),
    at(
        SMTP,
        "does not listen to the go-ahead",
        &[Say("EHLO x"), Deaf, Times(600, "EHLO x"), Say("STARTTLS"), Wait(60)],
    ),
    at(
        SMTP,
        "does not wait for the go-ahead",
        &[Say("EHLO x"), Deaf, Times(600, "EHLO x"), Say("STARTTLS"), Say("NOOP")],
    ),
    at(SMTP, "leaves before the go-ahead", &[Say("EHLO x"), Deaf, Times(600, "EHLO x"), Say("STARTTLS")]),
    at(SMTP, "leaves TLS without a word", &[Say("EHLO x"), Say("STARTTLS"), Tls, Say("EHLO x\nMAIL FROM:<>")]),
    at(SMTP, "breaks a record", &[Say("EHLO x"), Say("STARTTLS"), Tls, Say("EHLO x"), Raw(b"no record")]),
    at(SMTP, "says much in small records", &[Say("EHLO x"), Say("STARTTLS"), Tls, Times(100, "NOOP"), Say("QUIT")]),
    at(
        SMTP,
        "begins well and then sends too large a chunk",
        &[Say("EHLO x\nMAIL FROM:<>\nRCPT TO:<{me}>\nBDAT 6\na: b\nBDAT 99999999"), Gone],
    ),
    // Submission.
    at(SUBMISSION, "does not log in", &[Say("EHLO x\nMAIL FROM:<{me}>\nRCPT TO:<{me}>"), Wait(400)]),
    at(
        SUBMISSION,
        "guesses",
        &[
            Say("EHLO x"),
            Say("AUTH PLAIN AGEAYg=="),
            Say("AUTH PLAIN AGEAYg=="),
            Say("AUTH PLAIN AGEAYg=="),
            Say("AUTH PLAIN AGEAYg=="),
        ],
    ),
    at(
        SUBMISSION,
        "logs in strangely",
        &[
            Say("EHLO x\nAUTH FOO"),
            Say("AUTH PLAIN"),
            Say("*"),
            Say("AUTH PLAIN %%%"),
            Say("AUTH PLAIN YQ=="),
            Say("AUTH PLAIN"),
            Raw(b"\0\r\n"),
            Say("AUTH PLAIN"),
            Long("", 14_000),
            Say("AUTH PLAIN eABhAGI="),
        ],
    ),
    at(
        SUBMISSION,
        "logs in twice",
        &[
            Say("EHLO x"),
            Say("AUTH PLAIN {plain}"),
            Say("AUTH PLAIN {plain}"),
            Say("MAIL FROM:<{me}>\nAUTH PLAIN {plain}"),
        ],
    ),
    at(SUBMISSION, "is gone while he logs in", &[Say("EHLO x"), Say("AUTH PLAIN {plain}"), Gone]),
    at(
        SUBMISSION,
        "sends what is too large",
        &[
            Say("EHLO x"),
            Say("AUTH PLAIN {plain}"),
            Say("MAIL FROM:<{me}>\nRCPT TO:<{me}>\nDATA"),
            Times(3000, "0123456789012345678901234567890123456789"),
            Gone,
        ],
    ),
    at(
        SUBMISSION,
        "is gone within chunks",
        &[
            Say("EHLO x"),
            Say("AUTH PLAIN {plain}"),
            Say("MAIL FROM:<{me}>\nRCPT TO:<{me}>\nBDAT 40000"),
            Times(500, "0123456789012345678901234567890123456789"),
            Gone,
        ],
    ),
    // POP3.
    at(POP3, "says nothing", &[Wait(700)]),
    at(
        POP3,
        "says only CAPA",
        &[
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
            Wait(50),
            Say("CAPA"),
        ],
    ),
    at(POP3, "says nonsense", &[Times(30, "FROBNICATE")]),
    at(POP3, "ends lines badly", &[Raw(b"CAPA\nCAPA\r\n"), Raw(b"CAPA\0\r\n"), Long("USER ", 14_000)]),
    at(
        POP3,
        "has no order",
        &[
            Say("STAT"),
            Say("PASS x"),
            Say("AUTH FOO"),
            Say("AUTH PLAIN"),
            Say("*"),
            Say("AUTH PLAIN %%"),
            Say("USER {me}"),
            Say("PASS {word}"),
            Say("USER {me}\nSTLS\nRETR 0\nRETR 99999\nDELE 77\nTOP 1\nLIST 4000000000\nRETR 99999999999999\nQUIT"),
        ],
    ),
    at(
        POP3,
        "guesses",
        &[
            Say("USER {me}"),
            Say("PASS x"),
            Say("USER {me}"),
            Say("PASS x"),
            Say("USER {me}"),
            Say("PASS x"),
            Say("USER {me}"),
            Say("PASS x"),
        ],
    ),
    at(POP3, "keeps it", &[Say("USER {me}"), Say("PASS {word}"), Wait(900)]),
    at(POP3, "keeps it and is gone", &[Say("USER {me}"), Say("PASS {word}"), Wait(400), Gone]),
    at(POP3, "does not listen", &[Say("USER {me}"), Say("PASS {word}"), Deaf, Times(6000, "RETR 1"), Wait(4000)]),
    at(
        POP3,
        "does not listen to lists",
        &[Say("USER {me}"), Say("PASS {word}"), Deaf, Times(9000, "UIDL"), Wait(4000)],
    ),
    at(POP3, "leaves", &[Say("USER {me}"), Say("PASS {word}")]),
    at(POP3, "is in a hurry for TLS", &[Say("STLS\nCAPA")]),
    at(POP3, "injects", &[Say("STLS"), Say("CAPA")]),
    at(POP3, "wants TLS and leaves", &[Say("STLS")]),
    // IMAP.
    at(IMAP, "says nothing", &[Wait(700)]),
    at(
        IMAP,
        "says only NOOP",
        &[
            Say("a NOOP"),
            Wait(50),
            Say("a NOOP"),
            Wait(50),
            Say("a NOOP"),
            Wait(50),
            Say("a NOOP"),
            Wait(50),
            Say("a NOOP"),
            Wait(50),
            Say("a NOOP"),
            Wait(50),
            Say("a NOOP"),
            Wait(50),
        ],
    ),
    at(IMAP, "says nonsense", &[Times(70, "a FROBNICATE")]),
    at(
        IMAP,
        "ends lines badly",
        &[
            Raw(b"a NOOP\na NOOP\r\n"),
            Raw(b"a NOOP\0\r\n"),
            Long("a NOOP ", 9000),
            Say("a"),
            Say("a SELECT"),
            Say("a LOGIN {99999}"),
            Say("a LOGIN {9999999+}"),
        ],
    ),
    at(
        IMAP,
        "has no order",
        &[
            Say("a SELECT INBOX\na FETCH 1 FLAGS\na LOGIN {me} x\na AUTHENTICATE FOO\na AUTHENTICATE PLAIN"),
            Say("*"),
            Say("a AUTHENTICATE PLAIN"),
            Say("%%"),
            Say("a AUTHENTICATE PLAIN YQ=="),
            Say("a LOGIN {me} {word}"),
            Say("a LOGIN {me} {word}\na STARTTLS\na FETCH 1 FLAGS\na EXPUNGE"),
        ],
    ),
    at(IMAP, "guesses", &[Say("a LOGIN {me} x"), Say("a LOGIN {me} x"), Say("a LOGIN {me} x"), Say("a LOGIN {me} x")]),
    at(IMAP, "stays", &[Say("a LOGIN {me} {word}"), Say("a SELECT INBOX"), Wait(2000)]),
    at(
        IMAP,
        "asks for what is not there",
        &[
            Say("a LOGIN {me} {word}"),
            Say(
                "a EXAMINE INBOX\na STORE 1:* +FLAGS (x)\na FETCH 9999999 FLAGS\na UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 1)\na SELECT Nowhere\na DELETE Nowhere\na RENAME Nowhere b\na STATUS Nowhere (MESSAGES)\na CREATE INBOX\na CREATE \"a//b\"\na CREATE \"\"\na DELETE INBOX",
            ),
            Say(
                "a SELECT INBOX\na COPY 1:* Nowhere\na UID COPY 1:* Nowhere\na STORE 1 +FLAGS.SILENT (x)\na SEARCH CHARSET X-FOO ALL\na SEARCH CHARSET US-ASCII SUBJECT \"\\\"\na FETCH 1 BODY[1.2.3.4.5.6]<0.1>",
            ),
            Say(
                "a CREATE Above/Below\na CREATE Above/Below\na DELETE Above\na DELETE Above\na CREATE Y (USE (\\Frob))\na CREATE Trash1 (USE (\\Trash))\na CREATE Trash2 (USE (\\Trash))\na DELETE Trash1\na DELETE Trash2\na DELETE Above/Below\na DELETE Above",
            ),
            Say("a LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "searches strangely",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a SELECT INBOX"),
            Say(
                "a SEARCH ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((ALL",
            ),
            Say(
                "a SEARCH NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT NOT ALL",
            ),
            Say("a SEARCH {texts}"),
            Say("a SEARCH CHARSET US-ASCII TEXT {2+}\nä"),
            Say("a SEARCH CHARSET UTF-8 TEXT {1+}"),
            Raw(b"\xff\r\n"),
            Say("a SEARCH TEXT {1+}"),
            Raw(b"\xff\r\n"),
            Say("a ENABLE UTF8=ACCEPT\na SEARCH CHARSET UTF-8 ALL\na SELECT INBOX (QRESYNC (1 1))"),
            Say("a ENABLE QRESYNC\na SELECT INBOX (QRESYNC (1 1))\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "appends strangely",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a APPEND Nowhere {5}"),
            Say("a APPEND INBOX {999999999}"),
            Say("a APPEND INBOX {0+}\n"),
            Say("a APPEND Drafts (\\Draft) {3+}"),
            Raw(b"a\0b\r\n"),
            Say("a CREATE Scratch"),
            Say("a APPEND Scratch {12+}"),
            Raw("Täst: x\r\n\r\n\r\n".as_bytes()),
            Say("a APPEND Scratch {3+}\nabc {3+}\nabc nonsense"),
            Say("a APPEND Scratch ({long}) {3+}\nabc"),
            Say("a DELETE Scratch\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "appends half",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Half"),
            Say("a APPEND Half {50000}"),
            Times(500, "0123456789012345678901234567890123456789"),
            Gone,
        ],
    ),
    at(
        IMAP,
        "appends half and leaves",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Half"),
            Say("a APPEND Half {50000}"),
            Times(500, "0123456789012345678901234567890123456789"),
        ],
    ),
    at(
        IMAP,
        "appends slowly",
        &[Say("a LOGIN {me} {word}"), Say("a CREATE Half"), Say("a APPEND Half {50000}"), Say("x"), Wait(1300)],
    ),
    at(
        IMAP,
        "makes many mailboxes",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Many"),
            Times(200, "a CREATE Many\na CREATE Many/x"),
            Say("a DELETE Many/x\na DELETE Many\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "has keywords",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Words"),
            Say("a APPEND Words {3+}\nabc"),
            Say("a SELECT Words"),
            Say("a STORE 1 +FLAGS ({long})"),
            Say("a STORE 1 +FLAGS ({words})"),
            Say("a STORE 1 +FLAGS ({words})"),
            Say("a STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Flagged)"),
            Say("a FETCH 1 BINARY[1]\na FETCH 1 BODY[]\na DELETE Words\na NOOP\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "fetches an odd encoding",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Odd"),
            Say("a APPEND Odd {44+}\nContent-Transfer-Encoding: x-frob\n\nx 12345"),
            Say("a SELECT Odd"),
            Say("a FETCH 1 BINARY[1]"),
            Say("a CLOSE\na DELETE Odd\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "does not listen",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a SELECT INBOX"),
            Deaf,
            Times(3000, "a FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODY[])\na LIST \"\" *"),
            Wait(5000),
        ],
    ),
    at(
        IMAP,
        "searches",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a SELECT INBOX"),
            Times(8, "a SEARCH OR TEXT x SENTBEFORE 1-Jan-2020"),
            Say("a LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "appends several large ones",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Large"),
            Say("a APPEND Large {2000+}"),
            Times(50, "01234567890123456789012345678901234567"),
            Say(" {2000+}"),
            Times(50, "01234567890123456789012345678901234567"),
            Say(" {2000+}"),
            Times(50, "01234567890123456789012345678901234567"),
            Say(""),
            Say("a DELETE Large\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "appends a very large one",
        &[
            Say("a LOGIN {me} {word}"),
            Say("a CREATE Large"),
            Say("a APPEND Large {400000}"),
            Times(10000, "01234567890123456789012345678901234567"),
            Wait(700),
            Say("\na DELETE Large\na LOGOUT"),
        ],
    ),
    at(
        IMAP,
        "idles badly",
        &[Say("a LOGIN {me} {word}"), Say("a SELECT INBOX"), Say("a IDLE"), Say("a NOOP"), Say("a IDLE"), Gone],
    ),
    at(IMAP, "leaves in IDLE", &[Say("a LOGIN {me} {word}"), Say("a SELECT INBOX"), Say("a IDLE")]),
    at(IMAP, "idles for long", &[Say("a LOGIN {me} {word}"), Say("a SELECT INBOX"), Say("a IDLE"), Wait(4000)]),
    at(IMAP, "leaves", &[Say("a LOGIN {me} {word}")]),
    at(IMAP, "is in a hurry for TLS", &[Say("a STARTTLS\na NOOP")]),
    at(IMAP, "injects", &[Say("a STARTTLS"), Say("a NOOP")]),
    at(IMAP, "wants TLS and is silent", &[Say("a STARTTLS"), Wait(600)]),
];
