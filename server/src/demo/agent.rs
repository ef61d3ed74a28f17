//! A user's mail program: what it hands in, and what it fetches and is done with.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use pillarbox_core::channel::Channel;
use pillarbox_core::pop3::client::{self as pop3, Taken};
use pillarbox_core::sasl::Credentials;
use pillarbox_core::session::{Answer as _, Session};
use pillarbox_core::smtp::client::{self as smtp, BodyAnswer, Envelope, Next, Tls};
use pillarbox_core::smtp::{Address, Reply};
use pillarbox_core::{Secret, SessionId};

use super::connection::Connection;
use super::dialogue::Dialogue;
use super::mail::Message;
use crate::failure::Failure;

/// Somebody with a mail program.
pub(super) struct Agent {
    /// In a word.
    pub(super) name: &'static str,
    /// The account.
    pub(super) address: Address,
    /// Its password.
    pub(super) password: String,
    /// The server, in a word.
    pub(super) house: &'static str,
    /// The server's name in the world.
    pub(super) host: String,
    /// Where mail is handed in.
    pub(super) submission: SocketAddr,
    /// Where mail is fetched.
    pub(super) pop3: SocketAddr,
    /// Where mail is read, under TLS from the beginning.
    pub(super) imaps: SocketAddr,
    /// The messages that were fetched already, by their unique-ids.
    pub(super) seen: BTreeSet<String>,
}

/// What was said, and what came of it.
pub(super) struct Talk<T> {
    pub(super) dialogue: Dialogue,
    pub(super) result: Result<T, Failure>,
}

impl Agent {
    /// Hands a message in. Returns the server's reply to it.
    pub(super) fn submit(&self, message: &Message, to: &Address, until: Instant) -> Talk<Reply> {
        let config = smtp::Config {
            hostname: format!("{}s-laptop.{}", self.name, self.address.domain()),
            tls: Tls::Required,
            credentials: Some(self.credentials()),
            cleartext_auth: false,
            limits: smtp::Limits::default(),
        };
        let mut envelope = Some(Envelope {
            reverse_path: Some(self.address.clone()),
            recipients: vec![to.clone()],
            size: message.bytes().len() as u64,
            smtputf8: message.needs_smtputf8(),
            eight_bit: message.is_eight_bit(),
        });
        let mut said = None;
        let client = smtp::Client::new(SessionId(1), config);
        let (dialogue, result) = self.talk(client, self.submission, false, until, |channel, action| match action {
            smtp::Action::Next { ticket } => channel.answer(ticket, envelope.take().map_or(Next::Quit, Next::Message)),
            smtp::Action::Body { ticket, offset, len } => {
                channel.answer(ticket, BodyAnswer::Bytes(range(message.bytes(), offset, len)))
            }
            smtp::Action::Outcome(outcome) => {
                said = outcome.replies.into_iter().next();
                Ok(())
            }
            smtp::Action::Unusable { reply } => {
                said = Some(reply);
                Ok(())
            }
        });
        let missing = || self.failure("ended the session without a word about the message");
        Talk { dialogue, result: result.and_then(|()| said.ok_or_else(missing)) }
    }

    /// Fetches the messages that were not fetched yet; they stay on the server. With `brief`, of their text only the length
    /// is shown.
    pub(super) fn fetch(&mut self, brief: bool, until: Instant) -> Talk<Vec<Vec<u8>>> {
        let config = pop3::Config {
            tls: Tls::Required,
            credentials: self.credentials(),
            cleartext_auth: false,
            limits: pop3::Limits::default(),
        };
        let mut seen = self.seen.clone();
        let (mut fetched, mut refused) = (Vec::new(), None);
        let mut commands = vec![pop3::Command::Uidl, pop3::Command::Stat];
        let client = pop3::Client::new(SessionId(1), config);
        let (dialogue, result) = self.talk(client, self.pop3, brief, until, |channel, action| {
            match action {
                pop3::Action::Next { ticket } => {
                    let command = commands.pop().unwrap_or(pop3::Command::Quit);
                    if matches!(command, pop3::Command::Retr(_)) {
                        fetched.push(Vec::new());
                    }
                    return channel.answer(ticket, command);
                }
                pop3::Action::Chunk { ticket, bytes } => {
                    if let Some(message) = fetched.last_mut() {
                        message.extend_from_slice(&bytes);
                    }
                    return channel.answer(ticket, Taken);
                }
                pop3::Action::Outcome(pop3::Outcome::Uidl(ids)) => {
                    let new = ids.into_iter().filter(|(_, id)| seen.insert(id.clone()));
                    // The last one is popped first.
                    commands = new.map(|(number, _)| pop3::Command::Retr(number)).collect();
                    commands.reverse();
                }
                pop3::Action::Outcome(pop3::Outcome::Refused(words)) => refused = Some(format!("said: {words}")),
                pop3::Action::Outcome(pop3::Outcome::Malformed(_)) => {
                    refused = Some("sent a message that is none".to_owned());
                }
                pop3::Action::Outcome(_) => {}
                pop3::Action::Failed(failure) => refused = Some(format!("could not be used: {failure:?}")),
            }
            Ok(())
        });
        let result = match (result, refused) {
            (Ok(()), Some(why)) => Err(self.failure(&why)),
            (result, _) => result.map(|()| fetched),
        };
        if result.is_ok() {
            self.seen = seen;
        }
        Talk { dialogue, result }
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            authzid: String::new(),
            authcid: self.address.to_string(),
            password: Secret::from(self.password.as_str()),
        }
    }

    fn failure(&self, why: &str) -> Failure {
        Failure::new(format!("{} {why}", self.host))
    }

    /// One connection, from its beginning to its end. The same loop serves both protocols.
    fn talk<S: Session>(
        &self,
        session: S,
        to: SocketAddr,
        brief: bool,
        until: Instant,
        mut act: impl FnMut(&mut Channel<S>, S::Action) -> Result<(), pillarbox_core::Misuse>,
    ) -> (Dialogue, Result<(), Failure>) {
        let silence = || Dialogue::new(self.name, self.house, brief);
        let failure = |error: io::Error| self.failure(&format!("({to}) did not talk to the end: {error}"));
        let mut connection = match Connection::open(session, to, &self.host, false, silence(), until) {
            Ok(connection) => connection,
            Err(error) => return (silence(), Err(failure(error))),
        };
        let result = loop {
            match connection.next(until) {
                Ok(Some(action)) => match act(connection.channel(), action) {
                    Ok(()) => {}
                    Err(misuse) => break Err(io::Error::other(misuse)),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (connection.take(silence()), result.map_err(failure))
    }
}

fn range(bytes: &Bytes, offset: u64, len: usize) -> Bytes {
    let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
    bytes.slice(start..bytes.len().min(start.saturating_add(len)))
}
