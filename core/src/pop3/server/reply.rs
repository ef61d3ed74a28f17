//! What the server says. The texts stand here, once; none of them repeats what a peer sent.

use core::fmt::Write as _;

use super::maildrop::{Maildrop, NoSuch};
use super::{Config, Message};
use crate::line::Fault;
use crate::outbox::Outbox;
use crate::pop3::command::{Number, SyntaxError};
use crate::sasl;

pub(super) const OK: &[u8] = b"+OK\r\n";
pub(super) const END: &[u8] = b".\r\n";
pub(super) const USER_TAKEN: &[u8] = b"+OK now the password\r\n";
pub(super) const BEGIN_TLS: &[u8] = b"+OK begin TLS negotiation\r\n";
pub(super) const TOP_FOLLOWS: &[u8] = b"+OK top of message follows\r\n";
pub(super) const UNIQUE_IDS_FOLLOW: &[u8] = b"+OK unique-id listing follows\r\n";

pub(super) const NEEDS_TLS: &[u8] = b"-ERR [AUTH] no password without TLS\r\n";
pub(super) const REJECTED: &[u8] = b"-ERR [AUTH] invalid user name or password\r\n";
pub(super) const REJECTED_TOO_OFTEN: &[u8] = b"-ERR [AUTH] invalid user name or password, and too many of them\r\n";
pub(super) const IN_USE: &[u8] = b"-ERR [IN-USE] another session has this maildrop\r\n";
pub(super) const UNAVAILABLE: &[u8] = b"-ERR [SYS/TEMP] cannot be done now, try again later\r\n";
pub(super) const UNREADABLE: &[u8] = b"-ERR [SYS/TEMP] message cannot be read now\r\n";
pub(super) const NOT_REMOVED: &[u8] = b"-ERR [SYS/TEMP] deleted messages not removed\r\n";
pub(super) const TURNED_AWAY: &[u8] = b"-ERR [SYS/TEMP] too many connections, or about to stop; try again later\r\n";
pub(super) const SHUTDOWN: &[u8] = b"-ERR [SYS/TEMP] server is shutting down\r\n";

pub(super) const LOGIN_FIRST: &[u8] = b"-ERR log in first\r\n";
pub(super) const LOGGED_IN: &[u8] = b"-ERR already logged in\r\n";
pub(super) const USER_FIRST: &[u8] = b"-ERR USER first\r\n";
pub(super) const MECHANISM: &[u8] = b"-ERR unrecognized authentication mechanism\r\n";
pub(super) const TLS_ACTIVE: &[u8] = b"-ERR TLS is active already\r\n";
pub(super) const NO_TLS: &[u8] = b"-ERR TLS is not offered\r\n";
pub(super) const BEHIND_STLS: &[u8] = b"-ERR nothing may follow STLS before TLS is up\r\n";
pub(super) const LINE_TOO_LONG: &[u8] = b"-ERR line too long\r\n";
pub(super) const TOO_MANY: &[u8] = b"-ERR too many bad commands\r\n";

/// The reply to a line that is no command.
pub(super) fn syntax(error: SyntaxError) -> &'static [u8] {
    match error {
        SyntaxError::Unknown => b"-ERR unknown command\r\n",
        SyntaxError::Arguments => b"-ERR wrong arguments\r\n",
        SyntaxError::Number => b"-ERR not a valid number\r\n",
    }
}

/// The reply to a line with an octet that may not be in it.
pub(super) fn fault(fault: Fault) -> &'static [u8] {
    match fault {
        Fault::BareCr => b"-ERR bare CR in line\r\n",
        Fault::BareLf => b"-ERR bare LF in line, lines end with CRLF\r\n",
        Fault::Nul => b"-ERR NUL in line\r\n",
    }
}

/// The reply to a SASL exchange that came to nothing.
pub(super) fn exchange(failure: sasl::Failure) -> &'static [u8] {
    match failure {
        sasl::Failure::Cancelled => b"-ERR authentication cancelled\r\n",
        sasl::Failure::Base64 => b"-ERR not base64\r\n",
        sasl::Failure::Malformed => b"-ERR not a response of this mechanism\r\n",
    }
}

pub(super) fn greeting(config: &Config, tx: &mut Outbox) {
    // Here and below: writing to an outbox does not fail.
    let _ = write!(tx, "+OK {} POP3 server ready\r\n", config.hostname);
}

pub(super) fn goodbye(config: &Config, tx: &mut Outbox) {
    let _ = write!(tx, "+OK {} POP3 server signing off\r\n", config.hostname);
}

