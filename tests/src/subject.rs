//! What the harness needs to know of a machine: how its actions read as text, and how text becomes an answer.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use bytes::Bytes;
use pillarbox_core::session::Session;
use pillarbox_core::{Misuse, Seed, SessionId, SessionLimits};

use crate::dialogue::text;

/// A machine with its host binding: the part of a host that a dialogue plays.
pub trait Subject: Sized {
    /// The machine.
    type Session: Session;
    /// A question that waits for its answer: the ticket, and what the answer depends on. Usually an enum over the
    /// machine's answer types, such as `Recipient(Ticket<RecipientAnswer>)`.
    type Question;

    /// Which side of the dialogue the machine is.
    const ROLE: Role;

    /// When the host shuts down, the machine may still hear the peer out: a client what becomes of its last words, a
    /// server the end of the message that it is being given.
    const HEARS_OUT: bool = matches!(Self::ROLE, Role::Client);

    /// A fresh machine, as the dialogue's `set:` lines want it.
    ///
    /// # Errors
    /// What is wrong with the settings. Keys that nobody asked for are found by the harness.
    fn new(settings: &Settings, id: SessionId, seed: Seed) -> Result<Self, String>;

    /// The machine itself.
    fn session(&mut self) -> &mut Self::Session;

    /// The bounds that this machine was configured with.
    fn bounds(&self) -> Bounds;

    /// Renders an action, and keeps its ticket if it has one.
    fn event(&mut self, action: <Self::Session as Session>::Action) -> Event<Self::Question>;

    /// Answers `question` with what `text` says: the text behind `R:` in a dialogue.
    ///
    /// # Errors
    /// The text is no answer to this question, or the machine said [`Misuse`].
    fn answer(&mut self, question: Self::Question, text: &str) -> Result<(), NotAnswered>;

    /// Every sort of answer that the question can get, as text, the kindest first. The laws choose among them.
    fn answers(question: &Self::Question) -> Vec<String>;

    /// Whether everything the machine has sent in its life, `sent`, is well-formed: replies with codes, lines with CRLF.
    /// `ended` is false when the machine may be in the middle of something.
    ///
    /// # Errors
    /// What is wrong.
    fn check_output(sent: &[u8], ended: bool) -> Result<(), String> {
        let _ = (sent, ended);
        Ok(())
    }

    /// Words and lines of the protocol, as the peer would send them; the laws mix them into garbage.
    fn vocabulary() -> &'static [&'static str] {
        &[]
    }
}

/// Which side of the dialogue a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It says the `S:` lines.
    Server,
    /// It says the `C:` lines.
    Client,
}

/// The bounds a machine keeps, as far as the harness can see them from outside.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Those of every session.
    pub session: SessionLimits,
    /// Bytes that may stand in `rx`, unconsumed, while the machine asks for more: its longest line.
    pub line: usize,
    /// Questions of all kinds that may be open at once.
    pub open: usize,
}

/// An action as a dialogue shows it.
#[derive(Debug)]
pub struct Event<Q> {
    /// What stands behind `A:`.
    pub shows: Shows,
    /// The question, if it is one.
    pub ask: Option<(Kind, Q)>,
    /// For a question about a range of bytes: which. The laws answer other cuts of the same range from the bytes that
    /// the dialogue gave.
    pub range: Option<Range>,
    /// A name for what the host holds for the machine from now on: a lock, a stage.
    pub takes: Option<String>,
    /// A name for what the machine gives back by this action.
    pub gives: Option<String>,
}

/// How an action reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// As this text.
    Text(String),
    /// As a piece of a body. Adjacent pieces are joined before anybody looks.
    Chunk(Bytes),
}

/// What sort of question it is, which decides what happens when nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reads: unanswered, the machine's own timeout answers in its stead.
    Read,
    /// It changes something: unanswered, the session ends as unconfirmed, and not one byte more is said.
    Change,
    /// It asks what to do next: unanswered, the machine's own timeout answers in its stead. What comes too late may be
    /// handed back by an action, and nothing of it is said to the peer.
    Offer,
    /// The host may take all the time it wants.
    Free,
}

/// Which bytes a question asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Of what: a name for the whole.
    pub of: String,
    /// Position of the first byte.
    pub offset: u64,
    /// How many at most.
    pub len: usize,
}

impl<Q> Event<Q> {
    /// A fact that wants no answer.
    #[must_use]
    pub fn tell(text: impl Into<String>) -> Self {
        Self { shows: Shows::Text(text.into()), ask: None, range: None, takes: None, gives: None }
    }

    /// A question.
    #[must_use]
    pub fn ask(kind: Kind, text: impl Into<String>, question: Q) -> Self {
        Self { ask: Some((kind, question)), ..Self::tell(text) }
    }

    /// A piece of a body, which is a question too.
    #[must_use]
    pub fn chunk(bytes: Bytes, question: Q) -> Self {
        Self { shows: Shows::Chunk(bytes), ask: Some((Kind::Read, question)), range: None, takes: None, gives: None }
    }

