//! Running the binary, and talking to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Nothing here takes this long; what does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn pillarbox(args: &[&str]) -> Said {
    run(args, "", &[])
}

fn run(args: &[&str], input: &str, environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
    command.envs(environment.iter().copied());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read it may be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A server's folder.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// One that `quickstart` made, for alice and bob at this domain with the password `secret`, on free ports.
    pub(crate) fn quickstart(domain: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let args = ["quickstart", "--domain", domain, "--account", "alice", "--account", "bob", "--loopback"];
        folder.ok(&args);
        for port in ["2525", "2587", "2465", "2110", "2995"] {
            folder.edit(&format!("127.0.0.1:{port}\""), "127.0.0.1:0\"");
        }
        // Nobody is asked in earnest.
        folder.edit("servers = []", "servers = [\"127.0.0.1:1\"]");
        for account in ["alice", "bob"] {
            let args = ["account", "passwd", account, "--password-stdin"];
            assert_eq!(folder.with_input(&args, "secret\n").code, Some(0));
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("pillarbox.toml")
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "{from:?} is not in the file");
        std::fs::write(self.file(), text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        run(&self.at(args), "", &[])
    }

    pub(crate) fn with_input(&self, args: &[&str], input: &str) -> Said {
        run(&self.at(args), input, &[])
    }

    pub(crate) fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Said {
        run(&self.at(args), "", environment)
    }

    fn at<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--dir", self.path().to_str().unwrap()]].concat()
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(self, &[], true)
    }

    /// Its log fills a pipe that nobody empties.
    pub(crate) fn serve_unread(&self) -> Server {
        Server::start(self, &[], false)
    }

    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        Server::start(self, environment, true)
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    ready: String,
    log: Receiver<String>,
}

impl Server {
    fn start(folder: &Folder, environment: &[(&str, &str)], read: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
        command.args(["serve", "--dir", folder.path().to_str().unwrap()]).env("RUST_LOG", "debug");
        command.envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        if read {
            let stderr = BufReader::new(child.stderr.take().unwrap());
            thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        }
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready "), "{ready:?} {:?}", log.iter().collect::<Vec<_>>());
        Self { child, ready, log }
    }

    pub(crate) fn ready(&self) -> &str {
        &self.ready
    }

    /// Where this listens.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let mut words = self.ready.split_whitespace().filter_map(|word| word.split_once('='));
        let (_, address) = words.find(|(other, _)| *other == name).unwrap();
        address.parse().unwrap()
    }

    pub(crate) fn connect(&self, name: &str) -> Talk {
        Talk::new(self.address(name))
    }

    /// The log up to a line that has `text` in it; that line last.
    pub(crate) fn logged(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(error) => panic!("{error}: {text:?} was never logged, only {lines:#?}"),
            }
            if lines.last().unwrap().contains(text) {
                return lines;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The end of it, and the rest of its log.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        (status, self.log.iter().collect())
    }

    pub(crate) fn stop(self) {
        self.signal("TERM");
        let (status, log) = self.end();
        assert_eq!(status.code(), Some(0), "{log:#?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A conversation in lines.
pub(crate) struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// One line, without its end; `None` at the end of the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// An SMTP reply: its last line.
    pub(crate) fn reply(&mut self) -> String {
        loop {
            let line = self.line().expect("a reply");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Says a line, and hears an SMTP reply that begins like this.
    pub(crate) fn smtp(&mut self, line: &str, expected: &str) {
        self.send(&format!("{line}\r\n"));
        let reply = self.reply();
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }

    /// Says a line, and hears a line of POP3 that begins like this.
    pub(crate) fn pop3(&mut self, line: &str, expected: &str) -> String {
        self.send(&format!("{line}\r\n"));
        let reply = self.line().expect("a reply");
        assert!(reply.starts_with(expected), "{line}: {reply}");
        reply
    }

    /// The lines of a POP3 answer behind its first, undotted.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().expect("a line");
            match line.strip_prefix('.') {
                Some("") => return lines,
                Some(rest) => lines.push(rest.to_owned()),
                None => lines.push(line),
            }
        }
    }

    /// What comes until the connection ends, however it ends.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }
}
