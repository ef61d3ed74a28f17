//! Mailboxes on both stores: pages, what is recent, who hears of what, and what is nobody else's business.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use pillarbox_core::mailbox::*;
use pillarbox_core::ops::*;
use pillarbox_core::{Random, Seed};
use pillarbox_store::{DiskStore, MemoryStore, Options};

/// Runs a story on both stores.
fn on_both(tell: impl Fn(&dyn Store)) {
    on_both_with(|options| options, tell);
}

fn on_both_with(change: impl Fn(Options) -> Options, tell: impl Fn(&dyn Store)) {
    let dir = tempfile::tempdir().unwrap();
    tell(&*MemoryStore::new(change(options(&TestClock::default()))));
    tell(&*DiskStore::open(dir.path(), change(options(&TestClock::default()))).unwrap());
}

fn flagging(mailbox: MailboxId, uids: UidSet, mode: FlagMode, flags: FlagSet) -> Request {
    Request::Flag { mailbox, uids, change: FlagChange { mode, flags, keywords: vec![] }, unchanged_since: None }
}

fn create(node: &Node, store: &dyn Store, account: AccountId, text: &str) -> MailboxId {
    match request(node, store, account, Request::Create { name: name(text), special_use: None }) {
        Response::Made(mailbox) => mailbox,
        other => panic!("{other:?}"),
    }
}

/// What changed since a modseq, all pages, applied to a view.
fn catch_up(node: &Node, store: &dyn Store, account: AccountId, mailbox: MailboxId, view: &mut View) {
    let (since, mut after) = (view.at, None);
    loop {
        let page = Request::Changes { mailbox, since, after, claim: false };
        let Response::Changes { changes, more, gone, at, .. } = request(node, store, account, page) else {
            panic!("no changes")
        };
        assert!(changes.len() == PAGE as usize || !more);
        view.flags.extend(changes.iter().map(|change| (change.uid, change.flags)));
        view.flags.retain(|uid, _| match &gone {
            Gone::These(gone) => !gone.contains(*uid),
            Gone::AllBut(left) => left.contains(*uid),
        });
        view.at = at;
        let Some(last) = changes.last().filter(|_| more) else { return };
        after = Some((last.modseq, last.uid));
    }
}

#[derive(Clone, Default)]
struct View {
    at: ModSeq,
    flags: BTreeMap<u32, FlagSet>,
}

#[test]
fn large_mailboxes_are_told_and_changed_in_pages() {
    let few = |options| Options { expunged_runs: 900, ..options };
    on_both_with(few, |store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        let inbox = select(&node, store, account, "INBOX", false).mailbox;
        let mut views = vec![View::default()];
        let mut random = Random::new(&Seed([9; 32]));
        for round in 0..12_u32 {
            let bodies = (0..700).map(|n| inline(format!("{round} {n}"))).collect();
            respond(node.ask(store, appending(account, "INBOX", FlagSet::default(), bodies)));
            let all = select(&node, store, account, "INBOX", true);
            // Some holes, at the end, too, and in runs.
            let mut gone = UidSet::default();
            for _ in 0..120 {
                let first = all.uids.first().unwrap() + random.below(all.counters.uid_next as usize) as u32;
                gone.insert(first, first + random.below(3) as u32);
            }
            if round % 3 == 0 {
                gone.insert(all.counters.uid_next - 9, all.counters.uid_next);
            }
            let mut gone = gone.intersection(&all.uids);
            while !gone.is_empty() {
                let page = flagging(inbox, gone.page(PAGE), FlagMode::Add, FlagSet::DELETED);
                assert!(matches!(request(&node, store, account, page), Response::Flagged { .. }));
            }
            let expunged = request(&node, store, account, Request::Expunge { mailbox: inbox, uids: None });
            assert!(matches!(expunged, Response::Expunged { more: false, .. }));
            let seen = all.uids.intersection(&UidSet::run(round * 500 + 1, round * 500 + 999));
            request(&node, store, account, flagging(inbox, seen, FlagMode::Add, FlagSet::SEEN));

            let entries = entries(&node, store, account, inbox);
            let now: BTreeMap<_, _> = entries.iter().map(|entry| (entry.uid, entry.flags)).collect();
            let selected = select(&node, store, account, "INBOX", true);
            assert!(entries.iter().map(|entry| entry.uid).eq(selected.uids.iter()));
            let unseen = entries.iter().filter(|entry| !entry.flags.contains(FlagSet::SEEN));
            assert_eq!(selected.first_unseen, unseen.clone().map(|entry| entry.uid).next());
            assert_eq!(selected.counters.unseen as usize, unseen.count());
            let recent = entries.iter().filter(|entry| entry.uid >= selected.recent_from).count();
            assert_eq!(selected.counters.recent as usize, recent);
            if round % 4 == 2 {
                select(&node, store, account, "INBOX", false);
            }
            for view in &mut views {
                let mut view = view.clone();
                catch_up(&node, store, account, inbox, &mut view);
                assert_eq!(view.flags, now, "round {round}");
            }
            views.push(View { at: selected.counters.highest_modseq, flags: now });
        }
        let too_many = UidSet::run(1, PAGE + 1);
        let flag = flagging(inbox, too_many, FlagMode::Add, FlagSet::DELETED);
        assert_eq!(request(&node, store, account, flag), Response::TooMany);
        let mut left = select(&node, store, account, "INBOX", true).uids;
        let messages = left.len();
        while !left.is_empty() {
            request(&node, store, account, flagging(inbox, left.page(PAGE), FlagMode::Add, FlagSet::DELETED));
        }
        let mut pages = Vec::new();
        while {
            let page = request(&node, store, account, Request::Expunge { mailbox: inbox, uids: None });
            let Response::Expunged { uids, more, .. } = page else { panic!("not expunged") };
            pages.push(uids.len());
            more
        } {}
        assert!(pages.iter().all(|page| *page <= PAGE) && pages.iter().sum::<u32>() == messages);
    });
}

