//! A dialogue as it is shown: `C:` and `S:` lines with the names of those who speak, bodies shortened.
//!
//! It is fed by a tap, in whatever pieces, and keeps a bounded number of lines, however long the message is.

use pillarbox_core::session::LayerInfo;

use super::gloss::Glossary;
use super::screen::{Screen, Style};
use crate::failure::Failure;

/// Lines of a message's header that are shown.
const HEADER_LINES: usize = 22;
/// Lines of what stands below the header that are shown.
const BODY_LINES: usize = 10;
/// A body of which only this many lines more would be hidden is shown whole.
const SLACK: usize = 3;
/// Where the meaning of a line begins, when the line is not longer.
const GLOSS_COLUMN: usize = 38;
/// Attached files that are named.
const FILES: usize = 5;
/// Characters of a line that are shown.
const COLUMNS: usize = 100;
/// Octets of a line that are kept: enough for those characters.
const OCTETS: usize = 4 * COLUMNS;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// `C:`
    Client,
    /// `S:`
    Server,
}

/// What two said to each other.
#[derive(Clone, Debug)]
pub(super) struct Dialogue {
    /// Who they are, in a word each.
    names: [String; 2],
    lines: Vec<Line>,
    /// Lines that have not ended yet.
    partial: [Vec<u8>; 2],
    /// The client's last command.
    command: String,
    body: Option<Body>,
    /// The message was seen before: its header is enough.
    brief: bool,
}

#[derive(Clone, Debug)]
enum Line {
    Said(Who, String),
    /// Part of a message.
    Text(Who, String),
    /// Not said, but seen.
    Note(String),
}

/// A message under way.
#[derive(Clone, Debug)]
struct Body {
    who: Who,
    in_header: bool,
    /// Lines of the part that is under way.
    count: usize,
    /// Its lines that are not shown unless they are few.
    rest: Vec<String>,
    /// Names of files that are attached, in lines that are not shown.
    files: Vec<String>,
}

impl Dialogue {
    /// Nothing has been said yet. With `brief`, of a message's text only the length is shown: it was seen before.
    pub(super) fn new(client: &str, server: &str, brief: bool) -> Self {
        Self {
            names: [client.to_owned(), server.to_owned()],
            lines: Vec::new(),
            partial: [Vec::new(), Vec::new()],
            command: String::new(),
            body: None,
            brief,
        }
    }

    /// These bytes were said.
    pub(super) fn bytes(&mut self, who: Who, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut self.partial[who as usize];
            let room = OCTETS.saturating_sub(partial.len());
            partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(partial);
                self.line(who, &line);
            }
        }
    }

    /// A layer came up.
    pub(super) fn layer(&mut self, layer: &LayerInfo) {
        let LayerInfo::Tls(tls) = layer;
        self.note(format!("from here on under {}, {}", tls.version.replace("TLS", "TLS "), tls.cipher));
    }

    /// Something worth a remark.
    pub(super) fn note(&mut self, text: String) {
        self.lines.push(Line::Note(text));
    }

    /// Shows only what was said from the first command on that begins like this; what came `before` was seen already.
    pub(super) fn fold(&mut self, command: &str, before: &str) {
        let begins = |line: &Line| matches!(line, Line::Said(Who::Client, text) if text.starts_with(command));
        let Some(at) = self.lines.iter().position(begins).filter(|at| *at > 0) else { return };
        let note = Line::Note(format!("{before} as before, {at} lines"));
        self.lines.splice(..at, [note]);
    }

    /// Prints it, with `glossed` the meaning of its words beside them.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn show(&self, screen: Screen, glossed: bool) -> Result<(), Failure> {
        let width = self.names.iter().map(|name| name.chars().count()).max().unwrap_or_default().max(5);
        let mut glossary = Glossary::default();
        for line in &self.lines {
            let (who, text, plain) = match line {
                Line::Said(who, text) => (*who, text, false),
                Line::Text(who, text) => (*who, text, true),
                Line::Note(text) => {
                    screen.line(&[(Style::Dim, &format!("  {:width$}      … {text}", ""))])?;
                    continue;
                }
            };
            let style = if who == Who::Client { Style::Client } else { Style::Server };
            let letter = if who == Who::Client { "C: " } else { "S: " };
            let name = format!("  {:>width$}  ", self.names[who as usize]);
            let text_style = if plain { Style::Plain } else { style };
            let said = [(Style::Dim, name.as_str()), (style, letter), (text_style, text)];
            let meaning = if glossed && !plain { glossary.gloss(who, text) } else { None };
            let Some(meaning) = meaning else {
                screen.line(&said)?;
                continue;
            };
            let length = text.chars().count();
            if length <= GLOSS_COLUMN {
                let meaning = format!("{:pad$}  {meaning}", "", pad = GLOSS_COLUMN - length);
                let [name, letter, text] = said;
                screen.line(&[name, letter, text, (Style::Note, &meaning)])?;
                continue;
            }
            screen.line(&said)?;
            let column = name.chars().count() + letter.len() + GLOSS_COLUMN + 2;
            screen.line(&[(Style::Note, &format!("{:column$}{meaning}", ""))])?;
        }
        Ok(())
    }

    fn line(&mut self, who: Who, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = shown(line);
        if self.body.as_ref().is_some_and(|body| body.who == who) {
            return self.body_line(who, text);
        }
        let begins = match who {
            Who::Client => {
                self.command.clone_from(&text);
                None
            }
            Who::Server if text.starts_with("354") && self.command == "DATA" => Some(Who::Client),
            Who::Server if text.starts_with("+OK") && self.command.starts_with("RETR") => Some(Who::Server),
            Who::Server => None,
        };
        self.lines.push(Line::Said(who, text));
        if let Some(who) = begins {
            self.body = Some(Body { who, in_header: true, count: 0, rest: Vec::new(), files: Vec::new() });
        }
    }

    fn body_line(&mut self, who: Who, text: String) {
        let brief = self.brief;
        let Some(body) = &mut self.body else { return };
        let (limit, slack) = match (body.in_header, brief) {
            (true, _) => (HEADER_LINES, SLACK),
            (false, false) => (BODY_LINES, SLACK),
            (false, true) => (0, 0),
        };
        let ends = text == ".";
        if !ends && (!body.in_header || !text.is_empty()) {
            body.count += 1;
            if body.count <= limit {
                return self.lines.push(Line::Text(who, text));
            }
            if body.files.len() < FILES {
                body.files.extend(file_name(&text));
            }
            if body.rest.len() <= slack {
                body.rest.push(text);
            }
            return;
        }
        // The end of a part: the lines held back are shown if they are few, or counted.
        let hidden = body.count.saturating_sub(limit);
        let rest = std::mem::take(&mut body.rest);
        if hidden > slack {
            let what = match (body.in_header, brief) {
                (true, _) => "more lines of the header",
                (false, false) => "more lines",
                (false, true) => "lines of text, as above",
            };
            let files = std::mem::take(&mut body.files).join(", ");
            let files = if files.is_empty() { files } else { format!(", with {files}") };
            self.lines.push(Line::Note(format!("{hidden} {what}{files}")));
        } else {
            self.lines.extend(rest.into_iter().map(|text| Line::Text(who, text)));
        }
        (body.in_header, body.count) = (false, 0);
        if ends {
            self.body = None;
            // A new command would be needed for another body.
            self.command.clear();
            return self.lines.push(Line::Said(who, text));
        }
        self.lines.push(Line::Text(who, text));
    }
}

