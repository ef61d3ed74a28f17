//! How a message comes in: DATA and BDAT, as pieces that leave at once, until the end, and what spoils it.

use bytes::{Buf, Bytes, BytesMut};
use core::fmt::Write as _;

use super::action::{Action, Limits};
use super::machine::{Asked, Chunk, Server, State};
use super::{replies, trace};
use crate::line::Strict;
use crate::line::dot::{Piece, Unstuff};
use crate::mark;
use crate::message::{HeaderFault, HeaderScanner};
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::session::{End, Step, Wait, WaitingOn};
use crate::smtp::Reply;
use crate::time::Now;

/// What is known of the message that is coming in.
#[derive(Debug)]
pub(super) struct Body {
    unstuff: Unstuff,
    strict: Strict,
    header: HeaderScanner,
    /// It will be refused with this, at its end; until then it is dropped.
    refusal: Option<Reply>,
    /// A chunk went out: the host has something to give back.
    pub(super) staged: bool,
    /// A BDAT was taken.
    pub(super) chunked: bool,
    /// How fast it comes.
    pub(super) pace: Pace,
}

impl Body {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            unstuff: Unstuff::new(),
            strict: Strict::new(),
            header: HeaderScanner::new(limits.header, limits.received),
            refusal: None,
            staged: false,
            chunked: false,
            pace: Pace::default(),
        }
    }
}

impl Server {
    /// Behind 354.
    pub(super) fn data(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        if let Some(wait) = self.window_is_full() {
            return Some(wait);
        }
        if self.has_no_end() {
            return self.give_up(tx);
        }
        let (before, buffer) = (rx.len(), rx.capacity());
        let piece = self.body.unstuff.next(rx, self.config.limits.session.chunk);
        self.consumed(before - rx.len(), now);
        if self.has_no_end() {
            // Its end may stand in what was just read; it came too late.
            return self.give_up(tx);
        }
        match piece {
            Some(Piece::Body(bytes)) => self.take(own(bytes, buffer), now),
            Some(Piece::Fault(fault)) => {
                self.spoil(replies::bad_body(fault));
                None
            }
            Some(Piece::End) => {
                self.state = State::Finishing;
                None
            }
            None => self.starve(now, tx),
        }
    }

    /// Inside a BDAT.
    pub(super) fn chunk(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        if let Some(wait) = self.window_is_full() {
            return Some(wait);
        }
        if self.has_no_end() {
            return self.give_up(tx);
        }
        let State::Chunk(chunk) = &mut self.state else { return None };
        if chunk.left == 0 {
            return self.chunk_complete(now, tx);
        }
        let left = usize::try_from(chunk.left).unwrap_or(usize::MAX);
        let n = rx.len().min(left).min(self.config.limits.session.chunk.max(1));
        if n == 0 {
            return self.starve(now, tx);
        }
        chunk.left -= n as u64;
        let dropped = chunk.doomed.is_some() || self.body.refusal.is_some();
        self.consumed(n, now);
        if dropped {
            rx.advance(n);
            return None;
        }
        let buffer = rx.capacity();
        let mut bytes = rx.split_to(n).freeze();
        let fault = self.body.strict.check(&bytes).err();
        if let Some((good, _)) = fault {
            bytes.truncate(good);
        }
        let step = self.take(own(bytes, buffer), now);
        if let Some((_, fault)) = fault {
            self.spoil(replies::bad_body(fault));
        }
        step
    }

    /// All octets of a BDAT are read.
    fn chunk_complete(&mut self, now: Now, tx: &mut Outbox) -> Option<Step<Action>> {
        let State::Chunk(chunk) = &mut self.state else { return None };
        let (size, last) = (chunk.size, chunk.last);
        if let Some(reply) = chunk.doomed.take().or_else(|| self.body.refusal.take_if(|_| !last)) {
            self.abort();
            self.body.chunked = false;
            self.state = State::Command;
            self.slot(reply);
            return None;
        }
        if last {
            self.state = State::Finishing;
            return match self.body.strict.finish() {
                Ok(false) => None,
                // What we store has lines.
                Ok(true) => self.take(Bytes::from_static(b"\r\n"), now),
                Err(fault) => {
                    self.spoil(replies::bad_body(fault));
                    None
                }
            };
        }
        if let Some(until) = self.chunk_deadline() {
            // The reply says that the host took it, so the host must have.
            return Some(Step::Wait(Wait { read: false, until: Some(until), on: WaitingOn::Answer }));
        }
        let _ = write!(tx, "250 2.0.0 {size} octets received\r\n");
        self.state = State::Command;
        None
    }

