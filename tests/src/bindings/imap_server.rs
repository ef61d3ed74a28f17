//! The IMAP server machine in dialogues, in front of a small account that lives in memory.
//!
//! The account answers at once and unseen, so a dialogue shows what the client and the server say. With `asks=yes` every
//! question is shown, and the dialogue says who answers.
//!
//! | `set:` | |
//! |---|---|
//! | `starttls=no` | STARTTLS is not offered |
//! | `implicit=yes` | TLS is up from the start |
//! | `cleartext=yes` | passwords may cross a connection without TLS |
//! | `mail=N` | so many messages are in INBOX |
//! | `message_size=N` | octets of the largest message |
//! | `copied=N` | messages that one COPY takes |
//! | `without=A,B` | capabilities that are switched off |
//! | `idle_timeout=N login_timeout=N` | in seconds |
//! | `at30=deliver`, `at30=flag:2`, `at30=expunge:2`, `at30=delete` | while the mailbox is watched, another device does this at the 30th second |
//! | `asks=yes` | questions are shown |
//!
//! `alice` logs in with `wonderland`; when `busy` logs in, nobody can say whether she may.
//!
//! | action (`asks=yes`) | answers |
//! |---|---|
//! | `authenticate PLAIN alice` | `account`, `accepted`, `rejected`, `unavailable` |
//! | `ask …`, `change …`, with the name of the request | `account`, `unavailable`, `full`; to `read` and `heads`: `gone`, `short` |
//! | `chunk "…"` | `account`, `full`, `unavailable` |
//! | `watch`, `unwatch`, `discard` | |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pillarbox_core::imap::reader::Reader;
use pillarbox_core::imap::server::{Action, AuthenticateAnswer, ChunkAnswer, Config, Limits, Server};
use pillarbox_core::mailbox::{Append, FlagChange, FlagMode, FlagSet, MailboxName, Request, Response, UidSet};
use pillarbox_core::ops::{
    AccountId, AccountOp, AccountReply, Body, MailboxId, MailboxOp, NewBody, Resolution, StoreError, StoreOp,
    StoreReply,
};
use pillarbox_core::sasl::Credentials;
use pillarbox_core::session::{Answer as _, Close, SecretSpan};
use pillarbox_core::{LayerInfo, Misuse, Mono, Now, Outbox, Seed, Session, SessionId, Step, Ticket, TlsInfo, Wall};
use pillarbox_store::{Clock, MemoryStore, Options, PasswordCost};

use crate::oracle::imap_form::responses;
use crate::subject::{Bounds, Event, Kind, NotAnswered, Role, Settings, Subject};

/// When the clock of every dialogue begins.
const BEGIN: i64 = 1_795_379_126_000;

/// The IMAP server machine, and its account.
#[derive(Debug)]
pub struct ImapServer {
    hosted: Hosted,
    limits: Limits,
}

/// The machine with a host that answers at once.
#[derive(Debug)]
pub struct Hosted {
    server: Server,
    account: Account,
    asks: bool,
    events: BTreeMap<u64, String>,
    begun: Option<Mono>,
    watched: Option<MailboxId>,
    /// The client has been told to wait: what others do is told at once.
    idling: bool,
    /// Octets that the last poll left in `rx`.
    unread: usize,
}

/// An account in memory.
#[derive(Debug)]
struct Account {
    store: Arc<MemoryStore>,
    /// What the store's clock shows.
    time: Arc<AtomicI64>,
    id: AccountId,
    /// Octets of the messages of an APPEND that is under way.
    staged: Vec<Vec<Bytes>>,
}

/// What the machine asks.
#[derive(Debug)]
pub enum Question {
    /// `authenticate`.
    Authenticate(Ticket<AuthenticateAnswer>, Credentials),
    /// `ask`, `change`.
    Ask(Ticket<Response>, Request),
    /// `chunk`.
    Chunk(Ticket<ChunkAnswer>, usize, Bytes),
}

