//! `serve`: runs an instance until a signal, then drains it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, check_runtime};
use crate::failure::Failure;
use crate::instance::{Instance, Options, node_config};
use crate::log::{self, EventLog};
use crate::{notify, print};

/// How long sessions may go on after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves `dir` until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot begin, or had to stop.
pub(crate) fn serve(dir: &Path, runtime: Option<&str>) -> Result<(), Failure> {
    if let Some(kind) = runtime {
        check_runtime(kind).map_err(Failure::new)?;
    }
    let config = Config::read(dir)?;
    let log = log::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    let served = runtime.block_on(run(dir, config));
    // After a second signal the instance is still at work, and nobody waits for it.
    runtime.shutdown_background();
    log.flush();
    served
}

async fn run(dir: &Path, mut config: Config) -> Result<(), Failure> {
    // Before anything is begun, so that a signal always finds somebody.
    let mut signals = Signals::new()?;
    let options = Options { events: Arc::new(EventLog), tap: None, store: pillarbox_store::Options::default() };
    let instance = Instance::start(&config, options)?;
    for (name, address) in &instance.addresses {
        tracing::info!("{name} on {address}");
    }
    let ready: Vec<_> = instance.addresses.iter().map(|(name, address)| format!("{name}={address}")).collect();
    let told = print::line(format_args!("ready {}", ready.join(" "))).and_then(|()| print::flush());
    if let Err(failure) = told
        && !failure.is_silent()
    {
        tracing::warn!("{failure}");
    }
    notify::state("READY=1");

    let handle = instance.handle.clone();
    let mut ended = tokio::task::spawn_blocking(move || instance.join());
    let mut draining = false;
    loop {
        let order = tokio::select! {
            ended = &mut ended => {
                let ended = ended.map_err(|error| Failure::new(format!("the server failed: {error}")))?;
                tracing::info!("stopped");
                return ended;
            }
            order = signals.next() => order,
        };
        match order {
            Order::Stop if draining => return Err(Failure::new("stopped at once by a second signal")),
            Order::Stop => {
                draining = true;
                tracing::info!(
                    "stopping: sessions under way have {} s; a second signal stops at once",
                    GRACE.as_secs()
                );
                notify::state("STOPPING=1");
                handle.drain(GRACE);
            }
            Order::Reload => match reload(dir, &config) {
                Ok(new) => {
                    handle.reload(&Arc::new(node_config(&new, None)));
                    tracing::info!("read {} again", new.file.display());
                    config = new;
                }
                Err(failure) => tracing::error!("went on with the old configuration: {failure}"),
            },
        }
    }
}

/// Reads the configuration again; listeners and folder are those of the start.
fn reload(dir: &Path, old: &Config) -> Result<Config, Failure> {
    let new = Config::read(dir)?;
    let listeners = |config: &Config| -> Vec<_> {
        config.listeners.iter().map(|listener| (listener.protocol, listener.bind, listener.tls)).collect()
    };
    if listeners(&new) != listeners(old) || new.data != old.data {
        return Err(Failure::new("other listeners and another data folder need a restart"));
    }
    Ok(new)
}

enum Order {
    Stop,
    Reload,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let signal = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot wait for signals: {error}")));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.terminate.recv() => Order::Stop,
            _ = self.hangup.recv() => Order::Reload,
        }
    }
}
