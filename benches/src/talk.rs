//! A client on a plain socket that speaks lines: no machine of ours, so that any server can be measured.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing that is measured here takes as long; what does has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A conversation.
#[derive(Debug)]
pub struct Talk {
    reader: BufReader<TcpStream>,
    line: String,
}

impl Talk {
    /// Connects. Nothing is read yet.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(stream), line: String::new() })
    }

    /// Says this.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// The next line, with its end.
    ///
    /// # Errors
    /// When the connection is closed or broken.
    pub fn line(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.reader.read_line(&mut self.line)? == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
        Ok(&self.line)
    }

    /// Hears an SMTP reply with this code, to its last line.
    ///
    /// # Errors
    /// When it has another code, with the reply.
    pub fn smtp(&mut self, code: &str) -> io::Result<()> {
        loop {
            self.expect(code)?;
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// Hears a line that begins with this.
    ///
    /// # Errors
    /// When it begins otherwise, with the line.
    pub fn expect(&mut self, start: &str) -> io::Result<()> {
        let line = self.line()?;
        if line.starts_with(start) {
            return Ok(());
        }
        Err(io::Error::other(format!("expected {start}, the server said {}", line.trim_end())))
    }

    /// Hears +OK, and then lines up to a dot.
    ///
    /// # Errors
    /// When it is no +OK, with the line.
    pub fn pop3_lines(&mut self) -> io::Result<()> {
        self.expect("+OK")?;
        while self.line()? != ".\r\n" {}
        Ok(())
    }

    /// Says an IMAP command, and hears all up to its OK. Returns the octets of the answer.
    ///
    /// # Errors
    /// When it is no OK, with the line.
    pub fn imap(&mut self, command: &str) -> io::Result<usize> {
        self.say(format!("a {command}\r\n").as_bytes())?;
        self.imap_ok()
    }

    /// Hears all up to the OK of an IMAP command. Literals must not hold a line that begins as one.
    ///
    /// # Errors
    /// When it is no OK, with the line.
    pub fn imap_ok(&mut self) -> io::Result<usize> {
        let mut octets = 0;
        loop {
            let line = self.line()?;
            octets += line.len();
            match line.strip_prefix("a ") {
                Some(answer) if answer.starts_with("OK") => return Ok(octets),
                Some(_) => return Err(io::Error::other(format!("the server said {}", line.trim_end()))),
                None => {}
            }
        }
    }

    /// Hears +OK, and then octets up to a dot, without the dots that were put before lines.
    ///
    /// # Errors
    /// When it is no +OK, with the line.
    pub fn pop3_body(&mut self) -> io::Result<Vec<u8>> {
        self.expect("+OK")?;
        let (mut all, mut line) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            self.reader.read_until(b'\n', &mut line)?;
            match line.as_slice() {
                b".\r\n" => return Ok(all),
                [] => return Err(io::Error::other("the server closed the connection")),
                [b'.', rest @ ..] => all.extend_from_slice(rest),
                line => all.extend_from_slice(line),
            }
        }
    }

    /// Hears the lines of an IMAP answer up to its OK, which is the last. Nothing in it may be a literal.
    ///
    /// # Errors
    /// When it is no OK, with the line.
    pub fn imap_answer(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?.to_owned();
            match line.strip_prefix("a ") {
                Some(answer) if !answer.starts_with("OK") => {
                    return Err(io::Error::other(format!("the server said {}", line.trim_end())));
                }
                answer => {
                    let last = answer.is_some();
                    lines.push(line);
                    if last {
                        return Ok(lines);
                    }
                }
            }
        }
    }

    /// Hears the answer to a UID FETCH of whole messages and perhaps their flags.
    ///
    /// # Errors
    /// When it is no OK, with the line.
    pub fn imap_messages(&mut self) -> io::Result<Vec<Fetched>> {
        let mut messages = Vec::new();
        loop {
            let mut head = self.line()?.to_owned();
            if let Some(answer) = head.strip_prefix("a ") {
                let ok = answer.starts_with("OK");
                return if ok { Ok(messages) } else { Err(io::Error::other(format!("the server said {answer}"))) };
            }
            let Some((_, length)) = head.trim_end().strip_suffix('}').and_then(|head| head.rsplit_once('{')) else {
                continue;
            };
            let mut octets = vec![0; length.parse().map_err(io::Error::other)?];
            self.reader.read_exact(&mut octets)?;
            head.push_str(self.line()?);
            let number = |text: &str| text.split([' ', ')']).next()?.trim().parse().ok();
            let uid = head.split_once("UID ").and_then(|(_, uid)| number(uid));
            let uid = uid.ok_or_else(|| io::Error::other(format!("no UID: {head}")))?;
            let flags = head.split_once("FLAGS (").and_then(|(_, flags)| flags.split(')').next()).unwrap_or_default();
            // What is recent is each session's own.
            let flags = flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect();
            messages.push(Fetched { uid, flags, octets });
        }
    }
}

/// A message as IMAP shows it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    /// Its flags, if they were asked for.
    pub flags: BTreeSet<String>,
    /// All of it.
    pub octets: Vec<u8>,
}