    /// The message is complete, as soon as each of its chunks is answered.
    pub(super) fn finish(&mut self, now: Now) -> Option<Step<Action>> {
        self.since = now.mono;
        if let Some(reply) = self.body.refusal.take() {
            self.abort();
            self.state = State::Command;
            self.slot(reply);
            return None;
        }
        if let Some(until) = self.chunk_deadline() {
            return Some(Step::Wait(Wait { read: false, until: Some(until), on: WaitingOn::Answer }));
        }
        let Some(mut transaction) = self.transaction.take() else {
            self.state = State::Command;
            return None;
        };
        transaction.client = self.client.clone();
        transaction.trace =
            trace::trace(&transaction, self.extended, &self.config, self.peer, &self.body.header, now.wall);
        let (ticket, serial) = self.tickets.issue();
        // What was staged is the host's own affair now, whatever it answers.
        self.body.staged = false;
        self.state = State::Committing { asked: Asked { serial, at: now.mono } };
        Some(Step::Act(Action::Commit { ticket, transaction }))
    }

    /// From here on the message is dropped, and `reply` is what its end is told.
    pub(super) fn spoil(&mut self, reply: Reply) {
        if self.body.refusal.is_some() {
            return;
        }
        self.body.refusal = Some(reply);
        if let Some(transaction) = &self.transaction {
            self.give_back(transaction.id);
        }
    }

    /// Asks the host to store `bytes`, up to the octet that is one too many. Where that stands does not depend on how
    /// the stream was cut.
    fn take(&mut self, mut bytes: Bytes, now: Now) -> Option<Step<Action>> {
        let transaction = self.transaction.as_mut().filter(|_| self.body.refusal.is_none())?;
        let room = usize::try_from(self.config.message_size - transaction.size).unwrap_or(usize::MAX);
        let mut fault = None;
        if bytes.len() > room {
            fault = Some(mark!(SmtpMessageTooBig, replies::TOO_BIG));
            bytes.truncate(room);
        }
        if let Err((good, why)) = self.body.header.feed(&bytes) {
            fault = Some(match why {
                HeaderFault::Loop => mark!(SmtpLoop, replies::LOOP),
                HeaderFault::TooLong => mark!(SmtpHeaderTooBig, replies::HEADER_TOO_BIG),
            });
            bytes.truncate(good);
        }
        transaction.size += bytes.len() as u64;
        let step = (!bytes.is_empty()).then(|| {
            let (ticket, serial) = self.tickets.issue();
            self.chunks.push_back(Asked { serial, at: now.mono });
            self.body.staged = true;
            Step::Act(Action::Chunk { ticket, transaction: transaction.id, bytes })
        });
        if let Some(reply) = fault {
            self.spoil(reply);
        }
        step
    }

    fn window_is_full(&self) -> Option<Step<Action>> {
        let until = self.chunk_deadline()?;
        let full = self.chunks.len() >= self.config.limits.session.window.max(1);
        full.then(|| mark!(SmtpWindowFull, Step::Wait(Wait { read: false, until: Some(until), on: WaitingOn::Answer })))
    }

    /// There is nothing to read in the middle of a message.
    fn starve(&mut self, now: Now, tx: &mut Outbox) -> Option<Step<Action>> {
        if self.eof {
            mark!(SmtpEofInMessage);
            return self.end(End::Eof);
        }
        let limits = &self.config.limits;
        let (_, patience) = self.body.pace.wait(now.mono, limits.data_grace, limits.data_rate);
        let timeout = limits.data_timeout.min(patience);
        self.wait_for_peer(now, timeout, tx)
    }

    fn consumed(&mut self, n: usize, now: Now) {
        self.lines.count(n);
        if n > 0 {
            self.patience = None;
            self.body.pace.moved(n as u64, now.mono);
        }
    }

    /// It is refused, and goes on for too long.
    fn has_no_end(&self) -> bool {
        let doomed = matches!(&self.state, State::Chunk(Chunk { doomed: Some(_), .. }));
        let most = self.config.message_size.saturating_add(self.config.limits.overrun);
        (doomed || self.body.refusal.is_some()) && self.body.pace.octets() > most
    }

    /// Says the refusal without waiting for the message's end any longer, and hangs up.
    fn give_up(&mut self, tx: &mut Outbox) -> Option<Step<Action>> {
        mark!(SmtpOverrun);
        let doomed = match &mut self.state {
            State::Chunk(chunk) => chunk.doomed.take(),
            _ => None,
        };
        let reply = doomed.or_else(|| self.body.refusal.take()).unwrap_or(replies::TOO_BIG);
        self.hang_up(reply, End::Refused, tx)
    }
}

/// A small piece would pin the large buffer that it was cut from: it gets a copy of its own.
fn own(bytes: Bytes, buffer: usize) -> Bytes {
    if bytes.len() < buffer / 4 { Bytes::copy_from_slice(&bytes) } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_piece_pins_no_large_buffer() {
        let mut rx = BytesMut::with_capacity(64 * 1024);
        for (length, shared) in [(100, false), (16 * 1024 - 1, false), (16 * 1024, true)] {
            rx.clear();
            rx.reserve(64 * 1024);
            rx.extend_from_slice(&[b'x'; 20_000]);
            let (buffer, start) = (64 * 1024, rx.as_ptr());
            let piece = own(rx.split_to(length).freeze(), buffer);
            assert_eq!((piece.len(), piece.as_ptr() == start), (length, shared));
        }
    }
}
