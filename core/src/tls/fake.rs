//! A TLS that is none: bit-exact, without randomness and without secrecy, for simulations and tests.
//!
//! It has the shape of the real thing: a handshake in both directions, records, alerts, close_notify, and it notices
//! every changed, lost, repeated or foreign record. The bytes are unreadable on the wire only so that a test sees at
//! once when plaintext leaks.
//!
//! ```text
//! record  =  type (1)  length (2, big endian)  check (4)  payload (length, at most 16 KiB)
//! client                                server
//!   hello(name)           ->
//!                         <-              hello
//!   finished              ->                            each side is up when it has seen the other's last message
//!   data, alert           <->             data, alert
//! ```

use alloc::boxed::Box;
use alloc::format;

use bytes::{Buf as _, Bytes, BytesMut};

use super::{TlsEngine, TlsError, TlsErrorKind, TlsFactory, TlsState};
use crate::outbox::Outbox;
use crate::session::TlsInfo;
use crate::time::Wall;

/// Plaintext bytes in one record at most, as in TLS (RFC 8446 §5.1).
pub const RECORD: usize = 16 * 1024;

/// Makes the server's ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeServer;

/// Makes the clients' ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeClient;

impl TlsFactory for FakeServer {
    fn engine(&self, _server_name: Option<&str>) -> Result<Box<dyn TlsEngine>, TlsError> {
        Ok(Box::new(Fake::new(Phase::AwaitClientHello, BytesMut::new())))
    }
}

impl TlsFactory for FakeClient {
    fn engine(&self, server_name: Option<&str>) -> Result<Box<dyn TlsEngine>, TlsError> {
        let name = server_name.unwrap_or_default();
        if name.len() > 255 {
            return Err(TlsError::new(TlsErrorKind::Configuration, "the server name is longer than 255 bytes"));
        }
        Ok(Box::new(Fake::new(Phase::Start, BytesMut::from(name))))
    }
}

const HEADER: usize = 7;
const HELLO: u8 = 1;
const FINISHED: u8 = 2;
const DATA: u8 = 3;
const ALERT: u8 = 4;

const CLOSE_NOTIFY: u8 = 0;
const FATAL: u8 = 1;

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Client: has said nothing yet.
    Start,
    AwaitServerHello,
    AwaitClientHello,
    AwaitFinished,
    Up,
    /// The peer said close_notify.
    Closed,
    Failed,
}

struct Fake {
    phase: Phase,
    /// The name a client says in its hello.
    name: BytesMut,
    /// A record that is not whole yet.
    partial: BytesMut,
    /// Records received and sent: each is checked against its number.
    received: u64,
    sent: u64,
    closed: bool,
}

impl Fake {
    fn new(phase: Phase, name: BytesMut) -> Self {
        Self { phase, name, partial: BytesMut::new(), received: 0, sent: 0, closed: false }
    }

    /// Takes from `rx` what the record under way still lacks; its type and payload once it is whole.
    fn record(&mut self, rx: &mut BytesMut) -> Result<Option<(u8, BytesMut)>, TlsError> {
        if !self.fill(rx, HEADER) {
            return Ok(None);
        }
        let kind = self.partial[0];
        let length = usize::from(u16::from_be_bytes([self.partial[1], self.partial[2]]));
        if !(HELLO..=ALERT).contains(&kind) || length > RECORD {
            return Err(broken("not a record"));
        }
        if !self.fill(rx, HEADER + length) {
            return Ok(None);
        }
        let mut record = core::mem::take(&mut self.partial);
        let check = [record[3], record[4], record[5], record[6]];
        record.advance(HEADER);
        if check != checksum(kind, self.received, &record) {
            return Err(broken("bad record mac"));
        }
        scramble(self.received, &mut record);
        self.received += 1;
        Ok(Some((kind, record)))
    }

    /// Fills the partial record up to `length` bytes; whether it got there.
    fn fill(&mut self, rx: &mut BytesMut, length: usize) -> bool {
        let take = length.saturating_sub(self.partial.len()).min(rx.len());
        self.partial.extend_from_slice(&rx[..take]);
        rx.advance(take);
        self.partial.len() >= length
    }

