//! Why a command failed: in words that say what to do, with its exit code.

use std::fmt;
use std::process::ExitCode;

/// A command failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    /// One or more lines.
    what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What was asked for could not be done: exit code 1.
    Failed,
    /// The same, told as places in a file.
    Places,
    /// What was asked for makes no sense: exit code 2, as for a wrong option.
    Usage,
    /// The reader of our output went away: there is nobody to tell.
    Silent,
}

impl Failure {
    /// It could not be done.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, what: what.into() }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, what: what.into() }
    }

    /// The same, and where it happened.
    pub(crate) fn within(self, place: &str) -> Self {
        Self { what: format!("{place}: {}", self.what), ..self }
    }

    /// Places in a file where something is wrong, a line each, as compilers show them: `file:line: what`.
    pub(crate) fn places(lines: &[String]) -> Self {
        Self { kind: Kind::Places, what: lines.join("\n") }
    }

    /// Nobody reads our output any more.
    pub(crate) fn silent() -> Self {
        Self { kind: Kind::Silent, what: String::new() }
    }

    /// There is nothing to say.
    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::Silent
    }

    /// Each line begins with its place: nothing is to stand before it.
    pub(crate) fn is_places(&self) -> bool {
        self.kind == Kind::Places
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(if self.kind == Kind::Usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}
