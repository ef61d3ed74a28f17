//! People, and the devices that they use. They know nothing of the machines: they say lines, and read what comes.

mod chores;
mod device;
mod heard;
mod mailer;
mod odd;
mod popper;
mod response;
mod scripts;
mod stranger;
mod view;

use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::Mono;

pub use self::chores::{Chore, Session};
pub(crate) use self::device::Device;
pub(crate) use self::mailer::Mailer;
pub(crate) use self::odd::{Odd, WAYS};
pub use self::popper::Habit;
pub(crate) use self::popper::Popper;
pub(crate) use self::scripts::SCRIPTS;
pub(crate) use self::scripts::about;
pub(crate) use self::stranger::Stranger;
use crate::ledger::Ledger;

/// What a person does next.
#[derive(Debug)]
pub(crate) enum Deed {
    /// Connects to this port of this machine. One connection at a time.
    Connect { host: usize, port: u16 },
    /// Says this.
    Say(Bytes),
    /// Waits for so long, unless he hears something.
    Wait(Duration),
    /// Reads nothing any more.
    Deaf,
    /// Is gone in the middle of everything.
    BreakOff,
    /// Is gone, and his machine tells nobody.
    Vanish,
    /// Has nothing more to do, ever.
    Leave,
}

/// What comes to a person.
#[derive(Debug)]
pub(crate) enum News<'a> {
    /// He begins.
    Begin,
    /// The server says this.
    Heard(&'a [u8]),
    /// He has waited for so long.
    Time,
    /// The connection is over, or never came about.
    Over,
}

/// Somebody at a device.
pub(crate) trait Person {
    fn hear(&mut self, now: Mono, news: News<'_>, ledger: &mut Ledger, deeds: &mut Vec<Deed>);
}

/// Lines, as they come.
#[derive(Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let end = self.0.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0.drain(..end + 2);
        Some(line)
    }

    /// A dot-stuffed text, up to its end, which is not returned.
    pub(crate) fn text(&mut self) -> Option<Vec<u8>> {
        let end =
            if self.0.starts_with(b".\r\n") { 0 } else { self.0.windows(5).position(|five| five == b"\r\n.\r\n")? + 2 };
        let stuffed: Vec<u8> = self.0.drain(..end + 3).take(end).collect();
        let mut text = Vec::with_capacity(end);
        for line in stuffed.split_inclusive(|octet| *octet == b'\n') {
            text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        Some(text)
    }
}

/// A dot-stuffed text with its end.
pub(crate) fn stuffed(text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 16);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out.into()
}

/// In base64 (RFC 4648 §4).
pub(crate) fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            out.push(if digit <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}
