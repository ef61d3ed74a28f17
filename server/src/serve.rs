//! `serve`: runs an instance until a signal, then drains it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::config::{Config, RuntimeArgs};
use crate::failure::Failure;
use crate::instance::{Instance, Options, node_config};
use crate::log::{self, EventLog};
use crate::signals::{self, Signal};
use crate::{notify, print};

/// How long sessions may go on after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves `dir` until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot begin, or had to stop.
pub(crate) fn serve(dir: &Path, runtime: RuntimeArgs) -> Result<(), Failure> {
    let config = runtime.over(Config::read(dir)?);
    let log = log::start()?;
    let served = run(dir, config, runtime);
    // After a second signal the instance is still at work, and nobody waits for it.
    log.flush();
    served
}

/// What happens to a server.
enum Happened {
    Signal(Signal),
    Ended(Result<(), Failure>),
}

fn run(dir: &Path, mut config: Config, runtime: RuntimeArgs) -> Result<(), Failure> {
    let (tell, hear) = channel();
    // Before anything is begun, so that a signal always finds somebody. Who is gone has stopped.
    let told = tell.clone();
    signals::listen(move |signal| _ = told.send(Happened::Signal(signal)))?;
    let options = Options { events: Arc::new(EventLog), tap: None, store: pillarbox_store::Options::default() };
    let instance = Instance::start(&config, options)?;
    announce(&config, &instance);

    let handle = instance.handle.clone();
    thread::Builder::new()
        .name("join".to_owned())
        .spawn(move || tell.send(Happened::Ended(instance.join())))
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    let mut draining = false;
    for happened in hear {
        match happened {
            Happened::Ended(ended) => {
                tracing::info!("stopped");
                return ended;
            }
            Happened::Signal(Signal::Stop) if draining => {
                return Err(Failure::new("stopped at once by a second signal"));
            }
            Happened::Signal(Signal::Stop) => {
                draining = true;
                tracing::info!(
                    "stopping: sessions under way have {} s; a second signal stops at once",
                    GRACE.as_secs()
                );
                notify::state("STOPPING=1");
                handle.drain(GRACE);
            }
            Happened::Signal(Signal::Hangup) => match reload(dir, runtime, &config) {
                Ok(new) => {
                    handle.reload(&Arc::new(node_config(&new, None)));
                    tracing::info!("read {} again", new.file.display());
                    config = new;
                }
                Err(failure) => tracing::error!("went on with the old configuration: {failure}"),
            },
        }
    }
    Err(Failure::new("the server failed: nobody tells how it ended; please report this"))
}

/// Says that it is ready, to whoever started it.
fn announce(config: &Config, instance: &Instance) {
    for (name, address) in &instance.addresses {
        tracing::info!("{name} on {address}");
    }
    tracing::info!("runtime {}, workers {}", config.runtime, config.workers.count());
    let ready: Vec<_> = instance.addresses.iter().map(|(name, address)| format!("{name}={address}")).collect();
    let told = print::line(format_args!("ready {}", ready.join(" "))).and_then(|()| print::flush());
    if let Err(failure) = told
        && !failure.is_silent()
    {
        tracing::warn!("{failure}");
    }
    notify::state("READY=1");
}

/// Reads the configuration again; listeners, folder and threads are those of the start.
fn reload(dir: &Path, runtime: RuntimeArgs, old: &Config) -> Result<Config, Failure> {
    let new = runtime.over(Config::read(dir)?);
    let listeners = |config: &Config| -> Vec<_> {
        config.listeners.iter().map(|listener| (listener.protocol, listener.bind, listener.tls)).collect()
    };
    if listeners(&new) != listeners(old) || new.data != old.data {
        return Err(Failure::new("other listeners and another data folder need a restart"));
    }
    if (new.runtime, new.workers) != (old.runtime, old.workers) {
        return Err(Failure::new("another runtime and another number of workers need a restart"));
    }
    Ok(new)
}
