//! The stage: two providers in a temporary directory, each a real server with a real store, and a name server that knows
//! both. All of it is gone when the stage is dropped.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::Secret;
use pillarbox_core::ops::{QueueOp, QueueReply, QueueRow, StoreOp, StoreReply};
use pillarbox_core::smtp::Address;
use tempfile::TempDir;

use super::agent::Agent;
use super::ears::{Ears, Heard, House, Mouth};
use super::names::Records;
use super::signals;
use crate::admin::Desk;
use crate::config::{Config, FILE, RuntimeArgs};
use crate::failure::Failure;
use crate::instance::{Instance, Options};
use crate::{account, certificate};

/// Addresses of this machine alone, one for each provider: so both can be reached on the same port, as on the Internet.
const HOMES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
/// The ports that `quickstart --loopback` has: smtp, submission, submissions, pop3, pop3s, imap, imaps.
const PORTS: Ports = [2525, 2587, 2465, 2110, 2995, 2143, 2993];
/// Rounds of looking for free ports.
const TRIES: usize = 20;
/// How long a server may take to stop.
const GRACE: Duration = Duration::from_secs(2);

type Ports = [u16; 7];

/// Everything there is.
pub(super) struct Stage {
    /// alice's and bob's.
    pub(super) amber: Provider,
    /// carol's.
    pub(super) birch: Provider,
    pub(super) alice: Agent,
    pub(super) bob: Agent,
    pub(super) carol: Agent,
    /// Where names are looked up.
    pub(super) names: SocketAddr,
    pub(super) ears: Ears,
    /// Last, so that nothing is written there any more when it is removed.
    dir: TempDir,
}

/// A provider of mail.
pub(super) struct Provider {
    /// In a word.
    pub(super) name: &'static str,
    /// Its name in the world.
    pub(super) hostname: String,
    pub(super) address: Ipv4Addr,
    pub(super) ports: Ports,
    config: Config,
    house: Arc<House>,
    instance: Option<Instance>,
}

impl Stage {
    /// Builds it, and starts both servers.
    ///
    /// # Errors
    /// When there is no room, no port or no thread.
    pub(super) fn build(ears: Ears, runtime: RuntimeArgs) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("pillarbox-demo-").tempdir();
        let dir = dir.map_err(|error| {
            let at = std::env::temp_dir();
            Failure::new(format!("cannot make a temporary directory in {}: {error}", at.display()))
        })?;
        signals::guard(dir.path());
        // Somebody else may take a port between our looking and our binding it.
        let mut tries = TRIES;
        loop {
            match Self::build_in(&dir, &ears, runtime, tries == TRIES) {
                Ok((names, [amber, birch], [alice, bob, carol])) => {
                    return Ok(Self { amber, birch, alice, bob, carol, names, ears, dir });
                }
                Err(_) if tries > 1 => tries -= 1,
                Err(failure) => return Err(failure),
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn build_in(
        dir: &TempDir,
        ears: &Ears,
        runtime: RuntimeArgs,
        usual: bool,
    ) -> Result<(SocketAddr, [Provider; 2], [Agent; 3]), Failure> {
        let places = places(usual)?;
        let [(amber_address, _), (birch_address, _)] = places;
        let mouth = ears.mouth();
        let records = Records::default().provider("amber.example", amber_address);
        let records = records.provider("birch.example", birch_address);
        let names = records.serve(move |asked| mouth.tell(Heard::Asked(asked)))?;
        let [amber_place, birch_place] = places;
        let start =
            |house, place, delivery| Provider::start(dir.path(), house, place, delivery, names, runtime, &ears.mouth());
        let amber = start(["amber", "birch"], amber_place, birch_place.1[0])?;
        let birch = start(["birch", "amber"], birch_place, amber_place.1[0])?;
        let agents = [amber.account("alice")?, amber.account("bob")?, birch.account("carol")?];
        Ok((names, [amber, birch], agents))
    }

    /// The directory of everything.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Stops the servers, and removes everything.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn strike(mut self) -> Result<(), Failure> {
        let stopped = self.amber.stop().and(self.birch.stop());
        let path = self.dir.path().to_owned();
        self.dir.close().map_err(|error| Failure::new(format!("cannot remove {}: {error}", path.display())))?;
        stopped
    }
}

impl Provider {
    /// Makes its folder, as `quickstart` would, and starts it.
    fn start(
        dir: &Path,
        [name, other]: [&'static str; 2],
        (address, ports): (Ipv4Addr, Ports),
        delivery: u16,
        names: SocketAddr,
        runtime: RuntimeArgs,
        mouth: &Mouth,
    ) -> Result<Self, Failure> {
        let domain = format!("{name}.example");
        let (dir, hostname) = (dir.join(&domain), format!("mx.{domain}"));
        // There may be one of an earlier try.
        let _ = fs::remove_dir_all(&dir);
        let cannot = |error| Failure::new(format!("cannot write to {}: {error}", dir.display()));
        fs::create_dir(&dir).map_err(cannot)?;
        fs::create_dir(dir.join("tls")).map_err(cannot)?;
        let certificate = certificate::self_signed(&hostname, &[address.into()])?;
        fs::write(dir.join("tls/cert.pem"), &certificate.chain).map_err(cannot)?;
        fs::write(dir.join("tls/key.pem"), certificate.key.as_bytes()).map_err(cannot)?;
        fs::write(dir.join(FILE), configuration(&domain, address, ports, delivery, names)).map_err(cannot)?;
        let config = runtime.over(Config::read(&dir)?);
        let mut provider =
            Self { name, hostname, address, ports, config, house: mouth.house(name, other), instance: None };
        provider.begin()?;
        Ok(provider)
    }

    /// Starts its server.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let options = Options {
            events: Arc::clone(&self.house) as Arc<_>,
            tap: Some(Arc::clone(&self.house) as Arc<_>),
            store: pillarbox_store::Options::default(),
        };
        self.instance = Some(Instance::start(&self.config, options)?);
        Ok(())
    }

