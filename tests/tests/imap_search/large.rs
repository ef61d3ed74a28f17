//! A mailbox of 100,000 messages, every second of which was expunged: what waits for the client stays small, and nothing
//! is asked twice.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, Config, Server};
use pillarbox_core::mailbox::{
    Counters, Entry, FlagSet, Gone, Keywords, PAGE, Request, Response, SEARCH_OCTETS, Selected, UidSet,
};
use pillarbox_core::ops::{EmailId, EntryId, MailboxId, ThreadId};
use pillarbox_core::session::Answer as _;
use pillarbox_core::{Mono, Now, Outbox, Session as _, SessionId, SessionLimits, Step, Wall};

const MESSAGES: u32 = 100_000;

/// What became of a command.
#[derive(Debug, Default)]
struct Told {
    said: Vec<u8>,
    /// Octets that waited for the client at most.
    waited: usize,
    /// How often the machine was polled.
    polls: usize,
    /// Questions about entries, and how many messages they were about; the same of texts.
    entries: (u32, u32),
    texts: (u32, u32),
}

fn command(server: &mut Server, line: &str) -> Told {
    let mut rx = BytesMut::from(format!("t {line}\r\n").as_bytes());
    let mut tx = Outbox::new(SessionLimits::default().high_water);
    let mut told = Told::default();
    loop {
        let step = server.poll(Now { mono: Mono(0), wall: Wall(0) }, &mut rx, &mut tx);
        told.waited = told.waited.max(tx.len());
        told.polls += 1;
        match step {
            Step::Act(Action::Authenticate { ticket, .. }) => server.answer(ticket, AuthenticateAnswer::Accepted),
            Step::Act(Action::Ask { ticket, request }) => server.answer(ticket, answer(request, &mut told)),
            Step::Wait(_) if tx.is_empty() => return told,
            Step::Wait(_) => {
                tx.slices().for_each(|slice| told.said.extend_from_slice(slice));
                tx.advance(tx.len());
                Ok(())
            }
            _ => Ok(()),
        }
        .expect("it was asked");
    }
}

fn answer(request: Request, told: &mut Told) -> Response {
    match request {
        Request::Select { .. } => Response::Selected(Selected {
            mailbox: MailboxId::default(),
            counters: Counters { messages: MESSAGES, uid_next: 2 * MESSAGES, uid_validity: 1, ..Counters::default() },
            uids: (0..MESSAGES).map(|number| 2 * number + 1).collect(),
            keywords: Keywords::default(),
            first_unseen: None,
            recent_from: 2 * MESSAGES,
        }),
        Request::Entries { mut uids, .. } => {
            told.entries = (told.entries.0 + 1, told.entries.1 + uids.len());
            let page = uids.page(PAGE);
            let entry = |uid| Entry {
                uid,
                entry: EntryId::default(),
                email: EmailId::default(),
                thread: ThreadId::default(),
                flags: if uid % 100 == 1 { FlagSet::SEEN } else { FlagSet::default() },
                modseq: 1,
                size: 1,
                received: Wall(0),
                saved: Wall(0),
                prefix: 0,
                structure: None,
            };
            let entries = page.iter().map(entry).collect();
            Response::Entries { entries, keywords: Keywords::default(), next: uids.first(), at: 1 }
        }
        Request::Search { mut uids, keys, .. } => {
            told.texts = (told.texts.0 + 1, told.texts.1 + uids.len());
            // As if each of them had 16 kB.
            let page = uids.page((SEARCH_OCTETS / 16_000) as u32);
            Response::Found { found: vec![page; keys.len()], next: uids.first() }
        }
        Request::Changes { .. } => Response::Changes {
            changes: Vec::new(),
            more: false,
            gone: Gone::These(UidSet::default()),
            keywords: Keywords::default(),
            at: 1,
            uid_next: 2 * MESSAGES,
        },
        other => panic!("nobody asks for {other:?}"),
    }
}

#[test]
fn a_large_mailbox_is_searched_in_pages() {
    let config = Arc::new(Config { cleartext_auth: true, ..Config::new("imap.example.org") });
    let mut server = Server::new(SessionId(1), config);
    command(&mut server, "LOGIN alice wonderland");
    command(&mut server, "SELECT INBOX");
    let most = SessionLimits::default().high_water + 16 * PAGE as usize;
    let pages = MESSAGES / PAGE;

    for (line, words, asked) in [
        ("UID SEARCH ALL", MESSAGES + 8, 0),
        ("UID SEARCH UNSEEN", MESSAGES / 50 * 49 + 8, MESSAGES),
        ("SEARCH NOT 1", MESSAGES - 1 + 7, 0),
    ] {
        let told = command(&mut server, line);
        let said = String::from_utf8(told.said).expect("it is ASCII");
        assert_eq!(said.split_whitespace().count() as u32, words - 1, "{line}");
        assert!(told.waited <= most, "{line}: {} octets waited", told.waited);
        assert_eq!(told.entries, (asked / PAGE, asked), "{line}");
    }

    let told = command(&mut server, "UID SEARCH RETURN (ALL) ALL");
    assert_eq!(told.said.split(|octet| *octet == b',').count() as u32, MESSAGES);
    assert!(told.waited <= most, "{} octets waited", told.waited);

    // Texts are looked for in what the flags have left, and all of that is asked for at once.
    let told = command(&mut server, "SEARCH RETURN (COUNT) SEEN BODY a NOT SUBJECT a");
    assert_eq!(
        (told.entries, told.texts),
        ((pages, MESSAGES), (2, MESSAGES / 50 + MESSAGES / 50 - SEARCH_OCTETS as u32 / 16_000))
    );

    // The first one is on the first page.
    let told = command(&mut server, "SEARCH RETURN (MIN) UNSEEN");
    assert!(told.said.starts_with(b"* ESEARCH (TAG \"t\") MIN 2\r\n"));
    assert_eq!(told.entries.0, 1);
}

/// Messages times keys that a poll may judge: others wait for no more.
const WORK: usize = 64 * 1024;

#[test]
fn a_search_by_many_keys_lets_others_have_their_turn() {
    let config = Arc::new(Config { cleartext_auth: true, ..Config::new("imap.example.org") });
    let mut server = Server::new(SessionId(1), config);
    command(&mut server, "LOGIN alice wonderland");
    command(&mut server, "SELECT INBOX");
    let keys: Vec<_> = (0..200).map(|number| format!("NOT UID {}", 2 * number + 1)).collect();
    let told = command(&mut server, &format!("SEARCH RETURN (COUNT) {}", keys.join(" ")));
    assert!(told.said.starts_with(b"* ESEARCH (TAG \"t\") COUNT 99800\r\n"));
    let least = MESSAGES as usize * keys.len() / WORK;
    assert!(told.polls >= least, "{} polls, {least} at least", told.polls);
}
