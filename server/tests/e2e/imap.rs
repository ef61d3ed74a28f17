//! Mail that is read where it is kept, through the real server: with clients that were written by others (the `imap`
//! crate and, where there is a Python, its imaplib), and across a crash.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use imap::types::{Flag, UnsolicitedResponse};

use crate::common::{On, PATIENCE, Server, Wire, message, on_every_runtime, until};

on_every_runtime! {
    one worker:
        the_imap_crate_reads_and_changes,
        the_imap_crate_is_told_while_it_idles,
        pythons_imaplib,
        a_kill_loses_nothing_that_was_appended,
        a_capability_can_be_switched_off;
    two workers:
        the_imap_crate_is_told_while_it_idles,
        pythons_imaplib,
        a_kill_loses_nothing_that_was_appended;
}

const BOB: &str = "bob@example.org";

type Session = imap::Session<TcpStream>;

fn open(server: &Server) -> Session {
    let stream = TcpStream::connect(server.address("imap")).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = imap::Client::new(stream);
    client.read_greeting().unwrap();
    client.login(BOB, server.password(BOB)).map_err(|(error, _)| error).unwrap()
}

/// The names of all messages of the mailbox that is selected, each of them whole.
fn names(session: &mut Session) -> Vec<String> {
    let fetched = session.uid_fetch("1:*", "(UID BODY.PEEK[])").unwrap();
    fetched.iter().map(|message| message::name_of(message.body().unwrap())).collect()
}

fn the_imap_crate_reads_and_changes(on: On) {
    let server = Server::start(on, "example.org", &["bob"]);
    let mut smtp = server.smtp();
    for (name, size) in [("first", 300), ("second", 30_000), ("third", 300_000)] {
        smtp.deliver("x@elsewhere.example", &[BOB], &message::message(name, size));
    }
    let mut session = open(&server);
    let capabilities = session.capabilities().unwrap();
    for name in ["IMAP4rev1", "IDLE", "UIDPLUS", "MOVE"] {
        assert!(capabilities.has_str(name), "{name}");
    }
    session.create("Work/2026").unwrap();
    session.create("Archive").unwrap();
    session.subscribe("Archive").unwrap();
    let listed = session.list(None, Some("*")).unwrap();
    let listed: BTreeSet<_> = listed.iter().map(|name| name.name().to_owned()).collect();
    assert!(["INBOX", "Archive", "Work", "Work/2026"].iter().all(|name| listed.contains(*name)), "{listed:?}");
    assert_eq!(session.lsub(None, Some("*")).unwrap().len(), 1);

    let inbox = session.select("INBOX").unwrap();
    assert_eq!((inbox.exists, inbox.unseen), (3, Some(1)));
    assert_eq!(names(&mut session), ["first", "second", "third"]);
    let fetched = session.fetch("2", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)").unwrap();
    let second = fetched.get(0).unwrap();
    let subject = second.envelope().unwrap().subject.as_deref().unwrap();
    assert_eq!((subject, second.uid), (b"second".as_slice(), Some(2)));
    assert!(second.internal_date().is_some() && second.bodystructure().is_some() && second.size > Some(30_000));

    // A large one, and what it is known by.
    let large = message::message("large", 1_500_000);
    let appended = session.append("INBOX", &large).flag(Flag::Seen).flag(Flag::Flagged).finish().unwrap();
    assert_eq!(appended.uids.unwrap().len(), 1);
    assert_eq!(names(&mut session), ["first", "second", "third", "large"]);
    assert_eq!(session.search("SEEN FLAGGED").unwrap(), [4].into());
    assert_eq!(session.uid_search("SUBJECT \"SECOND\"").unwrap(), [2].into());
    assert_eq!(session.uid_search("TEXT \"x-name: third\" UNSEEN").unwrap(), [3].into());

    session.store("1", "+FLAGS (\\Answered $Work)").unwrap();
    let fetched = session.fetch("1", "FLAGS").unwrap();
    let flags: Vec<_> = fetched.get(0).unwrap().flags().iter().map(ToString::to_string).collect();
    assert!(flags.contains(&"\\Answered".to_owned()) && flags.contains(&"$Work".to_owned()), "{flags:?}");

    session.uid_copy("1,4", "Work/2026").unwrap();
    session.mv("2", "Archive").unwrap();
    assert_eq!(session.uid_search("ALL").unwrap(), [1, 3, 4].into());
    session.uid_store("3", "+FLAGS.SILENT (\\Deleted)").unwrap();
    assert_eq!(session.expunge().unwrap().seqs().collect::<Vec<_>>(), [2]);
    assert_eq!(session.status("Archive", "(MESSAGES UNSEEN)").unwrap().exists, 1);
    session.examine("Work/2026").unwrap();
    assert_eq!(names(&mut session), ["first", "large"]);
    session.rename("Archive", "Old").unwrap();
    session.delete("Work/2026").unwrap();
    session.logout().unwrap();
    // By POP3 it is the same mailbox.
    let left: Vec<_> = server.mailbox(BOB).iter().map(|stored| message::name_of(stored)).collect();
    assert_eq!(left, ["first", "large"]);
}

