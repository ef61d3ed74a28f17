//! A server's folder, and the server while it runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::{On, PATIENCE, Wire, message, until};

/// A server's folder, and the server while it runs. Dropping it kills the server and removes the folder.
pub(crate) struct Server {
    on: On,
    folder: TempDir,
    child: Option<Child>,
    /// What it said when it was ready.
    ready: String,
    passwords: BTreeMap<String, String>,
}

impl Server {
    /// A running server for `domain`, made by `quickstart`, on free ports.
    pub(crate) fn start(on: On, domain: &str, accounts: &[&str]) -> Self {
        let mut server = Self::make(on, domain, accounts);
        server.serve();
        server
    }

    /// The folder alone: nothing runs yet.
    pub(crate) fn make(on: On, domain: &str, accounts: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("pillarbox-test-").tempdir().unwrap();
        let mut server = Self { on, folder, child: None, ready: String::new(), passwords: BTreeMap::new() };
        let mut quickstart = vec!["quickstart", "--loopback", "--domain", domain];
        accounts.iter().for_each(|account| quickstart.extend(["--account", account]));
        let told = server.ok(&quickstart);
        let passwords = told.lines().filter_map(|line| {
            let (address, password) = line.trim().split_once("  ")?;
            address.contains('@').then(|| (address.to_owned(), password.to_owned()))
        });
        server.passwords = passwords.collect();
        assert_eq!(server.passwords.len(), accounts.len(), "quickstart told: {told}");
        server.configure(|text| {
            let lines = text.lines().map(|line| match line {
                bind if bind.starts_with("bind = ") => "bind = \"127.0.0.1:0\"",
                // Nobody is asked in earnest.
                "servers = []" => "servers = [\"127.0.0.1:1\"]",
                line => line,
            });
            lines.collect::<Vec<_>>().join("\n") + "\n"
        });
        server
    }

