//! What a person sees: colours on a terminal and nowhere else, sentences that fit the window, never a stranger's control
//! character.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::print::clean;

/// Columns of a sentence.
const WIDTH: usize = 90;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// What is said beside.
    Dim,
    /// What something means.
    Note,
    /// A client's words.
    Client,
    /// A server's words.
    Server,
    /// DNS.
    Names,
    /// It is as it should be.
    Good,
}

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    /// With colours on a terminal, unless the user wants none (<https://no-color.org>).
    pub(super) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: io::stdout().is_terminal() && !unwanted && !dumb }
    }

    /// A line of pieces.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn line(self, pieces: &[(Style, &str)]) -> Result<(), Failure> {
        let mut line = String::new();
        for (style, text) in pieces {
            let (on, off) = if self.colour { style.codes() } else { ("", "") };
            // Writing to a string cannot fail.
            let _ = write!(line, "{on}{}{off}", clean(text));
        }
        let length = line.trim_end_matches(' ').len();
        line.truncate(length);
        line.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).or_else(failed)
    }

    /// An empty line.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn gap(self) -> Result<(), Failure> {
        self.line(&[])
    }

    /// The title of a step.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn title(self, text: &str) -> Result<(), Failure> {
        let rule = "━".repeat(WIDTH.saturating_sub(text.chars().count() + 4));
        self.gap()?;
        self.line(&[(Style::Dim, "━━ "), (Style::Strong, text), (Style::Dim, " "), (Style::Dim, &rule)])
    }

    /// A paragraph of sentences, broken into lines.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn say(self, text: &str) -> Result<(), Failure> {
        self.gap()?;
        wrap(text, WIDTH).iter().try_for_each(|line| self.line(&[(Style::Plain, line)]))
    }

    /// Something was looked at, and is as it should be.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn check(self, text: &str) -> Result<(), Failure> {
        self.gap()?;
        let mut mark = "✓ ";
        for line in wrap(text, WIDTH - 2) {
            self.line(&[(Style::Good, mark), (Style::Plain, &line)])?;
            mark = "  ";
        }
        Ok(())
    }
}

impl Style {
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("", ""),
            Self::Strong => ("\x1b[1m", "\x1b[0m"),
            Self::Dim => ("\x1b[2m", "\x1b[0m"),
            Self::Note => ("\x1b[2;3m", "\x1b[0m"),
            Self::Client => ("\x1b[36m", "\x1b[0m"),
            Self::Server => ("\x1b[33m", "\x1b[0m"),
            Self::Names => ("\x1b[35m", "\x1b[0m"),
            Self::Good => ("\x1b[32m", "\x1b[0m"),
        }
    }
}

/// Broken at spaces; a word that is too long stands alone.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if used + 1 + length <= width => {
                line.push(' ');
                line.push_str(word);
                used += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                used = length;
            }
        }
    }
    lines
}

fn failed(error: io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Err(Failure::silent());
    }
    Err(Failure::new(format!("cannot write to standard output: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_at_spaces() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible it is", 5), ["incomprehensible", "it is"]);
        assert!(wrap("", 5).is_empty());
    }
}
