//! A delivery attempt: from the queue's rows to a next hop, candidate by candidate (RFC 5321 §5.1).
//!
//! ```text
//!  attempt ──local──▶ resolve each row ──▶ forwarded into its mailbox, or bounced
//!     │
//!     └──elsewhere──▶ look up ──▶ candidates ──▶ dial ──▶ session ──▶ outcomes ──▶ finished
//!                                     ▲           │          │
//!                                     └───next────┴──────────┘
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

use super::conn::Dial;
use super::reception::delivery_prefix;
use super::shared::Shared;
use super::{Event, replies, resolve};
use crate::dns::{self, LookupId};
use crate::mark;
use crate::ops::{Accept, Body, Delivery, Destination, NewRow, QueueRow, Resolution};
use crate::planted::{self, Bug};
use crate::queue::{AttemptEnd, AttemptId, RowResult, Said};
use crate::router::{NextHop, Place};
use crate::smtp::{Address, Domain, Reply};
use crate::time::Now;

/// Pause before an address is resolved to which resolving another one has led.
const AGAIN: Duration = Duration::from_secs(30);

/// The attempts under way.
#[derive(Default)]
pub(super) struct Transfers {
    under_way: BTreeMap<AttemptId, Transfer>,
}

/// One attempt.
struct Transfer {
    /// Messages still to be sent, each with its rows.
    messages: VecDeque<Vec<QueueRow>>,
    /// Hosts still to be tried, best first.
    candidates: VecDeque<Candidate>,
    /// What the candidates said, for the rows that nobody took: a transient reply of one outweighs a permanent one of
    /// another, since it may take them yet.
    reply: Option<Reply>,
    /// The way is a fixed one: what is wrong with it is the operator's to mend, and no reason to give up mail.
    routed: bool,
    /// Local rows whose address is being resolved.
    resolving: usize,
    /// A host took messages, or refused them one by one.
    reached: bool,
    /// The resolver was asked, and has not answered: nothing is tried yet.
    looking: bool,
}

/// A host to be tried.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) host: String,
    pub(super) address: SocketAddr,
    /// Whether STARTTLS is tried: not again after it broke a connection.
    pub(super) tls: bool,
}

/// Its name and its address; where the name is an address, that alone.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.address.ip();
        match self.host.parse::<IpAddr>() {
            Ok(_) => write!(f, "[{ip}]"),
            Err(_) if self.host.starts_with('[') => write!(f, "[{ip}]"),
            Err(_) => write!(f, "{} [{ip}]", self.host),
        }
    }
}

/// A local row whose address is being resolved.
#[derive(Debug)]
pub(super) struct LocalRow {
    attempt: AttemptId,
    row: Box<QueueRow>,
}

impl Transfer {
    fn heard(&mut self, reply: Reply) {
        if reply.is_transient() || self.reply.as_ref().is_none_or(Reply::is_permanent) {
            self.reply = Some(reply);
        }
    }

    fn said(&self) -> Reply {
        self.reply.clone().unwrap_or_else(|| replies::NO_CONNECTION.reply())
    }
}

impl Transfers {
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether an attempt goes by a fixed route.
    fn is_routed(&self, attempt: AttemptId) -> bool {
        self.under_way.get(&attempt).is_some_and(|transfer| transfer.routed)
    }

    /// The next message of an attempt, if any is left.
    pub(super) fn message(&mut self, attempt: AttemptId) -> Option<Vec<QueueRow>> {
        self.under_way.get_mut(&attempt)?.messages.pop_front()
    }
}

/// Begins an attempt.
pub(super) fn begin(shared: &mut Shared, now: Now, attempt: AttemptId, destination: Destination, rows: &[QueueRow]) {
    let mut transfer = Transfer {
        messages: VecDeque::new(),
        candidates: VecDeque::new(),
        reply: None,
        routed: matches!(destination, Destination::Route(_)),
        resolving: 0,
        reached: false,
        looking: false,
    };
    match destination {
        Destination::Local => {
            transfer.resolving = rows.len();
            shared.transfers.under_way.insert(attempt, transfer);
            for row in rows {
                resolve_row(shared, now, attempt, row.clone());
            }
        }
        Destination::Domain(domain) => {
            transfer.messages = messages(rows);
            transfer.looking = literal(&domain).is_none();
            shared.transfers.under_way.insert(attempt, transfer);
            match literal(&domain) {
                Some(ip) => {
                    let address = SocketAddr::new(ip, shared.config.delivery.port);
                    found(shared, now, attempt, [Candidate { host: domain, address, tls: true }].into());
                }
                None => shared.resolver.lookup_mx(now, LookupId(attempt.0), &domain),
            }
        }
        Destination::Route(route) => {
            transfer.messages = messages(rows);
            let hop = route.parse::<NextHop>();
            transfer.looking = hop.as_ref().is_ok_and(|hop| hop.ip().is_none());
            shared.transfers.under_way.insert(attempt, transfer);
            match hop {
                Ok(hop) => match hop.ip() {
                    Some(ip) => {
                        let address = SocketAddr::new(ip, hop.port);
                        found(shared, now, attempt, [Candidate { host: hop.host, address, tls: true }].into());
                    }
                    None => shared.resolver.lookup_host(now, LookupId(attempt.0), &hop.host),
                },
                Err(_) => mark!(NodeBadRoute, give_up(shared, now, attempt, &replies::BAD_ROUTE.reply())),
            }
        }
    }
}

