//! Load for a running server: sessions that send message after message, and how many a second were acknowledged.
//!
//! ```text
//! cargo run --release -p pillarbox-benches --bin load -- 127.0.0.1:2525 alice@example.org --sessions 20 --seconds 5 --size 4096
//! ```
//!
//! Any SMTP server can be measured.

use std::process::ExitCode;
use std::time::Duration;

use pillarbox_benches::load::Load;

fn main() -> ExitCode {
    let Some(load) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: load SERVER RECIPIENT [--sessions N] [--seconds S] [--size BYTES]");
        return ExitCode::from(2);
    };
    match load.run() {
        Ok(sent) => {
            let (messages, rate) = (sent.messages, sent.rate());
            println!("{} sessions, {} octets: {messages} messages, {rate:.0}/s", load.sessions, load.size);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Load> {
    let (server, recipient) = (args.next()?.parse().ok()?, args.next()?);
    let mut load = Load { server, recipient, sessions: 1, time: Duration::from_secs(5), size: 4096 };
    while let Some(option) = args.next() {
        let value = args.next()?;
        match option.as_str() {
            "--sessions" => load.sessions = value.parse().ok()?,
            "--seconds" => load.time = Duration::from_secs(value.parse().ok()?),
            "--size" => load.size = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(load)
}