#[test]
fn a_page_names_what_it_did_not_look_at() {
    on_both(|store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        let mailbox = select(&node, store, account, "INBOX", false).mailbox;
        for _ in 0..3 {
            let bodies = (0..900).map(|n| inline(format!("{n}"))).collect();
            respond(node.ask(store, appending(account, "INBOX", FlagSet::default(), bodies)));
        }
        let ask = |uids, changed_since| {
            let page = Request::Entries { mailbox, uids, changed_since, structures: false };
            match request(&node, store, account, page) {
                Response::Entries { entries, next, .. } => (entries.len(), next),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(ask(UidSet::run(1, u32::MAX), None), (1_000, Some(1_001)));
        assert_eq!(ask(UidSet::run(2_001, u32::MAX), None), (700, None));
        // Each append was one change, and so is what comes behind it.
        assert_eq!(ask(UidSet::run(1, u32::MAX), Some(3)), (900, None));
        assert_eq!(ask(UidSet::run(1, 2_000), Some(2)), (1_000, Some(1_901)));
        assert_eq!(ask(UidSet::run(1, 2_000), Some(u64::MAX)), (0, None));
        let sparse: UidSet = (1..=2_400).step_by(2).collect();
        assert_eq!(ask(sparse, None), (1_000, Some(2_001)));
        let beyond: UidSet = (10_000..20_000).step_by(2).collect();
        assert_eq!(ask(beyond, None), (0, Some(12_000)), "no question is long");
        assert_eq!(ask(UidSet::default(), None), (0, None));
    });
}

#[test]
fn a_page_with_large_structures_is_shorter() {
    on_both(|store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        let structure = bytes::Bytes::from(vec![b's'; 12_000]);
        let bodies = vec![NewBody { body: inline("x"), structure }; 15];
        let append = Request::Append { to: name("INBOX"), messages: vec![Append::default(); 15] };
        respond(node.ask(store, asking(account, append, bodies)));
        let mailbox = select(&node, store, account, "INBOX", false).mailbox;
        let page = |structures| {
            let uids = UidSet::run(1, 99);
            match request(&node, store, account, Request::Entries { mailbox, uids, changed_since: None, structures }) {
                Response::Entries { entries, next, .. } => (entries.len(), next),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((page(true), page(false)), ((11, Some(12)), (15, None)));
        assert_eq!(entries(&node, store, account, mailbox).len(), 15);
    });
}

#[test]
fn what_changes_is_told_to_all_who_watch() {
    on_both(|store| {
        let (reader, other, deaf) = (Node::new(), Node::new(), Node::new());
        let account = add(&reader, store, "alice@example.org");
        let inbox = select(&reader, store, account, "INBOX", false).mailbox;
        let work = create(&reader, store, account, "Work");
        let watch = |node: &Node, mailbox| {
            let op = StoreOp::Mailbox(Box::new(MailboxOp::Watch { mailbox }));
            assert_eq!(respond(node.ask(store, op)), Response::Done);
        };
        // Twice is once.
        [inbox, work, inbox].into_iter().for_each(|mailbox| watch(&reader, mailbox));
        watch(&other, inbox);
        let heard = |mailbox: MailboxId, modseq| Notice::Mailbox { mailbox, modseq };
        let check = |readers: &[Notice], others: &[Notice]| {
            assert_eq!(reader.replies.notices(), readers);
            assert_eq!(other.replies.notices(), others);
            assert_eq!(deaf.replies.notices(), []);
        };
        accepted(deaf.ask(store, deliver(account, "one")));
        check(&[heard(inbox, 2)], &[heard(inbox, 2)]);
        // The submitter's own sessions hear of it, too.
        let seen = || flagging(inbox, UidSet::run(1, 9), FlagMode::Add, FlagSet::SEEN);
        request(&reader, store, account, seen());
        check(&[heard(inbox, 3)], &[heard(inbox, 3)]);
        request(&reader, store, account, seen());
        check(&[], &[]);
        let copy = |remove| Request::Copy { mailbox: inbox, uids: UidSet::run(1, 1), to: name("Work"), remove };
        request(&other, store, account, copy(false));
        check(&[heard(work, 2)], &[]);
        let unwatch = StoreOp::Mailbox(Box::new(MailboxOp::Unwatch { mailbox: inbox }));
        assert_eq!(respond(other.ask(store, unwatch)), Response::Done);
        request(&other, store, account, copy(true));
        check(&[heard(inbox, 4), heard(work, 3)], &[]);
        respond(deaf.ask(store, appending(account, "INBOX", FlagSet::SEEN, vec![inline("a"), inline("b")])));
        check(&[heard(inbox, 5)], &[]);
        empty(&deaf, store, account);
        check(&[heard(inbox, 6)], &[]);
        accepted(deaf.ask(store, deliver(account, "two")));
        request(&deaf, store, account, Request::Rename { from: name("INBOX"), to: name("old") });
        request(&deaf, store, account, Request::Rename { from: name("Work"), to: name("Play") });
        check(&[heard(inbox, 8)], &[]);
        request(&deaf, store, account, Request::Delete { name: name("Play") });
        check(&[heard(work, 4)], &[]);
        reader.die();
        accepted(deaf.ask(store, deliver(account, "three")));
        assert_eq!((other.replies.notices(), deaf.replies.notices()), (vec![], vec![]));
    });
}

#[test]
fn what_is_anothers_is_not_there() {
    on_both(|store| {
        let node = Node::new();
        let [alice, mallory] = ["alice", "mallory"].map(|name| add(&node, store, &format!("{name}@example.org")));
        accepted(node.ask(store, deliver(alice, "secret")));
        create(&node, store, alice, "Work");
        let mailbox = select(&node, store, alice, "INBOX", false).mailbox;
        let entry = entries(&node, store, alice, mailbox)[0].entry;
        let uids = || UidSet::run(1, 9);
        for whose in [mallory, AccountId::default()] {
            let read = Request::Read { entry, offset: 0, len: 9 };
            assert_eq!(request(&node, store, whose, read), Response::NoMessage);
            for ask in [
                Request::Entries { mailbox, uids: uids(), changed_since: None, structures: true },
                Request::Changes { mailbox, since: 0, after: None, claim: false },
                flagging(mailbox, uids(), FlagMode::Add, FlagSet::DELETED),
                Request::Expunge { mailbox, uids: None },
                Request::Copy { mailbox, uids: uids(), to: name("INBOX"), remove: true },
                Request::Select { name: name("Work"), peek: false },
                Request::Delete { name: name("Work") },
                Request::Rename { from: name("Work"), to: name("Mine") },
                Request::Append { to: name("Work"), messages: vec![] },
            ] {
                assert_eq!(request(&node, store, whose, ask.clone()), Response::NoMailbox, "{ask:?}");
            }
        }
        let nobody = AccountId::default();
        assert_eq!(request(&node, store, nobody, Request::List), Response::Mailboxes([].into()));
        for ask in [
            Request::Create { name: name("x"), special_use: None },
            Request::Subscribe { name: name("x"), subscribed: true },
        ] {
            assert_eq!(request(&node, store, nobody, ask), Response::NoMailbox);
        }
        // As many bodies as messages.
        let append = Request::Append { to: name("INBOX"), messages: vec![Append::default()] };
        assert_eq!(node.ask(store, asking(alice, append, vec![])), StoreReply::Failed(StoreError::Unknown));
        let more = vec![NewBody { body: inline("x"), structure: Default::default() }];
        for ask in [Request::List, Request::Expunge { mailbox, uids: None }] {
            assert_eq!(node.ask(store, asking(alice, ask, more.clone())), StoreReply::Failed(StoreError::Unknown));
        }
        assert_eq!(select(&node, store, alice, "INBOX", true).counters.messages, 1);
    });
}

#[test]
fn a_stage_that_was_not_filed_is_still_its_nodes() {
    on_both(|store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        let stage = stage(&node, store, ["large, ".into(), "say".into()]);
        let append = |to: &str| node.ask(store, appending(account, to, FlagSet::DRAFT, vec![Body::Staged(stage)]));
        assert_eq!(respond(append("nowhere")), Response::NoMailbox);
        let Response::Appended { uids, .. } = respond(append("INBOX")) else { panic!("not filed") };
        assert_eq!(uids, UidSet::run(1, 1));
        assert_eq!(append("INBOX"), StoreReply::Failed(StoreError::Unknown), "it is no stage any more");
        let inbox = select(&node, store, account, "INBOX", true);
        let entry = &entries(&node, store, account, inbox.mailbox)[0];
        assert_eq!((entry.flags, entry.size, entry.prefix), (FlagSet::DRAFT, 10, 0));
        assert_eq!(entry.structure.as_deref(), Some(&b"structure"[..]));
        let read = Request::Read { entry: entry.entry, offset: 0, len: 99 };
        assert_eq!(request(&node, store, account, read), Response::Bytes("large, say".into()));
    });
}

#[test]
fn names_make_a_tree() {
    on_both(|store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        let ask = |ask| request(&node, store, account, ask);
        let list = || {
            let Response::Mailboxes(all) = ask(Request::List) else { panic!("no list") };
            let mark = |it: &Mailbox| if it.there.is_some() { "" } else { "!" };
            all.iter().map(|it| format!("{}{}", it.name, mark(it))).collect::<Vec<_>>().join(" ")
        };
        create(&node, store, account, "a/b/c");
        assert_eq!(list(), "INBOX a a/b a/b/c");
        let first = select(&node, store, account, "a/b", true);
        assert_eq!(ask(Request::Delete { name: name("a/b") }), Response::Done);
        assert_eq!(ask(Request::Delete { name: name("a/b") }), Response::HasChildren);
        let find = |text| ask(Request::Find { name: name(text) });
        assert_eq!(["a/b/c", "a/b", "b"].map(find), [Response::Done, Response::NoMailbox, Response::NoMailbox]);
        assert_eq!(list(), "INBOX a a/b! a/b/c");
        create(&node, store, account, "a/b");
        let again = select(&node, store, account, "a/b", true);
        assert!(again.counters.uid_validity > first.counters.uid_validity && again.mailbox != first.mailbox);
        ask(Request::Delete { name: name("a/b") });
        assert_eq!(ask(Request::Rename { from: name("a"), to: name("a/x") }), Response::Forbidden);
        assert_eq!(ask(Request::Rename { from: name("a"), to: name("x/y") }), Response::Done);
        assert_eq!(list(), "INBOX x x/y x/y/b! x/y/b/c");
        assert_eq!(ask(Request::Rename { from: name("x/y/b/c"), to: name("c") }), Response::Done);
        assert_eq!(list(), "INBOX c x x/y", "the last below it is gone");
        let deep = ["d"; MailboxName::LEVELS].join("/");
        assert_eq!(ask(Request::Rename { from: name("x"), to: name(&deep) }), Response::Forbidden);
        assert_eq!(ask(Request::Rename { from: name("c"), to: name("inbox") }), Response::Exists);
        assert_eq!(ask(Request::Delete { name: name("INBOX") }), Response::Forbidden);
        let sent = |text| Request::Create { name: name(text), special_use: Some(SpecialUse::Sent) };
        assert!(matches!(ask(sent("Sent")), Response::Made(_)));
        assert_eq!(ask(sent("Sent2")), Response::Forbidden);
        assert_eq!(ask(sent("Sent")), Response::Exists);
        create(&node, store, account, "Cafe\u{301}");
        assert_eq!(find("Caf\u{e9}"), Response::Done, "it is the same name");
    });
}

