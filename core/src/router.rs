//! Pure: whose recipient is this, and where does it go next.
//!
//! Two questions are kept apart. [`Routes::place`] looks at the domain alone: ours, or somebody else's and then by which
//! way. What an address in a domain of ours stands for only the store knows
//! ([`AccountOp::Resolve`](crate::ops::AccountOp::Resolve)). [`verdict`] puts both together into the answer to RCPT.
//!
//! ```text
//!              domain of ours, or the postmaster of our host name
//! address ──place──┬──────────────> Ours ──resolve──┬── Targets ──> 250
//!                  │                                ├── TooMany ──> 550 5.1.4
//!                  │                                └── Unknown ──> 550 5.1.1; the postmaster: first account
//!                  └─> Elsewhere ──┬── authenticated ──> 250
//!                                  └── anyone else ────> 550 5.7.1
//! ```
//!
//! | RFC | what | here |
//! |---|---|---|
//! | 5321 §2.3.11 | the local part belongs to its domain alone | `a%b@ours`, `b!a@ours`, `"a@b"@ours` are names like any other: unknown, or an account; never a relay |
//! | 5321 §3.6.1, app. C | source routes | stripped by the parser before they come here |
//! | 5321 §3.6.2, §7.8 | relaying | refused without authentication, address literals included, our own too |
//! | 5321 §4.5.1 | postmaster, in any letter case | always deliverable: see [`Routes::is_postmaster`] |
//! | 5321 §5.1 | MX | [`Place::Elsewhere`] with [`Destination::Domain`]; a fixed route wins over it |
//! | 3463 §3.2, §3.8 | enhanced codes | 5.1.1, 5.1.4, 5.7.1 |

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::ops::{Destination, Resolution};
use crate::smtp::{Address, Domain, EnhancedStatus, Reply};

/// Which domains are ours, and where others go if not to their mail exchangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Our own name, in lower case. It receives mail for its postmaster; more only when it is among `domains`.
    pub hostname: String,
    /// The domains whose mailboxes are here, in lower case.
    pub domains: Vec<String>,
    /// Fixed routes. An exact domain wins over `*`, whatever their order; of equals the first wins.
    pub routes: Vec<Route>,
}

/// A fixed way for mail to some domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whose mail.
    pub domain: Pattern,
    /// Where it goes instead of its MX.
    pub to: NextHop,
}

/// The domains that a route is for. A domain of ours is never routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This domain, in lower case; not the domains below it.
    Exact(String),
    /// `*`: every domain that is not ours, address literals included.
    Any,
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            name => Self::Exact(name.strip_suffix('.').unwrap_or(name).to_lowercase()),
        }
    }
}

/// Where an address belongs, by its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here: the store resolves it.
    Ours,
    /// Not here: this is its next hop.
    Elsewhere(Destination),
}

impl Routes {
    /// Where this address belongs.
    #[must_use]
    pub fn place(&self, address: &Address) -> Place {
        match address.domain() {
            Domain::Name(name) if self.is_ours(name) => Place::Ours,
            Domain::Name(name) if *name == self.hostname && postmaster(address) => Place::Ours,
            Domain::Name(name) => Place::Elsewhere(self.next_hop(name)),
            literal @ Domain::Literal(_) => Place::Elsewhere(self.next_hop(&alloc::format!("{literal}"))),
        }
    }

    /// Where a row goes whose recipient is this address: the queue's view of [`place`](Self::place).
    #[must_use]
    pub fn destination(&self, address: &Address) -> Destination {
        match self.place(address) {
            Place::Ours => Destination::Local,
            Place::Elsewhere(destination) => destination,
        }
    }

