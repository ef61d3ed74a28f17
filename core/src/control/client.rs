//! The client's end of the control protocol: one request a connection.

use alloc::string::String;
use core::time::Duration;

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::response::{Read, Reader};
use super::{LINE, request};
use crate::line::{Line, LineReader};
use crate::ops::{StoreOp, StoreReply};
use crate::outbox::Outbox;
use crate::session::{Close, Direction, End, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::time::{Mono, Now};

/// How long the server may be silent: longer than its own patience with the store.
const TIMEOUT: Duration = Duration::from_secs(70);

/// What the client has heard; `Done` follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer.
    Reply(StoreReply),
    /// The server did not understand the request: it is older or newer than we are.
    NotUnderstood,
}

/// The client's end.
#[derive(Debug)]
pub struct Client {
    request: Option<Zeroizing<String>>,
    lines: LineReader,
    reader: Reader,
    deadline: Option<Mono>,
    secret: Option<SecretSpan>,
    closed: Option<Close>,
    end: Option<End>,
}

impl Client {
    /// Asks for `op`; `None` when the protocol has no request for it.
    #[must_use]
    pub fn new(op: &StoreOp) -> Option<Self> {
        Some(Self {
            request: Some(request::write(op)?),
            lines: LineReader::new(LINE),
            reader: Reader::default(),
            deadline: None,
            secret: None,
            closed: None,
            end: None,
        })
    }

    fn done(&mut self, rx: &mut BytesMut, end: End) -> Step<Answered> {
        rx.clear();
        Step::Done(*self.end.insert(end))
    }
}

impl Session for Client {
    type Action = Answered;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Answered> {
        self.secret = None;
        if let Some(end) = self.end {
            return self.done(rx, end);
        }
        match self.closed {
            Some(Close::Error | Close::Layer) => return self.done(rx, End::Broken),
            Some(Close::Shutdown) => return self.done(rx, End::Shutdown),
            Some(Close::Eof) | None => {}
        }
        if let Some(request) = self.request.take() {
            let start = tx.appended();
            tx.put(request.as_bytes());
            tx.put(b"\r\n");
            let span = SecretSpan { direction: Direction::Out, start, end: tx.appended() };
            self.secret = request::is_secret(request.as_bytes()).then_some(span);
        }
        let deadline = *self.deadline.get_or_insert(now.mono.after(TIMEOUT));
        while let Some(line) = self.lines.next(rx) {
            let Line::Whole(line) = line else { return self.done(rx, End::Refused) };
            self.deadline = Some(now.mono.after(TIMEOUT));
            let answered = match self.reader.line(&line) {
                Read::Part => continue,
                Read::Reply(reply) => Answered::Reply(reply),
                Read::Bad => Answered::NotUnderstood,
                Read::Garbage => return self.done(rx, End::Refused),
            };
            self.end = Some(End::Quit);
            return Step::Act(answered);
        }
        if self.closed.is_some() {
            return self.done(rx, End::Eof);
        }
        if now.mono >= deadline {
            return self.done(rx, End::Timeout);
        }
        let until = Some(self.deadline.unwrap_or(deadline));
        Step::Wait(Wait { read: true, until, on: WaitingOn::Peer })
    }

    fn close(&mut self, why: Close) {
        if self.closed.is_none() || why != Close::Eof {
            self.closed = Some(why);
        }
    }

    fn upgraded(&mut self, _: LayerInfo) {}

    fn secrets(&self) -> &[SecretSpan] {
        self.secret.as_slice()
    }
}
