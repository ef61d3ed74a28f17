//! Commands as clients write them, and what is wrong with others.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use alloc::{format, vec};

use bytes::Bytes;

use super::*;
use crate::imap::types::{
    AddressField, Charset, Date, DateField, FetchItem, Flag, Keyword, PartPath, Partial, SearchKey, Section,
    SectionText, When,
};

fn parsed(text: &str) -> core::result::Result<Command, SyntaxError> {
    let pieces = [Piece::Text(Bytes::copy_from_slice(format!("a {text}").as_bytes()))];
    parse(&pieces, Names::Utf7).map(|tagged| tagged.command).map_err(|bad| bad.what)
}

fn good(text: &str) -> Command {
    match parsed(text) {
        Ok(command) => command,
        Err(what) => panic!("{text}: {what}"),
    }
}

fn refused(text: &str) -> String {
    match parsed(text) {
        Ok(command) => panic!("{text}: {command:?}"),
        Err(what) => what.to_string(),
    }
}

fn items(text: &str) -> Vec<FetchItem> {
    let Command::Fetch(fetch) = good(&format!("FETCH 1 {text}")) else { panic!("no FETCH") };
    fetch.items
}

fn key(text: &str) -> SearchKey {
    let Command::Search(search) = good(&format!("SEARCH {text}")) else { panic!("no SEARCH") };
    search.key
}

