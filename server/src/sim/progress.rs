//! A line that says how far it is: on a terminal over and over again in the same place, elsewhere now and then.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::print::clean;

/// Time between two of its faces.
const PAUSE: Duration = Duration::from_millis(200);

/// The same where there is no terminal, and each is a line of its own.
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// The line.
pub(super) struct Progress {
    /// When it was drawn last.
    drawn: Mutex<Instant>,
    terminal: bool,
    began: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let began = Instant::now();
        Self { drawn: Mutex::new(began), terminal: io::stderr().is_terminal(), began }
    }

    /// Time since it began.
    pub(super) fn taken(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows this, unless it was just drawn; the words are not made for nothing.
    pub(super) fn show(&self, words: impl FnOnce() -> String) {
        // Whoever finds it being drawn has nothing to add.
        let Ok(mut drawn) = self.drawn.try_lock() else { return };
        if drawn.elapsed() < if self.terminal { PAUSE } else { LONG_PAUSE } {
            return;
        }
        *drawn = Instant::now();
        // Where not even this can be written there is nobody to tell.
        let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let _ = write!(io::stderr().lock(), "{before}{}{after}", clean(&words()));
    }

    /// Takes it away.
    pub(super) fn done(&self) {
        if self.terminal {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}
