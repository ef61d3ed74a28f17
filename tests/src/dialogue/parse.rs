//! The grammar of dialogue files; `tests/dialogues/README.md` describes it for those who write them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_core::Close;

use super::text;
use crate::subject::{Role, Settings};

/// A story between a machine, its peer and its host.
#[derive(Clone, Debug)]
pub struct Dialogue {
    /// The file, for messages.
    pub path: PathBuf,
    /// The machine it is for.
    pub machine: String,
    /// Its `set:` lines.
    pub settings: Settings,
    /// Its `secret:` lines: what a tap must never see.
    pub secrets: Vec<String>,
    /// What happens, in order.
    pub lines: Vec<Line>,
}

/// One thing that happens, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Line number in the file, from 1.
    pub number: usize,
    /// What happens.
    pub what: What,
}

/// What can happen in a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `C:` or `C|`, `S:` or `S|`: one side says these bytes.
    Says {
        /// Who.
        who: Role,
        /// The bytes, with CRLF for a `:` line. For the machine's own side `*` in a `:` line matches anything.
        bytes: Vec<u8>,
        /// Written with `|`: no `*` in it.
        raw: bool,
    },
    /// `A:` the machine does this; `*` matches anything.
    Action(String),
    /// `A: chunk "…"`: bytes of a body.
    Chunk(Vec<u8>),
    /// `A: chunk n bytes`.
    ChunkOf(usize),
    /// `R:` the answer, and which of the open questions it answers: `R2:` the second oldest; `R:` the newest.
    Answer {
        /// From 1, oldest first; `None` is the newest.
        which: Option<usize>,
        /// The answer.
        text: String,
    },
    /// `! after 300s`.
    After(Duration),
    /// `! eof`, `! error`, `! layer`, `! shutdown`.
    Close(Close),
    /// `! upgrade tls`.
    Upgrade(Upgrade),
    /// `E:` it is over, for this reason.
    End(String),
}

/// What becomes of the layer that the machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// It is up; nobody checked the peer's name.
    Up,
    /// It is up, and the peer's name is verified.
    Verified,
    /// The handshake fails: `close(Layer)`.
    Fails,
}

/// A file that is no dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    path: PathBuf,
    line: usize,
    why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.why)
    }
}

impl Dialogue {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is no dialogue; with file and line.
    pub fn read(path: &Path) -> Result<Self, Malformed> {
        let malformed = |e: std::io::Error| Malformed { path: path.to_owned(), line: 0, why: e.to_string() };
        Self::parse(path, &std::fs::read_to_string(path).map_err(malformed)?)
    }

    /// Parses `source`; `path` is for messages.
    ///
    /// # Errors
    /// It is no dialogue; with the line.
    pub fn parse(path: &Path, source: &str) -> Result<Self, Malformed> {
        let mut dialogue = Self {
            path: path.to_owned(),
            machine: String::new(),
            settings: Settings::default(),
            secrets: Vec::new(),
            lines: Vec::new(),
        };
        let mut in_header = true;
        for (index, line) in source.lines().enumerate() {
            let malformed = |why: String| Malformed { path: path.to_owned(), line: index + 1, why };
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            if in_header {
                in_header = line != "---";
                if in_header {
                    dialogue.header(line).map_err(malformed)?;
                }
                continue;
            }
            if let Some(Line { number, what: What::End(_) }) = dialogue.lines.last() {
                return Err(malformed(format!("the dialogue ended with E: in line {number}")));
            }
            dialogue.lines.extend(body(index + 1, line).map_err(malformed)?);
        }
        let malformed = |why: &str| Malformed { path: path.to_owned(), line: 1, why: why.to_owned() };
        if in_header {
            return Err(malformed("there is no --- between header and dialogue"));
        }
        if dialogue.machine.is_empty() {
            return Err(malformed("there is no machine: line"));
        }
        Ok(dialogue)
    }

    fn header(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once(':').ok_or("a header line is machine:, set: or secret:")?;
        let value = value.trim();
        match key {
            "machine" => value.clone_into(&mut self.machine),
            "secret" => self.secrets.push(value.to_owned()),
            "set" => {
                for pair in value.split_whitespace() {
                    let (key, value) = pair.split_once('=').ok_or(format!("{pair} is not key=value"))?;
                    self.settings.set(key, value);
                }
            }
            _ => return Err(format!("{key}: is no header; machine:, set: and secret: are")),
        }
        Ok(())
    }
}

/// The lines that one line of the body stands for: one, or as many as `C*9:` says.
fn body(number: usize, line: &str) -> Result<Vec<Line>, String> {
    let one = |what| Ok(vec![Line { number, what }]);
    if let Some(command) = line.strip_prefix('!') {
        return one(command_line(command.trim())?);
    }
    let at = line.find([':', '|']).ok_or("a line begins with C: S: C| S| A: R: E: or !")?;
    let (key, rest) = (&line[..at], &line[at + 1..]);
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let raw = line.as_bytes()[at] == b'|';
    let (key, times) = match key.split_once('*') {
        Some((key, times)) => (key, times.parse().map_err(|_| format!("*{times} is no number"))?),
        None => (key, 1),
    };
    if let Some(who) = match key {
        "C" => Some(Role::Client),
        "S" => Some(Role::Server),
        _ => None,
    } {
        let bytes = if raw { text::unescape(rest)? } else { format!("{rest}\r\n").into_bytes() };
        return Ok(vec![Line { number, what: What::Says { who, bytes, raw } }; times]);
    }
    if raw || times != 1 {
        return Err(format!("{key} is neither C nor S"));
    }
    let rest = rest.trim();
    match key {
        "A" => one(action(rest)?),
        "E" => one(What::End(rest.to_owned())),
        "R" => one(What::Answer { which: None, text: rest.to_owned() }),
        _ => {
            let which = key.strip_prefix('R').and_then(|n| n.parse().ok()).filter(|&n| n > 0);
            let which = which.ok_or(format!("{key}: is none of C: S: A: R: E:"))?;
            one(What::Answer { which: Some(which), text: rest.to_owned() })
        }
    }
}

