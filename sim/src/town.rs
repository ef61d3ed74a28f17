//! How a world is set up: machines with their domains and users, and the name service with its good and bad corners.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use pillarbox_core::dns;
use pillarbox_core::dns::responder::{Behaviour, Responder, Zone};
use pillarbox_core::node::{Cleartext, Config, Delivery, Protocol, Service, TlsMode};
use pillarbox_core::ops::{AccountId, AccountOp, AccountReply, Resolution, StoreOp, StoreReply};
use pillarbox_core::router::{NextHop, Pattern, Route, Routes};
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_store::{MemoryStore, Options, PasswordCost};

use crate::host::{Clock, Doors};
use crate::ledger::UserId;
use crate::names::Names;
use crate::plan::{HostPlan, Plan, domain};
use crate::settings::Settings;
use crate::trace::Trace;
use crate::world::World;

/// Where the name servers are.
const NAME_SERVERS: [[u8; 4]; 2] = [[198, 51, 100, 53], [198, 51, 100, 54]];
/// Where forgers lead.
const THIEF: [u8; 4] = [203, 0, 113, 99];
/// Where a server is that is none of ours.
const ODD: [u8; 4] = [203, 0, 113, 77];
/// Where nobody is.
const NOBODY: [u8; 4] = [203, 0, 113, 1];
/// Targets of an alias that is too many people, where limits are small.
const CROWD: usize = 5;

/// A mailbox of the town's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) user: UserId,
    pub(crate) host: usize,
    pub(crate) account: AccountId,
}

/// The addresses of a machine: of its first exchanger, and of its second.
fn addresses(host: usize) -> [Ipv4Addr; 2] {
    let (high, low) = ((host / 250) as u8, (host % 250) as u8 + 1);
    [Ipv4Addr::new(10, high, low, 1), Ipv4Addr::new(10, high, low, 2)]
}

/// The world of a plan, with everybody in it who lives there.
pub(crate) fn build(plan: &Plan, settings: &Settings, told: bool) -> (World, Vec<Vec<Resident>>) {
    let names = Names::new(responder(plan, false), responder(plan, true));
    let mut world = World::new(plan.seed, names, Trace::new(told));
    world.doors = Doors { most: settings.connections, most_from_one_address: settings.connections_per_address };
    world.thieves.insert(IpAddr::from(THIEF));
    world.odd = Some((IpAddr::from(ODD), world.ledger.somebody("mx.odd.example")));
    world.names_are_good = plan.kinds().iter().all(|kind| !kind.hides_names());
    let cramped = settings.cramped();
    let mut residents = Vec::new();
    for (number, host) in plan.hosts.iter().enumerate() {
        let clock = Arc::new(Clock::default());
        let shown = Arc::clone(&clock);
        let store = MemoryStore::new(Options {
            password_cost: PasswordCost::CHEAP,
            clock: Arc::new(move || shown.shown()),
            ..if host.cramped { cramped_store() } else { Options::default() }
        });
        let [first, second] = addresses(number).map(IpAddr::from);
        let name = domain(number);
        let added: Vec<_> = (0..plan.users).map(|user| add(&store, &format!("u{user}@{name}"))).collect();
        let mut here = vec![first];
        if host.second {
            here.push(second);
            world.preferred.insert(second, vec![first]);
        }
        if host.dead_first {
            for address in &here {
                world.preferred.entry(*address).or_default().push(IpAddr::from(dead(number)));
            }
        }
        let guest = add(&store, &format!("guest@{name}"));
        aliases(&store, &name);
        let place = world.machine(
            &name,
            here,
            &config(&name, host, if host.cramped { &cramped } else { settings }),
            store,
            clock,
            host.nodes,
        );
        let guest = guest.map(|account| world.ledger.guest(&format!("guest@{name}"), place, account));
        world.hosts[place].guest = guest;
        if host.cramped {
            world.hosts[place].doors = Some(Doors { most: 2, most_from_one_address: 1 });
        }
        if let Some(guest) = guest {
            world.ledger.known_as(guest, &format!("postmaster@{name}"));
        }
        let here: Vec<_> = (0..plan.users)
            .filter_map(|user| {
                let account = added[user]?;
                let user = world.ledger.user(&format!("u{user}@{name}"), place, account);
                Some(Resident { user, host: place, account })
            })
            .collect();
        // The first account is the postmaster's: the guest's, and while that is gone, the next one's.
        if let [first, ..] = here[..] {
            world.ledger.known_as(first.user, &format!("postmaster@{name}"));
        }
        // An operator turns this from the first to the last.
        let mut others: Vec<_> = here.first().into_iter().chain(here.last()).map(|resident| resident.user).collect();
        others.dedup();
        others.iter().for_each(|user| world.ledger.known_as(*user, &format!("other@{name}")));
        residents.push(here);
    }
    (world, residents)
}

