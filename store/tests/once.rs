//! What is found out once, when a message comes: its structure and its conversation. And what is never done twice: a UID, a
//! UIDVALIDITY, a modseq.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use pillarbox_core::mailbox::*;
use pillarbox_core::message::StructureParser;
use pillarbox_core::ops::*;
use pillarbox_store::{DiskStore, MemoryStore};

fn on_both(tell: impl Fn(&dyn Store)) {
    let dir = tempfile::tempdir().unwrap();
    tell(&*MemoryStore::new(options(&TestClock::default())));
    tell(&*DiskStore::open(dir.path(), options(&TestClock::default())).unwrap());
}

fn mail(id: &str, references: &str, subject: &str) -> NewBody {
    let text = format!("Message-ID: <{id}>\r\nReferences: {references}\r\nSubject: {subject}\r\n\r\nHello\r\n");
    let mut parser = StructureParser::new();
    parser.feed(text.as_bytes());
    NewBody { structure: parser.finish().encode(), body: inline(text) }
}

fn append(node: &Node, store: &dyn Store, account: AccountId, to: &str, new: NewBody) {
    let append = Request::Append { to: name(to), messages: vec![Append::default()] };
    let appended = respond(node.ask(store, asking(account, append, vec![new])));
    assert!(matches!(appended, Response::Appended { .. }), "{appended:?}");
}

fn threads(node: &Node, store: &dyn Store, account: AccountId, mailbox: MailboxId) -> Vec<ThreadId> {
    entries(node, store, account, mailbox).iter().map(|entry| entry.thread).collect()
}

fn flag_deleted(mailbox: MailboxId, uids: UidSet) -> Request {
    let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: vec![] };
    Request::Flag { mailbox, uids, change, unchanged_since: None }
}

#[test]
fn messages_that_name_each_other_are_one_conversation() {
    on_both(|store| {
        let node = Node::new();
        let [alice, bob] = ["alice", "bob"].map(|name| add(&node, store, &format!("{name}@example.org")));
        let inbox = select(&node, store, alice, "INBOX", true).mailbox;
        let Response::Made(sent) =
            request(&node, store, alice, Request::Create { name: name("Sent"), special_use: None })
        else {
            panic!("not made")
        };
        // By SMTP to both, and an answer of alice's that both keep.
        let first = mail("1@x", "", "Lunch");
        let accept = message(first.body, vec![delivery(alice), delivery(bob)], vec![]);
        let accept = Accept { structure: first.structure, ..accept };
        accepted(node.ask(store, StoreOp::Accept(Box::new(accept))));
        append(&node, store, alice, "Sent", mail("2@x", "<1@x>", "Re: Lunch"));
        append(&node, store, bob, "INBOX", mail("2@x", "<1@x>", "Re: Lunch"));
        // The third names the second alone; the fourth is about something else, the fifth names nobody.
        append(&node, store, alice, "INBOX", mail("3@x", "<2@x>", "RE: [list] lunch"));
        append(&node, store, alice, "INBOX", mail("4@x", "<2@x>", "Dinner"));
        append(&node, store, alice, "INBOX", mail("5@x", "", "Lunch"));
        let copy = Request::Copy { mailbox: inbox, uids: UidSet::run(1, 1), to: name("Sent"), remove: false };
        request(&node, store, alice, copy);

        let (here, there) = (threads(&node, store, alice, inbox), threads(&node, store, alice, sent));
        assert_eq!((here[0], here[1], there), (here[0], here[0], vec![here[0]; 2]), "a copy stays where it belongs");
        assert!(here[0] != here[2] && here[2] != here[3] && here[0] != here[3]);
        let theirs = threads(&node, store, bob, select(&node, store, bob, "INBOX", true).mailbox);
        assert!(theirs[0] == theirs[1] && theirs[0] != here[0], "each account has conversations of its own");
        // An answer may come before what it answers.
        append(&node, store, bob, "INBOX", mail("9@x", "<7@x> <8@x>", "Late"));
        append(&node, store, bob, "INBOX", mail("7@x", "", "Late"));
        let theirs = threads(&node, store, bob, select(&node, store, bob, "INBOX", true).mailbox);
        assert_eq!(theirs[2], theirs[3]);
    });
}

#[test]
fn a_conversation_is_known_for_as_long_as_a_message_of_it_is_there() {
    on_both(|store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        let inbox = select(&node, store, account, "INBOX", true).mailbox;
        let expunge = |uid| {
            request(&node, store, account, flag_deleted(inbox, UidSet::run(uid, uid)));
            request(&node, store, account, Request::Expunge { mailbox: inbox, uids: None });
        };
        append(&node, store, account, "INBOX", mail("1@x", "", "Lunch"));
        append(&node, store, account, "INBOX", mail("2@x", "<1@x>", "Lunch"));
        let first = threads(&node, store, account, inbox)[0];
        expunge(1);
        append(&node, store, account, "INBOX", mail("3@x", "<1@x>", "Lunch"));
        assert_eq!(threads(&node, store, account, inbox), [first; 2], "the second still names it");
        let rename = Request::Rename { from: name("INBOX"), to: name("old") };
        request(&node, store, account, rename);
        append(&node, store, account, "INBOX", mail("4@x", "<3@x>", "Lunch"));
        assert_eq!(threads(&node, store, account, inbox), [first]);
        expunge(4);
        let old = select(&node, store, account, "old", true).mailbox;
        request(&node, store, account, flag_deleted(old, UidSet::run(1, 9)));
        request(&node, store, account, Request::Expunge { mailbox: old, uids: None });
        append(&node, store, account, "INBOX", mail("5@x", "<1@x>", "Lunch"));
        assert_ne!(threads(&node, store, account, inbox), [first], "it is over");
    });
}

