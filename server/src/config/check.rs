//! What may stand in the file, key by key: defaults, bounds, and what does not fit together.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::imap::server::{CAPABILITIES, When};
use pillarbox_core::node::{Cleartext, Protocol, TlsMode};
use pillarbox_core::router::{NextHop, Pattern, Route};
use pillarbox_core::smtp::Domain;
use pillarbox_core::tls::TlsFactory;
use pillarbox_core::tls::rustls::RustlsServer;

use super::runtime::MOST_WORKERS;
use super::toml::{Item, Source, Table};
use super::{Config, Delivery, FILE, Limits, Listener, Runtime, Workers, units};

/// The shortest wait between two attempts.
const SHORTEST_RETRY: Duration = Duration::from_millis(100);
/// The longest wait, and the longest life of a message in the queue: a year is a slip.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// RFC 5321 §4.5.3.1.7 wants 64 KiB at least.
const SMALLEST_MESSAGE: u64 = 64 << 10;
/// What SIZE may announce without surprising clients that count in 31 bits.
const LARGEST_MESSAGE: u64 = (2 << 30) - 1;
/// RFC 5321 §4.5.3.1.8.
const FEWEST_RECIPIENTS: u64 = 100;
/// What one transaction may hold in memory.
const MOST_RECIPIENTS: u64 = 10_000;
/// More than any system has files for.
const MOST_CONNECTIONS: u64 = 1_000_000;
/// Capabilities of IMAP that every client builds on.
const FIXED: [&str; 2] = ["IMAP4rev1", "AUTH=PLAIN"];
/// The port of DNS.
const DNS_PORT: u16 = 53;

/// The configuration; `None` when something that must be there is not. What is wrong is told to `source`.
pub(super) fn config(dir: &Path, source: &Source<'_>) -> Option<Config> {
    let tree = source.tree()?;
    let mut file = Table::root(source, &tree);
    let hostname = file.need("hostname", "hostname = \"mx.example.org\"").and_then(|item| item.parsed(hostname));
    let domains = domains(&mut file);
    let data = data(dir, &mut file);
    let search_index = store(file.table("store").unwrap_or_else(|| Table::empty(source, "[store]")));
    let (runtime, workers) = runtime(file.table("runtime").unwrap_or_else(|| Table::empty(source, "[runtime]")));
    let tls = file.table("tls").map(|table| tls(dir, table));
    let listeners = listeners(source, &mut file, tls.is_some());
    let cleartext = auth(file.table("auth").unwrap_or_else(|| Table::empty(source, "[auth]")));
    let dns = dns(file.table("dns").unwrap_or_else(|| Table::empty(source, "[dns]")));
    let delivery = delivery(file.table("delivery").unwrap_or_else(|| Table::empty(source, "[delivery]")));
    let routes = routes(&mut file, domains.as_deref().unwrap_or_default());
    let limits = limits(file.table("limits").unwrap_or_else(|| Table::empty(source, "[limits]")));
    file.finish();
    Some(Config {
        file: dir.join(FILE),
        hostname: hostname?,
        domains: domains?,
        data: data?,
        search_index,
        runtime,
        workers,
        listeners,
        tls: tls.flatten(),
        cleartext,
        dns,
        delivery,
        routes,
        limits,
    })
}

/// A domain name in lower case.
pub(crate) fn domain(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is not a domain name, like \"example.org\"");
    // The root's dot is right, and nobody writes it.
    let name = text.strip_suffix('.').unwrap_or(text);
    let Ok(Domain::Name(name)) = name.parse::<Domain>() else { return Err(wrong()) };
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric { Err(wrong()) } else { Ok(name) }
}

/// A host's name in lower case. It is said in greetings, before anything but ASCII is agreed upon.
pub(crate) fn hostname(text: &str) -> Result<String, String> {
    let name = domain(text)?;
    if name.is_ascii() { Ok(name) } else { Err(format!("{text:?} is not ASCII: write it as A-labels, xn--…")) }
}

fn domains(file: &mut Table<'_>) -> Option<Vec<String>> {
    let item = file.need("domains", "domains = [\"example.org\"]")?;
    let items = item.list()?;
    if items.is_empty() {
        item.wrong("there must be one domain at least, like [\"example.org\"]");
    }
    let mut domains = Vec::new();
    for item in items {
        let Some(name) = item.parsed(domain) else { continue };
        if domains.contains(&name) {
            item.wrong(format_args!("{name} is there twice"));
        }
        domains.push(name);
    }
    Some(domains)
}

fn data(dir: &Path, file: &mut Table<'_>) -> Option<PathBuf> {
    let Some(item) = file.take("data") else { return Some(dir.join("data")) };
    let text = item.text()?;
    let data = dir.join(text);
    if text.is_empty() {
        item.wrong("expected a folder, like \"data\"");
    } else if fs::metadata(&data).is_ok_and(|found| !found.is_dir()) {
        item.wrong(format_args!("{} is not a folder", data.display()));
    }
    Some(data)
}