/// The resolver's answer for an attempt.
pub(super) fn looked_up(shared: &mut Shared, now: Now, lookup: LookupId, answer: dns::Answer) {
    let attempt = AttemptId(lookup.0);
    // It may have been abandoned meanwhile.
    let Some(transfer) = shared.transfers.under_way.get_mut(&attempt) else { return };
    transfer.looking = false;
    let reply = match answer {
        dns::Answer::Hosts(hosts) => return hosts_found(shared, now, attempt, hosts),
        dns::Answer::NullMx => mark!(NodeNullMx, replies::NULL_MX.reply()),
        dns::Answer::NoSuchDomain => mark!(NodeNoDomain, replies::NO_DOMAIN.reply()),
        dns::Answer::NoAddress => mark!(NodeNoAddress, replies::NO_ADDRESS.reply()),
        dns::Answer::BadName(why) => {
            mark!(NodeBadName);
            Reply::new(550, Some(crate::smtp::EnhancedStatus(5, 1, 2)), alloc::format!("Not a domain name: {why}"))
        }
        dns::Answer::Temporary(why) => {
            mark!(NodeLookupFailed);
            Reply::new(451, Some(crate::smtp::EnhancedStatus(4, 4, 3)), alloc::format!("DNS: {why}"))
        }
    };
    let routed = reply.is_permanent() && shared.transfers.is_routed(attempt);
    give_up(
        shared,
        now,
        attempt,
        &if routed { mark!(NodeRouteUnknown, replies::ROUTE_UNKNOWN.reply()) } else { reply },
    );
}

fn hosts_found(shared: &mut Shared, now: Now, attempt: AttemptId, mut hosts: Vec<dns::MxHost>) {
    // A route names its port; a domain's exchangers are all on the port of mail.
    let port = port(shared, attempt);
    // RFC 5321 §5.1: we, and whoever is not preferred to us, are no way to the destination. A route may well lead to
    // another server on this host.
    let ours = shared.config.hostname.as_str();
    let own = hosts.iter().filter(|_| !shared.transfers.is_routed(attempt));
    if let Some(own) = { own }.find(|host| host.name.eq_ignore_ascii_case(ours)).map(|host| host.preference) {
        mark!(NodeOwnExchanger);
        hosts.retain(|host| host.preference < own);
        if hosts.is_empty() {
            return mark!(NodeMxLoop, give_up(shared, now, attempt, &replies::MX_LOOP.reply()));
        }
    }
    if planted::is(Bug::AWrongMxOrder) {
        hosts.reverse();
    }
    let candidates: VecDeque<_> = hosts
        .into_iter()
        .flat_map(|host| host.addresses.into_iter().map(move |ip| (host.name.clone(), ip)))
        .map(|(host, ip)| Candidate { host, address: SocketAddr::new(ip, port), tls: true })
        .collect();
    if candidates.is_empty() {
        // The exchangers have names, but their addresses are not to be had just now.
        return mark!(NodeNoAddressNow, give_up(shared, now, attempt, &replies::NO_ADDRESS_NOW.reply()));
    }
    found(shared, now, attempt, candidates);
}

fn port(shared: &Shared, attempt: AttemptId) -> u16 {
    let row = shared.transfers.under_way.get(&attempt).and_then(|transfer| transfer.messages.front()?.first());
    match row.map(|row| &row.destination) {
        Some(Destination::Route(route)) => route.parse::<NextHop>().map_or(25, |hop| hop.port),
        _ => shared.config.delivery.port,
    }
}

fn found(shared: &mut Shared, now: Now, attempt: AttemptId, candidates: VecDeque<Candidate>) {
    if let Some(transfer) = shared.transfers.under_way.get_mut(&attempt) {
        transfer.candidates = candidates;
        next(shared, now, attempt);
    }
}

