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