#[test]
fn renaming_inbox_moves_its_mail() {
    on_both(|store| {
        let node = Node::new();
        let account = add(&node, store, "alice@example.org");
        create(&node, store, account, "INBOX/below");
        for text in ["one", "two", "three"] {
            accepted(node.ask(store, deliver(account, text)));
        }
        let before = select(&node, store, account, "INBOX", true);
        request(&node, store, account, flagging(before.mailbox, UidSet::run(2, 2), FlagMode::Add, FlagSet::DELETED));
        request(&node, store, account, Request::Expunge { mailbox: before.mailbox, uids: None });
        let old = entries(&node, store, account, before.mailbox);
        let rename = Request::Rename { from: name("INBOX"), to: name("2026/July") };
        assert_eq!(request(&node, store, account, rename), Response::Done);
        let (inbox, july) =
            (select(&node, store, account, "INBOX", true), select(&node, store, account, "2026/July", true));
        assert_eq!((inbox.mailbox, inbox.counters.uid_validity), (before.mailbox, before.counters.uid_validity));
        assert_eq!((inbox.counters.messages, inbox.counters.uid_next, inbox.uids.len()), (0, 4, 0));
        assert!(july.counters.uid_validity != inbox.counters.uid_validity);
        assert_eq!((july.counters.messages, july.counters.recent, july.first_unseen), (2, 2, Some(1)));
        assert_eq!(entries(&node, store, account, july.mailbox), old);
        let changes = Request::Changes { mailbox: inbox.mailbox, since: 4, after: None, claim: false };
        let Response::Changes { changes, gone, .. } = request(&node, store, account, changes) else { panic!() };
        assert_eq!((changes, gone), (vec![], Gone::These(UidSet::run(1, 3))));
        accepted(node.ask(store, deliver(account, "four")));
        assert_eq!(select(&node, store, account, "INBOX", true).uids, UidSet::run(4, 4));
        select(&node, store, account, "INBOX/below", true);
    });
}

