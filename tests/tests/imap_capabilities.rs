//! What the IMAP server announces, against a list of its own: each capability has dialogues that show it and its errors,
//! and each but the protocol itself can be switched off.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, CAPABILITIES, Config, Server};
use pillarbox_core::session::Answer as _;
use pillarbox_core::{Mono, Now, Outbox, Session as _, SessionId, Step, Wall};

/// Each with its dialogues in `tests/dialogues/imap-server`.
const ANNOUNCED: &[(&str, &[&str])] = &[
    ("APPENDLIMIT", &["appendlimit", "append"]),
    ("AUTH=PLAIN", &["authenticate"]),
    ("BINARY", &["binary", "append-binary"]),
    ("CHILDREN", &["children"]),
    ("CONDSTORE", &["condstore", "condstore-enabling", "search-modseq"]),
    ("CREATE-SPECIAL-USE", &["special-use"]),
    ("ENABLE", &["enable"]),
    ("ESEARCH", &["esearch"]),
    ("ID", &["id"]),
    ("IDLE", &["idle"]),
    ("IMAP4rev1", &["fetch-store", "fetch-rev1", "mailboxes", "bounds", "bad-commands"]),
    ("IMAP4rev2", &["rev2", "search-rev2"]),
    ("LIST-EXTENDED", &["list-extended"]),
    ("LIST-STATUS", &["list-status"]),
    ("LITERAL-", &["literal-minus"]),
    ("LOGINDISABLED", &["login-disabled"]),
    ("MOVE", &["move"]),
    ("MULTIAPPEND", &["multiappend"]),
    ("NAMESPACE", &["namespace"]),
    ("OBJECTID", &["objectid"]),
    ("QRESYNC", &["qresync"]),
    ("SASL-IR", &["authenticate"]),
    ("SAVEDATE", &["savedate", "search-savedate"]),
    ("SEARCHRES", &["searchres"]),
    ("SPECIAL-USE", &["special-use"]),
    ("STARTTLS", &["login-disabled"]),
    ("STATUS=SIZE", &["status-size"]),
    ("UIDPLUS", &["uidplus"]),
    ("UNSELECT", &["unselect"]),
    ("UTF8=ACCEPT", &["utf8-accept", "search-utf8"]),
    ("WITHIN", &["within"]),
];

#[test]
fn what_is_announced_is_what_is_meant_to_be() {
    let announced: BTreeSet<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
    let meant: BTreeSet<&str> = ANNOUNCED.iter().map(|(name, _)| *name).collect();
    assert_eq!(announced, meant);
    // And what the constants say is what a client hears.
    let config = Config { starttls: true, ..Config::new("imap.example.org") };
    let mut heard = heard(&config);
    heard.extend(self::heard(&Config { cleartext_auth: true, ..config }));
    assert_eq!(heard, meant.into_iter().map(str::to_owned).collect());
}

#[test]
fn each_has_a_dialogue_that_shows_it_and_one_that_shows_its_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues/imap-server");
    for (name, dialogues) in ANNOUNCED {
        let read = |dialogue| std::fs::read_to_string(folder.join(format!("{dialogue}.txt")));
        let texts: Vec<String> = dialogues.iter().map(|dialogue| read(dialogue).expect(dialogue)).collect();
        let says = |word: &str| texts.iter().flat_map(|text| text.lines()).any(|line| is_said(line, word));
        assert!(says("OK"), "{name} works nowhere");
        assert!(says("NO") || says("BAD"), "{name} fails nowhere");
        assert!(texts.iter().any(|text| text.contains(name) || text.contains('§')), "{name} is not named");
    }
}

#[test]
fn each_can_be_switched_off() {
    for (name, _) in ANNOUNCED {
        for cleartext_auth in [true, false] {
            let without = [(*name).to_owned()].into();
            let config = Config { starttls: true, cleartext_auth, without, ..Config::new("imap.example.org") };
            assert!(!heard(&config).contains(*name), "{name} is announced all the same");
        }
    }
}

/// The server says so of a command.
fn is_said(line: &str, word: &str) -> bool {
    let Some(said) = line.strip_prefix("S: ") else { return false };
    let mut words = said.split(' ');
    words.next().is_some_and(|tag| tag != "*") && words.next() == Some(word)
}

/// Everything that a client hears announced, before and after its login.
fn heard(config: &Config) -> BTreeSet<String> {
    let mut server = Server::new(SessionId(1), Arc::new(config.clone()));
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(64 * 1024));
    let now = Now { mono: Mono::default(), wall: Wall(0) };
    rx.extend_from_slice(b"a LOGIN alice wonderland\r\n");
    loop {
        match server.poll(now, &mut rx, &mut tx) {
            Step::Act(Action::Authenticate { ticket, .. }) => {
                server.answer(ticket, AuthenticateAnswer::Accepted).expect("it is its own");
            }
            Step::Wait(_) => break,
            _ => {}
        }
    }
    let said = tx.copy_to_bytes(tx.remaining());
    let said = String::from_utf8(said.to_vec()).expect("it is ASCII");
    let lists = said.split("[CAPABILITY ").skip(1).filter_map(|rest| rest.split_once(']'));
    let names = lists.flat_map(|(list, _)| list.split(' '));
    names.map(|name| if name.starts_with("APPENDLIMIT=") { "APPENDLIMIT" } else { name }.to_owned()).collect()
}