    /// It asks for this range of bytes. Answers are then written `bytes "…"`, which [`text::content`] reads.
    #[must_use]
    pub fn range(mut self, of: impl Into<String>, offset: u64, len: usize) -> Self {
        self.range = Some(Range { of: of.into(), offset, len });
        self
    }

    /// From now on the host holds this for the machine.
    #[must_use]
    pub fn takes(mut self, name: impl Into<String>) -> Self {
        self.takes = Some(name.into());
        self
    }

    /// With this the machine gives back what the host held for it.
    #[must_use]
    pub fn gives(mut self, name: impl Into<String>) -> Self {
        self.gives = Some(name.into());
        self
    }
}

/// Why an answer was not given.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAnswered {
    /// The text is no answer to this question: why.
    Text(String),
    /// The machine refused the ticket.
    Misuse(Misuse),
}

impl From<Misuse> for NotAnswered {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl NotAnswered {
    /// `text` is not one of the answers that this question takes.
    #[must_use]
    pub fn unknown(text: &str, takes: &str) -> Self {
        Self::Text(format!("\"{text}\" is no answer to this question; it takes: {takes}"))
    }

    /// The bytes of a `bytes "…"` answer.
    ///
    /// # Errors
    /// The text does not read so.
    pub fn bytes(text: &str) -> Result<Bytes, Self> {
        text::content(text).map(Bytes::from).ok_or_else(|| Self::unknown(text, "bytes \"text\" [* times]"))
    }
}

/// The `set:` lines of a dialogue: free `key=value` pairs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Sets `key`; the last one wins.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }

    /// All of them, as a `set:` line.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<_> = self.values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        words.join(" ")
    }

    /// The value of `key` as it is written.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The value of `key`, or `otherwise` when it is not set.
    ///
    /// # Errors
    /// It does not parse.
    pub fn value<T: FromStr<Err: Display>>(&self, key: &str, otherwise: T) -> Result<T, String> {
        self.text(key).map_or(Ok(otherwise), |text| text.parse().map_err(|e| format!("set: {key}={text}: {e}")))
    }

    /// The value of `key`, `yes` or `no`, or `otherwise` when it is not set.
    ///
    /// # Errors
    /// It is neither.
    pub fn yes(&self, key: &str, otherwise: bool) -> Result<bool, String> {
        match self.text(key) {
            None => Ok(otherwise),
            Some("yes") => Ok(true),
            Some("no") => Ok(false),
            Some(other) => Err(format!("set: {key}={other}: yes or no")),
        }
    }

    /// The value of `key`, one of `choices`, or the first of them when it is not set.
    ///
    /// # Errors
    /// It is none of them.
    pub fn choice<T: Clone + Debug>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let Some(text) = self.text(key) else { return Ok(choices[0].1.clone()) };
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        found.ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            format!("set: {key}={text}: one of {}", names.join(", "))
        })
    }

    /// The bounds of every session, with those of `chunk`, `window`, `high_water`, `steps`, `answer_timeout`,
    /// `commit_timeout`, `bad_commands` and `failed_logins` that are set. Times are in seconds.
    ///
    /// # Errors
    /// One does not parse.
    pub fn session_limits(&self) -> Result<SessionLimits, String> {
        let standard = SessionLimits::default();
        Ok(SessionLimits {
            chunk: self.value("chunk", standard.chunk)?,
            window: self.value("window", standard.window)?,
            high_water: self.value("high_water", standard.high_water)?,
            steps: self.value("steps", standard.steps)?,
            answer_timeout: self.seconds("answer_timeout", standard.answer_timeout)?,
            commit_timeout: self.seconds("commit_timeout", standard.commit_timeout)?,
            bad_commands: self.value("bad_commands", standard.bad_commands)?,
            failed_logins: self.value("failed_logins", standard.failed_logins)?,
        })
    }

    /// The value of `key` as a number of seconds, or `otherwise` when it is not set.
    ///
    /// # Errors
    /// It does not parse.
    pub fn seconds(&self, key: &str, otherwise: std::time::Duration) -> Result<std::time::Duration, String> {
        self.value(key, otherwise.as_secs()).map(std::time::Duration::from_secs)
    }

    /// Refuses keys that are not in `known` (those of [`session_limits`](Self::session_limits) always are).
    ///
    /// # Errors
    /// The first such key.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        const SESSION: [&str; 8] = [
            "chunk",
            "window",
            "high_water",
            "steps",
            "answer_timeout",
            "commit_timeout",
            "bad_commands",
            "failed_logins",
        ];
        match self.values.keys().find(|key| !known.contains(&key.as_str()) && !SESSION.contains(&key.as_str())) {
            Some(key) => Err(format!("set: nobody knows the key {key}")),
            None => Ok(()),
        }
    }
}