fn action(rest: &str) -> Result<What, String> {
    let Some(chunk) = rest.strip_prefix("chunk ") else { return Ok(What::Action(rest.to_owned())) };
    if chunk.starts_with('"') {
        let (bytes, rest) = text::quoted(chunk).ok_or("the chunk's text does not end, or has a bad escape")?;
        return if rest.is_empty() { Ok(What::Chunk(bytes)) } else { Err(format!("what is {rest}?")) };
    }
    let bytes = chunk.strip_suffix(" bytes").and_then(|n| n.trim().parse().ok());
    bytes.map(What::ChunkOf).ok_or("a chunk is \"text\" or n bytes".to_owned())
}

fn command_line(command: &str) -> Result<What, String> {
    if let Some(time) = command.strip_prefix("after ") {
        return duration(time.trim()).map(What::After);
    }
    Ok(match command {
        "eof" => What::Close(Close::Eof),
        "error" => What::Close(Close::Error),
        "layer" => What::Close(Close::Layer),
        "shutdown" => What::Close(Close::Shutdown),
        "upgrade tls" => What::Upgrade(Upgrade::Up),
        "upgrade tls verified" => What::Upgrade(Upgrade::Verified),
        "upgrade tls fails" => What::Upgrade(Upgrade::Fails),
        _ => return Err(format!("! {command} is none of after, eof, error, layer, shutdown, upgrade tls")),
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..unit].parse().map_err(|_| format!("{text} is no time: 500ms, 300s, 5m, 1h are"))?;
    let millis = match &text[unit..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{text} is no time: 500ms, 300s, 5m, 1h are")),
    };
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Vec<What>, String> {
        Dialogue::parse(Path::new("x.txt"), &format!("# A test.\nmachine: toy\nset: a=1 b=yes\n---\n{body}"))
            .map(|dialogue| dialogue.lines.into_iter().map(|line| line.what).collect())
            .map_err(|malformed| malformed.to_string())
    }

    #[test]
    fn lines_are_told_apart() {
        let says = |who, bytes: &str, raw| What::Says { who, bytes: bytes.as_bytes().to_vec(), raw };
        let lines = "C: a\\r  \n\n# comment\nS| b\\r\nC*2: x\nA: chunk \"a\\n\"\nA: chunk 9 bytes\nA: ask: b|c\nR: yes\n\
                     R2: no\n! after 5m\n! eof\n! upgrade tls\nE: quit\n";
        let expected = [
            says(Role::Client, "a\\r  \r\n", false),
            says(Role::Server, "b\r", true),
            says(Role::Client, "x\r\n", false),
            says(Role::Client, "x\r\n", false),
            What::Chunk(b"a\n".to_vec()),
            What::ChunkOf(9),
            What::Action("ask: b|c".to_owned()),
            What::Answer { which: None, text: "yes".to_owned() },
            What::Answer { which: Some(2), text: "no".to_owned() },
            What::After(Duration::from_secs(300)),
            What::Close(Close::Eof),
            What::Upgrade(Upgrade::Up),
            What::End("quit".to_owned()),
        ];
        assert_eq!(parse(lines).as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (body, message) in [
            ("C: a\nX: b", "x.txt:6: X: is none of C: S: A: R: E:"),
            ("R0: b", "x.txt:5: R0: is none of C: S: A: R: E:"),
            ("E: quit\nC: a", "x.txt:6: the dialogue ended with E: in line 5"),
            ("! later", "x.txt:5: ! later is none of after, eof, error, layer, shutdown, upgrade tls"),
            ("! after 5", "x.txt:5: 5 is no time: 500ms, 300s, 5m, 1h are"),
            ("C| \\q", "x.txt:5: \\q is no escape: \\r \\n \\t \\0 \\\\ \\\" \\xHH are"),
            ("A: chunk many", "x.txt:5: a chunk is \"text\" or n bytes"),
            ("C*x: a", "x.txt:5: *x is no number"),
            ("hello", "x.txt:5: a line begins with C: S: C| S| A: R: E: or !"),
        ] {
            assert_eq!(parse(body), Err(message.to_owned()));
        }
        for (source, message) in [
            ("machine: a\n", "x.txt:1: there is no --- between header and dialogue"),
            ("---\n", "x.txt:1: there is no machine: line"),
            ("machine: a\nset: b\n---\n", "x.txt:2: b is not key=value"),
            ("colour: red\n---\n", "x.txt:1: colour: is no header; machine:, set: and secret: are"),
        ] {
            let malformed = Dialogue::parse(Path::new("x.txt"), source).expect_err(message);
            assert_eq!(malformed.to_string(), message);
        }
    }
}
