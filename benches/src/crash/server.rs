//! A server that is killed and started again, always at the same ports.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::host::Way;
use crate::talk::Talk;

/// The accounts of its domain, example.org.
pub const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "dora"];
/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server's folder, and the server while it runs; killed when dropped.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    way: Way,
    dir: PathBuf,
    log: PathBuf,
    passwords: BTreeMap<String, String>,
    addresses: BTreeMap<String, SocketAddr>,
    /// Its syncs do nothing.
    careless: bool,
    child: Option<Child>,
}

impl Server {
    /// Makes a server in `dir`, which sends mail for remote.example to `sink`. Nothing runs yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(binary: &Path, way: Way, dir: PathBuf, log: PathBuf, sink: SocketAddr) -> io::Result<Self> {
        let mut server = Self {
            binary: binary.to_owned(),
            way,
            dir,
            log,
            passwords: BTreeMap::new(),
            addresses: BTreeMap::new(),
            careless: false,
            child: None,
        };
        let mut quickstart = vec!["quickstart", "--loopback", "--domain", "example.org"];
        ACCOUNTS.iter().for_each(|account| quickstart.extend(["--account", account]));
        let told = server.run(&quickstart)?;
        let passwords = told.lines().filter_map(|line| line.trim().split_once("  "));
        let passwords = passwords.filter(|(address, _)| address.contains('@'));
        server.passwords = passwords.map(|(address, password)| (address.to_owned(), password.to_owned())).collect();
        let file = server.dir.join("pillarbox.toml");
        let lines = fs::read_to_string(&file)?;
        let lines = lines.lines().map(|line| match line {
            bind if bind.starts_with("bind = ") => format!("bind = \"127.0.0.1:{}\"", quiet_port()),
            // Nobody is asked in earnest.
            "servers = []" => "servers = [\"127.0.0.1:1\"]".to_owned(),
            line => line.to_owned(),
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        fs::write(&file, format!("{lines}\n\n[[route]]\ndomain = \"remote.example\"\nto = \"smtp://{sink}\"\n"))?;
        Ok(server)
    }

    /// From its next start on its syncs succeed, and do nothing.
    pub fn be_careless(&mut self) {
        self.careless = true;
    }

    /// Starts it. How long it takes until SMTP, POP3 and IMAP have each greeted somebody.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn serve(&mut self) -> io::Result<Duration> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        // Whatever ends this program ends the server, too.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if self.careless {
            let syncs = "inject=fsync,fdatasync,sync_file_range,msync,syncfs,sync:retval=0";
            command.args(["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", syncs, "--"]);
        }
        command.arg(&self.binary).arg("serve").arg("--dir").arg(&self.dir).env("RUST_LOG", "warn");
        command.args(["--runtime", self.way.runtime, "--workers", &self.way.workers.to_string()]);
        let begin = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take();
        self.child = Some(child);
        if self.addresses.is_empty() {
            let mut ready = String::new();
            if let Some(stdout) = stdout {
                BufReader::new(stdout).read_line(&mut ready)?;
            }
            let words = ready.split_whitespace().filter_map(|word| word.split_once('='));
            self.addresses =
                words.filter_map(|(name, address)| Some((name.to_owned(), address.parse().ok()?))).collect();
        }
        for name in ["smtp", "pop3", "imap"] {
            self.greeted(name, begin)?;
        }
        Ok(begin.elapsed())
    }

    /// Waits for a greeting.
    fn greeted(&mut self, name: &str, begin: Instant) -> io::Result<()> {
        let at = self.address(name)?;
        loop {
            if let Ok(mut stream) = TcpStream::connect(at)
                && stream.read(&mut [0; 64]).is_ok_and(|read| read > 0)
            {
                return Ok(());
            }
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => true,
            };
            if ended || begin.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("it does not serve; its log ends: {}", self.last_words())));
            }
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }

    /// Where a listener is.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn address(&self, name: &str) -> io::Result<SocketAddr> {
        self.addresses.get(name).copied().ok_or_else(|| {
            io::Error::other(format!("no listener {name}; the log of the server ends: {}", self.last_words()))
        })
    }

    /// A submission session of alice after her login.
    ///
    /// # Errors
    /// When she is not let in.
    pub fn submission(&self) -> io::Result<Talk> {
        let mut talk = Talk::connect(self.address("submission")?)?;
        talk.smtp("220")?;
        talk.say(b"EHLO client.example\r\n")?;
        talk.smtp("250")?;
        let plain = base64(format!("\0alice@example.org\0{}", self.password("alice")).as_bytes());
        talk.say(format!("AUTH PLAIN {plain}\r\n").as_bytes())?;
        talk.smtp("235")?;
        Ok(talk)
    }

    /// A POP3 session after the login.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn pop3(&self, account: &str) -> io::Result<Talk> {
        let mut talk = Talk::connect(self.address("pop3")?)?;
        talk.expect("+OK")?;
        talk.say(format!("USER {account}@example.org\r\n").as_bytes())?;
        talk.expect("+OK")?;
        talk.say(format!("PASS {}\r\n", self.password(account)).as_bytes())?;
        talk.expect("+OK")?;
        Ok(talk)
    }

    /// An IMAP session after the login.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn imap(&self, account: &str) -> io::Result<Talk> {
        let mut talk = Talk::connect(self.address("imap")?)?;
        talk.expect("* OK")?;
        talk.imap(&format!("LOGIN {account}@example.org {}", self.password(account)))?;
        Ok(talk)
    }

    fn password(&self, account: &str) -> &str {
        self.passwords.get(&format!("{account}@example.org")).map_or("", String::as_str)
    }

    /// The local parts of recipients that wait in the queue, and the ids of their rows.
    ///
    /// # Errors
    /// When the server does not say.
    pub fn queue(&self) -> io::Result<Vec<(String, String)>> {
        let listed = self.run(&["queue", "list", "--json"])?;
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let word = |name: &str| row[name].as_str().map(str::to_owned);
            let found = word("to").zip(word("id")).ok_or_else(|| io::Error::other(format!("no row: {line}")))?;
            Ok((found.0.split('@').next().unwrap_or_default().to_owned(), found.1))
        };
        listed.lines().map(row).collect()
    }

    /// Has these rows of the queue tried now.
    ///
    /// # Errors
    /// When the server does not want to.
    pub fn retry(&self, ids: &[String]) -> io::Result<()> {
        let mut words = vec!["queue", "retry"];
        words.extend(ids.iter().map(String::as_str));
        // One may be delivered before it is asked for.
        match self.run(&words) {
            Err(error) if !error.to_string().contains("not in the queue") => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs a command of the binary on this folder to its end, and gives what it printed.
    fn run(&self, words: &[&str]) -> io::Result<String> {
        let output =
            Command::new(&self.binary).args(words).arg("--dir").arg(&self.dir).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let word = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("{}: {}", words.join(" "), word.trim())));
        }
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }

    /// `kill -9`: nothing is flushed, nobody is told.
    ///
    /// # Errors
    /// When there is nobody to kill.
    pub fn crash(&self) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        let id = child.id();
        // Where strace is between, it ends with the server.
        let servers =
            if self.careless { fs::read_to_string(format!("/proc/{id}/task/{id}/children"))? } else { id.to_string() };
        for server in servers.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
            kill_process(server, Signal::KILL)?;
        }
        Ok(())
    }

    /// The same, and it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> io::Result<()> {
        // It may have ended by itself, and is still to be waited for.
        let _ = self.crash();
        match self.child.take() {
            Some(mut child) => child.wait().map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A free port below those that systems hand out by themselves; no two are equal.
fn quiet_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another run begins elsewhere.
    let begin = (std::process::id() % 500) as u16 * 20;
    loop {
        let port = 20_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, n| word << 8 | u32::from(piece.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= piece.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
