//! What the commands print: whole lines, never a control character, and no panic when nobody reads.

use std::fmt;
use std::io::{self, Write as _};

use crate::failure::Failure;

/// Prints a line on standard output.
///
/// # Errors
/// When nobody reads it any more, or it cannot be written.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Failure> {
    let written = writeln!(io::stdout().lock(), "{}", clean(&text.to_string()));
    written.or_else(failed)
}

/// Sees to it that everything printed so far is out.
///
/// # Errors
/// As for [`line()`].
pub(crate) fn flush() -> Result<(), Failure> {
    io::stdout().flush().or_else(failed)
}

/// Prints a remark on standard error, apart from what scripts read.
pub(crate) fn remark(text: impl fmt::Display) {
    // Where not even this can be written there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{}", clean_lines(&text.to_string()));
}

/// Prints a failure on standard error.
pub(crate) fn error(failure: &Failure) {
    if failure.is_silent() {
        return;
    }
    let name = if failure.is_places() { "" } else { "pillarbox: " };
    remark(format_args!("{name}{failure}"));
}

/// The text with control characters made visible, so that no stranger's words move a cursor or forge a line.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

fn failed(error: io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Err(Failure::silent());
    }
    Err(Failure::new(format!("cannot write to standard output: {error}")))
}
