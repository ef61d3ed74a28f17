//! `quickstart`: a folder from which `serve` can run, and what its owner must know.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use pillarbox_core::Secret;
use pillarbox_core::smtp::{Address, Domain};
use zeroize::Zeroizing;

use crate::admin::Desk;
use crate::certificate::SelfSigned;
use crate::config::{Config, FILE, domain, hostname};
use crate::failure::Failure;
use crate::{account, alias, certificate, print};

/// What `quickstart` is asked to make.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pillarbox quickstart --dir mail --domain example.org --account alice --account bob
  pillarbox quickstart --dir try --domain example.org --account alice --loopback

With --loopback everything listens on 127.0.0.1: smtp 2525, submission 2587, submissions 2465, pop3 2110, pop3s 2995, \
imap 2143, imaps 2993. \
Without it, on all addresses and the standard ports: smtp 25, submission 587, submissions 465, pop3 110, pop3s 995, imap 143, imaps 993.")]
pub(crate) struct Quickstart {
    /// The folder to make; it must not have a pillarbox.toml yet
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The domain that mail is received for
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    /// A mailbox to make, as a name or an address; may be given several times
    #[arg(long = "account", value_name = "NAME", required = true)]
    accounts: Vec<String>,
    /// The server's own name [default: mx.DOMAIN]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Listen on 127.0.0.1 and ports above 1024: for trying it out
    #[arg(long)]
    loopback: bool,
}

/// Makes it.
///
/// # Errors
/// When the folder has a server already, or cannot be written. What was begun is taken back.
pub(crate) fn quickstart(args: &Quickstart) -> Result<(), Failure> {
    let plan = Plan::new(args)?;
    plan.refuse_to_overwrite()?;
    let certificate = certificate::self_signed(&plan.hostname, &[])?;
    let mut made = Made::default();
    let passwords = plan.make(&certificate, &mut made).inspect_err(|_| made.take_back())?;
    plan.tell(&passwords)
}

/// What is to be made, checked before anything is.
struct Plan {
    dir: PathBuf,
    domain: String,
    hostname: String,
    accounts: Vec<Address>,
    services: Vec<Service>,
}

/// A listener to be.
struct Service {
    protocol: &'static str,
    tls: &'static str,
    what: &'static str,
    binds: Vec<SocketAddr>,
}

impl Plan {
    fn new(args: &Quickstart) -> Result<Self, Failure> {
        let domain = domain(&args.domain).map_err(|what| Failure::usage(format!("--domain: {what}")))?;
        let name = args.hostname.clone().unwrap_or_else(|| format!("mx.{domain}"));
        let hostname = hostname(&name).map_err(|what| Failure::usage(format!("--hostname: {what}")))?;
        let mut accounts: Vec<Address> = Vec::new();
        for name in &args.accounts {
            let full = if name.contains('@') { name.clone() } else { format!("{name}@{domain}") };
            let address = Address::parse(&full)
                .map_err(|error| Failure::usage(format!("--account {name:?} is not an address: {error}")))?;
            if *address.domain() != Domain::Name(domain.clone()) {
                return Err(Failure::usage(format!("--account {name}: it is not in the domain {domain}")));
            }
            let same = |other: &Address| other.local().eq_ignore_ascii_case(address.local());
            if accounts.iter().any(same) {
                return Err(Failure::usage(format!("--account {name} is there twice")));
            }
            accounts.push(address);
        }
        Ok(Self { dir: args.dir.clone(), domain, hostname, accounts, services: services(args.loopback) })
    }

