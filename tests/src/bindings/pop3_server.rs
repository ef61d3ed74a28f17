//! The POP3 server machine in dialogues.
//!
//! | `set:` | |
//! |---|---|
//! | `hostname=NAME` | our name; `mx.example.org` |
//! | `stls=no` | STLS is not offered |
//! | `implicit=yes` | TLS is up from the start |
//! | `cleartext=yes` | passwords may cross a connection without TLS |
//! | `line=N` | octets of a line |
//! | `idle_timeout=N login_timeout=N` | in seconds |
//!
//! | action | answers |
//! |---|---|
//! | `authenticate PLAIN alice "secret"`, with ` as bob` behind it for another authzid | `accepted`, `rejected`, `unavailable` |
//! | `open` | `opened`, with `size/unique-id` for each message, the id in hexadecimal, or `size/unique-id*100` for messages with ids that count on; `in use`, `unavailable` |
//! | `read 1 0..120`: message 1, octets 0 to 119 | `bytes "text"`, `unreadable` |
//! | `commit`, with the numbers of the deleted messages | `committed`, `failed` |
//! | `release` | |

use std::sync::Arc;

use pillarbox_core::pop3::server::{
    Action, AuthenticateAnswer, CommitAnswer, Config, Limits, Message, OpenAnswer, ReadAnswer, Server,
};
use pillarbox_core::session::Answer as _;
use pillarbox_core::{LayerInfo, Seed, Session as _, SessionId, Ticket, TlsInfo};

use crate::dialogue::text;
use crate::subject::{Bounds, Event, Kind, NotAnswered, Role, Settings, Subject};

/// The POP3 server machine.
#[derive(Debug)]
pub struct Pop3Server {
    server: Server,
    limits: Limits,
}

/// What the POP3 server machine asks.
#[derive(Debug)]
pub enum Question {
    /// `authenticate`.
    Authenticate(Ticket<AuthenticateAnswer>),
    /// `open`.
    Open(Ticket<OpenAnswer>),
    /// `read`.
    Read(Ticket<ReadAnswer>),
    /// `commit`.
    Commit(Ticket<CommitAnswer>),
}

impl Subject for Pop3Server {
    type Session = Server;
    type Question = Question;

    const ROLE: Role = Role::Server;

