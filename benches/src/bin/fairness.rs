//! How long a well-behaved client waits while 100 connections flood a server with garbage and 200 send an octet a second.
//!
//! ```text
//! just fairness
//! cargo build --release -p pillarbox && cargo run --release -p pillarbox-benches --bin fairness
//! ```
//!
//! Three processes: the server, the crowd, and the client that is timed; the machine's cores are theirs to share, and no
//! one is preferred. A client's visit is a message by SMTP and its pick-up by POP3, with a short pause before each command;
//! what is timed is from the command to the end of its answer. Fails when the median of any way to run the server is over
//! 50 ms.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use pillarbox_benches::figures::Figures;
use pillarbox_benches::flood;
use pillarbox_benches::host::{ACCOUNT, Host, PASSWORD, RUNTIMES, Way, binary};
use pillarbox_benches::talk::Talk;
use pillarbox_runtime::raise_open_files;

/// Connections that flood.
const FLOODERS: usize = 100;
/// Connections that dribble.
const DRIBBLERS: usize = 200;
/// A client's median may not be longer.
const BOUND: Duration = Duration::from_millis(50);
/// How long the client thinks before each command.
const THINK: Duration = Duration::from_millis(2);
/// How long the crowd has to gather before anything is timed.
const GATHER: Duration = Duration::from_secs(2);
/// What is timed, but is no command: connecting up to the greeting, and a login, which hashes a password on purpose.
const APART: [&str; 2] = ["connect", "login"];

type Times = BTreeMap<&'static str, Vec<f64>>;