/// What a maildrop holds, in words: after login, RSET and before LIST.
pub(super) fn holds(maildrop: &Maildrop, tx: &mut Outbox) {
    let (count, octets) = (maildrop.count(), maildrop.octets());
    let s = if count == 1 { "" } else { "s" };
    let _ = write!(tx, "+OK {count} message{s} ({octets} octets)\r\n");
}

/// The drop listing (RFC 1939 §5).
pub(super) fn stat(maildrop: &Maildrop, tx: &mut Outbox) {
    let _ = write!(tx, "+OK {} {}\r\n", maildrop.count(), maildrop.octets());
}

pub(super) fn deleted(number: Number, tx: &mut Outbox) {
    let _ = write!(tx, "+OK message {number} deleted\r\n");
}

pub(super) fn no_such(why: NoSuch, number: Number, maildrop: &Maildrop, tx: &mut Outbox) {
    let _ = match why {
        NoSuch::Deleted => write!(tx, "-ERR message {number} already deleted\r\n"),
        NoSuch::Message => write!(tx, "-ERR no such message, only {} in maildrop\r\n", maildrop.len()),
    };
}

/// The challenge of a SASL exchange (RFC 5034 §4).
pub(super) fn challenge(base64: &str, tx: &mut Outbox) {
    let _ = write!(tx, "+ {base64}\r\n");
}

/// Which parts of the capability list (RFC 2449 §5) depend on the moment.
pub(super) struct Offer {
    pub(super) login: bool,
    pub(super) stls: bool,
}

/// The reply to CAPA.
pub(super) fn capabilities(offer: &Offer, tx: &mut Outbox) {
    tx.put(
        b"+OK capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n",
    );
    if offer.login {
        tx.put(b"USER\r\nSASL PLAIN\r\n");
    }
    if offer.stls {
        tx.put(b"STLS\r\n");
    }
    tx.put(b"IMPLEMENTATION Pillarbox\r\n.\r\n");
}

/// A line of LIST or UIDL is its message-number and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Size,
    Unique,
}

/// A line of LIST or UIDL, or with `+OK ` before it the reply about one message.
pub(super) fn row(before: &[u8], number: u64, message: Message, column: Column, tx: &mut Outbox) {
    let mut row = Row::default();
    match column {
        Column::Size => row.digits(message.size.into(), 10),
        Column::Unique => row.digits(message.unique, 16),
    }
    row.put(b' ');
    row.digits(number.into(), 10);
    before.iter().rev().for_each(|octet| row.put(*octet));
    tx.put(row.text());
}

/// One line, filled from its end; listings are long, and this is what most of one costs.
struct Row {
    octets: [u8; Row::LEN],
    start: usize,
}

impl Default for Row {
    fn default() -> Self {
        let mut octets = [0; Self::LEN];
        octets[Self::LEN - 2..].copy_from_slice(b"\r\n");
        Self { octets, start: Self::LEN - 2 }
    }
}

impl Row {
    /// `+OK `, 20 digits of a 64-bit number, a blank, 39 digits of a 128-bit one, CRLF: 66, and some room.
    const LEN: usize = 80;

    fn put(&mut self, octet: u8) {
        self.start -= 1;
        self.octets[self.start] = octet;
    }

    fn digits(&mut self, mut number: u128, base: u8) {
        // 128-bit division is slow, and only unique-ids are longer than 64 bits.
        while number > u128::from(u64::MAX) {
            self.put(digit((number % u128::from(base)) as u8));
            number /= u128::from(base);
        }
        let mut number = number as u64;
        loop {
            self.put(digit((number % u64::from(base)) as u8));
            number /= u64::from(base);
            if number == 0 {
                return;
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.octets[self.start..]
    }
}

fn digit(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + (digit - 10) }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn rows_are_written_whatever_the_numbers() {
        let largest = Message { size: u64::MAX, unique: u128::MAX };
        let smallest = Message { size: 0, unique: 0 };
        let cases: [(u64, Message, Column, &[u8]); 5] = [
            (1, smallest, Column::Size, b"+OK 1 0\r\n"),
            (1, smallest, Column::Unique, b"+OK 1 0\r\n"),
            (u64::MAX, largest, Column::Size, b"+OK 18446744073709551615 18446744073709551615\r\n"),
            (u64::MAX, largest, Column::Unique, b"+OK 18446744073709551615 ffffffffffffffffffffffffffffffff\r\n"),
            (20, Message { size: 0, unique: 1 << 64 }, Column::Unique, b"+OK 20 10000000000000000\r\n"),
        ];
        for (number, message, column, expected) in cases {
            let mut tx = Outbox::new(1);
            row(b"+OK ", number, message, column, &mut tx);
            assert_eq!(tx.slices().flatten().copied().collect::<Vec<u8>>(), expected);
        }
    }
}