/// Whether an index is kept for searches.
fn store(mut table: Table<'_>) -> bool {
    let search_index = table.take("search_index").and_then(|item| item.truth());
    table.finish();
    search_index.unwrap_or(true)
}

fn runtime(mut table: Table<'_>) -> (Runtime, Workers) {
    let kind = table.take("kind").and_then(|item| item.one_of(&Runtime::WORDS));
    let workers = table.take("workers").and_then(|item| item.number(0, u64::from(MOST_WORKERS)));
    table.finish();
    let workers = workers.and_then(|workers| u16::try_from(workers).ok());
    (kind.unwrap_or(Runtime::Tokio), Workers::new(workers.unwrap_or(0)))
}

/// The certificate and its key; `None` when they are of no use.
fn tls(dir: &Path, mut table: Table<'_>) -> Option<Arc<dyn TlsFactory>> {
    let certificate = read(dir, table.need("certificate", "certificate = \"tls/cert.pem\""));
    let key = read(dir, table.need("key", "key = \"tls/key.pem\""));
    table.finish();
    let ((certificate, chain), (key, secret)) = (certificate?, key?);
    let secret = zeroize::Zeroizing::new(secret);
    match RustlsServer::from_pem(&chain, &secret) {
        Ok(factory) => Some(Arc::new(factory)),
        Err(error) => {
            let about_chain = error.reason.starts_with("the certificate") || error.reason.starts_with("no certificate");
            let item = if about_chain { certificate } else { key };
            item.wrong(error);
            None
        }
    }
}

/// The file that a key names, whole.
fn read<'s>(dir: &Path, item: Option<Item<'s>>) -> Option<(Item<'s>, Vec<u8>)> {
    let item = item?;
    let path = dir.join(item.text()?);
    match fs::read(&path) {
        Ok(bytes) => Some((item, bytes)),
        Err(error) => {
            item.wrong(format_args!("cannot read {}: {error}", path.display()));
            None
        }
    }
}

fn listeners(source: &Source<'_>, file: &mut Table<'_>, has_tls: bool) -> Vec<Listener> {
    let tables = file.tables("listener");
    if tables.is_empty() {
        source.problem(1, "there is no [[listener]]: nothing would be served");
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for table in tables {
        let Some((item, listener)) = listener(table, has_tls) else { continue };
        if let Some(other) = listeners.iter().find(|other| overlap(other.bind, listener.bind)) {
            item.wrong(format_args!("the listener at line {} has {} already", other.line, other.bind));
        }
        listeners.push(listener);
    }
    listeners
}

fn listener<'s>(mut table: Table<'s>, has_tls: bool) -> Option<(Item<'s>, Listener)> {
    let protocol = table.need("protocol", "protocol = \"smtp\"").and_then(|item| item.parsed(protocol));
    let bind = table.need("bind", "bind = \"127.0.0.1:2525\"");
    let address = bind.as_ref().and_then(|item| item.parsed(socket_address));
    let line = table.line;
    let mode = match table.take("tls") {
        Some(item) => {
            let words = [("none", TlsMode::None), ("starttls", TlsMode::StartTls), ("implicit", TlsMode::Implicit)];
            let mode = item.one_of(&words);
            if mode.is_some_and(|mode| mode != TlsMode::None) && !has_tls {
                item.wrong("there is no certificate: add [tls] with certificate and key, or use \"none\"");
            }
            mode
        }
        None if has_tls => Some(TlsMode::StartTls),
        None => Some(TlsMode::None),
    };
    let without = table.take("without");
    table.finish();
    let without = without.map(|item| without_capabilities(&item, protocol)).unwrap_or_default();
    let (protocol, bind, address, tls) = (protocol?, bind?, address?, mode?);
    debug_assert!(bind.line >= line, "a key stands behind its table's name");
    let line = bind.line;
    Some((bind, Listener { protocol, bind: address, tls, without, line }))
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "smtp" => Ok(Protocol::Transfer),
        "submission" => Ok(Protocol::Submission),
        "pop3" => Ok(Protocol::Pop3),
        "imap" => Ok(Protocol::Imap),
        "lmtp" => Err(format!("{text} is not built yet: there are smtp, submission, pop3, imap")),
        _ => Err(format!("{text:?} is not one of smtp, submission, pop3, imap")),
    }
}

/// Capabilities of IMAP that are switched off. What a session cannot do without, or `tls` decides, is none of them.
fn without_capabilities(item: &Item<'_>, protocol: Option<Protocol>) -> BTreeSet<String> {
    if protocol.is_some_and(|protocol| protocol != Protocol::Imap) {
        item.wrong("only a listener for imap has capabilities");
        return BTreeSet::new();
    }
    let optional = |(name, when): &(&'static str, When)| match when {
        When::Tls | When::NoLogin => None,
        When::Always | When::Login | When::LoggedIn => (!FIXED.contains(name)).then_some((*name, *name)),
    };
    let names: Vec<_> = CAPABILITIES.iter().filter_map(optional).collect();
    let items = item.list().unwrap_or_default();
    items.iter().filter_map(|item| item.one_of(&names)).map(str::to_owned).collect()
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(_) => format!("{text:?} has no port: write it like \"127.0.0.1:2525\" or \"[::1]:2525\""),
        Err(_) => {
            format!("{text:?} is not an address and a port, like \"127.0.0.1:2525\", \"0.0.0.0:25\", \"[::]:25\"")
        }
    })
}