    fn send(&mut self, kind: u8, payload: &[u8], tx: &mut Outbox) {
        let mut record = BytesMut::from(payload);
        scramble(self.sent, &mut record);
        // The callers send at most RECORD bytes, which two bytes hold.
        let [.., high, low] = payload.len().to_be_bytes();
        let [a, b, c, d] = checksum(kind, self.sent, &record);
        tx.put(&[kind, high, low, a, b, c, d]);
        tx.push(record.freeze());
        self.sent += 1;
    }

    /// What a whole record does; whether the caller should look now.
    fn take(&mut self, kind: u8, payload: &[u8], plain: &mut BytesMut, tx: &mut Outbox) -> Result<bool, TlsError> {
        match (self.phase, kind) {
            (_, ALERT) if payload == [CLOSE_NOTIFY] && matches!(self.phase, Phase::Up) => self.phase = Phase::Closed,
            (_, ALERT) => return Err(TlsError::new(TlsErrorKind::Alert, "the peer sent an alert")),
            (Phase::AwaitClientHello, HELLO) => {
                self.send(HELLO, b"server", tx);
                self.phase = Phase::AwaitFinished;
                return Ok(false);
            }
            (Phase::AwaitServerHello, HELLO) => {
                self.send(FINISHED, b"client", tx);
                self.phase = Phase::Up;
            }
            (Phase::AwaitFinished, FINISHED) => self.phase = Phase::Up,
            (Phase::Up, DATA) => {
                plain.extend_from_slice(payload);
                return Ok(!payload.is_empty());
            }
            (phase, kind) => return Err(broken(&format!("unexpected record {kind} in {phase:?}"))),
        }
        Ok(true)
    }

    fn state(&self) -> TlsState {
        match self.phase {
            Phase::Up => {
                TlsState::Up(TlsInfo { version: "FAKE", cipher: "FAKE_WITH_XOR_AND_NO_SECRECY", verified: false })
            }
            Phase::Closed => TlsState::Closed,
            _ => TlsState::Handshaking,
        }
    }
}

impl TlsEngine for Fake {
    fn decrypt(
        &mut self,
        _now: Wall,
        rx: &mut BytesMut,
        plain: &mut BytesMut,
        plain_limit: usize,
        tx: &mut Outbox,
    ) -> Result<TlsState, TlsError> {
        match self.phase {
            Phase::Failed => return Err(broken("the connection has failed before")),
            Phase::Closed => rx.clear(),
            Phase::Start => {
                let name = core::mem::take(&mut self.name);
                self.send(HELLO, &name, tx);
                self.phase = Phase::AwaitServerHello;
            }
            _ => {}
        }
        while !rx.is_empty() && plain.len() < plain_limit {
            let outcome = match self.record(rx) {
                Ok(None) => break,
                Ok(Some((kind, payload))) => self.take(kind, &payload, plain, tx),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    if error.kind == TlsErrorKind::Protocol {
                        self.send(ALERT, &[FATAL], tx);
                    }
                    self.phase = Phase::Failed;
                    return Err(error);
                }
            }
        }
        if self.phase == Phase::Closed {
            rx.clear();
        }
        Ok(self.state())
    }

    fn encrypt(&mut self, plain: &mut Outbox, tx: &mut Outbox) -> Result<(), TlsError> {
        match self.phase {
            Phase::Failed => return Err(broken("the connection has failed before")),
            Phase::Up | Phase::Closed if !self.closed => {}
            _ => return Ok(()),
        }
        while !plain.is_empty() && !tx.is_full() {
            let record: Bytes = plain.copy_to_bytes(plain.len().min(RECORD));
            self.send(DATA, &record, tx);
        }
        Ok(())
    }

    fn close(&mut self, tx: &mut Outbox) {
        if matches!(self.phase, Phase::Up | Phase::Closed) && !self.closed {
            self.closed = true;
            self.send(ALERT, &[CLOSE_NOTIFY], tx);
        }
    }
}

fn broken(reason: &str) -> TlsError {
    TlsError::new(TlsErrorKind::Protocol, reason)
}

/// Makes bytes unreadable, and readable again: every byte is exclusive-ored with one that depends on its place.
fn scramble(number: u64, bytes: &mut [u8]) {
    let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[place % 8] ^ 0xa5;
    }
}

/// FNV-1a over the record's number, type and bytes: no protection against an enemy, but none is needed to find one out
/// in a test.
fn checksum(kind: u8, number: u64, bytes: &[u8]) -> [u8; 4] {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in number.to_le_bytes().iter().chain(&[kind]).chain(bytes) {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash.to_be_bytes()
}
