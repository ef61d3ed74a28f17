//! A device that stays connected: it says IMAP commands, one at a time, and hears what the server tells it meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Buf as _, BytesMut};
use pillarbox_core::session::{Close, Direction, End, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use pillarbox_core::{Now, Outbox};

use super::agent::Agent;
use super::connection::Connection;
use super::dialogue::Dialogue;
use super::verify;
use crate::failure::Failure;

/// Octets of a line that a server may send us.
const LINE: usize = 64 * 1024;

/// A device with a mail program that speaks IMAP.
pub(super) struct Device {
    /// In a word.
    pub(super) name: &'static str,
    house: &'static str,
    host: String,
    to: SocketAddr,
    connection: Connection<Lines>,
    /// Commands said so far: each has a tag of its own.
    commands: u32,
}

impl Device {
    /// Connects under TLS, and logs in.
    ///
    /// # Errors
    /// When it is not let in.
    pub(super) fn connect(name: &'static str, owner: &Agent, until: Instant) -> Result<Self, Failure> {
        let dialogue = Dialogue::new(name, owner.house, false);
        let connection = Connection::open(Lines::default(), owner.imaps, &owner.host, true, dialogue, until)
            .map_err(|error| Failure::new(format!("{} ({}): {error}", owner.host, owner.imaps)))?;
        let (house, host, to) = (owner.house, owner.host.clone(), owner.imaps);
        let mut device = Self { name, house, host, to, connection, commands: 0 };
        device.hear("a greeting", until, |line| line.starts_with("* OK"))?;
        // The password is the secret of it.
        let password = format!("\"{}\"", owner.password);
        device.command(&format!("LOGIN {} ", owner.address), &password, until)?;
        Ok(device)
    }

    /// Says a command, and waits until it is done. Returns what was told on the way.
    ///
    /// # Errors
    /// When the server does not do it.
    pub(super) fn ask(&mut self, command: &str, until: Instant) -> Result<Vec<String>, Failure> {
        self.command(command, "", until)
    }

    /// From now on it hears of everything at once, and asks nothing.
    ///
    /// # Errors
    /// When the server does not want that.
    pub(super) fn idle(&mut self, until: Instant) -> Result<(), Failure> {
        let tag = self.tag();
        self.say(format!("{tag} IDLE"), String::new());
        self.hear("the go-ahead to IDLE", until, |line| line.starts_with('+')).map(drop)
    }

    /// It has heard enough.
    ///
    /// # Errors
    /// When the server does not go on.
    pub(super) fn done(&mut self, until: Instant) -> Result<(), Failure> {
        let tag = format!("a{}", self.commands);
        self.say("DONE".to_owned(), String::new());
        self.completed(&tag, "IDLE", until).map(drop)
    }

    /// Waits for a line that is told unasked. Returns it.
    ///
    /// # Errors
    /// When it does not come; `what` says what was expected.
    pub(super) fn hear(
        &mut self,
        what: &str,
        until: Instant,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, Failure> {
        loop {
            let line = self.line(what, until)?;
            if wanted(&line) {
                return Ok(line);
            }
        }
    }

    /// What has been said since the last time.
    pub(super) fn said(&mut self) -> Dialogue {
        self.connection.take(Dialogue::new(self.name, self.house, false))
    }

    /// Who talks to whom.
    pub(super) fn title(&self) -> String {
        format!("bob's {} → {}, IMAP, {}", self.name, self.host, self.to)
    }

    fn command(&mut self, command: &str, secret: &str, until: Instant) -> Result<Vec<String>, Failure> {
        let tag = self.tag();
        self.say(format!("{tag} {command}"), secret.to_owned());
        self.completed(&tag, command, until)
    }

    fn completed(&mut self, tag: &str, command: &str, until: Instant) -> Result<Vec<String>, Failure> {
        let mut told = Vec::new();
        loop {
            let line = self.line(&format!("an answer to {command}"), until)?;
            let Some(answer) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) else {
                told.push(line);
                continue;
            };
            verify::expect(answer.starts_with("OK"), &format!("{} to do {command}", self.host), &line)?;
            return Ok(told);
        }
    }

    fn line(&mut self, what: &str, until: Instant) -> Result<String, Failure> {
        match self.connection.next(until) {
            Ok(Some(line)) => Ok(line),
            Ok(None) => Err(verify::unexpected(what, &format!("{} hung up", self.host))),
            Err(error) => Err(verify::unexpected(what, &error)),
        }
    }

    fn say(&mut self, line: String, secret: String) {
        self.connection.channel().session_mut().to_say.push_back((line, secret));
    }

    fn tag(&mut self) -> String {
        self.commands += 1;
        format!("a{}", self.commands)
    }
}

/// The smallest client there is: it says lines, and hands over those it hears.
#[derive(Default)]
struct Lines {
    /// Each with a secret at its end.
    to_say: VecDeque<(String, String)>,
    secrets: Vec<SecretSpan>,
    over: bool,
}

impl Session for Lines {
    type Action = String;

    fn poll(&mut self, _: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<String> {
        self.secrets.clear();
        while let Some((line, secret)) = self.to_say.pop_front() {
            tx.put(line.as_bytes());
            let start = tx.appended();
            tx.put(secret.as_bytes());
            if !secret.is_empty() {
                self.secrets.push(SecretSpan { direction: Direction::Out, start, end: tx.appended() });
            }
            tx.put(b"\r\n");
        }
        if let Some(end) = rx.iter().position(|octet| *octet == b'\n') {
            let line = String::from_utf8_lossy(&rx[..end]).trim_end_matches('\r').to_owned();
            rx.advance(end + 1);
            return Step::Act(line);
        }
        if self.over || rx.len() > LINE {
            rx.clear();
            return Step::Done(End::Eof);
        }
        Step::Wait(Wait { read: true, until: None, on: WaitingOn::Peer })
    }

    fn close(&mut self, _: Close) {
        self.over = true;
    }

    fn upgraded(&mut self, _: LayerInfo) {}

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}