    /// The address to ask the store about. It is the address itself, with its domain written as in `domains`; except for
    /// a postmaster: `postmaster` in lower case, and at the first of `domains` when it was our host name's.
    #[must_use]
    pub fn lookup<'a>(&self, address: &'a Address) -> Cow<'a, Address> {
        let Some(name) = address.domain().name() else { return Cow::Borrowed(address) };
        if !self.is_postmaster(address) {
            let domain = self.ours(name).filter(|domain| *domain != name);
            let same = domain.and_then(|domain| Address::new(address.local(), domain).ok());
            return same.map_or(Cow::Borrowed(address), Cow::Owned);
        }
        let domain = self.ours(name).or(self.domains.first().map(String::as_str)).unwrap_or(name);
        Address::new("postmaster", domain).map_or(Cow::Borrowed(address), Cow::Owned)
    }

    /// Whether this is a postmaster of ours, in any letter case: of one of `domains`, or of our host name.
    ///
    /// Mail to it must always be taken (RFC 5321 §4.5.1), so the host goes down this list until one is there:
    ///
    /// 1. the account or alias that [`lookup`](Self::lookup) names,
    /// 2. the first account of the store ([`AccountOp::List`](crate::ops::AccountOp::List) with a limit of one), so
    ///    that mail about a fault reaches somebody on a server whose operator has not thought of it.
    ///
    /// Who does not want the second sets the alias. A store without any account has no postmaster, and refuses.
    #[must_use]
    pub fn is_postmaster(&self, address: &Address) -> bool {
        postmaster(address) && self.place(address) == Place::Ours
    }

    fn is_ours(&self, name: &str) -> bool {
        self.ours(name).is_some()
    }

    /// The domain of ours that goes by this name, as it is written in `domains`.
    fn ours(&self, name: &str) -> Option<&str> {
        let exact = self.domains.iter().find(|domain| *domain == name);
        exact.or_else(|| self.domains.iter().find(|domain| same_domain(domain, name))).map(String::as_str)
    }

    /// Where mail for a domain goes that is not ours.
    fn next_hop(&self, domain: &str) -> Destination {
        let exact =
            self.routes.iter().find(|route| matches!(&route.domain, Pattern::Exact(name) if same_domain(name, domain)));
        let any = || self.routes.iter().find(|route| route.domain == Pattern::Any);
        match exact.or_else(any) {
            Some(route) => Destination::Route(alloc::format!("{}", route.to)),
            None => Destination::Domain(domain.into()),
        }
    }
}

/// Whether both names are of one domain, whichever of them is written with U-labels, and which with A-labels (RFC 5890
/// §2.3.2.1). Both are in lower case.
fn same_domain(a: &str, b: &str) -> bool {
    a == b || is_international(a) && is_international(b) && a_labels(a).is_some_and(|a| Some(a) == a_labels(b))
}

fn is_international(name: &str) -> bool {
    !name.is_ascii() || name.split('.').any(|label| label.starts_with("xn--"))
}

#[cfg(feature = "dns")]
use crate::dns::a_labels;

/// Without the tables of IDNA a name is the same as nothing but itself.
#[cfg(not(feature = "dns"))]
fn a_labels(_name: &str) -> Option<&str> {
    None
}

fn postmaster(address: &Address) -> bool {
    address.local().eq_ignore_ascii_case("postmaster")
}

/// Whether RCPT is granted. `resolution` is the store's word on an address of ours; with `None` (not asked yet, or not
/// ours) only relaying is judged.
///
/// # Errors
/// The reply to refuse with.
pub fn verdict(authenticated: bool, place: &Place, resolution: Option<&Resolution>) -> Result<(), Reply> {
    let refused = |status, text| Err(Reply::new(550, Some(status), text));
    match (place, resolution) {
        (Place::Elsewhere(_), _) if !authenticated => refused(EnhancedStatus(5, 7, 1), "Relaying denied"),
        (Place::Ours, Some(Resolution::Unknown)) => refused(EnhancedStatus(5, 1, 1), "No such mailbox here"),
        (Place::Ours, Some(Resolution::TooMany)) => {
            refused(EnhancedStatus(5, 1, 4), "This alias names too many mailboxes")
        }
        _ => Ok(()),
    }
}

/// A fixed next hop: `smtp://host:port`, where the host is a name, an IPv4 address, or an IPv6 address in brackets.
/// Without a port it is 25.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    /// The TCP port; never 0.
    pub port: u16,
}

impl NextHop {
    /// The address, if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for NextHop {
    /// Always with its port, so that one next hop has one text, and one bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(ip)) => write!(f, "smtp://[{ip}]:{}", self.port),
            _ => write!(f, "smtp://{}:{}", self.host, self.port),
        }
    }
}

/// The text is not a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNextHop {
    /// It does not begin with `smtp://`.
    Scheme,
    /// The host is neither a domain name, nor an IPv4 address, nor an IPv6 address in brackets.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl fmt::Display for BadNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a next hop begins with smtp://, like smtp://relay.example:25",
            Self::Host => "the host is not a name, an IPv4 address, or an IPv6 address in brackets",
            Self::Port => "the port is not a number from 1 to 65535",
        })
    }
}

impl core::error::Error for BadNextHop {}

impl FromStr for NextHop {
    type Err = BadNextHop;