    /// Stops its server, if it runs; mail stays where it is.
    ///
    /// # Errors
    /// When it failed.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let Some(instance) = self.instance.take() else { return Ok(()) };
        instance.drain(GRACE);
        instance.join()
    }

    /// Its folder.
    pub(super) fn dir(&self) -> &Path {
        self.config.file.parent().unwrap_or(&self.config.file)
    }

    /// What waits to go out, as the running server tells it over its control socket.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn queue(&self) -> Result<Vec<QueueRow>, Failure> {
        let op = StoreOp::Queue(QueueOp::List { after: None, limit: pillarbox_core::control::PAGE });
        match Desk::with(self.config.clone()).ask(&op)? {
            StoreReply::Queue(QueueReply::Rows(rows)) => Ok(rows),
            _ => Err(account::unexpected()),
        }
    }

    /// Makes an account, and somebody who has it.
    fn account(&self, name: &'static str) -> Result<Agent, Failure> {
        let domain = self.config.domains.first().map(String::as_str).unwrap_or_default();
        let address = Address::new(name, domain).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let password = account::fresh()?.to_string();
        let desk = Desk::with(self.config.clone());
        account::create(&desk, &address, Secret::from(password.as_str()))?;
        Ok(Agent {
            name,
            address,
            password,
            house: self.name,
            host: self.hostname.clone(),
            submission: SocketAddr::from((self.address, self.ports[1])),
            pop3: SocketAddr::from((self.address, self.ports[3])),
            imaps: SocketAddr::from((self.address, self.ports[6])),
            seen: Default::default(),
        })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Before the directory goes; what went wrong was said by whoever asked.
        let _ = self.stop();
    }
}

/// The configuration, as short as can be.
fn configuration(domain: &str, address: Ipv4Addr, ports: Ports, delivery: u16, names: SocketAddr) -> String {
    let listeners = [
        ("smtp", "starttls"),
        ("submission", "starttls"),
        ("submission", "implicit"),
        ("pop3", "starttls"),
        ("pop3", "implicit"),
        ("imap", "starttls"),
        ("imap", "implicit"),
    ];
    let listeners = listeners.iter().zip(ports).map(|((protocol, tls), port)| {
        format!("[[listener]]\nprotocol = \"{protocol}\"\nbind = \"{address}:{port}\"\ntls = \"{tls}\"\n")
    });
    let listeners: String = listeners.collect();
    format!(
        "# A provider of the demonstration.\n\
         hostname = \"mx.{domain}\"\n\
         domains = [\"{domain}\"]\n\
         {listeners}\
         [tls]\n\
         certificate = \"tls/cert.pem\"\n\
         key = \"tls/key.pem\"\n\
         [dns]\n\
         servers = [\"{names}\"]\n\
         [delivery]\n\
         port = {delivery}\n\
         # So that nobody has to wait: a real server takes its time.\n\
         retry = [\"1s\"]\n"
    )
}

/// An address and ports for each provider: with `usual` those that are easy to remember, when they are free.
fn places(usual: bool) -> Result<[(Ipv4Addr, Ports); 2], Failure> {
    let [amber, birch] = HOMES;
    if HOMES.iter().any(|home| TcpListener::bind((*home, 0)).is_err()) {
        // A machine whose loopback is one address: other ports have to do.
        let home = Ipv4Addr::LOCALHOST;
        let is_free = |port: &u16| TcpListener::bind((home, *port)).is_ok();
        let both = [PORTS, PORTS.map(|port| port + 1)];
        let [first, second] = if usual && both.iter().flatten().all(is_free) { both } else { free(&[home])? };
        return Ok([(home, first), (home, second)]);
    }
    let is_free = |port: &u16| HOMES.iter().all(|home| TcpListener::bind((*home, *port)).is_ok());
    let ports = if usual && PORTS.iter().all(is_free) { PORTS } else { free::<1>(&HOMES)?[0] };
    Ok([(amber, ports), (birch, ports)])
}

/// Ports that are free on all of these addresses, for `N` providers; no two are equal.
fn free<const N: usize>(homes: &[Ipv4Addr]) -> Result<[Ports; N], Failure> {
    let none = || Failure::new("there are no free ports on this machine's loopback");
    let (first, others) = homes.split_first().ok_or_else(none)?;
    let mut found = [Ports::default(); N];
    // Held until all are found, so that none is found twice.
    let mut held = Vec::new();
    for port in found.as_flattened_mut() {
        let mut tries = (0..TRIES).filter_map(|_| {
            let listener = TcpListener::bind((*first, 0)).ok()?;
            let port = listener.local_addr().ok()?.port();
            let bound: Vec<_> = others.iter().map_while(|other| TcpListener::bind((*other, port)).ok()).collect();
            let all = bound.len() == others.len();
            held.push((listener, bound));
            all.then_some(port)
        });
        *port = tries.next().ok_or_else(none)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        let text = configuration("amber.example", Ipv4Addr::LOCALHOST, PORTS, 25, ([127, 0, 0, 1], 53).into());
        let problems = Config::parse(dir.path(), &text).err().unwrap();
        // All that is missing are the certificate and its key.
        assert!(problems.iter().all(|problem| problem.what.contains(".pem")), "{problems:?}");
    }

    #[test]
    fn free_ports_differ() {
        let mut ports = free::<2>(&[Ipv4Addr::LOCALHOST]).unwrap().concat();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 2 * PORTS.len());
    }
}
