//! The SMTP server machine in dialogues.
//!
//! | `set:` | |
//! |---|---|
//! | `hostname=NAME` | our name; `mx.example.org` |
//! | `service=transfer`, `submission` | whom it serves; `transfer` |
//! | `starttls=yes` | STARTTLS is offered; `no` |
//! | `cleartext=yes` | AUTH may cross a connection without TLS; `no` |
//! | `implicit=yes` | TLS is up from the start |
//! | `message_size=N` | the largest message in octets; 1,000,000 |
//! | `line=N recipients=N questions=N received=N header=N transactions=N overrun=N` | bounds |
//!
//! The peer is 192.0.2.7.
//!
//! | action | answers |
//! |---|---|
//! | `authenticate PLAIN alice secret`, `… as bob` | `accepted`, `rejected`, `unavailable` |
//! | `recipient bob@example.org from alice@example.org` (`from <>`) | `accepted`, or a reply: `550 5.1.1 No such user` |
//! | `chunk "…"` | `taken`, or a reply |
//! | `commit 1-1 from a@b to c@d e@f size 12 [8bit] [smtputf8] [as alice] trace "Received: …"` | `committed TEXT`, or a reply |
//! | `abort 1-1` | |
//! | `refused 550 5.1.1 No such user` | |

use std::fmt::Write as _;
use std::sync::Arc;

use pillarbox_core::session::Answer as _;
use pillarbox_core::smtp::server::{
    Action, AuthenticateAnswer, ChunkAnswer, CommitAnswer, Config, Limits, Peer, RecipientAnswer, Server, Service,
    Transaction,
};
use pillarbox_core::smtp::{Address, EnhancedStatus, Reply};
use pillarbox_core::{LayerInfo, Seed, Session as _, SessionId, Ticket, TlsInfo};

use crate::subject::{Bounds, Event, Kind, NotAnswered, Role, Settings, Subject};

/// The SMTP server machine.
#[derive(Debug)]
pub struct SmtpServer {
    server: Server,
    limits: Limits,
}

/// What the SMTP server machine asks.
#[derive(Debug)]
pub enum Question {
    /// `authenticate`.
    Authenticate(Ticket<AuthenticateAnswer>),
    /// `recipient`.
    Recipient(Ticket<RecipientAnswer>),
    /// `chunk`.
    Chunk(Ticket<ChunkAnswer>),
    /// `commit`.
    Commit(Ticket<CommitAnswer>),
}

impl Subject for SmtpServer {
    type Session = Server;
    type Question = Question;

    const ROLE: Role = Role::Server;
    const HEARS_OUT: bool = true;

    fn new(settings: &Settings, id: SessionId, _seed: Seed) -> Result<Self, String> {
        settings.only(&[
            "hostname",
            "service",
            "starttls",
            "cleartext",
            "implicit",
            "message_size",
            "line",
            "recipients",
            "questions",
            "received",
            "header",
            "transactions",
            "overrun",
        ])?;
        let standard = Limits::default();
        let limits = Limits {
            session: settings.session_limits()?,
            line: settings.value("line", standard.line)?,
            recipients: settings.value("recipients", standard.recipients)?,
            questions: settings.value("questions", standard.questions)?,
            received: settings.value("received", standard.received)?,
            header: settings.value("header", standard.header)?,
            transactions: settings.value("transactions", standard.transactions)?,
            overrun: settings.value("overrun", standard.overrun)?,
            ..standard
        };
        let config = Config {
            hostname: settings.text("hostname").unwrap_or("mx.example.org").to_owned(),
            service: settings
                .choice("service", &[("transfer", Service::Transfer), ("submission", Service::Submission)])?,
            starttls: settings.yes("starttls", false)?,
            cleartext_auth: settings.yes("cleartext", false)?,
            message_size: settings.value("message_size", 1_000_000)?,
            limits: limits.clone(),
        };
        let peer = Peer { address: ([192, 0, 2, 7], 4242).into() };
        let mut server = Server::new(id, Arc::new(config), peer);
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
        let open = self.limits.questions.max(self.limits.session.window) + 1;
        Bounds { session: self.limits.session.clone(), line: self.limits.line, open }
    }

    fn event(&mut self, action: Action) -> Event<Question> {
        match action {
            Action::Authenticate { ticket, mechanism, credentials } => {
                let password = credentials.password.expose().escape_ascii();
                let mut shows = format!("authenticate {mechanism} {} {password}", credentials.authcid);
                if !credentials.authzid.is_empty() {
                    let _ = write!(shows, " as {}", credentials.authzid);
                }
                Event::ask(Kind::Read, shows, Question::Authenticate(ticket))
            }
            Action::Recipient { ticket, recipient, reverse_path, .. } => {
                let shows = format!("recipient {recipient} from {}", path(reverse_path.as_ref()));
                Event::ask(Kind::Read, shows, Question::Recipient(ticket))
            }
            Action::Chunk { ticket, transaction, bytes } => {
                Event::chunk(bytes, Question::Chunk(ticket)).takes(format!("the stage of {transaction}"))
            }
            Action::Commit { ticket, transaction } => {
                let event = Event::ask(Kind::Change, shows(&transaction), Question::Commit(ticket));
                let staged = transaction.size > 0;
                if staged { event.gives(format!("the stage of {}", transaction.id)) } else { event }
            }
            Action::Abort(id) => Event::tell(format!("abort {id}")).gives(format!("the stage of {id}")),
            Action::Refused { reply } => Event::tell(format!("refused {reply}")),
        }
    }

