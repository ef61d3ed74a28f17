//! Ctrl-C, and whatever else ends a process politely: the play stops where it waits, and cleans up. A second one cleans up
//! at once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::ears::{Heard, Mouth};
use crate::failure::Failure;
use crate::signals;

/// What a second signal removes, once it is there.
static SCENERY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// How often that is tried.
const REMOVALS: usize = 100;

/// As a shell reports a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// From now on signals are heard.
///
/// # Errors
/// When they cannot be.
pub(super) fn listen(mouth: Mouth) -> Result<(), Failure> {
    let mut again = false;
    signals::listen(move |_| {
        if again {
            leave();
        }
        mouth.tell(Heard::Interrupted);
        again = true;
    })
}

/// This is to be removed.
pub(super) fn guard(dir: &Path) {
    scenery().replace(dir.to_owned());
}

/// Removes it, and ends the process.
fn leave() -> ! {
    if let Some(dir) = scenery().take() {
        // The servers may be writing there still.
        let _ = (0..REMOVALS).find(|_| std::fs::remove_dir_all(&dir).is_ok() || !dir.exists());
    }
    std::process::exit(INTERRUPTED);
}

fn scenery() -> std::sync::MutexGuard<'static, Option<PathBuf>> {
    SCENERY.lock().unwrap_or_else(PoisonError::into_inner)
}
