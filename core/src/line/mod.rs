//! Framing that all text protocols share: strict CRLF lines, and dot-stuffed bodies.
//!
//! Strictness lives here, once. A line ends with CRLF and with nothing else; a body ends with `CRLF . CRLF` and with
//! nothing else. A bare CR, a bare LF or a NUL is never silently taken for something better: it is reported, and the
//! protocol refuses. That is what keeps one peer's idea of where a message ends equal to another's (SMTP smuggling).

mod crlf;
pub mod dot;
mod strict;

pub use crlf::{Line, LineReader, Scan};
pub use strict::Strict;

use core::fmt;

/// An octet that may not stand where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A CR without an LF behind it.
    BareCr,
    /// An LF without a CR before it.
    BareLf,
    /// A NUL.
    Nul,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareCr => "bare CR",
            Self::BareLf => "bare LF",
            Self::Nul => "NUL",
        })
    }
}

/// Octets looked at in one go: enough for the loop below to run at its full width, little enough that a fault near the
/// front costs nothing.
const BLOCK: usize = 4 * 1024;

/// Whether `block`, which stands behind anything but a CR, may be in a message: no NUL, each CR before its LF, each LF
/// behind its CR. It is one loop without branches, so that the compiler makes vector instructions of it.
fn is_clean(block: &[u8]) -> bool {
    let (Some(first), Some(last)) = (block.first(), block.last()) else {
        return true;
    };
    let mut bad = u8::from(*first == b'\n') | u8::from(*last == b'\r') | u8::from(*last == 0);
    for (octet, next) in block.iter().zip(&block[1..]) {
        bad |= u8::from(*octet == 0) | (u8::from(*octet == b'\r') ^ u8::from(*next == b'\n'));
    }
    bad == 0
}
