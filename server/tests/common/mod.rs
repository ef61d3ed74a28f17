//! The real server as a process of its own in a temporary folder, and clients that are no more than a socket.

#![allow(dead_code)]

pub(crate) mod message;
pub(crate) mod names;
pub(crate) mod sink;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wire::Wire;

/// How long anything that should happen may take, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server's folder, and the server while it runs. Dropping it kills the server and removes the folder.
pub(crate) struct Server {
    folder: TempDir,
    child: Option<Child>,
    addresses: BTreeMap<String, SocketAddr>,
    passwords: BTreeMap<String, String>,
}

impl Server {
    /// A running server for `domain`, made by `quickstart`, on free ports, with `extra` at its configuration's end.
    pub(crate) fn start(domain: &str, accounts: &[&str], extra: &str) -> Self {
        Self::start_in(&std::env::temp_dir(), domain, accounts, extra)
    }

    /// The same, with its folder inside this one.
    pub(crate) fn start_in(place: &Path, domain: &str, accounts: &[&str], extra: &str) -> Self {
        let mut server = Self::make_in(place, domain, accounts, extra);
        server.serve();
        server
    }

    /// The folder alone: nothing runs yet.
    pub(crate) fn make(domain: &str, accounts: &[&str], extra: &str) -> Self {
        Self::make_in(&std::env::temp_dir(), domain, accounts, extra)
    }

    fn make_in(place: &Path, domain: &str, accounts: &[&str], extra: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("pillarbox-test-").tempdir_in(place).unwrap();
        let mut quickstart = pillarbox();
        quickstart.args(["quickstart", "--loopback", "--domain", domain, "--dir"]).arg(folder.path());
        for account in accounts {
            quickstart.args(["--account", account]);
        }
        let told = text_of(&quickstart.output().unwrap());
        let passwords = told.lines().filter_map(|line| {
            let (address, password) = line.trim().split_once("  ")?;
            address.contains('@').then(|| (address.to_owned(), password.to_owned()))
        });
        let passwords: BTreeMap<_, _> = passwords.collect();
        assert_eq!(passwords.len(), accounts.len(), "quickstart told: {told}");
        let server = Self { passwords, folder, child: None, addresses: BTreeMap::new() };
        server.configure(|text| {
            let lines = text.lines().map(|line| match line.starts_with("bind = ") {
                true => "bind = \"127.0.0.1:0\"",
                false => line,
            });
            lines.collect::<Vec<_>>().join("\n") + "\n" + extra
        });
        server
    }

    /// Changes the configuration file; a running server does not look.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let file = self.dir().join("pillarbox.toml");
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    }

    /// Starts the server, and waits for its ready line.
    pub(crate) fn serve(&mut self) {
        self.begin(None);
    }

    /// The same in a mount namespace of its own, after this script, whose `$0` is the folder.
    pub(crate) fn serve_after(&mut self, script: &str) {
        self.begin(Some(script));
    }

    fn begin(&mut self, before: Option<&str>) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.dir().join("log")).unwrap();
        let mut serve = match before {
            None => pillarbox(),
            // The shell becomes the server: the process id stays.
            Some(script) => {
                let mut shell = Command::new("unshare");
                shell.args(["-m", "sh", "-c", &format!("{script} && exec \"$@\"")]).arg(self.dir());
                shell.arg(env!("CARGO_BIN_EXE_pillarbox"));
                shell
            }
        };
        serve.arg("serve").arg("--dir").arg(self.dir()).stdout(Stdio::piped()).stderr(log).stdin(Stdio::null());
        let mut child = serve.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        self.child = Some(child);
        let Some(listeners) = ready.strip_prefix("ready ") else {
            panic!("no ready line but {ready:?}; its log:\n{}", self.log());
        };
        let pairs = listeners.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        self.addresses = pairs.map(|(name, address)| (name.to_owned(), address.parse().unwrap())).collect();
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// Where a listener is, by its name in the ready line.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        *self.addresses.get(name).unwrap_or_else(|| panic!("no listener {name}: {:?}", self.addresses))
    }

    /// All listeners.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.addresses.iter().map(|(name, address)| (name.as_str(), *address))
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
        let mut wire = self.connect("pop3");
        wire.pop3(&format!("USER {account}"));
        wire.pop3(&format!("PASS {}", self.password(account)));
        wire
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
        until(&format!("{account} has {count} messages"), || {
            let mut pop = self.pop3(account);
            let there = pop.count();
            pop.pop3("QUIT");
            there == count
        });
        self.mailbox(account)
    }

    /// Runs a command on this folder.
    pub(crate) fn command(&self, words: &[&str]) -> Output {
        pillarbox().args(words).arg("--dir").arg(self.dir()).stdin(Stdio::null()).output().unwrap()
    }

    /// The recipients that wait in the queue, and what is known of each, as JSON.
    pub(crate) fn queue(&self) -> Vec<serde_json::Value> {
        let listed = text_of(&self.command(&["queue", "list", "--json"]));
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir().join("log")).unwrap_or_default()).into_owned()
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// A path as the server sees it, where it has a mount namespace of its own.
    pub(crate) fn seen_by_it(&self, path: &Path) -> PathBuf {
        let pid = self.child.as_ref().unwrap().id();
        PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap())
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        let pid = self.child.as_ref().unwrap().id();
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    fn status(&self, key: &str) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// `kill -9`: nothing is flushed, nobody is told.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
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
        self.signal(rustix::process::Signal::TERM);
        assert!(self.wait().success(), "its log:\n{}", self.log());
    }

    /// It still serves: a message arrives.
    pub(crate) fn assert_alive(&self, account: &str) {
        let before = {
            let mut pop = self.pop3(account);
            let count = pop.count();
            pop.pop3("QUIT");
            count
        };
        let mut smtp = self.smtp();
        smtp.deliver("still@alive.example", &[account], b"Subject: still alive\r\n\r\nyes\r\n");
        smtp.smtp("QUIT", 221);
        until("it arrives", || {
            let mut pop = self.pop3(account);
            let count = pop.count();
            pop.pop3("QUIT");
            count == before + 1
        });
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

/// The command.
pub(crate) fn pillarbox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
    command.env_remove("RUST_LOG");
    command
}

/// What a command said, which must have succeeded.
pub(crate) fn text_of(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Looks until it is so.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
