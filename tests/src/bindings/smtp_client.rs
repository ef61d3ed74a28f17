//! The SMTP client machine in dialogues.
//!
//! | `set:` | |
//! |---|---|
//! | `hostname=NAME` | our name; `client.example` |
//! | `tls=never`, `opportunistic`, `required` | whether STARTTLS is used; `never` |
//! | `implicit=yes` | TLS is up from the start |
//! | `user=NAME password=WORD authzid=NAME` | the credentials; without `user` there are none |
//! | `cleartext=yes` | they may cross a connection without TLS |
//! | `line=N reply=N text=N` | octets of a reply |
//!
//! | action | answers |
//! |---|---|
//! | `next` | `quit`, or `message from <a@b> to <c@d> <e@f> size 12 [8bit] [smtputf8]` |
//! | `body 0..12` | `bytes "text"`, `unreadable` |
//! | `outcome: 250 2.0.0 Ok \| 550 5.1.1 No` | a reply for each recipient |
//! | `unusable: 554 No` | |

use pillarbox_core::sasl::Credentials;
use pillarbox_core::session::Answer as _;
use pillarbox_core::smtp::Address;
use pillarbox_core::smtp::client::{Action, BodyAnswer, Client, Config, Envelope, Limits, Next, Tls};
use pillarbox_core::{LayerInfo, Seed, Session as _, SessionId, Ticket, TlsInfo};

use crate::subject::{Bounds, Event, Kind, NotAnswered, Role, Settings, Subject};

/// The SMTP client machine.
#[derive(Debug)]
pub struct SmtpClient {
    client: Client,
    limits: Limits,
    /// Messages given so far.
    messages: usize,
}

/// What the SMTP client machine asks.
#[derive(Debug)]
pub enum Question {
    /// `next`.
    Next(Ticket<Next>),
    /// `body`.
    Body(Ticket<BodyAnswer>),
}

impl Subject for SmtpClient {
    type Session = Client;
    type Question = Question;

    const ROLE: Role = Role::Client;

    fn new(settings: &Settings, id: SessionId, _seed: Seed) -> Result<Self, String> {
        settings.only(&[
            "hostname",
            "tls",
            "implicit",
            "user",
            "password",
            "authzid",
            "cleartext",
            "line",
            "reply",
            "text",
        ])?;
        let standard = Limits::default();
        let limits = Limits {
            session: settings.session_limits()?,
            line: settings.value("line", standard.line)?,
            reply: settings.value("reply", standard.reply)?,
            text: settings.value("text", standard.text)?,
            ..standard
        };
        let text = |key: &str| settings.text(key).unwrap_or_default().to_owned();
        let credentials = settings.text("user").map(|user| Credentials {
            authzid: text("authzid"),
            authcid: user.to_owned(),
            password: text("password").into(),
        });
        let config = Config {
            hostname: settings.text("hostname").unwrap_or("client.example").to_owned(),
            tls: settings.choice(
                "tls",
                &[("never", Tls::Never), ("opportunistic", Tls::Opportunistic), ("required", Tls::Required)],
            )?,
            credentials,
            cleartext_auth: settings.yes("cleartext", false)?,
            limits: limits.clone(),
        };
        let mut client = Client::new(id, config);
        if settings.yes("implicit", false)? {
            let info = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified: true };
            client.upgraded(LayerInfo::Tls(info));
        }
        Ok(Self { client, limits, messages: 0 })
    }

    fn session(&mut self) -> &mut Client {
        &mut self.client
    }

    fn bounds(&self) -> Bounds {
        Bounds { session: self.limits.session.clone(), line: self.limits.line, open: 1 }
    }

    fn event(&mut self, action: Action) -> Event<Question> {
        match action {
            Action::Next { ticket } => Event::ask(Kind::Offer, "next", Question::Next(ticket)),
            Action::Body { ticket, offset, len } => {
                let shows = format!("body {offset}..{}", offset + len as u64);
                let of = format!("message {}", self.messages);
                Event::ask(Kind::Read, shows, Question::Body(ticket)).range(of, offset, len)
            }
            Action::Outcome(outcome) => {
                let replies: Vec<_> = outcome.replies.iter().map(ToString::to_string).collect();
                Event::tell(format!("outcome: {}", replies.join(" | ")))
            }
            Action::Unusable { reply } => Event::tell(format!("unusable: {reply}")),
        }
    }

    fn answer(&mut self, question: Question, text: &str) -> Result<(), NotAnswered> {
        match question {
            Question::Next(ticket) => {
                let next = if text == "quit" { Next::Quit } else { Next::Message(envelope(text)?) };
                self.messages += usize::from(next != Next::Quit);
                Ok(self.client.answer(ticket, next)?)
            }
            Question::Body(ticket) => {
                let answer = match text {
                    "unreadable" => BodyAnswer::Unreadable,
                    text => BodyAnswer::Bytes(NotAnswered::bytes(text)?),
                };
                Ok(self.client.answer(ticket, answer)?)
            }
        }
    }

    fn answers(question: &Question) -> Vec<String> {
        let answers: &[&str] = match question {
            Question::Next(_) => &[
                "message from <alice@example.org> to <bob@example.net> size 8",
                "message from <> to <bob@example.net> <carol@example.net> size 0 8bit",
                "message from <alice@example.org> to <bob@example.net> size 200000 smtputf8",
                "quit",
            ],
            Question::Body(_) => &["bytes \".Hello\\r\\n\"", "bytes \"x\"", "bytes \"a\\nb\"", "unreadable"],
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
        Ok(())
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "220 mx.example ESMTP\r\n",
            "250 2.0.0 Ok\r\n",
            "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
            "250-",
            "334 VXNlcm5hbWU6\r\n",
            "235 2.7.0 Welcome\r\n",
            "354 Go ahead\r\n",
            "421 4.3.2 Closing\r\n",
            "450 4.2.0 Busy\r\n",
            "452 4.5.3 Too many\r\n",
            "500 5.5.1 What?\r\n",
            "550 5.1.1 Nobody\r\n",
            "552 Too many\r\n",
            "554 5.7.1 No\r\n",
            "221 2.0.0 Bye\r\n",
            "250 grün\n",
        ]
    }
}

/// Reads `message from <a@b> to <c@d> … size N [8bit] [smtputf8]`.
fn envelope(text: &str) -> Result<Envelope, NotAnswered> {
    let wrong = || NotAnswered::unknown(text, "quit, message from <a@b> to <c@d> … size N [8bit] [smtputf8]");
    let path = |word: &str| word.strip_prefix('<').and_then(|word| word.strip_suffix('>')).map(str::to_owned);
    let address = |text: String| Address::parse(&text).map_err(|_| wrong());
    let mut words = text.strip_prefix("message from ").ok_or_else(wrong)?.split(' ');
    let reverse_path = match words.next().and_then(path) {
        Some(null) if null.is_empty() => None,
        Some(text) => Some(address(text)?),
        None => return Err(wrong()),
    };
    let mut envelope = Envelope { reverse_path, recipients: Vec::new(), size: 0, smtputf8: false, eight_bit: false };
    while let Some(word) = words.next() {
        match word {
            "to" => {}
            "size" => envelope.size = words.next().and_then(|size| size.parse().ok()).ok_or_else(wrong)?,
            "8bit" => envelope.eight_bit = true,
            "smtputf8" => envelope.smtputf8 = true,
            word => envelope.recipients.push(address(path(word).ok_or_else(wrong)?)?),
        }
    }
    Ok(envelope)
}