    fn answer(&mut self, question: Question, text: &str) -> Result<(), NotAnswered> {
        let reply =
            || reply(text).ok_or_else(|| NotAnswered::unknown(text, "accepted, taken, committed …, or a reply"));
        match question {
            Question::Authenticate(ticket) => {
                let answer = match text {
                    "accepted" => AuthenticateAnswer::Accepted,
                    "rejected" => AuthenticateAnswer::Rejected,
                    "unavailable" => AuthenticateAnswer::Unavailable,
                    _ => return Err(NotAnswered::unknown(text, "accepted, rejected, unavailable")),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
            Question::Recipient(ticket) => {
                let answer = match text {
                    "accepted" => RecipientAnswer::Accepted,
                    _ => RecipientAnswer::Refused(reply()?),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
            Question::Chunk(ticket) => {
                let answer = match text {
                    "taken" => ChunkAnswer::Taken,
                    _ => ChunkAnswer::Refused(reply()?),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
            Question::Commit(ticket) => {
                let answer = match text.strip_prefix("committed") {
                    Some(text) => CommitAnswer::Committed { text: text.trim_start().to_owned() },
                    None => CommitAnswer::Refused(reply()?),
                };
                Ok(self.server.answer(ticket, answer)?)
            }
        }
    }

    fn answers(question: &Question) -> Vec<String> {
        let answers: &[&str] = match question {
            Question::Authenticate(_) => &["accepted", "rejected", "unavailable"],
            Question::Recipient(_) => &["accepted", "550 5.1.1 No such user", "450 4.2.1 Later"],
            Question::Chunk(_) => &["taken", "452 4.3.1 Disk full"],
            Question::Commit(_) => &["committed queued as 1-1", "451 4.3.0 Not now", "550 5.7.1 Spam", "250 Yes"],
        };
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    fn check_output(sent: &[u8], _ended: bool) -> Result<(), String> {
        let text = std::str::from_utf8(sent).map_err(|_| "not UTF-8")?;
        if !text.is_ascii() {
            return Err("not ASCII".to_owned());
        }
        for line in text.split_terminator("\r\n") {
            let code = line.get(..3).is_some_and(|code| code.bytes().all(|octet| octet.is_ascii_digit()));
            let sign = matches!(line.as_bytes().get(3), Some(b' ' | b'-'));
            if !code || !sign || line.len() > 510 || line.contains(|c: char| c.is_control()) {
                return Err(format!("no reply line: {line:?}"));
            }
        }
        if sent.is_empty() || text.ends_with("\r\n") { Ok(()) } else { Err("half a line".to_owned()) }
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "EHLO client.example",
            "HELO client.example",
            "MAIL FROM:<alice@example.org>",
            "MAIL FROM:<> SIZE=1000 BODY=8BITMIME SMTPUTF8",
            "RCPT TO:<bob@example.org>",
            "RCPT TO:<@relay.example:\"b c\"@[192.0.2.1]>",
            "DATA",
            "Subject: x\r\nReceived: y\r\n\r\nHello\r\n..\r\n.",
            ".",
            "BDAT 5 LAST\r\nHello",
            "BDAT 70000",
            "BDAT 0",
            "RSET",
            "NOOP",
            "VRFY alice",
            "HELP",
            "QUIT",
            "STARTTLS",
            "AUTH PLAIN AHRlc3QAMTIzNA==",
            "AUTH LOGIN",
            "dGVzdA==",
            "*",
            "GET / HTTP/1.1",
            "FOO",
        ]
    }
}

fn path(address: Option<&Address>) -> String {
    address.map_or_else(|| "<>".to_owned(), ToString::to_string)
}

fn shows(transaction: &Transaction) -> String {
    let recipients: Vec<_> = transaction.recipients.iter().map(ToString::to_string).collect();
    let (id, from, to) = (transaction.id, path(transaction.reverse_path.as_ref()), recipients.join(" "));
    let mut shows = format!("commit {id} from {from} to {to} size {}", transaction.size);
    for (set, word) in [(transaction.eight_bit, " 8bit"), (transaction.smtputf8, " smtputf8")] {
        shows.push_str(if set { word } else { "" });
    }
    if let Some(name) = &transaction.client.authenticated {
        let _ = write!(shows, " as {name}");
    }
    // A trace is text, and may be more than ASCII.
    let trace = String::from_utf8_lossy(&transaction.trace);
    let _ = write!(shows, " trace \"{}\"", trace.replace('\r', "\\r").replace('\n', "\\n").replace('\t', "\\t"));
    shows
}

/// Reads `550 5.1.1 No such user`.
fn reply(text: &str) -> Option<Reply> {
    let (code, rest) = text.split_once(' ')?;
    let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
    let (first, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let status: Vec<u16> = first.split('.').filter_map(|part| part.parse().ok()).collect();
    Some(match status[..] {
        [class, subject, detail] => {
            let class = u8::try_from(class).ok()?;
            Reply::new(code, Some(EnhancedStatus(class, subject, detail)), words.to_owned())
        }
        _ => Reply::new(code, None, rest.to_owned()),
    })
}