    /// Changes the configuration file; a running server does not look.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        fs::write(self.file(), change(fs::read_to_string(self.file()).unwrap())).unwrap();
    }

    /// Puts something else in the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        self.configure(|text| {
            assert!(text.contains(from), "{from:?} is not in the file");
            text.replacen(from, to, 1)
        });
    }

    /// Mail for this domain goes to this address.
    pub(crate) fn route(&self, domain: &str, to: SocketAddr) {
        self.configure(|text| format!("{text}\n[[route]]\ndomain = \"{domain}\"\nto = \"smtp://{to}\"\n"));
    }

    /// It asks this name server, and no other.
    pub(crate) fn ask(&self, names: SocketAddr) {
        self.edit("servers = [\"127.0.0.1:1\"]", &format!("servers = [\"{names}\"]"));
    }

    /// From its first start on it listens at the same ports, which nobody else is given while it is down.
    pub(crate) fn settle(&self) {
        self.configure(|text| {
            let lines = text.lines().map(|line| match line {
                "bind = \"127.0.0.1:0\"" => format!("bind = \"127.0.0.1:{}\"", quiet_port()),
                line => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n") + "\n"
        });
    }

    /// Makes an account, with a fresh password.
    pub(crate) fn add_account(&mut self, address: &str) {
        let password = self.ok(&["account", "add", address]);
        self.passwords.insert(address.to_owned(), password.trim_end().to_owned());
    }

    /// Starts the server, and waits for its ready line.
    pub(crate) fn serve(&mut self) {
        self.serve_by(binary());
    }

    /// The same, run by this command.
    pub(crate) fn serve_by(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(self.dir().join("log")).unwrap();
        command.stderr(log);
        self.begin(command);
    }

    /// The same; its log goes to a pipe that nobody empties.
    pub(crate) fn serve_unread(&mut self) {
        let mut command = binary();
        command.stderr(Stdio::piped());
        self.begin(command);
    }

    fn begin(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "it runs");
        command.arg("serve").arg("--dir").arg(self.dir()).args(self.on.arguments());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        self.ready.clear();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut self.ready).unwrap();
        self.child = Some(child);
        assert!(self.ready.starts_with("ready "), "{:?}; its log:\n{}", self.ready, self.log());
    }

    /// It runs on something else from its next start on.
    pub(crate) fn move_to(&mut self, on: On) {
        self.on = on;
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir().join("pillarbox.toml")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// All listeners, as it told them.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let words = self.ready.split_whitespace().skip(1).map(|word| word.split_once('=').unwrap());
        words.map(|(name, address)| (name, address.parse().unwrap()))
    }

    /// Where a listener is, by its name in the ready line.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let found = self.addresses().find(|(other, _)| *other == name);
        found.unwrap_or_else(|| panic!("no listener {name}: {}", self.ready)).1
    }

    /// An account's password.
    pub(crate) fn password(&self, account: &str) -> &str {
        &self.passwords[account]
    }

    /// A connection to a listener, its greeting read where it has one to give.
    pub(crate) fn connect(&self, name: &str) -> Wire {
        let mut wire = Wire::connect(self.address(name));
        wire.line();
        wire
    }

    /// An SMTP session after EHLO, as another server has it.
    pub(crate) fn smtp(&self) -> Wire {
        let mut wire = self.connect("smtp");
        wire.smtp("EHLO client.example", 250);
        wire
    }

    /// An SMTP session after a login.
    pub(crate) fn submission(&self, account: &str) -> Wire {
        let mut wire = self.connect("submission");
        wire.smtp("EHLO client.example", 250);
        let plain = message::base64(format!("\0{account}\0{}", self.password(account)).as_bytes());
        wire.smtp(&format!("AUTH PLAIN {plain}"), 235);
        wire
    }

    /// A POP3 session after a login.
    pub(crate) fn pop3(&self, account: &str) -> Wire {
        self.try_pop3(account).unwrap_or_else(|refusal| panic!("{account}: {refusal:?}"))
    }

    /// The same, or what it said instead.
    pub(crate) fn try_pop3(&self, account: &str) -> Result<Wire, String> {
        let mut wire = self.connect("pop3");
        wire.pop3(&format!("USER {account}"));
        wire.send(format!("PASS {}\r\n", self.password(account)).as_bytes());
        let said = wire.line();
        if said.starts_with("+OK") { Ok(wire) } else { Err(said) }
    }

    /// An IMAP session after a login.
    pub(crate) fn imap(&self, account: &str) -> Wire {
        let mut wire = self.connect("imap");
        wire.imap(&format!("LOGIN {account} {}", self.password(account)));
        wire
    }

    /// How many messages an account has.
    pub(crate) fn count(&self, account: &str) -> usize {
        let mut pop = self.pop3(account);
        let count = pop.count();
        pop.pop3("QUIT");
        count
    }

    /// All messages of an account, which stay where they are.
    pub(crate) fn mailbox(&self, account: &str) -> Vec<Vec<u8>> {
        let mut pop = self.pop3(account);
        let count = pop.count();
        let messages = (1..=count).map(|n| pop.multiline(&format!("RETR {n}"))).collect();
        pop.pop3("QUIT");
        messages
    }

    /// Waits until an account has this many messages, and returns them.
    pub(crate) fn mailbox_of(&self, account: &str, count: usize) -> Vec<Vec<u8>> {
        until(&format!("{account} has {count} messages"), || self.count(account) == count);
        self.mailbox(account)
    }

    /// Runs a command on this folder.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::by(self.command(words), "")
    }

    /// The same, with this on its standard input.
    pub(crate) fn run_with_input(&self, words: &[&str], input: &str) -> Said {
        Said::by(self.command(words), input)
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said.out
    }

    /// A command on this folder.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = binary();
        command.args(words).arg("--dir").arg(self.dir());
        command
    }

    /// The recipients that wait in the queue, and what is known of each, as JSON.
    pub(crate) fn queue(&self) -> Vec<serde_json::Value> {
        let listed = self.ok(&["queue", "list", "--json"]);
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir().join("log")).unwrap_or_default()).into_owned()
    }

    /// Waits until it has logged this.
    pub(crate) fn logged(&self, text: &str) {
        until(&format!("the log says {text:?}"), || self.log().contains(text));
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(self.process().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A path as the server sees it, where it has a mount namespace of its own.
    pub(crate) fn seen_by_it(&self, path: &Path) -> PathBuf {
        self.process().join("root").join(path.strip_prefix("/").unwrap())
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(self.process().join("fd")).unwrap().count()
    }

    /// How many sockets it has open, those that it listens at among them.
    pub(crate) fn sockets(&self) -> usize {
        let open = fs::read_dir(self.process().join("fd")).unwrap();
        let targets = open.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// From now on it may have this many files open; how many it might before.
    pub(crate) fn allow_files(&self, files: u64) -> u64 {
        let limits = fs::read_to_string(self.process().join("limits")).unwrap();
        let hard = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().nth(4);
        let limit = Rlimit { current: Some(files), maximum: hard.unwrap().parse().ok() };
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        prlimit(Some(pid), Resource::Nofile, limit).unwrap().current.unwrap()
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(self.process().join("task")).unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    fn process(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.as_ref().unwrap().id()))
    }

    /// `kill -9`: nothing is flushed, nobody is told.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                _ = child.kill();
                panic!("it does not end; its log:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.wait().success(), "its log:\n{}", self.log());
    }

    /// It still serves: a message arrives.
    pub(crate) fn assert_alive(&self, account: &str) {
        let before = self.count(account);
        let mut smtp = self.smtp();
        smtp.deliver("still@alive.example", &[account], b"Subject: still alive\r\n\r\nyes\r\n");
        smtp.smtp("QUIT", 221);
        until("it arrives", || self.count(account) == before + 1);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the server's last words:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

/// A free port below those that systems hand out by themselves; no two are equal.
fn quiet_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another run of these tests begins elsewhere.
    let begin = u16::try_from(std::process::id() % 500).unwrap() * 20;
    let mut ports = std::iter::repeat_with(|| 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Runs it to its end.
    pub(crate) fn by(mut command: Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read it may be gone.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs a command to its end.
pub(crate) fn pillarbox(words: &[&str]) -> Said {
    let mut command = binary();
    command.args(words);
    Said::by(command, "")
}

/// The binary.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
    command.env_remove("RUST_LOG");
    command
}
