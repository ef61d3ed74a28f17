//! A line that says how far it is, over and over again in the same place; on a terminal and nowhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::print::clean;

/// Time between two of its faces.
const PAUSE: Duration = Duration::from_millis(200);

/// The line.
pub(super) struct Progress {
    /// When it was drawn last; nothing where there is no terminal.
    drawn: Option<Mutex<Instant>>,
    began: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let began = Instant::now();
        let drawn = io::stderr().is_terminal().then(|| Mutex::new(began));
        Self { drawn, began }
    }

    /// Time since it began.
    pub(super) fn taken(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows this, unless it was just drawn; the words are not made for nothing.
    pub(super) fn show(&self, words: impl FnOnce() -> String) {
        // Whoever finds it being drawn has nothing to add.
        let Some(Ok(mut drawn)) = self.drawn.as_ref().map(Mutex::try_lock) else { return };
        if drawn.elapsed() < PAUSE {
            return;
        }
        *drawn = Instant::now();
        // Where not even this can be written there is nobody to tell.
        let _ = write!(io::stderr().lock(), "\r\x1b[K{}", clean(&words()));
    }

    /// Takes it away.
    pub(super) fn done(&self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}
