//! What turns the crank: which runtime, and on how many threads.

use std::fmt;
use std::num::NonZeroU16;
use std::thread::available_parallelism;

use clap::{Args, ValueEnum};

use super::Config;

/// As many as one store has parts for.
pub(super) const MOST_WORKERS: u16 = pillarbox_core::node::Share::MOST;

/// A runtime that the server can run on. All of them turn the same machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// A tokio executor on each worker's thread
    Tokio,
    /// A smol executor on each worker's thread
    Smol,
    /// An event loop on each worker's thread, and no async at all
    Blocking,
}

impl Runtime {
    /// All there are, as the configuration names them.
    pub(super) const WORDS: [(&str, Self); 3] =
        [("tokio", Self::Tokio), ("smol", Self::Smol), ("blocking", Self::Blocking)];
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, runtime)| runtime == self);
        f.write_str(word.map_or("", |(word, _)| *word))
    }
}

/// Threads that serve connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// One for each core that this process may use.
    OneACore,
    /// So many.
    Exactly(NonZeroU16),
}

impl Workers {
    /// As it is written: 0 is one a core.
    pub(super) fn new(number: u16) -> Self {
        NonZeroU16::new(number).map_or(Self::OneACore, Self::Exactly)
    }

    /// How many that are on this machine; at least one.
    pub(crate) fn count(self) -> u16 {
        match self {
            Self::Exactly(number) => number.get(),
            Self::OneACore => {
                let cores = available_parallelism().map_or(1, |cores| cores.get());
                u16::try_from(cores).unwrap_or(MOST_WORKERS).min(MOST_WORKERS)
            }
        }
    }
}

/// The same on the command line, where it goes before what the file says.
#[derive(Args, Clone, Copy)]
pub(crate) struct RuntimeArgs {
    /// Run on this runtime, whatever the configuration says
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<Runtime>,
    /// Serve connections on so many threads, whatever the configuration says; 0: one a core
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = workers)]
    workers: Option<u16>,
}

impl RuntimeArgs {
    /// The configuration with what was said on the command line.
    pub(crate) fn over(self, config: Config) -> Config {
        Config {
            runtime: self.runtime.unwrap_or(config.runtime),
            workers: self.workers.map_or(config.workers, Workers::new),
            ..config
        }
    }
}

fn workers(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| *number <= MOST_WORKERS);
    number.ok_or_else(|| format!("it is a number from 0 to {MOST_WORKERS}"))
}