fn octets(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn every_example_of_the_rfcs_is_read() {
    let examples = [
        ("CAPABILITY", "CAPABILITY"),
        ("nOoP", "NOOP"),
        ("LOGOUT", "LOGOUT"),
        ("STARTTLS", "STARTTLS"),
        ("AUTHENTICATE GSSAPI", "AUTHENTICATE"),
        ("AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=", "AUTHENTICATE"),
        ("AUTHENTICATE EXTERNAL =", "AUTHENTICATE"),
        ("LOGIN SMITH SESAME", "LOGIN"),
        ("LOGIN \"a b\" \"\"", "LOGIN"),
        ("ENABLE CONDSTORE X-GOOD-IDEA", "ENABLE"),
        ("SELECT INBOX", "SELECT"),
        ("EXAMINE blurdybloop", "EXAMINE"),
        ("SELECT INBOX (CONDSTORE)", "SELECT"),
        ("SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))", "SELECT"),
        ("SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541 (1,5 41,60)) CONDSTORE)", "SELECT"),
        ("SELECT INBOX (QRESYNC (1 1 (1 1)))", "SELECT"),
        ("CREATE owatagusiam/", "CREATE"),
        ("CREATE MyDrafts (USE (\\Drafts))", "CREATE"),
        ("DELETE foo", "DELETE"),
        ("RENAME blurdybloop sarasoop", "RENAME"),
        ("SUBSCRIBE #news.comp.mail.mime", "SUBSCRIBE"),
        ("UNSUBSCRIBE #news.comp.mail.mime", "UNSUBSCRIBE"),
        ("LIST \"\" \"\"", "LIST"),
        ("LIST #news.comp.mail.misc \"\"", "LIST"),
        ("LIST ~/Mail/ %", "LIST"),
        ("LIST (SUBSCRIBED REMOTE) \"\" \"*\"", "LIST"),
        ("LIST () \"\" % RETURN (CHILDREN SUBSCRIBED)", "LIST"),
        ("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" \"Drafts\" \"Sent/%\")", "LIST"),
        ("LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE)", "LIST"),
        ("LIST (SPECIAL-USE) \"\" \"*\"", "LIST"),
        ("LSUB \"#news.\" \"comp.mail.*\"", "LSUB"),
        ("NAMESPACE", "NAMESPACE"),
        ("STATUS blurdybloop (UIDNEXT MESSAGES)", "STATUS"),
        ("STATUS x (SIZE HIGHESTMODSEQ APPENDLIMIT MAILBOXID DELETED RECENT UNSEEN UIDVALIDITY)", "STATUS"),
        ("IDLE", "IDLE"),
        ("CHECK", "CHECK"),
        ("CLOSE", "CLOSE"),
        ("UNSELECT", "UNSELECT"),
        ("EXPUNGE", "EXPUNGE"),
        ("UID EXPUNGE 3000:3002", "UID EXPUNGE"),
        ("SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"", "SEARCH"),
        ("SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"", "SEARCH"),
        ("SEARCH RETURN (SAVE) CHARSET UTF-8 SUBJECT x", "SEARCH"),
        ("UID SEARCH RETURN () UID $ SMALLER 4096", "UID SEARCH"),
        ("SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338", "SEARCH"),
        ("SEARCH MODSEQ 0 YOUNGER 259200 OLDER 1", "SEARCH"),
        ("SEARCH EMAILID M6d99ac3275bb4e THREADID T64b478a75b7ea9 SAVEDATESUPPORTED SAVEDON 1-Jan-2020", "SEARCH"),
        ("FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])", "FETCH"),
        ("FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)", "FETCH"),
        ("UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)", "UID FETCH"),
        ("FETCH 1 BINARY.PEEK[1.2]<0.1024>", "FETCH"),
        ("FETCH $ (EMAILID THREADID SAVEDATE MODSEQ BINARY.SIZE[4])", "FETCH"),
        ("STORE 2:4 +FLAGS (\\Deleted)", "STORE"),
        ("STORE 1 flags.silent \\Seen $Junk", "STORE"),
        ("UID STORE 6,4,8 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)", "UID STORE"),
        ("COPY 2:4 MEETING", "COPY"),
        ("UID MOVE 42:69 foo", "UID MOVE"),
        ("ID (\"name\" \"sodr\" \"version\" NIL)", "ID"),
        ("ID NIL", "ID"),
        ("ID ()", "ID"),
    ];
    for (text, name) in examples {
        assert_eq!(good(text).name(), name, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let cases = [
        ("", "Unknown command"),
        ("NOOP ", "There is more than the command takes"),
        (" NOOP", "Unknown command"),
        ("NOOPS", "Unknown command"),
        ("UID NOOP", "Unknown command"),
        ("UID", "Expected a space"),
        ("LOGIN x", "Expected a space"),
        ("LOGIN  x y", "Expected a string"),
        ("LOGIN x \"y", "Expected the end of a quoted string"),
        ("LOGIN x {5", "Expected a string"),
        ("LOGIN gr\u{fc}n x", "Expected a space"),
        ("SELECT a&b", "Bad argument: the mailbox name is not well encoded"),
        ("SELECT x (FOO)", "Unknown parameter of SELECT"),
        ("SELECT x (QRESYNC (0 1))", "Not a number, or out of range"),
        ("SELECT x (QRESYNC (1 0))", "Not a number, or out of range"),
        ("SELECT x (QRESYNC (1 9223372036854775808))", "Not a number, or out of range"),
        ("SELECT x (QRESYNC (1 1 1:*))", "Expected a set without \"*\" and \"$\""),
        ("SELECT x (QRESYNC (1 1 $))", "Expected a set without \"*\" and \"$\""),
        ("CREATE x (USE (Drafts))", "Expected a special use"),
        ("LIST (RECURSIVEMATCH) \"\" *", "RECURSIVEMATCH goes with SUBSCRIBED or SPECIAL-USE only"),
        ("LIST (FOO) \"\" *", "Unknown selection option of LIST"),
        ("LIST \"\" * RETURN (FOO)", "Unknown return option of LIST"),
        ("LIST \"\" ()", "Expected a mailbox name"),
        ("STATUS x ()", "Unknown item of STATUS"),
        ("STATUS x (MESSAGES )", "Unknown item of STATUS"),
        ("FETCH 0 FLAGS", "Not a number, or out of range"),
        ("FETCH 4294967296 FLAGS", "Not a number, or out of range"),
        ("FETCH 1, FLAGS", "Not a number, or out of range"),
        ("FETCH $,1 FLAGS", "Expected a space"),
        ("FETCH 1 ()", "Unknown item of FETCH"),
        ("FETCH 1 (ALL)", "Unknown item of FETCH"),
        ("FETCH 1 FLAGS[]", "Unknown item of FETCH"),
        ("FETCH 1 BODY[MIME]", "Unknown section"),
        ("FETCH 1 BODY[1.]", "Unknown section"),
        ("FETCH 1 BODY[0]", "Not a number, or out of range"),
        ("FETCH 1 BODY[HEADER.FIELDS ()]", "Expected a string"),
        ("FETCH 1 BODY[HEADER.FIELDS (\"a b\")]", "Expected the name of a header field"),
        ("FETCH 1 BODY[]<0.0>", "Not a number, or out of range"),
        ("FETCH 1 BODY[]<1>", "Expected \".\""),
        ("FETCH 1 BINARY[1.HEADER]", "Not a number, or out of range"),
        ("FETCH 1 FLAGS (VANISHED CHANGEDSINCE 1)", "VANISHED goes with UID FETCH and CHANGEDSINCE only"),
        ("UID FETCH 1 FLAGS (VANISHED)", "VANISHED goes with UID FETCH and CHANGEDSINCE only"),
        ("FETCH 1 FLAGS (CHANGEDSINCE 0)", "Not a number, or out of range"),
        ("STORE 1 FLAGS", "Expected a space"),
        ("STORE 1 FLAGS (\\Recent)", "\\Recent is set by nobody"),
        ("STORE 1 FLAGS (\\*)", "Expected a flag"),
        ("STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) FLAGS ()", "Unknown modifier of STORE"),
        ("STORE 1 *FLAGS ()", "Expected FLAGS, +FLAGS or -FLAGS"),
        ("SEARCH", "Expected a space"),
        ("SEARCH ", "Unknown search key"),
        ("SEARCH FOO", "Unknown search key"),
        ("SEARCH OR ALL", "Expected a space"),
        ("SEARCH ()", "Unknown search key"),
        ("SEARCH (ALL", "Expected \")\""),
        ("SEARCH ALL)", "There is more than the command takes"),
        ("SEARCH ON 31-Feb-2020", "Expected a day that exists"),
        ("SEARCH ON 1-Foo-2020", "Expected a date such as 1-Feb-2026"),
        ("SEARCH LARGER 9223372036854775808", "Not a number, or out of range"),
        ("SEARCH YOUNGER 0", "Not a number, or out of range"),
        ("SEARCH KEYWORD \\Seen", "Expected an atom"),
        ("SEARCH RETURN (FOO) ALL", "Unknown return option of SEARCH"),
        ("AUTHENTICATE PLAIN ", "Expected an initial response in base64"),
        ("AUTHENTICATE PLAIN a b", "There is more than the command takes"),
        ("ID (\"a\")", "Expected a space"),
        ("ID (a b)", "Expected a quoted string or a literal"),
        ("APPEND x", "Expected the literal of a message"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn items_of_fetch() {
    let section = |part: &[u32], text| {
        let part = PartPath(part.iter().filter_map(|&number| number.try_into().ok()).collect());
        FetchItem::Section { peek: false, section: Section { part, text }, partial: None }
    };
    assert_eq!(items("BODY"), [FetchItem::Body]);
    assert_eq!(items("BODY[]"), [section(&[], SectionText::All)]);
    assert_eq!(items("body[1.2]"), [section(&[1, 2], SectionText::All)]);
    assert_eq!(items("BODY[1.MIME]"), [section(&[1], SectionText::Mime)]);
    assert_eq!(items("BODY[4.2.HEADER]"), [section(&[4, 2], SectionText::Header)]);
    let fields = vec![octets("To"), octets("x")];
    assert_eq!(items("BODY[HEADER.FIELDS.NOT (To \"x\")]"), [section(&[], SectionText::HeaderFieldsNot(fields))]);
    let partial = Some(Partial { offset: 10, length: i64::MAX as u64 });
    let FetchItem::Section { partial: found, peek: true, .. } =
        items("BODY.PEEK[TEXT]<10.9223372036854775807>").remove(0)
    else {
        panic!("no section");
    };
    assert_eq!(found, partial);
    assert_eq!(items("(FLAGS UID FLAGS)"), [FetchItem::Flags, FetchItem::Uid]);
    assert_eq!(items("FAST"), [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size]);
    assert_eq!(items("BINARY[]"), [FetchItem::Binary { peek: false, part: PartPath::default(), partial: None }]);
}

#[test]
fn search_keys_are_a_tree() {
    use SearchKey::{All, And, Has, Lacks, Not, Or};
    assert_eq!(key("ALL"), All);
    assert_eq!(key("(((ALL)))"), All);
    assert_eq!(key("NEW"), And(vec![Has(Flag::Recent), Lacks(Flag::Seen)]));
    assert_eq!(key("SEEN (DRAFT ALL)"), And(vec![Has(Flag::Seen), And(vec![Has(Flag::Draft), All])]));
    assert_eq!(key("OR SEEN DRAFT"), Or(vec![Has(Flag::Seen), Has(Flag::Draft)]));
    let three = Or(vec![Has(Flag::Seen), Has(Flag::Draft), All]);
    assert_eq!(key("OR SEEN OR DRAFT ALL"), three);
    assert_eq!(key("OR OR SEEN DRAFT ALL"), three);
    assert_eq!(key("OR SEEN (OR DRAFT ALL)"), Or(vec![Has(Flag::Seen), Or(vec![Has(Flag::Draft), All])]));
    let not = |key| Not(key);
    assert_eq!(key("NOT NOT SEEN DRAFT"), And(vec![not(not(Has(Flag::Seen).into()).into()), Has(Flag::Draft)]));
    assert_eq!(key("NOT OR SEEN DRAFT ALL"), And(vec![not(Or(vec![Has(Flag::Seen), Has(Flag::Draft)]).into()), All]));
    let keyword = Keyword::new(octets("$Junk")).unwrap();
    assert_eq!(key("UNKEYWORD $junk"), Lacks(Flag::Keyword(keyword)));
    assert_eq!(key("BCC \"x y\""), SearchKey::Address(AddressField::Bcc, octets("x y")));
    let date = Date::new(1994, 2, 1).unwrap();
    assert_eq!(key("sentbefore \"1-feb-1994\""), SearchKey::Date(DateField::Sent, When::Before, date));
    assert_eq!(key("1:*,5"), SearchKey::Sequence(set("1:*,5")));
    assert_eq!(key("*:1"), SearchKey::Sequence(set("*:1")));
    assert_eq!(key("$"), SearchKey::Sequence(set("$")));
    assert_eq!(key("1 2"), And(vec![SearchKey::Sequence(set("1")), SearchKey::Sequence(set("2"))]));
}

fn set(text: &str) -> crate::imap::types::SequenceSet {
    let Command::Copy(copy) = good(&format!("COPY {text} x")) else { panic!("no COPY") };
    copy.set
}

#[test]
fn search_says_its_charset() {
    let charset = |text: &str| {
        let Command::Search(search) = good(text) else { panic!("no SEARCH") };
        search.charset
    };
    assert_eq!(charset("SEARCH ALL"), Charset::Unsaid);
    assert_eq!(charset("SEARCH CHARSET \"utf-8\" ALL"), Charset::Utf8);
    assert_eq!(charset("SEARCH RETURN (ALL) CHARSET us-ascii ALL"), Charset::UsAscii);
    assert_eq!(charset("SEARCH CHARSET ISO-8859-1 ALL"), Charset::Other(octets("ISO-8859-1")));
}

#[test]
fn everything_is_bounded() {
    let nested = |depth: usize| format!("SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parsed(&nested(SearchKey::MAX_DEPTH)).is_ok());
    assert_eq!(refused(&nested(SearchKey::MAX_DEPTH + 1)), "Search keys nest too deeply");
    assert_eq!(refused(&format!("SEARCH {}ALL", "NOT ".repeat(100_000))), "Search keys nest too deeply");
    // A chain of ORs is no nesting, but each is a key.
    let chain = |ors: usize| format!("SEARCH {}ALL", "OR SEEN ".repeat(ors));
    assert!(parsed(&chain(500)).is_ok());
    assert_eq!(refused(&chain(100_000)), "Too many search keys");
    assert_eq!(refused(&format!("SEARCH{}", " ALL".repeat(SearchKey::MAX_KEYS + 1))), "Too many search keys");
    assert_eq!(refused(&format!("FETCH {}1 FLAGS", "1,".repeat(4096))), "Too many ranges in a set");
    assert_eq!(refused(&format!("FETCH 1 BODY[{}1]", "1.".repeat(64))), "Too many numbers in a section");
    assert_eq!(refused(&format!("FETCH 1 (FLAGS{})", " BODY[1]".repeat(10_000))), "Too many items");
    assert_eq!(refused(&format!("STORE 1 FLAGS ({}x)", "x ".repeat(128))), "Too many flags");
    assert_eq!(refused(&format!("STORE 1 FLAGS ({})", "x".repeat(129))), "Too long: a keyword");
    assert_eq!(refused(&format!("ID ({}\"a\" \"b\")", "\"a\" \"b\" ".repeat(30))), "Too many fields");
    assert_eq!(refused(&format!("LIST \"\" ({}x)", "x ".repeat(32))), "Too many patterns");
    assert_eq!(refused(&format!("SELECT {}", "x".repeat(1025))), "Bad argument: the mailbox name is too long");
}

#[test]
fn arguments_point_into_what_was_received() {
    let text = Bytes::from_static(b"a SEARCH SUBJECT hello");
    let range = text.as_ptr() as usize..text.as_ptr() as usize + text.len();
    let tagged = parse(&[Piece::Text(text)], Names::Utf7).unwrap();
    let Command::Search(search) = tagged.command else { panic!("no SEARCH") };
    let SearchKey::Subject(subject) = search.key else { panic!("no SUBJECT") };
    assert!(range.contains(&(subject.as_ptr() as usize)));
}