struct Plan {
    binary: PathBuf,
    time: Duration,
    ways: Vec<Way>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, servers)) if first == "--crowd" => crowd(servers).map(|()| true),
        _ => plan(&args).map(|plan| measure(&plan)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fairness: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(args: &[String]) -> io::Result<Plan> {
    let usage = || io::Error::other("usage: fairness [--seconds S] [--runtime R] [--workers N]");
    let (mut time, mut runtimes, mut workers) = (Duration::from_secs(10), RUNTIMES.to_vec(), vec![1, 2]);
    for option in args.chunks(2) {
        let [name, value] = option else { return Err(usage()) };
        match name.as_str() {
            "--seconds" => time = Duration::from_secs(value.parse().map_err(|_| usage())?),
            "--runtime" => runtimes.retain(|runtime| runtime == value),
            "--workers" => workers = vec![value.parse().map_err(|_| usage())?],
            _ => return Err(usage()),
        }
    }
    let ways = workers.iter().flat_map(|&workers| runtimes.iter().map(move |&runtime| Way { runtime, workers }));
    Ok(Plan { binary: binary()?, time, ways: ways.collect() })
}

/// Measures each way, and prints a table of them. `false` when one of them is not fair, or could not be measured.
fn measure(plan: &Plan) -> bool {
    println!("| | alone: median | in the crowd: median | 95 % | longest | to the greeting | login |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut fair = true;
    for &way in &plan.ways {
        match one(plan, way) {
            Ok(median) => fair &= median <= BOUND.as_secs_f64() * 1e3,
            Err(error) => {
                println!("| {way} | failed: {error} | | | | | |");
                fair = false;
            }
        }
    }
    println!(
        "\nMilliseconds a command. The crowd: {FLOODERS} connections flood garbage as fast as the server reads it, {DRIBBLERS} \
         send an octet a second, half of each SMTP and half POP3; who is cut off comes back. Server, crowd and client share \
         {} cores; none has a priority. A median over {} ms fails.",
        thread::available_parallelism().map_or(0, usize::from),
        BOUND.as_millis()
    );
    fair
}

/// One way: its median in the crowd, in milliseconds.
fn one(plan: &Plan, way: Way) -> io::Result<f64> {
    let host = Host::start(&plan.binary, way, 10_000)?;
    let quiet = visits(&host, plan.time / 4)?;
    let mut crowd = Crowd::gather(&host)?;
    thread::sleep(GATHER);
    let begun = (host.cpu()?, Instant::now());
    let busy = visits(&host, plan.time)?;
    let cpu = (host.cpu()? - begun.0).as_secs_f64() / begun.1.elapsed().as_secs_f64() * 100.0;
    let did = crowd.disperse()?;
    host.stop()?;

    let (alone, commands) = (commands(&quiet), commands(&busy));
    let apart = |name| Figures::new(busy.get(name).cloned().unwrap_or_default()).median();
    println!(
        "| {way} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        alone.median(),
        commands.median(),
        commands.rank(0.95),
        commands.rank(1.0),
        apart(APART[0]),
        apart(APART[1]),
    );
    eprintln!("{way}: {} commands timed; the server used {cpu:.0} % of a core; the crowd: {did}", commands.len());
    for (name, times) in &busy {
        let figures = Figures::new(times.clone());
        let (longest, count) = (figures.rank(1.0), figures.len());
        eprintln!("    {name:8} {:7.2} median {longest:8.2} longest, of {count}", figures.median());
    }
    Ok(commands.median())
}

/// The times of all commands together.
fn commands(times: &Times) -> Figures {
    let commands = times.iter().filter(|(name, _)| !APART.contains(name));
    Figures::new(commands.flat_map(|(_, times)| times.iter().copied()).collect())
}

/// Visits until the time is over, and at least one.
fn visits(host: &Host, time: Duration) -> io::Result<Times> {
    let (mut times, begin) = (Times::new(), Instant::now());
    while times.is_empty() || begin.elapsed() < time {
        visit(host, &mut times)?;
    }
    Ok(times)
}

/// A message goes in, is looked at, and is taken away.
fn visit(host: &Host, times: &mut Times) -> io::Result<()> {
    let mut timed = |name, exchange: &mut dyn FnMut() -> io::Result<()>| -> io::Result<()> {
        thread::sleep(THINK);
        let begin = Instant::now();
        exchange().map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        times.entry(name).or_default().push(begin.elapsed().as_secs_f64() * 1e3);
        Ok(())
    };
    let (smtp, pop3) = (host.address("smtp")?, host.address("pop3")?);

    let mut talk = None;
    timed("connect", &mut || talk.insert(Talk::connect(smtp)?).smtp("220"))?;
    let Some(mut talk) = talk else { return Ok(()) };
    let message = format!("Subject: fair\r\n\r\n{}.\r\n", "a line of a message that is not long\r\n".repeat(100));
    for (name, command, code) in [
        ("EHLO", "EHLO client.example\r\n", "250"),
        ("NOOP", "NOOP\r\n", "250"),
        ("MAIL", "MAIL FROM:<client@client.example>\r\n", "250"),
        ("RCPT", &format!("RCPT TO:<{ACCOUNT}>\r\n"), "250"),
        ("DATA", "DATA\r\n", "354"),
        ("message", &message, "250"),
        ("QUIT", "QUIT\r\n", "221"),
    ] {
        timed(name, &mut || talk.say(command.as_bytes()).and_then(|()| talk.smtp(code)))?;
    }

    let mut talk = None;
    timed("connect", &mut || talk.insert(Talk::connect(pop3)?).expect("+OK"))?;
    let Some(mut talk) = talk else { return Ok(()) };
    let login = format!("USER {ACCOUNT}\r\nPASS {PASSWORD}\r\n");
    timed("login", &mut || {
        talk.say(login.as_bytes()).and_then(|()| talk.expect("+OK")).and_then(|()| talk.expect("+OK"))
    })?;
    let line: fn(&mut Talk) -> io::Result<()> = |talk| talk.expect("+OK");
    for (name, command, answer) in [
        ("STAT", "STAT\r\n", line),
        ("LIST", "LIST\r\n", Talk::pop3_lines),
        ("RETR", "RETR 1\r\n", Talk::pop3_lines),
        ("DELE", "DELE 1\r\n", line),
        ("QUIT", "QUIT\r\n", line),
    ] {
        timed(name, &mut || talk.say(command.as_bytes()).and_then(|()| answer(&mut talk)))?;
    }
    Ok(())
}

/// The crowd, in a process of its own; gone when dropped.
struct Crowd(Child);

impl Crowd {
    fn gather(host: &Host) -> io::Result<Self> {
        let servers = [host.address("smtp")?.to_string(), host.address("pop3")?.to_string()];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--crowd").args(servers).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// Ends it; what it did, in words.
    fn disperse(&mut self) -> io::Result<String> {
        drop(self.0.stdin.take());
        let mut did = String::new();
        if let Some(stdout) = &mut self.0.stdout {
            stdout.read_to_string(&mut did)?;
        }
        Ok(did.trim_end().to_owned())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This process is the crowd, until its standard input is closed.
fn crowd(servers: &[String]) -> io::Result<()> {
    raise_open_files(4096);
    let servers: Vec<_> = servers.iter().filter_map(|server| server.parse().ok()).collect();
    let begin = Instant::now();
    let done = flood::begin(&servers, FLOODERS, DRIBBLERS);
    io::stdin().lock().skip_until(b'\n')?;
    let rate = |n: u64| n as f64 / begin.elapsed().as_secs_f64();
    let (connections, octets) = (done.connections.load(Ordering::Relaxed), done.octets.load(Ordering::Relaxed));
    println!("{:.0} connections/s, {:.1} MB/s of garbage", rate(connections), rate(octets) / 1e6);
    Ok(())
}
