//! A host that makes up mail while it is read, and a client that reads slowly: what the machine holds meanwhile is what
//! it holds at worst.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, ChunkAnswer, Config, Server};
use pillarbox_core::mailbox::*;
use pillarbox_core::ops::{EmailId, EntryId, Id, MailboxId, ThreadId};
use pillarbox_core::session::{Answer as _, WaitingOn};
use pillarbox_core::{Mono, Now, Outbox, Session as _, SessionId, Step, Wall};

const NOW: Now = Now { mono: Mono(1), wall: Wall(1_795_379_126_000) };

/// Octets that the client takes when the machine cannot go on.
const GULP: usize = 10_000;

/// Messages of a mailbox, by UID from 1 on.
pub(crate) trait Mail {
    /// How many.
    fn count(&self) -> u32;
    /// Octets of one.
    fn size(&self, uid: u32) -> u64;
    /// Some of them.
    fn read(&self, uid: u32, offset: u64, len: usize) -> Bytes;
    /// As it is stored.
    fn structure(&self, uid: u32) -> Bytes;
}

/// A message in memory, as often as it is said, and its structure if it was stored.
pub(crate) struct Message {
    pub(crate) octets: Bytes,
    pub(crate) structure: Bytes,
    pub(crate) count: u32,
}

impl Mail for Message {
    fn count(&self) -> u32 {
        self.count
    }

    fn size(&self, _: u32) -> u64 {
        self.octets.len() as u64
    }

    fn read(&self, _: u32, offset: u64, len: usize) -> Bytes {
        let from = usize::try_from(offset).unwrap().min(self.octets.len());
        self.octets.slice(from..from.saturating_add(len).min(self.octets.len()))
    }

    fn structure(&self, _: u32) -> Bytes {
        self.structure.clone()
    }
}

/// A session that has selected the mailbox.
pub(crate) struct Host<M> {
    server: Server,
    rx: BytesMut,
    tx: Outbox,
    mail: M,
    /// How often each thing was asked.
    pub(crate) asked: BTreeMap<&'static str, u64>,
    /// Octets that came by APPEND, and chunks that wait.
    pub(crate) appended: u64,
    chunks: Vec<pillarbox_core::Ticket<ChunkAnswer>>,
}

impl<M: Mail> Host<M> {
    pub(crate) fn new(mail: M) -> Self {
        Self::with_chunks(mail, 64 * 1024)
    }

    /// Of a message, so many octets are asked for at a time at most.
    pub(crate) fn with_chunks(mail: M, octets: usize) -> Self {
        let mut config = Config { cleartext_auth: true, ..Config::new("imap.example.org") };
        config.limits.session.chunk = octets;
        let tx = Outbox::new(config.limits.session.high_water);
        let mut host = Self {
            server: Server::new(SessionId(1), Arc::new(config)),
            rx: BytesMut::new(),
            tx,
            mail,
            asked: BTreeMap::new(),
            appended: 0,
            chunks: Vec::new(),
        };
        host.say("a LOGIN alice wonderland\r\na SELECT INBOX\r\n", |_| {});
        host.asked.clear();
        host
    }

    pub(crate) fn mail(&self) -> &M {
        &self.mail
    }

    /// The client says this, and reads all that comes.
    pub(crate) fn say(&mut self, said: &str, mut hears: impl FnMut(&[u8])) {
        self.send(said.as_bytes(), &mut hears);
        while !self.tx.is_empty() {
            self.gulp(&mut hears);
        }
    }

    /// What comes of it, in one piece.
    pub(crate) fn hear(&mut self, said: &str) -> Vec<u8> {
        let mut heard = Vec::new();
        self.say(said, |octets| heard.extend_from_slice(octets));
        heard
    }

    /// The client sends this; the machine goes on until it waits for the client.
    pub(crate) fn send(&mut self, said: &[u8], hears: &mut impl FnMut(&[u8])) {
        self.rx.extend_from_slice(said);
        loop {
            match self.server.poll(NOW, &mut self.rx, &mut self.tx) {
                Step::Act(action) => self.act(action),
                Step::More => {}
                Step::Wait(wait) if wait.on == WaitingOn::Flush => self.gulp(hears),
                Step::Wait(wait) if wait.on == WaitingOn::Answer => match self.chunks.pop() {
                    Some(ticket) => self.server.answer(ticket, ChunkAnswer::Taken).unwrap(),
                    None => panic!("it waits for an answer that it has"),
                },
                Step::Wait(_) => break,
                other => panic!("{other:?}"),
            }
        }
        if self.rx.is_empty() {
            self.rx = BytesMut::new();
        }
    }

