//! The POP3 client machine in dialogues.
//!
//! | `set:` | |
//! |---|---|
//! | `tls=never`, `opportunistic`, `required` | whether STLS is used; `never` |
//! | `implicit=yes` | TLS is up from the start |
//! | `user=NAME password=WORD authzid=NAME` | the credentials; `alice`, `wonderland`, none. `\xHH` and the like are escapes |
//! | `cleartext=no` | they may not cross a connection without TLS |
//! | `line=N messages=N message=N` | octets of a line, entries of a listing, octets of a message |
//! | `timeout=N` | in seconds |
//!
//! | action | answers |
//! |---|---|
//! | `next` | `stat`, `uidl`, `retr 1`, `dele 1`, `rset`, `quit` |
//! | `chunk "text"` | `taken` |
//! | `outcome: 2 messages, 320 octets` | |
//! | `outcome: 1=a 2=b` | the unique-ids |
//! | `outcome: retrieved`, `malformed: bare LF`, `done`, `refused: words` | |
//! | `failed: protocol`, `too large`, `tls`, `credentials`, `refused: words` | |

use pillarbox_core::pop3::client::{Action, Client, Command, Config, Failure, Limits, Outcome, Taken, Tls};
use pillarbox_core::sasl::Credentials;
use pillarbox_core::session::Answer as _;
use pillarbox_core::{LayerInfo, Secret, Seed, Session as _, SessionId, Ticket, TlsInfo};

use crate::dialogue::text;
use crate::subject::{Bounds, Event, Kind, NotAnswered, Role, Settings, Subject};

/// The POP3 client machine.
#[derive(Debug)]
pub struct Pop3Client {
    client: Client,
    limits: Limits,
}

/// What the POP3 client machine asks.
#[derive(Debug)]
pub enum Question {
    /// `next`.
    Next(Ticket<Command>),
    /// `chunk`.
    Chunk(Ticket<Taken>),
}

impl Subject for Pop3Client {
    type Session = Client;
    type Question = Question;

    const ROLE: Role = Role::Client;

    fn new(settings: &Settings, id: SessionId, _seed: Seed) -> Result<Self, String> {
        settings.only(&[
            "tls",
            "implicit",
            "user",
            "password",
            "authzid",
            "cleartext",
            "line",
            "messages",
            "message",
            "timeout",
        ])?;
        let standard = Limits::default();
        let limits = Limits {
            session: settings.session_limits()?,
            line: settings.value("line", standard.line)?,
            messages: settings.value("messages", standard.messages)?,
            message: settings.value("message", standard.message)?,
            timeout: settings.seconds("timeout", standard.timeout)?,
        };
        let text = |key: &str, otherwise: &str| {
            let bytes = text::unescape(settings.text(key).unwrap_or(otherwise))?;
            String::from_utf8(bytes).map_err(|e| e.to_string())
        };
        let credentials = Credentials {
            authzid: text("authzid", "")?,
            authcid: text("user", "alice")?,
            password: Secret::from(text("password", "wonderland")?),
        };
        let config = Config {
            tls: settings.choice(
                "tls",
                &[("never", Tls::Never), ("opportunistic", Tls::Opportunistic), ("required", Tls::Required)],
            )?,
            credentials,
            cleartext_auth: settings.yes("cleartext", true)?,
            limits: limits.clone(),
        };
        let mut client = Client::new(id, config);
        if settings.yes("implicit", false)? {
            let info = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified: true };
            client.upgraded(LayerInfo::Tls(info));
        }
        Ok(Self { client, limits })
    }

    fn session(&mut self) -> &mut Client {
        &mut self.client
    }

    fn bounds(&self) -> Bounds {
        Bounds { session: self.limits.session.clone(), line: self.limits.line, open: self.limits.session.window + 1 }
    }

    fn event(&mut self, action: Action) -> Event<Question> {
        match action {
            Action::Next { ticket } => Event::ask(Kind::Free, "next", Question::Next(ticket)),
            Action::Chunk { ticket, bytes } => Event::chunk(bytes, Question::Chunk(ticket)),
            Action::Outcome(outcome) => Event::tell(format!("outcome: {}", shown(outcome))),
            Action::Failed(failure) => Event::tell(match failure {
                Failure::Refused { text } => format!("failed: refused: {text}"),
                Failure::Protocol => "failed: protocol".to_owned(),
                Failure::TooLarge => "failed: too large".to_owned(),
                Failure::Credentials => "failed: credentials".to_owned(),
                Failure::Tls => "failed: tls".to_owned(),
            }),
        }
    }

    fn answer(&mut self, question: Question, text: &str) -> Result<(), NotAnswered> {
        match question {
            Question::Next(ticket) => Ok(self.client.answer(ticket, command(text)?)?),
            Question::Chunk(ticket) if text == "taken" => Ok(self.client.answer(ticket, Taken)?),
            Question::Chunk(_) => Err(NotAnswered::unknown(text, "taken")),
        }
    }

    fn answers(question: &Question) -> Vec<String> {
        let answers: &[&str] = match question {
            Question::Next(_) => &["retr 1", "uidl", "stat", "retr 4294967295", "dele 1", "rset", "quit"],
            Question::Chunk(_) => &["taken"],
        };
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    fn check_output(sent: &[u8], _ended: bool) -> Result<(), String> {
        let mut cr = false;
        for (at, &octet) in sent.iter().enumerate() {
            if cr != (octet == b'\n') {
                return Err(format!("a bare CR or LF at {at}"));
            }
            cr = octet == b'\r';
        }
        if cr || !sent.is_empty() && !sent.ends_with(b"\r\n") {
            return Err("a command without its end".to_owned());
        }
        Ok(())
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "+OK\r\n",
            "+OK 2 320\r\n",
            "+OK 4294967297 18446744073709551617\r\n",
            "-ERR [IN-USE] no\r\n",
            "+ \r\n",
            "+OK\r\nSTLS\r\nSASL PLAIN\r\n.\r\n",
            "+OK\r\n1 a\r\n2 b\r\n.\r\n",
            "+OK\r\nA: 1\r\n\r\n..x\r\n.\r\n",
            "1 a\r\n",
            ".\r\n",
            "..\r\n",
            "a\n.\n",
            "a\r.\r\n",
            "\0",
        ]
    }
}

fn shown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Stat { messages, octets } => format!("{messages} messages, {octets} octets"),
        Outcome::Uidl(ids) => ids.iter().map(|(number, id)| format!("{number}={id}")).collect::<Vec<_>>().join(" "),
        Outcome::Retrieved => "retrieved".to_owned(),
        Outcome::Malformed(fault) => format!("malformed: {fault}"),
        Outcome::Done => "done".to_owned(),
        Outcome::Refused(words) => format!("refused: {words}"),
    }
}

fn command(text: &str) -> Result<Command, NotAnswered> {
    let unknown = || NotAnswered::unknown(text, "stat, uidl, retr n, dele n, rset, quit");
    let (word, number) = text.split_once(' ').unwrap_or((text, ""));
    let number = || number.parse().map_err(|_| unknown());
    Ok(match word {
        "stat" => Command::Stat,
        "uidl" => Command::Uidl,
        "retr" => Command::Retr(number()?),
        "dele" => Command::Dele(number()?),
        "rset" => Command::Rset,
        "quit" => Command::Quit,
        _ => return Err(unknown()),
    })
}
