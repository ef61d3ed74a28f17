//! Load for a running server: sessions that send message after message, and how many a second were acknowledged.
//!
//! ```text
//! cargo run --release -p pillarbox-benches --bin load -- 127.0.0.1:2525 alice@example.org --sessions 20 --seconds 5 --size 4096
//! ```
//!
//! Every session is a thread that waits for each reply that ends something: what is counted is on the server's disk.
//! Plain sockets and no machine of ours, so that any SMTP server can be measured.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Messages of one session.
const MESSAGES: u64 = 500;

struct Load {
    server: SocketAddr,
    recipient: String,
    sessions: usize,
    seconds: u64,
    size: usize,
}

fn main() -> ExitCode {
    let Some(load) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: load SERVER RECIPIENT [--sessions N] [--seconds S] [--size BYTES]");
        return ExitCode::from(2);
    };
    match run(&Arc::new(load)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Load> {
    let (server, recipient) = (args.next()?.parse().ok()?, args.next()?);
    let mut load = Load { server, recipient, sessions: 1, seconds: 5, size: 4096 };
    while let Some(option) = args.next() {
        let value = args.next()?;
        match option.as_str() {
            "--sessions" => load.sessions = value.parse().ok()?,
            "--seconds" => load.seconds = value.parse().ok()?,
            "--size" => load.size = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(load)
}

fn run(load: &Arc<Load>) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let begin = Instant::now();
    let workers: Vec<_> = (0..load.sessions)
        .map(|_| {
            let mut session = Session::open(load)?;
            let stop = Arc::clone(&stop);
            let load = Arc::clone(load);
            Ok(thread::spawn(move || session.send_until(&load, &stop)))
        })
        .collect::<io::Result<_>>()?;
    thread::sleep(Duration::from_secs(load.seconds));
    stop.store(true, Ordering::Relaxed);
    let mut messages = 0;
    for worker in workers {
        messages += worker.join().map_err(|_| io::Error::other("a session panicked"))??;
    }
    let rate = messages as f64 / begin.elapsed().as_secs_f64();
    println!("{} sessions, {} octets: {messages} messages, {rate:.0}/s", load.sessions, load.size);
    Ok(())
}

struct Session {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    envelope: String,
    message: String,
    line: String,
}

impl Session {
    fn open(load: &Load) -> io::Result<Self> {
        let writer = TcpStream::connect(load.server)?;
        writer.set_nodelay(true)?;
        let line = format!("{}\r\n", "x".repeat(70));
        let message = format!("Subject: load\r\n\r\n{}.\r\n", line.repeat(load.size / line.len()));
        let envelope = format!("MAIL FROM:<load@load.example>\r\nRCPT TO:<{}>\r\nDATA\r\n", load.recipient);
        let reader = BufReader::new(writer.try_clone()?);
        let mut session = Self { reader, writer, envelope, message, line: String::new() };
        session.expect("220")?;
        session.writer.write_all(b"EHLO load.example\r\n")?;
        session.expect("250")?;
        Ok(session)
    }

    /// Sends until told to stop; how many were acknowledged. Servers end a session after so many messages, so it is
    /// opened again now and then.
    fn send_until(&mut self, load: &Load, stop: &AtomicBool) -> io::Result<u64> {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            if sent > 0 && sent % MESSAGES == 0 {
                *self = Self::open(load)?;
            }
            self.writer.write_all(self.envelope.as_bytes())?;
            for expected in ["250", "250", "354"] {
                self.expect(expected)?;
            }
            self.writer.write_all(self.message.as_bytes())?;
            self.expect("250")?;
            sent += 1;
        }
        Ok(sent)
    }

    fn expect(&mut self, code: &str) -> io::Result<()> {
        loop {
            self.line.clear();
            if self.reader.read_line(&mut self.line)? == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            if !self.line.starts_with(code) {
                return Err(io::Error::other(format!("expected {code}, the server said {}", self.line.trim_end())));
            }
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
