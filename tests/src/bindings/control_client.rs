//! The control protocol's client machine in dialogues.
//!
//! | `set:` | |
//! |---|---|
//! | `ask=accounts` (or `aliases`, `rows`, `add`, `retry`) | what it asks; `add` adds alice@example.org with the password `correct horse`, `retry` retries 1-1 |
//!
//! | action | |
//! |---|---|
//! | `reply …` | the reply, as Rust shows it |
//! | `not understood` | |

use pillarbox_core::control::{Answered, Client, LINE, PAGE};
use pillarbox_core::ops::{AccountOp, Id, QueueOp, RowId, StoreOp};
use pillarbox_core::{Secret, Seed, SessionId, SessionLimits, Wall};

use crate::subject::{Bounds, Event, NotAnswered, Role, Settings, Subject};

/// The control protocol's client machine.
#[derive(Debug)]
pub struct ControlClient {
    client: Client,
}

/// It asks its host nothing.
#[derive(Debug)]
pub enum Question {}

impl Subject for ControlClient {
    type Session = Client;
    type Question = Question;

    const ROLE: Role = Role::Client;

    fn new(settings: &Settings, _id: SessionId, _seed: Seed) -> Result<Self, String> {
        settings.only(&["ask"])?;
        let address = "alice@example.org".parse().map_err(|e| format!("{e:?}"))?;
        let add = AccountOp::Add { address, password: Secret::from("correct horse") };
        let retry = QueueOp::Retry { rows: vec![RowId(Id { epoch: 1, counter: 1 })], now: Wall(0) };
        let ops = [
            ("accounts", StoreOp::Account(AccountOp::List { after: None, limit: PAGE })),
            ("aliases", StoreOp::Account(AccountOp::ListAliases { after: None, limit: PAGE })),
            ("rows", StoreOp::Queue(QueueOp::List { after: None, limit: PAGE })),
            ("add", StoreOp::Account(add)),
            ("retry", StoreOp::Queue(retry)),
        ];
        let op = settings.choice("ask", &ops)?;
        Ok(Self { client: Client::new(&op).ok_or("the protocol has no request for it")? })
    }

    fn session(&mut self) -> &mut Client {
        &mut self.client
    }

    fn bounds(&self) -> Bounds {
        Bounds { session: SessionLimits::default(), line: LINE, open: 0 }
    }

    fn event(&mut self, action: Answered) -> Event<Question> {
        match action {
            Answered::Reply(reply) => Event::tell(format!("reply {reply:?}")),
            Answered::NotUnderstood => Event::tell("not understood"),
        }
    }

    fn answer(&mut self, question: Question, _text: &str) -> Result<(), NotAnswered> {
        match question {}
    }

    fn answers(question: &Question) -> Vec<String> {
        match *question {}
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "done",
            "exists",
            "not-found",
            "account alice@example.org",
            "accounts",
            "alias sales@example.org alice@example.org",
            "aliases",
            "row 2-7 1-3 alice@example.org carol@birch.example mx:birch.example 2048 8",
            "rows",
            "changed 1",
            "failed full",
            "bad",
            "250 Ok",
        ]
    }
}