    fn gulp(&mut self, hears: &mut impl FnMut(&[u8])) {
        for _ in 0..GULP {
            let chunk = self.tx.chunk();
            let n = chunk.len().min(GULP);
            hears(&chunk[..n]);
            self.tx.advance(n);
            if n == 0 || n == GULP {
                break;
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Authenticate { ticket, .. } => self.server.answer(ticket, AuthenticateAnswer::Accepted).unwrap(),
            Action::Ask { ticket, request } => {
                let response = self.answer(request);
                self.server.answer(ticket, response).unwrap();
            }
            Action::Chunk { ticket, bytes, .. } => {
                self.appended += bytes.len() as u64;
                self.chunks.insert(0, ticket);
            }
            Action::Discard | Action::Watch { .. } | Action::Unwatch { .. } => {}
        }
    }

    fn answer(&mut self, request: Request) -> Response {
        let (name, response) = match request {
            Request::Find { .. } => ("find", Response::Done),
            Request::Select { .. } => ("select", Response::Selected(self.selected())),
            Request::Entries { uids, structures, .. } => ("entries", self.entries(&uids, structures)),
            Request::Heads { entries, len } => {
                let heads = entries.into_iter().map(|EntryId(id)| Some(self.mail.read(id.counter as u32, 0, len)));
                ("heads", Response::Heads(heads.collect()))
            }
            Request::Read { entry: EntryId(id), offset, len } => {
                ("read", Response::Bytes(self.mail.read(id.counter as u32, offset, len)))
            }
            Request::Flag { uids, .. } => {
                let changed = uids.iter().map(|uid| Change { uid, flags: FlagSet::SEEN, modseq: 2 }).collect();
                let (modified, keywords) = (UidSet::default(), Keywords::default());
                ("flag", Response::Flagged { changed, modified, keywords, at: 2, new: true })
            }
            Request::Changes { since, .. } => {
                let (changes, gone) = (Vec::new(), Gone::These(UidSet::default()));
                let uid_next = self.mail.count() + 1;
                let keywords = Keywords::default();
                ("changes", Response::Changes { changes, more: false, gone, keywords, at: since, uid_next })
            }
            Request::Append { .. } => ("append", Response::Appended { uid_validity: 1, uids: UidSet::run(9, 9) }),
            other => panic!("nobody answers {other:?}"),
        };
        *self.asked.entry(name).or_default() += 1;
        response
    }

    fn selected(&self) -> Selected {
        let messages = self.mail.count();
        let counters =
            Counters { messages, uid_next: messages + 1, uid_validity: 1, highest_modseq: 1, ..Counters::default() };
        let uids = UidSet::run(1, messages);
        let mailbox = MailboxId(Id { epoch: 1, counter: 1 });
        Selected {
            mailbox,
            counters,
            uids,
            keywords: Keywords::default(),
            first_unseen: None,
            recent_from: messages + 1,
        }
    }

    fn entries(&self, uids: &UidSet, structures: bool) -> Response {
        let (mut entries, mut octets) = (Vec::new(), 0);
        for uid in uids.iter().take(PAGE as usize) {
            let id = Id { epoch: 2, counter: u64::from(uid) };
            let structure = structures.then(|| self.mail.structure(uid));
            octets += structure.as_ref().map_or(0, Bytes::len);
            entries.push(Entry {
                uid,
                entry: EntryId(id),
                email: EmailId(id),
                thread: ThreadId(id),
                flags: FlagSet::default(),
                modseq: 1,
                size: self.mail.size(uid),
                received: NOW.wall,
                saved: NOW.wall,
                prefix: 0,
                structure,
            });
            if octets >= PAGE_OCTETS {
                break;
            }
        }
        let last = entries.last().map_or(u32::MAX, |entry| entry.uid);
        let next = uids.intersection(&UidSet::run(last.saturating_add(1), u32::MAX)).first();
        Response::Entries { entries, keywords: Keywords::default(), next, at: 1 }
    }
}