/// The name of a file that is attached, if this line of a part's header has it.
fn file_name(line: &str) -> Option<String> {
    let (_, behind) = line.split_once("filename=\"")?;
    behind.split_once('"').map(|(name, _)| name.to_owned())
}

/// A line as it can be shown.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.replace('\t', "    ");
    if text.chars().count() <= COLUMNS && line.len() < OCTETS {
        return text;
    }
    let mut text: String = text.chars().take(COLUMNS).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(dialogue: &Dialogue) -> Vec<String> {
        let text = |line: &Line| match line {
            Line::Said(who, text) => format!("{who:?}: {text}"),
            Line::Text(who, text) => format!("{who:?}| {text}"),
            Line::Note(text) => format!("({text})"),
        };
        dialogue.lines.iter().map(text).collect()
    }

    #[test]
    fn long_bodies_are_shortened_however_they_come() {
        let mut body = String::from("Subject: x\r\n\r\n..dotted\r\n");
        (0..50).for_each(|n| body.push_str(&format!("line {n}\r\n")));
        body.push_str(".\r\n");
        for size in [1, 7, 10_000] {
            let mut dialogue = Dialogue::new("alice", "amber", false);
            dialogue.bytes(Who::Client, b"MAIL FROM:<a@b>\r\nDATA\r\n");
            dialogue.bytes(Who::Server, b"250 Ok\r\n354 Go\r\n");
            body.as_bytes().chunks(size).for_each(|piece| dialogue.bytes(Who::Client, piece));
            dialogue.bytes(Who::Server, b"250 Ok\r\n");
            let texts = texts(&dialogue);
            assert_eq!(texts[4..7], ["Client| Subject: x", "Client| ", "Client| ..dotted"]);
            assert_eq!(texts[15..], ["Client| line 8", "(41 more lines)", "Client: .", "Server: 250 Ok"]);
        }
    }

    #[test]
    fn a_body_of_a_few_lines_more_is_shown_whole() {
        let mut dialogue = Dialogue::new("bob", "amber", false);
        dialogue.bytes(Who::Client, b"RETR 1\r\n");
        dialogue.bytes(Who::Server, b"+OK\r\nA: b\r\n\r\n");
        (0..BODY_LINES + SLACK).for_each(|_| dialogue.bytes(Who::Server, b"x\r\n"));
        dialogue.bytes(Who::Server, b".\r\n");
        assert_eq!(texts(&dialogue).len(), 2 + 2 + BODY_LINES + SLACK + 1);
    }

    #[test]
    fn of_what_was_seen_before_the_header_is_enough() {
        let mut dialogue = Dialogue::new("carol", "birch", true);
        dialogue.bytes(Who::Client, b"RETR 1\r\n");
        dialogue.bytes(Who::Server, b"+OK\r\nA: b\r\n\r\nx\r\nX: attachment; filename=\"a.png\"\r\n.\r\n");
        assert_eq!(
            texts(&dialogue)[2..],
            ["Server| A: b", "Server| ", "(2 lines of text, as above, with a.png)", "Server: ."]
        );
    }

    #[test]
    fn what_was_seen_before_is_folded() {
        let mut dialogue = Dialogue::new("alice", "amber", false);
        dialogue.bytes(Who::Server, b"220 hi\r\n");
        dialogue.bytes(Who::Client, b"EHLO x\r\n");
        dialogue.bytes(Who::Server, b"250 y\r\n");
        dialogue.bytes(Who::Client, b"MAIL FROM:<>\r\n");
        dialogue.fold("MAIL", "greeting");
        assert_eq!(texts(&dialogue), ["(greeting as before, 3 lines)", "Client: MAIL FROM:<>"]);
        dialogue.fold("VRFY", "");
        assert_eq!(texts(&dialogue).len(), 2);
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(shown("ä".repeat(500).as_bytes()).chars().count(), COLUMNS + 1);
        assert_eq!(shown(b"a\tb"), "a    b");
    }
}
