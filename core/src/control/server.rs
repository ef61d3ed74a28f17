//! The server's end of the control protocol.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BytesMut;

use super::{LINE, request, response};
use crate::line::{Line, LineReader};
use crate::ops::{StoreOp, StoreReply};
use crate::outbox::Outbox;
use crate::session::{Answer, Close, Direction, End, LayerInfo, SecretSpan, Session, Step, Wait, WaitingOn};
use crate::ticket::{Misuse, SessionId, Ticket, Tickets};
use crate::time::{Mono, Now};

/// How long a client may be silent, and the store.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the server asks of its host.
#[derive(Debug)]
pub enum Action {
    /// Carry out this op.
    Ask {
        /// Answer here.
        ticket: Ticket<StoreReply>,
        /// An account's, an alias's or the queue's op.
        op: Box<StoreOp>,
    },
}

/// The server's end. Whoever reaches the socket may do everything: the file system is the guard.
#[derive(Debug)]
pub struct Server {
    tickets: Tickets,
    lines: LineReader,
    /// The serial of the question under way.
    asked: Option<u64>,
    reply: Option<StoreReply>,
    deadline: Option<Mono>,
    secrets: Vec<SecretSpan>,
    closed: Option<Close>,
    end: Option<End>,
}

impl Server {
    /// A session that waits for its first request.
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self {
            tickets: Tickets::new(session),
            lines: LineReader::new(LINE),
            asked: None,
            reply: None,
            deadline: None,
            secrets: Vec::new(),
            closed: None,
            end: None,
        }
    }

    fn done(&mut self, rx: &mut BytesMut, end: End) -> Step<Action> {
        rx.clear();
        Step::Done(*self.end.insert(end))
    }

    fn next_line(&mut self, rx: &mut BytesMut) -> Option<Line> {
        let start = self.lines.consumed();
        let line = self.lines.next(rx)?;
        if matches!(&line, Line::Whole(line) if request::is_secret(line)) {
            self.secrets.push(SecretSpan { direction: Direction::In, start, end: self.lines.consumed() });
        }
        Some(line)
    }
}

impl Session for Server {
    type Action = Action;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Action> {
        self.secrets.clear();
        if let Some(end) = self.end {
            return self.done(rx, end);
        }
        if matches!(self.closed, Some(Close::Error | Close::Layer)) {
            return self.done(rx, End::Broken);
        }
        if let Some(reply) = self.reply.take() {
            response::write(&reply, tx);
            self.deadline = None;
        }
        let deadline = *self.deadline.get_or_insert(now.mono.after(TIMEOUT));
        if self.asked.is_some() {
            if now.mono >= deadline {
                // A change that is not confirmed is neither done nor not done.
                return self.done(rx, End::Unconfirmed);
            }
            return Step::Wait(Wait { read: false, until: Some(deadline), on: WaitingOn::Answer });
        }
        if self.closed == Some(Close::Shutdown) {
            return self.done(rx, End::Shutdown);
        }
        if tx.is_full() {
            if now.mono >= deadline {
                return self.done(rx, End::Timeout);
            }
            return Step::Wait(Wait { read: false, until: Some(deadline), on: WaitingOn::Flush });
        }
        match self.next_line(rx) {
            Some(Line::Whole(line)) => {
                let Some(op) = request::parse(&line, now.wall) else {
                    tx.put(response::BAD);
                    return self.done(rx, End::Refused);
                };
                let (ticket, serial) = self.tickets.issue();
                self.asked = Some(serial);
                self.deadline = None;
                Step::Act(Action::Ask { ticket, op: Box::new(op) })
            }
            Some(_) => {
                tx.put(response::BAD);
                self.done(rx, End::Refused)
            }
            None if self.closed.is_some() => self.done(rx, End::Eof),
            None if now.mono >= deadline => self.done(rx, End::Timeout),
            None => Step::Wait(Wait { read: true, until: Some(deadline), on: WaitingOn::Peer }),
        }
    }

    fn close(&mut self, why: Close) {
        // An EOF may be followed by worse, never by better.
        if self.closed.is_none() || why != Close::Eof {
            self.closed = Some(why);
        }
    }

    fn upgraded(&mut self, _: LayerInfo) {}

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<StoreReply> for Server {
    fn answer(&mut self, ticket: Ticket<StoreReply>, answer: StoreReply) -> Result<(), Misuse> {
        let serial = self.tickets.redeem(ticket)?;
        if self.asked == Some(serial) {
            self.asked = None;
            self.reply = Some(answer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString as _};
    use bytes::Buf as _;

    use super::*;
    use crate::control::{Answered, Client};
    use crate::ops::{AccountOp, AccountReply};

    #[test]
    fn a_client_and_a_server_understand_each_other() {
        let op = StoreOp::Account(AccountOp::List { after: None, limit: super::super::PAGE });
        let reply = StoreReply::Account(AccountReply::Accounts(["a@b.example".parse().unwrap()].into()));
        let now = Now::default();
        let mut client = Client::new(&op).unwrap();
        let mut server = Server::new(SessionId(1));
        let (mut up, mut down) = (Outbox::new(100), Outbox::new(100));
        let (mut at_server, mut at_client) = (BytesMut::new(), BytesMut::new());
        assert!(matches!(client.poll(now, &mut at_client, &mut up), Step::Wait(_)));
        at_server.extend_from_slice(&up.copy_to_bytes(up.remaining()));
        let Step::Act(Action::Ask { ticket, op: asked }) = server.poll(now, &mut at_server, &mut down) else {
            panic!()
        };
        assert_eq!(*asked, op);
        server.answer(ticket, reply.clone()).unwrap();
        assert!(matches!(server.poll(now, &mut at_server, &mut down), Step::Wait(_)));
        at_client.extend_from_slice(&down.copy_to_bytes(down.remaining()));
        let Step::Act(answered) = client.poll(now, &mut at_client, &mut up) else { panic!() };
        assert_eq!(answered, Answered::Reply(reply));
        assert!(matches!(client.poll(now, &mut at_client, &mut up), Step::Done(End::Quit)));
    }

    #[test]
    fn a_password_is_marked_and_garbage_refused() {
        let (mut server, mut tx) = (Server::new(SessionId(1)), Outbox::new(100));
        let mut rx = BytesMut::from(&b"account-add a@b.example hunter2\r\n"[..]);
        assert!(matches!(server.poll(Now::default(), &mut rx, &mut tx), Step::Act(_)));
        assert_eq!(server.secrets(), [SecretSpan { direction: Direction::In, start: 0, end: 33 }]);

        let (mut server, mut rx) = (Server::new(SessionId(1)), BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]));
        assert!(matches!(server.poll(Now::default(), &mut rx, &mut tx), Step::Done(End::Refused)));
        assert_eq!(String::from_utf8_lossy(&tx.copy_to_bytes(5)).to_string(), "bad\r\n");
    }
}
