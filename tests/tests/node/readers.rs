//! Mail readers: several sessions with one mailbox, on one node and on two; messages that they bring; sessions that are
//! lost, and what is left of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox_core::node::{ConnId, Event, Holdings, SessionKind, TapSink};
use pillarbox_core::ops::{Notice, StageOp, StoreOp};
use pillarbox_core::session::Direction;
use pillarbox_tests::world::{ClientId, Trouble, World};

use super::provider::{AMBER, config, encoded, names, providers, store, submission_at, submit, two_providers};

const MESSAGE: &str = "Subject: Hi\r\n\r\nHi\r\n";
const NOTHING: Holdings = Holdings { inline_bytes: 0, ops: 0, attempts: 0, watches: 0 };

/// A reader who has logged in.
fn reader(world: &mut World, machine: usize, name: &str) -> ClientId {
    let client = world.connect(machine, 143);
    assert!(world.heard(client).starts_with("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 "));
    world.say(client, &format!("a LOGIN {name} {name}"), "a OK ");
    client
}

/// A reader who has INBOX open, and so many messages in it.
fn selected(world: &mut World, machine: usize, name: &str, exists: usize) -> ClientId {
    let client = reader(world, machine, name);
    let heard = said(world, client, "s SELECT INBOX", "s OK [READ-WRITE]");
    assert!(heard.contains(&format!("* {exists} EXISTS\r\n")), "{heard}");
    client
}

/// The client says this, and hears something with `expected` in it.
fn said(world: &mut World, client: ClientId, line: &str, expected: &str) -> String {
    let heard = world.say(client, line, "");
    assert!(heard.contains(expected), "said {line:?}, expected {expected:?}, heard {heard:?}");
    heard
}

/// The client puts a message into INBOX.
fn append(world: &mut World, client: ClientId, message: &str, expected: &str) {
    let command = format!("p APPEND INBOX {{{}}}", message.len());
    world.say(client, &command, "+ ");
    for piece in message.as_bytes().chunks(30_000) {
        world.send(client, piece);
    }
    said(world, client, "", expected);
}

fn large() -> String {
    format!("Subject: large\r\n\r\n{}", "0123456789abcdef0123456789abcdef0123456789abcdef01234567\r\n".repeat(3_000))
}

#[test]
fn mail_that_comes_by_smtp_is_read_flagged_and_removed() {
    let mut world = two_providers(300);
    let alice = submission_at(&mut world, 0, "alice");
    submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
    let bob = selected(&mut world, 0, "bob", 1);
    let heard = said(&mut world, bob, "1 FETCH 1 (UID FLAGS BODY[])", "1 OK");
    assert!(heard.contains("Delivered-To: bob@amber.example\r\n") && heard.contains("\r\n\r\nHi\r\n)"), "{heard}");
    said(&mut world, bob, "2 STORE 1 +FLAGS (\\Deleted)", "* 1 FETCH (FLAGS (");
    said(&mut world, bob, "3 EXPUNGE", "* 1 EXPUNGE\r\n3 OK");
    said(&mut world, bob, "4 LOGOUT", "* BYE");
    assert!(world.is_closed(bob));
    assert_eq!(world.holdings(0), NOTHING);
    let events = &world.machines[0].events;
    let has = |wanted: fn(&Event) -> bool| assert!(events.iter().any(wanted), "{events:#?}");
    has(|event| matches!(event, Event::Opened { kind: SessionKind::Imap, .. }));
    has(|event| matches!(event, Event::Authenticated { login, .. } if login == "bob@amber.example"));
    has(|event| matches!(event, Event::Removed { messages: 1, .. }));
}

