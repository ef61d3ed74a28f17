//! What an operator may set, of every server in the world: as a configuration file says it.

use std::time::Duration;

use pillarbox_core::{dns, node, queue};

/// How all servers of a world are set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Largest message in octets.
    pub message_size: u64,
    /// Connections that a server takes at one time; further ones are told that there are too many.
    pub connections: usize,
    /// Connections at one time from one address.
    pub connections_per_address: usize,
    /// When the queue tries again and gives up, and its bounds.
    pub queue: queue::Config,
    /// Bounds of a node.
    pub limits: node::Limits,
    /// Bounds of its resolver.
    pub dns: dns::Limits,
}

impl Settings {
    /// Short lives: a world that is judged many times is to come to its end soon, and meet its limits on the way.
    #[must_use]
    pub fn brisk() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let usual = Self::default();
        Self {
            queue: queue::Config {
                retry: vec![minutes(1), minutes(5), minutes(15), minutes(30)],
                expire_after: minutes(4 * 60),
                ..usual.queue
            },
            // Small, so that bodies are staged now and then.
            limits: node::Limits { inline_body: 8 * 1024, inline_bodies: 64 * 1024, ..usual.limits },
            ..usual
        }
    }
}

impl Settings {
    /// The same with small limits, of which each is met by ordinary mail.
    pub(crate) fn cramped(&self) -> Self {
        let queue = queue::Limits {
            destinations: 4,
            rows: 3,
            attempts: 3,
            attempts_per_destination: 1,
            bounces: 1,
            ..self.queue.limits.clone()
        };
        Self {
            message_size: 64 * 1024,
            queue: queue::Config { limits: queue, ..self.queue.clone() },
            limits: node::Limits {
                sessions_per_turn: 2,
                actions_per_session: 4,
                inline_body: 512,
                inline_bodies: 1024,
                staged_bodies: 1,
                recipients: 3,
                ..self.limits.clone()
            },
            dns: dns::Limits {
                in_flight: 1,
                lookups: 1,
                waiting: 1,
                cache_entries: 2,
                exchangers: 2,
                addresses: 1,
                aliases: 2,
                lookup_timeout: Duration::from_secs(20),
                ..self.dns.clone()
            },
            ..self.clone()
        }
    }
}

impl Default for Settings {
    /// A server's own, but for what only costs time where time costs nothing: leases are long and looks are rare.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let limits = queue::Limits { lease: minutes(60), recheck: minutes(15), ..queue::Limits::default() };
        Self {
            message_size: 50 * 1024 * 1024,
            connections: 10_000,
            connections_per_address: 200,
            queue: queue::Config { limits, ..queue::Config::default() },
            limits: node::Limits::default(),
            dns: dns::Limits::default(),
        }
    }
}