impl Session for Hosted {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.begun.get_or_insert(now.mono);
        self.account.time.store(now.wall.0, Ordering::Relaxed);
        if self.idling || rx.len() > self.unread {
            // Else nobody could tell when it happened.
            while self.others(now.mono) {}
        }
        let (held, said) = (rx.len(), tx.appended());
        let step = self.server.poll(now, rx, tx);
        self.idling &= rx.len() == held;
        self.idling |= tx.appended() > said && tx.slices().last().is_some_and(|last| last.ends_with(b"+ idling\r\n"));
        self.unread = rx.len();
        if let Step::Act(Action::Watch { mailbox }) = &step {
            self.watched = Some(*mailbox);
            // What was to be done before is done now, however much more of what the client says is there already.
            while self.others(now.mono) {}
        }
        let due = self.due();
        match step {
            Step::Wait(_) if due.is_some_and(|due| due <= now.mono) => Step::More,
            Step::Act(action) if !self.asks => {
                self.host(action);
                Step::More
            }
            Step::Act(action) => {
                match &action {
                    Action::Unwatch { .. } => self.watched = None,
                    Action::Discard => self.account.staged.clear(),
                    _ => {}
                }
                Step::Act(action)
            }
            Step::Wait(mut wait) => {
                wait.until = wait.until.into_iter().chain(due).min();
                Step::Wait(wait)
            }
            step => step,
        }
    }

    fn close(&mut self, why: Close) {
        self.server.close(why);
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        self.server.upgraded(layer);
    }

    fn secrets(&self) -> &[SecretSpan] {
        self.server.secrets()
    }
}

impl Hosted {
    /// Does at once what is asked.
    fn host(&mut self, action: Action) {
        let done = match action {
            Action::Authenticate { ticket, credentials, .. } => self.server.answer(ticket, login(&credentials)),
            Action::Ask { ticket, request } => {
                let response = self.account.ask(request);
                self.server.answer(ticket, response)
            }
            Action::Chunk { ticket, message, bytes, .. } => {
                self.account.stage(message, bytes);
                self.server.answer(ticket, ChunkAnswer::Taken)
            }
            Action::Discard => {
                self.account.staged.clear();
                Ok(())
            }
            Action::Watch { .. } => Ok(()),
            Action::Unwatch { .. } => {
                self.watched = None;
                Ok(())
            }
        };
        assert_eq!(done, Ok::<(), Misuse>(()));
    }

    /// The next thing that another device has done by now.
    fn others(&mut self, now: Mono) -> bool {
        let (Some(mailbox), Some(begun)) = (self.watched, self.begun) else { return false };
        let Some((second, act)) = self.events.first_key_value() else { return false };
        if now < begun.after(Duration::from_secs(*second)) {
            return false;
        }
        let act = act.clone();
        self.events.pop_first();
        let modseq = self.account.act(mailbox, &act);
        self.server.changed(mailbox, modseq);
        true
    }

    fn due(&self) -> Option<Mono> {
        let (second, _) = self.events.first_key_value().filter(|_| self.watched.is_some() && self.idling)?;
        Some(self.begun?.after(Duration::from_secs(*second)))
    }
}

impl Account {
    fn new(mail: usize, copied: u32) -> Self {
        let time = Arc::new(AtomicI64::new(BEGIN));
        let clock = Arc::clone(&time);
        let clock: Clock = Arc::new(move || Wall(clock.load(Ordering::Relaxed)));
        let store =
            MemoryStore::new(Options { clock, copied, password_cost: PasswordCost::CHEAP, ..Options::default() });
        let address: pillarbox_core::smtp::Address = "alice@example.org".parse().expect("it is an address");
        store.apply(StoreOp::Account(AccountOp::Add { address: address.clone(), password: "wonderland".into() }));
        let resolved = store.apply(StoreOp::Account(AccountOp::Resolve { address }));
        let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) = resolved else {
            panic!("the account is there");
        };
        let mut account = Self { store, time, id: accounts[0].0, staged: Vec::new() };
        for number in 1..=mail {
            account.deliver(number);
        }
        account
    }

    fn deliver(&mut self, number: usize) {
        let text = format!(
            "From: Bob <bob@example.net>\r\nTo: alice@example.org\r\nSubject: Message {number}\r\n\
            Date: Sun, 22 Nov 2026 20:25:26 +0000\r\nMessage-ID: <{number}@example.net>\r\n\r\nHello {number}\r\n"
        );
        self.stage(0, text.into());
        self.ask(Request::Append { to: MailboxName::inbox(), messages: vec![Append::default()] });
    }

    fn stage(&mut self, message: usize, bytes: Bytes) {
        if self.staged.len() <= message {
            self.staged.resize(message + 1, Vec::new());
        }
        self.staged[message].push(bytes);
    }

    fn ask(&mut self, request: Request) -> Response {
        let bodies = match &request {
            Request::Append { .. } => std::mem::take(&mut self.staged),
            _ => Vec::new(),
        };
        let bodies =
            bodies.into_iter().map(|pieces| NewBody { body: Body::Inline(pieces), structure: Bytes::new() }).collect();
        let op = MailboxOp::Ask { account: self.id, request, bodies };
        match self.store.apply(StoreOp::Mailbox(Box::new(op))) {
            StoreReply::Mailbox(response) => *response,
            StoreReply::Failed(error) => Response::Unavailable { full: error == StoreError::Full },
            other => panic!("a store answers {other:?} about a mailbox"),
        }
    }

    /// What another device does; the modseq of it.
    fn act(&mut self, mailbox: MailboxId, act: &str) -> u64 {
        let (what, uid) = act.split_once(':').unwrap_or((act, "0"));
        let uid: u32 = uid.parse().expect("a UID");
        let uids = UidSet::run(uid, uid);
        let flag = |flags| Request::Flag {
            mailbox,
            uids: uids.clone(),
            change: FlagChange { mode: FlagMode::Add, flags, keywords: Vec::new() },
            unchanged_since: None,
        };
        match what {
            "deliver" => self.deliver(100),
            "flag" => drop(self.ask(flag(FlagSet::FLAGGED))),
            "expunge" => {
                self.ask(flag(FlagSet::DELETED));
                self.ask(Request::Expunge { mailbox, uids: Some(uids) });
            }
            "delete" => drop(self.ask(Request::Delete { name: MailboxName::new("Work").expect("a name") })),
            other => panic!("nobody can {other}"),
        }
        u64::MAX / 2
    }
}