#[test]
fn what_is_recent_is_claimed_once() {
    let dir = tempfile::tempdir().unwrap();
    let open = |dir: &Path| -> Arc<DiskStore> { open(dir) };
    let (store, node) = (open(dir.path()), Node::new());
    let account = add(&node, &*store, "alice@example.org");
    let recent = |store: &dyn Store, peek| {
        let selected = select(&node, store, account, "INBOX", peek);
        (selected.recent_from, selected.counters.recent)
    };
    accepted(node.ask(&*store, deliver(account, "one")));
    assert_eq!(
        [true, true, false, true, false].map(|peek| recent(&*store, peek)),
        [(1, 1), (1, 1), (1, 1), (2, 0), (2, 0)]
    );
    store.close();
    let store = open(dir.path());
    assert_eq!(recent(&*store, true), (2, 0), "it was written down");
    accepted(node.ask(&*store, deliver(account, "two")));
    let Response::Mailboxes(all) = request(&node, &*store, account, Request::List) else { panic!("no list") };
    assert_eq!(all[0].there.unwrap().1.recent, 1);
    assert_eq!([false, false].map(|peek| recent(&*store, peek)), [(2, 1), (3, 0)]);
    // Who has it open is told of what comes, and that is a claim, too, for one who may change it.
    accepted(node.ask(&*store, deliver(account, "three")));
    let mailbox = select(&node, &*store, account, "INBOX", true).mailbox;
    for (claim, expected) in [(false, (3, 1)), (true, (4, 0)), (true, (4, 0))] {
        request(&node, &*store, account, Request::Changes { mailbox, since: 3, after: None, claim });
        assert_eq!(recent(&*store, true), expected);
    }
}