fn add(store: &MemoryStore, address: &str) -> Option<AccountId> {
    let parsed: pillarbox_core::smtp::Address = address.parse().ok()?;
    let password = address.split('@').next()?.into();
    let op = AccountOp::Add { address: parsed.clone(), password };
    let added = store.apply(StoreOp::Account(op));
    debug_assert_eq!(added, StoreReply::Account(AccountReply::Done));
    match store.apply(StoreOp::Account(AccountOp::Resolve { address: parsed })) {
        StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. })) => Some(accounts.first()?.0),
        _ => None,
    }
}

/// The aliases of a machine: somebody's second name, two that lead to each other, one that leads to nobody elsewhere, and
/// one that is too many people.
fn aliases(store: &MemoryStore, name: &str) {
    alias(store, &format!("other@{name}"), &[&format!("u0@{name}")]);
    alias(store, &format!("loop@{name}"), &[&format!("pool@{name}")]);
    alias(store, &format!("pool@{name}"), &[&format!("loop@{name}")]);
    alias(store, &format!("away@{name}"), &["nobody@d0.example", "nobody@null.example"]);
    let crowd: Vec<_> = (0..CROWD).map(|number| format!("u{number}@null.example")).collect();
    alias(store, &format!("crowd@{name}"), &crowd.iter().map(String::as_str).collect::<Vec<_>>());
}

fn alias(store: &MemoryStore, alias: &str, targets: &[&str]) {
    let Ok(alias) = alias.parse() else { return };
    let targets = targets.iter().filter_map(|target| target.parse().ok()).collect();
    let added = store.apply(StoreOp::Account(AccountOp::SetAlias { alias, targets }));
    debug_assert_eq!(added, StoreReply::Account(AccountReply::Done));
}

/// A store that soon has too many of anything.
fn cramped_store() -> Options {
    Options {
        alias_targets: CROWD - 1,
        mailboxes: 8,
        subscriptions: 2,
        copied: 2,
        expunged_runs: 2,
        ..Options::default()
    }
}

/// The address of an exchanger that does not exist.
fn dead(host: usize) -> Ipv4Addr {
    let [high, low] = (host as u16).to_be_bytes();
    Ipv4Addr::new(203, 1, high, low)
}

fn config(domain: &str, host: &HostPlan, settings: &Settings) -> Config {
    let hostname = format!("mx.{domain}");
    let service = |protocol| Service::new(protocol, if host.tls { TlsMode::StartTls } else { TlsMode::None });
    Config {
        hostname: hostname.clone(),
        routes: Routes { hostname, domains: vec![domain.to_owned()], routes: routes() },
        services: vec![
            service(Protocol::Transfer),
            service(Protocol::Submission),
            service(Protocol::Pop3),
            service(Protocol::Imap),
        ],
        tls: if host.tls { Some(Arc::new(FakeServer)) } else { None },
        cleartext: if host.strict { Cleartext::Loopback } else { Cleartext::Always },
        message_size: settings.message_size,
        delivery: Delivery {
            port: 25,
            tls: if host.tls { Some(Arc::new(FakeClient)) } else { None },
            queue: Arc::new(settings.queue.clone()),
        },
        dns: dns::Config {
            servers: NAME_SERVERS.map(|address| (address, 53).into()).to_vec(),
            limits: settings.dns.clone(),
        },
        limits: settings.limits.clone(),
        tap: None,
    }
}