/// Tries the next candidate, or ends the attempt.
fn next(shared: &mut Shared, now: Now, attempt: AttemptId) {
    let Some(transfer) = shared.transfers.under_way.get_mut(&attempt) else { return };
    if transfer.messages.is_empty() {
        // Every row has its outcome; and if that was nothing but 421, the destination is better left alone for a while.
        let said = Said::ours(transfer.said());
        let useless = transfer.reply.is_some() && !transfer.reached;
        let outcome =
            if useless { mark!(NodeUseless, AttemptEnd::Unreachable(said)) } else { AttemptEnd::Reached(said) };
        return end(shared, now, attempt, outcome);
    }
    match transfer.candidates.pop_front() {
        Some(candidate) => shared.dials.push_back(Dial::Delivery { attempt, candidate }),
        None => {
            mark!(NodeCandidatesSpent);
            let reply = transfer.said();
            give_up(shared, now, attempt, &reply);
        }
    }
}

/// How a connection to a candidate ended.
pub(super) struct Ended {
    pub(super) candidate: Candidate,
    /// Why it was of no use, if it was of none.
    pub(super) unusable: Option<Reply>,
    /// It took at least one message's recipients, or refused them one by one; a 421 to all of them is no progress.
    pub(super) progress: bool,
    /// It broke, or a TLS handshake failed or had no end.
    pub(super) broken: bool,
}

/// A connection of an attempt is over.
pub(super) fn ended(shared: &mut Shared, now: Now, attempt: AttemptId, ended: Ended) {
    let Some(transfer) = shared.transfers.under_way.get_mut(&attempt) else { return };
    let Ended { candidate, unusable, progress, broken } = ended;
    transfer.reached |= progress;
    if let Some(reply) = unusable {
        mark!(NodeNextCandidate);
        transfer.heard(reply.clone());
        let why = reply.to_string();
        shared.event(Event::Unreachable { host: candidate.to_string(), why });
        if broken && candidate.tls && shared.config.delivery.tls.is_some() {
            // Opportunistic (RFC 7435): what TLS breaks is tried once more without it.
            mark!(NodeWithoutTls);
            let again = Candidate { tls: false, ..candidate };
            retry_candidate(shared, attempt, again);
        }
    } else if progress {
        // Messages may be left: the server ended the session early. It was of use, so it is asked again.
        if !transfer.messages.is_empty() {
            mark!(NodeSameCandidate);
        }
        retry_candidate(shared, attempt, candidate);
    }
    next(shared, now, attempt);
}

fn retry_candidate(shared: &mut Shared, attempt: AttemptId, candidate: Candidate) {
    if let Some(transfer) = shared.transfers.under_way.get_mut(&attempt) {
        transfer.candidates.push_front(candidate);
    }
}

/// A row of an attempt has its outcome by SMTP.
pub(super) fn outcome(shared: &mut Shared, attempt: AttemptId, row: &QueueRow, host: &str, reply: Reply) {
    let (recipient, host) = (row.recipient.clone(), host.to_string());
    let result = match reply.code() / 100 {
        2 => RowResult::Delivered,
        5 => RowResult::Refused,
        _ => RowResult::Deferred,
    };
    shared.queue.settled(attempt, row.id, result(Said::by(reply.clone(), host.as_str())));
    shared.event(Event::Attempted { row: row.id, recipient, host, reply });
}

/// Nobody is left to ask: a permanent reply is every row's own, a transient one is the destination's.
fn give_up(shared: &mut Shared, now: Now, attempt: AttemptId, reply: &Reply) {
    let said = Said::ours(reply.clone());
    let reached = shared.transfers.under_way.get(&attempt).is_some_and(|transfer| transfer.reached);
    while let Some(rows) = shared.transfers.message(attempt) {
        for row in rows {
            // Who took mail a moment ago does not mean it for ever.
            if reply.is_permanent() && !reached {
                shared.queue.settled(attempt, row.id, RowResult::Refused(said.clone()));
            }
            let (recipient, reply) = (row.recipient, reply.clone());
            shared.event(Event::Attempted { row: row.id, recipient, host: String::new(), reply });
        }
    }
    // A domain that does not exist is not down: the next message to it is refused as this one was.
    let known = reached || reply.is_permanent();
    end(shared, now, attempt, if known { AttemptEnd::Reached(said) } else { AttemptEnd::Unreachable(said) });
}

/// Breaks off the attempts for which nothing was tried yet: a lookup may take longer than a node has to stop.
pub(super) fn abandon(shared: &mut Shared, now: Now) {
    let looking = |(attempt, transfer): (&AttemptId, &Transfer)| transfer.looking.then_some(*attempt);
    let attempts: Vec<_> = shared.transfers.under_way.iter().filter_map(looking).collect();
    for attempt in attempts {
        mark!(NodeAbandoned);
        end(shared, now, attempt, AttemptEnd::Abandoned);
    }
}

fn end(shared: &mut Shared, now: Now, attempt: AttemptId, end: AttemptEnd) {
    if shared.transfers.under_way.remove(&attempt).is_some() {
        shared.queue.finished(now, attempt, &end);
    }
}

