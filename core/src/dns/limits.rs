//! Every bound the resolver keeps, by name and with its reason.

use core::time::Duration;

/// What the [`Resolver`](super::Resolver) keeps to. Where several nodes are a server, each with a resolver of its own,
/// the bounds of questions, lookups and cache are the server's, and divided among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Servers used of those configured; further ones are left out. Eight: more only make a failure slower to notice.
    pub servers: usize,
    /// Questions asked at one time. Each holds a socket of its own, so that its port is unpredictable (RFC 5452 §9.2).
    pub in_flight: usize,
    /// Lookups worked on at one time; each may have two questions for every MX host.
    pub lookups: usize,
    /// Lookups that wait for their turn. One more than that fails at once, temporarily: the queue tries again.
    pub waiting: usize,
    /// How long one lookup may take in all, its waiting included. It then answers with what it has.
    pub lookup_timeout: Duration,
    /// How long the first try of a server may take; each round through the servers doubles it (RFC 1035 §4.2.1).
    pub first_timeout: Duration,
    /// Rounds through the servers before a question counts as unanswered.
    pub rounds: u32,
    /// How long an exchange over TCP may take, with some slack over the [`StreamSession`](super::StreamSession)'s own timeout.
    pub stream_timeout: Duration,
    /// How long a server that did not answer is asked last.
    pub slow_server: Duration,
    /// Wrong answers to one question, from the right address to the right port, before it is asked over TCP: somebody
    /// may be guessing (RFC 5452 §9.3).
    pub wrong_answers: u32,
    /// CNAMEs followed for one name, in one answer and from one answer to the next.
    pub aliases: u32,
    /// MX hosts kept of one domain, the most preferred ones; the rest is beyond what a delivery tries (RFC 5321 §5.1).
    pub exchangers: usize,
    /// Addresses kept of one host.
    pub addresses: usize,
    /// Answers in the cache.
    pub cache_entries: usize,
    /// Bytes in the cache, its bookkeeping estimated.
    pub cache_bytes: usize,
    /// The longest that an answer is believed, whatever its TTL says (RFC 2181 §8).
    pub max_ttl: Duration,
    /// The longest that "there is none" is believed (RFC 2308 §5).
    pub max_negative_ttl: Duration,
    /// How long a failed question is not asked again (RFC 2308 §7: at most 5 minutes). Brief: it only spares the servers a storm.
    pub failure_ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            servers: 8,
            in_flight: 128,
            lookups: 256,
            waiting: 1024,
            lookup_timeout: Duration::from_secs(60),
            first_timeout: Duration::from_secs(1),
            rounds: 3,
            stream_timeout: Duration::from_secs(12),
            slow_server: Duration::from_secs(30),
            wrong_answers: 16,
            aliases: 8,
            exchangers: 16,
            addresses: 4,
            cache_entries: 10_000,
            cache_bytes: 4 * 1024 * 1024,
            max_ttl: Duration::from_secs(24 * 3600),
            max_negative_ttl: Duration::from_secs(3600),
            failure_ttl: Duration::from_secs(5),
        }
    }
}
