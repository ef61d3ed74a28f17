//! Ctrl-C, and whatever else ends a process politely: the play stops where it waits, and cleans up. A second one cleans up
//! at once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ears::{Heard, Mouth};
use crate::failure::Failure;

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
    let cannot = |error: std::io::Error| Failure::new(format!("cannot wait for signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    // Registered before the first one can come.
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        let on = |kind| signal(kind).map_err(cannot);
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?)
    };
    let listen = move || {
        runtime.block_on(any(&mut interrupt, &mut terminate, &mut hangup));
        mouth.tell(Heard::Interrupted);
        runtime.block_on(any(&mut interrupt, &mut terminate, &mut hangup));
        if let Some(dir) = scenery().take() {
            // The servers may be writing there still.
            let _ = (0..REMOVALS).find(|_| std::fs::remove_dir_all(&dir).is_ok() || !dir.exists());
        }
        std::process::exit(INTERRUPTED);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(cannot)?;
    Ok(())
}

/// This is to be removed.
pub(super) fn guard(dir: &Path) {
    scenery().replace(dir.to_owned());
}

fn scenery() -> std::sync::MutexGuard<'static, Option<PathBuf>> {
    SCENERY.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal, hangup: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