#[test]
fn what_one_does_the_others_see_on_one_node_and_on_two() {
    for nodes in [1, 2] {
        let mut world = providers(301, nodes);
        let other = usize::from(nodes) - 1;
        let (desk, phone) = (selected(&mut world, 0, "bob", 0), selected(&mut world, other, "bob", 0));
        let stranger = selected(&mut world, other, "alice", 0);
        world.say(phone, "i IDLE", "+ ");
        world.say(stranger, "i IDLE", "+ ");
        append(&mut world, desk, MESSAGE, "p OK [APPENDUID ");
        assert_eq!(world.heard(phone), "* 1 EXISTS\r\n* 1 RECENT\r\n");
        said(&mut world, desk, "1 STORE 1 +FLAGS (\\Flagged $Work)", "1 OK");
        assert!(world.heard(phone).contains("* 1 FETCH (FLAGS (\\Flagged"), "a flag is pushed");
        let carrier = submission_at(&mut world, 0, "alice");
        submit(&mut world, carrier, "alice@amber.example", &["bob@amber.example"], MESSAGE);
        assert!(world.heard(phone).starts_with("* 2 EXISTS\r\n"), "new mail is pushed");
        said(&mut world, desk, "2 STORE 1 +FLAGS (\\Deleted)", "2 OK");
        said(&mut world, desk, "3 EXPUNGE", "* 1 EXPUNGE");
        assert!(world.heard(phone).ends_with("* 1 EXPUNGE\r\n"), "what is gone is pushed");
        said(&mut world, phone, "DONE", "i OK");
        said(&mut world, phone, "4 STORE 1 +FLAGS.SILENT (\\Seen)", "4 OK");
        said(&mut world, desk, "5 NOOP", "* 1 FETCH (FLAGS (\\Seen");
        assert_eq!(world.heard(stranger), "", "alice's INBOX is another one");
    }
}

#[test]
fn all_who_get_a_mail_are_told_and_so_is_what_pop3_deletes() {
    let mut world = providers(310, 1);
    let readers = ["alice", "bob"].map(|name| selected(&mut world, 0, name, 0));
    readers.into_iter().for_each(|reader| _ = world.say(reader, "i IDLE", "+ "));
    let carrier = submission_at(&mut world, 0, "alice");
    let both = ["bob@amber.example", "alice@amber.example"];
    submit(&mut world, carrier, "alice@amber.example", &both, MESSAGE);
    for reader in readers {
        assert_eq!(world.heard(reader), "* 1 EXISTS\r\n* 1 RECENT\r\n");
    }
    let maildrop = world.connect(0, 110);
    world.heard(maildrop);
    world.say(maildrop, "USER bob", "+OK");
    world.say(maildrop, "PASS bob", "+OK");
    world.say(maildrop, "DELE 1", "+OK");
    assert_eq!(world.heard(readers[1]), "", "not before QUIT");
    world.say(maildrop, "QUIT", "+OK");
    assert_eq!(world.heard(readers[1]), "* 1 EXPUNGE\r\n");
    assert_eq!(world.heard(readers[0]), "", "hers is still there");
}

#[test]
fn what_a_message_says_of_itself_is_found_out_as_it_comes() {
    let mut world = providers(311, 1);
    let carrier = submission_at(&mut world, 0, "alice");
    let first = "Subject: Lunch\r\nMessage-ID: <1@x>\r\n\r\nAt noon?\r\n";
    submit(&mut world, carrier, "alice@amber.example", &["bob@amber.example"], first);
    let bob = selected(&mut world, 0, "bob", 1);
    // Its Date was put before it, and counts as its own.
    let heard = said(&mut world, bob, "1 FETCH 1 (ENVELOPE BODY)", "1 OK");
    let told = "\"Lunch\" NIL NIL NIL NIL NIL NIL NIL \"<1@x>\") BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 10 1))";
    assert!(heard.contains(told) && !heard.contains("ENVELOPE (NIL"), "{heard}");
    let reply = "Subject: Re: Lunch\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\nYes\r\n";
    append(&mut world, bob, reply, "p OK [APPENDUID ");
    append(&mut world, bob, "Subject: Re: Dinner\r\nIn-Reply-To: <1@x>\r\n\r\nNo\r\n", "p OK [APPENDUID ");
    let heard = said(&mut world, bob, "2 FETCH 1:3 (THREADID)", "2 OK");
    let threads: Vec<_> = heard.lines().filter_map(|line| line.split_once("THREADID ")).map(|(_, id)| id).collect();
    assert!(threads.len() == 3 && threads[0] == threads[1] && threads[1] != threads[2], "{heard}");
}

