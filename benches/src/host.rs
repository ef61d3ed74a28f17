//! A Pillarbox of one's own: its release binary in a temporary folder, and what it costs, seen from outside.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The account that mail is sent to.
pub const ACCOUNT: &str = "alice@example.org";
/// Its password.
pub const PASSWORD: &str = "secret";

/// The runtimes that the server may have, in the order of tables.
pub const RUNTIMES: [&str; 3] = ["tokio", "smol", "blocking"];

/// How often memory is looked at until it is at rest.
const GLANCE: Duration = Duration::from_millis(100);
/// A change of memory in kB that is none.
const STILL: f64 = 64.0;

/// How a server is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// On which runtime.
    pub runtime: &'static str,
    /// On how many threads that serve connections.
    pub workers: usize,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} worker{}", self.runtime, self.workers, if self.workers == 1 { "" } else { "s" })
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Host {
    child: Child,
    ready: String,
    folder: TempDir,
}

impl Host {
    /// Starts one that lets in `connections` from this machine. Its log is read by nobody: that must not matter.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) when the binary refused, with its word.
    pub fn start(binary: &Path, way: Way, connections: usize) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = path(&folder)?;
        run(binary, &["quickstart", "--dir", &at, "--domain", "example.org", "--account", "alice", "--loopback"], "")?;
        configure(&folder.path().join("mail/pillarbox.toml"), way, connections)?;
        run(binary, &["account", "passwd", ACCOUNT, "--password-stdin", "--dir", &at], PASSWORD)?;
        let (child, ready) = serve(binary, &at)?;
        Ok(Self { child, ready, folder })
    }

    /// Stops it, and starts it another way over what it has.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn again(&mut self, binary: &Path, way: Way, connections: usize) -> io::Result<()> {
        self.end()?;
        configure(&self.folder.path().join("mail/pillarbox.toml"), way, connections)?;
        (self.child, self.ready) = serve(binary, &path(&self.folder)?)?;
        Ok(())
    }

    /// Where a listener is, by its name in the ready line.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn address(&self, name: &str) -> io::Result<SocketAddr> {
        let mut listeners = self.ready.split_whitespace().filter_map(|word| word.split_once('='));
        let found = listeners.find(|(other, _)| *other == name).and_then(|(_, address)| address.parse().ok());
        found.ok_or_else(|| io::Error::other(format!("no listener {name} in {:?}", self.ready)))
    }

    /// Processor time that it has used so far, in user and system mode, all threads together.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        // The name in brackets may hold anything; behind it, user and system time are the 12th and 13th field.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: Vec<u64> =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        let [user, system] = ticks[..] else { return Err(io::Error::other(format!("{stat:?} cannot be read"))) };
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Duration::from_secs_f64((user + system) as f64 / a_second))
    }

    /// Memory that it holds in kB: its proportional set size.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory(&self) -> io::Result<f64> {
        let rollup = fs::read_to_string(self.proc("smaps_rollup"))?;
        let pss =
            rollup.lines().find_map(|line| line.strip_prefix("Pss:")).and_then(|rest| rest.split_whitespace().next());
        pss.and_then(|pss| pss.parse().ok()).ok_or_else(|| io::Error::other("smaps_rollup shows no Pss"))
    }

    /// The same, when it has not changed for a while: a server that has just begun fills things ahead in the background.
    ///
    /// # Errors
    /// When it is gone, or does not come to rest.
    pub fn memory_at_rest(&self) -> io::Result<f64> {
        let mut last = self.memory()?;
        let mut still = 0;
        for _ in 0..100 {
            thread::sleep(GLANCE);
            let now = self.memory()?;
            still = if (now - last).abs() < STILL { still + 1 } else { 0 };
            if still == 5 {
                return Ok(now);
            }
            last = now;
        }
        Err(io::Error::other("its memory does not come to rest"))
    }

    /// Its open files.
    ///
    /// # Errors
    /// When it is gone.
    pub fn files(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    /// Stops it by SIGTERM.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the server ended with {status}"))) }
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // After `stop` there is nobody to kill any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The release binary beside this program.
///
/// # Errors
/// When it was not built.
pub fn binary() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("pillarbox");
    if path.exists() {
        return Ok(path);
    }
    Err(io::Error::other(format!("{} is not there: cargo build --release -p pillarbox", path.display())))
}

/// Where the server's folder is.
fn path(folder: &TempDir) -> io::Result<String> {
    let at = folder.path().join("mail").to_str().map(str::to_owned);
    at.ok_or_else(|| io::Error::other("the temporary folder has no name in UTF-8"))
}

/// Starts the server, and returns its ready line.
fn serve(binary: &Path, at: &str) -> io::Result<(Child, String)> {
    let mut child = Command::new(binary)
        .args(["serve", "--dir", at])
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut ready = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut ready)?;
    }
    if ready.starts_with("ready ") {
        return Ok((child, ready));
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    child.wait()?;
    Err(refusal(&said))
}

/// Runs a command of the binary to its end.
fn run(binary: &Path, args: &[&str], input: &str) -> io::Result<()> {
    let mut command = Command::new(binary);
    let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(()) } else { Err(refusal(&String::from_utf8_lossy(&output.stderr))) }
}

/// Puts the way into the configuration, any free ports, and limits that a crowd from one address does not meet.
fn configure(file: &Path, way: Way, connections: usize) -> io::Result<()> {
    let mut new = String::new();
    for line in fs::read_to_string(file)?.lines() {
        // Writing to a string does not fail.
        let _ = match line.split(" = ").next() {
            Some("kind") => writeln!(new, "kind = {:?}", way.runtime),
            Some("workers") => writeln!(new, "workers = {}", way.workers),
            Some("bind") => writeln!(new, "bind = \"127.0.0.1:0\""),
            // Nobody is asked in earnest.
            Some("servers") => writeln!(new, "servers = [\"127.0.0.1:1\"]"),
            // Once, however often it is configured.
            Some("connections_per_address") => Ok(()),
            _ if line == "[limits]" => writeln!(new, "[limits]\nconnections_per_address = {connections}"),
            _ => writeln!(new, "{line}"),
        };
    }
    fs::write(file, new)
}

/// The binary does not want to: its last word, as an error of a kind of its own.
fn refusal(said: &str) -> io::Error {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    // Where the temporary folder was is nobody's concern.
    let last = last.rsplit_once("pillarbox.toml:").map_or(last, |(_, problem)| problem);
    io::Error::new(io::ErrorKind::Unsupported, last.to_owned())
}
