//! One query over TCP, for an answer that no datagram holds (RFC 7766).
//!
//! ```text
//!   Start --write length + query--> Reading --whole answer--> Act(StreamAnswer), then Done(Quit)
//!                                      +--- timeout, eof, error, shutdown, impossible length ---> Done
//! ```
//!
//! | in state | what happens | then |
//! |---|---|---|
//! | Start | polled | the query is in `tx`; Reading |
//! | Reading | 2 + length bytes are in `rx` | `StreamAnswer`; Done(Quit) |
//! | Reading | a length shorter than a header | Done(Refused) |
//! | Reading | the time is up | Done(Timeout) |
//! | Reading | `close` | what is whole is still answered on EOF; Done |
//!
//! A length is 16 bits, so an answer is at most 64 KiB. When `Done` comes without a `StreamAnswer` before it, the host tells the
//! resolver that the exchange failed (`stream_answer` with `None`).

use core::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::mark;
use crate::outbox::Outbox;
use crate::session::{Close, End, LayerInfo, Session, Step, Wait, WaitingOn};
use crate::time::{Mono, Now};

/// How long an exchange may take, from the first poll: less than the resolver's own patience with it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest message: a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// The answer, whole, without its length: for [`Resolver::stream_answer`](super::Resolver::stream_answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAnswer(pub Bytes);

/// One query and its answer over one TCP connection.
#[derive(Debug)]
pub struct StreamSession {
    query: Option<Bytes>,
    timeout: Duration,
    deadline: Option<Mono>,
    closed: Option<Close>,
    end: Option<End>,
}

impl StreamSession {
    /// Asks `query`, as [`ResolverStep::Stream`](super::ResolverStep::Stream) carries it. It takes at most 10 seconds from the first poll.
    #[must_use]
    pub fn new(query: Bytes) -> Self {
        Self { query: Some(query), timeout: TIMEOUT, deadline: None, closed: None, end: None }
    }

    /// With another timeout.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn done(&mut self, rx: &mut BytesMut, end: End) -> Step<StreamAnswer> {
        rx.clear();
        Step::Done(*self.end.insert(end))
    }
}

impl Session for StreamSession {
    type Action = StreamAnswer;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<StreamAnswer> {
        if let Some(end) = self.end {
            return self.done(rx, end);
        }
        match self.closed {
            Some(Close::Error | Close::Layer) => return mark!(DnsStreamBroken, self.done(rx, End::Broken)),
            Some(Close::Shutdown) => return self.done(rx, End::Shutdown),
            Some(Close::Eof) | None => {}
        }
        if let Some(query) = self.query.take() {
            // A query is one name and a few bytes; what is longer than a length can say is no query of ours.
            let Ok(length) = u16::try_from(query.len()) else { return self.done(rx, End::Refused) };
            tx.put(&length.to_be_bytes());
            tx.push(query);
        }
        let deadline = *self.deadline.get_or_insert(now.mono.after(self.timeout));
        if let Some(length) = rx.first_chunk().map(|prefix| usize::from(u16::from_be_bytes(*prefix))) {
            if length < HEADER {
                mark!(DnsStreamTooShort);
                return self.done(rx, End::Refused);
            }
            if rx.len() >= 2 + length {
                rx.advance(2);
                // A copy of its own: the buffer goes back to the host.
                let answer = Bytes::copy_from_slice(&rx[..length]);
                rx.clear();
                self.end = Some(End::Quit);
                return Step::Act(StreamAnswer(answer));
            }
        }
        if self.closed.is_some() {
            mark!(DnsStreamCutShort);
            return self.done(rx, End::Eof);
        }
        if now.mono >= deadline {
            mark!(DnsStreamTimeout);
            return self.done(rx, End::Timeout);
        }
        Step::Wait(Wait { read: true, until: Some(deadline), on: WaitingOn::Peer })
    }

    fn close(&mut self, why: Close) {
        self.closed.get_or_insert(why);
    }

    fn upgraded(&mut self, _: LayerInfo) {}
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono: Mono(seconds * 1_000_000_000), ..Now::default() }
    }

    /// Feeds `bytes` in pieces of `size`; the answer if there was one, and the end if it came.
    fn run(bytes: &[u8], size: usize, close: Option<Close>) -> (Option<Bytes>, Option<End>) {
        let mut session = StreamSession::new(Bytes::from_static(b"question"));
        let (mut rx, mut tx, mut answer) = (BytesMut::new(), Outbox::new(100), None);
        let mut pieces = bytes.chunks(size);
        let mut close = close;
        loop {
            match session.poll(at(1), &mut rx, &mut tx) {
                Step::Act(StreamAnswer(bytes)) => assert!(answer.replace(bytes).is_none()),
                Step::Done(end) => {
                    assert!(rx.is_empty());
                    assert!(matches!(session.poll(at(99), &mut rx, &mut tx), Step::Done(again) if again == end));
                    return (answer, Some(end));
                }
                Step::Wait(wait) => {
                    assert_eq!(wait, Wait { read: true, until: Some(at(11).mono), on: WaitingOn::Peer });
                    assert_eq!(tx.slices().collect::<Vec<_>>().concat(), b"\0\x08question");
                    match pieces.next() {
                        Some(piece) => rx.extend_from_slice(piece),
                        None if close.is_some() => session.close(close.take().unwrap()),
                        None => return (answer, None),
                    }
                }
                step => panic!("{step:?}"),
            }
        }
    }

    #[test]
    fn an_answer_comes_whole_however_it_is_cut() {
        let answer = Some(Bytes::from_static(b"twelve bytes"));
        for size in 1..20 {
            assert_eq!(run(b"\0\x0ctwelve bytes", size, None), (answer.clone(), Some(End::Quit)));
            assert_eq!(run(b"\0\x0ctwelve bytes and more", size, None), (answer.clone(), Some(End::Quit)));
            assert_eq!(run(b"\0\x0ctwelve byte", size, None), (None, None));
            assert_eq!(run(b"\0\x0ctwelve byte", size, Some(Close::Eof)), (None, Some(End::Eof)));
        }
    }

    #[test]
    fn every_other_end_is_told() {
        assert_eq!(run(b"\0\x0bshort answer", 99, None), (None, Some(End::Refused)));
        assert_eq!(run(b"\0", 99, Some(Close::Error)), (None, Some(End::Broken)));
        assert_eq!(run(b"", 1, Some(Close::Shutdown)), (None, Some(End::Shutdown)));
        let mut session = StreamSession::new(Bytes::new()).with_timeout(Duration::from_secs(3));
        let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(100));
        assert!(matches!(session.poll(at(0), &mut rx, &mut tx), Step::Wait(_)));
        assert!(matches!(session.poll(at(2), &mut rx, &mut tx), Step::Wait(wait) if wait.until == Some(at(3).mono)));
        assert!(matches!(session.poll(at(3), &mut rx, &mut tx), Step::Done(End::Timeout)));
    }
}