#[test]
fn rows_of_conversations_die_with_their_messages() {
    let dir = tempfile::tempdir().unwrap();
    let (store, node) = (open(dir.path()), Node::new());
    let account = add(&node, &*store, "alice@example.org");
    for n in 0..50 {
        append(&node, &*store, account, "INBOX", mail(&format!("{n}@x"), &format!("<{}@x> <{}@x>", n / 2, n / 3), "x"));
    }
    let database = rusqlite::Connection::open(dir.path().join("pillarbox.db")).unwrap();
    let rows = || database.query_row("SELECT count(*) FROM threads", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(), 50);
    empty(&node, &*store, account);
    assert_eq!(rows(), 0);
}

#[test]
fn what_an_account_holds_is_counted() {
    on_both(|store| {
        let node = Node::new();
        let [alice, bob] = ["alice", "bob"].map(|name| add(&node, store, &format!("{name}@example.org")));
        let check = |messages, octets| {
            assert_eq!(request(&node, store, alice, Request::Usage), Response::Usage { messages, octets });
        };
        check(0, 0);
        accepted(node.ask(store, deliver(alice, "12345")));
        let one = 5 + PREFIX as u64;
        check(1, one);
        respond(node.ask(store, appending(alice, "INBOX", FlagSet::SEEN, vec![inline("a"), inline("bc")])));
        check(3, one + 3);
        request(&node, store, alice, Request::Create { name: name("a"), special_use: None });
        let inbox = select(&node, store, alice, "INBOX", true).mailbox;
        let copy =
            |remove, first| Request::Copy { mailbox: inbox, uids: UidSet::run(first, first), to: name("a"), remove };
        request(&node, store, alice, copy(false, 1));
        request(&node, store, alice, copy(true, 2));
        check(4, 2 * one + 3);
        request(&node, store, alice, Request::Rename { from: name("INBOX"), to: name("b") });
        check(4, 2 * one + 3);
        request(&node, store, alice, Request::Delete { name: name("a") });
        check(2, one + 2);
        assert_eq!(request(&node, store, bob, Request::Usage), Response::Usage { messages: 0, octets: 0 });
        assert_eq!(request(&node, store, AccountId::default(), Request::Usage), Response::NoMailbox);
        let remove = StoreOp::Account(AccountOp::Remove { address: address("alice@example.org") });
        node.ask(store, remove);
        assert_eq!(request(&node, store, alice, Request::Usage), Response::NoMailbox);
    });
}

/// UIDs, UIDVALIDITY and modseqs across a restart, an empty mailbox, and one that is made anew.
#[test]
fn nothing_is_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::new();
    let mut store = open(dir.path());
    let account = add(&node, &*store, "alice@example.org");
    request(&node, &*store, account, Request::Create { name: name("a"), special_use: None });
    let mut before: Vec<Counters> = Vec::new();
    for round in 0..3 {
        let mut now = Vec::new();
        for to in ["INBOX", "a"] {
            append(&node, &*store, account, to, mail("1@x", "", "x"));
            let mailbox = select(&node, &*store, account, to, false);
            request(&node, &*store, account, flag_deleted(mailbox.mailbox, mailbox.uids));
            request(&node, &*store, account, Request::Expunge { mailbox: mailbox.mailbox, uids: None });
            now.push(select(&node, &*store, account, to, true).counters);
            assert_eq!((now[now.len() - 1].messages, now[now.len() - 1].uid_next), (0, round + 2));
        }
        for (before, now) in before.iter().zip(&now) {
            assert_eq!(before.uid_validity, now.uid_validity);
            assert!(before.highest_modseq < now.highest_modseq);
        }
        before = now;
        store.close();
        store = open(dir.path());
        for (to, before) in ["INBOX", "a"].into_iter().zip(&before) {
            let counters = select(&node, &*store, account, to, true).counters;
            assert_eq!(counters, *before, "the restart changes nothing");
        }
    }
    // A mailbox that is made anew is a new one to its readers, also when nobody looked at it between.
    request(&node, &*store, account, Request::Delete { name: name("a") });
    store.close();
    let store = open(dir.path());
    request(&node, &*store, account, Request::Create { name: name("a"), special_use: None });
    let anew = select(&node, &*store, account, "a", true).counters;
    assert!(anew.uid_validity > before[1].uid_validity && anew.highest_modseq > 0);
    request(&node, &*store, account, Request::Rename { from: name("a"), to: name("b") });
    let renamed = select(&node, &*store, account, "b", true).counters;
    assert_eq!(renamed.uid_validity, anew.uid_validity, "it is the same mailbox");
}