    fn from_str(text: &str) -> Result<Self, BadNextHop> {
        let (scheme, rest) = text.split_once("://").ok_or(BadNextHop::Scheme)?;
        if !scheme.eq_ignore_ascii_case("smtp") {
            return Err(BadNextHop::Scheme);
        }
        if let Some(rest) = rest.strip_prefix('[') {
            let (ip, port) = rest.split_once(']').ok_or(BadNextHop::Host)?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| BadNextHop::Host)?;
            let port = match port.strip_prefix(':') {
                None if port.is_empty() => 25,
                None => return Err(BadNextHop::Port),
                Some(port) => number(port)?,
            };
            return Ok(Self { host: alloc::format!("{ip}"), port });
        }
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, number(port)?),
            None => (rest, 25),
        };
        if !is_host(host) {
            return Err(BadNextHop::Host);
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

/// 1 to 65535, in plain digits: `parse` alone would also take a sign.
fn number(digits: &str) -> Result<u16, BadNextHop> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port) if plain && port != 0 => Ok(port),
        _ => Err(BadNextHop::Port),
    }
}

/// An IPv4 address, or labels of letters, digits, hyphens and underscores (RFC 1123 §2.1; the underscore exists).
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = host.len() <= 253 && host.split('.').all(label);
    // What ends in a number can only be an address (RFC 3696 §2); `127.1` would mean different things to different hosts.
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    #[test]
    fn next_hops_are_parsed_strictly() {
        for (text, host, port, shown) in [
            ("smtp://127.0.0.1:2626", "127.0.0.1", 2626, "smtp://127.0.0.1:2626"),
            ("SMTP://Relay.Example:587", "relay.example", 587, "smtp://relay.example:587"),
            ("smtp://relay", "relay", 25, "smtp://relay:25"),
            ("smtp://[::1]:25", "::1", 25, "smtp://[::1]:25"),
            ("smtp://[2001:DB8:0::1]", "2001:db8::1", 25, "smtp://[2001:db8::1]:25"),
        ] {
            let hop: NextHop = text.parse().unwrap();
            assert_eq!((hop.host.as_str(), hop.port, hop.to_string().as_str()), (host, port, shown));
            assert_eq!(hop.to_string().parse(), Ok(hop.clone()));
            assert_eq!(Destination::from_key(&hop.to_string()), Destination::Route(hop.to_string()));
        }
        for (text, why) in [
            ("", BadNextHop::Scheme),
            ("relay:25", BadNextHop::Scheme),
            ("http://relay", BadNextHop::Scheme),
            ("smtp://", BadNextHop::Host),
            ("smtp://:25", BadNextHop::Host),
            ("smtp://user@relay", BadNextHop::Host),
            ("smtp://relay/path", BadNextHop::Host),
            ("smtp://-relay", BadNextHop::Host),
            ("smtp://a..b", BadNextHop::Host),
            ("smtp://127.1", BadNextHop::Host),
            ("smtp://999.0.0.1", BadNextHop::Host),
            ("smtp://[127.0.0.1]:25", BadNextHop::Host),
            ("smtp://[::1", BadNextHop::Host),
            ("smtp://::1", BadNextHop::Port),
            ("smtp://relay:", BadNextHop::Port),
            ("smtp://relay:0", BadNextHop::Port),
            ("smtp://relay:+25", BadNextHop::Port),
            ("smtp://relay:65536", BadNextHop::Port),
            ("smtp://[::1]25", BadNextHop::Port),
        ] {
            assert_eq!(text.parse::<NextHop>(), Err(why), "{text}");
        }
    }

    fn routes() -> Routes {
        let route = |domain: &str, to: &str| Route { domain: domain.into(), to: to.parse().unwrap() };
        Routes {
            hostname: "mx.amber.example".into(),
            domains: vec!["amber.example".into(), "amber.test".into()],
            routes: vec![route("partner.example", "smtp://127.0.0.1:2626")],
        }
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn the_domain_alone_decides_the_place() {
        let routes = routes();
        for ours in [
            "alice@amber.example",
            "ALICE@Amber.Test",
            "carol%birch.example@amber.example",
            "birch.example!carol@amber.example",
            "\"carol@birch.example\"@amber.example",
            "Postmaster@mx.amber.example",
        ] {
            assert_eq!(routes.place(&address(ours)), Place::Ours, "{ours}");
            assert_eq!(routes.destination(&address(ours)), Destination::Local);
        }
        for (other, destination) in [
            ("carol@birch.example", "mx:birch.example"),
            ("alice@mx.amber.example", "mx:mx.amber.example"),
            ("alice@sub.amber.example", "mx:sub.amber.example"),
            ("alice@xamber.example", "mx:xamber.example"),
            ("dora@partner.example", "smtp://127.0.0.1:2626"),
            ("dora@sub.partner.example", "mx:sub.partner.example"),
            ("eve@[192.0.2.1]", "mx:[192.0.2.1]"),
            ("postmaster@[IPv6:2001:db8::1]", "mx:[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(routes.destination(&address(other)), Destination::from_key(destination), "{other}");
            assert!(matches!(routes.place(&address(other)), Place::Elsewhere(_)));
        }
    }

    #[cfg(feature = "dns")]
    #[test]
    fn a_domain_of_ours_is_ours_in_both_its_forms() {
        let mut routes = routes();
        routes.domains = vec!["bücher.example".into(), "xn--hxajbheg2az3al.example".into()];
        routes.routes.push(Route { domain: "*".into(), to: "smtp://smart.example".parse().unwrap() });
        routes.routes.push(Route { domain: "例子.example".into(), to: "smtp://127.0.0.1:2627".parse().unwrap() });
        for (ours, looked_up) in [
            ("alice@bücher.example", "alice@bücher.example"),
            ("Alice@XN--bcher-KVA.example.", "Alice@bücher.example"),
            ("alice@παράδειγμα.example", "alice@xn--hxajbheg2az3al.example"),
            ("Postmaster@xn--bcher-kva.example", "postmaster@bücher.example"),
        ] {
            assert_eq!(routes.place(&address(ours)), Place::Ours, "{ours}");
            assert_eq!(*routes.lookup(&address(ours)), address(looked_up), "{ours}");
        }
        let partner = Destination::Route("smtp://127.0.0.1:2627".into());
        assert_eq!(routes.destination(&address("x@xn--fsqu00a.example")), partner);
        assert!(matches!(routes.place(&address("alice@xn--bcher-kva.test")), Place::Elsewhere(_)));
    }

    #[test]
    fn an_exact_route_wins_over_any() {
        let mut routes = routes();
        routes.routes.insert(0, Route { domain: "*".into(), to: "smtp://smart.example".parse().unwrap() });
        for (other, destination) in [
            ("dora@partner.example", "smtp://127.0.0.1:2626"),
            ("carol@birch.example", "smtp://smart.example:25"),
            ("eve@[192.0.2.1]", "smtp://smart.example:25"),
        ] {
            assert_eq!(routes.destination(&address(other)), Destination::Route(destination.into()), "{other}");
        }
        assert_eq!(routes.place(&address("alice@amber.example")), Place::Ours);
    }

    #[test]
    fn the_postmaster_is_looked_up_where_mailboxes_are() {
        let routes = routes();
        for (asked, looked_up) in [
            ("PostMaster@amber.test", "postmaster@amber.test"),
            ("Postmaster@mx.amber.example", "postmaster@amber.example"),
            ("Alice@amber.example", "Alice@amber.example"),
            ("Postmaster@birch.example", "Postmaster@birch.example"),
        ] {
            assert_eq!(*routes.lookup(&address(asked)), address(looked_up), "{asked}");
        }
        assert!(routes.is_postmaster(&address("POSTMASTER@amber.example")));
        assert!(!routes.is_postmaster(&address("postmaster@birch.example")));
        assert!(!routes.is_postmaster(&address("postmasters@amber.example")));
    }

    #[test]
    fn nobody_relays_without_authentication() {
        let elsewhere = Place::Elsewhere(Destination::Domain("birch.example".into()));
        let unknown = Some(&Resolution::Unknown);
        let code = |verdict: Result<(), Reply>| verdict.map_err(|reply| reply.to_string());
        assert_eq!(code(verdict(false, &elsewhere, None)), Err("550 5.7.1 Relaying denied".into()));
        assert_eq!(code(verdict(true, &elsewhere, None)), Ok(()));
        for authenticated in [false, true] {
            assert_eq!(
                code(verdict(authenticated, &Place::Ours, unknown)),
                Err("550 5.1.1 No such mailbox here".into())
            );
            assert!(verdict(authenticated, &Place::Ours, Some(&Resolution::TooMany)).is_err());
            let targets = Resolution::Targets { accounts: vec![], others: vec![] };
            assert_eq!(code(verdict(authenticated, &Place::Ours, Some(&targets))), Ok(()));
        }
    }
}
