//! A running server inside this process: its store, its listeners, its workers on threads of their own.
//!
//! `serve` runs one until it is told to stop; a test or a demonstration may run several.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pillarbox_core::node::{self, Protocol, Service, TapSink, TlsMode};
use pillarbox_core::router::Routes;
use pillarbox_core::tls::rustls::RustlsClient;
use pillarbox_core::{dns, queue};
use pillarbox_runtime::{
    Events, Gate, GateLimits, Handle, Listener, Plan, Run, Workers, connect_unix, listen, listen_unix, raise_open_files,
};
use pillarbox_store::{DiskStore, OpenError};

use crate::config::{Config, Runtime};
use crate::failure::Failure;

/// The control socket's name in the data folder.
pub(crate) const CONTROL: &str = "control";

/// How long to wait for another process that has the folder: a little longer than a server may take to drain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How often to look meanwhile.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Where the system says which DNS servers to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Addresses with the names of what is there.
pub(crate) type Addresses = Vec<(String, SocketAddr)>;

/// What the configuration does not say.
pub(crate) struct Options {
    /// Who hears what happens.
    pub(crate) events: Arc<dyn Events>,
    /// Who sees the plaintext of every connection, without what is secret.
    pub(crate) tap: Option<Arc<dyn TapSink>>,
    /// The store's knobs.
    pub(crate) store: pillarbox_store::Options,
}

/// A running server. Dropping it lets it run on; see [`join`](Self::join).
pub(crate) struct Instance {
    /// What listens where, in the configuration's order, under the names of the ready line: `smtp`, `pop3s`, `smtp2`.
    pub(crate) addresses: Addresses,
    /// Stops it, or gives it another configuration.
    pub(crate) handle: Handle,
    workers: Workers,
    store: Arc<DiskStore>,
    data: PathBuf,
}

impl Instance {
    /// Opens the store, binds everything, and begins to serve. When this returns, clients can connect.
    ///
    /// # Errors
    /// When the folder is in use, a port cannot be bound, and whatever else stands in the way.
    pub(crate) fn start(config: &Config, options: Options) -> Result<Self, Failure> {
        let store = pillarbox_store::Options { search_index: config.search_index, ..options.store };
        let store = open_store(&config.data, &store)?;
        let (addresses, mut listeners) = bind(config)?;
        let control = listen_unix(&config.data, CONTROL).map_err(|error| Failure::new(error.to_string()))?;
        listeners.push(Listener::Unix(control));
        let plan = Plan {
            config: Arc::new(node_config(config, options.tap)),
            workers: config.workers.count(),
            store: Arc::clone(&store) as Arc<_>,
            events: options.events,
            listeners,
            gate: Gate::new(gate_limits(config)),
        };
        let workers = Workers::start(run(config.runtime), plan)
            .map_err(|error| Failure::new(format!("cannot start the server: {error}")))?;
        let handle = workers.handle().clone();
        Ok(Self { addresses, handle, workers, store, data: config.data.clone() })
    }

    /// Begins to stop: idle sessions are told so at once, the others have `grace`.
    pub(crate) fn drain(&self, grace: Duration) {
        self.handle.drain(grace);
    }

    /// Waits until it has stopped, and closes its store.
    ///
    /// # Errors
    /// When it stopped because it failed.
    pub(crate) fn join(self) -> Result<(), Failure> {
        let ended = self.workers.join();
        // The name goes before the lock, so that a command finds a socket only where somebody listens.
        let _ = std::fs::remove_file(self.data.join(CONTROL));
        self.store.close();
        ended.map_err(|error| Failure::new(format!("the server failed: {error}")))
    }
}

/// What runs a worker.
fn run(runtime: Runtime) -> Run {
    match runtime {
        Runtime::Tokio => pillarbox_tokio::run,
        Runtime::Smol => pillarbox_smol::run,
        Runtime::Blocking => pillarbox_blocking::run,
    }
}

