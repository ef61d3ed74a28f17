//! Signals, heard on a thread of their own.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT or SIGTERM: to stop.
    Stop,
    /// SIGHUP: to read the configuration again; or the terminal is gone.
    Hangup,
}

/// From now on each signal is given to `hear`.
///
/// # Errors
/// When signals cannot be heard.
pub(crate) fn listen(mut hear: impl FnMut(Signal) + Send + 'static) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(cannot)?;
    let listen = move || {
        for signal in signals.forever() {
            hear(if signal == SIGHUP { Signal::Hangup } else { Signal::Stop });
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(cannot)?;
    Ok(())
}