#[test]
fn the_store_is_told_of_the_first_who_watches_and_of_the_last() {
    let mut world = two_providers(302);
    let readers: Vec<_> = (0..3).map(|_| selected(&mut world, 0, "bob", 0)).collect();
    assert_eq!(world.holdings(0).watches, 3);
    said(&mut world, readers[0], "1 CLOSE", "1 OK");
    said(&mut world, readers[0], "2 EXAMINE INBOX", "2 OK [READ-ONLY]");
    world.break_off(readers[0]);
    said(&mut world, readers[1], "3 LOGOUT", "3 OK");
    assert_eq!(world.holdings(0).watches, 1);
    world.say(readers[2], "i IDLE", "+ ");
    let alice = submission_at(&mut world, 0, "alice");
    submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
    assert!(world.heard(readers[2]).starts_with("* 1 EXISTS"), "somebody still watches");
    world.hang_up(readers[2]);
    assert_eq!(world.holdings(0), NOTHING);
    let asked = |what: &str| world.trace().iter().filter(|line| line.contains(&format!("Mailbox({what} {{"))).count();
    assert_eq!((asked("Watch"), asked("Unwatch")), (1, 1));
}

#[test]
fn whoever_missed_something_looks_again() {
    let mut world = two_providers(303);
    let idle = selected(&mut world, 0, "bob", 0);
    world.say(idle, "i IDLE", "+ ");
    world.deaf = true;
    let alice = submission_at(&mut world, 0, "alice");
    submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
    assert_eq!(world.heard(idle), "");
    world.deaf = false;
    world.notice(0, Notice::Missed);
    assert!(world.heard(idle).starts_with("* 1 EXISTS"));
    world.notice(0, Notice::Missed);
    assert_eq!(world.heard(idle), "", "nothing was missed");
}

#[test]
fn what_is_missed_while_a_reader_looks_is_looked_for_again() {
    let mut world = two_providers(304);
    let idle = selected(&mut world, 0, "bob", 0);
    world.say(idle, "i IDLE", "+ ");
    let alice = submission_at(&mut world, 0, "alice");
    let is_changes = |op: &StoreOp| format!("{op:?}").contains("Changes {");
    world.hold(0, Some(is_changes));
    for number in 1..=3 {
        // The answer to the question that the first message leads to is of a time before the third one.
        submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
        if number == 2 {
            world.deaf = true;
        }
    }
    world.deaf = false;
    world.notice(0, Notice::Missed);
    world.hold(0, None);
    world.release(0, 9);
    let heard = world.heard(idle);
    assert!(heard.ends_with("* 3 EXISTS\r\n* 3 RECENT\r\n"), "{heard}");
}

#[test]
fn a_drained_node_says_goodbye_to_its_readers() {
    let mut world = two_providers(305);
    let idle = selected(&mut world, 0, "bob", 0);
    world.say(idle, "i IDLE", "+ ");
    let (fresh, waits) = (world.connect(0, 143), reader(&mut world, 0, "bob"));
    world.heard(fresh);
    let busy = reader(&mut world, 0, "alice");
    world.say(busy, "p APPEND INBOX {500}", "+ ");
    world.drain(0, Duration::from_secs(10));
    for client in [idle, fresh, waits, busy] {
        let heard = world.heard(client);
        assert!(heard.starts_with("* BYE ") && world.is_closed(client), "{heard}");
    }
    world.pass(Duration::from_secs(1));
    assert!(world.is_done(0), "{} connections left", world.connections(0));
    assert_eq!(world.holdings(0), NOTHING);
}

#[test]
fn a_change_under_way_is_awaited_by_a_node_that_stops() {
    let mut world = two_providers(306);
    let bob = reader(&mut world, 0, "bob");
    world.hold(0, Some(|op| matches!(op, StoreOp::Mailbox(_))));
    world.send(bob, b"p APPEND INBOX {19+}\r\n".as_slice());
    world.send(bob, format!("{MESSAGE}\r\n").as_bytes());
    world.drain(0, Duration::from_secs(10));
    assert!(!world.is_closed(bob), "whether it is filed is not known");
    world.hold(0, None);
    world.release(0, 9);
    let heard = world.heard(bob);
    assert!(heard.contains("p OK [APPENDUID ") && heard.contains("* BYE "), "{heard}");
}

