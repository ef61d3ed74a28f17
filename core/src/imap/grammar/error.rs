//! Why something is no command, in words for whoever debugs a client.

use core::fmt;

use crate::imap::framing::FrameFault;
use crate::imap::types::{NameError, Tag};

/// What was received is no command of ours: it is answered with BAD, tagged if the tag could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The tag, if there was one.
    pub tag: Option<Tag>,
    /// What is wrong.
    pub what: SyntaxError,
}

/// What is wrong with a command. Shown, it is the text behind BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// It begins with no tag.
    Tag,
    /// No such command.
    Command,
    /// There should be this.
    Expected(&'static str),
    /// There is more than the command takes.
    Trailing,
    /// A number that is none, or is out of its range.
    Number,
    /// More of these than we take.
    TooMany(&'static str),
    /// Longer than we take.
    TooLong(&'static str),
    /// Search keys nest too deeply.
    Nesting,
    /// No such option, item or key.
    Unknown(&'static str),
    /// Not together, or not without another one.
    Combination(&'static str),
    /// A mailbox name that is none.
    Mailbox(NameError),
    /// A NUL in a string.
    Nul,
    /// Quoted octets that are not UTF-8.
    Utf8,
    /// `~{n}` where no binary literal may stand.
    Binary,
    /// Literals are larger than we take here.
    Literal,
    /// A run of text was no text.
    Frame(FrameFault),
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Tag => "No tag",
            Self::Command => "Unknown command",
            Self::Expected(what) => return write!(f, "Expected {what}"),
            Self::Trailing => "There is more than the command takes",
            Self::Number => "Not a number, or out of range",
            Self::TooMany(what) => return write!(f, "Too many {what}"),
            Self::TooLong(what) => return write!(f, "Too long: {what}"),
            Self::Nesting => "Search keys nest too deeply",
            Self::Unknown(what) => return write!(f, "Unknown {what}"),
            Self::Combination(what) => what,
            Self::Mailbox(why) => return write!(f, "Bad argument: {why}"),
            Self::Nul => "NUL in a string",
            Self::Utf8 => "A quoted string is not UTF-8",
            Self::Binary => "No binary literal may stand here",
            Self::Literal => "Literal too large",
            Self::Frame(FrameFault::TooLong) => "Command line too long",
            Self::Frame(FrameFault::Octet(fault)) => return write!(f, "{fault} in a command"),
        };
        f.write_str(text)
    }
}

impl core::error::Error for SyntaxError {}