/// Opens the store in the data folder and takes its lock. A command that has it for a moment is waited for, a running
/// server is not.
///
/// # Errors
/// When another process has it, and what else can be wrong with it.
fn open_store(data: &Path, options: &pillarbox_store::Options) -> Result<Arc<DiskStore>, Failure> {
    let begun = Instant::now();
    loop {
        match DiskStore::open(data, options.clone()) {
            Ok(store) => return Ok(store),
            Err(OpenError::Locked(_)) if begun.elapsed() < PATIENCE && connect_unix(data, CONTROL).is_err() => {
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(not_opened(data, &error)),
        }
    }
}

/// Why a store could not be opened, in words that say what to do.
pub(crate) fn not_opened(data: &Path, error: &OpenError) -> Failure {
    match error {
        OpenError::Locked(_) => {
            let pid = std::fs::read_to_string(data.join("lock")).unwrap_or_default();
            let pid = pid.trim();
            let who = if pid.is_empty() { String::new() } else { format!(", with the process id {pid}") };
            Failure::new(format!(
                "{} is in use by another pillarbox{who}: a folder has one server at a time; stop that one first",
                data.display()
            ))
        }
        error => Failure::new(format!("cannot open {}: {error}", data.display())),
    }
}

/// The same configuration in the shape that a node wants.
pub(crate) fn node_config(config: &Config, tap: Option<Arc<dyn TapSink>>) -> node::Config {
    let services = config
        .listeners
        .iter()
        .map(|listener| Service { without: listener.without.clone(), ..Service::new(listener.protocol, listener.tls) });
    let control = Service::new(Protocol::Control, TlsMode::None);
    node::Config {
        hostname: config.hostname.clone(),
        routes: Routes {
            hostname: config.hostname.clone(),
            domains: config.domains.clone(),
            routes: config.routes.clone(),
        },
        services: services.chain([control]).collect(),
        tls: config.tls.clone(),
        cleartext: config.cleartext,
        message_size: config.limits.message_size,
        delivery: node::Delivery {
            port: config.delivery.port,
            tls: Some(Arc::new(RustlsClient::opportunistic())),
            queue: Arc::new(queue::Config {
                retry: config.delivery.retry.clone(),
                expire_after: config.delivery.expire_after,
                ..queue::Config::default()
            }),
        },
        dns: dns::Config { servers: dns_servers(config), ..dns::Config::default() },
        limits: node::Limits { recipients: config.limits.recipients, ..node::Limits::default() },
        tap,
    }
}

fn bind(config: &Config) -> Result<(Addresses, Vec<Listener>), Failure> {
    let (mut addresses, mut listeners, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for listener in &config.listeners {
        let bound = listen(listener.bind).map_err(|error| error.to_string());
        let bound = bound.and_then(|bound| match bound.local_addr() {
            Ok(address) => Ok((bound, address)),
            Err(error) => Err(error.to_string()),
        });
        match bound {
            Ok((bound, address)) => {
                addresses.push((name(listener, &addresses), address));
                listeners.push(Listener::Tcp(bound));
            }
            Err(error) => wrong.push(format!("{}:{}: {error}", config.file.display(), listener.line)),
        }
    }
    if wrong.is_empty() { Ok((addresses, listeners)) } else { Err(Failure::places(&wrong)) }
}

/// The protocol's name, with an `s` where TLS begins at once, and numbered from the second of its kind.
fn name(listener: &crate::config::Listener, others: &[(String, SocketAddr)]) -> String {
    let protocol = match listener.protocol {
        Protocol::Transfer => "smtp",
        Protocol::Submission => "submission",
        Protocol::Pop3 => "pop3",
        Protocol::Imap => "imap",
        Protocol::Control => "control",
    };
    let implicit = if listener.tls == TlsMode::Implicit { "s" } else { "" };
    let taken = |name: &String| others.iter().any(|(other, _)| other == name);
    // A second POP3 listener is `pop32`: its own digit, and the number.
    let names = std::iter::once(String::new()).chain((2..).map(|number: u32| number.to_string()));
    let mut names = names.map(|number| format!("{protocol}{implicit}{number}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}

fn dns_servers(config: &Config) -> Vec<SocketAddr> {
    if !config.dns.is_empty() {
        return config.dns.clone();
    }
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let servers = dns::resolv_conf::parse(&text);
    // As the C library has it.
    if servers.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], 53))] } else { servers }
}

fn gate_limits(config: &Config) -> GateLimits {
    let limits = GateLimits {
        total: config.limits.connections,
        per_address: config.limits.connections_per_address,
        ..GateLimits::default()
    };
    let crowded = u64::try_from(limits.total + limits.crowd).unwrap_or(u64::MAX);
    // Twice over for deliveries, questions to DNS and the store's files.
    let files = raise_open_files(crowded.saturating_mul(2).max(4096));
    let within = limits.within(files);
    if within.total < limits.total {
        tracing::warn!(
            "the limit on open files ({files}) leaves room for {} connections, not for {}: raise it (`ulimit -n`, or \
             LimitNOFILE= of the service)",
            within.total,
            limits.total
        );
    }
    within
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn listeners_are_named_as_scripts_know_them() {
        let mut addresses = Addresses::new();
        let bind = "127.0.0.1:0".parse().unwrap();
        for (protocol, tls) in [
            (Protocol::Transfer, TlsMode::StartTls),
            (Protocol::Submission, TlsMode::StartTls),
            (Protocol::Submission, TlsMode::Implicit),
            (Protocol::Transfer, TlsMode::None),
            (Protocol::Pop3, TlsMode::Implicit),
            (Protocol::Pop3, TlsMode::None),
            (Protocol::Transfer, TlsMode::None),
            (Protocol::Imap, TlsMode::Implicit),
        ] {
            let listener = crate::config::Listener { protocol, bind, tls, without: BTreeSet::new(), line: 1 };
            addresses.push((name(&listener, &addresses), bind));
        }
        let names: Vec<_> = addresses.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["smtp", "submission", "submissions", "smtp2", "pop3s", "pop3", "smtp3", "imaps"]);
    }
}
