//! The toy's host binding.

use bytes::Bytes;
use pillarbox_core::{Answer as _, Seed, SessionId, Ticket};
use pillarbox_tests::{Bounds, Event, Kind, NotAnswered, Role, Settings};

use super::{Action, Fault, LINE, OPEN, Stored, Taken, Toy};

pub(crate) struct Subject {
    toy: Toy,
    bounds: Bounds,
}

pub(crate) enum Question {
    Ask(Ticket<bool>),
    Set(Ticket<Stored>),
    Chunk(Ticket<Taken>),
    Read(Ticket<Bytes>, usize),
}

impl pillarbox_tests::Subject for Subject {
    type Session = Toy;
    type Question = Question;

    const ROLE: Role = Role::Server;

    fn new(settings: &Settings, id: SessionId, _: Seed) -> Result<Self, String> {
        settings.only(&["fault"])?;
        let session = settings.session_limits()?;
        let fault = settings.text("fault").unwrap_or("None");
        let fault = super::super::FAULTS.iter().map(|(_, f)| *f).find(|f| format!("{f:?}") == fault);
        let toy = Toy::new(id, session.clone(), fault.unwrap_or(Fault::None));
        Ok(Self { toy, bounds: Bounds { session, line: LINE, open: OPEN } })
    }

    fn session(&mut self) -> &mut Toy {
        &mut self.toy
    }

    fn bounds(&self) -> Bounds {
        self.bounds.clone()
    }

    fn event(&mut self, action: Action) -> Event<Question> {
        match action {
            Action::Ask { ticket, what } => Event::ask(Kind::Read, format!("ask {what}"), Question::Ask(ticket)),
            Action::Set { ticket, what } => {
                Event::ask(Kind::Change, format!("set {what}"), Question::Set(ticket)).takes("the lock")
            }
            Action::Chunk { ticket, bytes } => Event::chunk(bytes, Question::Chunk(ticket)),
            Action::Read { ticket, offset, len } => {
                let text = format!("read {len} at {offset}");
                Event::ask(Kind::Read, text, Question::Read(ticket, len)).range("it", offset, len)
            }
            Action::Unlock => Event::tell("unlock").gives("the lock"),
        }
    }

    fn answer(&mut self, question: Question, text: &str) -> Result<(), NotAnswered> {
        Ok(match (question, text) {
            (Question::Ask(ticket), "yes") => self.toy.answer(ticket, true),
            (Question::Ask(ticket), "no") => self.toy.answer(ticket, false),
            (Question::Set(ticket), "done") => self.toy.answer(ticket, Stored(true)),
            (Question::Set(ticket), "failed") => self.toy.answer(ticket, Stored(false)),
            (Question::Chunk(ticket), "taken") => self.toy.answer(ticket, Taken),
            (Question::Read(ticket, _), _) => self.toy.answer(ticket, NotAnswered::bytes(text)?),
            _ => return Err(NotAnswered::unknown(text, "yes, no, done, failed, taken")),
        }?)
    }

    fn answers(question: &Question) -> Vec<String> {
        match question {
            Question::Ask(_) => vec!["yes".to_owned(), "no".to_owned()],
            Question::Set(_) => vec!["done".to_owned(), "failed".to_owned()],
            Question::Chunk(_) => vec!["taken".to_owned()],
            Question::Read(_, len) => vec![format!("bytes \"x\" * {len}"), "bytes \"y\"".to_owned()],
        }
    }

    fn vocabulary() -> &'static [&'static str] {
        &["ECHO a", "ASK b", "SET c", "BODY 4", "BODY 9000000", "GET 100000", "TLS", "QUIT", "ECHO"]
    }
}