    /// Whose folder is it?
    fn refuse_to_overwrite(&self) -> Result<(), Failure> {
        for name in [FILE, "tls/key.pem", "tls/cert.pem", "data/pillarbox.db"] {
            let path = self.dir.join(name);
            if fs::symlink_metadata(&path).is_ok() {
                return Err(Failure::new(format!(
                    "{} exists already: nothing was changed; choose another folder, or remove it first",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Writes everything and creates the accounts.
    fn make(&self, certificate: &SelfSigned, made: &mut Made) -> Result<Vec<Zeroizing<String>>, Failure> {
        made.folder(&self.dir)?;
        made.folder(&self.dir.join("tls"))?;
        made.file(&self.dir.join("tls/key.pem"), certificate.key.as_bytes(), 0o600)?;
        made.file(&self.dir.join("tls/cert.pem"), certificate.chain.as_bytes(), 0o644)?;
        made.file(&self.dir.join(FILE), self.file().as_bytes(), 0o644)?;
        made.folder_to_be(&self.dir.join("data"));
        let desk = Desk::with(Config::read(&self.dir)?);
        let mut passwords = Vec::new();
        for address in &self.accounts {
            let password = account::fresh()?;
            account::create(&desk, address, Secret::from(password.as_str()))?;
            passwords.push(password);
        }
        let postmaster = desk.our_address("postmaster")?;
        let [first, ..] = self.accounts.as_slice() else { return Ok(passwords) };
        if !self.accounts.iter().any(|account| account.local().eq_ignore_ascii_case("postmaster")) {
            alias::set(&desk, &postmaster, vec![first.clone()])?;
        }
        Ok(passwords)
    }

    /// The configuration, with what its owner may want to change.
    fn file(&self) -> String {
        let (hostname, domain) = (&self.hostname, &self.domain);
        let mut file = format!(
            "# The configuration of a Pillarbox mail server. After a change: `pillarbox check --dir DIR`, then restart it.\n\
             # Paths are relative to this file. Unknown keys are errors.\n\n\
             # The name of this machine in the mail world. Its DNS entry should lead here, and the address back to it.\n\
             hostname = \"{hostname}\"\n\n\
             # The domains whose mailboxes are here.\n\
             domains = [\"{domain}\"]\n\n\
             # Where mail, queue and accounts are kept.\n\
             data = \"data\"\n\n\
             [runtime]\n\
             # What turns the crank: tokio | smol | blocking (a plain event loop)\n\
             kind = \"tokio\"\n\
             # Threads that serve connections; 0: one a core.\n\
             workers = 0\n"
        );
        for service in &self.services {
            let Service { protocol, tls, what, binds } = service;
            for bind in binds {
                // Writing to a string cannot fail.
                let _ = write!(
                    file,
                    "\n# {what}\n[[listener]]\nprotocol = \"{protocol}\"\nbind = \"{bind}\"\ntls = \"{tls}\"\n"
                );
            }
        }
        file.push_str(
            "\n# A self-signed certificate: clients must be told to trust it. Replace both files by those of an authority,\n\
             # and send the server SIGHUP.\n\
             [tls]\n\
             certificate = \"tls/cert.pem\"\n\
             key = \"tls/key.pem\"\n\n\
             [auth]\n\
             # May a password cross an unencrypted connection: never | loopback (from this machine only) | always\n\
             cleartext = \"loopback\"\n\n\
             [dns]\n\
             # Servers to ask, like \"127.0.0.1:5353\". Empty: those of /etc/resolv.conf.\n\
             servers = []\n\n\
             [delivery]\n\
             # The port that other servers' SMTP is reached on.\n\
             port = 25\n\
             # Waits between attempts; the last repeats.\n\
             retry = [\"30s\", \"2m\", \"10m\", \"30m\", \"1h\", \"2h\", \"4h\"]\n\
             # When a message that could not be delivered goes back to its sender.\n\
             expire_after = \"5d\"\n\n\
             # Where a domain goes instead of its MX; \"*\" is every domain that is not ours.\n\
             # [[route]]\n\
             # domain = \"partner.example\"\n\
             # to = \"smtp://127.0.0.1:2626\"\n\n\
             [limits]\n\
             message_size = \"50MB\"\n\
             # recipients = 1000                # of one message\n\
             # connections = 10000              # at one time\n\
             # connections_per_address = 200    # of them from one address\n",
        );
        file
    }

    /// Prints what the owner must know.
    fn tell(&self, passwords: &[Zeroizing<String>]) -> Result<(), Failure> {
        let (dir, hostname, domain) = (self.dir.display(), &self.hostname, &self.domain);
        let loopback = self.services.iter().flat_map(|service| &service.binds).all(|bind| bind.ip().is_loopback());
        let host = if loopback { "127.0.0.1" } else { hostname };
        print::line(format_args!("Made {}.", self.dir.join(FILE).display()))?;
        print::line("")?;
        print::line("Accounts and their passwords, shown this once:")?;
        for (address, password) in self.accounts.iter().zip(passwords) {
            let shown = Zeroizing::new(format!("  {address}  {}", password.as_str()));
            print::line(shown.as_str())?;
        }
        let list = |lines: &[String]| lines.iter().try_for_each(print::line);
        list(&[
            String::new(),
            "Start the server:".to_owned(),
            format!("  pillarbox serve --dir {dir}"),
            String::new(),
            "Mail clients (the user name is the whole address):".to_owned(),
            format!("  receive  IMAP  {host} port {} (TLS), or {} (STARTTLS)", self.port(6), self.port(5)),
            format!("  or       POP3  {host} port {} (TLS), or {} (STARTTLS)", self.port(4), self.port(3)),
            format!("  send     SMTP  {host} port {} (TLS), or {} (STARTTLS)", self.port(2), self.port(1)),
            format!("  trust    {}", self.dir.join("tls/cert.pem").display()),
        ])?;
        if loopback {
            list(&[
                String::new(),
                format!("It listens on 127.0.0.1 only. Other servers would reach it by SMTP on port {}.", self.port(0)),
                "For the real world run quickstart without --loopback; then publish these DNS records:".to_owned(),
            ])?;
        } else {
            list(&[String::new(), "Publish these DNS records:".to_owned()])?;
        }
        list(&[
            format!("  {hostname}.  A     the address of this machine (AAAA for IPv6)"),
            format!("  {domain}.  MX    10 {hostname}."),
            format!("  {domain}.  TXT   \"v=spf1 mx -all\""),
            format!("  and of the address, by its provider:  PTR   {hostname}."),
        ])?;
        print::flush()
    }

    fn port(&self, service: usize) -> u16 {
        self.services.get(service).and_then(|service| service.binds.first()).map_or(0, SocketAddr::port)
    }
}

/// SMTP, submission, submissions, POP3, POP3S, IMAP, IMAPS, in this order.
fn services(loopback: bool) -> Vec<Service> {
    let hosts: Vec<&str> = match (loopback, has_ipv6()) {
        (true, _) => vec!["127.0.0.1"],
        (false, true) => vec!["0.0.0.0", "[::]"],
        (false, false) => vec!["0.0.0.0"],
    };
    let service = |protocol, tls, what, standard: u16, high: u16| {
        let port = if loopback { high } else { standard };
        let binds = hosts.iter().filter_map(|host| format!("{host}:{port}").parse().ok()).collect();
        Service { protocol, tls, what, binds }
    };
    vec![
        service("smtp", "starttls", "SMTP from other servers.", 25, 2525),
        service("submission", "starttls", "Mail from our users' clients.", 587, 2587),
        service("submission", "implicit", "The same, under TLS from the first byte.", 465, 2465),
        service("pop3", "starttls", "Users fetch their mail.", 110, 2110),
        service("pop3", "implicit", "The same, under TLS from the first byte.", 995, 2995),
        service("imap", "starttls", "Users read their mail, which stays here.", 143, 2143),
        service("imap", "implicit", "The same, under TLS from the first byte.", 993, 2993),
    ]
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// What was made so far, newest last.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a folder, and those above it, for its owner alone.
    fn folder(&mut self, path: &Path) -> Result<(), Failure> {
        if path.is_dir() {
            return Ok(());
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| Failure::new(format!("cannot make the folder {}: {error}", path.display())))?;
        self.0.push(path.to_owned());
        Ok(())
    }

    /// A folder that somebody else makes.
    fn folder_to_be(&mut self, path: &Path) {
        if fs::symlink_metadata(path).is_err() {
            self.0.push(path.to_owned());
        }
    }

    /// Writes a new file.
    fn file(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let cannot = |error: io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(cannot)?;
        self.0.push(path.to_owned());
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(cannot)
    }

    /// Removes it all.
    fn take_back(&self) {
        for path in self.0.iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}
