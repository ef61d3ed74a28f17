//! A socket that speaks lines, for clients that behave, and for those that do not.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;
use super::message::stuffed;

/// A connection.
pub(crate) struct Wire {
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// Connects; reads give up after [`PATIENCE`].
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Writes, which must succeed.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Writes; the peer may have gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Ends our side.
    pub(crate) fn finish(&self) {
        _ = self.stream().shutdown(Shutdown::Write);
    }

    /// One line without its end; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        self.try_line().unwrap()
    }

    /// The same, where the peer may have gone.
    pub(crate) fn try_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// All that comes until the end; a reset is an end, too.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
    }

    /// The reply to come: all its lines. `None` when the peer has gone.
    pub(crate) fn try_reply(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.try_line().ok().filter(|line| !line.is_empty())?;
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return Some(lines);
            }
        }
    }

    /// The reply to come, whose code must be this.
    pub(crate) fn reply(&mut self, code: u16) -> Vec<String> {
        let lines = self.try_reply().expect("a reply");
        assert!(lines.iter().all(|line| line.starts_with(&code.to_string())), "expected {code}: {lines:?}");
        lines
    }

    /// A command and its reply's code.
    pub(crate) fn smtp(&mut self, command: &str, code: u16) -> Vec<String> {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply(code)
    }

    /// A whole transaction, accepted.
    pub(crate) fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) {
        let reply = self.try_deliver(from, to, message);
        assert!(reply.as_ref().is_some_and(|reply| reply.starts_with("250")), "{reply:?}");
    }

    /// A whole transaction: the reply that ended it, or `None` when the peer has gone.
    pub(crate) fn try_deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> Option<String> {
        let mut commands = format!("MAIL FROM:<{from}>\r\n");
        for recipient in to {
            commands += &format!("RCPT TO:<{recipient}>\r\n");
        }
        commands += "DATA\r\n";
        self.try_send(commands.as_bytes()).ok()?;
        for _ in 0..=to.len() {
            let reply = self.try_reply()?.pop()?;
            if !reply.starts_with("250") {
                return Some(reply);
            }
        }
        let reply = self.try_reply()?.pop()?;
        if !reply.starts_with("354") {
            return Some(reply);
        }
        self.try_send(&stuffed(message)).ok()?;
        self.try_send(b".\r\n").ok()?;
        self.try_reply()?.pop()
    }

    /// A command that must be answered by +OK.
    pub(crate) fn pop3(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        let line = self.line();
        assert!(line.starts_with("+OK"), "{command:?}: {line:?}");
        line
    }

    /// A command and the line that answers it; `None` when the peer has gone.
    pub(crate) fn try_pop3(&mut self, command: &str) -> Option<String> {
        self.try_send(format!("{command}\r\n").as_bytes()).ok()?;
        self.try_line().ok().filter(|line| !line.is_empty())
    }

    /// A command of IMAP that must succeed: the lines of its answer before the tagged one.
    pub(crate) fn imap(&mut self, command: &str) -> Vec<String> {
        self.send(format!("t {command}\r\n").as_bytes());
        let (lines, tagged) = self.try_tagged().expect("a tagged response");
        assert!(tagged.starts_with("OK"), "{command:?}: {tagged:?}");
        lines
    }

    /// Lines up to the tagged response, and what that says; `None` when the peer has gone.
    pub(crate) fn try_tagged(&mut self) -> Option<(Vec<String>, String)> {
        let mut lines = Vec::new();
        loop {
            let line = self.try_line().ok().filter(|line| !line.is_empty())?;
            match line.strip_prefix("t ") {
                Some(tagged) => return Some((lines, tagged.to_owned())),
                None => lines.push(line),
            }
        }
    }

    /// Files messages by one APPEND; `to` is a mailbox and perhaps flags. The tagged response, or `None` when the peer has
    /// gone.
    pub(crate) fn try_append(&mut self, to: &str, messages: &[Vec<u8>]) -> Option<String> {
        let mut announced = format!("t APPEND {to}");
        for message in messages {
            self.try_send(format!("{announced} {{{}}}\r\n", message.len()).as_bytes()).ok()?;
            let said = self.try_line().ok().filter(|line| !line.is_empty())?;
            if !said.starts_with("+ ") {
                return Some(said);
            }
            self.try_send(message).ok()?;
            announced.clear();
        }
        self.try_send(b"\r\n").ok()?;
        self.try_tagged().map(|(_, tagged)| tagged)
    }

    /// The messages of the mailbox that is open, whole, in their order.
    pub(crate) fn messages(&mut self) -> Vec<Vec<u8>> {
        self.send(b"t FETCH 1:* BODY.PEEK[]\r\n");
        let mut messages = Vec::new();
        loop {
            let line = self.line();
            if let Some(tagged) = line.strip_prefix("t ") {
                assert!(tagged.starts_with("OK"), "{tagged:?}");
                return messages;
            }
            let Some((_, length)) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) else { continue };
            let mut octets = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut octets).unwrap();
            messages.push(octets);
        }
    }

    /// Messages by STAT.
    pub(crate) fn count(&mut self) -> usize {
        self.pop3("STAT").split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// A command and the lines of its answer, without the dots.
    pub(crate) fn multiline(&mut self, command: &str) -> Vec<u8> {
        self.pop3(command);
        let (mut all, mut line) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            self.reader.read_until(b'\n', &mut line).unwrap();
            match line.as_slice() {
                b".\r\n" => return all,
                [b'.', rest @ ..] => all.extend_from_slice(rest),
                [] => panic!("{command:?}: the stream ended"),
                line => all.extend_from_slice(line),
            }
        }
    }
}
