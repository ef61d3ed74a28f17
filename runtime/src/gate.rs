//! Who may come in: connections are counted, in all and from one address, wherever they are accepted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// In all.
    pub total: usize,
    /// From one IPv4 address, or one IPv6 network of 64 bits: what one customer usually has.
    pub per_address: usize,
    /// How many more are let in only to be told that there are too many. Beyond, they are closed without a word.
    pub crowd: usize,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self { total: 10_000, per_address: 200, crowd: 500 }
    }
}

impl GateLimits {
    /// Open files kept for all that is not a connection coming in: the store, deliveries, DNS, logs. Where there are few
    /// in all, half of them.
    const RESERVED: usize = 256;

    /// The same, with no more connections in all than fit in a limit of `open_files`: an eighth of them at most for those
    /// that are told that there are too many, so that there is always one to say it with.
    #[must_use]
    pub fn within(mut self, open_files: u64) -> Self {
        let files = usize::try_from(open_files).unwrap_or(usize::MAX);
        self.crowd = self.crowd.min(files / 8);
        self.total = self.total.min((files - Self::RESERVED.min(files / 2) - self.crowd).max(1));
        self
    }
}

/// Counts connections.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    crowd: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// A gate that nobody has passed yet.
    #[must_use]
    pub fn new(limits: GateLimits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default() })
    }

    /// Somebody comes; `None` when there is no place even to say so.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Permit> {
        let address = network(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        let crowded = counts.total >= self.limits.total || here >= self.limits.per_address;
        if crowded {
            if counts.crowd >= self.limits.crowd {
                return None;
            }
            counts.crowd += 1;
        } else {
            counts.total += 1;
            counts.by_address.insert(address, here + 1);
        }
        Some(Permit { gate: Arc::clone(self), address, crowded })
    }
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
    crowded: bool,
}

impl Permit {
    /// One too many: it is to be told so, and closed.
    #[must_use]
    pub fn crowded(&self) -> bool {
        self.crowded
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if self.crowded {
            counts.crowd -= 1;
            return;
        }
        counts.total -= 1;
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn counts_by_address_and_in_all() {
        let gate = Gate::new(GateLimits { total: 3, per_address: 2, crowd: 1 });
        let a = [gate.enter(ip("192.0.2.1")).unwrap(), gate.enter(ip("::ffff:192.0.2.1")).unwrap()];
        let crowd = gate.enter(ip("192.0.2.1")).unwrap();
        assert!(crowd.crowded());
        assert!(gate.enter(ip("192.0.2.1")).is_none(), "the crowd is bounded, too");
        let b = gate.enter(ip("2001:db8::1")).unwrap();
        drop(crowd);
        assert!(gate.enter(ip("2001:db8::2")).unwrap().crowded(), "three in all");
        drop(a);
        assert!(!gate.enter(ip("2001:db8::ffff:1")).unwrap().crowded());
        drop(b);
        let counts = gate.counts.lock().unwrap();
        assert_eq!((counts.total, counts.crowd, counts.by_address.len()), (0, 0, 0));
    }

    #[test]
    fn the_limit_on_open_files_bounds_it_too() {
        assert_eq!(GateLimits::default().within(u64::MAX), GateLimits::default());
        let within = |files| {
            let GateLimits { total, crowd, .. } = GateLimits::default().within(files);
            (total, crowd)
        };
        assert_eq!([within(4096), within(1024), within(256)], [(3340, 500), (640, 128), (96, 32)]);
        assert_eq!(within(0), (1, 0));
    }
}
