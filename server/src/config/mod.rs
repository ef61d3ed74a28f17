//! The configuration: `pillarbox.toml`, checked, in the shape that an instance wants.

mod check;
mod runtime;
#[cfg(test)]
mod tests;
mod toml;
mod units;

pub(crate) use self::check::{domain, hostname};
pub(crate) use self::runtime::{Runtime, RuntimeArgs, Workers};

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::node::{Cleartext, Protocol, TlsMode};
use pillarbox_core::router::Route;
use pillarbox_core::tls::TlsFactory;

use crate::failure::Failure;

/// The file's name in its folder.
pub(crate) const FILE: &str = "pillarbox.toml";

/// What the file says, checked.
#[derive(Clone)]
pub(crate) struct Config {
    /// The file, for messages.
    pub(crate) file: PathBuf,
    /// Our name.
    pub(crate) hostname: String,
    /// The domains whose mailboxes are here, in lower case; at least one.
    pub(crate) domains: Vec<String>,
    /// The folder of mail and control socket.
    pub(crate) data: PathBuf,
    /// Whether an index is kept for searches.
    pub(crate) search_index: bool,
    /// What it runs on.
    pub(crate) runtime: Runtime,
    /// On how many threads.
    pub(crate) workers: Workers,
    /// At least one.
    pub(crate) listeners: Vec<Listener>,
    /// The server's side of TLS, if there is a certificate.
    pub(crate) tls: Option<Arc<dyn TlsFactory>>,
    /// May a password cross an unencrypted connection.
    pub(crate) cleartext: Cleartext,
    /// DNS servers; empty: the system's.
    pub(crate) dns: Vec<SocketAddr>,
    /// How mail goes out.
    pub(crate) delivery: Delivery,
    /// Where domains go instead of their MX.
    pub(crate) routes: Vec<Route>,
    /// Bounds.
    pub(crate) limits: Limits,
}

/// Where something is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// What.
    pub(crate) protocol: Protocol,
    /// Where.
    pub(crate) bind: SocketAddr,
    /// Whether TLS is there.
    pub(crate) tls: TlsMode,
    /// Capabilities of IMAP that are not announced there.
    pub(crate) without: BTreeSet<String>,
    /// Its `bind`'s line in the file, for messages.
    pub(crate) line: usize,
}

/// How mail goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The port that other servers' SMTP is reached on.
    pub(crate) port: u16,
    /// Waits between attempts; the last repeats; at least one.
    pub(crate) retry: Vec<Duration>,
    /// When a message is given up.
    pub(crate) expire_after: Duration,
}

/// Bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Largest message in bytes.
    pub(crate) message_size: u64,
    /// Recipients of one message.
    pub(crate) recipients: usize,
    /// Connections at one time.
    pub(crate) connections: usize,
    /// Connections at one time from one address.
    pub(crate) connections_per_address: usize,
}

impl Config {
    /// Reads and checks `dir`'s file.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line each, with file and line.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        let file = dir.join(FILE);
        let text = std::fs::read_to_string(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(format!(
                "there is no {}: is --dir right? `pillarbox quickstart --dir DIR …` makes a new one",
                file.display()
            )),
            std::io::ErrorKind::InvalidData => Failure::new(format!("{}: this is not UTF-8 text", file.display())),
            _ => Failure::new(format!("cannot read {}: {error}", file.display())),
        })?;
        Self::parse(dir, &text).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(|problem| format!("{}:{problem}", file.display())).collect();
            Failure::places(&lines)
        })
    }

    /// Checks the text of a file that is, or would be, in `dir`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the lines.
    pub(crate) fn parse(dir: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let source = toml::Source::new(text);
        let config = check::config(dir, &source);
        let mut problems = source.into_problems();
        problems.sort_by_key(|problem| problem.line);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }
}

/// Something is wrong at this line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What, and what to do.
    pub(crate) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}