#[test]
fn a_session_lost_in_the_middle_of_an_append_leaves_nothing() {
    type End = fn(&mut World, ClientId);
    let ends: [(&str, End); 3] = [
        ("breaks", |world, client| world.break_off(client)),
        ("hangs up", |world, client| world.hang_up(client)),
        ("falls silent", |world, _| world.pass(Duration::from_secs(3600))),
    ];
    for (how, end) in ends {
        // Small enough to be kept, large enough to be staged, and a stage that has not come yet.
        for (announced, octets, hold) in [(10_000, 5_000, false), (90_000, 60_000, false), (90_000, 60_000, true)] {
            let mut world = two_providers(307);
            let bob = selected(&mut world, 0, "bob", 0);
            world.say(bob, &format!("p APPEND INBOX {{{announced}}}"), "+ ");
            if hold {
                world.hold(0, Some(|op| matches!(op, StoreOp::Stage(StageOp::Open { .. }))));
            }
            world.send(bob, &vec![b'x'; octets]);
            end(&mut world, bob);
            world.hold(0, None);
            world.release(0, 9);
            assert_eq!(world.holdings(0), NOTHING, "{how} {announced} {hold}");
            let trace = world.trace();
            let count = |what: &str| trace.iter().filter(|line| line.contains(what)).count();
            assert_eq!(count("Stage(Opened("), count("op: Stage(Drop {"), "{how} {announced} {hold}");
            let inbox = reader(&mut world, 0, "bob");
            said(&mut world, inbox, "1 STATUS INBOX (MESSAGES)", "(MESSAGES 0)");
        }
    }
}

#[test]
fn several_messages_of_one_append_come_in_their_order() {
    let mut world = two_providers(308);
    let bob = selected(&mut world, 0, "bob", 0);
    let messages = [MESSAGE.to_owned(), large(), "Subject: third\r\n\r\n".to_owned(), large()];
    let mut line = String::from("p APPEND INBOX");
    for (message, flags) in messages.iter().zip(["", " (\\Seen)", "", " (\\Flagged)"]) {
        world.say(bob, &format!("{line}{flags} {{{}}}", message.len()), "+ ");
        for piece in message.as_bytes().chunks(30_000) {
            world.send(bob, piece);
        }
        line.clear();
    }
    let heard = said(&mut world, bob, "", "p OK [APPENDUID ");
    assert!(heard.contains("* 4 EXISTS"), "{heard}");
    assert_eq!(world.holdings(0), Holdings { watches: 1, ..NOTHING });
    for (number, message) in (1..).zip(&messages) {
        let heard = world.say(bob, &format!("f FETCH {number} (BODY.PEEK[] RFC822.SIZE)"), "* ");
        assert!(heard.contains(&format!("RFC822.SIZE {}", message.len())), "message {number}");
        assert!(heard.contains(message.as_str()), "message {number}");
    }
}

#[test]
fn an_append_that_is_refused_at_its_end_gives_everything_back() {
    let mut world = two_providers(309);
    let bob = reader(&mut world, 0, "bob");
    let other = reader(&mut world, 0, "bob");
    said(&mut world, bob, "a APPEND Gone {9}", "a NO [TRYCREATE]");
    for message in [MESSAGE.to_owned(), large()] {
        said(&mut world, other, "c CREATE Gone", "c OK");
        world.say(bob, &format!("p APPEND Gone {{{}}}", message.len()), "+ ");
        said(&mut world, other, "d DELETE Gone", "d OK");
        for piece in message.as_bytes().chunks(30_000) {
            world.send(bob, piece);
        }
        said(&mut world, bob, "", "p NO [TRYCREATE]");
        assert_eq!(world.holdings(0), NOTHING);
    }
    let trace = world.trace();
    let count = |what: &str| trace.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("Stage(Opened("), count("Stage(Dropped)")), (1, 1));
}