/// Rows of one message that can go in one transaction.
fn messages(rows: &[QueueRow]) -> VecDeque<Vec<QueueRow>> {
    let mut messages: VecDeque<Vec<QueueRow>> = VecDeque::new();
    for row in rows {
        match messages.back_mut() {
            Some(message) if message.first().is_some_and(|first| first.same_message(row)) => message.push(row.clone()),
            _ => messages.push_back([row.clone()].into()),
        }
    }
    messages
}

fn literal(domain: &str) -> Option<IpAddr> {
    match domain.parse::<Domain>() {
        Ok(Domain::Literal(ip)) => Some(ip),
        _ => None,
    }
}

fn resolve_row(shared: &mut Shared, now: Now, attempt: AttemptId, row: QueueRow) {
    match shared.config.routes.place(&row.recipient) {
        Place::Ours => {
            let recipient = row.recipient.clone();
            resolve::ask(shared, &recipient, resolve::Then::Row(LocalRow { attempt, row: Box::new(row) }));
        }
        Place::Elsewhere(destination) => {
            // The configuration changed while it waited: it is no longer ours.
            mark!(NodeNoLongerOurs);
            let (recipient, prefix) = (row.recipient.clone(), row.prefix.clone());
            let accept = forward(&row, Vec::new(), [NewRow { recipient, destination, prefix, due: now.wall }].into());
            settle_local(shared, now, attempt, &row, RowResult::Forward(Box::new(accept)));
        }
    }
}

/// A local row is resolved: filed, sent on, or refused.
pub(super) fn resolved(shared: &mut Shared, now: Now, local: LocalRow, resolution: Result<Resolution, Reply>) {
    let LocalRow { attempt, row } = local;
    let result = match resolution {
        Ok(Resolution::Targets { accounts, others }) => {
            let rows = onward(shared, now, &row, others);
            if accounts.is_empty() && rows.is_empty() {
                mark!(NodeAliasLoop);
                RowResult::Refused(Said::ours(replies::TOO_MANY_TARGETS.reply()))
            } else {
                let prefix = delivery_prefix(row.reverse_path.as_ref(), &row.recipient, &row.prefix);
                let delivery =
                    |(account, _)| Delivery { account, recipient: row.recipient.clone(), prefix: prefix.clone() };
                RowResult::Forward(Box::new(forward(&row, accounts.into_iter().map(delivery).collect(), rows)))
            }
        }
        Ok(Resolution::Unknown) => {
            mark!(NodeUserGone, RowResult::Refused(Said::ours(replies::UNKNOWN_USER.reply())))
        }
        Ok(Resolution::TooMany) => {
            mark!(NodeTooManyTargets, RowResult::Refused(Said::ours(replies::TOO_MANY_TARGETS.reply())))
        }
        Err(reply) => mark!(NodeUnresolved, RowResult::Deferred(Said::ours(reply))),
    };
    settle_local(shared, now, attempt, &row, result);
}

/// The rows of those whom an alias names besides accounts here. One that comes back here is an alias's doing again, which
/// the store did not see through: `postmaster` has two names, and so has an internationalized domain. Where it is this
/// row's own address it is left out; else it is not hurried, and ends with the row's time at the latest.
fn onward(shared: &Shared, now: Now, row: &QueueRow, others: Vec<Address>) -> Vec<NewRow> {
    let routes = &shared.config.routes;
    let own = routes.lookup(&row.recipient);
    let rows = others.into_iter().filter_map(|recipient| {
        let destination = routes.destination(&recipient);
        let again = destination == Destination::Local;
        let endless = again && (routes.lookup(&recipient) == own || row.state.expires <= now.wall);
        let due = if again { now.wall.after(AGAIN) } else { now.wall };
        (!endless).then(|| NewRow { destination, recipient, prefix: row.prefix.clone(), due })
    });
    rows.collect()
}

fn forward(row: &QueueRow, deliveries: Vec<Delivery>, rows: Vec<NewRow>) -> Accept {
    Accept {
        body: Body::Row(row.id),
        structure: Bytes::new(),
        received: row.received,
        reverse_path: row.reverse_path.clone(),
        smtputf8: row.smtputf8,
        eight_bit: row.eight_bit,
        deliveries,
        rows,
        expires: row.state.expires,
    }
}

fn settle_local(shared: &mut Shared, now: Now, attempt: AttemptId, row: &QueueRow, result: RowResult) {
    shared.queue.settled(attempt, row.id, result);
    let Some(transfer) = shared.transfers.under_way.get_mut(&attempt) else { return };
    transfer.resolving -= 1;
    if transfer.resolving == 0 {
        end(shared, now, attempt, AttemptEnd::Reached(Said::ours(replies::NO_CONNECTION.reply())));
    }
}