    fn new(settings: &Settings, id: SessionId, _seed: Seed) -> Result<Self, String> {
        settings.only(&["hostname", "stls", "implicit", "cleartext", "line", "idle_timeout", "login_timeout"])?;
        let standard = Limits::default();
        let limits = Limits {
            session: settings.session_limits()?,
            line: settings.value("line", standard.line)?,
            idle_timeout: settings.seconds("idle_timeout", standard.idle_timeout)?,
            login_timeout: settings.seconds("login_timeout", standard.login_timeout)?,
            ..standard
        };
        let config = Config {
            hostname: settings.text("hostname").unwrap_or("mx.example.org").to_owned(),
            stls: settings.yes("stls", true)?,
            cleartext_auth: settings.yes("cleartext", false)?,
            limits: limits.clone(),
        };
        let mut server = Server::new(id, Arc::new(config));
        if settings.yes("implicit", false)? {
            let info = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified: false };
            server.upgraded(LayerInfo::Tls(info));
        }
        Ok(Self { server, limits })
    }

    fn session(&mut self) -> &mut Server {
        &mut self.server
    }

    fn bounds(&self) -> Bounds {
        Bounds { session: self.limits.session.clone(), line: self.limits.line, open: self.limits.session.window }
    }

    fn event(&mut self, action: Action) -> Event<Question> {
        match action {
            Action::Authenticate { ticket, mechanism, credentials } => {
                let password = text::escape(credentials.password.expose());
                let mut shows = format!("authenticate {mechanism} {} \"{password}\"", credentials.authcid);
                if !credentials.authzid.is_empty() {
                    shows.push_str(&format!(" as {}", credentials.authzid));
                }
                Event::ask(Kind::Read, shows, Question::Authenticate(ticket))
            }
            Action::Open { ticket } => Event::ask(Kind::Read, "open", Question::Open(ticket)).takes("the maildrop"),
            Action::Read { ticket, message, offset, len } => {
                let number = message + 1;
                let shows = format!("read {number} {offset}..{}", offset + len as u64);
                let of = format!("message {number}");
                Event::ask(Kind::Read, shows, Question::Read(ticket)).range(of, offset, len)
            }
            Action::Commit { ticket, deleted } => {
                let mut shows = "commit".to_owned();
                for index in deleted {
                    shows.push_str(&format!(" {}", index + 1));
                }
                Event::ask(Kind::Change, shows, Question::Commit(ticket)).gives("the maildrop")
            }
            Action::Release => Event::tell("release").gives("the maildrop"),
        }
    }

    fn answer(&mut self, question: Question, text: &str) -> Result<(), NotAnswered> {
        match question {
            Question::Authenticate(ticket) => {
                let answer = match text {
                    "accepted" => AuthenticateAnswer::Accepted,
                    "rejected" => AuthenticateAnswer::Rejected,
                    "unavailable" => AuthenticateAnswer::Unavailable,
                    other => return Err(NotAnswered::unknown(other, "accepted, rejected, unavailable")),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
            Question::Open(ticket) => Ok(self.server.answer(ticket, open(text)?)?),
            Question::Read(ticket) => {
                let answer = match text {
                    "unreadable" => ReadAnswer::Unreadable,
                    text => ReadAnswer::Bytes(NotAnswered::bytes(text)?),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
            Question::Commit(ticket) => {
                let answer = match text {
                    "committed" => CommitAnswer::Committed,
                    "failed" => CommitAnswer::Failed,
                    other => return Err(NotAnswered::unknown(other, "committed, failed")),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
        }
    }

    fn answers(question: &Question) -> Vec<String> {
        let answers: &[&str] = match question {
            Question::Authenticate(_) => &["accepted", "rejected", "unavailable"],
            // Messages of a few reads each, or a flood of RETR would go on for hours.
            Question::Open(_) => &["opened 20/1 200/2 0/3", "opened", "opened 900/1*300", "in use", "unavailable"],
            Question::Read(_) => {
                &["bytes \"A: 1\\r\\n\\r\\n.Hello\\r\\n\"", "bytes \".\\n.\\r\" * 100", "bytes \"\"", "unreadable"]
            }
            Question::Commit(_) => &["committed", "failed"],
        };
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    fn check_output(sent: &[u8], ended: bool) -> Result<(), String> {
        if !sent.is_empty() && !sent.starts_with(b"+OK ") && !sent.starts_with(b"-ERR ") {
            return Err("it does not begin with a status".to_owned());
        }
        if ended && sent.len() < 2 && !sent.is_empty() {
            return Err("it ends within a line".to_owned());
        }
        Ok(())
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "CAPA\r\n",
            "USER alice\r\n",
            "PASS wonderland\r\n",
            "AUTH PLAIN\r\n",
            "AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=\r\n",
            "AGFsaWNlAHdvbmRlcmxhbmQ=\r\n",
            "*\r\n",
            "STLS\r\n",
            "STAT\r\n",
            "LIST\r\n",
            "LIST 1\r\n",
            "UIDL\r\n",
            "UIDL 4294967297\r\n",
            "RETR 1\r\n",
            "RETR 2\r\n",
            "RETR 18446744073709551617\r\n",
            "TOP 1 0\r\n",
            "TOP 1 18446744073709551615\r\n",
            "DELE 1\r\n",
            "RSET\r\n",
            "NOOP\r\n",
            "QUIT\r\n",
            "\0",
            "\n.\n",
            "\r",
        ]
    }
}

/// Reads `opened size/id …`, `in use`, `unavailable`.
fn open(text: &str) -> Result<OpenAnswer, NotAnswered> {
    let unknown = || NotAnswered::unknown(text, "opened size/id…, in use, unavailable");
    match text {
        "in use" => return Ok(OpenAnswer::InUse),
        "unavailable" => return Ok(OpenAnswer::Unavailable),
        _ => {}
    }
    let mut messages = Vec::new();
    for word in text.strip_prefix("opened").ok_or_else(unknown)?.split_whitespace() {
        let (word, times) = word.split_once('*').unwrap_or((word, "1"));
        let (size, unique) = word.split_once('/').ok_or_else(unknown)?;
        let size = size.parse().map_err(|_| unknown())?;
        let unique = u128::from_str_radix(unique, 16).map_err(|_| unknown())?;
        let times: u128 = times.parse().map_err(|_| unknown())?;
        messages.extend((0..times).map(|n| Message { size, unique: unique.wrapping_add(n) }));
    }
    Ok(OpenAnswer::Opened(messages.into()))
}