#[test]
fn no_append_holds_more_files_open_than_it_may() {
    let mut world = World::new(316, names());
    let mut config = config("amber.example");
    config.limits.staged_bodies = 3;
    world.machine(AMBER, &[25, 587, 110, 143], config, store("amber.example", &["bob"]));
    let bob = reader(&mut world, 0, "bob");
    let message = large();
    world.send(bob, b"p APPEND INBOX");
    for _ in 0..4 {
        world.say(bob, &format!(" {{{}}}", message.len()), "+ ");
        for piece in message.as_bytes().chunks(30_000) {
            world.send(bob, piece);
        }
    }
    let heard = world.heard(bob);
    assert!(heard.starts_with("p NO [LIMIT] "), "{heard}");
    assert_eq!(world.holdings(0), NOTHING);
    let trace = world.trace();
    let count = |what: &str| trace.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("Stage(Opened("), count("Stage(Dropped)")), (3, 3));
}

#[test]
fn whoever_idles_is_told_once_a_busy_store_has_time() {
    let mut world = two_providers(317);
    let idle = selected(&mut world, 0, "bob", 0);
    let alice = submission_at(&mut world, 0, "alice");
    world.say(idle, "i IDLE", "+ ");
    world.deaf = true;
    submit(&mut world, alice, "alice@amber.example", &["bob@amber.example"], MESSAGE);
    world.deaf = false;
    world.trouble = Trouble { busy: 100, failed: 0 };
    world.notice(0, Notice::Missed);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.heard(idle), "");
    world.trouble = Trouble::default();
    world.pass(Duration::from_secs(1));
    assert!(world.heard(idle).starts_with("* 1 EXISTS"), "nobody has to change the mailbox once more");
}

#[test]
fn a_busy_or_full_store_is_told_by_no() {
    for (trouble, code) in
        [(Trouble { busy: 100, failed: 0 }, "NO [UNAVAILABLE]"), (Trouble { busy: 0, failed: 100 }, "NO [OVERQUOTA]")]
    {
        let mut world = two_providers(310);
        let bob = selected(&mut world, 0, "bob", 0);
        append(&mut world, bob, MESSAGE, "p OK");
        world.trouble = trouble;
        for command in
            ["LIST \"\" *", "STATUS INBOX (MESSAGES)", "FETCH 1 (FLAGS)", "STORE 1 +FLAGS (\\Seen)", "CREATE New"]
        {
            said(&mut world, bob, &format!("t {command}"), &format!("t {code}"));
        }
        said(&mut world, bob, "o APPEND INBOX {9}", &format!("o {code}"));
        // Or it comes while the message does.
        for message in [MESSAGE.to_owned(), large()] {
            world.trouble = Trouble::default();
            world.say(bob, &format!("p APPEND INBOX {{{}}}", message.len()), "+ ");
            world.trouble = trouble;
            for piece in message.as_bytes().chunks(30_000) {
                world.send(bob, piece);
            }
            said(&mut world, bob, "", &format!("p {code}"));
        }
        world.trouble = Trouble::default();
        world.pass(Duration::from_secs(1));
        assert_eq!(world.holdings(0), Holdings { watches: 1, ..NOTHING });
        said(&mut world, bob, "u FETCH 1 (FLAGS)", "* 1 FETCH (FLAGS (");
        said(&mut world, bob, "v STATUS INBOX (MESSAGES)", "(MESSAGES 1)");
    }
}

#[test]
fn a_wrong_password_is_a_fact() {
    let mut world = two_providers(311);
    let client = world.connect(0, 143);
    world.heard(client);
    world.say(client, "1 LOGIN bob alice", "1 NO [AUTHENTICATIONFAILED]");
    let somebody_else = encoded("alice\0bob\0bob");
    world.say(client, &format!("2 AUTHENTICATE PLAIN {somebody_else}"), "2 NO [AUTHENTICATIONFAILED]");
    let events = &world.machines[0].events;
    let wrong = |event: &&Event| matches!(event, Event::NotAuthenticated { login, .. } if login == "bob@amber.example");
    assert_eq!(events.iter().filter(wrong).count(), 1, "{events:#?}");
    world.say(client, &format!("3 AUTHENTICATE PLAIN {}", encoded("\0bob\0bob")), "3 OK");
}

