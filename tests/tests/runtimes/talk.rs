//! A blocking client that speaks lines.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use pillarbox_tests::theatre::PATIENCE;
use socket2::{Domain, SockRef, Socket, Type};

/// A connection.
pub(crate) struct Talk {
    reader: BufReader<TcpStream>,
}

impl Talk {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).unwrap())
    }

    /// With so small a window that whoever sends much must wait again and again.
    pub(crate) fn narrow(to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// A session that has been greeted and has said hello.
    pub(crate) fn smtp(to: SocketAddr) -> Self {
        let mut talk = Self::connect(to);
        talk.reply("220 ");
        talk.say("EHLO client.example", "250 ");
        talk
    }

    /// A session that has logged in with AUTH PLAIN; the password is the name.
    pub(crate) fn submission(to: SocketAddr, name: &str) -> Self {
        use lettre::transport::smtp::authentication::{Credentials, Mechanism};
        let credentials = Credentials::new(name.to_owned(), name.to_owned());
        let response = Mechanism::Plain.response(&credentials, None).unwrap();
        let mut talk = Self::smtp(to);
        talk.say("AUTH PLAIN", "334");
        talk.say(&encoded(response.as_bytes()), "235 ");
        talk
    }

    /// A maildrop that is open, and how many messages are in it; the password is the name.
    pub(crate) fn maildrop(to: SocketAddr, name: &str) -> (Self, usize) {
        Self::connect(to).opens(name)
    }

    /// The same on a connection that is there.
    pub(crate) fn opens(mut self, name: &str) -> (Self, usize) {
        let talk = &mut self;
        talk.reply("+OK");
        talk.say(&format!("USER {name}"), "+OK");
        talk.say(&format!("PASS {name}"), "+OK");
        let stat = talk.say("STAT", "+OK");
        let count = stat.split(' ').nth(1).unwrap().parse().unwrap();
        (self, count)
    }

    /// A reader who has INBOX open; the password is the name.
    pub(crate) fn reader(to: SocketAddr, name: &str) -> Self {
        let mut talk = Self::connect(to);
        talk.reply("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 ");
        talk.reads(name)
    }

    /// The same on a connection that has been greeted.
    pub(crate) fn reads(mut self, name: &str) -> Self {
        self.imap(&format!("LOGIN {name} {name}"));
        self.imap("SELECT INBOX");
        self
    }

    /// A command that succeeds, and the lines of its answer before the tagged one. Literals are among them as they come.
    pub(crate) fn imap(&mut self, command: &str) -> Vec<String> {
        self.send(format!("tag {command}\r\n").as_bytes());
        let (mut lines, last) = self.lines_until(|line| line.starts_with("tag "));
        assert!(last.starts_with("tag OK "), "{command:?}: {last:?} behind {lines:#?}");
        lines.retain(|line| !line.is_empty());
        lines
    }

    /// The lines up to one that is wanted, and that one.
    pub(crate) fn lines_until(&mut self, is_last: impl Fn(&str) -> bool) -> (Vec<String>, String) {
        let mut lines = Vec::new();
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the connection ended behind {lines:#?}"));
            if is_last(&line) {
                return (lines, line);
            }
            lines.push(line);
        }
    }

    /// Puts a message into INBOX.
    pub(crate) fn append(&mut self, message: &[u8]) {
        self.say(&format!("tag APPEND INBOX {{{}}}", message.len()), "+ ");
        self.send(message);
        self.send(b"\r\n");
        let (_, last) = self.lines_until(|line| line.starts_with("tag "));
        assert!(last.starts_with("tag OK "), "{last}");
    }

    /// The octets of a message's section, a literal.
    pub(crate) fn fetch(&mut self, section: &str) -> Vec<u8> {
        self.send(format!("tag UID FETCH {section}\r\n").as_bytes());
        let (_, line) = self.lines_until(|line| line.ends_with('}'));
        let (_, length) = line.trim_end_matches('}').rsplit_once('{').unwrap();
        let mut octets = vec![0; length.parse().unwrap()];
        self.reader.read_exact(&mut octets).unwrap();
        self.lines_until(|line| line.starts_with("tag OK "));
        octets
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// One line without its end; `None` at the end of the stream.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The last line of a reply, which begins with this.
    pub(crate) fn reply(&mut self, expected: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("expected {expected:?}, and the connection ended"));
            if line.as_bytes().get(3) == Some(&b'-') && line.starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            assert!(line.starts_with(expected), "expected {expected:?}, heard {line:?}");
            return line;
        }
    }

    /// Says a line and hears the last line of a reply that begins with this.
    pub(crate) fn say(&mut self, line: &str, expected: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply(expected)
    }

    /// Gives a message, up to the reply to its last dot. Its lines begin with no dot.
    pub(crate) fn give(&mut self, from: &str, to: &str, message: &[u8]) {
        self.say(&format!("MAIL FROM:<{from}>"), "250 ");
        self.say(&format!("RCPT TO:<{to}>"), "250 ");
        self.say("DATA", "354 ");
        self.send(message);
        self.say(".", "250 ");
    }

    /// A command and the lines of its answer, without the dots.
    pub(crate) fn multiline(&mut self, command: &str) -> Vec<u8> {
        self.say(command, "+OK");
        let mut all = Vec::new();
        loop {
            let mut line = Vec::new();
            self.reader.read_until(b'\n', &mut line).unwrap();
            match line.as_slice() {
                b".\r\n" => return all,
                [b'.', rest @ ..] => all.extend_from_slice(rest),
                [] => panic!("{command:?}: the stream ended"),
                line => all.extend_from_slice(line),
            }
        }
    }

    /// All that comes up to the end of the stream. A reset is no end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }

    /// All was said: the stream ends here, in order, and so does this side.
    pub(crate) fn ends(mut self) {
        assert!(self.rest().is_empty());
    }

    /// Whether the other side has gone, with or without a reset.
    pub(crate) fn is_gone(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Says no more.
    pub(crate) fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Goes without a goodbye: the other side sees a reset.
    pub(crate) fn vanish(self) {
        SockRef::from(self.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn encoded(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            out.push(if digit <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}