/// A way that leads to nobody.
fn routes() -> Vec<Route> {
    let to = NextHop { host: "nowhere.example".to_owned(), port: 25 };
    vec![Route { domain: Pattern::Exact("routed.example".to_owned()), to }]
}

/// The name service: right, or as forgers would have it.
fn responder(plan: &Plan, forged: bool) -> Responder {
    let at = |address: Ipv4Addr| if forged { Ipv4Addr::from(THIEF) } else { address };
    let mut zones: Vec<Zone> = (plan.hosts.iter().enumerate())
        .map(|(number, host)| {
            let name = domain(number);
            let [first, second] = addresses(number);
            let mut zone = Zone::new(&name).mx(&name, 10, &format!("mx.{name}")).a(&format!("mx.{name}"), at(first));
            if host.second {
                zone = zone.mx(&name, 20, &format!("mx2.{name}")).a(&format!("mx2.{name}"), at(second));
            }
            if host.dead_first {
                zone = zone.mx(&name, 5, &format!("old.{name}")).a(&format!("old.{name}"), at(dead(number)));
            }
            zone
        })
        .collect();
    // Where mail cannot go: no mail wanted, no such domain, names that lead in circles, an exchanger that is not there,
    // more exchangers than anybody would try, and one that leads back to whoever sends.
    zones.push(Zone::new("null.example").null_mx("null.example"));
    zones.push(
        Zone::new("ring.example")
            .mx("ring.example", 10, "a.ring.example")
            .cname("a.ring.example", "b.ring.example")
            .cname("b.ring.example", "a.ring.example"),
    );
    let deaf = Zone::new("deaf.example").mx("deaf.example", 10, "mx.deaf.example");
    zones.push((1..=6).fold(deaf, |zone, last| zone.a("mx.deaf.example", at([203, 0, 113, last].into()))));
    let maze = (0..150_u16).fold(Zone::new("maze.example"), |zone, number| {
        let exchanger = format!("a-rather-long-name-{number}.maze.example");
        let next = format!("c{}.maze.example", number % 12);
        match number % 3 {
            0 => zone.mx("maze.example", number, &exchanger),
            1 => zone.mx("maze.example", number, &exchanger).cname(&exchanger, &next),
            _ => zone.mx("maze.example", number, &exchanger).a(&exchanger, at(NOBODY.into())),
        }
    });
    zones.push(maze.behaviour("a-rather-long-name-3.maze.example", Behaviour::Silent));
    let plain = plan.hosts.iter().position(|host| !host.dead_first).unwrap_or(0);
    let chain = (0..14).fold(Zone::new("chain.example"), |zone, step| {
        zone.cname(&format!("c{step}.chain.example"), &format!("c{}.chain.example", step + 1))
    });
    zones.push(chain.mx("chain.example", 10, "c0.chain.example").a("c14.chain.example", at(NOBODY.into())));
    zones.push(Zone::new("lame.example").behaviour("lame.example", Behaviour::Refuse));
    zones.push(
        Zone::new("empty.example").mx("empty.example", 10, "mx.empty.example").txt("mx.empty.example", "nothing"),
    );
    zones.push(Zone::new("odd.example").mx("odd.example", 10, "mx.odd.example").a("mx.odd.example", at(ODD.into())));
    zones.push(Zone::new("self.example").mx("self.example", 10, &format!("mx.{}", domain(plain))));
    zones.push(Zone::new("example"));
    Responder::new(zones)
}