fn the_imap_crate_is_told_while_it_idles(on: On) {
    let server = Server::start(on, "example.org", &["bob"]);
    let (mut phone, mut desk) = (open(&server), open(&server));
    phone.select("INBOX").unwrap();
    desk.select("INBOX").unwrap();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let idler = thread::spawn(move || {
        let mut idle = phone.idle();
        idle.timeout(PATIENCE).keepalive(false);
        let outcome = idle.wait_while(|response| {
            let said = match &response {
                UnsolicitedResponse::Exists(count) => format!("{count} there"),
                UnsolicitedResponse::Expunge(number) => format!("{number} gone"),
                UnsolicitedResponse::Fetch { id, .. } => format!("{id} changed"),
                other => format!("{other:?}"),
            };
            heard.lock().unwrap().push(said);
            !matches!(response, UnsolicitedResponse::Expunge(_))
        });
        assert_eq!(outcome.unwrap(), imap::extensions::idle::WaitOutcome::MailboxChanged);
        drop(idle);
        phone.noop().unwrap();
        phone.logout().unwrap();
    });
    let hears = |what: &str| until(what, || told.lock().unwrap().iter().any(|said| said == what));
    // What comes before it idles it is told when it does.
    server.smtp().deliver("x@elsewhere.example", &[BOB], &message::message("by SMTP", 300));
    hears("1 there");
    desk.append("INBOX", &message::message("by APPEND", 9_000)).finish().unwrap();
    hears("2 there");
    desk.store("2", "+FLAGS (\\Flagged)").unwrap();
    hears("2 changed");
    desk.store("1", "+FLAGS.SILENT (\\Deleted)").unwrap();
    hears("1 changed");
    desk.expunge().unwrap();
    hears("1 gone");
    idler.join().unwrap();
    assert_eq!(names(&mut desk), ["by APPEND"]);
}

fn pythons_imaplib(on: On) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/reader.py");
    assert!(fs::exists(&script).unwrap());
    let there = Command::new("python3").arg("-c").arg("import imaplib, ssl").output();
    if !there.is_ok_and(|ran| ran.status.success()) {
        println!("SKIPPED pythons_imaplib: there is no python3 with imaplib and ssl here");
        return;
    }
    let ran =
        Command::new("python3").arg(script).arg(env!("CARGO_BIN_EXE_pillarbox")).args(on.arguments()).output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}\n{error}");
}

/// Files messages, two at a time, until the server is gone; names of those whose filing was acknowledged.
fn file(mut wire: Wire, who: &str) -> (Vec<String>, Vec<String>) {
    let (mut sent, mut acknowledged) = (Vec::new(), Vec::new());
    for n in 0.. {
        let pair = ["a", "b"].map(|half| format!("{who}-{n}-{half}"));
        // Small ones, ones of several chunks, and ones that get a file of their own.
        let sizes = [300, 3_000, 90_000, 400, 5_000, 400_000];
        let messages = [0, 1].map(|half| message::message(&pair[half], sizes[(n + half) % 6]));
        sent.extend(pair.clone());
        match wire.try_append("INBOX", &messages) {
            Some(tagged) => assert!(tagged.starts_with("OK [APPENDUID "), "{tagged}"),
            None => break,
        }
        acknowledged.extend(pair);
    }
    (sent, acknowledged)
}

fn a_kill_loses_nothing_that_was_appended(on: On) {
    let mut server = Server::make(on, "example.org", &["bob"]);
    server.settle();
    server.serve();
    let (mut sent, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=2 {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let wire = server.imap(BOB);
                thread::spawn(move || file(wire, &format!("m{round}-{client}")))
            })
            .collect();
        until("enough is filed", || server.count(BOB) >= 40 * round);
        server.kill();
        for client in clients {
            let (ours, filed) = client.join().unwrap();
            sent.extend(ours);
            acknowledged.extend(filed);
        }
        server.serve();
        let stored: Vec<_> = server.mailbox(BOB).iter().map(|stored| message::name_of(stored)).collect();
        let there: BTreeSet<_> = stored.iter().cloned().collect();
        assert_eq!(there.len(), stored.len(), "one is there twice");
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        assert!(there.is_subset(&sent));
        let other =
            |name: &String| name.strip_suffix("-a").map_or_else(|| name.replace("-b", "-a"), |it| format!("{it}-b"));
        assert!(there.iter().all(|name| there.contains(&other(name))), "all messages of an APPEND, or none");
    }
    server.assert_alive(BOB);
}

fn a_capability_can_be_switched_off(on: On) {
    let mut server = Server::make(on, "example.org", &["bob"]);
    server.edit("protocol = \"imap\"", "protocol = \"imap\"\nwithout = [\"CHILDREN\", \"IDLE\"]");
    server.serve();
    let said = server.imap(BOB).imap("CAPABILITY").remove(0);
    assert!(said.contains(" MOVE") && !said.contains("CHILDREN") && !said.contains("IDLE"), "{said}");
    let mut wire = server.connect("imap");
    wire.stream().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    wire.send(b"x LOGIN bob wrong\r\n");
    assert!(wire.line().starts_with("x NO [AUTHENTICATIONFAILED]"));
    server.logged("wrong name or password for \"bob@example.org\"");
}