/// Whether both cannot be bound.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let ip = a.ip() == b.ip() || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() != 0 && a.port() == b.port() && ip
}

fn auth(mut table: Table<'_>) -> Cleartext {
    let words = [("never", Cleartext::Never), ("loopback", Cleartext::Loopback), ("always", Cleartext::Always)];
    let cleartext = table.take("cleartext").and_then(|item| item.one_of(&words));
    table.finish();
    cleartext.unwrap_or(Cleartext::Loopback)
}

fn dns(mut table: Table<'_>) -> Vec<SocketAddr> {
    let items = table.take("servers").and_then(|item| item.list()).unwrap_or_default();
    table.finish();
    let server = |text: &str| match (text.parse(), text.parse::<IpAddr>()) {
        (Ok(address), _) if SocketAddr::port(&address) != 0 => Ok(address),
        (_, Ok(ip)) => Ok(SocketAddr::new(ip, DNS_PORT)),
        _ => Err(format!("{text:?} is not the address of a DNS server, like \"127.0.0.1:5353\" or \"192.0.2.53\"")),
    };
    items.iter().filter_map(|item| item.parsed(server)).collect()
}

fn delivery(mut table: Table<'_>) -> Delivery {
    let defaults = pillarbox_core::queue::Config::default();
    let port = table.take("port").and_then(|item| item.number(1, u64::from(u16::MAX)));
    let retry = table.take("retry").and_then(|item| {
        let items = item.list()?;
        if items.is_empty() {
            item.wrong("there must be one wait at least, like [\"30s\", \"2m\", \"10m\"]");
        }
        Some(items.iter().filter_map(|item| item.parsed(wait)).collect())
    });
    let expire_after = table.take("expire_after").and_then(|item| item.parsed(wait));
    table.finish();
    Delivery {
        port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(25),
        retry: retry.unwrap_or(defaults.retry),
        expire_after: expire_after.unwrap_or(defaults.expire_after),
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let Some(wait) = units::duration(text) else {
        return Err(format!("{text:?} is not a duration, like \"30s\", \"2m\", \"1h\", \"5d\""));
    };
    if wait < SHORTEST_RETRY {
        return Err(format!("{text:?} is too short: \"100ms\" at least"));
    }
    if wait > LONGEST {
        return Err(format!("{text:?} is too long: \"365d\" at most"));
    }
    Ok(wait)
}

fn routes(file: &mut Table<'_>, ours: &[String]) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for mut table in file.tables("route") {
        let item = table.need("domain", "domain = \"partner.example\"");
        let to = table.need("to", "to = \"smtp://127.0.0.1:2626\"");
        let pattern = item.as_ref().and_then(|item| item.parsed(pattern));
        let to = to.and_then(|item| item.parsed(next_hop));
        table.finish();
        let (Some(item), Some(domain)) = (item, pattern) else { continue };
        if matches!(&domain, Pattern::Exact(name) if ours.contains(name)) {
            item.wrong("this domain is among domains: its mail stays here and is never routed");
        }
        if routes.iter().any(|route| route.domain == domain) {
            item.wrong("there is a [[route]] for this domain already");
        }
        routes.extend(to.map(|to| Route { domain, to }));
    }
    routes
}

fn pattern(text: &str) -> Result<Pattern, String> {
    if text == "*" {
        return Ok(Pattern::Any);
    }
    domain(text).map(Pattern::Exact).map_err(|what| format!("{what}, or \"*\" for every domain that is not ours"))
}

fn next_hop(text: &str) -> Result<NextHop, String> {
    text.parse().map_err(|error| format!("{text:?} is not a next hop: {error}"))
}

fn limits(mut table: Table<'_>) -> Limits {
    let size = |text: &str| {
        let size = units::size(text).ok_or_else(|| format!("{text:?} is not a size, like \"50MB\" or \"512KB\""))?;
        if (SMALLEST_MESSAGE..=LARGEST_MESSAGE).contains(&size) {
            return Ok(size);
        }
        Err(format!("{text:?} is out of bounds: from \"64KB\" to just below \"2GB\""))
    };
    let message_size = table.take("message_size").and_then(|item| item.parsed(size));
    let mut count = |key, least, most, default| {
        let number = table.take(key).and_then(|item| item.number(least, most));
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    let gate = pillarbox_runtime::GateLimits::default();
    let node = pillarbox_core::node::Limits::default();
    let limits = Limits {
        message_size: message_size.unwrap_or(50 << 20),
        recipients: count("recipients", FEWEST_RECIPIENTS, MOST_RECIPIENTS, node.recipients),
        connections: count("connections", 1, MOST_CONNECTIONS, gate.total),
        connections_per_address: count("connections_per_address", 1, MOST_CONNECTIONS, gate.per_address),
    };
    table.finish();
    limits
}