fn login(credentials: &Credentials) -> AuthenticateAnswer {
    match (credentials.authcid.as_str(), credentials.password.expose()) {
        ("alice", b"wonderland") => AuthenticateAnswer::Accepted,
        ("busy", _) => AuthenticateAnswer::Unavailable,
        _ => AuthenticateAnswer::Rejected,
    }
}

impl Subject for ImapServer {
    type Session = Hosted;
    type Question = Question;

    const ROLE: Role = Role::Server;

    fn new(settings: &Settings, id: SessionId, _seed: Seed) -> Result<Self, String> {
        const SECONDS: [u64; 6] = [10, 20, 30, 40, 50, 60];
        let times: Vec<_> = SECONDS.iter().map(|second| format!("at{second}")).collect();
        let mut known = vec![
            "starttls",
            "implicit",
            "cleartext",
            "mail",
            "message_size",
            "copied",
            "without",
            "idle_timeout",
            "login_timeout",
            "asks",
        ];
        known.extend(times.iter().map(String::as_str));
        settings.only(&known)?;
        let standard = Limits::default();
        let mut session = settings.session_limits()?;
        session.bad_commands = settings.value("bad_commands", standard.session.bad_commands)?;
        let limits = Limits {
            session,
            idle_timeout: settings.seconds("idle_timeout", standard.idle_timeout)?,
            login_timeout: settings.seconds("login_timeout", standard.login_timeout)?,
            ..standard
        };
        let without = settings.text("without").unwrap_or_default();
        let config = Config {
            starttls: settings.yes("starttls", true)?,
            cleartext_auth: settings.yes("cleartext", false)?,
            message_size: settings.value("message_size", 50_000_000)?,
            without: without.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            limits: limits.clone(),
            ..Config::new("imap.example.org")
        };
        let mut server = Server::new(id, Arc::new(config));
        if settings.yes("implicit", false)? {
            let info = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified: false };
            server.upgraded(LayerInfo::Tls(info));
        }
        let event = |second: &u64| Some((*second, settings.text(&format!("at{second}"))?.to_owned()));
        let hosted = Hosted {
            server,
            account: Account::new(settings.value("mail", 0)?, settings.value("copied", Options::default().copied)?),
            asks: settings.yes("asks", false)?,
            events: SECONDS.iter().filter_map(event).collect(),
            begun: None,
            watched: None,
            idling: false,
            unread: 0,
        };
        Ok(Self { hosted, limits })
    }

    fn session(&mut self) -> &mut Hosted {
        &mut self.hosted
    }

    fn bounds(&self) -> Bounds {
        let session = self.limits.session.clone();
        Bounds { open: session.window.max(1), session, line: Reader::MAX_RESPONSE }
    }

    fn event(&mut self, action: Action) -> Event<Question> {
        match action {
            Action::Authenticate { ticket, mechanism, credentials } => {
                let shows = format!("authenticate {mechanism} {}", credentials.authcid);
                Event::ask(Kind::Read, shows, Question::Authenticate(ticket, credentials))
            }
            Action::Ask { ticket, request } => {
                let name = format!("{request:?}");
                let name = name.split([' ', '{']).next().unwrap_or_default().to_lowercase();
                let (kind, verb) = if request.is_change() { (Kind::Change, "change") } else { (Kind::Read, "ask") };
                let appends = matches!(request, Request::Append { .. });
                let event = Event::ask(kind, format!("{verb} {name}"), Question::Ask(ticket, request));
                if appends { event.gives("the octets") } else { event }
            }
            Action::Chunk { ticket, message, bytes, .. } => {
                Event::chunk(bytes.clone(), Question::Chunk(ticket, message, bytes)).takes("the octets")
            }
            Action::Discard => Event::tell("discard").gives("the octets"),
            Action::Watch { .. } => Event::tell("watch").takes("the watch"),
            Action::Unwatch { .. } => Event::tell("unwatch").gives("the watch"),
        }
    }

    fn answer(&mut self, question: Question, text: &str) -> Result<(), NotAnswered> {
        let Hosted { server, account, .. } = &mut self.hosted;
        match question {
            Question::Authenticate(ticket, credentials) => {
                let answer = match text {
                    "account" => login(&credentials),
                    "accepted" => AuthenticateAnswer::Accepted,
                    "rejected" => AuthenticateAnswer::Rejected,
                    "unavailable" => AuthenticateAnswer::Unavailable,
                    other => return Err(NotAnswered::unknown(other, "account, accepted, rejected, unavailable")),
                };
                Ok(server.answer(ticket, answer)?)
            }
            Question::Ask(ticket, request) => {
                let answer = match text {
                    "account" => account.ask(request),
                    "unavailable" => Response::Unavailable { full: false },
                    "full" => Response::Unavailable { full: true },
                    "gone" => match request {
                        Request::Heads { entries, .. } => Response::Heads(vec![None; entries.len()]),
                        _ => Response::NoMessage,
                    },
                    "short" => Response::Bytes(Bytes::new()),
                    other => return Err(NotAnswered::unknown(other, "account, unavailable, full, gone, short")),
                };
                Ok(server.answer(ticket, answer)?)
            }
            Question::Chunk(ticket, message, bytes) => {
                let answer = match text {
                    "account" => {
                        account.stage(message, bytes);
                        ChunkAnswer::Taken
                    }
                    "unavailable" => ChunkAnswer::Unavailable,
                    "full" => ChunkAnswer::Full,
                    other => return Err(NotAnswered::unknown(other, "account, full, unavailable")),
                };
                Ok(server.answer(ticket, answer)?)
            }
        }
    }

    fn answers(question: &Question) -> Vec<String> {
        let answers: &[&str] = match question {
            Question::Authenticate(..) => &["account", "accepted", "rejected", "unavailable"],
            Question::Ask(..) | Question::Chunk(..) => &["account", "unavailable", "full"],
        };
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    fn check_output(sent: &[u8], _ended: bool) -> Result<(), String> {
        if !sent.is_empty() && !sent.starts_with(b"* OK [") && !sent.starts_with(b"* BYE ") {
            return Err("it does not begin with a greeting".to_owned());
        }
        responses(sent)
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "a CAPABILITY\r\n",
            "a LOGIN alice wonderland\r\n",
            "a LOGIN {5+}\r\nalice {10+}\r\nwonderland\r\n",
            "a AUTHENTICATE PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\r\n",
            "a AUTHENTICATE PLAIN\r\n",
            "*\r\n",
            "a STARTTLS\r\n",
            "a SELECT INBOX\r\n",
            "a EXAMINE INBOX\r\n",
            "a CREATE Work/New\r\n",
            "a RENAME INBOX Old\r\n",
            "a LIST \"\" *\r\n",
            "a STATUS INBOX (MESSAGES SIZE)\r\n",
            "a FETCH 1:* (FLAGS BODY[])\r\n",
            "a UID FETCH 1:* BODY.PEEK[HEADER]<3.9>\r\n",
            "a FETCH 1 (RFC822 BINARY.SIZE[1] BINARY[1]<0.5> BODY[1.HEADER.FIELDS (To)] ENVELOPE)\r\n",
            "a STORE 1:* +FLAGS (\\Deleted $x)\r\n",
            "a SEARCH OR UNSEEN (TEXT x NOT $) SENTSINCE 1-Jan-2026\r\n",
            "a UID SEARCH RETURN (SAVE MIN ALL) MODSEQ 1\r\n",
            "a EXPUNGE\r\n",
            "a COPY 1 INBOX\r\n",
            "a UID MOVE 1:* Work\r\n",
            "a APPEND INBOX {5+}\r\nHello\r\n",
            "a APPEND INBOX (\\Seen) ~{5+}\r\nHello UTF8 (~{2+}\r\nyo) {0}\r\n",
            "a APPEND INBOX {5}\r\n",
            "a IDLE\r\n",
            "DONE\r\n",
            "a CLOSE\r\n",
            "a NOOP\r\n",
            "a LOGOUT\r\n",
            "\0",
            "{9}\r\n",
        ]
    }
}