#[test]
fn room_of_a_deleted_mailbox_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, node) = (open(dir.path()), Node::new());
    let account = add(&node, &*store, "alice@example.org");
    create(&node, &*store, account, "Old");
    for _ in 0..20 {
        let bodies = (0..100).map(|n| inline(vec![n; 2_000])).collect();
        respond(node.ask(&*store, appending(account, "Old", FlagSet::SEEN, bodies)));
    }
    let old = select(&node, &*store, account, "Old", true).mailbox;
    let entry = entries(&node, &*store, account, old)[7].entry;
    assert_eq!(request(&node, &*store, account, Request::Delete { name: name("Old") }), Response::Done);
    // At once for whoever asks.
    let read = Request::Read { entry, offset: 0, len: 9 };
    assert_eq!(request(&node, &*store, account, read), Response::NoMessage);
    assert_eq!(common::read(&node, &*store, entry, 0, 9), StoreReply::Maildrop(MaildropReply::Gone));
    store.close();
    let store = open(dir.path());
    wait_until_smaller(&dir.path().join("segments"), 200_000);
    let database = rusqlite::Connection::open(dir.path().join("pillarbox.db")).unwrap();
    let rows =
        |table| database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    let begun = Instant::now();
    while rows("graves") > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never done");
        std::thread::yield_now();
    }
    store.close();
    for table in ["entries", "emails", "blobs", "structures", "views", "expunged"] {
        assert_eq!(rows(table), 0, "{table}");
    }
}
