//! `dns-stream`: one query over TCP. Settings: `query` (text, `question` otherwise) and `timeout` in seconds.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::dns::{StreamAnswer, StreamSession};
use pillarbox_core::{Seed, SessionId, SessionLimits};

use crate::{Bounds, Event, NotAnswered, Role, Settings, Subject};

/// The host of a [`StreamSession`].
#[derive(Debug)]
pub struct DnsStream(StreamSession);

impl Subject for DnsStream {
    type Session = StreamSession;
    type Question = Infallible;

    const ROLE: Role = Role::Client;

    fn new(settings: &Settings, _: SessionId, _: Seed) -> Result<Self, String> {
        settings.only(&["query", "timeout"])?;
        let query = settings.text("query").unwrap_or("question").to_owned();
        let timeout = settings.seconds("timeout", Duration::from_secs(10))?;
        Ok(Self(StreamSession::new(Bytes::from(query)).with_timeout(timeout)))
    }

    fn session(&mut self) -> &mut StreamSession {
        &mut self.0
    }

    fn bounds(&self) -> Bounds {
        Bounds { session: SessionLimits::default(), line: 2 + usize::from(u16::MAX), open: 0 }
    }

    fn event(&mut self, StreamAnswer(answer): StreamAnswer) -> Event<Infallible> {
        Event::tell(format!("answer {}", answer.escape_ascii()))
    }

    fn answer(&mut self, question: Infallible, _: &str) -> Result<(), NotAnswered> {
        match question {}
    }

    fn answers(question: &Infallible) -> Vec<String> {
        match *question {}
    }

    fn check_output(sent: &[u8], _: bool) -> Result<(), String> {
        match sent.split_first_chunk() {
            None if sent.is_empty() => Ok(()),
            Some((length, query)) if usize::from(u16::from_be_bytes(*length)) == query.len() => Ok(()),
            _ => Err(String::from("it sent something else than one query with its length")),
        }
    }

    fn vocabulary() -> &'static [&'static str] {
        &["\0\u{c}", "\0\u{b}", "\u{1}\0", "\0\0", "twelve bytes"]
    }
}