#[test]
fn a_password_taken_back_says_nothing_of_the_next_one() {
    // The answer about the first login comes when the session has given it up, and asked about another.
    let mut world = two_providers(312);
    let client = world.connect(0, 143);
    world.heard(client);
    world.hold(0, Some(|op| matches!(op, StoreOp::Account(_))));
    world.send(client, b"1 LOGIN alice alice\r\n");
    world.pass(Duration::from_secs(61));
    assert!(world.heard(client).contains("1 NO [UNAVAILABLE]"));
    world.send(client, b"2 LOGIN bob wrong\r\n");
    world.hold(0, None);
    world.release(0, 9);
    assert!(world.heard(client).starts_with("2 NO "), "alice's answer is not bob's");
    let entered = |event: &Event| matches!(event, Event::Authenticated { .. });
    assert!(!world.machines[0].events.iter().any(entered));
}

#[derive(Default)]
struct Recorder(Mutex<String>);

impl TapSink for Recorder {
    fn bytes(&self, _: ConnId, _: Direction, bytes: &[u8]) {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
    }
}

#[test]
fn no_password_is_in_the_tap() {
    let recorder = Arc::new(Recorder::default());
    let mut world = World::new(313, names());
    let mut tapped = config("amber.example");
    tapped.tap = Some(recorder.clone());
    // The password is the account's name, which nobody says otherwise.
    world.machine(AMBER, &[25, 587, 110, 143], tapped, store("amber.example", &["wonderland"]));
    world.run();
    let client = world.connect(0, 143);
    world.say(client, "1 LOGIN nobody wonderland", "* OK");
    world.say(client, "2 LOGIN nobody {10}", "+ ");
    world.say(client, "wonderland", "2 NO");
    world.say(client, "3 AUTHENTICATE PLAIN", "+ ");
    world.say(client, &encoded("\0wonderland\0wonderland"), "3 OK");
    world.say(client, "4 SELECT INBOX", "* FLAGS");
    let said = recorder.0.lock().unwrap().clone();
    assert!(said.contains("1 LOGIN ****") && said.contains("4 SELECT INBOX"), "{said}");
    assert!(!said.contains("wonderland") && !said.contains(&encoded("\0wonderland\0wonderland")), "{said}");
}

#[test]
fn what_is_switched_off_is_not_announced() {
    let mut world = World::new(314, names());
    let mut config = config("amber.example");
    config.message_size = 100_000;
    config.services[3].without = ["CHILDREN".to_owned(), "ENABLE".to_owned()].into();
    world.machine(AMBER, &[25, 587, 110, 143], config, store("amber.example", &["alice"]));
    let client = reader(&mut world, 0, "alice");
    let heard = said(&mut world, client, "1 CAPABILITY", " APPENDLIMIT=100000");
    assert!(!heard.contains("CHILDREN") && !heard.contains("ENABLE"), "{heard}");
    world.say(client, "2 APPEND INBOX {100001}", "2 NO [TOOBIG]");
}

#[test]
fn nobody_reads_what_is_another_s() {
    // The store is asked for an account's own mailboxes alone, whatever the session says.
    let mut world = two_providers(315);
    let bob = selected(&mut world, 0, "bob", 0);
    append(&mut world, bob, MESSAGE, "p OK");
    said(&mut world, bob, "1 FETCH 1 (BODY[])", "1 OK");
    let asked = |line: &&String| line.contains("op: Mailbox(Ask {");
    let accounts: std::collections::BTreeSet<_> = world
        .trace()
        .iter()
        .filter(asked)
        .filter_map(|line| {
            line.split_once("account: ")?.1.split_once(", request").map(|(account, _)| account.to_owned())
        })
        .collect();
    assert_eq!(accounts.len(), 1);
}
